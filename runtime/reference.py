"""The reference interpreter as a backend."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphc.program import run_reference
from graphc.runtime.executable import Executable
from graphc.runtime.state import note_change
from graphc.shuffle import Shuffle


class ReferenceExecutable(Executable):
    """Runs a program node by node in NumPy."""

    def run(
        self, data: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        results, after = run_reference(self.program, data, state)
        # A result may be an input or a variable's old value itself, which is about to change.
        results = {name: array.copy() for name, array in results.items()}
        for name, array in after.items():
            if array is not state[name]:
                state[name][...] = array
                note_change()
        return results

    def run_steps(
        self,
        data: Mapping[str, np.ndarray],
        state: Mapping[str, np.ndarray],
        batch_size: int,
        steps: int,
        begin: int = 0,
        order: np.ndarray | Shuffle | None = None,
        results: Mapping[str, np.ndarray] | None = None,
    ) -> dict[str, np.ndarray]:
        by_row = set(self.row_inputs())
        last: dict[str, np.ndarray] = {}
        for step in range(begin, begin + steps):
            first = step * batch_size
            rows = slice(first, first + batch_size)
            chosen = rows if order is None else order[rows]
            batch = {
                name: array[chosen] if name in by_row else array for name, array in data.items()
            }
            last = self.run(batch, state)
            for name, array in (results or {}).items():
                array[rows] = last[name]
        return {name: value for name, value in last.items() if name not in self.row_results()}
