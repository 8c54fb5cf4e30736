"""The order of kernels, and which buffers are one piece of memory.

A variable's new value goes into the variable's own memory if nothing reads the old value after
that. So the kernel that makes it has to wait for all other readers of the old value; where one of
them needs the kernel's results, the new value gets memory of its own and is copied at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from graphc.runtime.cpu.frame import Buffer
from graphc.runtime.cpu.kernel import Kernel


@dataclass
class Schedule:
    """What is decided.

    Attributes:
        order: Numbers of kernels.
        homes: For each buffer the one whose memory it lives in; itself if it is not there.
        copies: Pairs of buffers to copy after everything else: from, to.
        intervals: For each arena buffer that is its own home, the first and the last moment at
            which it is in use.
    """

    order: list[int]
    homes: dict[int, int] = field(default_factory=dict)
    copies: list[tuple[Buffer, Buffer]] = field(default_factory=list)
    intervals: dict[int, tuple[int, int]] = field(default_factory=dict)

    def home(self, buffer: int) -> int:
        """The buffer in whose memory a buffer lives."""
        while buffer in self.homes:
            buffer = self.homes[buffer]
        return buffer


def make_schedule(
    kernels: Sequence[Kernel], updates: Sequence[tuple[Buffer, Buffer]], results: Sequence[Buffer]
) -> Schedule:
    """Order kernels, and put new values of variables into the variables' memory.

    Args:
        kernels: In an order in which they could run if no memory were shared.
        updates: Pairs of a new value's buffer and its variable's.
        results: Buffers that are read when the step is over.
    """
    order, replaced = order_updates(kernels, updates)
    schedule = Schedule(order)
    for (new, variable), in_place in zip(updates, replaced, strict=True):
        if in_place:
            schedule.homes[new.index] = variable.index
        else:
            schedule.copies.append((new, variable))
    _share_dying(kernels, schedule, results)
    return schedule


def order_updates(
    kernels: Sequence[Kernel], updates: Sequence[tuple[Buffer, Buffer]]
) -> tuple[list[int], list[bool]]:
    """An order of kernels in which new values can replace old ones, in the same memory.

    Args:
        kernels: In an order in which they could run if no memory were shared.
        updates: Pairs of a new value's buffer and the old one's.

    Returns:
        Numbers of kernels, and for each update whether it can be made in place.
    """
    graph = _Order(kernels)
    replaced = [graph.may_overwrite(new, old) for new, old in updates]
    return graph.sorted(), replaced


class _Order:
    """Which kernel has to run before which."""

    def __init__(self, kernels: Sequence[Kernel]):
        self.kernels = kernels
        self.writers: dict[int, list[int]] = {}
        self.readers: dict[int, list[int]] = {}
        self.after: list[set[int]] = [set() for _ in kernels]
        for i, kernel in enumerate(kernels):
            for buffer in (*kernel.reads, *kernel.writes):
                for writer in self.writers.get(buffer.index, []):
                    self.after[writer].add(i)
            for buffer in kernel.reads:
                self.readers.setdefault(buffer.index, []).append(i)
            for buffer in kernel.writes:
                self.writers.setdefault(buffer.index, []).append(i)

    def may_overwrite(self, new: Buffer, variable: Buffer) -> bool:
        """Whether ``new`` can be written into a variable's memory; then it is ordered so."""
        writers = self.writers[new.index]
        readers = self.readers.get(variable.index, [])
        for writer in writers:
            pair = (variable.index, new.index)
            if writer in readers and (len(writers) > 1 or pair not in self.kernels[writer].shares):
                return False
        others = [reader for reader in readers if reader not in writers]
        if any(self._reachable(writer) & set(others) for writer in writers):
            return False
        for reader in others:
            self.after[reader].update(writers)
        return True

    def _reachable(self, start: int) -> set[int]:
        found: set[int] = set()
        stack = [start]
        while stack:
            for following in self.after[stack.pop()]:
                if following not in found:
                    found.add(following)
                    stack.append(following)
        return found

    def sorted(self) -> list[int]:
        """The kernels in an order that keeps to it; as they were where it does not matter."""
        waiting = [0] * len(self.kernels)
        for later in self.after:
            for kernel in later:
                waiting[kernel] += 1
        ready = [i for i, count in enumerate(waiting) if not count]
        order = []
        while ready:
            kernel = min(ready)
            ready.remove(kernel)
            order.append(kernel)
            for following in self.after[kernel]:
                waiting[following] -= 1
                if not waiting[following]:
                    ready.append(following)
        return order


def _share_dying(kernels: Sequence[Kernel], schedule: Schedule, results: Sequence[Buffer]) -> None:
    """Let results take the memory of operands that die, and note how long buffers live."""
    end = len(schedule.order)
    last: dict[int, int] = {}
    for moment, number in enumerate(schedule.order):
        kernel = kernels[number]
        for buffer in (*kernel.reads, *kernel.writes, *kernel.temporaries):
            last[buffer.index] = moment
    for buffer in (*results, *(new for new, _ in schedule.copies)):
        last[buffer.index] = end
    for moment, number in enumerate(schedule.order):
        kernel = kernels[number]
        taken: set[int] = set()
        for buffer in (*kernel.writes, *kernel.temporaries):
            known = buffer.index in schedule.homes or buffer.index in schedule.intervals
            if buffer.kind != "arena" or known:
                continue
            home = _dying(kernel, buffer, moment, schedule, last, taken)
            if home is None or buffer in results:
                schedule.intervals[buffer.index] = (moment, last[buffer.index])
            else:
                taken.add(home)
                schedule.homes[buffer.index] = home
                first, _ = schedule.intervals[home]
                schedule.intervals[home] = (first, last[buffer.index])


def _dying(
    kernel: Kernel,
    buffer: Buffer,
    moment: int,
    schedule: Schedule,
    last: dict[int, int],
    taken: set[int],
) -> int | None:
    """The arena memory of an operand that ``buffer`` may take over."""
    for operand in kernel.reads:
        home = schedule.home(operand.index)
        if (operand.index, buffer.index) not in kernel.shares or home in taken:
            continue
        if home in schedule.intervals and schedule.intervals[home][1] == moment:
            return home
    return None
