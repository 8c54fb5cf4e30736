"""Orders of elements: https://keras.io/api/ops/numpy/ and https://keras.io/api/ops/core/."""

from __future__ import annotations

import math
from typing import Any

from graphc.eager import Tensor, apply, apply_function, as_tensor, cast, operate
from graphc.errors import ShapeError
from graphc.keras.ops.arguments import one_axis, reshaped
from graphc.keras.ops.indexing import take_along_axis
from graphc.keras.ops.movement import expand_dims
from graphc.keras.ops.recording import operation
from graphc.keras.ops.reduction import sum as reduce_sum
from graphc.ops.sort import Sort
from graphc.ops.sort import order as graph_order

__all__ = ["argpartition", "argsort", "in_top_k", "sort", "top_k"]


def flat_or_axis(x: Any, axis: int | None, function: str) -> tuple[Tensor, int]:
    """A tensor and one of its axes; the flat tensor for None."""
    tensor = as_tensor(x)
    if axis is None:
        return reshaped(tensor, (math.prod(tensor.dims),)), 0
    return tensor, one_axis(axis, tensor.ndim, function)


@operation
def argsort(x: Any, axis: int | None = -1) -> Tensor:
    """The positions that sort ``x`` along an axis (flat for None); equal elements keep order.

    NaN is last.
    """
    tensor = as_tensor(x)
    tensor, place = flat_or_axis(tensor, axis if tensor.ndim else None, "argsort")
    return apply_function(lambda value: graph_order(value, place), tensor)


@operation
def sort(x: Any, axis: int | None = -1) -> Tensor:
    """The elements in rising order along an axis (flat for None); NaN last.

    Complex numbers by their real parts, and by their imaginary parts where those are equal.
    """
    tensor, place = flat_or_axis(x, axis, "sort")
    return apply(Sort(place), tensor)[0]


@operation
def argpartition(x: Any, kth: int, axis: int | None = -1) -> Tensor:
    """Positions that bring what belongs at place ``kth`` there, smaller elements in front of it.

    Args:
        x: A tensor.
        kth: The place, which may count from the end.
        axis: The axis, or None for the flat tensor.
    """
    tensor, place = flat_or_axis(x, axis, "argpartition")
    size = tensor.dims[place]
    if isinstance(size, int):
        one_axis(kth, size, f"argpartition (an axis of {size} elements): `kth`")
    return argsort(tensor, place)


@operation
def top_k(x: Any, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """The k largest elements along the last axis, largest first, and their positions.

    NaN counts as larger than everything.

    Args:
        x: A tensor.
        k: How many.
        sorted: Accepted as in Keras; they always come sorted.

    Raises:
        ShapeError: There are fewer than k elements.
    """
    tensor = as_tensor(x)
    size = tensor.dims[-1] if tensor.ndim else 1
    if not tensor.ndim or (isinstance(size, int) and size < k):
        raise ShapeError(f"top_k: the last axis has fewer than {k} elements: {tensor.shape}")
    return apply(Sort(tensor.ndim - 1, descending=True, count=k), tensor)


@operation
def in_top_k(targets: Any, predictions: Any, k: int) -> Tensor:
    """Whether fewer than k predictions of a row are larger than that of the target class.

    Args:
        targets: Numbers of classes, ``(n,)``.
        predictions: ``(n, classes)``.
        k: How many.
    """
    classes, scores = cast(as_tensor(targets), "int32"), as_tensor(predictions)
    own = take_along_axis(scores, expand_dims(classes, -1), -1)
    larger = reduce_sum(operate("greater", scores, own), -1)
    valid = operate("equal", own, own)[..., 0]  # NaN for a class that does not exist
    return operate("logical_and", operate("less", larger, k), valid)
