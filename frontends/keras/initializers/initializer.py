"""The base of initializers."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.eager import Tensor
from graphc.eager.promotion import standard_dtype
from graphc.ir import numpy_dtype


class Initializer:
    """Makes the first value of a weight.

    Subclasses define ``__call__(self, shape, dtype=None)`` and, to be saved, ``get_config``.

    Example:
        >>> class Sevens(keras.initializers.Initializer):
        ...     def __call__(self, shape, dtype=None):
        ...         return 7 * np.ones(shape, dtype)
    """

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """A tensor of the given shape.

        Args:
            shape: Sizes, outermost first.
            dtype: Element type; by default ``keras.config.floatx()``.
        """
        raise NotImplementedError(
            f"The initializer {type(self).__name__} has to define __call__(self, shape, dtype=None)"
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments from which another such initializer can be made."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """An initializer from what `get_config` returned."""
        return cls(**config)

    def clone(self) -> Any:
        """Another such initializer."""
        return self.__class__.from_config(self.get_config())


def tensor_of(array: np.ndarray, dtype: Any) -> Tensor:
    """An array as a tensor of ``dtype`` (by default `floatx`)."""
    return Tensor(np.asarray(array).astype(numpy_dtype(standard_dtype(dtype))))
