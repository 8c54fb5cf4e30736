"""Circular functions beside sine and cosine, and the inverse ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.ir import FLOATS, Node, Value
from graphc.ops.elementwise import Sqrt, Where
from graphc.ops.family import Binary, Unary, like


class _Circular(Unary):
    """A function of floating-point numbers that the emitter knows by name."""

    dtypes: ClassVar[tuple[str, ...]] = FLOATS
    function: ClassVar[str] = ""

    def emit(self, e: Any, x: Any) -> Any:
        return e.math(self.function, x)


class Tan(_Circular):
    """The tangent of x in radians."""

    function: ClassVar[str] = "tan"
    takes_complex: ClassVar[bool] = True
    domain: ClassVar[tuple[float, float]] = (-1.2, 1.2)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.tan(x)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        y = node.output
        return (dy * (y * y + 1.0),)


class Asin(_Circular):
    """The angle from -pi/2 to pi/2 whose sine is x."""

    function: ClassVar[str] = "asin"
    takes_complex: ClassVar[bool] = True
    domain: ClassVar[tuple[float, float]] = (-0.9, 0.9)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.arcsin(x)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (dy / _other_leg(node.inputs[0]),)


class Acos(_Circular):
    """The angle from 0 to pi whose cosine is x."""

    function: ClassVar[str] = "acos"
    takes_complex: ClassVar[bool] = True
    domain: ClassVar[tuple[float, float]] = (-0.9, 0.9)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.arccos(x)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (-(dy / _other_leg(node.inputs[0])),)


class Atan(_Circular):
    """The angle from -pi/2 to pi/2 whose tangent is x."""

    function: ClassVar[str] = "atan"
    takes_complex: ClassVar[bool] = True

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.arctan(x)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        (x,) = node.inputs
        return (dy / (x * x + 1.0),)


class Atan2(Binary):
    """The angle from -pi to pi of the point with ordinate ``y`` and abscissa ``x``."""

    dtypes: ClassVar[tuple[str, ...]] = FLOATS

    def evaluate(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.arctan2(y, x)

    def gradient(self, node: Node, dz: Value) -> Sequence[Value]:
        y, x = node.inputs
        square = x * x + y * y
        # The origin has no angle; nothing is learnt there.
        zero = like(square, 0)
        scale = Where()(square > 0.0, dz / Where()(square > 0.0, square, like(square, 1)), zero)
        return x * scale, -(y * scale)

    def emit(self, e: Any, y: Any, x: Any) -> Any:
        return e.math("atan2", y, x)

    def onnx(self, context: Any, node: Node, y: str, x: str) -> Any:
        """ONNX has only the angles of the right half-plane: the left one is turned by pi."""
        dtype = node.output.dtype
        zero, one, infinity, half, whole = (
            context.constant(np.array(number, dtype))
            for number in (0, 1, np.inf, math.pi / 2, math.pi)
        )

        def sign_of(name: str) -> str:
            # 1 divided by a zero tells the two zeros apart.
            is_zero = context.node("Equal", [name, zero])
            inverse = context.node("Div", [one, name])
            probe = context.node("Where", [is_zero, inverse, name])
            return context.node("Less", [probe, zero])

        below, left = sign_of(y), sign_of(x)
        height, width = (context.node("Abs", [name]) for name in (y, x))
        # Along the axes and diagonals quotients of zeros or infinities are avoided.
        both = context.node("Equal", [height, width])
        is_origin = context.node("And", [both, context.node("Equal", [height, zero])])
        quotient = context.node("Div", [height, width])
        quotient = context.node("Where", [both, one, quotient])
        quotient = context.node("Where", [is_origin, zero, quotient])
        upright = context.node("Equal", [quotient, infinity])
        angle = context.node("Where", [upright, half, context.node("Atan", [quotient])])
        turned = context.node("Where", [left, context.node("Sub", [whole, angle]), angle])
        return context.node("Where", [below, context.node("Neg", [turned]), turned])


def _other_leg(x: Value) -> Value:
    """``sqrt(1 - x * x)`` without cancellation near 1."""
    return Sqrt()((1.0 - x) * (x + 1.0))
