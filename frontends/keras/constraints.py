"""Limits on weights: ``keras.constraints``; see https://keras.io/api/layers/constraints/."""

from __future__ import annotations

from typing import Any

from graphc.config import config
from graphc.eager import Tensor, as_tensor
from graphc.keras import ops
from graphc.keras.engine.naming import to_snake_case
from graphc.keras.saving.families import Family
from graphc.keras.saving.registry import public


class Constraint:
    """Maps a weight to one that is allowed; optimizers apply it after each update.

    Subclasses define ``__call__(self, w)`` and, to be saved, ``get_config``.

    Example:
        >>> class NonZero(keras.constraints.Constraint):
        ...     def __call__(self, w):
        ...         return keras.ops.where(w == 0, 1e-7, w)
    """

    def __call__(self, w: Any) -> Any:
        """The allowed weight for ``w``."""
        return w

    def get_config(self) -> dict[str, Any]:
        """The arguments from which another such constraint can be made."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A constraint from what `get_config` returned."""
        return cls(**config)


def _norms(w: Tensor, axis: Any) -> Tensor:
    return ops.sqrt(ops.sum(ops.square(w), axis=axis, keepdims=True))


@public("keras.constraints")
class MaxNorm(Constraint):
    """Vectors along an axis that are too long are made shorter.

    Args:
        max_value: The largest norm.
        axis: The axis (or axes) of the vectors: 0 for the columns of a Dense kernel, which are the
            weights that go into one unit; ``[0, 1, 2]`` for the kernel of a Conv2D.
    """

    def __init__(self, max_value: float = 2, axis: Any = 0):
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        w = as_tensor(w)
        norms = _norms(w, self.axis)
        return w * (ops.clip(norms, 0, self.max_value) / (config.epsilon + norms))

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


@public("keras.constraints")
class NonNeg(Constraint):
    """Negative weights become 0."""

    def __call__(self, w: Any) -> Tensor:
        return ops.maximum(w, 0)


@public("keras.constraints")
class UnitNorm(Constraint):
    """Vectors along an axis get norm 1.

    Args:
        axis: As for `MaxNorm`.
    """

    def __init__(self, axis: Any = 0):
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        w = as_tensor(w)
        return w / (config.epsilon + _norms(w, self.axis))

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


@public("keras.constraints")
class MinMaxNorm(Constraint):
    """Vectors along an axis are brought towards a range of norms.

    Args:
        min_value: The smallest norm.
        max_value: The largest norm.
        rate: How much of the way they are brought: 1 for all of it.
        axis: As for `MaxNorm`.
    """

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0
    ):
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        w = as_tensor(w)
        norms = _norms(w, self.axis)
        wanted = self.rate * ops.clip(norms, self.min_value, self.max_value)
        wanted = wanted + (1 - self.rate) * norms
        return w * (wanted / (config.epsilon + norms))

    def get_config(self) -> dict[str, Any]:
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }


_CLASSES = (MaxNorm, NonNeg, UnitNorm, MinMaxNorm)

_family = Family(
    "constraint",
    {cls.__name__: cls for cls in _CLASSES}
    | {to_snake_case(cls.__name__): cls for cls in _CLASSES}
    | {"maxnorm": MaxNorm, "nonneg": NonNeg, "unitnorm": UnitNorm},
)

max_norm = MaxNorm
non_neg = NonNeg
unit_norm = UnitNorm
min_max_norm = MinMaxNorm
maxnorm = MaxNorm
nonneg = NonNeg
unitnorm = UnitNorm

serialize = _family.serialize
deserialize = _family.deserialize
get = _family.get
