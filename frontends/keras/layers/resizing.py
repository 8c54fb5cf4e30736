"""Layers that change the size of sequences and images: up-sampling, zero padding, cropping."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from graphc.eager import Tensor, cast
from graphc.errors import ShapeError, UnsupportedError
from graphc.keras import ops
from graphc.keras.layers.builtin import BuiltinLayer, one_of, per_axis
from graphc.keras.layers.spatial import SpatialLayer
from graphc.keras.saving.registry import public


class _UpSampling(SpatialLayer):
    arguments: ClassVar[tuple[str, ...]] = ("size", "data_format")
    interpolation: str = "nearest"

    def __init__(self, size: Any, data_format: str | None = None, **kwargs: Any):
        super().__init__(data_format, **kwargs)
        self.size = per_axis(size, self.rank, "size", self)

    def call(self, inputs: Any) -> Any:
        """The larger image."""
        resize = ops.repeat if self.interpolation == "nearest" else _interpolate
        for axis, factor in zip(self.spatial_axes, self.size, strict=True):
            if factor > 1:
                inputs = resize(inputs, factor, axis)
        return inputs


def _interpolate(x: Tensor, factor: int, axis: int) -> Tensor:
    """Linear interpolation between the centres of neighbours; beyond the last ones, those."""
    size = x.dims[axis]
    if not isinstance(size, int):
        raise UnsupportedError(
            f'interpolation="bilinear" needs a fixed size along axis {axis} of shape {x.shape}'
        )
    places = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    matrix = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(size)))
    matrix = cast(Tensor(matrix.astype("float32")), x.dtype)
    return ops.moveaxis(ops.tensordot(x, matrix, [[axis], [1]]), -1, axis)


@public("keras.layers")
class UpSampling1D(_UpSampling):
    """Each step of a sequence several times in a row.

    Args:
        size: How many times.
        **kwargs: For `Layer`.
    """

    arguments = ("size",)

    def __init__(self, size: int = 2, **kwargs: Any):
        super().__init__(size, "channels_last", **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "size": self.size[0]}


@public("keras.layers")
class UpSampling2D(_UpSampling):
    """An image made larger.

    Args:
        size: The factors for rows and columns.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        interpolation: ``"nearest"`` or ``"bilinear"``.
        **kwargs: For `Layer`.

    Raises:
        UnsupportedError: Another interpolation.
    """

    rank = 2
    arguments = ("size", "data_format", "interpolation")

    def __init__(
        self,
        size: Any = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ):
        super().__init__(size, data_format, **kwargs)
        choices = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        self.interpolation = one_of(interpolation, choices, "interpolation", self)
        if self.interpolation not in choices[:2]:
            raise UnsupportedError(
                f'UpSampling2D: interpolation={interpolation!r} is not supported; use "nearest" or '
                '"bilinear"'
            )


@public("keras.layers")
class UpSampling3D(_UpSampling):
    """Each element of a volume repeated along its three axes.

    Args:
        size: The factors for the three axes.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    rank = 3

    def __init__(self, size: Any = (2, 2, 2), data_format: str | None = None, **kwargs: Any):
        super().__init__(size, data_format, **kwargs)


def _pairs(value: Any, count: int, name: str, layer: BuiltinLayer) -> tuple[tuple[int, int], ...]:
    """Elements before and after each axis: from one number, one per axis, or pairs."""
    kind = type(layer).__name__
    items = (value,) * count if isinstance(value, (int, np.integer)) else tuple(value)
    if len(items) != count:
        raise ValueError(
            f"{kind}: `{name}` should be a number, {count} numbers or {count} pairs of numbers. "
            f"Received: {name}={value!r}"
        )
    return tuple(per_axis(item, 2, name, layer, least=0) for item in items)


class _ZeroPadding(SpatialLayer):
    arguments = ("padding", "data_format")

    def __init__(self, padding: Any, data_format: str | None = None, **kwargs: Any):
        super().__init__(data_format, **kwargs)
        self.padding: Any = _pairs(padding, self.rank, "padding", self)

    def call(self, inputs: Any) -> Any:
        """The input with zeros around it."""
        widths = [(0, 0)] * inputs.ndim
        pairs = (self.padding,) if self.rank == 1 else self.padding
        for axis, pair in zip(self.spatial_axes, pairs, strict=True):
            widths[axis] = pair
        return ops.pad(inputs, widths)


@public("keras.layers")
class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after a sequence.

    Args:
        padding: How many: a number, or a pair.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any):
        super().__init__((padding,), data_format, **kwargs)
        self.padding = self.padding[0]


@public("keras.layers")
class ZeroPadding2D(_ZeroPadding):
    """Zeros around an image.

    Args:
        padding: How many: a number, one for rows and one for columns, or a pair for each.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    rank = 2

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any):
        super().__init__(padding, data_format, **kwargs)


@public("keras.layers")
class ZeroPadding3D(_ZeroPadding):
    """Zeros around a volume.

    Args:
        padding: How many: a number, one for each axis, or a pair for each.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    rank = 3

    def __init__(
        self,
        padding: Any = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(padding, data_format, **kwargs)


class _Cropping(SpatialLayer):
    arguments: ClassVar[tuple[str, ...]] = ("cropping", "data_format")

    def __init__(self, cropping: Any, data_format: str | None = None, **kwargs: Any):
        super().__init__(data_format, **kwargs)
        self.cropping: Any = _pairs(cropping, self.rank, "cropping", self)

    def call(self, inputs: Any) -> Any:
        """The input without its edges."""
        key = [slice(None)] * inputs.ndim
        pairs = (self.cropping,) if self.rank == 1 else self.cropping
        for axis, (before, after) in zip(self.spatial_axes, pairs, strict=True):
            size = inputs.dims[axis]
            if isinstance(size, int) and before + after >= size:
                raise ShapeError(
                    f'{type(self).__name__} "{self.name}": cropping {(before, after)} leaves '
                    f"nothing of axis {axis} of the input {inputs.shape}"
                )
            key[axis] = slice(before, -after if after else None)
        return inputs[tuple(key)]


@public("keras.layers")
class Cropping1D(_Cropping):
    """A sequence without its first and last steps.

    Args:
        cropping: How many: a number, or a pair.
        **kwargs: For `Layer`.
    """

    arguments = ("cropping",)

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any):
        super().__init__((cropping,), "channels_last", **kwargs)
        self.cropping = self.cropping[0]


@public("keras.layers")
class Cropping2D(_Cropping):
    """An image without its edges.

    Args:
        cropping: How much: a number, one for rows and one for columns, or a pair for each.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    rank = 2

    def __init__(
        self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ):
        super().__init__(cropping, data_format, **kwargs)


@public("keras.layers")
class Cropping3D(_Cropping):
    """A volume without its edges.

    Args:
        cropping: How much: a number, one for each axis, or a pair for each.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    rank = 3

    def __init__(
        self,
        cropping: Any = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(cropping, data_format, **kwargs)
