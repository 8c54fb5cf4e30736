"""Contractions: register tiles, and the rest of the body as what happens to each of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from graphc.ir import Graph, Node, TensorType, Value
from graphc.ir.dims import Dim, Shape, SymbolicDim, product
from graphc.ir.graph import extract
from graphc.ops.linalg import Einsum
from graphc.ops.movement import Iota
from graphc.passes.fuse import Fused, SizeOf
from graphc.passes.space import Space, analyse
from graphc.runtime.cpu.contraction import (
    Axis,
    Contraction,
    Native,
    Position,
    Size,
    generate,
)
from graphc.runtime.cpu.contraction_pack import next_power_of_two
from graphc.runtime.cpu.contraction_plan import TYPICAL_SIZE, Scope, evaluate
from graphc.runtime.cpu.contraction_plan import typical as typical_size
from graphc.runtime.cpu.contraction_ways import ways_of
from graphc.runtime.cpu.emitter import Emitter, Parameter, Register
from graphc.runtime.cpu.frame import Frame, View
from graphc.runtime.cpu.loops import typical
from graphc.runtime.cpu.lower import Lowering, loop_nest, lowers
from graphc.runtime.cpu.registers import HALVES
from graphc.runtime.cpu.split import put_together

#: Sums of at least so many products, of at most so many results, are cut into parts, so that
#: there are as many chunks as keep a few threads busy.
_LONG_SUM = 1 << 11
_FEW_RESULTS = 1 << 16
_RESULTS_OF_A_CHUNK = 1 << 12
_ENOUGH_CHUNKS = 8
#: A matrix of at least so many elements that a program reads and changes is summed in so many parts
#: of its rows, for at most so many rows of results.
_LARGE_MATRIX = 1 << 16
_PARTS_OF_ROWS = 4
_FEW_ROWS = 64
#: Where a single sample has so many rows, a model is taken to answer for one at a time.
_ROWS_OF_AN_IMAGE = 32
#: Products that take as long as one operation of another kernel.
_PRODUCTS_AT_ONCE = 4
#: Contractions of at most so many products, in a batch of usual size, are loop nests, which compile
#: in a tenth of the time: fewer in programs that learn, which run for thousands of steps.
_SMALL_CONTRACTION = 1 << 14
_SMALL_IN_LEARNING = 1 << 8


@lowers(Fused)
def lower_fused(lowering: Lowering, node: Node) -> None:
    """One kernel for a body."""
    operands = [lowering.view(value) for value in node.inputs]
    results = [lowering.allocate(value) for value in node.outputs]
    body = node.op.body
    space = analyse(body.nodes, [*body.inputs, *body.outputs.values()])
    for inner in body.nodes:
        is_contraction = isinstance(inner.op, Einsum) and space.reductions[inner]
        if is_contraction and not _is_small(space, lowering.learns):
            _ContractionKernel(lowering, body, inner, space, operands, results).write()
            return
    loop_nest(lowering, body, operands, results)


def _is_small(space: Space, learns: bool) -> bool:
    """Whether plain loops do well enough, since they compile much faster than register tiles."""
    most = _SMALL_IN_LEARNING if learns else _SMALL_CONTRACTION
    return math.prod(typical(dim) for dim in space.dims) <= most


@dataclass
class SizeNames:
    """Run-time sizes by the names that a contraction's plan calls them."""

    dims: dict[str, Dim] = field(default_factory=dict)

    def of(self, dim: Dim) -> Size:
        """A size or stride as the plan takes it: a product where it is one, else a name."""
        if isinstance(dim, int):
            return dim
        if len(dim.terms) == 1:
            ((monomial, coefficient),) = dim.terms
            if coefficient > 0 and all(isinstance(atom, str) for atom in monomial):
                names = [self._named(SymbolicDim([((atom,), 1)])) for atom in monomial]
                return "*".join([str(coefficient), *names] if coefficient != 1 else names)
        return self._named(dim)

    def _named(self, dim: Dim) -> str:
        for name, known in self.dims.items():
            if known == dim:
                return name
        name = f"n{len(self.dims)}"
        self.dims[name] = dim
        return name

    def registers(self, frame: Frame) -> dict[str, Register]:
        """The sizes in a function."""
        return {name: frame.dim(dim) for name, dim in self.dims.items()}


class _ContractionKernel:
    """One contraction and its epilogue."""

    def __init__(
        self,
        lowering: Lowering,
        body: Graph,
        node: Node,
        space: Space,
        operands: Sequence[View],
        results: Sequence[View],
    ):
        self.lowering = lowering
        self.body = body
        self.node = node
        self.space = space
        self.operands = dict(zip(body.inputs, operands, strict=True))
        self.results = list(zip(body.outputs.values(), results, strict=True))
        self.names = SizeNames()
        # What the epilogue reads and writes besides the first result, by its number there.
        factors = set(node.inputs)
        self.loaded = [x for x in body.inputs if x not in factors or self._used_again(x)]
        self.counters = [n.output for n in body.nodes if isinstance(n.op, Iota)]
        sizes = [n.op.dim for n in body.nodes if isinstance(n.op, SizeOf)]
        self.sizes = list(dict.fromkeys(sizes))
        self.parts, self.part_stride = 1, 0

    def _used_again(self, value: Value) -> bool:
        used = [x for n in self.body.nodes if n is not self.node for x in n.inputs]
        return value in used or any(value is y for y, _ in self.results)

    def write(self) -> None:
        """Generate the contraction, and the kernels that call it."""
        contraction = self._contraction()
        parts = self._parts(contraction)
        if parts > 1:
            self._write_parts(parts, self.node.output.shape)
            return
        if self._sums_rows_that_change(contraction):
            self._write_for_few_rows(contraction)
        else:
            self._write_whole(contraction)

    def _write_for_few_rows(self, contraction: Contraction) -> None:
        """Parts if there are few rows, which may be known only at run time."""
        rows, *columns = self.node.output.shape
        if isinstance(rows, int):
            self._write_parts(_PARTS_OF_ROWS, (rows, *columns))
            return
        kernels = self.lowering.kernels
        first = len(kernels)
        self._write_parts(_PARTS_OF_ROWS, (_FEW_ROWS, *columns))
        for kernel in kernels[first:]:
            kernel.condition = lambda frame: frame.e.compare("le", frame.dim(rows), _FEW_ROWS)
        self._write_whole(replace(contraction, batch=2 * _FEW_ROWS))
        kernels[-1].condition = lambda frame: frame.e.compare("gt", frame.dim(rows), _FEW_ROWS)

    def _write_whole(self, contraction: Contraction) -> None:
        """One kernel for all of it."""
        lowering, names = self.lowering, self.names
        ways = ways_of(contraction, lowering.learns, lowering.module.target)
        natives = [self._native(way.contraction) for way in ways]
        factors = [self.operands[x] for x in self.node.inputs]
        if ways[0].contraction.is_packed:
            factors.append(self._pack(natives[0]))
        views = [view for _, view in self.results] + [self.operands[x] for x in self.loaded]

        def in_each_way(frame: Frame, code: Callable[[Native], list[Register]]) -> list[Register]:
            """What code gives, of the way that the sizes ask for."""
            scope = Scope(frame.e, names.registers(frame))

            def of_first(count: int) -> list[Register]:
                native = natives[count - 1]
                if count == 1:
                    return code(native)
                holds = ways[count - 1].holds(scope)
                return frame.e.choose(holds, lambda: code(native), lambda: of_first(count - 1))

            return of_first(len(ways))

        def units(frame: Frame) -> Register:
            sizes = names.registers(frame)
            return in_each_way(frame, lambda way: [way.emit_chunks(frame.e, sizes)])[0]

        def scratch(frame: Frame) -> Register:
            # A run of many steps may end with a single row.
            sizes = names.registers(frame)
            needed = [native.emit_scratch_bytes(frame.e, sizes) for native in natives]
            return reduce(frame.e.maximum, needed)

        products = product(self.space.dims)
        reads = [*self.operands.values(), *factors[2:]]
        writes = [view for _, view in self.results]
        name = "contraction" if self.parts == 1 else "contraction.parts"
        work = products // _PRODUCTS_AT_ONCE
        with lowering.kernel(name, reads, writes, units, work) as k:
            sizes = names.registers(k.frame)
            pointers = [k.frame.pointer(view) for view in (*factors, *views)]
            pointers += [k.e.constant(0, "pointer") for _ in self.counters]
            given = [k.frame.dim(dim) for dim in self.sizes]

            def call(way: Native) -> list[Register]:
                runtime = [*given, *(sizes[name] for name in way.sizes)]
                k.e.call(way.name, None, *pointers, *runtime, k.scratch, k.begin, k.end)
                return []

            in_each_way(k.frame, call)
        kernel = lowering.kernels[-1]
        kernel.scratch, kernel.products = scratch, products
        kernel.shares = self._shares()

    def _pack(self, native: Native) -> View:
        """A packed copy of the second factor, which is made when the weights have changed."""
        lowering, names = self.lowering, self.names
        elements = native.panels * native.panel_elements
        packed = lowering.prepared(TensorType((elements,), native.contraction.dtype))
        weights = self.operands[self.node.inputs[1]]
        with lowering.preparation("pack", [weights], [packed], native.panels, elements) as k:
            sizes = names.registers(k.frame)
            pointers = [k.frame.pointer(view) for view in (weights, packed)]
            runtime = [sizes[name] for name in native.sizes]
            k.e.call(native.pack_name, None, *pointers, *runtime, k.begin, k.end)
        return packed

    def _parts(self, contraction: Contraction) -> int:
        """Into how many parts the sums are cut, so that threads can share them; 1 for not at all.

        The number depends on the program only: so the sums are the same bits at any number of
        threads.
        """
        node = self.node
        if contraction.parts > 1 or node.output.dtype in HALVES:
            return 1
        results = product(node.output.shape)
        steps = math.prod(typical_size(axis.size) for axis in contraction.reduction)
        if not isinstance(results, int) or results > _FEW_RESULTS or steps < _LONG_SUM:
            return 1
        # Not the plan's chunks: those depend on the processor, of which sums should not.
        chunks = -(-results // _RESULTS_OF_A_CHUNK)
        wanted = next_power_of_two(-(-_ENOUGH_CHUNKS // max(chunks, 1)))
        return min(wanted, typical_size(contraction.reduction[0].size))

    def _sums_rows_that_change(self, contraction: Contraction) -> bool:
        """Whether the second factor is a large matrix of weights that the program changes.

        Threads change it by rows. If each then read some columns of all rows, it would get half of
        every row from another core (and, it seems, have to give back what the other fetches
        ahead): two threads took as long as one. So each reads the rows that it has changed, where
        there are few rows of results; where there are many, the products take longer than that.
        """
        node = self.node
        (x, w, y), weights = node.op.terms, node.inputs[1]
        is_product = len(x) == len(y) == 2 and x[0] == y[0] and w == x[1] + y[1]
        if not is_product or contraction.parts > 1 or node.output.dtype in HALVES:
            return False
        buffer, rows = self.operands[weights].buffer, node.output.shape[0]
        changed = {x.name for x in self.lowering.program.variables if x.update}
        if buffer.kind != "variable" or buffer.name not in changed:
            return False
        if buffer.type.shape != weights.shape or isinstance(rows, int) and rows > _FEW_ROWS:
            return False
        size = weights.type.size
        return isinstance(size, int) and size >= _LARGE_MATRIX

    def _write_parts(self, parts: int, room: Shape) -> None:
        """A kernel for partial sums, and one that adds those up and does the rest.

        Args:
            parts: How many partial sums a result has.
            room: The shape of the results, or the largest if it is not known.
        """
        lowering, body, node = self.lowering, self.body, self.node
        partial = TensorType((parts, *node.output.shape), node.output.dtype)
        buffer = lowering.temporary(partial.with_shape((parts, *room)))
        whole = View(buffer, partial.shape, View.whole(buffer).strides)
        head = View(whole.buffer, whole.shape[1:], whole.strides[1:])
        factors = {value.name: value for value in node.inputs}
        first = extract(body, f"{body.name}.parts", factors, {"partial0": node.output})
        second = put_together(body, [node], [partial], body.outputs)
        reads = [self.operands[value] for value in factors.values()]
        space = analyse(first.nodes, [*first.inputs, *first.outputs.values()])
        kernel = _ContractionKernel(lowering, first, first.nodes[-1], space, reads, [head])
        kernel.parts = parts
        kernel.part_stride = evaluate(kernel.names.of(whole.strides[0]), {})
        kernel.write()
        views = {value.name: view for value, view in self.operands.items()}
        views["partial0"] = whole
        reads = [views[value.name] for value in second.inputs]
        loop_nest(lowering, second, reads, [view for _, view in self.results])

    def _native(self, contraction: Contraction) -> Native:
        """The function of a contraction; equal layers share one: addresses are its arguments."""
        known = self.lowering.contractions
        native = known.get((contraction, self.body))
        if native is None:
            native = generate(self.lowering.module, f"c{len(known)}", contraction, self._epilogue)
            known[contraction, self.body] = native
        return native

    def _contraction(self) -> Contraction:
        node, space = self.node, self.space
        first, second, result = node.op.terms
        x, y = node.inputs
        groups: dict[str, list[Axis]] = {"outer": [], "rows": [], "columns": [], "reduction": []}
        letters = list(result) + [c for c in first if c not in result]
        letters += [c for c in second if c not in letters]
        for letter in letters:
            value, term = (x, first) if letter in first else (y, second)
            loop = space.axes[value][term.index(letter)]
            if loop is None:
                continue
            if letter not in result:
                group = "reduction"
            elif letter in first and letter in second:
                group = "outer"
            else:
                group = "rows" if letter in first else "columns"
            groups[group].append(self._axis(loop))
        is_cold = not self.lowering.learns and self.operands[y].buffer.kind == "variable"
        rows_of_one = math.prod(typical_size(axis.size, 1) for axis in groups["rows"])
        return Contraction(
            batch=1 if is_cold and rows_of_one >= _ROWS_OF_AN_IMAGE else TYPICAL_SIZE,
            is_cold=is_cold,
            outer=tuple(groups["outer"]),
            rows=tuple(groups["rows"]),
            columns=tuple(groups["columns"]),
            reduction=tuple(groups["reduction"]),
            dtype=x.dtype,
            parameters=tuple(Parameter(self._parameter(dim), "index") for dim in self.sizes),
            staged=len(self.body.nodes) > 6,
            parts=self.parts,
            part_stride=self.part_stride,
        )

    def _axis(self, loop: int) -> Axis:
        of = self.names.of
        x, y = self.node.inputs
        outputs = [self._stride(value, view, loop) for value, view in self.results]
        extra = outputs[1:] + [self._stride(v, self.operands[v], loop) for v in self.loaded]
        for value in self.counters:
            counted = self.space.axes[value][value.op.axis]  # type: ignore[union-attr]
            extra.append(1 if counted == loop else 0)
        return Axis(
            of(self.space.dims[loop]),
            of(self._stride(x, self.operands[x], loop)),
            of(self._stride(y, self.operands[y], loop)),
            of(outputs[0]),
            tuple(of(stride) for stride in extra),
        )

    def _stride(self, value: Value, view: View, loop: int) -> Dim:
        for axis, stride in zip(self.space.axes[value], view.strides, strict=True):
            if axis == loop:
                return stride
        return 0

    def _epilogue(self, e: Emitter, sums: Register, position: Position) -> None:
        values = {self.node.output: e.cast(sums, self.node.output.dtype)}
        # All is read before anything is written: a result may lie where an operand was.
        stored = [self._value(e, value, values, position) for value, _ in self.results]
        for number, x in enumerate(stored):
            position.store(e, x, number)

    def _value(
        self, e: Emitter, value: Value, values: dict[Value, Register], position: Position
    ) -> Register:
        """A value of the body at the lanes' elements."""
        if value not in values:
            x = self._compute(e, value, values, position)
            values[value] = e.broadcast(x, position.lanes)
        return values[value]

    def _compute(
        self, e: Emitter, value: Value, values: dict[Value, Register], position: Position
    ) -> Register:
        if value.node is None:
            number = len(self.results) + self.loaded.index(value)
            return position.load(e, number, value.dtype)
        op = value.node.op
        if isinstance(op, Iota):
            number = len(self.results) + len(self.loaded) + self.counters.index(value)
            steps = e.mul(e.iota("index", position.lanes), position.strides[number])
            return e.cast(e.add(position.offsets[number], steps), value.dtype)
        if op.name == "Constant":
            return e.constant(op.value.array.item(), value.dtype)
        if op.name == "SizeOf":
            return e.cast(position.parameters[self._parameter(op.dim)], op.dtype)
        inputs = [self._value(e, x, values, position) for x in value.node.inputs]
        return op.emit(e, *inputs) if op.elementwise else inputs[0]

    def _parameter(self, dim: Dim) -> str:
        return f"size{self.sizes.index(dim)}"

    def _shares(self) -> set[tuple[int, int]]:
        """Epilogue operands whose memory a result may take: read and written at once."""
        factors = {self.operands[x].buffer.index for x in self.node.inputs}
        pairs = set()
        for operand in self.loaded:
            view = self.operands[operand]
            for value, result in self.results:
                same = self.space.axes[operand] == self.space.axes[value]
                whole = view.is_whole and view.buffer.type == result.buffer.type
                if same and whole and view.buffer.index not in factors:
                    pairs.add((view.buffer.index, result.buffer.index))
        return pairs
