"""`Einsum` in NumPy, for operands whose types are known beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from graphc.ir import TensorType, is_float, numpy_dtype
from graphc.ir.dims import known


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
    # For matrices that are copies `dot` is the same call of BLAS with half of the preparations.
    lengths = [math.prod(sizes[letter] for letter in group) for group in (rows, summed, columns)]
    multiply = np.matmul if batch or wide == narrow or min(lengths) < 2 else np.dot

    if not (left or right) and in_place and len(shape) == len(batch) + 2:
        if wide == narrow:
            return np.matmul
        return lambda a, b: multiply(a.astype(wide), b.astype(wide)).astype(narrow)

    def compute(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a, b = a.astype(wide, copy=False), b.astype(wide, copy=False)
        product = multiply(left(a) if left else a, right(b) if right else b)
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
