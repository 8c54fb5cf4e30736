"""Tensors with some elements replaced: https://keras.io/api/ops/core/."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.eager import Tensor, apply, apply_function, as_tensor, cast
from graphc.errors import DTypeError, ShapeError
from graphc.ir import dims, is_integer
from graphc.ir.dims import Dim
from graphc.keras.ops.arguments import counted, filled_tensor, reshaped, shape_of
from graphc.keras.ops.elementwise import clip, logical_and, maximum, minimum, where
from graphc.keras.ops.patches import known_size
from graphc.keras.ops.recording import operation
from graphc.keras.ops.segments import combined
from graphc.ops.gather import Gather, ScatterAdd, joint_position
from graphc.ops.movement import Pad
from graphc.ops.scatter import ScatterMax, ScatterMin, ScatterMul

__all__ = ["scatter", "scatter_update", "slice_update"]

_REDUCTIONS = (None, "add", "max", "min", "mul")


@operation
def scatter(indices: Any, values: Any, shape: Any) -> Tensor:
    """Zeros of a shape with values added at positions.

    Args:
        indices: Positions in the first k axes of the result, integers ``(..., k)``; negative ones
            count from the end of their axis, and those outside are left out, as in Keras on JAX.
        values: What to add there, ``(..., *shape[k:])``.
        shape: The shape of the result; sizes may come from ``keras.ops.shape``.

    Raises:
        ShapeError: The positions or values do not fit.
        DTypeError: The positions are no integers.

    Example:
        >>> keras.ops.scatter([[0, 1], [-1, 2]], [1.0, 5.0], (3, 3))
    """
    places, added = as_tensor(indices), as_tensor(values)
    sizes = shape_of(shape, "scatter")
    depth = places.dims[-1] if places.ndim else None
    if not isinstance(depth, int) or depth > len(sizes):
        raise ShapeError(
            "scatter: `indices` should be integers (..., k), with k at most the number of axes of "
            f"the result. Received: indices.shape={places.shape}, shape={shape}"
        )
    wanted = (*places.dims[:-1], *sizes[depth:])
    if added.dims != wanted:
        raise ShapeError(
            f"scatter: `values` should have shape {dims.shape_text(wanted)}. "
            f"Received: values.shape={added.shape}"
        )
    count = dims.product(sizes[:depth])
    numbers = _numbers(places, sizes[:depth])
    return reshaped(combined(ScatterAdd, count, numbers, added), sizes)


@operation
def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> Tensor:
    """A tensor with some of its elements, or slices, replaced.

    Args:
        inputs: A tensor.
        indices: Positions in its first k axes, ``(n, k)``; negative ones count from the end, and
            those outside are left out.
        updates: What is put there, ``(n, ...)``.
        reduction: None to replace (of several for one place the last one stays), or ``"add"``,
            ``"mul"``, ``"max"`` or ``"min"`` to combine with what is there.

    Raises:
        ShapeError: The positions or updates do not fit.
        ValueError: Another reduction.

    Example:
        >>> keras.ops.scatter_update(keras.ops.zeros((3, 3)), [[0, 1], [2, 2]], [1.0, 5.0])
    """
    if reduction not in _REDUCTIONS:
        raise ValueError(
            f"scatter_update: `reduction` should be one of {_REDUCTIONS}. Received: {reduction!r}"
        )
    x, places = as_tensor(inputs), as_tensor(indices)
    new = cast(as_tensor(updates), x.dtype)
    depth = places.dims[-1] if places.ndim == 2 else None
    if not isinstance(depth, int) or depth > x.ndim or not is_integer(places.dtype):
        raise ShapeError(
            "scatter_update: `indices` should be integers (n, k), with k at most the number of "
            f"axes of `inputs`. Received: indices.shape={places.shape}, {places.dtype}, "
            f"inputs.shape={x.shape}"
        )
    rest = x.dims[depth:]
    if new.dims != (places.dims[0], *rest):
        raise ShapeError(
            f"scatter_update: `updates` should have shape {(places.dims[0], *rest)}. "
            f"Received: updates.shape={new.shape}"
        )
    sizes = [known_size(x, axis) for axis in range(depth)]
    count = dims.product(sizes)
    rows = reshaped(x, (count, *rest))
    truth = x.dtype == "bool"
    if truth:
        rows, new = cast(rows, "int8"), cast(new, "int8")
    changed = _updated(rows, _numbers(places, sizes), new, reduction)
    return reshaped(cast(changed, x.dtype) if truth else changed, x.dims)


def joint_positions(places: Sequence[Tensor], sizes: Sequence[Dim]) -> Tensor:
    """Positions along several axes as positions along the one axis that these make.

    Args:
        places: Integers for each axis, of shapes that broadcast; negative ones count from the end.
        sizes: The sizes of the axes.

    Returns:
        int64; a far negative number where a position is outside its axis.

    Raises:
        DTypeError: Positions are no integers.
    """
    for tensor in places:
        if tensor.dtype == "bool" or not is_integer(tensor.dtype):
            raise DTypeError(f"positions should be integers. Received: dtype={tensor.dtype}")
    known = tuple(sizes)
    return apply_function(lambda *values: joint_position(values, known), *places)


def _numbers(places: Tensor, sizes: Sequence[Dim]) -> Tensor:
    """Positions ``(..., k)`` as numbers of rows."""
    if not sizes:
        return filled_tensor(places.dims[:-1], 0, "int64")
    return joint_positions([places[..., axis] for axis in range(len(sizes))], sizes)


def _updated(rows: Tensor, numbers: Tensor, new: Tensor, reduction: str | None) -> Tensor:
    size = rows.dims[0]
    match reduction:
        case "add":
            return rows + combined(ScatterAdd, size, numbers, new)
        case "mul":
            return rows * combined(ScatterMul, size, numbers, new)
        case "max":
            return maximum(rows, combined(ScatterMax, size, numbers, new))
        case "min":
            return minimum(rows, combined(ScatterMin, size, numbers, new))
    # Of several updates for a row the last: its number is the largest.
    order = counted(numbers.dims[0], "int32") + 1
    last = combined(ScatterMax, size, numbers, order)
    if new.dims[0] == 0:
        return rows
    chosen = apply(Gather(0), new, maximum(last, 1) - 1)
    column = reshaped(last > 0, (size, *(1,) * (rows.ndim - 1)))
    return where(column, chosen, rows)


@operation
def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Tensor:
    """A tensor with a part replaced.

    Args:
        inputs: A tensor.
        start_indices: Where the part begins: an integer, or a scalar tensor, for each axis. As in
            Keras on JAX, one that is negative counts from the end, and one from which the part
            would not fit is moved.
        updates: The part, with as many axes.

    Raises:
        ShapeError: The part is larger than the tensor, or has other axes.

    Example:
        >>> keras.ops.slice_update(keras.ops.zeros((4, 4)), [1, 1], keras.ops.ones((2, 2)))
    """
    x, part = as_tensor(inputs), cast(as_tensor(updates), as_tensor(inputs).dtype)
    starts = list(start_indices) if isinstance(start_indices, (list, tuple)) else start_indices
    starts = starts if isinstance(starts, list) else [starts[axis] for axis in range(x.ndim)]
    if part.ndim != x.ndim or len(starts) != x.ndim:
        raise ShapeError(
            f"slice_update: {x.ndim} axes need as many starts and updates with as many axes. "
            f"Received: inputs.shape={x.shape}, start_indices={start_indices}, "
            f"updates.shape={part.shape}"
        )
    for own, size in zip(x.dims, part.dims, strict=True):
        if isinstance(own, int) and isinstance(size, int) and size > own:
            raise ShapeError(
                f"slice_update: the updates do not fit. Received: inputs.shape={x.shape}, "
                f"updates.shape={part.shape}"
            )
    inside: Tensor | None = None
    for axis, start in enumerate(starts):
        part, within = _spread(part, axis, start, x.dims[axis])
        if within is not None:
            inside = within if inside is None else logical_and(inside, within)
    return part if inside is None else where(inside, part, x)


def _spread(part: Tensor, axis: int, start: Any, size: Dim) -> tuple[Tensor, Tensor | None]:
    """A part made as long along an axis as the whole, and where it then lies (None: everywhere)."""
    length = part.dims[axis]
    if length == size:
        return part, None
    line: list[Dim] = [1] * part.ndim
    line[axis] = size
    numbers = counted(size, "int32")
    begin = as_tensor(start, "int32")
    if not begin.is_symbolic and isinstance(size, int) and isinstance(length, int):
        first = int(begin)
        first = min(max(first + size if first < 0 else first, 0), size - length)
        before, after = [0] * part.ndim, [0] * part.ndim
        before[axis], after[axis] = first, size - length - first
        wide = cast(part, "int8") if part.dtype == "bool" else part
        padded = cast(apply(Pad(tuple(before), tuple(after)), wide), part.dtype)
        within = logical_and(numbers >= first, numbers < first + length)
        return padded, reshaped(within, line)
    whole, own = as_tensor(size, "int32"), as_tensor(length, "int32")
    place = clip(where(begin < 0, begin + whole, begin), 0, whole - own)
    offsets = numbers - place
    within = logical_and(offsets >= 0, offsets < own)
    moved = apply(Gather(axis), part, clip(offsets, 0, maximum(own - 1, 0)))
    return moved, reshaped(within, line)
