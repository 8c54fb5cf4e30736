"""The function of a contraction: it walks through a range of chunks and calls the kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from graphc.runtime.cpu.contraction_kernel import Epilogue, KernelWriter, Shape
from graphc.runtime.cpu.contraction_native import Counts, Native
from graphc.runtime.cpu.contraction_pack import PackWriter
from graphc.runtime.cpu.contraction_plan import Axis, Scope, quotient, row_tiles
from graphc.runtime.cpu.emitter import Emitter, Module, Parameter, Register


@dataclass(frozen=True)
class _Panel:
    """A panel of columns: a full one, or the last; `number` is its place in a chunk of several."""

    vectors: int
    tail: int | None
    packed: bool
    columns: Register
    number: Register | None


@dataclass(frozen=True)
class _Chunk:
    """A unit of work: its first panel, element offsets of all operands there, lines, row tiles."""

    panel: Register
    offsets: Sequence[Register]
    first_line: Register
    last_line: Register
    first_tile: Register
    last_tile: Register


@dataclass(frozen=True)
class _Block:
    """A block of the reduction.

    Attributes:
        begin: Where in the first of the innermost axes it begins.
        end: Where it ends.
        steps: Its steps in all.
        before: The steps of the whole reduction before it.
        flags: Whether it is the first and the last; none if it is the only one.
    """

    begin: Register
    end: Register
    steps: Register
    before: Register
    flags: Sequence[Register] = ()


@dataclass(frozen=True)
class _Run:
    """Tiles of the same height, one below the other.

    Attributes:
        rows: Of a tile.
        tiles: How many there are.
        row: The first one's first row in its line.
        place: How many rows of the chunk come before that.
    """

    rows: int
    tiles: Register
    row: Register
    place: Register


#: What happens to a run of tiles. The offsets of the chunk are those of the tiles' line.
_Visit = Callable[[_Chunk, _Run], None]


class Driver:
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
        parameters += [Parameter("packed", "pointer")] if self.contraction.is_packed else []
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
            self._begin(e, parameters)
            a, b = self.arguments["a"], self.arguments["b"]
            self.a, self.b = (b, a) if self.plan.swapped else (a, b)
            self._divide_scratch()
            begin, end = self.arguments["begin"], self.arguments["end"]
            with e.carry(begin, end, 1, [e.index(-1)]) as loop:
                part, number = e.index(0), loop.index
                if self.contraction.parts > 1:
                    part, number = self._divide(number, self.counts.chunks)
                self.range = self._range(part)
                rest, group, block = self._split(number)
                # Panels follow each other slowly, so that a packed one serves many chunks.
                column_block = e.add(e.mul(rest, self.counts.groups), group)
                self.is_new = e.compare("ne", column_block, loop.values[0])
                loop.values = [column_block]
                self._chunk(self._in_part(part, self._locate(rest, group, block)))
        if self.contraction.is_packed:
            self._write_pack()

    def _begin(self, e: Emitter, parameters: Sequence[Parameter]) -> None:
        """A function begins: its arguments by name, run-time sizes, and what follows from them."""
        self.e = e
        self.arguments = dict(zip((p.name for p in parameters), e.arguments, strict=True))
        names = self.plan.names
        self.scope = Scope(e, {name: self.arguments[f"size.{name}"] for name in names})
        self.counts = Counts(self.plan, self.scope)

    def _write_pack(self) -> None:
        """The function that packs a range of panels of the second factor."""
        parameters = [Parameter("b", "pointer"), Parameter("packed", "pointer")]
        parameters += [Parameter(f"size.{name}", "index") for name in self.plan.names]
        parameters += [Parameter("begin", "index"), Parameter("end", "index")]
        name, dtype = self.native.pack_name, self.contraction.dtype
        with self.module.function(name, parameters, internal=True, noinline=True) as e:
            self._begin(e, parameters)
            steps = self.scope.of(self.plan.reduction[0].size)
            around = [self.scope.of(axis.size) for axis in self.plan.around]
            with e.loop(self.arguments["begin"], self.arguments["end"]) as panel:
                column = e.mul(panel, self.plan.width)
                columns = [e.mul(column, self.scope.of(x)) for x in self.plan.column.strides]

                def pack(vectors: int, tail: int | None, packed: bool) -> None:
                    if not packed:
                        return
                    function = self.packs.function(vectors, tail)
                    with e.loop(0, self.scope.points(self.plan.around)) as place:
                        _, offset, *_ = self._advanced(columns, place, self.plan.around, around)
                        source = e.offset(self.arguments["b"], offset, dtype)
                        there = self._packed_place(panel, self._in_all(e.mul(place, steps)))
                        given = (source, there, e.index(0), steps, self._columns(panel))
                        e.call(function, None, *given, *self._sizes())

                self._kinds(panel, pack)

    def _packed_place(self, panel: Register, before: Register) -> Register:
        """Where the steps of a panel after the first ones are, if they were packed ahead."""
        e, width = self.e, self.plan.width
        place = e.add(e.mul(panel, self.native.panel_elements), e.mul(before, width))
        return e.offset(self.arguments["packed"], place, self.contraction.dtype)

    def _divide_scratch(self) -> None:
        """Where partial sums, the packed panel and the packed first factor are."""
        e, plan, native = self.e, self.plan, self.native
        self.partial = self.arguments["scratch"]
        self.panel = self.slivers = e.offset(self.partial, native.partial_bytes, "int8")
        if plan.pack_first and native.panel_step_bytes:
            size = e.mul(native.block_steps(self.scope), native.panel_step_bytes)
            self.slivers = e.offset(self.panel, size, "int8")

    def _in_all(self, steps: Register) -> Register:
        """Steps of the whole reduction in so many of its first axis."""
        return self.e.mul(steps, self.scope.points(self.plan.reduction[1:]))

    def _range(self, part: Register) -> tuple[Register, Register]:
        """Where a part of the first reduction axis begins and ends."""
        e, parts = self.e, self.contraction.parts
        steps = self.scope.of(self.plan.reduction[0].size)
        if parts == 1:
            return e.index(0), steps
        ends = (e.mul(steps, part), e.mul(steps, e.add(part, 1)))
        begin, end = (quotient(e, x, e.index(parts)) for x in ends)
        return begin, end

    def _in_part(self, part: Register, chunk: _Chunk) -> _Chunk:
        """A chunk that writes to the result of a part."""
        a, b, result, *others = chunk.offsets
        result = self.e.add(result, self.e.mul(part, self.contraction.part_stride))
        return replace(chunk, offsets=[a, b, result, *others])

    def _split(self, number: Register) -> tuple[Register, Register, Register]:
        """The outer axes' place, the group of panels and the block of rows of a chunk's number."""
        counts = self.counts
        if self.plan.panels_last:
            above, group = self._divide(number, counts.groups)
            rest, block = self._divide(above, counts.blocks)
        else:
            above, block = self._divide(number, counts.blocks)
            rest, group = self._divide(above, counts.groups)
        return rest, group, block

    def _divide(self, x: Register, y: Register) -> tuple[Register, Register]:
        """Quotient and rest."""
        whole = quotient(self.e, x, y)
        return whole, self.e.sub(x, self.e.mul(whole, y))

    def _locate(self, rest: Register, group: Register, block: Register) -> _Chunk:
        """Which lines, row tiles, columns and outer indices a chunk stands for."""
        e, plan, counts = self.e, self.plan, self.counts
        panel = e.mul(group, plan.panels_per_chunk)
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
        """All blocks of the reduction, for the chunk's rows and panels."""
        plan, e = self.plan, self.e
        first, steps = self.range
        if plan.block is None:
            count = self._in_all(e.sub(steps, first))
            self._block(chunk, _Block(first, steps, count, e.index(0)))
        else:
            true = e.constant(True, "bool")
            self._blocks(0, chunk, true, true, e.index(0))

    def _blocks(
        self, depth: int, chunk: _Chunk, is_first: Register, is_last: Register, around: Register
    ) -> None:
        """The loops over the axes around the blocks from `depth` on, then the one over blocks.

        `around` counts the places of the axes above.
        """
        plan, e = self.plan, self.e
        assert plan.block is not None
        if depth < len(plan.around):
            axis = plan.around[depth]
            size = self.scope.of(axis.size)
            with e.loop(0, size) as index:
                a, b, *others = chunk.offsets
                a = e.add(a, e.mul(index, self.scope.of(axis.a)))
                b = e.add(b, e.mul(index, self.scope.of(axis.b)))
                first = e.logical_and(is_first, e.compare("eq", index, 0))
                last = e.logical_and(is_last, e.compare("eq", index, e.sub(size, 1)))
                inner = replace(chunk, offsets=[a, b, *others])
                self._blocks(depth + 1, inner, first, last, e.add(e.mul(around, size), index))
            return
        first, steps = self.range
        # Without any step the epilogue still runs, on zeros.
        with e.loop(first, e.maximum(steps, e.add(first, 1)), plan.block) as begin:
            after = e.add(begin, plan.block)
            flags = [
                e.logical_and(is_first, e.compare("eq", begin, first)),
                e.logical_and(is_last, e.compare("ge", after, steps)),
            ]
            end = e.minimum(after, steps)
            before = self._in_all(e.add(e.mul(around, steps), begin))
            self._block(chunk, _Block(begin, end, self._in_all(e.sub(end, begin)), before, flags))

    def _block(self, chunk: _Chunk, block: _Block) -> None:
        """One block of the reduction for all panels of the chunk."""
        plan, e = self.plan, self.e
        if plan.pack_first:
            self._pack_first(chunk, block)
        if plan.pack_together and not self.contraction.is_packed:
            self._pack_together(chunk, block)
        if plan.panels_per_chunk == 1:
            self._panel(chunk, block)
            return
        last = e.minimum(e.add(chunk.panel, plan.panels_per_chunk), self.counts.panels)
        with e.loop(chunk.panel, last) as panel:
            number = e.sub(panel, chunk.panel)
            column = e.mul(number, plan.width)
            strides = [self.scope.of(stride) for stride in plan.column.strides]
            steps = [e.mul(column, stride) for stride in strides]
            offsets = [e.add(x, step) for x, step in zip(chunk.offsets, steps, strict=True)]
            self._panel(replace(chunk, panel=panel, offsets=offsets), block, number)

    def _panel(self, chunk: _Chunk, block: _Block, number: Register | None = None) -> None:
        """The code for one panel, once for each kind; `number` is its place in the chunk."""
        plan = self.plan
        columns = self._columns(chunk.panel)

        def visit(vectors: int, tail: int | None, packed: bool) -> None:
            kind = _Panel(vectors, tail, packed, columns, number)
            is_full = vectors == plan.tile_vectors and tail == plan.lanes
            is_there = self.contraction.is_packed or plan.pack_together and is_full
            if packed and not is_there:
                self._pack(chunk, kind, block)
            self._tiles(chunk, lambda line, run: self._call(line, kind, block, run))

        self._kinds(chunk.panel, visit)

    def _columns(self, panel: Register) -> Register:
        """How many columns a panel has."""
        e, width = self.e, self.plan.width
        return e.minimum(e.sub(self.counts.columns, e.mul(panel, width)), width)

    def _kinds(self, panel: Register, visit: Callable[[int, int | None, bool], None]) -> None:
        """Visits each kind of panels: their vectors, the last one's lanes, whether it is packed.

        The code of a kind is run if the panel is of this kind.
        """
        plan, e = self.plan, self.e
        lanes, width, size = plan.lanes, plan.width, plan.column.size
        rest: tuple[int, int | None, bool]
        if not isinstance(size, int):
            # Where masks cost next to nothing, one kernel does for full panels as well.
            if (plan.pack or plan.column.b == 0) and not e.splits_tails:
                visit(plan.tile_vectors, None, plan.pack)
                return
            full = quotient(e, self.counts.columns, e.index(width))
            rest = (plan.tile_vectors, None, plan.pack_tail)
        else:
            count = size % width
            if not count:
                visit(plan.tile_vectors, lanes, plan.pack)
                return
            vectors = -(-count // lanes)
            full = e.index(size // width)
            ragged = count % lanes != 0
            packed = plan.pack_tail if ragged else plan.pack
            rest = (vectors, count - (vectors - 1) * lanes, packed)
            if size < width:
                visit(*rest)
                return
        is_full = e.compare("lt", panel, full)
        with e.if_(is_full):
            visit(plan.tile_vectors, lanes, plan.pack)
        with e.if_(e.logical_not(is_full)):
            visit(*rest)

    def _pack(self, chunk: _Chunk, kind: _Panel, block: _Block) -> None:
        """Copies a panel of the vector operand, if the one that is there is another one."""
        e, plan = self.e, self.plan
        function = self.packs.function(kind.vectors, kind.tail)
        source = e.offset(self.b, chunk.offsets[1], self.contraction.dtype)
        panel = self._place_of(chunk, kind, block)
        arguments = (source, panel, block.begin, block.end, kind.columns)
        if plan.block is not None or plan.panels_per_chunk > 1:
            e.call(function, None, *arguments, *self._sizes())
            return
        with e.if_(self.is_new):
            e.call(function, None, *arguments, *self._sizes())

    def _pack_together(self, chunk: _Chunk, block: _Block) -> None:
        """Copies all full panels of a chunk."""
        e, plan = self.e, self.plan
        full = quotient(e, self.counts.columns, e.index(plan.width))
        last = e.minimum(e.add(chunk.panel, plan.panels_per_chunk), full)
        panels = e.maximum(e.sub(last, chunk.panel), 0)
        source = e.offset(self.b, chunk.offsets[1], self.contraction.dtype)
        arguments = (source, self.panel, block.begin, block.end, e.index(plan.width))
        size = e.mul(block.steps, plan.width)
        e.call(self.packs.together(), None, *arguments, *self._sizes(), panels, size)

    def _place_of(self, chunk: _Chunk, kind: _Panel, block: _Block) -> Register:
        """Where a packed panel is."""
        if self.contraction.is_packed:
            return self._packed_place(chunk.panel, block.before)
        if not self.plan.pack_together:
            return self.panel
        assert kind.number is not None
        place = self.e.mul(kind.number, self.e.mul(block.steps, self.plan.width))
        return self.e.offset(self.panel, place, self.contraction.dtype)

    def _pack_first(self, chunk: _Chunk, block: _Block) -> None:
        """Copies the first factor's rows of a chunk."""

        def pack(line: _Chunk, run: _Run) -> None:
            e, dtype = self.e, self.contraction.dtype
            offset = e.add(line.offsets[0], e.mul(run.row, self.scope.of(self.plan.row.a)))
            source = e.offset(self.a, offset, dtype)
            arguments = (source, self._slivers(run, block), block.begin, block.end)
            size = e.mul(e.add(block.steps, self.plan.margin), run.rows)
            e.call(self.packs.rows(run.rows), None, *arguments, run.tiles, size, *self._sizes())

        self._tiles(chunk, pack)

    def _slivers(self, run: _Run, block: _Block) -> Register:
        """Where the packed rows of some tiles are."""
        place = self.e.mul(run.place, self.e.add(block.steps, self.plan.margin))
        return self.e.offset(self.slivers, place, self.contraction.dtype)

    def _sizes(self) -> list[Register]:
        return [self.arguments[f"size.{name}"] for name in self.plan.names]

    def _tiles(self, chunk: _Chunk, visit: _Visit) -> None:
        """The row tiles of a chunk."""
        plan, e = self.plan, self.e
        if plan.lines_per_chunk is None:
            self._line(chunk, e.index(0), visit)
            return
        with e.loop(chunk.first_line, chunk.last_line) as line:
            offsets = self._advanced(chunk.offsets, line, plan.lines, self.counts.lines)
            number = e.sub(line, chunk.first_line)
            place = e.mul(number, self.counts.rows)
            self._line(replace(chunk, offsets=offsets), place, visit)

    def _line(self, chunk: _Chunk, place: Register, visit: _Visit) -> None:
        """Row tiles of one line; so many rows of the chunk come before it."""
        plan, e = self.plan, self.e
        first, last = chunk.first_tile, chunk.last_tile

        def run(rows: int, tiles: Register, row: Register, first_row: Register) -> None:
            with e.if_(e.compare("gt", tiles, 0)):
                visit(chunk, _Run(rows, tiles, row, e.add(place, e.sub(row, first_row))))

        if isinstance(plan.row.size, int):
            count, larger = row_tiles(plan.row.size, plan.tile_rows)
            rows = plan.row.size // max(count, 1)
            first_row = e.add(e.mul(first, rows), e.minimum(first, e.index(larger)))
            if larger:
                end = e.minimum(last, e.index(larger))
                run(rows + 1, e.sub(end, first), e.mul(first, rows + 1), first_row)
                first = e.maximum(first, larger)
            if larger < count:
                run(rows, e.sub(last, first), e.add(e.mul(first, rows), larger), first_row)
            return
        height = plan.tile_rows
        first_row = e.mul(first, height)
        full = quotient(e, self.counts.rows, e.index(height))
        run(height, e.sub(e.minimum(last, full), first), first_row, first_row)
        # Fewer rows than a tile are left: tiles of half the height, then of single rows.
        with e.if_(e.compare("gt", last, full)):
            row = e.mul(full, height)
            for rows in sorted({max(1, height // 2), 1}, reverse=True)[: height - 1]:
                tiles = quotient(e, e.sub(self.counts.rows, row), e.index(rows))
                run(rows, tiles, row, first_row)
                row = e.add(row, e.mul(tiles, rows))

    def _call(self, chunk: _Chunk, kind: _Panel, block: _Block, run: _Run) -> None:
        """Calls the kernel of some tiles."""
        plan, e, dtype = self.plan, self.e, self.contraction.dtype
        strides = [self.scope.of(stride) for stride in plan.row.strides]
        offsets = [
            e.add(offset, e.mul(run.row, stride))
            for offset, stride in zip(chunk.offsets, strides, strict=True)
        ]
        if plan.pack_first:
            arguments = [self._slivers(run, block)]
        else:
            # Across folds the kernel itself finds its rows.
            line = chunk.offsets[0] if plan.fold else offsets[0]
            arguments = [e.offset(self.a, line, dtype)]
        if kind.packed:
            arguments += [self._place_of(chunk, kind, block)]
        else:
            arguments += [e.offset(self.b, offsets[1], dtype)]
        arguments += [block.begin, block.end, kind.columns, run.tiles]
        if plan.fold:
            arguments += [run.row]
        if plan.block is not None:
            place = run.place
            if kind.number is not None:
                place = e.add(place, e.mul(kind.number, plan.rows_per_chunk))
            partial = e.offset(self.partial, e.mul(place, plan.width), self.contraction.sum_dtype)
            arguments += [partial, *block.flags]
        if plan.prefetch:
            turn = quotient(e, run.place, e.index(max(run.rows, 1)))
            arguments += [self._ahead(chunk, block), turn]
        arguments += [self.arguments[f"pointer{i}"] for i in range(self.kernels.operand_count)]
        arguments += offsets[2:]
        arguments += [self.arguments[f"parameter.{p.name}"] for p in self.contraction.parameters]
        kernel = self.kernels.kernel(Shape(run.rows, kind.vectors, kind.tail, kind.packed))
        e.call(kernel, None, *arguments, *self._sizes())

    def _ahead(self, chunk: _Chunk, block: _Block) -> Register:
        """What tiles ask for: the next panel, or the next block of this one if that comes first."""
        plan, e = self.plan, self.e
        offset = e.add(chunk.offsets[1], plan.width)
        if plan.block is not None:
            stride = self.scope.of(plan.reduction[0].b)
            step = e.sub(e.mul(stride, plan.block), plan.width)
            back = e.mul(stride, e.sub(self.range[0], block.begin))
            offset = e.add(offset, e.select(block.flags[1], back, step))
        return e.offset(self.b, offset, self.contraction.dtype)
