"""``graphc.math``: elementwise functions, reductions and segments under TensorFlow's names.

See https://www.tensorflow.org/api_docs/python/tf/math. Two differences, both of `keras.ops`: dtypes
are promoted where TensorFlow refuses to mix them, and integers divided by integers, or under a
function such as `sqrt`, become `floatx`.
"""

from __future__ import annotations

import math
from typing import Any

from graphc.eager import Tensor
from graphc.ir import is_float
from graphc.keras import ops
from graphc.names.adapt import (
    composed,
    float_tensor_of,
    missing_name,
    public_names,
    renamed,
    takes_name,
    tensor_of,
)
from graphc.names.counting import *  # noqa: F403
from graphc.names.dtypes import name_of
from graphc.names.special import *  # noqa: F403

# ------------------------------------------------------------------------------- elementwise

abs = renamed(ops.absolute, "x")
acos = renamed(ops.arccos, "x")
acosh = renamed(ops.arccosh, "x")
add = renamed(ops.add, "x y")
asin = renamed(ops.arcsin, "x")
asinh = renamed(ops.arcsinh, "x")
atan = renamed(ops.arctan, "x")
atan2 = renamed(ops.arctan2, "y x")
atanh = renamed(ops.arctanh, "x")
ceil = renamed(ops.ceil, "x")
cos = renamed(ops.cos, "x")
cosh = renamed(ops.cosh, "x")
divide = renamed(ops.true_divide, "x y")
divide_no_nan = renamed(ops.divide_no_nan, "x y")
equal = renamed(ops.equal, "x y")
erf = renamed(ops.erf, "x")
erfc = renamed(ops.erfc, "x")
erfinv = renamed(ops.erfinv, "x")
exp = renamed(ops.exp, "x")
expm1 = renamed(ops.expm1, "x")
floor = renamed(ops.floor, "x")
floordiv = renamed(ops.floor_divide, "x y")
floormod = renamed(ops.mod, "x y")
greater = renamed(ops.greater, "x y")
greater_equal = renamed(ops.greater_equal, "x y")
is_finite = renamed(ops.isfinite, "x")
is_inf = renamed(ops.isinf, "x")
is_nan = renamed(ops.isnan, "x")
less = renamed(ops.less, "x y")
less_equal = renamed(ops.less_equal, "x y")
log = renamed(ops.log, "x")
log1p = renamed(ops.log1p, "x")
log_sigmoid = renamed(ops.log_sigmoid, "x")
log_softmax = renamed(ops.log_softmax, "logits axis")
logical_and = renamed(ops.logical_and, "x y")
logical_not = renamed(ops.logical_not, "x")
logical_or = renamed(ops.logical_or, "x y")
logical_xor = renamed(ops.logical_xor, "x y")
maximum = renamed(ops.maximum, "x y")
minimum = renamed(ops.minimum, "x y")
mod = floormod
multiply = renamed(ops.multiply, "x y")
negative = renamed(ops.negative, "x")
nextafter = renamed(ops.nextafter, "x1 x2")
not_equal = renamed(ops.not_equal, "x y")
pow = renamed(ops.power, "x y")
reciprocal = renamed(ops.reciprocal, "x")
rint = renamed(ops.round, "x")
round = rint
rsqrt = renamed(ops.rsqrt, "x")
scalar_mul = renamed(ops.multiply, "scalar x")
sigmoid = renamed(ops.sigmoid, "x")
sign = renamed(ops.sign, "x")
sin = renamed(ops.sin, "x")
sinh = renamed(ops.sinh, "x")
softmax = renamed(ops.softmax, "logits axis")
softplus = renamed(ops.softplus, "features")
softsign = renamed(ops.softsign, "features")
sqrt = renamed(ops.sqrt, "x")
square = renamed(ops.square, "x")
subtract = renamed(ops.subtract, "x y")
tan = renamed(ops.tan, "x")
tanh = renamed(ops.tanh, "x")
realdiv = truediv = divide


@takes_name
def add_n(inputs: Any) -> Any:
    """The sum of a list of tensors."""
    total, *rest = inputs
    for item in rest:
        total = ops.add(total, item)
    return total if rest else ops.convert_to_tensor(total)


accumulate_n = add_n


@takes_name
def real(input: Any) -> Any:
    """The real parts."""
    return ops.real(input)


@takes_name
def imag(input: Any) -> Any:
    """The imaginary parts."""
    return ops.imag(input)


@takes_name
def conj(x: Any) -> Any:
    """The conjugates; real numbers as they are."""
    return ops.conj(x)


@takes_name
def angle(input: Any) -> Any:
    """The angles of complex numbers: 0 for positive real numbers."""
    return ops.angle(input)


@composed
def complex(real: Any, imag: Any) -> Tensor:
    """Complex numbers from their real and imaginary parts."""
    x, y = tensor_of(real), tensor_of(imag)
    kind = "complex128" if "float64" in (x.dtype, y.dtype) else "complex64"
    return ops.cast(x, kind) + ops.cast(y, kind) * 1j


@takes_name
def multiply_no_nan(x: Any, y: Any) -> Any:
    """``x * y``, and 0 wherever ``y`` is 0, also for an infinite ``x`` or NaN."""
    zero = ops.equal(y, 0)
    return ops.where(zero, 0, ops.multiply(ops.where(zero, 0, x), y))


@takes_name
def reciprocal_no_nan(x: Any) -> Any:
    """``1 / x``, and 0 where ``x`` is 0."""
    return ops.divide_no_nan(1.0, x)


@takes_name
def squared_difference(x: Any, y: Any) -> Any:
    """``(x - y)^2``; for complex numbers the square of the difference's absolute value."""
    difference = ops.subtract(x, y)
    if str(difference.dtype).startswith("complex"):
        return ops.multiply(difference, ops.conj(difference))
    return ops.square(difference)


@takes_name
def truncatediv(x: Any, y: Any) -> Any:
    """The quotient cut off towards zero."""
    quotient = ops.trunc(ops.true_divide(ops.cast(x, "float64"), ops.cast(y, "float64")))
    return ops.cast(quotient, ops.add(x, y).dtype)


@takes_name
def truncatemod(x: Any, y: Any) -> Any:
    """What is left of `truncatediv`: it has the sign of ``x``."""
    return ops.subtract(x, ops.multiply(truncatediv(x, y), y))


@takes_name
def xlogy(x: Any, y: Any) -> Any:
    """``x * log(y)``, and 0 wherever ``x`` is 0."""
    zero = ops.equal(x, 0)
    return ops.where(zero, 0.0, ops.multiply(x, ops.log(ops.where(zero, 1.0, y))))


@takes_name
def xlog1py(x: Any, y: Any) -> Any:
    """``x * log(1 + y)``, and 0 wherever ``x`` is 0."""
    zero = ops.equal(x, 0)
    return ops.where(zero, 0.0, ops.multiply(x, ops.log1p(ops.where(zero, 0.0, y))))


@takes_name
def xdivy(x: Any, y: Any) -> Any:
    """``x / y``, and 0 wherever ``x`` is 0."""
    zero = ops.equal(x, 0)
    return ops.where(zero, 0.0, ops.true_divide(x, ops.where(zero, 1, y)))


@takes_name
def polyval(coeffs: Any, x: Any) -> Any:
    """A polynomial by Horner's rule, the coefficient of the highest power first."""
    result = ops.zeros_like(x)
    for coefficient in coeffs:
        result = ops.add(ops.multiply(result, x), coefficient)
    return result


# -------------------------------------------------------------------------------- reductions

reduce_all = renamed(ops.all, "input_tensor axis keepdims")
reduce_any = renamed(ops.any, "input_tensor axis keepdims")
reduce_logsumexp = renamed(ops.logsumexp, "input_tensor axis keepdims")
reduce_max = renamed(ops.max, "input_tensor axis keepdims")
reduce_min = renamed(ops.min, "input_tensor axis keepdims")
reduce_std = renamed(ops.std, "input_tensor axis keepdims")
reduce_variance = renamed(ops.var, "input_tensor axis keepdims")


def _keeping_dtype(function: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """A reduction in the type of its operand, where Keras chooses a wider one for integers."""
    result = function(x, axis=axis, keepdims=keepdims)
    return ops.cast(result, tensor_of(x).dtype)


@composed
def reduce_sum(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The sum over axes, all by default; integers keep their type.

    Args:
        input_tensor: A tensor.
        axis: An axis or a list of them.
        keepdims: Whether the axes stay, with size 1.
    """
    return _keeping_dtype(ops.sum, input_tensor, axis, keepdims)


@composed
def reduce_prod(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The product over axes, all by default; integers keep their type."""
    return _keeping_dtype(ops.prod, input_tensor, axis, keepdims)


@composed
def reduce_mean(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The mean over axes, all by default; that of integers is cut off to an integer.

    Args:
        input_tensor: A tensor.
        axis: An axis or a list of them.
        keepdims: Whether the axes stay, with size 1.

    Example:
        >>> graphc.reduce_mean(graphc.constant([[1.0, 3.0], [5.0, 7.0]]), axis=0)
    """
    x = tensor_of(input_tensor)
    if is_float(x.dtype) or x.dtype.startswith("complex"):
        return ops.mean(x, axis, keepdims)
    return ops.cast(ops.mean(ops.cast(x, "float64"), axis, keepdims), x.dtype)


@composed
def reduce_euclidean_norm(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The square root of the sum of squares over axes, all by default."""
    x = tensor_of(input_tensor)
    return ops.cast(ops.sqrt(ops.sum(ops.square(float_tensor_of(x)), axis, keepdims)), x.dtype)


@takes_name
def count_nonzero(
    input: Any, axis: Any = None, keepdims: bool = False, dtype: Any = "int64"
) -> Any:
    """How many elements are not zero."""
    return ops.sum(ops.cast(ops.not_equal(input, 0), name_of(dtype)), axis, keepdims)


@takes_name
def argmax(input: Any, axis: Any = 0, output_type: Any = "int64") -> Any:
    """The place of the largest element along an axis, **the first** axis by default."""
    return ops.cast(ops.argmax(input, 0 if axis is None else axis), name_of(output_type))


@takes_name
def argmin(input: Any, axis: Any = 0, output_type: Any = "int64") -> Any:
    """The place of the smallest element along an axis, **the first** axis by default."""
    return ops.cast(ops.argmin(input, 0 if axis is None else axis), name_of(output_type))


def _cumulate(function: Any, x: Any, axis: int, exclusive: bool, reverse: bool, start: int) -> Any:
    tensor = ops.flip(x, axis) if reverse else x
    result = ops.cast(function(tensor, axis), x.dtype)
    if exclusive:
        rank = ops.ndim(result)
        place = axis % rank
        widths = [(1, 0) if a == place else (0, 0) for a in range(rank)]
        shifted = ops.pad(result, widths, "constant", start)
        keep = tuple(slice(0, -1) if a == place else slice(None) for a in range(rank))
        result = ops.get_item(shifted, keep)
    return ops.flip(result, axis) if reverse else result


@composed
def cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Sums of the first 1, 2, ... elements along an axis.

    Args:
        x: A tensor.
        axis: The axis.
        exclusive: Whether each element is left out of its own sum: the first is 0.
        reverse: Whether to begin at the end.
    """
    return _cumulate(ops.cumsum, tensor_of(x), axis, exclusive, reverse, 0)


@composed
def cumprod(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Products of the first 1, 2, ... elements along an axis (see `cumsum`)."""
    return _cumulate(ops.cumprod, tensor_of(x), axis, exclusive, reverse, 1)


# ---------------------------------------------------------------------------------- norms


@composed
def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12) -> Tensor:
    """``x / sqrt(max(sum(x^2), epsilon))``, the sum taken over axes, all by default."""
    tensor = float_tensor_of(x)
    total = ops.sum(ops.square(tensor), axis, keepdims=True)
    return tensor * ops.rsqrt(ops.maximum(total, epsilon))


@composed
def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any) -> Tensor:
    """Elements below a bound become it, those above the other that."""
    return ops.minimum(ops.maximum(t, clip_value_min), clip_value_max)


@composed
def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None) -> Tensor:
    """A tensor made smaller, if it has to be, so that its norm is at most ``clip_norm``.

    Args:
        t: A tensor.
        clip_norm: The largest norm.
        axes: Over which axes the norm is taken; all by default.
    """
    x = float_tensor_of(t)
    total = ops.sum(ops.square(x), axes, keepdims=True)
    positive = total > 0
    norm = ops.where(positive, ops.sqrt(ops.where(positive, total, 1)), total)
    return x * clip_norm / ops.maximum(norm, clip_norm)


@takes_name
def global_norm(t_list: Any) -> Tensor:
    """The norm of all elements of a list of tensors together; None among them is left out.

    Args:
        t_list: Tensors.
    """
    squares = [ops.sum(ops.square(t)) for t in t_list if t is not None]
    if not squares:
        return ops.convert_to_tensor(0.0)
    return ops.sqrt(add_n(squares))


@takes_name
def clip_by_global_norm(
    t_list: Any, clip_norm: Any, use_norm: Any = None
) -> tuple[list[Any], Tensor]:
    """Tensors made smaller together so that their `global_norm` is at most ``clip_norm``.

    Args:
        t_list: Tensors; None among them stays None.
        clip_norm: The largest norm.
        use_norm: The norm, if it is known already.

    Returns:
        The tensors and the norm that they had; NaN everywhere where that is not finite.
    """
    norm = global_norm(t_list) if use_norm is None else ops.convert_to_tensor(use_norm)
    scale = clip_norm / ops.maximum(norm, clip_norm)
    scale = ops.where(ops.isfinite(norm), scale, math.nan)
    return [None if t is None else ops.multiply(t, ops.cast(scale, t.dtype)) for t in t_list], norm


__all__ = public_names(globals())


def __getattr__(name: str) -> Any:
    raise missing_name("graphc.math", name, __all__)
