"""keras.random: distributions, seeds, and the same numbers at once and in a program."""

import numpy as np
import pytest

from graphc import runtime
from graphc.eager import Trace
from graphc.errors import DTypeError, ShapeError
from graphc.ir import TensorType
from graphc.ir.dims import symbol
from graphc.keras import ops, random
from graphc.keras.saving.registry import deserialize_keras_object, serialize_keras_object

COUNT = 40000


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_distributions(dtype):
    normal = np.asarray(random.normal((COUNT,), 2.0, 3.0, dtype=dtype, seed=1)).astype("float64")
    np.testing.assert_allclose([normal.mean(), normal.std()], [2, 3], rtol=0.02)
    uniform = np.asarray(random.uniform((COUNT,), -1.0, 3.0, dtype=dtype, seed=1)).astype("float64")
    np.testing.assert_allclose([uniform.mean(), uniform.std()], [1, 4 / 12**0.5], rtol=0.02)
    assert uniform.min() >= -1 and uniform.max() <= 3
    cut = np.asarray(random.truncated_normal((COUNT,), dtype=dtype, seed=1)).astype("float64")
    assert np.abs(cut).max() <= 2
    np.testing.assert_allclose(cut.std(), 0.8796, rtol=0.02)


def test_integers():
    draw = np.asarray(random.randint((COUNT,), -3, 4, seed=2))
    assert draw.dtype == np.int32
    values, counts = np.unique(draw, return_counts=True)
    np.testing.assert_array_equal(values, range(-3, 4))
    assert np.abs(counts / COUNT - 1 / 7).max() < 0.01
    assert random.randint((2,), 0, 5, dtype="uint8", seed=1).dtype == "uint8"


def test_classes():
    logits = np.log(np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 1e-9]], "float32"))
    draw = np.asarray(random.categorical(logits, COUNT, seed=3))
    assert draw.shape == (2, COUNT)
    for row, expected in zip(draw, ([0.1, 0.2, 0.7], [0.5, 0.5, 0.0]), strict=True):
        np.testing.assert_allclose(np.bincount(row, minlength=3) / COUNT, expected, atol=0.01)


def test_dropout():
    x = np.ones((200, 200), "float32")
    y = np.asarray(random.dropout(x, 0.25, seed=1))
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.75])
    np.testing.assert_allclose((y == 0).mean(), 0.25, atol=0.01)
    rows = np.asarray(random.dropout(x, 0.5, noise_shape=(None, 1), seed=1))
    assert (rows == rows[:, :1]).all() and 0 < (rows[:, 0] == 0).mean() < 1
    np.testing.assert_array_equal(random.dropout(x, 0.0, seed=1), x)


def test_shuffle():
    x = np.arange(20).reshape(10, 2)
    y = np.asarray(random.shuffle(x, seed=1))
    assert (y != x).any()
    np.testing.assert_array_equal(y[np.argsort(y[:, 0])], x)
    columns = np.asarray(random.shuffle(np.arange(12).reshape(2, 6), axis=1, seed=4))
    np.testing.assert_array_equal(columns[1] - columns[0], [6] * 6)


def test_seeds():
    same = [np.asarray(random.normal((4,), seed=7)) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    generator = random.SeedGenerator(7)
    first, second = (np.asarray(random.normal((4,), seed=generator)) for _ in range(2))
    np.testing.assert_array_equal(first, same[0])  # its first seed is that of the integer
    assert (first != second).all()
    np.testing.assert_array_equal(generator.state.numpy(), [7, 2])
    assert (np.asarray(random.normal((4,))) != np.asarray(random.normal((4,)))).all()
    again = deserialize_keras_object(serialize_keras_object(generator))
    np.testing.assert_array_equal(again.state.numpy(), [7, 0])
    for seed in (0, -1, 2**32 - 1, np.int64(3)):
        assert np.isfinite(np.asarray(random.normal((4,), seed=seed))).all()


def test_the_same_numbers_in_a_program():
    generator = random.SeedGenerator(11)
    eager = random.SeedGenerator(11)
    with Trace("draw") as trace:
        x = trace.input("x", TensorType((symbol("batch"), 3), "float32"))
        results = {
            "dropped": random.dropout(x, 0.5, seed=generator),
            "noise": random.normal(ops.shape(x), seed=generator),
        }
        program, variables = trace.program(results)
    executable = runtime.compile(program, "reference")
    state = {name: variable.array for name, variable in variables.items()}
    data = np.ones((5, 3), "float32")
    for _ in range(3):
        compiled = executable.run({"x": data}, state)
        np.testing.assert_array_equal(compiled["dropped"], random.dropout(data, 0.5, seed=eager))
        np.testing.assert_array_equal(compiled["noise"], random.normal((5, 3), seed=eager))
    np.testing.assert_array_equal(generator.state.numpy(), [11, 6])


def test_a_program_without_a_seed_draws_anew_at_each_run():
    with Trace("draw") as trace:
        drawn = random.normal((3,))
    program, variables = trace.program({"drawn": drawn})
    executable = runtime.compile(program, "reference")
    state = {name: variable.array for name, variable in variables.items()}
    first, second = (executable.run({}, state)["drawn"].copy() for _ in range(2))
    assert (first != second).all()


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: random.normal((2,), seed="a"), ValueError, "must be either an integer or"),
        (lambda: random.SeedGenerator(1.5), ValueError, "must be an integer. Received: seed=1.5"),
        (lambda: random.uniform((2,), dtype="int32"), DTypeError, "floating point dtype"),
        (lambda: random.randint((2,), 0, 5, dtype="float32"), DTypeError, "integer dtype"),
        (lambda: random.randint((2,), 5, 5), ValueError, "no integer is in"),
        (lambda: random.categorical(np.zeros(3, "float32"), 2), ShapeError, "2-D tensor"),
        (lambda: random.dropout(np.zeros(3), 1.0), ValueError, "at least 0 and below 1"),
        (lambda: random.normal((-1,)), ShapeError, "sizes cannot be negative"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
