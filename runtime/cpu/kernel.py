"""Kernels: the functions that a program's step calls, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from graphc.config import config
from graphc.ir.dims import Dim
from graphc.runtime.cpu.emitter import Emitter, Module, Register
from graphc.runtime.cpu.frame import POOL, SCRATCH, Buffer, Frame, Layout
from graphc.runtime.cpu.profile import counted
from graphc.runtime.cpu.threads import CHUNK_PARAMETERS, parallel

#: Kernels with at least so many elementary operations are run by all threads.
PARALLEL_WORK = 1 << 18
#: The most parts a kernel is split into: enough that threads of unequal speed end together.
CHUNKS = 16


@dataclass
class Kernel:
    """A function ``name(context, begin, end, scratch)`` that computes a range of units of work.

    Units are independent of each other: any thread may run any of them.

    Attributes:
        number: Its place among all kernels of the program.
        name: Its symbol.
        reads: The buffers it reads.
        writes: The buffers it writes.
        units: Code for the number of units.
        work: Roughly how many elementary operations all units are.
        temporaries: Buffers that it needs while it runs.
        serial: Whether all units have to run in one call: the kernel calls others.
        shares: Pairs of a buffer that is read and one that is written that may be the same memory.
        scratch: Code for the bytes of scratch memory that each call needs; None for none.
        purpose: What it computes, for people.
    """

    number: int
    name: str
    reads: list[Buffer]
    writes: list[Buffer]
    units: Callable[[Frame], Register]
    work: Dim
    temporaries: list[Buffer] = field(default_factory=list)
    serial: bool = False
    shares: set[tuple[int, int]] = field(default_factory=set)
    scratch: Callable[[Frame], Register] | None = None
    purpose: str = ""


def _may_run_parallel(kernel: Kernel) -> bool:
    if kernel.serial:
        return False
    return not isinstance(kernel.work, int) or kernel.work >= PARALLEL_WORK


def call_kernel(frame: Frame, kernel: Kernel) -> None:
    """Call a kernel: as a parallel region if there is a pool and enough to do."""
    if config.profile:
        with counted(frame.e, kernel.number, frame.dim(kernel.work)):
            _call(frame, kernel)
    else:
        _call(frame, kernel)


def _call(frame: Frame, kernel: Kernel) -> None:
    e = frame.e
    scratch = frame.slot(SCRATCH, "pointer")
    whole = (frame.context, e.index(0), kernel.units(frame), scratch)
    if not _may_run_parallel(kernel):
        e.call(kernel.name, None, *whole)
        return
    pool = frame.slot(POOL, "pointer")
    has_pool = e.compare("ne", pool, e.constant(0, "pointer"))
    shared = e.logical_and(has_pool, e.compare("ge", frame.dim(kernel.work), PARALLEL_WORK))
    with e.if_(shared):
        chunks = e.minimum(kernel.units(frame), CHUNKS)
        parallel(e, pool, e.module.address_of(f"{kernel.name}.chunk"), frame.context, chunks)
    with e.if_(e.bitwise_not(shared)):
        e.call(kernel.name, None, *whole)


def write_chunk(module: Module, layout: Layout, kernel: Kernel) -> None:
    """The function that a parallel region calls: one of at most `CHUNKS` equal parts."""
    if not _may_run_parallel(kernel):
        return
    with module.function(f"{kernel.name}.chunk", CHUNK_PARAMETERS, internal=True) as e:
        _, chunk = e.arguments
        frame = Frame(e, layout)
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
