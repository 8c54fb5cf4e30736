"""Rules of ops that arrange elements, and of reductions. See `graphc.passes.simplify`."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir import Value, is_float, numpy_dtype
from graphc.ir.dims import Dim, Shape, product
from graphc.ops.elementwise import Mul
from graphc.ops.movement import Concat, Expand, Reshape, Reverse, Slice, Transpose, reshape_to
from graphc.passes.rewrite import Match, Rule

# ---------------------------------------------------------------------------- Expand and Reshape


def _same_type(match: Match) -> bool:
    return match.type == match["x"].type


def _is_uniform(match: Match) -> bool:
    """Whether a constant array has one element many times, bit by bit."""
    array = match.op.value.array
    if array.ndim == 0 or array.size < 2:
        return False
    # Compared as bytes: 0.0 is not -0.0, and NaN is NaN.
    data = np.frombuffer(array.tobytes(), np.uint8).reshape(array.size, -1)
    return bool(np.all(data == data[0]))


def _expanded_scalar(match: Match) -> Value:
    array = match.op.value.array
    return Expand(array.shape)(match.graph.constant(array.ravel()[0]))


def _same_size(match: Match) -> bool:
    return match["x"].type.size == match.type.size


def _to_shape(match: Match) -> Any:
    return Reshape(match.type.shape)(match["x"])


def _expand_x(match: Match) -> Any:
    return Expand(match.type.shape)(match["x"])


def _adds_leading_axes(match: Match) -> bool:
    x, reshaped = match["x"], match["inner"]
    return reshaped.shape == (1,) * (reshaped.rank - x.rank) + x.shape


def _one_element(match: Match) -> bool:
    return match["x"].type.size == 1


def _expand_scalar(match: Match) -> Any:
    return Expand(match.type.shape)(reshape_to(match["x"], ()))


# ------------------------------------------------------------------------------------- Transpose


def _is_identity(match: Match) -> bool:
    return match.op.permutation == tuple(range(match["x"].rank))


def _moves_ones_only(match: Match) -> bool:
    """Whether the axes longer than 1 keep their order, so that no element moves."""
    long = [axis for axis in match.op.permutation if match["x"].shape[axis] != 1]
    return long == sorted(long)


def _transpose_once(match: Match) -> Any:
    inner = match.node("inner").op.permutation
    return Transpose(tuple(inner[axis] for axis in match.op.permutation))(match["x"])


def _transpose_before_expand(match: Match) -> Any:
    x, expanded = match["x"], match["inner"]
    x = reshape_to(x, (1,) * (expanded.rank - x.rank) + x.shape)
    return Expand(match.type.shape)(Transpose(match.op.permutation)(x))


# --------------------------------------------------------------------- Slice, Pad, Concat, Reverse


def _slice_once(match: Match) -> Any:
    inner = match.node("inner").op
    starts, stops, steps = [], [], []
    for axis, size in enumerate(match.type.shape):
        step = inner.steps[axis]
        start = inner.starts[axis] + match.op.starts[axis] * step
        starts.append(start)
        steps.append(step * match.op.steps[axis])
        # The end is put right behind the last element, so it never lies outside.
        empty = isinstance(size, int) and size == 0
        stops.append(start if empty else start + (size - 1) * steps[-1] + 1)
    return Slice(tuple(starts), tuple(stops), tuple(steps))(match["x"])


def _part_of_concat(match: Match) -> tuple[Value, Dim] | None:
    """The operand of the Concat that a Slice lies within, and where the operand begins."""
    axis = match.node("inner").op.axis
    start, stop = match.op.starts[axis], match.op.stops[axis]
    begin: Dim = 0
    for value in match.node("inner").inputs:
        before, after = start - begin, begin + value.shape[axis] - stop
        if all(isinstance(gap, int) and gap >= 0 for gap in (before, after)):
            return value, begin
        begin = begin + value.shape[axis]
    return None


def _slice_of_part(match: Match) -> Any:
    part = _part_of_concat(match)
    assert part is not None
    value, begin = part
    axis = match.node("inner").op.axis
    starts, stops = list(match.op.starts), list(match.op.stops)
    starts[axis], stops[axis] = starts[axis] - begin, stops[axis] - begin
    return Slice(tuple(starts), tuple(stops), match.op.steps)(value)


def _flat_operands(match: Match) -> list[Value]:
    """The operands of a Concat with those of Concats among them, without empty ones."""
    operands: list[Value] = []
    for value in match.inputs:
        nested = isinstance(value.op, Concat) and value.op.axis == match.op.axis
        parts = value.operands if nested else (value,)
        operands += [part for part in parts if part.shape[match.op.axis] != 0]
    return operands or [match.inputs[0]]


def _concat_flat(match: Match) -> Any:
    return match.graph.apply(match.op, *_flat_operands(match))


def _reversed_axes(match: Match) -> tuple[int, ...]:
    shape = match["x"].shape
    return tuple(sorted({axis for axis in match.op.axes if shape[axis] != 1}))


def _reverse_once(match: Match) -> Any:
    axes = set(match.op.axes) ^ set(match.node("inner").op.axes)
    return Reverse(tuple(sorted(axes)))(match["x"])


def _sizes(match: Match) -> list[Dim]:
    return [match["x"].shape[axis] for axis in match.op.axes]


# ------------------------------------------------------------------------------------ reductions

#: Reductions that leave a single element as it is.
_IDEMPOTENT = ("ReduceSum", "ReduceMean", "ReduceProd", "ReduceMax", "ReduceMin")


def _reduces_ones(match: Match) -> bool:
    shape = match["x"].shape
    return match.op.name in _IDEMPOTENT and (
        not match.op.axes or any(shape[axis] == 1 for axis in match.op.axes)
    )


def _reduce_without_ones(match: Match) -> Value:
    x, op = match["x"], match.op
    dropped = [axis for axis in op.axes if x.shape[axis] == 1]
    kept = [axis for axis in range(x.rank) if axis not in dropped]
    axes = tuple(place for place, axis in enumerate(kept) if axis in op.axes)
    y = reshape_to(x, [x.shape[axis] for axis in kept])
    if axes:
        y = type(op)(axes, False)(y)
    return reshape_to(y, match.type.shape)


def _repeats_only(match: Match) -> bool:
    """Whether every reduced axis is one along which an Expand repeats."""
    x, expanded = match["x"], match["inner"]
    padded = (1,) * (expanded.rank - x.rank) + x.shape
    return bool(match.op.axes) and all(padded[axis] == 1 for axis in match.op.axes)


def _count(match: Match) -> Dim:
    return product(match["inner"].shape[axis] for axis in match.op.axes)


def _unknown_count(match: Match) -> str | None:
    count = _count(match)
    if not isinstance(count, int):
        return f"the number of elements, {count}, is not known and may be 0"
    if count == 0:
        return "there are no elements"
    dtype = match.type.dtype
    if match.op.name == "ReduceSum" and is_float(dtype):
        with np.errstate(over="ignore"):
            if float(np.asarray(count).astype(numpy_dtype(dtype))) != count:
                return f"{count} is no {dtype}"
    return None


def _once(match: Match) -> Value:
    """What the Expand repeats, in the shape of the result."""
    shape: Shape = tuple(
        1 if axis in match.op.axes else dim for axis, dim in enumerate(match["inner"].shape)
    )
    y = match["x"] if match["x"].shape == shape else Expand(shape)(match["x"])
    return reshape_to(y, match.type.shape)


def _times_count(match: Match) -> Any:
    return Mul()(_once(match), match.constant(_count(match)))


# ----------------------------------------------------------------------------------------- rules

MOVEMENT = (
    Rule("constant of equal elements", "Constant", _expanded_scalar, when=_is_uniform),
    Rule("expand to its own shape", "Expand(x)", "x", when=_same_type),
    Rule("expand that repeats nothing", "Expand(x)", _to_shape, when=_same_size),
    Rule("expand of an expand", "Expand(Expand(x))", _expand_x),
    Rule("expand of new axes", "Expand(inner:Reshape(x))", _expand_x, when=_adds_leading_axes),
    Rule("reshape to its own shape", "Reshape(x)", "x", when=_same_type),
    Rule("reshape of a reshape", "Reshape(Reshape(x))", _to_shape),
    Rule("reshape of one repeated", "Reshape(Expand(x))", _expand_scalar, when=_one_element),
    Rule("transpose of nothing", "Transpose(x)", "x", when=_is_identity),
    Rule("transpose of axes of size 1", "Transpose(x)", _to_shape, when=_moves_ones_only),
    Rule("transpose of a transpose", "Transpose(inner:Transpose(x))", _transpose_once),
    Rule("transpose before expand", "Transpose(inner:Expand(x))", _transpose_before_expand),
    Rule("slice of everything", "Slice(x)", "x", when=_same_type),
    Rule("slice of a slice", "Slice(inner:Slice(x))", _slice_once),
    Rule(
        "slice of one part",
        "Slice(inner:Concat)",
        _slice_of_part,
        when=lambda match: _part_of_concat(match) is not None,
    ),
    Rule("pad by nothing", "Pad(x)", "x", when=_same_type),
    Rule("concat of one", "Concat(x)", "x"),
    Rule(
        "concat of parts",
        "Concat",
        _concat_flat,
        when=lambda match: _flat_operands(match) != list(match.inputs),
    ),
    Rule("reverse nothing", "Reverse(x)", "x", when=lambda match: not match.op.axes),
    Rule(
        "reverse of axes of size 1",
        "Reverse(x)",
        lambda match: Reverse(_reversed_axes(match))(match["x"]),
        when=lambda match: _reversed_axes(match) != match.op.axes,
    ),
    Rule("reverse of a reverse", "Reverse(inner:Reverse(x))", _reverse_once),
    Rule(
        "size that is known",
        "Size(x)",
        lambda match: match.constant(product(_sizes(match))),
        when=lambda match: all(isinstance(size, int) for size in _sizes(match)),
    ),
)

REDUCTIONS = (
    Rule("reduce axes of size 1", "Reduction(x)", _reduce_without_ones, when=_reduces_ones),
    Rule(
        "sum of one repeated",
        "ReduceSum(inner:Expand(x))",
        _times_count,
        when=_repeats_only,
        refuse=_unknown_count,
    ),
    Rule(
        "reduce one repeated",
        "Reduction(inner:Expand(x))",
        _once,
        when=lambda match: (
            match.op.name in ("ReduceMean", "ReduceMax", "ReduceMin") and _repeats_only(match)
        ),
        refuse=_unknown_count,
    ),
)
