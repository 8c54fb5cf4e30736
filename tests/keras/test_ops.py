"""keras.ops against Keras on JAX: values, dtypes and shapes, at once and traced."""

import math

import numpy as np
import pytest

from graphc.eager import Tensor, as_tensor
from graphc.errors import DTypeError, ShapeError
from graphc.keras import ops
from tests.keras.computing import arrays_of, assert_same, at_once, traced

RNG = np.random.default_rng(0)
NAN, INF = math.nan, math.inf


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


def integers(*shape, low=-5, high=6):
    return RNG.integers(low, high, shape).astype("int32")


X = floats(3, 4)
Y = floats(3, 4)
POSITIVE = np.abs(X) + 0.5
ROW = floats(4)
CUBE = floats(2, 3, 4)
INTS = integers(3, 4)
OTHER = integers(3, 4, low=1)
BOOLS = X > 0
BYTES = integers(3, 4, low=0).astype("uint8")
EDGES = np.array([0.0, -0.0, 1, -1, INF, -INF, NAN, 1e-30, 3e38, -88, 88], "float32")
HALF = X.astype("float16")
EMPTY = floats(0, 3)
ONE = floats(1, 1)

UNARY = [
    "abs",
    "absolute",
    "ceil",
    "cos",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "isfinite",
    "isinf",
    "isnan",
    "log",
    "log10",
    "log1p",
    "log2",
    "logical_not",
    "negative",
    "reciprocal",
    "round",
    "rsqrt",
    "sign",
    "sin",
    "sinh",
    "cosh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
    "erf",
    "arcsinh",
    "arctanh",
    "arccosh",
    "arcsin",
    "arccos",
    "arctan",
    "relu",
    "relu6",
    "sigmoid",
    "log_sigmoid",
    "hard_sigmoid",
    "sparse_sigmoid",
    "silu",
    "hard_silu",
    "elu",
    "selu",
    "celu",
    "softplus",
    "softsign",
    "squareplus",
    "sparse_plus",
    "hard_tanh",
    "tanh_shrink",
    "hard_shrink",
    "soft_shrink",
    "leaky_relu",
    "gelu",
    "nan_to_num",
    "swish",
    "hard_swish",
]

#: What Keras on JAX does not compute of integers, or computes in integers.
REFUSED = [
    "reciprocal",
    "celu",
    "hard_sigmoid",
    "rsqrt",
    "erf",
    "sigmoid",
    "silu",
    "hard_tanh",
    "swish",
]

BINARY = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "true_divide",
    "floor_divide",
    "mod",
    "power",
    "maximum",
    "minimum",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
    "divide_no_nan",
    "logaddexp",
    "hypot",
    "arctan2",
]

#: name, arguments (arrays are what is traced), keyword arguments
CASES = [
    ("clip", (X, -0.5, 0.5), {}),
    ("clip", (INTS, -2, 2), {}),
    ("sum", (CUBE,), {}),
    ("sum", (CUBE,), {"axis": -1}),
    ("sum", (CUBE,), {"axis": (0, -1), "keepdims": True}),
    ("sum", (BYTES,), {"axis": 0}),
    ("sum", (BOOLS,), {}),
    ("sum", (EMPTY,), {"axis": 0}),
    ("mean", (CUBE,), {"axis": 1}),
    ("mean", (INTS,), {}),
    ("mean", (HALF,), {"axis": 0}),
    ("max", (CUBE,), {"axis": (1, 2)}),
    ("max", (X,), {"axis": 1, "initial": 0.25}),
    ("max", (EMPTY,), {"axis": 0, "initial": 2.0}),
    ("max", (BOOLS,), {"axis": 0}),
    ("min", (INTS,), {"keepdims": True}),
    ("amax", (X,), {}),
    ("amin", (X,), {"axis": 0}),
    ("prod", (X,), {"axis": 1}),
    ("prod", (INTS,), {}),
    ("var", (CUBE,), {"axis": 2}),
    ("std", (CUBE,), {"axis": (0, 1), "keepdims": True}),
    ("any", (BOOLS,), {"axis": 0}),
    ("all", (BOOLS,), {"axis": 1, "keepdims": True}),
    ("any", (EMPTY,), {}),
    ("all", (X,), {}),
    ("argmax", (X,), {}),
    ("argmax", (X,), {"axis": -1, "keepdims": True}),
    ("argmin", (INTS,), {"axis": 0}),
    ("argmin", (BYTES,), {"axis": 1}),
    ("argmin", (X,), {"keepdims": True}),
    ("count_nonzero", (INTS,), {"axis": 1}),
    ("logsumexp", (CUBE,), {"axis": (0, 2)}),
    ("logsumexp", (np.array([-INF, -INF], "float32"),), {}),
    ("cumsum", (CUBE,), {"axis": 1}),
    ("cumsum", (INTS,), {}),
    ("cumprod", (X,), {"axis": -1}),
    ("average", (X,), {"axis": 1, "weights": ROW}),
    ("norm", (X,), {}),
    ("norm", (X,), {"axis": 1, "ord": 1}),
    ("norm", (X,), {"axis": 1, "ord": 3, "keepdims": True}),
    ("norm", (X,), {"axis": 0, "ord": INF}),
    ("reshape", (CUBE, (4, -1)), {}),
    ("reshape", (EMPTY, (-1,)), {}),
    ("ravel", (CUBE,), {}),
    ("transpose", (CUBE,), {}),
    ("transpose", (CUBE,), {"axes": (1, 2, 0)}),
    ("squeeze", (ONE,), {}),
    ("squeeze", (ONE,), {"axis": -1}),
    ("expand_dims", (X, 1), {}),
    ("expand_dims", (X, -1), {}),
    ("expand_dims", (X, (0, 2)), {}),
    ("broadcast_to", (ROW, (2, 4)), {}),
    ("swapaxes", (CUBE, 0, -1), {}),
    ("moveaxis", (CUBE, 0, -1), {}),
    ("moveaxis", (CUBE, (0, 1), (-1, 0)), {}),
    ("flip", (CUBE,), {"axis": (0, 2)}),
    ("flip", (X,), {}),
    ("roll", (X, 1), {}),
    ("roll", (X, -2), {"axis": 1}),
    ("roll", (X, (1, 2)), {"axis": (0, 1)}),
    ("repeat", (X, 2), {"axis": 1}),
    ("repeat", (X, 3), {}),
    ("tile", (X, 2), {}),
    ("tile", (X, (2, 1, 2)), {}),
    ("pad", (X, 1), {}),
    ("pad", (X, ((1, 0), (0, 2))), {"constant_values": 3}),
    ("pad", (X, ((1, 2), (2, 1))), {"mode": "reflect"}),
    ("pad", (X, ((1, 2), (2, 1))), {"mode": "symmetric"}),
    ("take", (X, np.array([[0, -1], [2, 1]], "int32")), {"axis": 1}),
    ("take", (X, np.array(5, "int32")), {}),
    ("take_along_axis", (X, integers(3, 2, low=-4, high=4)), {"axis": 1}),
    ("take_along_axis", (X, integers(1, 4, low=0, high=3)), {"axis": 0}),
    ("take_along_axis", (X, integers(5, low=0, high=12)), {"axis": None}),
    ("where", (BOOLS, X, Y), {}),
    ("where", (BOOLS, X, 0.0), {}),
    ("where", (BOOLS, INTS, 1.5), {}),
    ("tril", (X,), {}),
    ("triu", (CUBE,), {"k": -1}),
    ("one_hot", (integers(3, low=-1, high=5), 4), {}),
    ("one_hot", (integers(2, 2, low=0, high=3), 3), {"axis": 1, "dtype": "int32"}),
    ("multi_hot", (integers(3, 2, low=0, high=4), 4), {"dtype": "float32"}),
    ("zeros_like", (INTS,), {}),
    ("ones_like", (X,), {"dtype": "int8"}),
    ("full_like", (X, 2.5), {}),
    ("full", ((2, 3), 7), {}),
    ("diag", (ROW,), {"k": 1}),
    ("diag", (X,), {}),
    ("diagonal", (CUBE,), {"offset": 1, "axis1": 1, "axis2": 2}),
    ("diagonal", (X,), {"offset": -1}),
    ("trace", (X,), {}),
    ("matmul", (X, Y.T), {}),
    ("matmul", (CUBE, Y.T), {}),
    ("matmul", (ROW, Y.T), {}),
    ("dot", (CUBE, Y.T), {}),
    ("dot", (ROW, ROW), {}),
    ("dot", (X, 2.0), {}),
    ("inner", (X, Y), {}),
    ("outer", (ROW, X), {}),
    ("vdot", (X, Y), {}),
    ("tensordot", (CUBE, CUBE), {"axes": ((1, 2), (1, 2))}),
    ("tensordot", (CUBE, Y.T), {"axes": 1}),
    ("softmax", (CUBE,), {}),
    ("softmax", (CUBE,), {"axis": (0, 2)}),
    ("log_softmax", (CUBE,), {"axis": 1}),
    ("glu", (X,), {}),
    ("gelu", (X,), {"approximate": False}),
    ("leaky_relu", (X,), {"negative_slope": 0.1}),
    ("elu", (X,), {"alpha": 0.5}),
    ("threshold", (X, 0.5, 9.0), {}),
    ("normalize", (X,), {}),
    ("normalize", (X,), {"axis": 0, "order": 3}),
    ("normalize", (np.zeros((2, 2), "float32"),), {}),
    ("moments", (CUBE,), {"axes": (0, 2)}),
    ("moments", (HALF,), {"axes": [0], "keepdims": True}),
    ("rms_normalization", (X,), {"epsilon": 1e-3}),
    ("binary_crossentropy", (np.abs(X) / 4, np.abs(Y) / 4), {}),
    ("binary_crossentropy", (np.abs(X) / 4, Y), {"from_logits": True}),
    ("categorical_crossentropy", (np.eye(4, dtype="float32")[:3], POSITIVE), {}),
    ("categorical_crossentropy", (CUBE, np.abs(CUBE)), {"axis": 1}),
    ("categorical_crossentropy", (np.eye(4, dtype="float32")[:3], X), {"from_logits": True}),
    ("sparse_categorical_crossentropy", (integers(3, low=0, high=4), POSITIVE), {}),
    ("sparse_categorical_crossentropy", (integers(3, 1, low=0, high=4), X), {"from_logits": True}),
    ("sort", (X,), {}),
    ("sort", (INTS,), {"axis": 0}),
    ("argsort", (INTS,), {"axis": 1}),
    ("top_k", (X, 2), {}),
    ("in_top_k", (integers(3, low=0, high=4), X, 2), {}),
    ("cast", (X, "int32"), {}),
    ("cast", (X, "float16"), {}),
    ("bitwise_and", (INTS, OTHER), {}),
    ("bitwise_or", (BOOLS, ~BOOLS), {}),
    ("bitwise_xor", (BYTES, BYTES), {}),
    ("isclose", (X, X + 1e-7), {}),
    ("slice", (X, (1, 1), (2, 2)), {}),
    ("round", (X,), {"decimals": 1}),
    ("copy", (X,), {}),
    ("stop_gradient", (X,), {}),
    ("scatter", (np.array([[0], [2]], "int32"), X[:2], (4, 4)), {}),
]


def split_arguments(args):
    """The positions of arrays, and a function that puts tensors in their places."""
    places = [i for i, argument in enumerate(args) if isinstance(argument, np.ndarray)]

    def put(tensors):
        full = list(args)
        for place, tensor in zip(places, tensors, strict=True):
            full[place] = tensor
        return full

    return [args[place] for place in places], put


def check(real_keras, name, args, kwargs, batch=False):
    theirs = getattr(real_keras.ops, name)(*args, **kwargs)
    expected = [np.asarray(leaf) for leaf in real_keras.tree.flatten(theirs)]
    arrays, put = split_arguments(args)
    function = lambda *tensors: getattr(ops, name)(*put(tensors), **kwargs)  # noqa: E731
    assert_same(at_once(function, *arrays), expected)
    if arrays:
        assert_same(traced(function, *arrays), expected)
    if batch:
        assert_same(traced(function, *arrays, batch=True), expected)


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize(
    "x",
    [X, POSITIVE, EDGES, INTS, EMPTY],
    ids=str.lower("floats positive edges ints empty").split(),
)
def test_unary(real_keras, name, x):
    if x is INTS and name in REFUSED:
        pytest.skip("Keras on JAX itself refuses integers or answers in integers")
    check(real_keras, name, (x,), {}, batch=True)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(
    "x, y",
    [
        (X, Y),
        (X, ROW),
        (INTS, OTHER),
        (X, OTHER),
        (BOOLS, X),
        (INTS, 2),
        (X, 2.5),
        (EMPTY, EMPTY),
        (HALF, 2),
    ],
)
def test_binary(real_keras, name, x, y):
    check(real_keras, name, (x, y), {})


@pytest.mark.parametrize("name, args, kwargs", CASES)
def test_cases(real_keras, name, args, kwargs):
    check(real_keras, name, args, kwargs)


@pytest.mark.parametrize("name", BINARY)
def test_binary_edges(real_keras, name):
    if name in ("hypot", "divide_no_nan", "floor_divide", "mod", "logaddexp"):
        pytest.skip("NaN and infinities: conventions differ between NumPy and XLA")
    x, y = (grid.ravel() for grid in np.meshgrid(EDGES, EDGES))
    theirs = np.asarray(getattr(real_keras.ops, name)(x, y))
    (mine,) = at_once(getattr(ops, name), x, y)
    # XLA flushes results below the normal numbers to zero.
    np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1.2e-38)


# ------------------------------------------------------------------ what is not one of the cases


def test_repeat_each_slice_a_number_of_times():
    (mine,) = at_once(lambda x: ops.repeat(x, [1, 0, 2], axis=0), X)
    np.testing.assert_array_equal(mine, np.repeat(X, [1, 0, 2], axis=0))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_sparsemax_is_the_nearest_probability_vector(axis):
    """Keras's own answer does not sum to 1, so the definition is the oracle."""
    (p,) = at_once(lambda x: ops.sparsemax(x, axis), CUBE)
    np.testing.assert_allclose(p.sum(axis), 1, rtol=1e-6)
    assert (p >= 0).all() and (p == 0).any()
    # Where it is positive, x minus p is one level; elsewhere x is not above that level.
    level = np.max(np.where(p > 0, CUBE - p, -INF), axis, keepdims=True)
    np.testing.assert_allclose(np.where(p > 0, CUBE - p, level), level + 0 * p, rtol=1e-5)
    assert (level + p + 1e-6 >= CUBE).all()


@pytest.mark.parametrize(
    "equation, arrays",
    [
        ("ij,jk->ik", (X, Y.T)),
        ("ij,jk", (X, Y.T)),
        ("bij,jk->bik", (CUBE, Y.T)),
        ("...ij,jk->...ik", (CUBE, Y.T)),
        ("ij->ji", (X,)),
        ("ij->", (X,)),
        ("bij->bj", (CUBE,)),
        ("i,i->", (ROW, ROW)),
        ("ij,ik,il->jkl", (X, Y, X)),
        ("ab,bc,cd->ad", (X, Y.T, X)),
        ("bij,bij->b", (CUBE, CUBE)),
        ("ij,ij->ij", (X, X[:1])),
    ],
)
def test_einsum(real_keras, equation, arrays):
    expected = [np.asarray(real_keras.ops.einsum(equation, *arrays))]
    function = lambda *tensors: ops.einsum(equation, *tensors)  # noqa: E731
    assert_same(at_once(function, *arrays), expected)
    assert_same(traced(function, *arrays), expected)


@pytest.mark.parametrize("sections", [2, [1], [1, 3], [0, 4]])
def test_split(real_keras, sections):
    expected = arrays_of(real_keras.ops.split(X, sections, axis=1))
    function = lambda x: ops.split(x, sections, axis=1)  # noqa: E731
    assert_same(at_once(function, X), expected)
    assert_same(traced(function, X), expected)


def test_join(real_keras):
    for name, axis in (("concatenate", 1), ("stack", 1), ("stack", -1), ("hstack", None)):
        options = {} if axis is None else {"axis": axis}
        expected = [np.asarray(getattr(real_keras.ops, name)([X, Y], **options))]
        function = lambda x, y, n=name, o=options: getattr(ops, n)([x, y], **o)  # noqa: E731
        assert_same(at_once(function, X, Y), expected)
        assert_same(traced(function, X, Y), expected)
    assert_same(
        at_once(lambda x, y: ops.concatenate([x, y]), X, INTS),
        [np.concatenate([X, INTS]).astype("float32")],
    )
    assert_same(arrays_of(ops.unstack(X, axis=1)), [X[:, i] for i in range(4)])


def test_making(real_keras):
    for name, args, kwargs in (
        ("zeros", ((2, 3),), {}),
        ("ones", ((2,),), {"dtype": "int32"}),
        ("eye", (3,), {"k": 1}),
        ("eye", (2, 4), {}),
        ("identity", (2,), {"dtype": "int32"}),
        ("arange", (5,), {}),
        ("arange", (1, 4), {"dtype": "float32"}),
        ("arange", (0.5, 3.0, 0.5), {}),
        ("linspace", (0, 1), {"num": 5}),
        ("linspace", (0, 1), {"num": 4, "endpoint": False}),
        ("full", ((2, 3), 7), {}),
        ("full", ((2, 3), 7.5), {"dtype": "float16"}),
    ):
        expected = np.asarray(getattr(real_keras.ops, name)(*args, **kwargs))
        assert_same([np.asarray(getattr(ops, name)(*args, **kwargs))], [expected])
    grids = arrays_of(ops.meshgrid([1, 2, 3], [4, 5]))
    assert_same(grids, arrays_of(real_keras.ops.meshgrid(np.array([1, 2, 3]), np.array([4, 5]))))


def test_sizes_that_are_not_known_yet():
    def function(x):
        rows, columns = ops.shape(x)
        flat = ops.reshape(x, (-1,))
        return (
            ops.reshape(x, (rows, -1, 2)),
            ops.zeros((rows, 2)) + 1.0,
            ops.sum(x) / ops.convert_to_tensor(rows, "float32"),
            flat[: rows * 2],
            ops.arange(rows),
            ops.one_hot(ops.arange(rows), 3),
            ops.broadcast_to(ops.convert_to_tensor([1.0, 2.0]), (rows, 2)),
            ops.tile(x, (2, 1)),
            ops.tril(x),
            ops.concatenate([x, ops.ones_like(x)], axis=0),
            ops.size(x),
            x[-1] + columns,
            ops.eye(rows, columns, k=1),
            ops.one_hot(ops.arange(rows), rows),
        )

    results = traced(function, X, batch=True)
    expected = [
        X.reshape(3, 2, 2),
        np.ones((3, 2), "float32"),
        X.sum() / np.float32(3),
        X.ravel()[:6],
        np.arange(3, dtype="int32"),
        np.eye(3, dtype="float32"),
        np.tile(np.array([1, 2], "float32"), (3, 1)),
        np.tile(X, (2, 1)),
        np.tril(X),
        np.concatenate([X, np.ones_like(X)]),
        np.array(12, "int32"),
        X[-1] + 4,
        np.eye(3, 4, 1, "float32"),
        np.eye(3, dtype="float32"),
    ]
    assert_same(results, [np.asarray(array) for array in expected])


IMAGE, LINE = floats(2, 7, 8, 4), floats(2, 9, 3)

WINDOWS = [
    ("conv", (IMAGE, floats(3, 3, 4, 5)), {}),
    ("conv", (IMAGE, floats(3, 2, 4, 5)), {"strides": 2, "padding": "same"}),
    ("conv", (IMAGE, floats(3, 3, 2, 6)), {"padding": "same"}),
    ("conv", (IMAGE, floats(2, 2, 4, 3)), {"dilation_rate": (2, 1)}),
    ("conv", (LINE, floats(4, 3, 2)), {"strides": (3,)}),
    ("depthwise_conv", (IMAGE, floats(3, 3, 4, 2)), {"padding": "same"}),
    ("separable_conv", (IMAGE, floats(3, 3, 4, 2), floats(1, 1, 8, 3)), {"strides": 2}),
    ("max_pool", (IMAGE, 2), {"strides": 2}),
    ("max_pool", (IMAGE, (3, 2)), {"strides": 2, "padding": "same"}),
    ("average_pool", (IMAGE, 3), {"strides": 2, "padding": "same"}),
    ("average_pool", (LINE, 2), {"strides": 2}),
]


@pytest.mark.parametrize("name, args, kwargs", WINDOWS)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_windows(real_keras, name, args, kwargs, data_format):
    expected = [np.asarray(getattr(real_keras.ops, name)(*args, **kwargs))]
    image, *rest = args
    if data_format == "channels_first":
        image = np.ascontiguousarray(np.moveaxis(image, -1, 1))
        expected = [np.moveaxis(expected[0], -1, 1)]
    arrays, put = split_arguments([image, *rest])

    def function(*tensors):
        return getattr(ops, name)(*put(tensors), **kwargs, data_format=data_format)

    assert_same(at_once(function, *arrays), expected, rtol=1e-4, atol=1e-5)
    assert_same(traced(function, *arrays), expected, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------------------ conversions


def test_conversions():
    assert ops.convert_to_tensor(1.5).dtype == "float32"
    assert ops.convert_to_tensor([1, 2]).dtype == "int32"
    assert ops.convert_to_tensor([ops.ones(()), 2.0]).shape == (2,)
    assert ops.convert_to_tensor(True).dtype == "bool"
    assert ops.convert_to_tensor(X, "float16").dtype == "float16"
    array = ops.convert_to_numpy(ops.ones((2,)))
    array[0] = 5  # a copy of one's own
    assert ops.shape(X) == (3, 4) and ops.ndim(X) == 2 and ops.dtype(X) == "float32"
    assert ops.is_tensor(as_tensor(1)) and not ops.is_tensor(X)
    assert isinstance(ops.copy(X), Tensor)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: ops.sum(X, axis=2), ShapeError, "sum: axis 2 is outside a tensor with 2 axes"),
        (lambda: ops.sum(X, axis=(0, 0)), ShapeError, "names an axis twice"),
        (lambda: ops.reshape(X, (5, -1)), ShapeError, "reshape: 12 elements do not fill"),
        (lambda: ops.reshape(X, (-1, -1)), ShapeError, "only one size can be -1"),
        (lambda: ops.reshape(X, (5, 2)), ShapeError, "12"),
        (lambda: ops.squeeze(X, 0), ShapeError, "squeeze: axis 0 has size 3, not 1"),
        (lambda: ops.split(X, 2), ShapeError, "split: axis 0 of size 3 has no 2 equal parts"),
        (lambda: ops.concatenate([]), ShapeError, "at least one tensor"),
        (lambda: ops.matmul(X, X), ShapeError, "sizes 4 and 3"),
        (lambda: ops.einsum("ij,jk", X), ShapeError, "2 terms for 1 tensors"),
        (lambda: ops.einsum("ijk->k", X), ShapeError, '"ijk" of "ijk->k" does not describe'),
        (lambda: ops.einsum("ii->i", X), ShapeError, "repeats a letter"),
        (lambda: ops.one_hot(X, 3), DTypeError, "one_hot: needs integers"),
        (lambda: ops.take(X, X), DTypeError, "take: indices should be integers"),
        (lambda: ops.where(BOOLS, X), ValueError, "either both should be `None`"),
        (lambda: ops.pad(X, 1, mode="wrap"), ValueError, "Received: wrap"),
        (lambda: ops.pad(X, 5, mode="reflect"), ShapeError, "at most 2 elements to axis 0"),
        (lambda: ops.zeros((2, -1)), ShapeError, "sizes cannot be negative"),
        (lambda: ops.zeros((2, "a")), ShapeError, "a size should be an integer"),
        (lambda: ops.top_k(X, 9), ShapeError, "fewer than 9 elements"),
        (lambda: ops.bitwise_and(X, X), DTypeError, "integers and bools, not on float32"),
        (lambda: ops.binary_crossentropy(X, ROW), ShapeError, "must have the same shape"),
        (lambda: ops.sparse_categorical_crossentropy(INTS, X), ShapeError, "same shape up until"),
        (lambda: ops.convert_to_tensor([[1], [2, 3]]), Exception, "inhomogeneous|different length"),
        (lambda: ops.cast(X, "float8"), DTypeError, "unknown dtype 'float8'"),
        (lambda: ops.scan(lambda c, x: (c, x), 0), ShapeError, "needs `xs` or `length`"),
        (lambda: ops.conv(X, X), ShapeError, "conv: needs a batch of images"),
        (lambda: ops.conv(IMAGE, floats(3, 4, 5)), ShapeError, "need a kernel with 4 axes"),
        (lambda: ops.conv(IMAGE, floats(3, 3, 3, 5)), ShapeError, "4, is no multiple of the"),
        (lambda: ops.max_pool(IMAGE, (2, 2, 2)), ShapeError, "positive integer, or 2 of them"),
        (lambda: ops.max_pool(IMAGE, 2, padding="full"), ValueError, "Received: 'full'"),
        (lambda: ops.max_pool(IMAGE, 2, data_format="NHWC"), ValueError, "Received: 'NHWC'"),
        (lambda: ops.norm(X, ord="nope"), ValueError, "Received: ord=nope"),
    ],
)  # fmt: skip
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
