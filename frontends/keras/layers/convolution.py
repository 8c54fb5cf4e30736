"""Convolutions: plain, depthwise and separable ones."""

from __future__ import annotations

from typing import Any, ClassVar

from graphc.eager import Tensor, apply
from graphc.errors import ShapeError
from graphc.keras import activations, ops
from graphc.keras.engine.input_spec import InputSpec
from graphc.keras.layers.builtin import one_of, per_axis, positive
from graphc.keras.layers.core import LOW_RANK
from graphc.keras.layers.spatial import SpatialLayer
from graphc.keras.saving.registry import public
from graphc.ops import conv as graph_ops


class Convolution(SpatialLayer):
    """What all convolutions share: windows, a bias and an activation.

    Args:
        kernel_size: The window's size along each spatial axis.
        strides: Steps between neighbouring windows.
        padding: ``"valid"`` (none), ``"same"`` (zeros, so that the output is as large as the input,
            divided by the strides) or, of sequences, ``"causal"`` (zeros before).
        data_format: ``"channels_last"`` or ``"channels_first"``.
        dilation_rate: Distances between the elements that a window sees.
        activation: A name or a function; None for none.
        use_bias: Whether there is a bias.
        bias: Initializer, regularizer and constraint of the bias.
        **kwargs: For `Layer`.

    Raises:
        ValueError: A size is no positive integer; strides and dilation are both above 1.
    """

    unsupported: ClassVar[dict[str, Any]] = LOW_RANK

    def __init__(
        self,
        kernel_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        dilation_rate: Any,
        activation: Any,
        use_bias: bool,
        bias: tuple[Any, Any, Any],
        **kwargs: Any,
    ):
        super().__init__(data_format, **kwargs)
        self.kernel_size = per_axis(kernel_size, self.rank, "kernel_size", self)
        self.strides = per_axis(strides, self.rank, "strides", self)
        self.dilation_rate = per_axis(dilation_rate, self.rank, "dilation_rate", self)
        choices = ("valid", "same", "causal") if self.rank == 1 else ("valid", "same")
        self.padding = one_of(padding, choices, "padding", self)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.describe_weight("bias", *bias)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{type(self).__name__}: `strides > 1` not supported in conjunction with "
                f"`dilation_rate > 1`. Received: strides={self.strides} and "
                f"dilation_rate={self.dilation_rate}"
            )

    def channels_of(self, input_shape: Any) -> int:
        """The number of input channels; the layer is fixed to it.

        Raises:
            ShapeError: It is not known.
        """
        channels = input_shape[self.channel_axis]
        if channels is None:
            raise ShapeError(
                f'{type(self).__name__} "{self.name}": the number of channels (axis '
                f"{self.channel_axis}) has to be known; received shape {input_shape}"
            )
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={self.channel_axis: channels})
        return channels

    def add_bias(self, size: int) -> None:
        """Create the bias, if it is wanted."""
        self.bias = self.add_described_weight("bias", (size,)) if self.use_bias else None

    def convolve(self, x: Tensor, kernel: Tensor, groups: int = 1) -> Tensor:
        """The convolution itself, with the layer's windows."""
        windows = (self.kernel_size, self.strides, self.dilation_rate)
        padding = self.padding_for(self.spatial(x.dims), *windows, self.padding)
        op = graph_ops.Conv(
            strides=self.strides,
            padding=padding,
            dilations=self.dilation_rate,
            groups=groups,
            layout=self.layout,
        )
        return apply(op, x, kernel)

    def finish(self, x: Tensor) -> Any:
        """Bias and activation."""
        if self.bias is not None:
            bias = self.read(self.bias)
            if self.data_format == "channels_first":
                bias = ops.reshape(bias, (*bias.dims, *(1,) * self.rank))
            x = x + bias
        return self.activation(x)

    def output_channels(self, inputs: int) -> int:
        """The number of output channels for a number of input channels."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input shape."""
        windows = (self.kernel_size, self.strides, self.dilation_rate)
        counts = self.window_counts(self.spatial(input_shape), *windows, self.padding)
        channels = self.output_channels(input_shape[self.channel_axis])
        return self.image_shape(input_shape[0], counts, channels)


class _Conv(Convolution):
    arguments = (
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "data_format",
        "dilation_rate",
        "groups",
        "activation",
        "use_bias",
        "kernel_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "bias_regularizer",
        "kernel_constraint",
        "bias_constraint",
    )

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            (bias_initializer, bias_regularizer, bias_constraint),
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.filters = positive(filters, "filters", self)
        self.groups = positive(groups, "groups", self)
        self.describe_weight("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        if self.filters % self.groups:
            raise ValueError(
                "The number of filters must be evenly divisible by the number of groups. "
                f"Received: groups={self.groups}, filters={self.filters}."
            )

    def build(self, input_shape: Any) -> None:
        """Create the kernel ``[window..., channels / groups, filters]`` and the bias."""
        channels = self.channels_of(input_shape)
        if channels % self.groups:
            raise ShapeError(
                f'{type(self).__name__} "{self.name}": {channels} input channels do not make '
                f"{self.groups} groups; received shape {input_shape}"
            )
        self.compute_output_shape(input_shape)  # refuses an input that is too small
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_described_weight("kernel", shape)
        self.add_bias(self.filters)

    def call(self, inputs: Any) -> Any:
        """The convolved input."""
        return self.finish(self.convolve(inputs, self.read(self.kernel), self.groups))

    def output_channels(self, inputs: int) -> int:
        return self.filters


@public("keras.layers")
class Conv1D(_Conv):
    """A convolution over sequences (https://keras.io/api/layers/convolution_layers/).

    Args:
        filters: The number of output channels.
        kernel_size: How many steps a window sees.
        strides: Steps between neighbouring windows.
        padding: ``"valid"``, ``"same"`` or ``"causal"`` (no output depends on a later input).
        data_format: ``"channels_last"`` (batch, time, channels) or ``"channels_first"``.
        dilation_rate: Distances between the steps that a window sees.
        groups: Into how many groups the channels are split.
        activation: A name or a function; None for none.
        use_bias: Whether there is a bias.
        kernel_initializer: How the kernel starts.
        bias_initializer: How the bias starts.
        kernel_regularizer: Penalty on the kernel.
        bias_regularizer: Penalty on the bias.
        activity_regularizer: Penalty on the output.
        kernel_constraint: Applied to the kernel after each update.
        bias_constraint: Applied to the bias after each update.
        **kwargs: For `Layer`.

    Raises:
        ValueError: A size is no positive integer; strides and dilation are both above 1; filters
            or channels do not make so many groups; the input is smaller than a window.

    Example:
        >>> keras.layers.Conv1D(32, 5, padding="causal", activation="relu")
    """

    rank = 1


@public("keras.layers")
class Conv2D(_Conv):
    """A convolution over images (https://keras.io/api/layers/convolution_layers/convolution2d/).

    Args:
        filters: The number of output channels.
        kernel_size: The window: rows and columns, or one number for both.
        strides: Steps between neighbouring windows.
        padding: ``"valid"`` or ``"same"``.
        data_format: ``"channels_last"`` (batch, height, width, channels) or ``"channels_first"``.
        dilation_rate: Distances between the elements that a window sees.
        groups: Into how many groups the channels are split.
        activation: A name or a function; None for none.
        use_bias: Whether there is a bias.
        kernel_initializer: How the kernel starts.
        bias_initializer: How the bias starts.
        kernel_regularizer: Penalty on the kernel.
        bias_regularizer: Penalty on the bias.
        activity_regularizer: Penalty on the output.
        kernel_constraint: Applied to the kernel after each update.
        bias_constraint: Applied to the bias after each update.
        **kwargs: For `Layer`.

    Raises:
        ValueError: As for `Conv1D`.

    Example:
        >>> keras.layers.Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1))
    """

    rank = 2


@public("keras.layers")
class Conv3D(_Conv):
    """A convolution over volumes; the arguments are those of `Conv2D`, for three axes."""

    rank = 3


class _DepthwiseConv(Convolution):
    arguments = (
        "depth_multiplier",
        "kernel_size",
        "strides",
        "padding",
        "data_format",
        "dilation_rate",
        "activation",
        "use_bias",
        "depthwise_initializer",
        "bias_initializer",
        "depthwise_regularizer",
        "bias_regularizer",
        "depthwise_constraint",
        "bias_constraint",
    )

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            (bias_initializer, bias_regularizer, bias_constraint),
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.depth_multiplier = positive(depth_multiplier, "depth_multiplier", self)
        self.describe_weight(
            "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint
        )

    def build(self, input_shape: Any) -> None:
        """Create the kernel ``[window..., channels, depth_multiplier]`` and the bias."""
        channels = self.channels_of(input_shape)
        self.compute_output_shape(input_shape)  # refuses an input that is too small
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self.add_described_weight("depthwise", shape, as_name="kernel")
        self.add_bias(channels * self.depth_multiplier)

    def call(self, inputs: Any) -> Any:
        """The input with each channel convolved on its own."""
        kernel = self.read(self.kernel)
        return self.finish(self.convolve(inputs, *_depthwise(kernel)))

    def output_channels(self, inputs: int) -> int:
        return inputs * self.depth_multiplier


def _depthwise(kernel: Tensor) -> tuple[Tensor, int]:
    """A kernel ``[window..., channels, multiplier]`` as that of a grouped convolution."""
    *window, channels, multiplier = kernel.dims
    assert isinstance(channels, int)
    return ops.reshape(kernel, (*window, 1, channels * multiplier)), channels


@public("keras.layers")
class DepthwiseConv1D(_DepthwiseConv):
    """A convolution of each channel of a sequence on its own; see `DepthwiseConv2D`."""

    rank = 1


@public("keras.layers")
class DepthwiseConv2D(_DepthwiseConv):
    """A convolution of each channel of an image on its own.

    Args:
        kernel_size: The window: rows and columns, or one number for both.
        strides: Steps between neighbouring windows.
        padding: ``"valid"`` or ``"same"``.
        depth_multiplier: How many output channels there are for each input channel.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        dilation_rate: Distances between the elements that a window sees.
        activation: A name or a function; None for none.
        use_bias: Whether there is a bias.
        depthwise_initializer: How the kernel starts.
        bias_initializer: How the bias starts.
        depthwise_regularizer: Penalty on the kernel.
        bias_regularizer: Penalty on the bias.
        activity_regularizer: Penalty on the output.
        depthwise_constraint: Applied to the kernel after each update.
        bias_constraint: Applied to the bias after each update.
        **kwargs: For `Layer`.
    """

    rank = 2


class _SeparableConv(Convolution):
    arguments = (
        "depth_multiplier",
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "data_format",
        "dilation_rate",
        "activation",
        "use_bias",
        "depthwise_initializer",
        "pointwise_initializer",
        "bias_initializer",
        "depthwise_regularizer",
        "pointwise_regularizer",
        "bias_regularizer",
        "depthwise_constraint",
        "pointwise_constraint",
        "bias_constraint",
    )

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            (bias_initializer, bias_regularizer, bias_constraint),
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.filters = positive(filters, "filters", self)
        self.depth_multiplier = positive(depth_multiplier, "depth_multiplier", self)
        self.describe_weight(
            "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint
        )
        self.describe_weight(
            "pointwise", pointwise_initializer, pointwise_regularizer, pointwise_constraint
        )

    def build(self, input_shape: Any) -> None:
        """Create both kernels and the bias."""
        channels = self.channels_of(input_shape)
        self.compute_output_shape(input_shape)  # refuses an input that is too small
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.depthwise_kernel = self.add_described_weight("depthwise", shape, "depthwise_kernel")
        ones = (1,) * self.rank
        shape = (*ones, channels * self.depth_multiplier, self.filters)
        self.pointwise_kernel = self.add_described_weight("pointwise", shape, "pointwise_kernel")
        self.add_bias(self.filters)

    def call(self, inputs: Any) -> Any:
        """The input with each channel convolved, and then the channels combined."""
        x = self.convolve(inputs, *_depthwise(self.read(self.depthwise_kernel)))
        ones = (1,) * self.rank
        pointwise = graph_ops.Conv(
            strides=ones, padding=((0, 0),) * self.rank, dilations=ones, layout=self.layout
        )
        return self.finish(apply(pointwise, x, self.read(self.pointwise_kernel)))

    def output_channels(self, inputs: int) -> int:
        return self.filters


@public("keras.layers")
class SeparableConv1D(_SeparableConv):
    """A depthwise convolution of a sequence, then a combination of its channels."""

    rank = 1


@public("keras.layers")
class SeparableConv2D(_SeparableConv):
    """A depthwise convolution of an image, then a combination of its channels (Chollet, 2017).

    Args:
        filters: The number of output channels.
        kernel_size: The window: rows and columns, or one number for both.
        strides: Steps between neighbouring windows.
        padding: ``"valid"`` or ``"same"``.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        dilation_rate: Distances between the elements that a window sees.
        depth_multiplier: How many channels there are between for each input channel.
        activation: A name or a function; None for none.
        use_bias: Whether there is a bias.
        depthwise_initializer: How the first kernel starts.
        pointwise_initializer: How the second kernel starts.
        bias_initializer: How the bias starts.
        depthwise_regularizer: Penalty on the first kernel.
        pointwise_regularizer: Penalty on the second kernel.
        bias_regularizer: Penalty on the bias.
        activity_regularizer: Penalty on the output.
        depthwise_constraint: Applied to the first kernel after each update.
        pointwise_constraint: Applied to the second kernel after each update.
        bias_constraint: Applied to the bias after each update.
        **kwargs: For `Layer`.
    """

    rank = 2
