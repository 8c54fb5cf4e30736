"""Windows that slide over images: https://keras.io/api/ops/image/."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.eager import Tensor, as_tensor, cast
from graphc.errors import ShapeError
from graphc.keras.ops.arguments import float_tensor, reshaped
from graphc.keras.ops.images import checked_images, layout_of
from graphc.keras.ops.movement import expand_dims, moveaxis, pad, squeeze, stack, transpose
from graphc.keras.ops.patches import known_size, windows_of
from graphc.keras.ops.recording import operation
from graphc.keras.ops.windows import depthwise_conv
from graphc.ops.window import same_padding

__all__ = ["extract_patches", "extract_patches_3d", "gaussian_blur", "sobel_edges"]

_SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "float32")


def bell(size: int, sigma: float) -> np.ndarray:
    """The normal distribution at ``size`` places around 0, with sum 1."""
    places = np.arange(size) - (size - 1) / 2
    weights = np.exp(-0.5 * (places / sigma) ** 2)
    return weights / weights.sum()


def filtered(x: Tensor, kernel: np.ndarray, padding: str) -> Tensor:
    """Every channel of images (channels last) with the same window slid over it."""
    channels = known_size(x, 3)
    weights = np.broadcast_to(kernel[:, :, None, None], (*kernel.shape, channels, 1))
    return depthwise_conv(x, as_tensor(weights.astype("float64"), x.dtype), 1, padding,
                          "channels_last")  # fmt: skip


@operation
def gaussian_blur(
    images: Any, kernel_size: Any = (3, 3), sigma: Any = (1.0, 1.0), data_format: str | None = None
) -> Tensor:
    """Images smoothed by a bell-shaped window; zeros lie around them.

    Args:
        images: An image or a batch of images.
        kernel_size: The window along columns (x) and rows (y).
        sigma: The deviations along x and y.
        data_format: ``"channels_last"`` or ``"channels_first"``.
    """
    last = layout_of(data_format, "gaussian_blur")
    x = checked_images(images)
    given = float_tensor(x)
    single = given.ndim == 3
    batch = expand_dims(given, 0) if single else given
    batch = batch if last else moveaxis(batch, 1, -1)
    sizes = kernel_size if isinstance(kernel_size, (list, tuple)) else (kernel_size,) * 2
    widths = sigma if isinstance(sigma, (list, tuple)) else (sigma,) * 2
    across, down = (bell(int(n), float(s)) for n, s in zip(sizes, widths, strict=True))
    # One after the other: much less to do than with the window as a whole.
    batch = filtered(filtered(batch, down[:, None], "same"), across[None, :], "same")
    batch = batch if last else moveaxis(batch, -1, 1)
    return cast(squeeze(batch, 0) if single else batch, x.dtype)


@operation
def sobel_edges(images: Any, data_format: str | None = None) -> Tensor:
    """How steeply images rise downwards and to the right, by Sobel's windows.

    Args:
        images: A batch of images.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Returns:
        The shape of the images with a new last axis: ``[dy, dx]``.

    Raises:
        ShapeError: No batch of images.
    """
    last = layout_of(data_format, "sobel_edges")
    given = float_tensor(images)
    if given.ndim != 4:
        raise ShapeError(
            f"sobel_edges: needs a batch of images (4 axes). Received: shape={given.shape}"
        )
    batch = given if last else moveaxis(given, 1, -1)
    edges = stack([filtered(batch, kernel, "same") for kernel in (_SOBEL.T, _SOBEL)], -1)
    return edges if last else moveaxis(edges, 3, 1)


def _patches(
    images: Any,
    size: tuple[int, ...],
    strides: Any,
    dilation_rate: Any,
    padding: str,
    data_format: str | None,
    function: str,
) -> Tensor:
    count = len(size)
    last = layout_of(data_format, function)
    x = as_tensor(images)
    if x.ndim not in (count + 1, count + 2):
        raise ShapeError(
            f"{function}: needs {count + 1} axes, or {count + 2} for a batch. "
            f"Received: shape={x.shape}"
        )
    if padding not in ("same", "valid"):
        raise ValueError(
            f"{function}: `padding` should be 'same' or 'valid'. Received: {padding!r}"
        )
    steps = _all(strides, count, "strides", function) if strides else size
    gaps = _all(dilation_rate, count, "dilation_rate", function)
    single = x.ndim == count + 1
    x = expand_dims(x, 0) if single else x
    x = x if last else moveaxis(x, 1, -1)
    if padding == "same":
        widths = same_padding(x.dims[1:-1], size, steps, gaps)
        x = pad(x, ((0, 0), *widths, (0, 0)))
    seen = windows_of(x, tuple(range(1, count + 1)), size, steps, gaps)
    places = [1 + 2 * axis for axis in range(count)]
    order = (0, *places, *(place + 1 for place in places), 2 * count + 1)
    seen = transpose(seen, order)
    counts = seen.dims[: count + 1]
    patches = reshaped(seen, (*counts, math.prod(size) * known_size(x, count + 1)))
    patches = patches if last else moveaxis(patches, -1, 1)
    return squeeze(patches, 0) if single else patches


def _all(value: Any, count: int, name: str, function: str) -> tuple[int, ...]:
    numbers = tuple(value) if isinstance(value, (list, tuple)) else (value,) * count
    if len(numbers) != count or any(not isinstance(n, int) or n < 1 for n in numbers):
        raise ShapeError(
            f"{function}: `{name}` should be a positive integer, or {count} of them. "
            f"Received: {name}={value}"
        )
    return numbers


@operation
def extract_patches(
    images: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """What each window of images sees, as channels.

    Args:
        images: An image or a batch of images, of known rows and columns.
        size: The window: an integer or two; three for volumes.
        strides: Steps between neighbouring windows; by default they touch.
        dilation_rate: Distances between the elements that one window sees.
        padding: ``"valid"`` or ``"same"``.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Returns:
        ``(batch, rows, columns, window * channels)``: a place for each window.

    Example:
        >>> keras.ops.image.extract_patches(images, 16)
    """
    if not isinstance(size, int) and len(size) == 3:
        return extract_patches_3d(images, size, strides, dilation_rate, padding, data_format)
    window = _all(size, 2, "size", "extract_patches")
    return _patches(images, window, strides, dilation_rate, padding, data_format, "extract_patches")


@operation
def extract_patches_3d(
    volumes: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """What each window of volumes sees, as channels; see `extract_patches`."""
    window = _all(size, 3, "size", "extract_patches_3d")
    return _patches(
        volumes, window, strides, dilation_rate, padding, data_format, "extract_patches_3d"
    )
