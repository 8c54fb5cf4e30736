"""Convolutions and pooling: https://keras.io/api/ops/nn/."""

from __future__ import annotations

from typing import Any

from graphc.config import config
from graphc.eager import Tensor, apply
from graphc.eager.tensor import promoted
from graphc.errors import ShapeError
from graphc.ir.dims import Shape
from graphc.keras.ops.arguments import float_tensor
from graphc.keras.ops.movement import reshape
from graphc.keras.ops.recording import operation
from graphc.ops.conv import Conv
from graphc.ops.pool import AveragePool, MaxPool
from graphc.ops.window import Padding, same_padding

__all__ = [
    "average_pool", "conv", "depthwise_conv", "max_pool", "separable_conv",
]  # fmt: skip


def _sizes(value: Any, count: int, name: str, function: str) -> tuple[int, ...]:
    """One integer for all spatial axes, or one for each.

    Raises:
        ShapeError: Another number of them, or one below 1.
    """
    sizes = tuple(value) if isinstance(value, (list, tuple)) else (value,) * count
    if len(sizes) != count or any(not isinstance(size, int) or size < 1 for size in sizes):
        raise ShapeError(
            f"{function}: `{name}` should be a positive integer, or {count} of them. "
            f"Received: {name}={value}"
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
