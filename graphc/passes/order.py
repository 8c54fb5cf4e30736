"""Which groups of nodes have to be computed before which, while groups grow together."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


class GroupOrder:
    """For each group the groups that it needs, directly or through others.

    Kept as a table of bits, of which a merge changes all rows at once.

    Args:
        count: How many groups there may be; each has a number below it.
    """

    def __init__(self, count: int):
        self._needed = np.zeros((count, -(-count // 64)), np.uint64)

    def add(self, group: int, producers: Iterable[int]) -> None:
        """Note a new group.

        Args:
            group: Its number.
            producers: The groups that compute its operands, which are known already.
        """
        row = self._needed[group]
        for producer in producers:
            row |= self._needed[producer]
            row[producer >> 6] |= _bit(producer)

    def is_before(self, first: int, second: int) -> bool:
        """Whether the second group needs the first one."""
        return bool(self._needed[second, first >> 6] & _bit(first))

    def merge(self, kept: int, other: int) -> None:
        """The two groups are one from here on, which has the number of the first."""
        table = self._needed
        both = table[kept] | table[other]
        for group in (kept, other):
            both[group >> 6] &= ~_bit(group)
        after = (table[:, kept >> 6] & _bit(kept)) | (table[:, other >> 6] & _bit(other))
        followers = np.flatnonzero(after)
        table[kept] = both
        both[kept >> 6] |= _bit(kept)
        table[followers[followers != kept]] |= both


def _bit(group: int) -> np.uint64:
    return np.uint64(1 << (group & 63))
