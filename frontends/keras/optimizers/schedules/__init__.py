"""Learning rates that change: https://keras.io/api/optimizers/learning_rate_schedules/.

A schedule is computed from the count of steps, inside the compiled training step.
"""

from __future__ import annotations

from graphc.keras.optimizers.schedules.cosine import CosineDecay, CosineDecayRestarts
from graphc.keras.optimizers.schedules.decay import (
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from graphc.keras.optimizers.schedules.schedule import LearningRateSchedule
from graphc.keras.saving.families import Family

_family = Family(
    "learning rate schedule",
    {
        cls.__name__: cls
        for cls in (
            CosineDecay,
            CosineDecayRestarts,
            ExponentialDecay,
            InverseTimeDecay,
            PiecewiseConstantDecay,
            PolynomialDecay,
        )
    },
)

serialize = _family.serialize
deserialize = _family.deserialize

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]
