"""How a contraction will be computed: which axes merge, which operand is the vector one, tiles.

A plan is plain data, made without emitting anything; `contraction_planner` makes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from graphc.runtime.cpu.emitter import Emitter, Register

#: A size or stride: a number, or a product of numbers and names of run-time sizes: `"3*batch"`.
Size = int | str

#: What a run-time size is taken for where a decision needs a number: a batch.
TYPICAL_SIZE = 32


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
class Fold:
    """Where rows go on in the first factor's next line, which lies elsewhere.

    Attributes:
        rows: of a line.
        jump: elements that the first row of a line is further away from the last one of the line
            before than rows of a line are from each other.
    """

    rows: int
    jump: int


@dataclass(frozen=True)
class Plan:
    """Every decision about a contraction; `swapped` says that `a` and `b` changed places.

    Attributes:
        outer: axes that are looped over, along which the vector operand changes.
        lines: axes that are looped over, for each point of which there is a line of rows; one panel
            of the vector operand serves all.
        row: the axis along which a tile has scalars of the first factor.
        fold: where the row axis is two axes, which all operands but the first factor walk through
            as one: so tiles go on where a short line ends.
        column: the axis along which the vector lanes run. If the first factor has it too, as in
            depthwise convolutions, the tile has vectors of that as well.
        around: the first of the axes that are summed over, if blocks are cut from one behind them.
        reduction: the other ones, or all, in this order, the last one fastest.
        lanes: elements of a vector.
        tile_rows: rows of a full tile.
        tile_vectors: vectors of a row of a full tile.
        pack_first: whether the rows of tiles are copied from the first factor, step by step; then
            the vector operand is packed as well, and one loop goes through all steps.
        pack: whether the vector operand is copied into a contiguous panel first.
        pack_tail: the same for the last, partial panel.
        pack_together: whether all panels of a unit of work are copied at once, row by row.
        transpose: whether tiles are transposed because the result is contiguous along the rows.
        block: steps of the first reduction axis in a block; None runs through it all at once.
        tiles_per_chunk: row tiles in a unit of work.
        panels_per_chunk: panels in a unit of work; more than one are packed together, or share the
            packed first factor.
        lines_per_chunk: lines in a unit of work; None if it is a part of one.
        panels_last: whether all panels follow each other for the same rows, not the other way
            round: for a vector operand that stays in the cache.
        prefetch: whether tiles ask for the vector operand's next panel before it is needed.
    """

    outer: tuple[Axis, ...]
    lines: tuple[Axis, ...]
    row: Axis
    fold: Fold | None
    column: Axis
    around: tuple[Axis, ...]
    reduction: tuple[Axis, ...]
    swapped: bool
    lanes: int
    tile_rows: int
    tile_vectors: int
    pack_first: bool
    pack: bool
    pack_tail: bool
    pack_together: bool
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
        sums = (*self.around, *self.reduction)
        axes = (*self.outer, *self.lines, self.row, self.column, *sums)
        found = (factors(x)[1] for axis in axes for x in (axis.size, *axis.strides))
        return sorted({name for names in found for name in names})


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


def folded(line: Axis, row: Axis) -> tuple[Axis, Fold] | None:
    """Two axes of rows as one that is folded, if that is possible.

    Example:
        >>> folded(Axis(7, a=90, c=70), Axis(7, a=10, c=10))
        (Axis(size=49, a=10, b=0, c=10, extra=()), Fold(rows=7, jump=20))
    """
    known = all(isinstance(x, int) for x in (line.size, line.a, row.size, row.a))
    if not known or merge([replace(line, a=times(row.size, row.a)), row])[1:]:
        return None
    size, jump = times(line.size, row.size), line.a - row.size * row.a  # type: ignore[operator]
    return replace(row, size=size), Fold(row.size, jump)  # type: ignore[arg-type]


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


def typical(x: Size, batch: int = TYPICAL_SIZE) -> int:
    """A size as a number, where only a decision depends on it."""
    number, names = factors(x)
    return number * batch ** len(names)


def row_tiles(rows: int, tile_rows: int) -> tuple[int, int]:
    """Splits a known number of rows evenly: the number of tiles, and how many are one row larger.

    The smaller tiles have `rows // tiles` rows.

    Example:
        >>> row_tiles(32, 14)
        (3, 2)
    """
    tiles = -(-rows // tile_rows)
    return tiles, (rows % tiles if tiles else 0)


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

    def points(self, axes: Sequence[Axis]) -> Register:
        """Of some axes together."""
        result = self.e.index(1)
        for axis in axes:
            result = self.e.mul(result, self.of(axis.size))
        return result


def quotient(e: Emitter, x: Register, y: Register) -> Register:
    """Of numbers that are not negative, by one that is not zero."""
    if x.number is not None and y.number is not None:
        return e.index(int(x.number) // int(y.number))
    if y.number == 1:
        return x
    return e.emit(f"udiv i64 {x.text}, {y.text}", "index")
