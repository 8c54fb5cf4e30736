"""Programs that run as plans: at once, in NumPy where that is quick, without compiling first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphc.eager.plan import Plan, silence
from graphc.program import Program
from graphc.runtime.state import note_change


class PlannedExecutable:
    """Runs a program of known sizes; state is updated in place.

    Args:
        program: The program.
    """

    def __init__(self, program: Program):
        self._plan = Plan(program.graph)
        self._inputs = [value.name for value in program.graph.inputs]
        places = {name: place for place, name in enumerate(program.graph.outputs)}
        self._updates = [(v.name, places[v.update]) for v in program.variables if v.update]
        self._results = [(name, places[name]) for name in program.results]

    def run(
        self, data: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """One step; see `graphc.runtime.Executable.run`."""
        operands = [data[n] if n in data else state[n] for n in self._inputs]
        arrays = silence.run(self._plan.run or self._plan.prepare(), *operands)
        # What is a view, or an operand itself, would change with the state.
        kept = [
            array.copy() if array.base is not None or number is not None else array
            for array, number in zip(arrays, self._plan.operands, strict=True)
        ]
        for name, place in self._updates:
            state[name][...] = kept[place]
        if self._updates:
            note_change()
        return {name: kept[place] for name, place in self._results}
