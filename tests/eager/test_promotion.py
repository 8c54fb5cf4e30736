"""Element types of results: Keras's rules for every pair of types, and for Python's numbers."""

import itertools
import os

import numpy as np
import pytest

from graphc.config import config
from graphc.eager import Variable, as_tensor
from graphc.ir import DTYPES, numpy_dtype
from graphc.keras import ops

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras  # noqa: E402

PAIRS = list(itertools.product(DTYPES, DTYPES))
NUMBERS = [True, 2, 2.5]


def tensor(dtype):
    return as_tensor(np.ones(3).astype(numpy_dtype(dtype)))


def promoted(*kinds):
    """What Keras says; on JAX it never says 64 bits, so these are filled in by NumPy's rules."""
    result = keras.backend.result_type(*kinds)
    wide = [kind for kind in kinds if kind in DTYPES]
    if result.startswith("float") and "float64" in kinds:
        return "float64"
    if result.startswith(("int", "uint")) and "bool" not in wide and len(wide) > 1:
        return np.promote_types(*wide).name
    return next((kind for kind in wide if kind == result.replace("32", "64")), result)


@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "where"])
def test_pairs_of_tensors(name):
    function = (lambda x, y: ops.where(True, x, y)) if name == "where" else getattr(ops, name)
    for x, y in PAIRS:
        assert function(tensor(x), tensor(y)).dtype == promoted(x, y), (x, y)


@pytest.mark.parametrize("floatx", ["float32", "float16"])
def test_tensors_and_numbers(floatx):
    before = config.floatx, keras.config.floatx()
    config.floatx = floatx
    keras.config.set_floatx(floatx)
    try:
        for dtype, number in itertools.product(DTYPES, NUMBERS):
            if (dtype, number, floatx) == ("bool", 2, "float16"):
                continue  # Keras's integers become as narrow as its floats
            expected = promoted(dtype, type(number))
            assert (tensor(dtype) + number).dtype == expected, (dtype, number)
            assert (number + tensor(dtype)).dtype == expected, (dtype, number)
            assert ops.add(number, tensor(dtype)).dtype == expected, (dtype, number)
            quotient = promoted(dtype, type(number), float)
            assert (tensor(dtype) / number).dtype == quotient, (dtype, number)
    finally:
        config.floatx = before[0]
        keras.config.set_floatx(before[1])


def test_floatx_is_what_numbers_become():
    before = config.floatx
    try:
        for floatx in ("float64", "float16", "float32"):
            config.floatx = floatx
            assert (as_tensor([1, 2]) * 2.5).dtype == floatx
            assert (as_tensor([1, 2]) / 2).dtype == floatx
            assert ops.mean(as_tensor([1, 2])).dtype == floatx
            assert as_tensor(1.5).dtype == floatx
    finally:
        config.floatx = before


def test_quotients_are_floats():
    for x, y in PAIRS:
        assert (tensor(x) / tensor(y)).dtype == promoted(x, y, float), (x, y)


def test_comparisons_are_bools():
    for x, y in PAIRS:
        assert (tensor(x) < tensor(y)).dtype == "bool"
        assert bool(ops.all(tensor(x) == tensor(y)))


def test_arithmetic_of_bools():
    x, y = as_tensor([True, False, True]), as_tensor([True, True, False])
    for result, dtype, expected in (
        (x + y, "bool", [1, 1, 1]),
        (x * y, "bool", [1, 0, 0]),
        (x + True, "bool", [1, 1, 1]),
        (x // y, "int32", [1, 0, 0]),
        (x % y, "int32", [0, 0, 0]),
        (x**y, "int32", [1, 0, 1]),
        (x / True, "float32", [1, 0, 1]),
        (x < y, "bool", [0, 1, 0]),
    ):
        assert result.dtype == dtype
        np.testing.assert_array_equal(result.numpy(), np.array(expected))


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_of_mixed_operands(dtype):
    x = tensor(dtype)
    one_more = np.ones(3) if dtype == "bool" else np.full(3, 2)
    assert np.asarray(x + True).astype("float64").tolist() == one_more.tolist()
    assert np.asarray(x + 2).astype("float64").tolist() == [3, 3, 3]
    assert np.asarray(2.5 * x).astype("float64").tolist() == [2.5, 2.5, 2.5]
    assert np.asarray(x / 2).astype("float64").tolist() == [0.5, 0.5, 0.5]


def test_arrays_of_floats_bend_to_tensors_and_others_do_not():
    x = as_tensor([1.0, 2.0])
    assert (x + np.ones(2)).dtype == "float32"
    assert (np.ones(2) + x).dtype == "float32"
    assert (x + np.ones(2, "int64")).dtype == "float32"
    assert (as_tensor([1, 2]) + np.ones(2)).dtype == "float64"
    assert (as_tensor([1, 2]) + np.ones(2, "int64")).dtype == "int64"
    assert (Variable([1.0, 2.0]) * np.float64(2)).dtype == "float32"


@pytest.mark.parametrize(
    "x, y, operator, expected",
    [
        ([7, -7], [2, 2], "floordiv", [3, -4]),
        ([7, -7], [0, 0], "floordiv", [0, 0]),
        ([7, -7], [-3, 3], "mod", [-2, 2]),
        ([7.5, -7.5], [2.0, 2.0], "floordiv", [3.0, -4.0]),
        ([2, 3], [3, 2], "pow", [8, 9]),
        ([1, 1], [0, 2], "truediv", [np.inf, 0.5]),
        ([0.0, 1.0], [0.0, 0.0], "truediv", [np.nan, np.inf]),
    ],
)
def test_edges_without_a_warning(x, y, operator, expected, recwarn):
    result = getattr(as_tensor(x), f"__{operator}__")(as_tensor(y))
    np.testing.assert_array_equal(result.numpy(), expected)
    assert not recwarn.list


def test_numbers_of_all_sizes_meet_tensors():
    x = as_tensor([1.0])
    for number in (0.1, -0.0, 1e30, 3, 2**40, np.inf):
        np.testing.assert_array_equal((x * number).numpy(), np.float32(1) * np.float32(number))
    assert np.signbit((as_tensor([0.0]) * -0.0).numpy()).all()
    assert np.signbit(ops.multiply(x, -0.0).numpy()).all()
    assert not np.signbit(ops.multiply(x, 0.0).numpy()).any()
