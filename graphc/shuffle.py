"""A random order of rows, made by counting: faster than drawing one, and the same everywhere.

Numbers of ``bits`` bits are mapped one to one onto each other by a few rounds of multiplying by an
odd number, adding another one, and folding the upper half of the bits into the lower half. The
numbers 0, 1, 2, ... sent through it, without those that are no row, are the rows in their new
order. A key of random multipliers and summands makes the order another one each time.

Permutations by hashing are described in A. Kensler, "Correlated Multi-Jittered Sampling", Pixar
Technical Memo 13-01, 2013, and R. Mitchell et al., "Bandwidth-Optimal Random Shuffling for GPUs",
ACM Transactions on Parallel Computing 9, 2022.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

#: How often the bits are mixed: with fewer rounds neighbours stay together too often.
ROUNDS = 8
#: Below so many rows not every order would be as likely as any other.
_FEWEST = 1024
#: Row numbers are computed in 32 bits.
_MOST = 1 << 31

#: Native code that writes the order for a key into memory; the key's and the memory's address.
Writer = Callable[[int, int, int], None]


class Shuffle:
    """The numbers from 0 to ``count - 1`` in a random order.

    Args:
        count: How many.
        key: uint32 of shape [2 + 2 * ROUNDS]: a mask of the bits in use, how far the upper ones
            are from the lower ones, and a multiplier (odd) and a summand for each round.
    """

    def __init__(self, count: int, key: np.ndarray):
        self._count = count
        self._key = key
        self._numbers: np.ndarray | None = None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, places: slice) -> np.ndarray:
        return self.numbers()[places]

    def numbers(self, write: Writer | None = None) -> np.ndarray:
        """All of them, int64 of shape [count], made when first asked for.

        Args:
            write: Native code that makes them; it gets the addresses of the key and of memory for
                one number more than there are, and the count.
        """
        if self._numbers is None:
            if write is None:
                self._numbers = self._computed()
            else:
                room = np.empty(self._count + 1, np.int64)
                write(self._key.ctypes.data, room.ctypes.data, self._count)
                self._numbers = room[:-1]
        return self._numbers

    def _computed(self) -> np.ndarray:
        mask, distance = self._key[:2]
        x = np.arange(int(mask) + 1, dtype=np.uint32)
        for factor, summand in self._key[2:].reshape(ROUNDS, 2):
            x = (x * factor + summand) & mask
            x ^= x >> distance
        return x[x < self._count].astype(np.int64)


def random_order(count: int, generator: np.random.Generator) -> np.ndarray | Shuffle:
    """The numbers from 0 to ``count - 1`` in a random order.

    Args:
        count: How many.
        generator: Where the randomness comes from.

    Returns:
        An int64 array of shape [count], or a `Shuffle` where there are many.

    Example:
        >>> order = random_order(5000, np.random.default_rng(1))
        >>> sorted(order[0:5000].tolist()) == list(range(5000))
        True
    """
    if not _FEWEST <= count < _MOST:
        return generator.permutation(count)
    bits = (count - 1).bit_length()
    key = np.empty(2 + 2 * ROUNDS, np.uint32)
    key[0], key[1] = (1 << bits) - 1, (bits + 1) // 2
    key[2:] = generator.integers(0, 1 << 32, 2 * ROUNDS, dtype=np.uint32)
    key[2::2] |= 1
    return Shuffle(count, key)
