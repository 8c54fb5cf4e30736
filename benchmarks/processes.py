"""Peers as processes that live side by side, so that the driver can take turns among them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any


class Peer:
    """A worker process.

    Args:
        name: The peer, of `benchmarks.worker.MODULES`.
        workload: What it runs.
        threads: How many threads it may use.
        checkout: Another checkout of graphc, whose code it runs.
    """

    def __init__(self, name: str, workload: str, threads: int, checkout: Path | None = None):
        self.name = name
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "3"}
        # Old settings for NumPy's BLAS would slow it down without need.
        for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
            environment.pop(variable, None)
        if checkout is not None:
            environment["PYTHONPATH"] = str(checkout)
        self.arguments = ["-m", "benchmarks.worker", name, workload, str(threads)]
        self.process = subprocess.Popen(
            [sys.executable, *self.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            cwd=checkout,
        )
        self.error = self._read().get("error")
        self.seconds: list[float] = []
        self.last: dict[str, Any] = {}

    def measure(self) -> None:
        """One run.

        Raises:
            RuntimeError: The process has ended.
        """
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # then there is no answer either
            self.process.stdin.write("run\n")
            self.process.stdin.flush()
        self.last = self._read()
        if "error" in self.last:
            raise RuntimeError(self.last["error"])
        self.seconds.append(self.last["seconds"])

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        return {"error": f"the process ended; `python {' '.join(self.arguments)}` says why"}
