"""Control flow: kernels that call other kernels.

The bodies of scans, conditionals and loops are lowered like the program itself, into kernels of
their own. What a body sees of its surroundings it reads where it is. What changes from step to step
are *moving* buffers, whose slots the loop sets before it runs the body: slices and step outputs go
through the stacked tensors. A carry that no kernel of the body reads after its next value was made
stays in one place; others have two places that take turns.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir import Node, TensorType, Value, dtype_size
from graphc.ops.control import Cond, Scan, WhileLoop
from graphc.runtime.cpu.emitter import Register
from graphc.runtime.cpu.frame import Buffer, Frame, View
from graphc.runtime.cpu.kernel import Kernel, call_kernel
from graphc.runtime.cpu.lower import Lowering, lowers
from graphc.runtime.cpu.row_wise import is_row_by_row, is_row_wise, leads, write_rows
from graphc.runtime.cpu.schedule import order_updates
from graphc.runtime.executable import BATCH


class _Carries:
    """Values that go from step to step.

    Attributes:
        seen: What the body reads.
        made: What the body writes; known when it was lowered.
        homes: The places of each: one, or two that take turns.
    """

    def __init__(self, lowering: Lowering, values: Sequence[Value]):
        self.lowering = lowering
        self.types = [value.type for value in values]
        self.seen = [lowering.moving(type) for type in self.types]
        self.made: list[Buffer] = []
        self.homes = [[lowering.temporary(type)] for type in self.types]
        with lowering.block() as self.begin:
            for value, buffer in zip(values, self.seen, strict=True):
                lowering.copy(lowering.view(value), buffer)

    def finish(
        self, made: Sequence[Buffer], body: Sequence[Kernel], results: Sequence[Value]
    ) -> list[Kernel]:
        """Decide on the places, and write the kernels that copy the last carries into the results.

        Args:
            made: What the body writes.
            body: Its kernels.
            results: The values that the last carries are.

        Returns:
            The body's kernels in the order in which they have to run.
        """
        lowering = self.lowering
        self.made = list(made)
        order, replaced = order_updates(body, list(zip(self.made, self.seen, strict=True)))
        for type, home, in_place in zip(self.types, self.homes, replaced, strict=True):
            if not in_place:
                home.append(lowering.temporary(type))
        with lowering.block() as self.end:
            for buffer, value in zip(self.seen, results, strict=True):
                lowering.copy(View.whole(buffer), lowering.view(value).buffer)
        return [body[number] for number in order]

    def emit_begin(self, frame: Frame) -> None:
        """Code that brings the first carries into place."""
        for seen, made, homes in zip(self.seen, self.made, self.homes, strict=True):
            _set(frame, seen, frame.base(homes[0]))
            _set(frame, made, frame.base(homes[-1]))
        _call(frame, self.begin)

    def emit_turn(self, frame: Frame) -> None:
        """Code that makes what the body wrote what it reads next."""
        for seen, made, homes in zip(self.seen, self.made, self.homes, strict=True):
            if len(homes) == 1:
                continue
            old = frame.slot(frame.layout.slot(seen), "pointer")
            new = frame.slot(frame.layout.slot(made), "pointer")
            _set(frame, seen, new)
            _set(frame, made, old)

    def emit_end(self, frame: Frame) -> None:
        """Code that brings the last carries to where they belong."""
        _call(frame, self.end)


def _set(frame: Frame, buffer: Buffer, address: Register) -> None:
    frame.set_slot(frame.layout.slot(buffer), address)


def _call(frame: Frame, kernels: Sequence[Kernel]) -> None:
    for kernel in kernels:
        call_kernel(frame, kernel)


def _finish(lowering: Lowering, first_buffer: int) -> None:
    """Mark the kernel just written as one that calls others, with the memory that they need."""
    kernel = lowering.kernels[-1]
    kernel.temporaries = [x for x in lowering.buffers[first_buffer:] if x.kind == "arena"]


@lowers(Scan)
def lower_scan(lowering: Lowering, node: Node) -> None:
    """A loop over steps around the body's kernels."""
    op: Scan = node.op
    results = [lowering.allocate(value) for value in node.outputs]
    start = len(lowering.buffers)
    loop = op.carries + op.sequences
    operands = [lowering.view(value) for value in node.inputs]
    carries = _Carries(lowering, node.inputs[: op.carries])
    slices = []
    for view in operands[op.carries : loop]:
        buffer = lowering.moving(TensorType(view.shape[1:], view.dtype))
        slices.append(View(buffer, view.shape[1:], view.strides[1:]))
    seen = [*map(View.whole, carries.seen), *slices, *operands[loop:]]
    with lowering.block() as body:
        made = lowering.body(op.body, seen)
    body = carries.finish(made[: op.carries], body, node.outputs[: op.carries])
    steps = op.step_count([value.type for value in node.inputs])
    sliced = [
        *zip(operands[op.carries : loop], (part.buffer for part in slices), strict=True),
        *zip(results[op.carries :], made[op.carries :], strict=True),
    ]

    def write_loop(frame: Frame, whole: Frame, first: Register) -> None:
        """The loop over steps, for the rows that a context is for, from the first one on."""
        e = frame.e
        count = frame.dim(steps)
        carries.emit_begin(frame)
        with e.loop(0, count) as turn:
            step = e.sub(e.sub(count, 1), turn) if op.reverse else turn
            for view, buffer in sliced:
                _set(frame, buffer, _slice(whole, view, step, first))
            _call(frame, body)
            carries.emit_turn(frame)
        carries.emit_end(frame)

    kernels = [*carries.begin, *body, *carries.end]
    views = [*operands[: op.carries], *operands[loop:], *results[: op.carries]]
    temporaries = [x for x in lowering.buffers[start:] if x.kind == "arena"]
    independent = (
        BATCH in lowering.layout.symbols
        and is_row_wise(op.body)
        and all(map(is_row_by_row, views))
        and all(leads(x.type.shape) for x in temporaries)
        and all(leads(view.shape[1:]) for view, _ in sliced)
    )
    if independent:
        rows = [*temporaries, *(view.buffer for view in views)]
        work = steps * sum(kernel.work for kernel in body)
        write_rows(lowering, operands, results, kernels, rows, work, write_loop)
    else:
        with lowering.kernel("scan", operands, results, 1, 0) as k:
            write_loop(k.frame, k.frame, k.e.index(0))
        lowering.kernels[-1].serial = True
    _finish(lowering, start)


def _slice(frame: Frame, view: View, step: Register, first: Register) -> Register:
    """The address of a slice along the first axis, from some row of the second axis on."""
    e = frame.e
    offset = e.mul(step, frame.dim(view.strides[0]))
    if first.number != 0:
        offset = e.add(offset, e.mul(first, frame.dim(view.strides[1])))
    return e.offset(frame.pointer(view), e.mul(offset, dtype_size(view.dtype)), "int8")


@lowers(Cond)
def lower_cond(lowering: Lowering, node: Node) -> None:
    """One of two blocks of kernels, which write to the same results."""
    op: Cond = node.op
    results = [lowering.allocate(value) for value in node.outputs]
    start = len(lowering.buffers)
    operands = [lowering.view(value) for value in node.inputs]
    branches = []
    for graph in (op.then, op.otherwise):
        with lowering.block() as kernels:
            branches.append((kernels, lowering.body(graph, operands[1:])))
    with lowering.kernel("cond", operands, results, 1, 0) as k:
        e, frame = k.e, k.frame
        holds = e.load(frame.pointer(operands[0]), "bool")
        for (kernels, made), chosen in zip(branches, (holds, e.logical_not(holds)), strict=True):
            with e.if_(chosen):
                for buffer, view in zip(made, results, strict=True):
                    _set(frame, buffer, frame.pointer(view))
                _call(frame, kernels)
    lowering.kernels[-1].serial = True
    _finish(lowering, start)


@lowers(WhileLoop)
def lower_while_loop(lowering: Lowering, node: Node) -> None:
    """A loop around the body's kernels, with the condition's kernels before each turn."""
    op: WhileLoop = node.op
    results = [lowering.allocate(value) for value in node.outputs]
    start = len(lowering.buffers)
    operands = [lowering.view(value) for value in node.inputs]
    carries = _Carries(lowering, node.inputs)
    verdict = lowering.temporary(TensorType((), "bool"))
    seen = list(map(View.whole, carries.seen))
    with lowering.block() as condition:
        (decided,) = lowering.body(op.condition, seen)
    with lowering.block() as body:
        made = lowering.body(op.body, seen)
    body = carries.finish(made, body, node.outputs)
    with lowering.kernel("while", operands, results, 1, 0) as k:
        e, frame = k.e, k.frame
        carries.emit_begin(frame)
        _set(frame, decided, frame.base(verdict))

        def holds() -> Register:
            _call(frame, condition)
            return e.load(frame.base(verdict), "bool")

        with e.while_(holds):
            _call(frame, body)
            carries.emit_turn(frame)
        carries.emit_end(frame)
    lowering.kernels[-1].serial = True
    _finish(lowering, start)
