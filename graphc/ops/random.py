"""Random numbers by counting: the bits of an element follow from a key and from its position.

There is no state. The same key gives the same bits on every backend, at every thread count and in
every split of the work, and a generator is a graph of elementwise ops that fuses with its users.
A key is a uint32 vector of two elements; `fold_in` derives new ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import FLOATS, Graph, Node, Op, Sample, TensorType, Value, is_float
from graphc.ir.dims import Dim, Shape, broadcast_shapes, product
from graphc.ops.choice import Where
from graphc.ops.elementwise import Add, Cos, Log, Sqrt, cast, clip
from graphc.ops.family import EDGES, Elementwise, like
from graphc.ops.logic import BitwiseOr, BitwiseXor, LessOrEqual, ShiftLeft, ShiftRight
from graphc.ops.movement import Concat, Iota, Size, expand_to, narrow, reshape_to

# How far the second word is rotated in each of four rounds, and in each of the next four.
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA

# Bits of the significand, the leading one included.
_PRECISION = {"float32": 24, "float16": 11, "bfloat16": 8}

# Coefficients of a polynomial in ``w - 2.5``, the highest power first.
_GILES = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)


class Threefry(Elementwise):
    """One word of Threefry-2x32 with 20 rounds: 32 random bits for each index.

    Operands: ``index`` (int64 or int32, not negative, the counter's two words) and the two words of
    the key (uint32). After Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011.

    Args:
        word: Which of the generator's two output words, 0 or 1.
    """

    word: int = 0
    differentiable: ClassVar[bool] = False

    def infer(self, index: TensorType, first: TensorType, second: TensorType) -> TensorType:
        if index.dtype not in ("int32", "int64"):
            raise DTypeError(f"the index has to be int32 or int64, not {index.dtype}")
        if first.dtype != "uint32" or second.dtype != "uint32":
            raise DTypeError("the words of the key have to be uint32")
        if self.word not in (0, 1):
            raise ShapeError(f"word {self.word} is neither 0 nor 1")
        return TensorType(broadcast_shapes(index.shape, first.shape, second.shape), "uint32")

    def evaluate(self, index: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        wide = index.astype(np.uint64)
        low, high = wide.astype(np.uint32), (wide >> np.uint64(32)).astype(np.uint32)
        steps = _Steps(np.add, np.bitwise_xor, np.bitwise_or, np.left_shift, np.right_shift)
        return np.asarray(steps.words(low, high, first, second, np.uint32)[self.word])

    def emit(self, e: Any, index: Any, first: Any, second: Any) -> Any:
        wide = e.cast(index, "uint64")
        low, high = e.cast(wide, "uint32"), e.cast(e.shift_right(wide, 32), "uint32")
        steps = _Steps(e.add, e.bitwise_xor, e.bitwise_or, e.shift_left, e.shift_right)
        return steps.words(low, high, first, second, lambda number: number)[self.word]

    def decompose(self, index: Value, first: Value, second: Value) -> Value:
        wide = cast(index, "uint64")
        low, high = cast(wide, "uint32"), cast(ShiftRight()(wide, like(wide, 32)), "uint32")
        steps = _Steps(Add(), BitwiseXor(), BitwiseOr(), ShiftLeft(), ShiftRight())
        return steps.words(low, high, first, second, lambda number: like(first, number))[self.word]

    def onnx(self, context: Any, node: Node, *names: str) -> Any:
        return context.decomposed(node, *names)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        key = [np.array(word, np.uint32) for word in (0x13198A2E, 0xFFFFFFFF)]
        far = np.array([0, 1, 2**31, 2**32 - 1, 2**32, 2**40 + 7, 2**63 - 1])
        for word in (0, 1):
            yield Sample(cls(word), (np.arange(19, dtype=np.int32), *key))
            yield Sample(cls(word), (far, *key))
            yield Sample(cls(word), (np.zeros((0, 3), np.int64), *key))
            yield Sample(cls(word), (np.array(5, np.int32), key[0], np.arange(3, dtype=np.uint32)))


@dataclass(frozen=True)
class _Steps:
    """The steps that Threefry is made of, on arrays, registers or values of a graph."""

    add: Callable[[Any, Any], Any]
    xor: Callable[[Any, Any], Any]
    join: Callable[[Any, Any], Any]
    shift_left: Callable[[Any, Any], Any]
    shift_right: Callable[[Any, Any], Any]

    def words(self, x: Any, y: Any, first: Any, second: Any, number: Any) -> tuple[Any, Any]:
        """Both output words for the counter ``x, y``; ``number`` makes a constant."""
        key = first, second, self.xor(self.xor(first, second), number(PARITY))
        x, y = self.add(x, first), self.add(y, second)
        for block in range(5):
            for distance in ROTATIONS[block % 2]:
                x = self.add(x, y)
                left = self.shift_left(y, number(distance))
                right = self.shift_right(y, number(32 - distance))
                y = self.xor(self.join(left, right), x)
            x = self.add(x, key[(block + 1) % 3])
            y = self.add(y, self.add(key[(block + 2) % 3], number(block + 1)))
        return x, y


# ----------------------------------------------------------------------------------------- keys


def _check_key(key: TensorType) -> None:
    if key != TensorType((2,), "uint32"):
        raise ShapeError(f"a key is a uint32 vector of two elements, not {key}")


def fold_in(key: Value, *numbers: Value | int) -> Value:
    """A new key, from a key and numbers such as the step of training and that of a layer.

    Args:
        key: uint32 vector of two elements.
        *numbers: Integers from 0 to 2**31 - 1, or int32 scalars of the graph.

    Returns:
        A key that has nothing visible in common with ``key``, with the keys of other numbers, or
        with the bits drawn with ``key``.
    """
    for number in numbers:
        index = key.graph.constant(number, "int64") if isinstance(number, int) else number
        # No tensor has elements that far out, so no index of an element is met here.
        far = cast(index, "int64") + 2**62
        words = [reshape_to(word, (1,)) for word in _both_words(key, far)]
        key = Concat(0)(*words)
    return key


def _both_words(key: Value, index: Value) -> tuple[Value, Value]:
    first, second = (reshape_to(narrow(key, 0, i, i + 1), ()) for i in range(2))
    return Threefry(0)(index, first, second), Threefry(1)(index, first, second)


# -------------------------------------------------------------------------------- distributions


def random_bits(key: Value, shape: Shape) -> tuple[Value, Value]:
    """Two words of 32 random bits for each element; uint32 of the given shape.

    Whichever word is not used costs nothing. The bits of an element depend on the key and on its
    position in row-major order, not on which dimensions are symbolic.

    Args:
        key: uint32 vector of two elements.
        shape: The shape; its dimensions may be symbolic.
    """
    _check_key(key.type)
    first, second = _both_words(key, row_major_index(key.graph, shape))
    return expand_to(first, shape), expand_to(second, shape)


def row_major_index(graph: Graph, shape: Shape) -> Value:
    """For each element of a shape its position in row-major order; int32 if that reaches, or int64.

    It is made of broadcast counts along each axis, so it fuses into loops of any order.
    """
    size = product(shape)
    dtype = "int32" if isinstance(size, int) and size < 2**31 else "int64"
    index: Value = graph.constant(0, dtype)
    for axis, dim in enumerate(shape):
        line: list[Dim] = [1] * len(shape)
        line[axis] = dim
        count = graph.apply(Iota(tuple(line), axis, dtype))
        if axis == 0:
            index = count
            continue
        scale = graph.constant(dim, dtype) if isinstance(dim, int) else Size((axis,), dtype)(count)
        index = index * scale + count
    return index


def uniform(key: Value, shape: Shape, dtype: str = "float32") -> Value:
    """Random numbers that are evenly distributed in [0, 1).

    They are multiples of 2**-24 in float32 (2**-53 in float64, 2**-11 in float16, 2**-8 in
    bfloat16), so each is exact and 1 is never reached.

    Args:
        key: uint32 vector of two elements.
        shape: The shape; its dimensions may be symbolic.
        dtype: A floating-point type.
    """
    first, second = random_bits(key, shape)
    if _computed_in(dtype) == "float64":
        high, low = (
            cast(ShiftRight()(word, like(word, 32 - bits)), dtype)
            for word, bits in ((first, 27), (second, 26))
        )
        return (high * 2.0**26 + low) * 2.0**-53
    bits = _PRECISION[dtype]
    return cast(ShiftRight()(first, like(first, 32 - bits)), dtype) * 2.0**-bits


def _computed_in(dtype: str) -> str:
    """The type in which random numbers of a floating-point type are computed."""
    if not is_float(dtype):
        raise DTypeError(f"random numbers are floating-point numbers, not {dtype}")
    return "float64" if dtype == "float64" else "float32"


def normal(key: Value, shape: Shape, dtype: str = "float32") -> Value:
    """Random numbers from the standard normal distribution, by the method of Box and Muller.

    The tails reach out to 6.6: the radius comes from all 32 bits of a word. Half-precision numbers
    are rounded from float32.

    Args:
        key: uint32 vector of two elements.
        shape: The shape; its dimensions may be symbolic.
        dtype: A floating-point type.
    """
    wide = _computed_in(dtype)
    first, second = (cast(word, wide) for word in random_bits(key, shape))
    radius = Sqrt()(Log()((first + 0.5) * 2.0**-32) * -2.0)
    return cast(radius * Cos()(second * (2 * math.pi * 2.0**-32)), dtype)


def truncated_normal(key: Value, shape: Shape, dtype: str = "float32") -> Value:
    """Random numbers from the standard normal distribution, cut off at -2 and 2.

    By inversion. The inverse of the error function is a polynomial of Giles ("Approximating the
    erfinv function", 2010) in its central part, good to seven digits in every dtype.

    Args:
        key: uint32 vector of two elements.
        shape: The shape; its dimensions may be symbolic.
        dtype: A floating-point type.
    """
    wide = _computed_in(dtype)
    # Odd multiples of 2**-25 around 0: exact, symmetric, and never quite -1/2 or 1/2.
    centred = uniform(key, shape, "float32") - (0.5 - 2.0**-25)
    x = cast(centred * (2 * math.erf(math.sqrt(2))), wide)
    w = -Log()((1.0 - x) * (1.0 + x)) - 2.5
    y = like(w, _GILES[0])
    for coefficient in _GILES[1:]:
        y = y * w + coefficient
    return cast(clip(x * y * math.sqrt(2), -2.0, 2.0), dtype)


def bernoulli(key: Value, probability: Value | float, shape: Shape) -> Value:
    """Random truth values, each True with the given probability; bool of the given shape.

    Args:
        key: uint32 vector of two elements.
        probability: A number, or a float value that broadcasts to the shape. 0 is never True and 1
            always.
        shape: The shape; its dimensions may be symbolic.
    """
    if not isinstance(probability, Value):
        if not probability > 0:
            return expand_to(key.graph.constant(False, "bool"), shape)
        first, _ = random_bits(key, shape)
        return LessOrEqual()(first, like(first, greatest_word(probability)))
    wide = _computed_in(probability.dtype)
    return uniform(key, shape, wide) < cast(probability, wide)


def greatest_word(probability: float) -> int:
    """The greatest of the 32-bit words that stand for True, if it is so likely; it is above 0."""
    return math.ceil(min(probability, 1.0) * 2**32) - 1


class Dropout(Op):
    """Each element 0 or divided by the probability to be kept, by the bits of a key.

    Operands: ``x`` (a float) and the key. After Srivastava et al., "Dropout: A Simple Way to
    Prevent Neural Networks from Overfitting", 2014, scaled where it drops, as in Keras.

    Args:
        keep: The probability that an element is kept, above 0.
    """

    keep: float

    def infer(self, x: TensorType, key: TensorType) -> TensorType:
        if not is_float(x.dtype):
            raise DTypeError(f"takes {', '.join(FLOATS)}, not {x.dtype}")
        _check_key(key)
        if not 0 < self.keep <= 1:
            raise ShapeError(f"{self.keep} is no probability above 0")
        return x

    def decompose(self, x: Value, key: Value) -> Value:
        return Where()(bernoulli(key, self.keep, x.shape), x / self.keep, like(x, 0))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(9)
        key = np.array([0x13198A2E, 0xFFFFFFFF], np.uint32)
        for dtype in ("float32", "float64"):
            for shape in ((3, 37), (), (0, 2), (1, 1)):
                x = np.asarray(rng.normal(size=shape)).astype(dtype)
                yield Sample(cls(0.3), (x, key))
            yield Sample(cls(1.0), (np.ones(5, dtype), key))
            yield Sample(cls(0.5), (np.array(EDGES, dtype), key), differentiable=False)
