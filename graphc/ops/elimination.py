"""Gaussian elimination: the LU decomposition, and systems of linear equations through it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir import Node, Sample, TensorType, Value, is_complex, zeros_like
from graphc.ir.dims import Dim
from graphc.ops.choice import Where
from graphc.ops.complex import Imag, Real
from graphc.ops.control import scan
from graphc.ops.elementwise import Abs
from graphc.ops.family import like, wide
from graphc.ops.linalg import matmul
from graphc.ops.logic import Equal, Greater, GreaterOrEqual
from graphc.ops.matrix import (
    MatrixOp,
    as_column,
    as_row,
    column,
    each_matrix,
    identity,
    positions,
    row,
    swap,
    take_rows,
    triangle,
)
from graphc.ops.movement import Concat, Iota, Transpose, expand_to, narrow, reshape_to
from graphc.ops.reduce import ArgMax, ReduceSum
from graphc.ops.triangular import TriangularSolve


class LU(MatrixOp):
    """``p @ a = l @ u`` with partial pivoting; ``a`` of shape ``[..., m, n]``, k the smaller size.

    Results are ``l`` below the diagonal (on it are ones) and ``u`` on and above it in one matrix;
    the int32 row with which each of the first k rows was exchanged, in order; and the order of the
    rows that comes of it, int32 ``[..., m]``.

    A column without a pivot is left as it is. The gradient follows from ``dl = l tril(x, -1)``,
    ``du = triu(x) u`` with ``x = l^-1 p da u^-1``; the sides of a matrix that is not square follow
    from the square part.
    """

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType, TensorType]:
        self.check(a)
        *batch, rows, _ = a.shape
        pivots = TensorType((*batch, _smaller(a.shape)), "int32")
        return a, pivots, TensorType((*batch, rows), "int32")

    def evaluate(self, a: np.ndarray) -> tuple[np.ndarray, ...]:
        *batch, rows, columns = a.shape
        count = math.prod(batch)
        lu = wide(a).reshape(count, rows, columns)
        pivots = np.zeros((count, min(rows, columns)), np.int32)
        order = np.tile(np.arange(rows, dtype=np.int32), (count, 1))
        for i in range(min(rows, columns)):
            size = np.abs(lu[:, i:, i].real) + np.abs(lu[:, i:, i].imag)
            pivots[:, i] = i + np.argmax(size, axis=1)
            for rows_of in (lu, order):
                _exchange(rows_of, i, pivots[:, i])
            below, divisor = lu[:, i + 1 :, i], lu[:, i, i, None]
            below /= np.where(divisor == 0, 1, divisor)
            lu[:, i + 1 :, i + 1 :] -= below[:, :, None] * lu[:, i, None, i + 1 :]
        shapes = (a.shape, (*batch, min(rows, columns)), (*batch, rows))
        parts = zip((lu.astype(a.dtype), pivots, order), shapes, strict=True)
        return tuple(part.reshape(shape) for part, shape in parts)

    def gradient(
        self, node: Node, dlu: Value | None, *rest: Value | None
    ) -> Sequence[Value | None]:
        if dlu is None:
            return (None,)
        lu, _, order = node.outputs
        rows, columns = self.known_sizes(lu)
        size = min(rows, columns)
        square = _part(lu, 0, size, 0, size)
        factor, upper = _unit_lower(square), triangle(square, lower=False)
        dsquare = _part(dlu, 0, size, 0, size)
        dfactor, dupper = triangle(dsquare, True, strict=True), triangle(dsquare, False)
        sides = []
        if rows > size:  # l2 = a2 u^-1
            below, dbelow = (_part(x, size, rows, 0, size) for x in (lu, dlu))
            side = _over_transposed(dbelow, upper)
            dupper = dupper - triangle(matmul(swap(below), side), lower=False)
            sides.append((side, lu.rank - 2))
        if columns > size:  # u2 = l^-1 a2
            right, dright = (_part(x, 0, size, size, columns) for x in (lu, dlu))
            side = TriangularSolve(transpose=True, unit=True)(factor, dright)
            dfactor = dfactor - triangle(matmul(side, swap(right)), True, strict=True)
            sides.append((side, lu.rank - 1))
        inner = triangle(matmul(swap(factor), dfactor), True, strict=True)
        inner = inner + triangle(matmul(dupper, swap(upper)), lower=False)
        inner = TriangularSolve(transpose=True, unit=True)(factor, inner)
        da = _over_transposed(inner, upper)
        for side, axis in sides:
            da = Concat(axis)(da, side)
        return (take_rows(da, inverse_order(order)),)

    def decompose(self, a: Value) -> tuple[Value, ...]:
        """A column of ``l`` and a row of ``u`` in each step."""
        rows, columns = a.shape[-2:]
        batch = a.shape[:-2]
        order = expand_to(a.graph.apply(Iota((rows,), 0, "int32")), (*batch, rows))
        if 0 in a.shape:
            pivots = a.graph.apply(Iota((*batch, _smaller(a.shape)), len(batch), "int32"))
            return a, pivots, order
        numbers = a.graph.apply(Iota((_smaller(a.shape),), 0, "int32"))

        def step(carries: list[Value], parts: list[Value], _: list[Value]) -> Any:
            (lu, order), (number,) = carries, parts
            places = reshape_to(positions(lu.graph, rows, -1), (rows,))
            size = _size(column(lu, number))
            size = Where()(GreaterOrEqual()(places, number), size, like(size, -1))
            pivot = ArgMax(size.rank - 1)(size)
            here, there = Equal()(places, number), Equal()(places, as_column(pivot))
            order = _exchanged(order, here, there, axis=-1)
            lu = _exchanged(lu, as_column(here), as_column(there), axis=-2)
            top, left = row(lu, number), column(lu, number)
            divisor = ReduceSum((left.rank - 1,), keep=True)(Where()(here, left, like(left, 0)))
            multiple = Where()(Equal()(divisor, like(divisor, 0)), left, left / divisor)
            below = as_column(Greater()(places, number))
            line = positions(lu.graph, columns, -1)
            reduced = lu - as_column(multiple) * as_row(top)
            changed = Where()(Greater()(line, number), reduced, lu)
            changed = Where()(Equal()(line, number), as_column(multiple), changed)
            return [Where()(below, changed, lu), order], [pivot]

        (lu, order), (pivots,) = scan(step, [a, order], [numbers])
        return lu, _last_axis(pivots), order

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(32)
        for dtype, shape in (
            ("float64", (4, 4)),
            ("float64", (2, 3, 3)),
            ("float64", (5, 3)),
            ("float64", (2, 3, 5)),
            ("float64", (1, 1)),
            ("float32", (9, 9)),
            ("float32", (2, 1, 3, 3)),
            ("float64", (0, 0)),
            ("float64", (0, 2, 2)),
            ("float64", (2, 0)),
        ):
            yield Sample(cls(), (rng.normal(size=shape).astype(dtype),))
        singular = np.array([[0.0, 1.0, 2.0], [0.0, 3.0, 4.0], [0.0, 5.0, 6.0]])
        yield Sample(cls(), (singular,), differentiable=False)


class Solve(MatrixOp):
    """``x`` with ``a @ x = b``; shapes ``[..., n, n]`` and ``[..., n, k]``.

    A singular ``a`` gives infinities and NaN.
    """

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        self.check(a, b, square=True)
        if a.shape[:-1] != b.shape[:-1]:
            raise ShapeError("the right-hand sides need the batch and the rows of the matrices")
        return b

    def evaluate(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        x = each_matrix(np.linalg.solve, wide(a), wide(b))
        return np.asarray(x).astype(b.dtype)

    def gradient(self, node: Node, dx: Value) -> Sequence[Value]:
        a, _ = node.inputs
        db = Solve()(swap(a), dx)
        return -matmul(db, swap(node.output)), db

    def decompose(self, a: Value, b: Value) -> Value:
        """Elimination, then substitution down and up."""
        if 0 in b.shape:
            return zeros_like(b)
        lu, _, order = LU()(a)
        y = TriangularSolve(lower=True, unit=True)(lu, take_rows(b, order))
        return TriangularSolve(lower=False)(lu, y)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(33)
        for dtype, shape, columns in (
            ("float64", (4, 4), 3),
            ("float64", (2, 3, 3), 1),
            ("float64", (1, 1), 2),
            ("float32", (5, 5), 2),
            ("float32", (2, 1, 3, 3), 1),
            ("float64", (0, 0), 2),
            ("float64", (0, 2, 2), 1),
            ("float64", (2, 2), 0),
        ):
            a = rng.normal(size=shape) + 2 * np.eye(shape[-1])
            b = rng.normal(size=(*shape[:-1], columns))
            yield Sample(cls(), (a.astype(dtype), b.astype(dtype)))


def _size(x: Value) -> Value:
    """How large pivots are; of complex ones the sum of the parts, as in LAPACK."""
    return Abs()(Real()(x)) + Abs()(Imag()(x)) if is_complex(x.dtype) else Abs()(x)


def _exchange(rows: np.ndarray, first: int, second: np.ndarray) -> None:
    """Exchange one row of each matrix with another, in place."""
    each = np.arange(len(rows))
    rows[each, second], rows[:, first] = rows[:, first].copy(), rows[each, second]


def inverse_order(order: Value) -> Value:
    """The positions at which each number stands in vectors that hold every number once."""
    size = order.shape[-1]
    hit = Equal()(as_row(order), positions(order.graph, size, -2))
    places = Where()(hit, positions(order.graph, size, -1), like(order, 0))
    return ReduceSum((places.rank - 1,))(places)


def _smaller(shape: tuple[Dim, ...]) -> Dim:
    rows, columns = shape[-2:]
    if isinstance(rows, int) and isinstance(columns, int):
        return min(rows, columns)
    if rows == columns:
        return rows
    raise ShapeError("needs square matrices, or matrices of known size, to know the smaller side")


def _exchanged(x: Value, here: Value, there: Value, axis: int) -> Value:
    """``x`` with what stands in two places along an axis exchanged; masks say where those are."""
    place = x.rank + axis

    def at(mask: Value) -> Value:
        return ReduceSum((place,), keep=True)(Where()(mask, x, like(x, 0)))

    return Where()(here, at(there), Where()(there, at(here), x))


def _part(x: Value, top: int, bottom: int, left: int, right: int) -> Value:
    return narrow(narrow(x, x.rank - 2, top, bottom), x.rank - 1, left, right)


def _unit_lower(x: Value) -> Value:
    return triangle(x, lower=True, strict=True) + identity(x, x.shape[-1])


def _over_transposed(x: Value, upper: Value) -> Value:
    """``x @ upper.T^-1``."""
    return swap(TriangularSolve(lower=False)(upper, swap(x)))


def _last_axis(steps: Value) -> Value:
    """What a scan stacked in front, behind."""
    return Transpose((*range(1, steps.rank), 0))(steps)
