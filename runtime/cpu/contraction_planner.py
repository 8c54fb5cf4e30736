"""How a contraction is planned: every choice comes from arithmetic on sizes, strides and a target.

The decisions, in order:

1. **Merge** neighbouring axes of a group that every operand walks through as one.
2. **Orient**: the vector lanes run along the columns, or, after swapping both operands, along the
   rows; whichever needs less packing, transposing and padding.
3. **Tile**: as many rows by vectors as the registers hold without spilling, fitted to the sizes.
   Short lines of rows are **folded** into one where that fills tiles.
4. **Block**: how far a run along the reduction goes before it is interrupted, so that the vector
   operand's panel stays in the cache. Where its rows lie so far apart that few of them do, begin
   in the middle of lines, or come from memory, many rows of the first factor pay for packing it;
   few go through shorter blocks.
5. **Pack together** what comes from far: some steps of many panels, in the order of memory.
6. **Pack** the first factor's rows as well where narrow tiles share its lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from graphc.runtime.cpu.contraction_plan import (
    Axis,
    Fold,
    Plan,
    Size,
    folded,
    merge,
    row_tiles,
    typical,
)
from graphc.runtime.cpu.target import CACHE_LINE, Target

#: What may stay in the second-level cache while all else goes through, as shares of it: the vector
#: operand's panel, per block of the reduction; the whole vector operand; and the first factor, per
#: block, where tiles share its lines.
_PANEL_SHARE = 5 / 32
_RESIDENT_SHARE = 1 / 4
_FACTOR_SHARE = 1 / 8
#: The same for the first factor's rows where they are packed, and for the sums of their chunk; and
#: of the first-level cache for a panel that all of them go through.
_PACKED_ROWS_SHARE = 3 / 16
_SUMS_SHARE = 1 / 8
_NEAR_PANEL_SHARE = 1 / 2
#: The same for panels that are packed together, in blocks of at most so many steps. From so many
#: rows on, to pack one panel after the other costs as little, and sums are not interrupted.
_TOGETHER_SHARE = 3 / 8
_STEPS_TOGETHER = 512
_MANY_ROWS = 512
#: Tiles as wide as this (in bytes) or narrower ask for much of the first factor in each step. If
#: their rows are but half of a line of the cache, to pack it pays from so many panels and steps on,
#: and so many panels share what a chunk packs.
_NARROW_TILE = 128
_PANELS_WORTH_PACKING = 4
STEPS_WORTH_PACKING = 128
_MOST_PANELS = 25
_ROWS_PER_CHUNK = 64
_ROWS_PER_PACKED_CHUNK = 128
_ROWS_PER_BLOCKED_CHUNK = 256
#: Rows from which on copying a panel costs little beside what is computed with it.
ROWS_WORTH_PACKING = 128
#: The same where rows of the operand push each other out of a cache, or come from memory.
ROWS_WORTH_FETCHING = 16
#: Bytes of an operand that leave little room in the first-level cache, and may be gone from the
#: second-level one.
_LARGE_OPERAND = 1 << 16
#: Steps of a block whose rows lie apart, and of one whose rows do not: each page of memory has to
#: be found anew, and the processor remembers about a hundred of the latest.
_SCATTERED_BLOCK = 128
_NEAR_BLOCK = 256
_SCATTERED_BYTES = 2048
#: Addresses so far apart fall into the same set of the first-level cache.
_PAGE = 4096
#: Each row of a tile across a fold has an address of its own, in a register for numbers. To compute
#: those takes some cycles before a tile's first step, so there have to be so many steps; and all in
#: all it costs a little.
_MOST_FOLDED_ROWS = 8
_STEPS_WORTH_FOLDING = 64
_FOLDED = 1.02
#: Tiles of whose rows a step reads a part of a line, which comes from far for each tile again.
_SIDE_BY_SIDE_AND_FAR = 1.1
#: Lanes along a run-time size may be mostly empty: a batch of one.
_UNKNOWN_LANES = 1.25


@dataclass(frozen=True)
class _Tile:
    """A register tile, and what a step of the reduction costs for all rows and columns."""

    rows: int
    vectors: int
    cost: float


@dataclass(frozen=True)
class Planner:
    """Makes the plan of one contraction.

    Attributes:
        item_size: bytes of an element.
        lanes: elements of a vector.
        target: the processor.
        batch: what a run-time size is taken for.
        is_cold: whether the second factor comes from memory.
    """

    item_size: int
    lanes: int
    target: Target
    batch: int
    is_cold: bool = False

    def plan(self, groups: Sequence[Sequence[Axis]]) -> Plan:
        """The plan for some outer, row, column and reduction axes."""
        outer, rows, columns, reduction = (merge(group) for group in groups)
        count = 1 + max((len(axis.extra) for group in groups for axis in group), default=0)
        single = Axis(1, 0, 0, 0, (0,) * (count - 1))
        reduction = reduction or [single]
        plans = []
        for swapped in (False, True):
            if swapped:
                groups = (outer, columns, rows, reduction)
                outer, rows, columns, reduction = (
                    [replace(x, a=x.b, b=x.a) for x in group] for group in groups
                )
            for around, wide in _ways(outer, rows, columns):
                column = wide.pop(_vector_axis(wide)) if wide else single
                plan = self._tiled(around, rows or [single], wide, column, reduction, swapped)
                plans.append((self._cost(plan), swapped, plan))
        return min(plans, key=lambda choice: choice[:2])[2]

    def _typical(self, x: Size) -> int:
        return typical(x, self.batch)

    def _points(self, axes: Sequence[Axis]) -> int:
        """Of all axes together."""
        return math.prod(self._typical(axis.size) for axis in axes)

    def _tiled(
        self,
        around: Sequence[Axis],
        rows: Sequence[Axis],
        wide: Sequence[Axis],
        column: Axis,
        reduction: Sequence[Axis],
        swapped: bool,
    ) -> Plan:
        """The plan for one orientation.

        Args:
            around: axes that all operands have.
            rows: those of the first factor's rows.
            wide: those of the second factor's columns but `column`.
            column: as in `Plan`.
            reduction: axes that are summed over.
            swapped: as in `Plan`.
        """
        total = self._points(reduction)
        above, row, fold, tile = self._choose_rows(rows, column, total)
        outer = (*around, *above, *wide)
        width = tile.vectors * self.lanes
        lines = tuple(axis for axis in outer if axis.b == 0)
        outer = tuple(axis for axis in outer if axis.b != 0)
        stride = reduction[-1].b
        scattered = column.b == 1 and total > self._rows_that_stay(stride)
        count = 0 if row.a == 1 else self._points([*lines, row])
        operand_bytes = total * self._typical(column.size) * self.item_size
        is_cold = self.is_cold and not swapped and operand_bytes >= _LARGE_OPERAND
        # What rows of a depthwise convolution read is their own: a copy serves one of them.
        shared = column.a == 0
        far = scattered or (shared and (is_cold or self._crowds(stride, operand_bytes)))
        pack, together = self._packing(column, self._bytes_apart(stride), count, far)
        block = self._block(row, reduction, width, column.b == 1 and not pack, scattered)
        resident = int(_RESIDENT_SHARE * self.target.caches.second_bytes)
        panels_last = not pack and operand_bytes <= resident
        chunk = _ROWS_PER_PACKED_CHUNK if pack else _ROWS_PER_CHUNK
        chunk = chunk if block is None else _ROWS_PER_BLOCKED_CHUNK
        plan = Plan(
            outer=outer,
            lines=lines,
            row=row,
            fold=fold,
            column=column,
            around=(),
            reduction=tuple(reduction),
            swapped=swapped,
            lanes=self.lanes,
            tile_rows=tile.rows,
            tile_vectors=tile.vectors,
            pack_first=False,
            pack=pack,
            pack_together=False,
            pack_tail=pack or (column.b == 1 and self.target.vector_bits < 256),
            transpose=_is_turned(row, column),
            block=block,
            tiles_per_chunk=1,
            panels_per_chunk=1,
            lines_per_chunk=None,
            panels_last=panels_last,
            prefetch=not pack and not panels_last and column.b == 1,
        )
        plan = self._first_packed(_in_chunks(plan, chunk))
        return self._together(plan) if together and not plan.pack_first else plan

    def _packing(self, column: Axis, distance: int, rows: int, far: bool) -> tuple[bool, bool]:
        """Whether the vector operand's panels are packed, and whether several at once.

        Args:
            column: as in `Plan`.
            distance: bytes from one of the operand's rows to the next.
            rows: how many of the first factor share a panel; 0 if they are side by side in memory.
            far: whether rows of the operand push each other out of a cache, or come from memory.
        """
        if column.b != 1:
            return column.b != 0, False
        ragged = distance % CACHE_LINE != 0
        pays = rows >= (ROWS_WORTH_FETCHING if far else ROWS_WORTH_PACKING)
        pack = pays and (far or ragged)
        return pack, pack and far and rows < _MANY_ROWS

    def _bytes_apart(self, stride: Size) -> int:
        """Of an operand's rows, for the stride from one to the next."""
        return self._typical(stride) * self.item_size

    def _crowds(self, stride: Size, operand_bytes: int) -> bool:
        """Whether rows of an operand push each other out of the first-level cache."""
        apart = math.gcd(self._bytes_apart(stride), _PAGE)
        return operand_bytes >= _LARGE_OPERAND and apart >= _SCATTERED_BYTES

    def _first_packed(self, plan: Plan) -> Plan:
        """The plan with packed rows of the first factor, if that pays; else as it is.

        In the gradient of a weight a tile's rows are side by side in memory, a few numbers of each
        line of the cache. If tiles are narrow, the same lines come again and again, for each panel
        and for the tiles beside. Here a chunk copies them once, for many panels, in the order of
        the steps.
        """
        row, column, reduction, caches = plan.row, plan.column, plan.reduction, self.target.caches
        width_bytes = plan.width * self.item_size
        inner, total = self._points(reduction[1:]), self._points(reduction)
        panels = -(-self._typical(column.size) // plan.width)
        few = panels < _PANELS_WORTH_PACKING or total < STEPS_WORTH_PACKING
        narrow = width_bytes <= _NARROW_TILE and plan.tile_rows * self.item_size <= CACHE_LINE // 2
        if row.a != 1 or plan.fold or column.a or not narrow or few:
            return plan
        near = int(_NEAR_PANEL_SHARE * caches.first_bytes) // width_bytes
        block = max(1, near // max(inner, 1)) if total > near * 5 // 4 else None
        steps = total if block is None else min(total, block * inner)
        many = int(_PACKED_ROWS_SHARE * caches.second_bytes) // (max(steps, 1) * self.item_size)
        plan = replace(
            plan,
            pack_first=True,
            pack=True,
            pack_tail=True,
            block=block,
            panels_last=False,
            prefetch=False,
        )
        plan = _in_chunks(plan, max(plan.tile_rows, min(many, _ROWS_PER_PACKED_CHUNK)))
        limit = _MOST_PANELS
        if block is not None:
            sums = int(_SUMS_SHARE * caches.second_bytes) // (plan.rows_per_chunk * width_bytes)
            limit = max(1, min(limit, sums))
        groups = -(-panels // limit)
        return replace(plan, panels_per_chunk=-(-panels // groups))

    def _together(self, plan: Plan) -> Plan:
        """The plan with panels that are packed together, if there are several; else as it is.

        A panel is a small part of each of the operand's rows. If those lie far apart, nearly every
        step is on another page of memory, and nothing foresees where. Here a chunk reads some steps
        of many panels, row after row.
        """
        columns, *steps = (x.size for x in (plan.column, *plan.reduction))
        if plan.column.b != 1 or not isinstance(columns, int) or columns <= plan.width:
            return plan
        if not all(isinstance(size, int) and size > 0 for size in steps):
            return plan
        *around, last = plan.reduction
        length = self._typical(last.size)
        block = -(-length // -(-length // _STEPS_TOGETHER))
        step_bytes = plan.width * self.item_size
        most = int(_TOGETHER_SHARE * self.target.caches.second_bytes) // (block * step_bytes)
        if most < 2:
            return plan
        panels = -(-columns // plan.width)
        plan = replace(
            plan,
            around=tuple(around),
            reduction=(last,),
            pack_together=True,
            block=block if around or block < length else None,
            panels_per_chunk=-(-panels // -(-panels // most)),
        )
        return _in_chunks(plan, _ROWS_PER_BLOCKED_CHUNK)

    def _block(
        self, row: Axis, reduction: Sequence[Axis], width: int, in_place: bool, scattered: bool
    ) -> int | None:
        """Steps of the first reduction axis in a block; None where it runs through at once.

        Args:
            row: as in `Plan`.
            reduction: the same.
            width: columns of a full tile.
            in_place: whether a panel's rows are read where they are, as parts of longer rows.
            scattered: whether they push each other out of the cache there.
        """
        second_bytes = self.target.caches.second_bytes
        inner, total = self._points(reduction[1:]), self._points(reduction)
        longest = int(_PANEL_SHARE * second_bytes) // (width * self.item_size)
        blocked = (scattered and in_place) or total > longest * 5 // 4
        if in_place and blocked:
            near = self._bytes_apart(reduction[-1].b) < _SCATTERED_BYTES
            longest = min(longest, _NEAR_BLOCK if near else _SCATTERED_BLOCK)
        if row.a == 1 and len(reduction) == 1:
            # Each line of the first factor serves several tiles of rows: they have to find it
            # cached.
            chunk_rows = min(self._typical(row.size), _ROWS_PER_BLOCKED_CHUNK)
            chunk_bytes = chunk_rows * self.item_size
            shorter = max(1, int(_FACTOR_SHARE * second_bytes) // chunk_bytes)
            blocked = blocked or total > shorter
            longest = min(longest, shorter)
        return max(1, longest // max(inner, 1)) if blocked else None

    def _rows_that_stay(self, stride: Size) -> int:
        """How many of an operand's rows half of the second-level cache can hold together.

        Rows whose distance is a large power of two compete for a few of its sets.
        """
        caches = self.target.caches
        span = caches.second_bytes // caches.second_ways
        return caches.second_bytes // 2 // math.gcd(self._bytes_apart(stride), span)

    def _rows_side_by_side(self, row: Axis) -> int:
        """How many rows of the first factor half of the first-level cache can hold together."""
        if not isinstance(row.a, int) or not row.a:
            return _PAGE
        half = self.target.caches.first_bytes // 2
        return max(1, half // math.gcd(row.a * self.item_size, _PAGE))

    def _choose_rows(
        self, rows: Sequence[Axis], column: Axis, total: int
    ) -> tuple[Sequence[Axis], Axis, Fold | None, _Tile]:
        """The axes above the one that tiles go along, that one, its fold, and the tile.

        Short lines leave tiles incomplete: 7 rows are 4 and 3. Folded, they are filled.
        """
        *above, row = rows
        tile = self._choose_tile(row, column, _PAGE)
        whole = folded(above[-1], row) if above and total >= _STEPS_WORTH_FOLDING else None
        if whole is not None:
            other = self._choose_tile(whole[0], column, _MOST_FOLDED_ROWS)
            if _FOLDED * other.cost < self._typical(above[-1].size) * tile.cost:
                return above[:-1], *whole, other
        return above, row, None, tile

    def _choose_tile(self, row: Axis, column: Axis, most: int) -> _Tile:
        """The register tile, with so many rows at most."""
        target, transpose = self.target, _is_turned(row, column)
        most = min(most, self._rows_side_by_side(row))
        registers = target.vector_registers - (1 if target.has_fma else 2)
        needed = max(1, -(-self._typical(column.size) // self.lanes))
        widest = 4 if registers > 16 else 3
        if row.size == 1:
            # The vector operand is read once: the longer the runs of memory, the better.
            if column.b == 1:
                panels = -(-needed // (registers - 2))
                return _Tile(1, -(-needed // panels), needed)
            widest = registers * 2 // 3
        best: tuple[float, int, int] | None = None
        for vectors in range(1, min(needed, widest) + 1):
            full, tail = divmod(needed, vectors)
            widths = [(full, vectors), (1, tail)] if tail else [(full, vectors)]
            for tall in range(1, min((registers - vectors) // vectors, most) + 1):
                if transpose and tall & (tall - 1):
                    continue  # lanes of the transposed vectors
                heights = self._heights(row.size, tall)
                cost = sum(n * m * _tile_cost(x, y) for n, x in heights for m, y in widths)
                kernels = sum(bool(n) for n, _ in heights) * len(widths)
                cost *= 1 + 0.015 * kernels  # each takes milliseconds to compile
                choice = (cost, -tall * vectors, tall)
                if best is None or choice < best:
                    best, chosen = choice, _Tile(tall, vectors, cost)
        return chosen

    def _heights(self, rows: Size, tall: int) -> list[tuple[int, int]]:
        """How many tiles of which heights cover the rows."""
        if isinstance(rows, int):
            tiles, larger = row_tiles(rows, tall)
            smaller = rows // max(tiles, 1)
            return [(tiles - larger, smaller), (larger, smaller + 1)]
        whole, left = divmod(self._typical(rows), tall)
        half = max(1, tall // 2)
        return [(whole, tall), (left // half, half), (left % half, 1)]

    def _cost(self, plan: Plan) -> float:
        """Vector instructions of a whole contraction, roughly: to compare the orientations."""
        rows, columns = self._typical(plan.row.size), self._typical(plan.column.size)
        total = self._points([*plan.around, *plan.reduction])
        vectors = -(-columns // plan.lanes)
        arithmetic = rows * vectors * total * 1.0
        if isinstance(plan.column.size, str) and isinstance(plan.row.size, int):
            arithmetic *= _UNKNOWN_LANES
        if not plan.transpose and plan.column.c != 1:
            arithmetic += rows * columns  # stored element by element
        stride = plan.reduction[-1].a
        far = total > self._rows_that_stay(stride)
        far = far or self._crowds(stride, rows * total * self.item_size)
        if plan.row.a == 1 and far and not plan.pack_first:
            arithmetic *= _SIDE_BY_SIDE_AND_FAR
        copied = 1.5 if plan.column.b == 1 else 4.0  # or turned on the way
        copies = copied * columns * total / plan.lanes if plan.pack else 0.0
        if plan.pack_first:
            copies += 1.5 * rows * total / plan.lanes
        turned = 3.0 * rows * columns / plan.lanes if plan.transpose else 0.0
        around = self._points([*plan.outer, *plan.lines])
        # A packed panel serves all lines.
        return (arithmetic + turned) * around + copies * self._points(plan.outer)


def _is_turned(row: Axis, column: Axis) -> bool:
    """Whether tiles are transposed: the result is contiguous along the rows."""
    return column.c != 1 and row.c == 1 and row.size != 1 and column.size != 1


def _in_chunks(plan: Plan, rows: int) -> Plan:
    """The plan with about so many rows in a unit of work."""
    size = plan.row.size
    short = bool(plan.lines) and isinstance(size, int) and size < rows
    return replace(
        plan,
        tiles_per_chunk=max(1, rows // plan.tile_rows),
        lines_per_chunk=rows // size if short else None,  # type: ignore[operator]
    )


def _ways(
    outer: list[Axis], tall: list[Axis], wide: list[Axis]
) -> list[tuple[list[Axis], list[Axis]]]:
    """Outer axes and candidates for the vector lanes.

    Where nothing would run along the lanes, an axis that everything has can: depthwise.
    """
    ways = [(outer, [*wide])]
    if not wide:
        for i, axis in enumerate(outer):
            if axis.a == axis.b == 1:
                ways.append(([*outer[:i], *outer[i + 1 :]], [axis]))
    return ways


def _vector_axis(axes: Sequence[Axis]) -> int:
    """The axis for the lanes: one that the vector operand or the result walks in unit steps."""
    for unit in (lambda x: x.b, lambda x: x.c):
        for index in reversed(range(len(axes))):
            if unit(axes[index]) == 1:
                return index
    return len(axes) - 1


def _tile_cost(rows: int, vectors: int) -> float:
    """Cycles of one step of the reduction, roughly.

    Two multiply-adds and two loads go together in a cycle, and a sum can only be added to again
    four cycles later. What is added on top prefers tiles that load less.
    """
    if not rows or not vectors:
        return 0.0
    busy = max(rows * vectors / 2, (rows + vectors) * 0.57, 4.0)
    return busy + 0.1 * rows + 0.3 * vectors + 0.5
