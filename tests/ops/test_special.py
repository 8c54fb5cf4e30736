"""Functions that are made of others, against many digits."""

from __future__ import annotations

import numpy as np
import pytest

from graphc import reference
from graphc.eager import as_tensor
from graphc.keras import ops
from graphc.ops.special import Erfc, Erfinv

mpmath = pytest.importorskip("mpmath")
EPSILON = {"float32": 1.2e-7, "float64": 2.3e-16}


def largest_error(x, y, function):
    """In units of the type's precision, relative to the result."""
    with mpmath.workdps(40):
        exact = np.array([float(function(mpmath.mpf(float(number)))) for number in x])
    wrong = exact != y
    return np.max(np.abs(y[wrong] / exact[wrong] - 1), initial=0) / EPSILON[x.dtype.name]


@pytest.mark.parametrize("dtype, end", [("float32", 9), ("float64", 26)])
def test_erfc(dtype, end):
    x = np.concatenate([np.linspace(-6, end, 1501), [0, 1e-20]]).astype(dtype)
    (y,) = reference.evaluate_decomposition(Erfc(), x)
    assert largest_error(x, y, mpmath.erfc) < 5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_erfinv(dtype):
    epsilon = EPSILON[dtype]
    near = 1 - np.logspace(np.log10(epsilon) + 0.3, -1, 99)
    x = np.concatenate([np.linspace(-0.999, 0.999, 1501), near, -near, [1e-20, 0]]).astype(dtype)
    (y,) = reference.evaluate_decomposition(Erfinv(), x)
    assert largest_error(x, y, mpmath.erfinv) < 3


@pytest.mark.parametrize(
    "name, exact, low, high",
    [
        ("i0", lambda x: mpmath.besseli(0, x), -60, 60),
        ("sinc", lambda x: mpmath.sinc(mpmath.pi * x), -0.9, 0.9),
        ("cbrt", lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), -100, 100),
    ],
)
def test_functions_of_float64(name, exact, low, high):
    x = np.concatenate([np.linspace(low, high, 801), [1e-9, 0.031, -0.033]])
    y = getattr(ops, name)(as_tensor(x)).numpy()
    assert largest_error(x, y, exact) < 16
