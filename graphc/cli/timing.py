"""Measuring compiled programs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from graphc import runtime
from graphc.cli.programs import Prepared
from graphc.config import config
from graphc.program import Program
from graphc.runtime import Executable
from graphc.runtime.state import State

T = TypeVar("T")

#: How long one measured call of several steps should take, in seconds.
_CALL = 0.005
#: The most steps in one call, and the most bytes of data for them.
_STEPS, _BYTES = 256, 64 << 20
#: Fewer calls than this say nothing about percentiles.
_CALLS = 20


@dataclass(frozen=True)
class CompileTimes:
    """How long a program took to compile, in seconds.

    Args:
        cold: Nothing known of it.
        cached: Its object on disk, as in a second process; None where the backend keeps none.
    """

    cold: float
    cached: float | None


def measure_compilation(
    program: Program, backend: str, threads: int | None
) -> tuple[CompileTimes, Executable]:
    """Compile a program without and with a cache.

    Args:
        program: What to compile.
        backend: What for.
        threads: How many threads it may use.
    """
    with empty_cache():
        cold, executable = timed(lambda: runtime.compile(program, backend, threads))
        if backend != "cpu":
            return CompileTimes(cold, None), executable
        cached, executable = timed(lambda: runtime.compile(program, backend, threads))
    return CompileTimes(cold, cached), executable


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """How long a call took in seconds, and its result."""
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


@contextmanager
def empty_cache() -> Iterator[None]:
    """Within the block compiled objects are kept in a folder that is empty at first."""
    before = config.cache_folder
    with tempfile.TemporaryDirectory(prefix="graphc-") as folder:
        config.cache_folder = Path(folder)
        try:
            yield
        finally:
            config.cache_folder = before


class Repeated:
    """A program that can be run again and again, timed.

    Args:
        executable: The compiled program.
        prepared: The program with a batch of data; the state is copied.
        batch: How many rows the batch has.
        many: Whether a call is as many steps as a training run would make, and not one.

    Attributes:
        steps: How many steps one call is.
        seconds: The time of a step, for each call so far.
    """

    def __init__(self, executable: Executable, prepared: Prepared, batch: int, many: bool):
        self._executable = executable
        self._data: Mapping[str, np.ndarray] = prepared.data
        self._state = State({name: array.copy() for name, array in prepared.state.items()})
        self._batch = batch
        self.steps = 1
        self.seconds: list[float] = []
        self._call = self._run
        self._call()  # memory is allocated, threads start
        if many and executable.row_inputs():
            self._take_many()

    def measure(self, seconds: float) -> None:
        """Call for so long, but a few times at least."""
        stop = time.perf_counter() + seconds
        calls = 0
        while calls < _CALLS or time.perf_counter() < stop:
            begin = time.perf_counter()
            self._call()
            self.seconds.append((time.perf_counter() - begin) / self.steps)
            calls += 1

    def percentile(self, share: float) -> float:
        """The time of a step that this share of the calls, in percent, did not exceed."""
        return float(np.percentile(self.seconds, share))

    def _run(self) -> None:
        self._executable.run(self._data, self._state)

    def _run_steps(self) -> None:
        self._executable.run_steps(self._data, self._state, self._batch, self.steps)

    def _take_many(self) -> None:
        begin = time.perf_counter()
        self._call()
        once = max(time.perf_counter() - begin, 1e-7)
        rows = set(self._executable.row_inputs())
        size = sum(array.nbytes for name, array in self._data.items() if name in rows)
        self.steps = max(1, min(int(_CALL / once), _STEPS, _BYTES // max(size, 1)))
        self._data = {
            name: np.concatenate([array] * self.steps) if name in rows else array
            for name, array in self._data.items()
        }
        self._call = self._run_steps
        self._call()
