"""The gamma function's relatives, against many digits."""

from __future__ import annotations

import numpy as np
import pytest

from graphc import reference
from graphc.errors import ShapeError
from graphc.ops.gamma import Digamma, Lgamma, Polygamma
from tests.ops.test_special import EPSILON

mpmath = pytest.importorskip("mpmath")


def log_gamma(x):
    return mpmath.log(abs(mpmath.gamma(x)))


FUNCTIONS = {
    "lgamma": (Lgamma(), log_gamma),
    "digamma": (Digamma(), mpmath.digamma),
    "trigamma": (Polygamma(1), lambda x: mpmath.polygamma(1, x)),
    "third derivative": (Polygamma(2), lambda x: mpmath.polygamma(2, x)),
    "seventh derivative": (Polygamma(6), lambda x: mpmath.polygamma(6, x)),
}
#: Where each is far from its zeros: there errors are counted in units of the last place.
PLACES = np.concatenate(
    [
        np.logspace(-7, -0.7, 99),
        np.linspace(0.2, 0.9, 99),
        np.linspace(2.2, 9, 999),
        np.linspace(9, 60, 199),
        np.logspace(2, 7, 99),
    ]
)


def errors(function, x):
    """How far results are from the exact ones, and these."""
    op, exact = FUNCTIONS[function]
    (y,) = reference.evaluate_decomposition(op, x)
    with mpmath.workdps(40):
        wanted = np.array([float(exact(mpmath.mpf(float(number)))) for number in x])
    return np.abs(y - wanted), wanted


@pytest.mark.parametrize("dtype", EPSILON)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_positive_numbers(function, dtype):
    x = PLACES.astype(dtype)
    if function == "seventh derivative":
        x = x[(x > 0.05) & (x < 1e3)]  # beyond, float32 has no such numbers
    error, wanted = errors(function, x)
    limit = 8 if function == "seventh derivative" else 4
    assert np.max(error / np.abs(wanted)) < limit * EPSILON[dtype]


@pytest.mark.parametrize("dtype", EPSILON)
@pytest.mark.parametrize("function", ["lgamma", "digamma", "trigamma"])
def test_negative_numbers(function, dtype):
    x = np.linspace(-20.3, -0.003, 1009).astype(dtype)
    x = x[np.abs(x - np.round(x)) > 1e-3]
    error, wanted = errors(function, x)
    assert np.max(error / np.maximum(np.abs(wanted), 4)) < 6 * EPSILON[dtype]


@pytest.mark.parametrize("dtype", EPSILON)
def test_the_zeros_of_lgamma_are_exact_ones(dtype):
    (y,) = reference.evaluate_decomposition(Lgamma(), np.array([1, 2], dtype))
    np.testing.assert_array_equal(y, [0, 0])
    near = np.concatenate([centre + np.logspace(-6, -1, 60) for centre in (1, 2)]).astype(dtype)
    error, wanted = errors("lgamma", near)
    assert np.max(error / np.abs(wanted)) < 4 * EPSILON[dtype]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize(
    "function, expected",
    [
        ("lgamma", [np.inf, np.inf, np.inf, np.inf, np.inf, np.inf, np.nan]),
        ("digamma", [np.nan, np.nan, np.nan, np.nan, np.inf, np.nan, np.nan]),
        ("trigamma", [np.inf, np.inf, np.inf, np.inf, 0, np.nan, np.nan]),
        ("third derivative", [np.nan, np.nan, np.nan, np.nan, 0, np.nan, np.nan]),
    ],
)
def test_poles_and_ends(function, expected, dtype):
    x = np.array([0.0, -0.0, -1, -7, np.inf, -np.inf, np.nan]).astype(
        "float32" if dtype == "bfloat16" else dtype
    )
    if dtype == "bfloat16":
        x = x.astype(pytest.importorskip("ml_dtypes").bfloat16)
    (y,) = reference.evaluate_decomposition(FUNCTIONS[function][0], x)
    np.testing.assert_array_equal(y.astype("float64"), expected)


def test_the_order_of_a_derivative_begins_with_one():
    with pytest.raises(ShapeError, match="begins with 1; received 0"):
        Polygamma(0)
