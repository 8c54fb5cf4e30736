"""The inputs of functional models."""

from __future__ import annotations

from typing import Any

from graphc.config import config
from graphc.eager.location import user_line
from graphc.eager.promotion import standard_dtype
from graphc.ir import Location
from graphc.keras.engine.keras_tensor import KerasTensor, Node, input_type
from graphc.keras.engine.layer import Layer
from graphc.keras.engine.naming import unique_name
from graphc.keras.saving.registry import public


@public("keras.layers")
class InputLayer(Layer):
    """The layer behind `Input` (https://keras.io/api/layers/core_layers/input/).

    Args:
        shape: Sizes without the batch's; None where open.
        batch_size: A fixed batch size; usually left open.
        dtype: Element type; `floatx` by default.
        sparse: Only False is supported.
        batch_shape: Sizes with the batch's, instead of ``shape`` and ``batch_size``.
        input_tensor: A KerasTensor to use as the input.
        optional: Whether the input may be None.
        name: Its name.
        **kwargs: Keras 2's ``batch_input_shape`` and ``input_shape``.
    """

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        batch_shape: Any = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name)
        if sparse or ragged:
            raise ValueError("sparse and ragged inputs are not supported; give dense arrays")
        batch_shape = kwargs.pop("batch_input_shape", batch_shape)
        shape = kwargs.pop("input_shape", shape)
        if kwargs:
            raise TypeError(f"Input: unknown argument(s) {', '.join(kwargs)}")
        if input_tensor is not None:
            batch_shape, dtype = input_tensor.shape, dtype or input_tensor.dtype
        elif batch_shape is None:
            if shape is None:
                raise ValueError("Input needs a shape: the sizes without the batch's, as in (784,)")
            batch_shape = (batch_size, *_checked_shape(shape))
        self.batch_shape = tuple(batch_shape)
        self._input_dtype = standard_dtype(dtype or config.floatx)
        self.built = True
        unique = f"_{unique_name('dim')}"
        type = input_type(self.batch_shape, self._input_dtype, unique)
        output = input_tensor if input_tensor is not None else KerasTensor(type, name=self.name)
        self.inbound_nodes.append(Node(self, (), {}, output, Location("", *user_line())))

    def call(self) -> None:
        """Never called: a model puts its data in the place of the input."""

    @property
    def dtype(self) -> str:
        """The element type of the input."""
        return self._input_dtype

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same input again."""
        return {
            "batch_shape": self.batch_shape,
            "dtype": self._input_dtype,
            "sparse": False,
            "ragged": False,
            "name": self.name,
        }


def Input(  # noqa: N802 (Keras's name)
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool = False,
    ragged: bool = False,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: KerasTensor | None = None,
    optional: bool = False,
    **kwargs: Any,
) -> KerasTensor:
    """A placeholder from which a functional model starts.

    Args:
        shape: Sizes without the batch's, such as ``(28, 28, 1)``; None where open.
        batch_size: A fixed batch size; usually left open.
        dtype: Element type; `floatx` by default.
        sparse: Only False is supported.
        ragged: Only False is supported.
        batch_shape: Sizes with the batch's, instead of ``shape`` and ``batch_size``.
        name: The name of the input; data may be passed as a dict of names.
        tensor: A KerasTensor to use.
        optional: Whether the input may be None.
        **kwargs: Keras 2's ``batch_input_shape``.

    Returns:
        A KerasTensor.

    Raises:
        ValueError: No shape, or one that is no tuple of sizes.

    Example:
        >>> x = Input(shape=(784,), name="pixels")
    """
    layer = InputLayer(
        shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name, **kwargs
    )
    return layer.output


def _checked_shape(shape: Any) -> tuple[int | None, ...]:
    if isinstance(shape, int):
        raise ValueError(f"shape={shape} is a number; write shape=({shape},) with a comma")
    sizes = tuple(shape)
    for size in sizes:
        if size is not None and (not hasattr(size, "__index__") or size < 0):
            raise ValueError(f"{size!r} in shape={sizes} is no size: use numbers, or None for any")
    return sizes
