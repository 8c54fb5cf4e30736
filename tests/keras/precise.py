"""Comparing arrays in double precision."""

import numpy as np


def close(received, expected, rtol):
    """Equal shapes and kinds of dtypes, and values that agree as far as the largest allows."""
    assert len(received) == len(expected)
    for mine, theirs in zip(received, expected, strict=True):
        assert mine.shape == theirs.shape
        assert mine.dtype.kind == theirs.dtype.kind
        largest = np.abs(theirs[np.isfinite(theirs)]).max(initial=0)
        if theirs.dtype in ("float32", "complex64"):  # as some of Keras's functions always give
            rtol = max(rtol, 1e-6)
        np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=rtol * largest)
