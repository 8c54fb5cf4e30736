"""How weights are changed: ``keras.optimizers``; see https://keras.io/api/optimizers/."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc.keras.optimizers import schedules
from graphc.keras.optimizers.adam import Adam, Adamax, AdamW, Nadam
from graphc.keras.optimizers.adaptive import Adadelta, Adagrad, Ftrl, RMSprop
from graphc.keras.optimizers.gradient_descent import SGD, Lion
from graphc.keras.optimizers.optimizer import Optimizer
from graphc.keras.saving.families import Family
from graphc.keras.saving.registry import get_registered_object

_CLASSES = (Adadelta, Adagrad, Adam, AdamW, Adamax, Ftrl, Lion, Nadam, RMSprop, SGD)

_family = Family(
    "optimizer",
    {cls.__name__: cls for cls in _CLASSES} | {cls.__name__.lower(): cls for cls in _CLASSES},
)

serialize = _family.serialize


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The optimizer that a dictionary describes; names of classes in any case.

    Args:
        config: What `serialize` returned, here or in another version of Keras.
        custom_objects: Classes that may be named besides those known.

    Raises:
        TypeError: An unknown class, or a setting that it has not.
    """
    if isinstance(config, dict):
        # Some versions wrote their own classes as registered ones: "Custom>Adam".
        name = str(config.get("class_name", "")).removeprefix("Custom>").lower()
        if name in _family.objects:
            config = {"class_name": name, "config": config.get("config", {})}
    return _family.deserialize(config, custom_objects)


def get(identifier: Any) -> Any:
    """An optimizer from its name (in any case), a dictionary, a class, or itself.

    Args:
        identifier: ``"adam"``, ``{"class_name": ..., "config": ...}`` or an `Optimizer`.

    Raises:
        ValueError: It is none of these.

    Example:
        >>> keras.optimizers.get("sgd")
    """
    if identifier is None or isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        known = {**_family.objects, identifier: _family.objects.get(identifier.lower())}
        identifier = get_registered_object(identifier, None, known) or identifier
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()  # type: ignore[call-arg]
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
