"""Random numbers by rejection: each element tries until it succeeds, with fresh bits each time.

How often an element tries depends on its own bits alone, so the same seed gives the same numbers on
every backend, in any shape of program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.eager import Tensor, apply_function, as_tensor, cast
from graphc.errors import DTypeError
from graphc.ir import is_float
from graphc.ir.dims import Shape
from graphc.keras import ops
from graphc.keras.ops.arguments import resolved_dtype, shape_of
from graphc.keras.random.draws import seed_key
from graphc.ops import random as graph_ops

# The error of Stirling's formula for the logarithms of the factorials of 0 to 9.
_STIRLING = np.array([
    0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.0207906721037650,
    0.0166446911898211, 0.0138761288230707, 0.0118967099458917, 0.0104112652619720,
    0.00925546218271273, 0.00833056343336287,
])  # fmt: skip


def gamma(shape: Any, alpha: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    """Numbers from the gamma distribution with scale 1.

    Marsaglia & Tsang 2000, https://doi.org/10.1145/358407.358414. No gradient passes to ``alpha``.

    Args:
        shape: The shape.
        alpha: The shape parameter, above 0; broadcasts to ``shape``.
        dtype: A floating-point type; by default `floatx`.
        seed: An integer, a `SeedGenerator` or None.

    Example:
        >>> keras.random.gamma((2, 3), 0.5, seed=1)
    """
    kind, sizes = _kind(dtype, "gamma"), shape_of(shape, "gamma")
    wide = _wide(kind)
    return cast(ops.exp(_log_gamma(seed_key(seed), 0, sizes, _parameter(alpha, sizes, wide))), kind)


def beta(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    """Numbers from the beta distribution, between 0 and 1.

    Args:
        shape: The shape.
        alpha: The first parameter, above 0; broadcasts to ``shape``.
        beta: The second one.
        dtype: A floating-point type; by default `floatx`.
        seed: An integer, a `SeedGenerator` or None.
    """
    kind, sizes = _kind(dtype, "beta"), shape_of(shape, "beta")
    wide = _wide(kind)
    key = seed_key(seed)
    # As logarithms, since both numbers may be too small for their dtype.
    first = _log_gamma(key, 0, sizes, _parameter(alpha, sizes, wide))
    second = _log_gamma(key, 1, sizes, _parameter(beta, sizes, wide))
    return cast(ops.exp(first - ops.logaddexp(first, second)), kind)


def binomial(
    shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Numbers of successes in independent trials.

    By the waiting times between successes where there are few, by Hörmann's BTRS (1993,
    https://doi.org/10.1080/00949659308811496) where there are many.

    Args:
        shape: The shape.
        counts: How many trials; broadcasts to ``shape``.
        probabilities: The probability of a success in each.
        dtype: A floating-point type; by default `floatx`.
        seed: An integer, a `SeedGenerator` or None.

    Returns:
        Whole numbers from 0 to ``counts``; NaN where a count is negative or a probability none.
    """
    kind, sizes = _kind(dtype, "binomial"), shape_of(shape, "binomial")
    trials = ops.floor(_parameter(counts, sizes, "float64"))
    chance = _parameter(probabilities, sizes, "float64")
    sensible = ops.logical_and(trials >= 0.0, ops.logical_and(chance >= 0.0, chance <= 1.0))
    n = ops.where(sensible, trials, 0.0)
    given = ops.where(sensible, chance, 0.0)
    # Successes and failures change places where successes are the more likely ones.
    p = ops.minimum(given, 1.0 - given)
    many = n * p >= 10.0
    key = seed_key(seed)
    few = _by_waiting(key, sizes, ops.where(many, 0.0, n), p)
    usual = ops.where(many, n, 100.0), ops.where(many, p, 0.5)
    successes = ops.where(many, _by_rejection(key, sizes, *usual), few)
    successes = ops.where(given > 0.5, n - successes, successes)
    return cast(ops.where(sensible, successes, float("nan")), kind)


def _kind(dtype: Any, name: str) -> str:
    kind = resolved_dtype(dtype)
    if not is_float(kind):
        raise DTypeError(f"keras.random.{name} requires a floating point dtype. Received: {kind}")
    return kind


def _wide(kind: str) -> str:
    return "float64" if kind == "float64" else "float32"


def _parameter(given: Any, sizes: Shape, dtype: str) -> Tensor:
    return ops.broadcast_to(ops.stop_gradient(cast(as_tensor(given), dtype)), sizes)


def _attempt(
    draw: Callable[..., Any], key: Tensor, number: Tensor, stream: int, sizes: Shape, dtype: str
) -> Tensor:
    """Random numbers of one attempt; streams are independent of each other."""
    return apply_function(
        lambda k, i: draw(graph_ops.fold_in(k, i, stream), sizes, dtype), key, number
    )


def _until_all(attempt: Callable[[Tensor], tuple[Tensor, Tensor]], start: Tensor) -> Tensor:
    """The first success of each element.

    Args:
        attempt: Maps the number of an attempt to results and whether they count.
        start: What elements are before they succeed.
    """

    def again(number: Tensor, found: Tensor, done: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        results, success = attempt(number)
        taken = ops.logical_and(success, ops.logical_not(done))
        return number + 1, ops.where(taken, results, found), ops.logical_or(done, success)

    waiting = ops.zeros_like(start, "bool")
    _, found, _ = ops.while_loop(
        lambda _, found, done: ops.logical_not(ops.all(done)),
        again,
        (as_tensor(0, "int32"), start, waiting),
    )
    return found


def _log_gamma(key: Tensor, stream: int, sizes: Shape, alpha: Tensor) -> Tensor:
    """Logarithms of numbers from the gamma distribution."""
    kind = alpha.dtype
    valid = alpha > 0.0
    # Below 1 a larger parameter is taken, and the result made smaller by a power of a share.
    small = alpha < 1.0
    d = ops.where(valid, ops.where(small, alpha + 1.0, alpha), 1.0) - 1.0 / 3.0
    c = ops.rsqrt(9.0 * d)

    def attempt(number: Tensor) -> tuple[Tensor, Tensor]:
        x = _attempt(graph_ops.normal, key, number, 4 * stream, sizes, kind)
        share = _attempt(graph_ops.uniform, key, number, 4 * stream + 1, sizes, kind)
        root = 1.0 + c * x
        log_v = 3.0 * ops.log(ops.maximum(root, 1e-30))
        bound = 0.5 * x * x + d - d * ops.exp(log_v) + d * log_v
        success = ops.logical_and(root > 0.0, ops.log(1.0 - share) < bound)
        return ops.log(d) + log_v, success

    drawn = _until_all(attempt, ops.zeros_like(d))
    share = 1.0 - _attempt(
        graph_ops.uniform, key, as_tensor(0, "int32"), 4 * stream + 2, sizes, kind
    )
    lowered = drawn + ops.log(share) / ops.where(valid, alpha, 1.0)
    return ops.where(valid, ops.where(small, lowered, drawn), float("nan"))


def _by_waiting(key: Tensor, sizes: Shape, n: Tensor, p: Tensor) -> Tensor:
    """Successes counted one by one: the numbers of trials between them are geometric."""
    # Where p is 0 no success ever comes.
    rate = ops.log1p(-ops.where(p > 0.0, p, 0.5))

    def again(number: Tensor, place: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        share = 1.0 - _attempt(graph_ops.uniform, key, number, 8, sizes, "float64")
        gap = ops.where(p > 0.0, ops.maximum(ops.ceil(ops.log(share) / rate), 1.0), n + 1.0)
        running = place <= n
        place = ops.where(running, place + gap, place)
        return number + 1, place, count + cast(place <= n, "float64") * cast(running, "float64")

    zero = ops.zeros_like(n)
    _, _, count = ops.while_loop(
        lambda _, place, count: ops.any(place <= n), again, (as_tensor(0, "int32"), zero, zero)
    )
    return count


def _by_rejection(key: Tensor, sizes: Shape, n: Tensor, p: Tensor) -> Tensor:
    """Transformed rejection with squeeze; for at least ten successes on average."""
    q = 1.0 - p
    deviation = ops.sqrt(n * p * q)
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    centre = n * p + 0.5
    quick = 0.92 - 4.2 / b
    odds = p / q
    height = (2.83 + 5.1 / b) * deviation
    mode = ops.floor((n + 1.0) * p)

    def attempt(number: Tensor) -> tuple[Tensor, Tensor]:
        u = _attempt(graph_ops.uniform, key, number, 9, sizes, "float64") - 0.5
        v = 1.0 - _attempt(graph_ops.uniform, key, number, 10, sizes, "float64")
        distance = 0.5 - ops.abs(u)
        k = ops.floor((2.0 * a / ops.maximum(distance, 1e-12) + b) * u + centre)
        possible = ops.logical_and(k >= 0.0, k <= n)
        squeezed = ops.logical_and(distance >= 0.07, v <= quick)
        k = ops.clip(k, 0.0, n)
        bottom = ops.maximum(distance, 1e-12)
        level = ops.log(v * height / (a / (bottom * bottom) + b))
        bound = (
            (mode + 0.5) * ops.log((mode + 1.0) / (odds * (n - mode + 1.0)))
            + (n + 1.0) * ops.log((n - mode + 1.0) / (n - k + 1.0))
            + (k + 0.5) * ops.log(odds * (n - k + 1.0) / (k + 1.0))
            + _stirling(mode)
            + _stirling(n - mode)
            - _stirling(k)
            - _stirling(n - k)
        )
        success = ops.logical_or(squeezed, level <= bound)
        return k, ops.logical_and(possible, success)

    return _until_all(attempt, ops.zeros_like(n))


def _stirling(k: Tensor) -> Tensor:
    """What Stirling's formula for the logarithm of k! leaves out."""
    next_square = (k + 1.0) * (k + 1.0)
    far = (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / next_square) / next_square) / (k + 1.0)
    near = ops.take(_STIRLING, cast(ops.clip(k, 0.0, 9.0), "int32"))
    return ops.where(k < 10.0, near, far)
