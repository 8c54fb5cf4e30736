"""How a discrete Fourier transform becomes products with small matrices.

Complex numbers are an axis of size 2. A transform of ``a * m`` elements is m transforms of a
elements, a multiplication by roots of unity, and a transforms of m elements (Cooley and Tukey, "An
algorithm for the machine calculation of complex Fourier series", 1965). Large primes are turned
into a convolution with a power of two of elements (Bluestein, "A linear filtering approach to the
computation of the discrete Fourier transform", 1970).
"""

from __future__ import annotations

import numpy as np

from graphc.ir import Value
from graphc.ops.linalg import Einsum
from graphc.ops.movement import Pad, Reverse, Transpose, narrow, reshape_to

#: Up to so many elements a transform is one product: larger ones cost more than two steps.
LARGEST_STEP = 32
#: Primes up to this are one product, too.
LARGEST_PRIME = 128


def transform(x: Value, inverse: bool = False) -> Value:
    """The transforms of the rows of ``x``, shape ``[rows, 2, n]``; n is known.

    Args:
        x: Real and imaginary parts.
        inverse: Whether the exponent has the other sign. Nothing is divided by n.
    """
    size = x.shape[-1]
    assert isinstance(size, int)
    factor = _factor(size)
    if factor is not None:
        return _two_steps(x, factor, inverse)
    if size > LARGEST_PRIME:
        return _by_convolution(x, inverse)
    return Einsum("bcn,cndk->bdk")(x, _matrix(x, size, inverse))


def _factor(size: int) -> int | None:
    """The number of elements of the first step; None to do it in one."""
    if size <= LARGEST_STEP:
        return None
    divisors = [d for d in range(2, LARGEST_STEP + 1) if size % d == 0]
    return min(divisors, key=lambda d: d + size // d, default=None)


def _two_steps(x: Value, first: int, inverse: bool) -> Value:
    rows, _, size = x.shape
    assert isinstance(size, int)
    second = size // first
    blocks = reshape_to(x, (rows, 2, first, second))
    y = Einsum("bcnm,cndk->bkdm")(blocks, _matrix(x, first, inverse))
    turns = np.outer(np.arange(first), np.arange(second))
    y = _times(y, roots(turns, size, inverse)[:, None, :])
    z = transform(reshape_to(y, (rows * first, 2, second)), inverse)
    # Element k of block j is element j + first * k of the result.
    z = Transpose((0, 2, 3, 1))(reshape_to(z, (rows, first, 2, second)))
    return reshape_to(z, (rows, 2, size))


def _by_convolution(x: Value, inverse: bool) -> Value:
    """With ``2 j k = j^2 + k^2 - (k - j)^2`` the sum is a convolution of ``x[j] chirp[j]``."""
    size = x.shape[-1]
    assert isinstance(size, int)
    padded = 1 << (2 * size - 2).bit_length()
    places = np.arange(size)
    chirp = roots(places * places, 2 * size, inverse)
    kernel = np.zeros(padded, complex)
    kernel[:size] = chirp.conj()
    kernel[padded - size + 1 :] = chirp[:0:-1].conj()
    spectrum = np.fft.fft(kernel) / padded
    y = Pad((0, 0, 0), (0, 0, padded - size))(_times(x, chirp))
    product = transform(_times(transform(y), spectrum), inverse=True)
    return _times(narrow(product, 2, 0, size), chirp)


def roots(turns: np.ndarray, size: int, inverse: bool = False) -> np.ndarray:
    """``exp(-2 pi i turns / size)``, or with the other sign; exact at quarters of a turn."""
    rest = turns % size  # whole turns are taken off before they could round
    angles = 2 * np.pi * rest / size
    exact = np.exp(1j * angles if inverse else -1j * angles)
    return np.where(4 * rest % size == 0, np.round(exact), exact)


def _matrix(x: Value, size: int, inverse: bool) -> Value:
    """The transform of ``size`` elements as a real matrix ``[2, size, 2, size]``."""
    places = np.arange(size)
    root = roots(np.outer(places, places), size, inverse)
    real, imaginary = root.real, root.imag
    matrix = np.stack([np.stack([real, imaginary], 1), np.stack([-imaginary, real], 1)])
    return x.graph.constant(matrix, x.dtype)


def _times(x: Value, factor: np.ndarray) -> Value:
    """Complex numbers, an axis of size 2 before the last, times constants of one number each.

    ``factor`` is broadcast against ``x``; its axis for the parts, if it has one, is of size 1.
    """
    factor = factor if factor.ndim > 1 else factor[None, :]
    signed = np.concatenate([-factor.imag, factor.imag], axis=-2)
    axis = x.rank - 2
    real, crossed = (x.graph.constant(part, x.dtype) for part in (factor.real, signed))
    return x * real + Reverse((axis,))(x) * crossed
