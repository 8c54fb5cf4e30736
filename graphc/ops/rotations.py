"""Jacobi's rotations, many at a time: what the eigenvalue and singular value decompositions share.

Rows are paired with each other as players in a tournament (Brent and Luk, "The solution of singular
value and symmetric eigenvalue problems on multiprocessor arrays", 1985): the first half of the rows
meets the second half; then the first row stays, all others move on by one place. After n - 1 rounds
every row has met every other one, and all are back at their places.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.ir import Value, is_complex, numpy_dtype, part_dtype
from graphc.ops.choice import Where
from graphc.ops.complex import absolute
from graphc.ops.control import scan, while_loop
from graphc.ops.elementwise import Abs, Sqrt
from graphc.ops.family import like
from graphc.ops.logic import And, Greater
from graphc.ops.matrix import (
    conj,
    identity,
    length,
    over,
    squares_of,
    swap,
    take_rows,
    times,
)
from graphc.ops.movement import Concat, Pad, narrow, reshape_to
from graphc.ops.reduce import ReduceMax, ReduceSum
from graphc.ops.sort import Sort

#: Sweeps over all pairs. Convergence is quadratic: six to ten do, but for what never converges.
MOST_SWEEPS = 40


def orthogonalized(matrix: Value) -> tuple[Value, Value, Value]:
    """Rotates the columns of matrices until they are orthogonal to each other: one-sided Jacobi.

    Args:
        matrix: Not empty, of known size, its elements of about 1.

    Returns:
        The lengths of the columns, falling: the singular values if there are no more columns than
        rows; the right singular vectors as rows (not conjugated); and their products with the
        matrix, as rows.
    """
    rows, columns = matrix.shape[-2:]
    assert isinstance(rows, int) and isinstance(columns, int)
    axis = matrix.rank - 2
    odd = columns % 2  # a further column of zeros is never rotated, and ends where it was
    products = swap(matrix)
    if odd:
        products = Pad((0,) * matrix.rank, (*(0,) * axis, 1, 0))(products)
    epsilon = float(np.finfo(numpy_dtype(matrix.dtype)).eps)
    # Columns as small as rounding errors are not turned any more.
    whole = reshape_to(matrix, (*matrix.shape[:-2], rows * columns, 1))
    vectors = identity(products, columns + odd)
    start = [products, vectors, length(whole, axis) * epsilon]
    products, vectors, _ = _sweeps(start, columns + odd, epsilon * rows**0.5)
    products = narrow(products, axis, 0, columns)
    vectors = narrow(narrow(vectors, axis, 0, columns), axis + 1, 0, columns)
    sizes = reshape_to(length(products, axis + 1), (*matrix.shape[:-2], columns))
    sizes, order = Sort(axis, descending=True)(sizes)
    return sizes, take_rows(vectors, order), take_rows(products, order)


def _sweeps(start: Sequence[Value], size: int, tolerance: float) -> list[Value]:
    """Sweeps of rounds until the cosines of all angles between columns are small."""

    def step(carries: list[Value], parts: list[Value], _: list[Value]) -> tuple[list[Value], list]:
        *matrices, largest = carries
        matrices, found = _round(matrices, tolerance)
        found = ReduceMax(tuple(range(found.rank)))(found)
        return [*matrices, Where()(Greater()(found, largest), found, largest)], []

    def sweep(*carries: Value) -> list[Value]:
        *matrices, before, count = carries
        zero = like(before, 0)
        after, _ = scan(step, [*matrices, zero], steps=size - 1)
        return [*after, count + 1]

    def unfinished(*carries: Value) -> Value:
        *_, largest, count = carries
        return And()(largest > tolerance, count < MOST_SWEEPS)

    graph, dtype = start[0].graph, part_dtype(start[0].dtype)
    first = (graph.constant(np.inf, dtype), graph.constant(0, "int32"))
    return list(while_loop(unfinished, sweep, *start, *first))[:-2]


def _round(matrices: list[Value], tolerance: float) -> tuple[list[Value], Value]:
    """One round: the next matrices, and the cosines of the angles there were between columns."""
    products, vectors, negligible = matrices
    upper, lower = _halves(products)
    last = upper.rank - 1

    def total(x: Value) -> Value:
        return ReduceSum((last,), keep=True)(x)

    first, second = total(squares_of(upper)), total(squares_of(lower))
    product = total(conj(upper) * lower)
    sizes = Sqrt()(first), Sqrt()(second)
    large = And()(Greater()(sizes[0], negligible), Greater()(sizes[1], negligible))
    cosines = absolute(product) / Where()(large, sizes[0] * sizes[1], like(first, 1))
    cosines = Where()(large, cosines, like(cosines, 0))
    needed = cosines > tolerance
    turn, product = _turned_real(product, needed)
    c, s = _rotation(first, second, product, needed)
    return [*(_rotated(x, c, s, turn) for x in (products, vectors)), negligible], cosines


def _turned_real(product: Value, needed: Value) -> tuple[Value | None, Value]:
    """By what the lower rows have to be multiplied for real products; and these products."""
    if not is_complex(product.dtype):
        return None, product
    size = absolute(product)
    safe = Where()(needed, size, like(size, 1))
    return Where()(needed, over(conj(product), safe), like(product, 1)), size


def _rotation(first: Value, second: Value, product: Value, needed: Value) -> tuple[Value, Value]:
    """Cosine and sine that diagonalize symmetric 2x2 matrices; 1 and 0 where none is needed.

    Rows p and q become ``c p - s q`` and ``s p + c q``.

    Args:
        first: The upper diagonal elements.
        second: The lower diagonal elements.
        product: The elements beside the diagonal.
        needed: Whether to rotate at all (bool).
    """
    one = like(first, 1)
    ratio = (second - first) / (Where()(needed, product, one) * 2.0)
    tangent = one / (Abs()(ratio) + Sqrt()(ratio * ratio + 1.0))
    tangent = Where()(ratio < 0.0, -tangent, tangent)
    tangent = Where()(needed, tangent, like(first, 0))
    cosine = one / Sqrt()(tangent * tangent + 1.0)
    return cosine, cosine * tangent


def _halves(x: Value) -> tuple[Value, Value]:
    """The first and the second half of the rows."""
    axis = x.rank - 2
    size = x.shape[axis]
    return narrow(x, axis, 0, size // 2), narrow(x, axis, size // 2, size)


def _rotated(x: Value, cosine: Value, sine: Value, turn: Value | None) -> Value:
    """The rows of the halves rotated against each other and moved on to their next partners.

    Args:
        x: Matrices with an even number of rows.
        cosine: A column of cosines, one for each pair.
        sine: A column of sines.
        turn: What the lower rows of complex matrices are multiplied by before.
    """
    upper, lower = _halves(x)
    lower = lower if turn is None else lower * turn
    first = times(upper, cosine) - times(lower, sine)
    return _moved_on(first, times(upper, sine) + times(lower, cosine))


def _moved_on(upper: Value, lower: Value) -> Value:
    """The rows of both halves at the places where they meet their next partners."""
    axis = upper.rank - 2
    size = upper.shape[axis]
    assert isinstance(size, int)
    if size == 1:
        return Concat(axis)(upper, lower)
    parts = [
        narrow(upper, axis, 0, 1),
        narrow(lower, axis, 0, 1),
        narrow(upper, axis, 1, size - 1),
        narrow(lower, axis, 1, size),
        narrow(upper, axis, size - 1, size),
    ]
    return Concat(axis)(*parts)
