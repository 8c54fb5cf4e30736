"""Functions made from functions: their derivatives, and ways to compute them.

They take tensors that compute at once or are traced, and each other: a gradient is a function that
can be compiled, vectorized, and differentiated again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from graphc.eager.location import user_line_text
from graphc.eager.structure import map_leaves
from graphc.eager.tape import GradientTape
from graphc.eager.tensor import Tensor, apply, apply_function, as_tensor
from graphc.errors import DTypeError, ShapeError
from graphc.ir import Value, is_float, zeros_like
from graphc.ops.movement import Reshape


def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives a function's value and its gradient, as JAX's ``value_and_grad``.

    Args:
        function: Its result is a floating-point scalar.
        argnums: Which arguments to differentiate with respect to: a number, or several. They are
            tensors, variables or structures of them.
        has_aux: Whether the function returns a pair of the scalar and something else.

    Returns:
        A function of the same arguments. It gives the value, or the pair, and the gradients in the
        structure of the arguments: for several a tuple. What the value does not depend on has a
        gradient of zeros.

    Example:
        >>> graphc.value_and_grad(lambda x: x * x)(3.0)
        (<graphc.Tensor: shape=(), dtype=float32, numpy=9.0>, <graphc.Tensor: ..., numpy=6.0>)
    """

    @functools.wraps(function, assigned=("__doc__", "__name__"), updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        args, chosen = _with_fresh(args, argnums, "value_and_grad")
        with GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(_leaves(chosen))
            result = function(*args, **kwargs)
        value = _scalar(result[0] if has_aux else result)
        return result, _gradients(tape, value, chosen)

    return call


def grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives a function's gradient, as JAX's ``grad``.

    Args:
        function: As for `value_and_grad`.
        argnums: The same.
        has_aux: Whether the function returns a pair of the scalar and something else; then the
            result is a pair of the gradient and that.

    Example:
        >>> graphc.grad(graphc.grad(lambda x: x**3))(2.0)
        <graphc.Tensor: shape=(), dtype=float32, numpy=12.0>
    """
    both = value_and_grad(function, argnums, has_aux)

    @functools.wraps(function, assigned=("__doc__", "__name__"), updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        result, gradients = both(*args, **kwargs)
        return (gradients, result[1]) if has_aux else gradients

    return call


def vjp(function: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """A function's value, and what takes cotangents of it back to its arguments.

    Args:
        function: The function.
        *primals: Its arguments: tensors, or structures of them.
        has_aux: Whether it returns a pair of the value and something else.

    Returns:
        The value, and a function from a structure like the value to a tuple with a gradient for
        each argument; with ``has_aux`` what else was returned as well.

    Example:
        >>> y, pull_back = graphc.vjp(keras.ops.sin, x)
        >>> (dx,) = pull_back(dy)
    """
    primals, chosen = _with_fresh(primals, range(len(primals)), "vjp")
    with GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(_leaves(chosen))
        result = function(*primals)
    value = result[0] if has_aux else result

    def pull_back(cotangents: Any) -> tuple[Any, ...]:
        weights = _aligned("vjp", "cotangents", value, cotangents)
        return _gradients(tape, _leaves(value), chosen, weights)

    return (value, pull_back, result[1]) if has_aux else (value, pull_back)


def jvp(function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """A function's value, and how it changes along a direction.

    The derivative that runs forwards is the transpose of the one that runs backwards: that one is
    linear in the cotangents, so its own gradient with respect to them is it.

    Args:
        function: The function.
        primals: Its arguments: tensors, or structures of them.
        tangents: The direction: the same structures.

    Returns:
        The value, and a structure like it with the derivatives.

    Example:
        >>> y, dy = graphc.jvp(lambda x: x * x, (3.0,), (1.0,))
    """
    directions = _aligned("jvp", "tangents", tuple(primals), tuple(tangents))
    primals, chosen = _with_fresh(tuple(primals), range(len(primals)), "jvp")
    with GradientTape(watch_accessed_variables=False) as outer:
        with GradientTape(watch_accessed_variables=False) as inner:
            inner.watch(_leaves(chosen))
            value = function(*primals)
        results = [as_tensor(leaf) for leaf in _leaves(value)]
        smooth = [x for x in results if is_float(x.dtype)]
        cotangents = [fresh_zeros(x) for x in smooth]
        outer.watch(cotangents)
        pulled = inner.gradient(smooth, _leaves(chosen), cotangents, "zero")
    dxs = [as_tensor(t, x.dtype) for t, x in zip(directions, pulled, strict=True)]
    found = iter(outer.gradient(pulled, cotangents, dxs, "zero"))

    def derivative(_: str, leaf: Any) -> Tensor:
        tensor = as_tensor(leaf)
        return next(found) if is_float(tensor.dtype) else fresh_zeros(tensor)

    return value, map_leaves(derivative, value, variables=True)


def jacobian(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that gives the derivative of each element of a result by each of an argument.

    Args:
        function: Returns a tensor, or a structure of tensors.
        argnums: As for `value_and_grad`.

    Returns:
        For each result, in its structure, what `argnums` asks for: tensors of the shape of the
        result followed by that of the argument.
    """

    @functools.wraps(function, assigned=("__doc__", "__name__"), updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        args, chosen = _with_fresh(args, argnums, "jacobian")
        with GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(_leaves(chosen))
            result = function(*args, **kwargs)

        def rows(_: str, leaf: Any) -> Any:
            return _packed_like(chosen, tape.jacobian(as_tensor(leaf), _leaves(chosen), "zero"))

        return map_leaves(rows, result, variables=True)

    return call


def hessian(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that gives the second derivatives of a scalar.

    Args:
        function: Its result is a floating-point scalar.
        argnums: As for `value_and_grad`.
    """
    return jacobian(grad(function, argnums), argnums)


# --------------------------------------------------------------------------------------- arguments


def _with_fresh(args: tuple[Any, ...], argnums: Any, name: str) -> tuple[tuple[Any, ...], Any]:
    """Arguments of which those to differentiate by are new tensors, and these by themselves.

    Nothing but the function's use of its argument depends on a new tensor.
    """
    single = not isinstance(argnums, (list, tuple, range))
    numbers = [argnums] if single else list(argnums)
    fresh = list(args)

    def copied(path: str, leaf: Any) -> Tensor:
        tensor = as_tensor(leaf)
        if not is_float(tensor.dtype):
            place = user_line_text()
            raise DTypeError(
                f"{place + ': ' if place else ''}{name}: there are derivatives by floating-point "
                f"numbers only, not by {tensor.dtype} (argument {path})"
            )
        return apply(Reshape(tensor.dims), tensor)

    for number in numbers:
        if not -len(args) <= number < len(args):
            raise ValueError(
                f"{name}: argnums says {number}, but there are {len(args)} positional arguments"
            )
        argument = args[number]
        if isinstance(argument, (int, float)) and not isinstance(argument, bool):
            argument = as_tensor(float(argument))
        fresh[number] = map_leaves(copied, argument, str(number), variables=True)
    chosen = tuple(fresh[number] for number in numbers)
    return tuple(fresh), chosen[0] if single else chosen


def _leaves(structure: Any) -> list[Any]:
    """The tensors and variables of a structure, and numbers as tensors."""
    return list(_by_path("", structure).values())


def _by_path(path: str, structure: Any) -> dict[str, Any]:
    """The same by their places."""
    if isinstance(structure, (int, float)):
        return {path: as_tensor(structure)}
    if isinstance(structure, (list, tuple, dict)):
        parts = structure.items() if isinstance(structure, dict) else enumerate(structure)
        return {
            k: leaf for key, part in parts for k, leaf in _by_path(f"{path}/{key}", part).items()
        }
    found: dict[str, Any] = {}

    def keep(place: str, leaf: Any) -> None:
        found[place] = leaf

    map_leaves(keep, structure, path, variables=True)
    return found


def _aligned(name: str, what: str, like: Any, structure: Any) -> list[Any]:
    """The leaves of a structure in the order of another one that has to be like it."""
    places, found = _by_path("", like), _by_path("", structure)
    if set(places) != set(found):
        raise ShapeError(
            f"{name}: the {what} need the structure of what they belong to, {len(places)} tensors "
            f"({', '.join(places)}); received {len(found)} ({', '.join(found)})"
        )
    return [found[place] for place in places]


def _packed_like(structure: Any, flat: Sequence[Any]) -> Any:
    remaining = iter(flat)
    return map_leaves(lambda *_: next(remaining), structure)


def _gradients(tape: GradientTape, target: Any, chosen: Any, weights: Any = None) -> Any:
    return _packed_like(chosen, tape.gradient(target, _leaves(chosen), weights, "zero"))


def _scalar(value: Any) -> Tensor:
    tensor = as_tensor(value)
    if tensor.ndim or not is_float(tensor.dtype):
        place = user_line_text()
        raise ShapeError(
            f"{place + ': ' if place else ''}only a floating-point scalar has a gradient; the "
            f"function returned {tensor.dtype} of shape {tensor.shape} (see jacobian and vjp)"
        )
    return tensor


def fresh_zeros(tensor: Tensor) -> Tensor:
    """Zeros, as a tensor of its own."""
    return apply_function(_new_zeros, tensor)


def _new_zeros(value: Value) -> Value:
    return Reshape(value.shape)(zeros_like(value))
