"""Python's and NumPy's basic indexing, ``x[1, ..., ::2, None]``, as graph ops."""

from __future__ import annotations

from typing import Any

from graphc.errors import ShapeError
from graphc.ir import Value, dims
from graphc.ops.movement import Reshape, Reverse, Slice


def get_item_value(x: Value, key: Any) -> Value:
    """``x[key]`` for integers, slices, ``...`` and ``None``.

    Args:
        x: Any value.
        key: What stands between the brackets.

    Raises:
        ShapeError: Too many indices, or one outside its axis.
        TypeError: A kind of index that is not basic indexing.
    """
    keys = _complete(x, key)
    starts: list[dims.Dim] = []
    stops: list[dims.Dim] = []
    steps: list[int] = []
    reversed_axes: list[int] = []
    shape: list[dims.Dim | None] = []  # None where the slice's size goes
    axis = 0
    for item in keys:
        if item is None:
            shape.append(1)
            continue
        size = x.shape[axis]
        if isinstance(item, slice):
            start, stop, step = _slice_bounds(item, size)
            if step < 0:
                reversed_axes.append(axis)
            shape.append(None)
        else:
            start, step = _position(item, size, axis), 1
            stop = start + 1
        starts.append(start)
        stops.append(stop)
        steps.append(abs(step))
        axis += 1
    if reversed_axes:
        x = Reverse(tuple(reversed_axes))(x)
    y = x
    if tuple(stops) != x.shape or any(start != 0 for start in starts) or any(s != 1 for s in steps):
        y = Slice(tuple(starts), tuple(stops), tuple(steps))(x)
    sizes = iter([y.shape[i] for i, item in enumerate(_axes(keys)) if isinstance(item, slice)])
    result = tuple(next(sizes) if dim is None else dim for dim in shape)
    return y if result == y.shape else Reshape(result)(y)


def _axes(keys: list[Any]) -> list[Any]:
    return [item for item in keys if item is not None]


def _complete(x: Value, key: Any) -> list[Any]:
    """The key as a list with one entry per axis, ``None``s between."""
    keys = list(key) if isinstance(key, tuple) else [key]
    for item in keys:
        known = item is None or item is Ellipsis or isinstance(item, (slice, dims.SymbolicDim))
        if not known and (isinstance(item, bool) or not hasattr(item, "__index__")):
            raise TypeError(
                f"tensors are indexed with integers, slices, ... and None, not with "
                f"{type(item).__name__}; keras.ops.take and keras.ops.where choose by data"
            )
    count = len([item for item in keys if item is not None and item is not Ellipsis])
    if count > x.rank:
        raise ShapeError(f"{count} indices for a tensor with {x.rank} axes")
    fill = [slice(None)] * (x.rank - count)
    ellipses = [i for i, item in enumerate(keys) if item is Ellipsis]
    if len(ellipses) > 1:
        raise ShapeError("an index can hold only one ellipsis (...)")
    place = ellipses[0] if ellipses else len(keys)
    return keys[:place] + fill + keys[place + 1 :]


def _position(item: Any, size: dims.Dim, axis: int) -> dims.Dim:
    position = item if isinstance(item, dims.SymbolicDim) else item.__index__()
    if isinstance(position, int):
        if isinstance(size, int) and not -size <= position < size:
            raise ShapeError(f"index {position} is outside axis {axis} of size {size}")
        return position + size if position < 0 else position
    return position


def _slice_bounds(item: slice, size: dims.Dim) -> tuple[dims.Dim, dims.Dim, int]:
    """Start and stop counted along the axis, or along the reversed axis for a negative step."""
    step = 1 if item.step is None else item.step.__index__()
    if step == 0:
        raise ShapeError("a slice cannot have step 0")
    if isinstance(size, int) and not any(
        isinstance(bound, dims.SymbolicDim) for bound in (item.start, item.stop)
    ):
        positions = range(*item.indices(size))
        if not positions:
            return 0, 0, step
        if step > 0:
            return positions[0], positions[-1] + 1, step
        return size - 1 - positions[0], size - positions[-1], step
    start, stop = (_bound(bound, size) for bound in (item.start, item.stop))
    if step > 0:
        return (0 if start is None else start), (size if stop is None else stop), step
    begin = 0 if start is None else size - 1 - start
    return begin, (size if stop is None else size - 1 - stop), step


def _bound(bound: Any, size: dims.Dim) -> dims.Dim | None:
    """A bound of a slice over an axis whose size is not known yet; it is taken to lie inside."""
    if bound is None or isinstance(bound, dims.SymbolicDim):
        return bound
    position = bound.__index__()
    return position + size if position < 0 else position
