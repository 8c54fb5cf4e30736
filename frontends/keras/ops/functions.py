"""Mathematical functions of each element beside the everyday ones: https://keras.io/api/ops/."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.eager import Tensor, apply, as_tensor, cast, operate
from graphc.eager.tensor import promoted
from graphc.errors import DTypeError
from graphc.ir import is_float, is_integer
from graphc.keras.ops.arguments import float_tensor, refuse_complex, resolved_dtype
from graphc.keras.ops.bitwise import bits, from_bits
from graphc.keras.ops.elementwise import (
    absolute,
    clip,
    exp,
    isnan,
    log1p,
    logical_and,
    logical_or,
    maximum,
    minimum,
    sin,
    sqrt,
    where,
)
from graphc.keras.ops.indexing import take
from graphc.keras.ops.recording import operation
from graphc.ops.special import Erfc, Erfinv

__all__ = [
    "cbrt", "deg2rad", "erfc", "erfinv", "fabs", "fmax", "fmin", "fmod", "heaviside", "i0",
    "isneginf", "isposinf", "ldexp", "logaddexp2", "nextafter", "rad2deg", "saturate_cast",
    "signbit", "sinc",
]  # fmt: skip


def _narrow(dtype: str) -> bool:
    return dtype in ("float16", "bfloat16")


def _single(x: Tensor) -> Tensor:
    """16-bit floats as float32, in which functions of several steps are computed."""
    return cast(x, "float32") if _narrow(x.dtype) else x


@operation
def fabs(x: Any) -> Tensor:
    """The absolute value, as a float."""
    return absolute(float_tensor(x))


@operation
def deg2rad(x: Any) -> Tensor:
    """Degrees as radians."""
    return operate("multiply", float_tensor(x), math.pi / 180)


@operation
def rad2deg(x: Any) -> Tensor:
    """Radians as degrees."""
    return operate("multiply", float_tensor(x), 180 / math.pi)


@operation
def cbrt(x: Any) -> Tensor:
    """The cube root, negative for negative numbers."""
    tensor = float_tensor(x)
    size = absolute(_single(tensor))
    # At the ends the root is the number itself.
    plain = logical_and(operate("greater", size, 0), operate("less", size, math.inf))
    safe = where(plain, size, 1)
    root = operate("power", safe, 1 / 3)
    # A third is no float: one step of Newton's method takes the error away.
    root = root - (root * root * root - safe) / (3.0 * root * root)
    root = where(plain, root, size)
    return cast(where(operate("less", tensor, 0), -root, root), tensor.dtype)


@operation
def erfc(x: Any) -> Tensor:
    """The complementary error function, ``1 - erf(x)`` without cancellation."""
    return apply(Erfc(), float_tensor(x))


@operation
def erfinv(x: Any) -> Tensor:
    """The inverse error function, of numbers between -1 and 1."""
    return apply(Erfinv(), float_tensor(x))


@operation
def sinc(x: Any) -> Tensor:
    """``sin(pi x) / (pi x)``, and 1 at 0."""
    tensor = float_tensor(x)
    angle = _single(tensor) * math.pi
    near = operate("less", absolute(angle), 0.1)
    safe = where(near, 1, angle)
    # The series has the right derivatives at 0, too.
    square = where(near, angle, 0) * where(near, angle, 0)
    series = _horner(square, [1, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880])
    return cast(where(near, series, sin(safe) / safe), tensor.dtype)


def _horner(x: Tensor, coefficients: list[float]) -> Tensor:
    result = x * 0.0 + coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        result = result * x + coefficient
    return result


#: Up to here `i0` is its power series; its terms are all positive. Beyond, the series in 1/x has
#: terms that fall until they are too small to matter.
_I0_MIDDLE = 20.0


@operation
def i0(x: Any) -> Tensor:
    """The modified Bessel function of the first kind, of order 0."""
    tensor = float_tensor(x)
    size = absolute(_single(tensor))
    inside = operate("less", size, _I0_MIDDLE)
    quarter = where(inside, size, 1)
    quarter = quarter * quarter * 0.25
    near = quarter * 0.0 + 1.0
    for k in range(50, 0, -1):
        near = near * quarter * (1 / (k * k)) + 1.0
    large = where(inside, _I0_MIDDLE, size)
    far = large * 0.0 + 1.0
    for k in range(30, 0, -1):
        far = far * ((2 * k - 1) ** 2 / (8 * k)) / large + 1.0
    half = exp(large * 0.5)  # the exponential of the whole overflows before its quotient does
    far = half * (half / sqrt(large * (2 * math.pi))) * far
    return cast(where(inside, near, far), tensor.dtype)


@operation
def logaddexp2(x1: Any, x2: Any) -> Tensor:
    """``log2(2**x1 + 2**x2)`` without overflow."""
    x, y = (float_tensor(operand) for operand in promoted(x1, x2))
    largest = maximum(x, y)
    difference = operate("subtract", minimum(x, y), largest) * math.log(2)
    total = largest + log1p(exp(difference)) * (1 / math.log(2))
    return where(operate("equal", x, y), x + 1.0, total)  # two equal infinities


@operation
def fmax(x1: Any, x2: Any) -> Tensor:
    """The larger of each pair; of NaN and a number the number."""
    return _extreme(maximum, x1, x2)


@operation
def fmin(x1: Any, x2: Any) -> Tensor:
    """The smaller of each pair; of NaN and a number the number."""
    return _extreme(minimum, x1, x2)


def _extreme(pick: Any, x1: Any, x2: Any) -> Tensor:
    x, y = promoted(x1, x2)
    if not is_float(x.dtype):
        return pick(x, y)
    return where(isnan(x), y, where(isnan(y), x, pick(x, y)))


@operation
def fmod(x1: Any, x2: Any) -> Tensor:
    """The remainder of ``x1 / x2`` with the sign of ``x1``."""
    x, y = promoted(x1, x2)
    if x.dtype == "bool":
        x, y = cast(x, "int32"), cast(y, "int32")
    if is_float(x.dtype):
        rest = operate("mod", absolute(x), absolute(y))
        return where(operate("less", x, 0), -rest, rest)
    rest = operate("mod", x, y)
    if not x.dtype.startswith("int"):
        return rest
    other_sign = operate("not_equal", operate("less", x, 0), operate("less", y, 0))
    return where(logical_and(operate("not_equal", rest, 0), other_sign), rest - y, rest)


@operation
def heaviside(x1: Any, x2: Any) -> Tensor:
    """0 for negative numbers, 1 for positive ones, ``x2`` for 0."""
    x, y = (float_tensor(operand) for operand in promoted(x1, x2))
    refuse_complex(x, "heaviside")
    step = where(operate("less", x, 0), 0, where(operate("greater", x, 0), 1, y))
    return where(isnan(x), x, cast(step, x.dtype))


@operation
def signbit(x: Any) -> Tensor:
    """Whether the sign is negative; that of -0.0 is."""
    tensor = as_tensor(x)
    if is_float(tensor.dtype):
        return operate("less", bits(tensor, "int"), 0)
    number = cast(tensor, "int32") if tensor.dtype == "bool" else tensor
    return operate("less", number, 0)


@operation
def isposinf(x: Any) -> Tensor:
    """Whether x is positive infinity."""
    return operate("equal", float_tensor(x), math.inf)


@operation
def isneginf(x: Any) -> Tensor:
    """Whether x is negative infinity."""
    return operate("equal", float_tensor(x), -math.inf)


@operation
def nextafter(x1: Any, x2: Any) -> Tensor:
    """The floating-point number that follows ``x1`` on the way to ``x2``."""
    x, y = (float_tensor(operand) for operand in promoted(x1, x2))
    pattern = bits(x, "int")
    # Patterns count sizes up, whatever the sign.
    grows = operate("equal", operate("greater", y, x), operate("greater", x, 0))
    moved = from_bits(where(grows, pattern + 1, pattern - 1), x.dtype)
    least = Tensor(np.array(1, pattern.dtype))
    smallest = from_bits(least, x.dtype)
    from_zero = where(operate("less", y, 0), -smallest, smallest)
    result = where(operate("equal", x, 0), from_zero, moved)
    result = where(operate("equal", x, y), y, result)
    return where(logical_or(isnan(x), isnan(y)), math.nan, result)


#: The exponents that matter for a type, and a third of them: the factor is applied in three parts,
#: each of which is a number of that type.
_EXPONENTS = {"float32": 100, "float64": 734}


@operation
def ldexp(x1: Any, x2: Any) -> Tensor:
    """``x1 * 2**x2`` for integers ``x2``.

    Raises:
        DTypeError: ``x2`` holds no integers.
    """
    tensor, exponent = float_tensor(x1), as_tensor(x2)
    if not is_integer(exponent.dtype):
        raise DTypeError(f"ldexp: the exponents should be integers. Received: {exponent.dtype}")
    number = _single(tensor)
    part = _EXPONENTS[number.dtype]
    powers = Tensor(np.ldexp(1.0, np.arange(-part, part + 1)).astype(number.dtype))
    rest = cast(clip(exponent, *_limits(exponent.dtype, 3 * part)), "int32")
    for _ in range(3):
        taken = clip(rest, -part, part)
        number = number * take(powers, taken + part)
        rest = rest - taken
    return cast(number, tensor.dtype)


def _limits(dtype: str, largest: int) -> tuple[int, int]:
    limits = np.iinfo(dtype)
    return max(-largest, int(limits.min)), min(largest, int(limits.max))


@operation
def saturate_cast(x: Any, dtype: Any) -> Tensor:
    """The elements converted to another type, those beyond its range to its limits.

    Args:
        x: A tensor.
        dtype: The element type of the result.
    """
    tensor, wanted = as_tensor(x), resolved_dtype(dtype)
    if tensor.dtype == "bool" or tensor.dtype == wanted:
        return cast(tensor, wanted)
    (low, high), (least, most) = _range(tensor.dtype), _range(wanted)
    bottom, top = (
        _inwards(max(low, least), tensor.dtype, least, most),
        _inwards(min(high, most), tensor.dtype, least, most),
    )
    limits = (Tensor(np.array(limit)) for limit in (bottom, top))
    return cast(clip(tensor, *limits), wanted)


def _range(dtype: str) -> tuple[float, float]:
    if dtype == "bool":
        return 0, 1
    if is_integer(dtype):
        return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    largest = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38}.get(dtype)
    largest = float(np.finfo(dtype).max) if largest is None else largest
    return -largest, largest


def _inwards(limit: float, dtype: str, least: float, most: float) -> Any:
    """A limit as a number of a type: the nearest that does not lie beyond the range."""
    number = cast(as_tensor(np.array(limit)), dtype).numpy()
    while not least <= number.item() <= most:
        number = nextafter(Tensor(number), Tensor(np.zeros_like(number))).numpy()
    return number
