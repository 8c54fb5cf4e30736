"""Initializers without randomness."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.eager import Tensor
from graphc.keras.initializers.initializer import Initializer, tensor_of
from graphc.keras.saving.registry import deserialize_keras_object, public, serialize_keras_object


@public("keras.initializers")
class Constant(Initializer):
    """Every element is one value.

    Args:
        value: A number, or an array that can be broadcast to the shape.

    Example:
        >>> keras.initializers.Constant(10.0)((2, 2))
    """

    def __init__(self, value: Any = 0.0):
        self.value = value

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        return tensor_of(np.broadcast_to(np.asarray(self.value), tuple(shape)), dtype)

    def get_config(self) -> dict[str, Any]:
        return {"value": serialize_keras_object(self.value)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constant:
        return cls(deserialize_keras_object(config["value"]))


@public("keras.initializers")
class Zeros(Initializer):
    """Every element is 0.

    Example:
        >>> keras.initializers.Zeros()((2, 2))
    """

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        return tensor_of(np.zeros(tuple(shape)), dtype)


@public("keras.initializers")
class Ones(Initializer):
    """Every element is 1.

    Example:
        >>> keras.initializers.Ones()((2, 2))
    """

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        return tensor_of(np.ones(tuple(shape)), dtype)


@public("keras.initializers")
class Identity(Initializer):
    """The identity matrix, times a factor.

    Args:
        gain: The factor.

    Raises:
        ValueError: A shape that is no matrix.

    Example:
        >>> keras.initializers.Identity()((3, 3))
    """

    def __init__(self, gain: float = 1.0):
        self.gain = gain

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        if len(shape) != 2:
            raise ValueError(
                "Identity matrix initializer can only be used for 2D matrices. "
                f"Received: shape={shape} of rank {len(shape)}."
            )
        return tensor_of(self.gain * np.eye(*shape), dtype)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}
