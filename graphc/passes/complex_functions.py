"""What mathematical functions of complex numbers are in their real and imaginary parts.

Those of inverse functions are Kahan's, "Branch cuts for complex elementary functions" (1987).
"""

from __future__ import annotations

import math

from graphc.ir import Op, Value, zeros_like
from graphc.ops import circular, complex, elementwise
from graphc.ops.choice import Where
from graphc.ops.circular import Atan2, Tan
from graphc.ops.elementwise import Abs, Cos, Exp, Expm1, Log, Log1p, Sin, Sqrt, Tanh
from graphc.ops.family import like
from graphc.ops.logic import Equal
from graphc.passes.complex_rules import Pair, divide, equal, multiply, reciprocal, rule


@rule(Exp)
def exponential(op: Op, x: Pair) -> Pair:
    size = Exp()(x.real)
    return Pair(size * Cos()(x.imaginary), size * Sin()(x.imaginary))


@rule(Expm1)
def exponential_minus_one(op: Op, x: Pair) -> Pair:
    """``exp(x) - 1`` with ``cos(y) = 1 - 2 sin(y / 2)^2``, so that small numbers do not cancel."""
    half = Sin()(x.imaginary * 0.5)
    real = Expm1()(x.real) * Cos()(x.imaginary) - half * half * 2.0
    return Pair(real, Exp()(x.real) * Sin()(x.imaginary))


@rule(Log)
def logarithm(op: Op, x: Pair) -> Pair:
    return Pair(Log()(complex.hypotenuse(x.real, x.imaginary)), Atan2()(x.imaginary, x.real))


@rule(Log1p)
def logarithm_of_one_plus(op: Op, x: Pair) -> Pair:
    """Near 0 half the logarithm of ``|1 + x|^2``, from which 1 is left out."""
    plus = x.real + 1.0
    near = Log1p()(x.real * (x.real + 2.0) + x.imaginary * x.imaginary) * 0.5
    far = Log()(complex.hypotenuse(plus, x.imaginary))
    small = complex.hypotenuse(x.real, x.imaginary) < 0.5
    return Pair(Where()(small, near, far), Atan2()(x.imaginary, plus))


@rule(elementwise.Sigmoid)
def sigmoid(op: Op, x: Pair) -> Pair:
    """As of real numbers: the exponential is never large."""
    right = x.real >= 0.0
    small = exponential(Exp(), Pair(*[Where()(right, -part, part) for part in x]))
    one, zero = like(x.real, 1), like(x.real, 0)
    above = Pair(Where()(right, one, small.real), Where()(right, zero, small.imaginary))
    return divide(elementwise.Div(), above, Pair(small.real + 1.0, small.imaginary))


@rule(Sqrt)
def square_root(op: Op, x: Pair) -> Pair:
    """The root with a real part that is not negative, without cancellation."""
    zero, one = like(x.real, 0), like(x.real, 1)
    large = Sqrt()((complex.hypotenuse(x.real, x.imaginary) + Abs()(x.real)) * 0.5)
    nothing = Equal()(large, zero)
    small = Abs()(x.imaginary) * 0.5 / Where()(nothing, one, large)
    right = x.real >= 0.0
    size = Where()(right, small, large)
    signed = _with_sign(size, x.imaginary)
    return Pair(Where()(right, large, small), Where()(nothing, x.imaginary, signed))


def _with_sign(size: Value, x: Value) -> Value:
    """A size with the sign of ``x``, also where that is 0: zeros tell the sides of a cut apart."""
    probe = Where()(Equal()(x, like(x, 0)), 1.0 / x, x)
    return Where()(probe < 0.0, -size, size)


def _hyperbolic(x: Value) -> tuple[Value, Value]:
    """``sinh(x)`` without cancellation near 0, and ``cosh(x)``."""
    up, down = Expm1()(x), Expm1()(-x)
    return (up - down) * 0.5, (up + down) * 0.5 + 1.0


@rule(Sin)
def sine(op: Op, x: Pair) -> Pair:
    sinh, cosh = _hyperbolic(x.imaginary)
    return Pair(Sin()(x.real) * cosh, Cos()(x.real) * sinh)


@rule(Cos)
def cosine(op: Op, x: Pair) -> Pair:
    sinh, cosh = _hyperbolic(x.imaginary)
    return Pair(Cos()(x.real) * cosh, -(Sin()(x.real) * sinh))


@rule(Tanh)
def hyperbolic_tangent(op: Op, x: Pair) -> Pair:
    """``(t + i u) / (1 + i t u)`` with ``t = tanh(real)``, ``u = tan(imaginary)``."""
    t, u = Tanh()(x.real), Tan()(x.imaginary)
    one = like(t, 1)
    return divide(elementwise.Div(), Pair(t, u), Pair(one + zeros_like(t), t * u))


@rule(Tan)
def tangent(op: Op, x: Pair) -> Pair:
    """``-i tanh(i x)``."""
    found = hyperbolic_tangent(Tanh(), Pair(-x.imaginary, x.real))
    return Pair(found.imaginary, -found.real)


@rule(elementwise.Pow)
def power(op: Op, x: Pair, y: Pair) -> Pair:
    """``exp(y log(x))``; 0 to any power but 0 is 0."""
    zero, one = like(x.real, 0), like(x.real, 1)
    nothing = equal(Equal(), x, Pair(zero, zero))
    base = Pair(Where()(nothing, one, x.real), x.imaginary)
    found = exponential(Exp(), multiply(elementwise.Mul(), y, logarithm(Log(), base)))
    start = Where()(equal(Equal(), y, Pair(zero, zero)), one, zero)
    return Pair(Where()(nothing, start, found.real), Where()(nothing, zero, found.imaginary))


# --------------------------------------------------------------------------- inverse functions


def _roots(x: Pair) -> tuple[Pair, Pair]:
    """``sqrt(1 - x)`` and ``sqrt(1 + x)``."""
    return (
        square_root(Sqrt(), Pair(1.0 - x.real, -x.imaginary)),
        square_root(Sqrt(), Pair(x.real + 1.0, x.imaginary)),
    )


def _inverse_sinh(x: Value) -> Value:
    """Of real numbers, without cancellation near 0 and without overflow."""
    size = Abs()(x)
    near = Log1p()(size + size * size / (Sqrt()(size * size + 1.0) + 1.0))
    found = Where()(size > 1e9, Log()(size) + math.log(2), near)
    return Where()(x < 0.0, -found, found)


@rule(circular.Asin)
def inverse_sine(op: Op, x: Pair) -> Pair:
    left, right = _roots(x)
    real = Atan2()(x.real, left.real * right.real - left.imaginary * right.imaginary)
    return Pair(real, _inverse_sinh(left.real * right.imaginary - left.imaginary * right.real))


@rule(circular.Acos)
def inverse_cosine(op: Op, x: Pair) -> Pair:
    left, right = _roots(x)
    real = Atan2()(left.real, right.real) * 2.0
    return Pair(real, _inverse_sinh(right.real * left.imaginary - right.imaginary * left.real))


@rule(circular.Atan)
def inverse_tangent(op: Op, x: Pair) -> Pair:
    """The real part is half an angle, the imaginary one a quarter of a logarithm.

    Of large numbers squares are avoided: ``atan(x) = pi / 2 - 1 / x``, nearly.
    """
    size = complex.hypotenuse(x.real, x.imaginary)
    large = size > 1e8
    square = x.real * x.real
    below = 1.0 - x.imaginary
    logarithm = Log1p()(x.imaginary * 4.0 / (square + below * below)) * 0.25
    angle = Atan2()(x.real * 2.0, below * (x.imaginary + 1.0) - square) * 0.5
    inverse = reciprocal(elementwise.Reciprocal(), x)
    far = _with_sign(like(x.real, math.pi / 2), x.real) - inverse.real
    return Pair(Where()(large, far, angle), Where()(large, -inverse.imaginary, logarithm))
