"""Fashion-MNIST: pieces of clothing."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from graphc.errors import FileFormatError
from graphc.keras.datasets.source import BASE_ADDRESS, Splits
from graphc.keras.utils.file_utils import get_file

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package ``dataset-fashion-mnist`` has the files."""

_NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_CACHE_FOLDER = "datasets/fashion-mnist"
_IDX_OF_BYTES = 0x0800  # the first four bytes of an IDX file of bytes, but for its rank


def load_data() -> Splits:
    """Load the Fashion-MNIST data set: 60,000 and 10,000 grey images of clothing.

    The classes are 0 T-shirt/top, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt,
    7 sneaker, 8 bag, 9 ankle boot. Where Debian's package ``dataset-fashion-mnist`` is installed,
    its files are used and nothing is fetched.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: uint8 images of shape ``(n, 28, 28)`` with
        values from 0 to 255, and uint8 classes of shape ``(n,)``.

    Raises:
        ConnectionError: a file is not in the cache and could not be fetched.
        FileFormatError: a file is damaged.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = keras.datasets.fashion_mnist.load_data()

    The copyright is held by Zalando SE; the licence is MIT.
    """
    x_train, y_train, x_test, y_test = (_read_idx(path) for path in _paths())
    return (x_train, y_train), (x_test, y_test)


def _paths() -> list[Path]:
    installed = [DEBIAN_FOLDER / name for name in _NAMES]
    if all(path.is_file() for path in installed):
        return installed
    return [
        Path(get_file(name, origin=BASE_ADDRESS + name, cache_subdir=_CACHE_FOLDER))
        for name in _NAMES
    ]


def _read_idx(path: Path) -> np.ndarray:
    """Read a compressed IDX file of bytes: a magic number, a size for each axis, the elements."""
    try:
        with gzip.open(path) as file:
            contents = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise FileFormatError(
            f"{path} is damaged: {error}. Delete it to fetch it again."
        ) from error
    magic = int.from_bytes(contents[:4], "big")
    rank = magic - _IDX_OF_BYTES
    start = 4 + 4 * rank
    if rank not in (1, 3) or len(contents) < start:
        raise FileFormatError(f"{path} is not an IDX file of bytes (magic number {magic:#010x}).")
    shape = tuple(int(n) for n in np.frombuffer(contents, ">u4", rank, offset=4))
    elements = np.frombuffer(contents, np.uint8, offset=start)
    if elements.size != np.prod(shape):
        raise FileFormatError(f"{path} has {elements.size} elements for the shape {shape}.")
    return elements.reshape(shape).copy()
