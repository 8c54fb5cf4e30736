"""Images made larger and smaller: https://keras.io/api/ops/image/."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from graphc.eager import Tensor, apply, as_tensor, cast, size_tensor
from graphc.errors import ShapeError
from graphc.ir import is_inexact
from graphc.ir.dims import Dim
from graphc.keras.ops.arguments import counted, float_tensor, one_axis, shape_of
from graphc.keras.ops.elementwise import (
    abs,
    equal,
    floor,
    logical_and,
    maximum,
    round,
    sin,
    where,
)
from graphc.keras.ops.functions import saturate_cast
from graphc.keras.ops.images import checked_images, known_sizes, layout_of, one_of, spatial_axes
from graphc.keras.ops.movement import expand_dims, moveaxis, pad
from graphc.keras.ops.products import tensordot
from graphc.keras.ops.recording import operation
from graphc.keras.ops.reduction import sum as reduce_sum
from graphc.ops.gather import Gather
from graphc.ops.movement import Slice

__all__ = ["crop_images", "pad_images", "resize", "scale_and_translate"]


# ------------------------------------------------------------------------------------- resampling


def _triangle(x: Tensor) -> Tensor:
    return maximum(1.0 - x, 0.0)


def _cubic(x: Tensor) -> Tensor:
    """Keys 1981, with a = -0.5."""
    near = ((1.5 * x - 2.5) * x) * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return where(x >= 2.0, 0.0, where(x >= 1.0, far, near))


def _lanczos(radius: float) -> Callable[[Tensor], Tensor]:
    def kernel(x: Tensor) -> Tensor:
        top = radius * sin(math.pi * x) * sin((math.pi / radius) * x)
        square = math.pi**2 * x * x
        inside = where(x > 1e-3, top / where(equal(x, 0.0), 1.0, square), 1.0)
        return where(x > radius, 0.0, inside)

    return kernel


_KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "bilinear": _triangle,
    "bicubic": _cubic,
    "lanczos3": _lanczos(3.0),
    "lanczos5": _lanczos(5.0),
}
_SYNONYMS = {"linear": "bilinear", "trilinear": "bilinear", "cubic": "bicubic",
             "tricubic": "bicubic"}  # fmt: skip


def _weights(
    before: Dim, after: Dim, scale: Any, translation: Any, method: str, antialias: bool
) -> Tensor:
    """How much each of ``before`` elements counts for each of ``after``: ``[before, after]``.

    Each column sums to 1, also where the kernel reaches beyond the edge; a place that lies outside
    of the image altogether is 0.
    """
    inverse = 1.0 / scale
    places = (counted(after, "float32") + 0.5) * inverse - translation * inverse - 0.5
    distance = abs(places - expand_dims(counted(before, "float32"), 1))
    if antialias:
        # When the image shrinks, the kernel is as wide as the distance of the places.
        distance = distance / maximum(inverse, 1.0)
    weights = _KERNELS[method](distance)
    total = reduce_sum(weights, 0, keepdims=True)
    tiny = 1000.0 * 2.0**-23
    weights = where(abs(total) > tiny, weights / where(equal(total, 0.0), 1.0, total), 0.0)
    last = size_tensor(before, "float32") - 0.5
    return where(logical_and(places >= -0.5, places <= last), weights, 0.0)


def _resampled(x: Tensor, axis: int, weights: Tensor) -> Tensor:
    return moveaxis(tensordot(x, cast(weights, x.dtype), [[axis], [0]]), -1, axis)


def _nearest(x: Tensor, axis: int, size: Dim) -> Tensor:
    before, after = (size_tensor(dim, "float32") for dim in (x.dims[axis], size))
    places = floor((counted(size, "float32") + 0.5) * before / after)
    return apply(Gather(axis), x, cast(places, "int32"))


@operation
def resize(
    images: Any,
    size: Any,
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Images of another size.

    Args:
        images: An image or a batch of images.
        size: Rows and columns of the result.
        interpolation: ``"nearest"``, ``"bilinear"``, ``"bicubic"``, ``"lanczos3"`` or
            ``"lanczos5"``.
        antialias: Whether an image that shrinks is smoothed first.
        crop_to_aspect_ratio: Whether the middle part with the ratio of ``size`` is taken.
        pad_to_aspect_ratio: Whether the image is padded to that ratio.
        fill_mode: Only ``"constant"``.
        fill_value: What it is padded with.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Returns:
        Images of the same dtype; integers are rounded, and stay in their range.

    Raises:
        ValueError: An argument that is none of the choices.

    Example:
        >>> keras.ops.image.resize(images, (224, 224), antialias=True)
    """
    one_of(interpolation, ("nearest", *_KERNELS), "interpolation")
    if fill_mode != "constant":
        raise ValueError(
            "Invalid value for argument `fill_mode`. Only `'constant'` is supported. "
            f"Received: fill_mode={fill_mode}"
        )
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(
            "Only one of `pad_to_aspect_ratio` & `crop_to_aspect_ratio` can be `True`."
        )
    last = layout_of(data_format, "resize")
    given = x = checked_images(images)
    if not isinstance(size, (list, tuple)) or len(size) != 2:
        raise ValueError(
            "Argument `size` must be a tuple of two elements (height, width). "
            f"Received: size={size}"
        )
    wanted = shape_of(size, "resize")
    if crop_to_aspect_ratio:
        x = _middle(x, wanted, last)
    elif pad_to_aspect_ratio:
        x = _surrounded(x, wanted, last, fill_value)
    if interpolation != "nearest":
        x = float_tensor(x)
    for axis, target in zip(spatial_axes(x, last), wanted, strict=True):
        own = x.dims[axis]
        if own == target:
            continue
        if interpolation == "nearest":
            x = _nearest(x, axis, target)
            continue
        scale = size_tensor(target, "float32") / size_tensor(own, "float32")
        if target == 0:
            scale = as_tensor(1.0, "float32")
        x = _resampled(x, axis, _weights(own, target, scale, 0.0, interpolation, antialias))
    return saturate_cast(x if is_inexact(given.dtype) else round(x), given.dtype)


def _middle(x: Tensor, wanted: tuple[Dim, ...], last: bool) -> Tensor:
    """The largest part in the middle that has the ratio of rows to columns that is wanted."""
    sizes, (high, wide) = known_sizes(x, last), _numbers(wanted)
    rows = max(min(sizes[0], int(float(sizes[1] * high) / wide)), 1)
    columns = max(min(sizes[1], int(float(sizes[0] * wide) / high)), 1)
    starts, stops = [0] * x.ndim, list(x.dims)
    for axis, size, part in zip(spatial_axes(x, last), sizes, (rows, columns), strict=True):
        starts[axis] = int(float(size - part) / 2)
        stops[axis] = starts[axis] + part
    return apply(Slice(tuple(starts), tuple(stops), (1,) * x.ndim), x)


def _surrounded(x: Tensor, wanted: tuple[Dim, ...], last: bool, fill_value: float) -> Tensor:
    """The image in the middle of the smallest one that has the ratio that is wanted."""
    sizes, (high, wide) = known_sizes(x, last), _numbers(wanted)
    rows = max(sizes[0], int(float(sizes[1] * high) / wide))
    columns = max(sizes[1], int(float(sizes[0] * wide) / high))
    widths = [(0, 0)] * x.ndim
    for axis, size, whole in zip(spatial_axes(x, last), sizes, (rows, columns), strict=True):
        # As Keras does, the same width on both sides: an odd element is left out.
        width = int(float(whole - size) / 2)
        widths[axis] = (width, width)
    return pad(x, widths, constant_values=fill_value)


def _numbers(wanted: tuple[Dim, ...]) -> tuple[int, int]:
    rows, columns = wanted
    if isinstance(rows, int) and isinstance(columns, int) and rows and columns:
        return rows, columns
    raise ShapeError(f"resize: to keep the ratio, sizes have to be known and not 0, not {wanted}")


@operation
def scale_and_translate(
    images: Any,
    output_shape: Any,
    scale: Any,
    translation: Any,
    spatial_dims: Any,
    method: str,
    antialias: bool = True,
) -> Tensor:
    """Tensors resampled along some axes: the element at x goes to ``x * scale + translation``.

    Args:
        images: A tensor.
        output_shape: The shape of the result.
        scale: A factor for each of the axes.
        translation: A summand for each of them.
        spatial_dims: The axes.
        method: ``"linear"`` (or bi-, trilinear), ``"cubic"`` (bi-, tricubic), ``"lanczos3"`` or
            ``"lanczos5"``.
        antialias: Whether what shrinks is smoothed first.

    Raises:
        ValueError: Another method.
        ShapeError: Another axis would change its size.
    """
    one_of(method, (*_KERNELS, *_SYNONYMS), "method")
    x = float_tensor(images)
    sizes = shape_of(output_shape, "scale_and_translate")
    axes = [one_axis(axis, x.ndim, "scale_and_translate") for axis in spatial_dims]
    unlike = [a for a in range(x.ndim) if a not in axes and len(sizes) == x.ndim
              and x.dims[a] != sizes[a]]  # fmt: skip
    if len(sizes) != x.ndim or unlike:
        raise ShapeError(
            f"scale_and_translate: only the axes {tuple(axes)} can change their sizes. "
            f"Received: images.shape={x.shape}, output_shape={output_shape}"
        )
    factors, summands = float_tensor(scale), float_tensor(translation)
    kind = _SYNONYMS.get(method, method)
    for place, axis in enumerate(axes):
        weights = _weights(
            x.dims[axis], sizes[axis], factors[place], summands[place], kind, antialias
        )
        x = _resampled(x, axis, weights)
    return x


# ----------------------------------------------------------------------------------------- margins


def _margins(
    first: int | None, second: int | None, target: int | None, rest: Any, names: tuple[str, ...]
) -> tuple[int, int]:
    """Two widths of which one may be left to follow from the size of the result.

    Args:
        first: Before the image; None where it follows.
        second: Behind it.
        target: The size of the result.
        rest: Maps the size of the result to the sum of both widths.
        names: What the three are called.
    """
    given = [first is not None, second is not None, target is not None]
    if sum(given) != 2:
        raise ValueError(
            f"Must specify exactly two of {', '.join(names)}. "
            f"Received: {names[0]}={first}, {names[1]}={second}, {names[2]}={target}"
        )
    if first is None:
        first = rest(target) - second
    if second is None:
        second = rest(target) - first
    for name, width in zip(names, (first, second), strict=False):
        if isinstance(width, int) and width < 0:
            raise ValueError(f"{name} must be >= 0. Received: {name}={width}")
    return first, second


@operation
def pad_images(
    images: Any,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images with zeros around them.

    Args:
        images: An image or a batch of images.
        top_padding: Rows above; two of this, the rows below and the height say the third.
        left_padding: Columns to the left; the same with the right and the width.
        bottom_padding: Rows below.
        right_padding: Columns to the right.
        target_height: Rows of the result.
        target_width: Columns of the result.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Raises:
        ValueError: Too few or too many widths, or a negative one.
    """
    last = layout_of(data_format, "pad_images")
    x = checked_images(images)
    rows, columns = spatial_axes(x, last)
    widths: list[tuple[int, int]] = [(0, 0)] * x.ndim
    widths[rows] = _margins(
        top_padding, bottom_padding, target_height, lambda size: size - x.dims[rows],
        ("top_padding", "bottom_padding", "target_height"),
    )  # fmt: skip
    widths[columns] = _margins(
        left_padding, right_padding, target_width, lambda size: size - x.dims[columns],
        ("left_padding", "right_padding", "target_width"),
    )  # fmt: skip
    return pad(x, widths)


@operation
def crop_images(
    images: Any,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """The inner part of images.

    Args:
        images: An image or a batch of images.
        top_cropping: Rows cut above; two of this, the rows below and the height say the third.
        left_cropping: Columns cut at the left; the same with the right and the width.
        bottom_cropping: Rows cut below.
        right_cropping: Columns cut at the right.
        target_height: Rows of the result.
        target_width: Columns of the result.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Raises:
        ValueError: Too few or too many widths, or a negative one.
    """
    last = layout_of(data_format, "crop_images")
    x = checked_images(images)
    rows, columns = spatial_axes(x, last)
    starts: list[Dim] = [0] * x.ndim
    stops: list[Dim] = list(x.dims)
    for axis, first, second, target, names in (
        (rows, top_cropping, bottom_cropping, target_height,
         ("top_cropping", "bottom_cropping", "target_height")),
        (columns, left_cropping, right_cropping, target_width,
         ("left_cropping", "right_cropping", "target_width")),
    ):  # fmt: skip
        size = x.dims[axis]
        before, behind = _margins(first, second, target, lambda kept, n=size: n - kept, names)
        if isinstance(size, int) and size - before - behind < 0:
            raise ValueError(
                f"{names[2]} must be >= 0. Received: {names[2]}={size - before - behind}"
            )
        starts[axis], stops[axis] = before, size - behind
    return apply(Slice(tuple(starts), tuple(stops), (1,) * x.ndim), x)
