"""Variables: tensors that can be assigned to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.eager.current import current_tapes
from graphc.eager.operators import Operators
from graphc.eager.promotion import standard_dtype
from graphc.eager.tensor import Tensor, as_tensor, operate
from graphc.eager.trace import checked_update, current_trace, note_creation
from graphc.ir import TensorType, numpy_dtype, type_of


class Variable(Operators):
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
        self.trainable = trainable
        self.name = name
        self.path = name
        #: Penalty on it that is part of the loss, and what is applied to it after each update.
        self.regularizer: Callable[[Tensor], Tensor] | None = None
        self.constraint: Callable[[Tensor], Tensor] | None = None
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
        return self.array.dtype.name

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.array.ndim

    @property
    def value(self) -> Tensor:
        """The value now: symbolic inside a trace."""
        return self.as_tensor()

    def as_tensor(self) -> Tensor:
        """The same as `value`."""
        trace = current_trace()
        value = trace.read(self) if trace else Tensor(self.array.copy())
        for tape in current_tapes():
            tape.read(self, value)
        return value

    def numpy(self) -> np.ndarray:
        """A copy of the value as a NumPy array (inside a trace: the value from before it)."""
        return self.array.copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.array.astype(dtype or self.array.dtype)

    def assign(self, value: Any) -> Tensor:
        """Give it a new value of the same shape; returns that value.

        Raises:
            ShapeError: The value has another shape.
        """
        tensor = checked_update(self, value)
        trace = current_trace()
        if trace:
            trace.write(self, tensor)
        else:
            self.array[...] = tensor.numpy()
        return tensor

    def assign_add(self, value: Any) -> Tensor:
        """Add to it."""
        return self.assign(operate("add", self, value))

    def assign_sub(self, value: Any) -> Tensor:
        """Subtract from it."""
        return self.assign(operate("subtract", self, value))

    def _operate(self, name: str, *operands: Any) -> Any:
        if any(getattr(other, "records_operations", False) for other in operands):
            return NotImplemented
        return operate(name, *operands)

    def __bool__(self) -> bool:
        return bool(self.as_tensor())

    def __int__(self) -> int:
        return int(self.as_tensor())

    def __float__(self) -> float:
        return float(self.as_tensor())

    def __len__(self) -> int:
        return len(self.array)

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}>"


def aligned_copy(array: np.ndarray, alignment: int = 64) -> np.ndarray:
    """A C-contiguous, writeable copy whose first byte lies on a cache line."""
    size = array.nbytes
    buffer = np.empty(size + alignment, np.uint8)
    start = -buffer.ctypes.data % alignment
    copy = buffer[start : start + size].view(numpy_dtype(array.dtype.name)).reshape(array.shape)
    copy[...] = array
    return copy
