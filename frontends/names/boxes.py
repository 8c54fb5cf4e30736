"""Boxes in images: a part of ``graphc.image``.

A box is ``[y1, x1, y2, x2]``. See https://www.tensorflow.org/api_docs/python/tf/image.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.eager import Tensor, as_tensor, cast
from graphc.errors import DataDependentControlFlowError, ShapeError
from graphc.keras import ops
from graphc.keras.ops.recording import operation
from graphc.names.adapt import public_names, takes_name
from graphc.names.shape import known_sizes


@takes_name
@operation
def crop_and_resize(
    image: Any,
    boxes: Any,
    box_indices: Any,
    crop_size: Any,
    method: str = "bilinear",
    extrapolation_value: float = 0.0,
) -> Tensor:
    """Boxes cut out of images, and all made the same size.

    Args:
        image: ``(images, height, width, channels)``.
        boxes: ``(boxes, 4)``: corners as parts of the image, which is from 0 to 1; a box may reach
            beyond, and is turned round where its second corner comes first.
        box_indices: For each box the number of its image.
        crop_size: The height and width that all become, two numbers.
        method: ``"bilinear"`` or ``"nearest"``.
        extrapolation_value: What stands outside of an image.

    Returns:
        ``(boxes, *crop_size, channels)``, float32.

    Raises:
        ShapeError: There is not one image number for each box.
        ValueError: Another method.

    Example:
        >>> eyes = graphc.image.crop_and_resize(faces, [[0.2, 0.1, 0.5, 0.9]], [0], (32, 64))
    """
    if method not in ("bilinear", "nearest"):
        raise ValueError(
            f"crop_and_resize: `method` is 'bilinear' or 'nearest'. Received: {method!r}"
        )
    x, corners = cast(image, "float32"), cast(boxes, "float32")
    numbers = as_tensor(box_indices)
    height, width = known_sizes(x, "crop_and_resize", 1, 3)
    if corners.ndim != 2 or corners.shape[1] != 4 or corners.dims[:1] != numbers.dims:
        raise ShapeError(
            "crop_and_resize: needs boxes of shape (n, 4) and n numbers of images; received "
            f"{corners.shape} and {numbers.shape}"
        )
    rows, columns = (int(size) for size in as_tensor(crop_size).numpy())
    ys = _places(corners[:, 0], corners[:, 2], height, rows)
    xs = _places(corners[:, 1], corners[:, 3], width, columns)
    inside = ops.expand_dims(_inside(ys, height), 2) & ops.expand_dims(_inside(xs, width), 1)
    flat = ops.reshape(x, (-1, x.dims[-1]))
    base = ops.reshape(numbers, (-1, 1, 1)) * (height * width)

    def pixels(y: Tensor, x: Tensor) -> Tensor:
        across = ops.expand_dims(_whole(y, height) * width, 2) + ops.expand_dims(
            _whole(x, width), 1
        )
        return ops.take(flat, base + across, 0)

    if method == "nearest":
        result = pixels(ops.floor(ys + 0.5), ops.floor(xs + 0.5))
    else:
        top, left = ops.floor(ys), ops.floor(xs)
        down = ops.expand_dims(ops.expand_dims(ys - top, 2), 3)
        right = ops.expand_dims(ops.expand_dims(xs - left, 1), 3)
        upper, lower = (
            pixels(y, left) * (1.0 - right) + pixels(y, ops.ceil(xs)) * right
            for y in (top, ops.ceil(ys))
        )
        result = upper * (1.0 - down) + lower * down
    return ops.where(ops.expand_dims(inside, 3), result, float(extrapolation_value))


def _places(first: Tensor, last: Tensor, size: int, count: int) -> Tensor:
    """Where in an axis of the image each row of the crops lies: ``(boxes, count)``."""
    start, end = ops.expand_dims(first, 1), ops.expand_dims(last, 1)
    if count == 1:
        return (start + end) * (0.5 * (size - 1))
    steps = Tensor(np.arange(count, dtype="float32"))
    return start * float(size - 1) + steps * ((end - start) * ((size - 1) / (count - 1)))


def _inside(places: Tensor, size: int) -> Tensor:
    return (places >= 0) & (places <= size - 1)


def _whole(places: Tensor, size: int) -> Tensor:
    return ops.cast(ops.clip(places, 0, size - 1), "int32")


@takes_name
def non_max_suppression(
    boxes: Any,
    scores: Any,
    max_output_size: Any,
    iou_threshold: Any = 0.5,
    score_threshold: Any = -math.inf,
) -> Tensor:
    """The numbers of the best boxes, of which none covers much of another.

    How many there are depends on data, so it cannot be computed in a compiled function.

    Args:
        boxes: ``(n, 4)``: any two corners that lie across from each other.
        scores: ``(n,)``.
        max_output_size: How many at most.
        iou_threshold: A box goes if it and a better one share more than this part of their union.
        score_threshold: Boxes go whose score is not above it.

    Returns:
        Numbers (int32), that of the best box first.

    Raises:
        ShapeError: There is not one score for each box.
        DataDependentControlFlowError: In a compiled function.
    """
    tensors = as_tensor(boxes), as_tensor(scores)
    if any(tensor.is_symbolic for tensor in tensors):
        raise DataDependentControlFlowError(
            "non_max_suppression: how many boxes remain depends on data, which a compiled function "
            "does not know; call it outside"
        )
    corners, points = (tensor.numpy() for tensor in tensors)
    if corners.ndim != 2 or corners.shape[1] != 4 or points.shape != corners.shape[:1]:
        raise ShapeError(
            "non_max_suppression: needs boxes of shape (n, 4) and n scores; received "
            f"{corners.shape} and {points.shape}"
        )
    low, high = (
        np.minimum(corners[:, :2], corners[:, 2:]),
        np.maximum(corners[:, :2], corners[:, 2:]),
    )
    areas = np.prod(high - low, axis=1)
    chosen: list[int] = []
    left = np.argsort(-points, kind="stable")
    left = left[points[left] > float(as_tensor(score_threshold))]
    most, threshold = int(as_tensor(max_output_size)), float(as_tensor(iou_threshold))
    while left.size and len(chosen) < most:
        best, left = left[0], left[1:]
        chosen.append(int(best))
        sides = np.minimum(high[best], high[left]) - np.maximum(low[best], low[left])
        shared = np.prod(np.maximum(sides, 0), axis=1)
        union = areas[best] + areas[left] - shared
        left = left[~(shared > threshold * union)]
    return as_tensor(np.array(chosen, np.int32))


__all__ = public_names(globals())
