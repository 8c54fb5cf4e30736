"""The functions that run kernels: ``step``, once through all of them, and ``run``, many steps.

``run`` is one native call for any number of steps. Before each it binds ``batch`` to the rows that
are left, points data and results at their rows, or gathers the rows that the order names.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir import dtype_size
from graphc.ir.dims import Dim, product, symbol
from graphc.runtime.cpu.emitter import Emitter, Module, Register
from graphc.runtime.cpu.frame import Buffer, Frame
from graphc.runtime.cpu.kernel import call_kernel
from graphc.runtime.cpu.lower import Lowering
from graphc.runtime.cpu.schedule import Schedule
from graphc.runtime.cpu.slots import BATCH_SIZE, BEGIN, IS_PREPARED, ORDER, ROWS, STEPS
from graphc.runtime.cpu.target import CACHE_LINE
from graphc.runtime.executable import BATCH

#: Bytes of rows so short that the next step's may wait in the cache: they come from anywhere, and
#: memory takes its time.
_SHORT_ROW = 256


@dataclass
class Rows:
    """A tensor of the caller, of which each step sees some rows.

    Attributes:
        buffer: What the kernels see.
        slot: Where the address of the caller's array is.
        gathered: Where the address of memory for a batch of rows is; None for results.
    """

    buffer: Buffer
    slot: int
    gathered: int | None

    @property
    def row_bytes(self) -> Dim:
        """Bytes of one row."""
        return product(self.buffer.type.shape[1:]) * dtype_size(self.buffer.type.dtype)


def has_rows(buffer: Buffer) -> bool:
    """Whether the first dimension is the batch."""
    return buffer.type.shape[:1] == (symbol(BATCH),)


def find_rows(lowering: Lowering) -> list[Rows]:
    """The tensors of the caller that have a row for each sample, with slots behind the buffers."""
    slot = lowering.layout.first_buffer + len(lowering.buffers)
    found = []
    for buffer in lowering.buffers:
        if buffer.kind == "data" and has_rows(buffer):
            found.append(Rows(buffer, slot, slot + 1))
            slot += 2
        elif buffer.kind == "result" and has_rows(buffer):
            found.append(Rows(buffer, slot, None))
            slot += 1
    return found


def write_steps(module: Module, lowering: Lowering, schedule: Schedule, rows: list[Rows]) -> None:
    """Write ``step``, ``run``, and ``scratch_bytes``, into the module."""
    with module.function("step", [("context", "pointer")], noinline=True) as e:
        frame = Frame(e, lowering.layout)
        _prepare(frame, lowering)
        for number in schedule.order:
            call_kernel(frame, lowering.kernels[number])
    with module.function("run", [("context", "pointer")]) as e:
        _write_run(e, lowering, rows)
    with module.function("scratch_bytes", [("context", "pointer")], "index") as e:
        frame = Frame(e, lowering.layout)
        most = e.index(0)
        for kernel in lowering.all_kernels:
            if kernel.scratch is not None:
                most = e.maximum(most, kernel.scratch(frame))
        e.ret(most)


def _prepare(frame: Frame, lowering: Lowering) -> None:
    """Compute what only depends on variables, unless that was done and they are the same still."""
    if not lowering.preparations:
        return
    e = frame.e
    with e.if_(e.compare("eq", frame.slot(IS_PREPARED), 0)):
        for kernel in lowering.preparations:
            call_kernel(frame, kernel)
        frame.set_slot(IS_PREPARED, e.index(1))


def _write_run(e: Emitter, lowering: Lowering, rows: list[Rows]) -> None:
    frame = Frame(e, lowering.layout)
    batch_size, total, begin, steps = (frame.slot(x) for x in (BATCH_SIZE, ROWS, BEGIN, STEPS))
    order = frame.slot(ORDER, "pointer")
    has_order = e.compare("ne", order, e.constant(0, "pointer"))
    with e.loop(begin, e.add(begin, steps)) as step:
        first = e.mul(step, batch_size)
        count = e.minimum(batch_size, e.sub(total, first))
        if BATCH in lowering.layout.symbols:
            frame.set_slot(lowering.layout.symbols[BATCH], count)
        for tensor in rows:
            _point(frame, tensor, first, count, total, order, has_order)
        e.call("step", None, frame.context)


def _point(
    frame: Frame,
    tensor: Rows,
    first: Register,
    count: Register,
    total: Register,
    order: Register,
    has_order: Register,
) -> None:
    """Point a tensor at the rows of a step, gather them, and ask for those of the next step."""
    e = frame.e
    size = frame.dim(tensor.row_bytes)
    base = frame.slot(tensor.slot, "pointer")
    slot = frame.layout.slot(tensor.buffer)
    frame.set_slot(slot, e.offset(base, e.mul(first, size), "int8"))
    if tensor.gathered is None:
        return
    with e.if_(has_order):
        target = frame.slot(tensor.gathered, "pointer")
        frame.set_slot(slot, target)
        with e.loop(0, count) as row:
            number = e.load(e.offset(order, e.add(first, row), "index"), "index")
            source = e.offset(base, e.mul(number, size), "int8")
            copy_bytes(frame, source, e.offset(target, e.mul(row, size), "int8"), tensor.row_bytes)
            if isinstance(tensor.row_bytes, int) and tensor.row_bytes <= _SHORT_ROW:
                place = e.minimum(e.add(e.add(first, count), row), e.sub(total, 1))
                number = e.load(e.offset(order, place, "index"), "index")
                coming = e.offset(base, e.mul(number, size), "int8")
                for byte in sorted(
                    {*range(0, tensor.row_bytes, CACHE_LINE), max(0, tensor.row_bytes - 4)}
                ):
                    e.prefetch(e.offset(coming, byte, "int8"))


def copy_bytes(frame: Frame, source: Register, target: Register, size: Dim) -> None:
    """Copy so many bytes, a vector at a time."""
    e = frame.e
    whole_words = isinstance(size, int) and size % 4 == 0
    dtype, width = ("int32", 4) if whole_words else ("int8", 1)
    lanes = e.target.vector_bits // 8 // width
    count = frame.dim(size // width if isinstance(size, int) else size)

    def copy(place: Register, mask: Register | None) -> None:
        x = e.load(e.offset(source, place, dtype), dtype, lanes, mask)
        e.store(x, e.offset(target, place, dtype), mask)

    e.in_vectors(count, lanes, copy)
