"""Runs of steps that end with the first step whose loss is NaN or infinite.

The loss that a model's own steps report is a running mean: once it is invalid it stays so. So it is
looked at after a run of steps only. If it is invalid then, the variables are set back and the steps
are done again, one by one, which gives the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.keras.engine.compilable import Compilable
from graphc.keras.engine.feeds import Run
from graphc.keras.engine.programs import CompiledProgram


def can_watch(model: Any) -> bool:
    """Whether the loss in a model's logs is the running mean, and its steps can be done again."""
    kind = type(model)
    own = any(
        getattr(kind, name) is not getattr(Compilable, name)
        for name in ("train_step", "compute_metrics", "get_metrics_result", "metrics")
    )
    return not own and not model.run_eagerly


def run_until_invalid(
    compiled: CompiledProgram, part: Run, begin: int, steps: int
) -> tuple[dict[str, Any], int]:
    """Run steps up to the first whose loss is invalid.

    Args:
        compiled: A program that trains.
        part: The data.
        begin: How many steps over it came before.
        steps: How many to run at most.

    Returns:
        The results of the last step that ran, and how many ran.
    """

    def run(first: int, count: int) -> dict[str, Any]:
        return compiled.run_steps(part.rows.arrays, part.batch_size, count, first, part.order, {})

    if steps == 1:
        return run(begin, 1), 1
    changed = [variable.name for variable in compiled.program.variables if variable.update]
    before = {name: compiled.state[name].copy() for name in changed}
    values = run(begin, steps)
    if not is_invalid(values):
        return values, steps
    for name, array in before.items():
        compiled.state[name][...] = array
    for count in range(1, steps + 1):
        values = run(begin + count - 1, 1)
        if is_invalid(values):
            break
    return values, count


def is_invalid(values: dict[str, Any]) -> bool:
    """Whether there is a loss among results, and it is NaN or infinite."""
    return "loss" in values and not np.all(np.isfinite(values["loss"]))
