"""From `python train.py` to the first finished step: `python -m benchmarks.startup [models ...]`.

    python -m benchmarks.startup mlp cnn lstm          without and with the object cache
    python -m benchmarks.startup mlp --peers pytorch   other libraries as well

Each measurement is a process of its own, which builds a model, compiles it, and trains one step.
The numbers are the wall-clock seconds of the whole process, the interpreter included (and, in
brackets, the processor's seconds), the best of some repetitions. Byte code of the modules is there
already, as after any installation.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.arguments import parser_of
from benchmarks.workloads import TRAINING
from graphc.config import config

STEP = """
import importlib, sys
from dataclasses import replace
from benchmarks.worker import MODULES
from benchmarks.workloads import BY_NAME
peer, name, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
workload = replace(BY_NAME[name], steps=1)
importlib.import_module(MODULES[peer]).train(workload, peer, threads)()
print("llvmlite" in sys.modules)
"""


def measure(peer: str, name: str, threads: int, cache: Path | None) -> tuple[float, float, bool]:
    """Wall-clock and processor seconds of one process, and whether it loaded LLVM.

    Raises:
        RuntimeError: The process failed.
    """
    environment = {**os.environ, "GRAPHC_CACHE": "" if cache is None else str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", STEP, peer, name, str(threads)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise RuntimeError(lines[-1])
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, used, "True" in done.stdout


def best(peer: str, name: str, threads: int, cache: Path | None, repeats: int) -> str:
    """The best of some repetitions as text."""
    try:
        found = [measure(peer, name, threads, cache) for _ in range(repeats)]
    except RuntimeError as error:
        return f"- ({error})"
    wall, used = (min(run[place] for run in found) for place in (0, 1))
    return f"{wall:.2f} s ({used:.2f})" + (" with LLVM" if found[-1][2] else "")


def main() -> None:
    """Prints a line for each model."""
    names = [workload.name for workload in TRAINING]
    parser = parser_of("benchmarks.startup", __doc__)
    parser.add_argument("models", nargs="*", help=f"of {', '.join(names)}; all by default")
    parser.add_argument("--peers", default="", help="comma-separated, besides graphc")
    parser.add_argument("--threads", type=int, default=config.thread_count, help="all by default")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.models if name not in names]
    if unknown:
        parser.error(f"unknown model {unknown[0]}; there are {', '.join(names)}")
    peers = [peer for peer in arguments.peers.split(",") if peer]
    threads, repeats = arguments.threads, arguments.repeats
    measure("graphc", "tiny", threads, None)  # writes byte code, fills the system's caches
    columns = ["nothing cached", "objects cached", *peers]
    print(f"{'':12}" + "".join(f"{column:>26}" for column in columns))
    for name in arguments.models or names:
        with tempfile.TemporaryDirectory() as folder:
            cells = [best("graphc", name, threads, None, repeats)]
            measure("graphc", name, threads, Path(folder))
            cells.append(best("graphc", name, threads, Path(folder), repeats))
        cells += [best(peer, name, threads, None, 1) for peer in peers]
        print(f"{name:12}" + "".join(f"{cell:>26}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
