"""Choosing elements by position: https://keras.io/api/ops/numpy/."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.eager import Tensor, apply, apply_function, as_tensor
from graphc.errors import DTypeError, ShapeError
from graphc.ir import is_integer
from graphc.ir.dims import Dim
from graphc.keras.ops.arguments import counted, one_axis, reshaped
from graphc.keras.ops.creation import full_like
from graphc.keras.ops.elementwise import where
from graphc.keras.ops.movement import broadcast_to, moveaxis, pad, reshape
from graphc.keras.ops.recording import operation
from graphc.ops.gather import Gather, along_axis

__all__ = [
    "diag", "diagonal", "meshgrid", "take", "take_along_axis",
]  # fmt: skip


@operation
def take(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """The slices along an axis (elements of the flat tensor for None) that indices name.

    An index that is out of range gives NaN (or the extreme integer), never other memory.
    """
    tensor = as_tensor(x)
    if axis is None:
        tensor, axis = reshape(tensor, (-1,)), 0
    place = one_axis(axis, tensor.ndim, "take")
    return apply(Gather(place), tensor, _indices(indices, "take"))


@operation
def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """For each position of ``indices`` the element of ``x`` in the same line along an axis."""
    tensor, places = as_tensor(x), _indices(indices, "take_along_axis")
    if axis is None:
        tensor, places, axis = reshape(tensor, (-1,)), reshape(places, (-1,)), 0
    if tensor.ndim != places.ndim:
        raise ShapeError(
            f"take_along_axis: `x` and `indices` need the same number of axes. "
            f"Received: x.shape={tensor.shape}, indices.shape={places.shape}"
        )
    axis = one_axis(axis, tensor.ndim, "take_along_axis")
    return apply_function(lambda v, i: along_axis(v, i, axis), tensor, places)


def _indices(indices: Any, function: str) -> Tensor:
    places = as_tensor(indices)
    if places.dtype == "bool" or not is_integer(places.dtype):
        raise DTypeError(f"{function}: indices should be integers. Received: dtype={places.dtype}")
    return places


@operation
def diag(x: Any, k: int = 0) -> Tensor:
    """The matrix with a vector on its k-th diagonal, or the k-th diagonal of a matrix."""
    tensor = as_tensor(x)
    if tensor.ndim == 2:
        return diagonal(tensor, k)
    if tensor.ndim != 1:
        raise ShapeError(f"diag: needs a vector or a matrix. Received: shape={tensor.shape}")
    size = tensor.dims[0]
    rows = counted(size, "int32")
    on = reshaped(rows, (size, 1)) == rows
    square = where(on, tensor, full_like(tensor, 0))
    widths = ((max(-k, 0), max(k, 0)), (max(k, 0), max(-k, 0)))
    return pad(square, widths) if k else square


@operation
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The elements whose two positions differ by ``offset``, along a new last axis."""
    tensor = moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = tensor.dims[-2:]
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise ShapeError(f"diagonal: the sizes of both axes have to be known: {tensor.shape}")
    count = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    first = max(offset, 0) + max(-offset, 0) * columns
    flat = reshaped(tensor, (*tensor.dims[:-2], rows * columns))
    places = np.arange(count, dtype=np.int32) * (columns + 1) + first
    return take(flat, places, -1)


@operation
def meshgrid(*x: Any, indexing: str = "xy") -> list[Tensor]:
    """Vectors as the coordinates of a grid."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: `indexing` should be 'xy' or 'ij'. Received: {indexing}")
    lines = [reshape(item, (-1,)) for item in x]
    places = list(range(len(lines)))
    if indexing == "xy" and len(lines) > 1:
        places[:2] = [1, 0]
    shape: list[Dim] = [1] * len(lines)
    for line, place in zip(lines, places, strict=True):
        shape[place] = line.dims[0]
    grids = []
    for line, place in zip(lines, places, strict=True):
        own = [-1 if axis == place else 1 for axis in range(len(lines))]
        grids.append(broadcast_to(reshape(line, own), shape))
    return grids
