"""The bits of elements read as another type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError, UnsupportedError
from graphc.ir import Node, Sample, TensorType, Value, is_float, numpy_dtype
from graphc.ir.types import dtype_size
from graphc.ops.family import NUMBERS, Elementwise


class Bitcast(Elementwise):
    """The same bits as elements of another type, which has to be as wide.

    Args:
        dtype: The element type of the result.
    """

    dtype: str
    dtypes: ClassVar[tuple[str, ...]] = NUMBERS
    differentiable: ClassVar[bool] = False

    def infer(self, x: TensorType) -> TensorType:
        for dtype in (x.dtype, self.dtype):
            if dtype not in NUMBERS:
                raise DTypeError(f"reads the bits of numbers, not of {dtype}")
        if dtype_size(x.dtype) != dtype_size(self.dtype):
            raise DTypeError(f"{x.dtype} and {self.dtype} differ in width")
        return x.with_dtype(self.dtype)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x).view(numpy_dtype(self.dtype)).reshape(x.shape)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value | None]:
        return (None,)

    def emit(self, e: Any, x: Any) -> Any:
        return e.bitcast(x, self.dtype)

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        to = context.onnx_dtype(self.dtype)
        if not is_float(node.inputs[0].dtype) and not is_float(self.dtype):
            return context.node("Cast", [x], to=to)
        if context.opset < 26:
            raise UnsupportedError(
                f"the bits of {node.inputs[0].dtype} as {self.dtype} need ONNX opset 26 or later, "
                f"not {context.opset}"
            )
        return context.node("BitCast", [x], to=to)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        edges = np.array([[0.0, -0.0, 1.5, -np.inf, 1e-40, -7.0]])
        for dtype in ("float16", "bfloat16", "float32", "float64"):
            x = edges.astype(numpy_dtype(dtype))
            bits = 8 * dtype_size(dtype)
            for other in (f"int{bits}", f"uint{bits}"):
                yield Sample(cls(other), (x,), portable=False)
                back = x.view(other)
                yield Sample(cls(dtype), (back,), portable=False)
        numbers = np.array([0, 1, -1, -128, 127], np.int8)
        for dtype in ("int8", "int16", "int32", "int64"):
            yield Sample(cls(f"u{dtype}"), (numbers.astype(dtype),))
            yield Sample(cls(dtype), (numbers.astype(dtype).view(f"u{dtype}"),))
            yield Sample(cls(dtype), (numbers[:0].astype(dtype),))
