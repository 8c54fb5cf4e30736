"""How weights change in training: ``keras.optimizers``; see https://keras.io/api/optimizers/."""

from __future__ import annotations

import inspect
from typing import Any

from graphc.keras.optimizers import schedules
from graphc.keras.optimizers.adam import Adam, Adamax, AdamW, Nadam
from graphc.keras.optimizers.adaptive import Adadelta, Adagrad, Ftrl, RMSprop
from graphc.keras.optimizers.gradient_descent import SGD, Lion
from graphc.keras.optimizers.optimizer import Optimizer
from graphc.keras.saving.families import Family

_CLASSES = (SGD, RMSprop, Adam, AdamW, Adadelta, Adagrad, Adamax, Nadam, Ftrl, Lion)

_family = Family(
    "optimizer",
    {cls.__name__: cls for cls in _CLASSES} | {cls.__name__.lower(): cls for cls in _CLASSES},
)

serialize = _family.serialize
deserialize = _family.deserialize


def get(identifier: Any) -> Optimizer:
    """An optimizer from a name, its saved form, a class, or the optimizer itself.

    Args:
        identifier: Such as ``"adam"`` (upper and lower case are the same).

    Raises:
        ValueError: There is no such optimizer; the nearest names are suggested.

    Example:
        >>> keras.optimizers.get("adam")
    """
    if isinstance(identifier, str):
        known = _family.objects.get(identifier) or _family.objects.get(identifier.lower())
        identifier = known or identifier
    if inspect.isclass(identifier) and issubclass(identifier, Optimizer):
        return identifier()
    if isinstance(identifier, dict):
        identifier = deserialize(identifier)
    if isinstance(identifier, Optimizer):
        return identifier
    raise _family.unknown(identifier)


__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]
