"""Comparisons, boolean logic and bitwise operations: elementwise, without gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from graphc.errors import UnsupportedError
from graphc.ir import FLOATS, INTEGERS, UNSIGNED_INTEGERS, Node, Sample
from graphc.ops.family import ANY, Binary, Unary

BITS = (*INTEGERS, "bool")


class _Comparison(Binary):
    """A relation; false where an operand is NaN (but for NotEqual)."""

    differentiable: ClassVar[bool] = False
    result: ClassVar[str | None] = "bool"
    relation: ClassVar[str] = ""

    def emit(self, e: Any, x: Any, y: Any) -> Any:
        return e.compare(self.relation, x, y)


class Equal(_Comparison):
    """``x == y``."""

    takes_complex: ClassVar[bool] = True
    dtypes: ClassVar[tuple[str, ...]] = ANY
    relation: ClassVar[str] = "eq"

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.equal(x, y)


class NotEqual(_Comparison):
    """``x != y``."""

    takes_complex: ClassVar[bool] = True
    dtypes: ClassVar[tuple[str, ...]] = ANY
    relation: ClassVar[str] = "ne"

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.not_equal(x, y)

    def onnx(self, context: Any, node: Node, x: str, y: str) -> Any:
        return context.node("Not", [context.node("Equal", [x, y])])


class _Order(_Comparison):
    """A relation of two numbers in their order.

    Complex numbers are in the order of their real parts; those with equal ones in the order of
    their imaginary parts.
    """

    takes_complex: ClassVar[bool] = True


class Less(_Order):
    """``x < y``."""

    relation: ClassVar[str] = "lt"

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.less(x, y)


class LessOrEqual(_Order):
    """``x <= y``."""

    relation: ClassVar[str] = "le"

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.less_equal(x, y)


class Greater(_Order):
    """``x > y``."""

    relation: ClassVar[str] = "gt"

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.greater(x, y)


class GreaterOrEqual(_Order):
    """``x >= y``."""

    relation: ClassVar[str] = "ge"

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.greater_equal(x, y)


class IsNaN(Unary):
    """Whether x is not a number; of complex ones whether a part is none."""

    takes_complex: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False
    dtypes: ClassVar[tuple[str, ...]] = FLOATS
    result: ClassVar[str | None] = "bool"

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.isnan(x)

    def emit(self, e: Any, x: Any) -> Any:
        return e.compare("ne", x, x)


# ---------------------------------------------------------------------------------------- boolean


class _Boolean(Binary):
    """A connective of truth values."""

    differentiable: ClassVar[bool] = False
    dtypes: ClassVar[tuple[str, ...]] = ("bool",)


class And(_Boolean):
    """Both."""

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.logical_and(x, y)

    def emit(self, e: Any, x: Any, y: Any) -> Any:
        return e.logical_and(x, y)


class Or(_Boolean):
    """Either or both."""

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.logical_or(x, y)

    def emit(self, e: Any, x: Any, y: Any) -> Any:
        return e.logical_or(x, y)


class Xor(_Boolean):
    """Exactly one."""

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.logical_xor(x, y)

    def emit(self, e: Any, x: Any, y: Any) -> Any:
        return e.logical_xor(x, y)


class Not(Unary):
    """The opposite truth value."""

    differentiable: ClassVar[bool] = False
    dtypes: ClassVar[tuple[str, ...]] = ("bool",)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.logical_not(x)

    def emit(self, e: Any, x: Any) -> Any:
        return e.logical_not(x)


# ---------------------------------------------------------------------------------------- bitwise


class _Bitwise(Binary):
    """An operation on the bits of integers."""

    differentiable: ClassVar[bool] = False
    dtypes: ClassVar[tuple[str, ...]] = INTEGERS

    def onnx(self, context: Any, node: Node, *names: str) -> Any:
        if context.opset < 18:
            raise UnsupportedError(
                f"{self.name}, which random numbers are made with, needs ONNX opset 18 or later, "
                f"not {context.opset}"
            )
        return super().onnx(context, node, *names)


class BitwiseAnd(_Bitwise):
    """The bits set in both."""

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.bitwise_and(x, y)

    def emit(self, e: Any, x: Any, y: Any) -> Any:
        return e.bitwise_and(x, y)


class BitwiseOr(_Bitwise):
    """The bits set in either."""

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.bitwise_or(x, y)

    def emit(self, e: Any, x: Any, y: Any) -> Any:
        return e.bitwise_or(x, y)


class BitwiseXor(_Bitwise):
    """The bits set in exactly one."""

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.bitwise_xor(x, y)

    def emit(self, e: Any, x: Any, y: Any) -> Any:
        return e.bitwise_xor(x, y)


class _Shift(_Bitwise):
    """A shift of unsigned integers by less than their width."""

    dtypes: ClassVar[tuple[str, ...]] = UNSIGNED_INTEGERS
    direction: ClassVar[str] = ""

    def onnx(self, context: Any, node: Node, x: str, y: str) -> Any:
        return context.node("BitShift", [x, y], direction=self.direction)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for dtype in ("uint8", "uint32", "uint64"):
            x = np.array([[0, 1, 5, 255, 131]]).astype(dtype)
            yield Sample(cls(), (x, np.array([[0], [1], [7]], dtype)))


class ShiftLeft(_Shift):
    """``x << y``."""

    direction: ClassVar[str] = "LEFT"

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.left_shift(x, y)

    def emit(self, e: Any, x: Any, y: Any) -> Any:
        return e.shift_left(x, y)


class ShiftRight(_Shift):
    """``x >> y``."""

    direction: ClassVar[str] = "RIGHT"

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.right_shift(x, y)

    def emit(self, e: Any, x: Any, y: Any) -> Any:
        return e.shift_right(x, y)
