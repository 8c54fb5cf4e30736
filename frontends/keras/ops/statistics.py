"""Quantiles, counts and correlations: https://keras.io/api/ops/numpy/."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from graphc.eager import Tensor, apply, as_tensor, cast, operate, size_tensor
from graphc.eager.tensor import promoted
from graphc.errors import DTypeError, ShapeError
from graphc.ir import is_complex, is_float, is_integer, numpy_dtype
from graphc.ir.dims import product
from graphc.keras.ops.arguments import (
    counted,
    float_tensor,
    many_axes,
    reshaped,
)
from graphc.keras.ops.complex import conjugate, real, view_as_complex, view_as_real
from graphc.keras.ops.creation import full_like
from graphc.keras.ops.elementwise import (
    ceil,
    clip,
    floor,
    isnan,
    logical_not,
    logical_or,
    maximum,
    minimum,
    sqrt,
    where,
)
from graphc.keras.ops.elementwise import round as round_to_even
from graphc.keras.ops.indexing import take, take_along_axis
from graphc.keras.ops.movement import expand_dims, flip, pad, transpose
from graphc.keras.ops.products import matmul, outer
from graphc.keras.ops.recording import operation
from graphc.keras.ops.reduction import max as reduce_max
from graphc.keras.ops.reduction import mean
from graphc.keras.ops.reduction import min as reduce_min
from graphc.keras.ops.reduction import sum as reduce_sum
from graphc.keras.ops.segments import combined
from graphc.ops.gather import ScatterAdd
from graphc.ops.search import SearchSorted
from graphc.ops.sort import Sort

__all__ = [
    "bincount", "cdist", "corrcoef", "correlate", "digitize", "histogram", "median", "nanmedian",
    "nanpercentile", "nanquantile", "percentile", "ptp", "quantile", "searchsorted",
]  # fmt: skip

_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


@operation
def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The distance from the smallest to the largest element along the axes."""
    tensor = as_tensor(x)
    return reduce_max(tensor, axis, keepdims) - reduce_min(tensor, axis, keepdims)


# -------------------------------------------------------------------------------------- quantiles


def _rows(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The axes joined to one, behind the others."""
    kept = [a for a in range(x.ndim) if a not in axes]
    moved = transpose(x, [*kept, *axes])
    return reshaped(moved, (*[x.dims[a] for a in kept], product(x.dims[a] for a in axes)))


def _quantile(
    function: str, x: Any, q: Any, axis: Any, method: str, keepdims: bool, skip_nan: bool
) -> Tensor:
    """Between which two of the sorted elements a quantile lies, and how far from the lower."""
    if method not in _METHODS:
        raise ValueError(
            f"{function}: `method` should be one of {', '.join(_METHODS)}. Received: {method!r}"
        )
    tensor = float_tensor(x)
    axes = many_axes(axis, tensor.ndim, function)
    wide = tensor.dtype if tensor.dtype == "float64" else "float32"
    fractions = as_tensor(q, wide)
    rows = _rows(tensor, axes)
    size = rows.dims[-1]
    if size == 0:
        raise ShapeError(f"{function}: no elements have a quantile. Received: shape={tensor.shape}")
    missing = isnan(rows)
    known = reduce_sum(cast(logical_not(missing), "int32"), -1, keepdims=True)
    # Behind the numbers; some runtimes would leave NaN anywhere.
    rows = apply(Sort(rows.ndim - 1), where(missing, math.inf, rows))[0]
    count = known if skip_nan else size_tensor(size, "int32")
    last = maximum(count - 1, 0)
    flat = reshaped(fractions, (product(fractions.dims),))
    result = cast(_pick(rows, flat * cast(last, wide), last, method, wide), tensor.dtype)
    least = as_tensor(1) if skip_nan else size_tensor(size, "int32")
    result = where(operate("less", known, least), math.nan, result)
    # The quantiles come first, in the shape of q.
    result = transpose(result, [result.ndim - 1, *range(result.ndim - 1)])
    kept = [1 if a in axes else d for a, d in enumerate(tensor.dims) if keepdims or a not in axes]
    return reshaped(result, (*fractions.dims, *kept))


def _pick(rows: Tensor, place: Tensor, last: Tensor, method: str, dtype: str) -> Tensor:
    """The elements of sorted rows at places that need not be whole."""
    if place.ndim < rows.ndim:
        place = reshaped(place, (*[1] * (rows.ndim - place.ndim), *place.dims))
    place = clip(place, 0, cast(last, place.dtype))
    if method == "nearest":
        return take_along_axis(rows, cast(round_to_even(place), "int32"), -1)
    low, high = floor(place), ceil(place)
    below, above = (take_along_axis(rows, cast(end, "int32"), -1) for end in (low, high))
    if method in ("lower", "higher"):
        return below if method == "lower" else above
    weight = 0.5 if method == "midpoint" else place - low
    below, above = cast(below, dtype), cast(above, dtype)
    between = below * (1.0 - weight) + above * weight
    # An infinite element times 0 would be NaN.
    return where(operate("equal", low, high), below, between)


@operation
def quantile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """What so large a part of the elements lies below, along axes.

    Args:
        x: A tensor; a row with a NaN in it gives NaN.
        q: One or more numbers from 0 to 1; their axes come first in the result.
        axis: An axis, several, or None for all.
        method: What to do between two elements: ``"linear"``, ``"lower"``, ``"higher"``,
            ``"midpoint"`` or ``"nearest"``.
        keepdims: Whether reduced axes stay, with size 1.

    Raises:
        ShapeError: There are no elements.
        ValueError: Another method.

    Example:
        >>> keras.ops.quantile([1.0, 2.0, 4.0], [0.5, 0.75])
    """
    return _quantile("quantile", x, q, axis, method, keepdims, skip_nan=False)


@operation
def nanquantile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`quantile` of the elements that are not NaN; NaN if there is none."""
    return _quantile("nanquantile", x, q, axis, method, keepdims, skip_nan=True)


def _hundredths(q: Any) -> Tensor:
    return float_tensor(q) / 100.0


@operation
def percentile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`quantile` with ``q`` from 0 to 100."""
    return _quantile("percentile", x, _hundredths(q), axis, method, keepdims, skip_nan=False)


@operation
def nanpercentile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`nanquantile` with ``q`` from 0 to 100."""
    return _quantile("nanpercentile", x, _hundredths(q), axis, method, keepdims, skip_nan=True)


@operation
def median(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The middle element along the axes, or the mean of the two middle ones."""
    return _quantile("median", x, 0.5, axis, "midpoint", keepdims, skip_nan=False)


@operation
def nanmedian(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The `median` of the elements that are not NaN; NaN if there is none."""
    return _quantile("nanmedian", x, 0.5, axis, "midpoint", keepdims, skip_nan=True)


# --------------------------------------------------------------------------------------- counting


@operation
def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> Tensor:
    """The places at which values can be put into a sorted vector so that it stays sorted.

    Args:
        sorted_sequence: A vector in rising order, NaN last.
        values: A tensor.
        side: Of places between equal elements the ``"left"`` or the ``"right"`` end.

    Raises:
        ShapeError: The sequence is no vector.
        ValueError: Another side.
    """
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: `side` should be 'left' or 'right'. Received: {side!r}")
    line, wanted = promoted(sorted_sequence, values)
    if line.ndim != 1:
        raise ShapeError(
            "searchsorted: the sequence should be a vector (keras.ops.vectorized_map goes through "
            f"several). Received: sorted_sequence.shape={line.shape}"
        )
    if line.dtype == "bool":
        line, wanted = cast(line, "int32"), cast(wanted, "int32")
    return apply(SearchSorted(side == "right"), line, wanted)


@operation
def digitize(x: Any, bins: Any) -> Tensor:
    """The numbers of the intervals between the edges ``bins`` that elements lie in.

    An element belongs to interval i if ``bins[i - 1] <= x < bins[i]``; of falling edges if
    ``bins[i - 1] > x >= bins[i]``.

    Args:
        x: A tensor.
        bins: A vector of edges in rising or falling order.
    """
    edges, values = promoted(bins, x)
    if edges.dtype == "bool":
        edges, values = cast(edges, "int32"), cast(values, "int32")
    if edges.ndim != 1:
        raise ShapeError(f"digitize: `bins` should be a vector. Received: shape={edges.shape}")
    size = edges.dims[0]
    if size == 0:
        return full_like(values, 0, "int32")
    rising = searchsorted(edges, values, side="right")
    falling = size_tensor(size, "int32") - searchsorted(flip(edges), values, side="left")
    return where(operate("less_equal", edges[0], edges[-1]), rising, falling)


@operation
def bincount(
    x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False, length: Any = None
) -> Tensor:
    """How often each of the integers 0, 1, ... occurs (along the last of two axes).

    Args:
        x: Non-negative integers, a vector or a matrix of rows.
        weights: What an occurrence counts, in the shape of ``x``; by default 1.
        minlength: The least size of the result.
        sparse: Only False: there are no sparse tensors here.
        length: The size of the result; integers beyond are left out. Programs and models need it,
            because there nobody knows the largest integer.

    Raises:
        ShapeError: ``x`` has more than two axes; it is symbolic and ``length`` is not given.
        ValueError: ``sparse`` is True.
    """
    if sparse:
        raise ValueError("bincount: there are no sparse tensors here; use sparse=False")
    tensor = as_tensor(x)
    tensor = cast(tensor, "int32") if tensor.dtype == "bool" else tensor
    if not is_integer(tensor.dtype):
        raise DTypeError(f"bincount: counts integers. Received: dtype={tensor.dtype}")
    if tensor.ndim not in (1, 2):
        raise ShapeError(f"bincount: needs a vector or rows. Received: shape={tensor.shape}")
    weight = full_like(tensor, 1, "int32") if weights is None else weights
    return _accumulated(tensor, as_tensor(weight), _length(tensor, minlength, length))


def _length(x: Tensor, least: int, length: Any) -> int:
    if length is not None:
        return operator.index(length)
    if x.is_symbolic:
        raise ShapeError(
            "bincount: in a program nobody knows the largest integer before it runs; say with "
            "`length` how many counts there are to be"
        )
    return max([least, *(x.numpy().max(initial=-1, keepdims=True).ravel() + 1).tolist()])


def _accumulated(places: Tensor, weights: Tensor, length: int) -> Tensor:
    """Weights added up by place, for each row on its own."""
    weights = cast(weights, "int32") if weights.dtype == "bool" else weights
    if places.ndim == 1:
        return combined(ScatterAdd, length, places, weights)
    # A row after the other, each with a place behind the others for what is left out.
    rows = places.dims[0]
    outside = logical_or(operate("less", places, 0), operate("greater_equal", places, length))
    number = reshaped(counted(rows, "int64"), (rows, 1))
    flat = cast(where(outside, length, places), "int64") + number * (length + 1)
    size = product(places.dims)
    op = ScatterAdd(0, rows * (length + 1))
    total = apply(op, reshaped(flat, (size,)), reshaped(weights, (size,)))
    return reshaped(total, (rows, length + 1))[:, :length]


@operation
def histogram(x: Any, bins: int = 10, range: Any = None) -> tuple[Tensor, Tensor]:
    """How many elements lie in each of equally wide intervals, and the edges of those.

    The last interval includes its upper edge; elements outside are not counted.

    Args:
        x: A tensor.
        bins: The number of intervals.
        range: The lower and the upper end; by default the smallest and the largest element.

    Raises:
        ValueError: There is no such number of intervals, or the range is none.
    """
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
        raise ValueError(f"histogram: `bins` should be a positive integer. Received: {bins!r}")
    tensor = float_tensor(x)
    flat = reshaped(tensor, (product(tensor.dims),))
    if range is not None:
        low, high = range
        if not isinstance(low, Tensor) and not low <= high:
            raise ValueError(f"histogram: `range` should rise. Received: range={range}")
        low, high = as_tensor(low, flat.dtype), as_tensor(high, flat.dtype)
    elif flat.dims[0] == 0:
        low, high = as_tensor(0.0, flat.dtype), as_tensor(1.0, flat.dtype)
    else:
        low, high = reduce_min(flat), reduce_max(flat)
    same = operate("equal", low, high)
    low, high = where(same, low - 0.5, low), where(same, high + 0.5, high)
    steps = Tensor(np.linspace(0, 1, bins + 1).astype(numpy_dtype(flat.dtype)))
    edges = low * (1.0 - steps) + high * steps
    place = searchsorted(edges, flat, side="right") - 1
    place = where(operate("equal", flat, high), bins - 1, place)
    return combined(ScatterAdd, bins, place, full_like(place, 1, flat.dtype)), edges


# ------------------------------------------------------------------------------------ correlation


@operation
def corrcoef(x: Any) -> Tensor:
    """Pearson's coefficients of correlation between the rows of a matrix.

    Raises:
        ShapeError: ``x`` has more than two axes.
    """
    tensor = float_tensor(x)
    if tensor.ndim > 2:
        raise ShapeError(f"corrcoef: needs a matrix or a vector. Received: shape={tensor.shape}")
    rows = tensor if tensor.ndim == 2 else reshaped(tensor, (1, product(tensor.dims)))
    distance = rows - mean(rows, -1, keepdims=True)
    product_ = matmul(distance, conjugate(transpose(distance)))
    size = sqrt(reduce_sum(real(distance * conjugate(distance)), -1))
    result = _limited(product_ / outer(size, size))
    return result if tensor.ndim == 2 else reshaped(result, ())


def _limited(x: Tensor) -> Tensor:
    """Numbers, or the parts of complex ones, in [-1, 1]."""
    if is_complex(x.dtype):
        return view_as_complex(_limited(view_as_real(x)))
    return maximum(minimum(x, 1.0), -1.0)


@operation
def correlate(x1: Any, x2: Any, mode: str = "valid") -> Tensor:
    """The sums of products of two vectors, the second moved along the first.

    Complex numbers of the second one are conjugated.

    Args:
        x1: A vector.
        x2: A vector.
        mode: ``"valid"`` where both overlap completely, ``"same"`` for as many places as the longer
            one has, ``"full"`` for all places where they overlap.

    Raises:
        ShapeError: They are no vectors of known sizes.
        ValueError: Another mode.
    """
    if mode not in ("valid", "same", "full"):
        raise ValueError(
            f"correlate: `mode` should be 'valid', 'same' or 'full'. Received: {mode!r}"
        )
    x, y = promoted(x1, x2)
    if x.ndim != 1 or y.ndim != 1 or None in (x.size, y.size) or 0 in (x.size, y.size):
        raise ShapeError(
            "correlate: needs two vectors that are not empty. "
            f"Received: shapes {x.shape} and {y.shape}"
        )
    if y.dims[0] > x.dims[0]:
        return flip(_correlated(conjugate(y), x, mode))
    return _correlated(x, conjugate(y), mode)


def _correlated(x: Tensor, y: Tensor, mode: str) -> Tensor:
    """For ``y`` that is not longer."""
    size, window = int(x.dims[0]), int(y.dims[0])
    before = {"valid": 0, "full": window - 1, "same": window // 2}[mode]
    after = {"valid": 0, "full": window - 1, "same": window - 1 - window // 2}[mode]
    padded = pad(x, ((before, after),)) if before or after else x
    count = size + before + after - window + 1
    places = np.arange(count, dtype=np.int32)[:, None] + np.arange(window, dtype=np.int32)
    windows = take(padded, Tensor(places))
    return reduce_sum(windows * y, -1) if not is_float(x.dtype) else matmul(windows, y)


@operation
def cdist(x: Any, y: Any) -> Tensor:
    """Euclidean distances between all vectors of the one and all of the other tensor.

    Args:
        x: ``(..., m, d)``.
        y: ``(..., n, d)``.

    Raises:
        ShapeError: They have fewer than two axes, or their vectors differ in length.
    """
    first, second = (float_tensor(operand) for operand in promoted(x, y))
    if first.ndim < 2 or second.ndim < 2 or first.dims[-1] != second.dims[-1]:
        raise ShapeError(
            "cdist: needs (..., m, d) and (..., n, d). "
            f"Received: shapes {first.shape} and {second.shape}"
        )
    difference = expand_dims(first, -2) - expand_dims(second, -3)
    return sqrt(reduce_sum(difference * difference, -1))
