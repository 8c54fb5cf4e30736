"""A dictionary of limited size."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Cache(dict[K, V]):
    """A dictionary that starts anew when it is full."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def keep(self, key: K, value: V) -> V:
        """Remember the value; returns it."""
        if len(self) >= self.size:
            self.clear()
        self[key] = value
        return value
