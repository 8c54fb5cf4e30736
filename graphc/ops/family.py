"""What families of elementwise ops have in common, so that an op states only what is its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import COMPLEXES, FLOATS, INTEGERS, Node, Op, Sample, TensorType, Value, is_complex
from graphc.ir.dims import broadcast_shapes

NUMBERS = (*FLOATS, *INTEGERS)
ANY = (*NUMBERS, "bool")

#: Values at which elementwise functions are known to go wrong.
EDGES = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-30, 3e38, -88.0, 88.0)


def like(x: Value, number: float | int | bool) -> Value:
    """The scalar constant ``number`` with the dtype of ``x``, in its graph."""
    return x.graph.constant(number, x.dtype)


def wide(array: np.ndarray) -> np.ndarray:
    """A copy in double precision."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


class Elementwise(Op):
    """Computes each element of the output from the elements in the same place.

    Operands are broadcast against each other by NumPy's rule and share one dtype.
    """

    elementwise: ClassVar[bool] = True
    #: How many operands it takes; None if its rules say so themselves.
    arity: ClassVar[int | None] = None
    #: Whether it takes complex numbers, too.
    takes_complex: ClassVar[bool] = False
    #: The other element types it takes.
    dtypes: ClassVar[tuple[str, ...]] = NUMBERS
    #: The element type it gives; None for that of the operands.
    result: ClassVar[str | None] = None
    #: The ONNX op; None if it has the same name.
    onnx_name: ClassVar[str | None] = None

    def infer(self, *types: TensorType) -> TensorType:
        """The broadcast shape; the dtype of the operands, or the family's fixed one."""
        if self.arity not in (None, len(types)):
            raise ShapeError(f"takes {self.arity} operands, not {len(types)}")
        first = types[0].dtype
        if any(type.dtype != first for type in types):
            raise DTypeError("the operands need one common dtype")
        if first not in self.dtypes and not (self.takes_complex and is_complex(first)):
            raise DTypeError(f"takes {', '.join(self.dtypes)}, not {first}")
        shape = broadcast_shapes(*[type.shape for type in types])
        return TensorType(shape, self.result or first)

    def onnx(self, context: Any, node: Node, *names: str) -> Any:
        """One ONNX node of the same meaning."""
        return context.node(self.onnx_name or self.name, names)


class Unary(Elementwise):
    """``y = f(x)``."""

    arity: ClassVar[int | None] = 1
    #: Where finite differences are taken: the open interval in which f is smooth.
    domain: ClassVar[tuple[float, float]] = (-3.0, 3.0)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        """Ordinary values in the domain, in several shapes; the edge values."""
        rng = np.random.default_rng(1)
        for dtype in cls.dtypes:
            if dtype in ("float16", "bfloat16", "int8", "int16", "uint16", "uint64"):
                continue
            for shape in ((2, 17), (), (0, 3), (1, 1, 1)):
                values = rng.uniform(*cls.domain, size=shape)
                x = np.asarray(values if dtype != "bool" else values > 0).astype(dtype)
                yield Sample(cls(), (x,))
        for dtype in ("float32", "float64"):
            if dtype in cls.dtypes:
                yield Sample(cls(), (np.array(EDGES, dtype),), differentiable=False)
        for dtype in COMPLEXES if cls.takes_complex else ():
            for shape in ((2, 17), (0, 3)):
                real, imaginary = rng.uniform(*cls.domain, size=(2, *shape))
                yield Sample(cls(), ((real + 1j * imaginary).astype(dtype),))


class Binary(Elementwise):
    """``z = f(x, y)``."""

    arity: ClassVar[int | None] = 2
    #: Where each operand is drawn from for finite differences.
    domain: ClassVar[tuple[float, float]] = (0.3, 2.0)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        """Broadcasts of every kind, and all pairs of edge values."""
        rng = np.random.default_rng(2)
        pairs = (((3, 5), (5,)), ((4, 1), (1, 7)), ((), (2,)), ((0, 3), (1, 3)), ((2, 19), (2, 19)))
        for dtype in cls.dtypes:
            if dtype in ("float16", "bfloat16", "int8", "int16", "uint16", "uint64"):
                continue
            for shapes in pairs:
                scale = 1 if dtype in FLOATS else 9
                drawn = [scale * rng.uniform(*cls.domain, size=shape) for shape in shapes]
                middle = np.mean(cls.domain) if dtype == "bool" else None
                chosen = [values if middle is None else values > middle for values in drawn]
                arrays = [np.asarray(values).astype(dtype) for values in chosen]
                yield Sample(cls(), tuple(arrays))
        for dtype in ("float32", "float64"):
            if dtype in cls.dtypes:
                x, y = np.meshgrid(np.array(EDGES, dtype), np.array(EDGES, dtype))
                yield Sample(cls(), (x, y), differentiable=False)
        for dtype in COMPLEXES if cls.takes_complex else ():
            for shapes in pairs:
                drawn = [rng.uniform(*cls.domain, size=(2, *shape)) for shape in shapes]
                numbers = [np.asarray(x + 1j * y).astype(dtype) for x, y in drawn]
                yield Sample(cls(), tuple(numbers))
