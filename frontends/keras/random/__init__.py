"""Random numbers: ``keras.random``; see https://keras.io/api/random/."""

from graphc.keras.random.draws import (
    categorical,
    dropout,
    normal,
    randint,
    seed_key,
    shuffle,
    truncated_normal,
    uniform,
)
from graphc.keras.random.rejection import beta, binomial, gamma
from graphc.keras.random.seed_generator import SeedGenerator

__all__ = [
    "SeedGenerator",
    "beta",
    "binomial",
    "categorical",
    "dropout",
    "gamma",
    "normal",
    "randint",
    "seed_key",
    "shuffle",
    "truncated_normal",
    "uniform",
]
