"""Reverse-mode differentiation: the rules are in the ops, the sweep is here.

The sweep walks a graph's nodes backwards and appends the gradient's nodes to the same graph, so a
gradient is an ordinary part of it and can be differentiated again.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from graphc.errors import GraphError
from graphc.ir import Node, Value, is_float, is_inexact
from graphc.ir.graph import filled
from graphc.ops.reduce import sum_to
from graphc.reference import decomposition


def gradients(
    outputs: Mapping[Value, Value] | Value,
    wrt: Sequence[Value],
    nodes: Sequence[Node] | None = None,
) -> list[Value | None]:
    """The derivatives of outputs with respect to some values.

    Args:
        outputs: A scalar to differentiate; or several values, each with its cotangent (a value of
            the same type that weighs its elements).
        wrt: Values of the same graph: inputs or intermediate results.
        nodes: The nodes to differentiate through, in order; None for all nodes of the graph.

    Returns:
        For each of ``wrt`` the derivative of the (weighted) sum of the outputs, of the same type;
        None where no differentiable path leads from it to an output.

    Raises:
        GraphError: A single output that is no floating-point scalar.

    Example:
        >>> (dw,) = gradients(loss, [w])
    """
    if isinstance(outputs, Value):
        if outputs.rank != 0 or not is_float(outputs.dtype):
            raise GraphError(
                f"only a floating-point scalar has a gradient without cotangents, "
                f"not {outputs.type}"
            )
        outputs = {outputs: filled(outputs.graph, outputs.type, 1)}
    if not wrt:
        return []
    return _sweep(wrt[0].graph.nodes if nodes is None else nodes, outputs, wrt)


def _sweep(
    nodes: Sequence[Node], outputs: Mapping[Value, Value], wrt: Sequence[Value]
) -> list[Value | None]:
    """The derivatives of outputs through some nodes, walked backwards."""
    cotangents: dict[Value, Value] = dict(outputs)
    for node in reversed(_dependent_nodes(nodes, wrt)):
        dys = [cotangents.get(value) for value in node.outputs]
        if all(dy is None for dy in dys) or not node.op.differentiable:
            continue
        with wrt[0].graph.at(node.location):
            _accumulate(node, _node_gradient(node, dys), cotangents)
    return [cotangents.get(value) for value in wrt]


def _dependent_nodes(nodes: Sequence[Node], wrt: Sequence[Value]) -> list[Node]:
    """The nodes, in order, that depend on any of ``wrt`` through floating-point values."""
    reached = set(wrt)
    dependent = []
    for node in nodes:
        if any(value in reached for value in node.inputs):
            dependent.append(node)
            reached.update(value for value in node.outputs if is_inexact(value.dtype))
    return dependent


def _node_gradient(node: Node, dys: Sequence[Value | None]) -> Sequence[Value | None]:
    if node.op.bodies:
        return node.op.gradient(node, *dys, sweep=gradients)
    if node.op.has_rule("gradient"):
        return node.op.gradient(node, *dys)
    return _gradient_through_decomposition(node, dys)


def _gradient_through_decomposition(
    node: Node, dys: Sequence[Value | None]
) -> Sequence[Value | None]:
    """Differentiate the simpler ops that a composite op is made of, placed into the same graph."""
    graph = node.inputs[0].graph
    parts = decomposition(node.op, [value.type for value in node.inputs])
    # Each operand gets a position of its own: one value may be an operand twice.
    first = len(graph.nodes)
    results = list(graph.inline(parts, list(node.inputs)).values())
    seeds: dict[Value, Value] = {}
    for value, dy in zip(results, dys, strict=True):
        if dy is not None:
            seeds[value] = seeds[value] + dy if value in seeds else dy
    # Only through the parts: one operand may depend on another, but that is no business of theirs.
    distinct = list(dict.fromkeys(node.inputs))
    found = dict(zip(distinct, _sweep(graph.nodes[first:], seeds, distinct), strict=True))
    # An operand that occurs twice has its whole gradient already: give it to one place only.
    return [found.pop(value, None) for value in node.inputs]


def _accumulate(node: Node, dxs: Sequence[Value | None], cotangents: dict[Value, Value]) -> None:
    for value, dx in zip(node.inputs, dxs, strict=True):
        if dx is None or not is_inexact(value.dtype):
            continue
        dx = sum_to(dx, value.shape)
        cotangents[value] = cotangents[value] + dx if value in cotangents else dx


def __getattr__(name: str) -> Any:
    """TensorFlow's classes of this module, loaded when first used."""
    homes = {"ForwardAccumulator": "graphc.eager.forward", "GradientTape": "graphc.eager.tape"}
    if name in homes:
        return getattr(importlib.import_module(homes[name]), name)
    raise AttributeError(f"module 'graphc.autodiff' has no attribute {name!r}")
