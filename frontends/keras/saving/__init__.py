"""Objects to dictionaries and files, and back: ``keras.saving``."""

from __future__ import annotations

import importlib
from typing import Any

from graphc.keras.saving.registry import (
    CustomObjectScope,
    custom_object_scope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
]

_OF_MODELS = {"load_model", "save_model"}
_OF_WEIGHTS = {"load_weights", "save_weights"}


def __getattr__(name: str) -> Any:
    # Files of models need losses, metrics and optimizers, which need the registry above.
    for names, module in ((_OF_MODELS, "model_files"), (_OF_WEIGHTS, "weight_files")):
        if name in names:
            return getattr(importlib.import_module(f"graphc.keras.saving.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
