"""Reductions along axes, positions of extremes, running sums: https://keras.io/api/ops/numpy/."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.eager import Tensor, apply, as_tensor, cast, operate
from graphc.ir import is_complex, is_float
from graphc.keras.ops.arguments import float_tensor, many_axes, one_axis, reshaped, resolved_dtype
from graphc.keras.ops.elementwise import (
    absolute,
    exp,
    isinf,
    log,
    maximum,
    minimum,
    sqrt,
    where,
)
from graphc.keras.ops.recording import operation
from graphc.ops import reduce as graph_ops
from graphc.ops.cumulative import CumProd, CumSum, Cumulative

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "average", "count_nonzero", "cumprod",
    "cumsum", "logsumexp", "max", "mean", "min", "prod", "std", "sum", "var",
]  # fmt: skip


def _reduce(kind: Any, function: str, x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    axes = many_axes(axis, x.ndim, function)
    return apply(kind(axes, bool(keepdims)), x)


#: Sums of small integers are taken in these types, as in Keras.
_SUM_DTYPES = {
    "bool": "int32",
    "int8": "int32",
    "int16": "int32",
    "uint8": "uint32",
    "uint16": "uint32",
}


def _wide(x: Any) -> Tensor:
    tensor = as_tensor(x)
    return cast(tensor, _SUM_DTYPES.get(tensor.dtype, tensor.dtype))


@operation
def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The sum along the axes (all of them for None).

    Example:
        >>> keras.ops.sum([[1, 2], [3, 4]], axis=-1)
    """
    return _reduce(graph_ops.ReduceSum, "sum", _wide(x), axis, keepdims)


@operation
def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Tensor:
    """The product along the axes."""
    tensor = _wide(x) if dtype is None else as_tensor(x, dtype)
    return _reduce(graph_ops.ReduceProd, "prod", tensor, axis, keepdims)


@operation
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The arithmetic mean along the axes; of integers in `floatx`."""
    return _reduce(graph_ops.ReduceMean, "mean", float_tensor(x), axis, keepdims)


@operation
def var(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The variance along the axes: the mean of squared distances from the mean."""
    tensor = float_tensor(x)
    distance = tensor - mean(tensor, axis, keepdims=True)
    distance = absolute(distance) if is_complex(tensor.dtype) else distance
    return mean(distance * distance, axis, keepdims)


@operation
def std(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The standard deviation along the axes."""
    return sqrt(var(x, axis, keepdims))


def _extreme(
    kind: Any, name: str, pick: Any, x: Any, axis: Any, keepdims: bool, initial: Any
) -> Tensor:
    tensor = as_tensor(x)
    number = cast(tensor, "int32") if tensor.dtype == "bool" else tensor
    axes = many_axes(axis, number.ndim, name)
    if initial is not None and 0 in [number.dims[a] for a in axes]:
        zeros = _reduce(graph_ops.ReduceSum, name, number, axes, keepdims)
        return zeros + cast(as_tensor(initial), number.dtype)
    result = cast(_reduce(kind, name, number, axes, keepdims), tensor.dtype)
    return result if initial is None else pick(result, initial)


@operation
def max(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The largest element along the axes; complex numbers are in the order of `sort`.

    Args:
        x: A tensor.
        axis: An axis, several, or None for all.
        keepdims: Whether reduced axes stay, with size 1.
        initial: The least value that the result can have.
    """
    return _extreme(graph_ops.ReduceMax, "max", maximum, x, axis, keepdims, initial)


@operation
def min(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The smallest element along the axes; ``initial`` is the largest the result can be."""
    return _extreme(graph_ops.ReduceMin, "min", minimum, x, axis, keepdims, initial)


amax = max
amin = min


@operation
def any(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether any element along the axes is true."""
    return operate("not_equal", sum(cast(as_tensor(x), "bool"), axis, keepdims), 0)


@operation
def all(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether all elements along the axes are true."""
    wrong = operate("logical_not", cast(as_tensor(x), "bool"))
    return operate("equal", sum(wrong, axis, keepdims), 0)


@operation
def count_nonzero(x: Any, axis: Any = None) -> Tensor:
    """How many elements along the axes are not 0."""
    return sum(cast(as_tensor(x), "bool"), axis)


def _position(x: Any, axis: Any, keepdims: bool, function: str, least: bool) -> Tensor:
    tensor = as_tensor(x)
    tensor = cast(tensor, "int32") if tensor.dtype == "bool" else tensor
    shape = list(tensor.dims)
    if axis is None:
        tensor = reshaped(tensor, (math.prod(shape),))
        place = 0
    else:
        place = one_axis(axis, tensor.ndim, function)
    position = apply(graph_ops.ArgMax(place), _descending(tensor) if least else tensor)
    if not keepdims:
        return position
    kept = [1] * len(shape) if axis is None else [*shape[:place], 1, *shape[place + 1 :]]
    return reshaped(position, kept)


def _descending(x: Tensor) -> Tensor:
    """A tensor in which the order of the elements is turned round, without overflow."""
    if is_float(x.dtype):
        return operate("negative", x)
    top = np.iinfo(x.dtype).max if x.dtype.startswith("u") else -1
    return operate("subtract", Tensor(np.array(top, x.dtype)), x)


@operation
def argmax(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The position of the largest element along an axis, or in the flat tensor for None."""
    return _position(x, axis, keepdims, "argmax", least=False)


@operation
def argmin(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The position of the smallest element along an axis, or in the flat tensor for None."""
    return _position(x, axis, keepdims, "argmin", least=True)


@operation
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The logarithm of the sum of exponentials along the axes, without overflow."""
    tensor = float_tensor(x)
    axes = many_axes(axis, tensor.ndim, "logsumexp")
    largest = max(tensor, axes, keepdims=True)
    # A largest element of -inf (or inf) would make inf - inf.
    shift = where(isinf(largest), 0, largest)
    total = log(sum(exp(tensor - shift), axes, keepdims=True)) + shift
    return total if keepdims else apply(graph_ops.ReduceSum(axes), total)


def _running(kind: type[Cumulative], x: Any, axis: Any, dtype: Any, function: str) -> Tensor:
    tensor = as_tensor(x) if dtype is None else as_tensor(x, resolved_dtype(dtype))
    tensor = cast(tensor, "int32") if tensor.dtype == "bool" else tensor
    if axis is None:
        tensor = reshaped(tensor, (math.prod(tensor.dims),))
        axis = 0
    return apply(kind(one_axis(axis, tensor.ndim, function)), tensor)


@operation
def cumsum(x: Any, axis: Any = None, dtype: Any = None) -> Tensor:
    """The sums of the first, the first two, ... elements along an axis (flat for None)."""
    return _running(CumSum, x, axis, dtype, "cumsum")


@operation
def cumprod(x: Any, axis: Any = None, dtype: Any = None) -> Tensor:
    """The products of the first, the first two, ... elements along an axis (flat for None)."""
    return _running(CumProd, x, axis, dtype, "cumprod")


@operation
def average(x: Any, axis: Any = None, weights: Any = None) -> Tensor:
    """The mean along the axes, weighted."""
    if weights is None:
        return mean(x, axis)
    tensor, weight = float_tensor(x), float_tensor(weights)
    if weight.ndim != tensor.ndim and axis is not None:
        place = one_axis(axis, tensor.ndim, "average")
        weight = reshaped(weight, [d if a == place else 1 for a, d in enumerate(tensor.dims)])
    weight = operate("multiply", weight, operate("add", tensor * 0, 1.0))
    return sum(tensor * weight, axis) / sum(weight, axis)
