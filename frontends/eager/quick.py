"""The quickest way to compute an op in NumPy, for operands whose types are known beforehand.

The ops' own rules are the reference: short, and as exact as can be. Here the same is computed with
as few steps of Python as possible; sums of floats are taken in float64 as there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from graphc import reference
from graphc.eager.native import NativeCall
from graphc.ir import Node, Op, TensorType, Value, is_complex, is_float, numpy_dtype
from graphc.ir.dims import known
from graphc.ops import elementwise, logic
from graphc.ops.call import Call
from graphc.ops.linalg import Einsum
from graphc.ops.reduce import ReduceMean, ReduceSum

#: Ops that are one function of NumPy.
_FUNCTIONS: dict[type[Op], np.ufunc] = {
    elementwise.Add: np.add,
    elementwise.Sub: np.subtract,
    elementwise.Mul: np.multiply,
    elementwise.Neg: np.negative,
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
}


def numpy_function(node: Node) -> Callable[..., Any]:
    """What computes a node's results from arrays of exactly its operands' types."""
    op: Op = node.op
    kind = type(op)
    if kind in _FUNCTIONS:
        return _FUNCTIONS[kind]
    if isinstance(op, Einsum):
        return contraction(op.equation, *[value.type for value in node.inputs])
    if isinstance(op, (ReduceSum, ReduceMean)) and is_float(node.output.dtype):
        return _sum(op, node.inputs[0])
    if isinstance(op, elementwise.Pow) and _is_two(node.inputs[1].constant):
        return lambda x, _: np.multiply(x, x)
    if isinstance(op, elementwise.Div) and is_float(node.output.dtype):
        return np.divide
    if isinstance(op, elementwise.Cast) and not is_complex(node.inputs[0].dtype):
        dtype = numpy_dtype(op.dtype)
        return lambda x: x.astype(dtype)
    if isinstance(op, Call):
        return NativeCall(op.body)
    return partial(_run_bodies, op) if op.bodies else op.evaluate


def _is_two(exponent: np.ndarray | None) -> bool:
    return exponent is not None and exponent.size == 1 and not exponent.ndim and exponent == 2


def _run_bodies(op: Op, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    results = op.evaluate(*arrays, run=reference.run)  # type: ignore[call-arg]
    return results if isinstance(results, tuple) else (results,)


def _sum(op: ReduceSum | ReduceMean, x: Value) -> Callable[[np.ndarray], np.ndarray]:
    axes, keep = op.axes, op.keep
    narrow = numpy_dtype(x.dtype)
    count = float(math.prod(int(x.shape[axis]) for axis in axes))
    mean = isinstance(op, ReduceMean)

    def compute(x: np.ndarray) -> np.ndarray:
        total = np.add.reduce(x, axes, np.float64, None, keep)  # type: ignore[call-overload]
        return (np.true_divide(total, count) if mean else total).astype(narrow, copy=False)

    return compute


def contraction(
    equation: str, x: TensorType, y: TensorType
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A function that computes an `Einsum` of arrays of given types.

    Sums of floats are taken in float64, so that their order does not show in the result.

    Args:
        equation: Such as ``"bi,io->bo"``.
        x: The type of the first operand; its shape is known.
        y: That of the second.
    """
    operands, result = equation.split("->")
    first, second = operands.split(",")
    sizes = dict(zip(first + second, known((*x.shape, *y.shape)), strict=True))
    shared = set(first) & set(second)
    batch = [letter for letter in result if letter in shared]
    summed = [letter for letter in first if letter in shared and letter not in result]
    rows = [letter for letter in result if letter in first and letter not in shared]
    columns = [letter for letter in result if letter in second and letter not in shared]
    narrow = numpy_dtype(x.dtype)
    wide = np.dtype(np.float64) if is_float(x.dtype) else narrow
    left = _arranged(first, [batch, rows, summed], sizes)
    right = _arranged(second, [batch, summed, columns], sizes)
    order = "".join([*batch, *rows, *columns])
    shape = tuple(sizes[letter] for letter in order)
    back = tuple(order.index(letter) for letter in result)
    in_place = back == tuple(range(len(back)))

    if not (left or right) and in_place and len(shape) == len(batch) + 2:
        if wide == narrow:
            return np.matmul
        return lambda a, b: np.matmul(a.astype(wide), b.astype(wide)).astype(narrow)

    def compute(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a, b = a.astype(wide, copy=False), b.astype(wide, copy=False)
        product = np.matmul(left(a) if left else a, right(b) if right else b)
        if product.shape != shape:
            product = product.reshape(shape)
        if not in_place:
            product = product.transpose(back)
        return product.astype(narrow, order="C", copy=False)

    return compute


def _arranged(
    term: str, groups: list[list[str]], sizes: dict[str, int]
) -> Callable[[np.ndarray], np.ndarray] | None:
    """A function that sums an operand over letters of its own, and makes each group one axis.

    The first group, that of the batch, becomes no axis if it is empty. None if there is nothing to
    do.
    """
    wanted = [letter for group in groups for letter in group]
    dropped = tuple(axis for axis, letter in enumerate(term) if letter not in wanted)
    left = [letter for letter in term if letter in wanted]
    order = tuple(left.index(letter) for letter in wanted)
    in_order = order == tuple(range(len(order)))
    shape = tuple(math.prod(sizes[letter] for letter in group) for group in groups)
    shape = shape if groups[0] else shape[1:]
    if not dropped and in_order and shape == tuple(sizes[letter] for letter in term):
        return None

    def arrange(array: np.ndarray) -> np.ndarray:
        if dropped:
            array = array.sum(dropped)
        return (array if in_order else array.transpose(order)).reshape(shape)

    return arrange
