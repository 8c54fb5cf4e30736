"""Layers that act in training only: dropout, noise; and penalties on activity."""

from __future__ import annotations

from typing import Any, ClassVar

from graphc.errors import ShapeError
from graphc.keras import ops, random, regularizers
from graphc.keras.engine.input_spec import InputSpec
from graphc.keras.layers.builtin import BuiltinLayer, data_format_of, rate_of
from graphc.keras.saving.registry import public


class RandomLayer(BuiltinLayer):
    """A layer that draws random numbers in training and passes its input on otherwise.

    Args:
        seed: Where the random numbers start; None for a seed drawn now.
        active: Whether it draws any.
        **kwargs: For `Layer`.
    """

    def __init__(self, seed: Any = None, active: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed) if active else None
        self.supports_masking = True

    def call(self, inputs: Any, training: Any = False) -> Any:
        """The input, changed at random in training."""
        return self.disturb(inputs) if training and self.seed_generator is not None else inputs

    def disturb(self, inputs: Any) -> Any:
        """What becomes of the input in training."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape


def _complete(noise_shape: Any, inputs: Any, what: str) -> Any:
    """A noise shape with the input's sizes in place of None."""
    if noise_shape is None:
        return inputs.dims
    if len(noise_shape) != inputs.ndim:
        raise ShapeError(
            f"{what}: noise_shape={noise_shape} should have {inputs.ndim} sizes, one for each axis "
            f"of the input {inputs.shape}"
        )
    return tuple(
        dim if size is None else size for size, dim in zip(noise_shape, inputs.dims, strict=True)
    )


@public("keras.layers")
class Dropout(RandomLayer):
    """Sets elements to 0 at random in training, and scales the others up to keep the sum.

    Srivastava et al. 2014; https://keras.io/api/layers/regularization_layers/dropout/.

    Args:
        rate: The share of elements that become 0, from 0 to 1.
        noise_shape: The shape of the random choice, broadcast to the input; None for the input's.
        seed: Where the random numbers start.
        **kwargs: For `Layer`.

    Example:
        >>> keras.layers.Dropout(0.5)
    """

    arguments: ClassVar[tuple[str, ...]] = ("rate", "seed", "noise_shape")

    def __init__(self, rate: float, noise_shape: Any = None, seed: Any = None, **kwargs: Any):
        self.rate = rate_of(rate, type(self))
        super().__init__(seed=seed, active=rate > 0, **kwargs)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)

    def disturb(self, inputs: Any) -> Any:
        """The input with some elements 0."""
        if self.rate == 1:
            return ops.zeros_like(inputs)
        shape = self.shape_of_noise(inputs)
        return random.dropout(inputs, self.rate, noise_shape=shape, seed=self.seed_generator)

    def shape_of_noise(self, inputs: Any) -> Any:
        """The shape of the random choice."""
        return _complete(self.noise_shape, inputs, f'Dropout "{self.name}"')


class _SpatialDropout(Dropout):
    """Dropout of whole channels."""

    arguments: ClassVar[tuple[str, ...]] = ("rate", "seed", "data_format")
    rank = 1

    def __init__(
        self, rate: float, data_format: str | None = None, seed: Any = None, **kwargs: Any
    ):
        super().__init__(rate, seed=seed, **kwargs)
        self.data_format = data_format_of(data_format, self)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; Keras's layer takes no `trainable`."""
        config = super().get_config()
        config.pop("trainable")
        return config

    def shape_of_noise(self, inputs: Any) -> Any:
        """One choice for each sample and channel."""
        ones = (1,) * self.rank
        if self.data_format == "channels_last":
            return (inputs.dims[0], *ones, inputs.dims[-1])
        return (*inputs.dims[:2], *ones)


@public("keras.layers")
class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole features of a sequence.

    Args:
        rate: The share of features that become 0.
        seed: Where the random numbers start.
        **kwargs: For `Layer`.
    """

    arguments = ("rate", "seed")

    def __init__(self, rate: float, seed: Any = None, **kwargs: Any):
        super().__init__(rate, "channels_last", seed, **kwargs)


@public("keras.layers")
class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole channels of an image.

    Args:
        rate: The share of channels that become 0.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        seed: Where the random numbers start.
        **kwargs: For `Layer`.
    """

    rank = 2


@public("keras.layers")
class SpatialDropout3D(_SpatialDropout):
    """Dropout of whole channels of a volume.

    Args:
        rate: The share of channels that become 0.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        seed: Where the random numbers start.
        **kwargs: For `Layer`.
    """

    rank = 3


@public("keras.layers")
class GaussianNoise(RandomLayer):
    """Adds normally distributed noise in training.

    Args:
        stddev: The standard deviation.
        seed: Where the random numbers start.
        **kwargs: For `Layer`.

    Raises:
        ValueError: A negative standard deviation.
    """

    arguments = ("stddev", "seed")

    def __init__(self, stddev: float, seed: Any = None, **kwargs: Any):
        if not isinstance(stddev, (int, float)) or stddev < 0:
            raise ValueError(
                f"GaussianNoise: `stddev` should be a number of at least 0. Received: {stddev!r}"
            )
        super().__init__(seed=seed, active=stddev > 0, **kwargs)
        self.stddev = stddev

    def disturb(self, inputs: Any) -> Any:
        """The input plus noise."""
        return inputs + random.normal(
            inputs.dims, 0.0, self.stddev, dtype=inputs.dtype, seed=self.seed_generator
        )


@public("keras.layers")
class GaussianDropout(RandomLayer):
    """Multiplies with normally distributed noise around 1 in training.

    Args:
        rate: As of `Dropout`: the noise has the standard deviation ``sqrt(rate / (1 - rate))``.
        seed: Where the random numbers start.
        **kwargs: For `Layer`.
    """

    arguments = ("rate", "seed")

    def __init__(self, rate: float, seed: Any = None, **kwargs: Any):
        self.rate = rate_of(rate, type(self))
        super().__init__(seed=seed, active=rate > 0, **kwargs)

    def disturb(self, inputs: Any) -> Any:
        """The input times noise."""
        deviation = (self.rate / (1.0 - self.rate)) ** 0.5 if self.rate < 1 else float("inf")
        return inputs * random.normal(
            inputs.dims, 1.0, deviation, dtype=inputs.dtype, seed=self.seed_generator
        )


# The output of SELU for minus infinity.
_SELU_FLOOR = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


@public("keras.layers")
class AlphaDropout(RandomLayer):
    """Dropout for SELU networks: keeps mean and variance (Klambauer et al. 2017).

    Args:
        rate: The share of elements that are dropped.
        noise_shape: The shape of the random choice; None for the input's.
        seed: Where the random numbers start.
        **kwargs: For `Layer`.
    """

    arguments = ("rate", "seed", "noise_shape")

    def __init__(self, rate: float, noise_shape: Any = None, seed: Any = None, **kwargs: Any):
        self.rate = rate_of(rate, type(self))
        super().__init__(seed=seed, active=rate > 0, **kwargs)
        self.noise_shape = noise_shape

    def disturb(self, inputs: Any) -> Any:
        """The input with dropped elements at SELU's floor, then scaled and shifted."""
        shape = _complete(self.noise_shape, inputs, f'AlphaDropout "{self.name}"')
        drawn = random.uniform(shape, seed=self.seed_generator)
        kept = ops.where(drawn >= self.rate, inputs, _SELU_FLOOR)
        scale = ((1 - self.rate) * (1 + self.rate * _SELU_FLOOR**2)) ** -0.5
        return kept * scale - scale * _SELU_FLOOR * self.rate


@public("keras.layers")
class ActivityRegularization(BuiltinLayer):
    """Its input, with a penalty on it.

    Args:
        l1: Factor of the sum of absolute values.
        l2: Factor of the sum of squares.
        **kwargs: For `Layer`.
    """

    arguments = ("l1", "l2")

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any):
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.supports_masking = True
        self.l1 = l1
        self.l2 = l2

    def call(self, inputs: Any) -> Any:
        """The input."""
        return inputs

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; they imply the penalty."""
        config = super().get_config()
        config.pop("activity_regularizer")
        return config

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape
