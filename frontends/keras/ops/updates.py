"""Tensors with some elements replaced: https://keras.io/api/ops/core/."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.eager import Tensor, apply, as_tensor, cast
from graphc.errors import ShapeError
from graphc.ir import dims, is_integer
from graphc.ir.dims import Dim
from graphc.keras.ops.arguments import counted, filled_tensor, reshaped
from graphc.keras.ops.elementwise import clip, logical_and, maximum, minimum, where
from graphc.keras.ops.patches import known_size
from graphc.keras.ops.recording import operation
from graphc.ops.gather import Gather, ScatterAdd
from graphc.ops.movement import Pad
from graphc.ops.scatter import ScatterMax, ScatterMin, ScatterMul

__all__ = ["scatter_update", "slice_update"]

_REDUCTIONS = (None, "add", "max", "min", "mul")


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


def _numbers(places: Tensor, sizes: Sequence[int]) -> Tensor:
    """Positions as numbers of rows; one beyond the last row for those that are outside."""
    number = as_tensor(0, "int32")
    inside: Tensor | None = None
    count = 1
    for axis, size in enumerate(sizes):
        place = cast(places[:, axis], "int32")
        place = where(place < 0, place + size, place)
        known = logical_and(place >= 0, place < size)
        inside = known if inside is None else logical_and(inside, known)
        number = number * size + place
        count *= size
    if inside is None:
        return filled_tensor((places.dims[0],), 0, "int32")
    return where(inside, number, count)


def _updated(rows: Tensor, numbers: Tensor, new: Tensor, reduction: str | None) -> Tensor:
    size = rows.dims[0]
    match reduction:
        case "add":
            return rows + apply(ScatterAdd(0, size), numbers, new)
        case "mul":
            return rows * apply(ScatterMul(0, size), numbers, new)
        case "max":
            return maximum(rows, apply(ScatterMax(0, size), numbers, new))
        case "min":
            return minimum(rows, apply(ScatterMin(0, size), numbers, new))
    # Of several updates for a row the last: its number is the largest.
    order = counted(numbers.dims[0], "int32") + 1
    last = apply(ScatterMax(0, size), numbers, order)
    if new.dims[0] == 0:
        return rows
    chosen = apply(Gather(0), new, maximum(last - 1, 0))
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
