"""Which layers compute their inside again for the gradient, rather than keep it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from typing import Any

from graphc.eager.custom import checkpoint
from graphc.keras import tree
from graphc.keras.engine.call_context import CallContext

_MODES = ("full", "activations", "larger_than", "list_of_layers", None)

_current: ContextVar[RematScope | None] = ContextVar("graphc_remat", default=None)


def remat(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose inside is computed again for its gradient, rather than kept for it.

    Args:
        function: Takes and returns tensors, or structures of them.

    Example:
        >>> block = keras.remat(lambda x: second(first(x)))
    """
    return checkpoint(function)


class RematScope:
    """Layers made inside compute their inside again for the gradient (https://keras.io/api/ops/core/).

    That saves memory where programs are trained, and costs time.

    Args:
        mode: ``"full"`` for all layers, ``"activations"`` for their activation functions only,
            ``"larger_than"`` for layers with a large output, ``"list_of_layers"`` for some by name;
            None for no layers.
        output_size_threshold: From how many elements on an output is large.
        layer_names: The names of the layers.

    Raises:
        ValueError: Another mode.

    Example:
        >>> with keras.RematScope(mode="full"):
        ...     block = layers.Dense(512, activation="gelu")
    """

    def __init__(
        self,
        mode: str | None = "full",
        output_size_threshold: int = 1024,
        layer_names: Sequence[str] | None = None,
    ):
        if mode not in _MODES:
            raise ValueError(
                f"Invalid mode '{mode}'. Supported modes are: "
                "'full', 'activations', 'larger_than', 'list_of_layers', or  None."
            )
        self.mode = mode
        self.output_size_threshold = output_size_threshold
        self.layer_names = list(layer_names or ())
        self._measures = False
        self._tokens: list[Token[RematScope | None]] = []

    def __enter__(self) -> RematScope:
        self._tokens.append(_current.set(self))
        return self

    def __exit__(self, *_: object) -> None:
        _current.reset(self._tokens.pop())

    def call(self, layer: Any, context: CallContext, args: Any, kwargs: Any) -> Any:
        """The result of a layer's `call` under this scope.

        Args:
            layer: The layer.
            context: The call's context; losses that are added go there.
            args: Positional arguments.
            kwargs: The others.
        """
        if self.mode == "activations" and callable(getattr(layer, "activation", None)):
            activation = layer.activation
            layer.__dict__["activation"] = checkpoint(activation)
            try:
                return layer.call(*args, **kwargs)
            finally:
                layer.__dict__["activation"] = activation
        if not self._applies_to(layer, args):
            return layer.call(*args, **kwargs)

        def call(*args: Any, **kwargs: Any) -> Any:
            count = len(context.losses)
            outputs = layer.call(*args, **kwargs)
            added = context.losses[count:]
            del context.losses[count:]
            return outputs, added

        outputs, added = checkpoint(call)(*args, **kwargs)
        context.losses += added
        return outputs

    def _applies_to(self, layer: Any, args: Any) -> bool:
        """Whether a call of a layer is computed again as a whole."""
        if self.mode == "larger_than" and args and not self._measures:
            shapes = tree.map_structure(lambda tensor: tensor.shape, args[0])
            self._measures = True  # that calls the layer, too
            try:
                outputs = layer.compute_output_shape(shapes)
            finally:
                self._measures = False
            return any(_size(s) > self.output_size_threshold for s in _flat_shapes(outputs))
        if self.mode == "list_of_layers":
            return layer.name in self.layer_names
        return self.mode == "full"


def current_scope() -> RematScope | None:
    """The innermost scope; None outside of all."""
    return _current.get()


def _flat_shapes(structure: Any) -> list[tuple[int | None, ...]]:
    if isinstance(structure, dict):
        return [shape for part in structure.values() for shape in _flat_shapes(part)]
    if all(size is None or isinstance(size, int) for size in structure):
        return [tuple(structure)]
    return [shape for part in structure for shape in _flat_shapes(part)]


def _size(shape: tuple[int | None, ...]) -> int:
    """The number of elements; a size that is open counts once."""
    return math.prod(size or 1 for size in shape)
