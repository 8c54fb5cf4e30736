"""Schur's form of complex matrices by shifted QR steps, and the eigenvectors that follow from it.

``a = z @ t @ z*`` with unitary z and upper triangular t, on whose diagonal the eigenvalues stand:
Golub and Van Loan, "Matrix Computations" (2013), chapter 7. Every matrix of a batch has a window of
its own, the rows in which elements below the diagonal are left; all take their steps together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir import Graph, Value, numpy_dtype, part_dtype, zeros_like
from graphc.ops.choice import Where
from graphc.ops.complex import Conj
from graphc.ops.control import scan, while_loop
from graphc.ops.elementwise import Max, Mod, Sqrt
from graphc.ops.family import like
from graphc.ops.linalg import matmul
from graphc.ops.logic import And, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Not, Or
from graphc.ops.matrix import (
    adjoint,
    as_column,
    as_row,
    column,
    diagonal_of,
    identity,
    length,
    over,
    positions,
    row,
    squares_of,
    steps_first,
    times,
    triangle,
)
from graphc.ops.movement import Iota, expand_to, narrow, reshape_to
from graphc.ops.orthogonal import reflected, reflection
from graphc.ops.reduce import ReduceMax, ReduceSum

#: Steps for each row (of ten at least). Two or three do, but for what never converges.
MOST_STEPS = 30
#: After so many steps in vain another shift is tried.
PATIENCE = 10


def eigensystem(a: Value) -> tuple[Value, Value]:
    """Eigenvalues, and eigenvectors of length 1 as columns; NaN where the steps do not converge.

    Args:
        a: Square complex matrices of known size, not empty, their elements of about 1.
    """
    t, z, success = _schur(a)
    w = diagonal_of(t)
    v = matmul(z, _triangular_vectors(t, w))
    v = over(v, length(v, v.rank - 2))
    return times(w, success), times(v, success if success.rank == 0 else as_row(success))


def _epsilon(x: Value) -> float:
    return float(np.finfo(numpy_dtype(part_dtype(x.dtype))).eps)


def _size(x: Value) -> Value:
    """Absolute values. No square overflows, and what underflows is negligible."""
    return Sqrt()(squares_of(x))


def _numbers(graph: Graph, count: int) -> Value:
    return graph.apply(Iota((count,), 0, "int32"))


def _schur(a: Value) -> tuple[Value, Value, Value]:
    """The triangular and the unitary matrix; 1, or ``(..., 1)`` of ones and NaN for failures."""
    size = a.shape[-1]
    assert isinstance(size, int)
    h, z = _hessenberg(a, size)
    one = a.graph.constant(1, part_dtype(a.dtype))
    zeros = expand_to(a.graph.constant(0, "int32"), (*a.shape[:-2], 1))
    if size == 1:
        return h, z, one

    def step(*carries: Value) -> list[Value]:
        h, z, before, steps, count = carries
        h, first, last = _window(h, size)
        steps = Where()(Equal()(last, before), steps + 1, like(steps, 0))
        shift = _shift(h, last, steps)
        numbers = _numbers(h.graph, size - 1)
        (h, z), _ = scan(_rotate, [h, z], [numbers], [first, last, shift])
        return [h, z, last, steps, count + 1]

    def unfinished(*carries: Value) -> Value:
        *_, last, _, count = carries
        left = ReduceMax(tuple(range(last.rank)))(last)
        return And()(left > 0, count < MOST_STEPS * max(10, size))

    start = (h, z, zeros + (size - 1), zeros, a.graph.constant(0, "int32"))
    h, z, last, *_ = while_loop(unfinished, step, *start)
    success = Where()(last > 0, like(one, np.nan), one)
    return triangle(h, lower=False), z, success


def _hessenberg(a: Value, size: int) -> tuple[Value, Value]:
    """``h`` with nothing below the first subdiagonal, and the unitary ``z`` of ``a = z h z*``."""
    start = [a, identity(a, size)]
    if size < 3:
        return start[0], start[1]

    def reflect(carries: list[Value], parts: list[Value], _: list[Value]) -> Any:
        (h, z), (number,) = carries, parts
        vector, factor = reflection(column(h, number), number + 1)
        h = reflected(h, vector, Conj()(factor))
        h, z = (adjoint(reflected(adjoint(x), vector, Conj()(factor))) for x in (h, z))
        return [h, z], []

    (h, z), _ = scan(reflect, start, [_numbers(a.graph, size - 2)])
    return h, z


def _window(h: Value, size: int) -> tuple[Value, Value, Value]:
    """``h`` without what is negligible below its diagonal; the window's first and last row.

    It is the lowest one that does not fall apart; ``(..., 1)`` each, both 0 where nothing is left.
    """
    axis = h.rank - 2
    diagonal = _size(diagonal_of(h))
    above, below = (narrow(diagonal, axis, i, size - 1 + i) for i in (0, 1))
    side = narrow(narrow(h, axis, 1, size), axis + 1, 0, size - 1)
    epsilon = _epsilon(h)
    limit = Max()(above + below, like(above, epsilon)) * epsilon
    small = LessOrEqual()(_size(diagonal_of(side)), limit)
    places = positions(h.graph, size - 1, -1, 1)
    zero = like(places, 0)

    def largest(where: Value) -> Value:
        return ReduceMax((axis,), keep=True)(Where()(where, places + 1, zero))

    last = largest(Not()(small))
    first = largest(And()(small, Less()(places, last)))
    rows, columns = (positions(h.graph, size, i) for i in (-2, -1))
    # The rows that a negligible element stands in, as columns of flags.
    cut = Equal()(rows, positions(h.graph, size - 1, -1) + 1)
    cut = ReduceMax((axis + 1,), keep=True)(Where()(And()(cut, as_row(small)), like(zero, 1), zero))
    kept = Or()(LessOrEqual()(rows, columns), And()(Equal()(rows, columns + 1), Equal()(cut, zero)))
    return Where()(kept, h, like(h, 0)), first, last


def _element(h: Value, rows: Value, columns: Value) -> Value:
    """One element of each matrix, ``(..., 1)``; 0 where its row is negative."""
    size = h.shape[-1]
    here = And()(
        Equal()(positions(h.graph, size, -2), as_row(rows)),
        Equal()(positions(h.graph, size, -1), as_row(columns)),
    )
    total = ReduceSum((h.rank - 2, h.rank - 1))(Where()(here, h, like(h, 0)))
    return reshape_to(total, rows.shape)


def _shift(h: Value, last: Value, steps: Value) -> Value:
    """The eigenvalue of the window's last two rows that is closer to the last element: Wilkinson's.

    Where that has not helped for long, it is moved away from there.
    """
    before = last - 1
    corner, beside = _element(h, last, last), _element(h, last, before)
    half = (_element(h, before, before) - corner) * 0.5
    product = _element(h, before, last) * beside
    root = Sqrt()(half * half + product)
    larger, other = half + root, half - root
    larger = Where()(GreaterOrEqual()(squares_of(larger), squares_of(other)), larger, other)
    nothing = Equal()(larger, like(larger, 0))
    step = Where()(nothing, larger, product / Where()(nothing, like(larger, 1), larger))
    stuck = And()(steps > 0, Equal()(Mod()(steps, like(steps, PATIENCE)), like(steps, 0)))
    moved = times(like(corner, 0.75), _size(beside))
    return corner + Where()(stuck, moved, -step)


def _rotate(carries: list[Value], parts: list[Value], constants: list[Value]) -> Any:
    """Rows and columns ``k`` and ``k + 1`` turned, so that what a shifted step put there moves on.

    ``h`` becomes ``g h g*`` and ``z`` becomes ``z g*``, with a rotation g in those two rows that
    makes the lower one of two elements zero: of column ``k - 1``, or at the head of the window of
    column ``k`` without the shift.
    """
    (h, z), (number,), (first, last, shift) = carries, parts, constants
    below = number + 1
    places = positions(h.graph, h.shape[-1], -1, 1)
    own = column(h, number)
    own = Where()(Equal()(places, number), own - shift, own)
    line = Where()(Equal()(first, number), own, column(h, Max()(number - 1, like(number, 0))))
    x, y = (
        ReduceSum((line.rank - 1,), keep=True)(Where()(Equal()(places, i), line, like(line, 0)))
        for i in (number, below)
    )
    size = Sqrt()(squares_of(x) + squares_of(y))
    inside = And()(LessOrEqual()(first, number), Greater()(last, number))
    inside = And()(inside, size > 0.0)
    size = Where()(inside, size, like(size, 1))
    x = Where()(inside, over(x, size), like(x, 1))
    y = Where()(inside, over(y, size), like(y, 0))
    pair = Conj()(x), Conj()(y)
    h = _put(h, -2, number, *_turned(row(h, number), row(h, below), *pair))
    h, z = (
        _put(m, -1, number, *_turned(column(m, number), column(m, below), x, y)) for m in (h, z)
    )
    return [h, z], []


def _turned(first: Value, second: Value, x: Value, y: Value) -> tuple[Value, Value]:
    """``x first + y second``, and what is orthogonal to it."""
    return first * x + second * y, second * Conj()(x) - first * Conj()(y)


def _put(m: Value, axis: int, number: Value, first: Value, second: Value) -> Value:
    """Matrices with two rows (axis -2) or columns (-1) that follow each other replaced."""
    places = positions(m.graph, m.shape[axis], axis)
    first, second = (as_row(x) if axis == -2 else as_column(x) for x in (first, second))
    m = Where()(Equal()(places, number), first, m)
    return Where()(Equal()(places, number + 1), second, m)


def _triangular_vectors(t: Value, w: Value) -> Value:
    """The eigenvectors of triangular matrices as columns, no element larger than 1.

    From row to row upwards. Differences of equal eigenvalues count as rounding errors, as nothing
    can be divided by 0; columns that grow are made smaller as a whole.
    """
    size = t.shape[-1]
    assert isinstance(size, int)
    epsilon = _epsilon(t)

    def step(carries: list[Value], parts: list[Value], constants: list[Value]) -> Any:
        (vectors,), (line, own, number), (w,) = carries, parts, constants
        gap = own - w
        gap = Where()(_size(gap) < epsilon, like(gap, epsilon), gap)
        found = -reshape_to(matmul(as_row(line), vectors), gap.shape) / gap
        places = positions(found.graph, size, -1, 1)
        found = Where()(Greater()(places, number), found, like(found, 0))
        found = Where()(Equal()(places, number), like(found, 1), found)
        large = _size(found)
        large = Where()(large > 1.0, large, like(large, 1))
        here = Equal()(positions(found.graph, size, -2), number)
        return [over(Where()(here, as_row(found), vectors), as_row(large))], []

    rows = steps_first(triangle(t, lower=False, strict=True))
    own = steps_first(as_column(w))
    sequences = [rows, own, _numbers(t.graph, size)]
    (vectors,), _ = scan(step, [zeros_like(t)], sequences, [w], reverse=True)
    return vectors
