"""Gradients that somebody says, and computations that are done again."""

import gc
import tracemalloc

import numpy as np
import pytest

from graphc.eager import GradientTape, Trace, Variable, as_tensor
from graphc.eager.custom import checkpoint, custom_gradient
from graphc.eager.function import function
from graphc.eager.transforms import grad, jvp
from graphc.errors import GraphError
from graphc.ir import TensorType
from graphc.keras import ops
from graphc.runtime import compile as compile_program

X = np.linspace(-2, 3, 12).reshape(3, 4)


def ways(f):
    return (f, function(f))


def array(result):
    return np.asarray(result)


def gradient_of(f, x, order=1):
    for _ in range(order):
        f = grad(lambda x, f=f: ops.sum(f(x)))
    return f(x)


# ------------------------------------------------------------------------------ custom gradients


@custom_gradient
def log1pexp(x):
    e = ops.exp(x)

    def gradient(*args, upstream=None):
        if upstream is None:
            (upstream,) = args
        return upstream * (1 - 1 / (1 + e))

    return ops.log(1 + e), gradient


def test_the_gradient_is_the_one_said():
    x = np.array([-1.0, 0.0, 100.0, 1000.0])
    sigmoid = 1 / (1 + np.exp(-x))
    for f in ways(lambda x: gradient_of(log1pexp, x)):
        np.testing.assert_allclose(f(x), sigmoid, rtol=1e-12)
    for f in ways(log1pexp):
        np.testing.assert_allclose(f(x[:3]), np.logaddexp(0, x[:3]), rtol=1e-12)
    with GradientTape() as tape:
        tensor = as_tensor(x)
        tape.watch(tensor)
        y = log1pexp(tensor) * 3
    np.testing.assert_allclose(tape.gradient(y, tensor), 3 * sigmoid, rtol=1e-12)


@pytest.mark.parametrize("order", [2, 3])
def test_higher_orders_differentiate_what_was_said(order):
    @custom_gradient
    def cube(x):
        square = x * x

        def gradient(dy):
            return dy * square * 3

        return square * x, gradient

    expected = {2: 6 * X, 3: np.full_like(X, 6)}[order]
    for f in ways(lambda x: gradient_of(cube, x, order)):
        np.testing.assert_allclose(f(X), expected, rtol=1e-12)


def test_another_gradient_than_the_real_one():
    @custom_gradient
    def straight_through(x):
        return ops.round(x), lambda dy: dy

    for f in ways(lambda x: gradient_of(lambda x: straight_through(x) * x, x)):
        np.testing.assert_allclose(f(X), np.round(X) + X)


def test_several_arguments_and_results():
    @custom_gradient
    def f(x, n, pair, scale=2.0):
        y, z = pair["y"], pair["z"]

        def gradient(da, db):
            return da * 10, None, db * 100 + da, None

        return {"a": x * scale + n, "b": y * z}, gradient

    y, z = X + 1, X + 2

    def total(x, y, z):
        result = f(x, as_tensor(3), {"y": y, "z": z}, scale=4.0)
        return ops.sum(result["a"]) + 2 * ops.sum(result["b"])

    for run in ways(lambda *args: grad(total, argnums=(0, 1, 2))(*args)):
        dx, dy, dz = run(X, y, z)
        np.testing.assert_allclose(dx, np.full_like(X, 10))
        np.testing.assert_allclose(dy, np.full_like(X, 201))
        np.testing.assert_allclose(dz, np.zeros_like(X))
    for run in ways(total):
        np.testing.assert_allclose(run(X, y, z), (X * 4 + 3).sum() + 2 * (y * z).sum())


def test_one_of_two_results_matters():
    @custom_gradient
    def f(x):
        return (x * 2, x * 3), lambda da, db: da * 5 + db * 7

    for run in ways(lambda x: gradient_of(lambda x: f(x)[1], x)):
        np.testing.assert_allclose(run(X), np.full_like(X, 7))


def test_variables():
    w = Variable(X * 0.5)

    @custom_gradient
    def f(x):
        product = x * w

        def gradient(dy, variables=None):
            assert variables == [w] or variables[0] is w
            return dy * w, [dy * product]

        return product, gradient

    def run(x):
        with GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        return tape.gradient(y, [x, w])

    for way in ways(run):
        dx, dw = way(as_tensor(X))
        np.testing.assert_allclose(dx, w.numpy())
        np.testing.assert_allclose(dw, X * w.numpy())

    @custom_gradient
    def forgetful(x):
        return x * w, lambda dy: dy

    with pytest.raises(TypeError, match="has to take `variables=`"):
        function(lambda x: gradient_of(forgetful, x))(X)


def test_wrong_gradients_are_refused():
    @custom_gradient
    def f(x, y):
        return x * y, lambda dy: dy

    with pytest.raises(ValueError, match="return 2 gradients"):
        function(lambda x: gradient_of(lambda x: f(x, x), x))(X)


def test_in_models():
    from graphc import keras

    class Reversal(keras.layers.Layer):
        def call(self, inputs):
            @ops.custom_gradient
            def reverse(x):
                return x, lambda dy: -dy

            return reverse(inputs)

    weights = []
    for layers in ([], [Reversal()]):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), *layers])
        before = model.get_weights()
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(X, X[:, :2], verbose=0, shuffle=False)
        weights.append([b - a for a, b in zip(before, model.get_weights(), strict=True)])
    for ascent, descent in zip(*weights, strict=True):
        np.testing.assert_allclose(ascent, -descent, rtol=1e-4, atol=1e-7)


# ------------------------------------------------------------------------------------ checkpoints


def test_checkpoints_compute_the_same():
    w = Variable(np.linspace(-1, 1, 16).reshape(4, 4))
    count = Variable(np.float32(0), trainable=False)

    def block(x):
        count.assign_add(1)
        return {"y": ops.tanh(x @ w), "z": ops.sum(x)}

    def loss(wrap, x):
        made = wrap(block)(x)
        return ops.sum(wrap(lambda x: block(x)["y"])(made["y"]) * made["z"])

    expected = array(grad(lambda x: loss(lambda f: f, x))(X))
    for f in ways(grad(lambda x: loss(checkpoint, x))):
        np.testing.assert_allclose(f(X), expected, rtol=1e-12)
    assert float(count) == 6  # no more for what is computed again
    second = array(gradient_of(lambda x: loss(lambda f: f, x), X, 2))
    for f in ways(lambda x: gradient_of(lambda x: loss(checkpoint, x), x, 2)):
        np.testing.assert_allclose(f(X), second, rtol=1e-10)
    for f in ways(lambda x: jvp(lambda x: loss(checkpoint, x), (x,), (x,))[1]):
        np.testing.assert_allclose(f(X), np.sum(expected * X), rtol=1e-10)


def arena_bytes(wrap, depth=16, width=64, rows=256):
    """The memory of a compiled gradient of a deep chain, and the number of its tanhs."""
    with Trace("chain") as trace:
        x = trace.input("x", TensorType((rows, width), "float32"))
        weights = [
            trace.input(f"w{i}", TensorType((width, width), "float32")) for i in range(depth)
        ]

        def loss(x, weights):
            for i in range(0, depth, 4):
                x = wrap(lambda x, *ws: chain(x, ws))(x, *weights[i : i + 4])
            return ops.sum(x)

        gradients = grad(loss, argnums=1)(x, weights)
        program, _ = trace.program({f"dw{i}": dw for i, dw in enumerate(gradients)})
    executable = compile_program(program)
    rng = np.random.default_rng(1)
    data = {v.name: rng.normal(size=v.shape).astype("float32") / 8 for v in program.data}
    return executable.arena_bytes({}), executable.run(data, {})


def chain(x, weights):
    for w in weights:
        x = ops.tanh(ops.sin(x @ w))
    return x


def test_checkpoints_save_memory():
    plain, expected = arena_bytes(lambda f: f)
    saving, found = arena_bytes(checkpoint)
    for name, array_ in expected.items():
        np.testing.assert_allclose(found[name], array_, rtol=1e-4, atol=1e-6)
    assert saving < 0.6 * plain


def waves(x, w):
    for _ in range(6):
        x = ops.tanh(ops.sin(x * w) + 0.1)
    return x


def memory_at_once(wrap, nested=False):
    """Arrays that live before a gradient at once, at most while it is computed, and the result."""
    x = as_tensor(np.linspace(-1, 1, 1000))
    weights = [Variable(np.float64(1 + i / 10)) for i in range(8)]
    block = wrap(waves)
    pair = wrap(lambda x, v, w: block(block(x, v), w)) if nested else None

    def run():
        gc.collect()
        tracemalloc.start()
        with GradientTape() as tape:
            y = x
            for v, w in zip(weights[::2], weights[1::2], strict=True):
                y = pair(y, v, w) if pair else block(block(y, v), w)
            loss = ops.sum(y * y)
        kept = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        found = tape.gradient(loss, weights)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return kept / x.data.nbytes, peak / x.data.nbytes, list(map(float, found))

    run()  # plans are made
    return run()


def test_checkpoints_save_memory_at_once():
    kept, peak, expected = memory_at_once(lambda f: f)
    assert kept > 8 * 6 * 3  # x * w, sin, + 0.1, tanh
    for nested in (False, True):
        less_kept, less_peak, found = memory_at_once(checkpoint, nested)
        np.testing.assert_allclose(found, expected, rtol=1e-10)
        assert less_kept < kept / 5 and less_peak < peak / 3


def test_checkpoints_at_once_see_the_world_around():
    outer, w = as_tensor(X), Variable(np.float64(1.5))
    data = as_tensor(np.linspace(0, 1, 20000).reshape(5000, 4))
    calls = []

    def block(x):
        calls.append(x.is_symbolic)
        scale = outer * 2  # known, and recorded
        mean = ops.mean(data, axis=0)
        return ops.sin(x * scale + mean) * w

    def gradients(block):
        x = as_tensor(X + 1)
        with GradientTape() as tape:
            tape.watch([x, outer])
            y = block(block(x))
        return [array(dx) for dx in tape.gradient(y, [x, outer, w])]

    for mine, plain in zip(gradients(checkpoint(block)), gradients(block), strict=True):
        np.testing.assert_allclose(mine, plain, rtol=1e-12)
    assert calls == [True, True, False, False]
    checkpoint(block)(as_tensor(X))
    assert calls[4:] == [False]  # no tape records


def test_checkpoints_of_what_looks_at_elements():
    def block(x):
        return ops.sin(x) if float(ops.sum(x)) > 0 else ops.cos(x)

    np.testing.assert_allclose(gradient_of(checkpoint(block), X), np.cos(X), rtol=1e-12)
    np.testing.assert_allclose(gradient_of(checkpoint(block), -X), -np.sin(-X), rtol=1e-12)


def test_checkpoints_with_random_numbers():
    from graphc import keras

    generator = keras.random.SeedGenerator(1)

    @function
    def f(x):
        return grad(lambda x: ops.sum(checkpoint(drop)(x) * x))(x)

    def drop(x):
        return x * keras.random.normal((3, 4), dtype="float64", seed=generator)

    plain = grad(lambda x: ops.sum(checkpoint(drop)(x) * x))
    first, second, third = array(f(X)), array(f(X)), array(plain(X))
    assert not np.allclose(first, second)
    other = keras.random.SeedGenerator(1)
    for found in (first, second, third):  # the same numbers in both passes
        noise = keras.random.normal((3, 4), dtype="float64", seed=other)
        np.testing.assert_allclose(found, 2 * X * array(noise), rtol=1e-9)


def test_gradients_of_bodies_cannot_assign():
    w = Variable(1.0)

    @custom_gradient
    def f(x):
        w.assign_add(1.0)
        return x, lambda dy, variables: (dy, variables)

    with pytest.raises(GraphError, match="assigned to the variable"):
        function(f)(X)
