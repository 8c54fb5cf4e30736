"""Models as dictionaries: what JSON and YAML files and the headers of model files hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc.errors import FileFormatError
from graphc.keras.engine.parts import Parts
from graphc.keras.saving.registry import (
    CustomObjectScope,
    deserialize_keras_object,
    serialize_keras_object,
    sharing_when_reading,
    sharing_when_writing,
)
from graphc.keras.saving.upgrade import upgrade_config

#: The version of Keras whose formats are written.
KERAS_VERSION = "3.15.0"


def model_to_dict(model: Any) -> dict[str, Any]:
    """The architecture of a model, and how it is compiled, as Keras 3 writes it."""
    with sharing_when_writing():
        return serialize_keras_object(model)


def model_from_dict(config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A model from its dictionary, of any Keras.

    Args:
        config: The dictionary.
        custom_objects: Classes and functions by the names that it uses.

    Raises:
        FileFormatError: It describes no model.
    """
    with CustomObjectScope(custom_objects), sharing_when_reading():
        model = deserialize_keras_object(upgrade_config(config))
    if not (isinstance(model, Parts) and hasattr(model, "get_layer")):
        raise FileFormatError(f"it describes no model, but {model!r:.200}")
    return model
