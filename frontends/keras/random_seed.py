"""Where seeds come from: one generator for the process, which ``set_random_seed`` starts anew.

Whatever needs randomness and was given no seed (initializers, dropout, shuffling) draws one here,
in the order in which it is made. So a program that calls ``set_random_seed`` first gets the same
seeds, and with them the same bits, in every run; one that does not starts from the operating
system's randomness.
"""

import operator
import random
from typing import SupportsIndex

import numpy as np

SEED_BITS = 31  # a seed fits a signed 32-bit integer, the narrowest that any file format has

_NUMPY_SEED_LIMIT = 2**32

_generator = random.Random()
_shared_seed = random.Random().getrandbits(SEED_BITS)
_seedings = 0


def set_random_seed(seed: SupportsIndex) -> None:
    """Seed Python's ``random``, NumPy's ``np.random`` and every seed that graphc draws.

    Args:
        seed: a whole number from 0 to 2**32 - 1, NumPy's limit.

    Raises:
        ValueError: ``seed`` is no such number.

    Example:
        >>> keras.utils.set_random_seed(42)
    """
    try:
        number = operator.index(seed)
    except TypeError:
        raise ValueError(
            f"Expected `seed` argument to be an integer. "
            f"Received: seed={seed} (of type {type(seed)})"
        ) from None
    if not 0 <= number < _NUMPY_SEED_LIMIT:
        raise ValueError(
            f"Expected `seed` argument to be from 0 to 2**32 - 1. Received: seed={seed}"
        )
    random.seed(number)
    np.random.seed(number)
    seed_draws(number)


def seed_draws(seed: SupportsIndex) -> None:
    """Seed every seed that graphc draws, and leave the generators of Python and NumPy alone."""
    global _seedings, _shared_seed
    _seedings += 1
    _generator.seed(operator.index(seed))
    _shared_seed = random.Random(f"shared {operator.index(seed)}").getrandbits(SEED_BITS)


def next_seed() -> int:
    """Draw a seed for something that was given none.

    Returns:
        A whole number from 0 to 2**31 - 1.
    """
    return _generator.getrandbits(SEED_BITS)


def shared_seed() -> int:
    """The seed of what is shared by the whole process: it takes nothing from the other draws.

    So it does not matter when, or whether, somebody needs it first.
    """
    return _shared_seed


def times_seeded() -> int:
    """How often `set_random_seed` was called."""
    return _seedings
