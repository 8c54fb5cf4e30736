"""Operations of functional models in files: layers, and functions of `keras.ops`.

In Keras's files a function is an object of a class: `ops.mean(x, axis=1)` is ``Mean(axis=1)``
called on ``x``. Tensors, and numbers in their place, are arguments of the call; the rest is the
object's.
"""

from __future__ import annotations

import inspect
from typing import Any

from graphc.keras import ops
from graphc.keras.engine.keras_tensor import Node, RecordedFunction, record
from graphc.keras.saving.registry import deserialize_keras_object, serialize_keras_object

#: The parameters, of any function, that Keras's classes take when they are called.
_OF_THE_CALL = frozenset(
    """
    a abs_ angle array b branches choicelist condition condlist constant_values data
    default depthwise_kernel elements elems fill_value index indices init init_val inputs
    kernel key loop_vars operands output output_length pointwise_kernel pred predictions
    primals q query segment_ids sequence_lengths sorted_sequence start start_indices step
    stop tangents target target_length targets updates values variable weights x x1 x2 xs
    y
    """.split()
)
#: And of some functions, beside these.
_OF_ITS_CALL = {
    "digitize": ("bins",),
    "dot_product_attention": ("bias", "mask", "scale", "value"),
    "isclose": ("rtol", "atol"),
}
#: But not of these.
_OF_THE_OBJECT = {
    "bincount": ("weights",),
    "squareplus": ("b",),
    "trapezoid": ("x",),
    "unique": ("fill_value",),
}
#: What Keras keeps in its modules of these names. Those of its public ones say so themselves.
_CORE = frozenset(
    """
    associative_scan cast cond convert_to_tensor fori_loop map saturate_cast scan scatter
    scatter_update slice slice_update stop_gradient switch unstack vectorized_map
    while_loop
    """.split()
)
_MATH = frozenset(
    """
    cdist erf erfc erfinv extract_sequences fft fft2 ifft2 in_top_k irfft istft logdet
    logsumexp rfft rsqrt segment_max segment_min segment_prod segment_sum stft top_k
    view_as_complex view_as_real
    """.split()
)
#: Classes whose names are not those of their functions in capitals.
_CLASS_NAMES = {
    "allclose": "AllClose",
    "cdist": "CDist",
    "isin": "IsIn",
    "searchsorted": "SearchSorted",
    "ctc_decode": "CTCDecode",
    "ctc_loss": "CTCLoss",
    **{name: name.upper() for name in "fft fft2 ifft2 irfft istft jvp psnr rfft stft svd".split()},
}


def _module(name: str) -> str:
    """Where Keras keeps the class of a function."""
    places = {
        "numpy": ops.numpy.__all__,
        "core": _CORE,
        "math": _MATH,
        "nn": ops.nn.__all__,
        "linalg": ops.linalg.__all__,
        "image": ops.image.__all__,
    }
    found = [place for place, names in places.items() if name in names]
    return f"keras.src.ops.{found[0] if found else 'numpy'}"


def _class_name(name: str) -> str:
    return _CLASS_NAMES.get(name) or "".join(word.capitalize() for word in name.split("_"))


def _is_of_the_call(function: str, parameter: str) -> bool:
    if parameter in _OF_ITS_CALL.get(function, ()):
        return True
    return parameter in _OF_THE_CALL and parameter not in _OF_THE_OBJECT.get(function, ())


def serialize_operation(operation: Any) -> dict[str, Any]:
    """The dictionary of a layer or of a function.

    Raises:
        TypeError: A function that is not one of `keras.ops`.
    """
    if not isinstance(operation, RecordedFunction):
        return serialize_keras_object(operation)
    name = operation.function.__name__
    if getattr(ops, name, None) is not operation.function:
        raise TypeError(f"cannot save the function {name}: it is not one of keras.ops")
    constants, _ = _split(operation.inbound_nodes[0])
    return {
        "module": _module(name),
        "class_name": _class_name(name),
        "config": {"name": operation.name, **serialize_keras_object(constants)},
        "registered_name": _class_name(name),
    }


def saved_arguments(node: Node) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call that belong to the call in a file."""
    if isinstance(node.operation, RecordedFunction):
        return _split(node)[1], {}
    return list(node.args), dict(node.kwargs)


def _split(node: Node) -> tuple[dict[str, Any], list[Any]]:
    """What is part of the operation, and what it is called on."""
    signature = inspect.signature(node.operation.function)
    constants: dict[str, Any] = {}
    called_on: list[Any] = []
    for name, value in signature.bind(*node.args, **node.kwargs).arguments.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
            called_on += value
        elif _is_of_the_call(node.operation.function.__name__, name):
            called_on.append(value)
        else:
            constants[name] = value
    return constants, called_on


class SavedFunction:
    """A function of `keras.ops` from a file: called, it is recorded under its old name.

    Args:
        config: The dictionary of the operation.

    Raises:
        ValueError: There is no such function, or it lacks a parameter.
    """

    def __init__(self, config: dict[str, Any]):
        function = _function(config["class_name"])
        if function is None:
            raise ValueError(f'there is no function "{config["class_name"]}" in keras.ops')
        settings = deserialize_keras_object(dict(config["config"]))
        self.operation = RecordedFunction(function, settings.pop("name", None))
        self.inbound_nodes = self.operation.inbound_nodes
        self._parameters = inspect.signature(function).parameters
        self._constants = {k: v for k, v in settings.items() if k in self._parameters}
        unknown = {k: v for k, v in settings.items() if k not in self._parameters and v}
        if unknown:
            raise ValueError(f"keras.ops.{function.__name__} takes no {', '.join(unknown)}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = list(args)
        positional: list[Any] = []
        keywords = dict(kwargs)
        for name, parameter in self._parameters.items():
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                positional += given
                given = []
            elif name in self._constants:
                keywords[name] = self._constants[name]
            elif given:
                keywords[name] = given.pop(0)
        if isinstance(keywords.get("key"), list):  # JSON has no tuples
            keywords["key"] = tuple(keywords["key"])
        if positional:
            first = [keywords.pop(name) for name in self._parameters if name in keywords]
            positional = [*first, *positional]
        return record(self.operation, tuple(positional), keywords)


def deserialize_operation(config: dict[str, Any]) -> Any:
    """A layer or a function from its dictionary."""
    # In HDF5 files Keras leaves modules out; then only functions lack what every layer has.
    has_no_trace = "module" not in config and "trainable" not in config["config"]
    is_function = has_no_trace and _function(config["class_name"]) is not None
    if is_function or ".ops" in str(config.get("module")):
        return SavedFunction(config)
    return deserialize_keras_object(config)


def _function(class_name: str) -> Any:
    """The function of `keras.ops` that a class of Keras stands for; None if there is none."""
    wanted = class_name.lower()
    found = [name for name in ops.__all__ if name.replace("_", "") == wanted]
    function = getattr(ops, found[0]) if found else None
    return function if inspect.isfunction(function) else None
