"""Where differentiation ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from graphc.ir import Node, Sample
from graphc.ops.family import ANY, Elementwise


class StopGradient(Elementwise):
    """``x`` itself, as a constant to the reverse sweep."""

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
