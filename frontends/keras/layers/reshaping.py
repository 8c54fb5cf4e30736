"""Layers that change a tensor's shape: Flatten, Reshape, Permute, RepeatVector."""

from __future__ import annotations

from typing import Any

from graphc.errors import ShapeError
from graphc.ir import dims
from graphc.keras import ops
from graphc.keras.engine.input_spec import InputSpec
from graphc.keras.layers.builtin import BuiltinLayer, data_format_of, positive
from graphc.keras.ops.arguments import completed_shape
from graphc.keras.saving.registry import public


@public("keras.layers")
class Flatten(BuiltinLayer):
    """All axes but the batch's in one (https://keras.io/api/layers/reshaping_layers/flatten/).

    Args:
        data_format: ``"channels_last"`` or ``"channels_first"``; with the latter the channels are
            moved to the end first.
        **kwargs: For `Layer`.

    Example:
        >>> keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten()]).output_shape
        (None, 784)
    """

    arguments = ("data_format",)

    def __init__(self, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.data_format = data_format_of(data_format, self)
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: Any) -> Any:
        """The input as ``(batch, features)``."""
        if self.data_format == "channels_first" and inputs.ndim > 2:
            inputs = ops.moveaxis(inputs, 1, -1)
        return ops.reshape(inputs, (inputs.dims[0], dims.product(inputs.dims[1:])))


@public("keras.layers")
class Reshape(BuiltinLayer):
    """The elements in another shape, row by row.

    Args:
        target_shape: The shape without the batch's size; one size may be -1.
        **kwargs: For `Layer`.

    Raises:
        ShapeError: The elements do not fill the shape.

    Example:
        >>> keras.layers.Reshape((28, 28, 1))
    """

    arguments = ("target_shape",)

    def __init__(self, target_shape: Any, **kwargs: Any):
        super().__init__(**kwargs)
        sizes = target_shape if isinstance(target_shape, (list, tuple)) else (target_shape,)
        self.target_shape = tuple(sizes)
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: Any) -> Any:
        """The input with another shape."""
        count = dims.product(inputs.dims[1:])
        what = f'Reshape "{self.name}"'
        sizes = completed_shape(self.target_shape, count, what)
        if dims.product(sizes) != count and isinstance(count, int):
            raise ShapeError(
                f"{what}: the input {inputs.shape} has {count} elements per sample, the target "
                f"shape {self.target_shape} {dims.product(sizes)}"
            )
        return ops.reshape(inputs, (inputs.dims[0], *sizes))


@public("keras.layers")
class Permute(BuiltinLayer):
    """The axes in another order.

    Args:
        dims: The order; axes are counted from 1, since the batch stays where it is.
        **kwargs: For `Layer`.

    Raises:
        ValueError: ``dims`` does not name every axis once.

    Example:
        >>> keras.layers.Permute((2, 1))
    """

    arguments = ("dims",)

    def __init__(self, dims: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                "Invalid permutation argument `dims` for Permute layer. The set of indices in "
                f"`dims` must be consecutive and start from 1. Received: dims={dims}"
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: Any) -> Any:
        """The input with its axes in the new order."""
        return ops.transpose(inputs, (0, *self.dims))


@public("keras.layers")
class RepeatVector(BuiltinLayer):
    """A vector as each step of a sequence.

    Args:
        n: The number of steps.
        **kwargs: For `Layer`.

    Input shape:
        ``(batch, features)``.

    Output shape:
        ``(batch, n, features)``.
    """

    arguments = ("n",)

    def __init__(self, n: int, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(n, int):
            raise TypeError(f"Expected an integer value for `n`, got {type(n)}.")
        self.n = positive(n, "n", self)
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: Any) -> Any:
        """The input ``n`` times along a new second axis."""
        batch, features = inputs.dims
        return ops.broadcast_to(ops.expand_dims(inputs, 1), (batch, self.n, features))
