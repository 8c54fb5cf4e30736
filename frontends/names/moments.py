"""Means and variances from sums: a part of ``graphc.nn``.

See https://www.tensorflow.org/api_docs/python/tf/nn.
"""

from __future__ import annotations

from typing import Any

from graphc.keras import ops
from graphc.names.adapt import float_tensor_of, public_names, takes_name


@takes_name
def weighted_moments(
    x: Any, axes: Any, frequency_weights: Any, keepdims: bool = False
) -> tuple[Any, Any]:
    """The mean and the variance over axes, where some elements count more than others.

    Args:
        x: A tensor.
        axes: The axes.
        frequency_weights: How much each element counts; can be broadcast to ``x``.
        keepdims: Whether the axes stay, with size 1.
    """
    tensor = float_tensor_of(x)
    weights = ops.add(ops.cast(frequency_weights, tensor.dtype), ops.zeros_like(tensor))
    total = ops.sum(weights, axes, keepdims=True)
    mean = ops.sum(tensor * weights, axes, keepdims=True) / total
    variance = ops.sum(weights * ops.square(tensor - mean), axes, keepdims=True) / total
    if keepdims:
        return mean, variance
    return ops.sum(mean, axes), ops.sum(variance, axes)


@takes_name
def sufficient_statistics(
    x: Any, axes: Any, shift: Any = None, keepdims: bool = False
) -> tuple[Any, Any, Any, Any]:
    """What `normalize_moments` takes: counts and sums that can be added up.

    Args:
        x: A tensor.
        axes: The axes over which is summed.
        shift: About what the mean is; it is taken away first, which keeps the sums small.
        keepdims: Whether the axes stay, with size 1.

    Returns:
        The number of elements of each sum, the sums, the sums of squares, and the shift.
    """
    tensor = float_tensor_of(x)
    if shift is not None:
        shift = ops.cast(shift, tensor.dtype)
    moved = tensor if shift is None else tensor - shift
    count = ops.divide(ops.size(tensor), ops.maximum(ops.size(ops.sum(tensor, axes)), 1))
    sums = ops.sum(moved, axes, keepdims), ops.sum(ops.square(moved), axes, keepdims)
    return ops.cast(count, tensor.dtype), *sums, shift


@takes_name
def normalize_moments(counts: Any, mean_ss: Any, variance_ss: Any, shift: Any) -> tuple[Any, Any]:
    """The mean and the variance from what `sufficient_statistics` gives.

    Args:
        counts: The number of elements of each sum.
        mean_ss: The sums.
        variance_ss: The sums of squares.
        shift: What was taken away first; None for nothing.
    """
    moved = ops.divide(mean_ss, counts)
    variance = ops.subtract(ops.divide(variance_ss, counts), ops.square(moved))
    return (moved if shift is None else ops.add(moved, shift)), variance


__all__ = public_names(globals())
