"""Ops that make, move and arrange elements without computing on them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import Literal, Node, Op, Sample, TensorType, Value, zeros_like
from graphc.ir.dims import Dim, Shape, broadcast_dim, divide_exactly, known, product, shape_text


class Constant(Op):
    """A tensor that is known at compile time.

    Args:
        value: Its elements.
    """

    value: Literal
    differentiable: ClassVar[bool] = False

    def infer(self) -> TensorType:
        return self.value.type

    def evaluate(self) -> np.ndarray:
        return self.value.array

    def onnx(self, context: Any, node: Node) -> Any:
        return context.constant(self.value.array)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for value in (1.5, [1, 2, 3], [[True], [False]], [np.nan, np.inf, -0.0], np.zeros((0, 3))):
            yield Sample(cls(Literal(np.asarray(value))), ())
        yield Sample(cls(Literal(np.arange(40, dtype=np.float32).reshape(5, 8) / 7)), ())


class Iota(Op):
    """``0, 1, 2, ...`` along one axis, repeated along the others.

    Args:
        shape: Shape of the result.
        axis: The axis that counts.
        dtype: A number type.
    """

    shape: Shape
    axis: int = 0
    dtype: str = "int32"
    differentiable: ClassVar[bool] = False

    def infer(self) -> TensorType:
        if not 0 <= self.axis < len(self.shape):
            raise ShapeError(f"axis {self.axis} is none of {shape_text(self.shape)}")
        return TensorType(self.shape, self.dtype)

    def evaluate(self) -> np.ndarray:
        column = [1] * len(self.shape)
        column[self.axis] = -1
        shape = known(self.shape)
        line = np.arange(shape[self.axis]).astype(self.dtype).reshape(column)
        return np.broadcast_to(line, shape)

    def onnx(self, context: Any, node: Node) -> Any:
        zero, one = (context.constant(np.array(number, np.int64)) for number in (0, 1))
        line = context.node("Range", [zero, context.dim(self.shape[self.axis]), one])
        line = context.node("Cast", [line], to=context.onnx_dtype(self.dtype))
        if len(self.shape) == 1:
            return line
        column = np.ones(len(self.shape), np.int64)
        column[self.axis] = -1
        column_shaped = context.node("Reshape", [line, context.constant(column)])
        return context.node("Expand", [column_shaped, context.shape(self.shape)])

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for shape, axis in (((5,), 0), ((2, 3), 0), ((2, 19), 1), ((0, 2), 0)):
            for dtype in ("int32", "int64", "uint32", "float32"):
                yield Sample(cls(shape, axis, dtype), ())


class Size(Op):
    """The number of elements along some axes of ``x``, as a scalar. Reads the shape only.

    Args:
        axes: The axes whose sizes are multiplied.
        dtype: Type of the result.
    """

    axes: tuple[int, ...]
    dtype: str = "float32"
    reads_types_only: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False

    def infer(self, x: TensorType) -> TensorType:
        return TensorType((), self.dtype)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.array(np.prod([x.shape[axis] for axis in self.axes]), self.dtype)

    def gradient(self, node: Node, dy: Value) -> Sequence[None]:
        return (None,)

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        (x_value,) = node.inputs
        size = context.dim(product(x_value.shape[axis] for axis in self.axes))
        return context.node("Cast", [size], to=context.onnx_dtype(self.dtype))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls((0, 2)), (np.zeros((4, 5, 3), np.float32),))
        yield Sample(cls((), "int64"), (np.zeros((4, 0)),))
        yield Sample(cls((1,), "float64"), (np.zeros((4, 0)),))


class Expand(Op):
    """``x`` broadcast to a shape, by NumPy's rule.

    Args:
        shape: The resulting shape.
    """

    shape: Shape

    def infer(self, x: TensorType) -> TensorType:
        if len(x.shape) > len(self.shape):
            raise ShapeError(f"cannot broadcast to {shape_text(self.shape)}, which has fewer axes")
        for dim, target in zip(reversed(x.shape), reversed(self.shape), strict=False):
            if broadcast_dim(dim, target) != target:
                raise ShapeError(f"cannot broadcast to {shape_text(self.shape)}")
        return x.with_shape(self.shape)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.broadcast_to(x, known(self.shape))

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (dy,)  # the sweep sums it over the broadcast axes

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        return context.node("Expand", [x, context.shape(self.shape)])

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for dtype in ("float32", "float64", "int32", "bool"):
            for source, target in (((), (2, 3)), ((3, 1), (2, 3, 5)), ((1,), (0,)), ((2,), (2,))):
                x = np.arange(math.prod(source)).reshape(source).astype(dtype)
                yield Sample(cls(target), (x,))


class Reshape(Op):
    """The same elements, in row-major order, in another shape.

    Args:
        shape: The resulting shape.
    """

    shape: Shape

    def infer(self, x: TensorType) -> TensorType:
        if x.size != product(self.shape):
            raise ShapeError(
                f"cannot reshape to {shape_text(self.shape)}: that has {product(self.shape)} "
                f"elements, not {x.size}"
            )
        return x.with_shape(self.shape)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x, order="C").reshape(self.shape)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (Reshape(node.inputs[0].shape)(dy),)

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        return context.reshape(x, node.inputs[0].shape, self.shape)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for dtype in ("float32", "float64", "int64", "bool"):
            for source, target in (((2, 6), (3, 4)), ((), (1, 1)), ((0, 3), (0,)), ((1,), ())):
                x = np.arange(math.prod(source)).reshape(source).astype(dtype)
                yield Sample(cls(target), (x,))


class Transpose(Op):
    """``x`` with its axes in another order.

    Args:
        permutation: For each axis of the result, the axis of ``x`` that it is.
    """

    permutation: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        if sorted(self.permutation) != list(range(x.rank)):
            raise ShapeError(f"{self.permutation} is no order of {x.rank} axes")
        return x.with_shape(x.shape[axis] for axis in self.permutation)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.transpose(x, self.permutation), order="C")

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (Transpose(self.inverse)(dy),)

    @property
    def inverse(self) -> tuple[int, ...]:
        """The permutation that undoes this one."""
        return tuple(int(axis) for axis in np.argsort(self.permutation))

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        if not self.permutation:
            return context.node("Identity", [x])
        return context.node("Transpose", [x], perm=list(self.permutation))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for dtype in ("float32", "float64", "int32", "bool"):
            for shape, order in (
                ((2, 3), (1, 0)),
                ((2, 3, 4), (2, 0, 1)),
                ((17, 33), (1, 0)),
                ((0, 2), (1, 0)),
                ((), ()),
                ((1, 3, 1), (2, 1, 0)),
            ):
                x = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
                yield Sample(cls(order), (x,))


class Slice(Op):
    """A part of ``x``: along each axis from ``starts`` to before ``stops`` by ``steps``.

    Args:
        starts: First position of each axis, not negative.
        stops: End of each axis, not included; at most the size of the axis.
        steps: Distances, each at least 1.
    """

    starts: tuple[Dim, ...]
    stops: tuple[Dim, ...]
    steps: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        if not len(self.starts) == len(self.stops) == len(self.steps) == x.rank:
            raise ShapeError(f"needs a start, stop and step for each of {x.rank} axes")
        for axis, (start, stop, dim) in enumerate(
            zip(self.starts, self.stops, x.shape, strict=True)
        ):
            sizes = [size for size in (start, stop, dim) if isinstance(size, int)]
            if len(sizes) == 3 and not 0 <= start <= stop <= dim:
                raise ShapeError(f"{start}:{stop} is not inside axis {axis} of size {dim}")
        return x.with_shape(self.sizes)

    @property
    def sizes(self) -> Shape:
        """The shape of the result."""
        spans = [stop - start for start, stop in zip(self.starts, self.stops, strict=True)]
        return tuple(
            span if step == 1 else (span + (step - 1)) // step
            for span, step in zip(spans, self.steps, strict=True)
        )

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        parts = zip(self.starts, self.stops, self.steps, strict=True)
        return np.asarray(x[tuple(slice(*part) for part in parts)], order="C")

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        (x,) = node.inputs
        # Elements that the steps jumped over get zeros between, the cut ends zeros outside.
        interior = tuple(step - 1 for step in self.steps)
        after = []
        for axis, step in enumerate(self.steps):
            size = dy.shape[axis]
            covered = size if step == 1 else (size - 1) * step + 1
            if size == 0:
                covered = 0
            after.append(x.shape[axis] - self.starts[axis] - covered)
        return (Pad(self.starts, tuple(after), interior)(dy),)

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        if not self.starts:
            return context.node("Identity", [x])
        starts, stops = context.shape(self.starts), context.shape(self.stops)
        axes = context.constant(np.arange(len(self.starts), dtype=np.int64))
        steps = context.constant(np.array(self.steps, np.int64))
        return context.node("Slice", [x, starts, stops, axes, steps])

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for dtype in ("float32", "float64", "int32", "bool"):
            for shape, starts, stops, steps in (
                ((4, 5), (1, 0), (3, 5), (1, 1)),
                ((7, 35), (0, 2), (7, 35), (3, 2)),
                ((4,), (2,), (2,), (1,)),
                ((4,), (2,), (2,), (2,)),
                ((), (), (), ()),
            ):
                x = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
                yield Sample(cls(starts, stops, steps), (x,))


class Pad(Op):
    """``x`` surrounded by a constant, and with it between neighbours.

    Args:
        before: How many elements are put before each axis.
        after: How many are put after it.
        interior: How many are put between two neighbours; all zeros if left out.
        value: The constant.
    """

    before: tuple[Dim, ...]
    after: tuple[Dim, ...]
    interior: tuple[int, ...] = ()
    value: float = 0.0

    @property
    def gaps(self) -> tuple[int, ...]:
        """`interior`, also where it was left out."""
        return self.interior or (0,) * len(self.before)

    def infer(self, x: TensorType) -> TensorType:
        if not len(self.before) == len(self.after) == len(self.gaps) == x.rank:
            raise ShapeError(f"needs the width of padding for each of {x.rank} axes")
        widths = [*self.before, *self.after, *self.gaps]
        if any(isinstance(width, int) and width < 0 for width in widths):
            raise ShapeError("widths of padding cannot be negative")
        return x.with_shape(
            before + after + _spread(dim, gap)
            for before, after, gap, dim in zip(
                self.before, self.after, self.gaps, x.shape, strict=True
            )
        )

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        spans = [_spread(dim, gap) for dim, gap in zip(x.shape, self.gaps, strict=True)]
        sizes = [
            before + span + after
            for before, span, after in zip(self.before, spans, self.after, strict=True)
        ]
        result = np.full(sizes, self.value, x.dtype)
        place = tuple(
            slice(before, before + span, gap + 1)
            for before, span, gap in zip(self.before, spans, self.gaps, strict=True)
        )
        result[place] = x
        return result

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        (x,) = node.inputs
        stops = tuple(
            before + _spread(dim, gap)
            for before, dim, gap in zip(self.before, x.shape, self.gaps, strict=True)
        )
        return (Slice(self.before, stops, tuple(gap + 1 for gap in self.gaps))(dy),)

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        (x_value,) = node.inputs
        shape = list(x_value.shape)
        value = context.constant(np.array(self.value, x_value.type.with_shape(()).dtype))
        for axis, gap in enumerate(self.gaps):
            if gap == 0 or shape[axis] == 0:
                continue
            # Give the axis a companion, pad that, fold it back and cut the last gap off.
            split = [*shape[: axis + 1], 1, *shape[axis + 1 :]]
            x = context.reshape(x, shape, split)
            pads = np.zeros(2 * len(split), np.int64)
            pads[len(split) + axis + 1] = gap
            x = context.node("Pad", [x, context.constant(pads), value])
            split[axis + 1] = gap + 1
            joined = [*shape[:axis], shape[axis] * (gap + 1), *shape[axis + 1 :]]
            x = context.reshape(x, split, joined)
            shape[axis] = _spread(shape[axis], gap)
            bounds = [context.constant(np.array([0], np.int64)), context.shape([shape[axis]])]
            x = context.node("Slice", [x, *bounds, context.constant(np.array([axis], np.int64))])
        if any(width != 0 for width in (*self.before, *self.after)):
            x = context.node("Pad", [x, context.shape([*self.before, *self.after]), value])
        return x

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for dtype in ("float32", "float64", "int32"):
            for shape, arguments in (
                ((2, 3), ((1, 0), (0, 2))),
                ((2, 19), ((0, 1), (2, 0), (1, 2))),
                ((0, 2), ((1, 1), (1, 1))),
                ((0, 2), ((0, 0), (3, 0), (1, 0))),
                ((3,), ((0,), (0,), (0,), 7.0)),
                ((), ((), ())),
            ):
                x = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
                yield Sample(cls(*arguments), (x,))


class Reverse(Op):
    """``x`` with the order of elements along some axes turned round.

    Args:
        axes: The axes.
    """

    axes: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        if any(not 0 <= axis < x.rank for axis in self.axes):
            raise ShapeError(f"axes {self.axes} are not all axes of {x}")
        return x

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.flip(x, self.axes), order="C")

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (Reverse(self.axes)(dy),)

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        count = len(self.axes)
        starts, steps = (context.constant(np.full(count, -1, np.int64)) for _ in range(2))
        stops = context.constant(np.full(count, np.iinfo(np.int64).min, np.int64))
        axes = context.constant(np.array(self.axes, np.int64))
        return context.node("Slice", [x, starts, stops, axes, steps])

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for dtype in ("float32", "float64", "int32", "bool"):
            for shape, axes in (((2, 3), (0,)), ((2, 19, 3), (0, 2)), ((0, 2), (0, 1))):
                x = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
                yield Sample(cls(axes), (x,))


class Concat(Op):
    """Several tensors, one after the other along one axis.

    Args:
        axis: The axis, not negative.
    """

    axis: int

    def infer(self, *types: TensorType) -> TensorType:
        first = types[0]
        if not 0 <= self.axis < first.rank:
            raise ShapeError(f"axis {self.axis} is none of the {first.rank} axes")
        for other in types[1:]:
            if other.dtype != first.dtype:
                raise DTypeError("the operands need one common dtype")
            if other.rank != first.rank:
                raise ShapeError("the operands need the same number of axes")
            for axis, (a, b) in enumerate(zip(first.shape, other.shape, strict=True)):
                if axis != self.axis and (broadcast_dim(a, b) != a or a != b):
                    raise ShapeError(f"axis {axis} differs: {a} and {b}")
        shape = list(first.shape)
        for other in types[1:]:
            shape[self.axis] = shape[self.axis] + other.shape[self.axis]
        return first.with_shape(shape)

    def evaluate(self, *arrays: np.ndarray) -> np.ndarray:
        return np.concatenate(arrays, self.axis)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        parts = []
        begin: Dim = 0
        for value in node.inputs:
            end = begin + value.shape[self.axis]
            starts: list[Dim] = [0] * dy.rank
            stops = list(dy.shape)
            starts[self.axis], stops[self.axis] = begin, end
            parts.append(Slice(tuple(starts), tuple(stops), (1,) * dy.rank)(dy))
            begin = end
        return parts

    def onnx(self, context: Any, node: Node, *names: str) -> Any:
        return context.node("Concat", names, axis=self.axis)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for dtype in ("float32", "float64", "int32", "bool"):
            for axis, shapes in (
                (0, ((2, 3), (1, 3), (4, 3))),
                (1, ((2, 3), (2, 0), (2, 18))),
                (0, ((3,),)),
                (2, ((2, 1, 2), (2, 1, 5))),
            ):
                arrays = [
                    np.arange(math.prod(shape)).reshape(shape).astype(dtype) for shape in shapes
                ]
                yield Sample(cls(axis), tuple(arrays))


class Split(Op):
    """Equal parts of ``x``, one after the other along one axis.

    Its gradient joins the parts again, which is cheaper than a sum of padded ones.

    Args:
        axis: The axis, not negative; its size is known and a multiple of ``count``.
        count: The number of parts.
    """

    axis: int
    count: int

    def infer(self, x: TensorType) -> tuple[TensorType, ...]:
        if not 0 <= self.axis < x.rank:
            raise ShapeError(f"axis {self.axis} is none of the {x.rank} axes")
        size = divide_exactly(x.shape[self.axis], self.count)
        if size is None:
            raise ShapeError(f"axis {self.axis} cannot be split into {self.count} equal parts")
        return (
            x.with_shape((*x.shape[: self.axis], size, *x.shape[self.axis + 1 :])),
        ) * self.count

    def decompose(self, x: Value) -> tuple[Value, ...]:
        size = divide_exactly(x.shape[self.axis], self.count)
        assert size is not None
        return tuple(narrow(x, self.axis, size * i, size * (i + 1)) for i in range(self.count))

    def gradient(self, node: Node, *dys: Value | None) -> Sequence[Value]:
        pairs = zip(dys, node.outputs, strict=True)
        return (Concat(self.axis)(*[dy or zeros_like(y) for dy, y in pairs]),)

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        size = node.outputs[0].shape[self.axis]
        sizes = context.shape([size] * self.count)
        return context.node("Split", [x, sizes], outputs=self.count, axis=self.axis)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for dtype in ("float32", "float64", "int32"):
            for axis, count, shape in (
                (1, 4, (3, 8)),
                (0, 2, (2, 1)),
                (0, 1, (3,)),
                (1, 3, (0, 3)),
            ):
                yield Sample(
                    cls(axis, count), (np.arange(math.prod(shape)).reshape(shape).astype(dtype),)
                )


def _spread(dim: Dim, gap: int) -> Dim:
    """The size of an axis with ``gap`` elements between two neighbours."""
    if gap == 0 or dim == 0:
        return dim
    return (dim - 1) * (gap + 1) + 1


def narrow(x: Value, axis: int, start: Dim, stop: Dim) -> Value:
    """``x[start:stop]`` along one axis."""
    starts: list[Dim] = [0] * x.rank
    stops = list(x.shape)
    starts[axis], stops[axis] = start, stop
    return Slice(tuple(starts), tuple(stops), (1,) * x.rank)(x)


def expand_to(x: Value, shape: Shape) -> Value:
    """``x`` broadcast to ``shape``; itself if it has that shape already."""
    return x if x.shape == tuple(shape) else Expand(tuple(shape))(x)


def reshape_to(x: Value, shape: Sequence[Dim]) -> Value:
    """``x`` in another shape; itself if it has that shape already."""
    return x if x.shape == tuple(shape) else Reshape(tuple(shape))(x)


def insert_axis(x: Value, axis: int) -> Value:
    """``x`` with a new axis of size 1 at ``axis``."""
    return Reshape((*x.shape[:axis], 1, *x.shape[axis:]))(x)
