"""Distinct elements, membership and places: https://keras.io/api/ops/numpy/.

How many there are depends on the data. Computed at once the result is as large as it has to be; in
a program its size has to be given.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from graphc.eager import Tensor, apply, as_tensor, cast, operate, size_tensor
from graphc.eager.tensor import promoted
from graphc.errors import DataDependentControlFlowError
from graphc.ir.dims import product
from graphc.keras.ops.arguments import counted, one_axis, reshaped
from graphc.keras.ops.creation import full_like, zeros
from graphc.keras.ops.elementwise import clip, minimum, where
from graphc.keras.ops.indexing import take
from graphc.keras.ops.movement import concatenate, moveaxis
from graphc.keras.ops.recording import operation
from graphc.keras.ops.reduction import any as reduce_any
from graphc.keras.ops.reduction import cumsum
from graphc.keras.ops.segments import combined
from graphc.keras.ops.sorting import argsort, sort
from graphc.keras.ops.statistics import searchsorted
from graphc.ops.gather import ScatterAdd
from graphc.ops.scatter import ScatterMin

__all__ = ["isin", "nonzero", "unique", "unravel_index"]


@operation
def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element of ``x1`` is one of the elements of ``x2``.

    Args:
        x1: A tensor.
        x2: A tensor.
        assume_unique: Accepted as in Keras; it changes nothing.
        invert: Whether to ask for the opposite.
    """
    x, among = promoted(x1, x2)
    if x.dtype == "bool":
        x, among = cast(x, "int32"), cast(among, "int32")
    line = reshaped(among, (product(among.dims),))
    if line.dims[0] == 0:
        return full_like(x, invert, "bool")
    line = sort(line)
    place = clip(searchsorted(line, x), 0, size_tensor(line.dims[0], "int32") - 1)
    return operate("not_equal" if invert else "equal", take(line, place), x)


def _size(size: Any, found: Tensor, function: str) -> int:
    """The size of the result: the one that was given, or how many there are."""
    if size is not None:
        return operator.index(size)
    if found.is_symbolic:
        raise DataDependentControlFlowError(
            f"{function}: how many there are is known only when the program runs; say with `size` "
            "how many places the result has (what is left over is filled)"
        )
    return int(found.numpy())


def _starts(first: Tensor, size: int) -> Tensor:
    """The places of the first ``size`` true elements of a vector; far ones if there are fewer."""
    group = cumsum(cast(first, "int32")) - 1
    line = counted(first.dims[0], "int32")
    return combined(ScatterMin, size, where(first, group, size), line)


@operation
def nonzero(x: Any, size: Any = None, fill_value: Any = 0) -> tuple[Tensor, ...]:
    """The positions of elements that are not 0, a vector of positions per axis.

    Args:
        x: A tensor.
        size: How many positions there are to be; programs and models need it.
        fill_value: The position given where there are fewer.

    Raises:
        DataDependentControlFlowError: ``x`` is symbolic and ``size`` is not given.
    """
    tensor = as_tensor(x)
    total = product(tensor.dims)
    flat = reshaped(cast(tensor, "bool"), (total,))
    count = cumsum(cast(flat, "int32"))[-1] if total != 0 else as_tensor(0)
    places = _starts(flat, _size(size, count, "nonzero"))
    found = operate("less", counted(places.dims[0], "int32"), count)
    positions = unravel_index(where(found, places, 0), tensor.dims)
    return tuple(where(found, position, fill_value) for position in positions)


@operation
def unravel_index(indices: Any, shape: Any) -> tuple[Tensor, ...]:
    """Places in a flat tensor as positions along the axes of a shape.

    Args:
        indices: Integers; negative ones count from the end.
        shape: The shape.
    """
    place = as_tensor(indices)
    total = size_tensor(product(shape), place.dtype)
    place = where(operate("less", place, 0), place + total, place)
    place = clip(place, 0, total - 1)
    positions = []
    for dim in reversed(shape):
        size = size_tensor(dim, place.dtype)
        positions.append(operate("mod", place, size))
        place = operate("floor_divide", place, size)
    return tuple(reversed(positions))


@operation
def unique(
    x: Any,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: Any = None,
    fill_value: Any = None,
) -> Any:
    """The distinct elements in rising order; each NaN is one of its own.

    Args:
        x: A tensor.
        sorted: Accepted as in Keras; they always come sorted.
        return_index: Whether to give where each occurs first, too.
        return_inverse: Whether to give the number of each element of ``x`` among them, too.
        return_counts: Whether to give how often each occurs, too.
        axis: The axis whose slices are compared; None for elements.
        size: How many there are to be; programs and models need it.
        fill_value: What stands where there are fewer; by default the first of them.

    Returns:
        A tensor; or a tuple of it and what else is asked for, in the order of the arguments.

    Raises:
        DataDependentControlFlowError: ``x`` is symbolic and ``size`` is not given.
    """
    tensor = as_tensor(x)
    if axis is None:
        slices = reshaped(tensor, (product(tensor.dims),))
    else:
        place = one_axis(axis, tensor.ndim, "unique")
        slices = moveaxis(tensor, place, 0)
    found = slices.dims[0]
    if found == 0:  # as if there were one, which does not count
        slices = zeros((1, *slices.dims[1:]), slices.dtype)
        present = as_tensor(0)
    else:
        present = size_tensor(found, "int32")
    order, first = _sorted_slices(slices)
    group = cumsum(cast(first, "int32")) - 1
    count = minimum(group[-1] + 1, present)
    length = _size(size, count, "unique")
    starts = _starts(first, length)
    there = operate("less", counted(length, "int32"), count)
    index = take(order, where(there, starts, 0))
    values = take(slices, index, 0)
    if fill_value is not None:
        mask = reshaped(there, (length, *[1] * (values.ndim - 1)))
        values = where(mask, values, as_tensor(fill_value, values.dtype))
    results = [values if axis is None else moveaxis(values, 0, place)]
    if return_index:
        results.append(index)
    if return_inverse:
        inverse = apply(ScatterAdd(0, slices.dims[0]), order, group)[:found]
        results.append(reshaped(inverse, tensor.dims) if axis is None else inverse)
    if return_counts:
        counts = combined(ScatterAdd, length, group, full_like(group, 1))
        results.append(where(there, counts, 0))
    return results[0] if len(results) == 1 else tuple(results)


def _sorted_slices(x: Tensor) -> tuple[Tensor, Tensor]:
    """The order that sorts slices along axis 0, and which then differ from those before them."""
    size = x.dims[0]
    columns = reshaped(x, (size, product(x.dims[1:])))
    width = columns.dims[1]
    order = counted(size, "int32")
    # From the last column to the first, each time keeping the order of equals.
    for column in range(int(width) - 1, -1, -1):
        order = take(order, argsort(take(columns[:, column], order)))
    ordered = take(columns, order, 0)
    differs = reduce_any(operate("not_equal", ordered[1:], ordered[:-1]), -1)
    return order, concatenate([Tensor(np.ones(1, bool)), differs])
