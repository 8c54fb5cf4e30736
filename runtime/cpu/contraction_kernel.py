"""The inner kernels of a contraction: register tiles, summed over the reduction.

A kernel keeps `rows x vectors` accumulators in registers, loads a vector of the vector operand and
a scalar of the other for each step, and hands the sums to the epilogue. Whatever tile an element
falls into, its products are added in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from graphc.runtime.cpu.contraction_pack import next_power_of_two, transpose
from graphc.runtime.cpu.contraction_plan import Fold, Plan, Scope, quotient
from graphc.runtime.cpu.emitter import Emitter, Module, Parameter, Register
from graphc.runtime.cpu.registers import HALVES
from graphc.runtime.cpu.target import CACHE_LINE, ITEM_SIZES

#: Steps of a reduction during which memory can answer.
_LONG_SUM = 64


@dataclass(frozen=True)
class Position:
    """Where a vector of sums belongs: what an epilogue needs to read and write its operands.

    Attributes:
        pointers: the epilogue's operands: the result, then those of `Axis.extra`.
        offsets: for each, the element index of the first lane.
        strides: for each, the element stride from lane to lane.
        parameters: the contraction's own parameters by name.
        lanes: how many lanes the vector has.
        mask: which of them exist; None if all do. The first one always does.
    """

    pointers: Sequence[Register]
    offsets: Sequence[Register]
    strides: Sequence[Register]
    parameters: Mapping[str, Register]
    lanes: int
    mask: Register | None

    def load(self, e: Emitter, operand: int, dtype: str) -> Register:
        """The elements of an operand that belong to the lanes (one, in all lanes, at stride 0)."""
        where = e.offset(self.pointers[operand], self.offsets[operand], dtype)
        stride = self.strides[operand]
        if stride.number == 0:
            return e.broadcast(e.load(where, dtype), self.lanes)
        if stride.number == 1 or self.lanes == 1:
            return e.load(where, dtype, self.lanes, self.mask)
        return e.gather(where, self._steps(e, stride), dtype, self.mask)

    def store(self, e: Emitter, x: Register, operand: int = 0) -> None:
        """Writes the lanes to their elements of an operand (the first lane, at stride 0)."""
        where = e.offset(self.pointers[operand], self.offsets[operand], x.dtype)
        stride = self.strides[operand]
        if stride.number == 0:
            e.store(e.extract(x, 0), where)
        elif stride.number == 1 or self.lanes == 1:
            e.store(x, where, self.mask)
        else:
            e.scatter(x, where, self._steps(e, stride), self.mask)

    def _steps(self, e: Emitter, stride: Register) -> Register:
        return e.mul(e.iota("index", self.lanes), stride)


#: Emits what happens to a vector of sums: it must store what is to be kept.
Epilogue = Callable[[Emitter, Register, Position], None]


@dataclass(frozen=True)
class Shape:
    """A kernel's variant.

    Attributes:
        rows: rows of the tile.
        vectors: vectors of a row.
        tail: lanes of the last vector that exist: a number, or None for a run-time count of
            columns that the kernel is given.
        packed: whether the vector operand is a packed panel.
    """

    rows: int
    vectors: int
    tail: int | None
    packed: bool


@dataclass
class KernelWriter:
    """Writes the kernel variants of one contraction into a module, each once."""

    module: Module
    name: str
    plan: Plan
    dtype: str
    parameters: Sequence[Parameter]
    epilogue: Epilogue
    staged: bool
    noalias: bool

    @property
    def sum_dtype(self) -> str:
        """What sums are kept in: float32 for the 16-bit floats, else the operands' dtype."""
        return "float32" if self.dtype in HALVES else self.dtype

    @property
    def operand_count(self) -> int:
        """How many operands the epilogue has."""
        return len(self.plan.row.outputs)

    def signature(self) -> list[Parameter]:
        """A kernel's parameters; see `call` for their order."""
        count = self.operand_count
        shared = [
            Parameter("a", "pointer", noalias=self.noalias, readonly=True),
            Parameter("b", "pointer", noalias=self.noalias, readonly=True),
            Parameter("begin", "index"),
            Parameter("end", "index"),
            Parameter("columns", "index"),
            Parameter("tiles", "index"),
        ]
        if self.plan.fold:
            shared += [Parameter("row", "index")]
        if self.plan.block:
            shared += [
                Parameter("partial", "pointer"),
                Parameter("first", "bool"),
                Parameter("last", "bool"),
            ]
        if self.plan.prefetch:
            shared += [Parameter("ahead", "pointer"), Parameter("turn", "index")]
        shared += [Parameter(f"pointer{i}", "pointer") for i in range(count)]
        shared += [Parameter(f"offset{i}", "index") for i in range(count)]
        shared += [replace(p, name=f"parameter.{p.name}") for p in self.parameters]
        return [*shared, *(Parameter(f"size.{name}", "index") for name in self.plan.names)]

    def kernel(self, shape: Shape) -> str:
        """The symbol of a variant, written if it is new."""
        tail = "r" if shape.tail is None else shape.tail
        packed = "p" if shape.packed else ""
        name = f"{self.name}.{shape.rows}x{shape.vectors}.{tail}{packed}"
        if not self.module.has_function(name):
            parameters = self.signature()
            with self.module.function(name, parameters, internal=True, noinline=True) as e:
                arguments = dict(zip((p.name for p in parameters), e.arguments, strict=True))
                _Kernel(self, e, arguments, shape).write()
        return name


class _Kernel:
    """One variant while it is written."""

    def __init__(
        self, writer: KernelWriter, e: Emitter, arguments: Mapping[str, Register], shape: Shape
    ) -> None:
        self.writer = writer
        self.plan = writer.plan
        self.e = e
        self.arguments = arguments
        self.shape = shape
        self.scope = Scope(e, {name: arguments[f"size.{name}"] for name in self.plan.names})
        self.lanes = writer.plan.lanes

    def write(self) -> None:
        """A loop over tiles that lie one below the other."""
        with self.e.loop(0, self.arguments["tiles"]) as tile:
            self._move_to(tile)
            self._tile()

    def _move_to(self, tile: Register) -> None:
        """Where everything of a tile is."""
        e, plan, writer, given = self.e, self.plan, self.writer, self.arguments
        row = e.mul(tile, self.shape.rows)
        if plan.fold:
            place, self.row_steps = self._unfolded(plan.fold, e.add(given["row"], row))
        else:
            stride = self.scope.of(plan.row.a)
            step = e.add(self._steps(), plan.margin) if plan.pack_first else stride
            place = e.mul(row, step)
            self.row_steps = [e.mul(stride, r) for r in range(self.shape.rows)]
        self.a = e.offset(given["a"], place, writer.dtype)
        strides = [self.scope.of(x) for x in plan.row.outputs]
        self.offsets = [
            e.add(given[f"offset{i}"], e.mul(row, stride)) for i, stride in enumerate(strides)
        ]
        if plan.block:
            self.partial = e.offset(given["partial"], e.mul(row, plan.width), writer.sum_dtype)
        if plan.prefetch:
            # The first tiles of a chunk ask for a line of every step each; the others need not.
            turn, items = e.add(given["turn"], tile), CACHE_LINE // ITEM_SIZES[writer.dtype]
            asks = e.compare("lt", turn, -(-plan.width // items))
            line = e.offset(given["ahead"], e.mul(turn, items), writer.dtype)
            self.ahead = e.select(asks, line, given["b"])

    def _unfolded(self, fold: Fold, first: Register) -> tuple[Register, list[Register]]:
        """Where a row of the first factor is, and how much further each row of its tile."""
        e, stride = self.e, self.scope.of(self.plan.row.a)
        line = quotient(e, first, e.index(fold.rows))
        place = e.add(e.mul(first, stride), e.mul(line, fold.jump))
        left = e.sub(e.mul(e.add(line, 1), fold.rows), first)  # rows of this line
        steps = []
        for row in range(self.shape.rows):
            step = e.mul(stride, row)
            for folds in range((row + fold.rows - 1) // fold.rows):
                is_behind = e.compare("le", e.add(left, folds * fold.rows), row)
                step = e.add(step, e.select(is_behind, e.index(fold.jump), e.index(0)))
            steps.append(step)
        return place, steps

    def _steps(self) -> Register:
        """Of the whole reduction, in the range that the kernel is given."""
        steps = self.e.sub(self.arguments["end"], self.arguments["begin"])
        return self.e.mul(steps, self.scope.points(self.plan.reduction[1:]))

    def _tile(self) -> None:
        """Sums, then the epilogue (or, between blocks, the partial sums to memory)."""
        plan, e = self.plan, self.e
        # Before the loops: run-time strides are multiplied once.
        self.strides = [(self.scope.of(x.a), self.scope.of(x.b)) for x in plan.reduction]
        self.masks = self._masks()
        with e.if_(e.compare("ge", self.scope.points(plan.reduction), _LONG_SUM)):
            self._prefetch()
        zero = e.index(0)
        if plan.pack_first:
            sums = self._reduce_flat(self._initial())
        else:
            sums = self._reduce(0, self._initial(), zero, zero, zero)
        if not plan.block:
            self._finish(sums)
            return
        last = self.arguments["last"]
        with e.if_(e.logical_not(last)):
            for place, value in zip(self._partial_places(), sums, strict=True):
                e.store(value, place)
        with e.if_(last):
            self._finish(sums)

    def _prefetch(self) -> None:
        """Ask for what the epilogue will read and write, so that it comes during the sums."""
        e, plan, shape = self.e, self.plan, self.shape
        lines, pieces, step = shape.rows, shape.vectors, self.lanes
        outputs = list(zip(plan.row.outputs, plan.column.outputs, strict=True))
        if plan.transpose:
            outputs = [(along, across) for across, along in outputs]
            lines, pieces = (shape.vectors - 1) * self.lanes + (shape.tail or self.lanes), 1
        # Operands with few elements, or with elements far from each other, are left out.
        wanted = [i for i, (across, along) in enumerate(outputs) if along == 1 and across != 0]
        if not wanted:
            return
        with e.loop(0, lines) as line:
            for i in wanted:
                place = e.mul(self.scope.of(outputs[i][0]), line)
                place = e.add(self.offsets[i], place)
                pointer = e.offset(self.arguments[f"pointer{i}"], place, self.writer.dtype)
                for piece in range(pieces):
                    e.prefetch(e.offset(pointer, piece * step, self.writer.dtype))

    def _masks(self) -> list[Register | None]:
        """For each vector of a row, which lanes exist."""
        e, lanes, shape = self.e, self.lanes, self.shape
        if shape.tail is None:
            columns = self.arguments["columns"]
            counts = [e.sub(columns, v * lanes) for v in range(shape.vectors)]
            return [e.tail_mask(count, lanes) for count in counts]
        last = None if shape.tail == lanes else e.tail_mask(shape.tail, lanes)
        return [None] * (shape.vectors - 1) + [last]

    def _initial(self) -> list[Register]:
        e, count = self.e, self.shape.rows * self.shape.vectors
        dtype = self.writer.sum_dtype
        zeros = [e.constant(0, dtype, self.lanes)] * count
        if not self.plan.block:
            return zeros
        places = self._partial_places()
        return e.choose(
            self.arguments["first"],
            lambda: zeros,
            lambda: [e.load(place, dtype, self.lanes) for place in places],
        )

    def _partial_places(self) -> list[Register]:
        e = self.e
        return [
            e.offset(self.partial, r * self.plan.width + v * self.lanes, self.writer.sum_dtype)
            for r in range(self.shape.rows)
            for v in range(self.shape.vectors)
        ]

    def _reduce_flat(self, sums: list[Register]) -> list[Register]:
        """One loop over all steps: both factors are packed, one step behind the other."""
        e, plan = self.e, self.plan
        with e.carry(0, self._steps(), 1, sums) as loop:
            a_here = e.mul(loop.index, self.shape.rows)
            loop.values = self._step(loop.values, a_here, e.mul(loop.index, plan.width))
        return loop.results

    def _reduce(
        self,
        depth: int,
        sums: list[Register],
        a_offset: Register,
        b_offset: Register,
        source: Register,
    ) -> list[Register]:
        """The loops over the reduction axes from `depth` on; packed panels are walked in order.

        `source` is the offset in the vector operand itself.
        """
        e, plan, packed = self.e, self.plan, self.shape.packed
        begin, end = e.index(0), self.scope.of(plan.reduction[depth].size)
        if depth == 0:
            begin, end = self.arguments["begin"], self.arguments["end"]
            if plan.block is None:
                begin, end = e.index(0), self.scope.of(plan.reduction[0].size)
        a_stride, b_stride = self.strides[depth]
        carried = [*sums, b_offset] if packed else sums
        with e.carry(begin, end, 1, carried) as loop:
            a_here = e.add(a_offset, e.mul(loop.index, a_stride))
            here = e.add(source, e.mul(loop.index, b_stride))
            b_here = loop.values.pop() if packed else here
            if depth + 1 < len(plan.reduction):
                loop.values = self._reduce(depth + 1, loop.values, a_here, b_here, here)
            else:
                if plan.prefetch:
                    e.prefetch(e.offset(self.ahead, here, self.writer.dtype))
                loop.values = self._step(loop.values, a_here, b_here)
                if packed:
                    loop.values.append(e.add(b_here, plan.width))
        if packed and depth == 0:
            return loop.results[:-1]
        return loop.results

    def _step(self, sums: list[Register], a_here: Register, b_here: Register) -> list[Register]:
        """One step of the reduction: every product of the tile."""
        e, writer, lanes = self.e, self.writer, self.lanes
        dtype, wide = writer.dtype, writer.sum_dtype
        a = e.offset(self.a, a_here, dtype)
        b = e.offset(self.arguments["b"], b_here, dtype)
        step = self.scope.of(self.plan.column.b)
        if self.plan.row.a == 1 and not self.plan.pack_first:
            # The line that the tiles below need; to the hardware it is one far away.
            e.prefetch(e.offset(a, self.shape.rows - 1 + CACHE_LINE // ITEM_SIZES[dtype], dtype), 1)
        vectors = []
        for v in range(self.shape.vectors):
            place = e.offset(b, v * lanes if self.shape.packed else e.mul(step, v * lanes), dtype)
            mask = None if self.shape.packed else self.masks[v]
            if self.plan.column.b == 0 and not self.shape.packed:
                loaded = e.broadcast(e.load(b, dtype), lanes)
            else:
                loaded = e.load(place, dtype, lanes, mask)
            vectors.append(e.cast(loaded, wide))
        following = []
        for r in range(self.shape.rows):
            row = e.offset(a, self.row_steps[r], dtype)
            for v, x in enumerate(self._row_factors(row)):
                following.append(e.fma(x, vectors[v], sums[r * self.shape.vectors + v]))
        return following

    def _row_factors(self, row: Register) -> list[Register]:
        """What the vectors of a row are multiplied by: one scalar, or vectors of their own."""
        e, lanes, dtype, wide = self.e, self.lanes, self.writer.dtype, self.writer.sum_dtype
        step = self.plan.column.a
        if step == 0:
            scalar = e.cast(e.load(row, dtype), wide)
            return [e.broadcast(scalar, lanes)] * self.shape.vectors
        assert step == 1
        places = [e.offset(row, v * lanes, dtype) for v in range(self.shape.vectors)]
        loads = [e.load(x, dtype, lanes, m) for x, m in zip(places, self.masks, strict=True)]
        return [e.cast(x, wide) for x in loads]

    # What happens to the sums -----------------------------------------------------------------

    def _finish(self, sums: list[Register]) -> None:
        if self.plan.transpose:
            self._finish_transposed(sums)
        elif self.writer.staged and self.shape.rows > 1:
            self._finish_staged(sums)
        else:
            for r in range(self.shape.rows):
                for v in range(self.shape.vectors):
                    place = self._place(self.e.index(r), self.e.index(v * self.lanes))
                    place = replace(place, mask=self.masks[v])
                    self.writer.epilogue(self.e, sums[r * self.shape.vectors + v], place)

    def _place(self, row: Register, column: Register, turned: bool = False) -> Position:
        """The position of a vector that starts at a row and a column of the tile."""
        e, plan, count = self.e, self.plan, self.writer.operand_count
        row_strides = [self.scope.of(x) for x in plan.row.outputs]
        column_strides = [self.scope.of(x) for x in plan.column.outputs]
        offsets = []
        for i in range(count):
            step = e.add(e.mul(row, row_strides[i]), e.mul(column, column_strides[i]))
            offsets.append(e.add(self.offsets[i], step))
        pointers = [self.arguments[f"pointer{i}"] for i in range(count)]
        parameters = {p.name: self.arguments[f"parameter.{p.name}"] for p in self.writer.parameters}
        strides = row_strides if turned else column_strides
        return Position(pointers, offsets, strides, parameters, self.lanes, None)

    def _finish_staged(self, sums: list[Register]) -> None:
        """Through memory, so that the epilogue's code is there once per vector, not per row."""
        e, dtype, vectors = self.e, self.writer.sum_dtype, self.shape.vectors
        tile = e.stack(dtype, len(sums) * self.lanes)
        for i, x in enumerate(sums):
            e.store(x, e.offset(tile, i * self.lanes, dtype))
        with e.loop(0, self.shape.rows) as row:
            line = e.offset(tile, e.mul(row, vectors * self.lanes), dtype)
            for v in range(vectors):
                x = e.load(e.offset(line, v * self.lanes, dtype), dtype, self.lanes)
                place = replace(self._place(row, e.index(v * self.lanes)), mask=self.masks[v])
                self.writer.epilogue(e, x, place)

    def _finish_transposed(self, sums: list[Register]) -> None:
        """Column by column, in vectors along the rows, where the result is contiguous."""
        e, dtype, shape = self.e, self.writer.sum_dtype, self.shape
        lanes = next_power_of_two(shape.rows)
        tile = e.stack(dtype, lanes * shape.vectors * self.lanes)
        for v in range(shape.vectors):
            block = [sums[r * shape.vectors + v] for r in range(shape.rows)]
            for i, x in enumerate(transpose(e, block)):
                e.store(x, e.offset(tile, (v * lanes + i) * self.lanes, dtype))
        if shape.tail is None:
            count = self.arguments["columns"]
        else:
            count = e.index((shape.vectors - 1) * self.lanes + shape.tail)
        mask = None if lanes == shape.rows else e.tail_mask(shape.rows, lanes)
        with e.loop(0, count) as column:
            x = e.load(e.offset(tile, e.mul(column, lanes), dtype), dtype, lanes)
            place = self._place(e.index(0), column, turned=True)
            self.writer.epilogue(e, x, replace(place, lanes=lanes, mask=mask))
