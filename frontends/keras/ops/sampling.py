"""Images read at places between their elements: https://keras.io/api/ops/image/."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from graphc.eager import Tensor, apply, as_tensor, cast
from graphc.errors import ShapeError
from graphc.ir import is_float
from graphc.keras.ops.arguments import counted, float_tensor, reshaped
from graphc.keras.ops.control import vectorized_map
from graphc.keras.ops.elementwise import (
    abs,
    clip,
    floor,
    floor_divide,
    logical_and,
    mod,
    sign,
    where,
)
from graphc.keras.ops.filters import gaussian_blur
from graphc.keras.ops.images import checked_images, known_sizes, layout_of, one_of
from graphc.keras.ops.linalg import solve
from graphc.keras.ops.movement import (
    broadcast_to,
    concatenate,
    expand_dims,
    moveaxis,
    squeeze,
    stack,
)
from graphc.keras.ops.patches import known_size
from graphc.keras.ops.recording import operation
from graphc.ops.gather import Gather

__all__ = ["affine_transform", "elastic_transform", "map_coordinates", "perspective_transform"]

_ORDERS = {"nearest": 0, "bilinear": 1}
_FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


def _inside(places: Tensor, size: int, mode: str) -> Tensor:
    """Positions along an axis moved into it as the mode says; ``"constant"`` leaves them."""
    match mode:
        case "nearest":
            return clip(places, 0, size - 1)
        case "wrap":
            return mod(places, size)
        case "mirror":
            return _mirrored(places, size)
        case "reflect":
            return floor_divide(_mirrored(places * 2 + 1, 2 * size + 1) - 1, 2)
    return places


def _mirrored(places: Tensor, size: int) -> Tensor:
    """Back and forth without repeating the ends; an axis of one element has only that."""
    last = size - 1
    return abs(mod(places + last, 2 * last) - last) if last else places * 0


def _neighbours(places: Tensor, order: int) -> list[tuple[Tensor, Tensor | None]]:
    """Whole positions around each place, and how much each counts (None: all)."""
    if order == 0:
        # Halves away from zero.
        return [(cast(sign(places) * floor(abs(places) + 0.5), "int32"), None)]
    lower = floor(places)
    upper_weight = places - lower
    first = cast(lower, "int32")
    return [(first, 1.0 - upper_weight), (first + 1, upper_weight)]


def sample(
    x: Tensor, places: Sequence[Tensor], order: int, mode: str = "constant", fill_value: Any = 0.0
) -> Tensor:
    """``x`` read at places along its first axes, further axes as a whole.

    Args:
        x: A tensor whose first axes have known sizes.
        places: For each of these axes the positions, all of one shape.
        order: 0 for the nearest element, 1 for a mean of the neighbours.
        mode: What lies outside of ``x``, as for `map_coordinates`.
        fill_value: What that is for ``"constant"``.

    Returns:
        The shape of the positions, then the further axes of ``x``.
    """
    count = len(places)
    sizes = [known_size(x, axis) for axis in range(count)]
    rest = x.dims[count:]
    rows = reshaped(x, (math.prod(sizes), *rest))
    column = (1,) * len(rest)
    found = [
        [
            (_inside(position, size, mode), weight, position, size)
            for position, weight in _neighbours(place, order)
        ]
        for place, size in zip(places, sizes, strict=True)
    ]
    total: Any = None
    for corner in itertools.product(*found):
        position: Any = 0
        weight: Any = None
        valid: Any = None
        for place, share, raw, size in corner:
            position = position * size + clip(place, 0, max(size - 1, 0))
            if share is not None:
                weight = share if weight is None else weight * share
            if mode == "constant":
                within = logical_and(raw >= 0, raw < size)
                valid = within if valid is None else logical_and(valid, within)
        value = apply(Gather(0), rows, position)
        shape = (*position.dims, *column)
        if valid is not None:
            value = where(reshaped(valid, shape), value, cast(as_tensor(fill_value), x.dtype))
        if weight is not None:
            value = value * reshaped(weight, shape)
        total = value if total is None else total + value
    if is_float(total.dtype) and not is_float(x.dtype):
        total = sign(total) * floor(abs(total) + 0.5)
    return cast(total, x.dtype)


@operation
def map_coordinates(
    inputs: Any, coordinates: Any, order: int, fill_mode: str = "constant", fill_value: Any = 0.0
) -> Tensor:
    """A tensor read at coordinates.

    Args:
        inputs: A tensor of known sizes.
        coordinates: For each of its axes the positions along it: ``(rank, ...)``.
        order: 0 for the nearest element, 1 for linear interpolation.
        fill_mode: What lies outside: ``"constant"`` (``fill_value``), ``"nearest"`` (the edge),
            ``"wrap"`` (the tensor again), ``"mirror"`` (mirrored at the centre of the edge element)
            or ``"reflect"`` (mirrored at the edge).
        fill_value: For ``"constant"``.

    Returns:
        The shape of ``coordinates`` without its first axis.

    Raises:
        ValueError: The coordinates do not fit, or an argument is none of the choices.
    """
    x = as_tensor(inputs)
    if isinstance(coordinates, (list, tuple)):
        coordinates = stack([as_tensor(line) for line in coordinates])
    places = float_tensor(coordinates)
    if places.ndim < 2:
        raise ValueError(
            "Invalid coordinates rank: expected at least rank 2."
            f" Received input with shape: {places.shape}"
        )
    if places.dims[0] != x.ndim:
        raise ValueError(
            "First dim of `coordinates` must be the same as the rank of `inputs`. "
            f"Received inputs with shape: {x.shape} and coordinate leading dim of "
            f"{places.shape[0]}"
        )
    one_of(fill_mode, _FILL_MODES, "fill_mode")
    one_of(order, (0, 1), "order")
    return sample(x, [places[axis] for axis in range(x.ndim)], order, fill_mode, fill_value)


def _each_image(
    images: Any, data_format: str | None, function: str, read: Callable[..., Tensor], *others: Any
) -> Tensor:
    """A function of each image, channels last, and of what belongs to it.

    Args:
        images: An image or a batch of images.
        data_format: Their layout.
        function: Named in errors.
        read: Takes an image and an entry of each of the others.
        *others: Tensors with an entry for each image, or one for all.
    """
    last = layout_of(data_format, function)
    x = checked_images(images)
    single = x.ndim == 3
    x = expand_dims(x, 0) if single else x
    x = x if last else moveaxis(x, 1, -1)
    batch = x.dims[0]
    repeated = [
        broadcast_to(other, (batch, *other.dims[1:])) if other.dims[0] == 1 else other
        for other in others
    ]
    y = vectorized_map(lambda parts: read(*parts), (x, *repeated))
    y = y if last else moveaxis(y, -1, 1)
    return squeeze(y, 0) if single else y


def _grid(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """The positions of all elements of an image: rows as a column, columns as a line."""
    return reshaped(counted(rows, "float32"), (rows, 1)), counted(columns, "float32")


@operation
def affine_transform(
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Images moved, turned, scaled and sheared.

    Args:
        images: An image or a batch of images, of known rows and columns.
        transform: ``[a0, a1, a2, b0, b1, b2, c0, c1]``, for all images or for each: the element at
            ``(x, y)`` of the result is read at ``(a0 x + a1 y + a2, b0 x + b1 y + b2)``; ``c0`` and
            ``c1`` do not count, as in Keras.
        interpolation: ``"nearest"`` or ``"bilinear"``.
        fill_mode: As for `map_coordinates`.
        fill_value: For ``"constant"``.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Raises:
        ValueError: An argument is none of the choices, or the transform has another shape.
    """
    one_of(interpolation, _ORDERS, "interpolation")
    one_of(fill_mode, _FILL_MODES, "fill_mode")
    numbers = float_tensor(transform)
    if numbers.ndim not in (1, 2):
        raise ValueError(
            "Invalid transform rank: expected rank 1 (single transform) or rank 2 (batch of "
            f"transforms). Received input with shape: transform.shape={numbers.shape}"
        )
    if numbers.dims[-1] != 8:
        raise ShapeError(
            f"affine_transform: a transform has 8 numbers. Received: shape={numbers.shape}"
        )

    def read(image: Tensor, t: Tensor) -> Tensor:
        y, x = _grid(*known_sizes(image, last=True))
        places = (t[3] * x + t[4] * y + t[5], t[0] * x + t[1] * y + t[2])
        return sample(image, places, _ORDERS[interpolation], fill_mode, fill_value)

    batched = expand_dims(numbers, 0) if numbers.ndim == 1 else numbers
    return _each_image(images, data_format, "affine_transform", read, batched)


@operation
def perspective_transform(
    images: Any,
    start_points: Any,
    end_points: Any,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Images seen from another side: four points go to where four others are.

    Args:
        images: An image or a batch of images, of known rows and columns.
        start_points: Four points ``(x, y)`` of the image, ``(4, 2)``, or as many for each image.
        end_points: Where they lie in the result.
        interpolation: ``"nearest"`` or ``"bilinear"``.
        fill_value: What lies outside of the image.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Raises:
        ValueError: The points have another shape, or the interpolation is none of the choices.
    """
    one_of(interpolation, _ORDERS, "interpolation")
    start, end = (cast(as_tensor(points), "float32") for points in (start_points, end_points))
    for name, points in (("start_points", start), ("end_points", end)):
        if points.dims[-2:] != (4, 2) or points.ndim not in (2, 3):
            raise ValueError(
                f"Invalid {name} shape: expected (4,2) for a single image or (N,4,2) for a batch. "
                f"Received shape: {points.shape}"
            )
    if start.ndim != end.ndim:
        raise ValueError(
            "start_points and end_points must have the same shape. "
            f"Received start_points.shape={start.shape}, end_points.shape={end.shape}"
        )
    if start.ndim == 2:
        start, end = expand_dims(start, 0), expand_dims(end, 0)

    def read(image: Tensor, h: Tensor) -> Tensor:
        y, x = _grid(*known_sizes(image, last=True))
        below = h[6] * x + h[7] * y + 1.0
        places = ((h[3] * x + h[4] * y + h[5]) / below, (h[0] * x + h[1] * y + h[2]) / below)
        return sample(image, places, _ORDERS[interpolation], "constant", fill_value)

    homographies = _homographies(start, end)
    return _each_image(images, data_format, "perspective_transform", read, homographies)


def _homographies(start: Tensor, end: Tensor) -> Tensor:
    """The eight numbers of the projective maps from ``end`` to ``start``, ``(batch, 8)``."""
    x, y = end[..., 0], end[..., 1]
    to_x, to_y = start[..., 0], start[..., 1]
    zero, one = x * 0.0, x * 0.0 + 1.0
    rows = [
        stack([x, y, one, zero, zero, zero, -to_x * x, -to_x * y], -1),
        stack([zero, zero, zero, x, y, one, -to_y * x, -to_y * y], -1),
    ]
    target = expand_dims(concatenate([to_x, to_y], -1), -1)
    return squeeze(solve(concatenate(rows, 1), target), -1)


@operation
def elastic_transform(
    images: Any,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> Tensor:
    """Images distorted as if they were printed on rubber.

    Simard et al. 2003, "Best practices for convolutional neural networks": each place is moved by
    smooth noise, rows and columns independently (Keras on JAX moves both by the same noise).

    Args:
        images: An image or a batch of images, of known rows and columns.
        alpha: How far places are moved.
        sigma: How smooth the noise is, and how strong.
        interpolation: ``"nearest"`` or ``"bilinear"``.
        fill_mode: As for `map_coordinates`.
        fill_value: For ``"constant"``.
        seed: An integer, a `keras.random.SeedGenerator` or None.
        data_format: ``"channels_last"`` or ``"channels_first"``.
    """
    # Random numbers are drawn by operations, so that they cannot be loaded before these.
    from graphc.keras.random.draws import normal

    one_of(interpolation, _ORDERS, "interpolation")
    one_of(fill_mode, _FILL_MODES, "fill_mode")
    last = layout_of(data_format, "elastic_transform")
    x = checked_images(images)
    rows, columns = known_sizes(x, last)
    batch = x.dims[0] if x.ndim == 4 else 1
    noise = normal((batch, rows, columns, 2), stddev=sigma, dtype="float32", seed=seed)
    window = int(6 * sigma) | 1
    smooth = gaussian_blur(noise, (window, window), (sigma, sigma), "channels_last")

    def read(image: Tensor, moves: Tensor) -> Tensor:
        y, x = _grid(rows, columns)
        places = (y + alpha * moves[..., 0], x + alpha * moves[..., 1])
        return sample(image, places, _ORDERS[interpolation], fill_mode, fill_value)

    return _each_image(x, data_format, "elastic_transform", read, smooth)
