"""Transposed convolutions, which make images larger."""

from __future__ import annotations

from typing import Any

from graphc.eager import Tensor
from graphc.keras import ops
from graphc.keras.layers.builtin import one_of, per_axis, positive
from graphc.keras.layers.convolution import Convolution
from graphc.keras.ops.windows import transpose_margins
from graphc.keras.saving.registry import public


class _ConvTranspose(Convolution):
    arguments = (
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "output_padding",
        "data_format",
        "dilation_rate",
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
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
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
            one_of(padding, ("valid", "same"), "padding", type(self)),
            data_format,
            dilation_rate,
            activation,
            use_bias,
            (bias_initializer, bias_regularizer, bias_constraint),
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.filters = positive(filters, "filters", self)
        self.describe_weight("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self.output_padding = None
        if output_padding is not None:
            widths = per_axis(output_padding, self.rank, "output_padding", self, least=0)
            self.output_padding = widths
            if any(w >= s for w, s in zip(widths, self.strides, strict=True)):
                raise ValueError(
                    f"{type(self).__name__}: `output_padding` should be less than `strides`. "
                    f"Received: output_padding={output_padding}, strides={self.strides}"
                )

    def build(self, input_shape: Any) -> None:
        """Create the kernel ``[window..., filters, channels]`` and the bias."""
        channels = self.channels_of(input_shape)
        shape = (*self.kernel_size, self.filters, channels)
        self.kernel = self.add_described_weight("kernel", shape)
        self.add_bias(self.filters)

    def call(self, inputs: Any) -> Any:
        """The larger image."""
        return self.finish(self._transpose(inputs, self.read(self.kernel)))

    def _transpose(self, x: Tensor, kernel: Tensor) -> Tensor:
        return ops.conv_transpose(
            x,
            kernel,
            self.strides,
            self.padding,
            self.output_padding,
            self.data_format,
            self.dilation_rate,
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input shape."""
        sizes = []
        for axis, size in enumerate(self.spatial(input_shape)):
            span = (self.kernel_size[axis] - 1) * self.dilation_rate[axis] + 1
            extra = None if self.output_padding is None else self.output_padding[axis]
            margins = transpose_margins(span, self.strides[axis], self.padding, extra)
            rest = sum(margins) + 2 - span
            sizes.append(None if size is None else (size - 1) * self.strides[axis] + rest)
        return self.image_shape(input_shape[0], sizes, self.filters)


@public("keras.layers")
class Conv1DTranspose(_ConvTranspose):
    """A transposed convolution over sequences; see `Conv2DTranspose`."""

    rank = 1


@public("keras.layers")
class Conv2DTranspose(_ConvTranspose):
    """A transposed convolution over images: the gradient of `Conv2D`, as a layer.

    Args:
        filters: The number of output channels.
        kernel_size: The window: rows and columns, or one number for both.
        strides: Factors by which the image grows.
        padding: ``"valid"`` or ``"same"``.
        output_padding: How much larger the output is than it has to be; less than the strides.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        dilation_rate: Distances between the elements that a window fills.
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
    """

    rank = 2


@public("keras.layers")
class Conv3DTranspose(_ConvTranspose):
    """A transposed convolution over volumes; see `Conv2DTranspose`."""

    rank = 3
