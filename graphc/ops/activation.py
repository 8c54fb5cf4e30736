"""Activation functions: elementwise composites, and `ACTIVATIONS`, all of them by Keras's names.

Each decomposes into elementwise ops, so that a backend fuses it with its neighbours. It stays one
op for as long as somebody may know it whole: the exporter, or its own gradient rule where the
decomposition's would be wrong at a kink or lose digits. Values and derivatives are those of Keras
on JAX, but that at the kinks of Relu6 and HardSigmoid the derivative is 0, as it is for Relu.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError
from graphc.ir import (
    COMPLEXES,
    FLOATS,
    Node,
    Op,
    Sample,
    TensorType,
    Value,
    is_complex,
)
from graphc.ops.complex import absolute, principal
from graphc.ops.elementwise import (
    Abs,
    Erf,
    Exp,
    Expm1,
    Log1p,
    Min,
    Relu,
    Sigmoid,
    Sqrt,
    Tanh,
    Where,
    clip,
)
from graphc.ops.family import EDGES, like
from graphc.ops.logic import And

#: The fixed point that keeps mean 0 and variance 1 (Klambauer et al., 2017).
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


class _Activation(Op):
    """``y = f(x)`` for each element of a floating-point or complex tensor.

    Where a formula compares complex numbers, it does so as `graphc.ops.logic.Less`.
    """

    #: Values at which it is tried: on both sides of the kinks, but not on them.
    points: ClassVar[tuple[float, ...]] = (-7.3, -3.2, -1.4, -0.6, -0.1, 0.2, 0.8, 1.7, 4.1, 6.5)
    #: The ONNX op that it is; None if it is exported as what it decomposes into.
    onnx_name: ClassVar[str | None] = None
    #: Whether it takes complex numbers, too.
    takes_complex: ClassVar[bool] = True

    def infer(self, x: TensorType) -> TensorType:
        if x.dtype not in FLOATS and not (self.takes_complex and is_complex(x.dtype)):
            raise DTypeError(f"takes {', '.join(FLOATS)}, not {x.dtype}")
        return x

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        """The ONNX op of the same meaning, or what the op is made of.

        ONNX Runtime has these ops in single precision only.
        """
        if self.onnx_name is None or node.output.dtype != "float32":
            return context.decomposed(node, x)
        return context.node(self.onnx_name, [x], **self.onnx_attributes())

    def onnx_attributes(self) -> dict[str, float]:
        """The attributes of the ONNX op."""
        return {}

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for op in cls.variants():
            for dtype in ("float32", "float64"):
                points = np.array(cls.points, dtype)
                for x in (points.reshape(2, 5), points[:1].reshape(()), np.zeros((0, 3), dtype)):
                    yield Sample(op, (x,))
                kinks = np.array((*EDGES, -1000, 1000, 3, -3, 6), dtype)
                yield Sample(op, (kinks,), differentiable=False)
            if cls.takes_complex and op != Gelu():
                for dtype in COMPLEXES:
                    x = np.array(cls.points) + 1j * np.array(cls.points[::-1])
                    yield Sample(op, (x.astype(dtype),))

    @classmethod
    def variants(cls) -> Iterable[Op]:
        """Ops with several choices of the attributes."""
        return (cls(),)


class Elu(_Activation):
    """``x`` if positive, else ``alpha * (exp(x) - 1)``.

    Args:
        alpha: Minus the limit on the left.
    """

    alpha: float = 1.0
    onnx_name: ClassVar[str | None] = "Elu"

    def decompose(self, x: Value) -> Value:
        # Of a positive number no exponential is taken, so that nothing overflows.
        return Where()(x > 0.0, x, Expm1()(Min()(x, like(x, 0))) * self.alpha)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        (x,) = node.inputs
        return (Where()(x > 0.0, dy, dy * (node.output + self.alpha)),)

    def onnx_attributes(self) -> dict[str, float]:
        return {"alpha": self.alpha}

    @classmethod
    def variants(cls) -> Iterable[Op]:
        return (cls(), cls(0.3))


class Celu(_Activation):
    """``x`` if positive, else ``alpha * (exp(x / alpha) - 1)``: smooth at 0 for each alpha.

    Args:
        alpha: Minus the limit on the left.
    """

    alpha: float = 1.0
    onnx_name: ClassVar[str | None] = "Celu"

    def decompose(self, x: Value) -> Value:
        return Where()(x > 0.0, x, Expm1()(Min()(x, like(x, 0)) / self.alpha) * self.alpha)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        (x,) = node.inputs
        return (Where()(x > 0.0, dy, dy * (node.output / self.alpha + 1.0)),)

    def onnx_attributes(self) -> dict[str, float]:
        return {"alpha": self.alpha}

    @classmethod
    def variants(cls) -> Iterable[Op]:
        return (cls(), cls(0.3))


class Selu(_Activation):
    """The scaled exponential linear unit: ``SELU_SCALE * Elu(SELU_ALPHA)``."""

    onnx_name: ClassVar[str | None] = "Selu"

    def decompose(self, x: Value) -> Value:
        return Elu(SELU_ALPHA)(x) * SELU_SCALE

    def onnx_attributes(self) -> dict[str, float]:
        return {"alpha": SELU_ALPHA, "gamma": SELU_SCALE}


class Softplus(_Activation):
    """``log(1 + exp(x))``."""

    onnx_name: ClassVar[str | None] = "Softplus"

    def decompose(self, x: Value) -> Value:
        if is_complex(x.dtype):
            smaller = Log1p()(Exp()(Where()(x > 0.0, -x, x)))
            return principal(Relu()(x) + smaller)
        return Relu()(x) + Log1p()(Exp()(-Abs()(x)))

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (dy * Sigmoid()(node.inputs[0]),)


class LogSigmoid(_Activation):
    """``log(1 / (1 + exp(-x)))``."""

    def decompose(self, x: Value) -> Value:
        return -Softplus()(-x)


class Softsign(_Activation):
    """``x / (1 + abs(x))``; complex numbers are divided before they get here."""

    takes_complex: ClassVar[bool] = False
    onnx_name: ClassVar[str | None] = "Softsign"

    def decompose(self, x: Value) -> Value:
        return x / (Abs()(x) + 1.0)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        slope = 1.0 / (Abs()(node.inputs[0]) + 1.0)
        return (dy * slope * slope,)


class LeakyRelu(_Activation):
    """``x`` if not negative, else ``alpha * x``; the derivative at 0 is 1.

    Args:
        alpha: The slope on the left.
    """

    alpha: float = 0.2
    onnx_name: ClassVar[str | None] = "LeakyRelu"

    def decompose(self, x: Value) -> Value:
        return Where()(x >= 0.0, x, x * self.alpha)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (Where()(node.inputs[0] >= 0.0, dy, dy * self.alpha),)

    def onnx_attributes(self) -> dict[str, float]:
        return {"alpha": self.alpha}

    @classmethod
    def variants(cls) -> Iterable[Op]:
        return (cls(), cls(0.01))


class Relu6(_Activation):
    """``x`` limited to [0, 6]; the derivative at both ends is 0."""

    def decompose(self, x: Value) -> Value:
        return clip(x, 0.0, 6.0)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        (x,) = node.inputs
        return (Where()(And()(x > 0.0, x < 6.0), dy, like(dy, 0)),)


class HardSigmoid(_Activation):
    """``Relu6(x + 3) / 6``."""

    onnx_name: ClassVar[str | None] = "HardSigmoid"

    def decompose(self, x: Value) -> Value:
        return Relu6()(x + 3.0) / 6.0

    def onnx_attributes(self) -> dict[str, float]:
        return {"alpha": 1 / 6, "beta": 0.5}


class HardSwish(_Activation):
    """``x * HardSigmoid(x)``, which Keras calls ``hard_silu`` too."""

    onnx_name: ClassVar[str | None] = "HardSwish"

    def decompose(self, x: Value) -> Value:
        return x * HardSigmoid()(x)


class HardTanh(_Activation):
    """``x`` limited to [-1, 1]; the derivative at both ends is 1."""

    def decompose(self, x: Value) -> Value:
        return clip(x, -1.0, 1.0)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        (x,) = node.inputs
        return (Where()(And()(x >= -1.0, x <= 1.0), dy, like(dy, 0)),)


class Silu(_Activation):
    """``x * sigmoid(x)``, also called swish."""

    def decompose(self, x: Value) -> Value:
        return x * Sigmoid()(x)


class Gelu(_Activation):
    """``x`` times the probability that a standard normal number is below it.

    Args:
        approximate: Whether to use Hendrycks and Gimpel's formula with a hyperbolic tangent.
            Complex numbers have no other one here.
    """

    approximate: bool = False

    def infer(self, x: TensorType) -> TensorType:
        if not self.approximate and is_complex(x.dtype):
            raise DTypeError(f"without an approximation takes {', '.join(FLOATS)}, not {x.dtype}")
        return super().infer(x)

    def decompose(self, x: Value) -> Value:
        if self.approximate:
            inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
            return x * ((Tanh()(inner) + 1.0) * 0.5)
        return x * 0.5 * (Erf()(x * math.sqrt(0.5)) + 1.0)

    @classmethod
    def variants(cls) -> Iterable[Op]:
        return (cls(), cls(approximate=True))


class Mish(_Activation):
    """``x * tanh(softplus(x))``."""

    def decompose(self, x: Value) -> Value:
        return x * Tanh()(Softplus()(x))


# --------------------------------------------------------------------------------- plain functions


def hard_shrink(x: Value, threshold: float = 0.5) -> Value:
    """``x`` where it is farther from 0 than the threshold, else 0."""
    return Where()(absolute(x) > threshold, x, like(x, 0))


def soft_shrink(x: Value, threshold: float = 0.5) -> Value:
    """``x`` moved towards 0 by the threshold, and no farther than to 0."""
    below = Where()(x < -threshold, x + threshold, like(x, 0))
    return Where()(x > threshold, x - threshold, below)


def tanh_shrink(x: Value) -> Value:
    """``x - tanh(x)``."""
    return x - Tanh()(x)


def threshold(x: Value, threshold: float, default_value: float) -> Value:
    """``x`` where it is above the threshold, else the default."""
    return Where()(x > threshold, x, like(x, default_value))


def squareplus(x: Value, b: float = 4.0) -> Value:
    """``(x + sqrt(x * x + b)) / 2``."""
    return (x + Sqrt()(x * x + b)) / 2.0


def sparse_plus(x: Value) -> Value:
    """0 up to -1, ``x`` from 1 on, and a parabola that joins both."""
    between = (x + 1.0) * (x + 1.0) / 4.0
    return Where()(x <= -1.0, like(x, 0), Where()(x >= 1.0, x, between))


def sparse_sigmoid(x: Value) -> Value:
    """``x`` limited to [-1, 1], moved to [0, 1]."""
    return clip(x + 1.0, 0.0, 2.0) * 0.5


def linear(x: Value) -> Value:
    """``x`` itself."""
    return x


#: The elementwise activations of ``keras.activations`` with their default parameters.
ACTIVATIONS: dict[str, Callable[[Value], Value]] = {
    "celu": Celu(),
    "elu": Elu(),
    "exponential": Exp(),
    "gelu": Gelu(),
    "hard_shrink": hard_shrink,
    "hard_sigmoid": HardSigmoid(),
    "hard_silu": HardSwish(),
    "hard_swish": HardSwish(),
    "hard_tanh": HardTanh(),
    "leaky_relu": LeakyRelu(),
    "linear": linear,
    "log_sigmoid": LogSigmoid(),
    "mish": Mish(),
    "relu": Relu(),
    "relu6": Relu6(),
    "selu": Selu(),
    "sigmoid": Sigmoid(),
    "silu": Silu(),
    "soft_shrink": soft_shrink,
    "softplus": Softplus(),
    "softsign": Softsign(),
    "sparse_plus": sparse_plus,
    "sparse_sigmoid": sparse_sigmoid,
    "squareplus": squareplus,
    "swish": Silu(),
    "tanh": Tanh(),
    "tanh_shrink": tanh_shrink,
}
