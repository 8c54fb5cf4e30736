"""What every backend's compiled program can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property, partial

import numpy as np

from graphc.ir import Graph, SymbolicDim, dims, numpy_dtype
from graphc.program import Program
from graphc.shuffle import Shuffle

BATCH = "batch"


class Executable(ABC):
    """A compiled program.

    State is a mapping from variable names to C-contiguous arrays that belong to the caller. Running
    a program reads them and writes the new values into the same arrays. If the mapping is a
    `graphc.runtime.state.State`, a backend may keep what it prepared from them until a change is
    noted; of any other it looks at the arrays anew in each call.

    Args:
        program: The program that was compiled.

    Attributes:
        device: Where it runs: ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, program: Program, device: str = "cpu"):
        self.program = program
        self.device = device

    @abstractmethod
    def run(
        self, data: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """One step on whole arrays.

        Args:
            data: An array for each data input.
            state: An array for each variable; updated in place.

        Returns:
            The results.

        Raises:
            ShapeError, DTypeError: An array does not fit; nothing has run.
        """

    def bind(
        self, data: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]
    ) -> Callable[[], dict[str, np.ndarray]]:
        """A call with arrays that stay the same: checked once, then as cheap as can be.

        Args:
            data: An array for each data input; each call works on what they hold then.
            state: An array for each variable; updated in place.

        Returns:
            A function without arguments that runs one step and gives the results: the same arrays
            each time, on some backends. One thread at a time may call it.

        Raises:
            ShapeError, DTypeError: An array does not fit.

        Example:
            >>> call = executable.bind({"x": row}, state)      # doctest: +SKIP
            >>> for row[...] in stream:                        # doctest: +SKIP
            ...     answer = call()["output/0"]
        """
        return partial(self.run, data, state)

    @abstractmethod
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
        """A run of steps over consecutive batches of rows.

        Step ``s`` works on rows ``order[r : r + batch_size]`` with ``r = (begin + s) * batch_size``
        of every data array whose first dimension is ``batch``; the last batch may be smaller.

        Args:
            data: The whole arrays, all with the same number of rows.
            state: An array for each variable; updated in place.
            batch_size: Rows per step, at least 1.
            steps: How many steps to run.
            begin: The number of steps of this pass over the data that were run before.
            order: int64 row numbers, in the order in which they are used, or a `Shuffle` of all
                rows; None for 0, 1, 2, ...
            results: Arrays, by name, that take the results whose first dimension is ``batch``, row
                by row (row ``r + i`` for the i-th row of a batch).

        Returns:
            The results that have no batch dimension, as the last step gave them.
        """

    def row_inputs(self) -> list[str]:
        """The data inputs whose first dimension is ``batch``."""
        return [v.name for v in self.program.data if v.shape[:1] == (dims.symbol(BATCH),)]

    def row_results(self) -> list[str]:
        """The results whose first dimension is ``batch``."""
        return [
            name
            for name, value in self.program.results.items()
            if value.shape[:1] == (dims.symbol(BATCH),)
        ]

    def check_sizes(self, bindings: Mapping[str, int]) -> None:
        """Refuse data that is too small for the program, such as an image below a window.

        Args:
            bindings: Sizes of the symbolic dimensions.

        Raises:
            ShapeError: An op does not take them; the message has the op and its layer.
        """
        if any(dims.evaluate(dim, bindings) < 1 for dim in self._differences):
            self.program.graph.substitute(bindings)  # asks each op again

    @cached_property
    def _differences(self) -> list[SymbolicDim]:
        """The sizes from which something is subtracted: no other can become negative."""
        found: dict[SymbolicDim, None] = {}
        graphs: list[Graph] = [self.program.graph]
        for graph in graphs:
            for value in graph.values():
                for dim in value.shape:
                    if isinstance(dim, SymbolicDim) and any(c < 0 for _, c in dim.terms):
                        found[dim] = None
            for node in graph.nodes:
                graphs += node.op.bodies
        return list(found)

    def allocate_results(self, rows: int, bindings: Mapping[str, int]) -> dict[str, np.ndarray]:
        """Arrays for the row results of ``rows`` rows."""
        bindings = {**bindings, BATCH: rows}
        arrays = {}
        for name in self.row_results():
            type = self.program.results[name].type.substitute(bindings)
            arrays[name] = np.empty(type.shape, numpy_dtype(type.dtype))
        return arrays
