"""Plans: what is computed once and kept, what is not, and that both give the same."""

import copy
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphc import keras
from graphc.config import config
from graphc.eager import GradientTape, Tensor, Variable, apply_function, as_tensor
from graphc.eager.effort import TOO_MUCH, effort
from graphc.eager.function import function
from graphc.eager.kind import kind_of
from graphc.eager.native import NativeCall
from graphc.eager.plan import Plan, function_key
from graphc.errors import DTypeError, ShapeError
from graphc.ir import Graph, TensorType
from graphc.keras import layers, ops
from graphc.keras.ops.recording import operation
from graphc.ops.conv import Conv
from graphc.ops.elementwise import Exp

X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


def counted():
    """An operation, and how often its Python code ran."""
    calls = []

    @operation
    def scaled(x, factor=2.0, names=("a", "b")):
        calls.append((factor, names))
        return {name: as_tensor(x) * factor for name in names}

    return scaled, calls


def test_the_code_of_an_operation_runs_once_for_equal_arguments():
    scaled, calls = counted()
    for _ in range(3):
        result = scaled(as_tensor(X), factor=3.0)
        assert list(result) == ["a", "b"]
        np.testing.assert_array_equal(result["b"].numpy(), X * 3)
    assert len(calls) == 1
    scaled(as_tensor(X[:2]), factor=3.0)
    scaled(as_tensor(X.astype("float64")), factor=3.0)
    scaled(as_tensor(X), factor=4.0)
    scaled(as_tensor(X), factor=3.0, names=["c"])
    assert len(calls) == 5
    assert scaled(Variable(X), factor=3.0)["a"].dtype == "float32"
    assert len(calls) == 5


def test_numbers_that_compare_equal_are_told_apart():
    scaled, calls = counted()
    assert scaled(as_tensor([1, 2]), 1)["a"].dtype == "int32"
    assert scaled(as_tensor([1, 2]), 1.0)["a"].dtype == "float32"
    assert scaled(as_tensor([1, 2]), True)["a"].dtype == "int32"
    assert not np.signbit(scaled(as_tensor([1.0]), 0.0)["a"].numpy())
    assert np.signbit(scaled(as_tensor([1.0]), -0.0)["a"].numpy())
    assert len(calls) == 5


def test_ever_new_numbers_end_the_planning():
    scaled, _ = counted()
    for factor in range(1100):
        np.testing.assert_array_equal(scaled(as_tensor(X), float(factor))["a"].numpy(), X * factor)


def test_settings_are_part_of_the_key():
    before = config.floatx
    try:
        for floatx in ("float32", "float64", "float16"):
            config.floatx = floatx
            assert ops.exp(as_tensor([1, 2])).dtype == floatx
            assert (as_tensor([1, 2]) / 2).dtype == floatx
    finally:
        config.floatx = before


def test_what_depends_on_elements_runs_as_it_is_written():
    @operation
    def doubled_if_positive(x):
        return x * 2.0 if float(ops.sum(x)) > 0 else x

    for value, expected in ((3.0, 6.0), (-3.0, -3.0), (1.0, 2.0)):
        assert float(doubled_if_positive(as_tensor(value))) == expected


def test_what_reads_or_writes_variables_runs_as_it_is_written():
    count = Variable(0.0)

    @operation
    def counting(x):
        count.assign_add(1.0)
        return x * count

    assert [float(counting(as_tensor(2.0))) for _ in range(3)] == [2, 4, 6]


def test_random_numbers_are_new_each_time():
    x = ops.ones((100,))
    first, second = (keras.random.dropout(x, 0.5).numpy() for _ in range(2))
    assert (first != second).any()
    first, second = (keras.random.normal((5,)).numpy() for _ in range(2))
    assert (first != second).all()
    first, second = (keras.random.normal((5,), seed=3).numpy() for _ in range(2))
    assert (first == second).all()


def test_a_warning_comes_every_time():
    for _ in range(2):
        with pytest.warns(UserWarning, match="axis has size 1"):
            ops.softmax(as_tensor([[1.0]]), axis=-1)


def test_numpy_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = as_tensor([0.0, 1e38, -1.0])
        np.testing.assert_array_equal((1.0 / x).numpy()[0], np.inf)
        assert np.isinf((x * 1e38).numpy()[1])
        assert np.isnan(ops.sqrt(x).numpy()[2])
        assert (as_tensor([1]) // as_tensor([0])).numpy() == [0]
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        np.ones(1) / np.zeros(1)  # elsewhere NumPy is as it was


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda x: x + as_tensor(np.ones(3)), ShapeError, r"Add: .*\(.*test_plans.py:\d+\)"),
        (lambda x: ops.reshape(x, (5,)), ShapeError, "test_plans.py"),
        (lambda x: x & 1.0, DTypeError, r"And: .*received .*test_plans.py"),
        (lambda x: x @ x, ShapeError, r'axis "k".*test_plans.py'),
    ],
)
def test_errors_name_the_line_every_time(call, error, text):
    for _ in range(2):
        with pytest.raises(error, match=text):
            call(as_tensor(X))


def test_functions_are_told_apart_by_what_they_close_over():
    def scaler(factor):
        return lambda value: value * factor

    x = as_tensor([1.0])
    assert [float(apply_function(scaler(f), x)[0]) for f in (1.0, 2.0, 1.0)] == [1, 2, 1]
    assert function_key(scaler(2.0), {}) == function_key(scaler(2.0), {})
    assert function_key(scaler(0.0), {}) != function_key(scaler(-0.0), {})
    assert function_key(scaler(1), {}) != function_key(scaler(True), {})
    assert function_key(scaler([1.0]), {}) is None  # it can change
    assert function_key(scaler, {"key": (1, ...)}) != function_key(scaler, {"key": (2, ...)})
    assert function_key([].append, {}) is None


def graph_of(op, *types):
    graph = Graph("g")
    graph.outputs["y"] = op(*[graph.input(f"x{i}", type) for i, type in enumerate(types)])
    return graph


def test_what_takes_numpy_long_is_compiled():
    conv = Conv(strides=(1, 1), padding=((0, 0), (0, 0)), dilations=(1, 1))
    image, kernel = TensorType((8, 28, 28, 8), "float32"), TensorType((3, 3, 8, 16), "float32")
    large = graph_of(conv, image, kernel)
    small = graph_of(conv, TensorType((1, 5, 5, 8), "float32"), kernel)
    assert effort(large) > TOO_MUCH > effort(small)
    assert isinstance(Plan(large, True).prepare(), NativeCall)
    assert not isinstance(Plan(small, True).prepare(), NativeCall)
    assert not isinstance(Plan(graph_of(Exp(), image), True).prepare(), NativeCall)
    arrays = [
        np.random.default_rng(1).normal(size=t.shape).astype("float32") for t in (image, kernel)
    ]
    expected = conv.evaluate(*arrays)
    np.testing.assert_allclose(Plan(large, True).prepare()(*arrays), expected, 1e-4, 1e-4)


def test_the_gradient_of_a_convolutional_network_is_compiled_and_right():
    model = keras.Sequential(
        [keras.Input((28, 28, 3)), layers.Conv2D(8, 3), layers.MaxPooling2D(), layers.Flatten()]
    )
    x = as_tensor(np.random.default_rng(2).normal(size=(16, 28, 28, 3)).astype("float32"))
    before = config.backend
    found = []
    try:
        for backend in ("cpu", "reference"):
            config.backend = backend
            x = x * 1.0 if backend == "cpu" else ops.concatenate([x[:8], x[8:]])
            with GradientTape() as tape:
                loss = ops.mean(model(x) ** 2)
            found.append([g.numpy() for g in tape.gradient(loss, model.trainable_variables)])
    finally:
        config.backend = before
    for compiled, reference in zip(*found, strict=True):
        np.testing.assert_allclose(compiled, reference, 1e-4, 1e-5)


UNARY = [ops.exp, ops.tanh, ops.square, ops.negative, ops.sigmoid, ops.sin, ops.relu, ops.abs]
BINARY = [ops.add, ops.subtract, ops.multiply, ops.maximum, lambda x, y: x / (2.0 + ops.cos(y))]
SHAPED = [
    lambda x: ops.sum(x, axis=0, keepdims=True),
    lambda x: ops.mean(x, axis=-1, keepdims=True),
    lambda x: ops.transpose(x),
    lambda x: ops.softmax(x, axis=0),
    lambda x: x[:, ::-1],
    lambda x: x @ ops.transpose(x) @ x,
    lambda x: ops.concatenate([x, x * 2.0], axis=1)[:, 1:-1],
    lambda x: ops.where(x > 0.1, x, 0.5 * x),
    lambda x: ops.logsumexp(x, axis=1, keepdims=True) + x,
]


@st.composite
def programs(draw):
    """A list of steps: a function and the numbers of its operands among what was computed."""
    steps = []
    for count in range(2, draw(st.integers(4, 9))):
        kind = draw(st.sampled_from([UNARY, BINARY, SHAPED]))
        arity = 2 if kind is BINARY else 1
        operands = [draw(st.integers(0, count - 1)) for _ in range(arity)]
        steps.append((draw(st.integers(0, len(kind) - 1)), kind, operands))
    return steps


def run_program(steps, x, y):
    values = [x, y]
    for number, kind, operands in steps:
        chosen = [values[i] for i in operands]
        if len({tuple(v.shape) for v in chosen}) > 1:
            chosen = [chosen[0], chosen[0]]  # what does not fit meets itself
        values.append(kind[number](*[ops.tanh(v) for v in chosen]))
    return values[-1]


def gradients_of(steps, x, y):
    with GradientTape() as tape:
        tape.watch([x, y])
        loss = ops.sum(ops.square(run_program(steps, x, y)))
    return (loss, *tape.gradient(loss, [x, y], unconnected_gradients="zero"))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(programs())
def test_random_programs_agree_at_once_under_a_tape_and_compiled(steps):
    rng = np.random.default_rng(3)
    x, y = (as_tensor(rng.normal(size=(3, 3))) for _ in range(2))
    plain = float(ops.sum(ops.square(run_program(steps, x, y))))
    loss, *gradients = gradients_of(steps, x, y)
    compiled = function(lambda x, y: gradients_of(steps, x, y))(x, y)
    np.testing.assert_allclose(float(loss), plain, 1e-12)
    for eager, native in zip((loss, *gradients), compiled, strict=True):
        np.testing.assert_allclose(eager.numpy(), native.numpy(), 1e-9, 1e-12)
    for place, gradient in enumerate(gradients):
        direction = rng.normal(size=(3, 3))
        step = 1e-6
        ends = []
        for sign in (1, -1):
            moved = [x, y]
            moved[place] = Tensor(moved[place].numpy() + sign * step * direction)
            ends.append(float(ops.sum(ops.square(run_program(steps, *moved)))))
        slope = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(np.sum(gradient.numpy() * direction), slope, 1e-5, 1e-6)


def test_arrays_among_the_operands():
    x = as_tensor(X)
    for array in (X, X.astype("float64"), X.astype("int64"), X > 0, X[::2, ::-1][:1]):
        for _ in range(2):
            total = ops.add(x, array)
            assert total.dtype == "float32"
            np.testing.assert_allclose(total.numpy(), X + array.astype("float32"))
            np.testing.assert_allclose((array + x).numpy(), X + array.astype("float32"))
    assert ops.exp(X.astype("float64")).dtype == "float64"
    assert ops.pad(x, np.array([[1, 0], [0, 2]])).shape == (4, 6)
    array = X.copy()
    reshaped, total = ops.reshape(array, (4, 3)), x + array
    array[...] = 0
    np.testing.assert_array_equal(reshaped.numpy(), X.reshape(4, 3))
    np.testing.assert_array_equal(total.numpy(), X + X)


def test_threads_compute_and_record_for_themselves():
    x = as_tensor(X.astype("float64"))
    found = {}

    def work(number):
        with GradientTape() as tape:
            tape.watch(x)
            y = x
            for _ in range(50):
                y = ops.tanh(y * float(number))
            total = ops.sum(y / (y - y))
        found[number] = (np.isnan(total.numpy()), tape.gradient(y, x).numpy())

    with GradientTape() as outside:
        outside.watch(x)
        threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2, 3, 4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        z = x * 2.0
    assert (outside.gradient(z, x).numpy() == 2).all()
    for number in (1, 2, 3, 4):
        infinite, gradient = found[number]
        work(number)
        assert infinite
        np.testing.assert_array_equal(found[number][1], gradient)


def test_a_kind_is_one_object():
    x, variable = as_tensor(X), Variable(X)
    kind = kind_of(x.data)
    assert kind is kind_of(X) is variable.kind is variable.as_tensor().kind
    assert kind is not kind_of(X[:2]) and kind is not kind_of(X.astype("float64"))
    assert copy.deepcopy(variable).kind is pickle.loads(pickle.dumps(kind)) is kind
    assert kind_of(X.view(np.matrix)) is None
    assert (x + x).kind is ops.exp(x).kind is kind


def test_results_know_their_kinds():
    x = as_tensor(X)
    for result in (x + 1, 2.0 * x, x > 0, ops.sum(x), ops.mean(x, 0), ops.any(x), ops.take(x, 1)):
        assert result.kind in (None, kind_of(result.data))
        assert result.kind is not None


def test_plans_of_threads_do_not_mix():
    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(200):
            x = rng.normal(size=(seed + 1, 3)).astype("float32")
            total = ops.sum(ops.relu(as_tensor(x) * 2.0), axis=0)
            expected = np.maximum(x * 2, 0).sum(0, np.float64).astype("float32")
            np.testing.assert_array_equal(total, expected)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
