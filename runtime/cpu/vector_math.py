"""Mathematical functions as instructions: the table that `Module` takes.

Each function works on float32 and float64, on a scalar or any number of lanes, and gives the same
bits for each. No library is called: every special value comes out of arithmetic and selects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from graphc.runtime.cpu import vector_math_circular as circular
from graphc.runtime.cpu import vector_math_exponential as exponential
from graphc.runtime.cpu import vector_math_logarithm as logarithm
from graphc.runtime.cpu.registers import Register

#: Code by name.
FUNCTIONS: Mapping[str, Callable[..., Register]] = {
    "acos": circular.acos,
    "acosh": logarithm.acosh,
    "asin": circular.asin,
    "asinh": logarithm.asinh,
    "atan": circular.atan,
    "atan2": circular.atan2,
    "atanh": logarithm.atanh,
    "cos": circular.cos,
    "cosh": exponential.cosh,
    "erf": exponential.erf,
    "exp": exponential.exp,
    "exp2": exponential.exp2,
    "expm1": exponential.expm1,
    "log": logarithm.log,
    "log10": logarithm.log10,
    "log1p": logarithm.log1p,
    "log2": logarithm.log2,
    "pow": logarithm.pow,
    "rsqrt": logarithm.rsqrt,
    "sigmoid": exponential.sigmoid,
    "sin": circular.sin,
    "sinh": exponential.sinh,
    "tan": circular.tan,
    "tanh": exponential.tanh,
}
