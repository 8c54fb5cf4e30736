"""What a tensor looks like that a function will be given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.eager.promotion import standard_dtype
from graphc.eager.tensor import Tensor, as_tensor
from graphc.errors import DTypeError, ShapeError
from graphc.ir import numpy_dtype


class TensorSpec:
    """The shape and the element type of tensors (https://www.tensorflow.org/api_docs/python/tf/TensorSpec).

    Args:
        shape: Sizes; None for one that may be any.
        dtype: The element type.
        name: What dumps call the tensor.

    Example:
        >>> @graphc.function(input_signature=[graphc.TensorSpec([None, 3], graphc.float32)])
        ... def total(rows):
        ...     return keras.ops.sum(rows)
    """

    #: Whether it stands for a tensor in a structure (`graphc.eager.structure`).
    is_tensor_spec = True

    def __init__(
        self, shape: Sequence[int | None], dtype: Any = "float32", name: str | None = None
    ):
        if shape is None:
            raise ShapeError(
                "a TensorSpec needs the number of dimensions: give a shape, with None for each "
                "size that is not known"
            )
        self.shape = tuple(None if size is None else int(size) for size in shape)
        self.dtype = standard_dtype(dtype)
        self.name = name

    @classmethod
    def from_tensor(cls, tensor: Any, name: str | None = None) -> TensorSpec:
        """The specification of a tensor."""
        tensor = as_tensor(tensor)
        return cls(tensor.shape, tensor.dtype, name)

    def example(self) -> Tensor:
        """Some tensor of this kind; it takes no memory."""
        shape = tuple(2 if size is None else size for size in self.shape)
        return Tensor(np.broadcast_to(np.zeros((), numpy_dtype(self.dtype)), shape))

    def is_compatible_with(self, other: Any) -> bool:
        """Whether a tensor, or what another specification allows, is what this one allows."""
        if not isinstance(other, TensorSpec):
            other = as_tensor(other)
        if self.dtype != other.dtype or len(self.shape) != len(other.shape):
            return False
        return all(
            want is None or have is None or want == have
            for want, have in zip(self.shape, other.shape, strict=True)
        )

    def checked(self, value: Any, name: str) -> Tensor | TensorSpec:
        """A value as a tensor of this kind.

        Args:
            value: Array-like; Python numbers, also in lists, take the element type. A
                specification stays one.
            name: What to call it in errors.

        Raises:
            DTypeError: Another element type.
            ShapeError: Another shape.
        """
        plain = not hasattr(value, "dtype")
        tensor = value
        if not isinstance(value, TensorSpec):
            tensor = as_tensor(value, self.dtype if plain else None)
        if tensor.dtype != self.dtype:
            raise DTypeError(
                f'"{name}" is {tensor.dtype}, but the input signature says {self.dtype}: '
                "convert it with keras.ops.cast"
            )
        if not self.is_compatible_with(tensor):
            raise ShapeError(
                f'"{name}" has shape {tensor.shape}, but the input signature says {self.shape}'
            )
        return tensor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TensorSpec) and (self.shape, self.dtype, self.name) == (
            other.shape,
            other.dtype,
            other.name,
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype, self.name))

    def __repr__(self) -> str:
        return f"TensorSpec(shape={self.shape}, dtype={self.dtype}, name={self.name!r})"
