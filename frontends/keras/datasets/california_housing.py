"""California housing: prices of houses by district."""

import numpy as np

from graphc.keras.datasets.source import BASE_ADDRESS, Splits, read_arrays
from graphc.keras.utils.file_utils import get_file

_SHA256 = "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"
_SMALL_SIZE = 600


def load_data(
    version: str = "large",
    path: str = "california_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
) -> Splits:
    """Load the California housing data set: 8 numbers on a district, and its median house value.

    The numbers are median income, median house age, average rooms, average bedrooms, population,
    average household size, latitude and longitude, from the United States census of 1990.

    Args:
        version: ``"large"`` for all 20,640 districts, ``"small"`` for 600 of them.
        path: the file's name in the cache.
        test_split: which part of the districts is for testing.
        seed: seed of the shuffle that comes before the split.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: float arrays of shapes ``(n, 8)`` and ``(n,)``;
        values are in dollars.

    Raises:
        ValueError: an argument makes no sense.
        ConnectionError: the file is not in the cache and could not be fetched.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = keras.datasets.california_housing.load_data()
    """
    if not 0 <= test_split < 1:
        raise ValueError(
            f"Invalid `test_split` argument: {test_split}. "
            "It must be between 0 and 1 (exclusive of 1)."
        )
    if version not in ("small", "large"):
        raise ValueError(
            f"Argument `version` must be one of 'small', 'large'. Received: version={version}"
        )
    file = get_file(path, origin=BASE_ADDRESS + "california_housing.npz", file_hash=_SHA256)
    x, y = read_arrays(file, "x", "y")
    if version == "small":
        x, y = x[:_SMALL_SIZE], y[:_SMALL_SIZE]
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    cut = int(len(x) * (1 - test_split))
    train, test = order[:cut], order[cut:]
    return (x[train], y[train]), (x[test], y[test])
