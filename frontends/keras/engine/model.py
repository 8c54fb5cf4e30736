"""The base class of all models."""

from __future__ import annotations

from typing import Any

from graphc.eager.current import current_trace
from graphc.keras import tree
from graphc.keras.engine.keras2_methods import Keras2Methods
from graphc.keras.engine.keras_tensor import KerasTensor, input_type, keras_tensors
from graphc.keras.engine.layer import Layer
from graphc.keras.engine.trainer import Trainer
from graphc.keras.saving.persistence import Persistence


class Model(Trainer, Keras2Methods, Persistence, Layer):
    """A layer that can be trained, evaluated, saved and exported (https://keras.io/api/models/model/).

    There are three ways to make one: ``Model(inputs, outputs)`` from the results of layers called
    on `Input`; subclassing with a `call` method; and `Sequential`.

    Args:
        *args: ``inputs`` and ``outputs`` for a functional model.
        **kwargs: The same by name, and ``name``, ``trainable``, ``dtype``.

    Example:
        >>> x = Input(shape=(784,))
        >>> model = Model(x, Dense(10, activation="softmax")(x))
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and _is_functional(args, kwargs):
            return super().__new__(_functional_class(), *args, **kwargs)
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any):
        if _is_functional(args, kwargs):
            # A subclass whose constructor gives inputs and outputs is a functional model as well.
            functional = _functional_class()
            self.__class__ = type(type(self).__name__, (type(self), functional), {})
            functional.__init__(self, *args, **kwargs)
            return
        if args:
            raise TypeError(
                f"{type(self).__name__}: Model takes inputs and outputs, or keyword arguments; "
                f"received {args!r}"
            )
        super().__init__(**kwargs)

    def __setattr__(self, key: str, value: Any) -> None:
        if key == "layers":
            raise AttributeError(
                'the attribute "layers" of a model lists its layers and cannot be assigned; '
                "call yours something else"
            )
        super().__setattr__(key, value)

    @property
    def layers(self) -> list[Any]:
        """The layers that are direct parts of the model."""
        return [layer for layer in self.layers_inside if isinstance(layer, Layer)]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by name or by position.

        Raises:
            ValueError: There is no such layer, or neither or both are given.
        """
        if (name is None) == (index is None):
            raise ValueError("get_layer takes either a name or an index")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(
                    f'model "{self.name}" has {len(self.layers)} layers, so no layer {index}'
                )
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self.layers)
        raise ValueError(f'model "{self.name}" has no layer "{name}"; its layers are: {names}')

    def build(self, input_shape: Any) -> None:
        """Create the weights of a subclassed model without data, by tracing it.

        Args:
            input_shape: The shape of the input with the batch's size (None), or a structure of
                shapes.
        """
        if type(self).call is Layer.call:
            raise NotImplementedError(
                f"{type(self).__name__} has no call method: define `def call(self, inputs)`"
            )
        if not getattr(self, "_tracing_build", False):
            object.__setattr__(self, "_tracing_build", True)
            try:
                self.compute_output_shape(input_shape)
            finally:
                object.__setattr__(self, "_tracing_build", False)
        self.built = True

    def _build_from(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self._builds_in_call(args, kwargs):
            super()._build_from(args, kwargs)

    def _builds_in_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether the layers inside are built by a call that computes at once.

        Then the model's code runs once, and may look at the elements of its tensors.
        """
        plain = type(self).build is Model.build and type(self).call is not Layer.call
        return plain and current_trace() is None and not keras_tensors((args, kwargs))

    def _call_in_scope(self, *args: Any, **kwargs: Any) -> Any:
        if self.built or not self._builds_in_call(args, kwargs):
            return super()._call_in_scope(*args, **kwargs)
        shapes = self._argument_shapes(args, kwargs)
        outputs = super()._call_in_scope(*args, **kwargs)
        self._build_shapes = next(iter(shapes.values()), None)
        self.built = True
        return outputs

    def summary(
        self,
        line_length: int | None = None,
        positions: list[float] | None = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print a table of the layers, their output shapes and numbers of weights.

        Args:
            line_length: Width of the table.
            positions: Relative or absolute positions of columns.
            print_fn: Called with each piece of text instead of printing it.
            expand_nested: Whether the layers of models inside are listed as well.
            show_trainable: Whether a column says which layers train.
            layer_range: Names (regular expressions) of the first and last layer to show.

        Raises:
            ValueError: The model has not seen a shape yet.
        """
        from graphc.keras.engine.summary import print_summary  # loads rich

        print_summary(
            self,
            line_length=line_length,
            positions=positions,
            print_fn=print_fn,
            expand_nested=expand_nested,
            show_trainable=show_trainable,
            layer_range=layer_range,
        )

    def symbolic_inputs(self) -> Any:
        """KerasTensors for the model's inputs, in their structure; None before it saw a shape."""
        if not self.built or self._build_shapes is None:
            return None
        return tree.map_structure(
            lambda shape: KerasTensor(input_type(shape.sizes, self.compute_dtype, "")),
            _wrap_shapes(self._build_shapes),
        )

    def reset_states(self) -> None:
        """Set the states of stateful recurrent layers back to zeros."""
        for layer in self._flatten_layers():
            if layer is not self and hasattr(layer, "reset_states"):
                layer.reset_states()


class _Sizes:
    """A shape as one leaf of a structure."""

    def __init__(self, sizes: tuple[int | None, ...]):
        self.sizes = sizes


def _wrap_shapes(shapes: Any) -> Any:
    if isinstance(shapes, dict):
        return {key: _wrap_shapes(shape) for key, shape in shapes.items()}
    if all(size is None or isinstance(size, int) for size in shapes):
        return _Sizes(tuple(shapes))
    return [_wrap_shapes(shape) for shape in shapes]


def _is_functional(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return len(args) == 2 or (len(args) == 1 and "outputs" in kwargs) or "inputs" in kwargs


def _functional_class() -> Any:
    # The class is a subclass of Model, so it can only be found when it is needed.
    from graphc.keras.engine.functional import Functional

    return Functional
