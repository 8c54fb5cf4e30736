"""What the layers of this package have in common."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from graphc.config import config
from graphc.eager import Tensor, cast
from graphc.eager.variable import Variable
from graphc.errors import UnsupportedError
from graphc.keras import activations, constraints, initializers, regularizers
from graphc.keras.engine.input_spec import InputSpec
from graphc.keras.engine.layer import Layer
from graphc.ops.activation import ACTIVATIONS

#: How an argument is saved, by the end of its name.
_SERIALIZERS: dict[str, Callable[[Any], Any]] = {
    "initializer": initializers.serialize,
    "regularizer": regularizers.serialize,
    "constraint": constraints.serialize,
    "activation": activations.serialize,
}


class BuiltinLayer(Layer):
    """A layer whose constructor's arguments are its attributes of the same names.

    It takes one tensor, unless a subclass sets another `input_spec`.

    Args:
        **kwargs: For `Layer`.

    Raises:
        UnsupportedError: An argument of Keras's has a value that is not supported.
    """

    #: The arguments that `get_config` saves, in Keras's order.
    arguments: ClassVar[tuple[str, ...]] = ()
    #: Further arguments of Keras's, with the only value that is supported. None of them is saved.
    unsupported: ClassVar[dict[str, Any]] = {}
    #: Further arguments of Keras's that change nothing here.
    ignored: ClassVar[tuple[str, ...]] = ()

    # What `describe_weight` keeps of the weights that layers look at by name.
    bias_initializer: Any
    bias_regularizer: Any
    bias_constraint: Any
    moving_mean_initializer: Any
    moving_variance_initializer: Any

    def __init__(self, **kwargs: Any):
        for name, value in self.unsupported.items():
            given = kwargs.pop(name, value)
            if given != value:
                raise UnsupportedError(
                    f"{type(self).__name__}: {name}={given!r} is not supported, only {value!r}"
                )
        for name in self.ignored:
            kwargs.pop(name, None)
        super().__init__(**kwargs)
        self.input_spec = InputSpec()

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, so that `from_config` makes the same layer again."""
        settings = {name: serialized(name, getattr(self, name)) for name in self.arguments}
        return {**super().get_config(), **settings}

    def describe_weight(
        self, name: str, initializer: Any, regularizer: Any = None, constraint: Any = None
    ) -> None:
        """Keep how a weight starts and what it is subject to, as ``<name>_initializer`` etc."""
        setattr(self, f"{name}_initializer", initializers.get(initializer))
        setattr(self, f"{name}_regularizer", regularizers.get(regularizer))
        setattr(self, f"{name}_constraint", constraints.get(constraint))

    def add_described_weight(
        self, name: str, shape: Sequence[int | None], as_name: str | None = None
    ) -> Variable:
        """Create a weight as `describe_weight` told.

        Args:
            name: The name it was described under.
            shape: Its shape.
            as_name: The name of the variable, if it is another one.
        """
        return self.add_weight(
            shape=tuple(shape),
            name=as_name or name,
            initializer=getattr(self, f"{name}_initializer"),
            regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
        )

    def read(self, variable: Variable) -> Tensor:
        """A variable's value in the type that the layer computes in."""
        value = variable.as_tensor()
        dtype = self.compute_dtype
        return value if variable.dtype == dtype else cast(value, dtype)


def serialized(name: str, value: Any) -> Any:
    """An argument as a configuration holds it."""
    serialize = _SERIALIZERS.get(name.split("_")[-1])
    return value if serialize is None or value is None else serialize(value)


def positive(value: Any, name: str, layer: Layer | type) -> int:
    """An argument that has to be a whole number above 0.

    Raises:
        ValueError: It is none.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < 1:
        kind = layer if isinstance(layer, type) else type(layer)
        raise ValueError(
            f"{kind.__name__}: `{name}` should be a positive integer. Received: {name}={value!r}"
        )
    return number


def per_axis(value: Any, count: int, name: str, layer: Layer | type, least: int = 1) -> Any:
    """A whole number for each spatial axis, from one number for all or a sequence.

    Raises:
        ValueError: It is neither, or a number is below ``least``.
    """
    kind = layer if isinstance(layer, type) else type(layer)
    items = value if isinstance(value, (list, tuple)) else (value,) * count
    whole = all(hasattr(item, "__index__") and not isinstance(item, bool) for item in items)
    if len(items) != count or not whole or any(item < least for item in items):
        kinds = "an integer" if count == 1 else f"an integer or a tuple of {count} integers"
        raise ValueError(
            f"{kind.__name__}: `{name}` should be {kinds} of at least {least}. "
            f"Received: {name}={value!r}"
        )
    return tuple(operator.index(item) for item in items)


def one_of(value: Any, choices: Sequence[Any], name: str, layer: Layer | type) -> Any:
    """An argument that has to be one of a few values; upper case is fine.

    Raises:
        ValueError: It is none of them.
    """
    wanted = value.lower() if isinstance(value, str) else value
    if wanted not in choices:
        kind = layer if isinstance(layer, type) else type(layer)
        raise ValueError(
            f"{kind.__name__}: `{name}` should be one of {', '.join(map(repr, choices))}. "
            f"Received: {name}={value!r}"
        )
    return wanted


def data_format_of(value: Any, layer: Layer | type) -> str:
    """Where images have their channels; None means as `keras.config.image_data_format` says."""
    chosen = config.image_data_format if value is None else value
    return one_of(chosen, ("channels_last", "channels_first"), "data_format", layer)


def rate_of(value: Any, layer: Layer | type, name: str = "rate") -> Any:
    """An argument that has to be a number from 0 to 1."""
    if not isinstance(value, (int, float)) or not 0 <= value <= 1:
        kind = layer if isinstance(layer, type) else type(layer)
        raise ValueError(
            f"{kind.__name__}: Invalid value received for argument `{name}`. Expected a float "
            f"value between 0 and 1. Received: {name}={value!r}"
        )
    return value


def whole_activation(function: Any) -> str | None:
    """The name under which recurrent ops know an activation; None if they do not."""
    name = getattr(function, "__name__", "")
    return name if name in ACTIVATIONS and getattr(activations, name, None) is function else None
