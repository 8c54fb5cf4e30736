"""Matrices: https://keras.io/api/ops/linalg/.

The last two axes are rows and columns; all axes before them are a batch. Elements are real or
complex numbers. Where a decomposition is unique only up to signs, or to complex numbers of size 1,
graphc chooses them itself (see `graphc.ops.matrix.column_directions`): the same ones at once,
compiled and in ONNX, but not those that happen to come out of another library.

Matrices of integers are computed in `floatx`, those of half precision in float32 and rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.eager import Tensor, apply, apply_function, as_tensor, cast, transforms
from graphc.eager.dispatch import refuse_plan
from graphc.eager.tensor import promoted
from graphc.errors import ShapeError
from graphc.ir import is_complex, part_dtype
from graphc.ir.dims import Dim, Shape, broadcast_shapes
from graphc.keras.ops.arguments import float_tensor, many_axes, reshaped
from graphc.keras.ops.complex import conjugate
from graphc.keras.ops.creation import eye
from graphc.keras.ops.elementwise import absolute, divide_no_nan, log, not_equal, power, sign, sqrt
from graphc.keras.ops.movement import (
    broadcast_to,
    concatenate,
    expand_dims,
    moveaxis,
    squeeze,
    swapaxes,
)
from graphc.keras.ops.products import matmul
from graphc.keras.ops.recording import operation
from graphc.keras.ops.reduction import count_nonzero, prod
from graphc.keras.ops.reduction import max as reduce_max
from graphc.keras.ops.reduction import min as reduce_min
from graphc.keras.ops.reduction import sum as reduce_sum
from graphc.ops.determinant import Det, signed_diagonal
from graphc.ops.eigen import Eig, Eigh
from graphc.ops.elimination import LU, Solve
from graphc.ops.orthogonal import QR
from graphc.ops.singular import SVD, Pinv
from graphc.ops.triangular import Cholesky, TriangularSolve

__all__ = [
    "cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "jvp", "logdet", "lstsq",
    "lu_factor", "matrix_rank", "norm", "pinv", "qr", "slogdet", "solve", "solve_triangular",
    "svd",
]  # fmt: skip

_HALF = ("float16", "bfloat16")


def _matrix(x: Any, function: str, square: bool = False) -> Tensor:
    """A matrix of single or double precision, real or complex.

    Raises:
        ShapeError: There are less than two axes, or not as many rows as columns.
    """
    tensor = float_tensor(x)
    if tensor.ndim < 2:
        raise ShapeError(
            f"{function}: expected input to have rank >= 2. "
            f"Received input with shape {tensor.shape}."
        )
    rows, columns = tensor.dims[-2:]
    if square and rows != columns:
        raise ShapeError(
            f"{function}: expected a square matrix. "
            f"Received non-square input with shape {tensor.shape}"
        )
    return cast(tensor, "float32") if tensor.dtype in _HALF else tensor


def _given(x: Any) -> str:
    """The dtype of results for an operand: its own, if it is a float."""
    return float_tensor(x).dtype


@operation
def cholesky(x: Any, upper: bool = False) -> Tensor:
    """The triangular factor of symmetric positive definite matrices.

    Of a matrix that is not symmetric, its symmetric part is taken.

    Args:
        x: Tensor of shape ``(..., M, M)``.
        upper: Whether to give ``u`` with ``u.T @ u = x`` rather than ``l`` with ``l @ l.T = x``.

    Returns:
        Tensor of shape ``(..., M, M)``. In a compiled program a matrix that is not positive
        definite gives NaN.

    Raises:
        ValueError: A matrix is not positive definite, where elements are known.

    Example:
        >>> keras.ops.cholesky([[4.0, 2.0], [2.0, 3.0]])
    """
    refuse_plan()  # whether there is an error depends on the elements
    factor = apply(Cholesky(), _matrix(x, "cholesky", square=True))
    if not factor.is_symbolic and np.isnan(factor.numpy()).any():
        raise ValueError(
            "Cholesky decomposition failed: the input is not a positive definite matrix. "
            f"Received input with shape {factor.shape}"
        )
    return cast(_adjoint(factor) if upper else factor, _given(x))


def _adjoint(x: Tensor) -> Tensor:
    """The transposed matrices, conjugated."""
    return conjugate(swapaxes(x, -2, -1))


@operation
def cholesky_inverse(x: Any, upper: bool = False) -> Tensor:
    """The inverse of a positive definite matrix from its Cholesky factor.

    Args:
        x: The factor, of shape ``(..., M, M)``, as `cholesky` gives it.
        upper: Whether it is the upper one.

    Example:
        >>> inverse = keras.ops.cholesky_inverse(keras.ops.cholesky(a))
    """
    factor = _matrix(x, "cholesky_inverse", square=True)
    inverse = apply(TriangularSolve(lower=not upper), factor, _identity(factor))
    turned = _adjoint(inverse)
    product = matmul(inverse, turned) if upper else matmul(turned, inverse)
    return cast(product, _given(x))


def _identity(like: Tensor) -> Tensor:
    """Identity matrices in the batch and with the dtype of square matrices."""
    size = like.dims[-1]
    if not isinstance(size, int):
        raise ShapeError(f"the sizes of the matrices have to be known. Received: {like.shape}")
    return broadcast_to(eye(size, dtype=like.dtype), like.dims)


@operation
def inv(x: Any) -> Tensor:
    """The inverse of square matrices; a singular one gives infinities or NaN.

    Example:
        >>> keras.ops.inv([[2.0, 0.0], [0.0, 4.0]])
    """
    matrix = _matrix(x, "inv", square=True)
    return cast(apply(Solve(), matrix, _identity(matrix)), _given(x))


@operation
def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """A function's value, and its derivative along a direction.

    Args:
        fun: The function of the primals.
        primals: A tuple or a list of its arguments, tensors or structures of them.
        tangents: The direction: the same structures.
        has_aux: Whether the function returns a pair of the value and something else.

    Returns:
        The value, and a structure like it with the derivatives; with ``has_aux`` also what else
        the function returned.

    Example:
        >>> y, dy = keras.ops.jvp(keras.ops.sin, (0.1,), (1.0,))
    """
    others: list[Any] = []

    def value(*arguments: Any) -> Any:
        result = fun(*arguments)
        if not has_aux:
            return result
        others[:] = result[1:]
        return result[0]

    found = transforms.jvp(value, tuple(primals), tuple(tangents))
    return (*found, *others)


@operation
def det(x: Any) -> Tensor:
    """The determinant of square matrices: shape ``(..., M, M)`` to ``(...)``.

    The gradient is the matrix of cofactors, also for singular matrices.
    """
    matrix = _matrix(x, "det", square=True)
    if matrix.dims[-1] in (2, 3):  # a polynomial, whose derivatives of all orders exist everywhere
        found = _small_determinant(matrix)
    else:
        found = apply(Det(), matrix)
    return cast(found, _given(x))


def _small_determinant(x: Tensor) -> Tensor:
    """Expansion along the first row."""
    size = x.shape[-1]
    if size == 1:
        return x[..., 0, 0]
    total: Any = 0
    for i in range(size or 0):
        minor = _small_determinant(concatenate([x[..., 1:, :i], x[..., 1:, i + 1 :]], -1))
        total = total + x[..., 0, i] * minor if i % 2 == 0 else total - x[..., 0, i] * minor
    return total


@operation
def slogdet(x: Any) -> tuple[Tensor, Tensor]:
    """Sign and natural logarithm of the absolute value of the determinant of square matrices.

    Returns:
        Two tensors of shape ``(...)``: 1, -1 (or a complex number of that size), or 0 for a
        singular matrix, whose logarithm is -infinity.
    """
    matrix = _matrix(x, "slogdet", square=True)
    signs, diagonals = apply_function(signed_diagonal, matrix)
    sizes = absolute(diagonals)
    if is_complex(matrix.dtype):
        turns = divide_no_nan(diagonals, cast(sizes, matrix.dtype))
    else:
        turns = sign(diagonals)
    logarithm = reduce_sum(log(sizes), -1)
    signs = cast(signs, matrix.dtype)
    return cast(signs * prod(turns, -1), _given(x)), cast(logarithm, part_dtype(_given(x)))


@operation
def logdet(x: Any) -> Tensor:
    """The natural logarithm of the absolute value of the determinant of square matrices."""
    return slogdet(x)[1]


@operation
def solve(a: Any, b: Any) -> Tensor:
    """The ``x`` with ``a @ x = b``; a singular ``a`` gives infinities or NaN.

    Args:
        a: Tensor of shape ``(..., M, M)``.
        b: Tensor of shape ``(M,)``, ``(..., M)`` or ``(..., M, N)``. Where both of the last could
            be meant, it is matrices.

    Raises:
        ShapeError: The shapes do not fit.

    Example:
        >>> keras.ops.solve([[1.0, 2.0], [4.0, 5.0]], [3.0, 6.0])
    """
    return _solved("solve", Solve(), a, b, matrices_first=True)


@operation
def solve_triangular(a: Any, b: Any, lower: bool = False) -> Tensor:
    """The ``x`` with ``a @ x = b`` for triangular ``a``, of which the other half is not read.

    Args:
        a: Tensor of shape ``(..., M, M)``.
        b: Tensor of shape ``(..., M)`` or ``(..., M, N)``. Where both could be meant, it is
            vectors.
        lower: Whether the lower triangle counts rather than the upper one.

    Raises:
        ShapeError: The shapes do not fit.
    """
    return _solved("solve_triangular", TriangularSolve(lower=lower), a, b, matrices_first=False)


def _solved(function: str, op: Any, a: Any, b: Any, matrices_first: bool) -> Tensor:
    x, y = promoted(a, b)
    matrix, dtype = _matrix(x, function, square=True), _given(x)
    right = cast(float_tensor(y), matrix.dtype)
    size = matrix.dims[-1]
    fits = right.ndim > 1 and right.dims[-2] == size
    vectors = right.ndim == 1 or (
        matrix.ndim == right.ndim + 1 and right.dims[-1] == size and not (fits and matrices_first)
    )
    if right.ndim == 0 or right.dims[-1 if vectors else -2] != size:
        raise ShapeError(
            f"{function}: incompatible shapes between `a` and `b`: `b` needs {size} rows. "
            f"Received: a.shape={matrix.shape}, b.shape={right.shape}"
        )
    right = expand_dims(right, -1) if vectors else right
    batch = broadcast_shapes(matrix.dims[:-2], right.dims[:-2])
    found = apply(op, _in_batch(matrix, batch), _in_batch(right, batch))
    return cast(squeeze(found, -1) if vectors else found, dtype)


def _in_batch(x: Tensor, batch: Shape) -> Tensor:
    shape: tuple[Dim, ...] = (*batch, *x.dims[-2:])
    return x if x.dims == shape else broadcast_to(x, shape)


@operation
def lu_factor(x: Any) -> tuple[Tensor, Tensor]:
    """The LU decomposition with partial pivoting.

    Args:
        x: Tensor of shape ``(..., M, N)``.

    Returns:
        A tensor of shape ``(..., M, N)`` with ``u`` on and above the diagonal and ``l``, whose
        diagonal is ones, below it; and for each of the first rows (int32) the row with which it
        was exchanged, in order.
    """
    lu, pivots, _ = apply(LU(), _matrix(x, "lu_factor"))
    return cast(lu, _given(x)), pivots


@operation
def qr(x: Any, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """The decomposition ``x = q @ r`` into orthonormal columns and an upper triangular matrix.

    Args:
        x: Tensor of shape ``(..., M, N)``; K is the smaller of the two.
        mode: ``"reduced"`` for shapes ``(..., M, K)`` and ``(..., K, N)``, or ``"complete"`` for
            ``(..., M, M)`` and ``(..., M, N)``.

    Raises:
        ValueError: Another mode.
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(
            "`mode` argument value not supported. Expected one of {'reduced', 'complete'}. "
            f"Received: mode={mode}"
        )
    q, r = apply(QR(mode == "complete"), _matrix(x, "qr"))
    return cast(q, _given(x)), cast(r, _given(x))


@operation
def eig(x: Any) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors (as columns) of any square matrices, as complex numbers.

    Eigenvalues rise along a line close to the real axis; of each eigenvector, which has length 1,
    the first large element is positive. Only eigenvalues have a gradient.

    Returns:
        Tensors of shape ``(..., M)`` and ``(..., M, M)``, complex64 or complex128.

    Example:
        >>> w, v = keras.ops.eig([[0.0, 1.0], [-1.0, 0.0]])
    """
    return apply(Eig(), _matrix(x, "eig", square=True))


@operation
def eigh(x: Any) -> tuple[Tensor, Tensor]:
    """Eigenvalues, rising, and eigenvectors (as columns) of symmetric or Hermitian matrices.

    Of a matrix that is not symmetric, its symmetric part is taken. The first large element of each
    eigenvector is positive.

    Returns:
        Tensors of shape ``(..., M)``, real, and ``(..., M, M)``.
    """
    w, v = apply(Eigh(), _matrix(x, "eigh", square=True))
    return cast(w, part_dtype(_given(x))), cast(v, _given(x))


@operation
def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """The singular value decomposition ``x = u @ diag(s) @ vh``.

    The first large element of each column of ``u`` is positive.

    Args:
        x: Tensor of shape ``(..., M, N)``; K is the smaller of the two.
        full_matrices: Whether ``u`` and ``vh`` are square, rather than ``(..., M, K)`` and
            ``(..., K, N)``.
        compute_uv: Whether to give them at all.

    Returns:
        ``u``, ``s`` (of shape ``(..., K)``, real, falling) and ``vh``; or ``s`` alone.
    """
    u, s, vh = apply(SVD(full_matrices and compute_uv), _matrix(x, "svd"))
    values = cast(s, part_dtype(_given(x)))
    return (cast(u, _given(x)), values, cast(vh, _given(x))) if compute_uv else values


def _epsilon(x: Tensor) -> float:
    return float(np.finfo(x.dtype).eps)


@operation
def matrix_rank(x: Any, tol: float | None = None) -> Tensor:
    """How many singular values of matrices are not 0, as int32.

    Args:
        x: Tensor of shape ``(..., M, N)``.
        tol: Up to which size they count as 0; None for the precision of the dtype, times the
            larger side, times the largest singular value.
    """
    matrix = _matrix(x, "matrix_rank")
    values = svd(matrix, compute_uv=False)
    if 0 in values.dims:
        return cast(reduce_sum(values, -1), "int32")
    if tol is None:
        largest = reduce_max(values, -1, keepdims=True)
        limit: Any = largest * (_larger_side(matrix) * _epsilon(matrix))
    else:
        limit = expand_dims(as_tensor(tol, values.dtype), -1)
    return count_nonzero(values > limit, -1)


def _larger_side(x: Tensor) -> int:
    rows, columns = x.shape[-2:]
    if rows is None or columns is None:
        raise ShapeError(f"the sizes of the matrices have to be known. Received: {x.shape}")
    return max(rows, columns)


@operation
def pinv(x: Any, rcond: float | None = None) -> Tensor:
    """The Moore-Penrose inverse of matrices: shape ``(..., M, N)`` to ``(..., N, M)``.

    Args:
        x: Tensor of shape ``(..., M, N)``.
        rcond: Singular values up to ``rcond`` times the largest one count as 0; None for ten times
            the larger side times the precision of the dtype.
    """
    matrix = _matrix(x, "pinv")
    limit = 10 * _larger_side(matrix) * _epsilon(matrix) if rcond is None else float(rcond)
    return cast(apply(Pinv(limit), matrix), _given(x))


@operation
def lstsq(a: Any, b: Any, rcond: float | None = None) -> Tensor:
    """The shortest ``x`` for which ``a @ x`` is closest to ``b``.

    Args:
        a: Tensor of shape ``(M, N)``.
        b: Tensor of shape ``(M,)`` or ``(M, K)``.
        rcond: Singular values of ``a`` below ``rcond`` times the largest one count as 0; None for
            the larger side times the precision of the dtype.

    Returns:
        Tensor of shape ``(N,)`` or ``(N, K)``.

    Raises:
        ShapeError: The shapes do not fit.
    """
    x, y = promoted(a, b)
    matrix, right = _matrix(x, "lstsq"), float_tensor(y)
    if matrix.ndim != 2:
        raise ShapeError(f"lstsq: expected a to have rank 2. Received: a.shape={matrix.shape}")
    if right.ndim not in (1, 2):
        raise ShapeError(f"lstsq: expected b to have rank 1 or 2. Received: b.shape={right.shape}")
    if right.dims[0] != matrix.dims[0]:
        raise ShapeError(
            "lstsq: expected b.shape[0] to be equal to a.shape[0]. "
            f"Received: a.shape={matrix.shape}, b.shape={right.shape}"
        )
    if rcond is None:
        limit = _larger_side(matrix) * _epsilon(matrix)
    else:
        limit = _epsilon(matrix) if rcond < 0 else float(rcond)
    found = matmul(apply(Pinv(limit), matrix), cast(right, matrix.dtype))
    return cast(found, _given(x))


@operation
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """A norm of vectors (one axis), of matrices (two axes), or of everything.

    Args:
        x: A tensor.
        ord: Of vectors: None or 2 for the root of the sum of squares, infinity or -infinity for the
            largest or smallest absolute value, 0 for how many elements are not 0, another number p
            for the p-th root of the sum of the p-th powers of absolute values. Of matrices: None or
            ``"fro"`` for the root of the sum of squares, 1 or -1 for the largest or smallest sum
            of absolute values in a column, infinity or -infinity for that in a row, 2 or -2 for
            the largest or smallest singular value, ``"nuc"`` for the sum of the singular values.
        axis: The axis of the vectors, or the two axes of the matrices; None for all axes.
        keepdims: Whether the axes stay, with size 1.

    Raises:
        ValueError: There is no such norm.

    Example:
        >>> keras.ops.norm([[3.0, 4.0], [6.0, 8.0]], axis=1)
    """
    tensor = float_tensor(x)
    # Norms but those by singular values are those of the absolute values.
    size = absolute(tensor) if is_complex(tensor.dtype) else tensor
    if axis is None and ord is None:
        return sqrt(reduce_sum(size * size, None, keepdims))
    wanted = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
    axes = many_axes(axis, tensor.ndim, "norm")
    if axis is not None:  # in the order in which they were given: rows, then columns
        axes = tuple(int(place) % tensor.ndim for place in wanted)
    if len(axes) == 1:
        return _vector_norm(size, ord, axes[0], keepdims)
    if len(axes) == 2 and ord in ("nuc", 2, -2):
        return _spectral_norm(tensor, ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix_norm(size, ord, axes, keepdims)
    raise ShapeError(
        f"norm: pass one axis for a norm of vectors, or two for one of matrices. "
        f"Received: ord={ord}, axis={axis}, shape={tensor.shape}"
    )


def _vector_norm(x: Tensor, ord: Any, axis: int, keepdims: bool) -> Tensor:
    if isinstance(ord, str):
        raise ValueError(f"Invalid `ord` argument for vector norm. Received: ord={ord}")
    if ord in (None, 2):
        return sqrt(reduce_sum(x * x, axis, keepdims))
    size = absolute(x)
    if ord == math.inf:
        return reduce_max(size, axis, keepdims)
    if ord == -math.inf:
        return reduce_min(size, axis, keepdims)
    if ord == 0:
        return cast(reduce_sum(cast(not_equal(x, 0), x.dtype), axis, keepdims), x.dtype)
    if ord == 1:
        return reduce_sum(size, axis, keepdims)
    return power(reduce_sum(power(size, ord), axis, keepdims), 1 / ord)


def _spectral_norm(x: Tensor, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    values = svd(moveaxis(x, axes, (-2, -1)), compute_uv=False)
    reduce = {"nuc": reduce_sum, 2: reduce_max, -2: reduce_min}[ord]
    found = reduce(values, -1)
    if not keepdims:
        return found
    return reshaped(found, [1 if a in axes else d for a, d in enumerate(x.dims)])


def _matrix_norm(x: Tensor, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    row, column = axes
    if ord in (None, "fro"):
        return sqrt(reduce_sum(x * x, axes, keepdims))
    if ord not in (1, -1, math.inf, -math.inf):
        raise ValueError(f"Invalid `ord` argument for matrix norm. Received: ord={ord}")
    inner, outer = (row, column) if abs(ord) == 1 else (column, row)
    sums = reduce_sum(absolute(x), inner, keepdims=True)
    found = (reduce_max if ord > 0 else reduce_min)(sums, outer, keepdims=True)
    return found if keepdims else squeeze(found, axes)
