"""Sorting along an axis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir import FLOATS, Node, Op, Sample, TensorType, Value, is_float, is_inexact
from graphc.ir.dims import Dim, shape_text
from graphc.ops.gather import scatter_along_axis

#: The types in which ONNX Runtime sorts, and a type for each other that keeps the order.
_PORTABLE = {
    **dict.fromkeys(("int8", "int16", "uint8", "uint16", "bool"), "int32"),
    **dict.fromkeys(("float16", "bfloat16"), "float32"),
    "uint32": "int64",
}


class Sort(Op):
    """The elements of ``x`` in order along an axis, and (int32) where each of them stood.

    NaN counts as larger than everything, and the two zeros as equal. Equal elements keep their
    order, so the positions are unique. Complex numbers are in the order of their real parts, and of
    their imaginary parts where those are equal. ONNX has the same op under the name TopK.

    Args:
        axis: The axis, not negative.
        descending: Whether the largest element comes first.
        count: How many elements there are to be along the axis: the first ones. None for all.
    """

    axis: int
    descending: bool = False
    count: Dim | None = None

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        if not 0 <= self.axis < x.rank:
            raise ShapeError(f"axis {self.axis} is none of {shape_text(x.shape)}")
        size = x.shape[self.axis]
        count = size if self.count is None else self.count
        if isinstance(size, int) and isinstance(count, int) and count > size:
            raise ShapeError(f"axis {self.axis} has {size} elements, so no first {count} of them")
        values = x.with_shape((*x.shape[: self.axis], count, *x.shape[self.axis + 1 :]))
        return values, values.with_dtype("int32")

    def evaluate(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        keys = x.astype(np.float32) if x.dtype.name == "bfloat16" else x
        if self.descending:
            keys = np.flip(keys, self.axis)
        if x.dtype.kind == "c":
            order = np.lexsort((keys.imag, keys.real), axis=self.axis)
        else:
            order = np.argsort(keys, axis=self.axis, kind="stable")
        if self.descending:
            order = x.shape[self.axis] - 1 - np.flip(order, self.axis)
        order = order.take(np.arange(self._length(x)), self.axis)
        return np.take_along_axis(x, order, self.axis), order.astype(np.int32)

    def _length(self, x: np.ndarray) -> int:
        return x.shape[self.axis] if self.count is None else int(self.count)

    def gradient(self, node: Node, dy: Value | None, _: Value | None) -> Sequence[Value | None]:
        (x,) = node.inputs
        if dy is None or not is_inexact(x.dtype):
            return (None,)
        return (scatter_along_axis(dy, node.outputs[1], self.axis, x.shape),)

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        """TopK. As it may leave NaN anywhere, whole axes of floats are sorted with care."""
        (operand,) = node.inputs
        values, _ = node.outputs
        dtype = _PORTABLE.get(operand.dtype, operand.dtype)
        if dtype != operand.dtype:
            x = context.node("Cast", [x], to=context.onnx_dtype(dtype))
        count = context.shape([values.shape[self.axis]])
        if self.count is None and is_float(dtype):
            y, order = self._with_nan(context, x, dtype, count)
        else:
            y, order = self._top(context, x, count)
        if dtype != operand.dtype:
            y = context.node("Cast", [y], to=context.onnx_dtype(operand.dtype))
        return y, context.node("Cast", [order], to=context.onnx_dtype("int32"))

    def _top(self, context: Any, x: str, count: str) -> Any:
        return context.node(
            "TopK", [x, count], outputs=2, axis=self.axis, largest=int(self.descending), sorted=1
        )

    def _with_nan(self, context: Any, x: str, dtype: str, count: str) -> tuple[str, str]:
        """As if it were infinite at first, then NaN is brought behind: that keeps the order."""
        infinity = context.constant(np.array(np.inf, dtype))
        number = context.node("Where", [context.node("IsNaN", [x]), infinity, x])
        _, first = self._top(context, number, count)
        y = context.node("GatherElements", [x, first], axis=self.axis)
        missing = context.node("Cast", [context.node("IsNaN", [y])], to=context.onnx_dtype("int32"))
        _, second = self._top(context, missing, count)
        pick = [context.node("GatherElements", [z, second], axis=self.axis) for z in (y, first)]
        return pick[0], pick[1]

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(21)
        for shape, axis in (((3, 5), 1), ((40, 3), 0), ((2, 19, 3), 1), ((1,), 0), ((0, 3), 0),
                            ((3, 0), 0), ((130,), 0)):  # fmt: skip
            for dtype in ("float32", "float64", "int32", "uint8", "int64"):
                numbers = rng.permutation(int(np.prod(shape))).reshape(shape) - 7
                x = np.asarray(numbers * 0.5 if dtype in FLOATS else numbers % 11).astype(dtype)
                yield Sample(cls(axis), (x,))
                yield Sample(cls(axis, descending=True), (x,))
        x = rng.permutation(38).reshape(2, 19) * 0.25
        yield Sample(cls(1, descending=True, count=3), (x,))
        yield Sample(cls(1, count=0), (x,))
        edges = np.array([[1, np.nan, np.inf, -0.0, 0.0, -np.inf, -1, np.nan, 1e-40, 1]])
        for dtype in ("float16", "float32", "float64"):
            for descending in (False, True):
                yield Sample(cls(1, descending), (edges.astype(dtype),), differentiable=False)
        for dtype in ("complex64", "complex128"):
            z = rng.integers(0, 4, (2, 19)) + 1j * rng.permutation(38).reshape(2, 19)
            yield Sample(cls(1), (z.astype(dtype),))
            yield Sample(cls(0, descending=True, count=1), (z.astype(dtype),))
        limits = np.iinfo(np.int64)
        wide = np.array([limits.max, limits.min, 0, -1, limits.max, 1 << 32, (1 << 32) + 1])
        yield Sample(cls(0), (wide,))
        yield Sample(cls(0, descending=True), (wide,))
        yield Sample(cls(0), (wide.astype(np.uint64),), portable=False)
        yield Sample(cls(0), (np.array([True, False, True]),))


def sort(x: Value, axis: int, descending: bool = False, count: Dim | None = None) -> Value:
    """The elements of ``x`` in order along an axis; see `Sort`."""
    return Sort(axis, descending, count)(x)[0]


def order(x: Value, axis: int, descending: bool = False, count: Dim | None = None) -> Value:
    """The positions that sort ``x`` along an axis; see `Sort`."""
    return Sort(axis, descending, count)(x)[1]
