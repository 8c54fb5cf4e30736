"""Convolutions, and the two gradients of one: each of the three is differentiable by the others.

With ``y = Conv(x, kernel)``, `ConvTranspose` maps dy to dx and `ConvKernelGradient` maps x and dy
to the kernel's gradient. All three are the same sum of products, solved for another operand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, ClassVar, TypeVar

import numpy as np

from graphc.errors import DimensionMismatchError, DTypeError, ShapeError
from graphc.ir import Node, Sample, TensorType, Value
from graphc.ir.dims import Dim, Shape, SymbolicDim, shape_text
from graphc.ops.family import wide
from graphc.ops.window import Windowed

_Op = TypeVar("_Op", bound="_Convolution")


class _Convolution(Windowed, kw_only=True):
    """What the three have in common.

    Args:
        strides: Steps between neighbouring windows, one per spatial axis.
        padding: Zeros put before and after each spatial axis of ``x``.
        dilations: Distances between the elements that one window sees.
        groups: Into how many groups the channels are split: output channels of a group see only
            the input channels of the same group. As many as input channels: depthwise.
        layout: ``"last"`` or ``"first"``: where ``x`` and ``y`` have their channels.
    """

    dilations: tuple[int, ...]
    groups: int = 1
    takes_complex: ClassVar[bool] = True

    def relative(self, kind: type[_Op], **attributes: Any) -> _Op:
        """Another of the three ops over the same windows."""
        common = {field.name: getattr(self, field.name) for field in fields(_Convolution)}
        return kind(**common, **attributes)

    def check_kernel(self, kernel: TensorType, inputs: Dim, dtype: str) -> tuple[int, ...]:
        """The spatial shape of a kernel for so many input channels, if it fits."""
        count = len(self.strides)
        if kernel.dtype != dtype:
            raise DTypeError("the operands need one common dtype")
        if len(self.dilations) != count or min(self.dilations) < 1:
            raise ShapeError(f"needs {count} dilations of at least 1, not {self.dilations}")
        if kernel.rank != count + 2:
            raise ShapeError(f"{count} spatial axes need a kernel of rank {count + 2}")
        *window, per_group, outputs = kernel.shape
        sizes = [size for size in (*window, outputs) if isinstance(size, int)]
        if len(sizes) != count + 1:
            raise ShapeError(f"the kernel's sizes have to be known, not {kernel}")
        if 0 in sizes[:count]:
            raise ShapeError(f"the kernel {shape_text(kernel.shape)} is empty")
        if self.groups < 1 or sizes[count] % self.groups:
            raise ShapeError(f"{outputs} output channels do not make {self.groups} groups")
        if per_group * self.groups != inputs:
            raise ShapeError(
                f"the kernel {shape_text(kernel.shape)} sees {per_group} channels in each of "
                f"{self.groups} groups, but there are {inputs} input channels"
            )
        return tuple(sizes[:count])

    def check_windows(self, y: Shape, x: Shape, window: Sequence[int]) -> None:
        """Refuse spatial shapes of ``y`` and ``x`` that no convolution connects."""
        for actual, expected in zip(y, self.windows(x, window, self.dilations), strict=True):
            if actual == expected:
                continue
            message = (
                f"a convolution over an image of {shape_text(x)} with a window of "
                f"{shape_text(window)} gives the size {expected}, not {actual}"
            )
            if isinstance(actual, SymbolicDim) and isinstance(expected, SymbolicDim):
                raise DimensionMismatchError(message, actual, expected)
            raise ShapeError(message)

    # In NumPy, with n images, p windows, g groups, c input and f output channels of a group, and
    # k positions in a window:

    def x_windows(self, x: np.ndarray, window: Sequence[int]) -> np.ndarray:
        """What the windows see of ``x``: "npgck"."""
        seen = self.look(wide(self.channels_last(x)), window, self.dilations)
        images, *counts, channels, positions = seen.shape
        per_group = channels // self.groups
        return seen.reshape(images, int(np.prod(counts)), self.groups, per_group, positions)

    def y_groups(self, y: np.ndarray) -> np.ndarray:
        """The output, channels split: "npgf"."""
        images, *counts, channels = self.channels_last(y).shape
        per_group = channels // self.groups
        y = wide(self.channels_last(y))
        return y.reshape(images, int(np.prod(counts)), self.groups, per_group)

    def kernel_groups(self, kernel: np.ndarray) -> np.ndarray:
        """The kernel, output channels split: "kcgf"."""
        *window, inputs, outputs = kernel.shape
        return wide(kernel).reshape(
            int(np.prod(window)), inputs, self.groups, outputs // self.groups
        )


class Conv(_Convolution):
    """The convolution of deep learning (a cross-correlation), over any number of spatial axes.

    ``y[n, p, o] = sum over k, i of x[n, q, i] * kernel[k, i, o]`` with
    ``q = p * strides + k * dilations - before``, where x is zero outside of its bounds. The kernel
    is always ``[spatial..., in / groups, out]``.
    """

    def infer(self, x: TensorType, kernel: TensorType) -> TensorType:
        batch, spatial, inputs = self.split(x)
        window = self.check_kernel(kernel, inputs, x.dtype)
        counts = self.windows(spatial, window, self.dilations)
        return self.image(batch, counts, kernel.shape[-1], x.dtype)

    def evaluate(self, x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        window = kernel.shape[:-2]
        counts = self.windows(self.channels_last(x).shape[1:-1], window, self.dilations)
        y = np.einsum(
            "npgck,kcgf->npgf", self.x_windows(x, window), self.kernel_groups(kernel), optimize=True
        )
        return self.own_layout(y.reshape(x.shape[0], *counts, kernel.shape[-1]), x.dtype)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        x, kernel = node.inputs
        _, spatial, _ = self.split(x.type)
        window = kernel.shape[:-2]
        return (
            self.relative(ConvTranspose, spatial=spatial)(dy, kernel),
            self.relative(ConvKernelGradient, window=window)(x, dy),
        )

    def onnx(self, context: Any, node: Node, x: str, kernel: str) -> Any:
        count = len(self.strides)
        kernel = _transposed(context, node.inputs[1], kernel, [count + 1, count, *range(count)])
        y = context.node(
            "Conv",
            [self.to_first(context, x), kernel],
            strides=list(self.strides),
            pads=self.onnx_pads,
            dilations=list(self.dilations),
            group=self.groups,
        )
        return self.from_first(context, y)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(7)
        for attributes, image, kernel in _cases():
            op = cls(**attributes)
            x_type = op.image(*image, dtype="float64")
            for dtype in ("float32", "float64"):
                arrays = [rng.normal(size=shape) for shape in (x_type.shape, kernel)]
                yield Sample(op, tuple(array.astype(dtype) for array in arrays))
        yield Sample(op, tuple(array + 1j * array[::-1] for array in arrays))


class ConvTranspose(_Convolution, kw_only=True):
    """The transposed convolution: what `Conv` does to dy to give dx, with the kernel of `Conv`.

    ``x[n, q, i] = sum over p, k, o of y[n, p, o] * kernel[k, i, o]`` with
    ``q = p * strides + k * dilations - before``.

    Args:
        spatial: The spatial shape of the result. With strides above 1 several shapes of ``x`` give
            the same shape of ``y``, so it has to be said which one is meant.
    """

    spatial: Shape

    def infer(self, y: TensorType, kernel: TensorType) -> TensorType:
        batch, counts, outputs = self.split(y)
        if kernel.rank != len(self.strides) + 2 or kernel.shape[-1] != outputs:
            raise ShapeError(
                f"the kernel {shape_text(kernel.shape)} does not end in {outputs}, the channels "
                f"of the operand"
            )
        inputs = kernel.shape[-2] * self.groups
        window = self.check_kernel(kernel, inputs, y.dtype)
        self.check_windows(counts, self.spatial, window)
        return self.image(batch, self.spatial, inputs, y.dtype)

    def evaluate(self, y: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        window = kernel.shape[:-2]
        seen = np.einsum(
            "npgf,kcgf->npgck", self.y_groups(y), self.kernel_groups(kernel), optimize=True
        )
        batch, *counts, _ = self.channels_last(y).shape
        seen = seen.reshape(batch, *counts, kernel.shape[-2] * self.groups, seen.shape[-1])
        return self.own_layout(self.put(seen, self.spatial, window, self.dilations), y.dtype)

    def gradient(self, node: Node, dx: Value) -> Sequence[Value]:
        y, kernel = node.inputs
        window = kernel.shape[:-2]
        return (
            self.relative(Conv)(dx, kernel),
            self.relative(ConvKernelGradient, window=window)(dx, y),
        )

    def onnx(self, context: Any, node: Node, y: str, kernel: str) -> Any:
        count = len(self.strides)
        _, counts, _ = self.split(node.inputs[0].type)
        window = node.inputs[1].shape[:-2]
        kernel = _transposed(context, node.inputs[1], kernel, [count + 1, count, *range(count)])
        attributes: dict[str, Any] = {
            "strides": list(self.strides),
            "dilations": list(self.dilations),
            "group": self.groups,
        }
        operands = [self.to_first(context, y), kernel]
        # Rows of x below the last window: less than a stride.
        rests = []
        for axis, (before, after) in enumerate(self.padding):
            span = (window[axis] - 1) * self.dilations[axis] + 1
            covered = (counts[axis] - 1) * self.strides[axis] + span
            rests.append(self.spatial[axis] + before + after - covered)
        if all(isinstance(rest, int) for rest in rests):
            x = context.node(
                "ConvTranspose", operands, pads=self.onnx_pads, output_padding=rests, **attributes
            )
            return self.from_first(context, x)
        most = [stride - 1 for stride in self.strides]
        x = context.node("ConvTranspose", operands, output_padding=most, **attributes)
        starts = [before for before, _ in self.padding]
        stops = [start + size for start, size in zip(starts, self.spatial, strict=True)]
        axes = np.arange(2, count + 2, dtype=np.int64)
        bounds = [context.shape(starts), context.shape(stops), context.constant(axes)]
        return self.from_first(context, context.node("Slice", [x, *bounds]))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(8)
        for attributes, (batch, spatial, _), kernel in _cases():
            op = cls(spatial=spatial, **attributes)
            counts = op.windows(spatial, kernel[:-2], op.dilations)
            y_type = op.image(batch, counts, kernel[-1], "float64")
            for dtype in ("float32", "float64"):
                arrays = [rng.normal(size=shape) for shape in (y_type.shape, kernel)]
                yield Sample(op, tuple(array.astype(dtype) for array in arrays))


class ConvKernelGradient(_Convolution, kw_only=True):
    """The gradient of `Conv` with respect to its kernel, from ``x`` and ``dy``.

    ``dkernel[k, i, o] = sum over n, p of x[n, q, i] * dy[n, p, o]`` with
    ``q = p * strides + k * dilations - before``.

    Args:
        window: The spatial shape of the kernel. With strides above 1 several shapes are possible.
    """

    window: tuple[int, ...]

    def infer(self, x: TensorType, dy: TensorType) -> TensorType:
        batch, spatial, inputs = self.split(x)
        dy_batch, counts, outputs = self.split(dy)
        if batch != dy_batch:
            raise ShapeError(f"the operands have {batch} and {dy_batch} images")
        if not isinstance(inputs, int) or inputs % self.groups:
            raise ShapeError(f"{inputs} input channels do not make {self.groups} groups")
        kernel = TensorType((*self.window, inputs // self.groups, outputs), dy.dtype)
        self.check_kernel(kernel, inputs, x.dtype)
        self.check_windows(counts, spatial, self.window)
        return kernel

    def evaluate(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        kernel = np.einsum(
            "npgck,npgf->kcgf", self.x_windows(x, self.window), self.y_groups(dy), optimize=True
        )
        outputs = self.channels_last(dy).shape[-1]
        shape = *self.window, kernel.shape[1], outputs
        return np.asarray(kernel.reshape(shape)).astype(x.dtype, order="C")

    def gradient(self, node: Node, dkernel: Value) -> Sequence[Value]:
        x, dy = node.inputs
        _, spatial, _ = self.split(x.type)
        return (
            self.relative(ConvTranspose, spatial=spatial)(dy, dkernel),
            self.relative(Conv)(x, dkernel),
        )

    def onnx(self, context: Any, node: Node, x: str, dy: str) -> Any:
        """A convolution in which images and channels, and strides and dilations, change places."""
        count = len(self.strides)
        spatial_axes = [*range(2, count + 2)]
        batch, spatial, inputs = self.split(node.inputs[0].type)
        if batch == 0:  # ONNX Runtime does not come back from a convolution over nothing
            return context.constant(np.zeros(node.output.shape, node.output.dtype))
        x = self.to_first(context, x)
        if self.groups == 1:
            x = context.node("Transpose", [x], perm=[1, 0, *spatial_axes])
        else:
            split = [batch, self.groups, inputs // self.groups, *spatial]
            x = context.reshape(x, [batch, inputs, *spatial], split)
            x = context.node("Transpose", [x], perm=[2, 1, 0, *range(3, count + 3)])
            swapped = [split[2], self.groups, batch, *spatial]
            x = context.reshape(x, swapped, [split[2], batch * self.groups, *spatial])
        dy = context.node("Transpose", [self.to_first(context, dy)], perm=[1, 0, *spatial_axes])
        kernel = context.node(
            "Conv",
            [x, dy],
            strides=list(self.dilations),
            dilations=list(self.strides),
            pads=self.onnx_pads,
            group=self.groups,
        )
        # Rows of x below the last window make the kernel too large.
        bounds = [
            np.zeros(count, np.int64),
            np.array(self.window, np.int64),
            np.array(spatial_axes, np.int64),
        ]
        kernel = context.node("Slice", [kernel, *[context.constant(bound) for bound in bounds]])
        return context.node("Transpose", [kernel], perm=[*spatial_axes, 0, 1])

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(9)
        for attributes, (batch, spatial, inputs), kernel in _cases():
            op = cls(window=kernel[:-2], **attributes)
            counts = op.windows(spatial, op.window, op.dilations)
            x_type = op.image(batch, spatial, inputs, "float64")
            dy_type = op.image(batch, counts, kernel[-1], "float64")
            for dtype in ("float32", "float64"):
                arrays = [rng.normal(size=type.shape) for type in (x_type, dy_type)]
                yield Sample(op, tuple(array.astype(dtype) for array in arrays))


def _transposed(context: Any, value: Value, name: str, permutation: list[int]) -> str:
    """The ONNX name of an operand with its axes in another order; a constant is turned here."""
    if value.constant is not None:
        return context.constant(np.transpose(value.constant, permutation))
    return context.node("Transpose", [name], perm=permutation)


_Case = tuple[dict[str, Any], tuple[int, tuple[int, ...], int], tuple[int, ...]]


def _cases() -> Iterable[_Case]:
    """Attributes, the image (batch, spatial shape, channels) and the kernel's shape."""
    rows: tuple[tuple[Any, ...], ...] = (
        # image                kernel           strides  padding            dilations groups layout
        ((2, (7,), 3), (3, 3, 4), (1,), ((0, 0),), (1,), 1, "last"),
        ((2, (8,), 4), (3, 2, 6), (2,), ((2, 0),), (2,), 2, "first"),
        ((2, (5, 6), 2), (3, 3, 2, 5), (1, 1), ((1, 1), (1, 1)), (1, 1), 1, "last"),
        ((2, (5, 6), 2), (2, 3, 2, 5), (2, 3), ((0, 1), (1, 0)), (1, 1), 1, "first"),
        ((1, (8, 7), 3), (2, 2, 3, 17), (3, 2), ((0, 0), (2, 1)), (2, 3), 1, "last"),
        ((2, (6, 5), 4), (3, 2, 1, 8), (2, 1), ((1, 1), (0, 1)), (1, 2), 4, "last"),
        ((2, (6, 5), 4), (3, 2, 2, 6), (2, 1), ((1, 1), (0, 1)), (1, 2), 2, "first"),
        ((1, (1, 1), 1), (1, 1, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1, "last"),
        ((0, (4, 4), 2), (3, 3, 2, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1, "last"),
        ((1, (4, 3, 5), 2), (2, 3, 2, 2, 3), (1, 2, 2), ((1, 0), (1, 1), (0, 0)), (2, 1, 1), 1,
         "last"),
        ((1, (3, 4, 3), 2), (2, 2, 2, 1, 2), (2, 1, 1), ((0, 1), (0, 0), (1, 1)), (1, 1, 2), 2,
         "first"),
    )  # fmt: skip
    names = ("strides", "padding", "dilations", "groups", "layout")
    for image, kernel, *attributes in rows:
        yield dict(zip(names, attributes, strict=True)), image, kernel
