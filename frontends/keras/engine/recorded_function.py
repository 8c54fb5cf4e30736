"""Operations of functional models in files: layers, and functions of `keras.ops`.

In Keras's files a function is an object of a class: ``Mean(axis=1)`` called on the tensor. The
arguments that are no tensors are those of its constructor, but for operators with two sides.
"""

from __future__ import annotations

import inspect
from typing import Any

from graphc.keras import ops
from graphc.keras.engine.keras_tensor import RecordedFunction
from graphc.keras.saving.registry import deserialize_keras_object, serialize_keras_object


def serialize_operation(operation: Any) -> dict[str, Any]:
    """The dictionary of a layer or of a function."""
    if not isinstance(operation, RecordedFunction):
        return serialize_keras_object(operation)
    return {
        "module": "graphc.keras.ops",
        "class_name": operation.function.__name__,
        "config": {"name": operation.name},
        "registered_name": None,
    }


def deserialize_operation(config: dict[str, Any]) -> Any:
    """A layer or a function from its dictionary.

    Raises:
        ValueError: There is no such function.
    """
    if ".ops" not in (config.get("module") or ""):
        return deserialize_keras_object(config)
    name = config["class_name"]
    function = getattr(ops, name, None)
    if name not in ops.__all__ or not inspect.isfunction(function):
        raise ValueError(f'there is no function "{name}" in keras.ops')
    return RecordedFunction(function, config["config"]["name"])
