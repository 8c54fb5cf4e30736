"""Pooling: the largest or the mean element of windows, and of whole images."""

from __future__ import annotations

from typing import Any, ClassVar

from graphc.eager import apply, cast
from graphc.keras import ops
from graphc.keras.layers.builtin import one_of, per_axis
from graphc.keras.layers.spatial import SpatialLayer
from graphc.keras.saving.registry import public
from graphc.ops.pool import AveragePool, MaxPool


class _Pooling(SpatialLayer):
    """A window that slides over an image.

    Args:
        pool_size: The window's size along each spatial axis.
        strides: Steps between neighbouring windows; None for windows side by side.
        padding: ``"valid"`` (windows stay inside) or ``"same"`` (they may reach over the edges).
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    arguments = ("pool_size", "padding", "strides", "data_format")
    op: ClassVar[type[MaxPool] | type[AveragePool]]

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(data_format, **kwargs)
        self.pool_size = per_axis(pool_size, self.rank, "pool_size", self)
        steps = self.pool_size if strides is None else strides
        self.strides = per_axis(steps, self.rank, "strides", self)
        self.padding = one_of(padding, ("valid", "same"), "padding", self)

    def call(self, inputs: Any) -> Any:
        """The pooled image."""
        ones = (1,) * self.rank
        windows = (self.pool_size, self.strides, ones)
        padding = self.padding_for(self.spatial(inputs.dims), *windows, self.padding)
        op = self.op(
            window=self.pool_size, strides=self.strides, padding=padding, layout=self.layout
        )
        return apply(op, inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input shape."""
        windows = (self.pool_size, self.strides, (1,) * self.rank)
        counts = self.window_counts(self.spatial(input_shape), *windows, self.padding)
        return self.image_shape(input_shape[0], counts, input_shape[self.channel_axis])


@public("keras.layers")
class MaxPooling1D(_Pooling):
    """The largest element of windows over a sequence; see `MaxPooling2D`."""

    rank = 1
    op = MaxPool


@public("keras.layers")
class MaxPooling2D(_Pooling):
    """The largest element of windows over an image.

    Args:
        pool_size: The window: rows and columns, or one number for both.
        strides: Steps between neighbouring windows; None for windows side by side.
        padding: ``"valid"`` or ``"same"``.
        data_format: ``"channels_last"`` (batch, height, width, channels) or ``"channels_first"``.
        **kwargs: For `Layer`.

    Raises:
        ShapeError: The input is smaller than a window, with ``padding="valid"``.

    Example:
        >>> keras.layers.MaxPooling2D((2, 2))
    """

    rank = 2
    op = MaxPool


@public("keras.layers")
class MaxPooling3D(_Pooling):
    """The largest element of windows over a volume; see `MaxPooling2D`."""

    rank = 3
    op = MaxPool


@public("keras.layers")
class AveragePooling1D(_Pooling):
    """The mean of windows over a sequence; see `AveragePooling2D`."""

    rank = 1
    op = AveragePool


@public("keras.layers")
class AveragePooling2D(_Pooling):
    """The mean of windows over an image; what lies over the edges does not count.

    Args:
        pool_size: The window: rows and columns, or one number for both.
        strides: Steps between neighbouring windows; None for windows side by side.
        padding: ``"valid"`` or ``"same"``.
        data_format: ``"channels_last"`` (batch, height, width, channels) or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    rank = 2
    op = AveragePool


@public("keras.layers")
class AveragePooling3D(_Pooling):
    """The mean of windows over a volume; see `AveragePooling2D`."""

    rank = 3
    op = AveragePool


class _GlobalPooling(SpatialLayer):
    """One number per channel.

    Args:
        data_format: ``"channels_last"`` or ``"channels_first"``.
        keepdims: Whether the spatial axes stay, with size 1.
        **kwargs: For `Layer`.
    """

    arguments = ("data_format", "keepdims")

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any):
        super().__init__(data_format, **kwargs)
        self.keepdims = keepdims

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input shape."""
        channels = input_shape[self.channel_axis]
        sizes = (1,) * self.rank if self.keepdims else ()
        return self.image_shape(input_shape[0], sizes, channels)


class _GlobalAverage(_GlobalPooling):
    def call(self, inputs: Any) -> Any:
        """The mean of each channel."""
        return ops.mean(inputs, list(self.spatial_axes), keepdims=self.keepdims)


class _GlobalMax(_GlobalPooling):
    def call(self, inputs: Any) -> Any:
        """The largest element of each channel."""
        return ops.max(inputs, list(self.spatial_axes), keepdims=self.keepdims)


@public("keras.layers")
class GlobalAveragePooling1D(_GlobalAverage):
    """The mean of each feature of a sequence; steps that are masked do not count.

    Args:
        data_format: ``"channels_last"`` or ``"channels_first"``.
        keepdims: Whether the axis of time stays, with size 1.
        **kwargs: For `Layer`.
    """

    rank = 1

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any):
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """The mean of each feature."""
        if mask is None:
            return super().call(inputs)
        (axis,) = self.spatial_axes
        kept = ops.expand_dims(cast(mask, "bool"), 3 - axis)
        total = ops.sum(ops.where(kept, inputs, 0), axis, keepdims=self.keepdims)
        return total / ops.sum(cast(kept, inputs.dtype), axis, keepdims=self.keepdims)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None: there are no steps any more."""
        return None


@public("keras.layers")
class GlobalAveragePooling2D(_GlobalAverage):
    """The mean of each channel of an image.

    Args:
        data_format: ``"channels_last"`` or ``"channels_first"``.
        keepdims: Whether the spatial axes stay, with size 1.
        **kwargs: For `Layer`.
    """

    rank = 2


@public("keras.layers")
class GlobalAveragePooling3D(_GlobalAverage):
    """The mean of each channel of a volume; see `GlobalAveragePooling2D`."""

    rank = 3


@public("keras.layers")
class GlobalMaxPooling1D(_GlobalMax):
    """The largest element of each feature of a sequence; see `GlobalMaxPooling2D`."""

    rank = 1


@public("keras.layers")
class GlobalMaxPooling2D(_GlobalMax):
    """The largest element of each channel of an image.

    Args:
        data_format: ``"channels_last"`` or ``"channels_first"``.
        keepdims: Whether the spatial axes stay, with size 1.
        **kwargs: For `Layer`.
    """

    rank = 2


@public("keras.layers")
class GlobalMaxPooling3D(_GlobalMax):
    """The largest element of each channel of a volume; see `GlobalMaxPooling2D`."""

    rank = 3


class _AdaptivePooling(SpatialLayer):
    """So many windows that together cover an image, whatever its size.

    Args:
        output_size: How many windows along each spatial axis.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    arguments = ("output_size", "data_format")
    largest: ClassVar[bool]

    def __init__(self, output_size: Any, data_format: str | None = None, **kwargs: Any):
        super().__init__(data_format, **kwargs)
        self.output_size = per_axis(output_size, self.rank, "output_size", self)

    def call(self, inputs: Any) -> Any:
        """The pooled image."""
        pool = ops.adaptive_max_pool if self.largest else ops.adaptive_average_pool
        return pool(inputs, self.output_size, self.data_format)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input shape."""
        return self.image_shape(input_shape[0], self.output_size, input_shape[self.channel_axis])


class _AdaptiveAveragePooling(_AdaptivePooling):
    largest = False


class _AdaptiveMaxPooling(_AdaptivePooling):
    largest = True


@public("keras.layers")
class AdaptiveAveragePooling1D(_AdaptiveAveragePooling):
    """The means of so many windows over a sequence; see `AdaptiveAveragePooling2D`."""

    rank = 1


@public("keras.layers")
class AdaptiveAveragePooling2D(_AdaptiveAveragePooling):
    """The means of so many windows that together cover an image, whatever its size.

    Args:
        output_size: Rows and columns of the result, or one number for both.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    rank = 2


@public("keras.layers")
class AdaptiveAveragePooling3D(_AdaptiveAveragePooling):
    """The means of so many windows over a volume; see `AdaptiveAveragePooling2D`."""

    rank = 3


@public("keras.layers")
class AdaptiveMaxPooling1D(_AdaptiveMaxPooling):
    """The largest elements of so many windows over a sequence; see `AdaptiveMaxPooling2D`."""

    rank = 1


@public("keras.layers")
class AdaptiveMaxPooling2D(_AdaptiveMaxPooling):
    """The largest elements of so many windows over an image; see `AdaptiveAveragePooling2D`."""

    rank = 2


@public("keras.layers")
class AdaptiveMaxPooling3D(_AdaptiveMaxPooling):
    """The largest elements of so many windows over a volume; see `AdaptiveAveragePooling2D`."""

    rank = 3
