"""The gamma function and its relatives: the part of ``graphc.math`` for statistics.

See https://www.tensorflow.org/api_docs/python/tf/math.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.eager import Tensor, apply, as_tensor
from graphc.eager.tensor import promoted
from graphc.errors import ShapeError
from graphc.ir import numpy_dtype
from graphc.keras import ops
from graphc.keras.ops.arguments import float_tensor
from graphc.keras.ops.recording import operation
from graphc.names.adapt import public_names, renamed, takes_name
from graphc.ops.gamma import BERNOULLI, Digamma, Lgamma, Polygamma

bessel_i0 = renamed(ops.i0, "x")


@takes_name
@operation
def lgamma(x: Any) -> Tensor:
    """``log(abs(gamma(x)))``, elementwise; infinity at 0 and the negative integers.

    Args:
        x: A tensor; integers become `floatx`.

    Example:
        >>> graphc.math.lgamma([1.0, 2.0, 5.0])  # log(0!), log(1!), log(4!)
    """
    return apply(Lgamma(), float_tensor(x))


@takes_name
@operation
def digamma(x: Any) -> Tensor:
    """The derivative of `lgamma`, elementwise; NaN at 0 and the negative integers.

    Args:
        x: A tensor; integers become `floatx`.
    """
    return apply(Digamma(), float_tensor(x))


@takes_name
@operation
def polygamma(a: Any, x: Any) -> Tensor:
    """A derivative of `digamma`, elementwise.

    Args:
        a: How often `digamma` is differentiated: one whole number from 0 on that is known when the
            function is called or traced. (TensorFlow takes a tensor of them.)
        x: A tensor; integers become `floatx`.

    Raises:
        ShapeError: ``a`` is something else.
    """
    order = as_tensor(a)
    known = not order.is_symbolic and order.size == 1
    if not known or float(order) < 0 or float(order) != int(float(order)):
        raise ShapeError(f"polygamma: a is one whole number from 0 on. Received: {a}")
    count = int(float(order))
    tensor = float_tensor(x)
    return apply(Polygamma(count) if count else Digamma(), tensor)


@takes_name
@operation
def lbeta(x: Any) -> Tensor:
    """The logarithm of the beta function of the numbers along the last axis, which goes.

    Args:
        x: A tensor of positive numbers, ``(..., n)``: ``sum(lgamma(x)) - lgamma(sum(x))``.
    """
    tensor = float_tensor(x)
    return ops.sum(lgamma(tensor), -1) - lgamma(ops.sum(tensor, -1))


#: By how much `zeta` moves numbers up before its series begins.
_STEPS = 10


@takes_name
@operation
def zeta(x: Any, q: Any) -> Tensor:
    """Hurwitz's zeta function, the sum of ``(q + k)**-x`` over all k from 0 on.

    It is computed by the Euler-Maclaurin formula (Hurwitz 1882; see DLMF 25.11).

    Args:
        x: The exponent, above 1; infinity for 1, NaN below.
        q: Where the sum begins: positive numbers; infinity for 0, NaN below.
    """
    s, start = (float_tensor(operand) for operand in promoted(x, q))
    total = ops.zeros_like(start)
    for k in range(_STEPS):
        total = total + ops.power(start + k, -s)
    inverse = 1.0 / (start + _STEPS)
    square = inverse * inverse
    tail, rising, term = inverse * 0.5, s, square
    for k, number in enumerate(BERNOULLI):
        tail = tail + rising * term * (number / math.factorial(2 * k + 2))
        rising = rising * (s + (2 * k + 1)) * (s + (2 * k + 2))
        term = term * square
    sums = total + ops.power(inverse, s - 1.0) * (tail + 1.0 / (s - 1.0))
    nan = np.array(math.nan, numpy_dtype(start.dtype))
    outside = ops.logical_or(ops.less(s, 1.0), ops.less(start, 0.0))
    return ops.where(outside, nan, sums)


__all__ = public_names(globals())
