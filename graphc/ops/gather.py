"""Rows by index: gather, scatters, and the sum that is the adjoint of the gather."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError, ShapeError, UnsupportedError
from graphc.ir import (
    Graph,
    Node,
    Op,
    Sample,
    TensorType,
    Value,
    filled,
    is_complex,
    is_float,
    is_integer,
    numpy_dtype,
)
from graphc.ir.dims import Dim, Shape, broadcast_shapes, product, shape_text
from graphc.ops.choice import Where
from graphc.ops.elementwise import Add, Min, cast
from graphc.ops.family import NUMBERS, like
from graphc.ops.logic import And, Equal
from graphc.ops.movement import Iota, Size, insert_axis, reshape_to
from graphc.ops.reduce import ReduceSum


class Gather(Op):
    """The slices of ``x`` along one axis that ``indices`` name.

    The result has the shape of ``x`` with the axis replaced by the axes of ``indices``. A negative
    index counts from the end. An index that is out of range gives NaN; in integers the least
    number of a signed type and the greatest of an unsigned one; in bool True. (So does JAX: nothing
    is ever read out of bounds, and a wrong index shows.) ONNX Runtime refuses such an index.

    Args:
        axis: The axis that the indices go along, not negative.
    """

    axis: int = 0

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        if not is_integer(indices.dtype):
            raise DTypeError(f"the indices have to be integers, not {indices.dtype}")
        if not 0 <= self.axis < x.rank:
            raise ShapeError(f"axis {self.axis} is none of {shape_text(x.shape)}")
        return x.with_shape((*x.shape[: self.axis], *indices.shape, *x.shape[self.axis + 1 :]))

    def evaluate(self, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
        places, known = _places(indices, x.shape[self.axis])
        shape = (*x.shape[: self.axis], *indices.shape, *x.shape[self.axis + 1 :])
        result = np.full(shape, missing(x.dtype.name), x.dtype)
        # With the axis in front, as views: one index is enough there.
        inside = np.moveaxis(
            result, range(self.axis, self.axis + indices.ndim), range(indices.ndim)
        )
        inside[known] = np.moveaxis(x, self.axis, 0)[places]
        return result

    def gradient(self, node: Node, dy: Value) -> Sequence[Value | None]:
        x, indices = node.inputs
        return ScatterAdd(self.axis, x.shape[self.axis])(indices, dy), None

    def onnx(self, context: Any, node: Node, x: str, indices: str) -> Any:
        if node.inputs[1].dtype not in ("int32", "int64"):
            indices = context.node("Cast", [indices], to=context.onnx_dtype("int64"))
        return context.node("Gather", [x, indices], axis=self.axis)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(13)
        for shape, axis, places in scatter_cases():
            for dtype, index_dtype in (
                ("float32", "int32"),
                ("float64", "int64"),
                ("int32", "uint8"),
                ("bool", "int32"),
            ):
                x = np.asarray(rng.normal(size=shape) * 9).astype(dtype)
                indices = np.asarray(np.abs(places) if index_dtype == "uint8" else places)
                known = _all_known(indices, shape[axis])
                operands = (x, indices.astype(index_dtype))
                yield Sample(cls(axis), operands, differentiable=known, portable=known)


class Pick(Op):
    """From each line of ``x`` along one axis the element that an index names, 0 if there is none.

    Operands: ``x`` and ``indices`` (int32), of the shape of ``x`` without the axis, or one that is
    broadcast with it. A negative index names nothing. What is not picked does not matter, be it
    infinite.

    Args:
        axis: The axis along which an element is picked, not negative.
    """

    axis: int

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        if x.dtype not in NUMBERS or indices.dtype != "int32":
            raise DTypeError(f"takes numbers and int32 indices, not {x.dtype} and {indices.dtype}")
        if not 0 <= self.axis < x.rank:
            raise ShapeError(f"axis {self.axis} is none of {shape_text(x.shape)}")
        others = (*x.shape[: self.axis], *x.shape[self.axis + 1 :])
        return x.with_shape(broadcast_shapes(others, indices.shape))

    def decompose(self, x: Value, indices: Value) -> Value:
        for _ in range(x.rank - 1 - indices.rank):
            indices = insert_axis(indices, 0)
        chosen = one_hot(indices, x.shape[self.axis], "bool", self.axis)
        return ReduceSum((self.axis,))(Where()(chosen, x, like(x, 0)))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(15)
        for shape, axis in (((5, 3), 1), ((5, 3), 0), ((2, 1, 4), 1), ((0, 3), 1), ((3,), 0)):
            others = (*shape[:axis], *shape[axis + 1 :])
            for dtype in ("float32", "float64", "int32"):
                x = np.asarray(9 * rng.normal(size=shape)).astype(dtype)
                for low, high in ((0, shape[axis]), (-2, shape[axis] + 2)):
                    indices = np.asarray(rng.integers(low, high, others), np.int32)
                    yield Sample(cls(axis), (x, indices))
        infinite = np.array([[1, -np.inf, 2], [np.inf, 3, np.nan]], np.float32)
        yield Sample(cls(1), (infinite, np.array([2, 1], np.int32)), differentiable=False)
        yield Sample(cls(1), (np.zeros((2, 0)), np.array([0, 1], np.int32)))
        yield Sample(cls(1), (rng.normal(size=(4, 3)), np.array([1], np.int32)))


class Scatter(Op):
    """Combines slices of ``y`` that are meant for the same place along one axis.

    Operands: ``indices`` and ``y``. Where no slice goes, there is the number that changes nothing.
    Slices for the same place are combined in the order of their indices; those whose index is out
    of range are left out.

    Args:
        axis: The axis that the indices go along, not negative.
        size: The size of that axis in the result.
    """

    axis: int
    size: Dim
    #: The elementwise op that combines two elements.
    combine: ClassVar[type[Op]]
    #: NumPy's function that does the same.
    function: ClassVar[np.ufunc]
    #: What ONNX calls it, and the version that has it.
    reduction: ClassVar[tuple[str, int]]

    def start(self, dtype: str) -> float:
        """The number that changes nothing when it is combined with others."""
        raise NotImplementedError

    def infer(self, indices: TensorType, y: TensorType) -> TensorType:
        if not is_integer(indices.dtype):
            raise DTypeError(f"the indices have to be integers, not {indices.dtype}")
        if y.dtype not in NUMBERS and not is_complex(y.dtype):
            raise DTypeError(f"combines numbers, not {y.dtype}")
        behind = self.axis + indices.rank
        if self.axis < 0 or y.shape[self.axis : behind] != indices.shape:
            raise ShapeError(
                f"the slices {shape_text(y.shape)} do not have the axes of the indices, "
                f"{shape_text(indices.shape)}, at axis {self.axis}"
            )
        return y.with_shape((*y.shape[: self.axis], self.size, *y.shape[behind:]))

    def evaluate(self, indices: np.ndarray, y: np.ndarray) -> np.ndarray:
        behind = self.axis + indices.ndim
        size = int(self.size)
        places, known = _places(indices, size)
        wide = np.float64 if is_float(y.dtype.name) else y.dtype
        shape = (size, *y.shape[: self.axis], *y.shape[behind:])
        result = np.full(shape, self.start(y.dtype.name), wide)
        slices = np.moveaxis(y, range(self.axis, behind), range(indices.ndim))
        self.function.at(result, places, slices[known].astype(wide))
        return np.moveaxis(result, 0, self.axis).astype(y.dtype, order="C")

    def pick(self, x: Value, indices: Value, number: float) -> Value:
        """For each slice its place in the result; ``number`` for those that were left out."""
        rows = Gather(self.axis)(x, indices)
        # A gather of ones has NaN in the places of those.
        ones = filled(x.graph, TensorType((self.size,), "float32"), 1)
        gathered = Gather(0)(ones, indices)
        known = Equal()(gathered, like(gathered, 1))
        for _ in range(rows.rank - self.axis - indices.rank):
            known = insert_axis(known, known.rank)
        return Where()(known, rows, like(rows, number))

    def onnx(self, context: Any, node: Node, indices: str, y: str) -> Any:
        """ScatterND works along the first axes, so those of the indices are brought there."""
        reduction, opset = self.reduction
        if context.opset < opset:
            raise UnsupportedError(f"{self.name} needs ONNX opset {opset}, not {context.opset}")
        indices_value, y_value = node.inputs
        behind = self.axis + indices_value.rank
        if indices_value.dtype != "int64":
            indices = context.node("Cast", [indices], to=context.onnx_dtype("int64"))
        column: list[Dim] = [*indices_value.shape, 1]
        indices = context.reshape(indices, list(indices_value.shape), column)
        order = [*range(self.axis, behind), *range(self.axis), *range(behind, y_value.rank)]
        if self.axis:
            y = context.node("Transpose", [y], perm=order)
        shape = node.output.shape
        first: Shape = (shape[self.axis], *shape[: self.axis], *shape[self.axis + 1 :])
        start = np.array(self.start(y_value.dtype), numpy_dtype(y_value.dtype))
        begin = context.node("Expand", [context.constant(start), context.shape(first)])
        total = context.node("ScatterND", [begin, indices, y], reduction=reduction)
        if self.axis:
            back = [*range(1, self.axis + 1), 0, *range(self.axis + 1, len(shape))]
            total = context.node("Transpose", [total], perm=back)
        return total

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(14)
        for shape, axis, places in scatter_cases():
            for dtype, index_dtype in (("float32", "int32"), ("float64", "int64")):
                indices = np.asarray(places)
                y_shape = (*shape[:axis], *indices.shape, *shape[axis + 1 :])
                y = np.asarray(rng.normal(size=y_shape)).astype(dtype)
                operands = (indices.astype(index_dtype), y)
                known = _all_known(indices, shape[axis])
                yield Sample(cls(axis, shape[axis]), operands, portable=known)


class ScatterAdd(Scatter):
    """Zeros to which slices of ``y`` were added at the places along one axis that indices name.

    The adjoint of `Gather`. See `Scatter` for the operands.

    Args:
        axis: The axis that the indices go along, not negative.
        size: The size of that axis in the result.
    """

    combine: ClassVar[type[Op]] = Add
    function: ClassVar[np.ufunc] = np.add
    reduction: ClassVar[tuple[str, int]] = ("add", 16)

    def start(self, dtype: str) -> float:
        return 0

    def gradient(self, node: Node, dx: Value) -> Sequence[Value | None]:
        return None, self.pick(dx, node.inputs[0], 0)


def missing(dtype: str) -> Any:
    """What `Gather` puts in place of an element that does not exist."""
    if is_float(dtype):
        return float("nan")
    if is_complex(dtype):
        return complex("nan+nanj")
    if dtype == "bool":
        return True
    limits = np.iinfo(dtype)
    return int(limits.min) if limits.min < 0 else int(limits.max)


def one_hot(indices: Value, size: Dim, dtype: str = "float32", axis: int = -1) -> Value:
    """Ones at the places that ``indices`` name along a new axis, zeros elsewhere.

    An index that is out of range gives zeros only.

    Args:
        indices: Integers of any shape.
        size: The size of the new axis.
        dtype: Type of the result.
        axis: Where the new axis stands in the result; from the end if negative.
    """
    position = axis % (indices.rank + 1)
    # A small type might not reach as far as the new axis does.
    wide = indices.dtype if indices.dtype in ("int64", "uint32", "uint64") else "int32"
    shape: list[Dim] = [1] * (indices.rank + 1)
    shape[position] = size
    line = indices.graph.apply(Iota(tuple(shape), position, wide))
    return cast(Equal()(insert_axis(cast(indices, wide), position), line), dtype)


def along_axis(x: Value, indices: Value, axis: int) -> Value:
    """For each position of ``indices`` the element of ``x`` in the same line along an axis.

    The other axes have the same sizes, or size 1 in ``x`` or ``indices``. Negative indices count
    from the end; what `Gather` says of indices that are out of range holds.
    """
    position = _flat_position(indices, axis, x.shape)
    return Gather(0)(reshape_to(x, (product(x.shape),)), position)


def scatter_along_axis(y: Value, indices: Value, axis: int, shape: Shape) -> Value:
    """Zeros of a shape to which ``y`` was added where `along_axis` would read for ``indices``."""
    position = _flat_position(indices, axis, shape)
    return reshape_to(ScatterAdd(0, product(shape))(position, y), shape)


def joint_position(indices: Sequence[Value], sizes: Sequence[Dim]) -> Value:
    """Positions along several axes as those along the one axis that these make, as int64.

    Negative indices count from the end of their axis. Where one of them is outside its axis, so is
    the result: it is a far negative number, never the place of another element.

    Args:
        indices: Integers for each axis, of shapes that broadcast.
        sizes: The sizes of the axes; there is at least one.
    """
    position, known = _on_axis(indices[0], sizes[0])
    for index, dim in zip(indices[1:], sizes[1:], strict=True):
        place, inside = _on_axis(index, dim)
        position = position * _size_of(index.graph, dim) + place
        known = And()(known, inside)
    return _none_unless(known, position)


def _flat_position(indices: Value, axis: int, shape: Shape) -> Value:
    """The place in row-major order of what each index means; a far negative one for none."""
    graph = indices.graph
    along, known = _on_axis(indices, shape[axis])
    position: Value = like(along, 0)
    for a, dim in enumerate(shape):
        line: list[Dim] = [1] * len(shape)
        line[a] = dim
        if a == axis:
            place = along
        elif dim == 1:
            place = like(along, 0)
        else:
            place = graph.apply(Iota(tuple(line), a, "int64"))
        position = position * _size_of(graph, dim) + place
    return _none_unless(known, position)


def _on_axis(index: Value, dim: Dim) -> tuple[Value, Value]:
    """Positions as int64, counted from the front, and which of them exist."""
    size = _size_of(index.graph, dim)
    if index.dtype == "uint64":  # int64 does not reach as far
        index = Min()(index, like(index, 2**62))
    wide = cast(index, "int64")
    wide = Where()(wide < 0, wide + size, wide)
    return wide, And()(wide >= 0, wide < size)


def _size_of(graph: Graph, dim: Dim) -> Value:
    if isinstance(dim, int):
        return graph.constant(dim, "int64")
    return Size((0,), "int64")(graph.apply(Iota((dim,), 0)))


def _none_unless(known: Value, position: Value) -> Value:
    """A position outside its axis must not become one in the next line."""
    return Where()(known, position, like(position, -(2**62)))


def _places(indices: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The positions (a flat list) that valid indices mean, and which of them are valid."""
    # Python's integers, as no NumPy type holds both int64 and uint64.
    wide = indices.astype(object)
    known = np.asarray((wide >= -size) & (wide < size), bool)
    places = np.asarray(wide[known], np.int64)
    return np.where(places < 0, places + size, places), known


def _all_known(indices: np.ndarray, size: int) -> bool:
    """Whether no index is out of range; ONNX Runtime refuses those that are."""
    return bool(np.all((indices >= -size) & (indices < size)))


def scatter_cases() -> Iterable[tuple[tuple[int, ...], int, Any]]:
    """A shape, an axis, and indices along it."""
    yield (5, 3), 0, [0, 4, 1, 1]
    yield (5, 3), 0, [[2, -1], [-5, 0], [2, 2]]
    yield (2, 19), 1, [18, 0, 7]
    yield (2, 3, 4), 1, [[0, 2, 1, 2]]
    yield (4,), 0, 3
    yield (4, 2), 0, np.zeros((0,), np.int64)
    yield (1, 1), 1, [0]
    yield (3, 2), 0, [3, -4, 1, 100]
    yield (0, 2), 0, [0, -1]
