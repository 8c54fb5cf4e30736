"""The singular value decomposition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from graphc.errors import ShapeError, UnsupportedError
from graphc.ir import Node, Sample, TensorType, Value, zeros_like
from graphc.ops.choice import Where
from graphc.ops.family import like
from graphc.ops.linalg import matmul
from graphc.ops.logic import LessOrEqual
from graphc.ops.matrix import (
    MatrixOp,
    as_column,
    as_row,
    column_signs,
    diagonal_mask,
    diagonal_matrix,
    diagonal_of,
    each_matrix,
    identity,
    scaled,
    sign_of_columns,
    swap,
)
from graphc.ops.movement import Concat, expand_to, narrow, reshape_to
from graphc.ops.orthogonal import QR
from graphc.ops.rotations import orthogonalized


@dataclass(frozen=True)
class SVD(MatrixOp):
    """``a = u @ diag(s) @ vt`` with orthonormal columns of ``u`` and rows of ``vt``, ``s`` falling.

    With ``a`` of shape ``[..., m, n]`` and k the smaller size: ``[..., m, k]``, ``[..., k]`` and
    ``[..., k, n]``. Of each column of ``u`` the first large element is positive (see
    `graphc.ops.matrix.column_signs`), so that all backends give the same vectors.

    The gradient is that of Townsend, "Differentiating the singular value decomposition" (2016).
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
            a.with_shape((*batch, inner)),
            a.with_shape((*batch, right, columns)),
        )

    def evaluate(self, a: np.ndarray) -> tuple[np.ndarray, ...]:
        def decompose(x: np.ndarray) -> tuple[np.ndarray, ...]:
            if not np.isfinite(x).all():
                raise np.linalg.LinAlgError("no singular values of NaN and infinity")
            return tuple(np.linalg.svd(x, full_matrices=self.full))

        u, s, vt = each_matrix(decompose, a.astype(np.float64))
        v = np.swapaxes(vt, -1, -2)
        inner = s.shape[-1]
        signs = column_signs(u[..., :inner])
        signed = [np.concatenate([x[..., :inner] * signs, x[..., inner:]], -1) for x in (u, v)]
        parts = (signed[0], s, np.swapaxes(signed[1], -1, -2))
        return tuple(part.astype(a.dtype, order="C") for part in parts)

    def gradient(
        self, node: Node, du: Value | None, ds: Value | None, dvt: Value | None
    ) -> Sequence[Value]:
        (a,) = node.inputs
        u, s, vt = node.outputs
        rows, columns = self.known_sizes(a)
        inner = min(rows, columns)
        if self.full and rows != columns:
            if du is not None or dvt is not None:
                raise UnsupportedError(
                    f"the vectors that complete u or v are not unique, so they have no gradient; "
                    f"use full_matrices=False for {a.type}"
                )
            u, vt = narrow(u, u.rank - 1, 0, inner), narrow(vt, vt.rank - 2, 0, inner)
        middle = diagonal_matrix(ds) if ds is not None else zeros_like(matmul(vt, swap(vt)))
        sides = []
        if du is not None:
            turned = matmul(swap(u), du)
            middle = middle + _between(turned, s) * as_row(s)
            if rows > inner:
                sides.append(matmul((du - matmul(u, turned)) / as_row(s), vt))
        if dvt is not None:
            turned = matmul(vt, swap(dvt))
            middle = middle + _between(turned, s) * as_column(s)
            if columns > inner:
                sides.append(matmul(u, (dvt - matmul(swap(turned), vt)) / as_column(s)))
        da = matmul(matmul(u, middle), vt)
        for side in sides:
            da = da + side
        return (da,)

    def decompose(self, a: Value) -> tuple[Value, Value, Value]:
        """One-sided Jacobi: rotations that make the columns orthogonal to each other."""
        rows, columns = self.known_sizes(a)
        if 0 in a.shape:
            left, inner, right = (type.shape for type in self.infer(a.type))
            singular = expand_to(a.graph.constant(0, a.dtype), inner)
            return identity(a, *left[-2:]), singular, identity(a, *right[-2:])
        if rows < columns:
            v, s, ut = SVD(self.full)(swap(a))
            signs = sign_of_columns(narrow(swap(ut), a.rank - 1, 0, rows))
            return swap(_signed(ut, signs)), s, _signed(swap(v), signs)
        matrix, scale = scaled(a)
        s, vt, products = orthogonalized(matrix)
        # NaN if the matrix holds NaN or infinity, else 0.
        failure = scale * 0.0
        vt, products = vt + failure, products + failure
        scale, failure = (reshape_to(x, (*s.shape[:-1], 1)) for x in (scale, failure))
        s = s * scale + failure
        q, r = QR(self.full)(swap(products))
        # q holds the directions of the products, but for their signs; it is orthonormal even where
        # singular values are 0.
        directions = Where()(diagonal_of(_square(r)) < 0.0, like(s, -1), like(s, 1))
        u = _signed(swap(q), swap(as_column(directions)))
        signs = sign_of_columns(narrow(swap(u), a.rank - 1, 0, columns))
        return swap(_signed(u, signs)), s, _signed(vt, signs)

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
        for shape in ((0, 0), (0, 2, 2), (2, 0), (0, 3)):
            yield Sample(cls(), (np.ones(shape),))
            yield Sample(cls(full=True), (np.ones(shape),), differentiable=False)


@dataclass(frozen=True)
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
        u, s, vt = SVD().evaluate(a.astype(np.float64))
        small = s <= self.rcond * s.max(axis=-1, keepdims=True, initial=0)
        inverse = np.where(small, 0, 1 / np.where(small, 1, s))
        product = np.swapaxes(vt, -1, -2) @ (inverse[..., None] * np.swapaxes(u, -1, -2))
        return product.astype(a.dtype)

    def gradient(self, node: Node, dp: Value) -> Sequence[Value]:
        (a,) = node.inputs
        p = node.output
        rows, columns = a.shape[-2:]
        outside = identity(a, rows) - matmul(a, p)
        beside = identity(a, columns) - matmul(p, a)
        da = -matmul(swap(p), matmul(dp, swap(p)))
        da = da + matmul(matmul(outside, swap(dp)), matmul(p, swap(p)))
        return (da + matmul(matmul(swap(p), p), matmul(swap(dp), beside)),)

    def decompose(self, a: Value) -> Value:
        if 0 in a.shape:
            return expand_to(a.graph.constant(0, a.dtype), self.infer(a.type).shape)
        u, s, vt = SVD()(a)
        largest = narrow(s, s.rank - 1, 0, 1)
        small = LessOrEqual()(s, largest * self.rcond)
        inverse = Where()(small, like(s, 0), 1.0 / Where()(small, like(s, 1), s))
        return matmul(swap(vt), as_column(inverse) * swap(u))

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
        yield Sample(cls(1e-6), (np.eye(3),))
        yield Sample(cls(1e-6), (np.ones((3, 2)),), differentiable=False)


def _between(turned: Value, s: Value) -> Value:
    """The antisymmetric part, divided by the differences of the squares of singular values."""
    size = s.shape[-1]
    on_diagonal = diagonal_mask(s.graph, size, size)
    gaps = (as_row(s) - as_column(s)) * (as_row(s) + as_column(s))
    part = (turned - swap(turned)) / Where()(on_diagonal, like(gaps, 1), gaps)
    return Where()(on_diagonal, like(part, 0), part)


def _signed(x: Value, signs: Value) -> Value:
    """The first rows multiplied by signs, of which there may be fewer (given as one row)."""
    axis = x.rank - 2
    count, size = signs.shape[-1], x.shape[axis]
    if count == size:
        return x * swap(signs)
    first, rest = narrow(x, axis, 0, count), narrow(x, axis, count, size)
    return Concat(axis)(first * swap(signs), rest)


def _square(r: Value) -> Value:
    return narrow(r, r.rank - 2, 0, r.shape[-1])
