"""``graphc.image``: pictures under TensorFlow's names.

See https://www.tensorflow.org/api_docs/python/tf/image. Pictures are ``(height, width, channels)``
or ``(batch, height, width, channels)``. Reading and writing files is left to other packages.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.eager import Tensor
from graphc.errors import ShapeError
from graphc.keras import ops
from graphc.keras import random as keras_random
from graphc.names.adapt import (
    composed,
    missing_name,
    public_names,
    published,
    takes_name,
    tensor_of,
)
from graphc.names.boxes import *  # noqa: F403
from graphc.names.dtypes import as_dtype
from graphc.names.random import op_seed, stateless_key
from graphc.names.shape import known_sizes


@published
class ResizeMethod:
    """The ways in which `resize` computes pixels between pixels."""

    AREA = "area"
    BICUBIC = "bicubic"
    BILINEAR = "bilinear"
    GAUSSIAN = "gaussian"
    LANCZOS3 = "lanczos3"
    LANCZOS5 = "lanczos5"
    MITCHELLCUBIC = "mitchellcubic"
    NEAREST_NEIGHBOR = "nearest"


def _picture(image: Any) -> Tensor:
    x = tensor_of(image)
    if x.ndim not in (3, 4):
        raise ShapeError(
            f"pictures are (height, width, channels) or (batch, height, width, channels); "
            f"received shape {x.shape}"
        )
    return x


def _draw(seed: Any, low: float, high: float) -> Any:
    return keras_random.uniform((), low, high, seed=op_seed(seed))


# --------------------------------------------------------------------------------- geometry


@composed
def resize(
    images: Any,
    size: Any,
    method: str = ResizeMethod.BILINEAR,
    preserve_aspect_ratio: bool = False,
    antialias: bool = False,
) -> Tensor:
    """Pictures of another size, float32 but for the method ``"nearest"``.

    Args:
        images: Pictures.
        size: Height and width.
        method: ``"nearest"``, ``"bilinear"``, ``"bicubic"``, ``"lanczos3"`` or ``"lanczos5"``.
        preserve_aspect_ratio: Whether the result is the largest that keeps the ratio of the sides.
        antialias: Whether to take all pixels into account when making pictures smaller.
    """
    x = _picture(images)
    height, width = (int(n) for n in size)
    if preserve_aspect_ratio:
        rows, columns = known_sizes(x, "resize", -3, -1)
        scale = min(height / rows, width / columns)
        height, width = round(scale * rows), round(scale * columns)
    if method != ResizeMethod.NEAREST_NEIGHBOR and not as_dtype(x.dtype).is_floating:
        x = ops.cast(x, "float32")
    return ops.image.resize(x, (height, width), method, antialias, data_format="channels_last")


@takes_name
def flip_left_right(image: Any) -> Any:
    """Pictures in a mirror."""
    return ops.flip(image, -2)


@takes_name
def flip_up_down(image: Any) -> Any:
    """Pictures upside down, in a mirror."""
    return ops.flip(image, -3)


@takes_name
def rot90(image: Any, k: int = 1) -> Any:
    """Pictures turned counter-clockwise by ``k`` quarters."""
    x = _picture(image)
    for _ in range(int(k) % 4):
        x = ops.flip(ops.swapaxes(x, -3, -2), -3)
    return x


@takes_name
def transpose(image: Any) -> Any:
    """Rows and columns exchanged."""
    return ops.swapaxes(image, -3, -2)


@composed
def crop_to_bounding_box(
    image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Tensor:
    """A rectangle cut out of pictures.

    Raises:
        ShapeError: It reaches over the edge.
    """
    x = _picture(image)
    rows, columns = x.shape[-3:-1]
    bottom, right = offset_height + target_height, offset_width + target_width
    inside = (rows is None or bottom <= rows) and (columns is None or right <= columns)
    if min(offset_height, offset_width) < 0 or not inside:
        raise ShapeError(
            f"crop_to_bounding_box: rows {offset_height} to {bottom} and columns {offset_width} to "
            f"{right} reach over the edge of a picture of {rows} by {columns}"
        )
    return x[..., offset_height:bottom, offset_width:right, :]


@composed
def pad_to_bounding_box(
    image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Tensor:
    """Pictures in a larger one of zeros.

    Raises:
        ShapeError: They do not fit.
    """
    x = _picture(image)
    rows, columns = known_sizes(x, "pad_to_bounding_box", -3, -1)
    below = target_height - offset_height - rows
    right = target_width - offset_width - columns
    if min(offset_height, offset_width, below, right) < 0:
        raise ShapeError(
            f"pad_to_bounding_box: a picture of {rows} by {columns} at row "
            f"{offset_height}, column {offset_width} does not fit {target_height} by {target_width}"
        )
    widths = [(0, 0)] * (x.ndim - 3) + [(offset_height, below), (offset_width, right), (0, 0)]
    return ops.pad(x, widths)


@takes_name
def resize_with_crop_or_pad(image: Any, target_height: int, target_width: int) -> Any:
    """The middle of pictures, with zeros around it where they are too small."""
    x = _picture(image)
    rows, columns = known_sizes(x, "resize_with_crop_or_pad", -3, -1)
    height, width = min(rows, target_height), min(columns, target_width)
    cut = crop_to_bounding_box(x, (rows - height) // 2, (columns - width) // 2, height, width)
    above, left = (target_height - height) // 2, (target_width - width) // 2
    return pad_to_bounding_box(cut, above, left, target_height, target_width)


@takes_name
def resize_with_pad(
    image: Any,
    target_height: int,
    target_width: int,
    method: str = ResizeMethod.BILINEAR,
    antialias: bool = False,
) -> Any:
    """Pictures as large as fits, with zeros around them.

    Args:
        image: Pictures.
        target_height: The result's height.
        target_width: The result's width.
        method: As in `resize`.
        antialias: As in `resize`.
    """
    rows, columns = known_sizes(_picture(image), "resize_with_pad", -3, -1)
    ratio = max(columns / target_width, rows / target_height)
    # In single precision, and with the zeros counted from the fractions, as TensorFlow does it.
    height, width = (np.float32(size) / np.float32(ratio) for size in (rows, columns))
    made = resize(image, (int(height), int(width)), method, antialias=antialias)
    above, left = int((target_height - height) / 2), int((target_width - width) / 2)
    return pad_to_bounding_box(made, above, left, target_height, target_width)


@takes_name
def central_crop(image: Any, central_fraction: float) -> Any:
    """The middle of pictures, which has this share of their height and width."""
    if not 0 < central_fraction <= 1:
        raise ValueError(f"central_crop: a share is above 0, at most 1; got {central_fraction}")
    x = _picture(image)
    rows, columns = known_sizes(x, "central_crop", -3, -1)
    above, left = (int((n - n * central_fraction) / 2) for n in (rows, columns))
    return crop_to_bounding_box(x, above, left, rows - 2 * above, columns - 2 * left)


@composed
def extract_patches(images: Any, sizes: Any, strides: Any, rates: Any, padding: str) -> Tensor:
    """Windows of pictures, each flat along the last axis.

    Args:
        images: ``(batch, height, width, channels)``.
        sizes: ``[1, height, width, 1]`` of a window.
        strides: ``[1, rows, columns, 1]`` from one to the next.
        rates: ``[1, rows, columns, 1]`` between the pixels of a window.
        padding: ``"VALID"`` or ``"SAME"``.
    """
    return ops.image.extract_patches(
        images,
        tuple(sizes[1:3]),
        tuple(strides[1:3]),
        rates[1] if rates[1] == rates[2] else tuple(rates[1:3]),
        padding.lower(),
        data_format="channels_last",
    )


# ----------------------------------------------------------------------------------- colours


@composed
def convert_image_dtype(image: Any, dtype: Any, saturate: bool = False) -> Tensor:
    """Pixels of another type: floats go from 0 to 1, integers from 0 to their largest number.

    Args:
        image: A tensor of any shape.
        dtype: The type wanted.
        saturate: Whether floats out of that range are first moved into it.
    """
    x, kind = tensor_of(image), as_dtype(dtype)
    given = as_dtype(x.dtype)
    if given == kind:
        return x
    if given.is_floating and kind.is_floating:
        return ops.cast(x, kind.name)
    if given.is_integer and kind.is_floating:
        return ops.cast(x, kind.name) * (1.0 / given.max)
    if given.is_integer:
        # By whole powers of two, as TensorFlow does: 8 bits of 255 become 16 bits of 65280.
        factor = (given.max + 1) // (kind.max + 1) or (kind.max + 1) // (given.max + 1)
        if given.max > kind.max:
            return ops.cast(ops.floor_divide(x, factor), kind.name)
        return ops.cast(x, kind.name) * factor
    scaled = x * (kind.max + 0.5)
    if saturate:
        scaled = ops.clip(scaled, kind.min, kind.max)
    return ops.cast(scaled, kind.name)


def _in_floats(image: Any, change: Any) -> Any:
    """A change of floats from 0 to 1, on pixels of any type."""
    x = tensor_of(image)
    if as_dtype(x.dtype).is_floating:
        return change(x)
    return convert_image_dtype(change(convert_image_dtype(x, "float32")), x.dtype, saturate=True)


@composed
def adjust_brightness(image: Any, delta: Any) -> Tensor:
    """A number added to every pixel, of floats from 0 to 1."""
    return _in_floats(image, lambda x: x + ops.cast(delta, x.dtype))


@composed
def adjust_contrast(images: Any, contrast_factor: Any) -> Tensor:
    """``(x - mean) * factor + mean`` with the mean of each channel of each picture."""

    def change(x: Tensor) -> Tensor:
        mean = ops.mean(x, (-3, -2), keepdims=True)
        return (x - mean) * ops.cast(contrast_factor, x.dtype) + mean

    return _in_floats(_picture(images), change)


@composed
def adjust_gamma(image: Any, gamma: float = 1, gain: float = 1) -> Tensor:
    """``gain * x ^ gamma``."""
    return _in_floats(image, lambda x: gain * x**gamma)


@composed
def adjust_saturation(image: Any, saturation_factor: Any) -> Tensor:
    """Colours stronger or paler, by way of hue, saturation and value."""

    def change(x: Tensor) -> Tensor:
        hsv = rgb_to_hsv(x)
        saturation = ops.clip(hsv[..., 1:2] * saturation_factor, 0.0, 1.0)
        return hsv_to_rgb(ops.concatenate([hsv[..., :1], saturation, hsv[..., 2:]], -1))

    return _in_floats(image, change)


@composed
def adjust_hue(image: Any, delta: Any) -> Tensor:
    """Colours turned on their wheel; 1 is once around."""

    def change(x: Tensor) -> Tensor:
        hsv = rgb_to_hsv(x)
        return hsv_to_rgb(ops.concatenate([(hsv[..., :1] + delta) % 1.0, hsv[..., 1:]], -1))

    return _in_floats(image, change)


@takes_name
def rgb_to_hsv(images: Any) -> Any:
    """Red, green and blue as hue, saturation and value, all from 0 to 1."""
    return ops.image.rgb_to_hsv(images, data_format="channels_last")


@takes_name
def hsv_to_rgb(images: Any) -> Any:
    """Hue, saturation and value as red, green and blue, all from 0 to 1."""
    return ops.image.hsv_to_rgb(images, data_format="channels_last")


@composed
def rgb_to_grayscale(images: Any) -> Tensor:
    """``0.2989 red + 0.5870 green + 0.1140 blue``, with one channel."""

    def change(x: Tensor) -> Tensor:
        weights = ops.convert_to_tensor([0.2989, 0.5870, 0.1140], x.dtype)
        return ops.sum(x * weights, -1, keepdims=True)

    return _in_floats(images, change)


@takes_name
def grayscale_to_rgb(images: Any) -> Any:
    """The one channel three times."""
    return ops.repeat(images, 3, -1)


@composed
def per_image_standardization(image: Any) -> Tensor:
    """``(x - mean) / max(deviation, 1 / sqrt(pixels))`` for each picture."""
    x = ops.cast(_picture(image), "float32")
    axes = (-3, -2, -1)
    mean = ops.mean(x, axes, keepdims=True)
    deviation = ops.std(x, axes, keepdims=True)
    count = math.prod(known_sizes(x, "per_image_standardization", -3))
    return (x - mean) / ops.maximum(deviation, count**-0.5)


_YIQ = (
    (0.299, 0.59590059, 0.2115),
    (0.587, -0.27455667, -0.52273617),
    (0.114, -0.32134392, 0.31119955),
)
_YUV = (
    (0.299, -0.14714119, 0.61497538),
    (0.587, -0.28886916, -0.51496512),
    (0.114, 0.43601035, -0.10001026),
)
_FROM_YUV = ((1.0, 1.0, 1.0), (0.0, -0.394642334, 2.03206185), (1.13988303, -0.58062185, 0.0))
_FROM_YIQ = (
    (1.0, 1.0, 1.0),
    (0.95598634, -0.27201283, -1.10674021),
    (0.6208248, -0.64720424, 1.70423049),
)


def _mixed(images: Any, weights: Any) -> Any:
    return ops.matmul(images, ops.convert_to_tensor(weights, "float32"))


@takes_name
def rgb_to_yiq(images: Any) -> Any:
    """Red, green and blue as brightness and two colours, by the standard of NTSC."""
    return _mixed(images, _YIQ)


@takes_name
def yiq_to_rgb(images: Any) -> Any:
    """The inverse of `rgb_to_yiq`."""
    return _mixed(images, _FROM_YIQ)


@takes_name
def rgb_to_yuv(images: Any) -> Any:
    """Red, green and blue as brightness and two colours, by the standard of PAL."""
    return _mixed(images, _YUV)


@takes_name
def yuv_to_rgb(images: Any) -> Any:
    """The inverse of `rgb_to_yuv`."""
    return _mixed(images, _FROM_YUV)


# ------------------------------------------------------------------------------------ at random


@composed
def random_flip_left_right(image: Any, seed: Any = None) -> Tensor:
    """Pictures in a mirror, each with probability 1/2."""
    return _flip_some(_picture(image), -2, seed)


@composed
def random_flip_up_down(image: Any, seed: Any = None) -> Tensor:
    """Pictures upside down, each with probability 1/2."""
    return _flip_some(_picture(image), -3, seed)


def _flip_some(x: Tensor, axis: int, seed: Any) -> Tensor:
    shape = (x.dims[0], 1, 1, 1) if x.ndim == 4 else (1, 1, 1)
    draw = keras_random.uniform(shape, 0.0, 1.0, "float32", op_seed(seed))
    return ops.where(draw < 0.5, ops.flip(x, axis), x)


@composed
def random_brightness(image: Any, max_delta: float, seed: Any = None) -> Tensor:
    """`adjust_brightness` by a number between plus and minus ``max_delta``."""
    return adjust_brightness(image, _draw(seed, -max_delta, max_delta))


@composed
def random_contrast(image: Any, lower: float, upper: float, seed: Any = None) -> Tensor:
    """`adjust_contrast` by a factor between ``lower`` and ``upper``."""
    return adjust_contrast(image, _draw(seed, lower, upper))


@composed
def random_saturation(image: Any, lower: float, upper: float, seed: Any = None) -> Tensor:
    """`adjust_saturation` by a factor between ``lower`` and ``upper``."""
    return adjust_saturation(image, _draw(seed, lower, upper))


@composed
def random_hue(image: Any, max_delta: float, seed: Any = None) -> Tensor:
    """`adjust_hue` by a number between plus and minus ``max_delta``."""
    return adjust_hue(image, _draw(seed, -max_delta, max_delta))


@composed
def random_crop(value: Any, size: Any, seed: Any = None) -> Tensor:
    """A block of a size, anywhere in a tensor.

    Args:
        value: A tensor whose sizes are known.
        size: The block's size along each axis.
        seed: An integer that names a sequence of draws.

    Raises:
        ShapeError: The block is larger than the tensor.
    """
    x = tensor_of(value)
    sizes, whole = [int(n) for n in size], known_sizes(x, "random_crop")
    if len(sizes) != x.ndim or any(n > have for n, have in zip(sizes, whole, strict=True)):
        raise ShapeError(f"random_crop: {sizes} does not fit a tensor of shape {x.shape}")
    for axis, (length, have) in enumerate(zip(sizes, whole, strict=True)):
        if length == have:
            continue
        start = keras_random.randint((), 0, have - length + 1, "int32", op_seed(seed))
        x = ops.take(x, start + ops.arange(length), axis)
    return x


def _stateless(function: Any) -> Any:
    """The twin of a function at random that takes two integers as its seed."""

    def call(*args: Any, seed: Any = None, **kwargs: Any) -> Any:
        """The same with the same numbers for the same seed, two integers, the last argument."""
        if seed is None:
            *args, seed = args  # type: ignore[assignment]
        return function(*args, seed=stateless_key(seed), **kwargs)

    return takes_name(call)


stateless_random_brightness = _stateless(random_brightness)
stateless_random_contrast = _stateless(random_contrast)
stateless_random_crop = _stateless(random_crop)
stateless_random_flip_left_right = _stateless(random_flip_left_right)
stateless_random_flip_up_down = _stateless(random_flip_up_down)
stateless_random_hue = _stateless(random_hue)
stateless_random_saturation = _stateless(random_saturation)


# --------------------------------------------------------------------------------- measures


@takes_name
def psnr(a: Any, b: Any, max_val: Any) -> Any:
    """``20 log10(max_val) - 10 log10(mean squared difference)`` of each pair of pictures."""
    error = ops.mean(ops.square(ops.subtract(a, b)), (-3, -2, -1))
    return 20 * ops.log10(ops.cast(max_val, "float32")) - 10 * ops.log10(error)


@composed
def sobel_edges(image: Any) -> Tensor:
    """How fast each channel changes downwards and to the right, along a new last axis."""
    x = ops.pad(tensor_of(image), ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")
    down = x[:, 2:] - x[:, :-2]
    right = x[:, :, 2:] - x[:, :, :-2]
    rows = down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]
    columns = right[:, :-2] + 2 * right[:, 1:-1] + right[:, 2:]
    return ops.stack([rows, columns], -1)


@takes_name
def ssim(
    img1: Any,
    img2: Any,
    max_val: Any,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
) -> Any:
    """The structural similarity of each pair of pictures; 1 for equal ones.

    Args:
        img1: Pictures.
        img2: Pictures.
        max_val: The difference of the largest and the least number that a pixel can be.
        filter_size: The size of the windows that are compared.
        filter_sigma: The width of the bell in them.
        k1: A small number.
        k2: A small number.
    """
    return ops.image.ssim(img1, img2, max_val, filter_size, filter_sigma, k1, k2)


@composed
def image_gradients(image: Any) -> tuple[Tensor, Tensor]:
    """Differences of neighbouring rows, and of neighbouring columns; zeros at the end."""
    x = tensor_of(image)
    rows = ops.pad(x[:, 1:] - x[:, :-1], ((0, 0), (0, 1), (0, 0), (0, 0)))
    columns = ops.pad(x[:, :, 1:] - x[:, :, :-1], ((0, 0), (0, 0), (0, 1), (0, 0)))
    return rows, columns


@composed
def total_variation(images: Any) -> Tensor:
    """The sum of the absolute differences of neighbouring pixels of each picture."""
    x = _picture(images)
    down = ops.absolute(x[..., 1:, :, :] - x[..., :-1, :, :])
    across = ops.absolute(x[..., :, 1:, :] - x[..., :, :-1, :])
    axes = (-3, -2, -1)
    return ops.sum(down, axes) + ops.sum(across, axes)


__all__ = public_names(globals())


def __getattr__(name: str) -> Any:
    raise missing_name("graphc.image", name, __all__)
