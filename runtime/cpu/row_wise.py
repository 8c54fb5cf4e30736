"""Kernels whose rows have nothing to do with each other, and loops of such kernels.

In a recurrent layer each thread can then take some rows through all steps, instead of meeting the
others after every kernel of every step. To the kernels of the body a few rows are a smaller batch:
they get a copy of the context in which the batch's size, and the addresses of what has a row for
each sample, are those of the rows. So do kernels that run in strips (`strips.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from graphc.ir import Graph, Node, dtype_size
from graphc.ir.dims import Dim, product, symbol, symbols
from graphc.ops.linalg import Einsum
from graphc.ops.movement import (
    Concat,
    Constant,
    Expand,
    Iota,
    Pad,
    Reshape,
    Slice,
    Split,
    Transpose,
)
from graphc.ops.pool import MaxPoolGradient, MaxPoolPick
from graphc.ops.reduce import Reduction
from graphc.passes.fuse import Fused
from graphc.runtime.cpu.emitter import Emitter, Module, Register
from graphc.runtime.cpu.frame import Buffer, Frame, View
from graphc.runtime.cpu.kernel import Kernel
from graphc.runtime.cpu.lower import Lowering
from graphc.runtime.cpu.slots import POOL, SCRATCH
from graphc.runtime.executable import BATCH

#: Rows that stay together: with fewer of them register tiles do less for what they load.
ROWS_TOGETHER = 16
#: The constant that says how many slots a context has.
_SLOTS = "context.slots"


def leads(shape: Sequence[Dim]) -> bool:
    """Whether the first dimension is the batch, and no other one depends on it."""
    return shape[:1] == (symbol(BATCH),) and not _mentions_batch(shape[1:])


def is_row_wise(graph: Graph) -> bool:
    """Whether each row of what a body computes depends on the same row of what it reads.

    Args:
        graph: The body. What has no row for each sample is the same for all of them.
    """
    for value in graph.values():
        if not leads(value.shape) and _mentions_batch(value.shape):
            return False
    return all(keeps_rows(node) for node in graph.nodes)


def _mentions_batch(shape: Sequence[Dim]) -> bool:
    return any(BATCH in symbols(dim) for dim in shape if not isinstance(dim, int))


def keeps_rows(node: Node) -> bool:
    """Whether each row of what a node computes depends on the same row of what it reads.

    If, that is, the batch is the first dimension or none of all that it reads and makes: whoever
    asks has to see to that (`is_row_by_row`, `leads`).
    """
    if isinstance(node.op, Fused):
        return is_row_wise(node.op.body)
    if node.op.elementwise:
        return True  # it broadcasts: a batch in another place than the first was refused
    for kinds, rule in _RULES:
        if isinstance(node.op, kinds):
            return rule(node)
    return False


def _of_rows(node: Node) -> bool:
    """Whether what is read and what is made have rows."""
    return all(leads(value.shape) for value in (*node.inputs, *node.outputs))


def _without_rows(node: Node) -> bool:
    return not any(leads(value.shape) for value in (*node.inputs, *node.outputs))


def _einsum(node: Node) -> bool:
    op: Any = node.op
    *terms, result = op.terms
    letters = {term[0] for term, x in zip(terms, node.inputs, strict=True) if leads(x.shape)}
    return not letters or letters == set(result[:1])


def _with_rows(is_kept: Callable[[Any], bool]) -> Callable[[Node], bool]:
    """A rule for ops that keep rows where something is so of their attributes."""

    def rule(node: Node) -> bool:
        return _without_rows(node) or (_of_rows(node) and is_kept(node.op))

    return rule


_RULES: tuple[tuple[Any, Callable[[Node], bool]], ...] = (
    (Einsum, _einsum),
    (Reduction, _with_rows(lambda op: 0 not in op.axes)),
    (Transpose, _with_rows(lambda op: op.permutation[0] == 0)),
    (Slice, _with_rows(lambda op: op.starts[0] == 0 and op.steps[0] == 1)),
    ((Concat, Split), _with_rows(lambda op: op.axis != 0)),
    (Pad, _with_rows(lambda op: op.before[0] == op.after[0] == 0)),
    (Reshape, _with_rows(lambda op: True)),
    (Expand, lambda node: True),
    ((MaxPoolGradient, MaxPoolPick), _of_rows),
    ((Constant, Iota), _without_rows),
)


def is_row_by_row(view: View) -> bool:
    """Whether a view is of a buffer with rows, one behind the other, or of one without any."""
    buffer = view.buffer
    if not _mentions_batch((*view.shape, *buffer.type.shape)):
        return True
    return leads(view.shape) and leads(buffer.type.shape) and view.strides[0] == row_size(buffer)


def row_size(buffer: Buffer) -> Dim:
    """Elements of a row."""
    return product(buffer.type.shape[1:])


def write_rows(
    lowering: Lowering,
    reads: Sequence[View],
    writes: Sequence[View],
    kernels: Sequence[Kernel],
    rows: Sequence[Buffer],
    work: Dim,
    write_loop: Callable[[Frame, Frame, Register], None],
) -> None:
    """Write the kernel of a loop, whose units of work are some rows of the batch each.

    Args:
        lowering: Where the kernel goes.
        reads: Everything it reads.
        writes: Everything it writes.
        kernels: Those that it calls.
        rows: The buffers of which they see some rows.
        work: Roughly how many elementary operations the loop is.
        write_loop: Writes the loop; gets the frame of some rows, that of the whole batch, and the
            number of the first row.
    """
    layout, batch = lowering.layout, symbol(BATCH)

    def units(frame: Frame) -> Register:
        return frame.e.div(frame.e.add(frame.dim(batch), ROWS_TOGETHER - 1), ROWS_TOGETHER)

    with lowering.kernel("scan", reads, writes, units, work) as k:
        e, frame = k.e, k.frame
        loop = f"{lowering.kernels[-1].name}.rows"
        begin = e.mul(k.begin, ROWS_TOGETHER)
        end = e.minimum(e.mul(k.end, ROWS_TOGETHER), frame.dim(batch))
        write_context(frame, rows, begin, end, k.scratch)
        e.call(loop, None, k.scratch, frame.context, begin)
    lowering.kernels[-1].scratch = lambda frame: scratch_of(frame, kernels)
    parameters = [("context", "pointer"), ("whole", "pointer"), ("first", "index")]
    with lowering.module.function(loop, parameters, internal=True, noinline=True) as e:
        _, whole, first = e.arguments
        write_loop(Frame(e, layout), Frame(e, layout, context=whole), first)


def _context_bytes(e: Emitter) -> Register:
    """The size of a context, in whole cache lines."""
    return e.bitwise_and(e.add(e.mul(slot_count(e), 8), 127), -64)


def scratch_of(frame: Frame, kernels: Sequence[Kernel]) -> Register:
    """The scratch memory of a kernel that calls others with a context of some rows."""
    codes = [kernel.scratch for kernel in kernels if kernel.scratch is not None]
    most = reduce(frame.e.maximum, (code(frame) for code in codes), frame.e.index(0))
    return frame.e.add(most, _context_bytes(frame.e))


def write_context(
    frame: Frame, rows: Sequence[Buffer], begin: Register, end: Register, context: Register
) -> None:
    """Code that fills in a context for some rows of the batch, which one thread computes.

    Args:
        frame: The whole batch's.
        rows: The buffers whose addresses are moved to the first of the rows, if they have rows.
        begin: The first row.
        end: The one behind the last.
        context: Memory for the new context, and behind it for the scratch memory of kernels.
    """
    e = frame.e
    with e.loop(0, slot_count(e)) as slot:
        content = e.load(e.offset(frame.context, slot, "index"), "index")
        e.store(content, e.offset(context, slot, "index"))
    scratch = e.offset(context, _context_bytes(e), "int8")
    places = {frame.layout.symbols[BATCH]: e.sub(end, begin), SCRATCH: scratch, POOL: e.index(0)}
    for place, x in places.items():
        e.store(x, e.offset(context, place, "index"))
    move_rows(frame, rows, begin, context)


def move_rows(frame: Frame, rows: Sequence[Buffer], begin: Register, context: Register) -> None:
    """Code that points buffers at one of their rows, in a context for some rows of the batch.

    Args:
        frame: The whole batch's.
        rows: The buffers; those without rows stay where they are.
        begin: The row.
        context: Where their new addresses go.
    """
    e = frame.e
    for buffer in rows:
        if buffer.kind == "constant" or not leads(buffer.type.shape):
            continue
        size = frame.dim(row_size(buffer) * dtype_size(buffer.type.dtype))
        number = frame.layout.slot(buffer)
        moved = e.offset(frame.slot(number, "pointer"), e.mul(begin, size), "int8")
        e.store(moved, e.offset(context, number, "index"))


def slot_count(e: Emitter) -> Register:
    """How many slots a context has, which is known when all code is written."""
    return e.load(e.module.address_of(_SLOTS), "index")


def write_slot_count(module: Module, count: int) -> None:
    """Say how many slots a context has."""
    module.data(_SLOTS, count.to_bytes(8, "little"))
