"""Colours of images: https://keras.io/api/ops/image/."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.eager import Tensor, cast
from graphc.ir import is_float, numpy_dtype
from graphc.keras.ops.arguments import float_tensor
from graphc.keras.ops.elementwise import abs, clip, equal, maximum, minimum, mod, where
from graphc.keras.ops.images import checked_images, layout_of
from graphc.keras.ops.movement import expand_dims, split, squeeze, stack
from graphc.keras.ops.recording import operation

__all__ = ["hsv_to_rgb", "rgb_to_grayscale", "rgb_to_hsv"]

# How much each of red, green and blue counts: ITU-R BT.601.
_LUMA = (0.2989, 0.5870, 0.1140)


def _planes(images: Tensor, axis: int) -> list[Tensor]:
    if images.dims[axis] != 3:
        raise ValueError(
            "Invalid channel size: expected 3. "
            f"Received input with shape: images.shape={images.shape}"
        )
    return [squeeze(plane, axis) for plane in split(images, 3, axis)]


def _float_images(images: Any) -> Tensor:
    tensor = checked_images(images)
    if not is_float(tensor.dtype):
        raise ValueError(
            f"Invalid images dtype: expected float dtype. Received: images.dtype={tensor.dtype}"
        )
    return tensor


@operation
def rgb_to_grayscale(images: Any, data_format: str | None = None) -> Tensor:
    """The brightness of images: ``0.2989 * red + 0.587 * green + 0.114 * blue``.

    Args:
        images: An image or a batch of images with 3 channels (or 1: they stay as they are).
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Returns:
        The same with one channel, and the same dtype.
    """
    axis = -1 if layout_of(data_format, "rgb_to_grayscale") else -3
    tensor = checked_images(images)
    if tensor.dims[axis] not in (1, 3):
        raise ValueError(
            "Invalid channel size: expected 3 (RGB) or 1 (Grayscale). "
            f"Received input with shape: images.shape={tensor.shape}"
        )
    if tensor.dims[axis] == 1:
        return tensor
    red, green, blue = _planes(float_tensor(tensor), axis)
    gray = red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2]
    return cast(expand_dims(gray, axis), tensor.dtype)


@operation
def rgb_to_hsv(images: Any, data_format: str | None = None) -> Tensor:
    """Red, green and blue in [0, 1] to hue, saturation and value in [0, 1].

    Args:
        images: An image or a batch of images with 3 channels, of a floating-point type.
        data_format: ``"channels_last"`` or ``"channels_first"``.
    """
    axis = -1 if layout_of(data_format, "rgb_to_hsv") else -3
    tensor = _float_images(images)
    smallest = 2.0**-7 if tensor.dtype == "bfloat16" else _precision(tensor.dtype)
    planes = _planes(where(abs(tensor) < smallest, 0.0, tensor), axis)
    red, green, blue = planes
    value = maximum(maximum(red, green), blue)
    spread = value - minimum(minimum(red, green), blue)
    saturation = where(value > 0.0, spread / where(value > 0.0, value, 1.0), 0.0)
    sixth = 1.0 / (6.0 * where(spread > 0.0, spread, 1.0))
    from_green = sixth * (blue - red) + 2.0 / 6.0
    from_blue = sixth * (red - green) + 4.0 / 6.0
    hue = where(equal(value, green), from_green, from_blue)
    hue = where(equal(value, red), sixth * (green - blue), hue)
    turn = cast(hue < 0.0, tensor.dtype)
    hue = where(spread > 0.0, hue, 0.0) + turn
    return stack([hue, saturation, value], axis)


def _precision(dtype: str) -> float:
    return float(np.finfo(numpy_dtype(dtype)).eps)


@operation
def hsv_to_rgb(images: Any, data_format: str | None = None) -> Tensor:
    """Hue, saturation and value to red, green and blue; the inverse of `rgb_to_hsv`."""
    axis = -1 if layout_of(data_format, "hsv_to_rgb") else -3
    tensor = _float_images(images)
    hue, saturation, value = _planes(tensor, axis)
    turns = mod(hue, 1.0) * 6.0
    white = 1.0 - saturation
    shares = (
        clip(abs(turns - 3.0) - 1.0, 0.0, 1.0),
        clip(2.0 - abs(turns - 2.0), 0.0, 1.0),
        clip(2.0 - abs(turns - 4.0), 0.0, 1.0),
    )
    return stack([value * (white + saturation * share) for share in shares], axis)
