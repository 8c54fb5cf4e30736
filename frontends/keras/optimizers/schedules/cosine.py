"""Schedules along a cosine: Loshchilov & Hutter 2016, https://arxiv.org/abs/1608.03983."""

from __future__ import annotations

import math
from typing import Any

from graphc.eager import Tensor
from graphc.keras import ops
from graphc.keras.optimizers.schedules.schedule import (
    LearningRateSchedule,
    checked_steps,
    float_step,
)
from graphc.keras.saving.registry import public


@public("keras.optimizers.schedules")
class CosineDecay(LearningRateSchedule):
    """Half a cosine wave down, after a line up if there is a warm-up.

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: How many steps the fall takes.
        alpha: The lowest rate, as a share of the highest.
        name: Its name.
        warmup_target: The rate that the warm-up leads to; None for no warm-up.
        warmup_steps: How many steps the warm-up takes.

    Raises:
        ValueError: ``decay_steps`` is not above 0.
    """

    settings = (
        "initial_learning_rate", "decay_steps", "alpha", "name", "warmup_target", "warmup_steps",
    )  # fmt: skip

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = checked_steps("decay_steps", decay_steps)
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> Tensor:
        now, whole = float_step(step), float(self.decay_steps)
        if self.warmup_target is None:
            return self._fall(ops.minimum(now, whole), self.initial_learning_rate)
        warm = float(self.warmup_steps)
        now = ops.minimum(now, whole + warm)
        falling = self._fall(now - warm, self.warmup_target)
        if not warm:
            return falling
        rise = self.warmup_target - self.initial_learning_rate
        return ops.where(now < warm, rise * (now / warm) + self.initial_learning_rate, falling)

    def _fall(self, step: Tensor, top: float) -> Tensor:
        cosine = 0.5 * (1.0 + ops.cos(math.pi * (step / float(self.decay_steps))))
        return top * ((1.0 - self.alpha) * cosine + self.alpha)


@public("keras.optimizers.schedules")
class CosineDecayRestarts(LearningRateSchedule):
    """Half a cosine wave down, again and again.

    Args:
        initial_learning_rate: The rate at step 0.
        first_decay_steps: How many steps the first fall takes.
        t_mul: How many times longer each fall is than the one before.
        m_mul: How many times higher each begins than the one before.
        alpha: The lowest rate, as a share of the highest.
        name: Its name.

    Raises:
        ValueError: ``first_decay_steps`` is not above 0.
    """

    settings = ("initial_learning_rate", "first_decay_steps", "t_mul", "m_mul", "alpha", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = checked_steps("first_decay_steps", first_decay_steps)
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        passed = float_step(step) / float(self.first_decay_steps)
        if self.t_mul == 1.0:
            restarts = ops.floor(passed)
            passed = passed - restarts
        else:
            # The falls take 1, t, t^2, ... units: find which one this step is in.
            t = float(self.t_mul)
            restarts = ops.floor(ops.log(1.0 - passed * (1.0 - t)) / math.log(t))
            length = ops.power(t, restarts)
            passed = (passed - (1.0 - length) / (1.0 - t)) / length
        cosine = 0.5 * ops.power(float(self.m_mul), restarts) * (1.0 + ops.cos(math.pi * passed))
        return self.initial_learning_rate * ((1.0 - self.alpha) * cosine + self.alpha)
