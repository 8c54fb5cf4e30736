"""Joining, cutting and turning tensors: https://keras.io/api/ops/numpy/."""

from __future__ import annotations

import operator
import re
from typing import Any

import numpy as np

from graphc.eager import Tensor, as_tensor
from graphc.eager.tensor import promoted
from graphc.errors import ShapeError
from graphc.ir import dims
from graphc.ir.dims import Dim, product
from graphc.keras.ops.arguments import one_axis, reshaped, resolved_dtype
from graphc.keras.ops.indexing import diag
from graphc.keras.ops.movement import concatenate, flip, split, transpose
from graphc.keras.ops.recording import operation

__all__ = [
    "append", "array_split", "diagflat", "dsplit", "dstack", "fliplr", "flipud", "hsplit",
    "rearrange", "rot90", "tri", "vsplit",
]  # fmt: skip


@operation
def append(x1: Any, x2: Any, axis: int | None = None) -> Tensor:
    """``x2`` behind ``x1`` along an axis; both flat for None."""
    x, y = promoted(x1, x2)
    if axis is None:
        x, y = (reshaped(tensor, (product(tensor.dims),)) for tensor in (x, y))
        axis = 0
    return concatenate([x, y], axis)


@operation
def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Parts of ``x`` along an axis; of parts that cannot be equal the first are larger by one.

    Args:
        x: A tensor.
        indices_or_sections: How many parts, or the positions where to cut.
        axis: The axis.

    Raises:
        ShapeError: There are less than one parts, or the size of the axis is not known.
    """
    if not isinstance(indices_or_sections, (int, np.integer)):
        return split(x, indices_or_sections, axis)
    tensor = as_tensor(x)
    place = one_axis(axis, tensor.ndim, "array_split")
    count, size = int(indices_or_sections), tensor.dims[place]
    if count < 1 or not isinstance(size, int):
        raise ShapeError(f"array_split: axis {place} of size {size} has no {count} parts")
    small, larger = divmod(size, count)
    sizes = [small + 1] * larger + [small] * (count - larger)
    return split(tensor, np.cumsum(sizes[:-1]).tolist(), place)


def _split(function: str, x: Any, indices_or_sections: Any, axis: int, least: int) -> list[Tensor]:
    tensor = as_tensor(x)
    if tensor.ndim < least:
        raise ShapeError(f"{function}: needs {least} axes. Received: shape={tensor.shape}")
    return split(tensor, indices_or_sections, axis)


@operation
def vsplit(x: Any, indices_or_sections: Any) -> list[Tensor]:
    """Parts of ``x`` along the first axis; see `split`."""
    return _split("vsplit", x, indices_or_sections, 0, 2)


@operation
def hsplit(x: Any, indices_or_sections: Any) -> list[Tensor]:
    """Parts of ``x`` along the second axis (the first of a vector); see `split`."""
    tensor = as_tensor(x)
    return _split("hsplit", tensor, indices_or_sections, 0 if tensor.ndim == 1 else 1, 1)


@operation
def dsplit(x: Any, indices_or_sections: Any) -> list[Tensor]:
    """Parts of ``x`` along the third axis; see `split`."""
    return _split("dsplit", x, indices_or_sections, 2, 3)


@operation
def dstack(xs: Any) -> Tensor:
    """Tensors one after the other along the third axis."""
    tensors = []
    for tensor in map(as_tensor, xs):
        shape = tensor.dims if tensor.ndim > 1 else (1, *(tensor.dims or (1,)))
        tensors.append(reshaped(tensor, (*shape, 1)) if tensor.ndim < 3 else tensor)
    return concatenate(tensors, 2)


@operation
def fliplr(x: Any) -> Tensor:
    """``x`` with the second axis turned round."""
    return flip(x, 1)


@operation
def flipud(x: Any) -> Tensor:
    """``x`` with the first axis turned round."""
    return flip(x, 0)


@operation
def rot90(array: Any, k: int = 1, axes: Any = (0, 1)) -> Tensor:
    """A tensor turned by k right angles in the plane of two axes, the first towards the second.

    Raises:
        ValueError: There are no two axes, or they are no plane.
    """
    tensor = as_tensor(array)
    if tensor.ndim < 2:
        raise ValueError(
            f"Input array must have at least 2 dimensions. Received: array.ndim={tensor.ndim}"
        )
    if len(axes) != 2 or axes[0] == axes[1]:
        raise ValueError(f"Invalid axes: {axes}. Axes must be a tuple of two different dimensions.")
    first, second = (one_axis(axis, tensor.ndim, "rot90") for axis in axes)
    turns = operator.index(k) % 4
    if turns == 2:
        return flip(tensor, (first, second))
    if turns == 3:
        tensor = flip(tensor, first)
    elif turns == 1:
        tensor = flip(tensor, second)
    order = list(range(tensor.ndim))
    order[first], order[second] = second, first
    return transpose(tensor, order) if turns else tensor


@operation
def diagflat(x: Any, k: int = 0) -> Tensor:
    """The matrix with all elements of ``x`` on its k-th diagonal."""
    tensor = as_tensor(x)
    return diag(reshaped(tensor, (product(tensor.dims),)), k)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Ones at and below the k-th diagonal, zeros elsewhere."""
    rows = operator.index(N)
    columns = rows if M is None else operator.index(M)
    return Tensor(np.tri(rows, columns, k)).astype(resolved_dtype(dtype))


# ---------------------------------------------------------------------------------- axes by name


@operation
def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Tensor:
    """A tensor with its axes split, joined and put into another order, by names.

    Args:
        tensor: A tensor.
        pattern: Names of the axes before and after, such as ``"b (h p) c -> b p (h c)"``; axes in
            parentheses make one.
        **axes_lengths: Sizes of axes that cannot be read off.

    Raises:
        ShapeError: The pattern does not describe the tensor.

    Example:
        >>> keras.ops.rearrange(images, "b h w c -> b c h w")
    """
    x = as_tensor(tensor)
    sides = [_groups(side) for side in pattern.split("->")]
    if len(sides) != 2 or len(sides[0]) != x.ndim:
        raise ShapeError(
            f'rearrange: "{pattern}" should be "{x.ndim} axes -> axes". Received: shape={x.shape}'
        )
    before, after = ([name for group in side for name in group] for side in sides)
    if sorted(before) != sorted(after) or len(set(before)) != len(before):
        raise ShapeError(f'rearrange: both sides of "{pattern}" should name each axis once')
    sizes: dict[str, Dim] = dict(axes_lengths)
    for group, size in zip(sides[0], x.dims, strict=True):
        _complete(group, size, sizes, pattern)
    split_ = reshaped(x, [sizes[name] for name in before])
    moved = transpose(split_, [before.index(name) for name in after])
    return reshaped(moved, [product(sizes[name] for name in group) for group in sides[1]])


def _groups(side: str) -> list[list[str]]:
    return [part.strip("()").split() for part in re.findall(r"\(.*?\)|\w+", side)]


def _complete(group: list[str], size: Dim, sizes: dict[str, Dim], pattern: str) -> None:
    """Find the size of the axis of a group that is not known yet."""
    unknown = [name for name in group if name not in sizes]
    known = product(sizes[name] for name in group if name in sizes)
    rest = dims.divide_exactly(size, known) if known != 0 else None
    if len(unknown) > 1 or rest is None or (not unknown and rest != 1):
        raise ShapeError(
            f'rearrange: an axis of size {size} is not ({" ".join(group)}) of "{pattern}" with '
            f"the sizes { ({name: sizes[name] for name in group if name in sizes}) }"
        )
    if unknown:
        sizes[unknown[0]] = rest
