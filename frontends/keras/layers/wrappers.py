"""Layers around a layer: Wrapper, TimeDistributed, Bidirectional."""

from __future__ import annotations

from typing import Any

from graphc.eager import cast
from graphc.errors import ShapeError
from graphc.keras import ops, tree
from graphc.keras.engine.input_spec import InputSpec
from graphc.keras.engine.layer import Layer
from graphc.keras.layers.builtin import BuiltinLayer, one_of
from graphc.keras.saving.registry import (
    deserialize_keras_object,
    public,
    serialize_keras_object,
)


def _checked_layer(layer: Any, kind: type, name: str = "layer") -> Layer:
    if not isinstance(layer, Layer):
        hint = " (an instance is needed: add parentheses)" if isinstance(layer, type) else ""
        raise ValueError(
            f"{kind.__name__}: `{name}` should be a layer instance. Received: {layer!r}{hint}"
        )
    return layer


@public("keras.layers")
class Wrapper(BuiltinLayer):
    """The base of layers around another layer.

    Args:
        layer: The layer inside.
        **kwargs: For `Layer`.

    Raises:
        ValueError: ``layer`` is no layer.
    """

    def __init__(self, layer: Layer, **kwargs: Any):
        _checked_layer(layer, type(self))
        super().__init__(**kwargs)
        self.input_spec = None
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        """Build the layer inside."""
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "layer": serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer from what `get_config` gave."""
        settings = dict(config)
        return cls(deserialize_keras_object(settings.pop("layer")), **settings)


@public("keras.layers")
class TimeDistributed(Wrapper):
    """A layer applied to each step of a sequence.

    All steps go through the layer at once, as a larger batch. So a layer with statistics over the
    batch, such as `BatchNormalization`, takes them over all steps.

    Args:
        layer: The layer.
        **kwargs: For `Layer`.

    Input shape:
        ``(batch, time, ...)``.

    Output shape:
        ``(batch, time, ...)``: what the layer makes of ``(batch, ...)``, for each step.

    Example:
        >>> keras.layers.TimeDistributed(keras.layers.Dense(10))
    """

    def __init__(self, layer: Layer, **kwargs: Any):
        super().__init__(layer, **kwargs)
        self.input_spec = InputSpec(min_ndim=3)
        self.supports_masking = True

    def build(self, input_shape: Any = None) -> None:
        """Build the layer for one step."""
        if len(input_shape) < 3:
            raise ShapeError(
                "`TimeDistributed` Layer should be passed an `input_shape` with at least 3 "
                f"dimensions, received: {input_shape}"
            )
        super().build((input_shape[0], *input_shape[2:]))

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """The layer's output for each step."""
        batch, time = inputs.dims[:2]
        steps = ops.reshape(inputs, (batch * time, *inputs.dims[2:]))
        keywords: dict[str, Any] = {}
        if "training" in self.layer._call_parameters:
            keywords["training"] = training
        if mask is not None and "mask" in self.layer._call_parameters:
            if tuple(mask.shape[:2]) != tuple(inputs.shape[:2]):
                raise ShapeError(
                    f'TimeDistributed "{self.name}": the mask {mask.shape} should begin with the '
                    f"batch and time of the input {inputs.shape}"
                )
            keywords["mask"] = ops.reshape(mask, (batch * time, *mask.dims[2:]))
        outputs = self.layer(steps, **keywords)
        return tree.map_structure(lambda y: ops.reshape(y, (batch, time, *y.dims[1:])), outputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input shape."""
        inner = self.layer.compute_output_shape((input_shape[0], *input_shape[2:]))
        return (inner[0], input_shape[1], *inner[1:])


@public("keras.layers")
class Bidirectional(BuiltinLayer):
    """A recurrent layer in both directions (https://keras.io/api/layers/recurrent_layers/).

    Args:
        layer: The recurrent layer; two new ones like it are made, one for each direction.
        merge_mode: How the outputs are combined: ``"concat"``, ``"sum"``, ``"mul"``, ``"ave"``, or
            None for a tuple of both.
        weights: First values of the weights: those of both layers, forward first.
        backward_layer: The layer for the other direction, if it is to be another one.
        **kwargs: For `Layer`.

    Raises:
        ValueError: ``layer`` is no layer; the two layers do not fit together; another merge mode.

    Example:
        >>> keras.layers.Bidirectional(keras.layers.LSTM(16, return_sequences=True))
    """

    arguments = ("merge_mode",)

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ):
        _checked_layer(layer, type(self))
        merge_mode = one_of(
            merge_mode, ("concat", "sum", "mul", "ave", None), "merge_mode", type(self)
        )
        super().__init__(**kwargs)
        self.merge_mode = merge_mode
        self.forward_layer = _like(layer, f"forward_{layer.name.removeprefix('forward_')}")
        if backward_layer is None:
            name = f"backward_{layer.name.removeprefix('backward_')}"
            self.backward_layer = _like(layer, name, go_backwards=not layer.go_backwards)
        else:
            self.backward_layer = _checked_layer(backward_layer, type(self), "backward_layer")
        self._check_directions()
        for inner in (self.forward_layer, self.backward_layer):
            if hasattr(inner, "zero_output_for_mask"):
                inner.zero_output_for_mask = inner.return_sequences
        self.return_sequences = layer.return_sequences
        self.return_state = layer.return_state
        self.stateful = layer.stateful
        self.supports_masking = True
        self.input_spec = layer.input_spec
        if weights:
            half = len(weights) // 2
            self.forward_layer._initial_weights = weights[:half]
            self.backward_layer._initial_weights = weights[half:]

    def _check_directions(self) -> None:
        first, second = self.forward_layer, self.backward_layer
        if first.go_backwards == second.go_backwards:
            raise ValueError(
                "Forward layer and backward layer should have different `go_backwards` value. "
                f"Received: {first.go_backwards} for both"
            )
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(first, name) != getattr(second, name):
                raise ValueError(
                    "Forward layer and backward layer are expected to have the same value for "
                    f'attribute "{name}". Received: {getattr(first, name)} and '
                    f"{getattr(second, name)}"
                )

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Build both layers."""
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: Any = None
    ) -> Any:
        """Both layers' outputs, combined; with ``return_state`` a tuple of that and the states."""
        forward_state = backward_state = None
        if initial_state is not None:
            half = len(initial_state) // 2
            forward_state, backward_state = initial_state[:half], initial_state[half:]
        keywords = {"mask": mask, "training": training}
        y = self.forward_layer(sequences, initial_state=forward_state, **keywords)
        z = self.backward_layer(sequences, initial_state=backward_state, **keywords)
        states: tuple[Any, ...] = ()
        if self.return_state:
            states = (*y[1:], *z[1:])
            y, z = y[0], z[0]
        y, z = cast(y, self.compute_dtype), cast(z, self.compute_dtype)
        if self.return_sequences:
            z = ops.flip(z, 1)
        match self.merge_mode:
            case "concat":
                output = ops.concatenate([y, z], axis=-1)
            case "sum":
                output = y + z
            case "ave":
                output = (y + z) / 2
            case "mul":
                output = y * z
            case _:
                return (y, z, *states)
        return (output, *states) if states else output

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the input for outputs of every step, none for states."""
        masks = tree.flatten(previous_mask)
        mask = masks[0] if masks and self.return_sequences else None
        outputs = [mask] if self.merge_mode is not None else [mask, mask]
        if self.return_state:
            return [*outputs, *[None] * (2 * len(self.forward_layer.state_size))]
        return outputs if len(outputs) > 1 else mask

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        """The output's shape (and the states') for an input shape."""
        shape = self.forward_layer.compute_output_shape(sequences_shape)
        shape, *states = shape if self.return_state else (shape,)
        if self.merge_mode == "concat":
            shape = (*shape[:-1], 2 * shape[-1])
        shapes = (shape, shape) if self.merge_mode is None else (shape,)
        return (*shapes, *states, *states) if len(shapes) > 1 or states else shape

    def reset_state(self) -> None:
        """Set the kept states of stateful layers back to zeros."""
        for layer in (self.forward_layer, self.backward_layer):
            layer.reset_state()

    reset_states = reset_state

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        for name, layer in (("layer", self.forward_layer), ("backward_layer", self.backward_layer)):
            config[name] = serialize_keras_object(layer)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer from what `get_config` gave."""
        settings = dict(config)
        settings.pop("num_constants", None)  # of Keras 2
        for key in ("layer", "backward_layer"):
            if key in settings:
                settings[key] = deserialize_keras_object(settings[key])
        return cls(**settings)


def _like(layer: Any, name: str, **changes: Any) -> Any:
    """A new layer with the arguments of another one."""
    return type(layer).from_config({**layer.get_config(), **changes, "name": name})
