"""Complex numbers of keras.ops against Keras on JAX: at once, compiled, in ONNX Runtime."""

import math

import numpy as np
import pytest

from graphc import runtime
from graphc.eager import GradientTape, Trace, as_tensor
from graphc.errors import ShapeError
from graphc.export.onnx import to_onnx
from graphc.ir import TensorType, as_text, parse
from graphc.ir.dims import symbol
from graphc.keras import ops
from tests.keras.computing import arrays_of, at_once, gradients, jax_gradient, traced
from tests.keras.precise import close

RNG = np.random.default_rng(70)
NAN, INF = math.nan, math.inf


def numbers(*shape):
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


Z, W = numbers(3, 4), numbers(3, 4)
X = RNG.normal(size=(3, 4))
ROW = numbers(4)
EQUAL = np.where(np.arange(4) < 2, Z, W)
#: The cuts of the roots and logarithms, the axes, the origin.
EDGES = np.array([0, 1, -1, 1j, -1j, 3 - 4j, complex(-1, 1e-300), complex(-1, -1e-300), 1e150j])
#: Equal real parts, and equal numbers.
TIES, OTHER_TIES = (RNG.integers(0, 3, (2, 3, 7)) + 1j * RNG.integers(0, 3, (2, 3, 7))) * 0.5
SMALL = np.array([1e-9 + 1e-9j, -1e-12j, 1e-5 - 1e-3j, 0.4])
#: Both sides of the cuts of inverse functions.
CUTS = np.array([2, -2, 2j, -2j, complex(2, -0.0), complex(-2, -0.0), complex(-0.0, 2), 0.5, 0.5j])
HERMITIAN = numbers(2, 3, 3)
HERMITIAN = HERMITIAN @ np.conj(np.swapaxes(HERMITIAN, 1, 2)) + np.eye(3)

CASES = [
    *[(name, (Z, W)) for name in ("add", "subtract", "multiply", "divide", "equal", "not_equal")],
    *[(name, (Z, X)) for name in ("add", "subtract", "multiply", "divide")],
    *[(name, (X, ROW)) for name in ("add", "subtract", "multiply", "divide")],
    ("equal", (Z, EQUAL)),
    ("not_equal", (Z, EQUAL)),
    ("power", (Z, W)),
    *[(name, (Z,)) for name in (
        "abs", "absolute", "angle", "conj", "conjugate", "cos", "exp", "imag", "isreal", "log",
        "cosh", "cumprod", "cumsum", "nanmean", "nanstd", "nansum", "sinh", "std", "tan", "var",
        "negative", "real", "reciprocal", "sin", "sqrt", "square", "tanh", "view_as_real",
        "sum", "mean", "prod", "transpose", "ravel", "isfinite", "isnan",
        "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh", "expm1", "log10", "log1p",
        "log2", "nan_to_num", "round", "sign",
        "max", "min", "nanmax", "nanmin", "ptp", "sort", "argsort", "logsumexp",
        "celu", "elu", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh",
        "layer_normalization", "leaky_relu", "log_sigmoid", "log_softmax", "normalize", "relu",
        "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign",
        "sparse_plus", "squareplus", "tanh_shrink",
    )],
    *[(name, (Z, W)) for name in (
        "arctan2", "fmax", "fmin", "greater", "greater_equal", "less", "less_equal", "logaddexp",
        "logaddexp2", "maximum", "minimum",
    )],
    *[(name, (TIES, OTHER_TIES)) for name in (
        "greater", "greater_equal", "less", "less_equal", "maximum", "minimum",
    )],
    *[(name, (TIES,)) for name in ("argsort", "max", "min", "sort", "sign")],
    *[(name, (SMALL,)) for name in ("arctanh", "expm1", "log1p")],
    *[(name, (CUTS,)) for name in (
        "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh", "sqrt",
    )],
    ("searchsorted", (np.sort(numbers(7)), Z)),
    ("isin", (TIES, OTHER_TIES[0])),
    ("digitize", (Z, np.sort(numbers(3)))),
    ("correlate", (numbers(5), numbers(3))),
    ("correlate", (numbers(3), numbers(5))),
    *[(name, (X,)) for name in ("angle", "conj", "imag", "isreal", "real")],
    *[(name, (EDGES,)) for name in ("abs", "angle", "sqrt", "negative", "real", "view_as_real")],
    ("log", (EDGES[1:],)),
    ("reciprocal", (EDGES[1:],)),
    ("isreal", (EDGES,)),
    ("matmul", (Z, W.T)),
    ("dot", (Z, ROW)),
    ("vdot", (Z, W)),
    ("norm", (Z,)),
    ("polar", (np.abs(X), X)),
    ("inv", (numbers(3, 3),)),
    ("det", (numbers(4, 4),)),
    ("det", (numbers(2, 3, 3),)),
    ("slogdet", (numbers(4, 4),)),
    ("logdet", (numbers(2, 3, 3),)),
    ("lu_factor", (numbers(4, 4),)),
    ("lu_factor", (numbers(2, 4, 3),)),
    ("cholesky", (HERMITIAN,)),
    ("solve_triangular", (numbers(3, 3) + 2 * np.eye(3), numbers(3, 2))),
    ("solve", (numbers(2, 3, 3), numbers(2, 3, 1))),
    ("linspace", (Z, W)),
    ("geomspace", (Z, W)),
    ("abs", (numbers(0, 2),)),
    ("exp", (numbers(1, 1),)),
]  # fmt: skip


def normalized(z):
    distance = z - z.mean(-1, keepdims=True)
    return distance / np.sqrt((np.abs(distance) ** 2).mean(-1, keepdims=True) + 1e-7)


@pytest.mark.parametrize("name, arrays", CASES)
def test_values(double_precision, name, arrays):
    import jax.numpy as jnp

    expected = arrays_of(getattr(double_precision.ops, name)(*map(jnp.asarray, arrays)))
    # What Keras computes in single precision, and a variance that it gives as a complex number.
    exact = {
        "mean": np.mean,
        "var": np.var,
        "polar": lambda r, angle: r * np.exp(1j * angle),
        "layer_normalization": normalized,
    }
    if name in exact:
        expected = [np.asarray(exact[name](*arrays))]
    if arrays[0] is CUTS:  # JAX does not tell the two zeros apart
        expected = [getattr(np, name)(CUTS)]
    function = getattr(ops, name)
    close(at_once(function, *arrays), expected, 1e-12)
    close(traced(function, *arrays, backend="cpu"), expected, 1e-12)
    if not np.shares_memory(arrays[0], EDGES):  # some are too large
        singles = [a.astype("complex64" if a.dtype.kind == "c" else "float32") for a in arrays]
        close(traced(function, *singles, backend="onnxruntime"), at_once(function, *singles), 2e-5)


def hermitian(o, z):
    return o.matmul(z, o.conj(o.transpose(z))) + np.eye(3)


#: Functions from numbers to a number, real ones on the way in and out.
LOSSES = [
    lambda o, z: o.sum(o.abs(z)),
    lambda o, z: o.sum(o.real(z * z * (2 - 1j))),
    lambda o, z: o.sum(o.imag(o.exp(z) / (z + 3))),
    lambda o, z: o.sum(o.angle(z) * o.real(o.conj(z))),
    lambda o, z: o.sum(o.abs(o.matmul(z, o.transpose(z)))),
    lambda o, z: o.sum(o.real(o.sqrt(z) + o.log(z) + o.sin(z) * o.cos(z) + o.tanh(z))),
    lambda o, z: o.sum(o.view_as_real(z) ** 2),
    lambda o, z: o.sum(o.real(o.inv(o.matmul(z, o.transpose(z))))),
    lambda o, z: o.real(o.mean(z)) * o.imag(o.sum(z)),
    lambda o, z: o.real(o.det(o.matmul(z, o.transpose(z)))) + o.slogdet(z[:, 1:])[1],
    lambda o, z: o.sum(o.real(o.cholesky(hermitian(o, z)) * (Z[:, :3] + 1j))),
    lambda o, z: o.sum(o.imag(o.solve(z[:, :3], z * 1j))),
    lambda o, z: o.var(z) + o.sum(o.imag(o.tan(z) + o.sinh(z))) + o.sum(o.real(o.cumprod(z))),
    lambda o, z: o.sum(o.real(o.where(o.real(z) > 0, z, z * z))),
    lambda o, z: o.sum(o.real(o.arcsin(z) * o.arctan(z) + o.arccos(z) * o.log1p(z) * o.expm1(z))),
    lambda o, z: o.sum(o.abs(o.maximum(z, z[:, ::-1]) * 2 + o.minimum(z, o.sin(z)))),
    lambda o, z: o.real(o.max(z)) * o.imag(o.min(z)) + o.sum(o.real(o.sort(z, 1) * Z)),
    lambda o, z: o.sum(o.imag(o.logaddexp(z, z * 1j) + o.arcsinh(z) + o.arctanh(z))),
]


@pytest.mark.parametrize("loss", LOSSES, ids=range(len(LOSSES)))
def test_gradients_through_complex_numbers(double_precision, loss):
    """Of real numbers, and those of complex ones in JAX's convention."""
    import jax

    class Theirs:
        """JAX's own functions: Keras rounds to complex64 in some of its own."""

        def __getattr__(self, name):
            return getattr(jax.numpy, name, None) or getattr(jax.numpy.linalg, name)

        def view_as_real(self, z):
            return jax.numpy.stack([z.real, z.imag], -1)

    theirs = Theirs()
    parts = Z.real.copy(), Z.imag.copy()
    expected = jax_gradient(lambda x, y: loss(theirs, jax.lax.complex(x, y)), (0, 1))(
        *map(jax.numpy.asarray, parts)
    )
    received = gradients(
        lambda x, y: loss(ops, ops.view_as_complex(ops.stack([x, y], axis=-1))), *parts
    )
    close(received, arrays_of(list(expected)), 1e-11)
    z = as_tensor(Z)
    with GradientTape() as tape:
        tape.watch(z)
        total = loss(ops, z)
    expected = jax_gradient(lambda z: loss(theirs, z))(jax.numpy.asarray(Z))
    close([tape.gradient(total, z).numpy()], [np.asarray(expected)], 1e-11)


def test_batch_normalization(double_precision):
    import jax.numpy as jnp

    arrays = Z, numbers(4), numbers(4)
    expected = arrays_of(double_precision.ops.batch_normalization(*map(jnp.asarray, arrays), 1))
    close(at_once(lambda *z: ops.batch_normalization(*z, 1), *arrays), expected, 1e-12)
    compiled = traced(lambda *z: ops.batch_normalization(*z, 1), *arrays, backend="cpu")
    close(compiled, expected, 1e-12)


@pytest.mark.parametrize("name", [
    "celu", "elu", "gelu", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu", "log_sigmoid",
    "log_softmax", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus",
    "softsign", "sparse_plus",
])  # fmt: skip
def test_gradients_of_activations(double_precision, name):
    import jax

    def loss(module, z):
        return module.sum(module.real(getattr(module, name)(z) * (Z + 1j)))

    expected = jax_gradient(lambda z: loss(double_precision.ops, z))(jax.numpy.asarray(W))
    close(gradients(lambda z: loss(ops, z), W), [np.asarray(expected)], 1e-11)


def test_derivatives_at_zero_are_numbers():
    zero = as_tensor(np.zeros(2, complex))
    with GradientTape() as tape:
        tape.watch(zero)
        total = ops.sum(ops.abs(zero))
    np.testing.assert_array_equal(tape.gradient(total, zero).numpy(), 0)


def test_second_order_through_complex_numbers():
    x = as_tensor(np.array([0.3, -0.7]))
    with GradientTape() as outer:
        outer.watch(x)
        with GradientTape() as inner:
            inner.watch(x)
            y = ops.sum(ops.real(ops.exp(x * (1 + 2j))))
        first = inner.gradient(y, x)
    second = outer.gradient(first, x)
    factor = np.exp(x.numpy() * (1 + 2j))
    np.testing.assert_allclose(first.numpy(), ((1 + 2j) * factor).real, atol=1e-14)
    np.testing.assert_allclose(second.numpy(), ((1 + 2j) ** 2 * factor).real, atol=1e-13)


def test_infinities_and_nan():
    z = np.array([complex(INF, 1), complex(-INF, NAN), complex(NAN, 1), complex(1, -INF)])
    for results in (at_once(ops.abs, z), traced(ops.abs, z, backend="cpu")):
        np.testing.assert_array_equal(results[0], [INF, INF, NAN, INF])
    for name in ("real", "imag", "conj", "isnan", "negative"):
        mine = at_once(getattr(ops, name), z)
        np.testing.assert_array_equal(traced(getattr(ops, name), z, backend="cpu")[0], mine[0])


# ----------------------------------------------------------------------------------- programs


def double(z):
    return z * 2j + 1


def test_programs_with_complex_state_and_rows():
    """State is updated in place, rows of results are written where they belong."""
    from graphc.eager import Variable

    total = Variable(np.zeros(3, "complex64"), name="total")
    with Trace("count") as trace:
        z = trace.input("z", TensorType((symbol("batch"), 3), "complex64"))
        total.assign(total + ops.sum(z, axis=0))
        program, variables = trace.program({"y": double(z), "size": ops.sum(ops.abs(z))})
    data = numbers(10, 3).astype("complex64")
    for backend in ("cpu", "reference", "onnxruntime"):
        executable = runtime.compile(program, backend)
        state = {name: np.zeros(3, "complex64") for name in variables}
        arrays = executable.allocate_results(10, {})
        assert {name: array.dtype.name for name, array in arrays.items()} == {"y": "complex64"}
        last = executable.run_steps({"z": data}, state, 4, 3, results=arrays)
        np.testing.assert_allclose(arrays["y"], data * 2j + 1, atol=1e-5)
        (after,) = state.values()
        np.testing.assert_allclose(after, data.sum(0), atol=1e-5)
        np.testing.assert_allclose(last["size"], np.abs(data[8:]).sum(), rtol=1e-5)


def test_models_of_complex_numbers():
    from graphc import keras

    inputs = keras.Input((3,), dtype="complex64")
    model = keras.Model(inputs, [ops.abs(inputs), inputs * 2j])
    z = numbers(5, 3)
    size, turned = model.predict(z, batch_size=2, verbose=0)
    np.testing.assert_allclose(size, np.abs(z), rtol=1e-6)
    np.testing.assert_allclose(turned, z * 2j, rtol=1e-6)


def test_loops_over_complex_numbers():
    def function(z):
        last, _ = ops.scan(lambda c, x: (c * x, c), z[0], z[1:])
        many = ops.while_loop(lambda c, i: i < 3, lambda c, i: (c * c, i + 1), (last, 0))[0]
        return ops.cond(ops.real(z[0, 0]) > 0, lambda: many, lambda: ops.conj(many))

    expected = at_once(function, Z)
    close(traced(function, Z, backend="cpu"), expected, 1e-12)


def test_exports_have_real_inputs_and_outputs():
    with Trace("test") as trace:
        z = trace.input("z", TensorType((symbol("batch"),), "complex64"))
        program, _ = trace.program({"y": ops.exp(z)})
    model = to_onnx(program)
    for value in (*model.graph.input, *model.graph.output):
        sizes = value.type.tensor_type.shape.dim
        assert [d.dim_param or d.dim_value for d in sizes] == ["batch", 2]
        assert value.type.tensor_type.elem_type == 1  # float32


def test_text():
    with Trace("test") as trace:
        z = trace.input("z", TensorType((2,), "complex128"))
        program, _ = trace.program({"y": z * np.array([1 + 2j, complex(-0.0, NAN)])})
    text = as_text(program.graph)
    assert "complex128[2](1.0, 2.0, -0.0, nan)" in text
    assert as_text(parse(text)) == text


# ------------------------------------------------------------------------------------ dtypes


@pytest.mark.parametrize("x, y, expected", [
    ("complex64", "float32", "complex64"),
    ("complex64", "float64", "complex128"),
    ("complex64", "int32", "complex64"),
    ("complex64", "bool", "complex64"),
    ("complex128", "float32", "complex128"),
    ("complex64", "complex128", "complex128"),
])  # fmt: skip
def test_common_dtypes(x, y, expected):
    tensors = [ops.ones((2,), dtype) for dtype in (x, y)]
    assert (tensors[0] + tensors[1]).dtype == expected
    assert (tensors[1] * tensors[0]).dtype == expected


def test_numbers_of_python():
    assert (ops.ones(2, "float32") * 1j).dtype == "complex64"
    assert (1j * ops.ones(2, "float64")).dtype == "complex128"
    assert (ops.ones(2, "int32") + 1j).dtype == "complex64"
    assert ops.convert_to_tensor(1 + 2j).dtype == "complex64"
    assert ops.convert_to_tensor(np.array(1 + 2j)).dtype == "complex128"
    assert (ops.convert_to_tensor([1j]) * 2.5).dtype == "complex64"
    assert ops.cast([1.0], "complex64").dtype == "complex64"
    assert ops.cast([1 + 2j], "float32").numpy() == 1


def test_operators():
    z = ops.convert_to_tensor(Z)
    np.testing.assert_allclose(abs(z).numpy(), np.abs(Z))
    np.testing.assert_allclose((1 / z).numpy(), 1 / Z)
    np.testing.assert_allclose((z @ ops.transpose(z)).numpy(), Z @ Z.T)
    np.testing.assert_allclose((z**2).numpy(), Z**2)
    assert ops.view_as_complex(ops.view_as_real(z)).numpy().tobytes() == Z.tobytes()
    assert complex(ops.sum(z).item()) == pytest.approx(Z.sum())


@pytest.mark.parametrize("function", [
    ops.floor, ops.trunc, ops.erf, ops.sparsemax, ops.sparse_sigmoid,
    lambda z: ops.clip(z, 0, 1), lambda z: ops.floor_divide(z, 2), lambda z: ops.mod(z, 2),
    lambda z: ops.heaviside(z, 0.5), lambda z: ops.gelu(z, approximate=False),
])  # fmt: skip
def test_what_has_no_meaning_for_complex_numbers(function):
    with pytest.raises(TypeError, match="complex"):
        function(np.eye(2) * 1j)


def test_parts_need_two_elements():
    with pytest.raises(ShapeError, match="must be size 2"):
        ops.view_as_complex(np.ones((2, 3)))


@pytest.mark.parametrize("axis, ord", [
    (1, 1), (1, np.inf), (0, 3), ((0, 1), "fro"), ((0, 1), 1), ((0, 1), "nuc"), ((0, 1), 2),
    ((1, 0), -2),
])  # fmt: skip
def test_norms(axis, ord):
    expected = np.linalg.norm(Z, ord, axis)
    np.testing.assert_allclose(ops.norm(Z, ord=ord, axis=axis).numpy(), expected, rtol=1e-13)


# ------------------------------------------------------------------------------------- order


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("axis", [0, 1])
def test_positions_of_extremes(name, axis):
    """Keras has none of complex numbers; NumPy has."""

    def function(z):
        return getattr(ops, name)(z, axis)

    expected = getattr(np, name)(TIES, axis)
    np.testing.assert_array_equal(at_once(function, TIES)[0], expected)
    np.testing.assert_array_equal(traced(function, TIES, backend="cpu")[0], expected)


def test_the_largest_ones():
    values, places = traced(lambda z: ops.top_k(z, 2), TIES, backend="cpu")
    order = np.argsort(-TIES, axis=-1, kind="stable")[:, :2]
    np.testing.assert_array_equal(places, order)
    np.testing.assert_array_equal(values, np.take_along_axis(TIES, order, -1))


def test_distinct_elements():
    values, inverse, counts = ops.unique(TIES, return_inverse=True, return_counts=True)
    expected = np.unique(TIES, return_inverse=True, return_counts=True)
    for mine, theirs in zip((values, inverse, counts), expected, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs)
    (compiled,) = traced(lambda z: ops.unique(z, size=9), TIES, backend="cpu")
    np.testing.assert_array_equal(compiled[: len(expected[0])], expected[0])


@pytest.mark.parametrize("bad", [complex(NAN, 1), complex(1, NAN), complex(NAN, NAN)])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_nan_is_an_extreme_and_comes_last(bad, place):
    z = np.array([1 + 1j, 0.5 - 2j, 1 - 1j, -2 + 3j])
    z[place] = bad
    for name in ("max", "min"):
        function = getattr(ops, name)
        for (found,) in (at_once(function, z), traced(function, z, backend="cpu")):
            assert np.isnan(found.real) and np.isnan(found.imag)
    for name in ("maximum", "minimum", "less", "greater_equal", "sort", "argsort"):
        arrays = (z, z[::-1].copy()) if "sort" not in name else (z,)
        expected = at_once(getattr(ops, name), *arrays)
        close(traced(getattr(ops, name), *arrays, backend="cpu"), expected, 0)
    if np.isnan(bad.real):
        assert np.isnan(at_once(ops.sort, z)[0][-1])


@pytest.mark.parametrize("name, reduce", [("segment_max", np.maximum), ("segment_min", np.minimum)])
def test_extremes_of_segments(name, reduce):
    def function(z, places):
        return getattr(ops, name)(z, places, num_segments=3)

    places = np.array([0, 2, 0])
    empty = np.full(7, INF if name == "segment_min" else -INF, complex)
    expected = np.stack([reduce(TIES[0], TIES[2]), empty, TIES[1]])
    for (found,) in (at_once(function, TIES, places), traced(function, TIES, places)):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(traced(function, TIES, places, backend="cpu")[0], expected)


# ------------------------------------------------------------------- convolutions and pooling


@pytest.mark.parametrize("name, shapes, kwargs", [
    ("conv", ((2, 6, 5, 2), (3, 2, 2, 4)), {"padding": "same"}),
    ("conv", ((2, 9, 4), (3, 2, 6)), {"strides": 2}),
    ("conv_transpose", ((2, 3, 3, 2), (2, 2, 4, 2)), {"strides": 2}),
    ("depthwise_conv", ((1, 5, 5, 3), (2, 2, 3, 2)), {}),
    ("adaptive_average_pool", ((1, 6, 4, 2),), {"output_size": 2}),
])  # fmt: skip
def test_convolutions(double_precision, name, shapes, kwargs):
    import jax

    arrays = [numbers(*shape) for shape in shapes]

    def loss(module, *tensors):
        return module.sum(module.abs(getattr(module, name)(*tensors, **kwargs)))

    theirs = double_precision.ops
    expected = arrays_of(getattr(theirs, name)(*map(jax.numpy.asarray, arrays), **kwargs))
    close(at_once(lambda *z: getattr(ops, name)(*z, **kwargs), *arrays), expected, 1e-12)
    compiled = traced(lambda *z: getattr(ops, name)(*z, **kwargs), *arrays, backend="cpu")
    close(compiled, expected, 1e-12)
    slopes = jax_gradient(lambda *z: loss(theirs, *z), tuple(range(len(arrays))))(
        *map(jax.numpy.asarray, arrays)
    )
    close(gradients(lambda *z: loss(ops, *z), *arrays), arrays_of(list(slopes)), 1e-11)


def test_views():
    z = numbers(2, 3).astype("complex64")
    for dtype in ("float32", "int32", "uint8"):
        for (found,) in (
            at_once(lambda x, dtype=dtype: ops.view(x, dtype), z),
            traced(lambda x, dtype=dtype: ops.view(x, dtype), z, backend="cpu"),
        ):
            np.testing.assert_array_equal(found, z.view(dtype))
    parts = z.view("float32")
    np.testing.assert_array_equal(ops.view(parts, "complex64").numpy(), z)
    with pytest.raises(ShapeError, match="no multiple of 2"):
        ops.view(parts[:, :3], "complex64")
    with pytest.raises(ShapeError, match="scalar"):
        ops.view(z[0, 0], "float32")
