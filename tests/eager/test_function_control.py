"""Control flow inside compiled functions, with variables that its bodies assign to."""

import numpy as np
import pytest

from graphc import keras
from graphc.eager import GradientTape, Variable, as_tensor
from graphc.eager.function import function
from graphc.keras import ops


def array(*shape):
    return np.linspace(-1, 2, int(np.prod(shape)), dtype="float32").reshape(shape)


class Counters:
    """Two variables, and what loops do with them."""

    def __init__(self):
        self.count = Variable(np.float32(1), name="count")
        self.total = Variable(np.zeros(3, "float32"), name="total")

    def step(self, x):
        self.count.assign_add(1)
        self.total.assign(self.total * 0.5 + x * self.count)
        return ops.sum(self.total)

    def scan(self, x):
        def body(carry, row):
            return carry + self.step(row), self.count.value

        return ops.scan(body, ops.sum(x) * 0, x)

    def fori_loop(self, x):
        return ops.fori_loop(0, 4, lambda i, v: v + self.step(x[i]), ops.sum(x) * 0)

    def while_loop(self, x):
        def body(i, v):
            return i + 1, v + self.step(x[0])

        # The condition reads a variable that the body changes.
        limit = ops.sum(x) * 0 + 6
        return ops.while_loop(lambda i, v: self.count < limit, body, (0, ops.sum(x) * 0))

    def map(self, x):
        return ops.map(self.step, x)

    def cond(self, x):
        def other():
            self.total.assign(self.total - 1)
            return ops.sum(x)

        for sign in (1, -1):
            result = ops.cond(sign * ops.sum(x) > 0, lambda: self.step(x[0]), other)
        return result

    def effects_only(self, x):
        ops.cond(ops.sum(x) > 0, lambda: self.count.assign(5) and None, lambda: None)
        return self.count.value

    def nested(self, x):
        def body(i, v):
            return ops.cond(v > 0, lambda: v + self.step(x[i]), lambda: v - self.step(x[i] * 2))

        return ops.fori_loop(0, 4, body, ops.sum(x) * 0)


KINDS = ["scan", "fori_loop", "while_loop", "map", "cond", "effects_only", "nested"]


@pytest.mark.parametrize("kind", KINDS)
def test_bodies_may_assign_to_variables(kind):
    x = array(4, 3)
    ways = []
    for compiled in (False, True):
        counters = Counters()
        run = getattr(counters, kind)
        run = function(run) if compiled else run
        results = [run(as_tensor(x)) for _ in range(2)]
        arrays = [np.asarray(leaf) for result in results for leaf in keras.tree.flatten(result)]
        ways.append([*arrays, counters.count.numpy(), counters.total.numpy()])
    assert len(ways[0]) == len(ways[1])
    for at_once, compiled in zip(*ways, strict=True):
        np.testing.assert_allclose(compiled, at_once, rtol=1e-5)


def test_random_numbers_in_a_loop():
    def draw(generator):
        return ops.scan(
            lambda carry, _: (carry, keras.random.normal((2,), seed=generator)), 0, length=3
        )[1]

    generators = [keras.random.SeedGenerator(3) for _ in range(2)]
    compiled = function(lambda: draw(generators[0]))
    for _ in range(2):
        rows = compiled()
        np.testing.assert_allclose(rows, draw(generators[1]), rtol=1e-6)
        assert len(np.unique(rows)) == 6


def test_a_loop_of_training_steps():
    """One call trains; the loop in Python gives the same weights."""
    x = np.random.default_rng(1).normal(size=(8, 16, 4)).astype("float32")
    y = x @ np.array([[1], [-2], [3], [0.5]], "float32")

    def make():
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        optimizer = keras.optimizers.Adam(0.05)
        optimizer.build(model.trainable_variables)
        loss_function = keras.losses.MeanSquaredError()

        def step(rows, targets):
            with GradientTape() as tape:
                loss = loss_function(targets, model(rows, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            return loss

        return model, step

    first, step = make()
    losses = [float(step(rows, targets)) for rows, targets in zip(x, y, strict=True)]
    second, step = make()
    compiled = function(step)
    compiled_losses = [float(compiled(*batch)) for batch in zip(x, y, strict=True)]
    third, step = make()
    epoch = function(
        lambda x, y: ops.scan(lambda carry, batch: (carry, step(*batch)), 0, (x, y))[1]
    )
    np.testing.assert_allclose(compiled_losses, losses, rtol=1e-5)
    np.testing.assert_allclose(epoch(x, y), losses, rtol=1e-5)
    for model in (second, third):
        for found, expected in zip(model.get_weights(), first.get_weights(), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_gradients_go_through_a_loop():
    w = Variable(np.float32(1.1))

    def loss(x):
        return ops.fori_loop(0, 5, lambda i, v: v * w + 1, x)

    for run in (loss, function(loss)):
        with GradientTape() as tape:
            x = as_tensor(np.float32(2))
            tape.watch(x)
            y = run(x)
        dx, dw = tape.gradient(y, [x, w])
        assert float(dx) == pytest.approx(1.1**5, rel=1e-5)
        slope = 5 * 2 * 1.1**4 + sum(k * 1.1 ** (k - 1) for k in range(1, 5))
        assert float(dw) == pytest.approx(slope, rel=1e-5)
