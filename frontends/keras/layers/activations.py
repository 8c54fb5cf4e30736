"""Activation functions with parameters, as layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.keras import ops
from graphc.keras.engine.input_spec import InputSpec
from graphc.keras.layers.builtin import BuiltinLayer
from graphc.keras.saving.registry import public


class _Activation(BuiltinLayer):
    """A function of each element."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape


def _number(value: Any, name: str, kind: type, least: float | None = None) -> Any:
    """An argument that has to be a number (a NumPy scalar in old files), maybe bounded."""
    if isinstance(value, dict):  # Keras 2 saved NumPy numbers like this
        value = value.get("value", value)
    if not isinstance(value, (int, float, np.number)) or (least is not None and value < least):
        bound = "" if least is None else f" of at least {least:g}"
        raise ValueError(
            f"{kind.__name__}: `{name}` should be a number{bound}. Received: {name}={value!r}"
        )
    return value


@public("keras.layers")
class ReLU(_Activation):
    """``x`` from the threshold on (at most ``max_value``), else a line of small slope.

    Args:
        max_value: The largest output; None for no limit.
        negative_slope: The slope below the threshold.
        threshold: Where the function bends.
        **kwargs: For `Layer`.

    Raises:
        ValueError: A negative or missing number.
    """

    arguments = ("max_value", "negative_slope", "threshold")

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _number(max_value, "max_value", ReLU, 0)
        self.negative_slope = _number(negative_slope, "negative_slope", ReLU, 0)
        self.threshold = _number(threshold, "threshold", ReLU, 0)

    def call(self, inputs: Any) -> Any:
        """The function of each element."""
        if self.threshold == 0 and self.negative_slope == 0:
            y = ops.relu(inputs)
        else:
            below = self.negative_slope * (inputs - self.threshold)
            y = ops.where(inputs >= self.threshold, inputs, below)
        return y if self.max_value is None else ops.minimum(y, self.max_value)


@public("keras.layers")
class LeakyReLU(_Activation):
    """``x`` if positive, else ``negative_slope * x`` (Maas et al., 2013).

    Args:
        negative_slope: The slope below 0 (Keras 2 called it ``alpha``).
        **kwargs: For `Layer`.
    """

    arguments = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any):
        slope = kwargs.pop("alpha", negative_slope)
        super().__init__(**kwargs)
        self.negative_slope = _number(slope, "negative_slope", LeakyReLU, 0)

    def call(self, inputs: Any) -> Any:
        """The function of each element."""
        return ops.leaky_relu(inputs, self.negative_slope)


@public("keras.layers")
class ELU(_Activation):
    """``x`` if positive, else ``alpha * (exp(x) - 1)`` (Clevert et al., 2016).

    Args:
        alpha: The negative of what is reached far below 0.
        **kwargs: For `Layer`.
    """

    arguments = ("alpha",)

    def __init__(self, alpha: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.alpha = _number(alpha, "alpha", ELU)

    def call(self, inputs: Any) -> Any:
        """The function of each element."""
        return ops.elu(inputs, self.alpha)


@public("keras.layers")
class ThresholdedReLU(_Activation):
    """``x`` above a threshold, else 0 (Keras 2's layer).

    Args:
        theta: The threshold.
        **kwargs: For `Layer`.
    """

    arguments = ("theta",)

    def __init__(self, theta: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.theta = _number(theta, "theta", ThresholdedReLU, 0)

    def call(self, inputs: Any) -> Any:
        """The function of each element."""
        return ops.where(inputs > self.theta, inputs, 0)


@public("keras.layers")
class PReLU(_Activation):
    """``x`` if positive, else ``alpha * x`` with slopes that are learned (He et al., 2015).

    Args:
        alpha_initializer: How the slopes start.
        alpha_regularizer: Penalty on them.
        alpha_constraint: Applied to them after each update.
        shared_axes: Axes, from 1, along which all elements have one slope.
        **kwargs: For `Layer`.
    """

    arguments = ("alpha_initializer", "alpha_regularizer", "alpha_constraint", "shared_axes")

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.describe_weight("alpha", alpha_initializer, alpha_regularizer, alpha_constraint)
        if shared_axes is not None and not isinstance(shared_axes, (list, tuple)):
            shared_axes = [shared_axes]
        self.shared_axes = None if shared_axes is None else list(shared_axes)

    def build(self, input_shape: Any) -> None:
        """Create the slopes: one for each element of a sample, but for shared axes."""
        sizes = list(input_shape[1:])
        for axis in self.shared_axes or ():
            if not 1 <= axis < len(input_shape):
                raise ShapeError(
                    f'PReLU "{self.name}": shared_axes={self.shared_axes} names no axis of the '
                    f"input {tuple(input_shape)} (axis 0 is the batch's)"
                )
            sizes[axis - 1] = 1
        self.alpha = self.add_described_weight("alpha", sizes)
        axes = {
            axis: size
            for axis, size in enumerate(input_shape)
            if axis > 0 and axis not in (self.shared_axes or ())
        }
        self.input_spec = InputSpec(ndim=len(input_shape), axes=axes)

    def call(self, inputs: Any) -> Any:
        """The function of each element."""
        return ops.relu(inputs) - self.read(self.alpha) * ops.relu(-inputs)


@public("keras.layers")
class Softmax(_Activation):
    """Exponentials divided by their sum.

    Args:
        axis: The axis or axes along which they sum to 1.
        **kwargs: For `Layer`.
    """

    arguments = ("axis",)

    def __init__(self, axis: Any = -1, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """The softmax.

        Args:
            inputs: Logits.
            mask: False where a logit does not count; broadcast to the input.
        """
        if mask is not None:
            kept = mask if mask.dtype == "bool" else mask > 0.5
            inputs = ops.where(kept, inputs, -3e4 if inputs.dtype == "float16" else -1e9)
        return ops.softmax(inputs, axis=self.axis)
