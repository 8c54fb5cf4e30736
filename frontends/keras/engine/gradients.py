"""The gradients of one batch, for those who want to look at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc import runtime
from graphc.config import config
from graphc.eager import Tensor, as_tensor
from graphc.keras.engine.data import Rows
from graphc.keras.engine.programs import trace_program
from graphc.keras.engine.steps import Steps


class BatchGradients:
    """What a model's training step hands its optimizer, for one batch.

    The step is traced as for training, a user's own ``train_step`` included, but in place of the
    update the gradients come out. Nothing about the model changes.

    Args:
        model: A compiled model.
        batch: The batch.
    """

    def __init__(self, model: Any, batch: Rows):
        steps: Steps = model._steps
        program, self._variables = trace_program(
            "gradients", steps.types("train", batch), lambda data: _gradients(model, data)
        )
        backend = model.compilation.backend or config.backend
        self._executable = runtime.compile(program, backend, config.threads)
        self._data = batch.arrays

    def compute(self) -> dict[str, np.ndarray]:
        """The gradients with the weights as they are now, by the variables' paths."""
        state = {name: variable.numpy() for name, variable in self._variables.items()}
        return dict(self._executable.run(self._data, state))


def _gradients(model: Any, data: Mapping[str, Any]) -> dict[str, Tensor]:
    optimizer = model.optimizer
    found: dict[str, Tensor] = {}

    def collect(gradients: Sequence[Any], variables: Any = None) -> None:
        chosen = model.trained_variables if variables is None else variables
        for gradient, variable in zip(gradients, chosen, strict=True):
            if gradient is not None:
                scale = optimizer.loss_scale_factor
                found[variable.path] = as_tensor(gradient if scale is None else gradient / scale)

    # The step asks this object for its update, so this one time it finds another.
    optimizer.__dict__["apply"] = collect
    try:
        model._steps._train(data)
    finally:
        del optimizer.__dict__["apply"]
    return found
