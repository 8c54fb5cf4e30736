"""Circular functions: sin, cos, tan and their inverses.

An angle becomes a quadrant and a rest of at most pi/4. For ordinary angles three parts of pi/2 do
it (Cody and Waite); for huge ones, which need hundreds of bits of 2/pi, a function of a scalar
that is called for just those lanes (Payne and Hanek).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphc.runtime.cpu.registers import Register
from graphc.runtime.cpu.vector_math_core import (
    FORMATS,
    Coefficients,
    Pair,
    any_lane,
    fast_two_sum,
    polynomial,
    sign_is_set,
    through_float64,
    two_product,
)

if TYPE_CHECKING:
    from graphc.runtime.cpu.emitter import Emitter, Module

# All code below computes in float64. These polynomials come in two precisions, by the format of
# the result. (sin(r)/r - 1) / r**2 in powers of r**2, |r| <= pi/4.
_SIN: dict[str, Coefficients] = {
    # degree 3, error 2^-37.6
    "float32": (
        -0.16666666641608927,
        0.008333329383788775,
        -0.00019839334145072457,
        2.7183047667499346e-06,
    ),
    # degree 5, error 2^-58.0
    "float64": (
        -0.16666666666666632,
        0.008333333333322415,
        -0.00019841269829808428,
        2.755731369205675e-06,
        -2.505075812831839e-08,
        1.589679601670684e-10,
    ),
}

# (cos(r) - 1 + r**2/2) / r**4 likewise.
_COS: dict[str, Coefficients] = {
    # degree 2, error 2^-33.0
    "float32": (0.041666645670474095, -0.0013887315631585814, 2.4433084256235796e-05),
    # degree 5, error 2^-63.8
    "float64": (
        0.0416666666666666,
        -0.001388888888887476,
        2.4801587289751903e-05,
        -2.7557314405824357e-07,
        2.0875728222931087e-09,
        -1.1359816907480221e-11,
    ),
}

# (atan(t)/t - 1) / t**2 in powers of t**2, |t| <= tan(pi/8), degree 10, error 2^-59.5
_ATAN: Coefficients = (
    -0.3333333333333321,
    0.19999999999955836,
    -0.1428571428038739,
    0.1111111079188968,
    -0.09090897978103687,
    0.07692063845449061,
    -0.06663142757833136,
    0.05848155899358699,
    -0.050404495377477515,
    0.038092432093130804,
    -0.01793658391767587,
)

# (asin(t)/t - 1) / t**2 in powers of t**2, |t| <= 1/2, degree 12, error 2^-59.8
_ASIN: Coefficients = (
    0.16666666666666763,
    0.07499999999970294,
    0.044642857175092254,
    0.030381942684907185,
    0.022372215626022717,
    0.017351600670048484,
    0.01398095498087568,
    0.011397825121144655,
    0.010786274852303773,
    0.003683923897056127,
    0.021761537394655455,
    -0.021074765568512455,
    0.032675458269457,
)

# pi/2 in parts of 33, 33 and 53 bits: the first two times a quadrant number are exact.
_HALF_PI = tuple(
    float.fromhex(part) for part in ("0x1.921fb544p+0", "0x1.0b4611a6p-34", "0x1.3198a2e037073p-69")
)
_PI_HIGH, _PI_LOW = math.pi, float.fromhex("0x1.1a62633145c07p-53")

# From here on quadrant numbers have more than 20 bits.
_HUGE = 2.0**20

# The first 1280 bits of 2/pi behind the point, after a word of zeros.
_TWO_OVER_PI = bytes(8) + bytes.fromhex(
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561"
    "b7246e3a424dd2e006492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484"
    "e99c7026b45f7e413991d639835339f49c845f8bbdf9283b1ff897ffde05980f"
    "ef2f118b5a0a6d1f6d367ecf27cb09b74f463f669e5fea2d7527bac7ebe5f17b"
    "3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6babf0cfbc209af4361d"
)
_TABLE = "graphc_two_over_pi"
_REDUCE = "graphc_reduce_angle"

# Angles ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Angle:
    """`quadrant * pi/2 + rest + low`; of the quadrant (an integer) the low two bits count."""

    quadrant: Register
    rest: Register
    low: Register

    def turned(self, e: Emitter) -> _Angle:
        """A quadrant further on."""
        return _Angle(e.add(self.quadrant, 1), self.rest, self.low)

    def odd(self, e: Emitter) -> Register:
        """Whether the quadrant's number is odd."""
        return e.compare("ne", e.bitwise_and(self.quadrant, 1), 0)


def _angle(e: Emitter, x: Register, precision: str) -> _Angle:
    """The angle x, a float64 of any size, for a result of some dtype; NaN if x is infinite."""
    shifted = e.fma(x, 2 / math.pi, FORMATS[x.dtype].rounder)
    n = e.sub(shifted, FORMATS[x.dtype].rounder)
    exact = e.fma(n, -_HALF_PI[0], x)
    if precision == "float32":
        high, low = e.fma(n, -_HALF_PI[1] - _HALF_PI[2], exact), e.constant(0.0, x.dtype, x.lanes)
    else:
        middle = e.mul(n, _HALF_PI[1])
        rest = e.sub(exact, middle)
        lost = e.sub(e.sub(exact, rest), middle)
        high, low = fast_two_sum(e, rest, e.fma(n, -_HALF_PI[2], lost))
    ordinary = _Angle(e.bitcast(shifted, "int64"), high, low)
    size = e.absolute(x)
    huge = e.bitwise_and(e.compare("ge", size, _HUGE), e.compare("lt", size, math.inf))
    quadrant, rest, low = e.choose(
        any_lane(e, huge),
        lambda: _reduce_lanes(e, x, huge, ordinary),
        lambda: [ordinary.quadrant, ordinary.rest, ordinary.low],
    )
    return _Angle(quadrant, rest, low)


def _reduce_lanes(e: Emitter, x: Register, huge: Register, ordinary: _Angle) -> list[Register]:
    """The angle, of which the huge lanes are computed one after the other."""
    if not e.module.has_function(_REDUCE):
        _emit_reduction(e.module)
    values = (ordinary.quadrant, ordinary.rest, ordinary.low)
    places = [e.stack(value.dtype, x.lanes) for value in values]
    sources, flags = e.stack(x.dtype, x.lanes), e.stack("bool", x.lanes)
    for value, place in zip((*values, x, huge), (*places, sources, flags), strict=True):
        e.store(value, place)
    with (
        e.loop(0, x.lanes) as lane,
        e.if_(e.load(e.offset(flags, lane, "bool"), "bool")),
    ):
        outs = [e.offset(p, lane, v.dtype) for p, v in zip(places, values, strict=True)]
        e.call(_REDUCE, None, e.load(e.offset(sources, lane, x.dtype), x.dtype), *outs)
    return [e.load(p, v.dtype, x.lanes) for p, v in zip(places, values, strict=True)]


def _emit_reduction(module: Module) -> None:
    """`(x, quadrant*, rest*, low*)` of a finite float64 of at least `_HUGE`.

    With `x = m * 2**k`, the product of m and 192 bits of 2/pi, chosen so that its upper two bits
    are the quadrant and what is left out are whole turns, or too small.
    """
    names = ("quadrant", "rest", "low")
    parameters = [("x", "float64"), *((name, "pointer") for name in names)]
    words = [_TWO_OVER_PI[i : i + 8][::-1] for i in range(0, len(_TWO_OVER_PI), 8)]
    table = module.data(_TABLE, b"".join(words))
    with module.function(_REDUCE, parameters, internal=True, noinline=True) as e:
        x, *outs = e.arguments
        bits = e.bitcast(e.absolute(x), "uint64")
        m = e.bitwise_or(e.bitwise_and(bits, (1 << 52) - 1), 1 << 52)
        # The table's bit 64 has the weight 1/2; the product's upper bit shall have the weight 2.
        first = e.sub(e.shift_right(bits, 52), 1023 + 52 - 62)
        product = _product(e, m, _window(e, table, first))
        turns = e.shift_right(e.add(product[0], 1 << 61), 62)
        rest = [e.sub(product[0], e.shift_left(turns, 62)), *product[1:]]
        fill = e.bitcast(e.shift_right(e.bitcast(rest[0], "int64"), 63), "uint64")
        high, low = _as_pair(e, [e.bitwise_xor(word, fill) for word in rest])
        high, low = _times_half_pi(e, (high, low))
        # The rest's own sign, and that of x.
        below = e.bitwise_xor(e.compare("ne", fill, 0), sign_is_set(e, x))
        signed = [e.select(below, e.negate(part), part) for part in (high, low)]
        backward = e.sub(e.constant(0, "uint64"), turns)
        quadrant = e.select(sign_is_set(e, x), backward, turns)
        for value, out in zip((e.bitcast(quadrant, "int64"), *signed), outs, strict=True):
            e.store(value, out)


def _window(e: Emitter, table: Register, first: Register) -> list[Register]:
    """192 bits of the table from a bit on, as three words, the upper one first."""
    word = e.bitcast(e.shift_right(first, 6), "index")
    shift = e.bitwise_and(first, 63)
    back = e.sub(e.constant(64, "uint64"), shift)
    words = [e.load(e.offset(table, e.add(word, i), "uint64"), "uint64") for i in range(4)]
    return [
        e.bitwise_or(e.shift_left(words[i], shift), e.shift_right(words[i + 1], back))
        for i in range(3)
    ]


def _product(e: Emitter, m: Register, words: list[Register]) -> list[Register]:
    """The lower 192 bits of a product, the upper word first."""
    low = e.mul(m, words[2])
    carried = _multiply_high(e, m, words[2])
    middle = e.add(e.mul(m, words[1]), carried)
    carry = e.cast(e.compare("lt", middle, carried), "uint64")
    high = e.add(e.add(e.mul(m, words[0]), _multiply_high(e, m, words[1])), carry)
    return [high, middle, low]


def _multiply_high(e: Emitter, x: Register, y: Register) -> Register:
    """The upper word of a product, by halves: some targets make calls of 128-bit products."""
    half = (1 << 32) - 1
    x_low, y_low = e.bitwise_and(x, half), e.bitwise_and(y, half)
    x_high, y_high = e.shift_right(x, 32), e.shift_right(y, 32)
    first = e.add(e.mul(x_high, y_low), e.shift_right(e.mul(x_low, y_low), 32))
    second = e.add(e.mul(x_low, y_high), e.bitwise_and(first, half))
    high = e.add(e.mul(x_high, y_high), e.shift_right(first, 32))
    return e.add(high, e.shift_right(second, 32))


def _as_pair(e: Emitter, words: list[Register]) -> Pair:
    """A fraction of 192 bits, of which the first has the weight 2, as an unevaluated sum."""
    parts = []
    for i, word in enumerate(words):
        for j, half in enumerate((e.shift_right(word, 32), e.bitwise_and(word, (1 << 32) - 1))):
            number = e.cast(e.bitcast(half, "int64"), "float64")
            parts.append(e.mul(number, 2.0 ** (-30 - 64 * i - 32 * j)))
    # From the small end on, what each sum loses is kept; what the last two lose does not count.
    total, errors = e.add(parts[3], parts[4]), []
    for part in reversed(parts[:3]):
        total, error = fast_two_sum(e, part, total)
        errors.append(error)
    return total, e.add(errors[2], e.add(errors[1], errors[0]))


def _times_half_pi(e: Emitter, x: Pair) -> Pair:
    high, low = two_product(e, x[0], e.constant(_PI_HIGH / 2, "float64"))
    low = e.add(low, e.fma(x[1], _PI_HIGH / 2, e.mul(x[0], _PI_LOW / 2)))
    return fast_two_sum(e, high, low)


# Sine, cosine and tangent ---------------------------------------------------------------------


def _sine(e: Emitter, angle: _Angle, precision: str) -> Pair:
    """`sin` of the rest to the precision of a dtype, as a large part and a small one."""
    r = angle.rest
    square = e.mul(r, r)
    cubic = e.mul(e.mul(square, r), polynomial(e, square, _SIN[precision]))
    if precision == "float32":
        return r, cubic
    # sin(r + low) = sin(r) + low * cos(r), and the cosine is 1 - r**2/2 for so small a number.
    return r, e.add(cubic, e.fma(e.mul(square, -0.5), angle.low, angle.low))


def _cosine(e: Emitter, angle: _Angle, precision: str) -> Pair:
    """`cos` of the rest to the precision of a dtype, as a large part and a small one."""
    r = angle.rest
    square = e.mul(r, r)
    curve = e.mul(e.mul(square, square), polynomial(e, square, _COS[precision]))
    half = e.mul(square, 0.5)
    rounded = e.sub(1.0, half)
    if precision == "float32":
        return rounded, curve
    lost = e.sub(e.sub(1.0, rounded), half)
    return rounded, e.add(lost, e.fma(r, e.negate(angle.low), curve))


def _circular(e: Emitter, x: Register, angle: _Angle) -> Register:
    """`sin` of an angle in the format of x: by quadrant sin, cos, -sin, -cos of the rest."""
    sine, cosine = e.add(*_sine(e, angle, x.dtype)), e.add(*_cosine(e, angle, x.dtype))
    size = e.bitcast(e.select(angle.odd(e), cosine, sine), "int64")
    sign = e.shift_left(e.bitwise_and(angle.quadrant, 2), 62)
    return e.cast(e.bitcast(e.bitwise_xor(size, sign), "float64"), x.dtype)


def sin(e: Emitter, x: Register) -> Register:
    """The sine of x in radians."""
    result = _circular(e, x, _angle(e, e.cast(x, "float64"), x.dtype))
    return e.select(e.compare("eq", x, 0.0), x, result)


def cos(e: Emitter, x: Register) -> Register:
    """The cosine of x in radians."""
    return _circular(e, x, _angle(e, e.cast(x, "float64"), x.dtype).turned(e))


def tan(e: Emitter, x: Register) -> Register:
    """The tangent of x in radians."""
    angle = _angle(e, e.cast(x, "float64"), x.dtype)
    sine, cosine = _sine(e, angle, x.dtype), _cosine(e, angle, x.dtype)
    sine, cosine = fast_two_sum(e, *sine), fast_two_sum(e, *cosine)
    odd = angle.odd(e)
    top, small = (e.select(odd, e.negate(c), s) for s, c in zip(sine, cosine, strict=True))
    bottom, lost = (e.select(odd, s, c) for s, c in zip(sine, cosine, strict=True))
    quotient = e.div(top, bottom)
    if x.dtype == "float64":
        # What the quotient is off by, from the remainder and the small parts.
        product, error = two_product(e, quotient, bottom)
        rest = e.sub(small, e.mul(quotient, lost))
        rest = e.add(e.sub(e.sub(top, product), error), rest)
        quotient = e.add(quotient, e.div(rest, bottom))
    return e.select(e.compare("eq", x, 0.0), x, e.cast(quotient, x.dtype))


# Inverse functions ----------------------------------------------------------------------------


def _arc_tangent(e: Emitter, y: Register, x: Register, flipped: Register | None) -> Register:
    """`atan(y / x)` of sizes `y, x >= 0`, or pi less it where flipped.

    By thirds of the quadrant: `t = y/x`, pi/4 and `t = (y-x)/(y+x)`, or pi/2 and `t = -x/y`.
    """
    steep = e.compare("gt", y, e.mul(x, math.sqrt(2) + 1))
    middle = e.compare("gt", y, e.mul(x, math.sqrt(2) - 1))
    top = e.select(steep, e.negate(x), e.select(middle, e.sub(y, x), y))
    bottom = e.select(steep, y, e.select(middle, e.add(y, x), x))
    quarters = e.select(
        steep, e.constant(2.0, y.dtype, y.lanes), e.select(middle, e.constant(1.0, y.dtype), 0.0)
    )
    t = e.div(top, bottom)
    if flipped is not None:
        t = e.select(flipped, e.negate(t), t)
        quarters = e.select(flipped, e.sub(4.0, quarters), quarters)
    square = e.mul(t, t)
    curve = e.mul(e.mul(square, t), polynomial(e, square, _ATAN))
    rest = e.fma(quarters, _PI_LOW / 4, curve)
    # At most three quarters of pi times a small whole number: one rounding of its high part.
    high, lost = two_product(e, quarters, e.constant(_PI_HIGH / 4, y.dtype, y.lanes))
    return e.add(high, e.add(t, e.add(rest, lost)))


@through_float64
def atan(e: Emitter, x: Register) -> Register:
    """The inverse of tan, between -pi/2 and pi/2."""
    size = e.absolute(x)
    result = _arc_tangent(e, size, e.constant(1.0, x.dtype, x.lanes), None)
    return e.copy_sign(result, x)


@through_float64
def atan2(e: Emitter, y: Register, x: Register) -> Register:
    """The angle of the point (x, y), between -pi and pi; of zeros and infinities as in C."""
    one = e.constant(1.0, x.dtype, x.lanes)
    infinite_x = e.compare("eq", e.absolute(x), math.inf)
    infinite_y = e.compare("eq", e.absolute(y), math.inf)
    both = e.bitwise_and(infinite_x, infinite_y)
    # A quarter of both, so that their sum does not overflow; what a small one loses does not count
    # beside a large one.
    large = e.bitwise_or(
        e.compare("gt", e.absolute(x), 2.0**1000), e.compare("gt", e.absolute(y), 2.0**1000)
    )
    scale = e.select(large, e.constant(0.25, x.dtype, x.lanes), one)
    across = e.select(both, one, e.mul(e.absolute(x), scale))
    up = e.select(both, one, e.mul(e.absolute(y), scale))
    origin = e.bitwise_and(e.compare("eq", across, 0.0), e.compare("eq", up, 0.0))
    result = _arc_tangent(e, up, e.select(origin, one, across), sign_is_set(e, x))
    result = e.copy_sign(result, y)
    return e.select(e.bitwise_or(e.is_nan(x), e.is_nan(y)), e.add(x, y), result)


def _arc_sine(e: Emitter, x: Register) -> tuple[Register, Register, Register]:
    """Whether `|x| <= 1/2`, and t and p for which `t + t*p` is an arc.

    It is `asin(|x|)` if so, else `asin(sqrt((1 - |x|) / 2))`.
    """
    size = e.absolute(x)
    small = e.compare("le", size, 0.5)
    square = e.select(small, e.mul(size, size), e.mul(e.sub(1.0, size), 0.5))
    t = e.select(small, size, e.sqrt(square))
    return small, t, e.mul(square, polynomial(e, square, _ASIN))


@through_float64
def asin(e: Emitter, x: Register) -> Register:
    """The inverse of sin, between -pi/2 and pi/2."""
    small, t, p = _arc_sine(e, x)
    twice = e.add(t, t)
    pi_half = e.constant(_PI_HIGH / 2, x.dtype, x.lanes)
    high, low = fast_two_sum(e, pi_half, e.negate(twice))
    far = e.add(high, e.sub(low, e.fma(twice, p, -_PI_LOW / 2)))
    return e.copy_sign(e.select(small, e.fma(t, p, t), far), x)


@through_float64
def acos(e: Emitter, x: Register) -> Register:
    """The inverse of cos, between 0 and pi."""
    small, t, p = _arc_sine(e, x)
    arc = e.fma(t, p, t)
    near = e.sub(_PI_HIGH / 2, e.sub(e.copy_sign(arc, x), _PI_LOW / 2))
    twice = e.add(arc, arc)
    behind = e.sub(_PI_HIGH, e.sub(twice, _PI_LOW))
    return e.select(small, near, e.select(sign_is_set(e, x), behind, twice))
