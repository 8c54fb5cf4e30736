"""Where differentiation ends, and where things are computed anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.ir import Node, Op, Sample, TensorType, Value
from graphc.ops.family import ANY, Elementwise


class StopGradient(Elementwise):
    """``x`` itself, as a constant to the reverse sweep."""

    takes_complex: ClassVar[bool] = True
    dtypes: ClassVar[tuple[str, ...]] = ANY
    differentiable: ClassVar[bool] = False

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return x

    def emit(self, e: Any, x: Any) -> Any:
        return x

    def onnx(self, context: Any, node: Node, *names: str) -> Any:
        return context.node("Identity", names)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for dtype in ("float32", "float64", "int32", "bool"):
            for shape in ((2, 17), (), (0, 3)):
                yield Sample(cls(), (np.ones(shape, dtype),), differentiable=False)


class After(Op):
    """``x`` itself, but no earlier than ``moment`` is known.

    Common subexpressions are not shared across it, so what depends on it is computed again.
    """

    def infer(self, x: TensorType, moment: TensorType) -> TensorType:
        return x

    def evaluate(self, x: np.ndarray, moment: np.ndarray) -> np.ndarray:
        return x

    def gradient(self, node: Node, dy: Value) -> Sequence[Value | None]:
        return [dy, None]

    def onnx(self, context: Any, node: Node, x: str, moment: str) -> Any:
        return context.node("Identity", [x])

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for dtype in ("float32", "float64", "int32", "bool"):
            for shape in ((2, 17), (), (0, 3)):
                yield Sample(cls(), (np.ones(shape, dtype), np.zeros(5, np.float32)))
        yield Sample(cls(), (np.array([0.5, -1.0]), np.zeros(5)), smooth_in=(0,))
