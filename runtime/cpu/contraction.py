"""Strided tensor contractions: `result[o, m, n] = epilogue(sum over k of a[o, m, k] * b[o, n, k])`.

One generator serves every product of tensors, because only strides matter: dense layers, batched
matrix products with any operand transposed, convolutions over a padded input (rows are output
positions, the reduction runs over kernel positions and channels), and their gradients.

Example:
    `y = x @ w` for x of shape (batch, 784) and w of shape (784, 300)::

        contraction = Contraction(
            rows=(Axis("batch", a=784, c=300),),
            columns=(Axis(300, b=1, c=1),),
            reduction=(Axis(784, a=1, b=300),),
        )
        native = generate(module, "dense", contraction)
        # dense(x, w, y, batch, scratch, begin, end), for ranges of native.chunks({"batch": 32})
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from graphc.runtime.cpu.contraction_kernel import Epilogue, KernelWriter, Position, Shape
from graphc.runtime.cpu.contraction_pack import PackWriter
from graphc.runtime.cpu.contraction_plan import (
    Axis,
    Plan,
    Scope,
    Size,
    evaluate,
    make_plan,
    row_tiles,
)
from graphc.runtime.cpu.emitter import Emitter, Module, Parameter, Register
from graphc.runtime.cpu.registers import HALVES
from graphc.runtime.cpu.target import ITEM_SIZES, Target

__all__ = ["Axis", "Contraction", "Native", "Position", "Size", "generate", "store"]


#: Steps of a block that is never full.
_ENDLESS = 1 << 40


@dataclass(frozen=True)
class Contraction:
    """What to compute: the axes of each group, and what they hold.

    Attributes:
        rows: axes that only the first factor and the result have.
        columns: axes that only the second factor and the result have.
        reduction: axes that only the factors have; summed over in this order, the last fastest.
        outer: axes that all have.
        dtype: of both factors. Sums of 16-bit floats are float32, others the factors' dtype.
        parameters: further arguments for the epilogue.
        staged: pass sums to the epilogue through memory, so that a long epilogue's code is not
            repeated for every row of a tile.
        noalias: whether nothing that the epilogue writes overlaps the factors.
        parts: into how many parts the first reduction axis is cut, each with sums of its own, so
            that threads can share a long sum of few results.
        part_stride: elements from a part's result to the next one's.

    Sizes and strides (in elements) are numbers or products with run-time sizes: `"3*batch"`.
    """

    rows: tuple[Axis, ...] = ()
    columns: tuple[Axis, ...] = ()
    reduction: tuple[Axis, ...] = ()
    outer: tuple[Axis, ...] = ()
    dtype: str = "float32"
    parameters: tuple[Parameter, ...] = ()
    staged: bool = False
    noalias: bool = False
    parts: int = 1
    part_stride: int = 0

    def __post_init__(self) -> None:
        """Checks that the axes agree on how many operands there are."""
        counts = {len(axis.extra) for axis in self.axes}
        if len(counts) > 1:
            raise ValueError(f"every axis needs a stride for every operand, got {sorted(counts)}")
        if self.dtype == "bool":
            raise ValueError("a contraction needs numbers, got bool; cast the operands")

    @property
    def axes(self) -> tuple[Axis, ...]:
        """All of them."""
        return (*self.outer, *self.rows, *self.columns, *self.reduction)

    @property
    def sum_dtype(self) -> str:
        """What the epilogue gets."""
        return "float32" if self.dtype in HALVES else self.dtype

    def plan(self, target: Target) -> Plan:
        """How it will be computed on a target."""
        groups = (self.outer, self.rows, self.columns, self.reduction)
        plan = make_plan(groups, ITEM_SIZES[self.dtype], target.lanes(self.sum_dtype), target)
        if self.parts > 1 and plan.block is None:
            plan = replace(plan, block=_ENDLESS)  # a part is a block, at most
        return plan


@dataclass(frozen=True)
class Native:
    """A generated contraction: the function `name` and what its caller must know.

    Its parameters are: the factors `a` and `b`, the epilogue's operands (the result first) as
    pointers, `Contraction.parameters`, the run-time sizes in the order of `sizes`, a scratch
    pointer, and the range `begin`, `end` of chunks to compute. Chunks are independent of each
    other and may run on any thread, each thread with its own scratch memory; which range an
    element's chunk is part of does not change a bit of it.
    """

    name: str
    contraction: Contraction
    plan: Plan

    @property
    def sizes(self) -> list[str]:
        """Names of the run-time sizes, in the order of the function's parameters."""
        return self.plan.names

    def chunks(self, sizes: Mapping[str, int] | None = None) -> int:
        """The number of chunks for these run-time sizes."""
        known, plan = sizes or {}, self.plan
        tiles = -(-evaluate(plan.row.size, known) // plan.tile_rows)
        panels = -(-evaluate(plan.column.size, known) // plan.width)
        outer, lines = (
            math.prod(evaluate(axis.size, known) for axis in axes)
            for axes in (plan.outer, plan.lines)
        )
        each = self.contraction.parts * outer * panels
        if plan.lines_per_chunk is None:
            return each * lines * -(-tiles // plan.tiles_per_chunk)
        return each * (-(-lines // plan.lines_per_chunk) if tiles else 0)

    def scratch_bytes(self, sizes: Mapping[str, int] | None = None) -> int:
        """Bytes of scratch memory that each thread needs."""
        known, plan = sizes or {}, self.plan
        if not (plan.pack or plan.pack_tail):
            return self._partial_bytes
        first = evaluate(plan.reduction[0].size, known)
        first = first if plan.block is None else min(first, plan.block)
        steps = first * math.prod(evaluate(axis.size, known) for axis in plan.reduction[1:])
        return self._partial_bytes + steps * plan.width * ITEM_SIZES[self.contraction.dtype]

    def emit_chunks(self, e: Emitter, sizes: Mapping[str, Register]) -> Register:
        """Code for `chunks`."""
        return e.mul(_Counts(self.plan, Scope(e, sizes)).chunks, self.contraction.parts)

    def emit_scratch_bytes(self, e: Emitter, sizes: Mapping[str, Register]) -> Register:
        """Code for `scratch_bytes`."""
        plan, scope = self.plan, Scope(e, sizes)
        if not (plan.pack or plan.pack_tail):
            return e.index(self._partial_bytes)
        steps = scope.of(plan.reduction[0].size)
        if plan.block is not None:
            steps = e.minimum(steps, plan.block)
        for axis in plan.reduction[1:]:
            steps = e.mul(steps, scope.of(axis.size))
        step_bytes = plan.width * ITEM_SIZES[self.contraction.dtype]
        return e.add(e.mul(steps, step_bytes), self._partial_bytes)

    @property
    def _partial_bytes(self) -> int:
        """Room for the sums of a chunk between two blocks of the reduction; the panel follows."""
        plan = self.plan
        if plan.block is None:
            return 0
        return plan.rows_per_chunk * plan.width * ITEM_SIZES[self.contraction.sum_dtype]


def store(e: Emitter, sums: Register, position: Position) -> None:
    """The plainest epilogue: sums become elements of the result, whose dtype is theirs."""
    position.store(e, sums)


def generate(
    module: Module, name: str, contraction: Contraction, epilogue: Epilogue = store
) -> Native:
    """Writes a contraction into a module.

    Args:
        module: where the function and its kernels go.
        name: the function's symbol; its kernels' symbols start with it.
        contraction: what to compute.
        epilogue: emits what happens to each vector of sums; it stores the results.

    Returns:
        What a caller of the function must know.
    """
    native = Native(name, contraction, contraction.plan(module.target))
    _Driver(module, native, epilogue).write()
    return native


class _Counts:
    """How the work of a part splits into chunks, as registers; see `Native.chunks`."""

    def __init__(self, plan: Plan, scope: Scope) -> None:
        e = scope.e
        self.rows = scope.of(plan.row.size)
        self.columns = scope.of(plan.column.size)
        self.tiles = _ceiling(e, self.rows, plan.tile_rows)
        self.panels = _ceiling(e, self.columns, plan.width)
        self.outer = [scope.of(axis.size) for axis in plan.outer]
        self.lines = [scope.of(axis.size) for axis in plan.lines]
        self.line_count = e.index(1)
        for size in self.lines:
            self.line_count = e.mul(self.line_count, size)
        if plan.lines_per_chunk is None:
            self.row_blocks = _ceiling(e, self.tiles, plan.tiles_per_chunk)
            self.blocks = e.mul(self.line_count, self.row_blocks)
        else:
            self.row_blocks = e.minimum(self.tiles, 1)
            line_blocks = _ceiling(e, self.line_count, plan.lines_per_chunk)
            self.blocks = e.mul(line_blocks, self.row_blocks)
        self.chunks = e.mul(self.blocks, self.panels)
        for size in self.outer:
            self.chunks = e.mul(self.chunks, size)


def _ceiling(e: Emitter, x: Register, step: int) -> Register:
    return _quotient(e, e.add(x, step - 1), e.index(step))


def _quotient(e: Emitter, x: Register, y: Register) -> Register:
    """Of numbers that are not negative, by one that is not zero."""
    if x.number is not None and y.number is not None:
        return e.index(int(x.number) // int(y.number))
    if y.number == 1:
        return x
    return e.emit(f"udiv i64 {x.text}, {y.text}", "index")


@dataclass(frozen=True)
class _Panel:
    """A kind of column panel: all full ones, or the partial one at the end."""

    vectors: int
    tail: int | None
    packed: bool


@dataclass(frozen=True)
class _Chunk:
    """A unit of work: element offsets of all operands, its lines and its range of row tiles."""

    panel: Register
    offsets: Sequence[Register]
    first_line: Register
    last_line: Register
    first_tile: Register
    last_tile: Register


@dataclass(frozen=True)
class _Block:
    """A block of the reduction: its range, the columns left, whether it is the first and last."""

    begin: Register
    end: Register
    columns: Register
    flags: Sequence[Register] = ()


class _Driver:
    """The function that walks through a range of chunks and calls the kernels."""

    def __init__(self, module: Module, native: Native, epilogue: Epilogue) -> None:
        contraction, self.plan = native.contraction, native.plan
        self.module, self.native, self.contraction = module, native, contraction
        self.kernels = KernelWriter(
            module,
            native.name,
            native.plan,
            contraction.dtype,
            contraction.parameters,
            epilogue,
            contraction.staged,
            contraction.noalias,
        )
        self.packs = PackWriter(module, native.name, native.plan, contraction.dtype)

    def write(self) -> None:
        names = self.plan.names
        parameters = [Parameter("a", "pointer"), Parameter("b", "pointer")]
        parameters += [
            Parameter(f"pointer{i}", "pointer") for i in range(self.kernels.operand_count)
        ]
        parameters += [
            Parameter(f"parameter.{p.name}", p.dtype, p.lanes) for p in self.contraction.parameters
        ]
        parameters += [Parameter(f"size.{name}", "index") for name in names]
        parameters += [Parameter("scratch", "pointer")]
        parameters += [Parameter("begin", "index"), Parameter("end", "index")]
        with self.module.function(self.native.name, parameters, noinline=True) as e:
            self.e = e
            self.arguments = {
                p.name: register for p, register in zip(parameters, e.arguments, strict=True)
            }
            self.scope = Scope(e, {name: self.arguments[f"size.{name}"] for name in names})
            self.counts = _Counts(self.plan, self.scope)
            a, b = self.arguments["a"], self.arguments["b"]
            self.a, self.b = (b, a) if self.plan.swapped else (a, b)
            scratch = self.arguments["scratch"]
            self.partial = scratch
            self.panel = e.offset(scratch, self.native._partial_bytes, "int8")
            begin, end = self.arguments["begin"], self.arguments["end"]
            with e.carry(begin, end, 1, [e.index(-1)]) as loop:
                part, number = e.index(0), loop.index
                if self.contraction.parts > 1:
                    part, number = self._divide(number, self.counts.chunks)
                self.range = self._range(part)
                rest, panel, block = self._split(number)
                # Panels follow each other slowly, so that a packed one serves many chunks.
                column_block = e.add(e.mul(rest, self.counts.panels), panel)
                self.is_new = e.compare("ne", column_block, loop.values[0])
                loop.values = [column_block]
                self._chunk(self._in_part(part, self._locate(rest, panel, block)))

    def _range(self, part: Register) -> tuple[Register, Register]:
        """Where a part of the first reduction axis begins and ends."""
        e, parts = self.e, self.contraction.parts
        steps = self.scope.of(self.plan.reduction[0].size)
        if parts == 1:
            return e.index(0), steps
        ends = (e.mul(steps, part), e.mul(steps, e.add(part, 1)))
        begin, end = (_quotient(e, x, e.index(parts)) for x in ends)
        return begin, end

    def _in_part(self, part: Register, chunk: _Chunk) -> _Chunk:
        """A chunk that writes to the result of a part."""
        a, b, result, *others = chunk.offsets
        result = self.e.add(result, self.e.mul(part, self.contraction.part_stride))
        return replace(chunk, offsets=[a, b, result, *others])

    def _split(self, number: Register) -> tuple[Register, Register, Register]:
        """The outer axes' place, the panel and the block of rows that a chunk's number means."""
        counts = self.counts
        if self.plan.panels_last:
            above, panel = self._divide(number, counts.panels)
            rest, block = self._divide(above, counts.blocks)
        else:
            above, block = self._divide(number, counts.blocks)
            rest, panel = self._divide(above, counts.panels)
        return rest, panel, block

    def _divide(self, x: Register, y: Register) -> tuple[Register, Register]:
        """Quotient and rest."""
        quotient = _quotient(self.e, x, y)
        return quotient, self.e.sub(x, self.e.mul(quotient, y))

    def _locate(self, rest: Register, panel: Register, block: Register) -> _Chunk:
        """Which lines, row tiles, columns and outer indices a chunk stands for."""
        e, plan, counts = self.e, self.plan, self.counts
        column = e.mul(panel, plan.width)
        offsets = [e.mul(column, self.scope.of(stride)) for stride in plan.column.strides]
        offsets = self._advanced(offsets, rest, plan.outer, counts.outer)
        if plan.lines_per_chunk is not None:
            first_line = e.mul(block, plan.lines_per_chunk)
            last_line = e.minimum(e.add(first_line, plan.lines_per_chunk), counts.line_count)
            return _Chunk(panel, offsets, first_line, last_line, e.index(0), counts.tiles)
        line, row_block = self._divide(block, counts.row_blocks)
        offsets = self._advanced(offsets, line, plan.lines, counts.lines)
        first = e.mul(row_block, plan.tiles_per_chunk)
        last = e.minimum(e.add(first, plan.tiles_per_chunk), counts.tiles)
        return _Chunk(panel, offsets, line, e.add(line, 1), first, last)

    def _advanced(
        self,
        offsets: Sequence[Register],
        place: Register,
        axes: Sequence[Axis],
        sizes: Sequence[Register],
    ) -> list[Register]:
        """Offsets at a place of some axes, which is counted through in row-major order."""
        e, found = self.e, list(offsets)
        for number, (axis, size) in reversed(list(enumerate(zip(axes, sizes, strict=True)))):
            place, index = self._divide(place, size) if number else (place, place)
            steps = [e.mul(index, self.scope.of(stride)) for stride in axis.strides]
            found = [e.add(x, step) for x, step in zip(found, steps, strict=True)]
        return found

    def _chunk(self, chunk: _Chunk) -> None:
        """The chunk's code, once for each kind of panel."""
        plan, e = self.plan, self.e
        lanes, width, size = plan.lanes, plan.width, plan.column.size
        if not isinstance(size, int):
            if plan.pack or plan.column.b == 0:
                self._panel(chunk, _Panel(plan.tile_vectors, None, plan.pack))
                return
            full = _quotient(e, self.counts.columns, e.index(width))
            rest = _Panel(plan.tile_vectors, None, plan.pack_tail)
        else:
            count = size % width
            if not count:
                self._panel(chunk, _Panel(plan.tile_vectors, lanes, plan.pack))
                return
            vectors = -(-count // lanes)
            full = e.index(size // width)
            ragged = count % lanes != 0
            packed = plan.pack_tail if ragged else plan.pack
            rest = _Panel(vectors, count - (vectors - 1) * lanes, packed)
            if size < width:
                self._panel(chunk, rest)
                return
        is_full = e.compare("lt", chunk.panel, full)
        with e.if_(is_full):
            self._panel(chunk, _Panel(plan.tile_vectors, lanes, plan.pack))
        with e.if_(e.logical_not(is_full)):
            self._panel(chunk, rest)

    def _panel(self, chunk: _Chunk, kind: _Panel) -> None:
        """All blocks of the reduction, for the chunk's rows and one panel of columns."""
        plan, e = self.plan, self.e
        remaining = e.sub(self.counts.columns, e.mul(chunk.panel, plan.width))
        columns = e.minimum(remaining, plan.width)
        first, steps = self.range
        if plan.block is None:
            block = _Block(first, steps, columns)
            if kind.packed:
                with e.if_(self.is_new):
                    self._pack(chunk, kind, block)
            self._tiles(chunk, kind, block)
            return
        # Without any step the epilogue still runs, on zeros.
        with e.loop(first, e.maximum(steps, e.add(first, 1)), plan.block) as begin:
            after = e.add(begin, plan.block)
            flags = [e.compare("eq", begin, first), e.compare("ge", after, steps)]
            block = _Block(begin, e.minimum(after, steps), columns, flags)
            if kind.packed:
                self._pack(chunk, kind, block)
            self._tiles(chunk, kind, block)

    def _pack(self, chunk: _Chunk, kind: _Panel, block: _Block) -> None:
        e = self.e
        function = self.packs.function(kind.vectors, kind.tail)
        source = e.offset(self.b, chunk.offsets[1], self.contraction.dtype)
        scope = (block.begin, block.end, block.columns)
        e.call(function, None, source, self.panel, *scope, *self._sizes())

    def _sizes(self) -> list[Register]:
        return [self.arguments[f"size.{name}"] for name in self.plan.names]

    def _tiles(self, chunk: _Chunk, kind: _Panel, block: _Block) -> None:
        """The row tiles of a chunk, for one block of the reduction."""
        plan, e = self.plan, self.e
        if plan.lines_per_chunk is None:
            self._line(chunk, kind, block, e.index(0), e.index(0))
            return
        step = e.mul(self.counts.rows, plan.width)
        with e.loop(chunk.first_line, chunk.last_line) as line:
            offsets = self._advanced(chunk.offsets, line, plan.lines, self.counts.lines)
            number = e.sub(line, chunk.first_line)
            here = replace(chunk, offsets=offsets)
            self._line(here, kind, block, e.mul(number, step), e.mul(number, self.counts.tiles))

    def _line(
        self, chunk: _Chunk, kind: _Panel, block: _Block, first_place: Register, turn: Register
    ) -> None:
        """Row tiles of one line; its partial sums are kept from `first_place` on.

        `turn` is the number of tiles of the chunk before this line.
        """
        plan, e = self.plan, self.e
        first, last = chunk.first_tile, chunk.last_tile

        def run(rows: int, row: Register, first_row: Register) -> None:
            place = e.add(first_place, e.mul(e.sub(row, first_row), plan.width))
            shape = Shape(rows, kind.vectors, kind.tail, kind.packed)
            ahead = None
            if plan.prefetch:
                tile = _quotient(e, row, e.index(max(rows, 1)))
                ahead = self._ahead(chunk, e.add(turn, tile), block)
            self._call(chunk, shape, row, place, block, ahead)

        if isinstance(plan.row.size, int):
            count, larger = row_tiles(plan.row.size, plan.tile_rows)
            rows = plan.row.size // max(count, 1)
            first_row = e.add(e.mul(first, rows), e.minimum(first, e.index(larger)))
            if larger:
                with e.loop(first, e.minimum(last, e.index(larger))) as tile:
                    run(rows + 1, e.mul(tile, rows + 1), first_row)
                first = e.maximum(first, larger)
            if larger < count:
                with e.loop(first, last) as tile:
                    run(rows, e.add(e.mul(tile, rows), larger), first_row)
            return
        height = plan.tile_rows
        first_row = e.mul(first, height)
        full = _quotient(e, self.counts.rows, e.index(height))
        with e.loop(first, e.minimum(last, full)) as tile:
            run(height, e.mul(tile, height), first_row)
        # Fewer rows than a tile are left: tiles of half the height, then of single rows.
        with e.if_(e.compare("gt", last, full)):
            row = e.mul(full, height)
            for rows in sorted({max(1, height // 2), 1}, reverse=True)[: height - 1]:
                tiles = _quotient(e, e.sub(self.counts.rows, row), e.index(rows))
                with e.loop(0, tiles) as tile:
                    run(rows, e.add(row, e.mul(tile, rows)), first_row)
                row = e.add(row, e.mul(tiles, rows))

    def _call(
        self,
        chunk: _Chunk,
        shape: Shape,
        row: Register,
        place: Register,
        block: _Block,
        ahead: Register | None,
    ) -> None:
        """Calls the kernel of a tile; `place` is where its partial sums are kept."""
        plan, e, dtype = self.plan, self.e, self.contraction.dtype
        strides = [self.scope.of(stride) for stride in plan.row.strides]
        offsets = [
            e.add(offset, e.mul(row, stride))
            for offset, stride in zip(chunk.offsets, strides, strict=True)
        ]
        arguments = [e.offset(self.a, offsets[0], dtype)]
        arguments += [self.panel if shape.packed else e.offset(self.b, offsets[1], dtype)]
        arguments += [block.begin, block.end, block.columns]
        if plan.block is not None:
            arguments += [e.offset(self.partial, place, self.contraction.sum_dtype), *block.flags]
        if ahead is not None:
            arguments.append(ahead)
        arguments += [self.arguments[f"pointer{i}"] for i in range(self.kernels.operand_count)]
        arguments += offsets[2:]
        arguments += [self.arguments[f"parameter.{p.name}"] for p in self.contraction.parameters]
        e.call(self.kernels.kernel(shape), None, *arguments, *self._sizes())

    def _ahead(self, chunk: _Chunk, turn: Register, block: _Block) -> Register:
        """What a tile asks for: the next block of the panel, or the first one of the next panel.

        Each tile asks for one vector of every step; tiles that follow each other for different
        ones.
        """
        plan, e = self.plan, self.e
        _, vector = self._divide(turn, e.index(plan.tile_vectors))
        offset = e.add(e.add(chunk.offsets[1], e.mul(vector, plan.lanes)), plan.width)
        if plan.block is not None:
            stride = self.scope.of(plan.reduction[0].b)
            step = e.sub(e.mul(stride, plan.block), plan.width)
            back = e.mul(stride, e.sub(self.range[0], block.begin))
            offset = e.add(offset, e.select(block.flags[1], back, step))
        return e.offset(self.b, offset, self.contraction.dtype)
