"""Mathematical functions as instructions: exponentials, logarithms and what neural nets add.

`FUNCTIONS` is the table that `Module` takes. Each function works on float32 and float64, on a
scalar or any number of lanes, and gives the same bits for each. No library is called, no rounding
mode, flag or table in memory is needed: every special value comes out of arithmetic and selects.

The constants are minimax polynomials from Remez's exchange in 50 digits, rounded to the format;
the comment on each says on which interval it is how exact, relative to the function's result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphc.runtime.cpu.registers import Register

if TYPE_CHECKING:
    from graphc.runtime.cpu.emitter import Emitter

Coefficients = tuple[float, ...]


@dataclass(frozen=True)
class Format:
    """What the algorithms must know about float32 or float64.

    Attributes:
        integer: the unsigned integer dtype of the same size.
        fraction_bits: how many bits follow the leading one.
        bias: what the exponent field of 1.0 holds.
        ln2_high, ln2_low: ln(2) in two parts; the first times any exponent is exact.
        exp_least: `exp` of it, and of anything less, is 0.
        exp_greatest: the largest number whose `exp` is finite.
        exp_tiny: below it `exp` nears the subnormal numbers.
        exp: `(exp(r) - 1 - r) / r**2` for `|r| <= ln(2)/2`.
        log: see `_log_near_one`.
        tanh: `(tanh(x)/x - 1) / x**2` of `x**2` for `|x| <= 1`.
        tanh_one: from here on `tanh` rounds to 1.
        erf: `erf(x)/x - 1` of `x**2` for `|x| <= 1`.
        log_erfc: `log(1 - erf(1 + t))` of t from 0 to `erf_one - 1`.
        erf_one: from here on `erf` rounds to 1.
    """

    integer: str
    fraction_bits: int
    bias: int
    ln2_high: float
    ln2_low: float
    exp_least: float
    exp_greatest: float
    exp_tiny: float
    exp: Coefficients
    log: Coefficients
    tanh: Coefficients
    tanh_one: float
    erf: Coefficients
    log_erfc: Coefficients
    erf_one: float

    @property
    def rounder(self) -> float:
        """Adding it leaves a float's nearest whole number in the low bits of the sum."""
        return 1.5 * 2.0**self.fraction_bits

    @property
    def least_normal(self) -> float:
        """The smallest number of full precision."""
        return 2.0 ** (1 - self.bias)


FORMATS = {
    "float32": Format(
        integer="uint32",
        fraction_bits=23,
        bias=127,
        ln2_high=float.fromhex("0x1.62e4p-1"),
        ln2_low=float.fromhex("0x1.7f7d1cp-20"),
        exp_least=-104.0,
        exp_greatest=float.fromhex("0x1.62e42ep+6"),
        exp_tiny=-86.0,
        # degree 4, error 2^-28.3
        exp=(0.49999994, 0.16666521, 0.04166839, 0.0083687175, 0.0013814548),
        # log1p(f) = f - f**2/2 + f**3 q(f), sqrt(1/2) <= 1 + f <= sqrt(2), degree 8, error 2^-30.3
        log=(
            0.33333313,
            -0.2500001,
            0.20002121,
            -0.16667993,
            0.14219517,
            -0.12405595,
            0.11888451,
            -0.11675866,
            0.06746315,
        ),
        # degree 6, error 2^-27.7
        tanh=(
            -0.33333296,
            0.13332345,
            -0.053879797,
            0.021486647,
            -0.0079460945,
            0.0023013582,
            -0.00035845049,
        ),
        tanh_one=9.5,
        # degree 6, error 2^-29.6
        erf=(
            0.12837917,
            -0.37612626,
            0.112835854,
            -0.026853813,
            0.00518833,
            -0.00080102123,
            7.853917e-05,
        ),
        # degree 6, error 2^-29.8
        log_erfc=(
            -1.8496056,
            -2.6389668,
            -0.8431176,
            -0.04150348,
            0.00989542,
            -0.0018293469,
            0.00018636843,
        ),
        erf_one=4.0,
    ),
    "float64": Format(
        integer="uint64",
        fraction_bits=52,
        bias=1023,
        ln2_high=float.fromhex("0x1.62e42fefa38p-1"),
        ln2_low=float.fromhex("0x1.ef35793c7673p-45"),
        exp_least=-746.0,
        exp_greatest=float.fromhex("0x1.62e42fefa39efp+9"),
        exp_tiny=-707.0,
        # degree 9, error 2^-57.9
        exp=(
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
        # 2 atanh(s)/s - 2 = s**2 q(s**2), s = f / (2 + f), degree 6, error 2^-58.5
        log=(
            0.6666666666666735,
            0.3999999999941106,
            0.2857142874327517,
            0.22222198474296279,
            0.18183569844332423,
            0.15313900234331707,
            0.14797540511741294,
        ),
        # degree 14, error 2^-56.2
        tanh=(
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
        tanh_one=20.0,
        # degree 12, error 2^-62.7
        erf=(
            0.1283791670955126,
            -0.3761263890318375,
            0.11283791670954857,
            -0.026866170645072893,
            0.005223977624780848,
            -0.0008548326978740944,
            0.00012055331036846268,
            -1.4925593505442026e-05,
            1.6460972791205931e-06,
            -1.635002492128956e-07,
            1.465787762419156e-08,
            -1.1365656627665695e-09,
            5.945244642332378e-11,
        ),
        # degree 18, error 2^-59.5
        log_erfc=(
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
        erf_one=6.0,
    ),
}


def polynomial(e: Emitter, x: Register, coefficients: Sequence[float]) -> Register:
    """Horner's rule; coefficients from the constant term up."""
    result = e.constant(coefficients[-1], x.dtype, x.lanes)
    for coefficient in reversed(coefficients[:-1]):
        result = e.fma(result, x, coefficient)
    return result


# Exponentials ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Exponential:
    """`exp(x) = 2**n * (1 + tail)`; n is in the low bits of `exponent`."""

    exponent: Register
    tail: Register


def _split_exponential(e: Emitter, x: Register) -> _Exponential:
    """Takes `exp` of a number of moderate size apart."""
    f = FORMATS[x.dtype]
    shifted = e.fma(x, 1 / math.log(2), f.rounder)
    n = e.sub(shifted, f.rounder)
    # The first part of x - n ln(2) is exact; the second joins the polynomial, so that the sum
    # with the first rounds once.
    high = e.fma(n, -f.ln2_high, x)
    low = e.mul(n, -f.ln2_low)
    r = e.add(high, low)
    curve = e.fma(e.mul(r, r), polynomial(e, r, f.exp), low)
    return _Exponential(e.bitcast(shifted, f.integer), e.add(high, curve))


def _join_exponential(e: Emitter, parts: _Exponential) -> Register:
    """`exp` whose result is a normal number: n is added to the exponent field."""
    f = FORMATS[parts.tail.dtype]
    significand = e.bitcast(e.add(parts.tail, 1.0), f.integer)
    exponent = e.shift_left(parts.exponent, f.fraction_bits)
    return e.bitcast(e.add(significand, exponent), parts.tail.dtype)


def exp(e: Emitter, x: Register) -> Register:
    """`e**x`."""
    f = FORMATS[x.dtype]
    finite = e.compare("le", x, f.exp_greatest)
    # NaN and infinity plus infinity are what they shall be.
    return e.select(finite, _exp_bounded(e, x), e.add(x, math.inf))


def _exp_bounded(e: Emitter, x: Register) -> Register:
    """`exp` of numbers up to `exp_greatest`, with subnormal results rounded once."""
    f = FORMATS[x.dtype]
    x = e.maximum(x, f.exp_least)
    parts = _split_exponential(e, x)
    tiny = e.compare("lt", x, f.exp_tiny)
    lift = f.fraction_bits + 2
    lifted = e.select(tiny, e.add(parts.exponent, lift), parts.exponent)
    scaled = _join_exponential(e, _Exponential(lifted, parts.tail))
    return e.mul(scaled, e.select(tiny, e.constant(2.0**-lift, x.dtype, x.lanes), 1.0))


def sigmoid(e: Emitter, x: Register) -> Register:
    """`1 / (1 + exp(-x))`, with both tails exact."""
    z = _exp_bounded(e, e.negate(e.absolute(x)))
    above = e.select(e.compare("lt", x, 0.0), z, 1.0)
    # NaN has gone through the exponential's bits.
    result = e.div(above, e.add(z, 1.0))
    return e.select(e.is_nan(x), x, result)


def tanh(e: Emitter, x: Register) -> Register:
    """The hyperbolic tangent: an odd polynomial near 0, `1 - 2/(exp(2|x|) + 1)` elsewhere."""
    f = FORMATS[x.dtype]
    square = e.mul(x, x)
    near = e.fma(x, e.mul(square, polynomial(e, square, f.tanh)), x)
    size = e.absolute(x)
    limited = e.minimum(size, f.tanh_one)
    power = _join_exponential(e, _split_exponential(e, e.add(limited, limited)))
    far = e.sub(1.0, e.div(2.0, e.add(power, 1.0)))
    return e.select(e.compare("gt", size, 1.0), e.copy_sign(far, x), near)


def erf(e: Emitter, x: Register) -> Register:
    """The error function: an odd polynomial near 0, `1 - exp(log(erfc(|x|)))` elsewhere."""
    f = FORMATS[x.dtype]
    square = e.mul(x, x)
    near = e.fma(x, polynomial(e, square, f.erf), x)
    size = e.absolute(x)
    past_one = e.sub(e.minimum(size, f.erf_one), 1.0)
    rest = polynomial(e, past_one, f.log_erfc)
    far = e.sub(1.0, _join_exponential(e, _split_exponential(e, rest)))
    return e.select(e.compare("gt", size, 1.0), e.copy_sign(far, x), near)


# Logarithms -----------------------------------------------------------------------------------


def log(e: Emitter, x: Register) -> Register:
    """The natural logarithm."""
    f = FORMATS[x.dtype]
    exponent, fraction = _split_logarithm(e, x)
    high = e.mul(exponent, f.ln2_high)
    low = e.mul(exponent, f.ln2_low)
    result = e.add(high, _log_near_one(e, fraction, low))
    return _log_specials(e, x, result)


def _log_specials(e: Emitter, x: Register, result: Register) -> Register:
    f = FORMATS[x.dtype]
    bits = e.sub(e.bitcast(x, f.integer), 1)
    infinity = ((1 << 8 * (4 if f.bias == 127 else 8) - 1 - f.fraction_bits) - 1) << f.fraction_bits
    ordinary = e.compare("lt", bits, infinity - 1)
    negative = e.select(e.compare("lt", x, 0.0), e.constant(math.nan, x.dtype, x.lanes), x)
    zero = e.constant(-math.inf, x.dtype, x.lanes)
    special = e.select(e.compare("eq", x, 0.0), zero, negative)
    return e.select(ordinary, result, special)


def _split_logarithm(e: Emitter, x: Register) -> tuple[Register, Register]:
    """`x = 2**n * (1 + f)` with `1 + f` between the square roots of 1/2 and 2: n and f."""
    f = FORMATS[x.dtype]
    lift = f.fraction_bits + 2
    tiny = e.compare("lt", x, f.least_normal)
    lifted = e.select(tiny, e.mul(x, 2.0**lift), x)
    one = f.bias << f.fraction_bits
    root = 0x3F3504F3 if f.bias == 127 else 0x3FE6A09E667F3BCD
    bits = e.add(e.bitcast(lifted, f.integer), one - root)
    fraction = e.bitwise_and(bits, (1 << f.fraction_bits) - 1)
    significand = e.bitcast(e.add(fraction, root), x.dtype)
    # The exponent field becomes the low bits of the float 2**fraction_bits + field.
    base = 2.0**f.fraction_bits
    field = e.shift_right(bits, f.fraction_bits)
    number = e.bitcast(e.bitwise_or(field, (f.bias + f.fraction_bits) << f.fraction_bits), x.dtype)
    offset = e.select(tiny, e.constant(base + f.bias + lift, x.dtype, x.lanes), base + f.bias)
    return e.sub(number, offset), e.sub(significand, 1.0)


def _log_near_one(e: Emitter, x: Register, low: Register) -> Register:
    """`log(1 + x) + low` for a small `low`."""
    f = FORMATS[x.dtype]
    square = e.mul(x, x)
    if x.dtype == "float32":
        cubic = e.fma(e.mul(square, x), polynomial(e, x, f.log), low)
        return e.add(x, e.fma(square, -0.5, cubic))
    s = e.div(x, e.add(x, 2.0))
    w = e.mul(s, s)
    half = e.mul(square, 0.5)
    rest = e.fma(w, polynomial(e, w, f.log), half)
    return e.sub(x, e.sub(half, e.fma(s, rest, low)))


#: Code by name, for `Module`.
FUNCTIONS: Mapping[str, Callable[..., Register]] = {
    "erf": erf,
    "exp": exp,
    "log": log,
    "sigmoid": sigmoid,
    "tanh": tanh,
}
