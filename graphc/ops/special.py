"""Relatives of the error function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.ir import FLOATS, Node, Value
from graphc.ops.choice import Where
from graphc.ops.elementwise import Abs, Erf, Exp, Floor, Log, Min, Sqrt, cast
from graphc.ops.family import Unary, like
from graphc.ops.logic import Equal

#: ``(1 + 2x) exp(x^2) erfc(x)`` for x from 0, as a polynomial in ``(x - 3.75) / (x + 3.75)``.
_ERFC = (
    1.2375126308378275, -0.14024059858554522, 0.0035854154854663067, 0.082276738489991591,
    -0.10880393014193915, 0.092304321164356162, -0.058693398584491845, 0.028362277371370044,
    -0.0097465796208150903, 0.0017556261692276722, 0.00029371408777227685,
    -0.00029015536563947129, 5.1647371238718378e-05, 2.238759272534769e-05,
    -1.143961526007595e-05, -9.7929752909982296e-07, 1.7438577411359181e-06,
    -5.0816911811698186e-08, -2.4996538037405243e-07, 1.8778501156468795e-08,
    3.2564990837985131e-08, -1.9527901629748369e-09, -2.7293941332533855e-09,
)  # fmt: skip
#: ``erfinv(x) / x`` to seven digits, as a polynomial in ``w / 2.5 - 1`` up to ``w = 5``, where
#: ``w = -log(1 - x^2)``, and beyond to five digits in ``(sqrt(w) - 4.2) / 2``.
_ERFINV_MIDDLE = (
    1.50140936, 0.616600698, -0.0261087055, -0.0195738499, 0.0085292729, -0.00048558786,
    -0.000845699528, 0.0002857247, 3.56078601e-05, -3.40725936e-05,
)  # fmt: skip
_ERFINV_TAIL = (
    4.04172632, 2.01980653, 0.00322896442, -0.00530744534, 0.00376171624, -0.00163465913,
    0.000833943909, -0.00301374671, 0.00407608298, -0.00166338128,
)  # fmt: skip


def polynomial(x: Value, coefficients: Sequence[float]) -> Value:
    """The sum of ``coefficients[i] * x^i``."""
    result = like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = result * x + coefficient
    return result


class Special(Unary):
    """A composite function of floating-point numbers; those of 16 bits are computed as float32."""

    dtypes: ClassVar[tuple[str, ...]] = FLOATS

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        return context.decomposed(node, x)

    def decompose(self, x: Value) -> Value:
        if x.dtype in ("float16", "bfloat16"):
            return cast(self.formula(cast(x, "float32")), x.dtype)
        return self.formula(x)

    def formula(self, x: Value) -> Value:
        """The function in simpler ops."""
        raise NotImplementedError


class Erfc(Special):
    """``1 - erf(x)``, exact also where that is tiny (Shepherd and Laframboise, 1981)."""

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.vectorize(math.erfc, otypes=[x.dtype])(x) if x.size else x.copy()

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        (x,) = node.inputs
        return (dy * (-2 / math.sqrt(math.pi)) * Exp()(-(x * x)),)

    def formula(self, x: Value) -> Value:
        size = Min()(Abs()(x), like(x, 100))  # from 28 on it is 0, and infinity makes no NaN
        t = (size - 3.75) / (size + 3.75)
        # The square of few digits is exact, so the exponential of a large one is, too.
        short = Floor()(size * 16.0) * 0.0625
        falling = Exp()(-(short * short)) * Exp()((short - size) * (short + size))
        right = falling * polynomial(t, _ERFC) / (size * 2.0 + 1.0)
        return Where()(x < 0.0, 2.0 - right, Where()(Equal()(x, x), right, x))


class Erfinv(Special):
    """The number whose error function is x, for x between -1 and 1; NaN beyond."""

    domain: ClassVar[tuple[float, float]] = (-0.97, 0.97)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        y = node.output
        return (dy * (math.sqrt(math.pi) / 2) * Exp()(y * y),)

    def formula(self, x: Value) -> Value:
        rest = 1.0 - Abs()(x)
        w = -Log()(rest * (Abs()(x) + 1.0))
        middle = polynomial(w * 0.4 - 1.0, _ERFINV_MIDDLE)
        tail = polynomial((Sqrt()(w) - 4.2) * 0.5, _ERFINV_TAIL)
        y = Abs()(x) * Where()(w < 5.0, middle, tail)
        for _ in range(2):  # Halley's method, from a residual without cancellation
            error = Where()(rest < 0.5, rest - Erfc()(y), Erf()(y) - Abs()(x))
            step = error * (math.sqrt(math.pi) / 2) * Exp()(y * y)
            y = y - step / (y * step + 1.0)
        end = Where()(Equal()(rest, like(rest, 0)), like(y, np.inf), y)
        return Where()(x < 0.0, -end, end)
