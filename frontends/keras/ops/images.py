"""What operations on images have in common: ranks and layouts, and the names of their errors."""

from __future__ import annotations

from typing import Any

from graphc.config import config
from graphc.eager import Tensor, as_tensor
from graphc.keras.ops.patches import known_size

Restore = Any


def layout_of(data_format: str | None, function: str) -> bool:
    """Whether channels come last.

    Raises:
        ValueError: Another data format.
    """
    chosen = data_format or config.image_data_format
    if chosen not in ("channels_last", "channels_first"):
        raise ValueError(
            f"{function}: `data_format` should be 'channels_last' or 'channels_first'. "
            f"Received: {data_format!r}"
        )
    return chosen == "channels_last"


def checked_images(images: Any, name: str = "images") -> Tensor:
    """An image (3 axes) or a batch of images (4 axes) as a tensor.

    Raises:
        ValueError: Another rank.
    """
    tensor = as_tensor(images)
    if tensor.ndim not in (3, 4):
        raise ValueError(
            "Invalid images rank: expected rank 3 (single image) or rank 4 (batch of images). "
            f"Received input with shape: {name}.shape={tensor.shape}"
        )
    return tensor


def spatial_axes(images: Tensor, last: bool) -> tuple[int, int]:
    """The axes of rows and columns."""
    first = images.ndim - (3 if last else 2)
    return first, first + 1


def known_sizes(images: Tensor, last: bool) -> tuple[int, int]:
    """The numbers of rows and columns.

    Raises:
        ShapeError: They are known only when a program runs.
    """
    rows, columns = spatial_axes(images, last)
    return known_size(images, rows), known_size(images, columns)


def one_of(value: Any, choices: Any, name: str) -> None:
    """Refuse a value that is none of the choices.

    Raises:
        ValueError: It is none.
    """
    if value not in choices:
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected of one {set(choices)}. "
            f"Received: {name}={value}"
        )
