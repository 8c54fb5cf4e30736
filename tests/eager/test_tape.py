"""GradientTape: derivatives of every order against JAX, and what TensorFlow's tape says besides."""

from collections import namedtuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from graphc.eager import GradientTape, UnconnectedGradients, Variable, as_tensor
from graphc.errors import ShapeError
from graphc.keras import ops

RNG = np.random.default_rng(0)
pytestmark = pytest.mark.usefixtures("in_float64")


def close(result, expected, tolerance=1e-9):
    np.testing.assert_allclose(np.asarray(result), np.asarray(expected), tolerance, tolerance)


X = RNG.uniform(0.4, 1.6, (3, 4))
FUNCTIONS = {
    "square": (lambda ops, x: x * x, 3),
    "cube": (lambda ops, x: x**3, 3),
    "mixed": (lambda ops, x: ops.exp(ops.sin(x)) / (1.0 + x * x), 3),
    "tanh": (lambda ops, x: ops.tanh(x @ x.T if ops is jnp else x @ ops.transpose(x)), 2),
    "sum": (lambda ops, x: ops.sum(ops.log(x), axis=1) ** 2, 3),
    "mean": (lambda ops, x: ops.mean(x * x, axis=0, keepdims=True) * x, 2),
    "maximum": (lambda ops, x: ops.maximum(x, 1.0) * x, 2),
    "reshape": (lambda ops, x: ops.reshape(x, (4, 3))[1:, ::-1] ** 2, 2),
    "index": (lambda ops, x: x[1] * x[:, 2:3] * x[0, 0], 3),
    "rows": (lambda ops, x: x[np.array([0, 2, 0])] * x, 2),
    "where": (lambda ops, x: ops.where(x > 1.0, x * x, 3.0 * x), 2),
    "concatenate": (lambda ops, x: ops.concatenate([x, x * x], axis=1) ** 2, 2),
    "power": (lambda ops, x: x**x, 2),
    "broadcast": (lambda ops, x: ops.sum(x, axis=1, keepdims=True) * x + x[0], 2),
    "cumsum": (lambda ops, x: ops.cumsum(x, axis=1) ** 2, 2),
    "sort": (lambda ops, x: ops.sort(x, axis=-1) * x, 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_of_every_order_agree_with_jax(name):
    function, orders = FUNCTIONS[name]

    def derivative(order, x):
        if order == 0:
            return function(ops, x)
        with GradientTape() as tape:
            tape.watch(x)
            y = ops.sum(ops.sin(derivative(order - 1, x)))
        return tape.gradient(y, x)

    expected = lambda x: function(jnp, x)  # noqa: E731
    for order in range(1, orders + 1):
        inner = expected
        expected = jax.grad(lambda x, inner=inner: jnp.sum(jnp.sin(inner(x))))
        for _ in range(2):  # the second time the program is taken from the cache
            close(derivative(order, as_tensor(X)), expected(X))


def test_a_falling_apple_has_acceleration():
    time = Variable(0.5)
    with GradientTape() as outer:
        with GradientTape() as inner:
            position = 4.9 * time**2
        speed = inner.gradient(position, time)
    close(speed, 4.9, 1e-6)
    close(outer.gradient(speed, time), 9.8, 1e-6)


def test_sources_and_targets_are_any_structure():
    Pair = namedtuple("Pair", "first second")
    x, y, z = (Variable(value) for value in (2.0, 3.0, 5.0))
    with GradientTape(persistent=True) as tape:
        targets = {"a": x * y, "b": [y * z, x * x]}
    found = tape.gradient(targets, {"x": x, "rest": (y, [z])})
    assert list(found) == ["x", "rest"]
    assert isinstance(found["rest"], tuple) and isinstance(found["rest"][1], list)
    close(found["x"], 3.0 + 4.0)
    close(found["rest"][0], 2.0 + 5.0)
    close(found["rest"][1][0], 3.0)
    pair = tape.gradient(targets["a"], Pair(x, y))
    assert isinstance(pair, Pair)
    close(pair.first, 3.0)
    close(tape.gradient([x * 1.0], x) is None, True)


def test_a_tape_that_is_not_persistent_answers_once():
    x = Variable(3.0)
    with GradientTape() as tape:
        y = x * x
    tape.gradient(y, x)
    with pytest.raises(RuntimeError, match="persistent=True"):
        tape.gradient(y, x)


def test_a_persistent_tape_differentiates_inside_its_own_context():
    x = as_tensor(np.array([1.0, 2.0, 3.0]))
    with GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x**4
        first = tape.gradient(y, x)
        second = tape.gradient(first, x)
    close(first, 4 * np.array([1, 8, 27]))
    close(second, 12 * np.array([1, 4, 9]))
    close(tape.gradient(second, x), 24 * np.array([1, 2, 3]))
    close(tape.gradient(y, x), 4 * np.array([1, 8, 27]))


def test_only_what_is_watched_has_gradients():
    x, v, frozen = as_tensor(2.0), Variable(3.0), Variable(4.0, trainable=False)
    with GradientTape(persistent=True) as tape:
        y = x * v * frozen
    assert tape.gradient(y, x) is None
    assert tape.gradient(y, frozen) is None
    close(tape.gradient(y, v), 8.0)
    assert tape.watched_variables() == (v,)
    with GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch([x, frozen])
        y = x * v * frozen
    assert tape.gradient(y, v) is None
    close(tape.gradient(y, x), 12.0)
    close(tape.gradient(y, frozen), 6.0)
    assert tape.watched_variables() == (frozen,)


def test_what_was_computed_before_watching_does_not_count():
    x = as_tensor(2.0)
    with GradientTape(persistent=True) as tape:
        before = x * x
        tape.watch(x)
        after = x * x
    assert tape.gradient(before, x) is None
    close(tape.gradient(after, x), 4.0)


def test_the_gradient_of_intermediate_results():
    x = Variable(2.0)
    with GradientTape(persistent=True) as tape:
        y = x * x
        z = y * y * x
    close(tape.gradient(z, y), 2 * 4.0 * 2.0)
    total, part = tape.gradient(z, [x, y])
    close(total, 5 * 2.0**4)
    close(part, 16.0)
    close(tape.gradient(y, y), 1.0)


def test_unconnected_gradients():
    x, y = Variable(np.ones((2, 3), "float32")), Variable(1.0)
    with GradientTape(persistent=True) as tape:
        z = y * 2.0
    assert tape.gradient(z, x) is None
    zeros = tape.gradient(z, [x, y], unconnected_gradients=UnconnectedGradients.ZERO)
    assert zeros[0].shape == (2, 3) and not zeros[0].numpy().any()
    close(zeros[1], 2.0)
    assert tape.gradient(z, x, unconnected_gradients="zero").dtype == "float32"
    assert tape.jacobian(z, x, unconnected_gradients="zero").shape == (2, 3)
    with pytest.raises(ValueError, match="'none' or 'zero'"):
        tape.gradient(z, x, unconnected_gradients="maybe")


def test_stop_recording_and_reset():
    x = Variable(3.0)
    with GradientTape(persistent=True) as tape:
        y = x * x
        with tape.stop_recording():
            hidden = y * x
        z = y * hidden
    close(tape.gradient(z, x), 27.0 * 6.0)
    assert tape.gradient(hidden, x) is None
    with GradientTape() as tape:
        y = x * x
        tape.reset()
        z = x * 3.0
    assert tape.watched_variables() == (x,)
    close(tape.gradient([y, z], x), 3.0)
    with pytest.raises(RuntimeError, match="not recording"), tape.stop_recording():
        pass


def test_output_gradients_weigh_the_target():
    x = Variable(np.array([1.0, 2.0, 3.0]))
    with GradientTape(persistent=True) as tape:
        y, z = x * x, x**3
    close(tape.gradient(y, x, output_gradients=np.array([1.0, 0.0, 2.0])), [2, 0, 12])
    close(tape.gradient([y, z], x, [np.array([1.0, 0.0, 2.0]), None]), [5, 12, 39])
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        tape.gradient(y, x, output_gradients=np.ones(2))


def test_reading_a_variable_twice_sums():
    v = Variable(2.0)
    with GradientTape() as tape:
        y = v * v.value
        v.assign(5.0)
        y = y + 3.0 * v
    close(tape.gradient(y, v), 2 + 2 + 3)
    close(y, 4 + 15)


def test_stop_gradient_ends_it():
    x = Variable(3.0)
    with GradientTape() as tape:
        y = ops.stop_gradient(x * x) * x
    close(tape.gradient(y, x), 9.0)


def test_jacobians():
    x = as_tensor(RNG.normal(size=(3, 2)))
    with GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = ops.sin(x) @ ops.transpose(x)
    expected = jax.jacobian(lambda x: jnp.sin(x) @ x.T)(x.numpy())
    close(tape.jacobian(y, x), expected)
    close(tape.jacobian(y, [x])[0], expected)
    with GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = ops.sin(x) * ops.sum(x, axis=1, keepdims=True)
    per_example = jax.vmap(jax.jacobian(lambda x: jnp.sin(x) * jnp.sum(x)))(x.numpy())
    close(tape.batch_jacobian(y, x), per_example)
    with pytest.raises(ShapeError, match="to match"):
        tape.batch_jacobian(y[:2], x)


def test_a_hessian_through_nested_tapes():
    x = Variable(RNG.normal(size=3))
    with GradientTape() as outer:
        with GradientTape() as inner:
            y = ops.sum(ops.exp(x) * ops.sin(x[::-1]))
        first = inner.gradient(y, x)
    expected = jax.hessian(lambda x: jnp.sum(jnp.exp(x) * jnp.sin(x[::-1])))(x.numpy())
    close(outer.jacobian(first, x), expected)


def test_integers_have_no_gradient_and_say_so():
    x = as_tensor(3)
    with GradientTape() as tape:
        with pytest.warns(UserWarning, match="must be floating"):
            tape.watch(x)
        y = x * 2.0
    with pytest.warns(UserWarning, match="source tensor must be floating"):
        assert tape.gradient(y, x) is None


def test_wrong_use_is_told():
    x = Variable(1.0)
    with GradientTape() as tape, pytest.raises(ValueError, match="re-enter"):
        tape.__enter__()
    with pytest.raises(TypeError, match="None"):
        tape.gradient(None, x)
    with pytest.raises(ValueError, match="not a Tensor or a Variable"):
        tape.watch(3.0)


def test_nothing_is_recorded_after_the_block():
    x = Variable(2.0)
    with GradientTape() as tape:
        y = x * x
    z = y * 3.0
    assert tape.gradient(z, x) is None


def test_an_error_in_the_block_ends_the_recording():
    tape = GradientTape()
    with pytest.raises(ZeroDivisionError), tape:
        1 / 0  # noqa: B018
    with tape:
        x = as_tensor(1.0)
        tape.watch(x)
        y = x * 2.0
    close(tape.gradient(y, x), 2.0)


def test_the_linear_classifier_learns():
    samples = 500
    rng = np.random.default_rng(5)
    negative = rng.multivariate_normal([0, 3], [[1, 0.5], [0.5, 1]], samples)
    positive = rng.multivariate_normal([3, 0], [[1, 0.5], [0.5, 1]], samples)
    inputs = np.vstack([negative, positive]).astype("float32")
    targets = np.vstack([np.zeros((samples, 1)), np.ones((samples, 1))]).astype("float32")
    kernel = Variable(rng.uniform(size=(2, 1)).astype("float32"))
    bias = Variable(np.zeros(1, "float32"))
    for _ in range(40):
        with GradientTape() as tape:
            predictions = ops.matmul(inputs, kernel) + bias
            loss = ops.mean(ops.square(targets - predictions))
        to_kernel, to_bias = tape.gradient(loss, [kernel, bias])
        kernel.assign_sub(to_kernel * 0.1)
        bias.assign_sub(to_bias * 0.1)
    assert 0.01 < float(loss) < 0.04
