"""MNIST: handwritten digits."""

from graphc.keras.datasets.source import BASE_ADDRESS, Splits, read_arrays
from graphc.keras.utils.file_utils import get_file

_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"


def load_data(path: str = "mnist.npz") -> Splits:
    """Load the MNIST data set: 60,000 and 10,000 grey images of handwritten digits.

    Args:
        path: the file's name in the cache.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: uint8 images of shape ``(n, 28, 28)`` with
        values from 0 to 255, and uint8 digits of shape ``(n,)``.

    Raises:
        ConnectionError: the file is not in the cache and could not be fetched.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()

    The copyright is held by Yann LeCun and Corinna Cortes; the licence is CC BY-SA 3.0.
    """
    file = get_file(path, origin=BASE_ADDRESS + "mnist.npz", file_hash=_SHA256)
    x_train, y_train, x_test, y_test = read_arrays(file, "x_train", "y_train", "x_test", "y_test")
    return (x_train, y_train), (x_test, y_test)
