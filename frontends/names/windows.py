"""Windows that weigh the samples of a piece of a signal: a part of ``graphc.signal``.

See https://www.tensorflow.org/api_docs/python/tf/signal.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.eager import Tensor
from graphc.keras import ops
from graphc.names.adapt import public_names, takes_name
from graphc.names.dtypes import name_of


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


@takes_name
def vorbis_window(window_length: Any, dtype: Any = "float32") -> Tensor:
    """``sin(pi/2 sin(pi (n + 1/2) / N)^2)``: the squares of two that overlap by half add to 1.

    Args:
        window_length: N.
        dtype: Of the result.
    """
    count = int(window_length)
    sine = np.sin(math.pi * (np.arange(count) + 0.5) / count)
    return _made(np.sin(math.pi / 2 * sine * sine), dtype)


@takes_name
def kaiser_window(window_length: Any, beta: float = 12.0, dtype: Any = "float32") -> Tensor:
    """Kaiser's window, made of a Bessel function.

    Args:
        window_length: The number of samples.
        beta: A larger one is narrower.
        dtype: Of the result.
    """
    return _made(np.kaiser(int(window_length), float(beta)), dtype)


@takes_name
def kaiser_bessel_derived_window(
    window_length: Any, beta: float = 12.0, dtype: Any = "float32"
) -> Tensor:
    """Square roots of sums of Kaiser's window: the squares of two that overlap by half add to 1.

    Args:
        window_length: The number of samples, even.
        beta: A larger one is narrower.
        dtype: Of the result.
    """
    sums = np.cumsum(np.kaiser(int(window_length) // 2 + 1, float(beta)))
    half = np.sqrt(sums[:-1] / sums[-1])
    return _made(np.concatenate([half, half[::-1]]), dtype)


def _made(samples: np.ndarray, dtype: Any) -> Tensor:
    return ops.convert_to_tensor(samples, name_of(dtype))


__all__ = public_names(globals())
