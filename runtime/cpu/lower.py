"""Lowering: a program becomes a list of kernels over buffers, in one LLVM module.

Ops that only move elements in a regular way (transposes, slices, broadcasts, most reshapes) become
`View`s and cost nothing; whoever reads them does so through strides. `Fused` nodes become loop
nests or contractions. Every other op has a lowering function in `LOWERINGS`.

A lowering function is registered for its op class::

    @lowers(MaxPool)
    def lower_max_pool(lowering: Lowering, node: Node) -> None:
        x = lowering.view(node.inputs[0])             # strided view of the operand
        y = lowering.allocate(node.output)            # dense buffer for the result
        with lowering.kernel("max_pool", node, [x], [y], units=x.shape[0], work=...) as k:
            with k.e.loop(k.begin, k.end) as row:     # units of work; any thread may run any range
                source = k.frame.pointer(x)           # address of the first element
                size = k.frame.dim(x.shape[1])        # a size, constant or from the context
                ...                                   # instructions through k.e

Rules for lowering functions: read operands through their strides (or ask for
`lowering.dense_view`); write every element of the result; let each unit of work write elements of
its own and sum in an order that does not depend on the range; allow for sizes of zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from graphc.errors import UnsupportedError
from graphc.ir import Graph, Node, Op, TensorType, Value
from graphc.ir.dims import Dim, Shape, product
from graphc.passes.fuse import fuse
from graphc.passes.recompute import CHEAP
from graphc.program import Program
from graphc.runtime.cpu.contraction import Contraction, Native
from graphc.runtime.cpu.emitter import Emitter, Module, Register
from graphc.runtime.cpu.frame import Buffer, Frame, Layout, View, dense_strides
from graphc.runtime.cpu.kernel import KERNEL_PARAMETERS, Kernel
from graphc.runtime.cpu.loops import LoopPlan, Parts, plan_loops
from graphc.runtime.cpu.nest import Nest
from graphc.runtime.cpu.slots import FIRST_FREE
from graphc.runtime.cpu.split import split

LoweringFunction = Callable[["Lowering", Node], None]

#: Cheap operations that an exponential, a root or a quotient takes the time of, roughly.
_LONG_OPERATION = 16
#: How many characters of code are compiled as a part of their own, while the rest is written.
_PART = 1 << 16
#: How each op that is neither fused nor a view becomes kernels.
LOWERINGS: dict[str, LoweringFunction] = {}


def lowers(*ops: type[Op]) -> Callable[[LoweringFunction], LoweringFunction]:
    """Register the lowering function of some op classes."""

    def register(function: LoweringFunction) -> LoweringFunction:
        for op in ops:
            LOWERINGS[op.__name__] = function
        return function

    return register


@dataclass
class KernelWriter:
    """A kernel while its code is written.

    Attributes:
        e: The emitter.
        frame: Sizes and addresses.
        begin: The first unit of work.
        end: The one after the last.
        scratch: The address of memory of its own, if the kernel asked for some.
    """

    e: Emitter
    frame: Frame
    begin: Register
    end: Register
    scratch: Register


class Lowering:
    """A program on its way into a module.

    Args:
        program: Its graph was fused.
        module: Where the code goes.
        hand_over: Takes the text of parts of the module that are in their final form.

    Attributes:
        buffers: Memory, by number.
        kernels: Those of the step, in the order of the graph.
        preparations: Those that run before it when variables have changed.
        all_kernels: With those that other kernels call.
        learns: Whether the program changes its state.
    """

    def __init__(
        self,
        program: Program,
        module: Module,
        hand_over: Callable[[str], None] | None = None,
    ):
        self.program = program
        self._hand_over = hand_over
        self.learns = any(variable.update for variable in program.variables)
        self.module = module
        self.buffers: list[Buffer] = []
        self.kernels: list[Kernel] = []
        self.preparations: list[Kernel] = []
        self.all_kernels: list[Kernel] = []
        self.views: dict[Value, View] = {}
        symbols = program.graph.symbols()
        first = FIRST_FREE + len(symbols)
        self.layout = Layout({name: FIRST_FREE + i for i, name in enumerate(symbols)}, first)
        self.outputs: dict[str, Buffer] = {}
        self._contents: dict[bytes, str] = {}
        #: For each value that is computed in the middle of its padded copy, what pads it.
        self.pads: dict[Value, Node] = {}
        #: Generated contractions, by what they compute and their epilogue.
        self.contractions: dict[tuple[Contraction, Graph], Native] = {}

    def run(self) -> None:
        """Lower every node, and give every output a buffer of its own."""
        variables = {variable.name for variable in self.program.variables}
        for value in self.program.graph.inputs:
            kind = "variable" if value.name in variables else "data"
            self.views[value] = View.whole(self._buffer(value.type, kind, value.name))
        self._nodes(self.program.graph)
        results = self.program.results
        for name, value in self.program.graph.outputs.items():
            kind = "result" if name in results else "arena"
            self.outputs[name] = self._output(value, kind)

    def _nodes(self, graph: Graph) -> None:
        outputs = set(graph.outputs.values())
        for node in graph.nodes:
            if node.op.name == "Pad" and not any(node.op.gaps) and node.output not in outputs:
                (x,) = node.inputs
                if x.node is not None and x.node.op.name == "Fused" and x not in outputs:
                    self.pads.setdefault(x, node)
        for node in graph.nodes:
            self._node(node)

    def _node(self, node: Node) -> None:
        first = len(self.all_kernels)
        self._lower(node)
        for kernel in self.all_kernels[first:]:
            kernel.node = kernel.node or node
            kernel.purpose = kernel.purpose or _purpose(node)
        if self._hand_over is not None:
            part = self.module.part(_PART)
            if part is not None:
                self._hand_over(part)

    def _lower(self, node: Node) -> None:
        if node.op.name in VIEWS:
            view = VIEWS[node.op.name](self, node)
            if view is not None:
                self.views[node.output] = view
                return
        function = LOWERINGS.get(node.op.name)
        if function is None:
            place = f" ({node.location})" if str(node.location) else ""
            types = ", ".join(str(value.type) for value in node.inputs)
            raise UnsupportedError(
                f"the CPU backend has no code for {node.op.name} of {types}{place}"
            )
        function(self, node)

    # What lowering functions use --------------------------------------------------------------

    def view(self, value: Value) -> View:
        """Where a value is."""
        return self.views[value]

    def dense_view(self, value: Value) -> View:
        """Where a value is, its elements one after the other; copied if they are not."""
        view = self.views[value]
        if not view.is_dense:
            view = self.views[value] = self.copy(view)
        return view

    def allocate(self, value: Value) -> View:
        """A buffer for the result of a node; of what will be padded the middle of one."""
        pad = self.pads.get(value)
        if pad is None:
            view = View.whole(self.temporary(value.type))
        else:
            whole = View.whole(self.temporary(pad.output.type))
            self.views[pad.output] = whole
            view = interior(whole, value.shape, pad.op.before)
        self.views[value] = view
        return view

    def temporary(self, type: TensorType) -> Buffer:
        """A buffer that lives as long as kernels use it."""
        return self._buffer(type, "arena", "")

    def prepared(self, type: TensorType) -> View:
        """A buffer that keeps what a `preparation` writes, from step to step."""
        return View.whole(self._buffer(type, "prepared", ""))

    def constant(self, type: TensorType, content: bytes) -> Buffer:
        """A buffer of known content."""
        return self._buffer(type, "constant", self._data("constant", content))

    @contextmanager
    def kernel(
        self,
        purpose: str,
        reads: Sequence[View],
        writes: Sequence[View],
        units: Dim | Callable[[Frame], Register],
        work: Dim,
    ) -> Iterator[KernelWriter]:
        """Write a kernel; see the example at the head of this module.

        Args:
            purpose: A word for its name.
            reads: Everything it reads.
            writes: Everything it writes.
            units: How many independent units of work there are.
            work: Roughly how many elementary operations they are in all.
        """
        number = len(self.all_kernels)
        name = f"k{number}.{purpose}"
        kernel = Kernel(
            number,
            name,
            _distinct(view.buffer for view in reads),
            _distinct(view.buffer for view in writes),
            [*reads, *writes],
            units if callable(units) else lambda frame: frame.dim(units),
            work,
        )
        self.kernels.append(kernel)
        self.all_kernels.append(kernel)
        with self.module.function(name, KERNEL_PARAMETERS, internal=True, noinline=True) as e:
            _, operands, begin, end, scratch = e.arguments
            frame = Frame(e, self.layout, operands)
            yield KernelWriter(e, frame, begin, end, scratch)
        kernel.function = self.module.merge(name)
        content = b"".join(slot.to_bytes(8, "little") for slot in frame.table)
        kernel.operands = self._data("operands", content)

    @contextmanager
    def preparation(
        self,
        purpose: str,
        reads: Sequence[View],
        writes: Sequence[View],
        units: Dim,
        work: Dim,
    ) -> Iterator[KernelWriter]:
        """Write a kernel that reads nothing but variables, and only runs when those have changed.

        Args:
            purpose: As of `kernel`, like the others.
            reads: Variables.
            writes: Buffers made by `prepared`.
            units: How many independent units of work there are.
            work: Roughly how many elementary operations they are in all.
        """
        with self.kernel(purpose, reads, writes, units, work) as k:
            yield k
        self.preparations.append(self.kernels.pop())

    def copy(self, view: View, into: Buffer | None = None) -> View:
        """A dense copy of a view."""
        type = TensorType(view.shape, view.dtype)
        buffer = into or self.temporary(type)
        target = View(buffer, view.shape, dense_strides(view.shape))
        body = Graph("copy")
        body.outputs["y"] = body.input("x", type)
        loop_nest(self, body, [view], [target])
        return target

    @contextmanager
    def block(self) -> Iterator[list[Kernel]]:
        """Collects the kernels that are written inside, which another kernel will call."""
        outer, self.kernels = self.kernels, []
        yield self.kernels
        self.kernels = outer

    def moving(self, type: TensorType) -> Buffer:
        """A buffer whose slot is set by native code, each time before it is used."""
        return self._buffer(type, "moving", "")

    def body(self, graph: Graph, operands: Sequence[View]) -> list[Buffer]:
        """Lower the body of an op; gives a moving buffer for each output."""
        fused = fuse(graph)
        first = len(self.buffers)
        self.views.update(zip(fused.inputs, operands, strict=True))
        self._nodes(fused)
        return [self._output(value, "moving", first) for value in fused.outputs.values()]

    # Inside -----------------------------------------------------------------------------------

    def _data(self, kind: str, content: bytes) -> str:
        """The symbol of some bytes; equal ones are kept once."""
        known = self._contents
        if content not in known:
            known[content] = f"{kind}{len(known)}"
            self.module.data(known[content], content or b"\0")
        return known[content]

    def _buffer(self, type: TensorType, kind: str, name: str) -> Buffer:
        buffer = Buffer(len(self.buffers), type, kind, name)
        self.buffers.append(buffer)
        return buffer

    def _output(self, value: Value, kind: str, first: int = 0) -> Buffer:
        """A buffer that holds an output, that nobody else calls an output.

        Buffers before the ``first`` one are those of the surroundings, which stay as they are.
        """
        view = self.views[value]
        taken = view.buffer.kind != "arena" or view.buffer.name or view.buffer.index < first
        if taken or not view.is_whole:
            view = self.copy(view)
        view.buffer.name = "output"
        view.buffer.kind = kind
        # The shape that it was computed in may hide that the first dimension is the batch.
        view.buffer.type = value.type
        return view.buffer


def _purpose(node: Node) -> str:
    """What a node computes, and for which layer, in a line."""
    inner = [x for body in node.op.bodies for x in body.nodes] if node.op.name == "Fused" else []
    names = [
        x.op.equation if x.op.name == "Einsum" else x.op.name
        for x in inner or [node]
        if x.op.name not in ("Constant", "Expand", "SizeOf", "Reshape", "Iota")
    ]
    counted = dict.fromkeys(names)
    ops = " ".join(f"{names.count(x)}*{x}" if names.count(x) > 1 else x for x in counted)
    reads, writes = (" ".join(str(x.type) for x in xs) for xs in (node.inputs, node.outputs))
    return f"{ops} | {reads} -> {writes} | {node.location}"


def interior(view: View, shape: Shape, before: Sequence[Dim]) -> View:
    """The elements of a view from a place on."""
    offset = view.offset
    for place, stride in zip(before, view.strides, strict=True):
        offset = offset + place * stride
    return View(view.buffer, shape, view.strides, offset)


def _distinct(buffers: Iterator[Buffer]) -> list[Buffer]:
    return list({buffer.index: buffer for buffer in buffers}.values())


# ------------------------------------------------------------------------------------------- views


def _expand(lowering: Lowering, node: Node) -> View:
    x = lowering.view(node.inputs[0])
    shape = node.output.shape
    extra = len(shape) - len(x.shape)
    strides: list[Dim] = [0] * extra
    for size, stride, target in zip(x.shape, x.strides, shape[extra:], strict=True):
        strides.append(0 if size == 1 and target != 1 else stride)
    return View(x.buffer, shape, tuple(strides), x.offset)


def _transpose(lowering: Lowering, node: Node) -> View:
    x = lowering.view(node.inputs[0])
    strides = tuple(x.strides[axis] for axis in node.op.permutation)
    return View(x.buffer, node.output.shape, strides, x.offset)


def _slice(lowering: Lowering, node: Node) -> View:
    x = lowering.view(node.inputs[0])
    offset = x.offset
    for start, stride in zip(node.op.starts, x.strides, strict=True):
        offset = offset + start * stride
    strides = tuple(stride * step for stride, step in zip(x.strides, node.op.steps, strict=True))
    return View(x.buffer, node.output.shape, strides, offset)


def _reverse(lowering: Lowering, node: Node) -> View:
    x = lowering.view(node.inputs[0])
    strides = list(x.strides)
    offset = x.offset
    for axis in node.op.axes:
        offset = offset + (x.shape[axis] - 1) * strides[axis]
        strides[axis] = strides[axis] * -1
    return View(x.buffer, x.shape, tuple(strides), offset)


def _reshape(lowering: Lowering, node: Node) -> View:
    x = lowering.view(node.inputs[0])
    shape = node.output.shape
    strides = reshaped_strides(x.shape, x.strides, shape)
    if strides is None:
        x = lowering.dense_view(node.inputs[0])
        strides = dense_strides(shape)
    return View(x.buffer, shape, strides, x.offset)


def reshaped_strides(shape: Shape, strides: Sequence[Dim], target: Shape) -> tuple[Dim, ...] | None:
    """The strides of the same elements in another shape; None if there are none."""
    sizes = [(d, s) for d, s in zip(shape, strides, strict=True) if d != 1]
    wanted = [d for d in target if d != 1]
    found: list[Dim] = []
    while sizes and wanted:
        # The shortest run of axes on both sides with the same number of elements.
        taken, made = [sizes.pop(0)], [wanted.pop(0)]
        while product(d for d, _ in taken) != product(made):
            grow_old = len(sizes) > 0 and (not wanted or _grows(taken, made))
            if grow_old:
                taken.append(sizes.pop(0))
            elif wanted:
                made.append(wanted.pop(0))
            else:
                return None
        if any(
            far_stride != stride * size
            for (_, far_stride), (size, stride) in zip(taken, taken[1:], strict=False)
        ):
            return None
        step = taken[-1][1]
        found += [step * inner for inner in dense_strides(made)]
    if sizes or wanted:
        return None
    rest = iter(found)
    return tuple(0 if d == 1 else next(rest) for d in target)


def _grows(taken: Sequence[tuple[Dim, Dim]], made: Sequence[Dim]) -> bool:
    """Whether the old axes are the ones that have to be joined by another."""
    old, new = product(d for d, _ in taken), product(made)
    if isinstance(old, int) and isinstance(new, int):
        return old < new
    return isinstance(old, int)


def _windows(lowering: Lowering, node: Node) -> View:
    x, op = lowering.view(node.inputs[0]), node.op
    end = op.axis + len(op.window)
    offset = x.offset
    places: list[Dim] = []
    positions: list[Dim] = []
    for i, stride in enumerate(x.strides[op.axis : end]):
        step = stride * op.dilations[i]
        offset = offset + stride * op.starts[i]
        if op.reverse:
            offset = offset + step * (op.window[i] - 1)
        places.append(stride * op.strides[i])
        positions.append(step * -1 if op.reverse else step)
    strides = (*x.strides[: op.axis], *places, *positions, *x.strides[end:])
    return View(x.buffer, node.output.shape, strides, offset)


def _constant(lowering: Lowering, node: Node) -> View:
    array = node.op.value.array
    return View.whole(lowering.constant(node.output.type, array.tobytes()))


VIEWS: dict[str, Callable[[Lowering, Node], View | None]] = {
    "Constant": _constant,
    "Expand": _expand,
    "Reshape": _reshape,
    "Reverse": _reverse,
    "Slice": _slice,
    "Transpose": _transpose,
    "Windows": _windows,
}


# ------------------------------------------------------------------------------------------- nests


def loop_nest(
    lowering: Lowering, body: Graph, operands: Sequence[View], results: Sequence[View]
) -> None:
    """The kernels that compute a body in loops: one, or two for a long sum."""
    plan = plan_loops(body, operands, results, lowering.module.target)
    halves = split(body, plan, operands, results, lowering.module.target)
    if halves is None:
        _write_nest(lowering, body, operands, results, plan)
        return
    views = dict(zip((value.name for value in body.inputs), operands, strict=True))
    places = dict(zip(body.outputs, results, strict=True))
    rows = [View.whole(lowering.temporary(type)) for type in halves.partial]
    # Of each partial result the first row: a part's distance from it is what `Parts` says.
    heads = [View(x.buffer, x.shape[1:], x.strides[1:]) for x in rows]
    first, second = halves.first, halves.second
    reads = [views[value.name] for value in first.inputs]
    writes = [*(places[name] for name in halves.stored), *heads]
    plan = plan_loops(first, reads, writes, lowering.module.target)
    sums = plan.outputs[len(halves.stored) :]
    strides = [(access, row.strides[0]) for (_, access), row in zip(sums, rows, strict=True)]
    plan.parts = Parts(halves.loop, halves.size, halves.count, strides)
    _write_nest(lowering, first, reads, writes, plan)
    views |= {f"partial{i}": row for i, row in enumerate(rows)}
    reads = [views[value.name] for value in second.inputs]
    writes = [places[name] for name in halves.rest]
    plan = plan_loops(second, reads, writes, lowering.module.target)
    _write_nest(lowering, second, reads, writes, plan)


def _write_nest(
    lowering: Lowering,
    body: Graph,
    operands: Sequence[View],
    results: Sequence[View],
    plan: LoopPlan,
) -> None:
    nodes = [node.op for node in body.nodes if node.op.elementwise]
    work = plan.elements * max(1, sum(1 if op.name in CHEAP else _LONG_OPERATION for op in nodes))
    with lowering.kernel(body.name, operands, results, plan.units, work) as k:
        Nest(k.frame, body, plan).write(k.begin, k.end)
    lowering.kernels[-1].shares = _shares(body, plan)


def _shares(body: Graph, plan: LoopPlan) -> set[tuple[int, int]]:
    """Operands whose memory a result may take: each element is read before it is written."""
    pairs = set()
    uses = [access.view.buffer.index for access in plan.inputs.values()]
    for value, result in plan.outputs:
        if plan.level(value) == 2:
            continue  # a later pass might read the old value
        for operand, access in plan.inputs.items():
            same_walk = access.strides == result.strides and access.view.offset == 0
            same_type = access.view.buffer.type == result.view.buffer.type
            once = uses.count(access.view.buffer.index) == 1
            if same_walk and same_type and once and plan.level(operand) == plan.level(value):
                pairs.add((access.view.buffer.index, result.view.buffer.index))
    return pairs
