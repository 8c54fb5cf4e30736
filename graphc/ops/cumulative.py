"""Running sums, products and extremes along an axis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import FLOATS, Node, Op, Sample, TensorType, Value, is_complex, is_float
from graphc.ir.dims import shape_text
from graphc.ops.control import scan
from graphc.ops.elementwise import Add, Max, Mul, cast
from graphc.ops.family import NUMBERS
from graphc.ops.movement import Transpose, expand_to

#: The types in which ONNX Runtime adds up, by what is added.
_PORTABLE = {
    **dict.fromkeys(("float16", "bfloat16"), "float32"),
    **dict.fromkeys(("int8", "int16", "uint8", "uint16", "uint32", "uint64"), "int64"),
}


class Cumulative(Op):
    """Combines each element with all before it along an axis.

    Floats of 16 bits are combined as float32.

    Args:
        axis: The axis, not negative.
        exclusive: Whether an element is left out of its own result, which of the first is then
            the value that changes nothing.
        reverse: Whether to start at the end of the axis.
    """

    axis: int
    exclusive: bool = False
    reverse: bool = False
    #: Whether it takes complex numbers, too.
    takes_complex: ClassVar[bool] = False
    #: The elementwise op that combines two elements.
    combine: ClassVar[type[Op]]
    #: NumPy's function of two operands that does the same.
    function: ClassVar[np.ufunc]

    def start(self, dtype: str) -> float:
        """The number that changes nothing when it is combined with others."""
        raise NotImplementedError

    def infer(self, x: TensorType) -> TensorType:
        if x.dtype not in NUMBERS and not (self.takes_complex and is_complex(x.dtype)):
            raise DTypeError(f"takes numbers, not {x.dtype}")
        if not 0 <= self.axis < x.rank:
            raise ShapeError(f"axis {self.axis} is none of {shape_text(x.shape)}")
        return x

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        wide = x.astype(np.float64) if is_float(x.dtype.name) else x
        line = np.moveaxis(wide, self.axis, 0)
        line = line[::-1] if self.reverse else line
        with np.errstate(all="ignore"):
            result = self.function.accumulate(line, 0, dtype=line.dtype)
        if self.exclusive and len(line):
            first = np.full_like(line[:1], self.start(x.dtype.name))
            result = np.concatenate([first, result[:-1]])
        result = result[::-1] if self.reverse else result
        with np.errstate(over="ignore"):
            return np.moveaxis(result, 0, self.axis).astype(x.dtype, order="C")

    def decompose(self, x: Value) -> Value:
        """A scan along the axis."""
        order = Transpose((self.axis, *[a for a in range(x.rank) if a != self.axis]))
        moved = cast(order(x), wide_dtype(x.dtype))
        start = x.graph.constant(self.start(moved.dtype), moved.dtype)

        def step(carries: Any, slices: Any, _: Any) -> Any:
            after = self.combine()(carries[0], slices[0])
            return [after], [carries[0] if self.exclusive else after]

        first = expand_to(start, moved.shape[1:])
        _, (running,) = scan(step, [first], [moved], reverse=self.reverse)
        return Transpose(order.inverse)(cast(running, x.dtype))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(22)
        for shape, axis in (((3, 5), 1), ((19, 3), 0), ((2, 3, 17), 1), ((1,), 0), ((3, 0), 1),
                            ((0, 3), 1), ((2, 70), 1)):  # fmt: skip
            for dtype in ("float32", "float64", "int32", "uint8", "int64"):
                numbers = rng.permutation(int(np.prod(shape))).reshape(shape) % 11 - 5
                x = (numbers * 0.25 if dtype in FLOATS else numbers).astype(dtype)
                # ONNX Runtime's scans have to take a step.
                yield Sample(cls(axis), (x,), cls.combine is not Max, portable=shape[axis] > 0)
        x = np.array([[0.5, -2.0, 0.0, 3.0, 0.25], [1.5, 0.0, 0.0, 4.0, -1.0]])
        for exclusive in (False, True):
            for reverse in (False, True):
                op = cls(1, exclusive, reverse)
                yield Sample(op, (x,), differentiable=cls.combine is not Max)
                yield Sample(op, (x.astype(np.float32),))
                yield Sample(op, (x.astype(np.float16),))
                yield Sample(op, ((4 * x).astype(np.int32),))
        yield Sample(cls(0), (rng.permutation(14).reshape(7, 2) * 0.2 - 1.3,))
        edges = np.array([[1, np.inf, 2], [np.nan, 1, 2], [1, -np.inf, np.inf]], np.float32)
        yield Sample(cls(1), (edges,), differentiable=False)


class CumSum(Cumulative):
    """The sum of the elements up to each along an axis."""

    takes_complex: ClassVar[bool] = True
    combine: ClassVar[type[Op]] = Add
    function: ClassVar[np.ufunc] = np.add

    def start(self, dtype: str) -> float:
        return 0

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (CumSum(self.axis, self.exclusive, not self.reverse)(dy),)

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        dtype = node.output.dtype
        computed = _PORTABLE.get(dtype, dtype)
        if computed != dtype:
            x = context.node("Cast", [x], to=context.onnx_dtype(computed))
        axis = context.constant(np.array(self.axis, np.int64))
        y = context.node(
            "CumSum", [x, axis], exclusive=int(self.exclusive), reverse=int(self.reverse)
        )
        return y if computed == dtype else context.node("Cast", [y], to=context.onnx_dtype(dtype))


class CumProd(Cumulative):
    """The product of the elements up to each along an axis."""

    takes_complex: ClassVar[bool] = True
    combine: ClassVar[type[Op]] = Mul
    function: ClassVar[np.ufunc] = np.multiply

    def start(self, dtype: str) -> float:
        return 1


class CumMax(Cumulative):
    """The largest of the elements up to each along an axis; NaN from the first NaN on."""

    combine: ClassVar[type[Op]] = Max
    function: ClassVar[np.ufunc] = np.maximum

    def start(self, dtype: str) -> float:
        return -np.inf if is_float(dtype) else int(np.iinfo(dtype).min)


def wide_dtype(dtype: str) -> str:
    """The type in which elements of a type are combined."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype
