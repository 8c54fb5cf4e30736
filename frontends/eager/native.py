"""Graphs as compiled code that is called with arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import runtime
from graphc.config import config
from graphc.eager.cache import Cache
from graphc.ir import Graph
from graphc.program import Program


class NativeCall:
    """A graph as compiled code that is called with arrays; compiled when it is first called.

    Args:
        graph: What it computes.
    """

    def __init__(self, graph: Graph):
        self._graph = graph
        self._executable: runtime.Executable | None = None

    def __call__(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        if self._executable is None:
            self._executable = _executable(self._graph)
        names = [value.name for value in self._graph.inputs]
        return tuple(self._executable.run(dict(zip(names, arrays, strict=True)), {}).values())


_executables: Cache[tuple[Any, ...], runtime.Executable] = Cache(256)


def _executable(graph: Graph) -> runtime.Executable:
    """What runs a graph; the same for equal graphs."""
    key = (graph, config.backend, config.threads)
    found = _executables.get(key)
    if found is None:
        found = runtime.compile(Program(graph), config.backend, config.threads)
        _executables.keep(key, found)
    return found
