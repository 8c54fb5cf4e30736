"""Pooling: the largest or the mean element that a sliding window sees, and their gradients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, ClassVar, TypeVar

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import Node, Sample, TensorType, Value
from graphc.ir.dims import Dim, Shape, known, shape_text
from graphc.ops.choice import Where
from graphc.ops.family import like, wide
from graphc.ops.window import Windowed

_Op = TypeVar("_Op", bound="_Pool")


class _Pool(Windowed, kw_only=True):
    """What the pooling ops have in common.

    Args:
        window: The window's spatial shape.
        strides: Steps between neighbouring windows, one per spatial axis.
        padding: How far windows reach over the image's edges before and after each spatial axis;
            less than the window, so that each one sees a part of the image. What lies outside is
            left out of the maximum or mean.
        layout: ``"last"`` or ``"first"``: where the image has its channels.
    """

    window: tuple[int, ...]

    def counts(self, spatial: Shape) -> Shape:
        """How many windows fit into an image, along each axis."""
        if len(self.window) != len(self.strides) or min(self.window) < 1:
            raise ShapeError(f"{self.window} is no window for {len(self.strides)} spatial axes")
        for size, pair in zip(self.window, self.padding, strict=True):
            if max(pair) >= size:
                raise ShapeError(
                    f"padding {pair} hides a whole window of {shape_text(self.window)}"
                )
        return self.windows(spatial, self.window, self._dilations)

    def pooled(self, x: TensorType) -> TensorType:
        """The type of the result of pooling ``x``."""
        batch, spatial, channels = self.split(x)
        return self.image(batch, self.counts(spatial), channels, x.dtype)

    def relative(self, kind: type[_Op], **attributes: Any) -> _Op:
        """Another pooling op over the same windows."""
        common = {field.name: getattr(self, field.name) for field in fields(_Pool)}
        return kind(**common, **attributes)

    def see(self, x: np.ndarray, fill: float) -> np.ndarray:
        """What the windows see: [batch, windows..., channels, positions]."""
        return self.look(self.channels_last(x), self.window, self._dilations, fill)

    def inside(self, spatial: Shape) -> np.ndarray:
        """Which positions of each window are inside the image: like `see` of one channel."""
        ones = np.ones((1, *spatial, 1), bool)
        return self.look(ones, self.window, self._dilations, False)

    def spread(self, seen: np.ndarray, spatial: Shape) -> np.ndarray:
        """The adjoint of `see`."""
        return self.put(seen, spatial, self.window, self._dilations)

    @property
    def onnx_attributes(self) -> dict[str, list[int]]:
        """The windows as ONNX describes them."""
        return {
            "kernel_shape": list(self.window),
            "strides": list(self.strides),
            "pads": self.onnx_pads,
        }

    @property
    def _dilations(self) -> tuple[int, ...]:
        return (1,) * len(self.window)


class MaxPool(_Pool):
    """The largest element that each window sees; NaN if it sees one."""

    def infer(self, x: TensorType) -> TensorType:
        return self.pooled(x)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return self.own_layout(np.max(self.see(x, -np.inf), axis=-1), x.dtype)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        (x,) = node.inputs
        return (self.relative(MaxPoolGradient)(x, node.output, dy),)

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        y = context.node("MaxPool", [self.to_first(context, x)], **self.onnx_attributes)
        return self.from_first(context, y)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for op, image in _cases(cls):
            for dtype in ("float32", "float64"):
                yield Sample(op, (_image(op, image).astype(dtype),))
        op = cls(window=(2,), strides=(1,), padding=((1, 1),))
        edges = np.array([[[1], [np.nan], [-np.inf], [-np.inf], [np.inf]]], np.float32)
        # ONNX Runtime leaves out NaN and minus infinity.
        yield Sample(op, (edges,), differentiable=False, portable=False)


class _MaxPosition(_Pool):
    """An op that goes by where in each window the maximum stands.

    Of several equal maxima it is the first one in row-major order that counts, as in TensorFlow
    and JAX; in a window with a NaN it is the window's first element.
    """

    def check(self, x: TensorType, y: TensorType) -> None:
        """Refuse a ``y`` that is not the result of pooling ``x``."""
        if y.dtype != x.dtype:
            raise DTypeError("the operands need one common dtype")
        if y != self.pooled(x):
            raise ShapeError(f"pooling gives {self.pooled(x)}")

    def hits(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """True at the position of each window's maximum."""
        spatial = self.channels_last(x).shape[1:-1]
        # "Not less" also holds for NaN, so that every window has a hit.
        hit = ~(self.see(x, -np.inf) < self.channels_last(y)[..., None]) & self.inside(spatial)
        first = np.argmax(hit, axis=-1)
        return np.arange(hit.shape[-1]) == first[..., None]

    def onnx_positions(self, context: Any, x: str) -> tuple[str, str]:
        """ONNX names: ``x`` with channels first, and the flat positions of the maxima in it."""
        x = self.to_first(context, x)
        _, positions = context.node("MaxPool", [x], outputs=2, **self.onnx_attributes)
        return x, positions


class MaxPoolGradient(_MaxPosition, kw_only=True):
    """The gradient of `MaxPool`: adds each dy to the place that its window's maximum had.

    Operands: ``x``, ``y = MaxPool(x)`` and ``dy``.

    Args:
        positive: Whether the gradient is 0 where ``x`` is not positive: that of a `Relu` before the
            pool as well.
    """

    positive: bool = False

    def infer(self, x: TensorType, y: TensorType, dy: TensorType) -> TensorType:
        self.check(x, y)
        self.check(x, dy)
        return x

    def evaluate(self, x: np.ndarray, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
        chosen = self.hits(x, y)
        if self.positive:
            chosen &= self.see(x, -np.inf) > 0
        shares = np.where(chosen, self.channels_last(dy).astype(np.float64)[..., None], 0.0)
        spatial = self.channels_last(x).shape[1:-1]
        return self.own_layout(self.spread(shares, spatial), x.dtype)

    def gradient(self, node: Node, ddx: Value) -> Sequence[Value | None]:
        x, y, _ = node.inputs
        if self.positive:
            ddx = Where()(x > 0, ddx, like(ddx, 0))
        return None, None, self.relative(MaxPoolPick)(x, y, ddx)

    def onnx(self, context: Any, node: Node, x: str, y: str, dy: str) -> Any:
        batch, spatial, channels = self.split(node.inputs[0].type)
        counts = self.counts(spatial)
        image = x
        x, positions = self.onnx_positions(context, x)
        flat: list[Dim] = [-1]
        y_shape, x_shape = [batch, channels, *counts], [batch, channels, *spatial]
        zero = context.constant(np.zeros(1, node.output.dtype))
        size = node.output.type.size
        dx = context.node(
            "ScatterElements",
            [
                context.node("Expand", [zero, context.shape([size])]),
                context.reshape(positions, y_shape, flat),
                context.reshape(self.to_first(context, dy), y_shape, flat),
            ],
            axis=0,
            reduction="add",
        )
        dx = self.from_first(context, context.reshape(dx, [size], x_shape))
        if not self.positive:
            return dx
        return context.node("Where", [context.node("Greater", [image, zero]), dx, zero])

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for sample in _position_samples(cls, of_x=False):
            yield sample
            assert isinstance(sample.op, cls)
            yield replace(sample, op=replace(sample.op, positive=True))


class MaxPoolPick(_MaxPosition):
    """The element of ``z`` that stands where each window's maximum stands in ``x``.

    The adjoint of `MaxPoolGradient`. Operands: ``x``, ``y = MaxPool(x)`` and ``z``, shaped as x.
    """

    def infer(self, x: TensorType, y: TensorType, z: TensorType) -> TensorType:
        self.check(x, y)
        if z != x:
            raise ShapeError(f"the elements to pick from need the type {x}")
        return y

    def evaluate(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        picked = np.where(self.hits(x, y), self.see(z, 0.0), 0).sum(axis=-1)
        return self.own_layout(picked, x.dtype)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value | None]:
        x, y, _ = node.inputs
        return None, None, self.relative(MaxPoolGradient)(x, y, dy)

    def onnx(self, context: Any, node: Node, x: str, y: str, z: str) -> Any:
        batch, spatial, channels = self.split(node.inputs[0].type)
        _, positions = self.onnx_positions(context, x)
        y_shape = [batch, channels, *self.counts(spatial)]
        x_shape = [batch, channels, *spatial]
        flat: list[Dim] = [-1]
        picked = context.node(
            "GatherElements",
            [
                context.reshape(self.to_first(context, z), x_shape, flat),
                context.reshape(positions, y_shape, flat),
            ],
            axis=0,
        )
        size = node.output.type.size
        return self.from_first(context, context.reshape(picked, [size], y_shape))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield from _position_samples(cls, of_x=True)


class AveragePool(_Pool):
    """The mean of the elements of the image that each window sees; padding does not count."""

    takes_complex: ClassVar[bool] = True

    def infer(self, x: TensorType) -> TensorType:
        return self.pooled(x)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        total = np.sum(self.see(wide(x), 0.0), axis=-1)
        count = np.sum(self.inside(self.channels_last(x).shape[1:-1]), axis=-1)
        return self.own_layout(total / count, x.dtype)

    def gradient(self, node: Node, dy: Value) -> Sequence[Value]:
        _, spatial, _ = self.split(node.inputs[0].type)
        return (self.relative(AveragePoolGradient, spatial=spatial)(dy),)

    def onnx(self, context: Any, node: Node, x: str) -> Any:
        y = context.node(
            "AveragePool",
            [self.to_first(context, x)],
            count_include_pad=0,
            **self.onnx_attributes,
        )
        return self.from_first(context, y)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for op, image in _cases(cls):
            for dtype in ("float32", "float64"):
                yield Sample(op, (_image(op, image).astype(dtype),))


class AveragePoolGradient(_Pool, kw_only=True):
    """The gradient of `AveragePool`: every window spreads its dy evenly over what it saw.

    Args:
        spatial: The spatial shape of the image that was pooled.
    """

    spatial: Shape
    takes_complex: ClassVar[bool] = True

    def infer(self, dy: TensorType) -> TensorType:
        batch, counts, channels = self.split(dy)
        if counts != self.counts(self.spatial):
            raise ShapeError(
                f"pooling {shape_text(self.spatial)} gives "
                f"{shape_text(self.counts(self.spatial))}, not {shape_text(counts)}"
            )
        return self.image(batch, self.spatial, channels, dy.dtype)

    def evaluate(self, dy: np.ndarray) -> np.ndarray:
        inside = self.inside(self.spatial)
        shares = wide(self.channels_last(dy)) / np.sum(inside, axis=-1)
        return self.own_layout(self.spread(shares[..., None] * inside, self.spatial), dy.dtype)

    def gradient(self, node: Node, ddx: Value) -> Sequence[Value]:
        return (self.relative(AveragePool)(ddx),)

    def onnx(self, context: Any, node: Node, dy: str) -> Any:
        """Divide by how many elements each window saw; a transposed convolution with ones."""
        batch, counts, channels = self.split(node.inputs[0].type)
        dtype = node.output.dtype
        single = [1] * (len(self.window) + 2)
        windows: dict[str, Any] = {"strides": list(self.strides)}
        kernel = context.constant(np.ones((1, 1, *self.window), dtype))
        one = context.constant(np.ones(single, dtype))
        image = context.node("Expand", [one, context.shape([1, 1, *self.spatial])])
        seen = context.node("Conv", [image, kernel], pads=self.onnx_pads, **windows)
        shares = context.node("Div", [self.to_first(context, dy), seen])
        # Channels do not mix: they join the batch. Every gap after the last window is cut below.
        rows = batch * channels
        shares = context.reshape(shares, [batch, channels, *counts], [rows, 1, *counts])
        most = [stride - 1 for stride in self.strides]
        dx = context.node("ConvTranspose", [shares, kernel], output_padding=most, **windows)
        starts = [before for before, _ in self.padding]
        stops = [start + size for start, size in zip(starts, self.spatial, strict=True)]
        axes = context.constant(np.arange(2, len(single), dtype=np.int64))
        dx = context.node("Slice", [dx, context.shape(starts), context.shape(stops), axes])
        dx = context.reshape(dx, [rows, 1, *self.spatial], [batch, channels, *self.spatial])
        return self.from_first(context, dx)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(12)
        for pool, (batch, spatial, channels) in _cases(AveragePool):
            op = pool.relative(cls, spatial=spatial)
            dy_type = op.image(batch, op.counts(spatial), channels, "float64")
            for dtype in ("float32", "float64"):
                yield Sample(op, (rng.normal(size=dy_type.shape).astype(dtype),))


_Image = tuple[int, tuple[int, ...], int]


def _cases(kind: type[_Op]) -> Iterator[tuple[_Op, _Image]]:
    """Pooling ops, each with an image: batch, spatial shape, channels."""
    rows: tuple[tuple[Any, ...], ...] = (
        ((2, (7,), 3), (2,), (2,), ((0, 0),), "last"),
        ((2, (7,), 3), (3,), (1,), ((1, 1),), "first"),
        ((2, (6, 6), 2), (2, 2), (2, 2), ((0, 0), (0, 0)), "last"),
        ((2, (5, 7), 17), (3, 2), (2, 3), ((1, 1), (0, 1)), "last"),
        ((1, (5, 7), 2), (2, 3), (1, 2), ((1, 0), (2, 2)), "first"),
        ((1, (1, 1), 1), (1, 1), (1, 1), ((0, 0), (0, 0)), "last"),
        ((0, (4, 4), 2), (2, 2), (2, 2), ((0, 0), (0, 0)), "last"),
        ((1, (3, 4, 5), 2), (2, 2, 3), (1, 2, 2), ((0, 1), (0, 0), (1, 1)), "last"),
        ((2, (9,), 1), (2,), (4,), ((0, 0),), "last"),
    )
    for image, window, strides, padding, layout in rows:
        yield kind(window=window, strides=strides, padding=padding, layout=layout), image


def _image(op: _Pool, image: _Image) -> np.ndarray:
    """Elements that all differ, so that no maximum is near another one."""
    shape = known(op.image(*image, dtype="float64").shape)
    rng = np.random.default_rng(10)
    return (rng.permutation(int(np.prod(shape))).reshape(shape) - 20) * 0.25


def _position_samples(kind: type[_Op], of_x: bool) -> Iterator[Sample]:
    rng = np.random.default_rng(11)
    for op, image in _cases(kind):
        # Many equal elements: the first maximum has to be found.
        x = np.round(_image(op, image) / 7) + 0.0
        y = op.relative(MaxPool).evaluate(x)
        for dtype in ("float32", "float64"):
            z = rng.normal(size=x.shape if of_x else y.shape)
            # x and y only say where: with respect to them there are jumps, and no derivative.
            arrays = tuple(array.astype(dtype) for array in (x, y, z))
            yield Sample(op, arrays, smooth_in=(2,))
