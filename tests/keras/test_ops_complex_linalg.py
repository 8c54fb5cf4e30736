"""Matrices of complex numbers, and eigenvalues of any matrix: at once, compiled, against Keras."""

import numpy as np
import pytest

from graphc import keras
from graphc.eager import GradientTape, as_tensor
from graphc.eager.function import function
from graphc.errors import UnsupportedError
from graphc.keras import ops
from tests.keras.computing import arrays_of, at_once, gradients, jax_gradient, traced
from tests.keras.precise import close

RNG = np.random.default_rng(71)


def real(*shape):
    return RNG.normal(size=shape)


def numbers(*shape):
    return real(*shape) + 1j * real(*shape)


def adjoint(x):
    return np.conj(np.swapaxes(x, -1, -2))


def assert_orthonormal(columns):
    product = adjoint(columns) @ columns
    ones = np.broadcast_to(np.eye(product.shape[-1]), product.shape)
    np.testing.assert_allclose(product, ones, atol=1e-12)


def in_both_ways(call, *arrays):
    """Results at once and compiled, which have to agree."""
    results = at_once(call, *arrays)
    close(traced(call, *arrays, backend="cpu"), results, 1e-11)
    return results


RANK_ONE = numbers(4, 1) @ numbers(1, 3)
SHAPES = [(4, 4), (2, 5, 3), (2, 4), (1, 1), (3, 1), (0, 2)]

#: Functions with one right answer.
CASES = [
    ("qr", (numbers(4, 4),), {}),
    ("qr", (numbers(2, 5, 3),), {}),
    ("qr", (numbers(3, 5),), {"mode": "complete"}),
    ("svd", (numbers(2, 4, 3),), {"compute_uv": False}),
    ("matrix_rank", (RANK_ONE,), {}),
    ("matrix_rank", (np.diag([3.0, 0.5j, 0.01]),), {"tol": 0.1}),
    ("pinv", (numbers(4, 3),), {}),
    ("pinv", (numbers(2, 3, 4),), {}),
    ("pinv", (RANK_ONE,), {}),
    ("lstsq", (numbers(5, 3), numbers(5)), {}),
    ("lstsq", (numbers(3, 5), numbers(3, 2)), {}),
    *[("norm", (numbers(3, 4),), {"ord": p}) for p in ("nuc", 2, -2)],
]


@pytest.mark.parametrize("name, args, kwargs", CASES)
def test_values(double_precision, name, args, kwargs):
    import jax.numpy as jnp

    expected = arrays_of(getattr(double_precision.ops, name)(*map(jnp.asarray, args), **kwargs))
    close(in_both_ways(lambda *z: getattr(ops, name)(*z, **kwargs), *args), expected, 1e-11)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("full", [False, True])
def test_singular_vectors(shape, full):
    x = numbers(*shape)
    if full and shape[-2] != shape[-1]:  # the vectors that complete a basis are not unique
        results = [at_once(ops.svd, x), traced(ops.svd, x, backend="cpu")]
    else:
        results = [in_both_ways(lambda z: ops.svd(z, full_matrices=full), x)]
    for u, s, vh in results:
        assert s.dtype == "float64"
        assert_orthonormal(u)
        assert_orthonormal(adjoint(vh))
        inner = s.shape[-1]
        product = (u[..., :inner] * s[..., None, :]) @ vh[..., :inner, :]
        np.testing.assert_allclose(product, x, atol=1e-12)


@pytest.mark.parametrize("x", [numbers(4, 4), numbers(2, 3, 3), numbers(1, 1), np.eye(3) * 2j])
def test_eigenvalues_of_hermitian_matrices(x):
    """Of others the Hermitian part is taken, as in Keras."""
    hermitian = (x + adjoint(x)) / 2
    for w, v in (at_once(ops.eigh, x), traced(ops.eigh, x, backend="cpu")):
        assert w.dtype == "float64"
        np.testing.assert_allclose(w, np.linalg.eigvalsh(hermitian), atol=1e-12)
        assert_orthonormal(v)
        np.testing.assert_allclose((v * w[..., None, :]) @ adjoint(v), hermitian, atol=1e-12)


def test_phases_are_the_same_everywhere():
    _, v = in_both_ways(ops.eigh, numbers(2, 5, 5))
    large = np.abs(v) >= 0.6180339887 * np.abs(v).max(axis=-2, keepdims=True)
    first = np.take_along_axis(v, np.argmax(large, axis=-2)[..., None, :], -2)
    np.testing.assert_allclose(first.imag, 0, atol=1e-14)
    assert (first.real > 0).all()


WEIGHTS = numbers(4, 4)


def projection(o, vectors):
    """What does not change when a vector is turned by a complex number."""
    return o.matmul(vectors[:, :2], o.conj(o.transpose(vectors[:, :2])))


def of_qr(o, a):
    q, r = o.qr(a)
    rows, columns = a.shape
    return o.sum(o.real(q * WEIGHTS[:rows, :columns]) + o.imag(WEIGHTS[0, 0] * o.sum(r)))


def of_eigh(o, a):
    w, v = o.eigh(a)
    return o.sum(w * np.arange(4)) + o.sum(o.real(projection(o, v) * WEIGHTS))


def of_svd(o, a):
    u, s, vh = o.svd(a, full_matrices=False)
    rows, columns = a.shape
    total = o.sum(s * np.arange(1, s.shape[0] + 1))
    total = total + o.sum(o.imag(projection(o, u) * WEIGHTS[:rows, :rows]))
    return total + o.sum(o.real(o.matmul(u, vh) * WEIGHTS[:rows, :columns]))


def of_pinv(o, a):
    rows, columns = a.shape
    return o.sum(o.real(o.pinv(a) * WEIGHTS[:columns, :rows]))


@pytest.mark.parametrize("loss, shape", [
    (of_qr, (4, 4)), (of_qr, (4, 3)), (of_eigh, (4, 4)), (of_svd, (4, 4)), (of_svd, (4, 3)),
    (of_svd, (3, 4)), (of_pinv, (4, 3)), (of_pinv, (3, 4)),
])  # fmt: skip
def test_gradients(double_precision, loss, shape):
    """Those of JAX, and along a direction those of finite differences."""
    import jax

    class Theirs:
        def __getattr__(self, name):
            return getattr(jax.numpy, name, None) or getattr(jax.numpy.linalg, name)

    a, direction, step = numbers(*shape), numbers(*shape), 1e-5
    expected = jax_gradient(lambda z: loss(Theirs(), z))(jax.numpy.asarray(a))
    (received,) = gradients(lambda z: loss(ops, z), a)
    close([received], [np.asarray(expected)], 1e-11)
    ends = [float(loss(ops, a + sign * step * direction)) for sign in (1, -1)]
    slope = (received * direction).sum().real
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * step), rtol=1e-6)


# ------------------------------------------------------------------------------- eigenvalues


def matrices():
    yield from (real(4, 4), real(2, 3, 3), numbers(5, 5), real(1, 1), real(0, 0), numbers(2, 0, 0))
    yield real(2, 2) * 1e250
    yield np.roll(np.eye(5), 1, 0)  # roots of unity
    yield np.array([[0.0, 1], [-1, 0]])
    yield np.array([[0, 0, 0, -24.0], [1, 0, 0, 50], [0, 1, 0, -35], [0, 0, 1, 10]])  # 1, 2, 3, 4
    yield np.triu(real(4, 4))
    yield real(20, 20)


@pytest.mark.parametrize("a", [*matrices()])
@pytest.mark.parametrize("backend", ["at once", "reference", "cpu"])
def test_eigenvalues_of_any_matrix(a, backend):
    w, v = at_once(ops.eig, a) if backend == "at once" else traced(ops.eig, a, backend=backend)
    assert w.dtype == v.dtype == "complex128"
    scale = np.abs(a).max(initial=0) or 1
    np.testing.assert_allclose(
        a / scale @ v, v * (w / scale)[..., None, :], atol=1e-13 * (len(a) + 9)
    )
    close([w], [at_once(ops.eig, a)[0]], 1e-11)
    np.testing.assert_allclose(np.linalg.norm(v, axis=-2), np.ones(w.shape), rtol=1e-12)


def test_defective_matrices_have_fewer_vectors():
    a = np.eye(25, k=1)
    for w, v in (at_once(ops.eig, a), traced(ops.eig, a, backend="cpu")):
        np.testing.assert_allclose(w, 0, atol=1e-12)
        np.testing.assert_allclose(a @ v, 0, atol=1e-12)


def test_eigenvalues_in_single_precision_and_onnx():
    pytest.importorskip("onnxruntime")
    a = real(2, 4, 4).astype("float32")
    expected = at_once(ops.eig, a)
    assert expected[0].dtype == "complex64"
    for backend in ("cpu", "onnxruntime"):
        close(traced(ops.eig, a, backend=backend), expected, 2e-5)


def test_only_matrices_that_are_not_finite_fail():
    a = real(3, 3, 3)
    a[1, 0, 2] = np.nan
    for w, v in (at_once(ops.eig, a), traced(ops.eig, a, backend="cpu")):
        assert np.isnan(w[1]).all() and np.isnan(v[1]).all()
        assert np.isfinite(w[[0, 2]]).all() and np.isfinite(v[[0, 2]]).all()


@pytest.mark.parametrize("a", [real(4, 4), numbers(3, 3)], ids=["real", "complex"])
def test_gradients_of_eigenvalues(double_precision, a):
    import jax

    def loss(o, values):
        return o.sum(o.real(values * values * values) + o.imag(values) ** 2)

    expected = jax_gradient(lambda x: loss(jax.numpy, jax.numpy.linalg.eigvals(x)))(
        jax.numpy.asarray(a)
    )
    received = gradients(lambda x: loss(ops, ops.eig(x)[0]), a)
    close(received, [np.asarray(expected)], 1e-10)
    x = as_tensor(a)
    with GradientTape() as tape:
        tape.watch(x)
        total = function(lambda x: loss(ops, ops.eig(x)[0]))(x)
    close([tape.gradient(total, x).numpy()], [np.asarray(expected)], 1e-10)


def test_eigenvectors_have_no_gradient():
    x = as_tensor(np.eye(2))
    with GradientTape() as tape:
        tape.watch(x)
        total = ops.sum(ops.abs(ops.eig(x)[1]))
    with pytest.raises(UnsupportedError, match="eigenvectors"):
        tape.gradient(total, x)


def test_models_and_compiled_functions_have_eigenvalues():
    a = real(5, 3, 3).astype("float32")
    inputs = keras.Input((3, 3))
    model = keras.Model(inputs, ops.abs(ops.eig(inputs)[0]))
    expected = np.abs(at_once(ops.eig, a)[0])
    np.testing.assert_allclose(model.predict(a, batch_size=2, verbose=0), expected, rtol=1e-4)
    compiled = function(lambda x: ops.abs(ops.eig(x)[0]))
    np.testing.assert_allclose(compiled(as_tensor(a)).numpy(), expected, rtol=1e-4)


# ------------------------------------------------------------------------------ determinants


def cofactors(a):
    """One determinant without a row and a column for each element."""
    size = len(a)
    result = np.empty_like(a)
    for i in range(size):
        for j in range(size):
            minor = np.delete(np.delete(a, i, 0), j, 1)
            result[i, j] = (-1) ** (i + j) * np.linalg.det(minor)
    return result


SINGULAR = np.stack([
    real(4, 3) @ real(3, 4),
    real(4, 2) @ real(2, 4),
    np.diag([1.0, 2, 0, 3]),
    np.ones((4, 4)),
    np.zeros((4, 4)),
    real(4, 4),
])  # fmt: skip


@pytest.mark.parametrize("a", [SINGULAR, SINGULAR[-1:], SINGULAR[:2] * (1 + 2j)])
def test_singular_matrices_have_a_gradient(a):
    """JAX's is the same, but where a pivot other than the last one is 0."""
    expected = np.stack([cofactors(matrix) for matrix in a])
    (received,) = gradients(lambda x: ops.real(ops.det(x)), a)
    np.testing.assert_allclose(received, expected, atol=1e-12 * np.abs(a).max() ** 3)
    x = as_tensor(a)
    with GradientTape() as tape:
        tape.watch(x)
        total = function(lambda x: ops.sum(ops.real(ops.det(x))))(x)
    compiled = tape.gradient(total, x).numpy()
    np.testing.assert_allclose(compiled, expected, atol=1e-12 * np.abs(a).max() ** 3)
