"""Strips: kernels that follow each other compute some rows of the batch, then the next ones.

What one kernel writes and another reads, the tensor between a convolution and its pool, say, may
be larger than the caches: then it goes out to memory and comes back. Of a few rows all of it stays
in the second-level cache::

    for all rows: conv(x) -> c             for each strip:
    for all rows: pool(c) -> p                 conv(rows of x) -> rows of c
    for all rows: conv(p) -> d                 pool(rows of c) -> rows of p
                                               conv(rows of p) -> rows of d

Threads take strips, so that they meet once for all of these kernels. Every element is computed as
it would be in the whole batch: to the kernels a strip is a smaller batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from graphc.ir import dtype_size
from graphc.ir.dims import product, symbol
from graphc.runtime.cpu.emitter import Register
from graphc.runtime.cpu.frame import Buffer, Frame, View
from graphc.runtime.cpu.kernel import Kernel, call_kernel
from graphc.runtime.cpu.lower import Lowering
from graphc.runtime.cpu.row_wise import (
    is_row_by_row,
    keeps_rows,
    leads,
    move_rows,
    row_size,
    scratch_of,
    write_context,
)
from graphc.runtime.cpu.target import Caches
from graphc.runtime.executable import BATCH

#: What a strip's rows may take of the second-level cache, and what all strips read (weights) may
#: take of it before it has to come from farther away for each of them.
_ROWS_SHARE = 1 / 2
_FIXED_SHARE = 1 / 4
#: A batch, where a decision needs a number.
_USUAL_BATCH = 32


def in_strips(lowering: Lowering, kernels: Sequence[Kernel]) -> list[Kernel]:
    """The kernels of a step, with some of them gathered into kernels that run them in strips.

    Args:
        lowering: Where they come from.
        kernels: In the order in which they run.
    """
    if BATCH not in lowering.layout.symbols:
        return list(kernels)
    caches = lowering.module.target.caches
    groups = list(_groups(kernels, caches))
    users = Counter(buffer.index for group in groups for buffer in group.buffers)
    users.update(buffer.index for buffer in lowering.outputs.values())
    result: list[Kernel] = []
    for group in groups:
        if group.pays:
            result.append(_write(lowering, group, users))
        else:
            result += group.kernels
    return result


@dataclass(frozen=True)
class _Group:
    """Kernels that could run in strips, or a single one that need not be able to."""

    kernels: list[Kernel]
    caches: Caches

    @property
    def buffers(self) -> list[Buffer]:
        """All that they read and write, each once."""
        used = (x for kernel in self.kernels for x in (*kernel.reads, *kernel.writes))
        return list({buffer.index: buffer for buffer in used}.values())

    @property
    def passed(self) -> int:
        """Bytes in a row of what they read that the group has touched before."""
        total, known = 0, dict[int, int]()
        for kernel in self.kernels:
            for buffer in kernel.reads:
                total += min(_seen_bytes(kernel, buffer), known.get(buffer.index, 0))
            for buffer in (*kernel.reads, *kernel.writes):
                seen = known.get(buffer.index, 0) + _seen_bytes(kernel, buffer)
                known[buffer.index] = seen
        return total

    @property
    def fixed(self) -> int:
        """Bytes of what is the same for all rows, if that is too much to stay in the cache."""
        others = [x for x in self.buffers if not leads(x.type.shape)]
        total = sum(_bytes(x) for x in others)
        return total if total > _FIXED_SHARE * self.caches.second_bytes else 0

    @property
    def height(self) -> int:
        """How many rows a strip has; 0 if a single one is too large."""
        row = sum(_row_bytes(x) for x in self.buffers if leads(x.type.shape))
        return int(_ROWS_SHARE * self.caches.second_bytes) // max(row, 1)

    def with_next(self, kernel: Kernel) -> _Group | None:
        """The group with one kernel more, if that belongs to it."""
        longer = _Group([*self.kernels, kernel], self.caches)
        known = {x.index for x in self.buffers if leads(x.type.shape)}
        touched = {x.index for x in (*kernel.reads, *kernel.writes)}
        if not _can_be_cut(kernel) or not known & touched or not longer.height:
            return None
        # What each strip reads anew has to be less than what it saves: a write and a read.
        return longer if longer.fixed <= longer.passed * longer.height else None

    @property
    def pays(self) -> bool:
        """Whether strips save anything: what is passed on would not stay in the cache anyway."""
        several = len(self.kernels) > 1
        return several and self.passed * _USUAL_BATCH > self.caches.second_bytes


def _groups(kernels: Sequence[Kernel], caches: Caches) -> Iterator[_Group]:
    """The kernels in groups, as long as they may be."""
    group: _Group | None = None
    for kernel in kernels:
        longer = None if group is None else group.with_next(kernel)
        if longer is not None:
            group = longer
            continue
        if group is not None:
            yield group
        group = _Group([kernel], caches)
        if not _can_be_cut(kernel):
            yield group
            group = None
    if group is not None:
        yield group


def _can_be_cut(kernel: Kernel) -> bool:
    """Whether a kernel does the same to a part of the batch's rows."""
    if kernel.node is None or kernel.serial or kernel.condition or kernel.temporaries:
        return False
    sizes_known = all(
        isinstance(row_size(x) if leads(x.type.shape) else x.type.size, int)
        for x in (*kernel.reads, *kernel.writes)
    )
    return (
        sizes_known
        and keeps_rows(kernel.node)
        and all(map(is_row_by_row, kernel.views))
        and all(leads(x.type.shape) for x in kernel.writes)
    )


def _seen_bytes(kernel: Kernel, buffer: Buffer) -> int:
    """Bytes in a row of what a kernel sees of a buffer; 0 if that has no rows."""
    if not leads(buffer.type.shape):
        return 0
    sizes = [product(view.shape[1:]) for view in kernel.views if view.buffer is buffer]
    seen = sum(size for size in sizes if isinstance(size, int)) * dtype_size(buffer.type.dtype)
    return min(seen, _row_bytes(buffer))


def _row_bytes(buffer: Buffer) -> int:
    size = row_size(buffer)
    assert isinstance(size, int)
    return size * dtype_size(buffer.type.dtype)


def _bytes(buffer: Buffer) -> int:
    size = buffer.type.size
    assert isinstance(size, int)
    return size * dtype_size(buffer.type.dtype)


def _write(lowering: Lowering, group: _Group, users: Mapping[int, int]) -> Kernel:
    """The kernel that runs a group; a unit of its work is a strip.

    Args:
        lowering: Where the kernels come from.
        group: Some of them.
        users: How many groups use a buffer, by its number. Those that no other one does have the
            rows of one strip only, those of the first one: there the next strip finds them in the
            cache.
    """
    own = [x for x in group.buffers if x.kind == "arena" and users[x.index] == 1]
    others = [x for x in group.buffers if x not in own]
    members, height, batch = group.kernels, group.height, symbol(BATCH)
    reads = _views(members, lambda kernel: kernel.reads)
    writes = _views(members, lambda kernel: kernel.writes)

    def units(frame: Frame) -> Register:
        return frame.e.div(frame.e.add(frame.dim(batch), height - 1), height)

    work = sum(kernel.work for kernel in members)
    with lowering.kernel(f"strips{height}", reads, writes, units, work) as k:
        e, body = k.e, f"{lowering.kernels[-1].name}.rows"
        first = e.mul(k.begin, height)
        with e.loop(k.begin, k.end) as strip:
            begin = e.mul(strip, height)
            end = e.minimum(e.add(begin, height), k.frame.dim(batch))
            write_context(k.frame, others, begin, end, k.scratch)
            move_rows(k.frame, own, first, k.scratch)
            e.call(body, None, k.scratch)
    kernel = lowering.kernels[-1]
    kernel.members = members
    kernel.shares = set(_shares(members, {x.index for x in own}))
    kernel.scratch = lambda frame: scratch_of(frame, members)
    with lowering.module.function(
        body, [("context", "pointer")], internal=True, noinline=True
    ) as e:
        frame = Frame(e, lowering.layout)
        for member in members:
            call_kernel(frame, member)
    return kernel


def _views(members: Sequence[Kernel], of: Callable[[Kernel], list[Buffer]]) -> list[View]:
    """What the kernels see of some of their buffers, one view of each."""
    found: dict[int, View] = {}
    for kernel in members:
        wanted = {x.index for x in of(kernel)}
        found |= {x.buffer.index: x for x in kernel.views if x.buffer.index in wanted}
    return list(found.values())


def _shares(members: Sequence[Kernel], own: set[int]) -> Iterator[tuple[int, int]]:
    """Pairs that may be the same memory: done with one when the other begins."""
    uses = [{x.index for x in (*kernel.reads, *kernel.writes)} for kernel in members]
    for place, kernel in enumerate(members):
        before = set[int]().union(*uses[:place])
        after = set[int]().union(*uses[place + 1 :])
        for old, new in kernel.shares:
            if old not in after and new not in before and (old in own) == (new in own):
                yield old, new
