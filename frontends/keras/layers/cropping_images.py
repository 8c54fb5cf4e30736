"""Layers that bring images to one size: Resizing, CenterCrop, RandomCrop."""

from __future__ import annotations

from typing import Any

from graphc.eager import Tensor
from graphc.errors import ShapeError
from graphc.keras import ops, random
from graphc.keras.layers.augmentation import ImageLayer
from graphc.keras.layers.builtin import one_of, positive
from graphc.keras.ops.arguments import counted
from graphc.keras.saving.registry import public


class _Sized(ImageLayer):
    """A layer that gives images of one size.

    Args:
        height: Rows of the result.
        width: Columns of the result.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any):
        super().__init__(data_format, **kwargs)
        self.height = positive(height, "height", self)
        self.width = positive(width, "width", self)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input shape."""
        sizes = list(input_shape)
        rows, columns = self.axes(len(sizes))
        sizes[rows], sizes[columns] = self.height, self.width
        return tuple(sizes)

    def known_sizes(self, images: Tensor) -> tuple[int, int]:
        """Rows and columns of the input.

        Raises:
            ShapeError: They are known only when a program runs.
        """
        rows, columns = (images.dims[axis] for axis in self.axes(images.ndim))
        if isinstance(rows, int) and isinstance(columns, int):
            return rows, columns
        raise ShapeError(
            f'{type(self).__name__} "{self.name}": the size of images has to be known, received '
            f"shape {images.shape}"
        )

    def resized(self, images: Tensor, **options: Any) -> Tensor:
        """Images of the size that the layer gives."""
        size = (self.height, self.width)
        return ops.image.resize(images, size, data_format=self.data_format, **options)

    def middle(self, images: Tensor) -> Tensor:
        """The middle of images; of smaller ones the middle with the right ratio, made larger."""
        rows, columns = self.known_sizes(images)
        if rows < self.height or columns < self.width:
            return self.resized(images, crop_to_aspect_ratio=True)
        return ops.image.crop_images(
            images,
            top_cropping=(rows - self.height) // 2,
            left_cropping=(columns - self.width) // 2,
            target_height=self.height,
            target_width=self.width,
            data_format=self.data_format,
        )


@public("keras.layers")
class Resizing(_Sized):
    """Images resampled to one size; see `keras.ops.image.resize`.

    Args:
        height: Rows of the result.
        width: Columns of the result.
        interpolation: ``"bilinear"``, ``"nearest"``, ``"bicubic"``, ``"lanczos3"`` or
            ``"lanczos5"``.
        crop_to_aspect_ratio: Whether the middle part with the right ratio is taken.
        pad_to_aspect_ratio: Whether images are padded to that ratio.
        fill_mode: Only ``"constant"``.
        fill_value: What they are padded with.
        antialias: Whether images that shrink are smoothed first.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.

    Example:
        >>> keras.layers.Resizing(224, 224)
    """

    arguments = ("height", "width", "interpolation", "crop_to_aspect_ratio", "pad_to_aspect_ratio",
                 "fill_mode", "fill_value", "antialias", "data_format")  # fmt: skip

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(height, width, data_format, **kwargs)
        names = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        self.interpolation = one_of(interpolation, names, "interpolation", self)
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self.pad_to_aspect_ratio = pad_to_aspect_ratio
        self.fill_mode = fill_mode
        self.fill_value = fill_value
        self.antialias = antialias

    def call(self, inputs: Any) -> Any:
        """The resampled images."""
        names = ("interpolation", "antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio",
                 "fill_mode", "fill_value")  # fmt: skip
        return self.resized(self.images(inputs), **{name: getattr(self, name) for name in names})


@public("keras.layers")
class CenterCrop(_Sized):
    """The middle of images; of smaller ones the middle with the right ratio, made larger.

    Args:
        height: Rows of the result.
        width: Columns of the result.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    arguments = ("height", "width", "data_format")

    def call(self, inputs: Any) -> Any:
        """The middle of the images."""
        return self.middle(self.images(inputs))


@public("keras.layers")
class RandomCrop(_Sized):
    """A part of images at a random place in training, the same place for the whole batch.

    Outside of training, and where images are too small, they are resized: the largest part in the
    middle that has the right ratio. (So Keras's documentation has it; its code gives images back
    as they are.)

    Args:
        height: Rows of the result.
        width: Columns of the result.
        seed: Where the random numbers start.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        **kwargs: For `Layer`.
    """

    arguments = ("height", "width", "seed", "data_format")

    def __init__(
        self,
        height: int,
        width: int,
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(height, width, data_format, **kwargs)
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def call(self, inputs: Any, training: Any = True) -> Any:
        """A part of the images."""
        images = self.images(inputs)
        sizes = self.known_sizes(images)
        if not training or sizes[0] < self.height or sizes[1] < self.width:
            return self.resized(images, crop_to_aspect_ratio=True)
        for axis, size, part in zip(
            self.axes(images.ndim), sizes, (self.height, self.width), strict=True
        ):
            start = random.randint((), 0, size - part + 1, seed=self.generator)
            images = ops.take(images, counted(part, "int32") + start, axis)
        return images
