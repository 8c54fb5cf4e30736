"""The singular value decomposition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from graphc.errors import ShapeError, UnsupportedError
from graphc.ir import Node, Sample, TensorType, Value, is_complex, part_dtype, zeros_like
from graphc.ops.choice import Where
from graphc.ops.complex import Real
from graphc.ops.elementwise import cast
from graphc.ops.family import like, wide
from graphc.ops.linalg import matmul
from graphc.ops.logic import LessOrEqual
from graphc.ops.matrix import (
    MatrixOp,
    adjoint,
    as_column,
    as_row,
    column_directions,
    complex_matrices,
    conj,
    conjugated,
    diagonal_mask,
    diagonal_matrix,
    diagonal_of,
    direction_of_columns,
    each_matrix,
    identity,
    over,
    real_part,
    scaled,
    swap,
    times,
)
from graphc.ops.movement import Concat, expand_to, narrow, reshape_to
from graphc.ops.orthogonal import QR
from graphc.ops.rotations import orthogonalized


class SVD(MatrixOp):
    """``a = u @ diag(s) @ vt`` with orthonormal columns of ``u`` and rows of ``vt``, ``s`` falling.

    With ``a`` of shape ``[..., m, n]`` and k the smaller size: ``[..., m, k]``, ``[..., k]`` and
    ``[..., k, n]``; ``s`` is real. Of each column of ``u`` the first large element is positive (see
    `graphc.ops.matrix.column_directions`), so that all backends give the same vectors.

    The gradient is that of Townsend, "Differentiating the singular value decomposition" (2016), and
    of Wan and Zhang, "Automatic differentiation for complex valued SVD" (2019).
    Equal singular values make that of the vectors infinite or NaN, as these are not unique then;
    that of the singular values stays exact.

    Args:
        full: Whether ``u`` and ``vt`` are square; what completes them is any orthonormal basis.
    """

    full: bool = False

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType, TensorType]:
        self.check(a)
        *batch, rows, columns = a.shape
        if not isinstance(rows, int) or not isinstance(columns, int):
            raise ShapeError("needs matrices of known size; only the axes before may be open")
        inner = min(rows, columns)
        left, right = (rows, columns) if self.full else (inner, inner)
        return (
            a.with_shape((*batch, rows, left)),
            TensorType((*batch, inner), part_dtype(a.dtype)),
            a.with_shape((*batch, right, columns)),
        )

    def evaluate(self, a: np.ndarray) -> tuple[np.ndarray, ...]:
        def decompose(x: np.ndarray) -> tuple[np.ndarray, ...]:
            if not np.isfinite(x).all():
                raise np.linalg.LinAlgError("no singular values of NaN and infinity")
            return tuple(np.linalg.svd(x, full_matrices=self.full))

        u, s, vt = each_matrix(decompose, wide(a))
        inner = s.shape[-1]
        turn = column_directions(u[..., :inner])
        u = np.concatenate([u[..., :inner] * np.conj(turn), u[..., inner:]], -1)
        first, rest = vt[..., :inner, :], vt[..., inner:, :]
        vt = np.concatenate([np.swapaxes(turn, -1, -2) * first, rest], -2)
        s = s.astype(part_dtype(a.dtype.name))
        return u.astype(a.dtype, order="C"), s, vt.astype(a.dtype, order="C")

    def gradient(
        self, node: Node, du: Value | None, ds: Value | None, dvt: Value | None
    ) -> Sequence[Value | None]:
        (a,) = node.inputs
        u, s, vt = node.outputs
        du, dvt = conjugated(du, dvt)
        rows, columns = self.known_sizes(a)
        inner = min(rows, columns)
        if self.full and rows != columns:
            if du is not None or dvt is not None:
                raise UnsupportedError(
                    f"the vectors that complete u or v are not unique, so they have no gradient; "
                    f"use full_matrices=False for {a.type}"
                )
            u, vt = narrow(u, u.rank - 1, 0, inner), narrow(vt, vt.rank - 2, 0, inner)
        middle = zeros_like(matmul(vt, adjoint(vt)))
        if ds is not None:
            middle = diagonal_matrix(cast(ds, a.dtype))
        sides = []
        if du is not None:
            turned = matmul(adjoint(u), du)
            middle = middle + times(_between(turned, s), as_row(s))
            if is_complex(a.dtype):
                middle = middle + _phases(turned, s)
            if rows > inner:
                sides.append(matmul(over(du - matmul(u, turned), as_row(s)), vt))
        if dvt is not None:
            turned = matmul(vt, adjoint(dvt))
            middle = middle + times(_between(turned, s), as_column(s))
            if columns > inner:
                rest = dvt - matmul(adjoint(turned), vt)
                sides.append(matmul(u, over(rest, as_column(s))))
        da = matmul(matmul(u, middle), vt)
        for side in sides:
            da = da + side
        return conjugated(da)

    def decompose(self, a: Value) -> tuple[Value, Value, Value]:
        """One-sided Jacobi: rotations that make the columns orthogonal to each other."""
        rows, columns = self.known_sizes(a)
        if 0 in a.shape:
            left, inner, right = (type.shape for type in self.infer(a.type))
            singular = expand_to(a.graph.constant(0, part_dtype(a.dtype)), inner)
            return identity(a, *left[-2:]), singular, identity(a, *right[-2:])
        if rows < columns:
            v, s, ut = SVD(self.full)(adjoint(a))
            turn = direction_of_columns(narrow(adjoint(ut), a.rank - 1, 0, rows))
            return adjoint(_turned(ut, turn)), s, _turned(adjoint(v), turn)
        matrix, scale = scaled(a)
        s, vectors, products = orthogonalized(matrix)
        # NaN if the matrix holds NaN or infinity, else 0.
        failure = scale * 0.0
        vectors, products = (x + cast(failure, a.dtype) for x in (vectors, products))
        scale, failure = (reshape_to(x, (*s.shape[:-1], 1)) for x in (scale, failure))
        s = s * scale + failure
        q, r = QR(self.full)(swap(products))
        # q holds the directions of the products, but for their signs, as the diagonal of r is
        # real; it is orthonormal even where singular values are 0.
        diagonal = diagonal_of(narrow(r, r.rank - 2, 0, columns))
        real = Real()(diagonal) if is_complex(a.dtype) else diagonal
        signs = Where()(real < 0.0, like(diagonal, -1), like(diagonal, 1))
        u = adjoint(_turned(adjoint(q), as_row(signs)))
        turn = direction_of_columns(narrow(u, a.rank - 1, 0, columns))
        return adjoint(_turned(adjoint(u), turn)), s, _turned(conj(vectors), turn)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(36)
        for dtype, shape in (
            ("float64", (4, 4)),
            ("float64", (2, 3, 3)),
            ("float64", (5, 3)),
            ("float64", (2, 3, 4)),
            ("float64", (1, 1)),
            ("float64", (4, 1)),
            ("float32", (4, 4)),
            ("float32", (2, 1, 3, 2)),
        ):
            spread = 3 * np.eye(*shape[-2:]) * np.arange(1, shape[-1] + 1)
            a = (rng.normal(size=shape) + spread).astype(dtype)
            yield Sample(cls(), (a,))
            if shape[-2] == shape[-1]:
                yield Sample(cls(full=True), (a,))
        for a in complex_matrices((3, 3), (2, 4, 2), (2, 3), (1, 1), (0, 2)):
            yield Sample(cls(), (a,))
            if a.shape[-2] == a.shape[-1]:
                yield Sample(cls(full=True), (a,))
        for shape in ((0, 0), (0, 2, 2), (2, 0), (0, 3)):
            yield Sample(cls(), (np.ones(shape),))
            yield Sample(cls(full=True), (np.ones(shape),), differentiable=False)


class Pinv(MatrixOp):
    """The Moore-Penrose inverse of ``a``: shape ``[..., n, m]`` for ``[..., m, n]``.

    The gradient is that of Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear
    least squares problems whose variables separate" (1973): exact where the rank does not change
    and only zeros are cut off.

    Args:
        rcond: Singular values up to ``rcond`` times the largest one count as 0.
    """

    rcond: float

    def infer(self, a: TensorType) -> TensorType:
        self.check(a)
        *batch, rows, columns = a.shape
        return a.with_shape((*batch, columns, rows))

    def evaluate(self, a: np.ndarray) -> np.ndarray:
        u, s, vt = SVD().evaluate(wide(a))
        small = s <= self.rcond * s.max(axis=-1, keepdims=True, initial=0)
        inverse = np.where(small, 0, 1 / np.where(small, 1, s))
        product = np.swapaxes(vt, -1, -2) @ (inverse[..., None] * np.swapaxes(u, -1, -2))
        return np.conj(product).astype(a.dtype)

    def gradient(self, node: Node, dp: Value) -> Sequence[Value | None]:
        (a,) = node.inputs
        p, dp = node.output, conj(dp)
        rows, columns = a.shape[-2:]
        outside = identity(a, rows) - matmul(a, p)
        beside = identity(a, columns) - matmul(p, a)
        da = -matmul(adjoint(p), matmul(dp, adjoint(p)))
        da = da + matmul(matmul(outside, adjoint(dp)), matmul(p, adjoint(p)))
        da = da + matmul(matmul(adjoint(p), p), matmul(adjoint(dp), beside))
        return conjugated(da)

    def decompose(self, a: Value) -> Value:
        if 0 in a.shape:
            return expand_to(a.graph.constant(0, a.dtype), self.infer(a.type).shape)
        u, s, vt = SVD()(a)
        largest = narrow(s, s.rank - 1, 0, 1)
        small = LessOrEqual()(s, largest * self.rcond)
        inverse = Where()(small, like(s, 0), 1.0 / Where()(small, like(s, 1), s))
        return matmul(adjoint(vt), times(adjoint(u), as_column(inverse)))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(37)
        for dtype, shape in (
            ("float64", (3, 3)),
            ("float64", (2, 4, 2)),
            ("float64", (2, 4)),
            ("float32", (3, 2)),
            ("float64", (0, 2)),
            ("float64", (0, 2, 2)),
        ):
            a = rng.normal(size=shape) + 2 * np.eye(*shape[-2:])
            yield Sample(cls(1e-6), (a.astype(dtype),))
        for a in complex_matrices((3, 3), (2, 4, 2), (2, 3), (0, 2)):
            yield Sample(cls(1e-6), (a,))
        yield Sample(cls(1e-6), (np.eye(3),))
        yield Sample(cls(1e-6), (np.ones((3, 2)),), differentiable=False)


def _between(turned: Value, s: Value) -> Value:
    """The antisymmetric part, divided by the differences of the squares of singular values."""
    size = s.shape[-1]
    on_diagonal = diagonal_mask(s.graph, size, size)
    gaps = (as_row(s) - as_column(s)) * (as_row(s) + as_column(s))
    part = over(turned - adjoint(turned), Where()(on_diagonal, like(gaps, 1), gaps))
    return Where()(on_diagonal, like(part, 0), part)


def _phases(turned: Value, s: Value) -> Value:
    """What turning a complex column of ``u`` on its own adds, which a row of ``vt`` undoes."""
    imaginary = turned - real_part(turned)
    on_diagonal = diagonal_mask(s.graph, s.shape[-1], s.shape[-1])
    divisor = as_row(Where()(s > 0.0, s, like(s, 1)))
    return Where()(on_diagonal, over(imaginary, divisor), like(turned, 0))


def _turned(x: Value, directions: Value) -> Value:
    """The first rows multiplied by directions, of which there may be fewer (given as one row)."""
    axis = x.rank - 2
    count, size = directions.shape[-1], x.shape[axis]
    if count == size:
        return x * swap(directions)
    first, rest = narrow(x, axis, 0, count), narrow(x, axis, count, size)
    return Concat(axis)(first * swap(directions), rest)
