"""Rearranging tensors: https://keras.io/api/ops/numpy/."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from graphc.eager import Tensor, apply, apply_function, as_tensor, operate
from graphc.eager.tensor import promoted
from graphc.errors import ShapeError
from graphc.ir import Value, dims
from graphc.ir.dims import Dim
from graphc.keras.ops.arguments import (
    completed_shape,
    dim_of,
    filled_tensor,
    many_axes,
    one_axis,
    reshaped,
    shape_of,
)
from graphc.keras.ops.recording import operation
from graphc.ops.choice import Where
from graphc.ops.elementwise import Max, Min, cast
from graphc.ops.family import like
from graphc.ops.gather import Gather
from graphc.ops.movement import (
    Concat,
    Expand,
    Iota,
    Pad,
    Reverse,
    Size,
    Transpose,
    narrow,
)

__all__ = [
    "broadcast_to", "concatenate", "expand_dims", "flip", "get_item", "hstack", "moveaxis", "pad",
    "ravel", "repeat", "reshape", "roll", "slice", "split", "squeeze", "stack", "swapaxes", "tile",
    "transpose", "unstack", "vstack",
]  # fmt: skip

# -------------------------------------------------------------------------------------- reshaping


@operation
def reshape(x: Any, newshape: Any) -> Tensor:
    """The same elements in another shape; one size can be -1, "whatever is left".

    Example:
        >>> keras.ops.reshape(x, (keras.ops.shape(x)[0], -1))
    """
    tensor = as_tensor(x)
    size = dims.product(tensor.dims)
    return reshaped(tensor, completed_shape(newshape, size, "reshape"))


@operation
def ravel(x: Any) -> Tensor:
    """All elements in one axis."""
    return reshape(x, (-1,))


@operation
def squeeze(x: Any, axis: Any = None) -> Tensor:
    """``x`` without axes of size 1: all of them, or those named.

    Raises:
        ShapeError: A named axis has another size.
    """
    tensor = as_tensor(x)
    if axis is None:
        axes = tuple(a for a, dim in enumerate(tensor.dims) if dim == 1)
    else:
        axes = many_axes(axis, tensor.ndim, "squeeze")
    for a in axes:
        if tensor.dims[a] != 1:
            raise ShapeError(
                f"squeeze: axis {a} has size {tensor.dims[a]}, not 1. "
                f"Received: shape={tensor.shape}, axis={axis}"
            )
    return reshaped(tensor, [dim for a, dim in enumerate(tensor.dims) if a not in axes])


@operation
def expand_dims(x: Any, axis: Any) -> Tensor:
    """``x`` with a new axis of size 1 at ``axis`` (or several)."""
    tensor = as_tensor(x)
    count = len(axis) if isinstance(axis, (list, tuple)) else 1
    axes = many_axes(axis, tensor.ndim + count, "expand_dims")
    sizes = iter(tensor.dims)
    return reshaped(tensor, [1 if a in axes else next(sizes) for a in range(tensor.ndim + count)])


@operation
def broadcast_to(x: Any, shape: Any) -> Tensor:
    """``x`` repeated along axes of size 1 and new leading axes."""
    tensor = as_tensor(x)
    target = shape_of(shape, "broadcast_to")
    if tensor.dims == target:
        return tensor
    if not tensor.is_symbolic and not all(isinstance(dim, int) for dim in target):
        return operate("add", filled_tensor(target, 0, tensor.dtype), tensor)
    return apply(Expand(target), tensor)


@operation
def transpose(x: Any, axes: Any = None) -> Tensor:
    """The axes in another order; the reverse order for None.

    Raises:
        ShapeError: ``axes`` does not name every axis once.
    """
    tensor = as_tensor(x)
    order = range(tensor.ndim - 1, -1, -1) if axes is None else axes
    permutation = tuple(one_axis(axis, tensor.ndim, "transpose") for axis in order)
    if permutation == tuple(range(tensor.ndim)):
        return tensor
    return apply(Transpose(permutation), tensor)


@operation
def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """``x`` with two axes exchanged."""
    tensor = as_tensor(x)
    first, second = (one_axis(a, tensor.ndim, "swapaxes") for a in (axis1, axis2))
    order = list(range(tensor.ndim))
    order[first], order[second] = order[second], order[first]
    return transpose(tensor, order)


@operation
def moveaxis(x: Any, source: Any, destination: Any) -> Tensor:
    """``x`` with axes moved to other places; the others keep their order."""
    tensor = as_tensor(x)
    lists = [a if isinstance(a, (list, tuple)) else [a] for a in (source, destination)]
    if len(lists[0]) != len(lists[1]):
        raise ShapeError(
            f"moveaxis: as many sources as destinations are needed. Received: source={source}, "
            f"destination={destination}"
        )
    sources, targets = ([one_axis(a, tensor.ndim, "moveaxis") for a in axes] for axes in lists)
    order = [axis for axis in range(tensor.ndim) if axis not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return transpose(tensor, order)


# ---------------------------------------------------------------------------- joining and cutting


@operation
def concatenate(xs: Any, axis: int = 0) -> Tensor:
    """Tensors one after the other along an axis.

    Raises:
        ShapeError: Another axis differs in size; the list is empty.
    """
    if not xs:
        raise ShapeError("concatenate: needs at least one tensor. Received: xs=[]")
    tensors = promoted(*xs)
    place = one_axis(axis, tensors[0].ndim, "concatenate")
    return tensors[0] if len(tensors) == 1 else apply(Concat(place), *tensors)


@operation
def stack(x: Any, axis: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new axis."""
    if not len(x):
        raise ShapeError("stack: needs at least one tensor. Received: x=[]")
    tensors = promoted(*x)
    place = one_axis(axis, tensors[0].ndim + 1, "stack")
    return concatenate([expand_dims(tensor, place) for tensor in tensors], place)


@operation
def hstack(xs: Any) -> Tensor:
    """Tensors one after the other along the second axis (the first of vectors)."""
    tensors = [reshape(t, (1,)) if t.ndim == 0 else t for t in map(as_tensor, xs)]
    return concatenate(tensors, 0 if tensors[0].ndim == 1 else 1)


@operation
def vstack(xs: Any) -> Tensor:
    """Tensors one below the other along the first axis; vectors are rows."""
    tensors = [reshape(t, (1, -1)) if t.ndim < 2 else t for t in map(as_tensor, xs)]
    return concatenate(tensors, 0)


@operation
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Parts of ``x`` along an axis.

    Args:
        x: A tensor.
        indices_or_sections: How many equal parts, or the positions where to cut.
        axis: The axis.

    Raises:
        ShapeError: The axis cannot be cut into so many equal parts.
    """
    tensor = as_tensor(x)
    place = one_axis(axis, tensor.ndim, "split")
    size = tensor.dims[place]
    cuts: list[Dim]
    if isinstance(indices_or_sections, (int, np.integer)):
        count = int(indices_or_sections)
        part = dims.divide_exactly(size, count)
        if part is None:
            raise ShapeError(f"split: axis {place} of size {size} has no {count} equal parts")
        cuts = [part * i for i in range(1, count)]
    else:
        cuts = [dim_of(cut, "split") for cut in indices_or_sections]
        cuts = [min(cut, size) if isinstance(size, int) else cut for cut in cuts]
    bounds = [0, *cuts, size]
    return [
        apply_function(lambda v, a=a, b=b: narrow(v, place, a, b), tensor)
        for a, b in zip(bounds, bounds[1:], strict=False)
    ]


@operation
def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The slices of ``x`` along an axis, without that axis."""
    tensor = as_tensor(x)
    place = one_axis(axis, tensor.ndim, "unstack")
    size = tensor.dims[place] if num is None else num
    if not isinstance(size, int):
        raise ShapeError(f"unstack: the size {size} of axis {place} is not known yet; give `num`")
    return [squeeze(part, place) for part in split(tensor, size, place)] if size else []


@operation
def slice(inputs: Any, start_indices: Any, shape: Any) -> Tensor:
    """The part of a shape that begins at some position.

    Args:
        inputs: A tensor.
        start_indices: Where the part begins: an integer, or a scalar tensor, for each axis. As in
            Keras on JAX, one that is negative counts from the end, and one from which the part
            would not fit is moved.
        shape: The shape of the part.

    Raises:
        ShapeError: The part is larger than the tensor.
    """
    tensor = as_tensor(inputs)
    sizes = shape_of(shape, "slice")
    starts = start_indices
    if not isinstance(starts, (list, tuple)):
        starts = [starts[axis] for axis in range(tensor.ndim)]
    if not len(starts) == len(sizes) == tensor.ndim:
        raise ShapeError(
            f"slice: {tensor.ndim} axes need as many starts and sizes. Received: "
            f"inputs.shape={tensor.shape}, start_indices={start_indices}, shape={shape}"
        )
    for axis, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        tensor = _part(tensor, axis, start, size)
    return tensor


def _part(x: Tensor, axis: int, start: Any, size: Dim) -> Tensor:
    """So many elements along an axis, from a place that is moved to where they fit."""
    whole = x.dims[axis]
    if isinstance(whole, int) and isinstance(size, int) and size > whole:
        raise ShapeError(f"slice: axis {axis} of shape {x.shape} has no {size} elements")
    if not getattr(start, "is_symbolic", False):
        first = start if isinstance(start, dims.SymbolicDim) else int(start)
        if isinstance(first, int) and isinstance(whole, int) and isinstance(size, int):
            first = min(max(first + whole if first < 0 else first, 0), whole - size)
        return apply_function(lambda value: narrow(value, axis, first, first + size), x)

    def gather(value: Value, begin: Value) -> Value:
        graph = value.graph
        last = graph.apply(Size((axis,), "int32"), value)
        place = cast(begin, "int32")
        place = Where()(place < 0, place + last, place)
        line = graph.apply(Iota((size,), 0, "int32"))
        room = last - graph.apply(Size((0,), "int32"), line)
        place = Max()(Min()(place, room), like(place, 0))
        return Gather(axis)(value, line + place)

    return apply_function(gather, x, as_tensor(start))


@operation
def get_item(x: Any, key: Any) -> Tensor:
    """``x[key]`` for integers, slices, ``...`` and None."""
    return as_tensor(x)[key]


# ---------------------------------------------------------------------------- repeating, turning


@operation
def flip(x: Any, axis: Any = None) -> Tensor:
    """``x`` with the order of elements turned round along the axes (all for None)."""
    tensor = as_tensor(x)
    axes = many_axes(axis, tensor.ndim, "flip")
    return apply(Reverse(axes), tensor) if axes else tensor


@operation
def roll(x: Any, shift: Any, axis: Any = None) -> Tensor:
    """``x`` with elements moved along axes; what falls off one end comes in at the other."""
    tensor = as_tensor(x)
    if axis is None:
        return reshaped(roll(reshape(tensor, (-1,)), shift, 0), tensor.dims)
    axes = list(axis) if isinstance(axis, (list, tuple)) else [axis]
    shifts = list(shift) if isinstance(shift, (list, tuple)) else [shift] * len(axes)
    for a, distance in zip(axes, shifts, strict=True):
        place = one_axis(a, tensor.ndim, "roll")
        size = tensor.dims[place]
        distance = operator.index(distance)
        if isinstance(size, int):
            distance = distance % size if size else 0
        if distance:
            first, second = split(tensor, [size - distance if distance > 0 else -distance], place)
            tensor = concatenate([second, first], place)
    return tensor


@operation
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element (or each slice along an axis) so many times in a row.

    Args:
        x: A tensor.
        repeats: How many times; an integer, or one per slice.
        axis: The axis; None for the flat tensor.
    """
    tensor = as_tensor(x)
    if axis is None:
        tensor, axis = reshape(tensor, (-1,)), 0
    place = one_axis(axis, tensor.ndim, "repeat")
    counts = np.asarray(repeats)
    if counts.size == 1:
        count = int(counts.reshape(()))
        shape = list(tensor.dims)
        wide = expand_dims(tensor, place + 1)
        spread = [*shape[: place + 1], count, *shape[place + 1 :]]
        shape[place] = shape[place] * count
        return reshaped(broadcast_to(wide, spread), shape)
    size = tensor.dims[place]
    if counts.shape != (size,):
        raise ShapeError(f"repeat: needs 1 or {size} repeats. Received: {counts.tolist()}")
    places = np.repeat(np.arange(counts.size), counts).astype("int32")
    return apply(Gather(place), tensor, Tensor(places))


@operation
def tile(x: Any, repeats: Any) -> Tensor:
    """``x`` as a whole so many times along each axis."""
    tensor = as_tensor(x)
    counts = list(repeats) if isinstance(repeats, (list, tuple)) else [repeats]
    rank = max(tensor.ndim, len(counts))
    counts = [1] * (rank - len(counts)) + [dim_of(count, "tile") for count in counts]
    shape = [1] * (rank - tensor.ndim) + list(tensor.dims)
    paired: list[Dim] = []
    spread: list[Dim] = []
    for count, dim in zip(counts, shape, strict=True):
        paired += [1, dim]
        spread += [count, dim]
    whole = broadcast_to(reshaped(tensor, paired), spread)
    return reshaped(whole, [count * dim for count, dim in zip(counts, shape, strict=True)])


@operation
def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Tensor:
    """``x`` with more elements at the ends of its axes.

    Args:
        x: A tensor.
        pad_width: ``((before, after), ...)`` per axis, ``(before, after)`` or one number for all.
        mode: ``"constant"``, ``"reflect"`` (mirrored at the edge element), ``"symmetric"``
            (mirrored at the edge) or ``"edge"``.
        constant_values: The constant, by default 0.

    Raises:
        ValueError: Another mode, or a constant where none is used.
    """
    tensor = as_tensor(x)
    widths = _pad_widths(pad_width, tensor.ndim)
    if mode == "constant":
        before, after = (tuple(width[side] for width in widths) for side in (0, 1))
        return apply(Pad(before, after, (), float(constant_values or 0)), tensor)
    if constant_values is not None:
        raise ValueError(
            f"Argument `constant_values` can only be provided when `mode == 'constant'`. "
            f"Received: mode={mode}"
        )
    if mode not in ("reflect", "symmetric", "edge"):
        raise ValueError(
            f"pad: `mode` should be 'constant', 'reflect', 'symmetric' or 'edge'. Received: {mode}"
        )
    for axis, ends in enumerate(widths):
        tensor = _mirrored(tensor, axis, *ends, mode)
    return tensor


def _pad_widths(pad_width: Any, rank: int) -> list[tuple[int, int]]:
    widths = np.asarray(pad_width)
    if widths.ndim == 1 and widths.size == 1:
        widths = np.repeat(widths, 2)
    return [(int(a), int(b)) for a, b in np.broadcast_to(widths, (rank, 2))]


def _mirrored(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    size = x.dims[axis]
    skip = 1 if mode == "reflect" else 0
    if isinstance(size, int) and mode != "edge" and max(before, after) > size - skip:
        raise ShapeError(
            f"pad: mode {mode!r} can add at most {size - skip} elements to axis {axis} of size "
            f"{size}. Received: {(before, after)}"
        )

    def part(start: Dim, stop: Dim) -> Tensor:
        return apply_function(lambda v: narrow(v, axis, start, stop), x)

    pieces = [x]
    if before:
        edge = repeat(part(0, 1), before, axis)
        pieces.insert(0, edge if mode == "edge" else flip(part(skip, skip + before), axis))
    if after:
        edge = repeat(part(size - 1, size), after, axis)
        mirror = flip(part(size - skip - after, size - skip), axis) if mode != "edge" else edge
        pieces.append(mirror)
    return concatenate(pieces, axis)
