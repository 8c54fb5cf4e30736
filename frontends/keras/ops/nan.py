"""Reductions that leave NaN out: https://keras.io/api/ops/numpy/."""

from __future__ import annotations

import math
from typing import Any

from graphc.eager import Tensor, as_tensor, cast, operate
from graphc.ir import is_complex, is_inexact, part_dtype
from graphc.keras.ops.arguments import float_tensor, resolved_dtype
from graphc.keras.ops.elementwise import absolute, isnan, logical_not, sqrt, where
from graphc.keras.ops.recording import operation
from graphc.keras.ops.reduction import all as reduce_all
from graphc.keras.ops.reduction import argmax, argmin, cumprod, cumsum, prod
from graphc.keras.ops.reduction import max as reduce_max
from graphc.keras.ops.reduction import min as reduce_min
from graphc.keras.ops.reduction import sum as reduce_sum

__all__ = [
    "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmin", "nanprod",
    "nanstd", "nansum", "nanvar",
]  # fmt: skip


def _filled(x: Any, number: complex) -> Tensor:
    tensor = as_tensor(x)
    return where(isnan(tensor), number, tensor) if is_inexact(tensor.dtype) else tensor


@operation
def nansum(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The sum along the axes; NaN counts as 0."""
    return reduce_sum(_filled(x, 0), axis, keepdims)


@operation
def nanprod(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The product along the axes; NaN counts as 1."""
    return prod(_filled(x, 1), axis, keepdims)


@operation
def nancumsum(x: Any, axis: Any = None, dtype: Any = None) -> Tensor:
    """The running sum along an axis (flat for None); NaN counts as 0."""
    return cumsum(_filled(x, 0), axis, dtype)


@operation
def nancumprod(x: Any, axis: Any = None, dtype: Any = None) -> Tensor:
    """The running product along an axis (flat for None); NaN counts as 1."""
    return cumprod(_filled(x, 1), axis, dtype)


def _extreme(reduction: Any, x: Any, axis: Any, keepdims: bool, worst: float) -> Tensor:
    tensor = as_tensor(x)
    worst_of_all = complex(worst, worst) if is_complex(tensor.dtype) else worst
    result = reduction(_filled(tensor, worst_of_all), axis, keepdims)
    if not is_inexact(tensor.dtype):
        return result
    return where(reduce_all(isnan(tensor), axis, keepdims), math.nan, result)


@operation
def nanmax(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The largest element along the axes that is not NaN; NaN if there is none."""
    return _extreme(reduce_max, x, axis, keepdims, -math.inf)


@operation
def nanmin(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The smallest element along the axes that is not NaN; NaN if there is none."""
    return _extreme(reduce_min, x, axis, keepdims, math.inf)


def _position(find: Any, x: Any, axis: Any, keepdims: bool, worst: float) -> Tensor:
    tensor = as_tensor(x)
    worst_of_all = complex(worst, worst) if is_complex(tensor.dtype) else worst
    place = find(_filled(tensor, worst_of_all), axis, keepdims)
    if not is_inexact(tensor.dtype):
        return place
    return where(reduce_all(isnan(tensor), axis, keepdims), -1, place)


@operation
def nanargmax(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The position of the largest element that is not NaN; -1 if there is none."""
    return _position(argmax, x, axis, keepdims, -math.inf)


@operation
def nanargmin(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The position of the smallest element that is not NaN; -1 if there is none."""
    return _position(argmin, x, axis, keepdims, math.inf)


def _mean(x: Tensor, counted: Tensor, axis: Any, keepdims: bool) -> Tensor:
    """The mean of the elements that are counted; of 16-bit floats in single precision."""
    count = reduce_sum(cast(counted, x.dtype), axis, keepdims)
    return reduce_sum(where(counted, x, 0), axis, keepdims) / count


def _computed(x: Any) -> tuple[Tensor, str]:
    """Floats (or complex numbers) to compute with, and the type of the result."""
    tensor = float_tensor(x)
    if is_complex(tensor.dtype):
        return tensor, tensor.dtype
    wide = tensor.dtype if tensor.dtype == "float64" else "float32"
    return cast(tensor, resolved_dtype(wide)), tensor.dtype


@operation
def nanmean(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The mean along the axes of the elements that are not NaN; NaN if there is none."""
    tensor, dtype = _computed(x)
    return cast(_mean(tensor, logical_not(isnan(tensor)), axis, keepdims), dtype)


@operation
def nanvar(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The variance along the axes of the elements that are not NaN; NaN if there is none."""
    tensor, dtype = _computed(x)
    counted = logical_not(isnan(tensor))
    distance = operate("subtract", tensor, _mean(tensor, counted, axis, keepdims=True))
    if is_complex(dtype):
        distance, dtype = absolute(distance), part_dtype(dtype)
    return cast(_mean(distance * distance, counted, axis, keepdims), dtype)


@operation
def nanstd(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The standard deviation along the axes of the elements that are not NaN."""
    return sqrt(nanvar(x, axis, keepdims))
