"""Making tensors from shapes and numbers: https://keras.io/api/ops/numpy/."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from graphc.config import config
from graphc.eager import Tensor, apply, apply_function, as_tensor, cast, operate
from graphc.eager.tensor import promoted
from graphc.errors import DTypeError, ShapeError
from graphc.ir import dims, is_complex, is_integer, numpy_dtype, part_dtype
from graphc.keras.ops.arguments import (
    counted,
    dim_of,
    filled_tensor,
    float_tensor,
    one_axis,
    reshaped,
    resolved_dtype,
    shape_of,
)
from graphc.keras.ops.elementwise import exp, log, sign, where
from graphc.keras.ops.movement import broadcast_to, expand_dims
from graphc.keras.ops.recording import operation
from graphc.ops.elementwise import Floor
from graphc.ops.gather import one_hot as graph_one_hot
from graphc.ops.movement import Expand

__all__ = [
    "arange", "array", "empty", "empty_like", "eye", "full", "full_like", "geomspace", "identity",
    "linspace", "logspace", "one_hot", "ones", "ones_like", "tril", "triu", "zeros", "zeros_like",
]  # fmt: skip


def zeros(shape: Any, dtype: Any = None) -> Tensor:
    """A tensor full of zeros."""
    return filled_tensor(shape_of(shape, "zeros"), 0, resolved_dtype(dtype))


def ones(shape: Any, dtype: Any = None) -> Tensor:
    """A tensor full of ones."""
    return filled_tensor(shape_of(shape, "ones"), 1, resolved_dtype(dtype))


def empty(shape: Any, dtype: Any = None) -> Tensor:
    """The same as `zeros`."""
    return zeros(shape, dtype)


@operation
def full(shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """A tensor full of one value (or of an array that is broadcast)."""
    return broadcast_to(as_tensor(fill_value, resolved_dtype(dtype)), shape)


@operation
def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    """Zeros of the shape and, unless another is given, the dtype of ``x``."""
    return full_like(x, 0, dtype)


@operation
def ones_like(x: Any, dtype: Any = None) -> Tensor:
    """Ones of the shape and, unless another is given, the dtype of ``x``."""
    return full_like(x, 1, dtype)


@operation
def empty_like(x: Any, dtype: Any = None) -> Tensor:
    """The same as `zeros_like`."""
    return zeros_like(x, dtype)


@operation
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """One value in the shape and, unless another is given, the dtype of ``x``."""
    tensor = as_tensor(x)
    value = as_tensor(fill_value, resolved_dtype(dtype) if dtype is not None else tensor.dtype)
    shape = tensor.dims
    if tensor.is_symbolic and not value.is_symbolic:
        return apply_function(lambda _, number: Expand(shape)(number), tensor, value)
    return apply(Expand(shape), value)


def eye(N: Any, M: Any = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Ones on a diagonal, zeros elsewhere; sizes may be those that ``keras.ops.shape`` gave."""
    rows = dim_of(N, "eye")
    columns = rows if M is None else dim_of(M, "eye")
    down, along = counted(rows, "int32"), counted(columns, "int32")
    return cast(reshaped(down, (rows, 1)) + operator.index(k) == along, resolved_dtype(dtype))


def identity(n: Any, dtype: Any = None) -> Tensor:
    """The identity matrix."""
    return eye(n, dtype=dtype)


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Tensor:
    """Evenly spaced numbers, the end not included.

    ``arange(n)`` also counts up to a size that ``keras.ops.shape`` gave.
    """
    low, high = (0, start) if stop is None else (start, stop)
    step = 1 if step is None else step
    if isinstance(high, dims.SymbolicDim) or isinstance(low, dims.SymbolicDim):
        if step != 1:
            raise ShapeError("arange: a size that is not known yet can only be counted in ones")
        line = counted(dim_of(high, "arange") - low, resolved_dtype(dtype or "int32"))
        return line if low == 0 else operate("add", line, low)
    low, high, step = (x.item() if isinstance(x, Tensor) else x for x in (low, high, step))
    numbers = np.arange(low, high, step)
    if dtype is None:
        dtype = config.floatx if numbers.dtype.kind == "f" else "int32"
    return Tensor(numbers.astype(numpy_dtype(resolved_dtype(dtype))))


@operation
def array(x: Any, dtype: Any = None) -> Tensor:
    """Anything array-like as a tensor."""
    return as_tensor(x, None if dtype is None else resolved_dtype(dtype))


@operation
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """So many evenly spaced numbers from ``start`` to ``stop``.

    Args:
        start: The first number, or a tensor of them.
        stop: The last number.
        num: How many.
        endpoint: Whether the last number is ``stop``; else it would be the next one.
        retstep: Whether to give the distance between neighbours, too.
        dtype: Element type of the result.
        axis: The new axis, where ``start`` or ``stop`` is a tensor.
    """
    low, high = (float_tensor(end) for end in promoted(start, stop))
    line, step = _spaced(low, high, num, endpoint, axis)
    kind = low.dtype if dtype is None else resolved_dtype(dtype)
    if is_integer(kind):
        line = apply(Floor(), line)
    return (cast(line, kind), step) if retstep else cast(line, kind)


def _computed_in(low: Tensor, high: Tensor) -> str:
    """At once double precision costs nothing; in a program it is used where it is asked for."""
    in_program = low.is_symbolic or high.is_symbolic
    if is_complex(low.dtype):
        return low.dtype if in_program else "complex128"
    return "float32" if in_program and low.dtype != "float64" else "float64"


def _spaced(
    low: Tensor, high: Tensor, num: int, endpoint: bool, axis: int
) -> tuple[Tensor, Tensor]:
    """Evenly spaced numbers along a new axis, and the distance between neighbours."""
    count = operator.index(num)
    if count < 0:
        raise ShapeError(f"linspace: `num` should not be negative. Received: {num}")
    wide = _computed_in(low, high)
    low, high = cast(low, wide), cast(high, wide)
    parts = count - 1 if endpoint else count
    shape = operate("add", low, high).dims
    place = one_axis(axis, len(shape) + 1, "linspace")
    line = [count if a == place else 1 for a in range(len(shape) + 1)]
    fractions = reshaped(Tensor((np.arange(count) / max(parts, 1)).astype(part_dtype(wide))), line)
    first, last = (expand_dims(broadcast_to(end, shape), place) for end in (low, high))
    # From both ends, so that each of them is met exactly.
    numbers = where(
        operate("less", fractions, 0.5),
        first + (last - first) * fractions,
        last - (last - first) * (1.0 - fractions),
    )
    step = (high - low) / float(parts) if parts > 0 else (high - low) * math.nan
    return numbers, step


@operation
def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10,
    dtype: Any = None,
    axis: int = 0,
) -> Tensor:
    """So many numbers from ``base**start`` to ``base**stop``, each the same multiple of the last.

    See `linspace` for the arguments.
    """
    low, high = (float_tensor(end) for end in promoted(start, stop))
    kind = low.dtype if dtype is None else resolved_dtype(dtype)
    exponents, _ = _spaced(low, high, num, endpoint, axis)
    return cast(operate("power", cast(as_tensor(base), exponents.dtype), exponents), kind)


@operation
def geomspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
) -> Tensor:
    """So many numbers from ``start`` to ``stop``, each the same multiple of the one before it.

    Both ends have the same sign; complex ones are on a spiral. See `linspace` for the arguments.
    """
    low, high = (float_tensor(end) for end in promoted(start, stop))
    kind = low.dtype if dtype is None else resolved_dtype(dtype)
    low, high = (cast(end, _computed_in(low, high)) for end in (low, high))
    direction = sign(low)
    exponents, _ = _spaced(log(low / direction), log(high / direction), num, endpoint, axis)
    place = one_axis(axis, exponents.ndim, "geomspace")
    shape = (high * direction).dims
    return cast(exp(exponents) * expand_dims(broadcast_to(direction, shape), place), kind)


@operation
def tril(x: Any, k: int = 0) -> Tensor:
    """The lower triangle of the last two axes; zeros above the k-th diagonal."""
    return _triangle(x, k, "tril", lower=True)


@operation
def triu(x: Any, k: int = 0) -> Tensor:
    """The upper triangle of the last two axes; zeros below the k-th diagonal."""
    return _triangle(x, k, "triu", lower=False)


def _triangle(x: Any, k: int, function: str, lower: bool) -> Tensor:
    tensor = as_tensor(x)
    if tensor.ndim < 2:
        raise ShapeError(f"{function}: needs at least 2 axes. Received: shape={tensor.shape}")
    rows, columns = (counted(dim, "int32") for dim in tensor.dims[-2:])
    row = reshaped(rows, (tensor.dims[-2], 1)) + k
    kept = row >= columns if lower else row <= columns
    return where(kept, tensor, full_like(tensor, 0))


@operation
def one_hot(
    x: Any, num_classes: Any, axis: int = -1, dtype: Any = None, sparse: bool = False
) -> Tensor:
    """Integers as vectors with a one in that place; zeros only for integers out of range.

    Args:
        x: Integers.
        num_classes: The size of the new axis: a number, or a size from ``keras.ops.shape``.
        axis: Where the new axis stands in the result.
        dtype: Element type of the result.
        sparse: Only False: there are no sparse tensors here.

    Raises:
        DTypeError: ``x`` holds no integers.
        ShapeError: ``num_classes`` is no size, or is known only when a program runs.
        ValueError: ``sparse`` is True.
    """
    if sparse:
        raise ValueError("one_hot: there are no sparse tensors here; use sparse=False")
    indices = as_tensor(x)
    if indices.dtype == "bool" or not is_integer(indices.dtype):
        raise DTypeError(f"one_hot: needs integers. Received: dtype={indices.dtype}")
    place = one_axis(axis, indices.ndim + 1, "one_hot")
    size = dim_of(num_classes, "one_hot")
    kind = resolved_dtype(dtype)
    return apply_function(lambda v: graph_one_hot(v, size, kind, place), indices)
