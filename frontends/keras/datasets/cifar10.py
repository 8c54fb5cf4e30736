"""CIFAR-10: small colour images."""

from pathlib import Path

import numpy as np

from graphc.config import config
from graphc.errors import FileFormatError
from graphc.keras.datasets.restricted_pickle import read_pickle
from graphc.keras.datasets.source import Splits
from graphc.keras.utils.file_utils import get_file

_FOLDER = "cifar-10-batches-py-target"
_ORIGIN = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
_TRAIN_FILES = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST_FILES = ("test_batch",)
_IMAGE_SHAPE = (3, 32, 32)


def load_data() -> Splits:
    """Load the CIFAR-10 data set: 50,000 and 10,000 colour images of 10 kinds of things.

    The classes are 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse,
    8 ship, 9 truck.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: uint8 images of shape ``(n, 32, 32, 3)``, or
        ``(n, 3, 32, 32)`` where ``keras.backend.image_data_format()`` is ``"channels_first"``,
        with values from 0 to 255, and uint8 classes of shape ``(n, 1)``.

    Raises:
        ConnectionError: the file is not in the cache and could not be fetched.
        FileFormatError: a file is damaged.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
    """
    folder = Path(get_file(_FOLDER, origin=_ORIGIN, extract=True, file_hash=_SHA256))
    folder /= "cifar-10-batches-py"
    return _read_split(folder, _TRAIN_FILES), _read_split(folder, _TEST_FILES)


def _read_split(folder: Path, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    batches = [_read_batch(folder / name) for name in names]
    images = np.concatenate([images for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    if config.image_data_format == "channels_last":
        images = images.transpose(0, 2, 3, 1)
    return images, labels.reshape(-1, 1)


def _read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with open(path, "rb") as file:
        # Python 2 wrote the file, so that its text and its pixels are both bytes.
        batch = read_pickle(file, encoding="bytes")
    try:
        images = batch[b"data"].reshape(-1, *_IMAGE_SHAPE)
        labels = np.array(batch[b"labels"], dtype="uint8")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(f"{path} is no batch of CIFAR-10 images: {error!r}") from error
    return images, labels
