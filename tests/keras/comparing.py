"""Comparing an operation with real Keras: at once, in a program, and its gradient."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.keras import ops, tree
from tests.keras.computing import assert_same, at_once, gradients, jax_gradient, traced


def resolve(module: Any, path: str) -> Callable[..., Any]:
    """``keras.ops.image.resize`` from ``"image.resize"``."""
    for part in path.split("."):
        module = getattr(module, part)
    return module


def split_arguments(
    args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[list[np.ndarray], Callable[..., tuple[list[Any], dict[str, Any]]]]:
    """The arrays among arguments, and a function that puts tensors in their places."""
    arrays = [x for x in [*args, *kwargs.values()] if isinstance(x, np.ndarray)]

    def put(*tensors: Any) -> tuple[list[Any], dict[str, Any]]:
        rest = iter(tensors)

        def fill(argument: Any) -> Any:
            return next(rest) if isinstance(argument, np.ndarray) else argument

        return [fill(x) for x in args], {name: fill(x) for name, x in kwargs.items()}

    return arrays, put


def check(
    real_keras: Any,
    name: str,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    *,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    batch: bool = False,
    gradient: bool | Sequence[int] = False,
) -> None:
    """Compare one call.

    Args:
        real_keras: The module.
        name: Of the operation, below ``keras.ops``.
        args: Arguments; arrays are what is traced.
        kwargs: Keyword arguments, the same.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        batch: Whether it is also traced with the first axes open.
        gradient: Whether gradients are compared with JAX's: of all float arrays, or of those at
            some positions among the arrays.
    """
    theirs = resolve(real_keras.ops, name)
    mine = resolve(ops, name)
    expected = [np.asarray(x) for x in real_keras.tree.flatten(theirs(*args, **kwargs))]
    arrays, put = split_arguments(args, kwargs)

    def function(*tensors: Any) -> Any:
        positional, named = put(*tensors)
        return mine(*positional, **named)

    assert_same(at_once(function, *arrays), expected, rtol, atol)
    assert_same(traced(function, *arrays), expected, rtol, atol)
    if batch:
        assert_same(traced(function, *arrays, batch=True), expected, rtol, atol)
    if gradient:
        every = [i for i, array in enumerate(arrays) if array.dtype.kind == "f"]
        places = every if gradient is True else list(gradient)
        check_gradient(real_keras, theirs, function, arrays, put, places, rtol * 100, atol * 100)


def check_gradient(
    real_keras: Any,
    theirs: Callable[..., Any],
    function: Callable[..., Any],
    arrays: Sequence[np.ndarray],
    put: Callable[..., Any],
    places: Sequence[int],
    rtol: float,
    atol: float,
) -> None:
    """Compare the gradients of a weighted sum of the first result."""
    rng = np.random.default_rng(5)
    shape = np.asarray(tree.flatten(function(*arrays))[0]).shape
    weights = rng.normal(size=shape).astype("float32")

    def with_floats(floats: Sequence[Any]) -> list[Any]:
        full: list[Any] = list(arrays)
        for place, value in zip(places, floats, strict=True):
            full[place] = value
        return full

    def their_total(*floats: Any) -> Any:
        positional, named = put(*with_floats(floats))
        result = real_keras.tree.flatten(theirs(*positional, **named))[0]
        return real_keras.ops.sum(result * weights)

    chosen = [arrays[i] for i in places]
    expected = jax_gradient(their_total, tuple(range(len(chosen))))(*chosen)

    def my_total(*floats: Any) -> Any:
        return tree.flatten(function(*with_floats(floats)))[0] * weights

    received = gradients(my_total, *chosen)
    assert_same(received, [np.asarray(x) for x in expected], rtol, atol)
