"""What the mathematical functions share: formats, polynomials, sums and products without error.

The polynomials of the functions are minimax ones from Remez's exchange in 50 digits, rounded to
the format. The comment on each says on which interval it approximates what, and with which error
relative to the function's result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING

from graphc.runtime.cpu.registers import Register

if TYPE_CHECKING:
    from graphc.runtime.cpu.emitter import Emitter

Coefficients = tuple[float, ...]


@dataclass(frozen=True)
class Format:
    """How float32 or float64 is made.

    Attributes:
        integer: the unsigned integer dtype of the same size.
        bits: its size.
        fraction_bits: how many bits follow the leading one.
        bias: what the exponent field of 1.0 holds.
        ln2_high, ln2_low: ln(2) in two parts; the first times any exponent is exact.
    """

    integer: str
    bits: int
    fraction_bits: int
    bias: int
    ln2_high: float
    ln2_low: float

    @property
    def rounder(self) -> float:
        """Adding it leaves a float's nearest whole number in the low bits of the sum."""
        return 1.5 * 2.0**self.fraction_bits

    @property
    def least_normal(self) -> float:
        """The smallest number of full precision."""
        return 2.0 ** (1 - self.bias)

    @property
    def one(self) -> int:
        """The bits of 1.0."""
        return self.bias << self.fraction_bits

    @property
    def infinity(self) -> int:
        """The bits of infinity."""
        return (2 * self.bias + 1) << self.fraction_bits

    @property
    def sign(self) -> int:
        """The sign bit."""
        return 1 << self.bits - 1

    @property
    def negligible(self) -> float:
        """A number whose square does not change it: below it, odd functions like `x + x**2`
        round to x.
        """
        return 2.0 ** -(self.fraction_bits + 2)


FORMATS = {
    "float32": Format(
        integer="uint32",
        bits=32,
        fraction_bits=23,
        bias=127,
        ln2_high=float.fromhex("0x1.62e4p-1"),
        ln2_low=float.fromhex("0x1.7f7d1cp-20"),
    ),
    "float64": Format(
        integer="uint64",
        bits=64,
        fraction_bits=52,
        bias=1023,
        ln2_high=float.fromhex("0x1.62e42fefa38p-1"),
        ln2_low=float.fromhex("0x1.ef35793c7673p-45"),
    ),
}


def polynomial(e: Emitter, x: Register, coefficients: Sequence[float]) -> Register:
    """Horner's rule; coefficients from the constant term up."""
    result = e.constant(coefficients[-1], x.dtype, x.lanes)
    for coefficient in reversed(coefficients[:-1]):
        result = e.fma(result, x, coefficient)
    return result


def through_float64(function: Callable[..., Register]) -> Callable[..., Register]:
    """Gives a function of float64 a float32 form: computed in float64 and rounded once.

    For functions that are seldom a program's bottleneck it is the shortest way to half an ULP.
    """

    @wraps(function)
    def rounded(e: Emitter, *xs: Register) -> Register:
        if xs[0].dtype == "float64":
            return function(e, *xs)
        return e.cast(function(e, *(e.cast(x, "float64") for x in xs)), xs[0].dtype)

    return rounded


def any_lane(e: Emitter, mask: Register) -> Register:
    """Whether a lane of the mask is set, as a scalar."""
    if mask.lanes == 1:
        return mask
    bits = e.text(f"bitcast {mask.typed} to i{mask.lanes}")
    return e.emit(f"icmp ne i{mask.lanes} {bits}, 0", "bool")


def sign_is_set(e: Emitter, x: Register) -> Register:
    """Whether the sign bit of x is set, that of -0.0 included."""
    f = FORMATS[x.dtype]
    return e.compare("ge", e.bitcast(x, f.integer), f.sign)


# Arithmetic without error -----------------------------------------------------------------------

#: An unevaluated sum of a number and a much smaller one.
Pair = tuple[Register, Register]


def fast_two_sum(e: Emitter, x: Register, y: Register) -> Pair:
    """`x + y` rounded, and its error, for `|x| >= |y|` or `x = 0` (Dekker)."""
    total = e.add(x, y)
    return total, e.sub(y, e.sub(total, x))


def two_sum(e: Emitter, x: Register, y: Register) -> Pair:
    """`x + y` rounded, and its error (Knuth)."""
    total = e.add(x, y)
    other = e.sub(total, x)
    error = e.add(e.sub(x, e.sub(total, other)), e.sub(y, other))
    return total, error


def two_product(e: Emitter, x: Register, y: Register) -> Pair:
    """`x * y` rounded, and its error."""
    product = e.mul(x, y)
    if e.target.has_fma:
        return product, e.fma(x, y, e.negate(product))
    # Halves of the factors, whose products are exact (Veltkamp, Dekker).
    (a, b), (c, d) = _halves(e, x), _halves(e, y)
    error = e.sub(e.mul(a, c), product)
    error = e.add(e.add(error, e.mul(a, d)), e.mul(b, c))
    return product, e.add(error, e.mul(b, d))


def _halves(e: Emitter, x: Register) -> Pair:
    spread = e.mul(x, 2.0 ** ((FORMATS[x.dtype].fraction_bits + 2) // 2) + 1)
    high = e.sub(spread, e.sub(spread, x))
    return high, e.sub(x, high)


def pair_product(e: Emitter, x: Pair, y: Pair) -> Pair:
    """The product of two unevaluated sums, to about twice the format's precision."""
    high, low = two_product(e, x[0], y[0])
    low = e.add(low, e.add(e.mul(x[0], y[1]), e.mul(x[1], y[0])))
    return fast_two_sum(e, high, low)


def pair_sum(e: Emitter, x: Pair, y: Pair) -> Pair:
    """The sum of two unevaluated sums, to about twice the format's precision."""
    high, low = two_sum(e, x[0], y[0])
    return fast_two_sum(e, high, e.add(low, e.add(x[1], y[1])))
