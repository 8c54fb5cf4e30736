"""The state of random operations."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from graphc.eager import Tensor, Variable
from graphc.keras.engine.naming import unique_name
from graphc.keras.random_seed import next_seed, shared_seed, times_seeded
from graphc.keras.saving.registry import public


@public("keras.random")
class SeedGenerator:
    """Gives another seed each time: a variable that counts draws.

    Args:
        seed: An integer; None for one drawn now (see `keras.utils.set_random_seed`).
        name: Its name; made up if left out.

    Raises:
        ValueError: Another kind of seed.

    Example:
        >>> generator = keras.random.SeedGenerator(seed=42)
        >>> keras.random.normal((3,), seed=generator)
    """

    def __init__(self, seed: int | None = None, name: str | None = None):
        self.name = name or unique_name("seed_generator")
        self._given_seed = seed
        if seed is None:
            seed = next_seed()
        if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool):
            raise ValueError(f"Argument `seed` must be an integer. Received: seed={seed}")
        self.state = Variable(
            np.array([int(seed) % 2**32, 0], np.uint32),
            trainable=False,
            name="seed_generator_state",
        )
        self.state.path = f"{self.name}/seed_generator_state"
        self.state.is_random_state = True  # type: ignore[attr-defined]

    def next(self, ordered: bool = True) -> Tensor:
        """A new seed: two words, uint32.

        Args:
            ordered: Accepted as in Keras; seeds always come in order.
        """
        seed = self.state.value
        self.state.assign_add(np.array([0, 1], np.uint32))
        return seed

    def _graphc_variables(self) -> list[Variable]:
        """What a layer that holds this generator holds with it."""
        return [self.state]

    def get_config(self) -> dict[str, Any]:
        """The arguments from which another such generator can be made."""
        return {"seed": self._given_seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """A generator from what `get_config` returned."""
        return cls(**config)


def shared_generator() -> SeedGenerator:
    """The generator for operations in compiled programs that were given no seed.

    `keras.utils.set_random_seed` starts another one. It belongs to no model, so it is not saved:
    training that has to go on with the same bits after loading needs generators of its own, as
    attributes of the layers that draw.
    """
    return _generator_of(times_seeded())


@functools.lru_cache(maxsize=1)
def _generator_of(seeding: int) -> SeedGenerator:
    return SeedGenerator(shared_seed(), name="shared_seed_generator")
