"""What becomes of each kind of op when its operands get an axis of examples in front.

A rule takes a `Call` and returns the results, all with the axis; or None where it does not apply,
and then the op is decomposed or done one example at a time. See `graphc.passes.vectorize`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.ir import Node, Op, Value
from graphc.ir.dims import Dim
from graphc.ops.activation import _Activation
from graphc.ops.choice import Where
from graphc.ops.conv import Conv, ConvKernelGradient, ConvTranspose, _Convolution
from graphc.ops.cumulative import Cumulative
from graphc.ops.elementwise import cast
from graphc.ops.family import Elementwise, like
from graphc.ops.fourier import _Transform
from graphc.ops.gather import Gather, Scatter
from graphc.ops.linalg import Einsum
from graphc.ops.matrix import MatrixOp
from graphc.ops.movement import (
    Concat,
    Expand,
    Iota,
    Pad,
    Reshape,
    Reverse,
    Size,
    Slice,
    Split,
    Transpose,
    expand_to,
    reshape_to,
)
from graphc.ops.nn import BatchNormalization, LayerNormalization, _Softmax
from graphc.ops.pool import _Pool
from graphc.ops.recurrent import Recurrent
from graphc.ops.reduce import ArgMax, Reduction
from graphc.ops.sort import Sort

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Call:
    """One node whose operands got an axis of examples.

    Args:
        node: The node as it was for one example.
        operands: Its operands in the new graph.
        mapped: For each operand whether it has the axis.
        size: The number of examples.
    """

    node: Node
    operands: Sequence[Value]
    mapped: Sequence[bool]
    size: Dim

    @property
    def op(self) -> Any:
        """The op with its attributes."""
        return self.node.op

    def with_axis(self, place: int) -> Value:
        """An operand with the axis, repeated along it where all examples share it."""
        value = self.operands[place]
        return value if self.mapped[place] else expand_to(value, (self.size, *value.shape))

    def all_with_axis(self) -> list[Value]:
        """Every operand with the axis."""
        return [self.with_axis(place) for place in range(len(self.operands))]

    def only_mapped(self, *places: int) -> bool:
        """Whether no other operand than these has the axis."""
        return not any(flag for i, flag in enumerate(self.mapped) if i not in places)


Rule = Callable[[Call], Any]


def move_axis(x: Value, source: int, target: int) -> Value:
    """``x`` with one axis moved to another place."""
    if source == target:
        return x
    order = [axis for axis in range(x.rank) if axis != source]
    order.insert(target, source)
    return Transpose(tuple(order))(x)


def _joined(x: Value, axis: int) -> Value:
    """The axis of the examples made the outer part of another one (counted without it)."""
    moved = move_axis(x, 0, axis)
    shape = moved.shape
    size = shape[axis] * shape[axis + 1]
    return reshape_to(moved, (*shape[:axis], size, *shape[axis + 2 :]))


def _parted(x: Value, axis: int, count: Dim, size: Dim) -> Value:
    """The inverse of `_joined`, for ``count`` examples and ``size`` elements of each."""
    shape = (*x.shape[:axis], count, size, *x.shape[axis + 1 :])
    return move_axis(reshape_to(x, shape), axis, 0)


# ----------------------------------------------------------------- elementwise ops and reductions


def _elementwise(call: Call) -> Value:
    rank = call.node.output.rank
    aligned = []
    for value, mapped, own in zip(call.operands, call.mapped, call.node.inputs, strict=True):
        if mapped and own.rank < rank:
            gap = (1,) * (rank - own.rank)
            value = reshape_to(value, (call.size, *gap, *value.shape[1:]))
        aligned.append(value)
    return call.op(*aligned)


def _axes(call: Call) -> Value:
    axes = tuple(axis + 1 for axis in call.op.axes)
    return dataclasses.replace(call.op, axes=axes)(*call.operands)


def _axis(call: Call) -> Any:
    return dataclasses.replace(call.op, axis=call.op.axis + 1)(*call.all_with_axis())


def _leading(call: Call) -> Any:
    """An op for which all axes but the last ones are a batch anyhow."""
    return call.op(*call.all_with_axis())


def _size(call: Call) -> Value:
    size = dataclasses.replace(call.op, axes=tuple(axis + 1 for axis in call.op.axes))
    return expand_to(size(*call.operands), (call.size,))


def _first(rule: Rule) -> Rule:
    """A rule for where only the first operand has the axis."""
    return lambda call: rule(call) if call.only_mapped(0) else None


def _normalization(call: Call) -> Value:
    op = call.op
    shifted = (
        {"axis": op.axis + 1}
        if isinstance(op, BatchNormalization)
        else {"axes": tuple(axis + 1 for axis in op.axes)}
    )
    return dataclasses.replace(op, **shifted)(*call.operands)


# ---------------------------------------------------------------------------------------- movement


def _expand(call: Call) -> Value:
    (x,), shape = call.operands, call.op.shape
    gap = (1,) * (len(shape) + 1 - x.rank)
    return expand_to(reshape_to(x, (call.size, *gap, *x.shape[1:])), (call.size, *shape))


def _reshape(call: Call) -> Value:
    return reshape_to(call.operands[0], (call.size, *call.op.shape))


def _transpose(call: Call) -> Value:
    return Transpose((0, *[axis + 1 for axis in call.op.permutation]))(*call.operands)


def _slice(call: Call) -> Value:
    op: Slice = call.op
    return Slice((0, *op.starts), (call.size, *op.stops), (1, *op.steps))(*call.operands)


def _pad(call: Call) -> Value:
    op: Pad = call.op
    padded = Pad((0, *op.before), (0, *op.after), (0, *op.gaps), op.value)
    return padded(*call.operands)


# ----------------------------------------------------------------------------- gather and scatter


def _gather(call: Call) -> Value:
    """Each example's indices look into its own slices, which lie behind each other."""
    x, indices = call.operands
    axis = call.op.axis
    if not call.mapped[1]:
        return Gather(axis + 1)(x, indices)
    if not call.mapped[0]:
        return move_axis(call.op(x, indices), axis, 0)
    rows = _joined(move_axis(x, axis + 1, 1), 0)
    picked = Gather(0)(rows, _own_places(indices, x, axis + 1, call.size))
    return _moved_back(picked, call.node.inputs[1].rank, axis)


def _scatter(call: Call) -> Value:
    indices, y = call.operands
    axis, size = call.op.axis, call.op.size
    kind = type(call.op)
    if not call.mapped[0]:
        return kind(axis + 1, size)(indices, y)
    y = call.with_axis(1)
    rank = call.node.inputs[0].rank
    # The axes of the indices in front, behind that of the examples.
    order = [0, *range(axis + 1, axis + 1 + rank), *range(1, axis + 1)]
    order += range(axis + 1 + rank, y.rank)
    slices = Transpose(tuple(order))(y)
    line = indices.graph.apply(Iota((call.size, size), 1, "int32"))
    places = _own_places(indices, line, 1, call.size)
    total = kind(0, call.size * size)(places, slices)
    return move_axis(reshape_to(total, (call.size, size, *total.shape[1:])), 1, axis + 1)


def _own_places(indices: Value, x: Value, axis: int, count: Dim) -> Value:
    """Indices along an axis of ``x`` as rows of all examples' slices; what is outside stays so."""
    size = x.shape[axis]
    wide = cast(indices, "int64")
    length = like(wide, size) if isinstance(size, int) else Size((axis,), "int64")(x)
    zero = like(wide, 0)
    column: tuple[Dim, ...] = (count, *(1,) * (indices.rank - 1))
    example = indices.graph.apply(Iota(column, 0, "int64"))
    position = Where()(wide < zero, wide + length, wide)
    nowhere = like(wide, -(2**62))
    known = Where()(position < length, position + example * length, nowhere)
    return Where()(position >= zero, known, nowhere)


def _moved_back(picked: Value, rank: int, axis: int) -> Value:
    """[examples, indices, before, behind] to [examples, before, indices, behind]."""
    order = [0, *range(rank + 1, rank + 1 + axis), *range(1, rank + 1)]
    order += range(rank + 1 + axis, picked.rank)
    return Transpose(tuple(order))(picked)


# ------------------------------------------------------------------------ contractions and windows


def _einsum(call: Call) -> Value:
    first, second, result = call.op.terms
    letter = next(letter for letter in _LETTERS if letter not in first + second)
    first, second = (
        letter + term if mapped else term
        for term, mapped in zip((first, second), call.mapped, strict=True)
    )
    return Einsum(f"{first},{second}->{letter}{result}")(*call.operands)


def _convolution(call: Call) -> Value | None:
    """Images of all examples are one batch; where kernels differ, examples are groups."""
    op: _Convolution = call.op
    x, kernel = call.node.inputs
    result = call.node.output
    channel, last = (x.rank - 1 if op.layout == "last" else 1), x.rank - 1
    if isinstance(op, (Conv, ConvTranspose)) and call.only_mapped(0):
        joined = op(_joined(call.operands[0], 0), call.operands[1])
        return _parted(joined, 0, call.size, result.shape[0])
    if not isinstance(call.size, int) or call.size == 0:
        return None
    seconds, results = (channel, last) if isinstance(op, ConvKernelGradient) else (last, channel)
    second = _joined(call.with_axis(1), seconds)
    if call.only_mapped(1) and op.groups == 1 and not isinstance(op, ConvTranspose):
        together = op(call.operands[0], second)
    else:
        grouped = dataclasses.replace(op, groups=op.groups * call.size)
        together = grouped(_joined(call.with_axis(0), channel), second)
    return _parted(together, results, call.size, result.shape[results])


def _one_batch(call: Call) -> Value:
    """Images of all examples are one batch."""
    joined = call.op(*[_joined(value, 0) for value in call.all_with_axis()])
    return _parted(joined, 0, call.size, call.node.output.shape[0])


def _recurrent(call: Call) -> list[Value] | None:
    """Sequences of all examples are one batch, unless their kernels differ."""
    op: Recurrent = call.op
    places = op.operands(range(len(call.operands)))
    shared = (places.kernel, places.recurrent_kernel, places.bias)
    if any(call.mapped[place] for place in shared if place is not None):
        return None
    operands = []
    for place, value in enumerate(call.operands):
        if place not in shared:
            value = _joined(call.with_axis(place), 1 if place == places.dropout else 0)
        operands.append(value)
    batch = call.node.outputs[0].shape[0]
    return [_parted(value, 0, call.size, batch) for value in op(*operands)]


#: The rules, by class; a class without one takes that of the class it derives from.
RULES: dict[type[Op], Rule] = {
    Elementwise: _elementwise,
    _Activation: _elementwise,
    Reduction: _axes,
    ArgMax: _axis,
    _Softmax: _axis,
    BatchNormalization: _first(_normalization),
    LayerNormalization: _first(_normalization),
    Size: _size,
    Expand: _expand,
    Reshape: _reshape,
    Transpose: _transpose,
    Slice: _slice,
    Pad: _pad,
    Reverse: _axes,
    Concat: _axis,
    Split: _axis,
    Gather: _gather,
    Scatter: _scatter,
    Sort: _axis,
    Cumulative: _axis,
    MatrixOp: _leading,
    _Transform: _leading,
    Einsum: _einsum,
    _Convolution: _convolution,
    _Pool: _one_batch,
    Recurrent: _recurrent,
}
