"""Sorting, counting and sums over segments: the part of ``graphc.math`` that works by position.

See https://www.tensorflow.org/api_docs/python/tf/math.
"""

from __future__ import annotations

from typing import Any

from graphc.eager import Tensor, as_tensor
from graphc.errors import ShapeError
from graphc.keras import ops
from graphc.keras.ops.recording import operation
from graphc.names.adapt import public_names, takes_name
from graphc.names.dtypes import name_of
from graphc.names.movement import scatter_nd

# ------------------------------------------------------------------------ sorting and counting


@takes_name
def sort(values: Any, axis: int = -1, direction: str = "ASCENDING") -> Any:
    """The elements in order along an axis.

    Args:
        values: A tensor.
        axis: The axis.
        direction: ``"ASCENDING"`` or ``"DESCENDING"``.
    """
    ordered = ops.sort(values, axis)
    return ops.flip(ordered, axis) if _is_descending(direction) else ordered


@takes_name
@operation
def argsort(
    values: Any, axis: int = -1, direction: str = "ASCENDING", stable: bool = False
) -> Tensor:
    """The places of the elements in their order along an axis; equal ones stay in order.

    Args:
        values: A tensor.
        axis: The axis.
        direction: ``"ASCENDING"`` or ``"DESCENDING"``.
        stable: Accepted; the order of equal elements is always kept.
    """
    x = as_tensor(values)
    if not _is_descending(direction):
        return ops.cast(ops.argsort(x, axis), "int32")
    # From the other end and turned round, equal elements keep their order.
    size = ops.cast(ops.convert_to_tensor(x.dims[axis]), "int32")
    turned = ops.flip(ops.argsort(ops.flip(x, axis), axis), axis)
    return size - 1 - ops.cast(turned, "int32")


def _is_descending(direction: str) -> bool:
    if direction not in ("ASCENDING", "DESCENDING"):
        raise ValueError(f"direction is 'ASCENDING' or 'DESCENDING'; received {direction!r}")
    return direction == "DESCENDING"


@takes_name
def top_k(input: Any, k: int = 1, sorted: bool = True) -> Any:
    """The ``k`` largest elements of each row, and their places."""
    return ops.top_k(input, k, sorted)


@takes_name
def in_top_k(targets: Any, predictions: Any, k: int) -> Any:
    """Whether the class of each row is among its ``k`` largest predictions."""
    return ops.in_top_k(targets, predictions, k)


@takes_name
def bincount(
    arr: Any,
    weights: Any = None,
    minlength: Any = None,
    maxlength: Any = None,
    dtype: Any = "int32",
) -> Tensor:
    """How often each number from 0 up occurs, or the sum of its weights.

    Without ``maxlength`` the result's size depends on the numbers, so these have to be known.

    Args:
        arr: Integers from 0 up.
        weights: A number for each; counted as 1 by default.
        minlength: The least size of the result.
        maxlength: The largest size of the result; numbers from it on are not counted.
        dtype: Element type of the counts, where there are no weights.
    """
    numbers = ops.reshape(arr, (-1,))
    size = maxlength
    if size is None or not _is_symbolic(numbers):
        largest = int(ops.max(numbers)) + 1 if numbers.size else 0
        size = max(largest, minlength or 0)
        size = size if maxlength is None else min(size, maxlength)
    values = ops.ones(numbers.shape, name_of(dtype)) if weights is None else weights
    values = ops.reshape(values, (-1,))
    counted = ops.logical_and(numbers >= 0, numbers < size)
    places = ops.where(counted, numbers, size)
    return ops.scatter(ops.expand_dims(places, 1), values, (int(size) + 1,))[: int(size)]


def _is_symbolic(x: Any) -> bool:
    """Whether the elements are known only when a program runs."""
    return bool(getattr(x, "is_symbolic", False))


@takes_name
def confusion_matrix(
    labels: Any,
    predictions: Any,
    num_classes: int | None = None,
    weights: Any = None,
    dtype: Any = "int32",
) -> Tensor:
    """How often each class (row) was predicted as each class (column).

    Args:
        labels: The true classes.
        predictions: The predicted classes.
        num_classes: How many there are; one more than the largest number by default.
        weights: A number for each pair; counted as 1 by default.
        dtype: Element type of the result.

    Raises:
        ShapeError: A class is outside of ``0 .. num_classes - 1``, where they are known.
    """
    pairs = ops.stack([ops.reshape(labels, (-1,)), ops.reshape(predictions, (-1,))], 1)
    count = int(ops.max(pairs)) + 1 if num_classes is None else num_classes
    values = ops.ones(ops.shape(pairs)[:1], name_of(dtype)) if weights is None else weights
    return scatter_nd(pairs, ops.cast(values, name_of(dtype)), (count, count))


@takes_name
def zero_fraction(value: Any) -> Any:
    """The share of elements that are zero, float32."""
    return ops.mean(ops.cast(ops.equal(value, 0), "float32"))


@takes_name
def invert_permutation(x: Any) -> Any:
    """The permutation that undoes one."""
    return ops.cast(ops.argsort(x), ops.dtype(ops.convert_to_tensor(x)))


@takes_name
def is_non_decreasing(x: Any) -> Any:
    """Whether no element is smaller than the one before."""
    flat = ops.reshape(x, (-1,))
    return ops.all(flat[1:] >= flat[:-1])


@takes_name
def is_strictly_increasing(x: Any) -> Any:
    """Whether every element is larger than the one before."""
    flat = ops.reshape(x, (-1,))
    return ops.all(flat[1:] > flat[:-1])


@takes_name
def histogram_fixed_width(
    values: Any, value_range: Any, nbins: int = 100, dtype: Any = "int32"
) -> Tensor:
    """How many values lie in each of ``nbins`` equal parts of a range.

    What lies outside counts for the part at that end.
    """
    places = histogram_fixed_width_bins(ops.reshape(values, (-1,)), value_range, nbins)
    return ops.scatter(ops.expand_dims(places, 1), ops.ones(places.shape, name_of(dtype)), (nbins,))


@takes_name
def histogram_fixed_width_bins(
    values: Any, value_range: Any, nbins: int = 100, dtype: Any = "int32"
) -> Any:
    """For each element the number of its bin, of bins of equal width.

    Args:
        values: A tensor.
        value_range: Where the first bin begins and the last one ends; what lies outside belongs to
            the bin at that end.
        nbins: How many bins there are.
        dtype: Of the numbers, an integer type.
    """
    low, high = (float(bound) for bound in value_range)
    places = ops.floor((ops.cast(values, "float64") - low) / (high - low) * nbins)
    return ops.cast(ops.clip(places, 0, nbins - 1), name_of(dtype))


# ---------------------------------------------------------------------------------- segments


def _segments(data: Any, segment_ids: Any, num_segments: Any) -> tuple[Tensor, Tensor, int]:
    x, ids = as_tensor(data), as_tensor(segment_ids)
    if num_segments is None:
        known = ids.numpy()
        num_segments = int(known.max()) + 1 if known.size else 0
    if x.dims[: ids.ndim] != ids.dims:
        raise ShapeError(
            f"segments: the numbers of segments have shape {ids.shape}, which is no beginning of "
            f"the data's {x.shape}"
        )
    flat = ops.reshape(x, (-1, *x.dims[ids.ndim :]))
    return flat, ops.reshape(ids, (-1,)), int(num_segments)


@takes_name
@operation
def unsorted_segment_sum(data: Any, segment_ids: Any, num_segments: Any) -> Tensor:
    """The sum of the rows of each segment.

    Args:
        data: A tensor.
        segment_ids: The number of the segment of each row (of its first axes).
        num_segments: How many segments there are.
    """
    rows, ids, count = _segments(data, segment_ids, num_segments)
    return ops.segment_sum(rows, ids, count)


def _row_counts(data: Any, segment_ids: Any, count: int) -> Any:
    """The number of rows of each segment, at least 1, in a shape that divides the sums."""
    rank = ops.ndim(ops.convert_to_tensor(data)) - ops.ndim(ops.convert_to_tensor(segment_ids))
    ones = ops.ones_like(ops.cast(segment_ids, ops.dtype(ops.convert_to_tensor(data))))
    counts = ops.maximum(unsorted_segment_sum(ones, segment_ids, count), 1)
    return ops.reshape(counts, (count, *[1] * rank))


@takes_name
@operation
def unsorted_segment_mean(data: Any, segment_ids: Any, num_segments: Any) -> Tensor:
    """The mean of the rows of each segment; 0 for one without rows."""
    total = unsorted_segment_sum(data, segment_ids, num_segments)
    mean = total / _row_counts(data, segment_ids, int(num_segments))
    return ops.cast(mean, total.dtype)


@takes_name
@operation
def unsorted_segment_sqrt_n(data: Any, segment_ids: Any, num_segments: Any) -> Tensor:
    """The sum of the rows of each segment over the square root of their number."""
    total = unsorted_segment_sum(data, segment_ids, num_segments)
    return total / ops.sqrt(_row_counts(data, segment_ids, int(num_segments)))


@takes_name
@operation
def unsorted_segment_max(data: Any, segment_ids: Any, num_segments: Any) -> Tensor:
    """The largest elements of each segment; the type's smallest number for one without rows."""
    rows, ids, count = _segments(data, segment_ids, num_segments)
    return ops.segment_max(rows, ids, count)


@takes_name
@operation
def unsorted_segment_prod(data: Any, segment_ids: Any, num_segments: Any) -> Tensor:
    """The product of the rows of each segment; 1 for one without rows."""
    rows, ids, count = _segments(data, segment_ids, num_segments)
    return ops.segment_prod(rows, ids, count)


@takes_name
@operation
def unsorted_segment_min(data: Any, segment_ids: Any, num_segments: Any) -> Tensor:
    """The smallest elements of each segment; the type's largest number for one without rows."""
    return ops.negative(unsorted_segment_max(ops.negative(data), segment_ids, num_segments))


@takes_name
def segment_sum(data: Any, segment_ids: Any) -> Any:
    """`unsorted_segment_sum` over as many segments as the numbers, which have to be known, say."""
    return unsorted_segment_sum(data, segment_ids, _segment_count(segment_ids))


@takes_name
def segment_mean(data: Any, segment_ids: Any) -> Any:
    """`unsorted_segment_mean` over as many segments as the numbers say."""
    return unsorted_segment_mean(data, segment_ids, _segment_count(segment_ids))


@takes_name
def segment_prod(data: Any, segment_ids: Any) -> Any:
    """`unsorted_segment_prod` over as many segments as the numbers say."""
    return unsorted_segment_prod(data, segment_ids, _segment_count(segment_ids))


@takes_name
def segment_max(data: Any, segment_ids: Any) -> Any:
    """The largest elements of each segment."""
    return unsorted_segment_max(data, segment_ids, _segment_count(segment_ids))


@takes_name
def segment_min(data: Any, segment_ids: Any) -> Any:
    """The smallest elements of each segment."""
    return unsorted_segment_min(data, segment_ids, _segment_count(segment_ids))


def _segment_count(segment_ids: Any) -> int:
    known = as_tensor(segment_ids).numpy()
    return int(known.max()) + 1 if known.size else 0


__all__ = public_names(globals())
