"""Copying the vector operand of a contraction into a contiguous panel, transposing on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphc.runtime.cpu.contraction_plan import Plan, Scope
from graphc.runtime.cpu.emitter import Emitter, Module, Parameter, Register

#: Code for a run along the last reduction axis: offset in the source, place in the panel, steps.
_Run = Callable[[Register, Register, Register], None]

#: Offsets and strides count elements; `last` is the last column that exists, from the first on.
_TURNED = (
    Parameter("source", "pointer", readonly=True, noalias=True),
    Parameter("panel", "pointer", noalias=True),
    Parameter("steps", "index"),
    Parameter("last", "index"),
    Parameter("stride", "index"),
    Parameter("width", "index"),
)


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

    def function(self, vectors: int, tail: int | None) -> str:
        """The symbol of the function for panels of so many columns, written if it is new."""
        name = f"{self.name}.pack{vectors}.{'r' if tail is None else tail}"
        if not self.module.has_function(name):
            with self.module.function(name, self._signature(), internal=True, noinline=True) as e:
                count = e.arguments[4]
                if tail is not None:
                    count = e.index((vectors - 1) * self.plan.lanes + tail)
                _Pack(self, e, vectors, count).write()
        return name

    def together(self) -> str:
        """The symbol of the function for several full panels, whose rows are parts of longer rows.

        Each of those is read from one end to the other, as it lies in memory.
        """
        name, vectors = f"{self.name}.panels", self.plan.tile_vectors
        if not self.module.has_function(name):
            counts = [Parameter("panels", "index"), Parameter("size", "index")]
            parameters = [*self._signature(), *counts]
            with self.module.function(name, parameters, internal=True, noinline=True) as e:
                panels, size = e.arguments[-2:]
                _Pack(self, e, vectors, e.index(self.plan.width), panels, size).write()
        return name

    def rows(self, rows: int) -> str:
        """The symbol of the function that packs the first factor's rows of some tiles.

        They lie side by side there already. Packed, the rows of a tile's next step follow at once.
        """
        name = f"{self.name}.rows{rows}"
        if not self.module.has_function(name):
            with self.module.function(name, self._slivers(), internal=True, noinline=True) as e:
                self._write_rows(e, rows)
        return name

    def _write_rows(self, e: Emitter, rows: int) -> None:
        source, slivers, begin, end, tiles, size, *sizes = e.arguments
        plan, dtype = self.plan, self.dtype
        scope = Scope(e, dict(zip(plan.names, sizes, strict=True)))
        strides = [scope.of(axis.a) for axis in plan.reduction]

        def copy(tile: Register, offset: Register, place: Register, count: int) -> None:
            x = e.load(e.offset(source, e.add(offset, e.mul(tile, rows)), dtype), dtype, count)
            e.store(x, e.offset(slivers, e.add(place, e.mul(tile, size)), dtype))

        def run(offset: Register, place: Register, steps: Register) -> None:
            # Whole vectors are copied faster. What is too much is written over by the next step, or
            # lies in the margin between slivers. But nothing is read behind the last tile, where
            # memory may end: so many tiles have fewer than a vector's rows left.
            short = -(-plan.lanes // rows) - 1
            whole = e.maximum(e.sub(tiles, short), 0)
            with e.loop(0, steps) as step:
                here = e.add(offset, e.mul(step, strides[-1]))
                there = e.add(place, e.mul(step, rows))
                with e.loop(0, whole) as tile:
                    copy(tile, here, there, max(rows, plan.lanes))
                with e.loop(whole, tiles) as tile:
                    copy(tile, here, there, rows)

        _Walk(scope, plan, strides, rows, run).write(begin, end, e.index(0), e.index(0))

    def _slivers(self) -> list[Parameter]:
        """Source, slivers, the range of the first reduction axis, tiles, a sliver's elements."""
        source, panel, begin, end, _, *sizes = self._signature()
        counts = [Parameter("tiles", "index"), Parameter("size", "index")]
        return [source, panel, begin, end, *counts, *sizes]

    def turned(self) -> str:
        """The symbol of the function that packs consecutive steps of a vector's columns.

        Transposing is much code. It depends on no contraction, so all of a module share it.
        """
        name = f"pack.turned.{self.dtype}"
        if not self.module.has_function(name):
            with self.module.function(name, _TURNED, internal=True, noinline=True) as e:
                _write_turned(e, self.dtype, self.plan.lanes)
        return name

    def _signature(self) -> list[Parameter]:
        """Source, panel, the range of the first reduction axis, columns, run-time sizes."""
        return [
            Parameter("source", "pointer", readonly=True, noalias=True),
            Parameter("panel", "pointer", noalias=True),
            Parameter("begin", "index"),
            Parameter("end", "index"),
            Parameter("columns", "index"),
            *(Parameter(f"size.{name}", "index") for name in self.plan.names),
        ]


@dataclass(frozen=True)
class _Walk:
    """The loops over the axes of a reduction.

    Attributes:
        scope: The run-time sizes.
        plan: The contraction's.
        strides: Of the source, along each axis.
        step: Elements of what is packed, from a step to the next.
        run: Code for the last axis.
    """

    scope: Scope
    plan: Plan
    strides: Sequence[Register]
    step: int
    run: _Run

    def write(
        self, begin: Register, end: Register, offset: Register, place: Register, depth: int = 0
    ) -> Register:
        """Those from `depth` on; gives where the packed copy goes on."""
        e = self.scope.e
        if depth + 1 == len(self.strides):
            steps = e.sub(end, begin)
            self.run(e.add(offset, e.mul(begin, self.strides[depth])), place, steps)
            return e.add(place, e.mul(steps, self.step))
        size = self.scope.of(self.plan.reduction[depth + 1].size)
        with e.carry(begin, end, 1, [place]) as loop:
            here = e.add(offset, e.mul(loop.index, self.strides[depth]))
            loop.values = [self.write(e.index(0), size, here, loop.values[0], depth + 1)]
        return loop.results[0]


class _Pack:
    """One packing function of a contraction while it is written.

    Columns that do not exist are copied from the last one that does: nobody looks at them. With
    `panels`, so many full ones are packed, `size` elements from one to the next.
    """

    def __init__(
        self,
        writer: PackWriter,
        e: Emitter,
        vectors: int,
        count: Register,
        panels: Register | None = None,
        size: Register | None = None,
    ) -> None:
        self.e, self.plan, self.dtype, self.writer = e, writer.plan, writer.dtype, writer
        self.vectors, self.count = vectors, count
        self.source, self.panel, self.begin, self.end = e.arguments[:4]
        names = writer.plan.names
        sizes = e.arguments[5 : 5 + len(names)]
        self.scope = Scope(e, dict(zip(names, sizes, strict=True)))
        self.panels, self.size = panels, size

    def write(self) -> None:
        plan, e, lanes = self.plan, self.e, self.plan.lanes
        self.strides = [self.scope.of(axis.b) for axis in plan.reduction]
        self.column_stride = self.scope.of(plan.column.b)
        self.last_column = e.sub(self.count, 1)
        size = plan.reduction[-1].size
        few = isinstance(size, int) and size < lanes
        if self.strides[-1].number != 1 or self.column_stride.number == 1 or few:
            self._walk(e.index(0), e.index(0), self._copy)
            return
        with e.loop(0, self.vectors) as v:
            self.first = e.mul(v, lanes)
            start = e.mul(self.first, self.column_stride)
            self._walk(start, self.first, self._turn)

    def _walk(self, offset: Register, place: Register, run: _Run) -> None:
        walk = _Walk(self.scope, self.plan, self.strides, self.plan.width, run)
        walk.write(self.begin, self.end, offset, place)

    def _turn(self, offset: Register, place: Register, steps: Register) -> None:
        """A run of steps of one vector."""
        e = self.e
        source = e.offset(self.source, offset, self.dtype)
        panel = e.offset(self.panel, place, self.dtype)
        last = e.sub(self.last_column, self.first)
        sizes = (steps, last, self.column_stride, e.index(self.plan.width))
        e.call(self.writer.turned(), None, source, panel, *sizes)

    def _copy(self, offset: Register, place: Register, steps: Register) -> None:
        """A run of steps of all vectors."""
        e, width = self.e, self.plan.width
        with e.loop(0, steps) as step:
            here = e.add(offset, e.mul(step, self.strides[-1]))
            there = e.add(place, e.mul(step, width))
            if self.panels is None or self.size is None:
                self._copy_step(here, there)
                return
            with e.loop(0, self.panels) as panel:
                first = e.add(here, e.mul(panel, width))
                self._copy_step(first, e.add(there, e.mul(panel, self.size)))

    def _copy_step(self, here: Register, there: Register) -> None:
        """One step of all vectors of a panel."""
        e, lanes = self.e, self.plan.lanes
        complete = self.count.number == self.vectors * lanes
        source = e.offset(self.source, here, self.dtype)
        panel = e.offset(self.panel, there, self.dtype)
        for v in range(self.vectors):
            if self.column_stride.number == 1 and complete:
                x = e.load(e.offset(source, v * lanes, self.dtype), self.dtype, lanes)
            else:
                columns = e.add(e.iota("index", lanes), v * lanes)
                columns = e.minimum(columns, self.last_column)
                x = e.gather(source, e.mul(columns, self.column_stride), self.dtype)
            e.store(x, e.offset(panel, v * lanes, self.dtype))


def _write_turned(e: Emitter, dtype: str, lanes: int) -> None:
    """The body of `PackWriter.turned`: in blocks as long as a vector; the last two may overlap."""
    source, panel, steps, last, stride, width = e.arguments
    with e.if_(e.compare("ge", steps, lanes)):
        columns = [e.mul(e.minimum(last, column), stride) for column in range(lanes)]
        with e.loop(0, steps, lanes) as begin:
            step = e.minimum(begin, e.sub(steps, lanes))
            here = e.offset(source, step, dtype)
            there = e.offset(panel, e.mul(step, width), dtype)
            block = [e.load(e.offset(here, column, dtype), dtype, lanes) for column in columns]
            for x in transpose(e, block):
                e.store(x, there)
                there = e.offset(there, width, dtype)
    with e.if_(e.compare("lt", steps, lanes)):
        indices = e.mul(e.minimum(e.iota("index", lanes), last), stride)
        with e.loop(0, steps) as step:
            x = e.gather(e.offset(source, step, dtype), indices, dtype)
            e.store(x, e.offset(panel, e.mul(step, width), dtype))
