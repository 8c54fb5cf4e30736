"""Models from descriptions of their architecture, with fresh weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphc.keras import tree
from graphc.keras.engine.functional import Functional
from graphc.keras.engine.input_layer import InputLayer
from graphc.keras.engine.keras_tensor import KerasTensor, RecordedFunction, record
from graphc.keras.engine.sequential import Sequential
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
        ValueError: A subclassed model, or the number of inputs differs.

    Example:
        >>> student = keras.models.clone_model(teacher)
    """
    copy = clone_function or _copy
    if isinstance(model, Sequential):
        first = tree.flatten(input_tensors) or [
            _fresh(tensor) for tensor in (model.inputs if model.built else [])
        ]
        layers = [copy(layer) for layer in model.layers]
        return Sequential([*first, *layers], name=model.name, trainable=model.trainable)
    if not isinstance(model, Functional):
        raise ValueError(
            f"clone_model takes functional and sequential models, not {type(model).__name__}: "
            "make another one by its constructor"
        )
    return _clone_functional(model, tree.flatten(input_tensors), copy)


def _clone_functional(
    model: Functional, inputs: list[KerasTensor], copy: Callable[[Any], Any]
) -> Functional:
    inputs = inputs or [_fresh(tensor).output for tensor in model.inputs]
    if len(inputs) != len(model.inputs):
        raise ValueError(f"the model has {len(model.inputs)} inputs, received {len(inputs)}")
    tensors = {id(old): new for old, new in zip(model.inputs, inputs, strict=True)}
    operations: dict[int, Any] = {}
    for node in model.nodes:
        if id(node.outputs[0]) in tensors:
            continue
        old = node.operation
        args, kwargs = node.arguments(lambda tensor: tensors[id(tensor)])
        if isinstance(old, RecordedFunction):
            results = record(RecordedFunction(old.function, old.name), args, kwargs)
        else:
            if id(old) not in operations:
                operations[id(old)] = copy(old)
            results = operations[id(old)](*args, **kwargs)
        tensors.update(
            (id(before), after)
            for before, after in zip(node.outputs, tree.flatten(results), strict=True)
        )
    return Functional(
        tree.map_structure(lambda tensor: tensors[id(tensor)], model.inputs_structure),
        tree.map_structure(lambda tensor: tensors[id(tensor)], model.outputs_structure),
        name=model.name,
        trainable=model.trainable,
    )


def _fresh(tensor: KerasTensor) -> InputLayer:
    """An input like another one, or for what a layer made."""
    layer = tensor.node.operation if tensor.node is not None else None
    name = layer.name if isinstance(layer, InputLayer) else None
    return InputLayer(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)


def _copy(layer: Any) -> Any:
    if isinstance(layer, (Sequential, Functional)):
        return clone_model(layer)
    return type(layer).from_config(layer.get_config())
