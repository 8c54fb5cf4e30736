"""Layers that change images at random in training.

See https://keras.io/api/layers/preprocessing_layers/image_augmentation/.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from graphc.eager import Tensor, as_tensor, cast
from graphc.errors import ShapeError, UnsupportedError
from graphc.keras import ops, random
from graphc.keras.engine.input_spec import InputSpec
from graphc.keras.layers.builtin import BuiltinLayer, data_format_of, one_of
from graphc.keras.saving.registry import public


class ImageLayer(BuiltinLayer):
    """A layer over an image or a batch of images.

    Args:
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    unsupported: ClassVar[dict[str, Any]] = {"bounding_box_format": None}

    def __init__(self, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.data_format = data_format_of(data_format, self)
        self.input_spec = InputSpec()

    def images(self, inputs: Any) -> Tensor:
        """The input as images in the type that the layer computes in.

        Raises:
            UnsupportedError: A dictionary of images and labels.
            ShapeError: No images.
        """
        if isinstance(inputs, dict):
            raise UnsupportedError(
                f'{type(self).__name__} "{self.name}": takes images, not a dictionary of images '
                "and what belongs to them; call it on the images alone"
            )
        x = cast(as_tensor(inputs), self.compute_dtype)
        if x.ndim not in (3, 4):
            raise ShapeError(
                f'{type(self).__name__} "{self.name}": expected an image (3 axes) or a batch of '
                f"images (4 axes), received shape {x.shape}"
            )
        return x

    def axes(self, rank: int) -> tuple[int, int]:
        """The axes of rows and columns."""
        first = rank - (3 if self.data_format == "channels_last" else 2)
        return first, first + 1


class AugmentationLayer(ImageLayer):
    """A layer that changes images at random in training.

    Args:
        seed: Where the random numbers start; None for a seed drawn now.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    def __init__(self, seed: Any = None, data_format: str | None = None, **kwargs: Any):
        super().__init__(data_format, **kwargs)
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def call(self, inputs: Any, training: Any = True) -> Any:
        """The images, changed at random in training (which is taken for granted)."""
        images = self.images(inputs)
        return self.augment(images) if training else images

    def augment(self, images: Tensor) -> Tensor:
        """What becomes of the images in training."""
        raise NotImplementedError

    def draw(self, images: Tensor, low: float, high: float, rank: int = 1) -> Tensor:
        """A number for each image, as a tensor that broadcasts to so many axes."""
        count = images.dims[0] if images.ndim == 4 else 1
        drawn = random.uniform((count,), low, high, seed=self.generator)
        return ops.reshape(drawn, (count, *(1,) * (rank - 1)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape


def limits(
    factor: Any, layer: type, name: str = "factor", bounds: tuple[float, float] = (-1.0, 1.0)
) -> tuple[float, float]:
    """The least and the largest value of a random number, from one number or two.

    Raises:
        ValueError: Neither, or outside of the bounds.
    """
    pair = tuple(factor) if isinstance(factor, (tuple, list)) else None
    numbers = (factor,) if pair is None else pair
    sound = all(isinstance(x, (int, float)) and bounds[0] <= x <= bounds[1] for x in numbers)
    if not sound or len(numbers) != (1 if pair is None else 2):
        raise ValueError(
            f"{layer.__name__}: The `{name}` argument should be a number (or a list of two "
            f"numbers) in the range [{bounds[0]}, {bounds[1]}]. Received: {name}={factor}"
        )
    if pair is not None:
        return min(pair), max(pair)
    size = abs(numbers[0])
    return max(-size, bounds[0]), size


@public("keras.layers")
class RandomFlip(AugmentationLayer):
    """Images turned over, each with a probability of one half.

    Args:
        mode: ``"horizontal"`` (left to right), ``"vertical"`` or ``"horizontal_and_vertical"``.
        seed: Where the random numbers start.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.

    Example:
        >>> keras.layers.RandomFlip("horizontal")
    """

    arguments = ("seed", "mode", "data_format")

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed, data_format, **kwargs)
        modes = ("horizontal", "vertical", "horizontal_and_vertical")
        self.mode = one_of(mode, modes, "mode", self)

    def augment(self, images: Tensor) -> Tensor:
        """Some of the images turned over."""
        rows, columns = self.axes(images.ndim)
        for name, axis in (("horizontal", columns), ("vertical", rows)):
            if name in self.mode:
                chosen = self.draw(images, 0.0, 1.0, images.ndim) <= 0.5
                images = ops.where(chosen, ops.flip(images, axis), images)
        return images


class _Affine(AugmentationLayer):
    """Images moved as a whole.

    Args:
        fill_mode: What lies outside of an image; see `keras.ops.image.affine_transform`.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        fill_value: For ``fill_mode="constant"``.
        seed: Where the random numbers start.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    def __init__(
        self,
        fill_mode: str,
        interpolation: str,
        fill_value: float,
        seed: Any,
        data_format: str | None,
        **kwargs: Any,
    ):
        super().__init__(seed, data_format, **kwargs)
        modes = ("constant", "nearest", "wrap", "mirror", "reflect")
        self.fill_mode = one_of(fill_mode, modes, "fill_mode", self)
        self.interpolation = one_of(interpolation, ("nearest", "bilinear"), "interpolation", self)
        self.fill_value = fill_value

    def augment(self, images: Tensor) -> Tensor:
        """The images, each read at the places that its transform says."""
        sizes = [images.dims[axis] for axis in self.axes(images.ndim)]
        if not all(isinstance(size, int) for size in sizes):
            raise ShapeError(
                f'{type(self).__name__} "{self.name}": the size of images has to be known, '
                f"received shape {images.shape}"
            )
        numbers = self.transform(images, *sizes)  # type: ignore[arg-type]
        zeros = ops.zeros_like(numbers[0])
        parts = [part if isinstance(part, Tensor) else zeros + part for part in numbers]
        transform = ops.stack([*parts, zeros, zeros], -1)
        return ops.image.affine_transform(
            images,
            transform if images.ndim == 4 else transform[0],
            self.interpolation,
            self.fill_mode,
            self.fill_value,
            self.data_format,
        )

    def transform(self, images: Tensor, height: int, width: int) -> list[Any]:
        """The first six numbers of the transform of each image, each a vector or one number."""
        raise NotImplementedError


@public("keras.layers")
class RandomRotation(_Affine):
    """Images turned about their centres.

    Args:
        factor: How far at most, in full turns, or the least and the largest angle.
        fill_mode: What lies outside of an image; see `keras.ops.image.affine_transform`.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        seed: Where the random numbers start.
        fill_value: For ``fill_mode="constant"``.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.

    Example:
        >>> keras.layers.RandomRotation(0.1)
    """

    arguments = ("factor", "data_format", "fill_mode", "fill_value", "interpolation", "seed")

    def __init__(
        self,
        factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: Any = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(fill_mode, interpolation, fill_value, seed, data_format, **kwargs)
        self.factor = limits(factor, type(self))

    def transform(self, images: Tensor, height: int, width: int) -> list[Any]:
        """A rotation about the centre."""
        turn = 2 * math.pi
        angle = self.draw(images, self.factor[0] * turn, self.factor[1] * turn)
        cosine, sine = ops.cos(angle), ops.sin(angle)
        x, y = (width - 1) / 2, (height - 1) / 2
        return [
            cosine, -sine, x - x * cosine + y * sine,
            sine, cosine, y - x * sine - y * cosine,
        ]  # fmt: skip


@public("keras.layers")
class RandomTranslation(_Affine):
    """Images moved up or down and to the sides.

    Args:
        height_factor: How far down at most, as a share of the height, or the least and the largest.
        width_factor: How far to the right, as a share of the width.
        fill_mode: What lies outside of an image; see `keras.ops.image.affine_transform`.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        seed: Where the random numbers start.
        fill_value: For ``fill_mode="constant"``.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    arguments = ("height_factor", "width_factor", "fill_mode", "interpolation", "seed",
                 "fill_value", "data_format")  # fmt: skip

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: Any = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(fill_mode, interpolation, fill_value, seed, data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height = limits(height_factor, type(self), "height_factor")
        self._width = limits(width_factor, type(self), "width_factor")

    def transform(self, images: Tensor, height: int, width: int) -> list[Any]:
        """A translation."""
        down = self.draw(images, *self._height) * height
        right = self.draw(images, *self._width) * width
        return [down * 0.0 + 1.0, 0.0, -right, 0.0, 1.0, -down]


@public("keras.layers")
class RandomZoom(_Affine):
    """Images made larger and smaller about their centres.

    Args:
        height_factor: How much at most: -0.2 to 0.2 for 0.2; above 0 more of an image is seen.
        width_factor: The same for the width; None for that of the height.
        fill_mode: What lies outside of an image; see `keras.ops.image.affine_transform`.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        seed: Where the random numbers start.
        fill_value: For ``fill_mode="constant"``.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.

    Example:
        >>> keras.layers.RandomZoom(0.2)
    """

    arguments = ("height_factor", "width_factor", "fill_mode", "interpolation", "seed",
                 "fill_value", "data_format")  # fmt: skip

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: Any = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(fill_mode, interpolation, fill_value, seed, data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height = limits(height_factor, type(self), "height_factor")
        self._width = None
        if width_factor is not None:
            self._width = limits(width_factor, type(self), "width_factor")

    def transform(self, images: Tensor, height: int, width: int) -> list[Any]:
        """A scaling about the centre."""
        low, high = self._height
        vertical = self.draw(images, 1.0 + low, 1.0 + high)
        horizontal = vertical
        if self._width is not None:
            horizontal = self.draw(images, 1.0 + self._width[0], 1.0 + self._width[1])
        x, y = (width - 1) / 2, (height - 1) / 2
        return [horizontal, 0.0, x * (1.0 - horizontal), 0.0, vertical, y * (1.0 - vertical)]


@public("keras.layers")
class RandomBrightness(AugmentationLayer):
    """A random number added to each image.

    Args:
        factor: How much at most, as a share of the range of values, or the least and the largest.
        value_range: The least and the largest value that an element can have.
        seed: Where the random numbers start.
        **kwargs: For `Layer`.
    """

    arguments = ("factor", "value_range", "seed")

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: Any = None, **kwargs: Any):
        super().__init__(seed, **kwargs)
        self.factor = limits(factor, type(self))
        self.value_range = list(value_range_of(value_range, type(self)))

    def augment(self, images: Tensor) -> Tensor:
        """The images, brighter or darker."""
        low, high = self.value_range
        delta = self.draw(images, *self.factor, images.ndim) * float(high - low)
        return ops.clip(images + cast(delta[0] if images.ndim == 3 else delta, images.dtype),
                        low, high)  # fmt: skip


@public("keras.layers")
class RandomContrast(AugmentationLayer):
    """Each channel of each image drawn towards its mean, or away from it.

    Args:
        factor: ``[lower, upper]``, in rising order: the distance from the mean is multiplied by a
            number from ``1 - lower`` to ``1 + upper``; one number f is ``[0, f]``, as in Keras.
        value_range: The least and the largest value that an element can have.
        seed: Where the random numbers start.
        **kwargs: For `Layer`.
    """

    arguments = ("factor", "value_range", "seed")

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: Any = None, **kwargs: Any):
        super().__init__(seed, **kwargs)
        self.factor = limits(factor, type(self), bounds=(0.0, 1.0))
        self.value_range = value_range_of(value_range, type(self))

    def augment(self, images: Tensor) -> Tensor:
        """The images with more or less contrast."""
        factor = self.draw(images, 1.0 - self.factor[0], 1.0 + self.factor[1], images.ndim)
        mean = ops.mean(images, axis=self.axes(images.ndim), keepdims=True)
        share = cast(factor[0] if images.ndim == 3 else factor, images.dtype)
        return ops.clip((images - mean) * share + mean, *self.value_range)


def value_range_of(value_range: Any, layer: type) -> Any:
    """The least and the largest value that an element can have.

    Raises:
        ValueError: Not two numbers in rising order.
    """
    if (
        not isinstance(value_range, (tuple, list))
        or len(value_range) != 2
        or not value_range[0] < value_range[1]
    ):
        raise ValueError(
            f"{layer.__name__}: The `value_range` argument should be a list of two numbers, the "
            f"smaller one first. Received: value_range={value_range}"
        )
    return value_range
