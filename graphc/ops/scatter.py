"""Scatters beside the sum (see `graphc.ops.gather`): extremes and products of slices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from graphc.ir import Node, Op, Sample, Value, is_inexact
from graphc.ops.choice import Where
from graphc.ops.elementwise import Max, Min, Mul, cast
from graphc.ops.family import like
from graphc.ops.gather import Scatter, ScatterAdd
from graphc.ops.logic import Equal


class _ScatterExtremum(Scatter):
    """An extreme of the slices for each place; equal extremes share the gradient.

    Complex numbers are in the order of `graphc.ops.logic.Less`; NaN has two parts of NaN.
    """

    #: The number that is never an extreme, unless it is the only one.
    worst: ClassVar[float]

    def start(self, dtype: str) -> float:
        if is_inexact(dtype):
            return self.worst
        limits = np.iinfo(dtype)
        return int(limits.min if self.worst < 0 else limits.max)

    def evaluate(self, indices: np.ndarray, y: np.ndarray) -> np.ndarray:
        x = super().evaluate(indices, y)
        return np.where(np.isnan(x), complex(np.nan, np.nan), x) if y.dtype.kind == "c" else x

    def gradient(self, node: Node, dx: Value) -> Sequence[Value | None]:
        indices, y = node.inputs
        hit = cast(Equal()(y, self.pick(node.output, indices, 0)), y.dtype)
        count = ScatterAdd(self.axis, self.size)(indices, hit)
        return None, hit * self.pick(dx, indices, 0) / self.pick(count, indices, 1)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for sample in super().samples():  # there are infinities in empty places
            yield replace(sample, differentiable=False)
        y = np.array([[0.5, -1.0], [2.0, 3.0], [-0.25, 4.0], [1.0, 1.0], [9.0, 9.0]])
        yield Sample(cls(0, 2), (np.array([0, 1, 1, 0, 7]), y), portable=False)
        yield Sample(cls(0, 3), (np.array([0, 1, 1, 0, 0]), y[:, 1] + 1j * y[:, 0]))


class ScatterMax(_ScatterExtremum):
    """The largest of the slices of ``y`` for each place along an axis; see `Scatter`.

    Where no slice goes there is the least number there is. See `Scatter` for the operands.

    Args:
        axis: The axis that the indices go along, not negative.
        size: The size of that axis in the result.
    """

    combine: ClassVar[type[Op]] = Max
    function: ClassVar[np.ufunc] = np.maximum
    reduction: ClassVar[tuple[str, int]] = ("max", 18)
    worst: ClassVar[float] = -np.inf


class ScatterMin(_ScatterExtremum):
    """The smallest of the slices of ``y`` for each place along an axis; see `Scatter`.

    Where no slice goes there is the greatest number there is. See `Scatter` for the operands.

    Args:
        axis: The axis that the indices go along, not negative.
        size: The size of that axis in the result.
    """

    combine: ClassVar[type[Op]] = Min
    function: ClassVar[np.ufunc] = np.minimum
    reduction: ClassVar[tuple[str, int]] = ("min", 18)
    worst: ClassVar[float] = np.inf


class ScatterMul(Scatter):
    """The product of the slices of ``y`` for each place along an axis; 1 where none goes.

    See `Scatter` for the operands.

    Args:
        axis: The axis that the indices go along, not negative.
        size: The size of that axis in the result.
    """

    combine: ClassVar[type[Op]] = Mul
    function: ClassVar[np.ufunc] = np.multiply
    reduction: ClassVar[tuple[str, int]] = ("mul", 16)

    def start(self, dtype: str) -> float:
        return 1

    def gradient(self, node: Node, dx: Value) -> Sequence[Value | None]:
        # The product of the others, also where an element is zero: with one zero only its own
        # derivative survives, with two or more none does. (Derivatives of this one overlook what
        # zeros have to do with each other.)
        indices, y = node.inputs
        zero = Equal()(y, like(y, 0))
        filled = Where()(zero, like(y, 1), y)
        others = self.pick(self(indices, filled), indices, 0)
        count = ScatterAdd(self.axis, self.size)(indices, cast(zero, y.dtype))
        zeros = self.pick(count, indices, 0)
        single = Where()(Equal()(zeros, like(y, 1)), others, like(y, 0))
        without = Where()(Equal()(zeros, like(y, 0)), others / filled, like(y, 0))
        return None, self.pick(dx, indices, 0) * Where()(zero, single, without)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield from super().samples()
        y = np.array([0.0, 2.0, 0.0, 3.0, 0.5, 0.0, 1.5])
        yield Sample(cls(0, 4), (np.array([0, 0, 1, 1, 1, 2, 2]), y), False)
        twice = np.array([0.0, 2.0, 0.0])
        yield Sample(cls(0, 1), (np.zeros(3, np.int64), twice), False)
