"""Rearranging and choosing elements, as ``tf.reshape``, ``tf.gather`` and their kind do.

See https://www.tensorflow.org/api_docs/python/tf.
"""

from __future__ import annotations

import builtins
from collections import namedtuple
from typing import Any

import numpy as np

from graphc.eager import Tensor, as_tensor
from graphc.eager.current import current_tapes
from graphc.eager.dispatch import refuse_plan
from graphc.errors import ShapeError
from graphc.ir import numpy_dtype
from graphc.keras import ops
from graphc.keras.ops.recording import operation, unplanned_operation
from graphc.keras.ops.updates import joint_positions
from graphc.names.adapt import renamed, takes_name
from graphc.names.dtypes import name_of
from graphc.names.shape import known_sizes

broadcast_to = renamed(ops.broadcast_to, "input shape")
concat = renamed(ops.concatenate, "values axis")
expand_dims = renamed(ops.expand_dims, "input axis")
repeat = renamed(ops.repeat, "input repeats axis")
reshape = renamed(ops.reshape, "tensor shape")
reverse = renamed(ops.flip, "tensor axis")
roll = renamed(ops.roll, "input shift axis")
squeeze = renamed(ops.squeeze, "input axis")
stack = renamed(ops.stack, "values axis")
tile = renamed(ops.tile, "input multiples")
unstack = renamed(ops.unstack, "value num axis")


@takes_name
def transpose(a: Any, perm: Any = None, conjugate: bool = False) -> Any:
    """The axes in another order, reversed by default; complex elements conjugated on demand."""
    order = perm.numpy().tolist() if isinstance(perm, Tensor) else perm
    result = ops.transpose(a, order)
    return ops.conj(result) if conjugate else result


@takes_name
def split(value: Any, num_or_size_splits: Any, axis: int = 0, num: Any = None) -> list[Any]:
    """A tensor cut along an axis.

    Args:
        value: A tensor.
        num_or_size_splits: How many equal parts, or the size of each part, at most one of them -1
            for what is left.
        axis: The axis.
        num: Accepted, and ignored.

    Raises:
        ShapeError: The parts do not add up to the axis's size.
    """
    if isinstance(num_or_size_splits, Tensor):
        num_or_size_splits = num_or_size_splits.numpy().tolist()
    if isinstance(num_or_size_splits, int):
        return list(ops.split(value, num_or_size_splits, axis))
    sizes = [int(size) for size in num_or_size_splits]
    whole = ops.shape(value)[axis]
    if -1 in sizes and not isinstance(whole, int) and sizes[-1] != -1:
        raise ShapeError(f"split: axis {axis} is not known yet, so only the last size can be -1")
    if -1 in sizes and isinstance(whole, int):
        sizes[sizes.index(-1)] = whole - sum(size for size in sizes if size != -1)
    if isinstance(whole, int) and (sum(sizes) != whole or min(sizes, default=0) < 0):
        raise ShapeError(f"split: parts of {sizes} do not add up to axis {axis} of size {whole}")
    return list(ops.split(value, np.cumsum(sizes)[:-1].tolist(), axis))


@takes_name
def pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0) -> Any:
    """A tensor with more elements before and behind along each axis.

    Args:
        tensor: A tensor.
        paddings: For each axis how many before and how many behind.
        mode: ``"CONSTANT"``, ``"REFLECT"`` or ``"SYMMETRIC"``.
        constant_values: What a constant padding consists of.
    """
    widths = [tuple(pair) for pair in np.asarray(paddings).tolist()]
    if mode.upper() == "CONSTANT":
        return ops.pad(tensor, widths, "constant", constant_values)
    return ops.pad(tensor, widths, mode.lower())


@takes_name
def slice(input_: Any, begin: Any, size: Any) -> Any:
    """The block that begins at ``begin``; a size of -1 reaches to the end of its axis."""
    starts, sizes = _integers(begin), _integers(size)
    shape = ops.shape(input_)
    return ops.get_item(
        input_,
        tuple(
            builtins.slice(start, dim if count == -1 else start + count)
            for start, count, dim in zip(starts, sizes, shape, strict=True)
        ),
    )


def _integers(values: Any) -> list[Any]:
    values = values.numpy() if isinstance(values, Tensor) else values
    return list(np.asarray(values).tolist()) if isinstance(values, np.ndarray) else list(values)


@takes_name
def strided_slice(input_: Any, begin: Any, end: Any, strides: Any = None) -> Any:
    """``input_[begin[0]:end[0]:strides[0], ...]``; the masks of TensorFlow are not taken."""
    starts, stops = _integers(begin), _integers(end)
    steps = [1] * len(starts) if strides is None else _integers(strides)
    return ops.get_item(input_, tuple(map(builtins.slice, starts, stops, steps)))


@takes_name
def meshgrid(*args: Any, indexing: str = "xy") -> list[Any]:
    """Vectors as the coordinates of a grid."""
    return ops.meshgrid(*args, indexing=indexing)


# ------------------------------------------------------------------------------ by position


@takes_name
@unplanned_operation
def gather(
    params: Any, indices: Any, validate_indices: Any = None, axis: Any = None, batch_dims: int = 0
) -> Any:
    """The slices along an axis that indices name.

    Args:
        params: A tensor.
        indices: Integers.
        validate_indices: Accepted, and ignored.
        axis: The axis; by default the one behind the batch's axes.
        batch_dims: How many first axes ``params`` and ``indices`` have in common.

    Raises:
        ShapeError: An index is outside the axis, where the indices are known.
    """
    x, places = as_tensor(params), as_tensor(indices)
    place = batch_dims if axis is None else int(axis)
    place += x.ndim if place < 0 else 0
    if not batch_dims:
        found = _taken(x, places, place)
        if found is not None:
            return found
        if 0 <= place < x.ndim:
            _check_range(places, x.dims[place], place, "gather")
        return ops.take(x, places, place)
    _check_range(places, x.dims[place], place, "gather")
    return _batch_gather(x, places, place, batch_dims)


def _taken(x: Tensor, places: Tensor, axis: int) -> Tensor | None:
    """The slices at positions of 32 bits by NumPy itself, which refuses what is out of range.

    None where it does, where there is no such axis, and where somebody records.
    """
    data, index = x.data, places.data
    if type(data) is not np.ndarray or type(index) is not np.ndarray or current_tapes():
        return None
    if index.dtype != np.int32 or not 0 <= axis < data.ndim:
        return None
    try:
        # Without their sign negative numbers are too large as well.
        return Tensor(data.take(index.view(np.uint32), axis))
    except IndexError:
        return None


def _check_range(places: Tensor, size: Any, axis: int, function: str) -> None:
    refuse_plan()  # a plan is made without the positions
    array = places.data
    if type(array) is not np.ndarray or not array.size or not isinstance(size, int):
        return
    # Without their sign negative numbers are large ones, so one pass finds both.
    if array.dtype.kind == "i":
        array = array.view(f"u{array.itemsize}")
    if np.maximum.reduce(array, None) >= size:
        array = places.numpy()
        worst = array.min() if array.min() < 0 else array.max()
        raise ShapeError(f"{function}: index {worst} is outside axis {axis} of size {size}")


def _batch_gather(x: Tensor, places: Tensor, axis: int, batch_dims: int) -> Any:
    """Positions in the tensor whose batch axes and chosen axis are one: then it is one gather."""
    front = (*builtins.range(batch_dims), axis)
    rest = [a for a in builtins.range(x.ndim) if a not in front]
    flat = ops.reshape(ops.transpose(x, (*front, *rest)), (-1, *[x.dims[a] for a in rest]))
    sizes = [x.dims[a] for a in front]
    lines = [
        ops.reshape(
            ops.arange(sizes[a]), [-1 if b == a else 1 for b in builtins.range(places.ndim)]
        )
        for a in builtins.range(batch_dims)
    ]
    row = joint_positions([*lines, places], sizes)
    chosen = ops.take(flat, row, 0)
    # The chosen axes stand behind the batch's now; they belong where the axis was.
    added = places.ndim - batch_dims
    before = axis - batch_dims
    order = [
        *builtins.range(batch_dims),
        *builtins.range(places.ndim, places.ndim + before),
        *builtins.range(batch_dims, batch_dims + added),
        *builtins.range(places.ndim + before, chosen.ndim),
    ]
    return ops.transpose(chosen, order)


@takes_name
@operation
def gather_nd(params: Any, indices: Any, batch_dims: int = 0) -> Any:
    """The elements or slices at positions.

    Args:
        params: A tensor whose first sizes are known.
        indices: Positions, ``(..., k)``: in its first k axes.
        batch_dims: Only 0.
    """
    if batch_dims:
        raise ValueError("gather_nd: only batch_dims=0; graphc.gather has batch_dims")
    x, places = as_tensor(params), as_tensor(indices)
    depth = _checked_depth(places, x.dims, "gather_nd")
    if not depth:
        return ops.broadcast_to(x, (*places.dims[:-1], *x.dims))
    flat = joint_positions([places[..., axis] for axis in builtins.range(depth)], x.dims[:depth])
    return ops.take(ops.reshape(x, (-1, *x.dims[depth:])), flat, 0)


def _checked_depth(places: Tensor, shape: Any, function: str) -> int:
    """How many axes positions are in.

    Raises:
        ShapeError: There are not so many, or a position that is known is outside its axis.
    """
    depth = places.dims[-1]
    sizes = [*shape][: depth if isinstance(depth, int) else 0]
    if not isinstance(depth, int) or depth > len(shape):
        raise ShapeError(f"{function}: positions of length {depth} in a shape {tuple(shape)}")
    for axis, dim in enumerate(sizes):
        _check_range(places[..., axis], dim, axis, function)
    return depth


@takes_name
@operation
def scatter_nd(indices: Any, updates: Any, shape: Any) -> Any:
    """Zeros of a shape with values added at positions.

    Args:
        indices: Positions, ``(..., k)``: in the first k axes of the result.
        updates: What is added there, ``(..., rest of the shape)``.
        shape: The result's shape.
    """
    places = as_tensor(indices)
    sizes = _integers(shape)
    _checked_depth(places, sizes, "scatter_nd")
    return ops.scatter(places, updates, sizes)


@takes_name
def tensor_scatter_nd_add(tensor: Any, indices: Any, updates: Any) -> Any:
    """A tensor with values added at positions (see `scatter_nd`)."""
    return ops.add(tensor, scatter_nd(indices, updates, ops.shape(tensor)))


@takes_name
def tensor_scatter_nd_sub(tensor: Any, indices: Any, updates: Any) -> Any:
    """A tensor with values subtracted at positions (see `scatter_nd`)."""
    return ops.subtract(tensor, scatter_nd(indices, updates, ops.shape(tensor)))


@takes_name
@operation
def tensor_scatter_nd_update(tensor: Any, indices: Any, updates: Any) -> Any:
    """A tensor with values in place of those at positions (see `scatter_nd`).

    Where a position is named twice, the last of its values counts.
    """
    x, places, values = as_tensor(tensor), as_tensor(indices), as_tensor(updates)
    depth = _checked_depth(places, x.dims, "tensor_scatter_nd_update")
    rows = ops.reshape(values, (-1, *x.dims[depth:]))
    return ops.scatter_update(x, ops.reshape(places, (-1, depth)), rows)


class IndexedSlices:
    """Some slices of a tensor along its first axis, and their numbers.

    Gradients are never of this kind; it is what `graphc.Variable.scatter_update` takes.

    Args:
        values: The slices, ``(n, ...)``.
        indices: Their numbers, ``(n,)``.
        dense_shape: The shape of the whole tensor, which `graphc.convert_to_tensor` needs.

    Example:
        >>> v.scatter_update(graphc.IndexedSlices(indices=[1, 0], values=[[1.0, 2.0], [3.0, 4.0]]))
    """

    def __init__(self, values: Any, indices: Any, dense_shape: Any = None):
        self.values = as_tensor(values)
        self.indices = as_tensor(indices)
        self.dense_shape = dense_shape

    @property
    def dtype(self) -> str:
        """The element type of the slices."""
        return self.values.dtype

    def as_tensor(self) -> Tensor:
        """The whole tensor, with zeros where it has no slices.

        Raises:
            ShapeError: Its shape is not known.
        """
        if self.dense_shape is None:
            raise ShapeError("IndexedSlices: a tensor of it needs its dense_shape")
        return scatter_nd(self.indices[..., None], self.values, self.dense_shape)


@takes_name
@operation
def tensor_scatter_nd_max(tensor: Any, indices: Any, updates: Any) -> Any:
    """A tensor with the larger of what it has and the values at positions (see `scatter_nd`)."""
    # For a position that is not named it is the least number there is.
    return _scattered(tensor, indices, updates, ops.segment_max, ops.maximum, "max")


@takes_name
@operation
def tensor_scatter_nd_min(tensor: Any, indices: Any, updates: Any) -> Any:
    """A tensor with the smaller of what it has and the values at positions (see `scatter_nd`)."""
    return _scattered(tensor, indices, updates, ops.segment_min, ops.minimum, "min")


def _scattered(tensor: Any, indices: Any, updates: Any, among: Any, between: Any, name: str) -> Any:
    """Values at positions, put together ``among`` each other, and with what was there."""
    function = f"tensor_scatter_nd_{name}"
    x, places, values = as_tensor(tensor), as_tensor(indices), as_tensor(updates)
    depth = _checked_depth(places, x.dims, function)
    axes = builtins.range(depth)
    flat = joint_positions([places[..., axis] for axis in axes], x.dims[:depth])
    rows = ops.reshape(x, (-1, *x.dims[depth:]))
    count = known_sizes(rows, function)[0]
    new = ops.reshape(values, (-1, *x.dims[depth:]))
    found = among(new, ops.reshape(flat, (-1,)), count)
    return ops.reshape(between(rows, found), x.dims)


@takes_name
def boolean_mask(tensor: Any, mask: Any, axis: int = 0) -> Any:
    """The slices where a mask is true, along one axis.

    Their number depends on data, so the mask has to be known: it cannot be computed in a compiled
    function.

    Args:
        tensor: A tensor.
        mask: Truth values, one for each position of its axes from ``axis`` on.
        axis: The first axis that the mask covers.
    """
    known = as_tensor(mask).numpy()
    x = as_tensor(tensor)
    axis += x.ndim if axis < 0 else 0
    if x.shape[axis : axis + known.ndim] != known.shape:
        raise ShapeError(
            f"boolean_mask: a mask of shape {known.shape} does not cover a tensor of shape "
            f"{x.shape} from axis {axis} on"
        )
    merged = ops.reshape(x, (*x.dims[:axis], known.size, *x.dims[axis + known.ndim :]))
    return ops.take(merged, np.flatnonzero(known), axis)


@takes_name
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """Elements of ``x`` where a condition holds, of ``y`` elsewhere.

    With the condition alone: the positions where it holds, int64, a row each; their number depends
    on data, so the condition has to be known.
    """
    if x is None and y is None:
        known = as_tensor(condition).numpy()
        return as_tensor(np.argwhere(known).astype(np.int64))
    return ops.where(condition, x, y)


Unique = namedtuple("Unique", "y idx")
UniqueWithCounts = namedtuple("UniqueWithCounts", "y idx count")


@takes_name
def unique(x: Any, out_idx: Any = "int32") -> Unique:
    """The different elements of a vector in order of appearance, and which of them each is.

    Their number depends on data, so the vector has to be known.
    """
    return Unique(*unique_with_counts(x, out_idx)[:2])


@takes_name
def unique_with_counts(x: Any, out_idx: Any = "int32") -> UniqueWithCounts:
    """`unique`, and how often each element occurs."""
    values, first, inverse, counts = np.unique(
        as_tensor(x).numpy(), return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first)
    place = np.argsort(order)
    kind = name_of(out_idx)
    return UniqueWithCounts(
        as_tensor(values[order]),
        ops.cast(as_tensor(place[inverse]), kind),
        ops.cast(as_tensor(counts[order]), kind),
    )


@takes_name
def dynamic_partition(data: Any, partitions: Any, num_partitions: int) -> list[Any]:
    """The rows of each of so many groups; to which group a row belongs has to be known."""
    known = as_tensor(partitions).numpy()
    return [boolean_mask(data, known == group) for group in builtins.range(num_partitions)]


@takes_name
def searchsorted(
    sorted_sequence: Any, values: Any, side: str = "left", out_type: Any = "int32"
) -> Any:
    """Where values belong among sorted numbers, along the last axis.

    Args:
        sorted_sequence: Sorted numbers; several rows go with as many rows of values.
        values: What is looked for.
        side: Whether a value that is there belongs before (``"left"``) or behind it (``"right"``).
        out_type: Element type of the places.
    """
    if ops.ndim(ops.convert_to_tensor(sorted_sequence)) == 1:
        return ops.cast(ops.searchsorted(sorted_sequence, values, side), name_of(out_type))
    return ops.map(
        lambda pair: ops.cast(ops.searchsorted(pair[0], pair[1], side), name_of(out_type)),
        (ops.convert_to_tensor(sorted_sequence), ops.convert_to_tensor(values)),
    )


@takes_name
def unravel_index(indices: Any, dims: Any) -> Any:
    """Positions in a flat tensor as positions along its axes: a row for each axis."""
    return ops.stack(list(ops.unravel_index(indices, tuple(_integers(dims)))))


@takes_name
def bitcast(input: Any, type: Any) -> Any:
    """The same bits read as another element type.

    A narrower type gives a new last axis, a wider one takes the last axis away.
    """
    x, kind = ops.convert_to_tensor(input), str(name_of(type))
    change = numpy_dtype(kind).itemsize - numpy_dtype(x.dtype).itemsize
    if change > 0:
        return ops.squeeze(ops.view(x, kind), -1)
    bits = ops.view(ops.expand_dims(x, -1), kind)
    return bits if change else ops.squeeze(bits, -1)


@takes_name
@operation
def reverse_sequence(input: Any, seq_lengths: Any, seq_axis: int = 1, batch_axis: int = 0) -> Any:
    """The first steps of each sequence in reverse order, the steps behind them as they are.

    Args:
        input: Sequences.
        seq_lengths: How many steps of each are reversed.
        seq_axis: The axis of the steps.
        batch_axis: The axis of the sequences.
    """
    x = ops.moveaxis(input, (batch_axis, seq_axis), (0, 1))
    counts = ops.expand_dims(ops.cast(seq_lengths, "int32"), 1)
    steps = ops.expand_dims(ops.arange(ops.shape(x)[1]), 0)
    order = ops.where(steps < counts, counts - 1 - steps, steps)
    order = ops.reshape(order, (*ops.shape(order), *[1] * (ops.ndim(x) - 2)))
    turned = ops.take_along_axis(x, ops.broadcast_to(order, ops.shape(x)), 1)
    return ops.moveaxis(turned, (0, 1), (batch_axis, seq_axis))
