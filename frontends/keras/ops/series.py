"""Differences, integrals, products and other work on series: https://keras.io/api/ops/numpy/."""

from __future__ import annotations

import operator
from typing import Any

from graphc.eager import Tensor, apply, as_tensor, cast, operate
from graphc.eager.tensor import promoted
from graphc.errors import ShapeError
from graphc.ir.dims import Dim
from graphc.keras.ops.arguments import float_tensor, one_axis, reshaped
from graphc.keras.ops.creation import full_like
from graphc.keras.ops.elementwise import isclose, where
from graphc.keras.ops.movement import (
    broadcast_to,
    concatenate,
    expand_dims,
    flip,
    moveaxis,
    split,
    stack,
)
from graphc.keras.ops.recording import operation
from graphc.keras.ops.reduction import all as reduce_all
from graphc.keras.ops.reduction import sum as reduce_sum
from graphc.ops.cumulative import CumProd

__all__ = ["allclose", "cross", "diff", "kron", "select", "trapezoid", "vander"]


def _ends(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """All elements along an axis but the first, and all but the last."""
    size = x.dims[axis]
    return split(x, [1], axis)[1], split(x, [size - 1], axis)[0]


@operation
def diff(a: Any, n: int = 1, axis: int = -1) -> Tensor:
    """The differences of neighbours along an axis, taken n times.

    Raises:
        ShapeError: ``n`` is negative.
    """
    tensor = as_tensor(a)
    if operator.index(n) < 0:
        raise ShapeError(f"diff: differences cannot be taken {n} times")
    place = one_axis(axis, tensor.ndim, "diff")
    for _ in range(n):
        if tensor.dims[place] == 0:
            break
        later, earlier = _ends(tensor, place)
        name = "not_equal" if tensor.dtype == "bool" else "subtract"
        tensor = operate(name, later, earlier)
    return tensor


@operation
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Tensor:
    """The integral along an axis by the trapezoidal rule.

    Args:
        y: What is integrated.
        x: The places of the elements of ``y``; if left out they are ``dx`` apart.
        dx: The distance between neighbours.
        axis: The axis.
    """
    heights = float_tensor(y)
    place = one_axis(axis, heights.ndim, "trapezoid")
    if x is not None:
        heights, places = (float_tensor(operand) for operand in promoted(heights, x))
        widths = diff(places, axis=0 if places.ndim == 1 else axis)
        if places.ndim == 1:
            line: list[Dim] = [1] * heights.ndim
            line[place] = widths.dims[0]
            widths = reshaped(widths, line)
    else:
        widths = as_tensor(dx, heights.dtype)
    later, earlier = _ends(heights, place)
    return reduce_sum((later + earlier) * 0.5 * widths, place)


@operation
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of the elements of a vector, a row for each.

    Args:
        x: A vector.
        N: How many powers; by default as many as there are elements.
        increasing: Whether the powers rise from 0 instead of falling to 0.

    Raises:
        ShapeError: ``x`` is no vector, or the number of powers is not known.
    """
    tensor = as_tensor(x)
    if tensor.ndim != 1:
        raise ShapeError(f"vander: needs a vector. Received: shape={tensor.shape}")
    tensor = cast(tensor, "int32") if tensor.dtype == "bool" else tensor
    size = tensor.dims[0]
    count = size if N is None else operator.index(N)
    if not isinstance(count, int) or count < 0:
        raise ShapeError(f"vander: the number of powers should be known. Received: N={N}")
    column = expand_dims(tensor, 1)
    ones = full_like(column, 1)
    if count > 1:
        rest = broadcast_to(column, (size, count - 1))
        powers = apply(CumProd(1), concatenate([ones, rest], 1))
    else:
        powers = split(ones, [count], 1)[0]
    return powers if increasing else flip(powers, 1)


@operation
def kron(x1: Any, x2: Any) -> Tensor:
    """Kronecker's product: each element of ``x1`` replaced by itself times ``x2``."""
    x, y = promoted(x1, x2)
    rank = max(x.ndim, y.ndim)
    first = [1] * (rank - x.ndim) + list(x.dims)
    second = [1] * (rank - y.ndim) + list(y.dims)
    outer = reshaped(x, [size for dim in first for size in (dim, 1)])
    inner = reshaped(y, [size for dim in second for size in (1, dim)])
    product = operate("logical_and" if x.dtype == "bool" else "multiply", outer, inner)
    return reshaped(product, [a * b for a, b in zip(first, second, strict=True)])


@operation
def cross(
    x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None
) -> Tensor:
    """The cross product of vectors with three or two elements.

    Args:
        x1: A tensor.
        x2: A tensor; the other axes are broadcast.
        axisa: The axis of the vectors of ``x1``.
        axisb: The axis of those of ``x2``.
        axisc: The axis of those of the result; of two vectors with two elements each the result is
            a number, the third element.
        axis: If given, all three of them.

    Raises:
        ShapeError: The vectors do not have two or three elements.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = promoted(x1, x2)
    x, y = moveaxis(x, axisa, -1), moveaxis(y, axisb, -1)
    if x.dims[-1] not in (2, 3) or y.dims[-1] not in (2, 3):
        raise ShapeError(
            "cross: vectors should have two or three elements. "
            f"Received: {x.dims[-1]} and {y.dims[-1]}"
        )
    a0, a1, a2 = _components(x)
    b0, b1, b2 = _components(y)
    last = a0 * b1 - a1 * b0
    if x.dims[-1] == y.dims[-1] == 2:
        return last
    result = stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, last], -1)
    return moveaxis(result, -1, axisc)


def _components(x: Tensor) -> list[Tensor]:
    parts = [x[..., i] for i in range(int(x.dims[-1]))]
    return parts if len(parts) == 3 else [*parts, full_like(parts[0], 0)]


@operation
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Tensor:
    """For each element the first choice whose condition holds there, else the default.

    Args:
        condlist: Conditions.
        choicelist: As many choices.
        default: What is chosen where no condition holds.

    Raises:
        ValueError: Not as many choices as conditions, or none.
    """
    if len(condlist) != len(choicelist) or not condlist:
        raise ValueError(
            f"select: needs a choice for each condition, at least one. Received: {len(condlist)} "
            f"conditions and {len(choicelist)} choices"
        )
    *choices, result = promoted(*choicelist, default)
    for condition, choice in zip(reversed(condlist), reversed(choices), strict=True):
        result = where(condition, choice, result)
    return result


@operation
def allclose(
    x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether all elements are close; see `isclose`."""
    return reduce_all(isclose(x1, x2, rtol, atol, equal_nan))
