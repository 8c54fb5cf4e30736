"""Folding constants: what depends on nothing but constants is computed once, while compiling.

Before::

    graph "g" {
      input %x : float32[2]
      %0 = Constant() {value=float32[2](1.0, 4.0)} : float32[2]
      %1 = Sqrt(%0) : float32[2]
      %2 = Mul(%x, %1) : float32[2]
      output y = %2
    }

After::

    graph "g" {
      input %x : float32[2]
      %0 = Constant() {value=float32[2](1.0, 2.0)} : float32[2]
      %1 = Mul(%x, %0) : float32[2]
      output y = %1
    }

The reference interpreter computes the value. An Expand or an Iota stays as it is, since a formula
is smaller than a table. Results larger than all that went in are folded up to `SIZE_LIMIT`
elements.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import reference
from graphc.ir import Graph, Op, TensorType, Value
from graphc.ir.dims import SymbolicDim
from graphc.ops.movement import Expand
from graphc.passes.report import Report
from graphc.passes.rewrite import Match, Rule, rewrite

#: A folded result may always have this many elements.
SIZE_LIMIT = 1024


def fold(graph: Graph, report: Report | None = None) -> Graph:
    """The graph with constant expressions computed.

    Args:
        graph: Any graph; it stays as it is.
        report: Told what was folded, and what was too large.
    """
    return rewrite(graph, (FOLD,), report)


def _known(value: Value) -> np.ndarray | None:
    """The array of a constant, or of one that is broadcast to a moderate size."""
    array = value.constant
    if array is not None:
        return array
    size = _known_size(value.type)
    if value.node is None or not isinstance(value.op, Expand) or size is None or size > SIZE_LIMIT:
        return None
    array = value.node.inputs[0].constant
    if array is None:
        return None
    return reference.apply(value.op, array)[0]


def _is_constant(match: Match) -> bool:
    op = match.op
    return (
        bool(match.inputs)
        and not isinstance(op, Expand)
        and all(_known(value) is not None for value in match.inputs)
        and not _has(op, (SymbolicDim, Graph))
        and all(_known_size(type) is not None for type in match.types)
    )


def _known_size(type: TensorType) -> int | None:
    """The number of elements; None if any dimension is symbolic, even beside a 0."""
    size = type.size
    return size if isinstance(size, int) and not _contains(type.shape, SymbolicDim) else None


def _has(op: Op, kinds: tuple[type, ...]) -> bool:
    """Whether an attribute, or a part of one, is of one of these classes."""
    return any(_contains(value, kinds) for value in op.attributes.values())


def _contains(value: Any, kinds: type | tuple[type, ...]) -> bool:
    if isinstance(value, tuple):
        return any(_contains(part, kinds) for part in value)
    return isinstance(value, kinds)


def _too_large(match: Match) -> str | None:
    result = sum(int(type.size) for type in match.types)
    operands = sum(array.size for array in _operands(match))
    if result <= max(SIZE_LIMIT, operands):
        return None
    return f"the result has {result} elements, more than {operands} of the operands"


def _operands(match: Match) -> list[np.ndarray]:
    return [array for array in map(_known, match.inputs) if array is not None]


def _evaluate(match: Match) -> tuple[Value, ...]:
    results = reference.apply(match.op, *_operands(match))
    return tuple(
        match.graph.constant(np.asarray(result), type.dtype)
        for result, type in zip(results, match.types, strict=True)
    )


def _fold(match: Match) -> Any:
    results = _evaluate(match)
    return results[0] if len(match.types) == 1 else results


FOLD = Rule("constant folding", "Op", _fold, when=_is_constant, refuse=_too_large)
