"""Digits: a small set of handwritten digits that comes with the package."""

from pathlib import Path

from graphc.keras.datasets.source import Splits, read_arrays

_FILE = Path(__file__).with_name("digits.npz")
_TRAIN_SIZE = 1437


def load_data() -> Splits:
    """Load the digits: 1,437 and 360 grey images of 8x8 pixels. No network is needed.

    They are the test set of "Optical Recognition of Handwritten Digits" from the UCI Machine
    Learning Repository, in its order; the last fifth is for testing.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: uint8 images of shape ``(n, 8, 8)`` with values
        from 0 to 16, and uint8 digits of shape ``(n,)``.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
        >>> x_train.shape, x_test.shape
        ((1437, 8, 8), (360, 8, 8))

    E. Alpaydin and C. Kaynak, 1998, https://doi.org/10.24432/C50P49; the licence is CC BY 4.0.
    """
    x, y = read_arrays(_FILE, "x", "y")
    return (x[:_TRAIN_SIZE], y[:_TRAIN_SIZE]), (x[_TRAIN_SIZE:], y[_TRAIN_SIZE:])
