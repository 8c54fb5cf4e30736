"""Exponentials and what is made of them: exp, exp2, expm1, sigmoid, tanh, sinh, cosh, erf."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graphc.runtime.cpu.registers import Register
from graphc.runtime.cpu.vector_math_core import (
    FORMATS,
    Coefficients,
    Pair,
    polynomial,
    through_float64,
    two_product,
)

if TYPE_CHECKING:
    from graphc.runtime.cpu.emitter import Emitter


@dataclass(frozen=True)
class Limits:
    """Where results leave the format.

    Attributes:
        least: `exp` of it, and of anything less, is 0.
        tiny: below it `exp` nears the subnormal numbers.
        greatest: the largest number whose `exp` is finite.
        tanh_one, erf_one: from here on the function rounds to 1.
    """

    least: float
    tiny: float
    greatest: float
    tanh_one: float
    erf_one: float


LIMITS = {
    "float32": Limits(
        least=-104.0,
        tiny=-86.0,
        greatest=float.fromhex("0x1.62e42ep+6"),
        tanh_one=9.5,
        erf_one=4.0,
    ),
    "float64": Limits(
        least=-746.0,
        tiny=-707.0,
        greatest=float.fromhex("0x1.62e42fefa39efp+9"),
        tanh_one=20.0,
        erf_one=6.0,
    ),
}

# (exp(r) - 1 - r) / r**2, |r| <= ln(2)/2.
_EXP: dict[str, Coefficients] = {
    # degree 4, error 2^-28.3
    "float32": (0.49999994, 0.16666521, 0.04166839, 0.0083687175, 0.0013814548),
    # degree 9, error 2^-57.9
    "float64": (
        0.5000000000000011,
        0.16666666666666413,
        0.04166666666653014,
        0.008333333333494274,
        0.001388888894363577,
        0.00019841269506966073,
        2.480149309322359e-05,
        2.7557586038100733e-06,
        2.7630250296219436e-07,
        2.5000166133923256e-08,
    ),
}

# (tanh(x)/x - 1) / x**2 in powers of x**2, |x| <= 1.
_TANH: dict[str, Coefficients] = {
    # degree 6, error 2^-27.7
    "float32": (
        -0.33333296,
        0.13332345,
        -0.053879797,
        0.021486647,
        -0.0079460945,
        0.0023013582,
        -0.00035845049,
    ),
    # degree 14, error 2^-56.2
    "float64": (
        -0.33333333333332943,
        0.133333333332929,
        -0.05396825395343342,
        0.0218694882599079,
        -0.008863232452251076,
        0.0035921056083751805,
        -0.0014557213303491036,
        0.000589618682412427,
        -0.00023804383112537266,
        9.47680864956644e-05,
        -3.608650037748096e-05,
        1.2341218187108796e-05,
        -3.4196161157411237e-06,
        6.544745908521436e-07,
        -6.269015158986926e-08,
    ),
}

# erf(x)/x - 1, |x| <= 1, in powers of x**2 - 1/2, which loses least.
_ERF: dict[str, Coefficients] = {
    # degree 6, error 2^-29.6
    "float32": (
        -0.03453126,
        -0.2810722,
        0.07940998,
        -0.018283358,
        0.003480299,
        -0.0005654038,
        7.853917e-05,
    ),
    # degree 12, error 2^-62.7
    "float64": (
        -0.03453126133013269,
        -0.2810721780454342,
        0.07940998675593483,
        -0.018283884489152902,
        0.003480274496665399,
        -0.0005611894221160598,
        7.829649525828089e-05,
        -9.614808686258425e-06,
        1.053644924201379e-06,
        -1.0420369667833671e-07,
        9.38773184496027e-09,
        -7.79850984226627e-10,
        5.945244642332378e-11,
    ),
}

# log(1 - erf(1 + t)), 0 <= t <= erf_one - 1: in powers of t, because the constant term is then most
# of the sum where precision matters.
_LOG_ERFC: dict[str, Coefficients] = {
    # degree 6, error 2^-29.8
    "float32": (
        -1.8496056,
        -2.6389668,
        -0.8431176,
        -0.04150348,
        0.009895419,
        -0.0018293469,
        0.00018636843,
    ),
    # degree 18, error 2^-59.5
    "float64": (
        -1.8496055099332482,
        -2.6389675142347886,
        -0.8431072563586587,
        -0.04156109804218873,
        0.010033825378520262,
        -0.001977902594379795,
        0.00023732259189749902,
        2.627755962067925e-05,
        -2.7158472371033622e-05,
        9.607955970544134e-06,
        -2.0587418500842563e-06,
        1.4203802582471125e-07,
        9.80549688987389e-08,
        -5.226579165827406e-08,
        1.4986010897688726e-08,
        -2.8812718361850867e-09,
        3.709085419383278e-10,
        -2.9061326774580566e-11,
        1.0493549248170971e-12,
    ),
}

_COSH_GREATEST = float.fromhex("0x1.633ce8fb9f87dp+9")  # the last number of finite exp(x) / 2
_LOG2_E = 1 / math.log(2)
_LN2_LOW = float.fromhex("0x1.abc9e3b39803fp-56")  # ln(2) - its float64


# The common part ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exponential:
    """`2**n * (1 + tail)`, where the low bits of `exponent` hold n and `|tail| < 0.42`."""

    exponent: Register
    tail: Register

    def times_power_of_two(self, e: Emitter, n: int | Register) -> Exponential:
        """The same times `2**n`."""
        return replace(self, exponent=e.add(self.exponent, n))

    def power_of_two(self, e: Emitter) -> Register:
        """`2**n`, which must be a normal number."""
        f = FORMATS[self.tail.dtype]
        exponent = e.shift_left(self.exponent, f.fraction_bits)
        return e.bitcast(e.add(exponent, f.one), self.tail.dtype)

    def value(self, e: Emitter) -> Register:
        """The number, which must be normal: n is added to the exponent field of `1 + tail`."""
        f = FORMATS[self.tail.dtype]
        significand = e.bitcast(e.add(self.tail, 1.0), f.integer)
        exponent = e.shift_left(self.exponent, f.fraction_bits)
        return e.bitcast(e.add(significand, exponent), self.tail.dtype)

    def value_below(self, e: Emitter, x: Register) -> Register:
        """The number, which is `exp(x)` and may be subnormal: rounded once, from a larger one."""
        tiny = e.compare("lt", x, LIMITS[x.dtype].tiny)
        lift = FORMATS[x.dtype].fraction_bits + 2
        lifted = e.select(tiny, e.add(self.exponent, lift), self.exponent)
        scale = e.select(tiny, e.constant(2.0**-lift, x.dtype, x.lanes), 1.0)
        return e.mul(replace(self, exponent=lifted).value(e), scale)

    def minus_one(self, e: Emitter) -> Register:
        """The number less 1, without cancellation; n may be one too large for `2**n`."""
        half = self.times_power_of_two(e, -1).power_of_two(e)
        result = e.fma(half, self.tail, e.sub(half, 0.5))
        return e.add(result, result)


def exponential(e: Emitter, x: Register, low: Register | None = None) -> Exponential:
    """`exp(x + low)`, for x of at most a few thousand and a `low` that is far smaller."""
    f = FORMATS[x.dtype]
    shifted = e.fma(x, _LOG2_E, f.rounder)
    n = e.sub(shifted, f.rounder)
    # The first part of x - n ln(2) is exact.
    high = e.fma(n, -f.ln2_high, x)
    rest = e.mul(n, -f.ln2_low) if low is None else e.fma(n, -f.ln2_low, low)
    return _exponential_of_parts(e, shifted, (high, rest))


def _exponential_of_parts(e: Emitter, shifted: Register, parts: Pair) -> Exponential:
    """`2**n * exp(high + low)`: the low part joins the polynomial, so the high one rounds once."""
    high, low = parts
    r = e.add(high, low)
    curve = e.fma(e.mul(r, r), polynomial(e, r, _EXP[r.dtype]), low)
    exponent = e.bitcast(shifted, FORMATS[r.dtype].integer)
    return Exponential(exponent, e.add(high, curve))


def _unless_above(e: Emitter, x: Register, limit: float, result: Register) -> Register:
    """The result up to a limit, beyond which it overflows; NaN of NaN."""
    return e.select(e.compare("le", x, limit), result, e.add(x, math.inf))


# Functions ------------------------------------------------------------------------------------


def exp(e: Emitter, x: Register) -> Register:
    """`e**x`."""
    limits = LIMITS[x.dtype]
    bounded = e.maximum(x, limits.least)
    result = exponential(e, bounded).value_below(e, bounded)
    return _unless_above(e, x, limits.greatest, result)


def exp_of_pair(e: Emitter, x: Pair) -> Register:
    """`exp` of an unevaluated sum; its larger part must be no NaN."""
    limits = LIMITS[x[0].dtype]
    bounded = e.minimum(e.maximum(x[0], limits.least), limits.greatest + 1)
    low = e.select(e.compare("eq", bounded, x[0]), x[1], 0.0)
    result = exponential(e, bounded, low).value_below(e, bounded)
    return e.select(e.compare("le", x[0], limits.greatest), result, math.inf)


def exp2(e: Emitter, x: Register) -> Register:
    """`2**x`."""
    f = FORMATS[x.dtype]
    least, greatest = float(-f.bias - f.fraction_bits - 1), float(f.bias + 1)
    bounded = e.minimum(e.maximum(x, least), greatest)
    shifted = e.add(bounded, f.rounder)
    fraction = e.sub(bounded, e.sub(shifted, f.rounder))
    ln2 = e.constant(math.log(2), x.dtype, x.lanes)
    high, low = two_product(e, fraction, ln2)
    low = e.fma(fraction, math.log(2) - (ln2.number or 0.0) + _LN2_LOW, low)
    parts = _exponential_of_parts(e, shifted, (high, low))
    natural = e.mul(bounded, math.log(2))
    return e.select(e.compare("lt", x, greatest), parts.value_below(e, natural), e.add(x, math.inf))


def expm1(e: Emitter, x: Register) -> Register:
    """`e**x - 1`."""
    f = FORMATS[x.dtype]
    bounded = e.maximum(x, -(f.fraction_bits + 3) * math.log(2))
    result = exponential(e, bounded).minus_one(e)
    result = e.select(e.compare("lt", e.absolute(x), f.negligible), x, result)
    return _unless_above(e, x, LIMITS[x.dtype].greatest, result)


def sigmoid(e: Emitter, x: Register) -> Register:
    """`1 / (1 + exp(-x))`, as `u / (u + u*exp(-x))` with a power of two u that avoids overflow."""
    f = FORMATS[x.dtype]
    bounded = e.maximum(e.negate(x), -f.bits * math.log(2))
    bounded = e.minimum(bounded, 1 - LIMITS[x.dtype].least)
    parts = exponential(e, bounded)
    lift = (f.bias + 1) // 2
    large = e.compare("gt", bounded, lift * math.log(2))
    lowered = e.select(large, e.sub(parts.exponent, lift), parts.exponent)
    power = replace(parts, exponent=lowered).power_of_two(e)
    unit = e.select(large, e.constant(2.0**-lift, x.dtype, x.lanes), 1.0)
    # The sum of the powers of two is exact, unless the first is large: then it is added last.
    late = e.select(e.compare("gt", power, 2.0 ** (f.fraction_bits // 2)), power, 0.0)
    early = e.add(e.sub(power, late), unit)
    return e.div(unit, e.add(e.fma(power, parts.tail, early), late))


def tanh(e: Emitter, x: Register) -> Register:
    """The hyperbolic tangent: an odd polynomial near 0, `1 - 2/(exp(2|x|) + 1)` elsewhere."""
    square = e.mul(x, x)
    near = e.fma(x, e.mul(square, polynomial(e, square, _TANH[x.dtype])), x)
    size = e.absolute(x)
    limited = e.minimum(size, LIMITS[x.dtype].tanh_one)
    parts = exponential(e, e.add(limited, limited))
    power = parts.power_of_two(e)
    far = e.sub(1.0, e.div(2.0, e.fma(power, parts.tail, e.add(power, 1.0))))
    return e.copy_sign(e.select(e.compare("gt", size, 1.0), far, near), x)


@through_float64
def sinh(e: Emitter, x: Register) -> Register:
    """The hyperbolic sine, `(m + m/(m+1)) / 2` of `m = expm1(|x|)`; far away `exp(|x|) / 2`."""
    size = e.absolute(x)
    parts = exponential(e, e.minimum(size, _COSH_GREATEST))
    m = parts.minus_one(e)
    near = e.mul(e.add(m, e.div(m, e.add(m, 1.0))), 0.5)
    far = parts.times_power_of_two(e, -1).value(e)
    result = e.select(e.compare("gt", size, 20.0), far, near)
    result = e.select(e.compare("lt", size, FORMATS[x.dtype].negligible), size, result)
    return e.copy_sign(_unless_above(e, size, _COSH_GREATEST, result), x)


@through_float64
def cosh(e: Emitter, x: Register) -> Register:
    """The hyperbolic cosine, `h + 1/(4h)` of `h = exp(|x|) / 2`."""
    size = e.absolute(x)
    half = exponential(e, e.minimum(size, _COSH_GREATEST)).times_power_of_two(e, -1).value(e)
    return _unless_above(e, size, _COSH_GREATEST, e.add(half, e.div(0.25, half)))


def erf(e: Emitter, x: Register) -> Register:
    """The error function: an odd polynomial near 0, `1 - exp(log(erfc(|x|)))` elsewhere."""
    near = e.fma(x, polynomial(e, e.fma(x, x, -0.5), _ERF[x.dtype]), x)
    size = e.absolute(x)
    past_one = e.sub(e.minimum(size, LIMITS[x.dtype].erf_one), 1.0)
    rest = exponential(e, polynomial(e, past_one, _LOG_ERFC[x.dtype]))
    far = e.sub(1.0, rest.value(e))
    return e.select(e.compare("gt", size, 1.0), e.copy_sign(far, x), near)
