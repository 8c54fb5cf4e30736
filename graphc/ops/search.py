"""Search in a sorted vector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import COMPLEXES, Node, Op, Sample, TensorType, Value, filled, is_inexact
from graphc.ops.choice import Where
from graphc.ops.elementwise import Div
from graphc.ops.family import NUMBERS, like
from graphc.ops.gather import Gather
from graphc.ops.logic import And, IsNaN, Less, LessOrEqual, Not, Or
from graphc.ops.movement import Size, expand_to


class SearchSorted(Op):
    """The places at which values can be put into a sorted vector so that it stays sorted (int32).

    Operands: the vector, in rising order with NaN last, and the values, of the same type.

    Args:
        right: Whether a value goes behind elements that equal it, rather than in front of them.
    """

    right: bool = False
    differentiable: ClassVar[bool] = False

    def infer(self, line: TensorType, values: TensorType) -> TensorType:
        if line.rank != 1:
            raise ShapeError(f"searches in a vector, not in {line}")
        if line.dtype != values.dtype or line.dtype not in (*NUMBERS, *COMPLEXES):
            raise DTypeError("the vector and the values need one common number type")
        return values.with_dtype("int32")

    def evaluate(self, line: np.ndarray, values: np.ndarray) -> np.ndarray:
        if line.dtype.name == "bfloat16":
            line, values = line.astype(np.float32), values.astype(np.float32)
        places = np.searchsorted(line, values, side="right" if self.right else "left")
        return np.asarray(places).astype(np.int32)

    def gradient(self, node: Node, dy: Value) -> Sequence[None]:
        return None, None

    def decompose(self, line: Value, values: Value) -> Value:
        """Bisection: a place lies between low and high, and each step halves what is between."""
        graph, size = line.graph, line.shape[0]
        low = zero = filled(graph, TensorType(values.shape, "int32"), 0)
        if size == 0:
            return zero
        known = isinstance(size, int)
        count = graph.constant(size, "int32") if known else Size((0,), "int32")(line)
        high = expand_to(count, values.shape)
        for _ in range(size.bit_length() if isinstance(size, int) else 31):
            between = Less()(low, high)
            middle = Div()(low + high, like(low, 2))
            element = Gather(0)(line, Where()(between, middle, zero))
            behind = self._goes_behind(element, values)
            low, high = (
                Where()(And()(between, behind), middle + 1, low),
                Where()(And()(between, Not()(behind)), middle, high),
            )
        return low

    def _goes_behind(self, element: Value, value: Value) -> Value:
        """Whether a value belongs behind an element; NaN is larger than all numbers."""
        if not self.right:
            less = Less()(element, value)
            if not is_inexact(value.dtype):
                return less
            return Or()(less, And()(IsNaN()(value), Not()(IsNaN()(element))))
        smaller = LessOrEqual()(element, value)
        return Or()(smaller, IsNaN()(value)) if is_inexact(value.dtype) else smaller

    def onnx(self, context: Any, node: Node, line: str, values: str) -> Any:
        return context.decomposed(node, line, values)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(23)
        for right in (False, True):
            for size, shape in ((7, (3, 5)), (1, (4,)), (0, (2,)), (64, ()), (33, (0, 2))):
                for dtype in ("float32", "float64", "int32", "uint8"):
                    line = np.sort(rng.integers(0, 20, size)).astype(dtype)
                    values = np.asarray(rng.integers(0, 20, shape)).astype(dtype)
                    yield Sample(cls(right), (line, values))
            line = np.sort(rng.integers(0, 3, 9) + 1j * rng.integers(0, 3, 9))
            values = rng.integers(0, 3, (4, 5)) + 1j * rng.integers(0, 3, (4, 5))
            yield Sample(cls(right), (line, values))
            edges = np.array([-np.inf, -1, 0, 1, np.inf, np.nan, np.nan], np.float32)
            yield Sample(cls(right), (edges, edges[None] + np.float32(0.0)))
