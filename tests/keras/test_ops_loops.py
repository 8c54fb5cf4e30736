"""keras.ops: loops with gradients, associative scans, and tensors with elements replaced."""

import numpy as np
import pytest

from graphc.autodiff import gradients as sweep
from graphc.eager import Trace
from graphc.errors import DTypeError, ShapeError, UnsupportedError
from graphc.ir import TensorType
from graphc.keras import ops
from tests.keras.comparing import check
from tests.keras.computing import arrays_of, assert_same, at_once, gradients, traced

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


# -------------------------------------------------------------------------------- loops with an end


def halve(x):
    return ops.while_loop(
        lambda y: ops.max(ops.abs(y)) > 1.0,
        lambda y: (y * 0.5 * y[0] / ops.abs(y[0]),),
        (x,),
        maximum_iterations=9,
    )[0]


@pytest.mark.parametrize("scale", [0.5, 4.0, 1e6])
def test_gradient_of_a_while_loop(scale):
    """Through as many steps as it took: none, some, or all that it may take."""
    x = scale * np.array([0.9, -0.3, 0.2], "float32")
    steps = {0.5: 0, 4.0: 2, 1e6: 9}[scale]
    expected = x * 0.5**steps
    assert_same(at_once(halve, x), [expected])
    assert_same(traced(halve, x, backend="cpu"), [expected])
    assert_same(gradients(halve, x), [np.full(3, 0.5**steps, "float32")])


def test_steps_behind_the_last_one_do_no_harm():
    """Their body would divide by zero."""

    def function(x):
        _, product = ops.while_loop(
            lambda i, p: i > 0.5, lambda i, p: (i - 1.0, p * x / i), (3.0, x), maximum_iterations=9
        )
        return product

    x = np.array(2.0, "float32")
    assert_same(traced(function, x), [np.float32(2**4 / 6)])
    assert_same(gradients(function, x), [np.array(4 * 2**3 / 6, "float32")])


def test_a_loop_without_a_limit_has_no_gradient():
    with Trace("test") as trace:
        x = trace.input("x", TensorType((), "float32"))
        (y,) = ops.while_loop(lambda y: y < 10.0, lambda y: (y * x,), (x,))
        with pytest.raises(UnsupportedError, match="give keras.ops.while_loop `maximum_iter"):
            sweep(y.value, [x.value])


# ------------------------------------------------------------------------------- associative scans


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 8, 13])
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan(real_keras, length, reverse):
    x = floats(length, 3)
    last = 1 if reverse else -1  # Keras on JAX does not turn an axis that counts from the end
    for axis, given in ((0, x), (last, np.ascontiguousarray(x.T)), (1, x[None])):
        theirs = real_keras.ops.associative_scan(
            lambda a, b: a * 0.5 + b, given, reverse=reverse, axis=axis
        )
        mine = lambda v, a=axis: ops.associative_scan(  # noqa: E731
            lambda p, q: p * 0.5 + q, v, reverse=reverse, axis=a
        )
        assert_same(at_once(mine, given), [np.asarray(theirs)])
        assert_same(traced(mine, given), [np.asarray(theirs)])


def test_associative_scan_of_a_structure():
    """Linear recurrences h = a * h + b: pairs (a, b) combine associatively."""
    a, b = np.abs(floats(7, 2)), floats(7, 2)

    def combine(first, second):
        return {"a": first["a"] * second["a"], "b": second["a"] * first["b"] + second["b"]}

    h, states = np.zeros(2, "float32"), []
    for factor, summand in zip(a, b, strict=True):
        h = factor * h + summand
        states.append(h)
    function = lambda a, b: ops.associative_scan(combine, {"a": a, "b": b})["b"]  # noqa: E731
    assert_same(traced(function, a, b, backend="cpu"), [np.stack(states)])
    (da, db) = gradients(lambda a, b: function(a, b)[-1], a, b)
    np.testing.assert_allclose(db[-1], 1)
    np.testing.assert_allclose(da[-1], states[-2], rtol=1e-5)


def test_associative_scan_needs_one_length():
    with pytest.raises(ShapeError, match="one known length along axis 0"):
        ops.associative_scan(lambda a, b: a, (floats(2), floats(3)))


# ---------------------------------------------------------------------------- structures in loops


def test_scan_over_structures_as_keras(real_keras):
    xs = {"a": floats(4, 2), "b": (floats(4), floats(4, 1))}

    def step(module):
        def call(carry, x):
            total = carry["total"] + x["a"] * x["b"][1]
            return {"total": total, "n": carry["n"] + 1}, (module.sum(total), x["b"][0])

        return call

    start = {"total": np.zeros(2, "float32"), "n": np.int32(0)}
    for options in ({}, {"reverse": True}, {"unroll": 2}, {"unroll": True}):
        theirs = real_keras.ops.scan(step(real_keras.ops), start, xs, **options)
        mine = ops.scan(step(ops), start, xs, **options)
        assert_same(arrays_of(mine), [np.asarray(x) for x in real_keras.tree.flatten(theirs)])


@pytest.mark.parametrize("way", [at_once, traced])
def test_loops_of_no_steps(real_keras, way):
    """The body still says what comes out."""
    empty = np.zeros((0, 2), "float32")

    def function(module):
        def step(carry, row):
            return carry + 1.0, {"row": row * 2, "n": module.sum(row) + carry}

        return lambda x: module.scan(step, np.float32(5.0), x)

    theirs = real_keras.tree.flatten(function(real_keras.ops)(empty))
    assert_same(way(function(ops), empty), [np.asarray(x) for x in theirs])
    assert_same(way(lambda x: ops.map(lambda r: r[0], x), empty), [np.zeros(0, "float32")])
    assert_same(way(lambda x: ops.fori_loop(3, 1, lambda i, y: y * 2, x), empty), [empty])
    none = lambda x: ops.scan(lambda c, _: (c * 2, c), x, length=0)  # noqa: E731
    assert_same(way(none, empty[:, 0]), [empty[:, 0], np.zeros((0, 0), "float32")])


# ---------------------------------------------------------------------------------------- updates

X = floats(3, 4)
PLACES = np.array([[0, 1], [2, 3], [-1, 0], [0, 1], [5, 5], [1, -9]], "int32")
NEW = floats(6)


def test_scatter(real_keras):
    check(real_keras, "scatter", (PLACES, NEW, (3, 4)), {}, gradient=(1,))
    rows = np.array([[[0], [-1]], [[3], [-4]]], "int64")
    check(real_keras, "scatter", (rows, floats(2, 2, 4), (3, 4)), {}, gradient=(1,))
    numbers = np.array([7, -2, 3], "int32")
    check(real_keras, "scatter", (PLACES[:3], numbers, (2, 4)), {})
    for sizes in ((3, 0), (0, 4)):
        check(real_keras, "scatter", (PLACES, NEW, sizes), {})


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint32", "int64", "uint64"])
def test_places_of_every_type(dtype):
    limits = np.iinfo(dtype)
    places = np.array([[1, 2], [limits.max, 0], [limits.min, 0], [0, limits.max]], dtype)
    expected = np.zeros((300, 3), "float32")
    for place, value in zip(places.tolist(), (1, 2, 4, 8), strict=True):
        if -300 <= place[0] < 300 and -3 <= place[1] < 3:
            expected[tuple(place)] += value
    values = np.array([1, 2, 4, 8], "float32")
    scattered = lambda p, v: ops.scatter(p, v, (300, 3))  # noqa: E731
    changed = lambda p, v: ops.scatter_update(ops.zeros((300, 3)), p, v)  # noqa: E731
    for function in (scattered, changed):
        for found in (at_once(function, places, values), traced(function, places, values)):
            assert_same(found, [expected])


@pytest.mark.parametrize("backend", ["cpu", "onnxruntime"])
def test_places_outside_in_programs(real_keras, backend):
    theirs = np.asarray(real_keras.ops.scatter(PLACES, NEW, (3, 4)))
    mine = traced(lambda p, v: ops.scatter(p, v, (3, 4)), PLACES, NEW, backend=backend)
    assert_same(mine, [theirs])
    theirs = np.asarray(real_keras.ops.scatter_update(X, PLACES, NEW))
    assert_same(traced(ops.scatter_update, X, PLACES, NEW, backend=backend), [theirs])


@pytest.mark.parametrize("reduction", [None, "add", "max", "min", "mul"])
def test_scatter_update(real_keras, reduction):
    kwargs = {"reduction": reduction}
    unique = (X, PLACES[:3], NEW[:3])
    smooth = () if reduction == "mul" else (0, 2)  # JAX has no gradient of products
    check(real_keras, "scatter_update", unique, kwargs, gradient=smooth)
    check(real_keras, "scatter_update", (X, PLACES, NEW), kwargs)
    rows = (X, np.array([[2], [0], [2]], "int32"), floats(3, 4))
    check(real_keras, "scatter_update", rows, kwargs)
    numbers = (np.arange(5, dtype="int32"), np.array([[1], [3]]), np.array([7, -2], "int32"))
    check(real_keras, "scatter_update", numbers, kwargs)


def test_gradient_of_products_in_places():
    x, factors = floats(3), floats(4)
    places = np.array([[0], [2], [0], [7]], "int32")
    function = lambda x, f: ops.scatter_update(x, places, f, "mul")  # noqa: E731
    expected = [
        np.array([factors[0] * factors[2], 1, factors[1]]),
        np.array([x[0] * factors[2], x[2], x[0] * factors[0], 0]),
    ]
    for mine, slope in zip(gradients(function, x, factors), expected, strict=True):
        np.testing.assert_allclose(mine, slope, rtol=1e-5)


def test_scatter_update_of_truth_values_and_nothing():
    truth = np.array([True, False, False])
    (mine,) = at_once(ops.scatter_update, truth, np.array([[0], [2]]), np.array([False, True]))
    np.testing.assert_array_equal(mine, [False, False, True])
    none = (X, np.zeros((0, 2), "int32"), np.zeros(0, "float32"))
    for reduction in (None, "add", "max"):
        (mine,) = traced(lambda *xs, r=reduction: ops.scatter_update(*xs, reduction=r), *none)
        np.testing.assert_array_equal(mine, X)


@pytest.mark.parametrize("start", [[0, 0], [1, 2], [2, 9], [-2, -1], [-9, 1]])
def test_slice_update(real_keras, start):
    part = floats(2, 2)
    check(real_keras, "slice_update", (X, start, part), {}, gradient=True)
    places = np.array(start, "int32")
    check(real_keras, "slice_update", (X, places, part), {}, gradient=(0, 2))
    theirs = np.asarray(real_keras.ops.slice_update(X, start, part))
    assert_same(traced(ops.slice_update, X, places, part, backend="cpu"), [theirs])
    full = lambda x, p: ops.slice_update(x, [0, 1], p)  # noqa: E731
    rows = floats(3, 2)
    theirs = np.asarray(real_keras.ops.slice_update(X, [0, 1], rows))
    assert_same(traced(full, X, rows, batch=True), [theirs])


@pytest.mark.parametrize("start", [[0, 0], [1, 2], [2, 9], [-2, -1], [-9, 1]])
def test_slice_from_anywhere(real_keras, start):
    theirs = np.asarray(real_keras.ops.slice(X, start, (2, 2)))
    assert_same(at_once(lambda x: ops.slice(x, start, (2, 2)), X), [theirs])
    places = np.array(start, "int32")
    moved = lambda x, p: ops.slice(x, p, (2, 2))  # noqa: E731
    assert_same(at_once(moved, X, places), [theirs])
    assert_same(traced(moved, X, places, backend="cpu"), [theirs])
    expected = np.isin(X, theirs).astype("float32")
    (mine,) = gradients(lambda x: ops.slice(x, places, (2, 2)), X)
    np.testing.assert_array_equal(mine, expected)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: ops.scatter_update(X, PLACES, NEW, "sum"), ValueError, "`reduction` should be"),
        (lambda: ops.scatter_update(X, PLACES[0], NEW), ShapeError, r"should be integers \(n, k\)"),
        (lambda: ops.scatter(PLACES, NEW, (3,)), ShapeError, "k at most the number of axes"),
        (lambda: ops.scatter(PLACES, NEW[:2], (3, 4)), ShapeError, r"should have shape \[6\]"),
        (lambda: ops.scatter(PLACES * 1.0, NEW, (3, 4)), DTypeError, "should be integers"),
        (lambda: ops.scatter(PLACES, NEW, (3, -4)), ShapeError, "cannot be negative"),
        (lambda: ops.scatter_update(X, PLACES, NEW[:2]), ShapeError, r"have shape \(6,\)"),
        (lambda: ops.slice(X, [0], (1, 1)), ShapeError, "2 axes need as many starts"),
        (lambda: ops.slice(X, [0, 0], (4, 1)), ShapeError, "axis 0 of shape .* has no 4"),
        (lambda: ops.slice_update(X, [0], NEW), ShapeError, "2 axes need as many starts"),
        (lambda: ops.slice_update(X, [0, 0], floats(4, 1)), ShapeError, "updates do not fit"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
