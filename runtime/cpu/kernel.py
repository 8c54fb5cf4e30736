"""Kernels: the functions that a program's step calls, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from graphc.config import config
from graphc.ir import Node
from graphc.ir.dims import Dim
from graphc.runtime.cpu.emitter import Emitter, Module, Register
from graphc.runtime.cpu.frame import Buffer, Frame, View
from graphc.runtime.cpu.pool import THREADS
from graphc.runtime.cpu.profile import counted
from graphc.runtime.cpu.slots import CHUNKS, PARALLEL_WORK, POOL, SCRATCH
from graphc.runtime.cpu.threads import CHUNK_PARAMETERS, parallel


@dataclass
class Kernel:
    """A function ``(context, operands, begin, end, scratch)`` that computes a range of units.

    Units of work are independent of each other: any thread may run any of them. What a kernel reads
    and writes it finds through its operands, a table of slots of the context; so kernels that do
    the same to other tensors are one function with two tables.

    Attributes:
        number: Its place among all kernels of the program.
        name: What it is called.
        reads: The buffers it reads.
        writes: The buffers it writes.
        views: What it sees of them.
        units: Code for the number of units.
        work: Roughly how many elementary operations all units are: whether threads share them
            depends on it.
        products: How many products a contraction sums, for the profile; None for other kernels.
        temporaries: Buffers that it needs while it runs.
        serial: Whether all units have to run in one call: the kernel calls others.
        shares: Pairs of a buffer that is read and one that is written that may be the same memory.
        condition: Code for whether it is called; None for always.
        scratch: Code for the bytes of scratch memory that each call needs; None for none.
        members: Kernels that it calls for some units of work at a time; where those are too few,
            they are called one after the other, each for all of its own.
        node: What it computes, or a part of it; None for several.
        purpose: The same for people.
        function: The symbol of its function.
        operands: The symbol of its table.
    """

    number: int
    name: str
    reads: list[Buffer]
    writes: list[Buffer]
    views: list[View]
    units: Callable[[Frame], Register]
    work: Dim
    products: Dim | None = None
    temporaries: list[Buffer] = field(default_factory=list)
    serial: bool = False
    shares: set[tuple[int, int]] = field(default_factory=set)
    condition: Callable[[Frame], Register] | None = None
    scratch: Callable[[Frame], Register] | None = None
    members: list[Kernel] = field(default_factory=list)
    node: Node | None = None
    purpose: str = ""
    function: str = ""
    operands: str = ""


#: The parameters of a kernel's function.
KERNEL_PARAMETERS = (
    ("context", "pointer"),
    ("operands", "pointer"),
    ("begin", "index"),
    ("end", "index"),
    ("scratch", "pointer"),
)


def call_kernel(frame: Frame, kernel: Kernel) -> None:
    """Call a kernel: as a parallel region if there is a pool and enough to do."""
    if kernel.members:
        _call_members(frame, kernel)
    elif kernel.condition is None:
        _call_counted(frame, kernel)
    else:
        with frame.e.if_(kernel.condition(frame)):
            _call_counted(frame, kernel)


def _call_members(frame: Frame, kernel: Kernel) -> None:
    """Through the kernel that calls others, if it has enough units for all threads, or one by one.

    One by one each of them is shared by the threads.
    """
    e = frame.e
    pool = frame.slot(POOL, "pointer")
    (threads,) = e.choose(
        e.compare("ne", pool, e.constant(0, "pointer")),
        lambda: [e.load(e.offset(pool, THREADS, "uint8"), "index")],
        lambda: [e.index(1)],
    )
    enough = e.compare("ge", kernel.units(frame), e.mul(threads, 2))
    with e.if_(enough):
        _call(frame, kernel)
    with e.if_(e.logical_not(enough)):
        for member in kernel.members:
            call_kernel(frame, member)


def _call_counted(frame: Frame, kernel: Kernel) -> None:
    if config.profile:
        done = kernel.work if kernel.products is None else kernel.products
        with counted(frame.e, kernel.number, frame.dim(done)):
            _call(frame, kernel)
    else:
        _call(frame, kernel)


def _call(frame: Frame, kernel: Kernel) -> None:
    e = frame.e
    operands, units = e.module.address_of(kernel.operands), kernel.units(frame)
    if kernel.serial or (isinstance(kernel.work, int) and kernel.work < PARALLEL_WORK):
        scratch = frame.slot(SCRATCH, "pointer")
        e.call(kernel.function, None, frame.context, operands, e.index(0), units, scratch)
        return
    if not e.module.has_function(_LAUNCH):
        _write_launch(e.module)
    function = e.module.address_of(kernel.function)
    step = e.index(0) if kernel.scratch is None else _padded(e, kernel.scratch(frame))
    work = frame.dim(kernel.work)
    e.call(_LAUNCH, None, frame.context, operands, function, units, work, step)


def _padded(e: Emitter, size: Register) -> Register:
    return e.bitwise_and(e.add(size, 127), -64)


# What all kernels share --------------------------------------------------------------------------

_LAUNCH = "graphc_launch"
_CHUNK = "graphc_chunk"
# A parallel region as its chunks see it, in places of eight bytes.
_CONTEXT, _OPERANDS, _FUNCTION, _UNITS, _CHUNKS, _SCRATCH, _STEP, _PLACES = range(8)


def _write_launch(module: Module) -> None:
    """The function that runs a kernel, with the threads of the pool if that pays."""
    _write_chunk(module)
    pointers = ("context", "operands", "function")
    sizes = ("units", "work", "step")
    parameters = [*((x, "pointer") for x in pointers), *((x, "index") for x in sizes)]
    with module.function(_LAUNCH, parameters, internal=True, noinline=True, shared=True) as e:
        context, operands, function, units, work, step = e.arguments
        pool, scratch = (
            e.load(e.offset(context, slot, "index"), "pointer") for slot in (POOL, SCRATCH)
        )
        has_pool = e.compare("ne", pool, e.constant(0, "pointer"))
        shared = e.logical_and(has_pool, e.compare("ge", work, PARALLEL_WORK))
        with e.if_(shared):
            region = e.stack("index", _PLACES)
            chunks = e.minimum(units, CHUNKS)
            places = (context, operands, function, units, chunks, scratch, step)
            for place, x in enumerate(places):
                e.store(x, e.offset(region, place, "index"))
            parallel(e, pool, module.address_of(_CHUNK), region, chunks)
        with e.if_(e.bitwise_not(shared)):
            e.call(function, None, context, operands, e.index(0), units, scratch)


def _write_chunk(module: Module) -> None:
    """The function that a parallel region calls: one of at most `CHUNKS` equal parts."""
    with module.function(_CHUNK, CHUNK_PARAMETERS, internal=True, shared=True) as e:
        region, chunk = e.arguments

        def field(place: int, dtype: str = "index") -> Register:
            return e.load(e.offset(region, place, "index"), dtype)

        units, chunks = field(_UNITS), field(_CHUNKS)
        begin, end = (
            e.emit(f"udiv i64 {e.mul(x, units).text}, {chunks.text}", "index")
            for x in (chunk, e.add(chunk, 1))
        )
        scratch = e.offset(field(_SCRATCH, "pointer"), e.mul(chunk, field(_STEP)), "int8")
        context, operands, function = (
            field(place, "pointer") for place in (_CONTEXT, _OPERANDS, _FUNCTION)
        )
        e.call(function, None, context, operands, begin, end, scratch)
