"""Random initializers.

Numbers come from NumPy's counter-based generator Philox, so a seed gives the same weights on every
machine. An initializer without a seed draws one when it is made; it then gives the same values each
time it is called, as in Keras.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from graphc.eager import Tensor
from graphc.eager.promotion import standard_dtype
from graphc.keras.initializers.initializer import Initializer, tensor_of
from graphc.keras.random_seed import next_seed
from graphc.keras.saving.registry import deserialize_keras_object, public, serialize_keras_object

#: Standard deviation of a standard normal distribution that is cut off at -2 and 2.
_TRUNCATED_DEVIATION = 0.87962566103423978


class _SeedSource(Protocol):
    def next(self) -> Any: ...


class RandomInitializer(Initializer):
    """Base of the random initializers.

    Args:
        seed: An integer, a `keras.random.SeedGenerator` (each call then gives other values), or
            None for a seed drawn now.

    Raises:
        ValueError: Another kind of seed.
    """

    seed: int | _SeedSource

    def __init__(self, seed: Any = None):
        self._given_seed = seed
        if isinstance(seed, dict):
            seed = deserialize_keras_object(seed)
        if seed is None:
            self.seed = next_seed()
        elif isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
            self.seed = int(seed)
        elif hasattr(seed, "next"):
            self.seed = seed
        else:
            raise ValueError(
                "`seed` argument should be an instance of `keras.random.SeedGenerator()` or an "
                f"integer. Received: seed={seed}"
            )

    def get_config(self) -> dict[str, Any]:
        return {"seed": serialize_keras_object(self._given_seed)}

    def generator(self) -> np.random.Generator:
        """The numbers of the next call."""
        if isinstance(self.seed, int):
            key = self.seed % 2**64
        else:
            high, low = (int(word) for word in np.asarray(self.seed.next()))
            key = high << 32 | low
        return np.random.Generator(np.random.Philox(key=key))

    def normal(self, shape: Any, mean: float, stddev: float, dtype: Any) -> Tensor:
        """Normally distributed numbers."""
        draw = self.generator().standard_normal(tuple(shape), _drawn_dtype(dtype))
        return tensor_of(draw * stddev + mean, dtype)

    def truncated_normal(self, shape: Any, mean: float, stddev: float, dtype: Any) -> Tensor:
        """Normally distributed numbers; those beyond two deviations are drawn again."""
        generator = self.generator()
        draw = generator.standard_normal(tuple(shape), _drawn_dtype(dtype))
        outside = np.abs(draw) > 2
        while outside.any():
            draw[outside] = generator.standard_normal(int(outside.sum()), draw.dtype)
            outside = np.abs(draw) > 2
        return tensor_of(draw * stddev + mean, dtype)

    def uniform(self, shape: Any, low: float, high: float, dtype: Any) -> Tensor:
        """Numbers that are spread evenly from ``low`` to ``high``."""
        draw = self.generator().random(tuple(shape), _drawn_dtype(dtype))
        return tensor_of(draw * (high - low) + low, dtype)


def _drawn_dtype(dtype: Any) -> Any:
    return np.float64 if standard_dtype(dtype) == "float64" else np.float32


@public("keras.initializers")
class RandomNormal(RandomInitializer):
    """Normally distributed values.

    Args:
        mean: Their mean.
        stddev: Their standard deviation.
        seed: See `RandomInitializer`.

    Example:
        >>> keras.initializers.RandomNormal(stddev=0.1, seed=1)((2, 2))
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None):
        self.mean = mean
        self.stddev = stddev
        super().__init__(seed)

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        return self.normal(shape, self.mean, self.stddev, dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


@public("keras.initializers")
class TruncatedNormal(RandomNormal):
    """Normally distributed values; those more than two deviations from the mean are drawn again.

    Args:
        mean: Mean of the distribution before the cut.
        stddev: Standard deviation before the cut.
        seed: See `RandomInitializer`.
    """

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        return self.truncated_normal(shape, self.mean, self.stddev, dtype)


@public("keras.initializers")
class RandomUniform(RandomInitializer):
    """Evenly distributed values.

    Args:
        minval: The lowest.
        maxval: The bound above, not reached.
        seed: See `RandomInitializer`.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None):
        self.minval = minval
        self.maxval = maxval
        super().__init__(seed)

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        return self.uniform(shape, self.minval, self.maxval, dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}


_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("uniform", "truncated_normal", "untruncated_normal")


@public("keras.initializers")
class VarianceScaling(RandomInitializer):
    """Values whose variance is ``scale / n``, where n counts the inputs or outputs of a unit.

    Args:
        scale: The variance times n, above 0.
        mode: What n is: ``"fan_in"``, ``"fan_out"`` or their mean, ``"fan_avg"``.
        distribution: ``"uniform"``, ``"truncated_normal"`` (or ``"normal"``, the same), or
            ``"untruncated_normal"``.
        seed: See `RandomInitializer`.
        input_axes: The axes that count as inputs; by default Keras's guess from the rank.
        output_axes: The axes that count as outputs.

    Raises:
        ValueError: An argument that is none of these.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        if scale <= 0.0:
            raise ValueError(f"Argument `scale` must be positive float. Received: scale={scale}")
        if mode not in _MODES:
            raise ValueError(f"Invalid `mode` argument: {mode}. Please use one of {_MODES}")
        distribution = distribution.lower()
        if distribution == "normal":
            distribution = "truncated_normal"
        if distribution not in _DISTRIBUTIONS:
            raise ValueError(
                f"Invalid `distribution` argument: {distribution}. "
                f"Please use one of {_DISTRIBUTIONS}"
            )
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        self.input_axes = input_axes
        self.output_axes = output_axes
        super().__init__(seed)

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        count = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, count)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return self.uniform(shape, -limit, limit, dtype)
        stddev = math.sqrt(variance)
        if self.distribution == "untruncated_normal":
            return self.normal(shape, 0.0, stddev, dtype)
        return self.truncated_normal(shape, 0.0, stddev / _TRUNCATED_DEVIATION, dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


class _Scaled(VarianceScaling):
    """A `VarianceScaling` with a name of its own."""

    settings: tuple[float, str, str]

    def __init__(
        self,
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        super().__init__(*self.settings, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {key: config[key] for key in ("seed", "input_axes", "output_axes")}


@public("keras.initializers")
class GlorotUniform(_Scaled):
    """Uniform within ``sqrt(6 / (fan_in + fan_out))``: Keras's default for kernels.

    Glorot & Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html.
    """

    settings = (1.0, "fan_avg", "uniform")


@public("keras.initializers")
class GlorotNormal(_Scaled):
    """Truncated normal with deviation ``sqrt(2 / (fan_in + fan_out))``.

    Glorot & Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html.
    """

    settings = (1.0, "fan_avg", "truncated_normal")


@public("keras.initializers")
class LecunNormal(_Scaled):
    """Truncated normal with deviation ``sqrt(1 / fan_in)``; for ``selu``.

    Klambauer et al. 2017, https://arxiv.org/abs/1706.02515.
    """

    settings = (1.0, "fan_in", "truncated_normal")


@public("keras.initializers")
class LecunUniform(_Scaled):
    """Uniform within ``sqrt(3 / fan_in)``.

    LeCun et al. 1998, "Efficient BackProp".
    """

    settings = (1.0, "fan_in", "uniform")


@public("keras.initializers")
class HeNormal(_Scaled):
    """Truncated normal with deviation ``sqrt(2 / fan_in)``; for ``relu``.

    He et al. 2015, https://arxiv.org/abs/1502.01852.
    """

    settings = (2.0, "fan_in", "truncated_normal")


@public("keras.initializers")
class HeUniform(_Scaled):
    """Uniform within ``sqrt(6 / fan_in)``; for ``relu``.

    He et al. 2015, https://arxiv.org/abs/1502.01852.
    """

    settings = (2.0, "fan_in", "uniform")


@public("keras.initializers")
class Orthogonal(RandomInitializer):
    """A random matrix with orthonormal rows or columns, whichever are fewer.

    Axes before the last are taken together as rows. Saxe et al. 2014,
    https://arxiv.org/abs/1312.6120.

    Args:
        gain: A factor.
        seed: See `RandomInitializer`.

    Raises:
        ValueError: A shape of fewer than two axes.
    """

    def __init__(self, gain: float = 1.0, seed: Any = None):
        self.gain = gain
        super().__init__(seed)

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        if len(shape) < 2:
            raise ValueError(
                "The tensor to initialize must be at least two-dimensional. "
                f"Received: shape={shape} of rank {len(shape)}."
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        draw = self.generator().standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(draw)
        # Without the signs of R's diagonal Q would not be evenly distributed.
        q = q * np.where(np.diag(r) < 0, -1, 1)
        matrix = q if rows >= columns else q.T
        return tensor_of(self.gain * matrix.reshape(tuple(shape)), dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gain": self.gain}


def compute_fans(
    shape: Sequence[int],
    input_axes: Sequence[int] | None = None,
    output_axes: Sequence[int] | None = None,
) -> tuple[int, int]:
    """How many inputs and outputs a unit has, read off the shape of its kernel.

    Args:
        shape: ``(inputs, outputs)``, or ``(*window, inputs, outputs)`` of a convolution.
        input_axes: The axes that count as inputs, if named.
        output_axes: The axes that count as outputs, if named.

    Example:
        >>> compute_fans((3, 3, 16, 32))
        (144, 288)
    """
    shape = tuple(shape)
    if input_axes is not None and output_axes is not None:
        counted = (math.prod(shape[axis] for axis in axes) for axes in (input_axes, output_axes))
        return tuple(counted)  # type: ignore[return-value]
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return int(size), int(size)
    window = math.prod(shape[:-2])
    return int(shape[-2] * window), int(shape[-1] * window)
