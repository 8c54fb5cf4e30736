"""Layers that make vectors of categories, and categories of numbers.

See https://keras.io/api/layers/preprocessing_layers/.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from graphc.eager import Tensor, as_tensor, cast
from graphc.errors import ShapeError
from graphc.keras import ops
from graphc.keras.engine.input_spec import InputSpec
from graphc.keras.layers.builtin import BuiltinLayer, one_of, positive
from graphc.keras.ops.arguments import reshaped
from graphc.keras.saving.registry import public

_MODES = ("one_hot", "multi_hot", "count")


def encoded(
    categories: Tensor, depth: int, mode: str, dtype: str, weights: Tensor | None = None
) -> Tensor:
    """Numbers of categories as vectors.

    Args:
        categories: Integers.
        depth: How many categories there are.
        mode: ``"one_hot"``: a vector for each number (in place of a last axis of size 1);
            ``"multi_hot"``: one for each row, with ones for all its numbers; ``"count"``: with how
            often each occurs.
        dtype: Type of the result.
        weights: How much each number counts, for ``"count"``.
    """
    places = cast(categories, "int32")
    if mode == "one_hot":
        if places.ndim > 1 and places.dims[-1] == 1:
            places = reshaped(places, places.dims[:-1])
        return ops.one_hot(places, depth, dtype=dtype)
    if places.ndim == 0:
        places = reshaped(places, (1,))
    if places.ndim > 2:
        raise ShapeError(
            f'output_mode="{mode}" takes rows of categories (at most 2 axes), received shape '
            f"{places.shape}"
        )
    vectors = ops.one_hot(places, depth, dtype=dtype)
    if mode == "multi_hot":
        return ops.max(vectors, axis=-2, initial=0)
    if weights is not None:
        vectors = vectors * ops.expand_dims(reshaped(cast(weights, dtype), places.dims), -1)
    return ops.sum(vectors, axis=-2)


def encoded_shape(shape: Any, depth: int, mode: str) -> tuple[Any, ...]:
    """The shape of what `encoded` gives."""
    whole = mode == "one_hot" and not (len(shape) > 1 and shape[-1] == 1)
    return (*(shape if whole else shape[:-1]), depth)


@public("keras.layers")
class CategoryEncoding(BuiltinLayer):
    """Numbers of categories as vectors.

    Args:
        num_tokens: How many categories there are.
        output_mode: ``"one_hot"``: a vector for each number (in place of a last axis of size 1);
            ``"multi_hot"``: one for each row, with ones for all its numbers; ``"count"``: with how
            often each occurs.
        **kwargs: For `Layer`.

    Raises:
        ValueError: ``num_tokens`` is missing, or the mode is none of these.

    Example:
        >>> keras.layers.CategoryEncoding(num_tokens=4, output_mode="one_hot")([3, 2, 0, 1])
    """

    arguments = ("num_tokens", "output_mode")
    unsupported: ClassVar[dict[str, Any]] = {"sparse": False}

    def __init__(
        self, num_tokens: int | None = None, output_mode: str = "multi_hot", **kwargs: Any
    ):
        super().__init__(**kwargs)
        if num_tokens is None:
            raise ValueError(
                "num_tokens must be set to use this layer: how many categories are there?"
            )
        self.num_tokens = positive(num_tokens, "num_tokens", self)
        mode = "multi_hot" if output_mode == "binary" else output_mode
        self.output_mode = one_of(mode, _MODES, "output_mode", self)
        self.input_spec = InputSpec()

    def call(self, inputs: Any, count_weights: Any = None) -> Any:
        """The vectors."""
        if count_weights is not None and self.output_mode != "count":
            raise ValueError(
                "`count_weights` is not used when `output_mode` is not `'count'`. "
                f"Received `count_weights={count_weights}`."
            )
        weights = None if count_weights is None else as_tensor(count_weights)
        x = as_tensor(inputs)
        return encoded(x, self.num_tokens, self.output_mode, self.compute_dtype, weights)

    def compute_output_shape(self, input_shape: Any, count_weights_shape: Any = None) -> Any:
        """The output's shape for an input shape."""
        return encoded_shape(tuple(input_shape), self.num_tokens, self.output_mode)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "sparse": False}


@public("keras.layers")
class Discretization(BuiltinLayer):
    """Numbers as the ranges in which they lie.

    Args:
        bin_boundaries: Where one range ends and the next begins, in rising order.
        num_bins: How many ranges `adapt` makes, each with as many of the data.
        epsilon: Accepted as in Keras; the boundaries that `adapt` finds are exact.
        output_mode: ``"int"`` for the numbers of ranges, or as for `CategoryEncoding`.
        dtype: Type of the result.
        name: The layer's name.
        **kwargs: For `Layer`.

    Raises:
        ValueError: Both or none of ``bin_boundaries`` and ``num_bins``.

    Example:
        >>> keras.layers.Discretization(bin_boundaries=[0.0, 1.0, 2.0])([-1.5, 1.0, 3.4])
    """

    arguments = ("bin_boundaries", "num_bins", "epsilon", "output_mode")
    unsupported: ClassVar[dict[str, Any]] = {"sparse": False}

    def __init__(
        self,
        bin_boundaries: Any = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        dtype: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        if dtype is None:
            dtype = "int64" if output_mode == "int" else "float32"
        super().__init__(dtype=dtype, name=name, **kwargs)
        self.autocast = False  # the dtype is that of the result
        if (bin_boundaries is None) == (num_bins is None):
            raise ValueError(
                "You need to set either `num_bins` or `bin_boundaries`, and not both. Received: "
                f"num_bins={num_bins} and bin_boundaries={bin_boundaries}"
            )
        if num_bins is not None and num_bins < 0:
            raise ValueError(
                f"`num_bins` must be greater than or equal to 0. Received: `num_bins={num_bins}`"
            )
        self.bin_boundaries = None if bin_boundaries is None else [float(b) for b in bin_boundaries]
        self.num_bins = num_bins
        self.epsilon = epsilon
        self.output_mode = one_of(output_mode, ("int", *_MODES), "output_mode", self)
        self.input_spec = InputSpec()

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find boundaries between which there are equally many of the data.

        Args:
            data: An array, or an iterable of batches.
            steps: How many batches to take; None for all.

        Raises:
            ValueError: Boundaries were given, or there are no data.
        """
        if self.num_bins is None:
            raise ValueError(
                "Cannot adapt a Discretization layer that has been initialized with "
                "`bin_boundaries`, use `num_bins` instead."
            )
        batches = [data] if hasattr(data, "shape") else list(data)[:steps]
        values = np.sort(np.concatenate([np.ravel(np.asarray(b, "float32")) for b in batches]))
        if not values.size:
            raise ValueError("adapt() received no data.")
        shares = np.arange(1, values.size + 1) / values.size
        wanted = np.arange(1, self.num_bins) / self.num_bins
        self.bin_boundaries = np.interp(wanted, shares, values).tolist()

    def call(self, inputs: Any) -> Any:
        """The ranges."""
        if self.bin_boundaries is None:
            raise ValueError(
                "You need to either pass the `bin_boundaries` argument at construction time or "
                "call `adapt(dataset)` before you can start using the `Discretization` layer."
            )
        bounds = np.array(self.bin_boundaries, "float32")
        ranges = ops.digitize(as_tensor(inputs), bounds)
        if self.output_mode == "int":
            return cast(ranges, self.compute_dtype)
        return encoded(ranges, len(bounds) + 1, self.output_mode, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input shape."""
        if self.output_mode == "int":
            return input_shape
        bounds = self.bin_boundaries
        depth = self.num_bins if bounds is None else len(bounds) + 1
        return encoded_shape(tuple(input_shape), depth, self.output_mode)  # type: ignore[arg-type]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "sparse": False}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer from what `get_config` gave; one that was adapted knows its boundaries."""
        settings = dict(config)
        if settings.get("num_bins") is None:
            return cls(**settings)
        bounds = settings.pop("bin_boundaries", None)
        layer = cls(**settings)
        layer.bin_boundaries = bounds
        return layer
