"""Rules of contractions. See `graphc.passes.simplify`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.ir import Value
from graphc.ops.elementwise import Mul
from graphc.ops.linalg import Einsum
from graphc.ops.movement import Expand, Transpose, reshape_to
from graphc.passes.rewrite import Match, Rule


def _einsum(first: str, second: str, result: str, x: Value, y: Value) -> Value:
    return Einsum(f"{first},{second}->{result}")(x, y)


def _untransposed(letters: str, transposed: Value) -> str:
    """The letters of what was transposed, from those of the transpose."""
    assert isinstance(transposed.op, Transpose)
    inverse = transposed.op.inverse
    return "".join(letters[axis] for axis in inverse)


def _absorb_first(match: Match) -> Value:
    first, second, result = match.op.terms
    return _einsum(_untransposed(first, match["inner"]), second, result, match["x"], match["y"])


def _absorb_second(match: Match) -> Value:
    first, second, result = match.op.terms
    return _einsum(first, _untransposed(second, match["inner"]), result, match["x"], match["y"])


def _absorb_result(match: Match) -> Value:
    first, second, result = match.node("inner").op.terms
    order = "".join(result[axis] for axis in match.op.permutation)
    return _einsum(first, second, order, match["x"], match["y"])


def _shared(match: Match) -> str | None:
    return "the product is used elsewhere, too" if match.is_shared("inner") else None


# ------------------------------------------------------------------------------- axes that repeat


def _repeated(letters: str, value: Value, other: str, result: str) -> list[int]:
    """The axes of the result along which an operand repeats and the other has the elements.

    Axes that are summed stay: without one, the sum could be taken before the product.
    """
    if not isinstance(value.op, Expand):
        return []
    (x,) = value.operands
    padded = (1,) * (value.rank - x.rank) + x.shape
    return [
        axis
        for axis, letter in enumerate(letters)
        if padded[axis] == 1 and letter in other and letter in result
    ]


def _without(letters: str, value: Value, axes: Sequence[int]) -> tuple[str, Value]:
    """An operand that is repeated along some axes, without these."""
    if not axes:
        return letters, value
    (x,) = value.operands
    padded = (1,) * (value.rank - x.rank) + x.shape
    kept = [axis for axis in range(value.rank) if axis not in axes]
    inner = reshape_to(x, [padded[axis] for axis in kept])
    shape = tuple(value.shape[axis] for axis in kept)
    inner = inner if inner.shape == shape else Expand(shape)(inner)
    return "".join(letters[axis] for axis in kept), inner


def _repeats(match: Match) -> bool:
    first, second, result = match.op.terms
    x, y = match.inputs
    return bool(_repeated(first, x, second, result) or _repeated(second, y, first, result))


def _drop_repeats(match: Match) -> Value:
    first, second, result = match.op.terms
    x, y = match.inputs
    first, x = _without(first, x, _repeated(first, x, second, result))
    # What is gone from the first operand has to stay in the second.
    second, y = _without(second, y, _repeated(second, y, first, result))
    return _einsum(first, second, result, x, y)


# ------------------------------------------------------------------------------ products, not sums


def _summed_ones(match: Match) -> set[str]:
    """Letters of size 1 that are summed over."""
    first, second, result = match.op.terms
    sizes = zip(first + second, match.inputs[0].shape + match.inputs[1].shape, strict=True)
    return {letter for letter, size in sizes if size == 1 and letter not in result}


def _drop_ones(match: Match) -> Value:
    *terms, result = match.op.terms
    ones = _summed_ones(match)
    letters, operands = [], []
    for term, value in zip(terms, match.inputs, strict=True):
        kept = [axis for axis, letter in enumerate(term) if letter not in ones]
        letters.append("".join(term[axis] for axis in kept))
        operands.append(reshape_to(value, [value.shape[axis] for axis in kept]))
    return _einsum(letters[0], letters[1], result, operands[0], operands[1])


def _sums_nothing(match: Match) -> bool:
    first, second, result = match.op.terms
    return set(first) | set(second) == set(result)


def _aligned(letters: str, value: Value, result: str) -> Value:
    """An operand with its axes where the result has them, and axes of size 1 for the others."""
    order = sorted(range(len(letters)), key=lambda axis: result.index(letters[axis]))
    sizes = dict(zip(letters, value.shape, strict=True))
    moved = Transpose(tuple(order))(value) if order else value
    return reshape_to(moved, [sizes.get(letter, 1) for letter in result])


def _multiply(match: Match) -> Any:
    first, second, result = match.op.terms
    x, y = match.inputs
    return Mul()(_aligned(first, x, result), _aligned(second, y, result))


CONTRACTIONS = (
    Rule("transpose into first operand", "Einsum(inner:Transpose(x), y)", _absorb_first),
    Rule("transpose into second operand", "Einsum(x, inner:Transpose(y))", _absorb_second),
    Rule("transpose into result", "Transpose(inner:Einsum(x, y))", _absorb_result, refuse=_shared),
    Rule("einsum of one repeated", "Einsum(x, y)", _drop_repeats, when=_repeats),
    Rule(
        "einsum over axes of size 1",
        "Einsum(x, y)",
        _drop_ones,
        when=lambda match: bool(_summed_ones(match)),
    ),
    Rule("einsum without a sum", "Einsum(x, y)", _multiply, when=_sums_nothing),
)
