"""How near images are to each other: https://keras.io/api/ops/image/."""

from __future__ import annotations

from typing import Any

from graphc.eager import Tensor, as_tensor, cast
from graphc.eager.tensor import promoted
from graphc.errors import ShapeError
from graphc.keras.ops.arguments import float_tensor
from graphc.keras.ops.elementwise import log10, square
from graphc.keras.ops.filters import bell, filtered
from graphc.keras.ops.images import checked_images, layout_of
from graphc.keras.ops.movement import expand_dims, moveaxis, squeeze
from graphc.keras.ops.recording import operation
from graphc.keras.ops.reduction import mean

__all__ = ["psnr", "ssim"]


@operation
def psnr(x1: Any, x2: Any, max_val: float) -> Tensor:
    """The peak signal-to-noise ratio of two images, in decibels; infinite if they are equal.

    Args:
        x1: An image, or a batch of them.
        x2: Another one of the same shape.
        max_val: The largest value that an element can have.

    Raises:
        ShapeError: The shapes differ.
    """
    first, second = promoted(float_tensor(x1), float_tensor(x2))
    if first.shape != second.shape:
        raise ShapeError(
            f"Input shapes {first.shape} and {second.shape} must match for PSNR calculation."
        )
    peak = cast(as_tensor(max_val), second.dtype)
    return 20.0 * log10(peak) - 10.0 * log10(mean(square(first - second)))


@operation
def ssim(
    image1: Any,
    image2: Any,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Tensor:
    """How alike the structures of two images are: 1 if they are equal.

    Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity".

    Args:
        image1: An image or a batch of images.
        image2: Others of the same shape.
        max_val: The largest value that an element can have.
        filter_size: The window in which means and variances are taken.
        filter_sigma: The deviation of its weights.
        k1: What keeps the quotient of means steady.
        k2: What keeps that of variances steady.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Returns:
        A number for each image.

    Raises:
        ValueError: Other ranks.
        ShapeError: Images smaller than the window.
    """
    last = layout_of(data_format, "ssim")
    given = checked_images(image1, "image1")
    images = promoted(float_tensor(given), float_tensor(checked_images(image2, "image2")))
    single = given.ndim == 3
    x, y = (expand_dims(image, 0) if single else image for image in images)
    x, y = (image if last else moveaxis(image, 1, -1) for image in (x, y))
    line = bell(filter_size, filter_sigma)

    def local(values: Tensor) -> Tensor:
        return filtered(filtered(values, line[:, None], "valid"), line[None, :], "valid")

    first, second = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    mean_x, mean_y = local(x), local(y)
    square_x, square_y, both = mean_x * mean_x, mean_y * mean_y, mean_x * mean_y
    variance_x, variance_y = local(x * x) - square_x, local(y * y) - square_y
    covariance = local(x * y) - both
    top = (2.0 * both + first) * (2.0 * covariance + second)
    bottom = (square_x + square_y + first) * (variance_x + variance_y + second)
    alike = mean(mean(top / bottom, (1, 2)), -1)
    return cast(squeeze(alike, 0) if single else alike, given.dtype)
