"""Elements of images in another arrangement: blocks of space or depth, windows as columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.eager import Tensor, apply, as_tensor
from graphc.errors import ShapeError
from graphc.ir.dims import Dim, divide_exactly
from graphc.keras.ops.arguments import reshaped
from graphc.keras.ops.movement import pad, transpose
from graphc.keras.ops.recording import operation
from graphc.ops.gather import Gather, ScatterAdd
from graphc.ops.movement import Slice

__all__ = ["depth_to_space", "fold", "space_to_depth", "unfold"]


def window_places(size: int, window: int, stride: int, dilation: int) -> np.ndarray:
    """The positions that each window along an axis sees, ``[windows, window]``.

    Raises:
        ShapeError: Not even one window fits.
    """
    span = (window - 1) * dilation + 1
    if size < span:
        raise ShapeError(
            f"a window of {window} with dilation {dilation} is larger than an axis of {size}"
        )
    starts = np.arange(0, size - span + 1, stride)
    return (starts[:, None] + np.arange(window) * dilation).astype(np.int32)


def windows_of(
    x: Tensor,
    axes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> Tensor:
    """``x`` with each of some axes replaced by two: which window, and where in it.

    Args:
        x: A tensor.
        axes: Axes of known size, in rising order.
        window: A size for each.
        strides: Steps between neighbouring windows.
        dilations: Distances between the elements that one window sees.
    """
    for done, axis in enumerate(axes):
        place = axis + done
        size = known_size(x, place)
        if size >= window[done] == strides[done] and dilations[done] == 1:
            # Windows that touch: the axis in two, without copying elements.
            count = size // window[done]
            whole = _first_of(x, place, count * window[done])
            shape = (*x.dims[:place], count, window[done], *x.dims[place + 1 :])
            x = reshaped(whole, shape)
            continue
        places = window_places(size, window[done], strides[done], dilations[done])
        x = apply(Gather(place), x, as_tensor(places))
    return x


def known_size(x: Tensor, axis: int) -> int:
    """The size of an axis.

    Raises:
        ShapeError: It is known only when a program runs.
    """
    size = x.dims[axis]
    if isinstance(size, int):
        return size
    raise ShapeError(f"the size of axis {axis} has to be known. Received: shape={x.shape}")


def _first_of(x: Tensor, axis: int, size: int) -> Tensor:
    if x.dims[axis] == size:
        return x
    stops: list[Dim] = list(x.dims)
    stops[axis] = size
    return apply(Slice((0,) * x.ndim, tuple(stops), (1,) * x.ndim), x)


def pair(value: Any, name: str, function: str, least: int = 1) -> tuple[int, int]:
    """One integer for rows and columns, or one for each."""
    numbers = tuple(value) if isinstance(value, (list, tuple)) else (value, value)
    if len(numbers) != 2 or any(not isinstance(n, int) or n < least for n in numbers):
        raise ShapeError(
            f"{function}: `{name}` should be an integer of at least {least}, or two of them. "
            f"Received: {name}={value}"
        )
    return numbers[0], numbers[1]


@operation
def unfold(
    x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """What each window of an image sees, as columns.

    Args:
        x: ``(batch, channels, rows, columns)``.
        kernel_size: The window: one integer or two.
        dilation: Distances between the elements that one window sees.
        padding: Zeros around the image.
        stride: Steps between neighbouring windows.

    Returns:
        ``(batch, channels * window, windows)``.

    Example:
        >>> keras.ops.unfold(images, kernel_size=3, padding=1)
    """
    image = as_tensor(x)
    if image.ndim != 4:
        raise ShapeError(
            f"unfold: needs (batch, channels, rows, columns). Received: shape={image.shape}"
        )
    window, steps = pair(kernel_size, "kernel_size", "unfold"), pair(stride, "stride", "unfold")
    gaps = pair(dilation, "dilation", "unfold")
    margins = pair(padding, "padding", "unfold", least=0)
    if any(margins):
        image = pad(image, ((0, 0), (0, 0), (margins[0],) * 2, (margins[1],) * 2))
    seen = windows_of(image, (2, 3), window, steps, gaps)
    batch, channels, rows, high, columns, wide = seen.dims
    columned = transpose(seen, (0, 1, 3, 5, 2, 4))
    return reshaped(columned, (batch, channels * high * wide, rows * columns))


@operation
def fold(
    x: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """Columns put back as windows into an image, where they overlap added; see `unfold`.

    Args:
        x: ``(batch, channels * window, windows)``.
        output_size: Rows and columns of the image.
        kernel_size: The window.
        dilation: Distances between the elements of a window.
        padding: How many rows and columns are cut from each side at the end.
        stride: Steps between neighbouring windows.

    Returns:
        ``(batch, channels, rows, columns)``.

    Raises:
        ShapeError: That many windows do not make such an image.
    """
    columns = as_tensor(x)
    window, steps = pair(kernel_size, "kernel_size", "fold"), pair(stride, "stride", "fold")
    gaps = pair(dilation, "dilation", "fold")
    margins = pair(padding, "padding", "fold", least=0)
    sizes = pair(output_size, "output_size", "fold", least=0)
    padded = [size + 2 * margin for size, margin in zip(sizes, margins, strict=True)]
    places = [window_places(*axis) for axis in zip(padded, window, steps, gaps, strict=True)]
    counts = [len(place) for place in places]
    channels = None
    if columns.ndim == 3:
        channels = divide_exactly(columns.dims[1], window[0] * window[1])
    if channels is None or columns.dims[-1] != counts[0] * counts[1]:
        raise ShapeError(
            f"fold: an image of {sizes} has {counts[0] * counts[1]} windows of {window}, and "
            f"`x` should be (batch, channels * {window[0] * window[1]}, "
            f"{counts[0] * counts[1]}). Received: shape={columns.shape}"
        )
    split = reshaped(columns, (columns.dims[0], channels, *window, *counts))
    image = transpose(split, (0, 1, 4, 2, 5, 3))
    image = apply(ScatterAdd(4, padded[1]), as_tensor(places[1]), image)
    image = apply(ScatterAdd(2, padded[0]), as_tensor(places[0]), image)
    if not any(margins):
        return image
    starts = (0, 0, *margins)
    stops = (*image.dims[:2], margins[0] + sizes[0], margins[1] + sizes[1])
    return apply(Slice(starts, stops, (1,) * 4), image)


def _block(x: Any, block_size: Any, data_format: str, function: str) -> tuple[Tensor, int, bool]:
    image = as_tensor(x)
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(
            f"{function}: `data_format` should be 'channels_last' or 'channels_first'. "
            f"Received: {data_format!r}"
        )
    if image.ndim != 4 or not isinstance(block_size, int) or block_size < 1:
        raise ShapeError(
            f"{function}: needs a batch of images (4 axes) and a block size of at least 1. "
            f"Received: shape={image.shape}, block_size={block_size}"
        )
    return image, block_size, data_format == "channels_last"


def _quotient(dim: Dim, divisor: int, what: str, function: str, x: Tensor) -> Dim:
    quotient = divide_exactly(dim, divisor)
    if quotient is None:
        raise ShapeError(
            f"{function}: {what}, {dim}, is no multiple of {divisor}. Received: shape={x.shape}"
        )
    return quotient


@operation
def depth_to_space(x: Any, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Channels spread out as blocks of the image, which grows (pixel shuffle).

    Args:
        x: ``(batch, rows, columns, channels * block_size**2)``, or channels second.
        block_size: The factor by which rows and columns grow.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Raises:
        ShapeError: The channels are no multiple of the elements of a block.
    """
    image, size, last = _block(x, block_size, data_format, "depth_to_space")
    squared = size * size
    if last:
        batch, rows, columns, deep = image.dims
        channels = _quotient(deep, squared, "the number of channels", "depth_to_space", image)
        parts = reshaped(image, (batch, rows, columns, size, size, channels))
        mixed = transpose(parts, (0, 1, 3, 2, 4, 5))
        return reshaped(mixed, (batch, rows * size, columns * size, channels))
    batch, deep, rows, columns = image.dims
    channels = _quotient(deep, squared, "the number of channels", "depth_to_space", image)
    parts = reshaped(image, (batch, channels, size, size, rows, columns))
    mixed = transpose(parts, (0, 1, 4, 2, 5, 3))
    return reshaped(mixed, (batch, channels, rows * size, columns * size))


@operation
def space_to_depth(x: Any, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Blocks of an image as channels of a smaller one; the inverse of `depth_to_space`.

    Raises:
        ShapeError: Rows or columns are no multiple of the block size.
    """
    image, size, last = _block(x, block_size, data_format, "space_to_depth")
    first = 1 if last else 2
    rows, columns = (
        _quotient(image.dims[axis], size, f"axis {axis}", "space_to_depth", image)
        for axis in (first, first + 1)
    )
    if last:
        batch, channels = image.dims[0], image.dims[3]
        parts = reshaped(image, (batch, rows, size, columns, size, channels))
        mixed = transpose(parts, (0, 1, 3, 2, 4, 5))
        return reshaped(mixed, (batch, rows, columns, channels * size * size))
    batch, channels = image.dims[:2]
    parts = reshaped(image, (batch, channels, rows, size, columns, size))
    mixed = transpose(parts, (0, 1, 3, 5, 2, 4))
    return reshaped(mixed, (batch, channels * size * size, rows, columns))
