"""Rules of elementwise ops: arithmetic, logic, choice, casts. See `graphc.passes.simplify`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from graphc.ir import FLOATS, SIGNED_INTEGERS, Value, dtype_size, is_float, is_integer
from graphc.ops.elementwise import Add, Cast, Mul
from graphc.ops.movement import Expand, Reshape
from graphc.passes.rewrite import Match, Rule

COMMUTATIVE = (
    "Add",
    "Mul",
    "Equal",
    "NotEqual",
    "And",
    "Or",
    "Xor",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
)
_MIRRORED = {
    "Less": "Greater",
    "LessOrEqual": "GreaterOrEqual",
    "Greater": "Less",
    "GreaterOrEqual": "LessOrEqual",
}
_OPPOSITE = {
    "Less": "GreaterOrEqual",
    "LessOrEqual": "Greater",
    "Greater": "LessOrEqual",
    "GreaterOrEqual": "Less",
}


# ------------------------------------------------------------------------------------ conditions


def _x_varies(match: Match) -> bool:
    return match["x"].constant is None


def _is_float(match: Match) -> bool:
    return is_float(match.type.dtype)


def _is_signed(match: Match) -> bool:
    return match.type.dtype in (*FLOATS, *SIGNED_INTEGERS)


def _otherwise_zero(match: Match) -> bool:
    zero = _array(match["zero"])
    return zero.ndim == 0 and zero == 0 and not np.signbit(zero)


def _is_bool(match: Match) -> bool:
    return match.inputs[-1].dtype == "bool"


def _rounds(match: Match) -> str | None:
    return "floating-point numbers would be rounded differently" if _is_float(match) else None


def _zero_times_infinity(match: Match) -> str | None:
    return "zero times NaN or infinity is NaN" if _is_float(match) else None


def _unordered(match: Match) -> str | None:
    return "NaN is in no order" if is_float(match["x"].dtype) else None


def _is_power_of_two(match: Match) -> bool:
    """Whether division by the constant is exactly multiplication by its reciprocal."""
    if not _is_float(match):
        return False
    divisor = _array(match["c"]).astype(np.float64)
    fraction, exponent = np.frexp(divisor)
    # Far inside the range of the type, so that the reciprocal is an ordinary number too.
    limit = {"float16": 13, "bfloat16": 125, "float32": 125, "float64": 1020}[match.type.dtype]
    return bool(np.all((np.abs(fraction) == 0.5) & (np.abs(exponent) <= limit)))


# ---------------------------------------------------------------------------------- replacements


def _array(value: Value) -> np.ndarray:
    array = value.constant
    assert array is not None
    return array


def _negative(match: Match) -> Value:
    """The constant ``c`` negated, for unsigned integers too: there it wraps."""
    with np.errstate(all="ignore"):
        return match.constant(np.negative(_array(match["c"])))


def _add_negative(match: Match) -> Value:
    return Add()(match["x"], _negative(match))


def _multiply_negative(match: Match) -> Value:
    return Mul()(match["x"], _negative(match))


def _multiply_reciprocal(match: Match) -> Value:
    reciprocal = 1 / _array(match["c"]).astype(np.float64)
    return Mul()(match["x"], match.constant(reciprocal))


def _unexpanded(value: Value) -> Value:
    """The value without what broadcasting restores: an Expand, leading axes, axes of size 1."""
    if isinstance(value.op, Expand):
        return value.operands[0]
    array = value.constant
    if array is not None and array.ndim > 0 and array.size == 1:
        return value.graph.constant(array.reshape(()))
    if isinstance(value.op, Reshape):
        (inner,) = value.operands
        added = value.rank - inner.rank
        if added > 0 and value.shape == (1,) * added + inner.shape:
            return inner
    return value


def _without_expands(match: Match) -> tuple[Value, ...]:
    """The operands, unexpanded where the result does not need the axes for its own shape."""
    rank = max(value.rank for value in match.inputs)
    deep = sum(value.rank == rank for value in match.inputs)
    operands = []
    for value in match.inputs:
        # The only operand of full rank keeps a Reshape: the result would need one instead.
        keeps = isinstance(value.op, Reshape) and value.rank == rank and deep == 1
        operands.append(value if keeps else _unexpanded(value))
    return tuple(operands)


def _has_expand(match: Match) -> bool:
    return any(
        isinstance(value.op, Expand | Reshape)
        or (value.rank > 0 and value.constant is not None and value.type.size == 1)
        for value in match.inputs
    ) and any(a is not b for a, b in zip(_without_expands(match), match.inputs, strict=True))


def _apply_unexpanded(match: Match) -> Value:
    return match.graph.apply(match.op, *_without_expands(match))


def _keeps_every_value(source: str, target: str) -> bool:
    """Whether each value of one dtype is a value of the other."""
    if source == target or source == "bool":
        return True
    if target == "bool":
        return False
    if is_float(source):
        wider = {"float16": ("float32", "float64"), "bfloat16": ("float32", "float64")}
        return target in {**wider, "float32": ("float64",), "float64": ()}[source]
    bits = 8 * dtype_size(source) - (source in SIGNED_INTEGERS)
    if is_float(target):
        return bits <= {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}[target]
    if source in SIGNED_INTEGERS and target not in SIGNED_INTEGERS:
        return False
    return bits <= 8 * dtype_size(target) - (target in SIGNED_INTEGERS)


def _loses_values(match: Match) -> str | None:
    source, middle, target = match["x"].dtype, match["inner"].dtype, match.op.dtype
    if not _keeps_every_value(source, middle):
        return f"{middle} does not hold every {source}"
    if is_float(middle) and is_integer(source) and is_integer(target):
        return f"{target} may be too small for what {middle} holds"
    return None


def _cast_once(match: Match) -> Any:
    return Cast(match.op.dtype)(match["x"])


# ----------------------------------------------------------------------------------------- rules


CONSTANTS_RIGHT = (
    *(
        Rule(f"constant to the right of {op}", f"{op}(#c, x)", f"{op}(x, c)", when=_x_varies)
        for op in COMMUTATIVE
    ),
    *(
        Rule(f"constant to the right of {op}", f"{op}(#c, x)", f"{mirror}(x, c)", when=_x_varies)
        for op, mirror in _MIRRORED.items()
    ),
)

BROADCASTS = (
    Rule("no Expand before elementwise ops", "Elementwise", _apply_unexpanded, when=_has_expand),
)

SUMS = (
    Rule("x + 0", "Add(x, 0)", "x"),
    Rule("x - constant", "Sub(x, #c)", _add_negative, when=_x_varies),
    Rule("x - -y", "Sub(x, Neg(y))", "Add(x, y)"),
    Rule("x + -y", "Add(x, Neg(y))", "Sub(x, y)"),
    Rule("-x + y", "Add(Neg(x), y)", "Sub(y, x)"),
    Rule("-(x - y)", "Neg(Sub(x, y))", "Sub(y, x)"),
    Rule("(x + a) + b", "Add(Add(x, #a), #b)", "Add(x, Add(a, b))", refuse=_rounds),
)

PRODUCTS = (
    Rule("x * 1", "Mul(x, 1)", "x"),
    Rule("x * -1", "Mul(x, -1)", "Neg(x)", when=_is_signed),
    Rule("x * 0", "Mul(x, 0)", "0", refuse=_zero_times_infinity),
    Rule("(x * a) * b", "Mul(Mul(x, #a), #b)", "Mul(x, Mul(a, b))", refuse=_rounds),
    Rule("x / 1", "Div(x, 1)", "x"),
    Rule("x / -1", "Div(x, -1)", "Neg(x)", when=_is_float),
    Rule("1 / x", "Div(1, x)", "Reciprocal(x)", when=_is_float),
    Rule("x / power of two", "Div(x, #c)", _multiply_reciprocal, when=_is_power_of_two),
    Rule("-x * constant", "Mul(Neg(x), #c)", _multiply_negative),
    Rule("-(x * constant)", "Neg(Mul(x, #c))", _multiply_negative),
    Rule("-x * y", "Mul(Neg(x), y)", "Neg(Mul(x, y))"),
    Rule("x * -y", "Mul(x, Neg(y))", "Neg(Mul(x, y))"),
    Rule("-x / y", "Div(Neg(x), y)", "Neg(Div(x, y))", when=_is_float),
    Rule("x / -y", "Div(x, Neg(y))", "Neg(Div(x, y))", when=_is_float),
    Rule("x ** 0", "Pow(x, 0)", "1"),
    Rule("x ** 1", "Pow(x, 1)", "x"),
    Rule("x ** 2", "Pow(x, 2)", "Mul(x, x)"),
    Rule("x ** -1", "Pow(x, -1)", "Reciprocal(x)"),
)

FUNCTIONS = (
    Rule("-(-x)", "Neg(Neg(x))", "x"),
    Rule("absolute value of -x", "Abs(Neg(x))", "Abs(x)"),
    Rule("cosine of -x", "Cos(Neg(x))", "Cos(x)"),
    *(
        Rule(f"{op} of {op}", f"{op}({op}(x))", f"{op}(x)")
        for op in ("Abs", "Sign", "Relu", "Floor", "Ceil", "Round")
    ),
    Rule("maximum of x and x", "Max(x, x)", "x"),
    Rule("minimum of x and x", "Min(x, x)", "x"),
)

LOGIC = (
    Rule("stop gradient", "StopGradient(x)", "x"),
    Rule("not not x", "Not(Not(x))", "x"),
    Rule("not equal", "Not(Equal(x, y))", "NotEqual(x, y)"),
    Rule("not different", "Not(NotEqual(x, y))", "Equal(x, y)"),
    *(
        Rule(f"not {op}", f"Not({op}(x, y))", f"{opposite}(x, y)", refuse=_unordered)
        for op, opposite in _OPPOSITE.items()
    ),
    Rule("x == true", "Equal(x, True)", "x", when=_is_bool),
    Rule("x == false", "Equal(x, False)", "Not(x)", when=_is_bool),
    Rule("x != true", "NotEqual(x, True)", "Not(x)", when=_is_bool),
    Rule("x != false", "NotEqual(x, False)", "x", when=_is_bool),
    Rule("x and true", "And(x, True)", "x"),
    Rule("x and false", "And(x, False)", "False"),
    Rule("x and x", "And(x, x)", "x"),
    Rule("x or true", "Or(x, True)", "True"),
    Rule("x or false", "Or(x, False)", "x"),
    Rule("x or x", "Or(x, x)", "x"),
    Rule("x xor true", "Xor(x, True)", "Not(x)"),
    Rule("x xor false", "Xor(x, False)", "x"),
)

CHOICES = (
    Rule("where true", "Where(True, x, y)", "x"),
    Rule("where false", "Where(False, x, y)", "y"),
    Rule("either way x", "Where(c, x, x)", "x"),
    Rule(
        "gradient of a pool's positive maxima",
        "Where(Greater(x, 0), pool:MaxPoolGradient(x, y, dy), #zero)",
        lambda match: replace(match.node("pool").op, positive=True)(
            match["x"], match["y"], match["dy"]
        ),
        when=_otherwise_zero,
        refuse=lambda match: "others read it" if match.is_shared("pool") else None,
    ),
    Rule("where not", "Where(Not(c), x, y)", "Where(c, y, x)"),
    Rule("true where c", "Where(c, True, False)", "c", when=_is_bool),
    Rule("false where c", "Where(c, False, True)", "Not(c)", when=_is_bool),
)

CASTS = (
    Rule("cast to its own type", "Cast(x)", "x", when=lambda m: m.op.dtype == m["x"].dtype),
    Rule("cast of a cast", "Cast(inner:Cast(x))", _cast_once, refuse=_loses_values),
)

ARITHMETIC = (
    *CONSTANTS_RIGHT,
    *BROADCASTS,
    *SUMS,
    *PRODUCTS,
    *FUNCTIONS,
    *LOGIC,
    *CHOICES,
    *CASTS,
)
