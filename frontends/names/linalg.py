"""``graphc.linalg``: matrices under TensorFlow's names.

See https://www.tensorflow.org/api_docs/python/tf/linalg. Matrices are the last two axes; what
stands before them is a batch.
"""

from __future__ import annotations

from typing import Any

from graphc.eager import Tensor, as_tensor
from graphc.errors import ShapeError
from graphc.keras import ops
from graphc.keras.ops.arguments import float_tensor
from graphc.keras.ops.recording import operation
from graphc.names.adapt import composed, missing_name, public_names, renamed, takes_name
from graphc.names.creation import eye  # noqa: F401 (a name of this module, too)
from graphc.names.dtypes import name_of
from graphc.names.math import global_norm, l2_normalize  # noqa: F401 (the same)
from graphc.names.shape import known_sizes

tensordot = renamed(ops.tensordot, "a b axes")


@takes_name
def einsum(equation: str, *inputs: Any, optimize: Any = None) -> Any:
    """Einstein's summation: each letter an axis; letters that the result lacks are summed over.

    Args:
        equation: Such as ``"bij,bjk->bik"``.
        *inputs: A tensor for each term.
        optimize: Accepted, and ignored.
    """
    return ops.einsum(equation, *inputs)


def _turned(x: Any, transposed: bool, adjoint: bool) -> Any:
    if transposed and adjoint:
        raise ValueError("a matrix is either transposed or made adjoint, not both")
    if adjoint:
        return matrix_transpose(x, conjugate=True)
    return matrix_transpose(x) if transposed else x


@takes_name
def matrix_transpose(a: Any, conjugate: bool = False) -> Any:
    """The last two axes exchanged, complex elements conjugated on demand."""
    result = ops.swapaxes(a, -2, -1)
    return ops.conj(result) if conjugate else result


@takes_name
def adjoint(matrix: Any) -> Any:
    """The conjugate transpose."""
    return matrix_transpose(matrix, conjugate=True)


@composed
def matmul(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    transpose_b: bool = False,
    adjoint_a: bool = False,
    adjoint_b: bool = False,
    a_is_sparse: bool = False,
    b_is_sparse: bool = False,
    output_type: Any = None,
) -> Any:
    """The product of matrices.

    Args:
        a: Matrices.
        b: Matrices.
        transpose_a: Whether ``a`` is transposed first.
        transpose_b: Whether ``b`` is.
        adjoint_a: Whether ``a`` is transposed and conjugated first.
        adjoint_b: Whether ``b`` is.
        a_is_sparse: Accepted, and ignored.
        b_is_sparse: Accepted, and ignored.
        output_type: Element type of the result.

    Raises:
        ShapeError: One of them is no matrix, or they do not fit.
    """
    for operand in (a, b):
        if len(ops.shape(operand)) < 2:
            raise ShapeError(
                f"matmul: needs matrices. Received: shape={ops.shape(operand)}; "
                "graphc.linalg.matvec multiplies a matrix by a vector"
            )
    product = ops.matmul(_turned(a, transpose_a, adjoint_a), _turned(b, transpose_b, adjoint_b))
    return product if output_type is None else ops.cast(product, name_of(output_type))


@composed
def matvec(a: Any, b: Any, transpose_a: bool = False, adjoint_a: bool = False) -> Any:
    """The product of matrices and vectors."""
    column = ops.expand_dims(b, -1)
    return ops.squeeze(ops.matmul(_turned(a, transpose_a, adjoint_a), column), -1)


@takes_name
def trace(x: Any) -> Any:
    """The sum of the diagonal."""
    return ops.trace(x, 0, -2, -1)


@takes_name
def diag_part(input: Any, k: int = 0) -> Any:
    """The k-th diagonal."""
    return ops.diagonal(input, k, -2, -1)


tensor_diag_part = diag_part


@takes_name
@operation
def diag(diagonal: Any, k: int = 0) -> Tensor:
    """Matrices with vectors on their k-th diagonal, zeros elsewhere."""
    x = as_tensor(diagonal)
    size = x.dims[-1]
    lines = ops.expand_dims(x, -1) * ops.cast(ops.eye(size), x.dtype)
    if not k:
        return lines
    widths = ((max(-k, 0), max(k, 0)), (max(k, 0), max(-k, 0)))
    return ops.pad(lines, (*[(0, 0)] * (x.ndim - 1), *widths))


@takes_name
def tensor_diag(diagonal: Any) -> Any:
    """The matrix with a vector on its diagonal."""
    return ops.diag(diagonal)


@takes_name
@operation
def set_diag(input: Any, diagonal: Any, k: int = 0) -> Tensor:
    """Matrices with other numbers on the main diagonal."""
    if k:
        raise ValueError("set_diag: only the main diagonal, k=0")
    x = as_tensor(input)
    rows, columns = x.dims[-2:]
    on = ops.eye(rows, columns, dtype="bool")
    values = ops.cast(diagonal, x.dtype)
    # Along whichever side is longer, the diagonal is too short by this much.
    spread = ops.expand_dims(values, -1) if columns <= rows else ops.expand_dims(values, -2)
    axis = -2 if columns <= rows else -1
    missing = (rows - columns) if columns <= rows else (columns - rows)
    widths: list[tuple[int, Any]] = [(0, 0)] * spread.ndim
    widths[axis] = (0, missing)
    return ops.where(on, ops.pad(spread, widths), x)


@takes_name
@operation
def band_part(input: Any, num_lower: int, num_upper: int) -> Tensor:
    """A band around the diagonal; zeros elsewhere. A negative number keeps the whole triangle."""
    x = as_tensor(input)
    rows = ops.expand_dims(ops.arange(x.dims[-2]), 1)
    columns = ops.expand_dims(ops.arange(x.dims[-1]), 0)
    below = (rows - columns <= num_lower) if num_lower >= 0 else (rows >= 0)
    above = (columns - rows <= num_upper) if num_upper >= 0 else (rows >= 0)
    return ops.where(ops.logical_and(below, above), x, ops.zeros_like(x))


@takes_name
@operation
def norm(tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: Any = None) -> Tensor:
    """The norm of vectors, or of matrices where ``axis`` names two axes.

    Args:
        tensor: A tensor; all of it is one vector unless ``axis`` says otherwise.
        ord: ``"euclidean"``, ``"fro"``, 1, 2, infinity or another positive number.
        axis: The axes.
        keepdims: Whether the axes stay, with size 1.
    """
    x = float_tensor(tensor)
    keep = bool(keepdims)
    if ord in ("euclidean", "fro"):
        return ops.sqrt(ops.sum(ops.square(ops.absolute(x)), _axes(axis), keep))
    if axis is None:
        x, axis = ops.reshape(x, (-1,)), 0
        result = ops.norm(x, ord, 0, False)
        return ops.reshape(result, (1,) * as_tensor(tensor).ndim) if keep else result
    return ops.norm(x, ord, _axes(axis), keep)


def _axes(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, (list, tuple)) else axis


@takes_name
def normalize(tensor: Any, ord: Any = "euclidean", axis: Any = None) -> tuple[Any, Any]:
    """A tensor divided by its `norm`, and the norm with the axes kept."""
    length = norm(tensor, ord, axis, True)
    return ops.true_divide(tensor, length), length


@takes_name
def cross(a: Any, b: Any) -> Any:
    """The cross product of vectors of three numbers along the last axis."""
    return ops.cross(a, b)


# ----------------------------------------------------------------------------- decompositions


@takes_name
def det(input: Any) -> Any:
    """The determinant."""
    return ops.det(input)


@takes_name
def inv(input: Any, adjoint: bool = False) -> Any:
    """The inverse, or that of the adjoint."""
    return ops.inv(_turned(input, False, adjoint))


@takes_name
def cholesky(input: Any) -> Any:
    """The lower triangular factor of positive definite matrices."""
    return ops.cholesky(input)


@takes_name
def qr(input: Any, full_matrices: bool = False) -> Any:
    """Orthogonal and upper triangular factors."""
    return ops.qr(input, "complete" if full_matrices else "reduced")


@takes_name
def svd(tensor: Any, full_matrices: bool = False, compute_uv: bool = True) -> Any:
    """Singular values, left and right vectors: ``(s, u, v)`` with ``x = u diag(s) v^H``.

    Args:
        tensor: Matrices.
        full_matrices: Whether the vectors make whole bases.
        compute_uv: Whether to compute the vectors; otherwise the values alone are given.
    """
    if not compute_uv:
        return ops.svd(tensor, full_matrices, False)
    u, s, vh = ops.svd(tensor, full_matrices)
    return s, u, matrix_transpose(vh, conjugate=str(vh.dtype).startswith("complex"))


@takes_name
def eigh(tensor: Any) -> Any:
    """Eigenvalues in rising order, and eigenvectors as columns, of self-adjoint matrices."""
    return ops.eigh(tensor)


@takes_name
def eigvalsh(tensor: Any) -> Any:
    """The eigenvalues of self-adjoint matrices in rising order."""
    return ops.eigh(tensor)[0]


@takes_name
def eig(tensor: Any) -> Any:
    """Complex eigenvalues, and eigenvectors as columns."""
    return ops.eig(tensor)


@takes_name
def eigvals(tensor: Any) -> Any:
    """The complex eigenvalues."""
    return ops.eig(tensor)[0]


@takes_name
def solve(matrix: Any, rhs: Any, adjoint: bool = False) -> Any:
    """The X for which ``matrix X = rhs``."""
    return ops.solve(_turned(matrix, False, adjoint), rhs)


@takes_name
def triangular_solve(matrix: Any, rhs: Any, lower: bool = True, adjoint: bool = False) -> Any:
    """`solve` for triangular matrices."""
    turned = _turned(matrix, False, adjoint)
    return ops.solve_triangular(turned, rhs, lower != adjoint)


@takes_name
def cholesky_solve(chol: Any, rhs: Any) -> Any:
    """`solve` for the matrix whose `cholesky` factor is given."""
    return triangular_solve(chol, triangular_solve(chol, rhs), adjoint=True)


@takes_name
def lstsq(matrix: Any, rhs: Any, l2_regularizer: float = 0.0, fast: bool = True) -> Any:
    """The X for which ``|matrix X - rhs|^2 + l2_regularizer |X|^2`` is smallest.

    Args:
        matrix: Matrices of full column rank, at least as tall as wide.
        rhs: Matrices.
        l2_regularizer: A number from 0 up.
        fast: Accepted, and ignored: it is always computed by `qr`.
    """
    x = float_tensor(matrix)
    if l2_regularizer:
        root = float(l2_regularizer) ** 0.5
        size = x.dims[-1]
        shape = (*x.dims[:-2], size, size)
        x = ops.concatenate([x, ops.broadcast_to(ops.eye(size, dtype=x.dtype) * root, shape)], -2)
        y = ops.cast(rhs, x.dtype)
        rhs = ops.concatenate([y, ops.zeros((*y.dims[:-2], size, y.dims[-1]), x.dtype)], -2)
    q, r = ops.qr(x)
    return ops.solve_triangular(r, ops.matmul(matrix_transpose(q), rhs), False)


@takes_name
def slogdet(input: Any) -> Any:
    """The sign and the logarithm of the absolute value of the determinant."""
    return ops.slogdet(input)


@takes_name
def logdet(matrix: Any) -> Any:
    """The logarithm of the determinant of positive definite matrices, by `cholesky`."""
    return 2.0 * ops.sum(ops.log(diag_part(ops.cholesky(matrix))), -1)


@takes_name
def pinv(a: Any, rcond: Any = None) -> Any:
    """The pseudo-inverse; singular values below ``rcond`` times the largest count as zero."""
    x = float_tensor(a)
    s, u, v = svd(x)
    if rcond is None:
        rows, columns = known_sizes(x, "pinv", -2)
        epsilon = 2.0**-52 if x.dtype == "float64" else 2.0**-23
        rcond = 10.0 * max(rows, columns) * epsilon
    kept = s > rcond * ops.max(s, -1, keepdims=True)
    inverse = ops.where(kept, 1.0 / ops.where(kept, s, 1.0), 0.0)
    return ops.matmul(v * ops.expand_dims(inverse, -2), matrix_transpose(u))


@takes_name
def matrix_rank(a: Any, tol: Any = None) -> Any:
    """How many singular values are larger than a tolerance."""
    x = float_tensor(a)
    s = svd(x, compute_uv=False)
    if tol is None:
        epsilon = 2.0**-52 if x.dtype == "float64" else 2.0**-23
        tol = ops.max(s, -1, keepdims=True) * max(known_sizes(x, "matrix_rank", -2)) * epsilon
    return ops.sum(ops.cast(s > tol, "int32"), -1)


__all__ = public_names(globals())


def __getattr__(name: str) -> Any:
    raise missing_name("graphc.linalg", name, __all__)
