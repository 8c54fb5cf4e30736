"""Kernels: the functions that a program's step calls, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from graphc.ir.dims import Dim
from graphc.runtime.cpu.emitter import Register
from graphc.runtime.cpu.frame import Buffer, Frame


@dataclass
class Kernel:
    """A function ``name(context, begin, end, scratch)`` that computes a range of independent units of work.

    Attributes:
        name: Its symbol.
        reads: The buffers it reads.
        writes: The buffers it writes.
        units: Code for the number of units.
        work: Roughly how many elementary operations all units are.
        temporaries: Buffers that it needs while it runs.
        serial: Whether all units have to run in one call: the kernel calls others.
        shares: Pairs of a buffer that is read and one that is written that may be the same memory.
        scratch: Code for the bytes of scratch memory that each call needs; None for none.
    """

    name: str
    reads: list[Buffer]
    writes: list[Buffer]
    units: Callable[[Frame], Register]
    work: Dim
    temporaries: list[Buffer] = field(default_factory=list)
    serial: bool = False
    shares: set[tuple[int, int]] = field(default_factory=set)
    scratch: Callable[[Frame], Register] | None = None
