"""Contractions: products of two tensors summed over shared axes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphc.errors import DimensionMismatchError, DTypeError, ShapeError
from graphc.ir import Node, Op, Sample, TensorType, Value, is_float
from graphc.ir.dims import Dim, SymbolicDim
from graphc.ops.movement import Expand, insert_axis
from graphc.ops.reduce import ReduceSum

_EQUATION = re.compile(r"[A-Za-z]*,[A-Za-z]*->[A-Za-z]*")


class Einsum(Op):
    """Einstein's summation of two operands: dense layers, batched products, and their gradients.

    Each axis is a letter. Letters in the result are kept; the others are multiplied and summed
    over. A letter occurs at most once in each operand; every letter of the result is in an operand.

    Args:
        equation: Such as ``"bi,io->bo"``.

    Example:
        >>> Einsum("bi,io->bo")(x, kernel)
    """

    equation: str

    @property
    def terms(self) -> tuple[str, str, str]:
        """The letters of the operands and of the result."""
        operands, result = self.equation.split("->")
        x, y = operands.split(",")
        return x, y, result

    def infer(self, x: TensorType, y: TensorType) -> TensorType:
        if not _EQUATION.fullmatch(self.equation):
            raise ShapeError(f'"{self.equation}" is no equation of the form "bi,io->bo"')
        first, second, result = self.terms
        if len(set(result)) != len(result):
            raise ShapeError(f'the equation "{self.equation}" repeats a letter of its result')
        if x.dtype != y.dtype or x.dtype == "bool":
            raise DTypeError("the operands need one common number type")
        sizes: dict[str, Dim] = {}
        for letters, operand in ((first, x), (second, y)):
            if len(letters) != operand.rank:
                raise ShapeError(f'"{letters}" of "{self.equation}" names {len(letters)} axes')
            if len(set(letters)) != len(letters):
                raise ShapeError(f'"{letters}" repeats a letter')
            for letter, dim in zip(letters, operand.shape, strict=True):
                known = sizes.setdefault(letter, dim)
                if known == dim:
                    continue
                message = f'axis "{letter}" of "{self.equation}" has sizes {known} and {dim}'
                if isinstance(known, SymbolicDim) and isinstance(dim, SymbolicDim):
                    raise DimensionMismatchError(message, known, dim)
                raise ShapeError(message)
        if any(letter not in sizes for letter in result):
            raise ShapeError(f'"{self.equation}" makes up a letter')
        return TensorType(tuple(sizes[letter] for letter in result), x.dtype)

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        wide = np.float64 if is_float(x.dtype.name) else x.dtype
        product = np.einsum(self.equation, x.astype(wide), y.astype(wide), optimize=True)
        return np.asarray(product).astype(x.dtype, order="C")

    def gradient(self, node: Node, dz: Value) -> Sequence[Value]:
        x, y = node.inputs
        first, second, result = self.terms
        return (
            _contract_towards(dz, result, y, second, x, first),
            _contract_towards(dz, result, x, first, y, second),
        )

    def onnx(self, context: Any, node: Node, x: str, y: str) -> Any:
        first, second, result = self.terms
        x_rank, y_rank = len(first), len(second)
        if first[-1:] == second[:1] and y_rank == 2 and result == first[:-1] + second[1:]:
            return context.node("MatMul", [x, y])
        batched = x_rank == y_rank == len(result) >= 2
        if batched and result[:-2] == first[:-2] == second[:-2]:
            # One product per batch entry, with either operand's last two axes swapped or not.
            rows, columns = result[-2], result[-1]
            inner = (set(first[-2:]) & set(second[-2:])).difference(result)
            if len(inner) == 1 and rows in first and columns in second:
                swap = [*range(x_rank - 2), x_rank - 1, x_rank - 2]
                if first[-1] not in inner:
                    x = context.node("Transpose", [x], perm=swap)
                if second[-2] not in inner:
                    y = context.node("Transpose", [y], perm=swap)
                return context.node("MatMul", [x, y])
        return context.node("Einsum", [x, y], equation=self.equation)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(6)
        for equation, shapes in (
            ("bi,io->bo", ((3, 5), (5, 4))),
            ("bi,io->bo", ((33, 17), (17, 50))),
            ("bi,io->bo", ((1, 1), (1, 1))),
            ("bi,io->bo", ((2, 0), (0, 3))),
            ("bi,io->bo", ((0, 2), (2, 3))),
            ("bo,io->bi", ((3, 5), (4, 5))),
            ("bi,bo->io", ((7, 3), (7, 18))),
            ("bti,io->bto", ((2, 3, 4), (4, 5))),
            ("bhqd,bhkd->bhqk", ((2, 3, 4, 5), (2, 3, 6, 5))),
            ("bqhd,bkhd->bhqk", ((2, 4, 3, 5), (2, 6, 3, 5))),
            ("i,j->ij", ((3,), (19,))),
            ("i,i->", ((19,), (19,))),
            ("ij,ij->j", ((3, 4), (3, 4))),
            ("ij,k->ik", ((3, 4), (2,))),
        ):
            for dtype in ("float32", "float64"):
                x, y = (np.asarray(rng.normal(size=shape)).astype(dtype) for shape in shapes)
                yield Sample(cls(equation), (x, y))
        integers = [rng.integers(0, 9, shape).astype(np.int32) for shape in ((3, 5), (5, 4))]
        yield Sample(cls("bi,io->bo"), tuple(integers))


def _contract_towards(
    dz: Value, result: str, other: Value, other_term: str, wanted: Value, wanted_term: str
) -> Value:
    """The cotangent of the operand ``wanted``: dz contracted with the other operand."""
    reachable = [letter for letter in wanted_term if letter in result or letter in other_term]
    dx = Einsum(f"{result},{other_term}->{''.join(reachable)}")(dz, other)
    # A letter that only the wanted operand had was summed out: dx is the same all along it.
    for axis, letter in enumerate(wanted_term):
        if letter not in reachable:
            dx = insert_axis(dx, axis)
    return dx if dx.shape == wanted.shape else Expand(wanted.shape)(dx)


def matmul(x: Value, y: Value) -> Value:
    """``x @ y`` for operands of rank 1 or more, batch axes broadcast, as NumPy's ``matmul``."""
    x_batch, y_batch = x.rank - 2, y.rank - 2
    letters = "abcdefgh"
    batch = letters[: max(x_batch, y_batch, 0)]
    x_term = (batch[len(batch) - x_batch :] if x_batch > 0 else "") + ("mk" if x.rank > 1 else "k")
    y_term = (batch[len(batch) - y_batch :] if y_batch > 0 else "") + ("kn" if y.rank > 1 else "k")
    # A batch axis of size 1 against a larger one is dropped: it contributes the same everywhere.
    x, x_term = _drop_broadcast(x, x_term, y, y_term)
    y, y_term = _drop_broadcast(y, y_term, x, x_term)
    result = batch + ("m" if "m" in x_term else "") + ("n" if "n" in y_term else "")
    return Einsum(f"{x_term},{y_term}->{result}")(x, y)


def _drop_broadcast(x: Value, x_term: str, y: Value, y_term: str) -> tuple[Value, str]:
    sizes = dict(zip(y_term, y.shape, strict=True))
    dropped = [
        axis
        for axis, letter in enumerate(x_term)
        if letter in "abcdefgh" and x.shape[axis] == 1 and sizes.get(letter, 1) != 1
    ]
    if not dropped:
        return x, x_term
    kept = "".join(letter for axis, letter in enumerate(x_term) if axis not in dropped)
    return ReduceSum(tuple(dropped))(x), kept
