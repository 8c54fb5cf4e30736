"""What threads cost and gain.

    python -m benchmarks.threads                         single parallel regions
    python -m benchmarks.threads --models mlp cnn lstm   training, on idle and on busy cores

Training with 1, 2, all and twice as many threads as there are cores takes turns in one process, so
noise hits all alike. Busy cores have a process each that computes without end.
"""

from __future__ import annotations

import ctypes
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from benchmarks.arguments import parser_of
from benchmarks.peers.keras_peer import build as build_model
from benchmarks.peers.keras_peer import load
from benchmarks.workloads import BY_NAME
from graphc.config import config
from graphc.runtime.cpu import jit
from graphc.runtime.cpu.emitter import Module
from graphc.runtime.cpu.pool import ThreadPool
from graphc.runtime.cpu.target import Target
from graphc.runtime.cpu.threads import CHUNK_PARAMETERS, MOST_CHUNKS, parallel

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


def regions(threads: Sequence[int]) -> None:
    """Prints a table of regions."""
    function = build(Target.host())
    alone = ThreadPool(1)
    print(f"{os.cpu_count()} cores; medians; a region has as many chunks as threads")
    print(f"{'threads':>7} {'chunk ns':>9} {'region ns':>9} {'sequential ns':>13} {'gain':>5}")
    for count in threads:
        pool, chunks = ThreadPool(count), min(count, MOST_CHUNKS)
        for steps in WORK:
            one = region(function, alone, steps, 1)
            sequential = region(function, alone, steps, chunks)
            shared = region(function, pool, steps, chunks)
            numbers = f"{one * 1e9:>9.0f} {shared * 1e9:>9.0f} {sequential * 1e9:>13.0f}"
            print(f"{count:>7} {numbers} {sequential / shared:>5.2f}")
        empty = median(lambda pool=pool: pool.run(bool), 200)
        print(f"{count:>7} threads: {empty * 1e6:.1f} us an empty run")
        pool.close()


def trainings(names: Sequence[str], threads: Sequence[int]) -> None:
    """Prints tables of whole models."""
    for busy in (False, True):
        print(f"\n{'busy' if busy else 'idle'} cores: microseconds per step (gain), best of rounds")
        print(f"{'':12}" + "".join(f"{f'{count} threads':>20}" for count in threads))
        for name in names:
            with burners(os.cpu_count() or 1 if busy else 0):
                best = training(name, threads)
            cells = [f"{x * 1e6:.1f} ({best[0] / x:.2f})" for x in best]
            print(f"{name:12}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


def training(name: str, threads: Sequence[int], rounds: int = 7) -> list[float]:
    """Seconds per step of a workload for each number of threads."""
    keras = load("graphc", 1)
    workload = BY_NAME[name]
    x, y = workload.data()
    inputs, targets = ([workload.wide_data(), x], [y, y]) if workload.wide else (x, y)
    models = [build_model(keras, workload) for _ in threads]
    best = [float("inf")] * len(threads)
    for number in range(rounds + 1):
        for place, (model, count) in enumerate(zip(models, threads, strict=True)):
            config.threads = count
            begin = time.perf_counter()
            model.fit(inputs, targets, batch_size=workload.batch, epochs=1, verbose=0)
            if number:  # the first one compiles
                best[place] = min(best[place], time.perf_counter() - begin)
    return [seconds / workload.steps for seconds in best]


@contextmanager
def burners(count: int) -> Iterator[None]:
    """Processes that keep cores busy meanwhile."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def main() -> None:
    """Prints what was asked for."""
    cores = os.cpu_count() or 1
    parser = parser_of("benchmarks.threads", __doc__)
    parser.add_argument("threads", nargs="*", type=int, help="numbers of threads")
    parser.add_argument("--models", nargs="+", default=[], choices=list(BY_NAME))
    arguments = parser.parse_args()
    threads = arguments.threads or sorted({1, 2, cores, 2 * cores})
    if arguments.models:
        trainings(arguments.models, threads)
    else:
        regions(threads)


if __name__ == "__main__":
    main()
