"""Batch, layer, group, RMS and unit normalization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from graphc.config import config
from graphc.eager import Tensor, apply, cast
from graphc.eager.variable import Variable
from graphc.errors import ShapeError
from graphc.ir.dims import Dim
from graphc.keras import ops
from graphc.keras.engine.input_spec import InputSpec
from graphc.keras.layers.builtin import BuiltinLayer, positive
from graphc.keras.saving.registry import public
from graphc.ops import nn as graph_ops


def _axis_of(axis: Any, rank: int, layer: BuiltinLayer) -> int:
    """An axis counted from the front."""
    if not -rank <= axis < rank:
        raise ShapeError(
            f'{type(layer).__name__} "{layer.name}": axis {axis} is outside an input with '
            f"{rank} axes"
        )
    return axis % rank


class _Normalization(BuiltinLayer):
    """A normalization; it is computed in float32 at least, since sums overflow half precision.

    Args:
        epsilon: What keeps the divisor away from 0.
        center: Whether ``beta`` is added.
        scale: Whether the result is multiplied by ``gamma``.
        beta: Initializer, regularizer and constraint of ``beta``.
        gamma: Those of ``gamma``.
        **kwargs: For `Layer`.
    """

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta: Sequence[Any],
        gamma: Sequence[Any],
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.describe_weight("beta", *beta)
        self.describe_weight("gamma", *gamma)
        self.supports_masking = True
        self.gamma: Variable | None = None
        self.beta: Variable | None = None

    def add_parameters(self, shape: Sequence[int | None]) -> None:
        """Create ``gamma`` and ``beta``, as far as they are wanted."""
        if self.scale:
            self.gamma = self.add_described_weight("gamma", shape)
        if self.center:
            self.beta = self.add_described_weight("beta", shape)

    def parameters(self, shape: Sequence[Dim], dtype: str) -> tuple[Tensor, Tensor]:
        """``gamma`` and ``beta``; ones and zeros where there are none."""
        results = []
        for variable, neutral in ((self.gamma, 1), (self.beta, 0)):
            if variable is None:
                results.append(ops.full(tuple(shape), neutral, dtype))
            else:
                results.append(cast(variable.as_tensor(), dtype))
        return results[0], results[1]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape


def _wide(x: Tensor) -> Tensor:
    return cast(x, "float32") if x.dtype in ("float16", "bfloat16") else x


@public("keras.layers")
class BatchNormalization(_Normalization):
    """Each channel with mean 0 and variance 1 over the batch (Ioffe and Szegedy, 2015).

    In training the batch's own mean and variance are used, and moving averages of them are kept;
    otherwise (and if the layer is not trainable) those averages are used. See
    https://keras.io/api/layers/normalization_layers/batch_normalization/.

    Args:
        axis: The axis of the channels.
        momentum: The share of the moving averages that is kept in each step.
        epsilon: Added to the variance.
        center: Whether ``beta`` is added.
        scale: Whether the result is multiplied by ``gamma``.
        beta_initializer: How ``beta`` starts.
        gamma_initializer: How ``gamma`` starts.
        moving_mean_initializer: How the moving mean starts.
        moving_variance_initializer: How the moving variance starts.
        beta_regularizer: Penalty on ``beta``.
        gamma_regularizer: Penalty on ``gamma``.
        beta_constraint: Applied to ``beta`` after each update.
        gamma_constraint: Applied to ``gamma`` after each update.
        **kwargs: For `Layer`. Of Keras's ``renorm`` only False is supported.

    Raises:
        ShapeError: ``axis`` is outside the input, or its size is not known.
    """

    arguments = (
        "axis",
        "momentum",
        "epsilon",
        "center",
        "scale",
        "beta_initializer",
        "gamma_initializer",
        "moving_mean_initializer",
        "moving_variance_initializer",
        "beta_regularizer",
        "gamma_regularizer",
        "beta_constraint",
        "gamma_constraint",
    )
    unsupported: ClassVar[dict[str, Any]] = {"renorm": False, "renorm_clipping": None}
    ignored = ("renorm_momentum", "synchronized")

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            epsilon,
            center,
            scale,
            (beta_initializer, beta_regularizer, beta_constraint),
            (gamma_initializer, gamma_regularizer, gamma_constraint),
            **kwargs,
        )
        # Keras 1 and 2 wrote the axis as a list.
        self.axis = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else int(axis)
        self.momentum = momentum
        self.describe_weight("moving_mean", moving_mean_initializer)
        self.describe_weight("moving_variance", moving_variance_initializer)

    def build(self, input_shape: Any) -> None:
        """Create the parameters and the moving averages."""
        axis = _axis_of(self.axis, len(input_shape), self)
        shape = (input_shape[axis],)
        self.add_parameters(shape)
        self.moving_mean = self.add_weight(
            shape, self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: shape[0]})

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """The normalized input; in training the moving averages are updated.

        Args:
            inputs: The input.
            training: Whether to use the batch's statistics.
            mask: False where elements do not count in the statistics; one axis less than the
                input.
        """
        x = _wide(inputs)
        axis = _axis_of(self.axis, x.ndim, self)
        if training and self.trainable:
            mean, variance = self._moments(x, axis, mask)
            for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                before = cast(moving.as_tensor(), x.dtype)
                moving.assign(before * self.momentum + now * (1.0 - self.momentum))
        else:
            mean, variance = (
                cast(moving.as_tensor(), x.dtype)
                for moving in (self.moving_mean, self.moving_variance)
            )
        gamma, beta = self.parameters(self.moving_mean.shape, x.dtype)
        op = graph_ops.BatchNormalization(axis, self.epsilon)
        return cast(apply(op, x, gamma, beta, mean, variance), self.compute_dtype)

    def _moments(self, x: Tensor, axis: int, mask: Any) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel, of what the mask leaves."""
        axes = [a for a in range(x.ndim) if a != axis]
        if mask is None:
            return ops.moments(x, axes)
        if mask.ndim != x.ndim - 1:
            raise ShapeError(
                f'BatchNormalization "{self.name}": the mask needs one axis less than the input. '
                f"Received: mask.shape={mask.shape}, inputs.shape={x.shape}"
            )
        kept = ops.broadcast_to(ops.expand_dims(cast(mask, "bool"), -1), x.dims)
        # Keras keeps the divisor of a batch that is masked altogether above 0.
        count = ops.sum(cast(kept, x.dtype), axes, keepdims=True) + config.epsilon
        mean = ops.sum(ops.where(kept, x, 0), axes, keepdims=True) / count
        distance = ops.where(kept, x - mean, 0)
        variance = ops.sum(distance * distance, axes, keepdims=True) / count
        return ops.squeeze(mean, axes), ops.squeeze(variance, axes)


@public("keras.layers")
class LayerNormalization(_Normalization):
    """Each sample with mean 0 and variance 1 over some axes (Ba et al., 2016).

    Args:
        axis: The axis or axes that are normalized.
        epsilon: Added to the variance.
        center: Whether ``beta`` is added.
        scale: Whether the result is multiplied by ``gamma``.
        beta_initializer: How ``beta`` starts.
        gamma_initializer: How ``gamma`` starts.
        beta_regularizer: Penalty on ``beta``.
        gamma_regularizer: Penalty on ``gamma``.
        beta_constraint: Applied to ``beta`` after each update.
        gamma_constraint: Applied to ``gamma`` after each update.
        **kwargs: For `Layer`.

    Raises:
        TypeError: ``axis`` is no integer and no list of integers.
    """

    arguments = (
        "axis",
        "epsilon",
        "center",
        "scale",
        "beta_initializer",
        "gamma_initializer",
        "beta_regularizer",
        "gamma_regularizer",
        "beta_constraint",
        "gamma_constraint",
    )
    unsupported: ClassVar[dict[str, Any]] = {"rms_scaling": False}

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            epsilon,
            center,
            scale,
            (beta_initializer, beta_regularizer, beta_constraint),
            (gamma_initializer, gamma_regularizer, gamma_constraint),
            **kwargs,
        )
        if not isinstance(axis, (int, list, tuple)):
            raise TypeError(f"Expected an int or a list/tuple of ints for `axis`: {axis!r}")
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else [axis]

    def _axes(self, rank: int) -> tuple[int, ...]:
        return tuple(sorted(_axis_of(axis, rank, self) for axis in self.axis))

    def build(self, input_shape: Any) -> None:
        """Create the parameters, of the shape of the normalized axes."""
        self.add_parameters([input_shape[axis] for axis in self._axes(len(input_shape))])

    def call(self, inputs: Any) -> Any:
        """The normalized input."""
        x = _wide(inputs)
        axes = self._axes(x.ndim)
        gamma, beta = self.parameters([x.dims[axis] for axis in axes], x.dtype)
        op = graph_ops.LayerNormalization(axes, self.epsilon)
        return cast(apply(op, x, gamma, beta), self.compute_dtype)


@public("keras.layers")
class GroupNormalization(_Normalization):
    """Each group of channels of a sample with mean 0 and variance 1 (Wu and He, 2018).

    Args:
        groups: The number of groups; -1 for one per channel.
        axis: The axis of the channels.
        epsilon: Added to the variance.
        center: Whether ``beta`` is added.
        scale: Whether the result is multiplied by ``gamma``.
        beta_initializer: How ``beta`` starts.
        gamma_initializer: How ``gamma`` starts.
        beta_regularizer: Penalty on ``beta``.
        gamma_regularizer: Penalty on ``gamma``.
        beta_constraint: Applied to ``beta`` after each update.
        gamma_constraint: Applied to ``gamma`` after each update.
        **kwargs: For `Layer`.

    Raises:
        ShapeError: The channels do not make so many groups.
    """

    arguments = ("groups", *LayerNormalization.arguments)

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            epsilon,
            center,
            scale,
            (beta_initializer, beta_regularizer, beta_constraint),
            (gamma_initializer, gamma_regularizer, gamma_constraint),
            **kwargs,
        )
        self.groups = groups if groups == -1 else positive(groups, "groups", self)
        self.axis = axis

    def build(self, input_shape: Any) -> None:
        """Create the parameters."""
        channels = input_shape[_axis_of(self.axis, len(input_shape), self)]
        if channels is None:
            raise ShapeError(
                f'GroupNormalization "{self.name}": the size of axis {self.axis} has to be known; '
                f"received shape {input_shape}"
            )
        if self.groups == -1:
            self.groups = channels
        if channels % self.groups:
            raise ShapeError(
                f'GroupNormalization "{self.name}": {channels} channels do not make '
                f"{self.groups} groups; received shape {input_shape}"
            )
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})
        self.add_parameters((channels,))

    def call(self, inputs: Any) -> Any:
        """The normalized input."""
        x = ops.moveaxis(_wide(inputs), self.axis, -1)
        *leading, channels = x.dims
        size = channels // self.groups
        grouped = ops.reshape(x, (*leading, self.groups, size))
        mean, variance = ops.moments(grouped, [*range(1, len(leading)), -1], keepdims=True)
        x = ops.reshape((grouped - mean) * ops.rsqrt(variance + self.epsilon), x.dims)
        gamma, beta = self.parameters((channels,), x.dtype)
        return cast(ops.moveaxis(x * gamma + beta, -1, self.axis), self.compute_dtype)


@public("keras.layers")
class RMSNormalization(BuiltinLayer):
    """Divides by the root of the mean square along axes (Zhang and Sennrich, 2019).

    Args:
        axis: The axis or axes.
        epsilon: Added to the mean square.
        **kwargs: For `Layer`.
    """

    arguments = ("axis", "epsilon")

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else [axis]
        self.epsilon = epsilon

    def _axes(self, rank: int) -> list[int]:
        return sorted(_axis_of(axis, rank, self) for axis in self.axis)

    def build(self, input_shape: Any) -> None:
        """Create the factors."""
        shape = [input_shape[axis] for axis in self._axes(len(input_shape))]
        self.scale = self.add_weight(shape, "ones", name="scale")

    def call(self, inputs: Any) -> Any:
        """The normalized input."""
        x = _wide(inputs)
        axes = self._axes(x.ndim)
        shape = [dim if axis in axes else 1 for axis, dim in enumerate(x.dims)]
        factors = ops.reshape(cast(self.scale.as_tensor(), x.dtype), shape)
        y = ops.rms_normalization(x, factors, axis=axes, epsilon=self.epsilon)
        return cast(y, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape


@public("keras.layers")
class UnitNormalization(BuiltinLayer):
    """Divides by the Euclidean norm along some axes.

    Args:
        axis: The axis or axes.
        **kwargs: For `Layer`.
    """

    arguments = ("axis",)

    def __init__(self, axis: Any = -1, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(axis, (int, list, tuple)):
            raise TypeError(f"Expected an int or a list/tuple of ints for `axis`: {axis!r}")
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """The input with norm 1."""
        return ops.normalize(inputs, axis=self.axis, order=2, epsilon=1e-12)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape
