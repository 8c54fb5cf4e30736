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
    """A graph as compiled code that is called with arrays.

    Args:
        graph: What it computes.
        single: Whether the result is the only output, rather than the tuple of all outputs.

    Raises:
        UnsupportedError: The backend has no code for it.
    """

    def __init__(self, graph: Graph, single: bool = False):
        self._executable = _executable(graph)
        self._names = [value.name for value in graph.inputs]
        self._single = single

    def __call__(self, *arrays: np.ndarray) -> Any:
        data = dict(zip(self._names, arrays, strict=True))
        results = tuple(self._executable.run(data, {}).values())
        return results[0] if self._single else results


_executables: Cache[tuple[Any, ...], runtime.Executable] = Cache(256)


def _executable(graph: Graph) -> runtime.Executable:
    """What runs a graph; the same for equal graphs."""
    key = (graph, config.backend, config.threads)
    found = _executables.get(key)
    if found is None:
        found = runtime.compile(Program(graph), config.backend, config.threads)
        _executables.keep(key, found)
    return found
