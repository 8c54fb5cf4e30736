"""What layers over images have in common: where the channels are, and windows that slide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from graphc.errors import ShapeError
from graphc.ir.dims import Shape
from graphc.keras.engine.input_spec import InputSpec
from graphc.keras.layers.builtin import BuiltinLayer, data_format_of
from graphc.ops.window import Padding, same_padding


class SpatialLayer(BuiltinLayer):
    """A layer over the spatial axes of an image.

    Args:
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    #: The number of spatial axes.
    rank: ClassVar[int] = 1

    def __init__(self, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.data_format = data_format_of(data_format, self)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def layout(self) -> str:
        """Where images have their channels, as graph ops call it."""
        return "last" if self.data_format == "channels_last" else "first"

    @property
    def channel_axis(self) -> int:
        """The axis of the channels."""
        return -1 if self.data_format == "channels_last" else 1

    @property
    def spatial_axes(self) -> range:
        """The spatial axes of the input."""
        first = 1 if self.data_format == "channels_last" else 2
        return range(first, first + self.rank)

    def spatial(self, shape: Sequence[Any]) -> tuple[Any, ...]:
        """The spatial sizes of an image's shape."""
        return tuple(shape[axis] for axis in self.spatial_axes)

    def image_shape(self, batch: Any, spatial: Sequence[Any], channels: Any) -> tuple[Any, ...]:
        """The shape of an image in the layer's data format."""
        last = self.data_format == "channels_last"
        return (batch, *spatial, channels) if last else (batch, channels, *spatial)

    def padding_for(
        self,
        spatial: Shape,
        window: Sequence[int],
        strides: Sequence[int],
        dilations: Sequence[int],
        padding: str,
    ) -> Padding:
        """The elements before and after each spatial axis.

        Args:
            spatial: The spatial shape of the image.
            window: The window's spatial shape.
            strides: Steps between neighbouring windows.
            dilations: Distances between the elements that a window sees.
            padding: ``"valid"``, ``"same"`` or ``"causal"``.

        Raises:
            ShapeError: Not even one window fits.
        """
        spans = [(size - 1) * step + 1 for size, step in zip(window, dilations, strict=True)]
        if padding == "causal":
            return tuple((span - 1, 0) for span in spans)
        if padding == "same":
            return same_padding(spatial, window, strides, dilations)
        for axis, size, span in zip(self.spatial_axes, spatial, spans, strict=True):
            if isinstance(size, int) and size < span:
                raise ShapeError(
                    f'{type(self).__name__} "{self.name}": the input is too small: it has size '
                    f'{size} along axis {axis}, and a window needs {span}. Use padding="same", '
                    "a smaller window, less pooling before, or larger inputs"
                )
        return ((0, 0),) * len(spans)

    def window_counts(
        self,
        spatial: Sequence[int | None],
        window: Sequence[int],
        strides: Sequence[int],
        dilations: Sequence[int],
        padding: str,
    ) -> tuple[int | None, ...]:
        """How many windows fit along each axis; None where the size is not known."""
        if padding == "valid":
            known: Any = [size for size in spatial if size is not None]
            if len(known) == len(spatial):
                self.padding_for(tuple(known), window, strides, dilations, padding)
        counts = []
        for size, width, stride, step in zip(spatial, window, strides, dilations, strict=True):
            span = (width - 1) * step + 1 if padding == "valid" else 1
            counts.append(None if size is None else (size - span) // stride + 1)
        return tuple(counts)
