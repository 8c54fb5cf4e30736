"""Fourier transforms: https://keras.io/api/ops/fft/. Complex tensors are pairs of real ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.eager import Tensor, apply, as_tensor
from graphc.errors import DTypeError, ShapeError
from graphc.ir import is_float
from graphc.ir.dims import Dim
from graphc.keras.ops.arguments import counted, float_tensor, reshaped
from graphc.keras.ops.elementwise import multiply, where
from graphc.keras.ops.movement import broadcast_to, get_item, pad, swapaxes
from graphc.keras.ops.recording import operation
from graphc.ops.fourier import FFT, IRFFT, RFFT
from graphc.ops.gather import Gather, ScatterAdd

__all__ = [
    "extract_sequences", "fft", "fft2", "ifft2", "irfft", "istft", "rfft", "stft",
]  # fmt: skip


def _pair(x: Any, function: str) -> tuple[Tensor, Tensor]:
    """Real and imaginary part.

    Raises:
        ValueError: It is no pair of floating-point tensors of one shape.
    """
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ValueError(
            f"{function}: input `x` should be a tuple of two tensors - real and imaginary. "
            f"Received: x={x}"
        )
    real, imaginary = (as_tensor(part) for part in x)
    if real.dims != imaginary.dims:
        raise ShapeError(
            f"{function}: both the real and imaginary parts should have the same shape. "
            f"Received: x[0].shape = {real.shape}, x[1].shape = {imaginary.shape}"
        )
    if not is_float(real.dtype) or not is_float(imaginary.dtype):
        raise ValueError(
            f"{function}: at least one tensor in input `x` is not of type float. "
            f"Received: dtypes {real.dtype} and {imaginary.dtype}"
        )
    dtype = "float64" if "float64" in (real.dtype, imaginary.dtype) else "float32"
    return real.astype(dtype), imaginary.astype(dtype)


@operation
def fft(x: Any) -> tuple[Tensor, Tensor]:
    """The Fourier transform along the last axis.

    Args:
        x: Real and imaginary part.

    Returns:
        Real and imaginary part, of the same shape.

    Raises:
        ValueError: It is no pair of floating-point tensors of one shape.

    Example:
        >>> keras.ops.fft((keras.ops.ones((2, 8)), keras.ops.zeros((2, 8))))
    """
    return apply(FFT(), *_pair(x, "fft"))


@operation
def fft2(x: Any) -> tuple[Tensor, Tensor]:
    """The Fourier transform along the last two axes; see `fft`."""
    return _both_axes(FFT(), *_pair(x, "fft2"))


@operation
def ifft2(x: Any) -> tuple[Tensor, Tensor]:
    """What undoes `fft2`."""
    return _both_axes(FFT(inverse=True), *_pair(x, "ifft2"))


def _both_axes(op: FFT, real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
    if real.ndim < 2:
        raise ShapeError(f"needs at least two axes. Received: shape={real.shape}")
    for _ in range(2):
        real, imaginary = (swapaxes(y, -1, -2) for y in apply(op, real, imaginary))
    return real, imaginary


@operation
def rfft(x: Any, fft_length: int | None = None) -> tuple[Tensor, Tensor]:
    """The first half of the Fourier transform of real numbers along the last axis.

    Args:
        x: A tensor of real numbers.
        fft_length: To how many elements the last axis is cut, or filled up with zeros; None for as
            many as there are.

    Returns:
        Real and imaginary part, ``fft_length // 2 + 1`` elements along the last axis.
    """
    tensor = _precise(x)
    return apply(RFFT(), tensor if fft_length is None else _fitted(tensor, fft_length))


@operation
def irfft(x: Any, fft_length: int | None = None) -> Tensor:
    """The real numbers of which `rfft` gives real and imaginary part ``x``.

    Args:
        x: Real and imaginary part of the first half.
        fft_length: How many numbers; None for an even number.
    """
    real, imaginary = _pair(x, "irfft")
    if fft_length is None:
        elements = real.shape[-1]
        if elements is None:
            raise ShapeError("irfft: needs `fft_length` where the size of the last axis is open")
        fft_length = 2 * (elements - 1)
    if fft_length < 1:
        raise ValueError(f"irfft: `fft_length` should be positive. Received: {fft_length}")
    half = fft_length // 2 + 1
    return apply(IRFFT(int(fft_length)), _fitted(real, half), _fitted(imaginary, half))


def _precise(x: Any) -> Tensor:
    """Real numbers as float32 or float64."""
    tensor = float_tensor(x)
    return tensor if tensor.dtype == "float64" else tensor.astype("float32")


def _fitted(x: Tensor, size: int) -> Tensor:
    """``x`` with its last axis cut to a size, or filled up with zeros."""
    known = x.dims[-1]
    if not isinstance(known, int):
        raise ShapeError(f"the size of the last axis has to be known. Received: {x.shape}")
    if known > size:
        return get_item(x, (..., slice(0, size)))
    return pad(x, [(0, 0)] * (x.ndim - 1) + [(0, size - known)]) if known < size else x


# ------------------------------------------------------------------------------ short sequences


@operation
def extract_sequences(x: Any, sequence_length: int, sequence_stride: int) -> Tensor:
    """Overlapping sequences of the last axis.

    Args:
        x: Tensor of shape ``(..., T)``.
        sequence_length: How many elements a sequence has.
        sequence_stride: How many elements the next one begins later.

    Returns:
        Tensor of shape ``(..., 1 + (T - sequence_length) // sequence_stride, sequence_length)``.

    Raises:
        ValueError: The stride is not positive.

    Example:
        >>> keras.ops.extract_sequences(keras.ops.arange(6), 3, 2)
    """
    _check_stride(sequence_stride)
    tensor = as_tensor(x)
    size = tensor.dims[-1]
    if isinstance(size, int) and size < sequence_length:
        raise ShapeError(
            f"extract_sequences: {size} elements are less than sequence_length={sequence_length}"
        )
    count = (size - sequence_length) // sequence_stride + 1
    block, places = _blocks(count, sequence_length, sequence_stride)
    used = (count - 1) * sequence_stride + sequence_length
    batch = tensor.dims[:-1]
    blocks = reshaped(get_item(tensor, (..., slice(0, used))), (*batch, used // block, block))
    sequences = apply(Gather(len(batch)), blocks, places)
    return reshaped(sequences, (*batch, count, sequence_length))


def _check_stride(sequence_stride: Any) -> None:
    if not isinstance(sequence_stride, int) or sequence_stride <= 0:
        raise ValueError(
            "`sequence_stride` must be a positive integer. "
            f"Received: sequence_stride={sequence_stride}"
        )


def _blocks(count: Dim, length: int, stride: int) -> tuple[int, Tensor]:
    """The largest blocks that sequences are made of, and the numbers of those of each sequence."""
    block = math.gcd(length, stride)
    first = reshaped(counted(count, "int32") * (stride // block), (count, 1))
    return block, first + np.arange(length // block, dtype=np.int32)


def _overlap_add(sequences: Tensor, stride: int) -> Tensor:
    """What undoes `extract_sequences`, but for adding where sequences overlap."""
    *batch, count, length = sequences.dims
    assert isinstance(length, int)
    block, places = _blocks(count, length, stride)
    total = (count - 1) * (stride // block) + length // block
    blocks = reshaped(sequences, (*batch, count, length // block, block))
    added = apply(ScatterAdd(len(batch), total), places, blocks)
    return reshaped(added, (*batch, total * block))


def _window(window: Any, sequence_length: int, fft_length: int, dtype: str) -> Tensor:
    """A window in the middle of ``fft_length`` elements, zeros around it."""
    if fft_length < sequence_length:
        raise ValueError(
            "`fft_length` must equal or larger than `sequence_length`. "
            f"Received: sequence_length={sequence_length}, fft_length={fft_length}"
        )
    before = (fft_length - sequence_length) // 2
    after = fft_length - sequence_length - before
    if window is None:
        return as_tensor(np.ones(fft_length), dtype)
    if isinstance(window, str):
        if window not in ("hann", "hamming"):
            raise ValueError(
                "If a string is passed to `window`, it must be one of "
                f'`"hann"`, `"hamming"`. Received: window={window}'
            )
        share = 0.5 if window == "hann" else 0.54
        turns = np.arange(sequence_length) / sequence_length
        values: Any = share - (1 - share) * np.cos(2 * np.pi * turns)
        window = np.ones(1) if sequence_length == 1 else values
    tensor = as_tensor(window, dtype)
    if tensor.dims != (sequence_length,):
        raise ShapeError(
            "The shape of `window` must be equal to [sequence_length]. "
            f"Received: window shape={tensor.shape}"
        )
    return pad(tensor, [(before, after)])


@operation
def stft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: Any = "hann",
    center: bool = True,
) -> tuple[Tensor, Tensor]:
    """The short-time Fourier transform: that of overlapping sequences of the last axis.

    Args:
        x: Tensor of float32 or float64, shape ``(..., T)``.
        sequence_length: How many elements a sequence has.
        sequence_stride: How many elements the next one begins later.
        fft_length: To how many elements sequences are filled up with zeros, around them.
        window: What sequences are multiplied by: ``"hann"``, ``"hamming"``, a tensor of
            ``sequence_length`` elements, or None.
        center: Whether ``x`` is mirrored at both ends, so that sequence t has its middle, rather
            than its first element, at ``t * sequence_stride``.

    Returns:
        Real and imaginary part, of shape ``(..., sequences, fft_length // 2 + 1)``.

    Raises:
        ValueError, DTypeError: An argument means nothing.

    Example:
        >>> real, imaginary = keras.ops.stft(sound, 400, 160, 512)
    """
    _check_stride(sequence_stride)
    tensor = as_tensor(x)
    if tensor.dtype not in ("float32", "float64"):
        raise DTypeError(
            "Invalid input type. Expected `float32` or `float64`. "
            f"Received: input type={tensor.dtype}"
        )
    weights = _window(window, sequence_length, fft_length, tensor.dtype)
    if center:
        half = fft_length // 2
        tensor = pad(tensor, [(0, 0)] * (tensor.ndim - 1) + [(half, half)], mode="reflect")
    sequences = extract_sequences(tensor, fft_length, sequence_stride)
    return apply(RFFT(), multiply(sequences, weights))


@operation
def istft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Tensor:
    """What undoes `stft`: the sequences, weighted by the window, added where they overlap.

    Where the windows leave nothing, the result is as small as they are. Without a window it is
    ``fft_length / sequence_stride`` times what was transformed, as in Keras.

    Args:
        x: Real and imaginary part, as `stft` gives them.
        sequence_length: As for `stft`.
        sequence_stride: As for `stft`.
        fft_length: As for `stft`.
        length: How many elements to give; None for all that are known.
        window: As for `stft`.
        center: As for `stft`.

    Returns:
        Tensor of shape ``(..., length)``.
    """
    _check_stride(sequence_stride)
    real, imaginary = _pair(x, "istft")
    if real.ndim < 2:
        raise ShapeError(f"Input `x` must have at least 2 dimensions. Received shape: {real.shape}")
    weights = _window(window, sequence_length, fft_length, real.dtype)
    half = fft_length // 2 + 1
    sequences = apply(IRFFT(fft_length), _fitted(real, half), _fitted(imaginary, half))
    total = _overlap_add(multiply(sequences, weights), sequence_stride)
    squares = broadcast_to(weights * weights, (sequences.dims[-2], fft_length))
    share = _overlap_add(squares, sequence_stride)
    total = total / where(share > 1e-10, share, 1.0)
    if window is None:
        total = total * (fft_length / sequence_stride)
    size = total.dims[-1]
    start = fft_length // 2 if center else 0
    stop = size - start if length is None else start + length
    if isinstance(size, int) and isinstance(stop, int):
        stop = min(stop, size)
    return get_item(total, (..., slice(start, stop)))
