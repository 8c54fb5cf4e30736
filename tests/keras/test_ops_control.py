"""keras.ops: control flow, gradients, and calls that are recorded."""

import numpy as np
import pytest

from graphc.eager import Trace, Variable
from graphc.errors import GraphcError, ShapeError
from graphc.ir import TensorType
from graphc.ir.dims import symbol
from graphc.keras import ops
from graphc.keras.engine.keras_tensor import KerasTensor
from tests.keras.computing import arrays_of, assert_same, at_once, gradients, traced

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


X = floats(3, 4)
POSITIVE = np.abs(X) + 0.5


# ----------------------------------------------------------------------------------- control flow


def test_cond_takes_one_branch():
    scale = Variable(np.float32(3.0), name="scale")

    def function(x):
        double = x * 2
        return ops.cond(ops.sum(x) > 0, lambda: double + 1, lambda: {"a": x * scale}["a"])

    for x in (np.abs(X), -np.abs(X)):
        expected = [x * 2 + 1 if x.sum() > 0 else x * 3]
        assert_same(at_once(function, x), expected)
        assert_same(traced(function, x), expected)
        expected = [np.full_like(x, 2 if x.sum() > 0 else 3)]
        assert_same(gradients(function, x), expected)


def test_cond_branches_have_to_agree():
    with Trace("test") as trace:
        x = trace.input("x", TensorType((2,), "float32"))
        with pytest.raises(ShapeError, match="`true_fn` returns 1 tensors, `false_fn` 2"):
            ops.cond(ops.sum(x) > 0, lambda: x, lambda: (x, x))
        with pytest.raises(GraphcError, match="otherwise"):
            ops.cond(ops.sum(x) > 0, lambda: x, lambda: x[0])


def test_scan(real_keras):
    kernel = floats(4, 4) / 4

    def step(module):
        def call(carry, x):
            h, count = carry
            h = module.tanh(module.matmul(h, kernel) + x)
            return (h, count + 1), {"h": h, "sum": module.sum(h)}

        return call

    start = (np.zeros((2, 4), "float32"), np.int32(0))
    xs = floats(5, 2, 4)
    for reverse in (False, True):
        theirs = real_keras.ops.scan(step(real_keras.ops), start, xs, reverse=reverse)
        expected = arrays_of([theirs[0], theirs[1]["h"], theirs[1]["sum"]])

        def function(h, count, xs, reverse=reverse):
            carry, ys = ops.scan(step(ops), (h, count), xs, reverse=reverse)
            return carry, ys["h"], ys["sum"]

        assert_same(at_once(function, *start, xs), expected)
        assert_same(traced(function, *start, xs), expected)


def test_loops_capture_what_they_see():
    weight = Variable(np.float32(0.5), name="weight")

    def powers(x):
        return ops.fori_loop(0, 3, lambda i, y: y * x + weight * ops.cast(i, "float32"), x)

    def halving(x):
        limit = ops.max(x) / 10
        return ops.while_loop(
            lambda y, n: ops.max(y) > limit, lambda y, n: (y * weight, n + 1), (x, 0)
        )

    def limited(x):
        return ops.while_loop(lambda y: ops.max(y) > 0, lambda y: y / 2, x, maximum_iterations=3)

    x = np.array([1.0, 3.0], "float32")
    y = x
    for i in range(3):
        y = y * x + np.float32(0.5) * i
    for function, expected in (
        (powers, [y]),
        (halving, [x / 16, np.array(4, "int32")]),
        (limited, [x / 8]),
    ):
        assert_same(at_once(function, x), expected)
        assert_same(traced(function, x), expected)
    (mine,) = gradients(powers, x)
    h = 1e-6
    run = lambda x: ((x * x) * x + 0.5) * x + 1.0  # noqa: E731
    wide = x.astype("float64")
    np.testing.assert_allclose(mine, (run(wide + h) - run(wide - h)) / (2 * h), rtol=1e-4)


def test_nested_loops():
    def function(x):
        def row(total, i):
            inner, _ = ops.scan(
                lambda t, j: (t + x * ops.cast(i * j, "float32"), None), total, ops.arange(3)
            )
            return inner, None

        total, _ = ops.scan(row, ops.zeros_like(x), ops.arange(4))
        return total

    expected = [X * sum(i * j for i in range(4) for j in range(3))]
    assert_same(at_once(function, X), expected)
    assert_same(traced(function, X), expected)
    assert_same(gradients(function, X), [np.full_like(X, 18)])


def test_switch_and_map(real_keras):
    branches = [lambda x: x, lambda x: -x, lambda x: x * 10]
    for index in (-1, 0, 1, 2, 7):
        place = np.array(index, "int32")
        expected = [branches[min(max(index, 0), 2)](X)]
        function = lambda i, x: ops.switch(i, branches, x)  # noqa: E731
        assert_same(at_once(function, place, X), expected)
        assert_same(traced(function, place, X), expected)
    function = lambda x: ops.map(lambda row: ops.sum(row * row), x)  # noqa: E731
    expected = [np.asarray(real_keras.ops.map(lambda row: real_keras.ops.sum(row * row), X))]
    assert_same(at_once(function, X), expected)
    assert_same(traced(function, X), expected)


# ---------------------------------------------------------------------------- gradients, recording

SMOOTH = [
    ("tanh", X), ("softmax", X), ("log_softmax", X), ("gelu", X), ("silu", X), ("softplus", X),
    ("logsumexp", X), ("sinh", X), ("arcsinh", X), ("norm", X), ("std", X), ("cumprod", POSITIVE),
    ("logaddexp", X), ("normalize", X), ("rsqrt", POSITIVE), ("sort", X), ("max", X),
]  # fmt: skip


@pytest.mark.parametrize(
    "name, x", SMOOTH, ids=lambda value: value if isinstance(value, str) else ""
)
def test_gradients(real_keras, name, x):
    jax = pytest.importorskip("jax")
    weights = (
        floats(3, 4)
        if name in ("tanh", "softmax", "log_softmax", "sort", "normalize", "cumprod")
        else None
    )

    def function(module):
        def call(x):
            y = module.logaddexp(x, x * 2) if name == "logaddexp" else getattr(module, name)(x)
            y = y if weights is None else y * np.resize(weights, y.shape)
            return module.sum(y)

        return call

    expected = np.asarray(jax.grad(function(real_keras.ops))(x))
    assert_same(gradients(function(ops), x), [expected], rtol=2e-4)


def test_stop_gradient():
    (mine,) = gradients(lambda x: x * ops.stop_gradient(x), X)
    np.testing.assert_array_equal(mine, X)


def test_crossentropy_gradients_at_zero_logits(real_keras):
    jax = pytest.importorskip("jax")
    target, zeros = np.array([0.0, 1.0, 0.3], "float32"), np.zeros(3, "float32")
    theirs = jax.grad(
        lambda o: real_keras.ops.sum(real_keras.ops.binary_crossentropy(target, o, True))
    )(zeros)
    (mine,) = gradients(lambda o: ops.binary_crossentropy(target, o, from_logits=True), zeros)
    np.testing.assert_allclose(mine, theirs, rtol=1e-6)


def test_calls_on_keras_tensors_are_recorded():
    x = KerasTensor(TensorType((symbol("batch"), 4), "float32"))
    y = ops.concatenate([x, ops.relu(x) * 2.0], axis=-1)
    assert isinstance(y, KerasTensor)
    assert y.shape == (None, 8)
    assert ops.reshape(y, (ops.shape(y)[0], 2, 4)).shape == (None, 2, 4)
    assert ops.mean(y, axis=0).shape == (8,)
    assert ops.is_tensor(y)
    assert (1.0 - x).shape == (None, 4)
