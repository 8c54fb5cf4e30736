"""Learning rates that depend on the number of steps (https://keras.io/api/optimizers/)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from graphc.eager.tensor import Tensor, as_tensor, cast
from graphc.keras import ops
from graphc.keras.saving.families import Family
from graphc.keras.saving.registry import public


class LearningRateSchedule:
    """Base class: a function from the step to the learning rate.

    Subclasses define ``__call__(step)``, in computations on tensors, and `get_config`.

    Example:
        >>> class Halving(LearningRateSchedule):
        ...     def __call__(self, step):
        ...         return 0.1 * 0.5 ** (step / 1000)
    """

    def __call__(self, step: Any) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has to define __call__(self, step)")

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        raise NotImplementedError(f"{type(self).__name__} has to define get_config(self)")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The schedule that `get_config` described."""
        return cls(**config)


def _float(step: Any) -> Tensor:
    return cast(as_tensor(step), "float32")


def _check_positive(name: str, value: float) -> None:
    if value <= 0:
        raise ValueError(f"Argument `{name}` must be > 0. Received: {name}={value}")


@public("keras.optimizers.schedules")
class ExponentialDecay(LearningRateSchedule):
    """``initial * decay_rate ** (step / decay_steps)``.

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: Steps after which the rate has been multiplied once.
        decay_rate: The factor.
        staircase: Whether the exponent is rounded down.
        name: A name.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ):
        _check_positive("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        exponent = _float(step) / self.decay_steps
        if self.staircase:
            exponent = ops.floor(exponent)
        return self.initial_learning_rate * ops.power(float(self.decay_rate), exponent)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return dict(vars(self))


@public("keras.optimizers.schedules")
class InverseTimeDecay(LearningRateSchedule):
    """``initial / (1 + decay_rate * step / decay_steps)``.

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: How often the decay is applied.
        decay_rate: How strongly.
        staircase: Whether ``step / decay_steps`` is rounded down.
        name: A name.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ):
        _check_positive("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        passed = _float(step) / self.decay_steps
        if self.staircase:
            passed = ops.floor(passed)
        return self.initial_learning_rate / (passed * self.decay_rate + 1.0)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return dict(vars(self))


@public("keras.optimizers.schedules")
class PiecewiseConstantDecay(LearningRateSchedule):
    """Constant between boundaries.

    Args:
        boundaries: Steps, rising; up to and including each the value before holds.
        values: Rates; one more than boundaries.
        name: A name.
    """

    def __init__(
        self,
        boundaries: Sequence[float],
        values: Sequence[float],
        name: str = "PiecewiseConstant",
    ):
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "there has to be one value more than boundaries: received "
                f"{len(boundaries)} boundaries and {len(values)} values"
            )
        self.boundaries = list(boundaries)
        self.values = list(values)
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        step = _float(step)
        rate = as_tensor(float(self.values[-1]))
        for boundary, value in reversed(list(zip(self.boundaries, self.values, strict=False))):
            rate = ops.where(step <= float(boundary), float(value), rate)
        return rate

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return dict(vars(self))


@public("keras.optimizers.schedules")
class PolynomialDecay(LearningRateSchedule):
    """From the initial to the end rate along a power of the remaining time.

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: Steps until the end rate is reached.
        end_learning_rate: The rate from then on.
        power: The exponent.
        cycle: Whether to begin again, with longer and longer ways, instead of staying at the end.
        name: A name.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ):
        _check_positive("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        step = _float(step)
        steps = as_tensor(float(self.decay_steps))
        if self.cycle:
            rounds = ops.where(step == 0.0, 1.0, ops.ceil(step / float(self.decay_steps)))
            steps = steps * rounds
        else:
            step = ops.minimum(step, steps)
        span = self.initial_learning_rate - self.end_learning_rate
        return span * ops.power(1.0 - step / steps, float(self.power)) + self.end_learning_rate

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return dict(vars(self))


def _cosine(fraction: Tensor) -> Tensor:
    """From 1 to 0 along half a cosine."""
    return 0.5 * (1.0 + ops.cos(fraction * math.pi))


@public("keras.optimizers.schedules")
class CosineDecay(LearningRateSchedule):
    """Half a cosine, after an optional linear warm-up (SGDR, https://arxiv.org/abs/1608.03983).

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: Steps of the decay.
        alpha: The rate at the end, as a part of the rate at the start of the decay.
        name: A name.
        warmup_target: The rate after the warm-up; None for no warm-up.
        warmup_steps: Steps of the warm-up.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ):
        _check_positive("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_steps = warmup_steps
        self.warmup_target = warmup_target

    def __call__(self, step: Any) -> Tensor:
        step = _float(step)
        if self.warmup_target is None:
            return self._decayed(ops.minimum(step, float(self.decay_steps)), self._initial)
        steps = float(self.warmup_steps)
        rise = (self.warmup_target - self._initial) * (step / steps) + self._initial
        after = ops.minimum(step - steps, float(self.decay_steps))
        return ops.where(step < steps, rise, self._decayed(after, float(self.warmup_target)))

    @property
    def _initial(self) -> float:
        return float(self.initial_learning_rate)

    def _decayed(self, step: Tensor, start: float) -> Tensor:
        cosine = _cosine(step / float(self.decay_steps))
        return start * ((1 - self.alpha) * cosine + self.alpha)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return dict(vars(self))


@public("keras.optimizers.schedules")
class CosineDecayRestarts(LearningRateSchedule):
    """Half cosines one after the other (SGDR, https://arxiv.org/abs/1608.03983).

    Args:
        initial_learning_rate: The rate at step 0.
        first_decay_steps: Steps of the first period.
        t_mul: By how much each period is longer than the one before.
        m_mul: The factor of the start rate of each period.
        alpha: The lowest rate, as a part of the initial one.
        name: A name.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ):
        _check_positive("first_decay_steps", first_decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self._t_mul = t_mul
        self._m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        completed = _float(step) / float(self.first_decay_steps)
        if self._t_mul == 1.0:
            period = ops.floor(completed)
            fraction = completed - period
        else:
            # Periods are a geometric series: its inverse says in which one a step lies.
            ratio = 1.0 - completed * (1.0 - self._t_mul)
            period = ops.floor(ops.log(ratio) / math.log(self._t_mul))
            length = ops.power(float(self._t_mul), period)
            begin = (1.0 - length) / (1.0 - self._t_mul)
            fraction = (completed - begin) / length
        factor = ops.power(float(self._m_mul), period)
        decayed = (1 - self.alpha) * factor * _cosine(fraction) + self.alpha
        return self.initial_learning_rate * decayed

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_decay_steps": self.first_decay_steps,
            "t_mul": self._t_mul,
            "m_mul": self._m_mul,
            "alpha": self.alpha,
            "name": self.name,
        }


_CLASSES = (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
_family = Family("learning rate schedule", {cls.__name__: cls for cls in _CLASSES})
serialize = _family.serialize
deserialize = _family.deserialize
