"""How much memory training takes: `python -m benchmarks.memory [models ...]`.

    python -m benchmarks.memory cnn resnet              graphc and PyTorch
    python -m benchmarks.memory mlp --peers graphc,keras-jax

Each measurement is a process of its own. The first number is the peak of the resident memory of the
whole process; the second how much it grew from the moment when model and data were there. What a
compiler takes belongs to both: graphc is measured with its programs compiled and cached, as in
every run but the first.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.arguments import parser_of
from benchmarks.worker import MODULES
from benchmarks.workloads import MODELS, TRAINING

_STEPS = 3


def resident(kind: str) -> float:
    """MiB of this process: `VmRSS` now, `VmHWM` at most so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the system does not tell how much memory a process has")


def child(peer: str, name: str) -> None:
    """Train for some steps in this process, and print both numbers."""
    workload = replace(MODELS[name], steps=_STEPS)
    run = importlib.import_module(MODULES[peer]).train(workload, peer, 1)
    before = resident("VmRSS")
    run()
    run()
    peak = resident("VmHWM")
    print(json.dumps([peak, peak - before]))


def measure(peer: str, name: str, cache: Path) -> tuple[float, float]:
    """MiB of a process at most, and what training added.

    Raises:
        RuntimeError: The process failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", "--child", peer, name],
        env={**os.environ, "GRAPHC_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return tuple(json.loads(done.stdout.splitlines()[-1]))  # type: ignore[return-value]


def main() -> None:
    """Prints a line for each model."""
    names = [workload.name for workload in TRAINING]
    parser = parser_of("benchmarks.memory", __doc__)
    parser.add_argument("models", nargs="*", help=f"of {', '.join(names)}; all by default")
    parser.add_argument("--peers", default="graphc,pytorch", help="comma-separated")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.models if name not in names]
    if unknown:
        parser.error(f"unknown model {unknown[0]}; there are {', '.join(names)}")
    peers = arguments.peers.split(",")
    print(f"{'MiB: all (training)':24}" + "".join(f"{peer:>20}" for peer in peers))
    for name in arguments.models or names:
        cells = []
        with tempfile.TemporaryDirectory() as folder:
            for peer in peers:
                try:
                    if peer == "graphc":
                        measure(peer, name, Path(folder))  # compiles
                    peak, grown = measure(peer, name, Path(folder))
                    cells.append(f"{peak:,.0f} ({grown:,.0f})")
                except RuntimeError as error:
                    cells.append(f"- ({error})")
        print(f"{name:24}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
