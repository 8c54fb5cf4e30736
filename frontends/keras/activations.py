"""Activation functions: ``keras.activations``; see https://keras.io/api/layers/activations/."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.eager import Tensor, as_tensor
from graphc.keras import ops
from graphc.keras.ops.recording import operation
from graphc.keras.saving.families import Family
from graphc.keras.saving.registry import public, serialize_keras_object


@operation
def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Tensor:
    """``max(x, 0)``, or with other arguments a line with kinks.

    Args:
        x: A tensor.
        negative_slope: The slope below the threshold.
        max_value: The largest value; None for no limit.
        threshold: Below it the result is ``negative_slope * (x - threshold)``.

    Example:
        >>> keras.activations.relu([-1.0, 2.0])
    """
    tensor = as_tensor(x)
    if not negative_slope and max_value is None and not threshold:
        return ops.relu(tensor)
    if negative_slope and max_value is None and not threshold:
        return ops.leaky_relu(tensor, negative_slope)
    if threshold:
        positive = ops.where(tensor > threshold, tensor, 0)
    elif max_value == 6:
        positive, max_value = ops.relu6(tensor), None
    else:
        positive = ops.relu(tensor)
    if max_value is not None:
        positive = ops.clip(positive, 0, max_value)
    if not negative_slope:
        return positive
    return positive - negative_slope * ops.relu(threshold - tensor)


@operation
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """``x`` if not negative, else ``negative_slope * x``."""
    return ops.leaky_relu(x, negative_slope)


@operation
def relu6(x: Any) -> Tensor:
    """``x`` limited to [0, 6]."""
    return ops.relu6(x)


@operation
def softmax(x: Any, axis: Any = -1) -> Tensor:
    """``exp(x)`` divided by its sum along the axis: probabilities."""
    return ops.softmax(x, axis)


@operation
def log_softmax(x: Any, axis: Any = -1) -> Tensor:
    """The logarithm of the softmax."""
    return ops.log_softmax(x, axis)


@operation
def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """``x`` if positive, else ``alpha * (exp(x) - 1)``: https://arxiv.org/abs/1511.07289."""
    return ops.elu(x, alpha)


@operation
def selu(x: Any) -> Tensor:
    """`elu` scaled so that mean 0 and variance 1 are kept: https://arxiv.org/abs/1706.02515."""
    return ops.selu(x)


@operation
def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """``x`` if positive, else ``alpha * (exp(x / alpha) - 1)``: https://arxiv.org/abs/1704.07483."""
    return ops.celu(x, alpha)


@operation
def gelu(x: Any, approximate: bool = False) -> Tensor:
    """``x`` times the probability of smaller normal numbers: https://arxiv.org/abs/1606.08415."""
    return ops.gelu(x, approximate)


@operation
def glu(x: Any, axis: int = -1) -> Tensor:
    """The first half times the sigmoid of the second half: https://arxiv.org/abs/1612.08083."""
    return ops.glu(x, axis)


@operation
def softplus(x: Any) -> Tensor:
    """``log(1 + exp(x))``."""
    return ops.softplus(x)


@operation
def softsign(x: Any) -> Tensor:
    """``x / (1 + |x|)``."""
    return ops.softsign(x)


@operation
def soft_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """``x`` moved towards 0 by the threshold, and no farther than to 0."""
    return ops.soft_shrink(x, threshold)


@operation
def hard_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """``x`` where it is farther from 0 than the threshold, else 0."""
    return ops.hard_shrink(x, threshold)


@operation
def tanh_shrink(x: Any) -> Tensor:
    """``x - tanh(x)``."""
    return ops.tanh_shrink(x)


@operation
def sparse_plus(x: Any) -> Tensor:
    """0 up to -1, ``x`` from 1 on, and a parabola between."""
    return ops.sparse_plus(x)


@operation
def sparse_sigmoid(x: Any) -> Tensor:
    """0 up to -1, 1 from 1 on, and a line between."""
    return ops.sparse_sigmoid(x)


@operation
def sparsemax(x: Any, axis: int = -1) -> Tensor:
    """The nearest probabilities to ``x``: https://arxiv.org/abs/1602.02068."""
    return ops.sparsemax(x, axis)


@operation
def squareplus(x: Any, b: float = 4) -> Tensor:
    """``(x + sqrt(x * x + b)) / 2``: https://arxiv.org/abs/2112.11687."""
    return ops.squareplus(x, b)


@operation
def silu(x: Any) -> Tensor:
    """``x * sigmoid(x)``, also called swish: https://arxiv.org/abs/1710.05941."""
    return ops.silu(x)


@operation
def hard_silu(x: Any) -> Tensor:
    """``x * hard_sigmoid(x)``, also called hard swish: https://arxiv.org/abs/1905.02244."""
    return ops.hard_silu(x)


@operation
def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent."""
    return ops.tanh(x)


@operation
def hard_tanh(x: Any) -> Tensor:
    """``x`` limited to [-1, 1]."""
    return ops.hard_tanh(x)


@operation
def threshold(x: Any, threshold: float, default_value: float) -> Tensor:
    """``x`` where it is above the threshold, else the default."""
    return ops.threshold(x, threshold, default_value)


@operation
def sigmoid(x: Any) -> Tensor:
    """``1 / (1 + exp(-x))``."""
    return ops.sigmoid(x)


@operation
def hard_sigmoid(x: Any) -> Tensor:
    """``relu6(x + 3) / 6``."""
    return ops.hard_sigmoid(x)


@operation
def log_sigmoid(x: Any) -> Tensor:
    """``log(sigmoid(x))``."""
    return ops.log_sigmoid(x)


@operation
def exponential(x: Any) -> Tensor:
    """``exp(x)``."""
    return ops.exp(x)


@operation
def mish(x: Any) -> Tensor:
    """``x * tanh(softplus(x))``: https://arxiv.org/abs/1908.08681."""
    return ops.mish(x)


def linear(x: Any) -> Any:
    """``x`` itself."""
    return x


swish = silu
hard_swish = hard_silu

_FUNCTIONS = (
    celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh, leaky_relu,
    linear, log_sigmoid, log_softmax, mish, relu, relu6, selu, sigmoid, silu, soft_shrink, softmax,
    softplus, softsign, sparse_plus, sparse_sigmoid, sparsemax, squareplus, tanh, tanh_shrink,
    threshold,
)  # fmt: skip

for _function in _FUNCTIONS:
    public("keras.activations")(_function)

_family = Family(
    "activation function",
    {function.__name__: function for function in _FUNCTIONS}
    | {"swish": silu, "hard_swish": hard_silu},
)

deserialize = _family.deserialize


def get(identifier: Any) -> Callable[..., Any]:
    """An activation function from its name, a dictionary, or the function itself.

    Args:
        identifier: ``"relu"``, a function, a layer, or None for `linear`.

    Raises:
        ValueError: It is none of these.

    Example:
        >>> keras.activations.get("relu")
    """
    return linear if identifier is None else _family.get(identifier)


def serialize(activation: Any) -> Any:
    """The name of one of Keras's activations; the dictionary of any other function or object.

    Raises:
        TypeError: A lambda, or an object without ``get_config``.
    """
    name = getattr(activation, "__name__", "")
    if _family.objects.get(name) is activation:
        return name
    return serialize_keras_object(activation)
