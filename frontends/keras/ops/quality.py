"""How near images are to each other: https://keras.io/api/ops/image/."""

from __future__ import annotations

from typing import Any

from graphc.eager import Tensor, as_tensor, cast
from graphc.eager.tensor import promoted
from graphc.errors import ShapeError
from graphc.keras.ops.arguments import float_tensor
from graphc.keras.ops.elementwise import log10, square
from graphc.keras.ops.recording import operation
from graphc.keras.ops.reduction import mean

__all__ = ["psnr"]


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
