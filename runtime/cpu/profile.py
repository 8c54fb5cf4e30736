"""Where a program's time goes: with ``GRAPHC_PROFILE=1`` every kernel counts its calls and ticks.

The counters stand in the object itself, around each call of a kernel; when the program is no longer
needed, at the latest when the process ends, a table of them goes to standard error::

      share   calls  best us  mean us  Gop/s  kernel
      41.2%      40   5263.1   5580.2   88.1  k17.contraction  npqklc,klcf->npqf Add Relu | ...

The best call of each kernel counts for its share: noise of the machine only ever adds time. Where
the mean is far above it, calls also wait for memory, or were interrupted. Kernels inside a loop
that several threads run at once, each with some rows, may lose a count now and then. Kernels that
run in strips count each strip as a call; the best one may be the last, which may be shorter, and
then their share is too small. Operations are what the cost model takes the kernel for: of a
contraction its multiply-adds.
"""

from __future__ import annotations

import ctypes
import sys
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from graphc.runtime.cpu import jit
from graphc.runtime.cpu.emitter import Emitter, Module, Register

#: The counters, for each kernel: its calls, the ticks of the best one and of all, its operations.
_COUNTERS = "profile.counters"
_PER_KERNEL = 4
_CLOCK = "llvm.readcyclecounter"


@dataclass(frozen=True)
class KernelTime:
    """What one kernel took.

    Attributes:
        kernel: Its name and what it computes.
        calls: How often it ran.
        best: Seconds of the fastest call, what it calls included.
        mean: Seconds of a call on average.
        operations: Roughly how many elementary operations the last call was.
    """

    kernel: str
    calls: int
    best: float
    mean: float
    operations: int

    @property
    def seconds(self) -> float:
        """What all calls would take, were they as fast as the best one."""
        return self.calls * self.best


@contextmanager
def counted(e: Emitter, number: int, operations: Register) -> Iterator[None]:
    """Count the call of a kernel that is written inside.

    Args:
        e: The function that calls it.
        number: The kernel's number.
        operations: How much it has to do.
    """
    before = _now(e)
    yield
    ticks = e.sub(_now(e), before)
    counters = e.module.address_of(_COUNTERS)
    calls, best, total, work = (
        e.offset(counters, _PER_KERNEL * number + place, "index") for place in range(_PER_KERNEL)
    )
    earlier = e.load(calls, "index")
    least = e.minimum(e.load(best, "index"), ticks)
    e.store(e.select(e.compare("eq", earlier, 0), ticks, least), best)
    e.store(e.add(e.load(total, "index"), ticks), total)
    e.store(e.add(earlier, 1), calls)
    e.store(operations, work)


def _now(e: Emitter) -> Register:
    return e.call(_CLOCK, "index")  # type: ignore[return-value]


def write_counters(module: Module, kernels: Sequence[str]) -> None:
    """The counters of some kernels, and the functions that tell the host about them."""
    counters = module.variable(_COUNTERS, "index", max(1, _PER_KERNEL * len(kernels)))
    with module.function("profile", [], "pointer") as e:
        e.ret(counters)
    with module.function("profile_kernels", [], "pointer") as e:
        e.ret(module.data("profile.kernels", "\n".join(kernels).encode() + b"\0"))
    with module.function("profile_clock", [], "index") as e:
        e.ret(_now(e))


class Profile:
    """The counters of a loaded program.

    Args:
        library: Its code, which has to live as long as this.
    """

    def __init__(self, library: jit.Library):
        text = ctypes.string_at(library.function("profile_kernels", [], ctypes.c_void_p)())
        self._kernels = text.decode().split("\n")
        address = library.function("profile", [], ctypes.c_void_p)()
        self._counters = (ctypes.c_int64 * (_PER_KERNEL * len(self._kernels))).from_address(address)
        clock = library.function("profile_clock", [], ctypes.c_int64)
        begin, ticks = time.perf_counter(), clock()
        while time.perf_counter() - begin < 2e-3:
            pass
        self._tick = (time.perf_counter() - begin) / max(1, clock() - ticks)

    def times(self) -> list[KernelTime]:
        """What each kernel that ran took, the longest first."""
        columns = (self._counters[place::_PER_KERNEL] for place in range(_PER_KERNEL))
        found = [
            KernelTime(name, calls, best * self._tick, total * self._tick / calls, operations)
            for name, calls, best, total, operations in zip(self._kernels, *columns, strict=True)
            if calls
        ]
        return sorted(found, key=lambda x: -x.seconds)

    def clear(self) -> None:
        """Count from zero."""
        for place in range(len(self._counters)):
            self._counters[place] = 0


def table(title: str, times: Sequence[KernelTime]) -> str:
    """Times as text.

    Args:
        title: The first line.
        times: Of the kernels of a program. Those that call others contain their time.
    """
    total = sum(x.seconds for x in times) or 1.0
    head = f"{'share':>7} {'calls':>7} {'best us':>10} {'mean us':>10} {'Gop/s':>6}  kernel"
    lines = [title, head]
    for x in times:
        share, rate = 100 * x.seconds / total, x.operations / x.best / 1e9 if x.best else 0.0
        took = f"{1e6 * x.best:10.2f} {1e6 * x.mean:10.2f}"
        lines.append(f"{share:6.1f}% {x.calls:7} {took} {rate:6.1f}  {x.kernel}")
    return "\n".join(lines)


def show_at_end(name: str, library: jit.Library) -> None:
    """Print the table of a program when its code is no longer needed.

    Args:
        name: The program's.
        library: Its code.
    """
    # The profile must not keep the library alive: it holds the bare address of the counters.
    profile = Profile(library)
    weakref.finalize(library, _show, name, profile)


def _show(name: str, profile: Profile) -> None:
    times = profile.times()
    if times:
        print(table(f"profile of {name}", times), file=sys.stderr)
