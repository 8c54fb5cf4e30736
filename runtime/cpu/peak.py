"""The processor's own limit: how many multiply-adds a second it does when nothing else is to do.

A share of this number says how good a kernel is on any machine. It has to be measured in the same
run as the kernel, as clocks change with temperature, power and neighbours.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

import numpy as np

from graphc.runtime.cpu import jit
from graphc.runtime.cpu.emitter import Module
from graphc.runtime.cpu.target import Target

#: Independent sums: enough to hide the latency of an instruction on every processor we know.
_CHAINS = 12
_TURNS = 20_000


def best_time(call: Callable[[], object], seconds: float) -> float:
    """Seconds of one call, the best of several batches: noise only ever adds time.

    Args:
        call: What to measure.
        seconds: How long to measure.
    """
    begin = time.perf_counter()
    call()
    once = max(time.perf_counter() - begin, 1e-7)
    count = max(1, int(0.005 / once))
    best = float("inf")
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop:
        begin = time.perf_counter()
        for _ in range(count):
            call()
        best = min(best, (time.perf_counter() - begin) / count)
    return best


def peak(target: Target, seconds: float = 0.15) -> float:
    """Multiply-adds of float32 a second, on one thread, with operands in registers.

    Args:
        target: This machine.
        seconds: How long to measure.
    """
    module, lanes = Module(target), target.lanes("float32")
    with module.function("peak", [("count", "index"), ("out", "pointer")]) as e:
        count, out = e.arguments
        x = e.load(out, "float32", lanes)
        start = [e.constant(i, "float32", lanes) for i in range(_CHAINS)]
        with e.carry(0, count, 1, start) as loop:
            loop.values = [e.fma(x, x, value) for value in loop.values]
        total = loop.results[0]
        for value in loop.results[1:]:
            total = e.add(total, value)
        e.store(total, out)
    library = jit.load_object(jit.emit_object(module.text(), target))
    function = library.function("peak", [ctypes.c_int64, ctypes.c_void_p])
    values = np.zeros(lanes, np.float32)
    once = best_time(lambda: function(_TURNS, values.ctypes.data), seconds)
    return _TURNS * _CHAINS * lanes / once
