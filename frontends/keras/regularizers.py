"""Penalties for weights: ``keras.regularizers``; see https://keras.io/api/layers/regularizers/."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.keras import ops
from graphc.keras.engine.naming import to_snake_case
from graphc.keras.saving.families import Family
from graphc.keras.saving.registry import public


class Regularizer:
    """Adds to the loss what a weight costs.

    Subclasses define ``__call__(self, x)``, which returns a scalar, and, to be saved,
    ``get_config``.

    Example:
        >>> class L3(keras.regularizers.Regularizer):
        ...     def __call__(self, x):
        ...         return 0.01 * keras.ops.sum(keras.ops.abs(x) ** 3)
    """

    def __call__(self, x: Any) -> Any:
        """The penalty for a weight ``x``."""
        return 0.0

    def get_config(self) -> dict[str, Any]:
        """The arguments from which another such regularizer can be made."""
        raise NotImplementedError(f"{self} does not implement get_config()")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A regularizer from what `get_config` returned."""
        return cls(**config)


def _factor(value: Any, name: str, default: float) -> float:
    """A finite number, 0 or above.

    Raises:
        ValueError: It is none.
    """
    if value is None:
        return default
    known = isinstance(value, (int, float, np.integer, np.floating))
    if not known or not math.isfinite(value) or value < 0:
        raise ValueError(
            f"Invalid value for argument {name}: expected a non-negative float. "
            f"Received: {name}={value}"
        )
    return float(value)


@public("keras.regularizers")
class L1L2(Regularizer):
    """``l1 * sum(|x|) + l2 * sum(x * x)``.

    Args:
        l1: The factor of the sizes.
        l2: The factor of the squares.

    Raises:
        ValueError: A factor that is negative or no finite number.

    Example:
        >>> keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L1L2(1e-5, 1e-4))
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0):
        self.l1 = _factor(l1, "l1", 0.0)
        self.l2 = _factor(l2, "l2", 0.0)

    def __call__(self, x: Any) -> Any:
        penalty = ops.zeros((), x.dtype)
        if self.l1:
            penalty = penalty + self.l1 * ops.sum(ops.absolute(x))
        if self.l2:
            penalty = penalty + self.l2 * ops.sum(ops.square(x))
        return penalty

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


@public("keras.regularizers")
class L1(Regularizer):
    """``l1 * sum(|x|)``.

    Args:
        l1: The factor.

    Raises:
        ValueError: A factor that is negative or no finite number.
    """

    def __init__(self, l1: float | None = 0.01):
        self.l1 = _factor(l1, "l1", 0.01)

    def __call__(self, x: Any) -> Any:
        return self.l1 * ops.sum(ops.absolute(x))

    def get_config(self) -> dict[str, Any]:
        # Keras keeps this factor in single precision, and writes that down.
        return {"l1": float(np.float32(self.l1))}


@public("keras.regularizers")
class L2(Regularizer):
    """``l2 * sum(x * x)``.

    Args:
        l2: The factor.

    Raises:
        ValueError: A factor that is negative or no finite number.
    """

    def __init__(self, l2: float | None = 0.01):
        self.l2 = _factor(l2, "l2", 0.01)

    def __call__(self, x: Any) -> Any:
        return self.l2 * ops.sum(ops.square(x))

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


@public("keras.regularizers")
class OrthogonalRegularizer(Regularizer):
    """``factor`` times the mean size of the cosine between two different rows (or columns).

    Args:
        factor: The factor.
        mode: ``"rows"`` or ``"columns"``.

    Raises:
        ValueError: Another mode, a factor that is negative or no finite number, or a weight that
            is no matrix.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows"):
        self.factor = _factor(factor, "factor", 0.01)
        if mode not in ("rows", "columns"):
            raise ValueError(
                f"Invalid value for argument `mode`. Expected one of 'rows', 'columns'. "
                f"Received: mode={mode}"
            )
        self.mode = mode

    def __call__(self, inputs: Any) -> Any:
        if len(inputs.shape) != 2:
            raise ValueError(
                "Inputs to OrthogonalRegularizer must have rank 2. Received: "
                f"inputs.shape={inputs.shape}"
            )
        rows = inputs if self.mode == "rows" else ops.transpose(inputs)
        rows = ops.normalize(rows, axis=1)
        size = len(rows)
        cosines = ops.matmul(rows, ops.transpose(rows)) * (1.0 - ops.eye(size, dtype=rows.dtype))
        pairs = size * (size - 1.0) / 2.0
        return self.factor * 0.5 * ops.sum(ops.absolute(cosines)) / pairs

    def get_config(self) -> dict[str, Any]:
        return {"factor": float(np.float32(self.factor)), "mode": self.mode}


_CLASSES = (L1, L2, L1L2, OrthogonalRegularizer)

_family = Family(
    "regularizer",
    {cls.__name__: cls for cls in _CLASSES}
    | {to_snake_case(cls.__name__): cls for cls in _CLASSES}
    | {"l1_l2": L1L2},
)

l1 = L1
l2 = L2
l1_l2 = L1L2
orthogonal_regularizer = OrthogonalRegularizer

serialize = _family.serialize
deserialize = _family.deserialize
get = _family.get
