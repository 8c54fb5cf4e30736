"""Functions of integers: shifts, and what takes as many steps as its operands ask for."""

from __future__ import annotations

from graphc.ir import Value
from graphc.ir.types import dtype_size
from graphc.ops.bits import Bitcast
from graphc.ops.choice import Where
from graphc.ops.control import while_loop
from graphc.ops.elementwise import Div, Max, Mod, cast
from graphc.ops.family import like
from graphc.ops.logic import (
    BitwiseXor,
    Equal,
    Greater,
    Less,
    NotEqual,
    ShiftLeft,
    ShiftRight,
)
from graphc.ops.movement import expand_to
from graphc.ops.reduce import ReduceSum


def _any(condition: Value) -> Value:
    return ReduceSum(tuple(range(condition.rank)))(cast(condition, "int32")) > 0


def greatest_common_divisor(x: Value, y: Value) -> Value:
    """The greatest common divisor of numbers that are not negative, by Euclid's algorithm."""
    shape = (x + y).shape

    def running(_: Value, rest: Value) -> Value:
        return _any(NotEqual()(rest, like(rest, 0)))

    def step(larger: Value, rest: Value) -> tuple[Value, Value]:
        done = Equal()(rest, like(rest, 0))
        safe = Where()(done, like(rest, 1), rest)
        return Where()(done, larger, rest), Where()(done, rest, Mod()(larger, safe))

    return while_loop(running, step, expand_to(x, shape), expand_to(y, shape))[0]


def integer_power(x: Value, y: Value) -> Value:
    """``x`` to the power ``y``, wrapping around; of negative powers the whole part.

    The power is a product of squares of squares: those that the bits of ``y`` name.
    """
    if y.constant is not None and y.rank == 0 and y.constant >= 0:
        return known_power(x, int(y.constant))
    shape = (x + y).shape
    base, exponent = expand_to(x, shape), expand_to(y, shape)
    one, zero, two = (like(x, number) for number in (1, 0, 2))

    def running(_: Value, square: Value, rest: Value) -> Value:
        return _any(Greater()(rest, like(rest, 0)))

    def step(result: Value, square: Value, rest: Value) -> tuple[Value, Value, Value]:
        odd = Equal()(Mod()(rest, like(rest, 2)), like(rest, 1))
        return Where()(odd, result * square, result), square * square, Div()(rest, like(rest, 2))

    start = expand_to(one, shape)
    power = while_loop(running, step, start, base, Max()(exponent, zero))[0]
    if x.dtype.startswith("uint"):
        return power
    minus = like(x, -1)
    alternating = Where()(Equal()(Mod()(exponent, two), zero), one, minus)
    fraction = Where()(Equal()(base, one), one, Where()(Equal()(base, minus), alternating, zero))
    return Where()(Less()(exponent, zero), fraction, power)


def known_power(x: Value, exponent: int) -> Value:
    """``x`` to a power from 0 on, as a product of squares of squares."""
    result = None
    while exponent:
        if exponent & 1:
            result = x if result is None else result * x
        exponent >>= 1
        x = x * x if exponent else x
    return expand_to(like(x, 1), x.shape) if result is None else result


# ---------------------------------------------------------------------------------------- shifts


def _bits(x: Value) -> Value:
    """The same bits as unsigned integers."""
    return x if x.dtype.startswith("uint") else Bitcast(f"uint{8 * dtype_size(x.dtype)}")(x)


def _from_bits(x: Value, dtype: str) -> Value:
    return x if x.dtype == dtype else Bitcast(dtype)(x)


def _moved(op: ShiftLeft | ShiftRight, x: Value, y: Value) -> Value:
    """A shift of unsigned integers; 0 where all bits leave, for which processors have no rule."""
    inside = Less()(y, like(y, 8 * dtype_size(x.dtype)))
    moved = op(x, Where()(inside, y, like(y, 0)))
    return Where()(inside, moved, like(moved, 0))


def shift_left(x: Value, y: Value) -> Value:
    """``x * 2**y``; bits that do not fit are lost, and all are if ``y`` is not below the width."""
    return _from_bits(_moved(ShiftLeft(), _bits(x), _bits(y)), x.dtype)


def shift_right(x: Value, y: Value) -> Value:
    """``x / 2**y`` rounded down."""
    if x.dtype.startswith("uint"):
        return _moved(ShiftRight(), x, _bits(y))
    # A negative number is moved turned round, so that ones come in at the left.
    negative, ones = Less()(x, like(x, 0)), like(x, -1)
    turned = Where()(negative, BitwiseXor()(x, ones), x)
    result = _from_bits(_moved(ShiftRight(), _bits(turned), _bits(y)), x.dtype)
    return Where()(negative, BitwiseXor()(result, ones), result)
