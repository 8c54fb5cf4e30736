"""``graphc.random``: random tensors under TensorFlow's names.

See https://www.tensorflow.org/api_docs/python/tf/random. As there, a call with ``seed``
gives other numbers each time, in a sequence that `set_seed` starts anew; the ``stateless_``
functions give the same numbers for the same seed. The numbers are graphc's own (Threefry), not
TensorFlow's.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from graphc.eager import Tensor, as_tensor
from graphc.keras import ops
from graphc.keras import random as keras_random
from graphc.keras.random.seed_generator import SeedGenerator
from graphc.keras.random_seed import seed_draws, times_seeded
from graphc.names.adapt import missing_name, public_names, published, takes_name
from graphc.names.dtypes import as_dtype, name_of


@takes_name
def set_seed(seed: int) -> None:
    """Start all draws of graphc anew: those of variables' first values, dropout and shuffling too.

    Unlike `keras.utils.set_random_seed` it leaves the generators of Python and NumPy alone.
    """
    seed_draws(seed)


@functools.lru_cache(maxsize=256)
def _generator(seed: int, seeding: int) -> SeedGenerator:
    # `seeding` is there for the cache: after `set_seed` every seed begins anew.
    return SeedGenerator(seed, name=f"seed_{seed}")


def op_seed(seed: Any) -> Any:
    """What `keras.random` takes for an operation's ``seed``: another draw in each call."""
    if seed is None or isinstance(seed, Tensor):  # a tensor is a stateless function's key
        return seed
    return _generator(int(seed), times_seeded())


def _shape(shape: Any) -> Any:
    return shape.numpy().tolist() if isinstance(shape, Tensor) else shape


def _normal(shape: Any, mean: Any, stddev: Any, dtype: Any, seed: Any) -> Any:
    kind = name_of(dtype)
    if all(isinstance(x, (int, float)) for x in (mean, stddev)):
        return keras_random.normal(_shape(shape), mean, stddev, kind, seed)
    draw = keras_random.normal(_shape(shape), 0.0, 1.0, kind, seed)
    return ops.add(ops.multiply(draw, stddev), mean)


def _uniform(shape: Any, minval: Any, maxval: Any, dtype: Any, seed: Any) -> Any:
    kind = as_dtype(dtype)
    if kind.is_integer:
        if maxval is None:
            raise ValueError("uniform: integers need `maxval`")
        return keras_random.randint(_shape(shape), int(minval), int(maxval), str(kind), seed)
    draw = keras_random.uniform(_shape(shape), 0.0, 1.0, str(kind), seed)
    low, high = minval, 1.0 if maxval is None else maxval
    return draw if (low, high) == (0, 1) else draw * ops.subtract(high, low) + low


@takes_name
def normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", seed: Any = None
) -> Any:
    """Normally distributed numbers.

    Args:
        shape: The shape.
        mean: Their mean: a number, or a tensor that is broadcast to the shape.
        stddev: Their standard deviation, likewise.
        dtype: A floating-point type.
        seed: An integer that names a sequence of draws.
    """
    return _normal(shape, mean, stddev, dtype, op_seed(seed))


@takes_name
def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32", seed: Any = None
) -> Any:
    """Normally distributed numbers, none farther than two deviations from the mean."""
    return keras_random.truncated_normal(_shape(shape), mean, stddev, name_of(dtype), op_seed(seed))


@takes_name
def uniform(
    shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32", seed: Any = None
) -> Any:
    """Numbers that are spread evenly from ``minval`` to before ``maxval``.

    Args:
        shape: The shape.
        minval: The smallest number.
        maxval: The bound that is not reached; 1 by default, for integers to be given.
        dtype: A floating-point or integer type.
        seed: An integer that names a sequence of draws.
    """
    return _uniform(shape, minval, maxval, dtype, op_seed(seed))


@takes_name
def shuffle(value: Any, seed: Any = None) -> Any:
    """The slices along the first axis in random order."""
    return keras_random.shuffle(value, 0, op_seed(seed))


@takes_name
def categorical(logits: Any, num_samples: int, dtype: Any = "int64", seed: Any = None) -> Any:
    """Classes drawn with probabilities ``softmax(logits)``, so many for each row."""
    return keras_random.categorical(logits, int(num_samples), name_of(dtype), op_seed(seed))


@takes_name
def gamma(
    shape: Any, alpha: Any, beta: Any = None, dtype: Any = "float32", seed: Any = None
) -> Any:
    """Numbers with a gamma distribution: so many for each pair of parameters.

    Args:
        shape: How many for each: the first axes of the result.
        alpha: Its shape, a tensor whose axes follow.
        beta: Its inverse scale; 1 by default.
        dtype: A floating-point type.
        seed: An integer that names a sequence of draws.
    """
    kind = name_of(dtype)
    shapes = ops.convert_to_tensor(alpha, kind)
    rates = ops.ones_like(shapes) if beta is None else ops.convert_to_tensor(beta, kind)
    shapes = shapes + ops.zeros_like(rates)  # broadcast
    whole = (*_shape(shape), *shapes.shape)
    return ops.true_divide(keras_random.gamma(whole, shapes, kind, op_seed(seed)), rates)


# ------------------------------------------------------------------------------- without state


def stateless_key(seed: Any) -> Tensor:
    """Two integers as the generator's key.

    Raises:
        ValueError: It is something else.
    """
    words = np.asarray(seed.numpy() if isinstance(seed, Tensor) else seed, np.int64)
    if words.shape != (2,):
        raise ValueError(f"a stateless function's seed is two integers; received {seed}")
    return as_tensor((words % 2**32).astype(np.uint32))


@takes_name
def stateless_normal(
    shape: Any, seed: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32"
) -> Any:
    """The same as `normal`, with the same numbers for the same seed of two integers."""
    return _normal(shape, mean, stddev, dtype, stateless_key(seed))


@takes_name
def stateless_truncated_normal(
    shape: Any, seed: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32"
) -> Any:
    """The same as `truncated_normal`, with the same numbers for the same seed."""
    return keras_random.truncated_normal(
        _shape(shape), mean, stddev, name_of(dtype), stateless_key(seed)
    )


@takes_name
def stateless_uniform(
    shape: Any, seed: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32"
) -> Any:
    """The same as `uniform`, with the same numbers for the same seed of two integers."""
    return _uniform(shape, minval, maxval, dtype, stateless_key(seed))


@takes_name
def stateless_categorical(logits: Any, num_samples: int, seed: Any, dtype: Any = "int64") -> Any:
    """The same as `categorical`, with the same numbers for the same seed of two integers."""
    return keras_random.categorical(logits, int(num_samples), name_of(dtype), stateless_key(seed))


# --------------------------------------------------------------------------------- generators


@published
class Generator:
    """A source of random numbers of its own (https://www.tensorflow.org/guide/random_numbers).

    Args:
        seed: An integer; None for one drawn now.

    Example:
        >>> generator = graphc.random.Generator.from_seed(1)
        >>> generator.normal((2, 3))
    """

    def __init__(self, seed: int | None = None):
        self._seeds = SeedGenerator(seed)

    @classmethod
    def from_seed(cls, seed: int, alg: Any = None) -> Generator:
        """A generator that gives the same numbers in every run.

        Args:
            seed: An integer.
            alg: Accepted, and ignored: it is always Threefry.
        """
        return cls(int(seed))

    @classmethod
    def from_non_deterministic_state(cls, alg: Any = None) -> Generator:
        """A generator whose seed is drawn now."""
        return cls()

    @property
    def state(self) -> Any:
        """The variable that counts draws."""
        return self._seeds.state

    def reset_from_seed(self, seed: int) -> None:
        """Start anew."""
        self._seeds.state.assign(np.array([int(seed) % 2**32, 0], np.uint32))

    def _graphc_variables(self) -> list[Any]:
        return self._seeds._graphc_variables()

    def normal(self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32") -> Any:
        """Normally distributed numbers."""
        return _normal(shape, mean, stddev, dtype, self._seeds)

    def truncated_normal(
        self, shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32"
    ) -> Any:
        """Normally distributed numbers, none farther than two deviations from the mean."""
        return keras_random.truncated_normal(
            _shape(shape), mean, stddev, name_of(dtype), self._seeds
        )

    def uniform(
        self, shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32"
    ) -> Any:
        """Numbers that are spread evenly from ``minval`` to before ``maxval``."""
        return _uniform(shape, minval, maxval, dtype, self._seeds)

    def split(self, count: int = 1) -> list[Generator]:
        """So many new generators, each with a seed drawn from this one."""
        bound = 2**31 - 1
        seeds = keras_random.randint((count,), 0, bound, "int64", self._seeds).numpy()
        return [Generator(int(seed)) for seed in seeds]


@functools.lru_cache(maxsize=1)
def _global_generator(seeding: int) -> Generator:
    return Generator()


@takes_name
def get_global_generator() -> Generator:
    """The generator that everybody shares; `set_seed` starts another one."""
    return _global_generator(times_seeded())


__all__ = public_names(globals())


def __getattr__(name: str) -> Any:
    raise missing_name("graphc.random", name, __all__)
