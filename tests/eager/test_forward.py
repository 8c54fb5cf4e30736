"""`ForwardAccumulator` against JAX's `jvp` and against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphc as tf
from graphc.errors import ShapeError
from tests.names.test_gradients import measured

Forward = tf.autodiff.ForwardAccumulator

X = np.array([[0.5, -1.25, 2.0], [1.0, 0.75, -0.3]])
V = np.array([[1.0, 0.5, -2.0], [0.0, 1.5, 1.0]])

#: The same functions, of the library that is handed over.
FUNCTIONS = {
    "polynomial": lambda lib, x: x * x * x - 2.0 * x,
    "elementwise": lambda lib, x: lib.sin(x) * lib.exp(x) / (1.0 + x * x),
    "linear": lambda lib, x: 3.0 * x,
    "sums": lambda lib, x: (x * x).sum() if lib is jnp else tf.reduce_sum(x * x),
    "product": lambda lib, x: lib.tanh(x) @ lib.transpose(x),
}


def forward(function, x, v):
    with Forward(x, v) as accumulator:
        y = function(x)
    return accumulator.jvp(y)


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("compiled", [False, True], ids=["at once", "compiled"])
@pytest.mark.parametrize("kind", [tf.constant, tf.Variable], ids=["tensor", "variable"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_as_jax(name, kind, compiled):
    x, v = kind(X), tf.constant(V)
    call = lambda v: forward(lambda x: FUNCTIONS[name](tf, x), x, v)  # noqa: E731
    found = (tf.function(call) if compiled else call)(v)
    _, expected = jax.jvp(lambda x: FUNCTIONS[name](jnp, x), (X,), (V,))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("compiled", [False, True], ids=["at once", "compiled"])
def test_product_of_a_hessian_and_a_vector(compiled):
    x = tf.Variable(X)

    def loss(x):
        return tf.reduce_sum(tf.sin(x) * tf.reduce_sum(x * x, axis=0))

    def forward_over_reverse(v):
        with Forward(x, v) as accumulator:
            with tf.GradientTape() as tape:
                y = loss(x)
            slope = tape.gradient(y, x)
        return accumulator.jvp(slope)

    def reverse_over_forward(v):
        with tf.GradientTape() as tape:
            tape.watch(x)
            with Forward(x, v) as accumulator:
                y = loss(x)
            along = accumulator.jvp(y)
        return tape.gradient(along, x)

    def jax_loss(x):
        return (jnp.sin(x) * (x * x).sum(0)).sum()

    _, expected = jax.jvp(jax.grad(jax_loss), (X,), (V,))
    for product in (forward_over_reverse, reverse_over_forward):
        found = (tf.function(product) if compiled else product)(tf.constant(V))
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_the_second_derivative_along_a_direction():
    def second(x):
        x = tf.convert_to_tensor(x)
        return tf.reduce_sum(forward(lambda x: forward(lambda x: x**4, x, v), x, v))

    v = tf.constant(V)
    assert second(X).item() == pytest.approx(np.sum(12 * X**2 * V**2), rel=1e-13)

    def first(x):
        return tf.reduce_sum(forward(lambda x: x**4, tf.convert_to_tensor(x), v))

    assert second(X).item() == pytest.approx(measured(first, X, V), rel=1e-9)


def test_several_primals_and_results():
    x, w = tf.constant([1.0, 2.0]), tf.Variable([3.0, 4.0])
    with Forward(
        [x, {"w": w}], [tf.constant([1.0, 0.0]), {"w": tf.constant([0.0, 1.0])}]
    ) as accumulator:
        product = x * w
        results = {"product": product, "sum": (tf.reduce_sum(product), x)}
        inside = accumulator.jvp(product)
        later = product * 2.0  # what comes after a derivative is recorded, too
    found = accumulator.jvp(results)
    np.testing.assert_array_equal(found["product"].numpy(), [3, 2])
    np.testing.assert_array_equal(inside.numpy(), [3, 2])
    np.testing.assert_array_equal(accumulator.jvp(later).numpy(), [6, 4])
    assert found["sum"][0].item() == 5
    np.testing.assert_array_equal(found["sum"][1].numpy(), [1, 0])
    np.testing.assert_array_equal(accumulator.jvp(w).numpy(), [0, 1])


def test_what_does_not_depend_on_the_primals():
    x = tf.constant([1.0, 2.0])
    with Forward(x, tf.ones(2)) as accumulator:
        other = tf.constant([3.0, 4.0]) * 2.0
        whole = tf.cast(x, tf.int32)
    assert accumulator.jvp(other) is None
    assert accumulator.jvp([whole, tf.stop_gradient(x)]) == [None, None]
    zeros = accumulator.jvp(other, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    np.testing.assert_array_equal(zeros.numpy(), [0, 0])
    assert accumulator.jvp(whole, "zero").dtype == "int32"


def test_more_is_moved_later():
    accumulator = Forward([], [])
    x = tf.constant(2.0)
    accumulator.watch(x, 1.0)
    with accumulator:
        y = x * x
    assert accumulator.jvp(y).item() == 4


def test_mistakes():
    x = tf.constant([1.0, 2.0])
    with pytest.raises(ShapeError, match=r"\(3,\), its primal \(2,\)"):
        Forward(x, tf.ones(3))
    with pytest.raises(ValueError, match="2 primals, but 1 tangents"):
        Forward([x, x], [tf.ones(2)])
    with pytest.raises(ValueError, match="tensors and variables"):
        Forward("x", tf.ones(2))
    with pytest.warns(UserWarning, match="must be floating"):
        Forward(tf.constant(1), 1)
    accumulator = Forward(x, tf.ones(2))
    with accumulator, pytest.raises(ValueError, match="recording already"):
        accumulator.__enter__()
    with pytest.raises(ValueError, match="'none' or 'zero'"):
        accumulator.jvp(x, "nothing")
