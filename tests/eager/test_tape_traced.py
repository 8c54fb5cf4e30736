"""GradientTape inside of compiled functions: the same derivatives as at once."""

import numpy as np
import pytest

from graphc.eager import GradientTape, Variable, as_tensor
from graphc.eager.function import function
from graphc.keras import ops

RNG = np.random.default_rng(7)


def both_ways(step, *arguments):
    """The results at once and compiled, which have to agree."""
    eager, compiled = step(*arguments), function(step)(*arguments)
    for one, other in zip(eager, compiled, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(np.asarray(one), np.asarray(other), 1e-9, 1e-12)
    return eager


def test_nested_tapes():
    v = Variable(np.array([1.0, 2.0, 3.0]))

    def step(x):
        with GradientTape() as outer:
            outer.watch(x)
            with GradientTape() as inner:
                inner.watch(x)
                y = ops.sum(x**3 * v)
            dx, dv = inner.gradient(y, [x, v])
            z = ops.sum(dx * dv)
        return (dx, dv, *outer.gradient(z, [x, v]))

    x = np.array([1.0, -2.0, 0.5])
    dx, dv, *second = both_ways(step, as_tensor(x))
    np.testing.assert_allclose(dx, 3 * x**2 * v.numpy())
    np.testing.assert_allclose(dv, x**3)
    np.testing.assert_allclose(second[0], 15 * x**4 * v.numpy())
    np.testing.assert_allclose(second[1], 3 * x**5)


def test_constants_of_a_program_can_be_watched():
    c = as_tensor(np.float64(3.0))

    def step(x):
        with GradientTape(persistent=True) as tape:
            tape.watch(c)
            d = c * c
            y = ops.sum(x) * d * c
            with tape.stop_recording():
                hidden = y * d
            z = hidden * c
        late = z * c
        return (
            tape.gradient(y, c),
            tape.gradient(d, c),
            tape.gradient(z, c),
            tape.gradient(late, c),
            tape.gradient(hidden, c),
            tape.gradient(y, x),
        )

    found = both_ways(step, as_tensor(np.array([1.0, 2.0, 3.0])))
    assert [float(item) for item in found[:3]] == [6 * 27, 6, 6 * 27 * 9]
    assert found[3:] == (None, None, None)


def test_variables_that_are_assigned_between_two_reads():
    start = np.array([1.0, 2.0])
    v = Variable(start)

    def step(x):
        v.assign(start)
        with GradientTape() as tape:
            y = ops.sum(v * x)
            v.assign(v * 0.0 + 10.0)
            y = y + ops.sum(v * v)
        return (y, tape.gradient(y, v))

    _, gradient = both_ways(step, as_tensor(np.array([3.0, 4.0])))
    np.testing.assert_allclose(gradient, [3 + 20, 4 + 20])


def test_structures_and_zeros():
    v, w = Variable(np.array(2.0)), Variable(np.ones(3))

    def step(x):
        with GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([x, v])
            y = {"a": x * v, "b": [w * v]}
        found = tape.gradient(y, {"x": x, "more": (v, w)}, unconnected_gradients="zero")
        return found["x"], *found["more"]

    x, dv, dw = both_ways(step, as_tensor(np.array([1.0, 5.0])))
    np.testing.assert_allclose(x, [2, 2])
    np.testing.assert_allclose(dv, 6 + 3)
    np.testing.assert_allclose(dw, 0)


def test_weights_of_targets():
    def step(x, weights):
        with GradientTape() as tape:
            tape.watch(x)
            y = ops.sin(x)
        return (tape.gradient(y, x, output_gradients=weights),)

    x, weights = RNG.normal(size=(2, 3)), RNG.normal(size=(2, 3))
    (found,) = both_ways(step, as_tensor(x), as_tensor(weights))
    np.testing.assert_allclose(found, np.cos(x) * weights)


def test_jacobians():
    def step(x):
        with GradientTape(persistent=True) as tape:
            tape.watch(x)
            y = ops.exp(x) * ops.sum(x, axis=1, keepdims=True)
        return tape.jacobian(y, x), tape.batch_jacobian(y, x)

    x = RNG.normal(size=(3, 2))
    whole, parts = both_ways(step, as_tensor(x))
    assert whole.shape == (3, 2, 3, 2)
    for i in range(3):
        expected = np.diag(np.exp(x[i]) * x[i].sum()) + np.exp(x[i])[:, None]
        np.testing.assert_allclose(parts.numpy()[i], expected)
        np.testing.assert_allclose(whole.numpy()[i, :, i], expected)


@pytest.mark.parametrize("positive", [True, False])
def test_branches_and_loops(positive):
    v = Variable(np.array(0.5))

    def step(x):
        with GradientTape() as tape:
            tape.watch(x)
            y = ops.cond(ops.sum(x) > 0, lambda: ops.sum(x * v), lambda: ops.sum(x**2 * v))
            z, _ = ops.scan(lambda total, row: (total * v + ops.sum(row), total), y, x)
        return (z, *tape.gradient(z, [x, v]))

    x = np.abs(RNG.normal(size=(4, 2))) * (1 if positive else -1)
    z, dx, dv = both_ways(step, as_tensor(x))
    step_size = 1e-6
    v.assign(0.5 + step_size)
    above = float(step(as_tensor(x))[0])
    v.assign(0.5 - step_size)
    below = float(step(as_tensor(x))[0])
    np.testing.assert_allclose(float(dv), (above - below) / (2 * step_size), 1e-6)
    assert dx.shape == (4, 2) and float(z) != 0


def test_an_open_batch():
    traced = []

    @function
    def step(x):
        traced.append(x.shape)
        with GradientTape() as tape:
            tape.watch(x)
            y = ops.mean(x * x)
        return tape.gradient(y, x)

    for rows in (2, 3, 5, 7):
        x = RNG.normal(size=(rows, 2))
        np.testing.assert_allclose(step(x).numpy(), 2 * x / x.size)
    assert len(traced) == 2


def test_a_tape_around_a_compiled_function():
    v = Variable(np.array([1.0, 2.0]))

    @function
    def power(x):
        return ops.sum(x**3 * v)

    x = as_tensor(np.array([2.0, 3.0]))
    for _ in range(2):
        with GradientTape() as outer:
            outer.watch(x)
            with GradientTape() as inner:
                inner.watch(x)
                y = power(x) * 2.0
            dx, dv = inner.gradient(y, [x, v])
        np.testing.assert_allclose(dx.numpy(), 6 * x.numpy() ** 2 * v.numpy())
        np.testing.assert_allclose(dv.numpy(), 2 * x.numpy() ** 3)
        np.testing.assert_allclose(outer.gradient(dx, x).numpy(), 12 * x.numpy() * v.numpy())
