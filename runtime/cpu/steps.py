"""The functions that run kernels: ``step``, once through all of them, and ``run``, many steps.

``run`` is one native call for any number of steps. Before each it binds ``batch`` to the rows that
are left, points data and results at their rows, or gathers the rows that the order names.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir import dtype_size
from graphc.ir.dims import Dim, product, symbol
from graphc.runtime.cpu.emitter import Emitter, Module, Register
from graphc.runtime.cpu.frame import (
    BATCH_SIZE,
    BEGIN,
    ORDER,
    POOL,
    ROWS,
    SCRATCH,
    STEPS,
    Buffer,
    Frame,
)
from graphc.runtime.cpu.kernel import Kernel
from graphc.runtime.cpu.lower import Lowering
from graphc.runtime.cpu.schedule import Schedule
from graphc.runtime.cpu.threads import CHUNK_PARAMETERS, parallel
from graphc.runtime.executable import BATCH


#: Kernels with at least so many elementary operations are run by all threads.
PARALLEL_WORK = 1 << 18
#: The most parts a kernel is split into: enough that threads of unequal speed end together.
CHUNKS = 16


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
    kernels = [lowering.kernels[number] for number in schedule.order]
    for kernel in kernels:
        _write_chunk(module, lowering, kernel)
    with module.function("step", [("context", "pointer")], noinline=True) as e:
        frame = Frame(e, lowering.layout)
        pool = frame.slot(POOL, "pointer")
        has_pool = e.compare("ne", pool, e.constant(0, "pointer"))
        for kernel in kernels:
            _write_call(frame, kernel, pool, has_pool)
    with module.function("run", [("context", "pointer")]) as e:
        _write_run(e, lowering, rows)
    with module.function("scratch_bytes", [("context", "pointer")], "index") as e:
        frame = Frame(e, lowering.layout)
        most = e.index(0)
        for kernel in kernels:
            if kernel.scratch is not None:
                most = e.maximum(most, kernel.scratch(frame))
        e.ret(most)


def _may_run_parallel(kernel: Kernel) -> bool:
    if kernel.serial:
        return False
    return not isinstance(kernel.work, int) or kernel.work >= PARALLEL_WORK


def _write_call(frame: Frame, kernel: Kernel, pool: Register, has_pool: Register) -> None:
    """Call a kernel: as a parallel region if there is a pool and enough to do."""
    e = frame.e
    scratch = frame.slot(SCRATCH, "pointer")
    whole = (frame.context, e.index(0), kernel.units(frame), scratch)
    if not _may_run_parallel(kernel):
        e.call(kernel.name, None, *whole)
        return
    shared = e.logical_and(has_pool, e.compare("ge", frame.dim(kernel.work), PARALLEL_WORK))
    with e.if_(shared):
        chunks = e.minimum(kernel.units(frame), CHUNKS)
        parallel(e, pool, e.module.address_of(f"{kernel.name}.chunk"), frame.context, chunks)
    with e.if_(e.bitwise_not(shared)):
        e.call(kernel.name, None, *whole)


def _write_chunk(module: Module, lowering: Lowering, kernel: Kernel) -> None:
    """The function that a parallel region calls: one of at most `CHUNKS` equal parts."""
    if not _may_run_parallel(kernel):
        return
    with module.function(f"{kernel.name}.chunk", CHUNK_PARAMETERS, internal=True) as e:
        _, chunk = e.arguments
        frame = Frame(e, lowering.layout)
        units = kernel.units(frame)
        chunks = e.minimum(units, CHUNKS)
        begin, end = (
            e.emit(f"udiv i64 {e.mul(x, units).text}, {chunks.text}", "index")
            for x in (chunk, e.add(chunk, 1))
        )
        scratch = frame.slot(SCRATCH, "pointer")
        if kernel.scratch is not None:
            scratch = e.offset(scratch, e.mul(chunk, _padded(e, kernel.scratch(frame))), "int8")
        e.call(kernel.name, None, frame.context, begin, end, scratch)


def _padded(e: Emitter, size: Register) -> Register:
    return e.bitwise_and(e.add(size, 127), -64)


def _write_run(e: Emitter, lowering: Lowering, rows: list[Rows]) -> None:
    frame = Frame(e, lowering.layout)
    batch_size, total, begin, steps = (frame.slot(x) for x in (BATCH_SIZE, ROWS, BEGIN, STEPS))
    order = frame.slot(ORDER, "pointer")
    has_order = e.compare("ne", order, e.constant(0, "pointer"))
    with e.loop(begin, e.add(begin, steps)) as step:
        first = e.mul(step, batch_size)
        count = e.minimum(batch_size, e.sub(total, first))
        if BATCH in lowering.layout.symbols:
            _set_slot(frame, lowering.layout.symbols[BATCH], count)
        for tensor in rows:
            _point(frame, tensor, first, count, order, has_order)
        e.call("step", None, frame.context)


def _set_slot(frame: Frame, slot: int, x: Register) -> None:
    frame.e.store(x, frame.e.offset(frame.context, slot, "index"))


def _point(
    frame: Frame,
    tensor: Rows,
    first: Register,
    count: Register,
    order: Register,
    has_order: Register,
) -> None:
    """Point a tensor at the rows of a step."""
    e = frame.e
    size = frame.dim(tensor.row_bytes)
    base = frame.slot(tensor.slot, "pointer")
    slot = frame.layout.slot(tensor.buffer)
    _set_slot(frame, slot, e.offset(base, e.mul(first, size), "int8"))
    if tensor.gathered is None:
        return
    with e.if_(has_order):
        target = frame.slot(tensor.gathered, "pointer")
        _set_slot(frame, slot, target)
        with e.loop(0, count) as row:
            number = e.load(e.offset(order, e.add(first, row), "index"), "index")
            source = e.offset(base, e.mul(number, size), "int8")
            copy_bytes(frame, source, e.offset(target, e.mul(row, size), "int8"), tensor.row_bytes)


def copy_bytes(frame: Frame, source: Register, target: Register, size: Dim) -> None:
    """Copy so many bytes, a vector at a time."""
    e = frame.e
    whole_words = isinstance(size, int) and size % 4 == 0
    dtype, width = ("int32", 4) if whole_words else ("int8", 1)
    lanes = e.target.vector_bits // 8 // width
    count = frame.dim(size // width if isinstance(size, int) else size)
    whole = e.bitwise_and(count, -lanes)
    if count.number is not None:
        whole = e.index(int(count.number) // lanes * lanes)
    with e.loop(0, whole, lanes) as i:
        e.store(e.load(e.offset(source, i, dtype), dtype, lanes), e.offset(target, i, dtype))
    rest = e.sub(count, whole)
    if rest.number == 0:
        return
    mask = e.tail_mask(rest, lanes)
    end = e.offset(source, whole, dtype)
    e.store(e.load(end, dtype, lanes, mask), e.offset(target, whole, dtype), mask)
