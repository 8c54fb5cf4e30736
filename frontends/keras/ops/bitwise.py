"""Bits and divisors of integers: https://keras.io/api/ops/numpy/."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.eager import Tensor, apply, apply_function, as_tensor, cast, operate
from graphc.eager.tensor import promoted
from graphc.errors import DTypeError, ShapeError
from graphc.ir import Op, is_complex, is_float, is_integer, part_dtype
from graphc.ir.dims import Dim, divide_exactly
from graphc.ir.types import dtype_size
from graphc.keras.ops.arguments import reshaped, resolved_dtype
from graphc.keras.ops.complex import view_as_complex, view_as_real
from graphc.keras.ops.elementwise import absolute, logical_not, where
from graphc.keras.ops.movement import expand_dims
from graphc.keras.ops.recording import operation
from graphc.ops import logic
from graphc.ops.bits import Bitcast
from graphc.ops.integers import greatest_common_divisor
from graphc.ops.reduce import ReduceSum

__all__ = [
    "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "gcd", "lcm", "left_shift", "right_shift", "view",
]  # fmt: skip


def integers(x: Any, function: str) -> Tensor:
    """A tensor of integers or bools.

    Raises:
        DTypeError: It holds floats.
    """
    tensor = as_tensor(x)
    if is_float(tensor.dtype):
        raise DTypeError(f"{function} works on integers and bools, not on {tensor.dtype}")
    return tensor


def _bitwise(name: str, op: Op, logical: Op, x1: Any, x2: Any) -> Tensor:
    x, y = (integers(operand, name) for operand in promoted(x1, x2))
    return apply(logical if x.dtype == "bool" else op, x, y)


@operation
def bitwise_and(x: Any, y: Any) -> Tensor:
    """The bits that are set in both."""
    return _bitwise("bitwise_and", logic.BitwiseAnd(), logic.And(), x, y)


@operation
def bitwise_or(x: Any, y: Any) -> Tensor:
    """The bits that are set in either."""
    return _bitwise("bitwise_or", logic.BitwiseOr(), logic.Or(), x, y)


@operation
def bitwise_xor(x: Any, y: Any) -> Tensor:
    """The bits that are set in exactly one."""
    return _bitwise("bitwise_xor", logic.BitwiseXor(), logic.Xor(), x, y)


@operation
def bitwise_invert(x: Any) -> Tensor:
    """The bits that are not set; of bools the opposite."""
    tensor = integers(x, "bitwise_invert")
    if tensor.dtype == "bool":
        return logical_not(tensor)
    limits = np.iinfo(tensor.dtype)
    ones = -1 if limits.min < 0 else int(limits.max)
    return apply(logic.BitwiseXor(), tensor, Tensor(np.array(ones, tensor.dtype)))


@operation
def bitwise_not(x: Any) -> Tensor:
    """The same as `bitwise_invert`."""
    return bitwise_invert(x)


def bits(x: Tensor, kind: str) -> Tensor:
    """The elements' bits as integers as wide as they are: of the kind ``"int"`` or ``"uint"``."""
    dtype = f"{kind}{8 * dtype_size(x.dtype)}"
    return x if x.dtype == dtype else apply(Bitcast(dtype), x)


def from_bits(x: Tensor, dtype: str) -> Tensor:
    """The elements of a type that have these bits."""
    return x if x.dtype == dtype else apply(Bitcast(dtype), x)


@operation
def bitwise_left_shift(x: Any, y: Any) -> Tensor:
    """``x * 2**y``; bits that do not fit are lost, and all are if ``y`` is not below the width."""
    return operate("left_shift", x, y)


@operation
def bitwise_right_shift(x: Any, y: Any) -> Tensor:
    """``x / 2**y`` rounded down."""
    return operate("right_shift", x, y)


@operation
def left_shift(x: Any, y: Any) -> Tensor:
    """The same as `bitwise_left_shift`."""
    return bitwise_left_shift(x, y)


@operation
def right_shift(x: Any, y: Any) -> Tensor:
    """The same as `bitwise_right_shift`."""
    return bitwise_right_shift(x, y)


# ------------------------------------------------------------------------------- divisors


@operation
def gcd(x1: Any, x2: Any) -> Tensor:
    """The greatest common divisor, by Euclid's algorithm; of 0 and 0 it is 0."""
    x, y = _whole("gcd", x1, x2)
    return apply_function(greatest_common_divisor, absolute(x), absolute(y))


def _whole(name: str, x1: Any, x2: Any) -> list[Tensor]:
    operands = promoted(x1, x2)
    if not is_integer(operands[0].dtype):
        raise DTypeError(f"{name} works on integers, not on {operands[0].dtype}")
    return operands


@operation
def lcm(x1: Any, x2: Any) -> Tensor:
    """The least common multiple; 0 if either is 0."""
    x, y = (absolute(operand) for operand in _whole("lcm", x1, x2))
    divisor = gcd(x, y)
    return operate("floor_divide", x, where(operate("equal", divisor, 0), 1, divisor)) * y


# --------------------------------------------------------------------------- bits as other types


@operation
def view(x: Any, dtype: Any = None) -> Tensor:
    """The same bytes as elements of another type.

    Where the types differ in width the last axis becomes longer or shorter accordingly. A complex
    number is its real and its imaginary part.

    Args:
        x: A tensor.
        dtype: The element type of the result.

    Raises:
        ShapeError: The last axis has no whole number of wider elements.
    """
    tensor = as_tensor(x)
    wanted = tensor.dtype if dtype is None else resolved_dtype(dtype)
    if tensor.dtype == wanted:
        return tensor
    if is_complex(tensor.dtype):
        return view(_parts_in_turn(tensor), wanted)
    if is_complex(wanted):
        parts = view(tensor, part_dtype(wanted))
        pairs = divide_exactly(parts.dims[-1], 2) if parts.ndim else None
        if pairs is None:
            raise ShapeError(f"view: the last axis of {parts.shape} is no multiple of 2")
        return view_as_complex(reshaped(parts, (*parts.dims[:-1], pairs, 2)))
    if tensor.dtype == "bool":
        tensor = cast(tensor, "uint8")
    stored = "uint8" if wanted == "bool" else wanted
    old, new = dtype_size(tensor.dtype), dtype_size(stored)
    pieces = bits(tensor, "uint")
    if old > new:
        pieces = _split(pieces, old // new)
    elif old < new:
        pieces = _joined(pieces, new // old)
    result = from_bits(pieces, stored)
    return cast(result, "bool") if wanted == "bool" else result


def _parts_in_turn(x: Tensor) -> Tensor:
    if not x.ndim:
        raise ShapeError("view: a scalar has no last axis that could become longer")
    return reshaped(view_as_real(x), (*x.dims[:-1], x.dims[-1] * 2))


def _split(x: Tensor, count: int) -> Tensor:
    """Each unsigned integer as ``count`` narrower ones, the lowest bits first."""
    width = 8 * dtype_size(x.dtype) // count
    if not x.ndim:
        raise ShapeError("view: a scalar has no last axis that could become longer")
    distances = Tensor((width * np.arange(count)).astype(x.dtype))
    parts = apply(logic.ShiftRight(), expand_dims(x, -1), distances)
    narrow = cast(parts, f"uint{width}")
    return reshaped(narrow, (*x.dims[:-1], x.dims[-1] * count))


def _joined(x: Tensor, count: int) -> Tensor:
    """Each ``count`` neighbours along the last axis as one unsigned integer."""
    width = 8 * dtype_size(x.dtype)
    size: Dim | None = divide_exactly(x.dims[-1], count) if x.ndim else None
    if size is None:
        raise ShapeError(f"view: the last axis of {x.shape} is no multiple of {count}")
    parts = cast(reshaped(x, (*x.dims[:-1], size, count)), f"uint{width * count}")
    distances = Tensor((width * np.arange(count)).astype(parts.dtype))
    moved = apply(logic.ShiftLeft(), parts, distances)
    return apply(ReduceSum((moved.ndim - 1,)), moved)
