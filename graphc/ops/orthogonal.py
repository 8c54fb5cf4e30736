"""The QR decomposition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphc.errors import ShapeError, UnsupportedError
from graphc.ir import Node, Sample, TensorType, Value, is_complex, zeros_like
from graphc.ops.choice import Where
from graphc.ops.complex import Imag, Real
from graphc.ops.control import scan
from graphc.ops.elementwise import Sqrt, cast
from graphc.ops.family import like, wide
from graphc.ops.linalg import matmul
from graphc.ops.logic import And, Equal, Greater, GreaterOrEqual
from graphc.ops.matrix import (
    MatrixOp,
    adjoint,
    as_column,
    as_row,
    column,
    complex_matrices,
    conj,
    conjugated,
    diagonal_mask,
    identity,
    positions,
    real_part,
    scaled,
    squares_of,
    times,
    triangle,
)
from graphc.ops.movement import Concat, Iota, narrow, reshape_to
from graphc.ops.reduce import ReduceSum
from graphc.ops.triangular import TriangularSolve


class QR(MatrixOp):
    """``a = q @ r`` with orthonormal columns of ``q`` and upper triangular ``r``.

    With ``a`` of shape ``[..., m, n]`` and k the smaller size: ``[..., m, k]`` and ``[..., k, n]``.
    The signs are those of Householder's reflections, as in LAPACK, which make the diagonal of ``r``
    real, of complex matrices too.

    The gradient is that of Walter and Lehmann, "Algorithmic differentiation of linear algebra
    functions with application in optimum experimental design" (2018); the columns beyond a square
    matrix are the adjoint of ``q`` times those of ``a``. It needs the first k columns to be
    independent.

    Args:
        full: Whether ``q`` is square: ``[..., m, m]`` and ``[..., m, n]``.
    """

    full: bool = False

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType]:
        self.check(a)
        *batch, rows, columns = a.shape
        if not isinstance(rows, int) or not isinstance(columns, int):
            raise ShapeError("needs matrices of known size; only the axes before may be open")
        inner = rows if self.full else min(rows, columns)
        return a.with_shape((*batch, rows, inner)), a.with_shape((*batch, inner, columns))

    def evaluate(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        q, r = np.linalg.qr(wide(a), "complete" if self.full else "reduced")
        return q.astype(a.dtype), r.astype(a.dtype)

    def gradient(self, node: Node, dq: Value | None, dr: Value | None) -> Sequence[Value | None]:
        (a,) = node.inputs
        q, r = node.outputs
        rows, columns = self.known_sizes(a)
        if self.full and rows > columns:
            if dq is not None:
                raise UnsupportedError(
                    f"the columns that complete q are not unique, so they have no gradient; use "
                    f'the "reduced" mode for {a.type}'
                )
            q = narrow(q, q.rank - 1, 0, columns)
            r = narrow(r, r.rank - 2, 0, columns)
            dr = narrow(dr or zeros_like(node.outputs[1]), r.rank - 2, 0, columns)
        dq, dr = conj(dq or zeros_like(q)), conj(dr or zeros_like(r))
        if rows >= columns:
            return conjugated(_gradient(q, r, dq, dr))
        axis = a.rank - 1
        beyond = narrow(a, axis, rows, columns)
        dbeyond = narrow(dr, axis, rows, columns)
        dq = dq + matmul(beyond, adjoint(dbeyond))
        first = _gradient(q, narrow(r, axis, 0, rows), dq, narrow(dr, axis, 0, rows))
        return conjugated(Concat(axis)(first, matmul(q, dbeyond)))

    def decompose(self, a: Value) -> tuple[Value, Value]:
        """Householder's reflections: there for ``r``, and back again for ``q``."""
        rows, columns = self.known_sizes(a)
        inner = rows if self.full else min(rows, columns)
        if 0 in a.shape:
            return identity(a, rows, inner), zeros_like(narrow(a, a.rank - 2, 0, inner))
        matrix, scale = scaled(a)
        numbers = a.graph.apply(Iota((min(rows, columns),), 0, "int32"))

        def reflect(carries: list[Value], parts: list[Value], _: list[Value]) -> Any:
            (matrix,), (number,) = carries, parts
            vector, factor = reflection(column(matrix, number), number)
            return [reflected(matrix, vector, conj(factor))], [vector, factor]

        (upper,), (vectors, factors) = scan(reflect, [matrix], [numbers])

        def reflect_back(carries: list[Value], parts: list[Value], _: list[Value]) -> Any:
            return [reflected(carries[0], *parts)], []

        start = identity(a, rows, inner)
        (q,), _ = scan(reflect_back, [start], [vectors, factors], reverse=True)
        r = triangle(narrow(upper, a.rank - 2, 0, inner), lower=False)
        if is_complex(a.dtype):  # but for rounding errors it is so already
            on_diagonal = diagonal_mask(r.graph, inner, columns)
            r = Where()(on_diagonal, real_part(r), r)
        return q, times(r, scale)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(34)
        for dtype, shape in (
            ("float64", (4, 4)),
            ("float64", (2, 3, 3)),
            ("float64", (5, 3)),
            ("float64", (2, 3, 5)),
            ("float64", (1, 1)),
            ("float64", (4, 1)),
            ("float32", (7, 7)),
            ("float32", (2, 1, 3, 2)),
        ):
            for full in (False, True):
                a = rng.normal(size=shape).astype(dtype)
                smooth = not full or shape[-2] <= shape[-1]
                yield Sample(cls(full), (a,), differentiable=smooth)
        for shape in ((0, 0), (0, 2, 2), (2, 0), (0, 3)):
            yield Sample(cls(), (np.ones(shape),))
        triangular = np.array([[2.0, 1.0, 3.0], [0.0, -1.0, 1.0], [0.0, 0.0, 0.0]])
        yield Sample(cls(), (triangular,), differentiable=False)
        for a in complex_matrices((3, 3), (2, 4, 2), (2, 3), (1, 1), (0, 2)):
            yield Sample(cls(), (a,))
            yield Sample(cls(full=True), (a,))
        yield Sample(cls(), (np.array([[3e30, 1e30], [1e30, -4e30]], np.float32),))


def _gradient(q: Value, r: Value, dq: Value, dr: Value) -> Value:
    """The cotangent of a matrix with at least as many rows as columns."""
    inner = matmul(r, adjoint(dr)) - matmul(adjoint(dq), q)
    below = triangle(inner, lower=True, strict=True)
    on_diagonal = diagonal_mask(inner.graph, *inner.shape[-2:])
    symmetric = Where()(on_diagonal, real_part(inner), below + adjoint(below))
    return adjoint(TriangularSolve(lower=False)(r, adjoint(dq + matmul(q, symmetric))))


def reflection(x: Value, number: Value) -> tuple[Value, Value]:
    """The vector v, with 1 at ``number``, and the factor f, of the reflection ``1 - f v v*``.

    Its adjoint makes the elements of ``x`` behind ``number`` zero, and the one there real. Where
    they are so already, f is 0.

    Args:
        x: Vectors, along the last axis.
        number: A place in them, a scalar.
    """
    axis = x.rank - 1
    places = reshape_to(positions(x.graph, x.shape[-1], -1), (x.shape[-1],))
    zero, one = like(x, 0), like(x, 1)

    def total(y: Value) -> Value:
        return ReduceSum((axis,), keep=True)(y)

    here = Equal()(places, number)
    tail = Where()(Greater()(places, number), x, zero)
    head = total(Where()(here, x, zero))
    rest = total(squares_of(tail))
    size = Sqrt()(squares_of(head) + rest)
    real = Real()(head) if is_complex(x.dtype) else head
    target = cast(Where()(GreaterOrEqual()(real, like(real, 0)), -size, size), x.dtype)
    flat = Equal()(rest, like(rest, 0))
    if is_complex(x.dtype):
        flat = And()(flat, Equal()(Imag()(head), like(rest, 0)))
    factor = Where()(flat, zero, (target - head) / Where()(flat, one, target))
    vector = tail / Where()(flat, one, head - target)
    return Where()(here, one, vector), factor


def reflected(x: Value, vector: Value, factor: Value) -> Value:
    """``x - factor vector (vector* x)``: the reflection of the columns of ``x``."""
    return x - as_column(vector * factor) * matmul(as_row(conj(vector)), x)
