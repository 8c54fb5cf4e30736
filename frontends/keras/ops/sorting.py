"""Orders of elements: https://keras.io/api/ops/numpy/ and https://keras.io/api/ops/core/.

In a graph the order comes from counting, for each element, those that go before it: n * n
comparisons along an axis of n elements, which suits classes and short lists, not long ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.eager import Tensor, as_tensor, cast, operate
from graphc.errors import ShapeError
from graphc.ir import is_float
from graphc.keras.ops.arguments import counted, one_axis, reshaped
from graphc.keras.ops.elementwise import isnan, logical_and, logical_not, logical_or
from graphc.keras.ops.indexing import take_along_axis
from graphc.keras.ops.movement import expand_dims, moveaxis, split
from graphc.keras.ops.recording import operation
from graphc.keras.ops.reduction import sum as reduce_sum

__all__ = [
    "argsort", "in_top_k", "sort", "top_k",
]  # fmt: skip


def _order(x: Tensor, descending: bool) -> Tensor:
    """int32 positions that sort the last axis; equal elements keep their order, NaN is last."""
    if not x.is_symbolic:
        keys = -x.data if descending and is_float(x.dtype) else x.data
        if descending and not is_float(x.dtype):
            flipped = np.argsort(np.flip(x.data, -1), axis=-1, kind="stable")  # type: ignore
            return Tensor((x.shape[-1] - 1 - np.flip(flipped, -1)).astype("int32"))  # type: ignore
        return Tensor(np.argsort(keys, axis=-1, kind="stable").astype("int32"))  # type: ignore
    # before[..., i, j]: element j goes before element i.
    own, other = expand_dims(x, -1), expand_dims(x, -2)
    first = operate("greater" if descending else "less", other, own)
    if is_float(x.dtype):
        first = logical_or(first, logical_and(isnan(own), logical_not(isnan(other))))
        equal = logical_or(operate("equal", other, own), logical_and(isnan(own), isnan(other)))
    else:
        equal = operate("equal", other, own)
    size = x.dims[-1]
    place = counted(size, "int32")
    earlier = operate("less", reshaped(place, (1, size)), reshaped(place, (size, 1)))
    rank = reduce_sum(logical_or(first, logical_and(equal, earlier)), -1)
    # The position that has each rank: where the rank is r, summed over the single hit.
    hit = operate("equal", expand_dims(rank, -2), reshaped(place, (size, 1)))
    return reduce_sum(cast(hit, "int32") * place, -1)


@operation
def argsort(x: Any, axis: int | None = -1) -> Tensor:
    """The positions that sort ``x`` along an axis (flat for None); equal elements keep order."""
    tensor = _number(x)
    if axis is None:
        tensor, axis = _flat(tensor), 0
    place = one_axis(axis, tensor.ndim, "argsort")
    return moveaxis(_order(moveaxis(tensor, place, -1), descending=False), -1, place)


@operation
def sort(x: Any, axis: int | None = -1) -> Tensor:
    """The elements in rising order along an axis (flat for None); NaN last."""
    tensor = as_tensor(x)
    if axis is None:
        tensor, axis = _flat(tensor), 0
    place = one_axis(axis, tensor.ndim, "sort")
    last = moveaxis(tensor, place, -1)
    order = _order(_number(last), descending=False)
    return moveaxis(take_along_axis(last, order, -1), -1, place)


@operation
def top_k(x: Any, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """The k largest elements along the last axis, largest first, and their positions.

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
    order = split(_order(_number(tensor), descending=True), [k], -1)[0]
    return take_along_axis(tensor, order, -1), order


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
    return logical_and(operate("less", larger, k), valid)


def _number(x: Any) -> Tensor:
    tensor = as_tensor(x)
    return cast(tensor, "int32") if tensor.dtype == "bool" else tensor


def _flat(x: Tensor) -> Tensor:
    size: Any = 1
    for dim in x.dims:
        size = size * dim
    return reshaped(x, (size,))
