"""Arithmetic and mathematical functions of each element: see https://keras.io/api/ops/numpy/."""

from __future__ import annotations

import math
from typing import Any

from graphc.eager import Tensor, apply, apply_function, as_tensor, cast, operate
from graphc.eager.tensor import promoted
from graphc.errors import DataDependentControlFlowError
from graphc.ir import Op, is_complex, is_float, is_inexact
from graphc.keras.ops.arguments import float_tensor, refuse_complex
from graphc.keras.ops.recording import operation
from graphc.ops import circular as graph_circular
from graphc.ops import complex as graph_complex
from graphc.ops import elementwise as graph_ops
from graphc.ops import logic as graph_logic
from graphc.ops.complex import principal

__all__ = [
    "abs", "absolute", "add", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2",
    "arctanh", "ceil", "clip", "cos", "cosh", "divide",
    "divide_no_nan", "equal", "erf", "exp", "exp2", "expm1", "floor", "floor_divide", "greater",
    "greater_equal", "hypot", "isclose", "isfinite", "isinf", "isnan", "less", "less_equal", "log",
    "log10", "log1p", "log2", "logaddexp", "logical_and", "logical_not", "logical_or",
    "logical_xor", "maximum", "minimum", "mod", "multiply", "nan_to_num", "negative", "not_equal",
    "power", "reciprocal", "round", "rsqrt", "sign", "sin", "sinh", "sqrt", "square", "subtract",
    "tan", "tanh", "true_divide", "trunc", "where",
]  # fmt: skip

# ------------------------------------------------------------------------------------- arithmetic


@operation
def add(x1: Any, x2: Any) -> Tensor:
    """``x1 + x2``, broadcast; of bools whether either is true."""
    return operate("add", x1, x2)


@operation
def subtract(x1: Any, x2: Any) -> Tensor:
    """``x1 - x2``, broadcast."""
    return operate("subtract", x1, x2)


@operation
def multiply(x1: Any, x2: Any) -> Tensor:
    """``x1 * x2``, broadcast; of bools whether both are true."""
    return operate("multiply", x1, x2)


@operation
def divide(x1: Any, x2: Any) -> Tensor:
    """``x1 / x2``, broadcast; integers are divided as floats."""
    return operate("true_divide", x1, x2)


@operation
def true_divide(x1: Any, x2: Any) -> Tensor:
    """The same as `divide`."""
    return operate("true_divide", x1, x2)


@operation
def divide_no_nan(x1: Any, x2: Any) -> Tensor:
    """``x1 / x2``, and 0 where ``x2`` is 0."""
    x, y = promoted(x1, x2)
    if not is_inexact(x.dtype):
        x, y = float_tensor(x), float_tensor(y)
    zero = operate("equal", y, 0)
    safe = where(zero, 1, y)
    return where(zero, 0, operate("true_divide", x, safe))


@operation
def floor_divide(x1: Any, x2: Any) -> Tensor:
    """``x1 / x2`` rounded down."""
    return operate("floor_divide", x1, x2)


@operation
def mod(x1: Any, x2: Any) -> Tensor:
    """The remainder of ``x1 / x2``, with the sign of ``x2``."""
    return operate("mod", x1, x2)


@operation
def power(x1: Any, x2: Any) -> Tensor:
    """``x1`` to the power ``x2``."""
    return operate("power", x1, x2)


@operation
def negative(x: Any) -> Tensor:
    """``-x``; unsigned integers wrap around."""
    return operate("negative", x)


@operation
def absolute(x: Any) -> Tensor:
    """The absolute value."""
    tensor = as_tensor(x)
    return tensor if tensor.dtype.startswith(("uint", "bool")) else operate("absolute", tensor)


@operation
def abs(x: Any) -> Tensor:
    """The absolute value."""
    return absolute(x)


@operation
def square(x: Any) -> Tensor:
    """``x * x``."""
    tensor = as_tensor(x)
    tensor = cast(tensor, "int32") if tensor.dtype == "bool" else tensor
    return operate("multiply", tensor, tensor)


@operation
def reciprocal(x: Any) -> Tensor:
    """``1 / x``."""
    return apply(graph_ops.Reciprocal(), float_tensor(x))


@operation
def maximum(x1: Any, x2: Any) -> Tensor:
    """The larger of each pair; NaN if either is."""
    x, y = promoted(x1, x2)
    return apply(graph_logic.Or() if x.dtype == "bool" else graph_ops.Max(), x, y)


@operation
def minimum(x1: Any, x2: Any) -> Tensor:
    """The smaller of each pair; NaN if either is."""
    x, y = promoted(x1, x2)
    return apply(graph_logic.And() if x.dtype == "bool" else graph_ops.Min(), x, y)


@operation
def clip(x: Any, x_min: Any, x_max: Any) -> Tensor:
    """``x`` limited to the range from ``x_min`` to ``x_max``."""
    tensor = as_tensor(x)
    refuse_complex(tensor, "clip")
    if tensor.dtype == "bool":
        tensor = cast(tensor, "int32")
    return minimum(maximum(tensor, x_min), x_max)


@operation
def sign(x: Any) -> Tensor:
    """-1, 0 or 1; of complex numbers that of size 1 in the same direction, or 0."""
    tensor = as_tensor(x)
    if is_complex(tensor.dtype):
        return divide_no_nan(tensor, absolute(tensor))
    return apply(graph_ops.Sign(), tensor)


# -------------------------------------------------------------------------------------- functions


def _unary(op: Op, x: Any) -> Tensor:
    return apply(op, float_tensor(x))


@operation
def sqrt(x: Any) -> Tensor:
    """The square root."""
    return _unary(graph_ops.Sqrt(), x)


@operation
def rsqrt(x: Any) -> Tensor:
    """``1 / sqrt(x)``."""
    return operate("true_divide", 1.0, _unary(graph_ops.Sqrt(), x))


@operation
def exp(x: Any) -> Tensor:
    """E to the power x."""
    return _unary(graph_ops.Exp(), x)


@operation
def exp2(x: Any) -> Tensor:
    """2 to the power x."""
    return power(2.0, float_tensor(x))


@operation
def expm1(x: Any) -> Tensor:
    """``exp(x) - 1``, exact near 0."""
    return _unary(graph_ops.Expm1(), x)


@operation
def log(x: Any) -> Tensor:
    """The natural logarithm."""
    return _unary(graph_ops.Log(), x)


@operation
def log1p(x: Any) -> Tensor:
    """``log(1 + x)``, exact near 0."""
    return _unary(graph_ops.Log1p(), x)


@operation
def log2(x: Any) -> Tensor:
    """The logarithm to base 2."""
    return _scaled(log(x), 1 / math.log(2))


@operation
def log10(x: Any) -> Tensor:
    """The logarithm to base 10."""
    return _scaled(log(x), 1 / math.log(10))


def _scaled(x: Tensor, factor: float) -> Tensor:
    """Times a real number; an infinite part of a complex number leaves the other one alone."""
    if not is_complex(x.dtype):
        return operate("multiply", x, factor)
    parts = (apply(part, x) for part in (graph_complex.Real(), graph_complex.Imag()))
    return apply(graph_complex.Complex(), *(operate("multiply", part, factor) for part in parts))


@operation
def logaddexp(x1: Any, x2: Any) -> Tensor:
    """``log(exp(x1) + exp(x2))`` without overflow."""
    x, y = (float_tensor(operand) for operand in promoted(x1, x2))
    largest = maximum(x, y)
    difference = operate("subtract", minimum(x, y), largest)
    sum_ = operate("add", largest, log1p(exp(difference)))
    # Two equal infinities have no difference.
    found = where(operate("equal", x, y), operate("add", x, math.log(2)), sum_)
    return apply_function(principal, found) if is_complex(found.dtype) else found


@operation
def sin(x: Any) -> Tensor:
    """The sine."""
    return _unary(graph_ops.Sin(), x)


@operation
def cos(x: Any) -> Tensor:
    """The cosine."""
    return _unary(graph_ops.Cos(), x)


@operation
def tan(x: Any) -> Tensor:
    """The tangent."""
    return _unary(graph_circular.Tan(), x)


@operation
def arcsin(x: Any) -> Tensor:
    """The angle from -pi/2 to pi/2 whose sine is x."""
    return _unary(graph_circular.Asin(), x)


@operation
def arccos(x: Any) -> Tensor:
    """The angle from 0 to pi whose cosine is x."""
    return _unary(graph_circular.Acos(), x)


@operation
def arctan(x: Any) -> Tensor:
    """The angle from -pi/2 to pi/2 whose tangent is x."""
    return _unary(graph_circular.Atan(), x)


@operation
def arctan2(x1: Any, x2: Any) -> Tensor:
    """The angle from -pi to pi of the point with ordinate ``x1`` and abscissa ``x2``.

    Of complex numbers ``-i log((x2 + i x1) / sqrt(x1 * x1 + x2 * x2))``.
    """
    y, x = (float_tensor(operand) for operand in promoted(x1, x2))
    if is_complex(x.dtype):
        return _turned(log((x + _turned(y)) / sqrt(x * x + y * y)), back=True)
    return apply(graph_circular.Atan2(), y, x)


def _turned(z: Tensor, back: bool = False) -> Tensor:
    """Complex numbers times ``i`` (or ``-i``), infinities and the signs of zeros included."""
    real, imaginary = apply(graph_complex.Real(), z), apply(graph_complex.Imag(), z)
    parts = (imaginary, negative(real)) if back else (negative(imaginary), real)
    return apply(graph_complex.Complex(), *parts)


@operation
def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent."""
    return _unary(graph_ops.Tanh(), x)


@operation
def sinh(x: Any) -> Tensor:
    """The hyperbolic sine."""
    tensor = float_tensor(x)
    if is_complex(tensor.dtype):
        return _turned(sin(_turned(tensor)), back=True)
    grown = expm1(absolute(tensor))
    # (e^x - 1) + (e^x - 1)/e^x, halved: no cancellation near 0.
    size = 0.5 * (grown + where(isinf(grown), grown, grown / (grown + 1.0)))
    return where(tensor < 0, -size, size)


@operation
def cosh(x: Any) -> Tensor:
    """The hyperbolic cosine."""
    tensor = float_tensor(x)
    return operate("multiply", 0.5, exp(tensor) + exp(negative(tensor)))


@operation
def arcsinh(x: Any) -> Tensor:
    """The inverse hyperbolic sine."""
    tensor = float_tensor(x)
    if is_complex(tensor.dtype):
        return _turned(arcsin(_turned(tensor)), back=True)
    size = absolute(tensor)
    # log(size + sqrt(size^2 + 1)) in a form that is exact near 0.
    step = size + size * size / (1.0 + sqrt(size * size + 1.0))
    # From 1e9 on the 1 is lost, and later the square overflows.
    result = where(size > 1e9, log(size) + math.log(2), log1p(step))
    return where(tensor < 0, -result, result)


@operation
def arccosh(x: Any) -> Tensor:
    """The inverse hyperbolic cosine, of numbers from 1."""
    tensor = float_tensor(x)
    if is_complex(tensor.dtype):
        imaginary = apply(graph_complex.Imag(), tensor)
        # 1 divided by a zero tells the two zeros apart: they are the two sides of the cut.
        below = where(equal(imaginary, 0), 1.0 / imaginary, imaginary) < 0
        angle = arccos(tensor)
        return where(below, _turned(angle, back=True), _turned(angle))
    above = tensor - 1.0
    near = log1p(above + sqrt(above) * sqrt(above + 2.0))
    return where(tensor > 1e9, log(tensor) + math.log(2), near)


@operation
def arctanh(x: Any) -> Tensor:
    """The inverse hyperbolic tangent, of numbers between -1 and 1."""
    tensor = float_tensor(x)
    if is_complex(tensor.dtype):
        return _turned(arctan(_turned(tensor)), back=True)
    return operate("multiply", 0.5, log1p(tensor) - log1p(negative(tensor)))


@operation
def erf(x: Any) -> Tensor:
    """The error function."""
    return _unary(graph_ops.Erf(), x)


@operation
def hypot(x1: Any, x2: Any) -> Tensor:
    """``sqrt(x1 * x1 + x2 * x2)`` without overflow."""
    x, y = (absolute(float_tensor(operand)) for operand in promoted(x1, x2))
    largest, smallest = maximum(x, y), minimum(x, y)
    ratio = divide_no_nan(smallest, largest)
    return where(isinf(largest), largest, largest * sqrt(1.0 + ratio * ratio))


def _rounded(op: Op, x: Any) -> Tensor:
    tensor = as_tensor(x)
    return apply(op, tensor) if is_inexact(tensor.dtype) else tensor


@operation
def floor(x: Any) -> Tensor:
    """The largest integer that is not above x."""
    return _rounded(graph_ops.Floor(), float_tensor(x))


@operation
def ceil(x: Any) -> Tensor:
    """The smallest integer that is not below x."""
    return _rounded(graph_ops.Ceil(), float_tensor(x))


@operation
def trunc(x: Any) -> Tensor:
    """X without its fraction."""
    tensor = as_tensor(x)
    refuse_complex(tensor, "trunc")
    if not is_float(tensor.dtype):
        return tensor
    return where(operate("less", tensor, 0), ceil(tensor), floor(tensor))


@operation
def round(x: Any, decimals: int = 0) -> Tensor:
    """The nearest number with so many decimals, to even from halfway; of complex ones each part."""
    tensor = as_tensor(x)
    if not decimals or not is_inexact(tensor.dtype):
        return _rounded(graph_ops.Round(), tensor)
    scale = 10.0**decimals
    return _rounded(graph_ops.Round(), tensor * scale) / scale


# ------------------------------------------------------------------------------------ comparison


@operation
def equal(x1: Any, x2: Any) -> Tensor:
    """Whether ``x1 == x2``."""
    return operate("equal", x1, x2)


@operation
def not_equal(x1: Any, x2: Any) -> Tensor:
    """Whether ``x1 != x2``."""
    return operate("not_equal", x1, x2)


@operation
def less(x1: Any, x2: Any) -> Tensor:
    """Whether ``x1 < x2``."""
    return operate("less", x1, x2)


@operation
def less_equal(x1: Any, x2: Any) -> Tensor:
    """Whether ``x1 <= x2``."""
    return operate("less_equal", x1, x2)


@operation
def greater(x1: Any, x2: Any) -> Tensor:
    """Whether ``x1 > x2``."""
    return operate("greater", x1, x2)


@operation
def greater_equal(x1: Any, x2: Any) -> Tensor:
    """Whether ``x1 >= x2``."""
    return operate("greater_equal", x1, x2)


@operation
def isnan(x: Any) -> Tensor:
    """Whether x is not a number."""
    return apply(graph_logic.IsNaN(), float_tensor(x))


@operation
def isinf(x: Any) -> Tensor:
    """Whether x is infinite."""
    return operate("equal", absolute(float_tensor(x)), math.inf)


@operation
def isfinite(x: Any) -> Tensor:
    """Whether x is a number and not infinite."""
    return operate("less", absolute(float_tensor(x)), math.inf)


@operation
def nan_to_num(x: Any, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Tensor:
    """NaN and infinities replaced, by default by 0 and the largest numbers there are.

    Of complex numbers in each part.
    """
    tensor = as_tensor(x)
    if is_complex(tensor.dtype):
        parts = (apply(part, tensor) for part in (graph_complex.Real(), graph_complex.Imag()))
        known = [nan_to_num(part, nan, posinf, neginf) for part in parts]
        return apply(graph_complex.Complex(), *known)
    if not is_float(tensor.dtype):
        return tensor
    limit = _LARGEST[tensor.dtype]
    result = where(isnan(tensor), nan, tensor)
    result = where(equal(tensor, math.inf), limit if posinf is None else posinf, result)
    return where(equal(tensor, -math.inf), -limit if neginf is None else neginf, result)


_LARGEST = {
    "float16": 65504.0,
    "bfloat16": 3.3895314e38,
    "float32": 3.4028234663852886e38,
    "float64": 1.7976931348623157e308,
}


@operation
def isclose(
    x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether ``|x1 - x2| <= atol + rtol * |x2|``."""
    x, y = (float_tensor(operand) for operand in promoted(x1, x2))
    near = less_equal(absolute(x - y), absolute(y) * rtol + atol)
    close = logical_or(logical_and(near, isfinite(y)), equal(x, y))
    return logical_or(close, logical_and(isnan(x), isnan(y))) if equal_nan else close


# ------------------------------------------------------------------------------------------ logic


def _truth(x: Any) -> Tensor:
    return cast(as_tensor(x), "bool")


@operation
def logical_and(x1: Any, x2: Any) -> Tensor:
    """Whether both are true; numbers are true unless 0."""
    return apply(graph_logic.And(), _truth(x1), _truth(x2))


@operation
def logical_or(x1: Any, x2: Any) -> Tensor:
    """Whether one or both are true."""
    return apply(graph_logic.Or(), _truth(x1), _truth(x2))


@operation
def logical_xor(x1: Any, x2: Any) -> Tensor:
    """Whether exactly one is true."""
    return apply(graph_logic.Xor(), _truth(x1), _truth(x2))


@operation
def logical_not(x: Any) -> Tensor:
    """Whether it is false."""
    return apply(graph_logic.Not(), _truth(x))


# ----------------------------------------------------------------------------------------- choice


@operation
def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """``x1`` where the condition holds, else ``x2``; with one argument the places where it holds.

    Raises:
        ValueError: Only one of ``x1`` and ``x2`` is given.
        DataDependentControlFlowError: The places are asked for in a program that is being traced:
            nobody knows how many there will be.
    """
    if (x1 is None) != (x2 is None):
        raise ValueError("`x1` and `x2` either both should be `None` or both should be given")
    if x1 is None:
        tensor = as_tensor(condition)
        if tensor.is_symbolic:
            raise DataDependentControlFlowError(
                "where: how many places there are is known only when the program runs; use "
                "keras.ops.nonzero, which can be told with `size` how many places to give"
            )
        places = tensor.numpy().nonzero()
        return tuple(cast(Tensor(place), "int32") for place in places)
    return apply(graph_ops.Where(), _truth(condition), *promoted(x1, x2))
