"""Reductions along axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import (
    COMPLEXES,
    FLOATS,
    Node,
    Op,
    Sample,
    TensorType,
    Value,
    is_complex,
    is_float,
    is_inexact,
)
from graphc.ir.dims import Dim, Shape, product
from graphc.ops.choice import Where
from graphc.ops.elementwise import cast
from graphc.ops.family import NUMBERS, like
from graphc.ops.logic import Equal, IsNaN, Or
from graphc.ops.movement import Expand, Iota, Size, reshape_to

# ONNX has no reductions of these.
_SHORT_INTEGERS = ("int8", "int16", "uint8", "uint16", "uint32")

_SHAPES: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((3, 5), (1,)),
    ((3, 5), (0,)),
    ((2, 3, 19), (0, 2)),
    ((2, 40, 3), (1,)),
    ((4,), (0,)),
    ((1, 1), (0, 1)),
    ((3, 2), ()),
)


class Reduction(Op):
    """One number from all elements along some axes.

    Args:
        axes: The axes, not negative, in rising order. An empty tuple reduces nothing.
        keep: Whether the reduced axes stay, with size 1.
    """

    axes: tuple[int, ...]
    keep: bool = False
    dtypes: ClassVar[tuple[str, ...]] = NUMBERS
    #: Whether it takes complex numbers, too.
    takes_complex: ClassVar[bool] = False
    #: The reduction of no elements at all; None where that is an error.
    identity: ClassVar[float | None] = None

    def infer(self, x: TensorType) -> TensorType:
        if x.dtype not in self.dtypes and not (self.takes_complex and is_complex(x.dtype)):
            raise DTypeError(f"takes {', '.join(self.dtypes)}, not {x.dtype}")
        if any(not 0 <= axis < x.rank for axis in self.axes):
            raise ShapeError(f"axes {self.axes} are not all axes of a tensor of rank {x.rank}")
        if self.identity is None and any(x.shape[axis] == 0 for axis in self.axes):
            raise ShapeError("there is no such value of an empty axis")
        return x.with_shape(self.reduced(x.shape, self.keep))

    def reduced(self, shape: Shape, keep: bool) -> Shape:
        """The shape that remains of ``shape``."""
        remaining: list[Dim] = []
        for axis, dim in enumerate(shape):
            if axis not in self.axes:
                remaining.append(dim)
            elif keep:
                remaining.append(1)
        return tuple(remaining)

    def spread(self, y: Value, x: Value) -> Value:
        """A result of the reduction of ``x``, shaped to be broadcast against ``x``."""
        return reshape_to(y, self.reduced(x.shape, keep=True))

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        if not self.axes:
            return context.node("Identity", [x])
        dtype = node.output.dtype
        if dtype in _SHORT_INTEGERS:
            x = context.node("Cast", [x], to=context.onnx_dtype("int64"))
        # The axes became an operand in opset 18; those of ReduceSum already in 13.
        if context.opset >= 18 or self.name == "ReduceSum":
            axes = context.constant(np.array(self.axes, np.int64))
            y = context.node(self.name, [x, axes], keepdims=int(self.keep))
        else:
            y = context.node(self.name, [x], axes=list(self.axes), keepdims=int(self.keep))
        if dtype in _SHORT_INTEGERS:
            y = context.node("Cast", [y], to=context.onnx_dtype(dtype))
        return y

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(4)
        for dtype in ("float32", "float64", "int32", "uint8"):
            if dtype not in cls.dtypes:
                continue
            for shape, axes in _SHAPES:
                for keep in (False, True):
                    values = np.asarray(rng.permutation(int(np.prod(shape)))) * 0.3 + 0.5
                    x = (values if dtype in FLOATS else values * 2).reshape(shape).astype(dtype)
                    yield Sample(cls(axes, keep), (x,), portable=cls.is_portable(x))
        for dtype in COMPLEXES if cls.takes_complex else ():
            for shape, axes in _SHAPES:
                real, imaginary = rng.integers(1, 5, (2, *shape)) * 0.5
                yield Sample(cls(axes), ((real + 1j * imaginary).astype(dtype),))
        edges = np.array([[1, np.nan, 2], [np.inf, 1, -np.inf], [np.inf, 1, 2], [-0.0, 0.0, 1]])
        edges = edges.astype(np.float32)
        portable = cls.is_portable(edges)
        yield Sample(cls((1,)), (edges,), differentiable=False, portable=portable)
        if cls.identity is not None:
            smooth = not np.isnan(cls.identity)
            # Over no elements ONNX Runtime's mean is 0.
            none = np.zeros((0, 3))
            yield Sample(cls((0,)), (none,), differentiable=smooth, portable=smooth)
            yield Sample(cls((1,)), (none,), differentiable=smooth)

    @classmethod
    def is_portable(cls, x: np.ndarray) -> bool:
        """Whether ONNX Runtime agrees on the reduction of ``x``, for `samples`."""
        return True


class ReduceSum(Reduction):
    """The sum along the axes; 0 of no elements."""

    takes_complex: ClassVar[bool] = True
    identity: ClassVar[float | None] = 0.0

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        # In float64 where that is wider: the reference is what others are compared with.
        wide = x.astype(np.float64) if is_float(x.dtype.name) else x
        return np.sum(wide, axis=self.axes, keepdims=self.keep).astype(x.dtype)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        (x,) = node.inputs
        return (Expand(x.shape)(self.spread(dy, x)),)


class ReduceMean(Reduction):
    """The arithmetic mean along the axes; NaN of no elements."""

    takes_complex: ClassVar[bool] = True
    dtypes: ClassVar[tuple[str, ...]] = FLOATS
    identity: ClassVar[float | None] = np.nan

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            count = np.float64(product(x.shape[axis] for axis in self.axes))
            wide = x.astype(np.float64) if is_float(x.dtype.name) else x
            total = np.sum(wide, axis=self.axes, keepdims=self.keep)
            return np.asarray(total / count).astype(x.dtype)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        (x,) = node.inputs
        return (Expand(x.shape)(self.spread(dy / self._count(x), x)),)

    def decompose(self, x: Value) -> Value:
        return ReduceSum(self.axes, self.keep)(x) / self._count(x)

    def _count(self, x: Value) -> Value:
        count = product(x.shape[axis] for axis in self.axes)
        return like(x, count) if isinstance(count, int) else Size(self.axes, x.dtype)(x)


class ReduceProd(Reduction):
    """The product along the axes; 1 of no elements."""

    takes_complex: ClassVar[bool] = True
    identity: ClassVar[float | None] = 1.0

    @classmethod
    def is_portable(cls, x: np.ndarray) -> bool:
        """Products of integers wrap around; ONNX Runtime stops at the greatest number."""
        return is_float(x.dtype.name)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.prod(x, axis=self.axes, keepdims=self.keep, dtype=x.dtype)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        # The product of the others, also where an element is zero: with one zero only its own
        # derivative survives, with two or more none does.
        (x,) = node.inputs
        zero = Equal()(x, like(x, 0))
        filled = Where()(zero, like(x, 1), x)
        others = ReduceProd(self.axes, keep=True)(filled)
        zeros = ReduceSum(self.axes, keep=True)(cast(zero, x.dtype))
        single = Where()(Equal()(zeros, like(x, 1)), others, like(x, 0))
        without = Where()(Equal()(zeros, like(x, 0)), others / filled, like(x, 0))
        return (self.spread(dy, x) * Where()(zero, single, without),)


class _Extremum(Reduction):
    """An extreme element; equal extremes share the gradient.

    Complex numbers are in the order of `graphc.ops.logic.Less`; NaN has two parts of NaN.
    """

    takes_complex: ClassVar[bool] = True
    function: ClassVar[np.ufunc]

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        y = self.function.reduce(x, self.axes, keepdims=self.keep)
        return np.where(np.isnan(y), complex(np.nan, np.nan), y) if x.dtype.kind == "c" else y

    @classmethod
    def is_portable(cls, x: np.ndarray) -> bool:
        """ONNX Runtime leaves out NaN, but for double precision."""
        return not (is_float(x.dtype.name) and bool(np.any(np.isnan(x))))

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        (x,) = node.inputs
        hit = cast(Equal()(x, self.spread(node.output, x)), x.dtype)
        shares = hit / ReduceSum(self.axes, keep=True)(hit)
        return (shares * self.spread(dy, x),)


class ReduceMax(_Extremum):
    """The largest element along the axes; NaN if one is NaN."""

    function: ClassVar[np.ufunc] = np.maximum


class ReduceMin(_Extremum):
    """The smallest element along the axes; NaN if one is NaN."""

    function: ClassVar[np.ufunc] = np.minimum


class ArgMax(Op):
    """The position of the largest element along one axis; the first of equals, or of NaNs.

    Args:
        axis: The axis, not negative.
        dtype: Integer type of the result.
    """

    axis: int
    dtype: str = "int32"
    differentiable: ClassVar[bool] = False

    def infer(self, x: TensorType) -> TensorType:
        if not 0 <= self.axis < x.rank:
            raise ShapeError(f"axis {self.axis} is none of the {x.rank} axes")
        if x.shape[self.axis] == 0:
            raise ShapeError("there is no largest element of an empty axis")
        shape = [*x.shape[: self.axis], *x.shape[self.axis + 1 :]]
        return TensorType(tuple(shape), self.dtype)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.argmax(x, self.axis).astype(self.dtype)

    def gradient(self, node: Node, dy: Value) -> Sequence[None]:
        return (None,)

    def decompose(self, x: Value) -> Value:
        """The smallest position at which the maximum (or a NaN, if there is one) stands."""
        best = ReduceMax((self.axis,), keep=True)(x)
        hit = Equal()(x, best)
        if is_inexact(x.dtype):
            hit = Or()(hit, IsNaN()(x))
        positions = x.graph.apply(Iota(x.shape, self.axis, self.dtype))
        size = x.shape[self.axis]
        beyond = (
            like(positions, size) if isinstance(size, int) else Size((self.axis,), self.dtype)(x)
        )
        return ReduceMin((self.axis,))(Where()(hit, positions, beyond))

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        position = context.node("ArgMax", [x], axis=self.axis, keepdims=0)
        return context.node("Cast", [position], to=context.onnx_dtype(self.dtype))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(5)
        for shape, axis in (((3, 5), 1), ((3, 5), 0), ((2, 3, 40), 1), ((1,), 0), ((0, 3), 1)):
            for dtype in ("float32", "float64", "int32"):
                x = np.asarray(rng.integers(0, 4, shape)).astype(dtype)
                yield Sample(cls(axis), (x,))
                yield Sample(cls(axis, "int64"), (x,))


def sum_to(x: Value, shape: Shape) -> Value:
    """``x`` summed over the axes along which ``shape`` was broadcast to that of ``x``."""
    if x.shape == shape:
        return x
    extra = x.rank - len(shape)
    axes = [
        axis
        for axis in range(x.rank)
        if axis < extra or (shape[axis - extra] == 1 and x.shape[axis] != 1)
    ]
    return reshape_to(ReduceSum(tuple(axes))(x), shape)
