"""What a parallel region costs and gains: `python benchmarks/threads.py [threads ...]`."""

from __future__ import annotations

import ctypes
import os
import statistics
import sys
import time
from collections.abc import Callable

from graphc.runtime.cpu import jit
from graphc.runtime.cpu.emitter import Module
from graphc.runtime.cpu.pool import ThreadPool
from graphc.runtime.cpu.target import Target
from graphc.runtime.cpu.threads import CHUNK_PARAMETERS, parallel

WORK = (0, 500, 5_000, 50_000)  # dependent multiply-adds per chunk
SECONDS = 0.05  # how long a measured run should take: a thread needs a while to wake up


def median(function: Callable[[], object], repeats: int = 9) -> float:
    """The median time of some calls, in seconds."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def build(target: Target) -> Callable[..., None]:
    """A native `(work, out, chunks, repeats, pool)`: regions of chunks of so many steps."""
    module = Module(target)
    with module.function("chunk_of_work", CHUNK_PARAMETERS, internal=True, noinline=True) as e:
        context, chunk = e.arguments
        steps = e.load(context, "index")
        out = e.load(e.offset(context, 1, "pointer"), "pointer")
        with e.carry(0, steps, 1, [e.constant(1.0, "float64")]) as loop:
            loop.values[0] = e.fma(loop.values[0], 0.5, 1.0)
        e.store(loop.results[0], e.offset(out, e.mul(chunk, 16), "float64"))
    names = [
        ("steps", "index"),
        ("out", "pointer"),
        ("chunks", "index"),
        ("repeats", "index"),
        ("pool", "pointer"),
    ]
    with module.function("main", names) as e:
        steps, out, chunks, repeats, pool = e.arguments
        context = e.stack("pointer", 2)
        e.store(steps, context)
        e.store(out, e.offset(context, 1, "pointer"))
        with e.loop(0, repeats):
            parallel(e, pool, module.address_of("chunk_of_work"), context, chunks)
    library = jit.load_object(jit.emit_object(module.text(), target))
    kinds = [ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
    return library.function("main", kinds)


def region(function: Callable[..., None], pool: ThreadPool, steps: int, chunks: int) -> float:
    """Seconds for one region."""
    out = ctypes.create_string_buffer(chunks * 128)
    where = ctypes.addressof(out)

    def run(repeats: int) -> None:
        pool.run(lambda address: function(steps, where, chunks, repeats, address))

    begin = time.perf_counter()
    run(100)
    repeats = max(100, int(SECONDS * 100 / (time.perf_counter() - begin)))
    return median(lambda: run(repeats)) / repeats


def main() -> None:
    """Prints a table for 1, 2, 4 threads or the numbers on the command line."""
    function = build(Target.host())
    alone = ThreadPool(1)
    threads = [int(word) for word in sys.argv[1:]] or [1, 2, 4]
    print(f"{os.cpu_count()} cores; medians; a region has as many chunks as threads")
    print(f"{'threads':>7} {'chunk ns':>9} {'region ns':>9} {'sequential ns':>13} {'gain':>5}")
    for count in threads:
        pool = ThreadPool(count)
        for steps in WORK:
            one = region(function, alone, steps, 1)
            sequential = region(function, alone, steps, count)
            shared = region(function, pool, steps, count)
            numbers = f"{one * 1e9:>9.0f} {shared * 1e9:>9.0f} {sequential * 1e9:>13.0f}"
            print(f"{count:>7} {numbers} {sequential / shared:>5.2f}")
        empty = median(lambda pool=pool: pool.run(bool), 200)
        print(f"{count:>7} threads: {empty * 1e6:.1f} us an empty run")
        pool.close()


if __name__ == "__main__":
    main()
