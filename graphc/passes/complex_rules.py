"""What operations on complex numbers are in their real and imaginary parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from graphc.errors import UnsupportedError
from graphc.ir import Op, Value, is_complex, part_dtype, zeros_like
from graphc.ops import barrier, complex, conv, elementwise, gather, logic, movement, pool
from graphc.ops.choice import Where
from graphc.ops.cumulative import CumSum
from graphc.ops.elementwise import Abs, Cast
from graphc.ops.elimination import Solve
from graphc.ops.family import like
from graphc.ops.linalg import Einsum
from graphc.ops.logic import And, Equal, GreaterOrEqual, Or
from graphc.ops.movement import Transpose, narrow, reshape_to
from graphc.ops.reduce import ReduceMean, ReduceProd, ReduceSum


class Pair(NamedTuple):
    """A complex value as two real ones."""

    real: Value
    imaginary: Value


#: From operands, pairs where they are complex, to the result.
Rule = Callable[..., Any]
RULES: dict[type[Op], Rule] = {}


def rule(*ops: type[Op]) -> Callable[[Rule], Rule]:
    """Register a rule: a function of the op and its operands."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(ops, function))
        return function

    return register


@rule(
    barrier.StopGradient,
    elementwise.Add,
    elementwise.Neg,
    elementwise.Round,
    elementwise.Sub,
    movement.Concat,
    movement.Expand,
    movement.Reshape,
    movement.Reverse,
    movement.Slice,
    movement.Split,
    movement.Transpose,
    pool.AveragePool,
    pool.AveragePoolGradient,
    gather.Gather,
    gather.ScatterAdd,
    CumSum,
    ReduceMean,
    ReduceSum,
    Where,
)
def each_part(op: Op, *operands: Any) -> Any:
    """Linear operations, and rounding: the same for both parts; other operands are shared."""
    halves = [op(*[x[part] if isinstance(x, Pair) else x for x in operands]) for part in (0, 1)]
    if isinstance(halves[0], tuple):
        return tuple(Pair(*parts) for parts in zip(*halves, strict=True))
    return Pair(*halves)


@rule(barrier.After)
def after(op: Op, x: Any, moment: Any) -> Any:
    """What is waited for is any of its parts."""
    moment = moment.real if isinstance(moment, Pair) else moment
    return each_part(op, x, moment) if isinstance(x, Pair) else op(x, moment)


@rule(movement.Pad)
def pad(op: movement.Pad, x: Pair) -> Pair:
    """The constant is real."""
    around = movement.Pad(op.before, op.after, op.interior)
    return Pair(op(x.real), around(x.imaginary))


@rule(movement.Size)
def size(op: movement.Size, x: Any) -> Any:
    """Reads the shape of either part."""
    part = x.real if isinstance(x, Pair) else x
    found = movement.Size(op.axes, part_dtype(op.dtype))(part)
    return Pair(found, zeros_like(found)) if is_complex(op.dtype) else found


@rule(complex.Complex)
def make(op: Op, x: Value, y: Value) -> Pair:
    """The parts themselves, broadcast against each other."""
    return Pair(x + zeros_like(y), y + zeros_like(x)) if x.shape != y.shape else Pair(x, y)


@rule(complex.Real)
def real(op: Op, x: Pair) -> Value:
    return x.real


@rule(complex.Imag)
def imaginary(op: Op, x: Pair) -> Value:
    return x.imaginary


@rule(complex.Conj)
def conjugate(op: Op, x: Pair) -> Pair:
    return Pair(x.real, -x.imaginary)


@rule(Cast)
def cast(op: Cast, x: Any) -> Any:
    """Real numbers are those without imaginary part."""
    part = Cast(part_dtype(op.dtype))
    if op.dtype == "bool":
        return Or()(part(x.real), part(x.imaginary))
    first = part(x.real if isinstance(x, Pair) else x)
    if not is_complex(op.dtype):
        return first
    return Pair(first, part(x.imaginary) if isinstance(x, Pair) else zeros_like(first))


@rule(Equal)
def equal(op: Op, x: Pair, y: Pair) -> Value:
    return And()(Equal()(x.real, y.real), Equal()(x.imaginary, y.imaginary))


@rule(logic.NotEqual)
def not_equal(op: logic.NotEqual, x: Pair, y: Pair) -> Value:
    return Or()(op(x.real, y.real), op(x.imaginary, y.imaginary))


# --------------------------------------------------------------------------------- products


@rule(elementwise.Mul)
def multiply(op: Op, x: Pair, y: Pair) -> Pair:
    return Pair(
        x.real * y.real - x.imaginary * y.imaginary,
        x.real * y.imaginary + x.imaginary * y.real,
    )


@rule(Einsum, conv.Conv, conv.ConvTranspose, conv.ConvKernelGradient)
def contract(op: Op, x: Pair, y: Pair) -> Pair:
    return Pair(
        op(x.real, y.real) - op(x.imaginary, y.imaginary),
        op(x.real, y.imaginary) + op(x.imaginary, y.real),
    )


@rule(Solve)
def solve(op: Solve, a: Pair, b: Pair) -> Pair:
    """``(c + i d) (x + i y) = e + i f`` are the real equations ``c x - d y = e, d x + c y = f``."""
    axis, size = a.real.rank - 2, a.real.shape[-1]
    above = movement.Concat(axis + 1)(a.real, -a.imaginary)
    below = movement.Concat(axis + 1)(a.imaginary, a.real)
    both = op(movement.Concat(axis)(above, below), movement.Concat(axis)(*b))
    return Pair(narrow(both, axis, 0, size), narrow(both, axis, size, size * 2))


@rule(elementwise.Div)
def divide(op: Op, x: Pair, y: Pair) -> Pair:
    """By Smith's method, in which no square overflows or vanishes."""
    first = GreaterOrEqual()(Abs()(y.real), Abs()(y.imaginary))
    large, small = (
        Where()(first, *parts) for parts in ((y.real, y.imaginary), (y.imaginary, y.real))
    )
    ratio = small / large
    square = large + small * ratio
    above = Where()(first, x.real + x.imaginary * ratio, x.real * ratio + x.imaginary)
    below = Where()(first, x.imaginary - x.real * ratio, x.imaginary * ratio - x.real)
    return Pair(above / square, below / square)


@rule(elementwise.Reciprocal)
def reciprocal(op: Op, x: Pair) -> Pair:
    one = Pair(like(x.real, 1), like(x.real, 0))
    return divide(elementwise.Div(), one, x)


@rule(ReduceProd)
def product(op: ReduceProd, x: Pair) -> Pair:
    """Half of the elements times the other half, until one is left."""
    kept = [axis for axis in range(x.real.rank) if axis not in op.axes]
    order = Transpose((*op.axes, *kept))
    shape = [x.real.shape[axis] for axis in kept]
    count = int(np.prod([_known(x.real.shape[axis]) for axis in op.axes], dtype=int))
    rows = Pair(*[reshape_to(order(part), (count, *shape)) for part in x])
    while count > 1:
        half = count // 2
        first, second, rest = (
            Pair(*[narrow(part, 0, *bounds) for part in rows])
            for bounds in ((0, half), (half, 2 * half), (2 * half, count))
        )
        rows = multiply(elementwise.Mul(), first, second)
        if count % 2:
            rows = Pair(*[movement.Concat(0)(*parts) for parts in zip(rows, rest, strict=True)])
        count = half + count % 2
    result = op.reduced(x.real.shape, op.keep)
    if not count:
        one = movement.Expand(result)(like(x.real, 1))
        return Pair(one, zeros_like(one))
    return Pair(*[reshape_to(part, result) for part in rows])


def _known(size: Any) -> int:
    if not isinstance(size, int):
        raise UnsupportedError(
            f"products of complex numbers along an axis need its size to be known, not {size}"
        )
    return size
