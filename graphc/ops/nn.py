"""Composite ops of neural networks that stay whole for the exporter: softmax and normalizations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import COMPLEXES, FLOATS, Node, Op, Sample, TensorType, Value, is_complex, is_inexact
from graphc.ir.dims import Dim, Shape, shape_text
from graphc.ops.complex import Conj
from graphc.ops.elementwise import Exp, Log, Reciprocal, Sqrt
from graphc.ops.movement import reshape_to
from graphc.ops.reduce import ReduceMax, ReduceMean, ReduceSum


class _Softmax(Op):
    """What the softmax and its logarithm share.

    Args:
        axis: The axis along which the exponentials sum to 1, not negative.
    """

    axis: int

    def infer(self, x: TensorType) -> TensorType:
        if not is_inexact(x.dtype):
            raise DTypeError(f"takes {', '.join((*FLOATS, *COMPLEXES))}, not {x.dtype}")
        if not 0 <= self.axis < x.rank:
            raise ShapeError(f"axis {self.axis} is none of the {x.rank} axes")
        if x.shape[self.axis] == 0:
            raise ShapeError("there is no softmax along an empty axis")
        return x

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        """One node in single precision; in double ONNX Runtime loses a NaN of the operand."""
        if node.output.dtype != "float32":
            return context.decomposed(node, x)
        return context.node(self.name, [x], axis=self.axis)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(8)
        for dtype in ("float32", "float64"):
            for shape, axis in (((3, 5), 1), ((2, 19, 3), 1), ((4,), 0), ((3, 1), 1), ((0, 2), 1)):
                yield Sample(cls(axis), (np.asarray(2 * rng.normal(size=shape)).astype(dtype),))
        for dtype in COMPLEXES:
            x = rng.normal(size=(3, 5)) + 1j * rng.normal(size=(3, 5))
            yield Sample(cls(1), (x.astype(dtype),))
            large = [[1e4, 1e4, -1e4], [-1e30, 0, 1e30], [-np.inf, 0, 1], [np.nan, 0, 1]]
            yield Sample(cls(1), (np.array(large, dtype),), differentiable=False)


class Softmax(_Softmax):
    """``exp(x)`` divided by its sum along an axis.

    Args:
        axis: The axis, not negative.
    """

    def decompose(self, x: Value) -> Value:
        # Relative to the largest element nothing overflows.
        exponentials = Exp()(x - ReduceMax((self.axis,), keep=True)(x))
        return exponentials / ReduceSum((self.axis,), keep=True)(exponentials)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        weighted = dy * node.output
        total = ReduceSum((self.axis,), keep=True)(weighted)
        return (weighted - node.output * total,)


class LogSoftmax(_Softmax):
    """The logarithm of `Softmax`, without rounding small probabilities to 0 first.

    Args:
        axis: The axis, not negative.
    """

    def decompose(self, x: Value) -> Value:
        shifted = x - ReduceMax((self.axis,), keep=True)(x)
        return shifted - Log()(ReduceSum((self.axis,), keep=True)(Exp()(shifted)))

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        total = ReduceSum((self.axis,), keep=True)(dy)
        return (dy - Exp()(node.output) * total,)


class BatchNormalization(Op):
    """``(x - mean) / sqrt(variance + epsilon) * gamma + beta`` with given statistics.

    Operands are ``x, gamma, beta, mean, variance``; all but ``x`` have one element per channel. In
    training the statistics are reductions of ``x`` and this op is the rest of the layer.

    Args:
        axis: The axis of the channels, not negative.
        epsilon: What keeps the root away from 0.
    """

    axis: int
    epsilon: float = 1e-3

    def infer(
        self,
        x: TensorType,
        gamma: TensorType,
        beta: TensorType,
        mean: TensorType,
        variance: TensorType,
    ) -> TensorType:
        if not is_inexact(x.dtype):
            raise DTypeError(f"takes {', '.join((*FLOATS, *COMPLEXES))}, not {x.dtype}")
        if not 0 <= self.axis < x.rank:
            raise ShapeError(f"axis {self.axis} is none of the {x.rank} axes")
        parameters = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
        _check_parameters(parameters, x.with_shape((x.shape[self.axis],)))
        return x

    def decompose(self, x: Value, gamma: Value, beta: Value, mean: Value, variance: Value) -> Value:
        # One factor and one summand per channel, then one multiply-add per element, as Keras does.
        scale = Reciprocal()(Sqrt()(variance + self.epsilon)) * gamma
        offset = beta - mean * scale
        shape: list[Dim] = [1] * x.rank
        shape[self.axis] = x.shape[self.axis]
        return x * reshape_to(scale, shape) + reshape_to(offset, shape)

    def onnx(self, context: Any, node: Node, x: str, *parameters: str) -> Any:
        """ONNX has the channels at axis 1, and epsilon in single precision."""
        rank = node.inputs[0].rank
        if rank == 1 or node.output.dtype == "float64":
            return context.decomposed(node, x, *parameters)
        order = [axis for axis in range(rank) if axis != self.axis]
        order.insert(1, self.axis)
        moved = order != list(range(rank))
        if moved:
            x = context.node("Transpose", [x], perm=order)
        y = context.node("BatchNormalization", [x, *parameters], epsilon=self.epsilon)
        back = [int(axis) for axis in np.argsort(order)]
        return context.node("Transpose", [y], perm=back) if moved else y

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(9)
        cases = (
            ((3, 5), 1),
            ((2, 4, 3, 5), 3),
            ((2, 5, 4), 1),
            ((4, 3), 0),
            ((0, 3), 1),
            ((3,), 0),
        )
        for dtype in ("float32", "float64"):
            for shape, axis in cases:
                x = np.asarray(rng.normal(size=shape)).astype(dtype)
                gamma, beta, mean = rng.normal(size=(3, shape[axis])).astype(dtype)
                variance = rng.uniform(0.1, 2, shape[axis]).astype(dtype)
                yield Sample(cls(axis), (x, gamma, beta, mean, variance))
        x = rng.normal(size=(3, 5)) * (1 + 2j)
        yield Sample(cls(1), (x, *x[:2], x[2], np.abs(x[0]) + 0j))


class LayerNormalization(Op):
    """``x`` with mean 0 and variance 1 over some axes, times ``gamma``, plus ``beta``.

    Operands are ``x, gamma, beta``; the parameters have the shape of the normalized axes.

    Args:
        axes: The axes that are normalized, in rising order.
        epsilon: What keeps the root away from 0.
    """

    axes: tuple[int, ...]
    epsilon: float = 1e-3

    def infer(self, x: TensorType, gamma: TensorType, beta: TensorType) -> TensorType:
        if not is_inexact(x.dtype):
            raise DTypeError(f"takes {', '.join((*FLOATS, *COMPLEXES))}, not {x.dtype}")
        if not self.axes or any(not 0 <= axis < x.rank for axis in self.axes):
            raise ShapeError(f"axes {self.axes} are not all axes of a tensor of rank {x.rank}")
        expected = x.with_shape(x.shape[axis] for axis in self.axes)
        _check_parameters({"gamma": gamma, "beta": beta}, expected)
        return x

    def decompose(self, x: Value, gamma: Value, beta: Value) -> Value:
        centered = x - ReduceMean(self.axes, keep=True)(x)
        turned = Conj()(centered) if is_complex(x.dtype) else centered
        variance = ReduceMean(self.axes, keep=True)(centered * turned)
        scale = Reciprocal()(Sqrt()(variance + self.epsilon))
        shape = self._broadcast(x.shape)
        return centered * scale * reshape_to(gamma, shape) + reshape_to(beta, shape)

    def _broadcast(self, shape: Shape) -> Shape:
        return tuple(dim if axis in self.axes else 1 for axis, dim in enumerate(shape))

    def onnx(self, context: Any, node: Node, x: str, gamma: str, beta: str) -> Any:
        """ONNX normalizes the last axes, and has epsilon in single precision."""
        first, rank = self.axes[0], node.inputs[0].rank
        if self.axes != tuple(range(first, rank)) or node.output.dtype == "float64":
            return context.decomposed(node, x, gamma, beta)
        attributes = {"axis": first, "epsilon": self.epsilon}
        return context.node("LayerNormalization", [x, gamma, beta], **attributes)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(10)
        cases = (((3, 5), (1,)), ((2, 4, 3), (1, 2)), ((2, 4, 3), (0, 2)), ((2, 1), (1,)))
        for dtype in ("float32", "float64"):
            for shape, axes in (*cases, ((0, 3), (1,))):
                sizes = [shape[axis] for axis in axes]
                drawn = [rng.normal(size=size) for size in (shape, sizes, sizes)]
                yield Sample(cls(axes), tuple(array.astype(dtype) for array in drawn))
        x = rng.normal(size=(3, 5)) + 1j * rng.normal(size=(3, 5))
        yield Sample(cls((1,)), (x, x[0], x[1]))


def _check_parameters(parameters: dict[str, TensorType], expected: TensorType) -> None:
    for name, parameter in parameters.items():
        if parameter.dtype != expected.dtype:
            raise DTypeError(f"{name} needs the dtype of x, {expected.dtype}")
        if parameter.shape != expected.shape:
            raise ShapeError(f"{name} needs shape {shape_text(expected.shape)}")
