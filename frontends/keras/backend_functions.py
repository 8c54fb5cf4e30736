"""The functions that Keras 2 had in its backend, as in ``from keras import backend as K``.

Most are those of `keras.ops` under an older name or with another default; new code uses
`keras.ops`. What only made sense with TensorFlow's graphs (``K.function``, ``K.gradients``,
``K.placeholder``, sessions) is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.eager import Tensor, Variable, as_tensor
from graphc.keras import ops, random
from graphc.keras.engine.naming import clear_session, get_uid
from graphc.keras.losses import functions as losses
from graphc.keras.ops import (
    abs,
    all,
    any,
    cast,
    clip,
    cos,
    dot,
    elu,
    equal,
    exp,
    greater,
    greater_equal,
    hard_sigmoid,
    less,
    less_equal,
    log,
    max,
    maximum,
    mean,
    min,
    minimum,
    not_equal,
    ones_like,
    prod,
    relu,
    repeat,
    reshape,
    round,
    sigmoid,
    sign,
    sin,
    softmax,
    softplus,
    softsign,
    sqrt,
    square,
    squeeze,
    stack,
    std,
    stop_gradient,
    sum,
    tanh,
    tile,
    transpose,
    var,
    zeros_like,
)
from graphc.keras.ops import power as pow

__all__ = [
    "abs",
    "all",
    "any",
    "argmax",
    "argmin",
    "binary_crossentropy",
    "cast",
    "categorical_crossentropy",
    "clear_session",
    "clip",
    "concatenate",
    "constant",
    "cos",
    "dot",
    "dtype",
    "elu",
    "equal",
    "eval",
    "exp",
    "expand_dims",
    "flatten",
    "get_uid",
    "get_value",
    "greater",
    "greater_equal",
    "hard_sigmoid",
    "int_shape",
    "less",
    "less_equal",
    "log",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "ndim",
    "not_equal",
    "one_hot",
    "ones",
    "ones_like",
    "pow",
    "prod",
    "random_normal",
    "random_uniform",
    "relu",
    "repeat",
    "reshape",
    "round",
    "set_value",
    "shape",
    "sigmoid",
    "sign",
    "sin",
    "softmax",
    "softplus",
    "softsign",
    "sparse_categorical_crossentropy",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "stop_gradient",
    "sum",
    "switch",
    "tanh",
    "tile",
    "transpose",
    "truncated_normal",
    "var",
    "variable",
    "zeros",
    "zeros_like",
]

dtype = ops.dtype
ndim = ops.ndim
ones = ops.ones
shape = ops.shape
zeros = ops.zeros


def get_value(x: Any) -> Any:
    """The value of a variable or tensor: a NumPy array; a scalar's as a NumPy number.

    Example:
        >>> K.get_value(model.optimizer.lr)
    """
    return as_tensor(x).numpy()[()] if hasattr(x, "numpy") else x


eval = get_value


def set_value(x: Variable, value: Any) -> None:
    """Give a variable a new value.

    Example:
        >>> K.set_value(model.optimizer.lr, 0.001)
    """
    x.assign(value)


def variable(value: Any, dtype: Any = None, name: str | None = None) -> Variable:
    """A variable with a first value."""
    start = as_tensor(value, dtype).numpy()
    return Variable(start, name=name or "variable")


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Tensor:
    """A tensor of a value, repeated to a shape if one is given."""
    tensor = as_tensor(value, dtype)
    return tensor if shape is None else ops.broadcast_to(tensor, shape)


def int_shape(x: Any) -> tuple[int | None, ...]:
    """The sizes; None where they are not known."""
    return tuple(x.shape)


def argmax(x: Any, axis: int = -1) -> Any:
    """The place of the largest element along an axis."""
    return ops.argmax(x, axis)


def argmin(x: Any, axis: int = -1) -> Any:
    """The place of the smallest element along an axis."""
    return ops.argmin(x, axis)


def concatenate(tensors: Any, axis: int = -1) -> Any:
    """Tensors joined along an axis, the last by default."""
    return ops.concatenate(tensors, axis)


def expand_dims(x: Any, axis: int = -1) -> Any:
    """A new axis of size 1, the last by default."""
    return ops.expand_dims(x, axis)


def flatten(x: Any) -> Any:
    """All elements in one axis."""
    return ops.reshape(x, (-1,))


def one_hot(indices: Any, num_classes: int) -> Any:
    """A row with a one in the place of the class, for each class number."""
    return ops.one_hot(indices, num_classes)


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """One of two values, by a condition; both may be functions without arguments."""
    chosen = [x() if isinstance(x, Callable) else x for x in (then_expression, else_expression)]  # type: ignore[arg-type]
    return ops.where(condition, *chosen)


def random_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Any:
    """Normally distributed numbers."""
    return random.normal(shape, mean, stddev, dtype, seed)


def random_uniform(
    shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None
) -> Any:
    """Numbers that are spread evenly over a range."""
    return random.uniform(shape, minval, maxval, dtype, seed)


def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Any:
    """Normally distributed numbers, none farther than two deviations from the mean."""
    return random.truncated_normal(shape, mean, stddev, dtype, seed)


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """The binary cross-entropy of each element."""
    return ops.binary_crossentropy(target, output, from_logits)


def categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Any:
    """The cross-entropy of each distribution along an axis."""
    return losses.categorical_crossentropy(target, output, from_logits, axis=axis)


def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Any:
    """The cross-entropy of each distribution, for class numbers."""
    return losses.sparse_categorical_crossentropy(target, output, from_logits, axis=axis)
