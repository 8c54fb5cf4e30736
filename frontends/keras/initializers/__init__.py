"""How weights begin: ``keras.initializers``; see https://keras.io/api/layers/initializers/."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.eager import Tensor, as_tensor, cast
from graphc.eager.promotion import standard_dtype
from graphc.keras.engine.naming import to_snake_case
from graphc.keras.initializers.constant import Constant, Identity, Ones, Zeros
from graphc.keras.initializers.initializer import Initializer
from graphc.keras.initializers.random import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    RandomInitializer,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    compute_fans,
)
from graphc.keras.saving.families import Family

_CLASSES = (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Identity,
    LecunNormal,
    LecunUniform,
    Ones,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
)

_family = Family(
    "initializer",
    {cls.__name__: cls for cls in _CLASSES}
    | {to_snake_case(cls.__name__): cls for cls in _CLASSES}
    | {
        "normal": RandomNormal,
        "uniform": RandomUniform,
        "one": Ones,
        "zero": Zeros,
        "IdentityInitializer": Identity,
        "OrthogonalInitializer": Orthogonal,
    },
)

constant = Constant
glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
he_normal = HeNormal
he_uniform = HeUniform
identity = Identity
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
ones = Ones
orthogonal = Orthogonal
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
zeros = Zeros

serialize = _family.serialize
deserialize = _family.deserialize


def get(identifier: Any) -> Any:
    """An initializer from a name, a dictionary, a class, a function or an array.

    Args:
        identifier: ``"he_normal"``, ``{"class_name": ..., "config": ...}``, an initializer, a
            function of ``(shape, dtype)``, or an array that is itself the first value.

    Returns:
        Something that is called with a shape and a dtype; None for None.

    Raises:
        ValueError: It is none of these.

    Example:
        >>> keras.initializers.get("he_normal")
    """
    if isinstance(identifier, (Tensor, np.ndarray, np.generic)):
        return _given(as_tensor(identifier))
    return _family.get(identifier)


def _given(value: Tensor) -> Any:
    def initialize(shape: Any, dtype: Any = None) -> Tensor:
        if tuple(shape) != value.shape:
            raise ValueError(
                f"Expected `shape` to be {value.shape} for direct tensor as initializer. "
                f"Received shape={shape}"
            )
        return cast(value, standard_dtype(dtype))

    return initialize


__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomInitializer",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "compute_fans",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]
