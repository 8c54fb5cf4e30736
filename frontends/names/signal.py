"""``graphc.signal``: Fourier transforms and windows under TensorFlow's names.

See https://www.tensorflow.org/api_docs/python/tf/signal. Tensors are complex here;
`keras.ops` has the same transforms over pairs of real and imaginary parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from graphc.eager import Tensor, as_tensor
from graphc.keras import ops
from graphc.keras.ops.arguments import float_tensor
from graphc.keras.ops.recording import operation
from graphc.names.adapt import missing_name, public_names, takes_name
from graphc.names.dtypes import name_of
from graphc.names.math import complex
from graphc.names.shape import known_sizes


def _pair(x: Any) -> tuple[Any, Any]:
    tensor = as_tensor(x)
    if tensor.dtype.startswith("complex"):
        return ops.real(tensor), ops.imag(tensor)
    tensor = float_tensor(tensor)
    return tensor, ops.zeros_like(tensor)


def _complex(pair: Any) -> Any:
    return complex(*pair)


@takes_name
@operation
def fft(input: Any) -> Tensor:
    """The discrete Fourier transform over the last axis."""
    return _complex(ops.fft(_pair(input)))


@takes_name
@operation
def ifft(input: Any) -> Tensor:
    """The inverse of `fft`: with the opposite sign, divided by the size."""
    real, imaginary = _pair(input)
    (size,) = known_sizes(input, "ifft", -1)
    back, turned = ops.fft((real, ops.negative(imaginary)))
    return complex(back / size, ops.negative(turned) / size)


@takes_name
@operation
def fft2d(input: Any) -> Tensor:
    """`fft` over the last two axes."""
    return _complex(ops.fft2(_pair(input)))


@takes_name
@operation
def ifft2d(input: Any) -> Tensor:
    """The inverse of `fft2d`."""
    return _complex(ops.ifft2(_pair(input)))


@takes_name
@operation
def rfft(input_tensor: Any, fft_length: Any = None) -> Tensor:
    """`fft` of real numbers: the first half of the result, which says everything."""
    return _complex(ops.rfft(input_tensor, _length(fft_length)))


@takes_name
@operation
def irfft(input_tensor: Any, fft_length: Any = None) -> Tensor:
    """The inverse of `rfft`: real numbers."""
    return ops.irfft(_pair(input_tensor), _length(fft_length))


def _length(value: Any) -> int | None:
    if value is None or isinstance(value, int):
        return value
    (length,) = value
    return int(length)


@takes_name
def fftshift(x: Any, axes: Any = None) -> Any:
    """The halves of axes exchanged, so that frequency 0 is in the middle."""
    return _shifted(x, axes, 1)


@takes_name
def ifftshift(x: Any, axes: Any = None) -> Any:
    """The inverse of `fftshift`."""
    return _shifted(x, axes, -1)


def _shifted(x: Any, axes: Any, sign: int) -> Any:
    shape = known_sizes(x, "fftshift")
    chosen = range(len(shape)) if axes is None else (axes,) if isinstance(axes, int) else axes
    for axis in chosen:
        x = ops.roll(x, sign * (shape[axis] // 2), axis)
    return x


# ------------------------------------------------------------------------------- windows


def _cosine_window(length: Any, periodic: bool, a: float, b: float, dtype: Any) -> Tensor:
    """``a - b cos(2 pi n / N)``, with N one less for a window that is symmetric."""
    count = int(length)
    if count == 1:
        return ops.ones((1,), name_of(dtype))
    period = count if periodic else count - 1
    angle = ops.cast(ops.arange(count), "float64") * (2 * math.pi / period)
    return ops.cast(a - b * ops.cos(angle), name_of(dtype))


@takes_name
def hann_window(window_length: Any, periodic: bool = True, dtype: Any = "float32") -> Tensor:
    """``0.5 - 0.5 cos(2 pi n / N)``."""
    return _cosine_window(window_length, periodic, 0.5, 0.5, dtype)


@takes_name
def hamming_window(window_length: Any, periodic: bool = True, dtype: Any = "float32") -> Tensor:
    """``0.54 - 0.46 cos(2 pi n / N)``."""
    return _cosine_window(window_length, periodic, 0.54, 0.46, dtype)


# -------------------------------------------------------------------------------- frames


@takes_name
@operation
def frame(
    signal: Any,
    frame_length: int,
    frame_step: int,
    pad_end: bool = False,
    pad_value: float = 0,
    axis: int = -1,
) -> Tensor:
    """Overlapping pieces of an axis, along two axes in its place.

    Args:
        signal: A tensor.
        frame_length: The size of a piece.
        frame_step: The distance from one to the next.
        pad_end: Whether pieces that reach over the end are filled up; otherwise they are left out.
        pad_value: With what.
        axis: The axis.
    """
    x = ops.moveaxis(signal, axis, -1)
    (size,) = known_sizes(x, "frame", -1)
    count = -(-size // frame_step) if pad_end else max(0, 1 + (size - frame_length) // frame_step)
    missing = (count - 1) * frame_step + frame_length - size if count else 0
    if missing > 0:
        widths = [(0, 0)] * (ops.ndim(x) - 1) + [(0, missing)]
        x = ops.pad(x, widths, "constant", pad_value)
    starts = ops.expand_dims(ops.arange(count) * frame_step, 1)
    pieces = ops.take(x, starts + ops.arange(frame_length), -1)
    rank = ops.ndim(x)
    place = axis % rank
    return ops.moveaxis(pieces, (-2, -1), (place, place + 1))


@takes_name
@operation
def overlap_and_add(signal: Any, frame_step: int) -> Tensor:
    """The inverse of `frame`: pieces added up where they overlap.

    Args:
        signal: ``(..., frames, frame length)``.
        frame_step: The distance from one piece to the next.
    """
    x = as_tensor(signal)
    count, length = known_sizes(x, "overlap_and_add", -2)
    size = (count - 1) * frame_step + length if count else 0
    places = ops.expand_dims(ops.arange(count) * frame_step, 1) + ops.arange(length)
    front = ops.transpose(ops.reshape(x, (-1, count * length)), (1, 0))
    total = ops.scatter(ops.reshape(places, (-1, 1)), front, (size, front.shape[-1]))
    return ops.reshape(ops.transpose(total, (1, 0)), (*x.dims[:-2], size))


@takes_name
@operation
def stft(
    signals: Any,
    frame_length: int,
    frame_step: int,
    fft_length: int | None = None,
    window_fn: Callable[..., Any] | None = hann_window,
    pad_end: bool = False,
) -> Tensor:
    """`rfft` of the windowed pieces of signals.

    Args:
        signals: ``(..., samples)``.
        frame_length: The size of a piece.
        frame_step: The distance from one to the next.
        fft_length: The size of the transform; the power of two from ``frame_length`` up by default.
        window_fn: Makes a window from a size; None for no window.
        pad_end: Whether pieces that reach over the end are filled up.

    Returns:
        ``(..., pieces, fft_length / 2 + 1)``, complex.
    """
    pieces = frame(float_tensor(signals), frame_length, frame_step, pad_end)
    if window_fn is not None:
        pieces = pieces * window_fn(frame_length, dtype=pieces.dtype)
    size = fft_length or 2 ** math.ceil(math.log2(frame_length))
    missing = size - frame_length
    if missing > 0:
        pieces = ops.pad(pieces, [(0, 0)] * (pieces.ndim - 1) + [(0, missing)])
    return rfft(pieces, [size])


__all__ = public_names(globals())


def __getattr__(name: str) -> Any:
    raise missing_name("graphc.signal", name, __all__)
