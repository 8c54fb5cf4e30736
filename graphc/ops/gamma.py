"""The gamma function's logarithm, and the derivatives of that."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from graphc.errors import ShapeError
from graphc.ir import Node, Sample, Value
from graphc.ops.choice import Where
from graphc.ops.elementwise import Abs, Cos, Floor, Log, Sin
from graphc.ops.family import EDGES, like
from graphc.ops.integers import known_power
from graphc.ops.logic import And, Equal
from graphc.ops.special import Special, polynomial

#: ``lgamma(2 + x) / x`` for x from -1/2 to 1/2.
_LGAMMA = (
    0.42278433509846713, 0.3224670334241132, -0.06735230105319563, 0.02058080842778338,
    -0.007385551028935545, 0.002890510330865901, -0.0011927539009983087, 0.0005096695196526673,
    -0.00022315497746292723, 9.945761692157133e-05, -4.4923727564247656e-05,
    2.050601970174762e-05, -9.45628851510172e-06, 4.3828545383846665e-06, -1.9743106888421067e-06,
    9.242852225162277e-07, -5.811277768921246e-07, 2.7475390051909663e-07,
)  # fmt: skip
#: ``digamma(2 + x)`` for x from -1/2 to 1/2.
_DIGAMMA = (
    0.42278433509846713, 0.6449340668482264, -0.20205690315959426, 0.08232323371113819,
    -0.0369277551433729, 0.01734306198445063, -0.0083492773817373, 0.004077356197851579,
    -0.002008392831996523, 0.0009945751307751669, -0.0004941884943318074, 0.0002460864984155701,
    -0.00012271461486635846, 6.124876868698217e-05, -3.057887818310989e-05, 1.527758046307828e-05,
    -7.681297881485134e-06, 3.839342832737217e-06, -1.7808288649492347e-06, 8.902717363705395e-07,
    -6.781973504397371e-07, 3.3908001932743907e-07,
)  # fmt: skip
#: Bernoulli's numbers, from the second on, every other one: the others are zero.
BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798,
)  # fmt: skip
#: Up to here numbers are brought near 2 by recurrence; beyond, a series in 1/x takes over.
_NEAR = 7.0
#: By how much `Polygamma` moves numbers up before its series begins.
_STEPS = 10


@dataclass(frozen=True)
class _Reduced:
    """A number and where it stands among the integers.

    Args:
        size: The number, or if it is below -1/2 its opposite.
        turned: Whether it is the opposite.
        nearest: The integer that is nearest to the size.
        rest: What is missing to that, exactly.
    """

    size: Value
    turned: Value
    nearest: Value
    rest: Value

    @property
    def far(self) -> Value:
        """Whether the series in 1/x is to be used."""
        return self.nearest > _NEAR


def _reduced(x: Value) -> _Reduced:
    turned = x < -0.5
    size = Where()(turned, -x, x)
    nearest = Floor()(size + 0.5)
    return _Reduced(size, turned, nearest, size - nearest)


class Lgamma(Special):
    """``log(abs(gamma(x)))``; infinity at the poles, which are 0 and the negative integers."""

    domain: ClassVar[tuple[float, float]] = (0.3, 12.0)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        (x,) = node.inputs
        return (dy * Digamma()(x),)

    def formula(self, x: Value) -> Value:
        parts = _reduced(x)
        z, n, rest = parts.size, parts.nearest, parts.rest
        # Gamma of z is that of 2 + rest times, or divided by, the numbers in between.
        above, below = like(x, 1), Where()(n < 0.5, z * (z + 1.0), z)
        for k in range(1, int(_NEAR) - 1):
            above = above * Where()(n > k + 1.5, z - float(k), like(x, 1))
        small = n < 1.5
        log = Log()(Where()(parts.far, z, Abs()(Where()(small, below, above))))
        near = rest * polynomial(rest, _LGAMMA) + Where()(small, -log, log)
        # Stirling's series.
        inverse = 1.0 / z
        terms = [b / ((2 * k + 2) * (2 * k + 1)) for k, b in enumerate(BERNOULLI)]
        series = inverse * polynomial(inverse * inverse, terms)
        far = (z - 0.5) * (log - 1.0) + (0.5 * math.log(2 * math.pi) - 0.5) + series
        positive = Where()(parts.far, far, near)
        # gamma(-z) gamma(z) = -pi / (z sin(pi z))
        sine = Abs()(Sin()(rest * math.pi))
        pole = Where()(sine > 0.0, Log()(math.pi / (z * sine)) - positive, like(x, np.inf))
        y = Where()(parts.turned, pole, positive)
        return Where()(Equal()(x, x), y, x)


class Digamma(Special):
    """The derivative of `Lgamma`; NaN at its poles."""

    domain: ClassVar[tuple[float, float]] = (1.6, 12.0)  # it is 0 at 1.46

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        (x,) = node.inputs
        return (dy * Polygamma(1)(x),)

    def formula(self, x: Value) -> Value:
        parts = _reduced(x)
        z, n, rest = parts.size, parts.nearest, parts.rest
        # That of z is that of 2 + rest and the sum of 1 / (z - k), which is kept as a fraction.
        zero, one = like(x, 0), like(x, 1)
        above, below = zero, one
        for k in range(1, int(_NEAR) - 1):
            factor = z - float(k)
            used = n > k + 1.5
            above = Where()(used, above * factor + below, above)
            below = Where()(used, below * factor, below)
        first, last = n < 0.5, n < 1.5
        above = Where()(first, -(z * 2.0 + 1.0), Where()(last, -one, above))
        below = Where()(first, z * (z + 1.0), Where()(last, z, below))
        near = polynomial(rest, _DIGAMMA) + above / below
        inverse = 1.0 / z
        terms = [b / (2 * k + 2) for k, b in enumerate(BERNOULLI)]
        series = inverse * inverse * polynomial(inverse * inverse, terms)
        far = Log()(z) - (inverse * 0.5 + series)
        positive = Where()(parts.far, far, near)
        cotangent = Cos()(rest * math.pi) / Sin()(rest * math.pi)
        negative = positive + inverse + cotangent * math.pi
        y = Where()(parts.turned, negative, positive)
        return Where()(And()(x <= 0.0, Equal()(rest, zero)), like(x, np.nan), y)


class Polygamma(Special):
    """A further derivative of `Digamma`, by the Euler-Maclaurin formula.

    Args:
        order: How often it is differentiated, from 1 on.
    """

    order: int

    domain: ClassVar[tuple[float, float]] = (0.3, 12.0)

    def __post_init__(self) -> None:
        if self.order < 1:
            raise ShapeError(f"Polygamma: the order begins with 1; received {self.order}")

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        (x,) = node.inputs
        return (dy * Polygamma(self.order + 1)(x),)

    def formula(self, x: Value) -> Value:
        n = self.order
        negative = x < 0.0
        z = Where()(negative, 1.0 - x, x)
        positive = _zeta(n + 1, z) * ((-1) ** (n + 1) * math.factorial(n))
        # That of 1 - x follows from a derivative of the cotangent.
        rest = x - Floor()(x + 0.5)
        cotangent = Cos()(rest * math.pi) / Sin()(rest * math.pi)
        turning = polynomial(cotangent, _cotangent_derivative(n)) * -(math.pi ** (n + 1))
        reflected = turning + positive * (-1) ** n
        y = Where()(negative, reflected, positive)
        pole = And()(x <= 0.0, Equal()(rest, like(x, 0)))
        return Where()(pole, like(x, np.inf if n % 2 else np.nan), y)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(3)
        for order in (1, 2, 5):
            for dtype in ("float32", "float64"):
                for shape in ((2, 9), (), (0, 3)):
                    x = rng.uniform(*cls.domain, size=shape)
                    yield Sample(cls(order), (np.asarray(x, dtype),))
                yield Sample(cls(order), (np.array(EDGES, dtype),), differentiable=False)


def _zeta(s: int, x: Value) -> Value:
    """The sum of ``(x + k)^-s`` over all k from 0, for positive x."""
    total = like(x, 0)
    for k in range(_STEPS):
        total = total + known_power(1.0 / (x + float(k)), s)
    inverse = 1.0 / (x + float(_STEPS))
    power = known_power(inverse, s - 1)
    factors, rising = [], float(s)
    for k, number in enumerate(BERNOULLI):
        factors.append(number * rising / math.factorial(2 * k + 2))
        rising *= (s + 2 * k + 1) * (s + 2 * k + 2)
    square = inverse * inverse
    tail = inverse * 0.5 + square * polynomial(square, factors)
    return total + power * (tail + 1.0 / (s - 1))


def _cotangent_derivative(order: int) -> list[float]:
    """A polynomial in ``cot(pi x)``: its derivative of an order, divided by powers of pi."""
    coefficients = [0, 1]
    for _ in range(order):
        slope = [k * c for k, c in enumerate(coefficients)][1:]
        # Each derivative of a cotangent brings a factor of -(1 + cot^2).
        coefficients = [-(a + b) for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    return [float(c) for c in coefficients]
