"""What the order of complex numbers is in their real and imaginary parts.

They are in the order of their real parts, and those with equal ones in that of their imaginary
parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.ir import Op, Value
from graphc.ops import elementwise, logic, scatter
from graphc.ops.choice import Where
from graphc.ops.family import like
from graphc.ops.gather import along_axis
from graphc.ops.logic import And, Equal, IsNaN, Or
from graphc.ops.reduce import ReduceMax, ReduceMin
from graphc.ops.sort import Sort
from graphc.passes.complex_rules import Pair, rule


@rule(IsNaN)
def is_nan(op: Op, x: Pair) -> Value:
    return Or()(IsNaN()(x.real), IsNaN()(x.imaginary))


@rule(logic.Less, logic.LessOrEqual, logic.Greater, logic.GreaterOrEqual)
def compare(op: Op, x: Pair, y: Pair) -> Value:
    """False where a part is NaN."""
    strict = logic.Less() if isinstance(op, (logic.Less, logic.LessOrEqual)) else logic.Greater()
    numbers = And()(Equal()(x.imaginary, x.imaginary), Equal()(y.imaginary, y.imaginary))
    tied = And()(Equal()(x.real, y.real), op(x.imaginary, y.imaginary))
    return Or()(And()(strict(x.real, y.real), numbers), tied)


def _chosen(condition: Value, x: Pair, y: Pair) -> Pair:
    return Pair(*[Where()(condition, *parts) for parts in zip(x, y, strict=True)])


@rule(elementwise.Max)
def larger(op: Op, x: Pair, y: Pair) -> Pair:
    """The first one where it is NaN; the second one where only that is."""
    first = compare(logic.GreaterOrEqual(), x, y)
    return _chosen(Or()(first, is_nan(IsNaN(), x)), x, y)


@rule(elementwise.Min)
def smaller(op: Op, x: Pair, y: Pair) -> Pair:
    first = compare(logic.LessOrEqual(), x, y)
    return _chosen(Or()(first, is_nan(IsNaN(), x)), x, y)


@rule(elementwise.Relu)
def rectified(op: Op, x: Pair) -> Pair:
    zero = like(x.real, 0)
    return larger(elementwise.Max(), x, Pair(zero, zero))


def _extreme(
    x: Pair, reduce: Callable[[Value], Value], spread: Callable[[Value], Value], worst: float
) -> Pair:
    """The extreme of the real parts, and that of the imaginary parts that belong to it.

    Args:
        x: The numbers.
        reduce: Finds extremes of real numbers; NaN of NaN.
        spread: Brings an extreme to the places of those that it is one of.
        worst: A number that is never an extreme.
    """
    nan = like(x.real, np.nan)
    known = Where()(is_nan(IsNaN(), x), nan, x.real)
    real = reduce(known)
    best = Equal()(known, spread(real))
    imaginary = reduce(Where()(best, x.imaginary, like(x.imaginary, worst)))
    return Pair(real, Where()(IsNaN()(real), nan, imaginary))


@rule(ReduceMax, ReduceMin)
def extremum(op: Any, x: Pair) -> Pair:
    worst = -np.inf if isinstance(op, ReduceMax) else np.inf
    return _extreme(x, op, lambda y: op.spread(y, x.real), worst)


@rule(scatter.ScatterMax, scatter.ScatterMin)
def scattered_extremum(op: Any, indices: Value, x: Pair) -> Pair:
    def combine(y: Value) -> Value:
        return op(indices, y)

    real, imaginary = _extreme(x, combine, lambda y: op.pick(y, indices, 0), op.worst)
    # What the slices are combined with is an infinity without imaginary part.
    infinite = Equal()(real, like(real, op.worst))
    limited = op.combine()(imaginary, like(imaginary, 0))
    return Pair(real, Where()(infinite, limited, imaginary))


@rule(Sort)
def sort(op: Sort, x: Pair) -> tuple[Pair, Value]:
    """By the imaginary parts, then by the real ones: equal ones stay in order."""
    whole = Sort(op.axis, op.descending)
    imaginary, before = whole(x.imaginary)
    real, order = op(along_axis(x.real, before, op.axis))
    imaginary, before = (along_axis(y, order, op.axis) for y in (imaginary, before))
    return Pair(real, imaginary), before
