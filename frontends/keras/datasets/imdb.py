"""IMDB: film reviews, as numbers of words."""

import json

import numpy as np

from graphc.keras.datasets.restricted_pickle import read_npz
from graphc.keras.datasets.source import BASE_ADDRESS, Splits, array_of_lists
from graphc.keras.utils.file_utils import get_file

_REVIEWS_SHA256 = "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"
_WORDS_MD5 = "bfafd718b763782e994055a2d397834f"

Review = list[int]


def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> Splits:
    """Load the IMDB data set: 25,000 and 25,000 film reviews, positive or negative.

    A review is a list of numbers of words, where 1 (before ``index_from`` is added) is the most
    frequent word; 0 is free for padding.

    Args:
        path: the file's name in the cache.
        num_words: keep words with numbers below this one; others become ``oov_char``. ``None``
            keeps all but the very last.
        skip_top: the same for words with numbers below this one.
        maxlen: keep only reviews shorter than this; ``None`` keeps all.
        seed: seed of the shuffle.
        start_char: what each review begins with; ``None`` for nothing.
        oov_char: what stands for a word that is not kept; ``None`` leaves such words out.
        index_from: added to the number of each word.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: arrays of lists of numbers, and of 0 (negative)
        and 1 (positive).

    Raises:
        ValueError: ``maxlen`` leaves no review.
        ConnectionError: the file is not in the cache and could not be fetched.

    Example:
        >>> (x_train, y_train), _ = keras.datasets.imdb.load_data(num_words=10000)
    """
    file = get_file(path, origin=BASE_ADDRESS + "imdb.npz", file_hash=_REVIEWS_SHA256)
    x_train, y_train, x_test, y_test = read_npz(file, "x_train", "y_train", "x_test", "y_test")
    random = np.random.RandomState(seed)
    splits = []
    for reviews, labels in ((x_train, y_train), (x_test, y_test)):
        order = np.arange(len(reviews))
        random.shuffle(order)
        numbered = [_numbered(reviews[i], start_char, index_from) for i in order]
        splits.append(_short(numbered, labels[order], maxlen))
    if not all(reviews for reviews, _ in splits):
        raise ValueError(
            f"After filtering for sequences shorter than maxlen={maxlen}, no sequence was kept. "
            "Increase maxlen."
        )
    if not num_words:
        num_words = max(max(review) for reviews, _ in splits for review in reviews)
    train, test = (
        (array_of_lists([_kept(r, skip_top, num_words, oov_char) for r in reviews]), labels)
        for reviews, labels in splits
    )
    return train, test


def _numbered(review: Review, start_char: int | None, index_from: int) -> Review:
    start = [] if start_char is None else [start_char]
    return start + [word + index_from for word in review]


def _short(
    reviews: list[Review], labels: np.ndarray, maxlen: int | None
) -> tuple[list[Review], np.ndarray]:
    if not maxlen:
        return reviews, labels
    keep = [index for index, review in enumerate(reviews) if len(review) < maxlen]
    return [reviews[index] for index in keep], labels[keep]


def _kept(review: Review, lowest: int, limit: int, oov_char: int | None) -> Review:
    if oov_char is None:
        return [word for word in review if lowest <= word < limit]
    return [word if lowest <= word < limit else oov_char for word in review]


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """Load the numbers of the words, without what ``index_from`` adds to them.

    Args:
        path: the file's name in the cache.

    Returns:
        A dict from words to their numbers; 1 is the most frequent word.

    Raises:
        ConnectionError: the file is not in the cache and could not be fetched.

    Example:
        >>> word_of = {n + 3: word for word, n in keras.datasets.imdb.get_word_index().items()}
        >>> " ".join(word_of.get(n, "?") for n in x_train[0])
    """
    file = get_file(path, origin=BASE_ADDRESS + "imdb_word_index.json", file_hash=_WORDS_MD5)
    with open(file, encoding="utf-8") as text:
        return json.load(text)
