"""Variables: tensors that can be assigned to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.eager.current import current_tapes
from graphc.eager.elements import Elements
from graphc.eager.kind import kind_of
from graphc.eager.operation import get_item, operate, update_item
from graphc.eager.promotion import standard_dtype
from graphc.eager.tensor import Tensor, apply, as_tensor
from graphc.eager.trace import checked_update, current_trace, note_creation
from graphc.errors import ShapeError
from graphc.ir import TensorType, dtype_name, numpy_dtype, type_of
from graphc.ops.barrier import StopGradient
from graphc.runtime.state import note_change


class Variable(Elements):
    """A tensor with a value that changes.

    Its array stays the same object for life: programs update it in place.

    Args:
        initial_value: Array-like; its shape is the variable's for good.
        dtype: Element type; by default that of the initial value.
        trainable: Whether optimizers may change it.
        name: Its name, shown in dumps and saved in files.

    Example:
        >>> w = Variable(np.zeros((3, 4), "float32"), name="w")
        >>> w.assign_add(np.ones((3, 4)))
    """

    def __init__(
        self,
        initial_value: Any,
        dtype: Any = None,
        trainable: bool = True,
        name: str = "variable",
    ):
        value = as_tensor(initial_value, standard_dtype(dtype) if dtype is not None else None)
        self.array = aligned_copy(value.numpy())
        self.kind = kind_of(self.array)
        self.trainable = trainable
        self.name = name
        self.path = name
        #: Penalty on it that is part of the loss, and what is applied to it after each update.
        self.regularizer: Callable[[Tensor], Tensor] | None = None
        self.constraint: Callable[[Tensor], Tensor] | None = None
        #: What it stands for inside `graphc.eager.stateless.replaced`.
        self.replacement: Tensor | None = None
        note_creation(self)

    @property
    def type(self) -> TensorType:
        """Shape and dtype."""
        return type_of(self.array)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes, outermost first."""
        return self.array.shape

    @property
    def dtype(self) -> str:
        """The element type."""
        return dtype_name(self.array.dtype)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.array.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.array.size

    @property
    def data(self) -> Any:  # type: ignore[override]
        """What a tensor of the value now holds."""
        return self.as_tensor().data

    @property
    def value(self) -> Tensor:
        """The value now: symbolic inside a trace. It can also be called, as ``value()``."""
        value = Tensor(self.as_tensor().data) if current_trace() else self.as_tensor()
        value.__class__ = VariableValue
        return value

    def read_value(self) -> Tensor:
        """The same as `value`."""
        return self.as_tensor()

    def as_tensor(self) -> Tensor:
        """The same as `value`."""
        if self.replacement is not None:
            return self.replacement
        trace, tapes = current_trace(), current_tapes()
        if trace is None:
            value = Tensor(self.array.copy(), self.kind)
        else:
            value = trace.read(self)
            if tapes and trace.has_written(self):
                # To a tape a variable is what is read, whichever way its value came about.
                value = apply(StopGradient(), value)
        for tape in tapes:
            tape.read(self, value)
        return value

    def numpy(self) -> np.ndarray:
        """A copy of the value as a NumPy array (inside a trace: the value from before it)."""
        return self.array.copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a variable changes, so its value as an array is always a copy")
        return self.array.astype(dtype or self.array.dtype)

    # ------------------------------------------------------------------------------- assignment

    def assign(self, value: Any) -> Tensor:
        """Give it a new value of the same shape; returns that value.

        Raises:
            ShapeError: The value has another shape.
        """
        tensor = checked_update(self, value)
        trace = current_trace()
        if self.replacement is not None:
            self.replacement = tensor
        elif trace:
            trace.write(self, tensor)
        else:
            self._write(tensor.data)
        return tensor

    def restore(self, array: np.ndarray) -> None:
        """Give it a value that it had: the same as `assign`, which has to look at what it gets.

        Args:
            array: A copy of the value, so of its shape and dtype.
        """
        if self.replacement is None and current_trace() is None:
            self._write(array)
        else:
            self.assign(array)

    def _write(self, array: Any) -> None:
        self.array[...] = array
        note_change()

    def assign_add(self, value: Any) -> Tensor:
        """Add to it."""
        return self.assign(operate("add", self, value))

    def assign_sub(self, value: Any) -> Tensor:
        """Subtract from it."""
        return self.assign(operate("subtract", self, value))

    def __getitem__(self, key: Any) -> VariableSlice:
        """A part of the value, which can be assigned: ``v[0].assign(1.0)``."""
        part = get_item(self.as_tensor(), key)
        if type(part) is not Tensor or current_trace():
            part = Tensor(part.data)
        part.origin = (self, key)
        part.__class__ = VariableSlice
        return part  # type: ignore[return-value]

    def scatter_nd_update(self, indices: Any, updates: Any) -> Tensor:
        """Assign to the parts that the last axis of ``indices`` names, ``(..., k)``."""
        return self[_nd_key(indices)].assign(updates)

    def scatter_nd_add(self, indices: Any, updates: Any) -> Tensor:
        """Add to the parts that ``indices`` name, each time that they do."""
        return self.assign(update_item(self.as_tensor(), _nd_key(indices), updates, "add"))

    def scatter_nd_sub(self, indices: Any, updates: Any) -> Tensor:
        """Subtract from the parts that ``indices`` name, each time that they do."""
        return self.scatter_nd_add(indices, operate("negative", updates))

    def scatter_update(self, sparse_delta: Any) -> Tensor:
        """Assign to the slices along the first axis that a `graphc.IndexedSlices` names."""
        return self.scatter_nd_update(_rows(sparse_delta), sparse_delta.values)

    def scatter_add(self, sparse_delta: Any) -> Tensor:
        """Add to the slices along the first axis that a `graphc.IndexedSlices` names."""
        return self.scatter_nd_add(_rows(sparse_delta), sparse_delta.values)

    def scatter_sub(self, sparse_delta: Any) -> Tensor:
        """Subtract from the slices along the first axis that a `graphc.IndexedSlices` names."""
        return self.scatter_nd_sub(_rows(sparse_delta), sparse_delta.values)

    # -------------------------------------------------------------------------- Python's protocols

    def _operate(self, name: str, *operands: Any) -> Any:
        return operate(name, *operands)

    def __len__(self) -> int:
        return len(self.array)

    def __str__(self) -> str:
        return repr(self)

    def __format__(self, specification: str) -> str:
        return super().__format__(specification) if specification else repr(self)

    def __repr__(self) -> str:
        text = f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}"
        return f"{text}>" if current_trace() else f"{text}, value={self.array}>"


class VariableValue(Tensor):
    """The value of a variable, which may be called: a property in Keras, a method in TensorFlow."""

    __slots__ = ()

    def __call__(self) -> Tensor:
        """The value."""
        return self

    def __reduce__(self) -> Any:
        return Tensor, (self.data,)


class VariableSlice(Tensor):
    """A part of a variable's value, which can be assigned."""

    __slots__ = ()

    def assign(self, value: Any) -> Tensor:
        """Give this part of the variable a new value, broadcast to its shape.

        Returns:
            The new value of the whole variable.

        Raises:
            ShapeError: The value does not fit.
        """
        variable, key = self.origin
        return variable.assign(update_item(variable.as_tensor(), key, value, "assign"))

    def assign_add(self, value: Any) -> Tensor:
        """Add to this part of the variable."""
        return self.assign(operate("add", get_item(*self._now()), value))

    def assign_sub(self, value: Any) -> Tensor:
        """Subtract from this part of the variable."""
        return self.assign(operate("subtract", get_item(*self._now()), value))

    def _now(self) -> tuple[Tensor, Any]:
        variable, key = self.origin
        return variable.as_tensor(), key

    def __reduce__(self) -> Any:
        return Tensor, (self.data,)


def _rows(slices: Any) -> Tensor:
    """The numbers of slices, each an index of its own."""
    return as_tensor(slices.indices)[..., None]


def _nd_key(indices: Any) -> tuple[Any, ...]:
    places = as_tensor(indices)
    depth = places.dims[-1] if places.ndim else None
    if not isinstance(depth, int):
        raise ShapeError(f"`indices` should have a last axis of known size. Received: {places}")
    return tuple(places[..., i] for i in range(depth))


def aligned_copy(array: np.ndarray, alignment: int = 64) -> np.ndarray:
    """A C-contiguous, writeable copy whose first byte lies on a cache line."""
    size = array.nbytes
    buffer = np.empty(size + alignment, np.uint8)
    start = -buffer.ctypes.data % alignment
    copy = buffer[start : start + size].view(numpy_dtype(array.dtype.name)).reshape(array.shape)
    copy[...] = array
    return copy
