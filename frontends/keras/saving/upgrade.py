"""Configurations of older Keras versions, put into the form of today.

Names that changed are replaced, and arguments that no longer exist are dropped: silently where
they only had one meaning left, else with a warning. What would change the results is an error.
"""

from __future__ import annotations

import inspect
import warnings
from typing import Any

from graphc.errors import FileFormatError
from graphc.keras.saving.registry import find_class, get_registered_object

#: Classes by their older names.
_CLASSES = {
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution2DTranspose": "Conv2DTranspose",
    "Convolution3D": "Conv3D",
    "CuDNNGRU": "GRU",
    "CuDNNLSTM": "LSTM",
    "Deconvolution2D": "Conv2DTranspose",
    "GRUV2": "GRU",
    "LSTMV2": "LSTM",
    "Policy": "DTypePolicy",
    "PolicyV1": "DTypePolicy",
    "SeparableConvolution1D": "SeparableConv1D",
    "SeparableConvolution2D": "SeparableConv2D",
    "SyncBatchNormalization": "BatchNormalization",
}

#: Arguments of layers by their names in Keras 1.
_ARGUMENTS = {
    "W_constraint": "kernel_constraint",
    "W_regularizer": "kernel_regularizer",
    "U_regularizer": "recurrent_regularizer",
    "b_constraint": "bias_constraint",
    "b_regularizer": "bias_regularizer",
    "bias": "use_bias",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "dropout_U": "recurrent_dropout",
    "dropout_W": "dropout",
    "filter_length": "kernel_size",
    "init": "kernel_initializer",
    "inner_activation": "recurrent_activation",
    "inner_init": "recurrent_initializer",
    "nb_filter": "filters",
    "output_dim": "units",
    "p": "rate",
    "pool_length": "pool_size",
    "subsample": "strides",
}
_VALUES = {"tf": "channels_last", "th": "channels_first"}

#: Arguments without any meaning today; they are dropped without a word.
_MEANINGLESS = frozenset(
    [
        "build_config",
        "class_name",
        "function_type",
        "groups",
        "implementation",
        "input_length",
        "input_dtype",
        "is_legacy_optimizer",
        "jit_compile",
        "module",
        "output_shape_module",
        "output_shape_type",
        "ragged",
        "registered_name",
        "sparse",
        "time_major",
        "trainable_initial_state",
        "dtype",
        "is_graph_network",
    ]
)
#: Arguments that every layer, or every optimizer, of Keras 2 may have.
_COMMON = frozenset(
    [
        "batch_input_shape",
        "batch_shape",
        "batch_size",
        "decay",
        "input_dim",
        "input_shape",
        "lr",
        "weights",
    ]
)


def upgrade_config(config: Any) -> Any:
    """A configuration in today's form; what is in today's form already comes back equal.

    Args:
        config: The dictionary of a model, layer, optimizer, loss or metric, or lists of them.

    Raises:
        FileFormatError: It asks for something that is not supported.
    """
    if isinstance(config, (list, tuple)):
        return [upgrade_config(item) for item in config]
    if not isinstance(config, dict):
        return config
    if not isinstance(config.get("class_name"), str) or "config" not in config:
        return {key: upgrade_config(value) for key, value in config.items()}
    config = _with_todays_name(config)
    settings = config["config"]
    name = config["class_name"]
    if name == "Sequential" and isinstance(settings, list):  # Keras 1, and the first of Keras 2
        settings = {"layers": settings}
    # A function in a functional model of an HDF5 file, where Keras leaves modules out.
    is_function = "inbound_nodes" in config and not {"module", "trainable"} & {*config, *settings}
    if isinstance(settings, dict) and not name.startswith("__") and not is_function:
        kind = find_class(config)
        if kind is not None:
            settings = _with_todays_arguments(name, kind, settings)
        settings = {key: upgrade_config(value) for key, value in settings.items()}
    rest = {key: value for key, value in config.items() if key not in ("class_name", "config")}
    if isinstance(rest.get("compile_config"), dict):
        rest["compile_config"] = upgrade_config(rest["compile_config"])
    return {**rest, "class_name": name, "config": settings}


def _with_todays_name(config: dict[str, Any]) -> dict[str, Any]:
    name = config["class_name"]
    if name.startswith("Custom>") and get_registered_object(name) is None:
        # Some versions registered their own optimizers like a user's classes.
        inner = name.removeprefix("Custom>")
        if find_class({"class_name": inner}) is not None:
            return {"class_name": inner, "config": config["config"]}
    if name in _CLASSES and get_registered_object(name) is None:
        return {**config, "class_name": _CLASSES[name], "registered_name": None}
    return config


def _with_todays_arguments(name: str, kind: type, settings: dict[str, Any]) -> dict[str, Any]:
    settings = dict(settings)
    accepted = _accepted(kind)
    for key in list(settings):
        new = _ARGUMENTS.get(key)
        if new in accepted and new not in settings:
            value = settings.pop(key)
            settings[new] = _VALUES.get(value, value) if isinstance(value, str) else value
    if {"nb_row", "nb_col"} <= settings.keys():
        settings["kernel_size"] = [settings.pop("nb_row"), settings.pop("nb_col")]
    axis = settings.get("axis")
    if isinstance(axis, list) and len(axis) == 1:
        settings["axis"] = axis[0]
    if settings.get("reduction") in ("auto", "AUTO"):
        settings["reduction"] = "sum_over_batch_size"
    if isinstance(settings.get("fn"), str):
        settings["fn"] = _function(settings["fn"])
    if name == "Embedding" and settings.get("input_length") is not None:
        settings.setdefault("batch_input_shape", [None, settings["input_length"]])
        del settings["input_length"]
    if name in ("GRU", "GRUCell"):
        settings.setdefault("reset_after", False)  # Keras 2.0 had only this
    if name == "Lambda":
        settings = _with_function(settings)
    if settings.get("time_major"):
        raise FileFormatError(
            f'the layer "{settings.get("name")}" has time_major=True, which is not supported: '
            "its input would have to be (batch, time, features)"
        )
    unknown = [key for key in settings if key not in accepted and key not in _COMMON]
    surprising = [key for key in unknown if key not in _MEANINGLESS and settings[key] is not None]
    if surprising:
        told = ", ".join(f"{key}={settings[key]!r:.60}" for key in surprising)
        warnings.warn(
            f'{name} "{settings.get("name", "")}": ignored arguments that are unknown here: {told}',
            stacklevel=2,
        )
    return {key: value for key, value in settings.items() if key not in unknown}


def _accepted(kind: type) -> frozenset[str]:
    """The arguments that a class's constructor takes, those handed on to its bases included."""
    names: set[str] = set()
    for base in kind.__mro__[:-1]:
        names |= set(getattr(base, "unsupported", ())) | set(getattr(base, "ignored", ()))
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
        names |= {parameter.name for parameter in parameters}
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            break
    if hasattr(kind, "get_layer"):  # a model, whose configuration is not its arguments
        names |= {"layers", "input_layers", "output_layers", "build_input_shape"}
    return frozenset(names)


def _function(name: str) -> dict[str, Any]:
    return {
        "module": "builtins",
        "class_name": "function",
        "config": name,
        "registered_name": "function",
    }


def _with_function(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a `Lambda` without code: a function that the program knows instead."""
    layer = settings.get("name")
    function = settings.get("function")
    has_code = isinstance(function, list) or (
        isinstance(function, dict) and function.get("class_name") == "__lambda__"
    )
    if has_code:
        if get_registered_object(str(layer)) is None:
            raise FileFormatError(
                f'the Lambda layer "{layer}" holds the code of a function, and code from files is '
                "never run. Hand the function in under the name of the layer: "
                f"custom_objects={{{layer!r}: function}}"
            )
        function = _function(str(layer))
    elif isinstance(function, str):
        function = _function(function)
    settings = {key: value for key, value in settings.items() if key != "function"}
    if isinstance(settings.get("output_shape"), list) and has_code:
        del settings["output_shape"]  # code as well; the shape is found by tracing
    if isinstance(settings.get("mask"), list) and has_code:
        raise FileFormatError(f'the mask of the Lambda layer "{layer}" is code, which is never run')
    return {**settings, "function": function}
