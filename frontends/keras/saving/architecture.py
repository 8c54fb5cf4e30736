"""Models from descriptions of their architecture, with fresh weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphc.keras import tree
from graphc.keras.saving.configs import model_from_dict
from graphc.serialize.errors import reading
from graphc.serialize.text import read_json, read_yaml


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A model from what `Model.to_json` gave, here or in Keras; its weights are fresh.

    Args:
        json_string: The text.
        custom_objects: Your own classes and functions by the names that it uses.

    Raises:
        FileFormatError: The text is no JSON, or describes no model.
    """
    with reading(None, "JSON"):
        return model_from_dict(read_json(json_string, "the text"), custom_objects)


def model_from_yaml(yaml_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A model from what `Model.to_yaml` gave, here or in Keras 2; its weights are fresh.

    Args:
        yaml_string: The text. Tags of Python objects in it are refused.
        custom_objects: Your own classes and functions by the names that it uses.

    Raises:
        FileFormatError: The text is no plain YAML, or describes no model.
    """
    with reading(None, "YAML"):
        return model_from_dict(read_yaml(yaml_string, "the text"), custom_objects)


def model_from_config(
    config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> Any:
    """A model from its dictionary: ``class_name`` and ``config``.

    Args:
        config: The dictionary.
        custom_objects: Your own classes and functions by the names that it uses.

    Raises:
        FileFormatError: It describes no model.
    """
    with reading(None, "a configuration"):
        return model_from_dict(config, custom_objects)


def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: Callable[[Any], Any] | None = None,
) -> Any:
    """A model of the same architecture with layers and weights of its own.

    Args:
        model: A functional or sequential model.
        input_tensors: KerasTensors that take the place of the inputs.
        clone_function: Gives the layer in the place of a layer; by default one from its
            configuration.

    Raises:
        ValueError: A subclassed model.

    Example:
        >>> student = keras.models.clone_model(teacher)
    """
    if not hasattr(model, "layers") or not (hasattr(model, "nodes") or hasattr(model, "_stack")):
        raise ValueError(
            f"clone_model takes functional and sequential models, not {type(model).__name__}: "
            "make another one by its constructor"
        )
    return model.clone(clone_function or _copy, tree.flatten(input_tensors))


def _copy(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())
