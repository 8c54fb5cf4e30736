"""Programs with complex numbers, on backends that know real ones only."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphc.program import Program
from graphc.runtime.executable import Executable
from graphc.shuffle import Shuffle


class ComplexExecutable(Executable):
    """Runs a program through the same one in real numbers.

    Complex arrays are seen as real ones with a last axis of size 2, which copies nothing: state is
    updated in place.

    Args:
        program: The program.
        parts: What `graphc.passes.split_complex` makes of it, compiled.
    """

    def __init__(self, program: Program, parts: Executable):
        super().__init__(program, parts.device)
        self.parts = parts

    def run(
        self, data: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        return self._wholes(self.parts.run(_parts(data), _parts(state)))

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
        into = None if results is None else _parts(results)
        found = self.parts.run_steps(
            _parts(data), _parts(state), batch_size, steps, begin, order, into
        )
        return self._wholes(found)

    def _wholes(self, results: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Results with complex numbers where the program has them."""
        types = self.program.results
        return {name: _whole(array, types[name].dtype) for name, array in results.items()}


def _parts(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: _real_view(np.asarray(array)) for name, array in arrays.items()}


def _real_view(array: np.ndarray) -> np.ndarray:
    """An array with the parts of complex numbers along a last axis; a view if it is contiguous."""
    if array.dtype.kind != "c":
        return array
    return np.ascontiguousarray(array).reshape(*array.shape, 1).view(array.real.dtype)


def _whole(array: np.ndarray, dtype: str) -> np.ndarray:
    if not dtype.startswith("complex"):
        return array
    return np.ascontiguousarray(array).view(dtype).reshape(array.shape[:-1])
