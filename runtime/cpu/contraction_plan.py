"""How a contraction will be computed: which axes merge, which operand is the vector one, tiles.

A plan is plain data, made without emitting anything. Its decisions, in order:

1. **Merge** neighbouring axes of a group that every operand walks through as one.
2. **Orient**: the vector lanes run along the columns, or, after swapping both operands, along the
   rows; whichever needs less packing, transposing and padding.
3. **Tile**: as many rows by vectors as the registers hold without spilling, fitted to the sizes.
4. **Pack**: where narrow tiles share the lines of the first factor, a chunk copies its rows first.
5. **Block**: how far a run along the reduction goes before it is interrupted, so that the vector
   operand's panel stays in the cache. Where its rows lie so far apart that few of them do, many
   rows of the first factor pay for packing it; few go through shorter blocks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from graphc.runtime.cpu.emitter import Emitter, Register
from graphc.runtime.cpu.target import Caches, Target

#: A size or stride: a number, or a product of numbers and names of run-time sizes: `"3*batch"`.
Size = int | str

#: What a run-time size is taken for where a decision needs a number: a batch.
TYPICAL_SIZE = 32
#: What may stay in the second-level cache while all else goes through, as shares of it: the vector
#: operand's panel, per block of the reduction; the whole vector operand; and the first factor, per
#: block, where tiles share its lines.
PANEL_SHARE = 5 / 32
_RESIDENT_SHARE = 1 / 4
FACTOR_SHARE = 1 / 8
#: The same for the first factor's rows where they are packed, and for the sums of their chunk; and
#: of the first-level cache for a panel that all of them go through.
_PACKED_ROWS_SHARE = 3 / 16
_SUMS_SHARE = 1 / 8
_NEAR_PANEL_SHARE = 1 / 2
#: Tiles as wide as this (in bytes) or narrower ask for much of the first factor in each step; to
#: pack it pays from so many panels and steps on, and so many panels share what a chunk packs.
_NARROW_TILE = 128
_PANELS_WORTH_PACKING = 4
_STEPS_WORTH_PACKING = 128
_MOST_PANELS = 25
_ROWS_PER_CHUNK = 64
_ROWS_PER_PACKED_CHUNK = 128
_ROWS_PER_BLOCKED_CHUNK = 256
#: Rows from which on copying a panel costs little beside what is computed with it.
_ROWS_WORTH_PACKING = 128
#: Steps of a block whose rows lie apart, and of one whose rows do not: each page of memory has to
#: be found anew, and the processor remembers about a hundred of the latest.
_SCATTERED_BLOCK = 128
_NEAR_BLOCK = 256
_SCATTERED_BYTES = 2048
#: Addresses so far apart fall into the same set of the first-level cache.
_PAGE = 4096
#: Lanes along a run-time size may be mostly empty: a batch of one.
_UNKNOWN_LANES = 1.25


@dataclass(frozen=True)
class Axis:
    """One axis of a contraction: its size and the element strides of every operand along it.

    Attributes:
        size: how many steps.
        a: stride of the first factor (0 where it does not have the axis).
        b: stride of the second factor.
        c: stride of the result.
        extra: strides of whatever else the epilogue reads or writes.
    """

    size: Size
    a: Size = 0
    b: Size = 0
    c: Size = 0
    extra: tuple[Size, ...] = ()

    @property
    def strides(self) -> tuple[Size, ...]:
        """All of them: first factor, second factor, result, others."""
        return (self.a, self.b, self.c, *self.extra)

    @property
    def outputs(self) -> tuple[Size, ...]:
        """Those of the epilogue's operands: result, others."""
        return (self.c, *self.extra)


@dataclass(frozen=True)
class Plan:
    """Every decision about a contraction; `swapped` says that `a` and `b` changed places.

    Attributes:
        outer: axes that are looped over, along which the vector operand changes.
        lines: axes that are looped over, for each point of which there is a line of rows; one panel
            of the vector operand serves all.
        row: the axis along which a tile has scalars of the first factor.
        column: the axis along which the vector lanes run. If the first factor has it too, as in
            depthwise convolutions, the tile has vectors of that as well.
        reduction: the axes that are summed over, in this order, the last one fastest.
        lanes: elements of a vector.
        tile_rows: rows of a full tile.
        tile_vectors: vectors of a row of a full tile.
        pack_first: whether the rows of tiles are copied from the first factor, step by step.
        pack: whether the vector operand is copied into a contiguous panel first.
        pack_tail: the same for the last, partial panel.
        transpose: whether tiles are transposed because the result is contiguous along the rows.
        block: steps of the first reduction axis in a block; None runs through it all at once.
        tiles_per_chunk: row tiles in a unit of work.
        panels_per_chunk: panels in a unit of work.
        lines_per_chunk: lines in a unit of work; None if it is a part of one.
        panels_last: whether all panels follow each other for the same rows, not the other way
            round: for a vector operand that stays in the cache.
        prefetch: whether tiles ask for the vector operand's next panel before it is needed.
    """

    outer: tuple[Axis, ...]
    lines: tuple[Axis, ...]
    row: Axis
    column: Axis
    reduction: tuple[Axis, ...]
    swapped: bool
    lanes: int
    tile_rows: int
    tile_vectors: int
    pack_first: bool
    pack: bool
    pack_tail: bool
    transpose: bool
    block: int | None
    tiles_per_chunk: int
    panels_per_chunk: int
    lines_per_chunk: int | None
    panels_last: bool
    prefetch: bool

    @property
    def width(self) -> int:
        """Columns of a full tile."""
        return self.lanes * self.tile_vectors

    @property
    def margin(self) -> int:
        """Elements between packed rows of the first factor, for each: vectors may end there."""
        return self.lanes

    @property
    def rows_per_chunk(self) -> int:
        """The most rows in a unit of work."""
        if self.lines_per_chunk is None:
            return self.tiles_per_chunk * self.tile_rows
        assert isinstance(self.row.size, int)
        return self.lines_per_chunk * self.row.size

    @property
    def names(self) -> list[str]:
        """The run-time sizes that the plan's code needs, sorted."""
        axes = (*self.outer, *self.lines, self.row, self.column, *self.reduction)
        found = (factors(x)[1] for axis in axes for x in (axis.size, *axis.strides))
        return sorted({name for names in found for name in names})


def make_plan(
    groups: Sequence[Sequence[Axis]],
    item_size: int,
    lanes: int,
    target: Target,
) -> Plan:
    """Plans a contraction from its outer, row, column and reduction axes."""
    outer, rows, columns, reduction = (merge(group) for group in groups)
    count = 1 + max((len(axis.extra) for group in groups for axis in group), default=0)
    single = Axis(1, 0, 0, 0, (0,) * (count - 1))
    reduction = reduction or [single]
    plans = []
    for swapped in (False, True):
        tall, wide = (columns, rows) if swapped else (rows, columns)
        for outer_axes, wide_axes in _ways(outer, tall, wide):
            tall_index = len(tall) - 1
            wide_index = _vector_axis(wide_axes, swapped)
            row = tall[tall_index] if tall else single
            column = wide_axes[wide_index] if wide_axes else single
            rest = [x for i, x in enumerate(tall) if i != tall_index]
            rest += [x for i, x in enumerate(wide_axes) if i != wide_index]
            axes = [[*outer_axes, *rest], [row], [column], reduction]
            if swapped:
                axes = [[replace(x, a=x.b, b=x.a) for x in group] for group in axes]
            plan = _tiled(axes, swapped, item_size, lanes, target)
            plans.append((_cost(plan), swapped, plan))
    return min(plans, key=lambda choice: choice[:2])[2]


def _ways(
    outer: list[Axis], tall: list[Axis], wide: list[Axis]
) -> list[tuple[list[Axis], list[Axis]]]:
    """Outer axes and candidates for the vector lanes.

    Where nothing would run along the lanes, an axis that everything has can: depthwise.
    """
    ways = [(outer, wide)]
    if not wide:
        for i, axis in enumerate(outer):
            if axis.a == axis.b == 1:
                ways.append(([*outer[:i], *outer[i + 1 :]], [axis]))
    return ways


def merge(axes: Sequence[Axis]) -> list[Axis]:
    """Drops axes of size 1 and joins neighbours that are contiguous in every operand.

    Example:
        >>> merge([Axis(3, 8, 0, 8), Axis(4, 2, 0, 2), Axis(1, 5, 5, 5)])
        [Axis(size=12, a=2, b=0, c=2, extra=())]
    """
    merged: list[Axis] = []
    for axis in axes:
        if axis.size == 1:
            continue
        last = merged[-1] if merged else None
        if last and all(
            far == times(axis.size, near)
            for far, near in zip(last.strides, axis.strides, strict=True)
        ):
            merged[-1] = replace(axis, size=times(last.size, axis.size))
        else:
            merged.append(axis)
    return merged


def factors(x: Size) -> tuple[int, tuple[str, ...]]:
    """A size as a number and the sorted names it is multiplied by."""
    if isinstance(x, int):
        return x, ()
    parts = x.split("*")
    numbers = [int(part) for part in parts if part.isdigit()]
    return math.prod(numbers), tuple(sorted(part for part in parts if not part.isdigit()))


def times(x: Size, y: Size) -> Size:
    """The product of two sizes, always written in the same way.

    Example:
        >>> times("batch", times(3, "2*time"))
        '6*batch*time'
    """
    (number, names), (other, more) = factors(x), factors(y)
    number *= other
    names = tuple(sorted(names + more))
    if number == 0 or not names:
        return number
    return "*".join(names if number == 1 else (str(number), *names))


def evaluate(x: Size, sizes: Mapping[str, int]) -> int:
    """A size as a number, once the run-time sizes are known."""
    number, names = factors(x)
    return number * math.prod(sizes[name] for name in names)


def typical(x: Size) -> int:
    """A size as a number, where only a decision depends on it."""
    number, names = factors(x)
    return number * TYPICAL_SIZE ** len(names)


def row_tiles(rows: int, tile_rows: int) -> tuple[int, int]:
    """Splits a known number of rows evenly: the number of tiles, and how many are one row larger.

    The smaller tiles have `rows // tiles` rows.

    Example:
        >>> row_tiles(32, 14)
        (3, 2)
    """
    tiles = -(-rows // tile_rows)
    return tiles, (rows % tiles if tiles else 0)


def _vector_axis(axes: Sequence[Axis], swapped: bool) -> int:
    """The axis for the lanes: one that the vector operand or the result walks in unit steps."""
    for unit in (lambda x: x.a if swapped else x.b, lambda x: x.c):
        for index in reversed(range(len(axes))):
            if unit(axes[index]) == 1:
                return index
    return len(axes) - 1


def _tiled(
    axes: Sequence[Sequence[Axis]], swapped: bool, item_size: int, lanes: int, target: Target
) -> Plan:
    """The plan for one orientation."""
    outer, (row,), (column,), reduction = axes
    transpose = column.c != 1 and row.c == 1 and row.size != 1 and column.size != 1
    most = _rows_side_by_side(row, item_size, target)
    rows, vectors = _choose_tile(row.size, column.size, lanes, transpose, most, target)
    width = vectors * lanes
    total = math.prod(typical(axis.size) for axis in reduction)
    lines = tuple(axis for axis in outer if axis.b == 0)
    outer = tuple(axis for axis in outer if axis.b != 0)
    rows_in_all = math.prod(typical(axis.size) for axis in (*lines, row))
    scattered = column.b == 1 and total > _rows_that_stay(reduction[-1], item_size, target)
    pays = row.a != 1 and rows_in_all >= _ROWS_WORTH_PACKING
    pack = column.b not in (0, 1) or (scattered and pays)
    in_place = column.b == 1 and not pack
    second_bytes = target.caches.second_bytes
    scattered_in_place = scattered and not pack
    block = _block(row, reduction, width, item_size, in_place, scattered_in_place, second_bytes)
    blocked = block is not None
    resident = int(_RESIDENT_SHARE * second_bytes)
    panels_last = not pack and total * typical(column.size) * item_size <= resident
    masks = target.vector_bits >= 256
    many = _ROWS_PER_PACKED_CHUNK if pack else _ROWS_PER_CHUNK
    many = _ROWS_PER_BLOCKED_CHUNK if blocked else many
    short = bool(lines) and isinstance(row.size, int) and row.size < many
    plan = Plan(
        outer=outer,
        lines=lines,
        row=row,
        column=column,
        reduction=tuple(reduction),
        swapped=swapped,
        lanes=lanes,
        tile_rows=rows,
        tile_vectors=vectors,
        pack_first=False,
        pack=pack,
        pack_tail=pack or (column.b == 1 and not masks),
        transpose=transpose,
        block=block,
        tiles_per_chunk=max(1, many // rows),
        panels_per_chunk=1,
        lines_per_chunk=many // row.size if short else None,  # type: ignore[operator]
        panels_last=panels_last,
        prefetch=not pack and not panels_last and column.b == 1,
    )
    return _first_packed(plan, item_size, target.caches)


def _first_packed(plan: Plan, item_size: int, caches: Caches) -> Plan:
    """The plan with packed rows of the first factor, if that pays; else as it is.

    In the gradient of a weight a tile's rows are side by side in memory, a few numbers of each line
    of the cache. If tiles are narrow, the same lines come again and again, for each panel and for
    the tiles beside. Here a chunk copies them once, for many panels, in the order of the steps.

    Args:
        plan: All other decisions.
        item_size: Bytes of an element.
        caches: What can stay near.
    """
    row, column, reduction = plan.row, plan.column, plan.reduction
    inner = math.prod(typical(axis.size) for axis in reduction[1:])
    total = inner * typical(reduction[0].size)
    panels = -(-typical(column.size) // plan.width)
    narrow = plan.width * item_size <= _NARROW_TILE
    few = panels < _PANELS_WORTH_PACKING or total < _STEPS_WORTH_PACKING
    if row.a != 1 or column.a or not narrow or few:
        return plan
    near = int(_NEAR_PANEL_SHARE * caches.first_bytes) // (plan.width * item_size)
    block = max(1, near // max(inner, 1)) if total > near * 5 // 4 else None
    steps = total if block is None else min(total, block * inner)
    most = int(_PACKED_ROWS_SHARE * caches.second_bytes) // (max(steps, 1) * item_size)
    many = max(plan.tile_rows, min(most, _ROWS_PER_PACKED_CHUNK))
    short = bool(plan.lines) and isinstance(row.size, int) and row.size < many
    plan = replace(
        plan,
        pack_first=True,
        # With both packed, one loop goes through all axes of the reduction.
        pack=True,
        pack_tail=True,
        block=block,
        tiles_per_chunk=max(1, many // plan.tile_rows),
        lines_per_chunk=many // row.size if short else None,  # type: ignore[operator]
        panels_last=False,
        prefetch=False,
    )
    limit = _MOST_PANELS
    if block is not None:
        sums = plan.rows_per_chunk * plan.width * item_size
        limit = max(1, min(limit, int(_SUMS_SHARE * caches.second_bytes) // sums))
    groups = -(-panels // limit)
    return replace(plan, panels_per_chunk=-(-panels // groups))


def _block(
    row: Axis,
    reduction: Sequence[Axis],
    width: int,
    item_size: int,
    in_place: bool,
    scattered: bool,
    second_bytes: int,
) -> int | None:
    """Steps of the first reduction axis in a block; None where it runs through at once.

    Args:
        row: as in `Plan`.
        reduction: the same.
        width: columns of a full tile.
        item_size: bytes of an element.
        in_place: whether a panel's rows are read where they are, as parts of longer rows.
        scattered: whether they push each other out of the cache there.
        second_bytes: of the second-level cache.
    """
    inner = math.prod(typical(axis.size) for axis in reduction[1:])
    total = inner * typical(reduction[0].size)
    longest = int(PANEL_SHARE * second_bytes) // (width * item_size)
    blocked = scattered or total > longest * 5 // 4
    if in_place and blocked:
        near = typical(reduction[-1].b) * item_size < _SCATTERED_BYTES
        longest = min(longest, _NEAR_BLOCK if near else _SCATTERED_BLOCK)
    if row.a == 1 and len(reduction) == 1:
        # Each line of the first factor serves several tiles of rows: they have to find it cached.
        chunk_rows = min(typical(row.size), _ROWS_PER_BLOCKED_CHUNK)
        shorter = max(1, int(FACTOR_SHARE * second_bytes) // (chunk_rows * item_size))
        blocked = blocked or total > shorter
        longest = min(longest, shorter)
    return max(1, longest // max(inner, 1)) if blocked else None


def _rows_that_stay(axis: Axis, item_size: int, target: Target) -> int:
    """How many rows of the vector operand half of the second-level cache can hold together.

    Rows whose distance is a large power of two compete for a few of its sets.
    """
    caches = target.caches
    span = caches.second_bytes // caches.second_ways
    return caches.second_bytes // 2 // math.gcd(typical(axis.b) * item_size, span)


def _rows_side_by_side(row: Axis, item_size: int, target: Target) -> int:
    """How many rows of the first factor half of the first-level cache can hold together."""
    if not isinstance(row.a, int) or not row.a:
        return _PAGE
    half = target.caches.first_bytes // 2
    return max(1, half // math.gcd(row.a * item_size, _PAGE))


def _choose_tile(
    rows: Size, columns: Size, lanes: int, transpose: bool, most: int, target: Target
) -> tuple[int, int]:
    """Rows and vectors of the register tile."""
    registers = target.vector_registers - (1 if target.has_fma else 2)
    needed = max(1, -(-typical(columns) // lanes))
    widest = 4 if registers > 16 else 3
    if rows == 1:
        # The vector operand is read once: the longer the runs of memory, the better.
        widest = registers * 2 // 3
    best: tuple[float, int, int] | None = None
    for vectors in range(1, min(needed, widest) + 1):
        limit = min((registers - vectors) // vectors, most)
        for tall in range(1, limit + 1):
            if transpose and tall & (tall - 1):
                continue  # lanes of the transposed vectors
            full, tail = divmod(needed, vectors)
            widths = [(full, vectors), (1, tail)] if tail else [(full, vectors)]
            if isinstance(rows, int):
                tiles, larger = row_tiles(rows, tall)
                smaller = rows // max(tiles, 1)
                heights = [(tiles - larger, smaller), (larger, smaller + 1)]
            else:
                left, half = typical(rows) % tall, max(1, tall // 2)
                heights = [(typical(rows) // tall, tall), (left // half, half), (left % half, 1)]
            cost = sum(
                n * m * _tile_cost(height, width) for n, height in heights for m, width in widths
            )
            kernels = sum(bool(n) for n, _ in heights) * len(widths)
            cost *= 1 + 0.015 * kernels  # each takes milliseconds to compile
            choice = (cost, -tall * vectors, tall)
            if best is None or choice < best:
                best, chosen = choice, (tall, vectors)
    return chosen


def _tile_cost(rows: int, vectors: int) -> float:
    """Cycles of one step of the reduction, roughly.

    Two multiply-adds and two loads go together in a cycle, and a sum can only be added to again
    four cycles later. What is added on top prefers tiles that load less.
    """
    if not rows or not vectors:
        return 0.0
    busy = max(rows * vectors / 2, (rows + vectors) * 0.57, 4.0)
    return busy + 0.1 * rows + 0.3 * vectors + 0.5


def _cost(plan: Plan) -> float:
    """Vector instructions of a whole contraction, roughly: to compare the orientations."""
    rows, columns = typical(plan.row.size), typical(plan.column.size)
    total = math.prod(typical(axis.size) for axis in plan.reduction)
    vectors = -(-columns // plan.lanes)
    arithmetic = rows * vectors * total * 1.0
    if isinstance(plan.column.size, str) and isinstance(plan.row.size, int):
        arithmetic *= _UNKNOWN_LANES
    if not plan.transpose and plan.column.c != 1:
        arithmetic += rows * columns  # stored element by element
    copies = 4.0 * columns * total / plan.lanes if plan.pack else 0.0
    turned = 3.0 * rows * columns / plan.lanes if plan.transpose else 0.0
    around = math.prod(typical(axis.size) for axis in (*plan.outer, *plan.lines))
    # A packed panel serves all lines.
    packed = math.prod(typical(axis.size) for axis in plan.outer)
    return (arithmetic + turned) * around + copies * packed


@dataclass(frozen=True)
class Scope:
    """The run-time sizes as registers of one function."""

    e: Emitter
    values: Mapping[str, Register]

    def of(self, x: Size) -> Register:
        """A size or stride as an index register."""
        number, names = factors(x)
        result = self.e.index(number)
        for name in names:
            result = self.e.mul(result, self.values[name])
        return result
