"""Linear stacks of layers."""

from __future__ import annotations

from typing import Any

from graphc.keras.engine.functional import Functional
from graphc.keras.engine.input_layer import InputLayer
from graphc.keras.engine.keras_tensor import KerasTensor
from graphc.keras.engine.layer import Layer
from graphc.keras.engine.model import Model
from graphc.keras.engine.naming import path_entered, unique_name
from graphc.keras.saving.registry import (
    CustomObjectScope,
    deserialize_keras_object,
    public,
    serialize_keras_object,
)


@public("keras")
class Sequential(Model):
    """Layers in a row, each applied to the result of the one before.

    With a known input shape (an `Input`, or ``input_shape=`` of the first layer) the weights exist
    at once; without one they are made when the model sees its first data. Either way the model is
    a functional model underneath (https://keras.io/api/models/sequential/).

    Args:
        layers: The layers; `add` takes more.
        trainable: Whether optimizers may change the weights.
        name: The model's name.

    Example:
        >>> model = Sequential([Input((784,)), Dense(300, activation="relu"), Dense(10)])
    """

    def __init__(
        self, layers: Any = None, trainable: bool = True, name: str | None = None, **kwargs: Any
    ):
        super().__init__(trainable=trainable, name=name, **kwargs)
        self._stack: list[Layer] = []
        self._functional: Functional | None = None
        if isinstance(layers, (Layer, KerasTensor)):
            raise TypeError("a Sequential model takes a list of layers: Sequential([a, b, c])")
        for layer in layers or []:
            self.add(layer)

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Put a layer at the end.

        Args:
            layer: A layer, a model, or the result of `Input`.
            rebuild: Accepted for compatibility.

        Raises:
            TypeError: It is no layer.
            ValueError: A second input, or a name that is taken.
        """
        if isinstance(layer, KerasTensor) and layer.node is not None:
            layer = layer.node.operation
        if not isinstance(layer, Layer):
            hint = " (an instance is needed: add parentheses)" if isinstance(layer, type) else ""
            raise TypeError(f"a Sequential model takes layers; received {layer!r}{hint}")
        if isinstance(layer, InputLayer) and self._stack:
            raise ValueError("the input has to come first in a Sequential model")
        if any(layer.name == x.name and layer is not x for x in self._stack):
            raise ValueError(
                f'the Sequential model has a layer "{layer.name}" already; names have to be unique'
            )
        if not self._stack and not isinstance(layer, InputLayer):
            shape = getattr(layer, "_input_shape_argument", None)
            if isinstance(layer, Sequential) and layer._functional is not None:
                shape = layer._functional.inputs[0].shape
            elif isinstance(layer, Functional):
                shape = layer.inputs[0].shape
            if shape is not None:
                self._stack.append(_input_for(shape, layer))
        self._stack.append(layer)
        if self._functional is not None:
            with path_entered(self._settled_path()):
                end = layer(self._functional.outputs[0])
            self._functional = Functional(self._stack[0].output, end, name=self.name)
        elif isinstance(self._stack[0], InputLayer):
            self._connect()

    def pop(self, rebuild: bool = True) -> Layer:
        """Remove and return the last layer.

        Args:
            rebuild: Accepted for compatibility.
        """
        if not self.layers:
            raise ValueError("the Sequential model has no layers to remove")
        layer = self._stack.pop()
        self._functional = None
        self.built = False
        if self._stack and isinstance(self._stack[0], InputLayer):
            self._connect()
        return layer

    @property
    def layers(self) -> list[Layer]:
        """The layers, without that of the input."""
        return [layer for layer in self._stack if not isinstance(layer, InputLayer)]

    @property
    def functional(self) -> Functional:
        """The functional model underneath.

        Raises:
            ValueError: No input shape is known yet.
        """
        if self._functional is None:
            raise ValueError(
                f'the Sequential model "{self.name}" has not seen an input shape yet: start it '
                "with keras.Input(shape=(...)), call build(input_shape), or call it on data"
            )
        return self._functional

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for an input shape.

        Args:
            input_shape: Sizes with the batch's, None where open.
        """
        if self._functional is not None:
            return
        if not self._stack:
            raise ValueError(f'the Sequential model "{self.name}" has no layers: add() some')
        if not isinstance(self._stack[0], InputLayer):
            if input_shape is None:
                raise ValueError("build needs the shape of the input, such as (None, 784)")
            if input_shape and isinstance(input_shape[0], (tuple, list)):
                raise ValueError("a Sequential model has one input; received several shapes")
            self._stack.insert(0, _input_for((None, *input_shape[1:]), self._stack[0]))
        self._connect()

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Apply the layers one after the other."""
        return self.functional.call(inputs, training=training, mask=mask)

    def get_config(self) -> dict[str, Any]:
        """Name and layers, so that `from_config` makes the same model again."""
        config = super().get_config()
        config["layers"] = [serialize_keras_object(layer) for layer in self._stack]
        if self._functional is not None:
            config["build_input_shape"] = self.functional.inputs[0].shape
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """A model from what `get_config` gave.

        Args:
            config: The dictionary (Keras 2.0: the list of layers).
            custom_objects: Classes and functions by the names that the dictionary uses.
        """
        if isinstance(config, list):
            config = {"layers": config}
        model = cls(name=config.get("name"), trainable=config.get("trainable", True))
        with CustomObjectScope(custom_objects):
            for layer in config["layers"]:
                model.add(deserialize_keras_object(layer))
        if config.get("build_input_shape") and not model.built:
            model.build(tuple(config["build_input_shape"]))
        return model

    @property
    def inputs(self) -> list[KerasTensor]:
        """The KerasTensor of the input, in a list."""
        return self.functional.inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        """The KerasTensor of the output, in a list."""
        return self.functional.outputs

    @property
    def input_names(self) -> list[str]:
        """The name of the input, in a list."""
        return self.functional.input_names

    @property
    def output_names(self) -> list[str]:
        """The name of the output, in a list."""
        return self.functional.output_names

    @property
    def input(self) -> KerasTensor:
        """The KerasTensor of the input."""
        return self.functional.inputs[0]

    @property
    def output(self) -> KerasTensor:
        """The KerasTensor of the output."""
        return self.functional.outputs[0]

    @property
    def input_shape(self) -> Any:
        """The shape of the input."""
        return self.functional.inputs[0].shape

    @property
    def output_shape(self) -> Any:
        """The shape of the output."""
        return self.functional.output_shape

    def _connect(self) -> None:
        """Call the layers on the input and on each other's results."""
        first = self._stack[0]
        x = first.output
        with path_entered(self._settled_path()):
            for layer in self._stack[1:]:
                x = layer(x)
        self._functional = Functional(first.output, x, name=self.name)
        self.built = True


def _input_for(shape: Any, layer: Layer) -> InputLayer:
    dtype = getattr(layer, "input_dtype", None) or layer.compute_dtype
    return InputLayer(batch_shape=tuple(shape), dtype=dtype, name=unique_name("input_layer"))
