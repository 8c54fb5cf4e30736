"""keras.ops.linalg against Keras on JAX in double precision: at once, compiled, in ONNX Runtime."""

import math

import numpy as np
import pytest

from graphc.errors import ShapeError
from graphc.keras import ops
from tests.keras.computing import arrays_of, at_once, gradients, jax_gradient, traced
from tests.keras.precise import close

RNG = np.random.default_rng(50)


def normal(*shape):
    return RNG.normal(size=shape)


def positive(*shape):
    x = normal(*shape)
    return x @ np.swapaxes(x, -1, -2) + shape[-1] * np.eye(shape[-1])


def regular(*shape):
    return normal(*shape) + 3 * np.eye(*shape[-2:])


RANK_TWO = normal(5, 2) @ normal(2, 4)
SYMMETRIC = positive(4, 4) - 6 * np.eye(4)

#: Functions with one right answer.
CASES = [
    ("cholesky", (positive(4, 4),), {}),
    ("cholesky", (positive(2, 1, 3, 3),), {"upper": True}),
    ("cholesky_inverse", (np.linalg.cholesky(positive(4, 4)),), {}),
    ("cholesky_inverse", (np.linalg.cholesky(positive(3, 3)).T,), {"upper": True}),
    ("det", (regular(4, 4),), {}),
    ("det", (normal(2, 3, 3),), {}),
    ("det", (normal(3, 2, 2),), {}),
    ("det", (normal(1, 1),), {}),
    ("det", (np.ones((5, 5)),), {}),
    ("slogdet", (normal(4, 4),), {}),
    ("slogdet", (normal(2, 3, 3),), {}),
    ("slogdet", (np.zeros((3, 3)),), {}),
    ("logdet", (positive(3, 4, 4),), {}),
    ("inv", (regular(4, 4),), {}),
    ("inv", (regular(2, 1, 3, 3),), {}),
    ("inv", (normal(1, 1),), {}),
    ("solve", (regular(4, 4), normal(4)), {}),
    ("solve", (regular(4, 4), normal(4, 2)), {}),
    ("solve", (regular(2, 3, 3), normal(2, 3, 1)), {}),
    ("solve", (regular(2, 3, 3), normal(3, 2)), {}),
    ("solve_triangular", (regular(4, 4), normal(4)), {}),
    ("solve_triangular", (regular(4, 4), normal(4, 2)), {"lower": True}),
    ("solve_triangular", (regular(2, 3, 3), normal(2, 3, 2)), {}),
    ("lu_factor", (normal(4, 4),), {}),
    ("lu_factor", (normal(2, 3, 3),), {}),
    ("lu_factor", (normal(5, 3),), {}),
    ("lu_factor", (normal(3, 5),), {}),
    ("qr", (normal(4, 4),), {}),
    ("qr", (normal(2, 5, 3),), {}),
    ("qr", (normal(3, 5),), {"mode": "complete"}),
    ("qr", (normal(5, 3),), {"mode": "complete"}),
    ("svd", (normal(2, 4, 3),), {"compute_uv": False}),
    ("svd", (RANK_TWO,), {"compute_uv": False}),
    ("matrix_rank", (RANK_TWO,), {}),
    ("matrix_rank", (np.stack([np.eye(3), np.ones((3, 3)), np.zeros((3, 3))]),), {}),
    ("matrix_rank", (np.diag([3.0, 0.5, 0.01]),), {"tol": 0.1}),
    ("pinv", (normal(4, 3),), {}),
    ("pinv", (normal(2, 3, 4),), {}),
    ("pinv", (RANK_TWO,), {}),
    ("pinv", (np.diag([3.0, 0.5, 0.01]),), {"rcond": 0.1}),
    ("lstsq", (normal(5, 3), normal(5)), {}),
    ("lstsq", (normal(3, 5), normal(3, 2)), {}),
    ("lstsq", (RANK_TWO, normal(5, 2)), {}),
    ("lstsq", (np.diag([3.0, 0.5, 0.01]), normal(3)), {"rcond": 0.1}),
    ("norm", (normal(3, 4),), {}),
    ("norm", (normal(2, 3, 4),), {}),
    *[("norm", (normal(3, 4),), {"ord": p, "axis": 1}) for p in (None, 0, 1, 2, 3, -1, -2, 0.5)],
    *[("norm", (normal(3, 4),), {"ord": p, "axis": 0, "keepdims": True})
      for p in (1, math.inf, -math.inf)],
    *[("norm", (normal(3, 4),), {"ord": p})
      for p in (None, "fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)],
    *[("norm", (normal(3, 2, 4),), {"ord": p, "axis": axis, "keepdims": keep})
      for p in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)
      for axis, keep in (((0, 2), False), ((2, 0), True), ((-1, 1), False))],
]  # fmt: skip

#: Their gradients are those of JAX, too.
SMOOTH = {
    "cholesky", "cholesky_inverse", "det", "inv", "logdet", "lstsq", "lu_factor", "norm", "pinv",
    "qr", "slogdet", "solve", "solve_triangular", "svd",
}  # fmt: skip


@pytest.mark.parametrize("name, args, kwargs", CASES)
def test_values(double_precision, name, args, kwargs):
    import jax.numpy as jnp

    # Keras rounds arrays of NumPy to float32, but not those of JAX.
    expected = arrays_of(getattr(double_precision.ops, name)(*map(jnp.asarray, args), **kwargs))

    def function(*tensors):
        return getattr(ops, name)(*tensors, **kwargs)

    close(at_once(function, *args), expected, 1e-11)
    close(traced(function, *args), expected, 1e-11)
    close(traced(function, *args, backend="cpu"), expected, 1e-11)


@pytest.mark.parametrize("name, args, kwargs", CASES[::3])
def test_values_in_single_precision_and_onnx(real_keras, name, args, kwargs):
    pytest.importorskip("onnxruntime")
    singles = [array.astype("float32") for array in args]
    expected = arrays_of(getattr(real_keras.ops, name)(*singles, **kwargs))

    def function(*tensors):
        return getattr(ops, name)(*tensors, **kwargs)

    close(at_once(function, *singles), expected, 2e-4)
    close(traced(function, *singles, backend="cpu"), expected, 2e-4)
    close(traced(function, *singles, backend="onnxruntime"), expected, 2e-4)


def is_smooth(name, args, kwargs):
    rows, columns = args[0].shape[-2:]
    if name in ("qr", "lu_factor") and (rows != columns):
        return name == "qr" and rows > columns and kwargs.get("mode") != "complete"
    singular = any(array is RANK_TWO for array in args)
    if name in ("det", "slogdet", "inv"):
        return bool(np.all(np.abs(np.linalg.det(args[0])) > 1e-9))
    if name == "lstsq" and "rcond" in kwargs:  # Keras differentiates the vectors that are cut off
        return False
    return name in SMOOTH and not (singular and name in ("svd", "norm", "lstsq"))


@pytest.mark.parametrize("name, args, kwargs", [case for case in CASES if is_smooth(*case)])
def test_gradients(double_precision, name, args, kwargs):
    import jax

    weights = {}

    def total(module, tensors):
        """A sum with weights, so that no symmetry hides an error."""
        result = arrays_like(getattr(module.ops, name)(*tensors, **kwargs))
        sums = []
        for i, leaf in enumerate(result):
            if "float" in str(leaf.dtype):
                key = (i, tuple(leaf.shape))
                values = np.random.default_rng(i).normal(size=leaf.shape)
                sums.append(module.ops.sum(leaf * weights.setdefault(key, values)))
        return sum(sums)

    import graphc.keras

    expected = jax_gradient(lambda *xs: total(double_precision, xs), tuple(range(len(args))))(
        *map(jax.numpy.asarray, args)
    )
    received = gradients(lambda *xs: total(graphc.keras, xs), *args)
    close(received, [np.asarray(array) for array in expected], 1e-5 if name == "norm" else 1e-8)


def arrays_like(result):
    return list(result) if isinstance(result, (tuple, list)) else [result]


# ------------------------------------------------ decompositions that are unique but for signs


def spectra():
    equal = np.diag([2.0, 2.0, 1.0])
    yield from (SYMMETRIC, positive(2, 1, 3, 3), equal, np.zeros((3, 3)), normal(1, 1))
    yield np.ones((4, 4))
    yield positive(33, 33)
    tiny = positive(4, 4)
    yield tiny * 1e-200
    yield tiny * 1e200


@pytest.mark.parametrize("x", [*spectra()])
@pytest.mark.parametrize("backend", ["at once", "cpu", "onnxruntime"])
def test_eigenvalues_of_symmetric_matrices(x, backend):
    if backend == "onnxruntime":
        pytest.importorskip("onnxruntime")
    w, v = at_once(ops.eigh, x) if backend == "at once" else traced(ops.eigh, x, backend=backend)
    scale = np.abs(x).max() or 1.0
    close([w / scale], [np.linalg.eigvalsh(x / scale)], 1e-12)
    close([np.swapaxes(v, -1, -2) @ v], [np.broadcast_to(np.eye(x.shape[-1]), x.shape)], 1e-12)
    product = v @ (w[..., None] / scale * np.swapaxes(v, -1, -2))
    np.testing.assert_allclose(product, x / scale, atol=1e-12 * len(x))


def rectangles():
    for shape in ((4, 4), (2, 5, 3), (3, 5), (1, 4), (4, 1), (33, 20)):
        yield normal(*shape)
    yield RANK_TWO
    yield RANK_TWO.T
    yield np.ones((4, 3))
    yield np.zeros((2, 3))
    yield np.diag([1.0, 1.0, 0.0])
    yield normal(3, 2) * 1e200
    yield normal(3, 2) * 1e-200


@pytest.mark.parametrize("x", [*rectangles()])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("backend", ["at once", "cpu"])
def test_singular_vectors(x, full, backend):
    def function(a):
        return ops.svd(a, full_matrices=full)

    u, s, vh = at_once(function, x) if backend == "at once" else traced(function, x, backend="cpu")
    inner = min(x.shape[-2:])
    scale = np.abs(x).max() or 1.0
    expected = np.linalg.svd(x / scale, compute_uv=False)
    np.testing.assert_allclose(s / scale, expected, atol=1e-13 * max(x.shape))
    assert u.shape[-1] == (x.shape[-2] if full else inner)
    assert vh.shape[-2] == (x.shape[-1] if full else inner)
    for basis in (u, np.swapaxes(vh, -1, -2)):
        product = np.swapaxes(basis, -1, -2) @ basis
        ones = np.broadcast_to(np.eye(product.shape[-1]), product.shape)
        np.testing.assert_allclose(product, ones, atol=1e-12)
    product = u[..., :inner] @ (s[..., None] / scale * vh[..., :inner, :])
    np.testing.assert_allclose(product, x / scale, atol=1e-12)


def test_signs_are_the_same_everywhere():
    x = normal(6, 4)

    def reduced(a):
        return ops.svd(a, full_matrices=False)

    for function in (reduced, lambda a: ops.eigh(ops.matmul(ops.transpose(a), a))):
        close(traced(function, x, backend="cpu"), at_once(function, x), 1e-11)
    u, _, _ = at_once(reduced, x)
    large = np.abs(u) >= 0.6180339887 * np.abs(u).max(axis=0)
    assert all(u[np.argmax(large[:, i]), i] > 0 for i in range(4))


# --------------------------------------------------------------------------------- odd operands


@pytest.mark.parametrize("name, shape, expected", [
    ("cholesky", (0, 0), [(0, 0)]),
    ("det", (2, 0, 0), [(2,)]),
    ("slogdet", (0, 0), [(), ()]),
    ("inv", (0, 3, 3), [(0, 3, 3)]),
    ("eigh", (0, 0), [(0,), (0, 0)]),
    ("svd", (0, 3), [(0, 0), (0,), (3, 3)]),
    ("qr", (3, 0), [(3, 0), (0, 0)]),
    ("pinv", (0, 3), [(3, 0)]),
    ("matrix_rank", (0, 3), [()]),
    ("lu_factor", (0, 2, 2), [(0, 2, 2), (0, 2)]),
])  # fmt: skip
def test_nothing(name, shape, expected):
    x = np.zeros(shape)
    results = at_once(getattr(ops, name), x)
    assert [array.shape for array in results] == expected
    close(traced(getattr(ops, name), x, backend="cpu"), results, 1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_gives_nan_in_its_matrix_only(bad):
    x = np.stack([positive(3, 3), positive(3, 3)])
    x[0, 1, 1] = bad
    for function in (ops.eigh, ops.svd):
        for results in (at_once(function, x), traced(function, x, backend="cpu")):
            for array in results:
                assert np.isnan(array[0]).all()
                assert np.isfinite(array[1]).all()


def test_singular_matrices_give_no_numbers():
    x = np.stack([np.ones((2, 2)), np.eye(2)])
    for results in (at_once(ops.inv, x), traced(ops.inv, x, backend="cpu")):
        assert not np.isfinite(results[0][0]).all()
        np.testing.assert_allclose(results[0][1], np.eye(2))


def test_a_matrix_that_is_not_positive_definite():
    x = np.array([[1.0, 2.0], [2.0, 1.0]])
    for operand in (x, ops.convert_to_tensor(x), x.tolist()):
        for _ in range(2):
            with pytest.raises(ValueError, match="not a positive definite"):
                ops.cholesky(operand)
    (result,) = traced(ops.cholesky, x, backend="cpu")
    np.testing.assert_array_equal(result, [[np.nan, 0], [np.nan, np.nan]])


@pytest.mark.parametrize("name", ["cholesky", "inv", "eigh", "solve", "pinv", "svd"])
def test_batches_of_any_size(name):
    arrays = [positive(3, 2, 2)] + ([normal(3, 2, 1)] if name == "solve" else [])
    expected = at_once(getattr(ops, name), *arrays)
    close(traced(getattr(ops, name), *arrays, batch=True, backend="cpu"), expected, 1e-11)


def test_dtypes():
    assert ops.inv([[2, 0], [0, 4]]).dtype == "float32"
    half = ops.cast([[2.0, 0.0], [0.0, 4.0]], "float16")
    assert ops.inv(half).dtype == "float16"
    assert ops.svd(half)[1].dtype == "float16"
    assert ops.lu_factor(half)[1].dtype == "int32"
    assert ops.matrix_rank(half).dtype == "int32"


def test_layers_of_a_model_use_them(real_keras):
    from graphc import keras

    inputs = keras.Input((3, 3))
    outputs = ops.solve(inputs @ ops.transpose(inputs, (0, 2, 1)) + ops.eye(3), inputs)
    model = keras.Model(inputs, ops.norm(outputs, axis=(1, 2), ord="nuc"))
    x = normal(5, 3, 3).astype("float32")
    inner = np.linalg.solve(x @ np.swapaxes(x, 1, 2) + np.eye(3), x)
    expected = np.linalg.norm(inner, ord="nuc", axis=(1, 2))
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4)


@pytest.mark.parametrize("call, message", [
    (lambda: ops.inv(np.ones((2, 3))), "non-square"),
    (lambda: ops.inv(np.ones(3)), "rank >= 2"),
    (lambda: ops.solve(np.eye(2), np.ones(3)), "incompatible shapes"),
    (lambda: ops.lstsq(np.ones((2, 2, 2)), np.ones(2)), "rank 2"),
    (lambda: ops.lstsq(np.ones((2, 2)), np.ones(3)), r"b.shape\[0\]"),
    (lambda: ops.norm(np.ones((2, 2, 2)), ord=1), "pass one axis"),
])  # fmt: skip
def test_shapes_that_do_not_fit(call, message):
    with pytest.raises(ShapeError, match=message):
        call()


@pytest.mark.parametrize("call, message", [
    (lambda: ops.qr(np.eye(2), mode="raw"), "mode=raw"),
    (lambda: ops.norm(np.eye(2), ord=3), "ord=3"),
    (lambda: ops.norm(np.ones(2), ord="fro"), "ord=fro"),
])  # fmt: skip
def test_values_that_mean_nothing(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_derivatives_along_a_direction(double_precision):
    import jax.numpy as jnp

    x, dx = regular(3, 3), normal(3, 3)
    y, dy = ops.jvp(ops.inv, (x,), (dx,))
    theirs = double_precision.ops.jvp(
        double_precision.ops.inv, (jnp.asarray(x),), (jnp.asarray(dx),)
    )
    close([y.numpy(), dy.numpy()], arrays_of(list(theirs)), 1e-12)
    y, dy, count = ops.linalg.jvp(lambda a: (ops.sum(a * a), 7), [x], [dx], has_aux=True)
    assert count == 7
    np.testing.assert_allclose(dy.numpy(), 2 * np.sum(x * dx))


def test_the_names_of_the_namespace(real_keras):
    theirs = {name for name in dir(real_keras.ops.linalg) if not name.startswith("_")}
    assert theirs <= {name for name in dir(ops.linalg) if hasattr(ops, name)}
