"""Layers that bring data to the range that networks like: Rescaling, Normalization."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from graphc.config import config as settings
from graphc.eager import Tensor, as_tensor, cast
from graphc.errors import ShapeError
from graphc.keras import ops
from graphc.keras.engine.input_spec import InputSpec
from graphc.keras.layers.builtin import BuiltinLayer
from graphc.keras.saving.registry import (
    deserialize_keras_object,
    public,
    serialize_keras_object,
)


@public("keras.layers")
class Rescaling(BuiltinLayer):
    """``inputs * scale + offset``.

    Args:
        scale: The factor, or one for each channel.
        offset: What is added.
        **kwargs: For `Layer`.

    Example:
        >>> keras.layers.Rescaling(1 / 255)
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """The input, scaled."""
        scale, offset = (as_tensor(x, self.compute_dtype) for x in (self.scale, self.offset))
        return cast(inputs, self.compute_dtype) * scale + offset

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        arguments = {"scale": self.scale, "offset": self.offset}
        return {**super().get_config(), **serialize_keras_object(arguments)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer from what `get_config` gave."""
        return cls(**_read_numbers(config, ("scale", "offset")))


def _read_numbers(config: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    found = {name: deserialize_keras_object(config[name]) for name in names if name in config}
    return {**config, **found}


@public("keras.layers")
class Normalization(BuiltinLayer):
    """Features with mean 0 and variance 1, by the statistics of a data set.

    The statistics are given, or found by `adapt`
    (https://keras.io/api/layers/preprocessing_layers/numerical/normalization/).

    Args:
        axis: The axis or axes with statistics of their own; None for one mean and variance.
        mean: The mean; then ``variance`` has to be given, too.
        variance: The variance.
        invert: Whether to undo the normalization instead.
        **kwargs: For `Layer`.

    Raises:
        ValueError: Only one of ``mean`` and ``variance`` is given, or their shapes differ.

    Example:
        >>> layer = keras.layers.Normalization()
        >>> layer.adapt(x_train)
    """

    arguments = ("axis", "invert")

    def __init__(
        self,
        axis: Any = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        axes = () if axis is None else axis
        self.axis = (axes,) if isinstance(axes, int) else tuple(axes)
        if (mean is None) != (variance is None):
            raise ValueError(
                "When setting values directly, both `mean` and `variance` must be set. Received: "
                f"mean={mean} and variance={variance}"
            )
        if mean is not None and np.shape(mean) != np.shape(variance):
            raise ValueError(
                "When setting values directly, `mean` and `variance` must have the same shape. "
                f"Received: mean shape {np.shape(mean)} and variance shape {np.shape(variance)}"
            )
        self.input_mean = mean
        self.input_variance = variance
        self.invert = invert
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Create the statistics, where they are not given."""
        rank = len(input_shape)
        if any(not -rank <= axis < rank for axis in self.axis):
            raise ShapeError(
                "All `axis` values must be in the range [-ndim, ndim). "
                f"Received inputs with ndim={rank}, while axis={self.axis}"
            )
        self._kept = tuple(sorted(axis % rank for axis in self.axis))
        sizes = tuple(input_shape[axis] for axis in self._kept)
        if None in sizes:
            raise ShapeError(
                f'Normalization "{self.name}": the sizes along axis {self.axis} have to be known; '
                f"received shape {input_shape}"
            )
        self._sizes = sizes
        self._broadcast = tuple(
            input_shape[axis] if axis in self._kept else 1 for axis in range(rank)
        )
        fixed = {axis: input_shape[axis] for axis in self._kept}
        self.input_spec = InputSpec(ndim=rank, axes=fixed)
        if self.input_mean is None:
            self.adapt_mean = self.add_weight(sizes, "zeros", trainable=False, name="mean")
            self.adapt_variance = self.add_weight(sizes, "ones", trainable=False, name="variance")
            # Nothing counts any more, but files have a place for it.
            self.count = self.add_weight((), "zeros", "int32", trainable=False, name="count")

    def adapt(self, data: Any) -> None:
        """Take the mean and variance of data.

        Args:
            data: An array, or an iterable of batches (arrays, or tuples that begin with one).

        Raises:
            ShapeError: The data do not have the shape that the layer was built for.
            ValueError: There are no data, or mean and variance were given.
        """
        if self.input_mean is not None:
            raise ValueError(
                f'Normalization "{self.name}" was given mean and variance, so there is nothing to '
                "adapt"
            )
        batches = [data] if hasattr(data, "shape") or _is_numbers(data) else data
        total: tuple[float, Any, Any] | None = None
        for batch in batches:
            array = np.asarray(
                batch[0]
                if isinstance(batch, (tuple, list)) and hasattr(batch[0], "shape")
                else batch
            )
            if not self.built:
                self.build((None, *array.shape[1:]))
            complaint = self.input_spec.complaint(array.shape)
            if complaint:
                raise ShapeError(f'Normalization "{self.name}": the data {complaint}')
            total = _joined(total, self._statistics(array))
        if total is None:
            raise ValueError("adapt() received an empty iterable (no batches).")
        _, mean, variance = total
        self.adapt_mean.assign(mean.astype("float32"))
        self.adapt_variance.assign(variance.astype("float32"))

    def _statistics(self, array: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """How many elements each statistic is of, mean and variance."""
        axes = tuple(axis for axis in range(array.ndim) if axis not in self._kept)
        wide = array.astype("float64")
        count = float(np.prod([array.shape[axis] for axis in axes]))
        return count, np.asarray(wide.mean(axes)), np.asarray(wide.var(axes))

    def _moments(self) -> tuple[Tensor, Tensor]:
        if self.input_mean is None:
            found = [self.read(self.adapt_mean), self.read(self.adapt_variance)]
            return ops.reshape(found[0], self._broadcast), ops.reshape(found[1], self._broadcast)
        given = []
        for value in (self.input_mean, self.input_variance):
            full = np.broadcast_to(np.asarray(value), self._sizes).reshape(self._broadcast)
            given.append(as_tensor(full, self.compute_dtype))
        return given[0], given[1]

    def call(self, inputs: Any) -> Any:
        """The normalized (or, inverted, the original) data."""
        mean, variance = self._moments()
        deviation = ops.maximum(ops.sqrt(variance), settings.epsilon)
        x = cast(inputs, self.compute_dtype)
        return mean + x * deviation if self.invert else (x - mean) / deviation

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        given = {"mean": self.input_mean, "variance": self.input_variance}
        lists = {k: None if v is None else np.asarray(v).tolist() for k, v in given.items()}
        return {**super().get_config(), **lists}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer from what `get_config` gave."""
        return cls(**_read_numbers(config, ("mean", "variance")))


def _is_numbers(data: Any) -> bool:
    """Whether it is a list of numbers, or of lists of numbers."""
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return isinstance(data, (int, float, np.number))


def _joined(
    first: tuple[float, Any, Any] | None, second: tuple[float, Any, Any]
) -> tuple[float, Any, Any]:
    """The statistics of two sets of data together."""
    if first is None:
        return second
    count = first[0] + second[0]
    a, b = first[0] / count, second[0] / count
    mean = a * first[1] + b * second[1]
    variance = a * (first[2] + (first[1] - mean) ** 2) + b * (second[2] + (second[1] - mean) ** 2)
    return count, mean, variance
