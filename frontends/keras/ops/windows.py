"""Convolutions and pooling: https://keras.io/api/ops/nn/."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.config import config
from graphc.eager import Tensor, apply, as_tensor
from graphc.eager.tensor import promoted
from graphc.errors import ShapeError
from graphc.ir.dims import Shape
from graphc.keras.ops.arguments import float_tensor
from graphc.keras.ops.elementwise import where
from graphc.keras.ops.movement import reshape
from graphc.keras.ops.patches import known_size
from graphc.keras.ops.recording import operation
from graphc.keras.ops.reduction import max as reduce_max
from graphc.keras.ops.reduction import sum as reduce_sum
from graphc.ops.conv import Conv, ConvTranspose
from graphc.ops.gather import Gather
from graphc.ops.pool import AveragePool, MaxPool
from graphc.ops.window import Padding, same_padding

__all__ = [
    "adaptive_average_pool", "adaptive_max_pool", "average_pool", "conv", "conv_transpose",
    "depthwise_conv", "max_pool", "separable_conv",
]  # fmt: skip


def _sizes(value: Any, count: int, name: str, function: str, least: int = 1) -> tuple[int, ...]:
    """One integer for all spatial axes, or one for each.

    Raises:
        ShapeError: Another number of them, or one that is too small.
    """
    sizes = tuple(value) if isinstance(value, (list, tuple)) else (value,) * count
    if len(sizes) != count or any(not isinstance(size, int) or size < least for size in sizes):
        kind = "a positive integer" if least else "an integer that is not negative"
        raise ShapeError(
            f"{function}: `{name}` should be {kind}, or {count} of them. Received: {name}={value}"
        )
    return sizes


def _layout(data_format: str | None, function: str) -> str:
    """``"last"`` or ``"first"``.

    Raises:
        ValueError: Another data format.
    """
    data_format = data_format or config.image_data_format
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(
            f"{function}: `data_format` should be 'channels_last' or 'channels_first'. "
            f"Received: {data_format!r}"
        )
    return data_format.removeprefix("channels_")


def _padding(
    padding: str,
    x: Tensor,
    layout: str,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    function: str,
) -> Padding:
    spatial: Shape = x.dims[1:-1] if layout == "last" else x.dims[2:]
    if padding not in ("same", "valid"):
        raise ValueError(
            f"{function}: `padding` should be 'same' or 'valid'. Received: {padding!r}"
        )
    if padding == "same":
        return same_padding(spatial, window, strides, dilations)
    return ((0, 0),) * len(window)


def _image(x: Tensor, function: str) -> int:
    """The number of spatial axes.

    Raises:
        ShapeError: There is none.
    """
    if x.ndim < 3:
        raise ShapeError(
            f"{function}: needs a batch of images (batch, spatial axes, channels). "
            f"Received: shape={x.shape}"
        )
    return x.ndim - 2


def _convolve(
    x: Tensor,
    kernel: Tensor,
    strides: Any,
    padding: str,
    data_format: str | None,
    dilation_rate: Any,
    function: str,
    groups: Any = None,
) -> Tensor:
    count = _image(x, function)
    layout = _layout(data_format, function)
    if kernel.ndim != count + 2:
        raise ShapeError(
            f"{function}: {count} spatial axes need a kernel with {count + 2} axes. "
            f"Received: inputs.shape={x.shape}, kernel.shape={kernel.shape}"
        )
    steps = _sizes(strides, count, "strides", function)
    dilations = _sizes(dilation_rate, count, "dilation_rate", function)
    window = tuple(int(size) for size in kernel.dims[:count])
    channels = x.dims[-1 if layout == "last" else 1]
    inputs = kernel.dims[-2]
    if groups is None:
        if not isinstance(channels, int) or channels % int(inputs):
            raise ShapeError(
                f"{function}: the number of input channels, {channels}, is no multiple of the "
                f"kernel's {inputs}. Received: inputs.shape={x.shape}, kernel.shape={kernel.shape}"
            )
        groups = channels // int(inputs)
    pads = _padding(padding, x, layout, window, steps, dilations, function)
    op = Conv(strides=steps, padding=pads, dilations=dilations, groups=groups, layout=layout)
    return apply(op, x, kernel)


@operation
def conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """A convolution over any number of spatial axes.

    Args:
        inputs: ``(batch, *spatial, channels)``, or channels second.
        kernel: ``(*window, channels, outputs)``; fewer channels than the inputs make groups.
        strides: Steps between neighbouring windows.
        padding: ``"valid"`` or ``"same"``.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        dilation_rate: Distances between the elements that one window sees.

    Raises:
        ShapeError: The kernel does not fit the inputs.
        ValueError: Another padding or data format.

    Example:
        >>> keras.ops.conv(images, kernel, strides=2, padding="same")
    """
    x, weights = promoted(float_tensor(inputs), float_tensor(kernel))
    return _convolve(x, weights, strides, padding, data_format, dilation_rate, "conv")


@operation
def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """A convolution of each channel on its own.

    Args:
        inputs: As for `conv`.
        kernel: ``(*window, channels, multiplier)``.
        strides: As for `conv`.
        padding: As for `conv`.
        data_format: As for `conv`.
        dilation_rate: As for `conv`.
    """
    x, weights = promoted(float_tensor(inputs), float_tensor(kernel))
    *window, channels, multiplier = weights.dims
    grouped = reshape(weights, (*window, 1, channels * multiplier))
    return _convolve(
        x, grouped, strides, padding, data_format, dilation_rate, "depthwise_conv", channels
    )


def transpose_margins(
    span: int, stride: int, padding: str, extra: int | None = None
) -> tuple[int, int]:
    """How far the result of a transposed convolution reaches beyond its first and last window's
    first element, by Keras's rule.

    They add up so that the result has ``size * stride`` elements (at least) if nothing else is
    said.

    Args:
        span: From the first to the last element that a window fills.
        stride: Steps between neighbouring windows.
        padding: ``"valid"`` or ``"same"``.
        extra: The ``output_padding``; None where it is left to the rule.
    """
    if padding == "valid":
        more = max(span, stride) - span if extra is None else extra
        return span - 1, span - 1 + more
    total = stride + span - 2 if extra is None else span + span % 2 - 2 + extra
    before = min(total // 2 + total % 2, span - 1)
    return before, total - before


@operation
def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """A transposed convolution: what the gradient of `conv` does, as an operation of its own.

    Args:
        inputs: ``(batch, *spatial, channels)``, or channels second.
        kernel: ``(*window, outputs, channels)``.
        strides: Factors by which the image grows.
        padding: ``"valid"`` or ``"same"``.
        output_padding: How much larger the result is than it has to be; less than the strides.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        dilation_rate: Distances between the elements that one window fills.

    Raises:
        ShapeError: The kernel does not fit the inputs.
        ValueError: Another padding or data format.
    """
    x, weights = promoted(float_tensor(inputs), float_tensor(kernel))
    function = "conv_transpose"
    count = _image(x, function)
    layout = _layout(data_format, function)
    if padding not in ("same", "valid"):
        raise ValueError(
            f"{function}: `padding` should be 'same' or 'valid'. Received: {padding!r}"
        )
    channels = x.dims[-1 if layout == "last" else 1]
    if weights.ndim != count + 2 or weights.dims[-1] != channels:
        raise ShapeError(
            f"{function}: {channels} input channels and {count} spatial axes need a kernel with "
            f"{count + 2} axes whose last one is {channels}. Received: inputs.shape={x.shape}, "
            f"kernel.shape={weights.shape}"
        )
    steps = _sizes(strides, count, "strides", function)
    dilations = _sizes(dilation_rate, count, "dilation_rate", function)
    extras: tuple[int | None, ...] = (None,) * count
    if output_padding is not None:
        extras = _sizes(output_padding, count, "output_padding", function, least=0)
        if any(extra >= step for extra, step in zip(extras, steps, strict=True)):
            raise ValueError(
                f"{function}: `output_padding` should be less than `strides`. "
                f"Received: output_padding={output_padding}, strides={strides}"
            )
    spatial, pads = [], []
    image = x.dims[1:-1] if layout == "last" else x.dims[2:]
    for axis, size in enumerate(image):
        span = (int(weights.dims[axis]) - 1) * dilations[axis] + 1
        before, after = transpose_margins(span, steps[axis], padding, extras[axis])
        spatial.append((size - 1) * steps[axis] + before + after + 2 - span)
        # The margins of the result are what the convolution behind it leaves out. A margin that
        # no window reaches holds zeros, and is nothing that is left out.
        pads.append((span - 1 - before, max(span - 1 - after, 0)))
    op = ConvTranspose(
        strides=steps,
        padding=tuple(pads),
        dilations=dilations,
        layout=layout,
        spatial=tuple(spatial),
    )
    return apply(op, x, weights)


@operation
def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """`depthwise_conv`, then a mixture of the channels at each place.

    Args:
        inputs: As for `conv`.
        depthwise_kernel: As for `depthwise_conv`.
        pointwise_kernel: ``(1, ..., channels * multiplier, outputs)``.
        strides: As for `conv`.
        padding: As for `conv`.
        data_format: As for `conv`.
        dilation_rate: As for `conv`.
    """
    x = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(x, pointwise_kernel, 1, padding, data_format)


def _pool(
    kind: type[MaxPool] | type[AveragePool],
    inputs: Any,
    pool_size: Any,
    strides: Any,
    padding: str,
    data_format: str | None,
    function: str,
) -> Tensor:
    x = float_tensor(inputs)
    count = _image(x, function)
    layout = _layout(data_format, function)
    window = _sizes(pool_size, count, "pool_size", function)
    steps = window if strides is None else _sizes(strides, count, "strides", function)
    pads = _padding(padding, x, layout, window, steps, (1,) * count, function)
    return apply(kind(window=window, strides=steps, padding=pads, layout=layout), x)


@operation
def max_pool(
    inputs: Any,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The largest element that each window sees.

    Args:
        inputs: ``(batch, *spatial, channels)``, or channels second.
        pool_size: The window.
        strides: Steps between neighbouring windows; the window's size if left out.
        padding: ``"valid"`` or ``"same"``.
        data_format: ``"channels_last"`` or ``"channels_first"``.
    """
    return _pool(MaxPool, inputs, pool_size, strides, padding, data_format, "max_pool")


@operation
def average_pool(
    inputs: Any,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The mean of the elements that each window sees; padding does not count.

    Args:
        inputs: As for `max_pool`.
        pool_size: As for `max_pool`.
        strides: As for `max_pool`.
        padding: As for `max_pool`.
        data_format: As for `max_pool`.
    """
    return _pool(AveragePool, inputs, pool_size, strides, padding, data_format, "average_pool")


def _adaptive_windows(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The positions that each of so many windows sees, and which of them it really does.

    Window i reaches from ``i * size / count``, rounded down, to ``(i + 1) * size / count``, rounded
    up. Shorter ones repeat their last position.
    """
    numbers = np.arange(count)
    starts = numbers * size // count
    stops = -((-(numbers + 1) * size) // count)
    longest = int(np.max(stops - starts, initial=0))
    places = starts[:, None] + np.arange(longest)
    seen = places < stops[:, None]
    return np.minimum(places, stops[:, None] - 1).astype(np.int32), seen


def _adaptive_pool(
    inputs: Any, output_size: Any, data_format: str | None, largest: bool, function: str
) -> Tensor:
    x = float_tensor(inputs)
    count = _image(x, function)
    layout = _layout(data_format, function)
    wanted = _sizes(output_size, count, "output_size", function)
    first = 1 if layout == "last" else 2
    sizes = [known_size(x, first + axis) for axis in range(count)]
    if 0 in sizes:
        raise ShapeError(f"{function}: the image is empty. Received: inputs.shape={x.shape}")
    if not any(size % number for size, number in zip(sizes, wanted, strict=True)):
        window = tuple(size // number for size, number in zip(sizes, wanted, strict=True))
        kind = MaxPool if largest else AveragePool
        pads = ((0, 0),) * count
        return apply(kind(window=window, strides=window, padding=pads, layout=layout), x)
    for axis, (size, number) in enumerate(zip(sizes, wanted, strict=True), first):
        places, seen = _adaptive_windows(size, number)
        windows = apply(Gather(axis), x, as_tensor(places))
        if largest:
            x = reduce_max(windows, axis + 1)
            continue
        shape = (*seen.shape, *(1,) * (x.ndim - axis - 1))
        shares = where(as_tensor(seen.reshape(shape)), windows, 0.0)
        lengths = as_tensor(seen.sum(1).reshape(shape[0], *shape[2:]), x.dtype)
        x = reduce_sum(shares, axis + 1) / lengths
    return x


@operation
def adaptive_average_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> Tensor:
    """The means of as many windows as asked for, which together cover the image.

    Args:
        inputs: ``(batch, *spatial, channels)``, or channels second; of known spatial sizes.
        output_size: How many windows along each spatial axis.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Raises:
        ShapeError: The size of a spatial axis is not known, or 0.
    """
    return _adaptive_pool(inputs, output_size, data_format, False, "adaptive_average_pool")


@operation
def adaptive_max_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> Tensor:
    """The largest elements of as many windows as asked for; see `adaptive_average_pool`."""
    return _adaptive_pool(inputs, output_size, data_format, True, "adaptive_max_pool")
