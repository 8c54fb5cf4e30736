"""The memory plan: where in one arena each buffer of a step lives.

Buffers whose lives do not overlap may share memory. The sizes are those of one binding of the
symbolic dimensions, the largest one that a run will use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 64


@dataclass(frozen=True)
class Interval:
    """One need for memory.

    Args:
        size: Bytes.
        first: When it begins, counted in kernels.
        last: When it ends, that kernel included.
    """

    size: int
    first: int
    last: int


@dataclass(frozen=True)
class MemoryPlan:
    """Where everything is.

    Attributes:
        offsets: For each interval its place in the arena, in bytes.
        size: Bytes of the arena.
    """

    offsets: tuple[int, ...]
    size: int


def plan_memory(intervals: Sequence[Interval]) -> MemoryPlan:
    """Place intervals so that those that live at the same time do not overlap.

    The largest are placed first, each at the lowest place that is free for all its life.

    Args:
        intervals: The needs.
    """
    order = sorted(range(len(intervals)), key=lambda i: (-intervals[i].size, intervals[i].first))
    offsets = [0] * len(intervals)
    placed: list[tuple[int, int, Interval]] = []
    total = 0
    for i in order:
        interval = intervals[i]
        size = -(-interval.size // ALIGNMENT) * ALIGNMENT
        offset = 0
        for begin, end, other in placed:
            if other.last < interval.first or interval.last < other.first:
                continue
            if offset + size <= begin:
                break
            offset = max(offset, end)
        offsets[i] = offset
        placed.append((offset, offset + size, interval))
        placed.sort(key=lambda place: place[0])
        total = max(total, offset + size)
    return MemoryPlan(tuple(offsets), total)
