"""Checks of the arguments of `compile` and `fit`."""

from __future__ import annotations

import inspect
from typing import Any

from graphc.keras import losses, metrics, tree
from graphc.runtime import BACKENDS


def check_losses(given: Any) -> None:
    """Refuse what is no loss.

    Raises:
        ValueError: An unknown name; the nearest are suggested.
    """
    for identifier in tree.flatten(given):
        if not (isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce")):
            losses.get(identifier)


def check_metrics(given: Any) -> None:
    """Refuse what is no metric.

    Raises:
        ValueError: An unknown name; the nearest are suggested.
        TypeError: A class instead of an object.
    """
    for identifier in tree.flatten(given):
        if isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc"):
            continue
        if inspect.isclass(identifier):
            name = identifier.__name__
            raise TypeError(f"metrics holds the class {name}: add parentheses, {name}()")
        metrics.get(identifier)


def check_backend(backend: Any) -> None:
    """Refuse an unknown backend with a `ValueError`."""
    if backend is not None and backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}; there are {', '.join(BACKENDS)}")


def check_fit(epochs: Any, initial_epoch: Any, *steps: Any) -> None:
    """Refuse numbers of epochs and steps that are none.

    Raises:
        ValueError: Not a whole number, or a negative one.
    """
    for name, value in (("epochs", epochs), ("initial_epoch", initial_epoch)):
        if isinstance(value, bool) or not hasattr(value, "__index__") or value < 0:
            raise ValueError(f"{name} has to be a whole number of at least 0, not {value!r}")
    for name, value in zip(("steps_per_epoch", "validation_steps"), steps, strict=True):
        check_steps(name, value)


def check_steps(name: str, value: Any) -> None:
    """Refuse a number of steps that is none with a `ValueError`."""
    if value is None:
        return
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise ValueError(
            f"{name} has to be a whole number of at least 1, not {value!r} (len(x) // batch_size "
            "divides without a remainder)"
        )


def check_verbose(verbose: Any) -> None:
    """Refuse an unknown verbosity with a `ValueError`."""
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f'verbose has to be 0, 1, 2 or "auto", not {verbose!r}')


def check_validation_freq(frequency: Any) -> None:
    """Refuse what says not when to validate with a `ValueError`."""
    whole = isinstance(frequency, int) and not isinstance(frequency, bool) and frequency > 0
    if not whole and not isinstance(frequency, (list, tuple, set, range)):
        raise ValueError(
            "validation_freq has to be a number of epochs, or a list of epochs counted from 1; "
            f"received {frequency!r}"
        )


def is_due(epoch: int, frequency: Any) -> bool:
    """Whether an epoch, counted from 0, is one after which to validate."""
    if isinstance(frequency, int):
        return (epoch + 1) % frequency == 0
    return epoch + 1 in frequency
