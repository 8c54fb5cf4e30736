"""Windows that weigh the samples of a signal: https://keras.io/api/ops/numpy/."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.config import config
from graphc.eager import Tensor, as_tensor
from graphc.errors import ShapeError

__all__ = ["bartlett", "blackman", "hamming", "hanning", "kaiser"]


def _window(function: Callable[..., np.ndarray], x: Any, *arguments: float) -> Tensor:
    """A window of a length that is a number."""
    tensor = as_tensor(x)
    if tensor.ndim:
        raise ShapeError(
            f"{function.__name__}: needs the number of samples. Received: shape={tensor.shape}"
        )
    return Tensor(function(operator.index(tensor), *arguments)).astype(config.floatx)


def bartlett(x: Any) -> Tensor:
    """A triangle of ``x`` samples that begins and ends with 0."""
    return _window(np.bartlett, x)


def blackman(x: Any) -> Tensor:
    """Blackman's window of ``x`` samples: three terms of a cosine series."""
    return _window(np.blackman, x)


def hamming(x: Any) -> Tensor:
    """Hamming's window of ``x`` samples: a raised cosine on a pedestal."""
    return _window(np.hamming, x)


def hanning(x: Any) -> Tensor:
    """The Hann window of ``x`` samples: a raised cosine."""
    return _window(np.hanning, x)


def kaiser(x: Any, beta: Any) -> Tensor:
    """Kaiser's window of ``x`` samples; a larger ``beta`` is narrower."""
    return _window(np.kaiser, x, float(beta))
