"""The quickest way to compute an op in NumPy, for operands whose types are known beforehand.

The ops' own rules are the reference: short, and as exact as can be. Here the same bits are computed
with as few steps of Python as possible; sums of floats are taken in float64 as there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from graphc import reference
from graphc.config import config
from graphc.eager.contraction import contraction
from graphc.eager.native import NativeCall
from graphc.ir import Node, Op, is_complex, is_float, numpy_dtype
from graphc.ir.dims import known
from graphc.ops import elementwise, logic
from graphc.ops.call import Call
from graphc.ops.choice import Where
from graphc.ops.gather import Gather, Pick
from graphc.ops.linalg import Einsum
from graphc.ops.movement import Expand, Reshape, Slice, Transpose
from graphc.ops.random import Dropout, Threefry, greatest_word
from graphc.ops.reduce import ArgMax, ReduceMax, ReduceMean, ReduceMin, ReduceSum

Function = Callable[..., Any]

#: Up to so many elements a copy is quicker than a view with strides of 0.
_SMALL = 4096

#: Ops that are one function of NumPy.
_FUNCTIONS: dict[type[Op], Function] = {
    elementwise.Add: np.add,
    elementwise.Sub: np.subtract,
    elementwise.Mul: np.multiply,
    elementwise.Neg: np.negative,
    elementwise.Abs: np.abs,
    elementwise.Max: np.maximum,
    elementwise.Min: np.minimum,
    elementwise.Exp: np.exp,
    elementwise.Log: np.log,
    elementwise.Sqrt: np.sqrt,
    elementwise.Tanh: np.tanh,
    logic.Equal: np.equal,
    logic.NotEqual: np.not_equal,
    logic.Less: np.less,
    logic.LessOrEqual: np.less_equal,
    logic.Greater: np.greater,
    logic.GreaterOrEqual: np.greater_equal,
    Where: np.where,
}


def numpy_function(node: Node) -> Function | None:
    """What computes a node's results from arrays of exactly its operands' types.

    Returns:
        None for an op that is computed as what it decomposes into.
    """
    op: Op = node.op
    kind = type(op)
    # NumPy's order of complex numbers, its branch cuts and its NaN are not always the op's.
    if not any(is_complex(value.dtype) for value in (*node.inputs, *node.outputs)):
        if kind in _FUNCTIONS:
            return _FUNCTIONS[kind]
        make = _MAKERS.get(kind)
        quick = make(op, node) if make is not None else None
        if quick is not None:
            return quick
    if op.bodies:
        return partial(_run_bodies, op)
    return op.evaluate if op.has_rule("evaluate") else None


def _run_bodies(op: Op, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    results = op.evaluate(*arrays, run=reference.run)  # type: ignore[call-arg]
    return results if isinstance(results, tuple) else (results,)


# ------------------------------------------------------------------------------ element by element


def _relu(op: elementwise.Relu, node: Node) -> Function:
    zero = np.zeros((), numpy_dtype(node.output.dtype))
    return lambda x: np.maximum(x, zero)


def _power(op: elementwise.Pow, node: Node) -> Function | None:
    exponent = node.inputs[1].constant
    if exponent is None or exponent.ndim or exponent != 2:
        return None
    return lambda x, _: np.multiply(x, x)


def _divide(op: elementwise.Div, node: Node) -> Function | None:
    return np.divide if is_float(node.output.dtype) else None


def _cast(op: elementwise.Cast, node: Node) -> Function:
    dtype = numpy_dtype(op.dtype)
    return lambda x: x.astype(dtype)


def _sigmoid(op: elementwise.Sigmoid, node: Node) -> Function | None:
    """As in the op's rule, but for one division in place of two, each of which the other masks."""
    dtype = numpy_dtype(node.output.dtype)
    if dtype.kind != "f":
        return None
    # Numbers of Python would be made arrays in each call.
    zero, one, minus = (np.array(number, dtype) for number in (0, 1, -1))

    def compute(x: np.ndarray) -> np.ndarray:
        small = np.exp(np.copysign(x, minus))
        above = np.where(np.greater_equal(x, zero), one, small)
        return np.divide(above, np.add(one, small))

    return compute


def _threefry(op: Threefry, node: Node) -> Function | None:
    """The op in native code: NumPy would take some hundred calls."""
    index, *key = node.inputs
    if any(word.rank for word in key) or config.backend == "reference":
        return None
    from graphc.runtime.cpu.context import address_of
    from graphc.runtime.cpu.native import load_random_bits
    from graphc.runtime.cpu.target import Target

    write = load_random_bits(Target.host(), op.word, index.dtype)
    shape, size = known(index.shape), int(index.type.size)

    def compute(index: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        index = np.ascontiguousarray(index)
        bits = np.empty(shape, np.uint32)
        write(address_of(index), address_of(bits), size, int(first), int(second))
        return bits

    return compute


def _dropout(op: Dropout, node: Node) -> Function | None:
    """The op in native code, without an array for each of its steps."""
    x, _ = node.inputs
    dtype = numpy_dtype(x.dtype)
    if x.dtype not in ("float32", "float64") or config.backend == "reference":
        return None
    from graphc.runtime.cpu.context import address_of
    from graphc.runtime.cpu.native import load_dropout
    from graphc.runtime.cpu.target import Target

    write = load_dropout(Target.host(), x.dtype)
    shape, size, greatest = known(x.shape), int(x.type.size), greatest_word(op.keep)
    keep = int(np.array(op.keep, dtype).view(f"u{dtype.itemsize}"))

    def compute(x: np.ndarray, key: np.ndarray) -> np.ndarray:
        x = np.ascontiguousarray(x)
        y = np.empty(shape, dtype)
        first, second = key.tolist()
        write(address_of(x), address_of(y), size, first, second, greatest, keep)
        return y

    return compute


# --------------------------------------------------------------------------------------- reductions


def _sum(op: ReduceSum | ReduceMean, node: Node) -> Function | None:
    (x,) = node.inputs
    axes, keep = op.axes, op.keep
    narrow = numpy_dtype(x.dtype)
    if not is_float(x.dtype):
        return None if isinstance(op, ReduceMean) else _sum_of_integers(op, node)
    count = float(math.prod(known(x.shape[axis] for axis in axes)))
    mean = isinstance(op, ReduceMean)
    if not node.output.rank and narrow.kind == "f":
        # NumPy gives a number, with which arithmetic is quick and conversion is not.
        def number(x: np.ndarray) -> np.ndarray:
            total = np.add.reduce(x, axes, np.float64)
            return np.asarray(total / count if mean else total, narrow)

        return number
    divisor = np.array(count)

    # `astype` that is told not to copy takes a third longer.
    def sums(x: np.ndarray) -> np.ndarray:
        return np.add.reduce(x, axes, np.float64, None, keep).astype(narrow)  # type: ignore[call-overload]

    def means(x: np.ndarray) -> np.ndarray:
        total = np.add.reduce(x, axes, np.float64, None, keep)  # type: ignore[call-overload]
        return np.true_divide(total, divisor).astype(narrow)

    return means if mean else sums


def _sum_of_integers(op: ReduceSum, node: Node) -> Function:
    # Of a wider sum the type would keep the last bits, which are those of a sum that wraps around.
    axes, keep, dtype = op.axes, op.keep, numpy_dtype(node.output.dtype)
    return lambda x: np.add.reduce(x, axes, dtype, None, keep)  # type: ignore[call-overload]


def _extremum(op: ReduceMax | ReduceMin, node: Node) -> Function:
    reduce = np.maximum.reduce if isinstance(op, ReduceMax) else np.minimum.reduce
    axes, keep = op.axes, op.keep
    return lambda x: reduce(x, axes, None, None, keep)  # type: ignore[call-overload]


def _arg_max(op: ArgMax, node: Node) -> Function:
    axis, dtype = op.axis, numpy_dtype(op.dtype)
    return lambda x: x.argmax(axis).astype(dtype)


# ----------------------------------------------------------------------------------------- movement


def _gather(op: Gather, node: Node) -> Function | None:
    if node.inputs[1].dtype not in ("int32", "int64"):
        return None
    axis, evaluate = op.axis, op.evaluate

    def compute(x: np.ndarray, indices: np.ndarray) -> np.ndarray:
        try:
            return x.take(indices, axis)
        except IndexError:  # of an index that is out of range NumPy does not know what comes
            return evaluate(x, indices)

    return compute


def _pick(op: Pick, node: Node) -> Function | None:
    x, indices = node.inputs
    size = int(x.shape[op.axis])
    if op.axis != x.rank - 1 or indices.shape != x.shape[:-1] or not size:
        return None
    shape = known(indices.shape)
    numbers, count = np.arange(size), math.prod(shape)

    def starts() -> np.ndarray:
        return np.arange(0, count * size, size).reshape(shape)

    kept = starts() if count <= _SMALL else None  # of many rows they are quick to make
    zero = np.zeros((), numpy_dtype(x.dtype))

    def compute(x: np.ndarray, indices: np.ndarray) -> np.ndarray:
        first = starts() if kept is None else kept
        try:
            # A negative index becomes a large one: only those that name something go through.
            places = numbers.take(indices.view(np.uint32))
        except IndexError:
            found = (indices >= 0) & (indices < size)
            picked = x.reshape(-1).take(np.where(found, indices, 0) + first)
            return np.where(found, picked, zero)
        return x.reshape(-1).take(np.add(places, first))

    return compute


def _expand(op: Expand, node: Node) -> Function:
    shape, dtype = known(op.shape), numpy_dtype(node.output.dtype)
    if math.prod(shape) > _SMALL:
        return lambda x: np.broadcast_to(x, shape)

    def compute(x: np.ndarray) -> np.ndarray:
        result = np.empty(shape, dtype)
        result[...] = x
        return result

    return compute


def _slice(op: Slice, node: Node) -> Function:
    parts = tuple(map(slice, known(op.starts), known(op.stops), op.steps))
    if node.output.rank == 1 and op.steps == (1,):
        return lambda x: x[parts]  # contiguous as it is
    return lambda x: np.asarray(x[parts], order="C")


def _reshape(op: Reshape, node: Node) -> Function:
    shape = known(op.shape)
    return lambda x: x.reshape(shape)


def _transpose(op: Transpose, node: Node) -> Function:
    permutation = op.permutation
    return lambda x: np.asarray(x.transpose(permutation), order="C")


#: What makes the function of an op; None where the op's own rule is as quick.
_MAKERS: dict[type[Op], Callable[[Any, Node], Function | None]] = {
    elementwise.Cast: _cast,
    elementwise.Div: _divide,
    elementwise.Pow: _power,
    elementwise.Relu: _relu,
    elementwise.Sigmoid: _sigmoid,
    ArgMax: _arg_max,
    Dropout: _dropout,
    Call: lambda op, _: NativeCall(op.body),
    Einsum: lambda op, node: contraction(op.equation, *[value.type for value in node.inputs]),
    Expand: _expand,
    Gather: _gather,
    Pick: _pick,
    ReduceMax: _extremum,
    ReduceMean: _sum,
    ReduceMin: _extremum,
    ReduceSum: _sum,
    Reshape: _reshape,
    Slice: _slice,
    Threefry: _threefry,
    Transpose: _transpose,
}
