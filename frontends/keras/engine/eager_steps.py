"""A model's steps as the Python code that they are, run for every batch: ``run_eagerly=True``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from graphc.eager.tensor import Tensor, as_tensor
from graphc.errors import ShapeError
from graphc.keras import tree
from graphc.keras.engine.data import Rows
from graphc.keras.engine.programs import input_names
from graphc.shuffle import Shuffle


class EagerSteps:
    """What is run in place of a compiled program; it is asked for the same things.

    Args:
        step: Takes a batch, a dict of structures of tensors; gives the results by name.
        rows: Data like that of the batches.
        structure: Of steps that predict: gives the structure of the outputs of the last one.

    Attributes:
        state: Empty: the variables are assigned to.
        executable: What has `run`.
        seconds_per_step: How long a step took when it ran last; None before.
    """

    def __init__(
        self,
        step: Callable[[Any], Mapping[str, Tensor]],
        rows: Rows,
        structure: Callable[[], Any] | None = None,
    ):
        self._step = step
        self._parts = rows.parts()
        self._names = input_names(self._parts)
        self._structure = structure
        self.state: dict[str, np.ndarray] = {}
        self.executable = self
        self.seconds_per_step: float | None = None

    @property
    def structure(self) -> Any:
        """The structure of the model's outputs, once there are some."""
        return None if self._structure is None else self._structure()

    def run(self, data: Mapping[str, np.ndarray], state: Any = None) -> dict[str, np.ndarray]:
        """One step.

        Args:
            data: A batch.
            state: Not needed.
        """
        tensors = [as_tensor(data[name]) for name in self._names]
        results = self._step(tree.pack_sequence_as(self._parts, tensors))
        return {name: tensor.numpy() for name, tensor in results.items()}

    def run_steps(
        self,
        data: Mapping[str, np.ndarray],
        batch_size: int,
        steps: int,
        begin: int,
        order: np.ndarray | Shuffle | None,
        results: dict[str, np.ndarray],
    ) -> dict[str, np.ndarray]:
        """Steps over rows; see `Executable.run_steps`.

        Outputs of predictions go into ``results``, which gets its arrays when the first are there.
        """
        count = len(data[self._names[0]])
        values: dict[str, np.ndarray] = {}
        for step in range(begin, begin + steps):
            rows = slice(step * batch_size, (step + 1) * batch_size)
            chosen = rows if order is None else order[rows]
            batch = {name: array[chosen] for name, array in data.items()}
            values = self.run(batch)
            if self._structure is not None:
                _keep(values, rows, count, results)
        return values

    def allocate_results(self, data: Mapping[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
        """No arrays: only the model's code says of what shape its outputs are."""
        return {}

    def outputs(self, results: Mapping[str, np.ndarray]) -> Any:
        """The outputs of a batch in the structure that the model returned."""
        return tree.pack_sequence_as(self.structure, list(results.values()))


def _keep(
    values: Mapping[str, np.ndarray], rows: slice, count: int, results: dict[str, np.ndarray]
) -> None:
    """Put the outputs of a batch in their place among those of all rows."""
    wanted = min(rows.stop, count) - rows.start
    for name, array in values.items():
        if array.shape[:1] != (wanted,):
            raise ShapeError(
                f"an output of a prediction needs a row for each of the {wanted} samples of the "
                f"batch. Received: shape={array.shape}"
            )
        if name not in results:
            results[name] = np.empty((count, *array.shape[1:]), array.dtype)
        results[name][rows] = array
