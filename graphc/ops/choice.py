"""Choice between elements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError
from graphc.ir import Node, Sample, TensorType, Value
from graphc.ir.dims import broadcast_shapes
from graphc.ops.family import ANY, Elementwise, like


class Where(Elementwise):
    """``x`` where the condition holds, else ``y``."""

    dtypes: ClassVar[tuple[str, ...]] = ANY

    def infer(self, condition: TensorType, x: TensorType, y: TensorType) -> TensorType:
        if condition.dtype != "bool":
            raise DTypeError(f"the condition has to be bool, not {condition.dtype}")
        if x.dtype != y.dtype:
            raise DTypeError("both choices need one common dtype")
        return TensorType(broadcast_shapes(condition.shape, x.shape, y.shape), x.dtype)

    def evaluate(self, condition: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(condition, x, y)

    def gradient(self, node: Node, dz: Value) -> Sequence[Value | None]:
        condition = node.inputs[0]
        zero = like(dz, 0)
        return None, Where()(condition, dz, zero), Where()(condition, zero, dz)

    def emit(self, e: Any, condition: Any, x: Any, y: Any) -> Any:
        return e.select(condition, x, y)

    def onnx(self, context: Any, node: Node, condition: str, x: str, y: str) -> Any:
        if node.output.dtype != "bool":
            return context.node("Where", [condition, x, y])
        # ONNX Runtime chooses between numbers only.
        first = context.node("And", [condition, x])
        second = context.node("And", [context.node("Not", [condition]), y])
        return context.node("Or", [first, second])

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(3)
        for shapes in (((3, 5), (5,), ()), ((4, 1), (1, 7), (4, 7)), ((0,), (1,), (1,))):
            condition = rng.random(shapes[0]) > 0.5
            for dtype in ("float32", "float64", "int32", "bool"):
                x, y = (np.asarray(rng.normal(size=shape)).astype(dtype) for shape in shapes[1:])
                yield Sample(cls(), (condition, x, y))
