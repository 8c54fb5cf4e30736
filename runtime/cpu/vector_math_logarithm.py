"""Logarithms and what is made of them: log, log1p, log2, log10, asinh, acosh, atanh, pow, rsqrt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphc.runtime.cpu.registers import Register
from graphc.runtime.cpu.vector_math_core import (
    FORMATS,
    Coefficients,
    Pair,
    fast_two_sum,
    pair_product,
    pair_sum,
    polynomial,
    sign_is_set,
    through_float64,
    two_product,
    two_sum,
)
from graphc.runtime.cpu.vector_math_exponential import exp2, exp_of_pair

if TYPE_CHECKING:
    from graphc.runtime.cpu.emitter import Emitter

# (log1p(f) - f + f**2/2) / f**3, sqrt(1/2) <= 1 + f <= sqrt(2), degree 8, error 2^-30.3
_LOG_FLOAT32: Coefficients = (
    0.33333313,
    -0.2500001,
    0.20002121,
    -0.16667993,
    0.14219517,
    -0.12405595,
    0.11888451,
    -0.11675866,
    0.06746315,
)

# (2 atanh(s)/s - 2) / s**2 in powers of s**2, where s = f/(2 + f), so that log1p(f) = 2 atanh(s),
# for the same f, degree 6, error 2^-58.5
_LOG_FLOAT64: Coefficients = (
    0.6666666666666735,
    0.3999999999941106,
    0.2857142874327517,
    0.22222198474296279,
    0.18183569844332423,
    0.15313900234331707,
    0.14797540511741294,
)

# ((2 atanh(s)/s - 2) / s**2 - 2/3) / s**2 likewise, degree 7, error 2^-73.2
_LOG_TAIL: Coefficients = (
    0.3999999999999999,
    0.2857142857143843,
    0.22222222218888993,
    0.18181818728319304,
    0.15384565330361968,
    0.13336028742137288,
    0.11680080877439969,
    0.11949260099192092,
)

_TWO_THIRDS = (2 / 3, float.fromhex("0x1.5555555555555p-55"))

# The bits of sqrt(1/2), from which on numbers count as a power of two times 1 and more.
_ROOT_HALF = {"float32": 0x3F3504F3, "float64": 0x3FE6A09E667F3BCD}

# Above it 1 + x + sqrt(x**2 +- 1) is 2 x.
_LARGE = 2.0**60


# The common part ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """A positive number as `2**exponent * (1 + fraction)`, `1 + fraction` from sqrt(1/2) on.

    `step` are the bits that the division by the power of two takes off the exponent field.
    """

    exponent: Register
    fraction: Register
    step: Register


def split(e: Emitter, x: Register, *, normal: bool = False) -> Split:
    """Takes a positive, finite number apart; subnormal ones too unless told there are none."""
    f = FORMATS[x.dtype]
    # The exponent field becomes the low bits of the float 2**fraction_bits + field.
    zero_exponent = 2.0**f.fraction_bits + f.bias
    offset = e.constant(zero_exponent, x.dtype, x.lanes)
    if not normal:
        lift = f.fraction_bits + 2
        tiny = e.compare("lt", x, f.least_normal)
        x = e.select(tiny, e.mul(x, 2.0**lift), x)
        offset = e.select(tiny, e.constant(zero_exponent + lift, x.dtype, x.lanes), offset)
    root = _ROOT_HALF[x.dtype]
    bits = e.bitcast(x, f.integer)
    shifted = e.add(bits, f.one - root)
    rest = e.add(e.bitwise_and(shifted, (1 << f.fraction_bits) - 1), root)
    fraction = e.sub(e.bitcast(rest, x.dtype), 1.0)
    field = e.shift_right(shifted, f.fraction_bits)
    base = (f.bias + f.fraction_bits) << f.fraction_bits
    number = e.bitcast(e.bitwise_or(field, base), x.dtype)
    return Split(e.sub(number, offset), fraction, e.sub(bits, rest))


def _log_near_one(e: Emitter, x: Register, low: Register) -> Register:
    """`log(1 + x) + low` for a fraction x and a small `low`."""
    square = e.mul(x, x)
    if x.dtype == "float32":
        cubic = e.fma(e.mul(square, x), polynomial(e, x, _LOG_FLOAT32), low)
        return e.add(x, e.fma(square, -0.5, cubic))
    half = e.mul(square, 0.5)
    return e.sub(x, e.sub(half, e.add(_log_rest(e, x, half), low)))


def _log_rest(e: Emitter, x: Register, half: Register) -> Register:
    """`log(1 + x) - x + half`, where `half = x**2 / 2`, in float64."""
    s = e.div(x, e.add(x, 2.0))
    w = e.mul(s, s)
    return e.mul(s, e.fma(w, polynomial(e, w, _LOG_FLOAT64), half))


def _log_of_split(e: Emitter, parts: Split) -> Register:
    f = FORMATS[parts.fraction.dtype]
    low = e.mul(parts.exponent, f.ln2_low)
    near = _log_near_one(e, parts.fraction, low)
    return e.add(e.mul(parts.exponent, f.ln2_high), near)


def _with_poles(e: Emitter, x: Register, result: Register) -> Register:
    """A logarithm's result for positive, finite x; else -inf of 0, NaN below, x itself."""
    f = FORMATS[x.dtype]
    # Of positive, finite numbers the bits are 1 up to those below infinity.
    ordinary = e.compare("lt", e.sub(e.bitcast(x, f.integer), 1), f.infinity - 1)
    below = e.select(e.compare("lt", x, 0.0), e.constant(math.nan, x.dtype, x.lanes), x)
    zero = e.constant(-math.inf, x.dtype, x.lanes)
    special = e.select(e.compare("eq", x, 0.0), zero, below)
    return e.select(ordinary, result, special)


# Functions ------------------------------------------------------------------------------------


def log(e: Emitter, x: Register) -> Register:
    """The natural logarithm."""
    return _with_poles(e, x, _log_of_split(e, split(e, x)))


def log1p(e: Emitter, x: Register) -> Register:
    """`log(1 + x)`; what `1 + x` loses when it is rounded joins the fraction."""
    f = FORMATS[x.dtype]
    total, lost = two_sum(e, e.constant(1.0, x.dtype, x.lanes), x)
    parts = split(e, total, normal=True)
    # Twice 2**-exponent, which is no smaller than zero's bits for the largest exponent.
    two = (f.bias + 1) << f.fraction_bits
    scale = e.bitcast(e.sub(e.constant(two, f.integer, x.lanes), parts.step), x.dtype)
    fraction = e.fma(e.mul(lost, 0.5), scale, parts.fraction)
    result = _log_of_split(e, Split(parts.exponent, fraction, parts.step))
    result = _with_poles(e, total, result)
    return e.select(e.compare("lt", e.absolute(x), f.negligible), x, result)


@dataclass(frozen=True)
class _Base:
    """A base of logarithms b, each constant in two parts, of which the first has zeros at its end.

    `1 / ln(b)`, 21 bits and more; `log_b(2)`, 42 bits and more.
    """

    per_ln: tuple[float, float]
    per_octave: tuple[float, float]


_TWO = _Base(
    per_ln=(float.fromhex("0x1.71547p+0"), float.fromhex("0x1.94ae0bf85ddf4p-22")),
    per_octave=(1.0, 0.0),
)
_TEN = _Base(
    per_ln=(float.fromhex("0x1.bcb7bp-2"), float.fromhex("0x1.526e50e32a6abp-26")),
    per_octave=(float.fromhex("0x1.34413509f78p-2"), float.fromhex("0x1.fef311f12b358p-46")),
)


def _log_of_base(e: Emitter, x: Register, base: _Base) -> Register:
    """A float64 logarithm; whole powers of two give exact multiples of `log_b(2)`."""
    parts = split(e, x)
    fraction = parts.fraction
    half = e.mul(e.mul(fraction, fraction), 0.5)
    # log(1 + fraction) = high + low, where high has 21 bits, so that its products are exact.
    leading = e.bitcast(e.sub(fraction, half), "uint64")
    high = e.bitcast(e.bitwise_and(leading, -1 << 32), x.dtype)
    low = e.add(e.sub(e.sub(fraction, high), half), _log_rest(e, fraction, half))
    rest = e.fma(low, base.per_ln[0], e.mul(e.add(low, high), base.per_ln[1]))
    rest = e.fma(parts.exponent, base.per_octave[1], rest)
    octaves = e.mul(parts.exponent, base.per_octave[0])
    total, lost = two_sum(e, octaves, e.mul(high, base.per_ln[0]))
    return _with_poles(e, x, e.add(total, e.add(lost, rest)))


@through_float64
def log2(e: Emitter, x: Register) -> Register:
    """The logarithm to base 2; exact of powers of 2."""
    return _log_of_base(e, x, _TWO)


@through_float64
def log10(e: Emitter, x: Register) -> Register:
    """The logarithm to base 10."""
    return _log_of_base(e, x, _TEN)


# Inverse hyperbolic functions -----------------------------------------------------------------


@through_float64
def asinh(e: Emitter, x: Register) -> Register:
    """The inverse of sinh, `log1p(a + a**2 / (1 + sqrt(a**2 + 1)))` of `a = |x|`."""
    size = e.absolute(x)
    square = e.mul(size, size)
    curve = e.add(size, e.div(square, e.add(e.sqrt(e.add(square, 1.0)), 1.0)))
    return e.copy_sign(_log1p_or_double(e, size, curve), x)


@through_float64
def acosh(e: Emitter, x: Register) -> Register:
    """The inverse of cosh, `log1p(t + sqrt(t * (t + 2)))` of `t = x - 1`."""
    past = e.sub(x, 1.0)
    curve = e.add(past, e.sqrt(e.mul(past, e.add(past, 2.0))))
    result = _log1p_or_double(e, x, curve)
    return e.select(e.compare("lt", x, 1.0), e.constant(math.nan, x.dtype, x.lanes), result)


def _log1p_or_double(e: Emitter, x: Register, curve: Register) -> Register:
    """`log1p(curve)`, but `log(2 x)` of a large x, where the curve has overflowed."""
    large = e.compare("gt", x, _LARGE)
    result = log1p(e, e.select(large, x, curve))
    return e.select(large, e.add(result, math.log(2)), result)


@through_float64
def atanh(e: Emitter, x: Register) -> Register:
    """The inverse of tanh, `log1p(2a / (1 - a)) / 2` of `a = |x|`."""
    size = e.absolute(x)
    ratio = e.div(e.add(size, size), e.sub(1.0, size))
    return e.copy_sign(e.mul(log1p(e, ratio), 0.5), x)


# Powers ---------------------------------------------------------------------------------------


def rsqrt(e: Emitter, x: Register) -> Register:
    """`1 / sqrt(x)`."""
    return e.div(1.0, e.sqrt(x))


def pow(e: Emitter, x: Register, y: Register) -> Register:  # noqa: A001
    """`x**y`: `exp(y * log|x|)`, with C's special cases; of float64 the logarithm has 65 bits."""
    if x.dtype == "float32":
        # To base 2, so that powers of two are exact. In float64 there are no subnormal operands.
        parts = split(e, e.cast(e.absolute(x), "float64"), normal=True)
        near = _log_near_one(e, parts.fraction, e.constant(0.0, "float64", x.lanes))
        logarithm = e.fma(near, 1 / math.log(2), parts.exponent)
        size = e.cast(exp2(e, e.mul(e.cast(y, "float64"), logarithm)), "float32")
    else:
        size = _power_of_size(e, e.absolute(x), y)
    return _with_power_cases(e, x, y, size)


def _power_of_size(e: Emitter, size: Register, y: Register) -> Register:
    """`size**y` of a positive, finite float64."""
    logarithm = _log_as_pair(e, split(e, size))
    high, low = two_product(e, y, logarithm[0])
    return exp_of_pair(e, (high, e.fma(y, logarithm[1], low)))


def _log_as_pair(e: Emitter, parts: Split) -> Pair:
    """The logarithm as an unevaluated sum, error below 2^-65."""
    fraction = parts.fraction
    two = e.constant(2.0, fraction.dtype, fraction.lanes)
    divisor, lost = fast_two_sum(e, two, fraction)
    quotient = e.div(fraction, divisor)
    product, error = two_product(e, quotient, divisor)
    rest = e.sub(e.sub(e.sub(fraction, product), error), e.mul(quotient, lost))
    s = (quotient, e.div(rest, divisor))
    w = pair_product(e, s, s)
    tail = e.fma(w[0], polynomial(e, w[0], _LOG_TAIL), _TWO_THIRDS[1])
    curve = fast_two_sum(e, e.constant(_TWO_THIRDS[0], tail.dtype, tail.lanes), tail)
    cubic = pair_product(e, pair_product(e, s, w), curve)
    near = pair_sum(e, (e.add(s[0], s[0]), e.add(s[1], s[1])), cubic)
    f = FORMATS[fraction.dtype]
    octaves = (e.mul(parts.exponent, f.ln2_high), e.mul(parts.exponent, f.ln2_low))
    return pair_sum(e, octaves, near)


def _with_power_cases(e: Emitter, x: Register, y: Register, size: Register) -> Register:
    """The power from that of |x|, with the cases in which one of them is special."""
    infinity = e.constant(math.inf, x.dtype, x.lanes)
    base, down = e.absolute(x), e.compare("lt", y, 0.0)
    # An infinite result, or none at all, of an infinite or zero operand.
    extreme = e.bitwise_or(e.compare("eq", base, 0.0), e.compare("eq", base, infinity))
    extreme = e.bitwise_or(extreme, e.compare("eq", e.absolute(y), infinity))
    vanishes = e.bitwise_xor(e.compare("lt", base, 1.0), down)
    size = e.select(extreme, e.select(vanishes, e.constant(0.0, x.dtype, x.lanes), infinity), size)
    size = e.select(e.compare("eq", base, 1.0), 1.0, size)
    whole = _is_whole(e, y)
    odd = e.bitwise_and(whole, e.bitwise_not(_is_whole(e, e.mul(y, 0.5))))
    negative = sign_is_set(e, x)
    signed = e.select(e.bitwise_and(negative, odd), e.negate(size), size)
    finite = e.bitwise_and(e.compare("ne", base, 0.0), e.compare("ne", base, infinity))
    undefined = e.bitwise_and(e.bitwise_and(negative, finite), e.bitwise_not(whole))
    signed = e.select(undefined, e.constant(math.nan, x.dtype, x.lanes), signed)
    either = e.bitwise_or(e.is_nan(x), e.is_nan(y))
    signed = e.select(either, e.add(x, y), signed)
    always_one = e.bitwise_or(e.compare("eq", y, 0.0), e.compare("eq", x, 1.0))
    return e.select(always_one, 1.0, signed)


def _is_whole(e: Emitter, x: Register) -> Register:
    """Whether x has no fraction; infinity has none."""
    size, large = e.absolute(x), 2.0 ** FORMATS[x.dtype].fraction_bits
    rounded = e.sub(e.add(size, large), large)
    return e.bitwise_or(e.compare("eq", rounded, size), e.compare("ge", size, large))
