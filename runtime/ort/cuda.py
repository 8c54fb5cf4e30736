"""What CUDA's provider lacks, said with what it has.

It has no kernels for bits, of which random numbers are made, none for recurrent layers but the
usual ones, none for Celu, and none for transposed convolutions with more padding on one side.
Shifts become products and quotients, an exclusive or becomes the lookup of each byte in a table.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from graphc.ir import Graph, Op, Value
from graphc.ops.elementwise import cast
from graphc.ops.gather import Gather
from graphc.ops.movement import Slice, Split, reshape_to
from graphc.ops.recurrent import GRU, LSTM, Recurrent, SimpleRNN
from graphc.passes import Decompose
from graphc.passes.report import Report
from graphc.passes.rewrite import Match, Rule, rewrite

_WORD = 2**32
_NO_KERNELS = ("Celu", "Threefry")


def has_kernel(op: Op) -> bool:
    """Whether CUDA's provider computes a composite op as a whole."""
    if isinstance(op, (LSTM, GRU)):
        usual = (op.activation, op.recurrent_activation) == ("tanh", "sigmoid")
        return usual and (isinstance(op, LSTM) or op.reset_after)
    if isinstance(op, SimpleRNN):
        return op.activation in ("tanh", "relu")
    return not isinstance(op, Recurrent) and op.name not in _NO_KERNELS


#: The pass that expands what has no kernel.
expand = Decompose(has_kernel)


def replace_missing(graph: Graph, report: Report | None = None) -> Graph:
    """The graph without what CUDA's provider lacks.

    Args:
        graph: Any graph; it stays as it is.
        report: Told what was replaced.
    """
    return rewrite(graph, _RULES, report)


def _is_word(match: Match) -> bool:
    return match.type.dtype == "uint32"


def _power(match: Match) -> Value:
    """Two to the power of a constant distance."""
    distance = match["c"].constant
    assert distance is not None
    return match.constant(np.left_shift(np.ones_like(distance), distance))


def _is_rotation(match: Match) -> bool:
    """Whether what is joined are the two parts of a word, so that no bit is in both."""
    up, down = match["a"].constant, match["b"].constant
    assert up is not None and down is not None
    whole = up.ndim == down.ndim == 0 and int(up) * int(down) == _WORD
    return whole and _is_word(match)


def _exclusive_or(match: Match) -> Value:
    """The exclusive or of each pair of bytes is looked up, and the bytes joined again."""
    x, y = match["x"], match["y"]
    rank = max(x.rank, y.rank)
    places = match.constant(2 ** (8 * np.arange(4, dtype=np.uint64)).reshape(4, *[1] * rank))
    pair = _bytes(x, places) * 256 + _bytes(y, places)
    numbers = np.arange(256, dtype=np.uint32)
    table = match.constant(np.bitwise_xor.outer(numbers, numbers).reshape(-1))
    looked_up = Gather(0)(table, cast(pair, "int32")) * places
    first, second, third, fourth = Split(0, 4)(looked_up)
    return reshape_to(first + second + (third + fourth), match.type.shape)


def _bytes(x: Value, places: Value) -> Value:
    """The bytes of words along a new first axis, the lowest one first."""
    shape = (*[1] * (places.rank - x.rank), *x.shape)
    shifted = reshape_to(x, shape) / places
    return shifted - shifted / 256 * 256


def _is_uneven(match: Match) -> bool:
    return any(before != after for before, after in match.op.padding)


def _cut_off_padding(match: Match) -> Value:
    """A transposed convolution without padding, and a Slice of what is inside."""
    op = match.op
    spatial = tuple(
        size + before + after for size, (before, after) in zip(op.spatial, op.padding, strict=True)
    )
    none = tuple((0, 0) for _ in op.padding)
    x = dataclasses.replace(op, padding=none, spatial=spatial)(match["y"], match["k"])
    first = 1 if op.layout == "last" else 2
    starts, stops = [0] * x.rank, list(x.shape)
    for axis, ((before, _), size) in enumerate(zip(op.padding, op.spatial, strict=True)):
        starts[first + axis] = before
        stops[first + axis] = before + size
    return Slice(tuple(starts), tuple(stops), (1,) * x.rank)(x)


_RULES = (
    Rule("shift left", "ShiftLeft(x, #c)", lambda m: m["x"] * _power(m)),
    Rule("shift right", "ShiftRight(x, #c)", lambda m: m["x"] / _power(m)),
    Rule("rotate", "BitwiseOr(l:Mul(x, #a), r:Div(x, #b))", "Add(l, r)", when=_is_rotation),
    Rule("exclusive or", "BitwiseXor(x, y)", _exclusive_or, when=_is_word),
    Rule("uneven padding", "ConvTranspose(y, k)", _cut_off_padding, when=_is_uneven),
)
