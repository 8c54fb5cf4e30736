"""What operations on matrices have in common: the last two axes are rows and columns.

All axes before those two are a batch, and every function here works for each matrix of the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError, UnsupportedError
from graphc.ir import COMPLEXES, Graph, Op, TensorType, Value, is_complex
from graphc.ir.dims import Dim, product, shape_text
from graphc.ops.choice import Where
from graphc.ops.complex import Conj, Imag, Real, absolute
from graphc.ops.elementwise import Abs, Max, Sqrt, cast
from graphc.ops.family import like
from graphc.ops.gather import Gather
from graphc.ops.logic import Equal, Greater, GreaterOrEqual
from graphc.ops.movement import Iota, Transpose, expand_to, insert_axis, reshape_to
from graphc.ops.reduce import ReduceMax, ReduceMin, ReduceSum

#: What matrices are decomposed in.
PRECISIONS = ("float32", "float64", *COMPLEXES)


class MatrixOp(Op):
    """An operation on matrices of real or complex numbers, in single or double precision."""

    def check(self, *types: TensorType, square: bool = False) -> None:
        """Refuse operands that are no matrices of one type of real or complex numbers.

        Raises:
            ShapeError, DTypeError: What is wrong with them.
        """
        for type in types:
            if type.dtype not in PRECISIONS or type.dtype != types[0].dtype:
                raise DTypeError(f"takes matrices of {' or '.join(PRECISIONS)}, all of one type")
            if type.rank < 2:
                raise ShapeError("takes matrices: at least two axes")
        rows, columns = types[0].shape[-2:]
        if square and rows != columns:
            raise ShapeError(f"takes square matrices, not {rows} rows of {columns}")

    def known_sizes(self, x: Value) -> tuple[int, int]:
        """The numbers of rows and columns, for algorithms that have to know them.

        Raises:
            UnsupportedError: They are known only when a program runs.
        """
        rows, columns = x.shape[-2:]
        if isinstance(rows, int) and isinstance(columns, int):
            return rows, columns
        raise UnsupportedError(
            f"{self.name} in a compiled program needs matrices of known size, not "
            f"{shape_text(x.shape)}; only the axes before the last two may be open"
        )


def adjoint(x: Value) -> Value:
    """The transposed matrices; complex ones are conjugated as well."""
    return swap(conj(x))


def conj(x: Value) -> Value:
    """The complex conjugates; real numbers as they are."""
    return Conj()(x) if is_complex(x.dtype) else x


def conjugated(*cotangents: Value | None) -> list[Value | None]:
    """Cotangents as published formulas have them, or back: complex ones are conjugated.

    Those formulas are about real functions of complex matrices and give the direction in which such
    a function rises; for cotangents here see `graphc.ops.complex`.
    """
    return [dx if dx is None else conj(dx) for dx in cotangents]


def squares_of(x: Value) -> Value:
    """The squares of the absolute values: real numbers."""
    if not is_complex(x.dtype):
        return x * x
    real, imaginary = Real()(x), Imag()(x)
    return real * real + imaginary * imaginary


def real_part(x: Value) -> Value:
    """The real parts, with the dtype that ``x`` has."""
    return cast(Real()(x), x.dtype) if is_complex(x.dtype) else x


def times(x: Value, factor: Value) -> Value:
    """Real or complex numbers multiplied by real ones."""
    return x * cast(factor, x.dtype)


def over(x: Value, divisor: Value) -> Value:
    """Real or complex numbers divided by real ones."""
    return x / cast(divisor, x.dtype)


def swap(x: Value) -> Value:
    """The transposed matrices."""
    order = (*range(x.rank - 2), x.rank - 1, x.rank - 2)
    return Transpose(order)(x)


def positions(graph: Graph, size: Dim, axis: int, rank: int = 2) -> Value:
    """``0, 1, ...`` along one of the last axes (-1 or -2), of size 1 along the other ones."""
    shape: list[Dim] = [1] * rank
    shape[axis] = size
    return graph.apply(Iota(tuple(shape), rank + axis, "int32"))


def triangle(x: Value, lower: bool, strict: bool = False) -> Value:
    """The matrices with zeros on the other side of the diagonal; ``strict``: also on it."""
    rows, columns = (positions(x.graph, x.shape[axis], axis) for axis in (-2, -1))
    first, second = (rows, columns) if lower else (columns, rows)
    inside = (Greater() if strict else GreaterOrEqual())(first, second)
    return Where()(inside, x, like(x, 0))


def diagonal_mask(graph: Graph, rows: Dim, columns: Dim) -> Value:
    """Whether an element of a matrix is on its diagonal."""
    return Equal()(positions(graph, rows, -2), positions(graph, columns, -1))


def identity(x: Value, rows: Dim, columns: Dim | None = None) -> Value:
    """Ones on the diagonal, zeros elsewhere, in the batch and with the dtype of ``x``."""
    columns = rows if columns is None else columns
    ones = cast(diagonal_mask(x.graph, rows, columns), x.dtype)
    return expand_to(ones, (*x.shape[:-2], rows, columns))


def diagonal_of(x: Value) -> Value:
    """The elements on the diagonal of square matrices, along a last axis."""
    mask = diagonal_mask(x.graph, x.shape[-2], x.shape[-1])
    return ReduceSum((x.rank - 1,))(Where()(mask, x, like(x, 0)))


def diagonal_matrix(x: Value) -> Value:
    """Square matrices with vectors on their diagonals."""
    size = x.shape[-1]
    return Where()(diagonal_mask(x.graph, size, size), insert_axis(x, x.rank), like(x, 0))


def column(x: Value, number: Value) -> Value:
    """One column of each matrix, as vectors; its number is a scalar."""
    return Gather(x.rank - 1)(x, number)


def row(x: Value, number: Value) -> Value:
    """One row of each matrix, as vectors; its number is a scalar."""
    return Gather(x.rank - 2)(x, number)


def as_column(x: Value) -> Value:
    """Vectors as matrices of one column."""
    return insert_axis(x, x.rank)


def as_row(x: Value) -> Value:
    """Vectors as matrices of one row."""
    return insert_axis(x, x.rank - 1)


def steps_first(x: Value) -> Value:
    """Matrices with their rows as the first axis, which a scan goes along."""
    return Transpose((x.rank - 2, *range(x.rank - 2), x.rank - 1))(x)


def steps_last(x: Value) -> Value:
    """What undoes `steps_first`."""
    return Transpose((*range(1, x.rank - 1), 0, x.rank - 1))(x)


def take_rows(x: Value, numbers: Value) -> Value:
    """Rows of each matrix by vectors of numbers, one vector per matrix."""
    *batch, rows, columns = x.shape
    count = numbers.shape[-1]
    flat = reshape_to(x, (product(batch) * rows, columns))
    chosen = reshape_to(numbers, (product(batch), count))
    first = x.graph.apply(Iota((product(batch), 1), 0, "int32"))
    if not isinstance(rows, int):
        raise UnsupportedError("rows by number need matrices with a known number of rows")
    places = chosen + first * rows
    return reshape_to(Gather(0)(flat, places), (*batch, count, columns))


def scaled(x: Value) -> tuple[Value, Value]:
    """Matrices divided by their largest element, so that no square overflows, and those elements.

    Of complex numbers the largest part counts. A matrix of zeros is divided by 1.
    """
    if is_complex(x.dtype):
        size = Max()(Abs()(Real()(x)), Abs()(Imag()(x)))
    else:
        size = Abs()(x)
    largest = ReduceMax((x.rank - 2, x.rank - 1), keep=True)(size)
    scale = Where()(Equal()(largest, like(largest, 0)), like(largest, 1), largest)
    return over(x, scale), scale


def direction_of_columns(x: Value) -> Value:
    """For each column the direction of its first large element; see `column_directions`."""
    size = absolute(x)
    axis = x.rank - 2
    large = GreaterOrEqual()(size, ReduceMax((axis,), keep=True)(size) * LARGE)
    rows = positions(x.graph, x.shape[-2], -2)
    first = ReduceMin((axis,), keep=True)(Where()(large, rows, like(rows, 2**30)))
    here = Equal()(rows, first)
    element = ReduceSum((axis,), keep=True)(Where()(here, x, like(x, 0)))
    if not is_complex(x.dtype):
        return Where()(element < 0.0, like(x, -1), like(x, 1))
    size = absolute(element)
    nothing = Equal()(size, like(size, 0))
    return Where()(nothing, like(x, 1), over(element, Where()(nothing, like(size, 1), size)))


#: An element that is at least so large, compared with the largest of its column, can give the
#: column's direction. No simple fraction: elements of simple matrices should not be close to it.
LARGE = 0.6180339887


def column_directions(x: np.ndarray) -> np.ndarray:
    """For each column the direction of its first large element: 1, -1 or a number of size 1.

    Vectors that are unique up to such a factor only are divided by it, so that every backend gives
    the same ones. (The first element may be almost 0, the largest one almost tied with another.)
    """
    if not x.size:
        return np.ones((*x.shape[:-2], 1, x.shape[-1]), x.dtype)
    size = np.abs(x)
    large = size >= LARGE * size.max(axis=-2, keepdims=True)
    first = np.argmax(large, axis=-2)[..., None, :]
    element = np.take_along_axis(x, first, -2)
    return np.where(element == 0, 1, np.sign(element))


def length(x: Value, axis: int) -> Value:
    """The Euclidean length along one axis, which stays with size 1."""
    return Sqrt()(ReduceSum((axis,), keep=True)(squares_of(x)))


def complex_matrices(
    *shapes: tuple[int, ...], dtypes: Sequence[str] = COMPLEXES
) -> Iterator[np.ndarray]:
    """Matrices for the samples of ops, far from singular."""
    rng = np.random.default_rng(39)
    for shape in shapes:
        spread = 3 * np.eye(shape[-2], shape[-1]) * np.arange(1, shape[-1] + 1)
        x = rng.normal(size=shape) + 1j * rng.normal(size=shape) + spread
        for dtype in dtypes:
            yield x.astype(dtype)


def each_matrix(function: Any, *arrays: np.ndarray) -> Any:
    """The results of a NumPy function for each matrix of a batch; NaN where it fails.

    NumPy refuses a whole batch for one matrix that is singular; a compiled program cannot.

    Args:
        function: Maps arrays to an array or a tuple of them; it works on batches too.
        *arrays: Matrices with the same batch axes, or vectors of such.
    """
    try:
        return function(*arrays)
    except np.linalg.LinAlgError:
        pass
    batch = arrays[0].shape[:-2]
    rows = [array.reshape(-1, *array.shape[len(batch) :]) for array in arrays]
    # What the results look like: those of a matrix that cannot fail.
    example = function(*[np.broadcast_to(_harmless(array[0]), array[0].shape) for array in rows])
    single = not isinstance(example, tuple)
    outcomes = []
    for parts in zip(*rows, strict=True):
        try:
            outcome = function(*parts)
        except np.linalg.LinAlgError:
            kinds = (example,) if single else example
            outcome = tuple(np.full_like(kind, np.nan) for kind in kinds)
        outcomes.append(outcome if isinstance(outcome, tuple) else (outcome,))
    columns = zip(*outcomes, strict=True)
    stacks = [np.stack(column).reshape(*batch, *column[0].shape) for column in columns]
    return stacks[0] if single else tuple(stacks)


def _harmless(array: np.ndarray) -> np.ndarray:
    return np.eye(*array.shape[-2:]) if array.ndim >= 2 else np.ones(array.shape)
