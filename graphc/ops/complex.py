"""Complex numbers: made of their parts, and taken apart.

Backends never see complex numbers: `graphc.passes.split_complex` makes two tensors of each. Their
cotangents follow the convention of JAX: of a function to real numbers, it is the derivative along
the real axis minus i times that along the imaginary axis. So the rules of holomorphic functions are
those of real numbers, and functions from real to real numbers have their own gradient however
they compute it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from graphc.errors import DTypeError
from graphc.ir import Node, Op, Sample, TensorType, Value, is_complex, part_dtype, zeros_like
from graphc.ir.dims import broadcast_shapes
from graphc.ops.barrier import StopGradient
from graphc.ops.choice import Where
from graphc.ops.circular import Atan2
from graphc.ops.elementwise import Abs, Max, Round, Sqrt
from graphc.ops.family import like
from graphc.ops.logic import Equal, Or

#: The type of complex numbers whose parts have a type.
WHOLES = {"float32": "complex64", "float64": "complex128"}


class ComplexOp(Op):
    """An operation that is gone when complex numbers have been split."""

    def check(self, x: TensorType) -> None:
        """Refuse what is not complex.

        Raises:
            DTypeError: The type is no complex one.
        """
        if not is_complex(x.dtype):
            raise DTypeError(f"takes complex numbers, not {x.dtype}")


class Complex(ComplexOp):
    """``x + i y``: complex64 of float32, complex128 of float64."""

    def infer(self, x: TensorType, y: TensorType) -> TensorType:
        if x.dtype != y.dtype or x.dtype not in WHOLES:
            raise DTypeError("takes two operands of float32, or two of float64")
        return TensorType(broadcast_shapes(x.shape, y.shape), WHOLES[x.dtype])

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        z = np.empty(np.broadcast_shapes(x.shape, y.shape), WHOLES[x.dtype.name])
        z.real, z.imag = x, y
        return z

    def gradient(self, node: Node, dz: Value) -> Sequence[Value]:
        return Real()(dz), -Imag()(dz)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(43)
        for dtype in ("float32", "float64"):
            for first, second in (((2, 3), (2, 3)), ((3, 1), (4,)), ((), ()), ((0, 2), (1,))):
                parts = (rng.normal(size=shape) for shape in (first, second))
                yield Sample(cls(), tuple(np.asarray(x).astype(dtype) for x in parts))
        x = np.array([0.0, np.inf, np.nan, -0.0], np.float32)
        yield Sample(cls(), (x, x[::-1].copy()), differentiable=False)


class _Part(ComplexOp):
    """Real numbers of complex ones."""

    def infer(self, x: TensorType) -> TensorType:
        self.check(x)
        return x.with_dtype(part_dtype(x.dtype))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield from _samples(cls())


class Real(_Part):
    """The real part."""

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return x.real.copy()

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (Complex()(dy, zeros_like(dy)),)


class Imag(_Part):
    """The imaginary part."""

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return x.imag.copy()

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (Complex()(zeros_like(dy), -dy),)


class Conj(ComplexOp):
    """The complex conjugate."""

    def infer(self, x: TensorType) -> TensorType:
        self.check(x)
        return x

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return np.conj(x)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        return (Conj()(dy),)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield from _samples(cls())


def hypotenuse(x: Value, y: Value) -> Value:
    """``sqrt(x * x + y * y)`` without overflow on the way; its derivatives at 0 are 0."""
    sizes = [Abs()(part) for part in (x, y)]
    larger = StopGradient()(Max()(*sizes))
    zero, one, infinity = (like(larger, number) for number in (0, 1, np.inf))
    nothing = Equal()(larger, zero)
    # Infinity over infinity would be NaN.
    endless = Or()(*[Equal()(size, infinity) for size in sizes])
    scale = Where()(Or()(nothing, endless), one, larger)
    first, second = x / scale, y / scale
    square = first * first + second * second
    length = Sqrt()(Where()(nothing, one, square)) * scale
    return Where()(nothing, zero, Where()(endless, infinity, length))


def magnitude(z: Value) -> Value:
    """The absolute value of complex numbers."""
    return hypotenuse(Real()(z), Imag()(z))


def absolute(x: Value) -> Value:
    """The absolute value of real or complex numbers."""
    return magnitude(x) if is_complex(x.dtype) else Abs()(x)


def principal(z: Value) -> Value:
    """Logarithms moved by multiples of ``2 pi i`` to where those of `Log` are."""
    turns = Round()(Imag()(z) / (2 * math.pi))
    return Complex()(Real()(z), Imag()(z) - turns * (2 * math.pi))


def phase(z: Value) -> Value:
    """The angle of complex numbers to the positive real axis."""
    return Atan2()(Imag()(z), Real()(z))


def _samples(op: Op) -> Iterable[Sample]:
    rng = np.random.default_rng(44)
    for dtype in ("complex64", "complex128"):
        for shape in ((2, 3), (), (0, 2)):
            x = rng.normal(size=shape) + 1j * rng.normal(size=shape)
            yield Sample(op, (np.asarray(x).astype(dtype),))
    edges = np.array([complex(np.inf, -1), complex(0.0, np.nan), complex(-0.0, -0.0)])
    yield Sample(op, (edges,))
