"""Discrete Fourier transforms along the last axis; complex numbers are pairs of real tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import Node, Op, Sample, TensorType, Value, zeros_like
from graphc.ir.dims import Dim, product, shape_text
from graphc.ops.fourier_steps import roots, transform
from graphc.ops.movement import Concat, Reverse, Size, narrow, reshape_to

PRECISIONS = ("float32", "float64")


class _Transform(Op):
    """A transform along the last axis."""

    def check(self, *types: TensorType) -> None:
        """Refuse operands that are not of one shape and one floating-point type.

        Raises:
            ShapeError, DTypeError: What is wrong with them.
        """
        first = types[0]
        if any(type.dtype not in PRECISIONS or type.dtype != first.dtype for type in types):
            raise DTypeError(f"takes {' or '.join(PRECISIONS)}, all operands of one type")
        if any(type.shape != first.shape for type in types):
            raise ShapeError("the real and the imaginary part need one shape")
        if first.rank == 0 or first.shape[-1] == 0:
            raise ShapeError("needs at least one element along a last axis")


class FFT(_Transform):
    """``y[k] = sum_j x[j] exp(-2 pi i j k / n)``; operands and results are real, imaginary part.

    Args:
        inverse: Whether the exponent has the other sign, and the sum is divided by n.
    """

    inverse: bool = False

    def infer(self, real: TensorType, imaginary: TensorType) -> tuple[TensorType, TensorType]:
        self.check(real, imaginary)
        return real, imaginary

    def evaluate(self, real: np.ndarray, imaginary: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = real.astype(np.float64) + 1j * imaginary.astype(np.float64)
        y = np.fft.ifft(x) if self.inverse else np.fft.fft(x)
        return y.real.astype(real.dtype), y.imag.astype(real.dtype)

    def gradient(self, node: Node, dr: Value | None, di: Value | None) -> Sequence[Value]:
        """The transform in the other direction, scaled: the matrix is symmetric."""
        real, imaginary = (
            dy or zeros_like(y) for dy, y in zip((dr, di), node.outputs, strict=True)
        )
        size = _size(real)
        scale = 1.0 / size if self.inverse else size
        return [y * scale for y in FFT(not self.inverse)(real, imaginary)]

    def decompose(self, real: Value, imaginary: Value) -> tuple[Value, Value]:
        """Products with small matrices (Cooley and Tukey, 1965); see `fourier_steps`."""
        *batch, size = real.shape
        if not isinstance(size, int):
            raise ShapeError(
                f"{self.name} in a compiled program needs a known number of elements along the "
                f"last axis, not {shape_text(real.shape)}"
            )
        rows = product(batch)
        pair = Concat(1)(*[reshape_to(x, (rows, 1, size)) for x in (real, imaginary)])
        y = transform(pair, inverse=self.inverse)
        if self.inverse:
            y = y * (1.0 / size)
        first, second = (reshape_to(narrow(y, 1, i, i + 1), real.shape) for i in (0, 1))
        return first, second

    def onnx(self, context: Any, node: Node, real: str, imaginary: str) -> Any:
        """Products of matrices, which are faster and more exact than DFT, but for an open size."""
        x = node.inputs[0]
        if isinstance(x.shape[-1], int):
            return context.decomposed(node, real, imaginary)
        # The operation wants at least one axis before the transformed one.
        shape: list[Dim] = [1, *x.shape, 1]
        parts = [context.reshape(name, x.shape, shape) for name in (real, imaginary)]
        pair = context.node("Concat", parts, axis=len(shape) - 1)
        axis = len(shape) - 2
        if context.opset >= 20:
            operands = [pair, "", context.constant(np.array(axis, np.int64))]
            y = context.node("DFT", operands, inverse=int(self.inverse))
        else:
            y = context.node("DFT", [pair], axis=axis, inverse=int(self.inverse))
        halves = context.node("Split", [y, context.shape([1, 1])], outputs=2, axis=len(shape) - 1)
        return tuple(context.reshape(half, shape, x.shape) for half in halves)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(40)
        for dtype, shape in (
            ("float64", (4,)),
            ("float64", (2, 3, 5)),
            ("float64", (1, 1)),
            ("float32", (3, 48)),
            ("float64", (37,)),
            ("float64", (2, 254)),
            ("float32", (2, 1024)),
            ("float64", (0, 4)),
        ):
            parts = [_drawn(rng, shape).astype(dtype) for _ in range(2)]
            for inverse in (False, True):
                yield Sample(cls(inverse), tuple(parts), differentiable=shape[-1] < 40)


class RFFT(_Transform):
    """The first ``n // 2 + 1`` elements of the transform of real numbers, real, imaginary part.

    The others are their complex conjugates.
    """

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        self.check(x)
        y = x.with_shape((*x.shape[:-1], x.shape[-1] // 2 + 1))
        return y, y

    def evaluate(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y = np.fft.rfft(x.astype(np.float64))
        return y.real.astype(x.dtype), y.imag.astype(x.dtype)

    def gradient(self, node: Node, dr: Value | None, di: Value | None) -> Sequence[Value]:
        (x,) = node.inputs
        real, imaginary = (
            dy or zeros_like(y) for dy, y in zip((dr, di), node.outputs, strict=True)
        )
        size = _known_size(self, x)
        once = 1.0 / _occurrences(real, size)
        return (IRFFT(size)(real * once, imaginary * once) * size,)

    def decompose(self, x: Value) -> tuple[Value, ...]:
        """The transform of the even places as real, the odd ones as imaginary parts, taken apart.

        With e and o the transforms of both, ``y[k] = e[k] + exp(-2 pi i k / n) o[k]``.
        """
        size, axis = x.shape[-1], x.rank - 1
        if not isinstance(size, int) or size % 2:
            whole = FFT()(x, zeros_like(x))
            return tuple(narrow(part, axis, 0, size // 2 + 1) for part in whole)
        half = size // 2
        pairs = reshape_to(x, (*x.shape[:-1], half, 2))
        columns = [narrow(pairs, axis + 1, i, i + 1) for i in (0, 1)]
        real, imaginary = FFT()(*[reshape_to(c, (*x.shape[:-1], half)) for c in columns])
        # Element ``half`` is element 0 again; from behind the conjugates meet.
        real, imaginary = (Concat(axis)(z, narrow(z, axis, 0, 1)) for z in (real, imaginary))
        real_back, imaginary_back = Reverse((axis,))(real), Reverse((axis,))(imaginary)
        even_r, even_i = (real + real_back) * 0.5, (imaginary - imaginary_back) * 0.5
        odd_r, odd_i = (imaginary + imaginary_back) * 0.5, (real_back - real) * 0.5
        c, s = _roots(x, size, half + 1)
        return even_r + c * odd_r + s * odd_i, even_i + c * odd_i - s * odd_r

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(41)
        for dtype, shape in (
            ("float64", (4,)),
            ("float64", (2, 3, 5)),
            ("float64", (3, 6)),
            ("float64", (1, 1)),
            ("float64", (2, 2)),
            ("float32", (3, 64)),
            ("float32", (3, 400)),
            ("float64", (0, 4)),
        ):
            yield Sample(cls(), (_drawn(rng, shape).astype(dtype),))


class IRFFT(_Transform):
    """The real numbers of which `RFFT` gives the operands.

    The imaginary parts of the first element, and of element n/2, are not read.

    Args:
        size: How many numbers: n, at least 1. There have to be ``n // 2 + 1`` elements.
    """

    size: int

    def infer(self, real: TensorType, imaginary: TensorType) -> TensorType:
        self.check(real, imaginary)
        if self.size < 1 or real.shape[-1] != self.size // 2 + 1:
            raise ShapeError(f"{self.size} numbers come of {self.size // 2 + 1} elements")
        return real.with_shape((*real.shape[:-1], self.size))

    def evaluate(self, real: np.ndarray, imaginary: np.ndarray) -> np.ndarray:
        y = real.astype(np.float64) + 1j * imaginary.astype(np.float64)
        return np.fft.irfft(y, self.size).astype(real.dtype)

    def gradient(self, node: Node, dx: Value) -> Sequence[Value]:
        often = _occurrences(node.inputs[0], self.size) * (1.0 / self.size)
        return [part * often for part in RFFT()(dx)]

    def decompose(self, real: Value, imaginary: Value) -> Value:
        """What `RFFT` does, backwards."""
        axis, half = real.rank - 1, self.size // 2
        c, s = _roots(real, self.size, half + 1)
        inner = _inner_mask(real, self.size)
        imaginary = imaginary * inner
        if self.size % 2:
            tails = [Reverse((axis,))(narrow(y, axis, 1, half + 1)) for y in (real, imaginary)]
            whole = Concat(axis)(real, tails[0]), Concat(axis)(imaginary, -tails[1])
            return FFT(inverse=True)(*whole)[0]
        real_back, imaginary_back = Reverse((axis,))(real), Reverse((axis,))(imaginary)
        even_r, even_i = (real + real_back) * 0.5, (imaginary - imaginary_back) * 0.5
        turned_r, turned_i = (real - real_back) * 0.5, (imaginary + imaginary_back) * 0.5
        odd_r, odd_i = turned_r * c - turned_i * s, turned_i * c + turned_r * s
        parts = [narrow(z, axis, 0, half) for z in (even_r - odd_i, even_i + odd_r)]
        columns = [reshape_to(z, (*z.shape, 1)) for z in FFT(inverse=True)(*parts)]
        pairs = Concat(axis + 1)(*columns)
        return reshape_to(pairs, (*real.shape[:-1], self.size))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(42)
        for dtype, batch, size in (
            ("float64", (), 4),
            ("float64", (2, 3), 5),
            ("float64", (3,), 6),
            ("float64", (1,), 1),
            ("float64", (2,), 2),
            ("float32", (3,), 64),
            ("float32", (3,), 400),
            ("float64", (0,), 4),
        ):
            parts = [rng.normal(size=(*batch, size // 2 + 1)).astype(dtype) for _ in range(2)]
            yield Sample(cls(size), tuple(parts))


def _complete(node: Node, *cotangents: Value | None) -> list[Value]:
    """The cotangents of both parts, zeros for one that does not matter."""
    pairs = zip(cotangents, node.outputs, strict=True)
    return [dy if dy is not None else zeros_like(y) for dy, y in pairs]


def _size(x: Value) -> Any:
    """The number of elements along the last axis, as a number or a scalar of the graph."""
    size = x.shape[-1]
    return float(size) if isinstance(size, int) else Size((x.rank - 1,), x.dtype)(x)


def _known_size(op: Op, x: Value) -> int:
    size = x.shape[-1]
    if isinstance(size, int):
        return size
    raise ShapeError(
        f"the gradient of {op.name} needs a known number of elements along the last axis, not "
        f"{shape_text(x.shape)}"
    )


def _roots(x: Value, size: int, count: int) -> tuple[Value, Value]:
    """Cosines and sines of the first multiples of a full turn divided by ``size``."""
    found = roots(np.arange(count), size, inverse=True)
    return x.graph.constant(found.real, x.dtype), x.graph.constant(found.imag, x.dtype)


def _occurrences(y: Value, size: int) -> Value:
    """How often each element of a half occurs in the whole transform: once or twice."""
    return y.graph.constant(1 + _inner(size), y.dtype)


def _inner_mask(y: Value, size: int) -> Value:
    return y.graph.constant(_inner(size), y.dtype)


def _inner(size: int) -> np.ndarray:
    """1 for the elements of a half that have a partner in the other half, else 0."""
    places = np.arange(size // 2 + 1)
    return ((places > 0) & (2 * places != size)).astype(np.float64)


def _drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers whose transform is about as large as they would be."""
    return rng.normal(size=shape) / np.sqrt(shape[-1])
