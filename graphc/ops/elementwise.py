"""Elementwise arithmetic and mathematical functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.ir import (
    FLOATS,
    SIGNED_INTEGERS,
    Node,
    Sample,
    TensorType,
    Value,
    is_complex,
    is_float,
    is_inexact,
    numpy_dtype,
)
from graphc.ops.choice import Where
from graphc.ops.family import ANY, Binary, Elementwise, Unary, like
from graphc.ops.logic import NotEqual

SIGNED = (*FLOATS, *SIGNED_INTEGERS)

# ---------------------------------------------------------------------------------- arithmetic


class Add(Binary):
    """``x + y``."""

    takes_complex: ClassVar[bool] = True

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.add(x, y)

    def gradient(self, node: Node, dz: Value) -> Sequence[Value]:
        return dz, dz

    def emit(self, e: Any, x: Any, y: Any) -> Any:
        return e.add(x, y)


class Sub(Binary):
    """``x - y``."""

    takes_complex: ClassVar[bool] = True

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.subtract(x, y)

    def gradient(self, node: Node, dz: Value) -> Sequence[Value]:
        return dz, -dz

    def emit(self, e: Any, x: Any, y: Any) -> Any:
        return e.sub(x, y)


class Mul(Binary):
    """``x * y``."""

    takes_complex: ClassVar[bool] = True

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.multiply(x, y)

    def gradient(self, node: Node, dz: Value) -> Sequence[Value]:
        x, y = node.inputs
        return dz * y, dz * x

    def emit(self, e: Any, x: Any, y: Any) -> Any:
        return e.mul(x, y)


class Div(Binary):
    """``x / y``; on integers the quotient rounded down, 0 where y is 0."""

    takes_complex: ClassVar[bool] = True

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.divide(x, y) if x.dtype.kind not in "iu" else np.floor_divide(x, y)

    def gradient(self, node: Node, dz: Value) -> Sequence[Value]:
        _, y = node.inputs
        dx = dz / y
        return dx, -(dx * node.output)

    def emit(self, e: Any, x: Any, y: Any) -> Any:
        return e.div(x, y)

    def onnx(self, context: Any, node: Node, x: str, y: str) -> Any:
        quotient = context.node("Div", [x, y])
        dtype = node.output.dtype
        if dtype not in SIGNED_INTEGERS:
            return quotient
        # ONNX rounds to zero; take one off where a remainder has the other sign than y.
        zero = context.constant(np.array(0, dtype))
        rest = context.node("Sub", [x, context.node("Mul", [quotient, y])])
        signs = [context.node("Less", [name, zero]) for name in (rest, y)]
        inexact = context.node("Not", [context.node("Equal", [rest, zero])])
        down = context.node("And", [inexact, context.node("Xor", signs)])
        cast = context.node("Cast", [down], to=context.onnx_dtype(dtype))
        return context.node("Sub", [quotient, cast])


class Mod(Binary):
    """The remainder of division, with the sign of ``y`` (Python's and NumPy's ``%``)."""

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.mod(x, y)

    def gradient(self, node: Node, dz: Value) -> Sequence[Value]:
        x, y = node.inputs
        return dz, -(dz * Floor()(x / y))

    def emit(self, e: Any, x: Any, y: Any) -> Any:
        return e.remainder(x, y)

    def onnx(self, context: Any, node: Node, x: str, y: str) -> Any:
        if not is_float(node.output.dtype):
            return context.node("Mod", [x, y])
        # ONNX has only C's fmod for floats.
        rest = context.node("Mod", [x, y], fmod=1)
        zero = context.constant(np.array(0, node.output.dtype))
        signs = [context.node("Less", [name, zero]) for name in (rest, y)]
        inexact = context.node("Not", [context.node("Equal", [rest, zero])])
        wrong = context.node("And", [inexact, context.node("Xor", signs)])
        return context.node("Where", [wrong, context.node("Add", [rest, y]), rest])


class Pow(Binary):
    """``x`` to the power ``y``."""

    takes_complex: ClassVar[bool] = True
    dtypes: ClassVar[tuple[str, ...]] = FLOATS

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.power(x, y)

    def gradient(self, node: Node, dz: Value) -> Sequence[Value | None]:
        x, y = node.inputs
        dx = dz * y * Pow()(x, y - 1.0)
        if y.constant is not None:
            return dx, None
        # Where x is 0 the power is constant in y, and log(0) would poison the product.
        positive = NotEqual()(x, like(x, 0)) if is_complex(x.dtype) else x > 0.0
        log = Log()(Where()(positive, x, like(x, 1)))
        return dx, Where()(positive, dz * node.output * log, like(x, 0))

    def emit(self, e: Any, x: Any, y: Any) -> Any:
        return e.math("pow", x, y)


class Max(Binary):
    """The larger of ``x`` and ``y``; NaN if either is. At a tie ``x`` takes the gradient."""

    takes_complex: ClassVar[bool] = True

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.maximum(x, y)

    def gradient(self, node: Node, dz: Value) -> Sequence[Value]:
        x, y = node.inputs
        first = x >= y
        zero = like(dz, 0)
        return Where()(first, dz, zero), Where()(first, zero, dz)

    def emit(self, e: Any, x: Any, y: Any) -> Any:
        return e.maximum(x, y)


class Min(Binary):
    """The smaller of ``x`` and ``y``; NaN if either is. At a tie ``x`` takes the gradient."""

    takes_complex: ClassVar[bool] = True

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.minimum(x, y)

    def gradient(self, node: Node, dz: Value) -> Sequence[Value]:
        x, y = node.inputs
        first = x <= y
        zero = like(dz, 0)
        return Where()(first, dz, zero), Where()(first, zero, dz)

    def emit(self, e: Any, x: Any, y: Any) -> Any:
        return e.minimum(x, y)


class Neg(Unary):
    """``-x``."""

    takes_complex: ClassVar[bool] = True
    dtypes: ClassVar[tuple[str, ...]] = SIGNED

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.negative(x)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (-dy,)

    def emit(self, e: Any, x: Any) -> Any:
        return e.negate(x)


class Abs(Unary):
    """The absolute value; its derivative at 0 is 0."""

    domain: ClassVar[tuple[float, float]] = (0.2, 4.0)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.abs(x)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (dy * Sign()(node.inputs[0]),)

    def emit(self, e: Any, x: Any) -> Any:
        return e.absolute(x)


class Sign(Unary):
    """-1, 0 or 1; NaN stays NaN."""

    domain: ClassVar[tuple[float, float]] = (0.2, 4.0)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.sign(x)

    def gradient(self, node: Node, dy: Value) -> Sequence[None]:
        return (None,)

    def emit(self, e: Any, x: Any) -> Any:
        zero = e.constant(0, x.dtype, x.lanes)
        one = e.constant(1, x.dtype, x.lanes)
        sign = e.select(e.compare("gt", x, zero), one, zero)
        if x.dtype in SIGNED:
            sign = e.select(e.compare("lt", x, zero), e.negate(one), sign)
        # NaN compares false with everything, zero included.
        return e.select(e.compare("ne", x, x), x, sign) if x.dtype in FLOATS else sign


class _Float(Unary):
    """A function of floating-point numbers."""

    dtypes: ClassVar[tuple[str, ...]] = FLOATS


class Sqrt(_Float):
    """The square root."""

    takes_complex: ClassVar[bool] = True
    domain: ClassVar[tuple[float, float]] = (0.1, 4.0)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.sqrt(x)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (dy * 0.5 / node.output,)

    def emit(self, e: Any, x: Any) -> Any:
        return e.sqrt(x)


class Reciprocal(_Float):
    """``1 / x``."""

    takes_complex: ClassVar[bool] = True
    domain: ClassVar[tuple[float, float]] = (0.3, 3.0)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.reciprocal(x)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (-(dy * node.output * node.output),)

    def emit(self, e: Any, x: Any) -> Any:
        return e.div(e.constant(1, x.dtype, x.lanes), x)


# ------------------------------------------------------------------------------------- rounding


class _Step(_Float):
    """Constant between its jumps: no gradient."""

    def gradient(self, node: Node, dy: Value) -> Sequence[None]:
        return (None,)


class Floor(_Step):
    """The largest integer not above x."""

    domain: ClassVar[tuple[float, float]] = (0.1, 0.9)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.floor(x)

    def emit(self, e: Any, x: Any) -> Any:
        return e.floor(x)


class Ceil(_Step):
    """The smallest integer not below x."""

    domain: ClassVar[tuple[float, float]] = (0.1, 0.9)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.ceil(x)

    def emit(self, e: Any, x: Any) -> Any:
        return e.ceil(x)


class Round(_Step):
    """The nearest integer, to even from halfway; of complex numbers that of both parts."""

    takes_complex: ClassVar[bool] = True
    domain: ClassVar[tuple[float, float]] = (0.6, 1.4)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.round(x)

    def emit(self, e: Any, x: Any) -> Any:
        return e.round(x)


# ------------------------------------------------------------------------ mathematical functions


class Exp(_Float):
    """e to the power x."""

    takes_complex: ClassVar[bool] = True

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.exp(x)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (dy * node.output,)

    def emit(self, e: Any, x: Any) -> Any:
        return e.math("exp", x)


class Expm1(_Float):
    """``exp(x) - 1`` without cancellation near 0."""

    takes_complex: ClassVar[bool] = True

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.expm1(x)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (dy * (node.output + 1.0),)

    def emit(self, e: Any, x: Any) -> Any:
        return e.math("expm1", x)

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        return _expm1_onnx(context, node, x)


class Log(_Float):
    """The natural logarithm."""

    takes_complex: ClassVar[bool] = True
    domain: ClassVar[tuple[float, float]] = (0.2, 5.0)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.log(x)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (dy / node.inputs[0],)

    def emit(self, e: Any, x: Any) -> Any:
        return e.math("log", x)


class Log1p(_Float):
    """``log(1 + x)`` without cancellation near 0."""

    takes_complex: ClassVar[bool] = True
    domain: ClassVar[tuple[float, float]] = (-0.5, 3.0)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        if x.dtype.kind != "c":
            return np.log1p(x)
        # NumPy's own cancels in the real part.
        near = np.log1p(x.real * (x.real + 2) + x.imag * x.imag) / 2
        real = np.where(np.abs(x) < 0.5, near, np.log(np.abs(x + 1)))
        return (real + 1j * np.arctan2(x.imag, x.real + 1)).astype(x.dtype)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (dy / (node.inputs[0] + 1.0),)

    def emit(self, e: Any, x: Any) -> Any:
        return e.math("log1p", x)

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        # log(u) * (x / (u - 1)) with u = 1 + x rounds the error of u away (Kahan).
        one = context.constant(np.array(1, node.output.dtype))
        u = context.node("Add", [x, one])
        difference = context.node("Sub", [u, one])
        zero = context.constant(np.array(0, node.output.dtype))
        infinity = context.constant(np.array(np.inf, node.output.dtype))
        plain = context.node("Or", [context.node("Equal", [difference, zero]),
                                    context.node("Equal", [u, infinity])])  # fmt: skip
        safe = context.node("Where", [plain, one, difference])
        log = context.node("Log", [u])
        precise = context.node("Mul", [log, context.node("Div", [x, safe])])
        special = context.node("Where", [context.node("Equal", [u, infinity]), u, x])
        return context.node("Where", [plain, special, precise])


class Tanh(_Float):
    """The hyperbolic tangent."""

    takes_complex: ClassVar[bool] = True

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.tanh(x)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        y = node.output
        return (dy * (1.0 - y * y),)

    def emit(self, e: Any, x: Any) -> Any:
        return e.math("tanh", x)


class Sigmoid(_Float):
    """``1 / (1 + exp(-x))``."""

    takes_complex: ClassVar[bool] = True

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        # The exponent is never positive, so nothing overflows and both tails are exact.
        right = x.real >= 0
        small = np.exp(np.where(right, -x, x))
        return np.where(right, 1 / (1 + small), small / (1 + small)).astype(x.dtype)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        y = node.output
        return (dy * y * (1.0 - y),)

    def emit(self, e: Any, x: Any) -> Any:
        return e.math("sigmoid", x)


class Erf(_Float):
    """The error function, ``2/sqrt(pi)`` times the integral of ``exp(-t*t)`` from 0 to x."""

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.vectorize(math.erf, otypes=[x.dtype])(x) if x.size else x.copy()

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        (x,) = node.inputs
        return (dy * (2 / math.sqrt(math.pi)) * Exp()(-(x * x)),)

    def emit(self, e: Any, x: Any) -> Any:
        return e.math("erf", x)


class Sin(_Float):
    """The sine of x in radians."""

    takes_complex: ClassVar[bool] = True

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.sin(x)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (dy * Cos()(node.inputs[0]),)

    def emit(self, e: Any, x: Any) -> Any:
        return e.math("sin", x)


class Cos(_Float):
    """The cosine of x in radians."""

    takes_complex: ClassVar[bool] = True

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.cos(x)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (-(dy * Sin()(node.inputs[0])),)

    def emit(self, e: Any, x: Any) -> Any:
        return e.math("cos", x)


class Relu(Unary):
    """``max(x, 0)``; its derivative at 0 is 0."""

    takes_complex: ClassVar[bool] = True
    domain: ClassVar[tuple[float, float]] = (0.1, 3.0)
    dtypes: ClassVar[tuple[str, ...]] = SIGNED

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.maximum(x, x.dtype.type(0))

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        # From the output, not the input: the input need not stay in memory.
        return (Where()(node.output > 0, dy, like(dy, 0)),)

    def emit(self, e: Any, x: Any) -> Any:
        return e.maximum(x, e.constant(0, x.dtype, x.lanes))

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        if is_float(node.output.dtype):
            return context.node("Relu", [x])
        return context.node("Max", [x, context.constant(np.array(0, node.output.dtype))])


def _expm1_onnx(context: Any, node: Node, x: str) -> str:
    """``exp(x) - 1 = tanh(x/2) * (exp(x) + 1)``: no cancellation near 0."""
    dtype = node.output.dtype
    one, half = (context.constant(np.array(number, dtype)) for number in (1, 0.5))
    exp = context.node("Exp", [x])
    tanh = context.node("Tanh", [context.node("Mul", [x, half])])
    return context.node("Mul", [tanh, context.node("Add", [exp, one])])


# ------------------------------------------------------------------------------------ conversion


class Cast(Elementwise):
    """The elements converted to ``dtype``, as NumPy's ``astype`` does it.

    Of complex numbers only the real parts become real numbers.

    Args:
        dtype: The element type of the result.
    """

    dtype: str
    dtypes: ClassVar[tuple[str, ...]] = ANY

    def infer(self, x: TensorType) -> TensorType:
        numpy_dtype(self.dtype)
        return x.with_dtype(self.dtype)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        if x.dtype.kind == "c" and not is_complex(self.dtype):
            x = x != 0 if self.dtype == "bool" else x.real
        with np.errstate(invalid="ignore", over="ignore"):
            return x.astype(numpy_dtype(self.dtype))

    def gradient(self, node: Node, dy: Value) -> Sequence[Value | None]:
        (x,) = node.inputs
        if not (is_inexact(x.dtype) and is_inexact(self.dtype)):
            return (None,)
        return (Cast(x.dtype)(dy),)

    def emit(self, e: Any, x: Any) -> Any:
        return e.cast(x, self.dtype)

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        return context.node("Cast", [x], to=context.onnx_dtype(self.dtype))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        x = np.array([[0.0, 1.0, -1.0, 2.5, 100.0, -0.4]])
        for source in ("float32", "float64", "float16", "int32", "int64", "uint8", "int8", "bool"):
            for target in ("float32", "float64", "float16", "int32", "int64", "uint8", "bool"):
                start = np.abs(x) if source in ("uint8",) or target in ("uint8",) else x
                yield Sample(cls(target), (start.astype(source),))
        edges = np.array([np.nan, np.inf, -np.inf], np.float32)
        yield Sample(cls("float64"), (edges,), differentiable=False)
        yield Sample(cls("bool"), (edges,), differentiable=False)


def cast(x: Value, dtype: str) -> Value:
    """``x`` as ``dtype``; itself if it has that type already."""
    return x if x.dtype == dtype else Cast(dtype)(x)


def square(x: Value) -> Value:
    """``x * x``."""
    return x * x


def clip(x: Value, low: float, high: float) -> Value:
    """``x`` limited to ``[low, high]``."""
    return Min()(Max()(x, like(x, low)), like(x, high))
