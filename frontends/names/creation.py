"""Making tensors, and asking for their type and sizes, as ``tf.constant`` and its kind do.

See https://www.tensorflow.org/api_docs/python/tf. Python integers become int32 and floats float32
(`floatx`); what does not fit int32 becomes int64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.eager import Tensor, Variable, as_tensor
from graphc.errors import DTypeError, ShapeError
from graphc.ir.dims import Shape, SymbolicDim
from graphc.keras import ops
from graphc.keras.ops.recording import operation
from graphc.names.adapt import composed, renamed, takes_name
from graphc.names.dtypes import as_dtype, name_of

#: Stands for a new axis of size 1 in an index, as in NumPy.
newaxis = None

ones = renamed(ops.ones, "shape dtype")
zeros = renamed(ops.zeros, "shape dtype")
ones_like = renamed(ops.ones_like, "input dtype")
zeros_like = renamed(ops.zeros_like, "input dtype")
identity = renamed(ops.copy, "input")
stop_gradient = renamed(ops.stop_gradient, "input")


@takes_name
def convert_to_tensor(value: Any, dtype: Any = None, dtype_hint: Any = None) -> Tensor:
    """Anything array-like as a tensor.

    Args:
        value: Numbers, lists, arrays, tensors, variables.
        dtype: Element type; by default that of ``value``.
        dtype_hint: Accepted, and ignored.

    Raises:
        DTypeError: ``value`` is a tensor of another type, or holds no numbers.
    """
    wanted = name_of(dtype)
    if isinstance(value, (Tensor, Variable)):
        if wanted not in (None, value.dtype):
            raise DTypeError(
                f"convert_to_tensor: the tensor has dtype {value.dtype}, not {wanted}; "
                "graphc.cast converts"
            )
    elif wanted is None and not _holds_tensors(value):
        wanted = _wide(value)
    return ops.convert_to_tensor(value, wanted)


def _wide(value: Any) -> str | None:
    """The type of Python's numbers that do not fit the usual ones; else None."""
    if not isinstance(value, (int, complex, list, tuple)):
        return None
    array = np.asarray(value)
    if array.dtype == np.int64 and array.size and np.any(array != array.astype(np.int32)):
        return "int64"
    return "complex128" if array.dtype == np.complex128 else None


def _holds_tensors(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_holds_tensors(item) for item in value)
    return hasattr(value, "as_tensor") or isinstance(value, SymbolicDim)


@takes_name
def constant(value: Any, dtype: Any = None, shape: Any = None) -> Tensor:
    """A tensor of numbers.

    Args:
        value: A number, or lists of numbers of equal length.
        dtype: Element type.
        shape: The shape; a single number fills it, others have to be as many as it holds.

    Raises:
        ShapeError: Another number of elements than the shape holds.

    Example:
        >>> graphc.constant([[1.0, 2.0], [3.0, 4.0]])
        >>> graphc.constant(7, shape=(2, 2))
    """
    if dtype is not None and isinstance(value, (Tensor, Variable)):
        tensor = ops.cast(value, name_of(dtype))
    else:
        tensor = convert_to_tensor(value, dtype)
    if shape is None:
        return tensor
    sizes = tuple(int(size) for size in shape)
    if tensor.size == 1:
        return ops.broadcast_to(ops.reshape(tensor, ()), sizes)
    if tensor.size != int(np.prod(sizes)):
        raise ShapeError(f"constant: {tensor.size} numbers do not fill the shape {sizes}")
    return ops.reshape(tensor, sizes)


@takes_name
def fill(dims: Any, value: Any) -> Tensor:
    """A tensor of one shape and one value, whose type it has."""
    number = convert_to_tensor(value)
    return ops.full(dims, number, number.dtype)


@takes_name
def range(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None) -> Tensor:
    """``start, start + delta, ...`` up to before ``limit``; from 0 if only one number is given."""
    return ops.arange(start, limit, delta, name_of(dtype))


@takes_name
def linspace(start: Any, stop: Any, num: int, axis: int = 0) -> Tensor:
    """``num`` evenly spaced numbers from ``start`` to ``stop``, both included.

    Integers give float64, as in TensorFlow.
    """
    first = convert_to_tensor(start)
    dtype = as_dtype(first.dtype)
    return ops.linspace(
        start, stop, int(num), axis=axis, dtype="float64" if dtype.is_integer else str(dtype)
    )


@takes_name
def eye(
    num_rows: Any, num_columns: Any = None, batch_shape: Any = None, dtype: Any = "float32"
) -> Tensor:
    """The identity matrix, repeated along the axes of ``batch_shape``."""
    matrix = ops.eye(num_rows, num_columns, dtype=name_of(dtype))
    if batch_shape is None:
        return matrix
    return ops.broadcast_to(matrix, (*[int(n) for n in batch_shape], *matrix.shape))


@composed
def one_hot(
    indices: Any,
    depth: int,
    on_value: Any = None,
    off_value: Any = None,
    axis: int | None = None,
    dtype: Any = None,
) -> Tensor:
    """Integers as vectors with ``on_value`` (1) in that place and ``off_value`` (0) elsewhere.

    Args:
        indices: Integers; those outside of ``0 .. depth - 1`` give ``off_value`` only.
        depth: The size of the new axis.
        on_value: A number.
        off_value: A number.
        axis: Where the new axis stands; at the end by default.
        dtype: Element type; that of the values, float32 if there are none.
    """
    values = [convert_to_tensor(v) for v in (on_value, off_value) if v is not None]
    kind = name_of(dtype) or (values[0].dtype if values else "float32")
    place = ops.one_hot(indices, depth, -1 if axis is None else axis, "bool")
    on, off = (1 if on_value is None else on_value, 0 if off_value is None else off_value)
    return ops.where(place, ops.cast(on, kind), ops.cast(off, kind))


@takes_name
def cast(x: Any, dtype: Any) -> Tensor:
    """The elements converted to another type; floats are cut off towards zero in integers."""
    return ops.cast(x, name_of(dtype))


@takes_name
def saturate_cast(value: Any, dtype: Any) -> Tensor:
    """`cast`, numbers outside of the type's range first moved to its nearest end."""
    kind, given = as_dtype(dtype), as_dtype(convert_to_tensor(value).dtype)
    low, high = max(kind.min, given.min), min(kind.max, given.max)
    return ops.cast(ops.clip(value, ops.cast(low, str(given)), ops.cast(high, str(given))), kind)


class DynamicShape(tuple[Any, ...]):
    """A shape of which some sizes are known only when the program runs.

    Its items are sizes, good for ``reshape``, ``zeros`` and the like, and as operands of tensors.
    """

    __slots__ = ()

    def as_tensor(self) -> Tensor:
        """The sizes as an int32 tensor."""
        return ops.stack([as_tensor(size, "int32") for size in self])


def _sizes(x: Any) -> Shape:
    if getattr(x, "records_operations", False):
        return x.dims
    return as_tensor(x).dims


@takes_name
def shape(input: Any, out_type: Any = "int32") -> Any:
    """The sizes of a tensor as a tensor.

    In a program that is being traced, where a size is not known yet, it is a tuple of sizes, which
    also works as a tensor.
    """
    sizes = _sizes(input)
    if all(isinstance(size, int) for size in sizes):
        return as_tensor(np.array(sizes, name_of(out_type)))
    return DynamicShape(sizes)


@takes_name
def shape_n(input: Any, out_type: Any = "int32") -> list[Any]:
    """The `shape` of each tensor of a list."""
    return [shape(x, out_type) for x in input]


@takes_name
def size(input: Any, out_type: Any = "int32") -> Tensor:
    """The number of elements as a tensor."""
    return ops.cast(ops.size(input), name_of(out_type))


@takes_name
def rank(input: Any) -> Tensor:
    """The number of axes as a tensor."""
    return as_tensor(len(_sizes(input)))


def is_tensor(x: Any) -> bool:
    """Whether it is a tensor or a variable."""
    return isinstance(x, (Tensor, Variable)) or getattr(x, "records_operations", False)


def is_symbolic_tensor(x: Any) -> bool:
    """Whether it is a tensor whose elements are known only when a program runs."""
    return getattr(x, "is_symbolic", False) or getattr(x, "records_operations", False)


def get_static_value(tensor: Any, partial: bool = False) -> Any:
    """The elements as a NumPy array; None if they are known only when a program runs.

    Args:
        tensor: A tensor.
        partial: Accepted, and ignored.
    """
    return None if is_symbolic_tensor(tensor) else as_tensor(tensor).numpy()[()]


@takes_name
@operation
def ensure_shape(x: Any, shape: Any) -> Tensor:
    """The tensor itself, after a check of its shape.

    Args:
        x: A tensor.
        shape: Sizes; None for any.

    Raises:
        ShapeError: It has another shape.
    """
    tensor = as_tensor(x)
    wanted = tuple(shape)
    fits = len(wanted) == tensor.ndim and all(
        want is None or not isinstance(have, int) or want == have
        for have, want in zip(tensor.dims, wanted, strict=True)
    )
    if not fits:
        raise ShapeError(f"ensure_shape: the tensor has shape {tensor.shape}, not {wanted}")
    return tensor


@takes_name
@operation
def sequence_mask(lengths: Any, maxlen: Any = None, dtype: Any = "bool") -> Tensor:
    """For each length so many ones, then zeros, along a new last axis.

    Args:
        lengths: Integers.
        maxlen: The size of that axis; the largest length by default, which has to be known.
        dtype: Element type of the result.
    """
    counts = as_tensor(lengths)
    if maxlen is None:
        maxlen = int(ops.max(counts)) if counts.size else 0
    steps = ops.arange(maxlen)
    return ops.cast(ops.expand_dims(counts, -1) > ops.cast(steps, counts.dtype), name_of(dtype))
