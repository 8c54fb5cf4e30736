"""Products of tensors: https://keras.io/api/ops/numpy/."""

from __future__ import annotations

import math
import string
from collections.abc import Callable
from typing import Any

from graphc.eager import Tensor, apply, as_tensor, cast, operate
from graphc.eager.tensor import promoted
from graphc.errors import ShapeError
from graphc.ir import is_complex
from graphc.keras.ops.arguments import one_axis, reshaped
from graphc.keras.ops.elementwise import multiply
from graphc.keras.ops.indexing import diagonal
from graphc.keras.ops.movement import squeeze, transpose
from graphc.keras.ops.recording import operation
from graphc.keras.ops.reduction import sum as reduce_sum
from graphc.ops.complex import Conj
from graphc.ops.linalg import Einsum

__all__ = [
    "dot", "einsum", "inner", "matmul", "outer", "tensordot", "trace", "vdot",
]  # fmt: skip


def _contracted(function: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """A sum of products; of bools whether any product is true."""
    if x.dtype != "bool":
        return function(x, y)
    return cast(function(cast(x, "int32"), cast(y, "int32")), "bool")


@operation
def matmul(x1: Any, x2: Any) -> Tensor:
    """The matrix product over the last two axes; axes before them are broadcast.

    Example:
        >>> keras.ops.matmul(keras.ops.ones((2, 3)), keras.ops.ones((3, 4)))
    """
    x, y = promoted(x1, x2)
    if not x.ndim or not y.ndim:
        raise ShapeError(
            f"matmul: needs at least one axis. Received: shapes {x.shape} and {y.shape}"
        )
    if x.dtype == "int8":
        x, y = cast(x, "int32"), cast(y, "int32")
    return _contracted(lambda a, b: operate("matmul", a, b), x, y)


@operation
def dot(x1: Any, x2: Any) -> Tensor:
    """The sum of products over the last axis of ``x1`` and the second to last of ``x2``."""
    x, y = promoted(x1, x2)
    if not x.ndim or not y.ndim:
        return multiply(x, y)
    return tensordot(x, y, ((x.ndim - 1,), (max(y.ndim - 2, 0),)))


@operation
def inner(x1: Any, x2: Any) -> Tensor:
    """The sum of products over the last axes."""
    x, y = promoted(x1, x2)
    if not x.ndim or not y.ndim:
        return multiply(x, y)
    return tensordot(x, y, ((x.ndim - 1,), (y.ndim - 1,)))


@operation
def outer(x1: Any, x2: Any) -> Tensor:
    """All products of an element of the one with an element of the other."""
    x, y = (reshaped(t, (math.prod(t.dims),)) for t in promoted(x1, x2))
    return _contracted(lambda a, b: apply(Einsum("a,b->ab"), a, b), x, y)


@operation
def vdot(x1: Any, x2: Any) -> Tensor:
    """The sum of products of all elements; of complex ones the first is conjugated."""
    x, y = (reshaped(t, (math.prod(t.dims),)) for t in promoted(x1, x2))
    x = apply(Conj(), x) if is_complex(x.dtype) else x
    return _contracted(lambda a, b: apply(Einsum("a,a->"), a, b), x, y)


@operation
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Tensor:
    """The sum of products over pairs of axes.

    Args:
        x1: A tensor.
        x2: A tensor.
        axes: How many of the last axes of ``x1`` go with as many first axes of ``x2``; or the axes
            of each, ``((a, ...), (b, ...))``.

    Raises:
        ShapeError: Not as many axes of the one as of the other.
    """
    x, y = promoted(x1, x2)
    if isinstance(axes, int):
        pairs = [list(range(x.ndim - axes, x.ndim)), list(range(axes))]
    else:
        pairs = [[a] if isinstance(a, int) else list(a) for a in axes]
    firsts = [one_axis(a, x.ndim, "tensordot") for a in pairs[0]]
    seconds = [one_axis(a, y.ndim, "tensordot") for a in pairs[1]]
    if len(firsts) != len(seconds):
        raise ShapeError(f"tensordot: needs as many axes of either operand. Received: axes={axes}")
    letters = iter(string.ascii_letters)
    first = [next(letters) for _ in range(x.ndim)]
    second = [next(letters) for _ in range(y.ndim)]
    for a, b in zip(firsts, seconds, strict=True):
        second[b] = first[a]
    kept = [letter for a, letter in enumerate(first) if a not in firsts]
    kept += [letter for b, letter in enumerate(second) if b not in seconds]
    op = Einsum(f"{''.join(first)},{''.join(second)}->{''.join(kept)}")
    return _contracted(lambda a, b: apply(op, a, b), x, y)


@operation
def einsum(subscripts: str, *operands: Any) -> Tensor:
    """Einstein's summation: each letter an axis; letters that the result lacks are summed over.

    Args:
        subscripts: Such as ``"bij,bjk->bik"``; without ``->`` the result has, in order of the
            alphabet, the letters that occur once. ``...`` stands for any axes.
        *operands: One tensor per term; more than two are taken from left to right.

    Raises:
        ShapeError: The terms do not describe the operands.

    Example:
        >>> keras.ops.einsum("ij,jk->ik", x, y)
    """
    tensors = promoted(*operands)
    terms, result = _terms(subscripts, tensors)
    for i, tensor in enumerate(tensors):
        tensors[i], terms[i] = _without_repeats(tensor, terms[i], subscripts)
    while len(tensors) > 1:
        wanted = set(result).union(*terms[2:])
        letters = "".join(dict.fromkeys(terms[0] + terms[1]))
        kept = "".join(letter for letter in letters if letter in wanted)
        kept = result if len(tensors) == 2 else kept
        product = _contract(tensors[0], terms[0], tensors[1], terms[1], kept)
        tensors[:2], terms[:2] = [product], [kept]
    return _rearranged(tensors[0], terms[0], result)


def _terms(subscripts: str, tensors: list[Tensor]) -> tuple[list[str], str]:
    """The letters of the operands and of the result, ellipses replaced by letters."""
    inputs, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(tensors):
        raise ShapeError(
            f'einsum: "{subscripts}" has {len(terms)} terms for {len(tensors)} tensors'
        )
    free = [letter for letter in string.ascii_letters if letter not in subscripts]
    ranks = [t.ndim - len(term.replace("...", "")) for t, term in zip(tensors, terms, strict=True)]
    for term, rank, tensor in zip(terms, ranks, tensors, strict=True):
        if rank < 0 or (rank and "..." not in term):
            raise ShapeError(
                f'einsum: "{term}" of "{subscripts}" does not describe the shape {tensor.shape}'
            )
    most = max([rank for rank, term in zip(ranks, terms, strict=True) if "..." in term], default=0)
    dots = "".join(free[:most])
    terms = [t.replace("...", dots[most - rank :]) for t, rank in zip(terms, ranks, strict=True)]
    if arrow:
        return terms, result.replace("...", dots)
    every = "".join(terms)
    once = sorted(letter for letter in set(every) - set(dots) if every.count(letter) == 1)
    return terms, dots + "".join(once)


def _without_repeats(x: Tensor, term: str, subscripts: str) -> tuple[Tensor, str]:
    """An operand whose term repeats a letter: its diagonal."""
    if len(set(term)) == len(term):
        return x, term
    raise ShapeError(
        f'einsum: "{term}" of "{subscripts}" repeats a letter; use keras.ops.diagonal first'
    )


def _contract(x: Tensor, x_term: str, y: Tensor, y_term: str, result: str) -> Tensor:
    """One product; an axis of size 1 that meets a larger one is broadcast."""
    x_sizes = dict(zip(x_term, x.dims, strict=True))
    y_sizes = dict(zip(y_term, y.dims, strict=True))
    for letter in set(x_term) & set(y_term):
        if x_sizes[letter] == 1 and y_sizes[letter] != 1:
            x, x_term = squeeze(x, x_term.index(letter)), x_term.replace(letter, "")
        elif y_sizes[letter] == 1 and x_sizes[letter] != 1:
            y, y_term = squeeze(y, y_term.index(letter)), y_term.replace(letter, "")
    return apply(Einsum(f"{x_term},{y_term}->{result}"), x, y)


def _rearranged(x: Tensor, term: str, result: str) -> Tensor:
    """A single operand summed over the letters that the result lacks, the others in its order."""
    if term == result:
        return x
    if not set(result) <= set(term) or len(set(result)) != len(result):
        raise ShapeError(f'einsum: "{result}" holds letters that no operand has, or repeats one')
    summed = tuple(a for a, letter in enumerate(term) if letter not in result)
    left = [letter for letter in term if letter in result]
    y = reduce_sum(x, summed) if summed else x
    return transpose(y, [left.index(letter) for letter in result])


@operation
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of a diagonal."""
    return reduce_sum(diagonal(as_tensor(x), offset, axis1, axis2), -1)
