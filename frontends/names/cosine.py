"""Transforms to cosines, and what speech recognition makes of them: a part of ``graphc.signal``.

See https://www.tensorflow.org/api_docs/python/tf/signal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.eager import Tensor
from graphc.errors import ShapeError
from graphc.ir import numpy_dtype
from graphc.keras import ops
from graphc.keras.ops.arguments import float_tensor
from graphc.keras.ops.recording import operation
from graphc.names.adapt import public_names, takes_name
from graphc.names.dtypes import name_of
from graphc.names.frames import fitted, frame, overlap_and_add
from graphc.names.shape import known_sizes
from graphc.names.windows import vorbis_window

#: Which of the four transforms undoes which.
_INVERSE = {1: 1, 2: 3, 3: 2, 4: 4}


@takes_name
@operation
def dct(
    input: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None
) -> Tensor:
    """The discrete cosine transform over the last axis, by way of the Fourier transform.

    Args:
        input: Real numbers.
        type: 1, 2, 3 or 4: where the cosines are even.
        n: To how many numbers the axis is cut off or filled up with zeros.
        axis: -1, as in TensorFlow.
        norm: None, or ``"ortho"`` for a matrix that is orthogonal (not for the first type).

    Raises:
        ValueError: Another type, axis or norm.
        ShapeError: Fewer than two numbers for the first type.
    """
    _check("dct", type, axis, norm)
    x = float_tensor(input)
    if n is not None:
        x = fitted(x, (int(n),))
    (size,) = known_sizes(x, "dct", -1)
    if type == 1:
        return _first(x, size)
    if type == 4:
        scale = math.sqrt(0.5 / size) if norm else 1.0
        return _second(x, 2 * size)[..., 1::2] * scale
    if type == 2:
        y = _second(x, size)
        return y * _ortho(x.dtype, size, math.sqrt(0.5)) if norm else y
    return _third(x * _ortho(x.dtype, size, math.sqrt(2.0)) if norm else x, size)


@takes_name
@operation
def idct(
    input: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None
) -> Tensor:
    """The inverse of `dct` of the same type, but for a factor without a norm, as in TensorFlow.

    Args:
        input: Real numbers.
        type: 1, 2, 3 or 4.
        n: None: TensorFlow has this argument for later.
        axis: -1.
        norm: None or ``"ortho"``. Without, ``idct(dct(x)) * 0.5 / n`` is ``x``, where n is the
            number of samples (less one for the first type).

    Raises:
        ValueError: Something else.
    """
    _check("idct", type, axis, norm)
    if n is not None:
        raise ValueError(f"idct: `n` should be None, as in TensorFlow. Received: {n}")
    return dct(input, _INVERSE[type], norm=norm)


def _check(name: str, type: int, axis: int, norm: str | None) -> None:
    if type not in _INVERSE or axis != -1 or norm not in (None, "ortho"):
        raise ValueError(
            f"{name}: `type` is one of 1, 2, 3, 4, `axis` -1, and `norm` None or 'ortho'. "
            f"Received: type={type}, axis={axis}, norm={norm!r}"
        )
    if type == 1 and norm:
        raise ValueError(f"{name}: the first type has no orthogonal form, so `norm` has to be None")


def _first(x: Tensor, size: int) -> Tensor:
    if size < 2:
        raise ShapeError(f"dct: the first type needs two numbers or more. Received: {x.shape}")
    return ops.rfft(ops.concatenate([x, x[..., -2:0:-1]], -1))[0]


def _turns(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the first ``count`` angles of half a step."""
    angles = np.arange(count) * (math.pi * 0.5 / count)
    dtype = numpy_dtype(x.dtype)
    return Tensor(np.cos(angles).astype(dtype)), Tensor(np.sin(angles).astype(dtype))


def _second(x: Tensor, count: int) -> Tensor:
    """``2 sum(x[k] cos(pi (2 k + 1) j / (2 count)))`` for the first ``count`` numbers j."""
    real, imaginary = ops.rfft(fitted(x, (2 * count,)), 2 * count)
    cosine, sine = _turns(x, count)
    return 2.0 * (real[..., :count] * cosine + imaginary[..., :count] * sine)


def _third(x: Tensor, size: int) -> Tensor:
    """``x[0] + 2 sum(x[k] cos(pi k (2 j + 1) / (2 size)))`` over k from 1 on."""
    cosine, sine = (part * (2.0 * size) for part in _turns(x, size))
    pair = fitted(x * cosine, (size + 1,)), fitted(x * sine, (size + 1,))
    return ops.irfft(pair, 2 * size)[..., :size]


def _ortho(dtype: str, size: int, first: float) -> Tensor:
    """What makes a transform's matrix orthogonal: ``first`` is how the constant part differs."""
    weights = np.full(size, math.sqrt(0.5 / size))
    weights[:1] *= first
    return Tensor(weights.astype(numpy_dtype(dtype)))


# ------------------------------------------------------------------------- overlapping pieces


@takes_name
@operation
def mdct(
    signals: Any,
    frame_length: int,
    window_fn: Callable[..., Any] | None = vorbis_window,
    pad_end: bool = False,
    norm: str | None = None,
) -> Tensor:
    """The modified discrete cosine transform of pieces that overlap by half.

    Princen, Johnson and Bradley 1987: what one piece folds over, the next one takes away.

    Args:
        signals: ``(..., samples)``.
        frame_length: The size of a piece, a multiple of 4.
        window_fn: Makes a window from a size; None for none.
        pad_end: Whether pieces that reach over the end are filled up.
        norm: None or ``"ortho"``.

    Returns:
        ``(..., pieces, frame_length / 2)``.

    Raises:
        ShapeError: ``frame_length`` is no multiple of 4.
    """
    if frame_length % 4:
        raise ShapeError(f"mdct: frame_length is a multiple of 4. Received: {frame_length}")
    pieces = frame(float_tensor(signals), frame_length, frame_length // 2, pad_end)
    pieces = pieces * _weights(window_fn, frame_length, pieces.dtype)
    a, b, c, d = ops.split(pieces, 4, -1)
    folded = ops.concatenate([-ops.flip(c, -1) - d, a - ops.flip(b, -1)], -1)
    return dct(folded, 4, norm=norm)


@takes_name
@operation
def inverse_mdct(
    mdcts: Any,
    window_fn: Callable[..., Any] | None = vorbis_window,
    norm: str | None = None,
) -> Tensor:
    """Signals from what `mdct` makes, but for the first and the last half of a piece.

    Args:
        mdcts: ``(..., pieces, n)``.
        window_fn: Makes a window from a size, 2 n here; None for none.
        norm: What `mdct` was given.

    Returns:
        ``(..., samples)``.
    """
    x = float_tensor(mdcts)
    (half,) = known_sizes(x, "inverse_mdct", -1)
    samples = dct(x, 4, norm=norm) if norm else dct(x, 4) * (0.5 / half)
    first, second = ops.split(samples, 2, -1)
    pieces = ops.concatenate([second, -ops.flip(second, -1), -ops.flip(first, -1), -first], -1)
    return overlap_and_add(pieces * _weights(window_fn, 2 * half, pieces.dtype), half)


def _weights(window_fn: Callable[..., Any] | None, length: int, dtype: str) -> Any:
    """A window; without one what makes the squares of two pieces add to 1."""
    return math.sqrt(0.5) if window_fn is None else window_fn(length, dtype=dtype)


# --------------------------------------------------------------------------------- mel frequencies


@takes_name
def linear_to_mel_weight_matrix(
    num_mel_bins: int = 20,
    num_spectrogram_bins: int = 129,
    sample_rate: float = 8000,
    lower_edge_hertz: float = 125.0,
    upper_edge_hertz: float = 3800.0,
    dtype: Any = "float32",
) -> Tensor:
    """A matrix that turns a spectrum into one of bands as wide as the ear has them.

    Args:
        num_mel_bins: The number of bands.
        num_spectrogram_bins: The size of the spectrum, that of half a transform and one.
        sample_rate: Samples per second.
        lower_edge_hertz: Where the lowest band begins.
        upper_edge_hertz: Where the highest one ends.
        dtype: Of the result.

    Returns:
        ``(num_spectrogram_bins, num_mel_bins)``: triangles, each up to the middle of the next.

    Raises:
        ValueError: The edges are not in order, or beyond half of the sample rate.
    """
    if not 0 <= lower_edge_hertz < upper_edge_hertz <= sample_rate / 2:
        raise ValueError(
            "linear_to_mel_weight_matrix: 0 <= lower_edge_hertz < upper_edge_hertz <= sample_rate/2"
            f" has to hold. Received: {lower_edge_hertz}, {upper_edge_hertz}, {sample_rate}"
        )
    bins = _mel(np.linspace(0.0, sample_rate / 2, num_spectrogram_bins))[:, None]
    edges = np.linspace(_mel(lower_edge_hertz), _mel(upper_edge_hertz), num_mel_bins + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    slopes = np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre))
    slopes[0] = 0.0  # the constant part of a signal belongs to no band
    return ops.convert_to_tensor(np.maximum(slopes, 0.0), name_of(dtype))


def _mel(hertz: Any) -> Any:
    return 1127.0 * np.log1p(np.asarray(hertz, "float64") / 700.0)


@takes_name
@operation
def mfccs_from_log_mel_spectrograms(log_mel_spectrograms: Any) -> Tensor:
    """Mel-frequency cepstral coefficients: the cosine transform of the bands' logarithms.

    Args:
        log_mel_spectrograms: ``(..., bands)``.
    """
    x = float_tensor(log_mel_spectrograms)
    (bands,) = known_sizes(x, "mfccs_from_log_mel_spectrograms", -1)
    return dct(x) * math.sqrt(0.5 / bands)


__all__ = public_names(globals())
