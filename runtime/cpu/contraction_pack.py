"""Copying the vector operand of a contraction into a contiguous panel, transposing on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.runtime.cpu.contraction_plan import Plan, Scope
from graphc.runtime.cpu.emitter import Emitter, Module, Parameter, Register


def next_power_of_two(number: int) -> int:
    """The smallest power of two that is not below a number."""
    return 1 << max(number - 1, 0).bit_length()


def transpose(e: Emitter, block: Sequence[Register]) -> list[Register]:
    """Transposes a block of row vectors, in registers.

    Args:
        e: the emitter.
        block: the rows; their number is rounded up to a power of two.

    Returns:
        As many vectors as rows, which one behind the other hold the columns of the block.
    """
    rows = next_power_of_two(len(block))
    lanes = block[0].lanes
    padding = e.undefined(block[0].dtype, lanes)
    vectors = [*block, *[padding] * (rows - len(block))]
    low = [x // 2 + (x % 2) * lanes for x in range(lanes)]
    high = [x + lanes // 2 for x in low]
    # Each round interleaves the halves of the whole sequence, like shuffling cards; after log2
    # (rows) rounds, what was a row apart is side by side.
    for _ in range(rows.bit_length() - 1):
        pairs = list(zip(vectors[: rows // 2], vectors[rows // 2 :], strict=True))
        vectors = [e.shuffle(x, y, picks) for x, y in pairs for picks in (low, high)]
    return vectors


@dataclass
class PackWriter:
    """Writes the packing functions of one contraction into a module, each once."""

    module: Module
    name: str
    plan: Plan
    dtype: str

    def signature(self) -> list[Parameter]:
        """Source, panel, the range of the first reduction axis, columns, run-time sizes."""
        return [
            Parameter("source", "pointer", readonly=True, noalias=True),
            Parameter("panel", "pointer", noalias=True),
            Parameter("begin", "index"),
            Parameter("end", "index"),
            Parameter("columns", "index"),
            *(Parameter(f"size.{name}", "index") for name in self.plan.names),
        ]

    def function(self, vectors: int, tail: int | None) -> str:
        """The symbol of the function for panels of so many columns, written if it is new."""
        name = f"{self.name}.pack{vectors}.{'r' if tail is None else tail}"
        if not self.module.has_function(name):
            with self.module.function(name, self.signature(), internal=True, noinline=True) as e:
                count = e.arguments[4]
                if tail is not None:
                    count = e.index((vectors - 1) * self.plan.lanes + tail)
                _Pack(self, e, vectors, count).write()
        return name


class _Pack:
    """One packing function while it is written.

    Columns that do not exist are copied from the last one that does: nobody looks at them.
    """

    def __init__(self, writer: PackWriter, e: Emitter, vectors: int, count: Register) -> None:
        self.e, self.plan, self.dtype = e, writer.plan, writer.dtype
        self.vectors, self.count = vectors, count
        self.source, self.panel, self.begin, self.end = e.arguments[:4]
        names = writer.plan.names
        self.scope = Scope(e, dict(zip(names, e.arguments[5:], strict=True)))

    def write(self) -> None:
        plan, e = self.plan, self.e
        self.strides = [self.scope.of(axis.b) for axis in plan.reduction]
        self.column_stride = self.scope.of(plan.column.b)
        self.last_column = e.sub(self.count, 1)
        lanes = plan.lanes
        columns = [e.minimum(self.last_column, c) for c in range(self.vectors * lanes)]
        self.columns = [e.mul(column, self.column_stride) for column in columns]
        self._nest(0, e.index(0), e.index(0))

    def _nest(self, depth: int, offset: Register, place: Register) -> Register:
        """The loops over the reduction axes from `depth` on; gives where the panel goes on."""
        e = self.e
        begin, end = self.begin, self.end
        if depth:
            begin, end = e.index(0), self.scope.of(self.plan.reduction[depth].size)
        if depth + 1 < len(self.plan.reduction):
            with e.carry(begin, end, 1, [place]) as loop:
                here = e.add(offset, e.mul(loop.index, self.strides[depth]))
                loop.values = [self._nest(depth + 1, here, loop.values[0])]
            return loop.results[0]
        if self.strides[depth].number == 1 and self.column_stride.number != 1:
            lanes = self.plan.lanes
            whole = e.add(begin, e.bitwise_and(e.sub(end, begin), -lanes))
            with e.carry(begin, whole, lanes, [place]) as loop:
                self._turn(e.add(offset, loop.index), loop.values[0])
                loop.values = [e.add(loop.values[0], lanes * self.plan.width)]
            begin, place = whole, loop.results[0]
        with e.carry(begin, end, 1, [place]) as loop:
            here = e.add(offset, e.mul(loop.index, self.strides[depth]))
            self._copy(here, loop.values[0])
            loop.values = [e.add(loop.values[0], self.plan.width)]
        return loop.results[0]

    def _turn(self, offset: Register, place: Register) -> None:
        """As many steps as there are lanes, which are consecutive in memory."""
        e, lanes = self.e, self.plan.lanes
        source = e.offset(self.source, offset, self.dtype)
        panel = e.offset(self.panel, place, self.dtype)
        for v in range(self.vectors):
            columns = self.columns[v * lanes : (v + 1) * lanes]
            block = [e.load(e.offset(source, c, self.dtype), self.dtype, lanes) for c in columns]
            for i, x in enumerate(transpose(e, block)):
                e.store(x, e.offset(panel, i * self.plan.width + v * lanes, self.dtype))

    def _copy(self, offset: Register, place: Register) -> None:
        """One step."""
        e, lanes = self.e, self.plan.lanes
        source = e.offset(self.source, offset, self.dtype)
        panel = e.offset(self.panel, place, self.dtype)
        complete = self.count.number == self.vectors * lanes
        for v in range(self.vectors):
            if self.column_stride.number == 1 and complete:
                x = e.load(e.offset(source, v * lanes, self.dtype), self.dtype, lanes)
            else:
                columns = e.add(e.iota("index", lanes), v * lanes)
                columns = e.minimum(columns, self.last_column)
                x = e.gather(source, e.mul(columns, self.column_stride), self.dtype)
            e.store(x, e.offset(panel, v * lanes, self.dtype))
