"""NumPy's indexing, ``x[1, ..., ::2, None]`` and ``x[rows, columns]``, as graph ops."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import DataDependentControlFlowError, ShapeError
from graphc.ir import Value, dims, is_integer
from graphc.ops.choice import Where
from graphc.ops.elementwise import Max, cast
from graphc.ops.family import like
from graphc.ops.gather import Gather, ScatterAdd, joint_position
from graphc.ops.movement import Iota, Pad, Reverse, Slice, Transpose, expand_to, reshape_to
from graphc.ops.scatter import ScatterMax


@dataclass(frozen=True)
class Part:
    """A slice in a key; unlike Python's it can be hashed, in every version."""

    start: Any
    stop: Any
    step: Any

    def indices(self, size: int) -> tuple[int, int, int]:
        """Start, stop and step along an axis of a known size."""
        return slice(self.start, self.stop, self.step).indices(size)


@dataclass(frozen=True)
class Places:
    """In a key: here stands the next tensor of positions."""


#: What stands between the brackets: integers, sizes, `Part`, `Places`, ``...`` and None.
Key: TypeAlias = tuple[Any, ...]


def parse_key(key: Any, as_tensor: Callable[[Any], Any]) -> tuple[Key, list[Any]]:
    """Check what stands between the brackets.

    Args:
        key: Anything.
        as_tensor: Makes tensors of lists and arrays.

    Returns:
        The key, and the tensors of positions in it. A mask stands for the positions where it holds.

    Raises:
        TypeError: A kind of index that there is not.
    """
    template: list[Any] = []
    places: list[Any] = []
    for item in key if isinstance(key, tuple) else (key,):
        if isinstance(item, slice):
            template.append(Part(*[_bound_of(b) for b in (item.start, item.stop, item.step)]))
        elif item is None or item is Ellipsis or isinstance(item, dims.SymbolicDim):
            template.append(item)
        elif isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            template.append(int(item))
        elif isinstance(item, (list, np.ndarray)) or hasattr(item, "as_tensor"):
            found = _positions(as_tensor(item))
            template += [Places()] * len(found)
            places += found
        elif hasattr(item, "__index__") and not isinstance(item, bool):
            template.append(operator.index(item))
        else:
            raise TypeError(
                "tensors are indexed with integers, slices, ..., None, tensors of integers and "
                f"masks, not with {type(item).__name__}"
            )
    return tuple(template), places


def _bound_of(bound: Any) -> Any:
    if bound is None or isinstance(bound, dims.SymbolicDim):
        return bound
    return operator.index(bound)


def _positions(tensor: Any) -> list[Any]:
    """A tensor of positions as it is; a mask as the positions along each of its axes."""
    if tensor.dtype == "bool":
        if tensor.is_symbolic:
            raise DataDependentControlFlowError(
                "x[mask] has as many elements as the mask has true ones, and a compiled program "
                "has to know its sizes: keras.ops.where(mask, x, 0) keeps the shape"
            )
        if not tensor.ndim:
            raise TypeError("a single bool is no index; masks have at least one axis")
        return [type(tensor)(positions) for positions in np.nonzero(tensor.data)]
    if not is_integer(tensor.dtype):
        if 0 in tensor.dims:  # an empty list
            return [type(tensor)(np.zeros(tensor.dims, np.int64))]
        raise TypeError(f"positions in a tensor are integers, not {tensor.dtype}")
    return [tensor]


def holds_open_size(template: Key) -> bool:
    """Whether the key has a size that is known only when a program runs."""
    for item in template:
        bounds = (item.start, item.stop) if isinstance(item, Part) else (item,)
        if any(isinstance(bound, dims.SymbolicDim) for bound in bounds):
            return True
    return False


def numpy_key(template: Key, places: Sequence[np.ndarray]) -> tuple[Any, ...]:
    """The key as NumPy takes it.

    Raises:
        ShapeError: It has a size that is not known yet.
    """
    arrays = iter(places)
    key: list[Any] = []
    for item in template:
        if isinstance(item, Part):
            item = slice(item.start, item.stop, item.step)
        elif isinstance(item, Places):
            item = next(arrays)
        elif isinstance(item, dims.SymbolicDim):
            item = operator.index(item)
        key.append(item)
    return tuple(key)


def get_item_value(x: Value, *places: Value, key: Key) -> Value:
    """``x[key]``.

    Args:
        x: Any value.
        *places: Positions, in the places of the key that wait for them.
        key: What `parse_key` gave.

    Raises:
        ShapeError: Too many indices, or one outside its axis.
    """
    complete = _complete(x, key)
    if places:
        return _gathered(x, places, complete)
    return _basic(x, complete)


def _gathered(x: Value, places: Sequence[Value], keys: list[Any]) -> Value:
    """Advanced indexing: the slices first, then one gather along the axes with positions."""
    arrays = iter(places)
    indices: list[Value] = []
    advanced: list[int] = []  # axes of what the slices leave
    slices: list[Any] = []
    outer: list[int] = []  # where in the key the positions stand
    for number, item in enumerate(keys):
        if isinstance(item, (Places, int, dims.SymbolicDim)):
            axis = len(_axes(slices))
            size = x.shape[axis]
            if isinstance(item, Places):
                indices.append(next(arrays))
            else:
                indices.append(
                    x.graph.constant(operator.index(_position(item, size, axis)), "int64")
                )
            advanced.append(number)
            outer.append(number)
            slices.append(Part(None, None, None))
        else:
            slices.append(item)
    y = _basic(x, slices)
    shape = dims.broadcast_shapes(*[index.shape for index in indices])
    sizes = [y.shape[axis] for axis in advanced]
    # Along one axis the gather itself counts from the end, and finds what is outside.
    flat = cast(indices[0], "int64") if len(indices) == 1 else joint_position(indices, sizes)
    count = dims.product(sizes)
    others = [axis for axis in range(y.rank) if axis not in advanced]
    order = (*advanced, *others)
    if order != tuple(range(y.rank)):
        y = Transpose(order)(y)
    rest = y.shape[len(advanced) :]
    z = Gather(0)(reshape_to(y, (count, *rest)), expand_to(flat, shape))
    # Where the positions stand side by side their axes come in that place, else in front.
    together = outer[-1] - outer[0] == len(outer) - 1
    before = len([axis for axis in others if axis < advanced[0]]) if together else 0
    if not before or not shape:
        return z
    rank = len(shape)
    moved = (*range(rank, rank + before), *range(rank), *range(rank + before, z.rank))
    return Transpose(moved)(z)


def _known_size(size: dims.Dim) -> int:
    if not isinstance(size, int):
        raise ShapeError(
            f"assigning to a part of a tensor needs its sizes, but {size} is not known yet"
        )
    return size


@dataclass(frozen=True)
class _Selection:
    """What integers, slices and None select.

    Args:
        starts: Per axis; of axes that are turned round, counted from their end.
        stops: Behind the last element.
        steps: At least 1.
        turned: The axes whose order is turned round first.
        shape: The sizes of the result; None where the size of a slice goes.
        slices: The axes that stay.
    """

    starts: tuple[dims.Dim, ...]
    stops: tuple[dims.Dim, ...]
    steps: tuple[int, ...]
    turned: tuple[int, ...]
    shape: tuple[int | None, ...]
    slices: tuple[int, ...]


def _select(sizes: dims.Shape, keys: list[Any]) -> _Selection:
    starts: list[dims.Dim] = []
    stops: list[dims.Dim] = []
    steps: list[int] = []
    turned: list[int] = []
    shape: list[int | None] = []
    slices: list[int] = []
    for item in keys:
        if item is None:
            shape.append(1)
            continue
        axis = len(starts)
        if isinstance(item, Part):
            start, stop, step = _slice_bounds(item, sizes[axis])
            if step < 0:
                turned.append(axis)
            shape.append(None)
            slices.append(axis)
        else:
            start, step = _position(item, sizes[axis], axis), 1
            stop = start + 1
        starts.append(start)
        stops.append(stop)
        steps.append(abs(step))
    return _Selection(*map(tuple, (starts, stops, steps, turned, shape, slices)))  # type: ignore


def _basic(x: Value, keys: list[Any]) -> Value:
    """Integers, slices and None, one for each axis."""
    chosen = _select(x.shape, keys)
    if chosen.turned:
        x = Reverse(chosen.turned)(x)
    y = x
    everything = chosen.stops == x.shape and all(start == 0 for start in chosen.starts)
    if not everything or any(step != 1 for step in chosen.steps):
        y = Slice(chosen.starts, chosen.stops, chosen.steps)(x)
    sizes = iter([y.shape[axis] for axis in chosen.slices])
    return reshape_to(y, [next(sizes) if dim is None else dim for dim in chosen.shape])


def update_item_value(x: Value, y: Value, *places: Value, key: Key, how: str) -> Value:
    """``x`` with ``y``, broadcast, in the place of ``x[key]``, or added to it.

    Args:
        x: Any value of known sizes.
        y: Of the same dtype.
        *places: Positions, in the places of the key that wait for them.
        key: What `parse_key` gave.
        how: ``"assign"``: of several elements for one place the last remains; ``"add"``.

    Raises:
        ShapeError: ``y`` does not fit, or an index is outside its axis.
    """
    complete = _complete(x, key)
    if places:
        return _scattered(x, y, places, complete, how)
    inner = _basic(x, complete)
    if 0 in inner.shape:
        return x
    y = _fitted(y, inner.shape)
    placed = _placed(y, x, inner, complete)
    if how == "add":
        return x + placed
    there = _placed(x.graph.constant(True), x, inner, complete)
    return Where()(there, placed, x)


def _placed(y: Value, x: Value, inner: Value, keys: list[Any]) -> Value:
    """``y`` in the place of a slice of ``x``, zeros elsewhere."""
    chosen = _select(x.shape, keys)
    known = tuple(_known_size(size) for size in x.shape)
    counts = [
        len(range(start, stop, step))
        for start, stop, step in zip(chosen.starts, chosen.stops, chosen.steps, strict=True)
    ]
    y = reshape_to(expand_to(y, inner.shape), counts)
    gaps = tuple(step - 1 for step in chosen.steps)
    after = tuple(
        size - 1 - start - (count - 1) * step
        for size, start, count, step in zip(known, chosen.starts, counts, chosen.steps, strict=True)
    )
    wide = cast(y, "int8") if y.dtype == "bool" else y
    padded = cast(Pad(chosen.starts, after, gaps)(wide), y.dtype)
    return Reverse(chosen.turned)(padded) if chosen.turned else padded


def _scattered(x: Value, y: Value, places: Sequence[Value], keys: list[Any], how: str) -> Value:
    """The same for positions: each element has a number, and is looked up by it."""
    size = _known_size(x.type.size)
    numbers = reshape_to(x.graph.apply(Iota((size,), 0, "int32")), x.shape)
    chosen = _gathered(numbers, places, keys)
    count = _known_size(chosen.type.size)
    if not count:
        return x
    flat = reshape_to(chosen, (count,))
    values = reshape_to(expand_to(_fitted(y, chosen.shape), chosen.shape), (count,))
    if how == "add":
        return x + reshape_to(ScatterAdd(0, size)(flat, values), x.shape)
    order = x.graph.apply(Iota((count,), 0, "int32")) + 1
    last = ScatterMax(0, size)(flat, order)
    found = reshape_to(Gather(0)(values, Max()(last, like(last, 1)) - 1), x.shape)
    return Where()(reshape_to(last > 0, x.shape), found, x)


def _fitted(y: Value, shape: dims.Shape) -> Value:
    """``y``, if it can be broadcast to a shape."""
    while y.rank > len(shape) and y.shape[0] == 1:
        y = reshape_to(y, y.shape[1:])
    offset = len(shape) - y.rank
    fits = offset >= 0 and all(
        own in (1, size) for own, size in zip(y.shape, shape[offset:], strict=False)
    )
    if not fits:
        raise ShapeError(
            f"a value of shape {dims.shape_text(y.shape)} cannot be assigned to a part of shape "
            f"{dims.shape_text(shape)}"
        )
    return y


def _axes(keys: list[Any]) -> list[Any]:
    return [item for item in keys if item is not None]


def _complete(x: Value, key: Key) -> list[Any]:
    """The key as a list with one entry per axis, ``None``s between."""
    keys = list(key)
    count = len([item for item in keys if item is not None and item is not Ellipsis])
    if count > x.rank:
        raise ShapeError(f"{count} indices for a tensor with {x.rank} axes")
    fill = [Part(None, None, None)] * (x.rank - count)
    ellipses = [i for i, item in enumerate(keys) if item is Ellipsis]
    if len(ellipses) > 1:
        raise ShapeError("an index can hold only one ellipsis (...)")
    place = ellipses[0] if ellipses else len(keys)
    return keys[:place] + fill + keys[place + 1 :]


def _position(item: Any, size: dims.Dim, axis: int) -> dims.Dim:
    position = item if isinstance(item, dims.SymbolicDim) else operator.index(item)
    if isinstance(position, int):
        if isinstance(size, int) and not -size <= position < size:
            raise ShapeError(f"index {position} is outside axis {axis} of size {size}")
        return position + size if position < 0 else position
    return position


def _slice_bounds(item: Part, size: dims.Dim) -> tuple[dims.Dim, dims.Dim, int]:
    """Start and stop counted along the axis, or along the reversed axis for a negative step."""
    step = 1 if item.step is None else operator.index(item.step)
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
    position = operator.index(bound)
    return position + size if position < 0 else position
