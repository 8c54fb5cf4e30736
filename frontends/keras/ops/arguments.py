"""What many operations do with their arguments: axes, shapes and element types."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.config import config
from graphc.eager import Tensor, apply_function, as_tensor, cast, current_trace
from graphc.eager.promotion import standard_dtype
from graphc.errors import DTypeError, ShapeError
from graphc.ir import Value, dims, is_complex, is_inexact, numpy_dtype
from graphc.ir.dims import Dim, Shape
from graphc.ir.graph import filled
from graphc.ir.types import TensorType
from graphc.ops.movement import Iota, Reshape


def one_axis(axis: Any, rank: int, function: str) -> int:
    """An axis counted from the front.

    Raises:
        ShapeError: There is no such axis.
    """
    try:
        number = operator.index(axis)
    except TypeError:
        raise ShapeError(f"{function}: `axis` should be an integer. Received: {axis!r}") from None
    if not -rank <= number < rank:
        raise ShapeError(f"{function}: axis {number} is outside a tensor with {rank} axes")
    return number % rank


def many_axes(axis: Any, rank: int, function: str) -> tuple[int, ...]:
    """Axes counted from the front, in rising order; all of them for None.

    Raises:
        ShapeError: There is no such axis, or one is named twice.
    """
    if axis is None:
        return tuple(range(rank))
    wanted = axis if isinstance(axis, (list, tuple)) else (axis,)
    axes = [one_axis(item, rank, function) for item in wanted]
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{function}: axis {axis} names an axis twice")
    return tuple(sorted(axes))


def float_tensor(x: Any) -> Tensor:
    """``x`` as a floating-point (or complex) tensor: integers and bools become `floatx`."""
    tensor = as_tensor(x)
    return tensor if is_inexact(tensor.dtype) else cast(tensor, config.floatx)


def refuse_complex(x: Tensor, function: str) -> None:
    """Refuse complex numbers where their order, which is no more than a convention, means nothing.

    Raises:
        DTypeError: They are complex.
    """
    if is_complex(x.dtype):
        raise DTypeError(f"{function}: takes real numbers, not {x.dtype}; use the parts or `abs`")


def resolved_dtype(dtype: Any) -> str:
    """The name of a dtype; `floatx` for None."""
    return standard_dtype(dtype)


def dim_of(size: Any, function: str) -> Dim:
    """A size that a user wrote, or that ``keras.ops.shape`` gave."""
    if isinstance(size, dims.SymbolicDim):
        return size
    try:
        return operator.index(size)
    except TypeError:
        raise ShapeError(
            f"{function}: a size should be an integer or come from keras.ops.shape. "
            f"Received: {size!r}"
        ) from None


def shape_of(shape: Any, function: str) -> Shape:
    """A shape that a user wrote: an integer or a sequence of sizes, none negative."""
    if isinstance(shape, Tensor):
        shape = shape.numpy().tolist()
    sizes = shape if isinstance(shape, (list, tuple, np.ndarray)) else (shape,)
    result = tuple(dim_of(size, function) for size in sizes)
    if any(isinstance(dim, int) and dim < 0 for dim in result):
        raise ShapeError(f"{function}: sizes cannot be negative. Received: shape={shape}")
    return result


def completed_shape(shape: Any, size: Dim, function: str) -> Shape:
    """A shape in which at most one size is -1 (or None): whatever makes ``size`` elements."""
    sizes = list(shape) if isinstance(shape, (list, tuple, np.ndarray)) else [shape]
    wanted = [-1 if item is None else dim_of(item, function) for item in sizes]
    # A symbolic size is never -1: it compares unequal to every integer.
    open_places = [i for i, dim in enumerate(wanted) if dim == -1]
    if len(open_places) > 1:
        raise ShapeError(f"{function}: only one size can be -1. Received: newshape={shape}")
    if open_places:
        known = dims.product(dim for dim in wanted if dim != -1)
        rest = 0 if known == 0 else dims.divide_exactly(size, known)
        if rest is None:
            raise ShapeError(
                f"{function}: {size} elements do not fill the shape {shape}: "
                f"they are no multiple of {known}"
            )
        wanted[open_places[0]] = rest
    return tuple(wanted)


def filled_tensor(shape: Shape, number: Any, dtype: str) -> Tensor:
    """A tensor full of one number; part of the graph if its shape is not known yet."""
    if all(isinstance(dim, int) for dim in shape):
        return Tensor(np.full(shape, number, numpy_dtype(dtype)))
    graph = _graph(shape)
    return Tensor(filled(graph, TensorType(shape, dtype), number))


def counted(size: Dim, dtype: str) -> Tensor:
    """``0, 1, ..., size - 1``; part of the graph if the size is not known yet."""
    if isinstance(size, int):
        return Tensor(np.arange(size).astype(numpy_dtype(dtype)))
    return Tensor(_graph((size,)).apply(Iota((size,), 0, dtype)))


def _graph(shape: Shape) -> Any:
    trace = current_trace()
    if trace is None:
        raise ShapeError(
            f"the shape {dims.shape_text(shape)} holds a size that is known only when a program "
            "runs, and no program is being traced"
        )
    return trace.graph


def reshaped(x: Tensor, shape: Sequence[Dim]) -> Tensor:
    """``x`` in another shape; itself if it has that shape already."""
    target = tuple(shape)
    return x if x.dims == target else apply_function(lambda value: Reshape(target)(value), x)


def graph_function(function: Any, *tensors: Tensor) -> Any:
    """Like `graphc.eager.apply_function`; the function may return a list."""

    def call(*values: Value) -> Any:
        results = function(*values)
        return tuple(results) if isinstance(results, list) else results

    return apply_function(call, *tensors)
