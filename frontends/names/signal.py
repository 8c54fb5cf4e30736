"""``graphc.signal``: Fourier transforms and windows under TensorFlow's names.

See https://www.tensorflow.org/api_docs/python/tf/signal. Tensors are complex here;
`keras.ops` has the same transforms over pairs of real and imaginary parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.eager import Tensor, as_tensor
from graphc.errors import ShapeError
from graphc.keras import ops
from graphc.keras.ops.arguments import float_tensor
from graphc.keras.ops.recording import operation
from graphc.names.adapt import missing_name, public_names, takes_name
from graphc.names.cosine import *  # noqa: F403
from graphc.names.frames import *  # noqa: F403
from graphc.names.frames import fitted, frame, overlap_and_add
from graphc.names.math import complex
from graphc.names.shape import known_sizes
from graphc.names.windows import *  # noqa: F403
from graphc.names.windows import hann_window


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
@operation
def fft3d(input: Any) -> Tensor:
    """`fft` over the last three axes."""
    return _along(ops.fft2(_pair(input)), -3, fft)


@takes_name
@operation
def ifft3d(input: Any) -> Tensor:
    """The inverse of `fft3d`."""
    return _along(ops.ifft2(_pair(input)), -3, ifft)


@takes_name
@operation
def rfft2d(input_tensor: Any, fft_length: Any = None) -> Tensor:
    """`fft2d` of real numbers: the first half of the last axis.

    Args:
        input_tensor: ``(..., rows, columns)``.
        fft_length: The sizes of the transform, two; by default those of the axes. These are cut
            off or filled up with zeros.
    """
    return _real_transform(input_tensor, fft_length, 2)


@takes_name
@operation
def rfft3d(input_tensor: Any, fft_length: Any = None) -> Tensor:
    """`fft3d` of real numbers: the first half of the last axis (see `rfft2d`)."""
    return _real_transform(input_tensor, fft_length, 3)


@takes_name
@operation
def irfft2d(input_tensor: Any, fft_length: Any = None) -> Tensor:
    """The inverse of `rfft2d`: real numbers.

    Args:
        input_tensor: ``(..., rows, columns / 2 + 1)``.
        fft_length: The sizes of the result, two; by default those of the axes, the last one taken
            for half of an even number.
    """
    return _real_inverse(input_tensor, fft_length, 2)


@takes_name
@operation
def irfft3d(input_tensor: Any, fft_length: Any = None) -> Tensor:
    """The inverse of `rfft3d`: real numbers (see `irfft2d`)."""
    return _real_inverse(input_tensor, fft_length, 3)


def _along(pair: Any, axis: int, transform: Callable[..., Any]) -> Any:
    """A transform of the last axis along another one."""
    x = complex(*pair) if isinstance(pair, tuple) else pair
    return ops.moveaxis(transform(ops.moveaxis(x, axis, -1)), -1, axis)


def _real_transform(x: Any, lengths: Any, count: int) -> Any:
    tensor = float_tensor(x)
    sizes = _lengths(lengths, count) or known_sizes(tensor, "rfft", -count)
    result = rfft(fitted(tensor, sizes), [sizes[-1]])
    for axis in range(-count, -1):
        result = _along(result, axis, fft)
    return result


def _real_inverse(x: Any, lengths: Any, count: int) -> Any:
    tensor = as_tensor(x)
    sizes = _lengths(lengths, count)
    if sizes is None:
        *outer, last = known_sizes(tensor, "irfft", -count)
        sizes = (*outer, 2 * (last - 1))
    tensor = fitted(tensor, (*sizes[:-1], sizes[-1] // 2 + 1))
    for axis in range(-count, -1):
        tensor = _along(tensor, axis, ifft)
    return irfft(tensor, [sizes[-1]])


def _lengths(value: Any, count: int) -> tuple[int, ...] | None:
    if value is None:
        return None
    sizes = tuple(int(size) for size in value)
    if len(sizes) != count:
        raise ShapeError(f"fft_length needs {count} sizes. Received: {value}")
    return sizes


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
    size = fft_length or _enclosing_power(frame_length)
    return rfft(fitted(pieces, (max(size, frame_length),)), [size])


def _enclosing_power(length: int) -> int:
    """The smallest power of two that is not below a number."""
    return 1 << (length - 1).bit_length()


@takes_name
@operation
def inverse_stft(
    stfts: Any,
    frame_length: int,
    frame_step: int,
    fft_length: int | None = None,
    window_fn: Callable[..., Any] | None = hann_window,
) -> Tensor:
    """Signals from pieces of their spectrum.

    The pieces overlap, so it undoes `stft` only with the window that `inverse_stft_window_fn` makes
    (Griffin and Lim, 1984), and only where as many pieces overlap as in the middle.

    Args:
        stfts: ``(..., pieces, fft_length / 2 + 1)``, complex.
        frame_length: The size of a piece.
        frame_step: The distance from one to the next.
        fft_length: The size of the transform; the power of two from ``frame_length`` up by default.
        window_fn: Makes a window from a size; None for no window.

    Returns:
        ``(..., samples)``, real.

    Example:
        >>> window = graphc.signal.inverse_stft_window_fn(8)
        >>> back = graphc.signal.inverse_stft(graphc.signal.stft(x, 16, 8), 16, 8, window_fn=window)
    """
    pieces = fitted(irfft(stfts, [fft_length or _enclosing_power(frame_length)]), (frame_length,))
    if window_fn is not None:
        pieces = pieces * window_fn(frame_length, dtype=pieces.dtype)
    return overlap_and_add(pieces, frame_step)


@takes_name
def inverse_stft_window_fn(
    frame_step: int, forward_window_fn: Callable[..., Any] = hann_window
) -> Callable[..., Tensor]:
    """A function that makes the window with which `inverse_stft` undoes `stft`.

    Args:
        frame_step: The distance from one piece to the next.
        forward_window_fn: What made the window of `stft`.

    Returns:
        A function of a size and a dtype: the window divided by the sum of the squares of all that
        overlap there.
    """

    def window(frame_length: int, dtype: Any) -> Tensor:
        forward = forward_window_fn(frame_length, dtype=dtype)
        overlaps = -(-frame_length // frame_step)
        squares = fitted(ops.square(forward), (overlaps * frame_step,))
        total = ops.sum(ops.reshape(squares, (overlaps, frame_step)), 0)
        return forward / fitted(ops.tile(total, (overlaps,)), (frame_length,))

    return window


__all__ = public_names(globals())


def __getattr__(name: str) -> Any:
    raise missing_name("graphc.signal", name, __all__)
