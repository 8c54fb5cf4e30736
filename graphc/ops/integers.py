"""Functions of integers that take as many steps as their operands ask for."""

from __future__ import annotations

from graphc.ir import Value
from graphc.ops.choice import Where
from graphc.ops.control import while_loop
from graphc.ops.elementwise import Div, Max, Mod, cast
from graphc.ops.family import like
from graphc.ops.logic import Equal, Greater, Less, NotEqual
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
        return _known_power(x, int(y.constant))
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


def _known_power(x: Value, exponent: int) -> Value:
    result = None
    while exponent:
        if exponent & 1:
            result = x if result is None else result * x
        exponent >>= 1
        x = x * x if exponent else x
    return expand_to(like(x, 1), x.shape) if result is None else result
