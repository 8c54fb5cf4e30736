"""``graphc.nn``: what neural networks are made of, under TensorFlow's names.

See https://www.tensorflow.org/api_docs/python/tf/nn. Images are laid out as ``data_format`` says,
``"NHWC"`` by default; paddings are ``"SAME"`` and ``"VALID"``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.eager import Tensor
from graphc.errors import ShapeError
from graphc.keras import ops
from graphc.keras import random as keras_random
from graphc.names.adapt import (
    composed,
    float_tensor_of,
    missing_name,
    public_names,
    renamed,
    takes_name,
    tensor_of,
)
from graphc.names.math import (  # noqa: F401 (names of this module, too)
    in_top_k,
    l2_normalize,
    log_softmax,
    sigmoid,
    softmax,
    softplus,
    softsign,
    tanh,
    top_k,
    zero_fraction,
)
from graphc.names.moments import *  # noqa: F403
from graphc.names.random import op_seed
from graphc.names.shape import known_sizes

elu = renamed(ops.elu, "features alpha")
leaky_relu = renamed(ops.leaky_relu, "features alpha")
relu = renamed(ops.relu, "features")
relu6 = renamed(ops.relu6, "features")
selu = renamed(ops.selu, "features")
silu = renamed(ops.silu, "features")
swish = silu


@takes_name
def gelu(features: Any, approximate: bool = False) -> Any:
    """``x * P(X <= x)`` for a normally distributed X.

    Args:
        features: A tensor.
        approximate: Whether to compute it by way of `tanh`; not by default.
    """
    return ops.gelu(features, approximate)


@takes_name
def crelu(features: Any, axis: int = -1) -> Any:
    """``relu(x)`` and ``relu(-x)``, one behind the other along an axis."""
    return ops.relu(ops.concatenate([features, ops.negative(features)], axis))


# ------------------------------------------------------------------------------------ losses


@composed
def softmax_cross_entropy_with_logits(labels: Any, logits: Any, axis: int = -1) -> Tensor:
    """``-sum(labels * log(softmax(logits)))`` along an axis.

    Args:
        labels: Distributions.
        logits: Scores of the same shape.
        axis: The axis of the classes.
    """
    scores = float_tensor_of(logits)
    return ops.negative(
        ops.sum(ops.cast(labels, scores.dtype) * ops.log_softmax(scores, axis), axis)
    )


@composed
def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any) -> Tensor:
    """``-log(softmax(logits)[label])`` of each row.

    Args:
        labels: Class numbers, ``(...,)``.
        logits: Scores, ``(..., classes)``.

    Raises:
        ShapeError: There is not one label for each row.
    """
    scores, classes = float_tensor_of(logits), tensor_of(labels)
    if scores.ndim != classes.ndim + 1:
        raise ShapeError(
            "sparse_softmax_cross_entropy_with_logits: labels have one axis less than logits; "
            f"received labels of shape {classes.shape} and logits of shape {scores.shape}"
        )
    chosen = ops.one_hot(classes, scores.dims[-1], dtype=scores.dtype)
    return ops.negative(ops.sum(chosen * ops.log_softmax(scores, -1), -1))


@composed
def sigmoid_cross_entropy_with_logits(labels: Any, logits: Any) -> Tensor:
    """``max(x, 0) - x * z + log(1 + exp(-|x|))`` for logits x and labels z, elementwise."""
    scores = float_tensor_of(logits)
    targets = ops.cast(labels, scores.dtype)
    return ops.relu(scores) - scores * targets + ops.softplus(ops.negative(ops.absolute(scores)))


@composed
def weighted_cross_entropy_with_logits(labels: Any, logits: Any, pos_weight: Any) -> Tensor:
    """`sigmoid_cross_entropy_with_logits` with the positive part multiplied by ``pos_weight``."""
    scores = float_tensor_of(logits)
    targets = ops.cast(labels, scores.dtype)
    weight = 1 + (pos_weight - 1) * targets
    tail = ops.softplus(ops.negative(ops.absolute(scores))) + ops.relu(ops.negative(scores))
    return (1 - targets) * scores + weight * tail


@composed
def log_poisson_loss(targets: Any, log_input: Any, compute_full_loss: bool = False) -> Tensor:
    """``exp(c) - z * c`` for log-rates c and targets z, elementwise.

    Args:
        targets: Counts.
        log_input: Logarithms of the expected counts.
        compute_full_loss: Whether to add Stirling's formula for ``log(z!)``.
    """
    z, c = float_tensor_of(targets), float_tensor_of(log_input)
    loss = ops.exp(c) - z * c
    if not compute_full_loss:
        return loss
    safe = ops.where(z > 1, z, 2.0)
    stirling = z * ops.log(safe) - z + 0.5 * ops.log(2 * 3.141592653589793 * safe)
    return loss + ops.where(z > 1, stirling, 0.0)


@takes_name
def l2_loss(t: Any) -> Any:
    """``sum(t^2) / 2``."""
    return ops.multiply(ops.sum(ops.square(t)), 0.5)


@takes_name
def compute_average_loss(
    per_example_loss: Any, sample_weight: Any = None, global_batch_size: Any = None
) -> Any:
    """The sum of the examples' losses over their number."""
    losses = ops.convert_to_tensor(per_example_loss)
    if sample_weight is not None:
        losses = ops.multiply(losses, sample_weight)
    if global_batch_size is None:
        return ops.mean(losses)
    return ops.true_divide(ops.sum(losses), global_batch_size)


@takes_name
def scale_regularization_loss(regularization_loss: Any) -> Any:
    """The sum of penalties; there is one replica only, so it is not divided."""
    return ops.sum(regularization_loss)


# ----------------------------------------------------------------------------- normalization


@takes_name
def moments(x: Any, axes: Any, shift: Any = None, keepdims: bool = False) -> tuple[Any, Any]:
    """The mean and the variance over axes.

    Args:
        x: A tensor.
        axes: The axes.
        shift: Accepted, and ignored.
        keepdims: Whether the axes stay, with size 1.
    """
    return ops.moments(x, axes, keepdims)


@composed
def batch_normalization(
    x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: float
) -> Tensor:
    """``scale * (x - mean) / sqrt(variance + epsilon) + offset``.

    Args:
        x: A tensor.
        mean: A mean that can be broadcast to it; the others likewise.
        variance: A variance.
        offset: What is added; None for nothing.
        scale: A factor; None for 1.
        variance_epsilon: A small number that keeps the root from 0.
    """
    factor = ops.rsqrt(ops.add(variance, variance_epsilon))
    if scale is not None:
        factor = ops.multiply(factor, scale)
    shift = ops.negative(ops.multiply(mean, factor))
    if offset is not None:
        shift = ops.add(shift, offset)
    return ops.add(ops.multiply(x, factor), shift)


@composed
def local_response_normalization(
    input: Any, depth_radius: int = 5, bias: float = 1, alpha: float = 1, beta: float = 0.5
) -> Tensor:
    """``x / (bias + alpha * sum of squares of the neighbouring channels) ^ beta``.

    Args:
        input: Images, channels last.
        depth_radius: How many channels on either side belong to the sum.
        bias: A number.
        alpha: A number.
        beta: A number.
    """
    x = float_tensor_of(input)
    widths = [(0, 0)] * (x.ndim - 1) + [(depth_radius, depth_radius)]
    squares = ops.pad(ops.square(x), widths)
    count = x.dims[-1]
    total = squares[..., :count]
    for offset in range(1, 2 * depth_radius + 1):
        total = total + squares[..., offset : offset + count]
    return x / (bias + alpha * total) ** beta


lrn = local_response_normalization


@takes_name
def bias_add(value: Any, bias: Any, data_format: str | None = None) -> Any:
    """A number added to each channel.

    Args:
        value: A tensor with channels last, or second if ``data_format`` begins with ``"NC"``.
        bias: A vector.
        data_format: Such as ``"NHWC"`` or ``"NCHW"``.
    """
    if data_format is not None and data_format.startswith("NC") and len(data_format) > 2:
        bias = ops.reshape(bias, (-1, *[1] * (ops.ndim(value) - 2)))
    return ops.add(value, bias)


@takes_name
def dropout(x: Any, rate: float, noise_shape: Any = None, seed: Any = None, rng: Any = None) -> Any:
    """Each element 0 with probability ``rate``, the others made larger to keep the sum.

    Args:
        x: A tensor.
        rate: A probability, below 1.
        noise_shape: The shape of the decisions, broadcast to ``x``.
        seed: An integer.
        rng: Accepted, and ignored.
    """
    return keras_random.dropout(x, rate, noise_shape, op_seed(seed))


@takes_name
def embedding_lookup(params: Any, ids: Any, max_norm: float | None = None) -> Any:
    """The rows of a table that numbers name.

    Args:
        params: The table.
        ids: Integers of any shape.
        max_norm: The largest norm of a row; larger ones are made smaller.
    """
    rows = ops.take(params, ids, 0)
    if max_norm is None:
        return rows
    norms = ops.sqrt(ops.sum(ops.square(rows), -1, keepdims=True))
    return ops.multiply(rows, ops.divide(max_norm, ops.maximum(norms, max_norm)))


# -------------------------------------------------------------------- convolution and pooling


def _spatial(values: Any, rank: int, channels_first: bool, what: str) -> tuple[int, ...]:
    """Strides or windows of the spatial axes, from one number, those alone, or all axes'."""
    if isinstance(values, int):
        return (values,) * rank
    numbers = tuple(int(value) for value in values)
    if len(numbers) == 1:
        return numbers * rank
    if len(numbers) == rank:
        return numbers
    if len(numbers) != rank + 2:
        raise ShapeError(f"{what}: expected 1, {rank} or {rank + 2} numbers; received {numbers}")
    outer = numbers[:2] if channels_first else (numbers[0], numbers[-1])
    if outer != (1, 1):
        raise ShapeError(f"{what}: has to be 1 along batch and channels; received {numbers}")
    return numbers[2:] if channels_first else numbers[1:-1]


def _layout(data_format: str | None) -> tuple[bool, str]:
    first = bool(data_format) and str(data_format).startswith("NC") and len(str(data_format)) > 2
    return first, "channels_first" if first else "channels_last"


def _padded(x: Any, padding: Any) -> tuple[Any, str]:
    """The tensor and Keras's padding; widths that are given outright are applied at once."""
    if isinstance(padding, str):
        return x, padding.lower()
    return ops.pad(x, [tuple(pair) for pair in padding]), "valid"


def _convolve(
    function: Any, rank: int, x: Any, filters: Any, strides: Any, padding: Any, form: Any, rate: Any
) -> Any:
    first, layout = _layout(form)
    steps = _spatial(strides, rank, first, "strides")
    rates = _spatial(1 if rate is None else rate, rank, first, "dilations")
    x, mode = _padded(x, padding)
    return function(x, filters, steps, mode, layout, rates)


@takes_name
def convolution(
    input: Any,
    filters: Any,
    strides: Any = None,
    padding: Any = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
) -> Any:
    """A convolution over 1, 2 or 3 spatial axes.

    Args:
        input: ``(batch, ..., channels)``, or as ``data_format`` says.
        filters: ``(..., channels, filters)``.
        strides: Steps of the window.
        padding: ``"SAME"``, ``"VALID"``, or widths for every axis.
        data_format: Such as ``"NHWC"`` or ``"NCHW"``.
        dilations: Distances between the window's elements.
    """
    rank = ops.ndim(ops.convert_to_tensor(filters)) - 2
    steps = 1 if strides is None else strides
    return _convolve(ops.conv, rank, input, filters, steps, padding, data_format, dilations)


@takes_name
def conv1d(
    input: Any,
    filters: Any,
    stride: Any,
    padding: Any,
    data_format: str = "NWC",
    dilations: Any = None,
) -> Any:
    """`convolution` over one axis."""
    return _convolve(ops.conv, 1, input, filters, stride, padding, data_format, dilations)


@takes_name
def conv2d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NHWC",
    dilations: Any = None,
) -> Any:
    """`convolution` over two axes."""
    return _convolve(ops.conv, 2, input, filters, strides, padding, data_format, dilations)


@takes_name
def conv3d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NDHWC",
    dilations: Any = None,
) -> Any:
    """`convolution` over three axes."""
    return _convolve(ops.conv, 3, input, filters, strides, padding, data_format, dilations)


@takes_name
def atrous_conv2d(value: Any, filters: Any, rate: int, padding: Any) -> Any:
    """`conv2d` with distances of ``rate`` between the window's elements."""
    return _convolve(ops.conv, 2, value, filters, 1, padding, "NHWC", rate)


@takes_name
def depthwise_conv2d(
    input: Any,
    filter: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    dilations: Any = None,
) -> Any:
    """A convolution of each channel with filters of its own, ``(height, width, channels, n)``."""
    return _convolve(ops.depthwise_conv, 2, input, filter, strides, padding, data_format, dilations)


@takes_name
def separable_conv2d(
    input: Any,
    depthwise_filter: Any,
    pointwise_filter: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    dilations: Any = None,
) -> Any:
    """`depthwise_conv2d`, and a convolution of one pixel that mixes the channels."""
    inner = depthwise_conv2d(input, depthwise_filter, strides, padding, data_format, dilations)
    return _convolve(ops.conv, 2, inner, pointwise_filter, 1, "VALID", data_format, None)


@takes_name
def conv_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    strides: Any,
    padding: str = "SAME",
    data_format: str | None = None,
    dilations: Any = None,
) -> Any:
    """The gradient of `convolution` with respect to its input.

    Args:
        input: ``(batch, ..., channels)``, or as ``data_format`` says.
        filters: ``(..., filters, channels)``.
        output_shape: The result's shape.
        strides: Steps of the window.
        padding: ``"SAME"`` or ``"VALID"``.
        data_format: Such as ``"NHWC"`` or ``"NCHW"``.
        dilations: Distances between the window's elements.

    Raises:
        ShapeError: A convolution of something of that shape does not give the input's shape.
    """
    x, window = ops.convert_to_tensor(input), known_sizes(filters, "conv_transpose")
    rank = len(window) - 2
    first, layout = _layout(data_format)
    steps = _spatial(strides, rank, first, "strides")
    rates = _spatial(1 if dilations is None else dilations, rank, first, "dilations")
    full = ops.conv_transpose(x, filters, steps, "valid", None, layout, rates)
    sizes, start = _sizes_of(output_shape), 2 if first else 1
    given, made = known_sizes(x, "conv_transpose"), known_sizes(full, "conv_transpose")
    cut, widths = [slice(None)] * (rank + 2), [(0, 0)] * (rank + 2)
    for i in range(rank):
        axis, size = start + i, sizes[start + i]
        reach = rates[i] * (window[i] - 1) + 1
        seen = size if padding == "SAME" else size - reach + 1
        positions = -(-seen // steps[i])
        if positions != given[axis]:
            raise ShapeError(
                f"conv_transpose: a convolution of {size} pixels has {positions} positions, but "
                f"the input has {given[axis]} along axis {axis}"
            )
        added = max((positions - 1) * steps[i] + reach - size, 0) if padding == "SAME" else 0
        before = added // 2
        cut[axis] = slice(before, before + size)
        widths[axis] = (0, max(before + size - made[axis], 0))
    return ops.get_item(ops.pad(full, widths), tuple(cut))


conv1d_transpose = conv2d_transpose = conv3d_transpose = conv_transpose


def _sizes_of(shape: Any) -> list[int]:
    return [int(n) for n in (shape.numpy() if isinstance(shape, Tensor) else shape)]


def _pool(
    function: Any, rank: int, x: Any, ksize: Any, strides: Any, padding: Any, form: Any
) -> Any:
    first, layout = _layout(form)
    window = _spatial(ksize, rank, first, "ksize")
    steps = _spatial(strides, rank, first, "strides")
    x, mode = _padded(x, padding)
    return function(x, window, steps, mode, layout)


@takes_name
def max_pool(
    input: Any, ksize: Any, strides: Any, padding: Any, data_format: str | None = None
) -> Any:
    """The largest element in each window.

    Args:
        input: ``(batch, ..., channels)``, or as ``data_format`` says.
        ksize: Sizes of the window.
        strides: Steps of the window.
        padding: ``"SAME"`` or ``"VALID"``.
        data_format: Such as ``"NHWC"`` or ``"NCHW"``.
    """
    return _pool(ops.max_pool, ops.ndim(input) - 2, input, ksize, strides, padding, data_format)


@takes_name
def avg_pool(
    input: Any, ksize: Any, strides: Any, padding: Any, data_format: str | None = None
) -> Any:
    """The mean of each window; what a padding adds is not counted (see `max_pool`)."""
    rank = ops.ndim(input) - 2
    return _pool(ops.average_pool, rank, input, ksize, strides, padding, data_format)


max_pool1d = max_pool2d = max_pool3d = max_pool
avg_pool1d = avg_pool2d = avg_pool3d = avg_pool


@composed
def depth_to_space(input: Any, block_size: int, data_format: str = "NHWC") -> Tensor:
    """Channels moved into blocks of ``block_size`` by ``block_size`` pixels."""
    x = _channels_last(tensor_of(input), data_format)
    height, width, channels = known_sizes(x, "depth_to_space", 1)
    rest = channels // block_size**2
    wide = ops.reshape(x, (-1, height, width, block_size, block_size, rest))
    wide = ops.transpose(wide, (0, 1, 3, 2, 4, 5))
    y = ops.reshape(wide, (-1, height * block_size, width * block_size, rest))
    return ops.transpose(y, (0, 3, 1, 2)) if data_format == "NCHW" else y


@composed
def space_to_depth(input: Any, block_size: int, data_format: str = "NHWC") -> Tensor:
    """Blocks of ``block_size`` by ``block_size`` pixels moved into channels."""
    x = _channels_last(tensor_of(input), data_format)
    height, width, channels = known_sizes(x, "space_to_depth", 1)
    rows, columns = height // block_size, width // block_size
    blocks = ops.reshape(x, (-1, rows, block_size, columns, block_size, channels))
    deep = ops.transpose(blocks, (0, 1, 3, 2, 4, 5))
    y = ops.reshape(deep, (-1, rows, columns, block_size * block_size * channels))
    return ops.transpose(y, (0, 3, 1, 2)) if data_format == "NCHW" else y


def _channels_last(x: Tensor, data_format: str) -> Tensor:
    return ops.transpose(x, (0, 2, 3, 1)) if data_format == "NCHW" else x


__all__: Sequence[str] = public_names(globals())


def __getattr__(name: str) -> Any:
    raise missing_name("graphc.nn", name, __all__)
