"""Functions of small tensors applied to the elements of large ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from graphc.eager import Tensor, as_tensor
from graphc.eager.vectorized import vmap
from graphc.errors import ShapeError
from graphc.ir.dims import Shape, broadcast_shapes, product
from graphc.keras import tree
from graphc.keras.ops.arguments import reshaped
from graphc.keras.ops.movement import broadcast_to
from graphc.keras.ops.recording import operation

__all__ = ["vectorize"]


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None
) -> Callable[..., Any]:
    """A function of scalars (or of tensors with a few axes) as one of tensors with any axes.

    Arguments are broadcast against each other over all axes but those that the function is for.

    Args:
        pyfunc: Takes tensors, returns one or a tuple of them.
        excluded: Positions and names of arguments that are handed on as they are.
        signature: The axes that the function is for, such as ``"(n),(n)->()"``; by default none.

    Returns:
        The function of larger tensors. Arguments by keyword are handed on as they are.

    Raises:
        ValueError: The signature is none.

    Example:
        >>> distance = keras.ops.vectorize(lambda x, y: norm(x - y), signature="(n),(n)->()")
    """
    left_out = set(excluded or ())
    cores = None if signature is None else _cores(signature)

    @operation
    def call(*args: Any, **kwargs: Any) -> Any:
        places = [i for i in range(len(args)) if i not in left_out]
        if cores is not None and len(cores) != len(places):
            raise ShapeError(
                f'vectorize: "{signature}" is of {len(cores)} arguments, not of {len(places)}'
            )
        tensors = [as_tensor(args[i]) for i in places]
        ranks = [0] * len(places) if cores is None else cores
        loops = broadcast_shapes(*[_outer(x, r) for x, r in zip(tensors, ranks, strict=True)])

        def of_one(*operands: Tensor) -> Any:
            full = list(args)
            for place, operand in zip(places, operands, strict=True):
                full[place] = operand
            return pyfunc(*full, **kwargs)

        if not loops:
            return of_one(*tensors)
        examples = product(loops)
        flat = []
        for x, rank in zip(tensors, ranks, strict=True):
            inner = x.dims[x.ndim - rank :]
            flat.append(reshaped(broadcast_to(x, (*loops, *inner)), (examples, *inner)))
        results = vmap(of_one)(*flat)
        return tree.map_structure(lambda y: reshaped(y, (*loops, *y.dims[1:])), results)

    return call


def _outer(x: Tensor, rank: int) -> Shape:
    if x.ndim < rank:
        raise ShapeError(f"vectorize: an argument needs {rank} axes. Received: shape={x.shape}")
    return x.dims[: x.ndim - rank]


def _cores(signature: str) -> list[int]:
    """The numbers of axes of the arguments that a signature names."""
    group = r"\(\s*(?:\w+(?:\s*,\s*\w+)*)?\s*\)"
    groups = rf"\s*{group}(?:\s*,\s*{group})*\s*"
    if not re.fullmatch(f"{groups}->{groups}", signature):
        raise ValueError(
            f'vectorize: `signature` should look like "(n),(n)->()". Received: {signature!r}'
        )
    inputs = re.findall(group, signature.split("->")[0])
    return [len(re.findall(r"\w+", text)) for text in inputs]
