"""How long NumPy would take: what is too much for it is compiled."""

from __future__ import annotations

import math

from graphc.ir import Graph, Node, Value, dims
from graphc.ops.call import Checkpoint, CustomGradient
from graphc.ops.control import Scan, WhileLoop
from graphc.ops.conv import Conv, ConvKernelGradient, ConvTranspose
from graphc.ops.elementwise import Erf, Pow
from graphc.ops.linalg import Einsum
from graphc.ops.pool import (
    AveragePool,
    AveragePoolGradient,
    MaxPool,
    MaxPoolGradient,
    MaxPoolPick,
)
from graphc.ops.random import Dropout
from graphc.ops.recurrent import Recurrent
from graphc.ops.special import Erfc, Erfinv
from graphc.reference import decomposition

#: From here on a graph is compiled: it takes a tenth of a second to, at first.
TOO_MUCH = 5e6

#: Graphs that are an op for the sake of their gradient: they are computed as what is in them.
BY_PARTS = (Checkpoint, CustomGradient)

_CONVOLUTIONS = (Conv, ConvTranspose, ConvKernelGradient)
_POOLS = (MaxPool, MaxPoolGradient, MaxPoolPick, AveragePool, AveragePoolGradient)
_SLOW_FUNCTIONS = (Erf, Erfc, Erfinv)


def effort(graph: Graph) -> float:
    """Roughly the nanoseconds that NumPy takes for a graph of known sizes.

    It depends on the ops and on sizes alone, so that one call is computed the same way as the next.
    """
    return sum(map(_effort_of, graph.nodes))


def _effort_of(node: Node) -> float:
    op = node.op
    results = sum(map(_size, node.outputs))
    if isinstance(op, Einsum):
        first, second, _ = op.terms
        shapes = (*node.inputs[0].shape, *node.inputs[1].shape)
        sizes = dict(zip(first + second, dims.known(shapes), strict=True))
        return 0.25 * math.prod(sizes.values())
    if isinstance(op, _CONVOLUTIONS):
        return 2.0 * _products(node)
    if isinstance(op, _POOLS):
        smaller = min(map(_size, (*node.inputs, *node.outputs)))
        return 60.0 * smaller * math.prod(op.window)
    if isinstance(op, Recurrent):
        x, *weights = node.inputs
        steps = _size(x) / max(int(x.shape[-1]), 1)
        return 1.5 * steps * sum(_size(w) for w in weights if w.rank == 2)
    if isinstance(op, Scan):
        steps = int(op.step_count([value.type for value in node.inputs]))
        return steps * _effort_of_body(op.body)
    if isinstance(op, WhileLoop):
        return 10 * sum(map(_effort_of_body, op.bodies))
    if isinstance(op, _SLOW_FUNCTIONS):
        return 250.0 * results
    if isinstance(op, Pow):
        return 20.0 * results
    if isinstance(op, Dropout):
        return 2.0 * results  # in native code that serves all sizes
    if isinstance(op, BY_PARTS) or (not op.has_rule("evaluate") and op.has_rule("decompose")):
        return effort(decomposition(op, [value.type for value in node.inputs]))
    return 2.0 * results


def _effort_of_body(graph: Graph) -> float:
    return effort(graph) + 5e3 * len(graph.nodes)


def _products(node: Node) -> float:
    """The multiplications of a convolution: each element of y, the other side's image, with the
    elements of the kernel that lead to it.
    """
    if isinstance(node.op, ConvKernelGradient):
        y, kernel = node.inputs[1], node.outputs[0]
    elif isinstance(node.op, Conv):
        y, kernel = node.outputs[0], node.inputs[1]
    else:
        y, kernel = node.inputs
    return _size(y) * _size(kernel) / max(int(kernel.shape[-1]), 1)


def _size(value: Value) -> int:
    return int(value.type.size)
