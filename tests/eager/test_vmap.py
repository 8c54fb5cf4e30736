"""vmap against JAX's, at once and in programs."""

import numpy as np
import pytest

import graphc.keras.ops as ops
from graphc.autodiff import gradients as sweep
from graphc.eager import Tensor, Trace, Variable, apply, as_tensor
from graphc.eager.function import function
from graphc.eager.tape import GradientTape
from graphc.eager.transforms import grad, jvp
from graphc.eager.vectorized import vmap
from graphc.errors import GraphError, ShapeError
from graphc.ir import TensorType
from graphc.ir.dims import symbol
from graphc.ops.reduce import ReduceSum
from tests.keras.computing import assert_same, at_once, gradients, traced

RNG = np.random.default_rng(4)
X = RNG.normal(size=(3, 4)).astype("float32")
Y = RNG.normal(size=(4, 3)).astype("float32")
IMAGES = RNG.normal(size=(3, 2, 6, 5, 2)).astype("float32")
KERNELS = RNG.normal(size=(3, 2, 2, 2, 4)).astype("float32")


def same_as_jax(function, arrays, **axes):
    jax = pytest.importorskip("jax")
    theirs = jax.tree.leaves(jax.vmap(lambda *xs: function(jax.numpy, *xs), **axes)(*arrays))
    expected = [np.asarray(leaf) for leaf in theirs]
    mine = vmap(lambda *xs: function(ops, *xs), **axes)
    assert_same(at_once(mine, *arrays), expected)
    assert_same(traced(mine, *arrays), expected)
    assert_same(traced(mine, *arrays, backend="cpu"), expected)


@pytest.mark.parametrize(
    "axes",
    [
        {},
        {"in_axes": (0, 1)},
        {"in_axes": (0, None)},
        {"in_axes": (None, -1), "out_axes": 1},
        {"in_axes": (1, 0), "out_axes": -1},
    ],
    ids=str,
)
def test_axes(axes):
    def function(np_, x, y):
        return np_.sum(x) * y + np_.max(y, axis=0)

    second = X if axes.get("in_axes") != (1, 0) else Y
    first = X if axes else X
    second = X.T if axes.get("in_axes", (0, 0)) in ((0, 1), (None, -1)) else second
    same_as_jax(function, (first, second), **axes)


def test_out_axes_of_structures():
    def function(np_, x):
        return {"rows": x * 2, "parts": (np_.sum(x), np_.exp(x))}

    same_as_jax(function, (X,), out_axes={"rows": 1, "parts": (0, 1)})
    same_as_jax(lambda np_, x, y: (x * y, y + 1), (X, X), in_axes=(0, None), out_axes=(0, None))


def test_nested():
    """A table of all pairs."""
    inner = lambda np_, x, y: np_.sum(x * y)  # noqa: E731
    expected = X @ Y
    pairs = vmap(vmap(lambda x, y: inner(ops, x, y), (None, 1)), (0, None))
    assert_same(at_once(pairs, X, Y), [expected])
    assert_same(traced(pairs, X, Y), [expected])


def test_an_open_number_of_examples():
    norms = vmap(lambda row: ops.sqrt(ops.sum(row * row)))
    assert_same(traced(norms, X, batch=True), [np.linalg.norm(X, axis=1)])


def test_windows():
    """Images that share a kernel, kernels that share an image, and one kernel for each image."""
    convolve = lambda image, kernel: ops.conv(image, kernel, padding="same")  # noqa: E731
    pairs = np.stack([np.asarray(convolve(i, k)) for i, k in zip(IMAGES, KERNELS, strict=True)])
    assert_same(at_once(vmap(convolve), IMAGES, KERNELS), [pairs])
    shared = np.stack([np.asarray(convolve(image, KERNELS[0])) for image in IMAGES])
    assert_same(at_once(vmap(convolve, (0, None)), IMAGES, KERNELS[0]), [shared])
    filters = np.stack([np.asarray(convolve(IMAGES[0], kernel)) for kernel in KERNELS])
    assert_same(at_once(vmap(convolve, (None, 0)), IMAGES[0], KERNELS), [filters])
    pool = lambda image: ops.max_pool(image, 2)  # noqa: E731
    pooled = np.stack([np.asarray(pool(image)) for image in IMAGES])
    assert_same(traced(vmap(pool), IMAGES), [pooled])


def test_loops_and_branches():
    def function(x):
        total, sums = ops.scan(lambda t, item: (t + item * x[0], t), 0.0, x)
        grown = ops.while_loop(lambda y: ops.sum(y) < 10.0, lambda y: (y * 2.0,), (ops.abs(x),))
        return total, sums, grown[0], ops.cond(x[1] > 0, lambda: x * 2, lambda: -x)

    each = [[np.asarray(leaf) for leaf in (t, s, g, c)] for t, s, g, c in map(function, X)]
    expected = [np.stack(column) for column in zip(*each, strict=True)]
    assert_same(at_once(vmap(function), X), expected)
    assert_same(traced(vmap(function), X), expected)
    assert_same(traced(vmap(function), X, backend="cpu"), expected)


def test_it_sees_variables_and_tensors_around_it():
    scale = Variable(np.float32(3.0), name="scale")

    def function(x):
        offset = ops.max(x)
        return vmap(lambda row: row * scale + offset)(x)

    expected = [X * 3 + X.max()]
    assert_same(at_once(function, X), expected)
    assert_same(traced(function, X), expected)


def test_gradients_through_it_and_inside_it():
    through = lambda x: vmap(lambda row: ops.sum(row**3))(x)  # noqa: E731
    assert_same(gradients(through, X), [3 * X * X], rtol=1e-4)

    def slope(row):
        total = apply(ReduceSum((0,)), row * row * row)
        return Tensor(sweep(total.value, [row.value])[0])

    assert_same(at_once(vmap(slope), X), [3 * X * X])
    assert_same(traced(vmap(slope), X), [3 * X * X])


def test_tapes_see_through_it():
    """Arguments, variables, and tensors that the function closes over."""
    weight, offset = Variable(np.float32(2.0), name="weight"), as_tensor(X[0])
    squares = (X**2).sum()
    with GradientTape(persistent=True) as tape:
        x = as_tensor(X)
        tape.watch([x, offset])
        y = vmap(lambda row: ops.sum(row * row * weight + row * offset))(x)
    np.testing.assert_allclose(tape.gradient(y, x), 4 * X + X[0], rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(y, weight), squares, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(y, offset), X.sum(0), rtol=1e-5)

    @function
    def slopes(x):
        with GradientTape() as tape:
            tape.watch(offset)
            y = vmap(lambda row: ops.sum(row * offset * weight))(x)
        return tape.gradient(y, [offset, weight])

    for received in (slopes(X), slopes.python_function(as_tensor(X))):
        np.testing.assert_allclose(received[0], 2 * X.sum(0), rtol=1e-5)
        np.testing.assert_allclose(received[1], (X * X[0]).sum(), rtol=1e-5)


def test_transformations_in_any_order():
    cubes = lambda row: ops.sum(row**3)  # noqa: E731
    each = vmap(grad(cubes))
    of_all = grad(lambda x: ops.sum(vmap(cubes)(x)))
    for call in (each, of_all, function(each), function(of_all)):
        np.testing.assert_allclose(call(as_tensor(X)), 3 * X * X, rtol=1e-5)
    hessians = vmap(
        lambda row: vmap(lambda v: jvp(grad(cubes), (row,), (v,))[1])(np.eye(4, dtype="float32"))
    )
    expected = np.einsum("bi,ij->bij", 6 * X, np.eye(4))
    np.testing.assert_allclose(hessians(as_tensor(X)), expected, rtol=1e-5, atol=1e-6)


def test_structures_and_keywords():
    def function(pair, *, scale):
        return pair["a"] * scale - pair["b"][0]

    mapped = vmap(function, in_axes=({"a": 0, "b": None},))
    received = mapped({"a": X, "b": [X[0]]}, scale=np.arange(3, dtype="float32"))
    np.testing.assert_allclose(received, X * np.arange(3)[:, None] - X[0], rtol=1e-6)


def test_vectorized_map():
    expected = X * 2 + 1
    assert_same(at_once(lambda x: ops.vectorized_map(lambda row: row * 2 + 1, x), X), [expected])
    pair = lambda x, y: ops.vectorized_map(lambda rows: rows[0] * rows[1], (x, y))  # noqa: E731
    assert_same(at_once(pair, X, X), [X * X])
    assert_same(traced(pair, X, X), [X * X])


def test_errors():
    add = vmap(lambda x, y: x + y)
    with pytest.raises(ShapeError, match="differ in their numbers of examples: 3, 4"):
        add(X, Y)
    with pytest.raises(ShapeError, match="no argument has an axis of examples"):
        vmap(lambda x: x, in_axes=None)(X)
    with pytest.raises(ShapeError, match="no axis 2 of examples in an argument of shape"):
        vmap(lambda x: x, in_axes=2)(X)
    with pytest.raises(ShapeError, match="`in_axes` has 1 entries"):
        vmap(lambda x, y: x, in_axes=(0,))(X, Y)
    with pytest.raises(ValueError, match="differs from example to example"):
        vmap(lambda x: x, out_axes=None)(X)
    with pytest.raises(ValueError, match="an axis is an integer or None"):
        vmap(lambda x: x, in_axes="rows")(X)
    counter = Variable(np.float32(0), name="counter")
    with pytest.raises(GraphError, match='assigned to the variable "counter"'):
        vmap(lambda x: counter.assign_add(ops.sum(x)))(X)


def test_inside_a_trace_the_number_of_examples_may_be_derived():
    with Trace("test") as trace:
        x = trace.input("x", TensorType((symbol("batch"), 4), "float32"))
        both = ops.concatenate([x, x])
        assert vmap(lambda row: row * 2)(both).dims == both.dims
