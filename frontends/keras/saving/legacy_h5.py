"""HDF5 files of whole models: the format of Keras 1 and 2, which Keras 3 reads and writes too.

The architecture is a JSON text in the attribute ``model_config``; how training goes on is in
``training_config`` and the group ``optimizer_weights``. The group ``model_weights`` lists the
layers in its attribute ``layer_names``, and the group of each layer lists its arrays in
``weight_names``. Files of weights alone are such a group at the top.
"""

from __future__ import annotations

import io
import json
import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.eager.variable import Variable
from graphc.errors import FileFormatError
from graphc.keras.engine.parts import Parts
from graphc.keras.saving.compiling import (
    build_optimizer,
    compile_from_training_config,
    training_config,
)
from graphc.keras.saving.configs import KERAS_VERSION, model_from_dict
from graphc.keras.saving.registry import get_registered_name, serialize_keras_object
from graphc.keras.saving.upgrade_weights import upgrade_optimizer_weights, upgrade_weights
from graphc.keras.saving.weights import Assignments, assign, fit
from graphc.serialize import hdf5
from graphc.serialize.errors import check_is_file, reading
from graphc.serialize.text import read_json

_TOP_LEVEL = "top_level_model_weights"
_RANDOM = "random_states"  # not Keras's: a model goes on with the same dropout masks

# ------------------------------------------------------------------------------------------ writing


def file_of(model: Any, include_optimizer: bool = True) -> bytes:
    """The content of an HDF5 file with a model.

    Args:
        model: The model.
        include_optimizer: Whether the arguments of `compile` and the optimizer's state belong in.
    """
    config = {"class_name": get_registered_name(type(model)), "config": model.get_config()}
    build_config = model.get_build_config()
    if build_config is not None:  # for subclassed models; Keras has no use for it
        config["build_config"] = build_config
    buffer = io.BytesIO()
    with hdf5.create_hdf5(buffer) as file:
        file.attrs["keras_version"] = KERAS_VERSION
        file.attrs["backend"] = "graphc"
        file.attrs["model_config"] = json.dumps(serialize_keras_object(config))
        _write_group(file.create_group("model_weights"), model)
        if include_optimizer and model.compiled:
            file.attrs["training_config"] = json.dumps(training_config(model))
            names = [variable.path for variable in model.optimizer.variables]
            group = file.create_group("optimizer_weights")
            _write_arrays(group, model.optimizer.variables, names)
            _write_random_states(file, model)
    return buffer.getvalue()


def weights_file_of(model: Any) -> bytes:
    """The content of an HDF5 file with the weights of a model."""
    buffer = io.BytesIO()
    with hdf5.create_hdf5(buffer) as file:
        _write_group(file, model)
    return buffer.getvalue()


def _write_group(group: Any, model: Any) -> None:
    hdf5.write_names(group, "layer_names", [layer.name for layer in model.layers])
    group.attrs["backend"] = "graphc"
    group.attrs["keras_version"] = KERAS_VERSION
    # Sorted, so that the group of a layer never stands before one whose name it begins with.
    for layer in sorted(model.layers, key=lambda layer: layer.name):
        names = _names_below(layer)
        weights = _weights(layer)
        _write_arrays(
            group.create_group(layer.name), weights, [names[id(weight)] for weight in weights]
        )
    own = _top_level_weights(model)
    _write_arrays(group.create_group(_TOP_LEVEL), own, [weight.name for weight in own])


def _write_arrays(group: Any, variables: list[Variable], names: list[str]) -> None:
    unique: list[str] = []
    for name in names:
        free, count = name, 1
        while free in unique:
            free = f"{name}_{count}"
            count += 1
        unique.append(free)
    hdf5.write_names(group, "weight_names", unique)
    for name, variable in zip(unique, variables, strict=True):
        hdf5.write_array(group, name, variable.numpy())


def _names_below(layer: Any) -> dict[int, str]:
    """The names of the variables of a layer: the layers on the way, then its own."""
    names: dict[int, str] = {}

    def visit(part: Parts, path: str) -> None:
        for inside in part._parts():
            if isinstance(inside, Variable):
                names.setdefault(id(inside), f"{path}/{inside.name}")
            elif isinstance(inside, Parts):
                visit(inside, f"{path}/{inside.name}")

    visit(layer, layer.name)
    return names


def _write_random_states(file: Any, model: Any) -> None:
    states = _random_states(model)
    if states:
        group = file.create_group(_RANDOM)
        for index, state in enumerate(states):
            hdf5.write_array(group, str(index), state.numpy())


def _random_states(model: Any) -> list[Variable]:
    return [v for v in model.variables if getattr(v, "is_random_state", False)]


def _weights(layer: Any) -> list[Variable]:
    """The weights of a layer in the order of these files: what is trained comes first."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _top_level_weights(model: Any) -> list[Variable]:
    """The variables of a model that belong to none of its layers."""
    inside = {id(variable) for layer in model.layers for variable in layer.variables}
    return [weight for weight in _weights(model) if id(weight) not in inside]


# ------------------------------------------------------------------------------------------ reading


def load_file(
    path: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
) -> Any:
    """The model in an HDF5 file.

    Args:
        path: The file.
        custom_objects: Classes and functions by the names that the file uses.
        compile: Whether to compile the model as it was when it was saved.

    Raises:
        FileFormatError: The file is damaged, or its weights do not fit its configuration.
    """
    found = check_is_file(path)
    with reading(path, "an HDF5 file of a model"), hdf5.open_hdf5(found) as file:
        text = hdf5.read_text(file, "model_config")
        if text is None:
            raise FileFormatError(
                'it has no "model_config", so it holds weights alone: build the model in Python '
                "and call model.load_weights()"
            )
        model = model_from_dict(read_json(text, "model_config"), custom_objects)
        assignments = read_group(file, model)
        training = hdf5.read_text(file, "training_config") if compile else None
        if training is not None:
            compile_from_training_config(
                model, read_json(training, "training_config"), custom_objects
            )
            assignments += _read_optimizer(file, model)
            assignments += _read_random_states(file, model)
        assign(assignments)
        return model


def has_weights(file: Any) -> bool:
    """Whether an HDF5 file has the layout of Keras 1 and 2."""
    return hdf5.has_names(_weights_group(file), "layer_names")


def _weights_group(file: Any) -> Any:
    return hdf5.find_group(file, "model_weights") or file


def read_group(
    file: Any, model: Any, by_name: bool = False, skip_mismatch: bool = False
) -> Assignments:
    """What the file says about a model's weights; nothing is assigned yet.

    Args:
        file: The open file.
        model: The model, built.
        by_name: Whether layers are found by name rather than by order.
        skip_mismatch: Whether layers that do not fit are left as they are, with a warning.

    Raises:
        FileFormatError: Layers or weights are missing, or have other shapes.
    """
    group = _weights_group(file)
    stored = _stored_layers(group)
    layers = [layer for layer in model.layers if _weights(layer)]
    if by_name:
        known = dict(stored)
        pairs = [(layer, known[layer.name]) for layer in layers if layer.name in known]
    else:
        if len(stored) != len(layers):
            raise FileFormatError(
                f"the model has {len(layers)} layers with weights, the file {len(stored)}: "
                f"{', '.join(name for name, _ in stored) or 'none'}"
            )
        pairs = [(layer, arrays) for layer, (_, arrays) in zip(layers, stored, strict=True)]
    assignments: Assignments = []
    for layer, arrays in pairs:
        try:
            assignments += _fit_layer(layer, arrays)
        except FileFormatError as error:
            if not skip_mismatch:
                raise
            warnings.warn(f"skipped: {error}", stacklevel=4)
    top = hdf5.find_group(group, _TOP_LEVEL)
    own = _top_level_weights(model)
    if top is not None and own:
        assignments += fit(own, _arrays(top), model.name)
    return assignments


def _stored_layers(group: Any) -> list[tuple[str, list[np.ndarray]]]:
    """The layers of the file that have weights."""
    stored = []
    for name in hdf5.read_names(group, "layer_names"):
        layer = hdf5.find_group(group, name)
        if layer is None:
            raise FileFormatError(f'the weights of the layer "{name}" are missing')
        arrays = _arrays(layer)
        if arrays:
            stored.append((name, arrays))
    return stored


def _arrays(group: Any) -> list[np.ndarray]:
    return [hdf5.read_array(group, name) for name in hdf5.read_names(group, "weight_names")]


def _fit_layer(layer: Any, arrays: list[np.ndarray]) -> Assignments:
    weights = _weights(layer)
    arrays = upgrade_weights(layer, weights, arrays)
    if len(weights) != len(arrays):
        raise FileFormatError(
            f'the layer "{layer.name}" has {len(weights)} weights, the file holds {len(arrays)}'
        )
    return fit(weights, arrays, layer.name)


def _read_optimizer(file: Any, model: Any) -> Assignments:
    group = hdf5.find_group(file, "optimizer_weights")
    if group is None:
        return []
    build_optimizer(model)
    optimizer = model.optimizer
    arrays = upgrade_optimizer_weights(
        optimizer, hdf5.read_names(group, "weight_names"), _arrays(group)
    )
    variables = optimizer.variables
    if arrays is None or len(arrays) > len(variables):
        warnings.warn(
            f'the state of the optimizer "{optimizer.name}" was not loaded: the file holds '
            f"other variables than its {len(variables)}; training starts with a fresh one",
            stacklevel=4,
        )
        return []
    return fit(variables[: len(arrays)], arrays, optimizer.name)


def _read_random_states(file: Any, model: Any) -> Assignments:
    group = hdf5.find_group(file, _RANDOM)
    states = _random_states(model)
    if group is None or len(group) != len(states):
        return []
    arrays = [hdf5.read_array(group, str(index)) for index in range(len(states))]
    return fit(states, arrays, "random states")
