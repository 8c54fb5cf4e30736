"""Windows that slide over the spatial axes: what convolution and pooling have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError, ShapeError, UnsupportedError
from graphc.ir import FLOATS, Op, TensorType, is_complex
from graphc.ir.dims import Dim, Shape, shape_text

LAYOUTS = ("last", "first")
Padding = tuple[tuple[int, int], ...]


class Windowed(Op, kw_only=True):
    """An op that looks at an image of any number of spatial axes through a sliding window.

    Args:
        strides: Steps between neighbouring windows, one per spatial axis.
        padding: Elements put before and after each spatial axis.
        layout: ``"last"`` if channels are the last axis (batch, spatial axes, channels),
            ``"first"`` if they come second (batch, channels, spatial axes).
    """

    strides: tuple[int, ...]
    padding: Padding
    layout: str = "last"
    #: Whether it takes complex numbers, too.
    takes_complex: ClassVar[bool] = False

    def split(self, x: TensorType) -> tuple[Dim, Shape, Dim]:
        """The batch size, the spatial shape and the number of channels of an image.

        Raises:
            ShapeError: The image has another rank; an attribute makes no sense.
            DTypeError: Its elements are no numbers that the op takes.
        """
        if x.dtype not in FLOATS and not (self.takes_complex and is_complex(x.dtype)):
            raise DTypeError(f"takes {', '.join(FLOATS)}, not {x.dtype}")
        if self.layout not in LAYOUTS:
            raise ShapeError(f'the layout is one of "last", "first", not {self.layout!r}')
        count = len(self.strides)
        if x.rank != count + 2:
            raise ShapeError(f"{count} strides need an image of rank {count + 2}, not {x.rank}")
        if len(self.padding) != count:
            raise ShapeError(f"{count} spatial axes need {count} pairs of padding")
        if any(width < 0 for pair in self.padding for width in pair) or min(self.strides) < 1:
            raise ShapeError("padding is at least 0, and strides at least 1")
        if self.layout == "last":
            return x.shape[0], x.shape[1:-1], x.shape[-1]
        return x.shape[0], x.shape[2:], x.shape[1]

    def image(self, batch: Dim, spatial: Shape, channels: Dim, dtype: str) -> TensorType:
        """The type of an image in the layout of the op."""
        shape = (*spatial, channels) if self.layout == "last" else (channels, *spatial)
        return TensorType((batch, *shape), dtype)

    def windows(self, spatial: Shape, window: Sequence[int], dilations: Sequence[int]) -> Shape:
        """How many windows fit into an image of the given spatial shape, along each axis.

        Raises:
            ShapeError: Not even one does.
        """
        counts = []
        for axis, size in enumerate(spatial):
            before, after = self.padding[axis]
            rest = size + (before + after - (window[axis] - 1) * dilations[axis] - 1)
            if isinstance(rest, int) and rest < 0:
                raise ShapeError(
                    f"a window of {shape_text(window)} with dilations {shape_text(dilations)} "
                    f"is larger than the image of {shape_text(spatial)} "
                    f"padded by {self.padding}"
                )
            counts.append(rest // self.strides[axis] + 1)
        return tuple(counts)

    def channels_last(self, x: np.ndarray) -> np.ndarray:
        """An image with its channels moved to the last axis, if they are not there."""
        return x if self.layout == "last" else np.moveaxis(x, 1, -1)

    def own_layout(self, x: np.ndarray, dtype: Any) -> np.ndarray:
        """An image with channels last as the op's result."""
        x = x if self.layout == "last" else np.moveaxis(x, -1, 1)
        return x.astype(dtype, order="C")

    def look(
        self, x: np.ndarray, window: Sequence[int], dilations: Sequence[int], fill: float = 0.0
    ) -> np.ndarray:
        """What every window sees.

        Args:
            x: An image, channels last.
            window: The window's spatial shape.
            dilations: Distances between the elements that one window sees.
            fill: What it sees outside of the image.

        Returns:
            Shape [batch, windows..., channels, positions in the window (flat)].
        """
        axes = tuple(range(1, x.ndim - 1))
        counts = self.windows(x.shape[1:-1], window, dilations)
        padded = np.pad(x, [(0, 0), *self.padding, (0, 0)], constant_values=fill)
        spans = tuple((size - 1) * step + 1 for size, step in zip(window, dilations, strict=True))
        view = np.lib.stride_tricks.sliding_window_view(padded, spans, axes)
        starts = tuple(slice(None, None, stride) for stride in self.strides)
        seen = tuple(slice(None, None, step) for step in dilations)
        return view[(slice(None), *starts, slice(None), *seen)].reshape(
            x.shape[0], *counts, x.shape[-1], int(np.prod(window))
        )

    def put(
        self, seen: np.ndarray, spatial: Shape, window: Sequence[int], dilations: Sequence[int]
    ) -> np.ndarray:
        """The adjoint of `look`: every window adds what it holds to the image below it.

        Args:
            seen: Shape [batch, windows..., channels, positions in the window].
            spatial: The spatial shape of the image.
            window: The window's spatial shape.
            dilations: Distances between the elements of a window.

        Returns:
            The image, channels last.
        """
        batch, *counts, channels, _ = seen.shape
        sizes = [
            size + before + after
            for size, (before, after) in zip(spatial, self.padding, strict=True)
        ]
        total = np.zeros((batch, *sizes, channels), seen.dtype)
        for flat, position in enumerate(np.ndindex(*window)):
            place = tuple(
                slice(index * dilation, index * dilation + (count - 1) * stride + 1, stride)
                for index, dilation, count, stride in zip(
                    position, dilations, counts, self.strides, strict=True
                )
            )
            total[(slice(None), *place)] += seen[..., flat]
        inside = tuple(
            slice(before, before + size)
            for size, (before, _) in zip(spatial, self.padding, strict=True)
        )
        return total[(slice(None), *inside)]

    @property
    def onnx_pads(self) -> list[int]:
        """The padding as ONNX writes it: all befores, then all afters."""
        return [before for before, _ in self.padding] + [after for _, after in self.padding]

    def to_first(self, context: Any, x: str) -> str:
        """An operand's ONNX name, with channels in the second axis, as ONNX has them."""
        if self.layout == "first":
            return x
        count = len(self.strides)
        return context.node("Transpose", [x], perm=[0, count + 1, *range(1, count + 1)])

    def from_first(self, context: Any, y: str) -> str:
        """The ONNX name of a result whose channels are in the second axis, in the op's layout."""
        if self.layout == "first":
            return y
        count = len(self.strides)
        return context.node("Transpose", [y], perm=[0, *range(2, count + 2), 1])


def same_padding(
    spatial: Shape, window: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Padding:
    """The padding that Keras and TensorFlow call "same": as many windows as strides, rounded up.

    Args:
        spatial: The spatial shape of the image.
        window: The window's spatial shape.
        strides: Steps between neighbouring windows.
        dilations: Distances between the elements that one window sees.

    Returns:
        For each spatial axis the elements before and after it; an odd one goes after it.

    Raises:
        UnsupportedError: A size is not known, and the padding would depend on it.
    """
    pairs = []
    for axis, (size, stride) in enumerate(zip(spatial, strides, strict=True)):
        span = (window[axis] - 1) * dilations[axis] + 1
        if stride == 1:
            total = span - 1
        elif isinstance(size, int):
            total = max((-(-size // stride) - 1) * stride + span - size, 0)
        else:
            raise UnsupportedError(
                f'padding "same" with strides {tuple(strides)} depends on the size {size}, which '
                f'is not known: fix the size of the input, or use padding "valid"'
            )
        pairs.append((total // 2, total - total // 2))
    return tuple(pairs)
