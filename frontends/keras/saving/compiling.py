"""The arguments of `compile` in files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphc.eager.trace import computing_at_once
from graphc.keras import losses, metrics, optimizers
from graphc.keras.saving.registry import (
    CustomObjectScope,
    get_registered_object,
    serialize_keras_object,
)
from graphc.keras.saving.upgrade import upgrade_config

_NAMES = ("loss", "loss_weights", "metrics", "weighted_metrics")


def compile_config(model: Any) -> dict[str, Any] | None:
    """What `compile` was given, in Keras's form; None for a model that is not compiled."""
    if not model.compiled:
        return None
    arguments = model.compilation.arguments
    config = {name: serialize_keras_object(arguments[name]) for name in _NAMES}
    return {
        "optimizer": serialize_keras_object(model.optimizer),
        **config,
        "run_eagerly": arguments["run_eagerly"],
        "steps_per_execution": 1,
        "jit_compile": True,
    }


def compile_from(model: Any, config: Mapping[str, Any]) -> None:
    """Compile a model as a file says, and make the optimizer's variables.

    Args:
        model: The model.
        config: From `compile_config`, or of Keras.
    """
    optimizer = config.get("optimizer")
    model.compile(
        optimizer=optimizers.get(optimizer) if optimizer is not None else "rmsprop",
        loss=_nested(config.get("loss"), losses.deserialize),
        loss_weights=config.get("loss_weights"),
        metrics=_nested(config.get("metrics"), metrics.deserialize),
        weighted_metrics=_nested(config.get("weighted_metrics"), metrics.deserialize),
        run_eagerly=bool(config.get("run_eagerly")),
    )


def training_config(model: Any) -> dict[str, Any]:
    """The attribute ``training_config`` of HDF5 files."""
    config = compile_config(model)
    assert config is not None
    optimizer = config.pop("optimizer")
    # Keras cannot read back its own short names ("mse"), so they are written out.
    config["loss"] = _map_names(config["loss"], lambda name: losses.serialize(losses.get(name)))
    for key in ("metrics", "weighted_metrics"):
        config[key] = _map_names(config[key], _long_metric)
    config["optimizer_config"] = {
        "class_name": optimizer["registered_name"] or optimizer["class_name"],
        "config": optimizer["config"],
    }
    return config


def compile_from_training_config(
    model: Any, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> None:
    """Compile a model as the ``training_config`` of an HDF5 file says.

    Args:
        model: The model.
        config: The attribute's content.
        custom_objects: Classes and functions by the names that it uses.
    """
    with CustomObjectScope(custom_objects):
        arguments = {name: upgrade_config(config.get(name)) for name in _NAMES}
        optimizer = config.get("optimizer_config")
        arguments["run_eagerly"] = config.get("run_eagerly")
        compile_from(model, {**arguments, "optimizer": upgrade_config(optimizer)})


def _long_metric(name: str) -> Any:
    if name.lower() in ("accuracy", "acc", "crossentropy", "ce"):
        return name
    return metrics.serialize(metrics.get(name))


def _map_names(structure: Any, function: Callable[[str], Any]) -> Any:
    """``function`` of each text in lists and dictionaries, but not inside of saved objects."""
    if isinstance(structure, str):
        return function(structure)
    if isinstance(structure, dict) and not ("class_name" in structure and "config" in structure):
        return {key: _map_names(item, function) for key, item in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [_map_names(item, function) for item in structure]
    return structure


def build_optimizer(model: Any) -> None:
    """Make the optimizer's variables, so that its state can be loaded."""
    if model.built and not model.optimizer.built:
        with computing_at_once():
            model.optimizer.build(model.trained_variables)


def _nested(config: Any, deserialize: Callable[[Any], Any]) -> Any:
    """Objects in lists and dictionaries as `compile` takes them; names stay names."""
    if isinstance(config, dict) and "class_name" in config and "config" in config:
        return deserialize(config)
    if isinstance(config, dict):
        return {key: _nested(item, deserialize) for key, item in config.items()}
    if isinstance(config, (list, tuple)):
        return [_nested(item, deserialize) for item in config]
    if isinstance(config, str):
        # The user's own objects are known by name only while the file is being read.
        own = get_registered_object(config)
        return config if own is None else own
    return config
