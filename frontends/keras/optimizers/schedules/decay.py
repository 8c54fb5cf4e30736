"""Schedules that only fall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.config import config
from graphc.eager import Tensor, as_tensor, cast
from graphc.keras import ops
from graphc.keras.optimizers.schedules.schedule import (
    LearningRateSchedule,
    checked_steps,
    float_step,
)
from graphc.keras.saving.registry import public


@public("keras.optimizers.schedules")
class ExponentialDecay(LearningRateSchedule):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: After how many steps it is multiplied by ``decay_rate`` once.
        decay_rate: The factor.
        staircase: Whether it changes in jumps.
        name: Its name.

    Raises:
        ValueError: ``decay_steps`` is not above 0.

    Example:
        >>> keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10000, 0.96))
    """

    settings = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = checked_steps("decay_steps", decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        periods = float_step(step) / float(self.decay_steps)
        periods = ops.floor(periods) if self.staircase else periods
        return self.initial_learning_rate * ops.power(float(self.decay_rate), periods)


@public("keras.optimizers.schedules")
class InverseTimeDecay(LearningRateSchedule):
    """``initial_learning_rate / (1 + decay_rate * step / decay_steps)``.

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: The unit of time.
        decay_rate: How fast it falls.
        staircase: Whether it changes in jumps.
        name: Its name.

    Raises:
        ValueError: ``decay_steps`` is not above 0.
    """

    settings = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = checked_steps("decay_steps", decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        periods = float_step(step) / float(self.decay_steps)
        periods = ops.floor(periods) if self.staircase else periods
        return self.initial_learning_rate / (1.0 + self.decay_rate * periods)


@public("keras.optimizers.schedules")
class PolynomialDecay(LearningRateSchedule):
    """From one rate to another along a power of the time that is left.

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: How many steps it takes.
        end_learning_rate: The rate from then on.
        power: The power; 1 for a line.
        cycle: Whether it starts again, over twice, three times ... as many steps.
        name: Its name.

    Raises:
        ValueError: ``decay_steps`` is not above 0.
    """

    settings = (
        "initial_learning_rate", "decay_steps", "end_learning_rate", "power", "cycle", "name",
    )  # fmt: skip

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = checked_steps("decay_steps", decay_steps)
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        now, whole = float_step(step), float(self.decay_steps)
        if self.cycle:
            # The first multiple of decay_steps that is not before this step, and not 0.
            end = whole * ops.maximum(ops.ceil(now / whole), 1.0)
            passed = now / end
        else:
            passed = ops.minimum(now, whole) / whole
        fall = self.initial_learning_rate - self.end_learning_rate
        return fall * ops.power(1.0 - passed, float(self.power)) + self.end_learning_rate


@public("keras.optimizers.schedules")
class PiecewiseConstantDecay(LearningRateSchedule):
    """One rate up to each boundary, and one from the last boundary on.

    Args:
        boundaries: Steps, rising; a boundary itself belongs to the piece before it.
        values: The rates: one more than there are boundaries.
        name: Its name.

    Raises:
        ValueError: Another number of values.

    Example:
        >>> keras.optimizers.schedules.PiecewiseConstantDecay([1000, 2000], [1.0, 0.5, 0.1])
    """

    settings = ("boundaries", "values", "name")

    def __init__(
        self,
        boundaries: Sequence[float],
        values: Sequence[float],
        name: str = "PiecewiseConstant",
    ):
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "The length of boundaries should be 1 less than the length of values. Received: "
                f"boundaries={boundaries} of length {len(boundaries)}, and values={values} of "
                f"length {len(values)}."
            )
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        now = as_tensor(step)
        rate = as_tensor(float(self.values[-1]), config.floatx)
        pieces = list(zip(self.boundaries, self.values, strict=False))
        for boundary, value in reversed(pieces):
            rate = ops.where(now <= cast(as_tensor(boundary), now.dtype), float(value), rate)
        return rate
