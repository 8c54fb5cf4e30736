"""Ways to compute one contraction: which of them is best may depend on sizes known at run time.

A plan is made for a batch of usual size. Other batches get code of their own where that is worth
the time to compile it; all of it computes the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from graphc.runtime.cpu.contraction_native import Contraction
from graphc.runtime.cpu.contraction_plan import Axis, Scope, evaluate, typical
from graphc.runtime.cpu.contraction_planner import (
    ROWS_WORTH_FETCHING,
    ROWS_WORTH_PACKING,
    STEPS_WORTH_PACKING,
)
from graphc.runtime.cpu.emitter import Register
from graphc.runtime.cpu.target import Target

#: Where the second factor has at least so many elements, other batches get code of their own.
_LARGE_FACTOR = 1 << 14
#: The same for results of a program that learns: its code is longer, and so is its run.
_LARGE_RESULT = 1 << 16


@dataclass(frozen=True)
class Way:
    """One of them.

    Attributes:
        contraction: what its code is made of.
        axes: those whose points decide whether it is taken; none if it is taken otherwise.
        least: how many points there have to be.
        most: how many there may be.
    """

    contraction: Contraction
    axes: tuple[Axis, ...] = ()
    least: int = 0
    most: int | None = None

    def holds(self, scope: Scope) -> Register:
        """Code that says whether it is taken."""
        e = scope.e
        points = scope.points(self.axes)
        enough = e.compare("ge", points, self.least)
        if self.most is None:
            return enough
        return e.logical_and(enough, e.compare("le", points, self.most))


def ways_of(contraction: Contraction, learns: bool, target: Target) -> list[Way]:
    """The usual way, then others, of which the last one that holds is taken.

    Args:
        contraction: What to compute.
        learns: Whether the program changes variables. Where a model answers, rows come one by one
            or by the thousand; where it learns, batches are larger or smaller by some factor.
        target: The processor.
    """
    packed = _packed(contraction, target)
    if packed is not None:
        return [packed]
    others = [_of_long_sums(contraction, target)]
    if not learns:
        few, many = _of_few_rows(contraction, target), _of_many_rows(contraction, target)
        others = [few, _of_one_row(contraction), many]
    return [Way(contraction), *(way for way in others if way is not None)]


def _packed(contraction: Contraction, target: Target) -> Way | None:
    """Weights that would be packed again and again are packed once, if one knows where they end.

    Few rows pay for that as much as many.
    """
    if not contraction.is_cold or contraction.batch > 1 or contraction.parts > 1:
        return None
    factor = (*contraction.columns, *contraction.reduction)
    if not all(isinstance(x, int) for axis in factor for x in (axis.size, axis.b)):
        return None
    plan = contraction.plan(target)
    if plan.swapped or plan.outer or not plan.pack:
        return None
    return Way(replace(contraction, is_packed=True))


def _of_one_row(contraction: Contraction) -> Way | None:
    """All the time goes into reading the second factor.

    That wants other tiles: one row high, and as wide as the registers allow.
    """
    columns, reduction = contraction.columns, contraction.reduction
    if contraction.outer or len(contraction.rows) != 1 or not any(x.b == 1 for x in columns):
        return None
    (rows,) = contraction.rows
    others = [x for axis in (*columns, *reduction) for x in (axis.size, *axis.strides)]
    is_batch = isinstance(rows.size, str) and "*" not in rows.size
    if not is_batch or not all(isinstance(x, int) for x in others):
        return None
    if math.prod(evaluate(axis.size, {}) for axis in (*columns, *reduction)) < _LARGE_FACTOR:
        return None
    return Way(replace(contraction, rows=(replace(rows, size=1),)), (rows,), 1, 1)


def _of_many_rows(contraction: Contraction, target: Target) -> Way | None:
    """Many rows pay for copying the second factor where it is not as the processor likes it."""
    rows, columns, reduction = contraction.rows, contraction.columns, contraction.reduction
    if contraction.outer or not _is_open(rows) or _size(columns, reduction) < _LARGE_FACTOR:
        return None
    many = replace(contraction, batch=2 * ROWS_WORTH_PACKING)
    if many.plan(target).pack == contraction.plan(target).pack:
        return None
    return Way(many, rows, ROWS_WORTH_PACKING)


def _of_few_rows(contraction: Contraction, target: Target) -> Way | None:
    """Few rows do not pay for copying it."""
    rows, columns, reduction = contraction.rows, contraction.columns, contraction.reduction
    if contraction.outer or not _is_open(rows) or _size(columns, reduction) < _LARGE_FACTOR:
        return None
    few = replace(contraction, batch=ROWS_WORTH_FETCHING // 2)
    if few.plan(target).pack or not contraction.plan(target).pack:
        return None
    return Way(few, rows, 0, ROWS_WORTH_FETCHING - 1)


def _of_long_sums(contraction: Contraction, target: Target) -> Way | None:
    """Sums over a large batch pay for copying rows of the first factor."""
    rows, columns, reduction = contraction.rows, contraction.columns, contraction.reduction
    if not _is_open(reduction) or _size(rows, columns) < _LARGE_RESULT:
        return None
    long = replace(contraction, batch=2 * STEPS_WORTH_PACKING)
    if long.plan(target).pack_first == contraction.plan(target).pack_first:
        return None
    return Way(long, reduction, STEPS_WORTH_PACKING)


def _is_open(axes: Sequence[Axis]) -> bool:
    """Whether a size is known at run time only."""
    return any(isinstance(axis.size, str) for axis in axes)


def _size(*groups: Sequence[Axis]) -> int:
    """Elements of an operand with these axes, in a usual batch."""
    return math.prod(typical(axis.size) for axes in groups for axis in axes)
