"""Hoisting: what each step of a scan would compute alike is computed once, before the scan.

Before, with a body in which ``%kernel`` is a constant, read against the order of its memory::

    %0 = Scan(%h, %kernel) {... h = Einsum(%h, %kernel) {equation="bo,io->bi"}}

After::

    %0 = Transpose(%kernel) {permutation=[1, 0]}
    %1 = Scan(%h, %0) {... h = Einsum(%h, %0) {equation="bo,oi->bi"}}

A kernel reads rows of the factor that has the last axis of the result; where a row is not in one
piece it would rearrange the factor in every step. Other ops go as well if all they read
is constant, unless their results are larger than their operands, or are nothing but a view.
"""

from __future__ import annotations

import dataclasses
import itertools

from graphc.ir import Graph, Node, Value, extract
from graphc.ops.control import Scan
from graphc.ops.linalg import Einsum
from graphc.ops.movement import Constant, Reshape, Slice, Transpose
from graphc.passes.report import Report
from graphc.passes.successor import Successor

#: What kernels read in place.
_VIEWS = (Constant, Reshape, Slice)


def hoist(graph: Graph, report: Report | None = None) -> Graph:
    """The graph with what does not change from step to step in front of its scans.

    Args:
        graph: Any graph; it stays as it is.
        report: Told what was moved.
    """
    result = Successor(graph)
    for node in graph.nodes:
        op = node.op.map_bodies(lambda body: hoist(body, report))
        if not isinstance(op, Scan):
            result.repeat(node, op)
            continue
        first = op.carries + op.sequences
        body = _turned(op.body, first)
        moved = _moved(body, first)
        operands = result.of(node.inputs)
        constants = {value.name: value for value in body.inputs[first:]}
        before = extract(body, body.name, constants, {f"y{i}": x for i, x in enumerate(moved)})
        with result.graph.at(node.location):
            operands += result.graph.inline(before, operands[first:]).values()
            shorter = dataclasses.replace(op, body=_shortened(body, moved))
            result.put(node, result.graph.apply(shorter, *operands))
        if report is not None:
            for value in moved:
                report.apply(f"hoist {value.op.name}", node.location)  # type: ignore[union-attr]
    return result.finish()


def _turned(body: Graph, first: int) -> Graph:
    """The body with constant factors whose summed axes do not come first transposed."""
    result = Successor(body)
    constants = set(body.inputs[first:])
    for node in body.nodes:
        if not isinstance(node.op, Einsum) or constants.isdisjoint(node.inputs):
            result.repeat(node)
            continue
        *terms, out = node.op.terms
        factors = result.of(node.inputs)
        for place, value in enumerate(node.inputs):
            letters = terms[place]
            summed = "".join(letter for letter in letters if letter not in out)
            kept = "".join(letter for letter in out if letter in letters)
            is_matrix = out[-1:] in letters and letters[-1:] in summed
            if value in constants and summed and kept and is_matrix:
                order = [letters.index(letter) for letter in summed + kept]
                with result.graph.at(node.location):
                    factors[place] = Transpose(tuple(order))(factors[place])
                terms[place] = summed + kept
        with result.graph.at(node.location):
            result.put(node, Einsum(f"{','.join(terms)}->{out}")(*factors))
    return result.finish()


def _moved(body: Graph, first: int) -> list[Value]:
    """What can be computed before the scan, of what the steps read."""
    constant = set(body.inputs[first:])
    moved: dict[Value, None] = {}  # in order
    for node in body.nodes:
        if isinstance(node.op, Constant):
            constant.add(node.output)
        elif node.inputs and constant.issuperset(node.inputs) and _is_worth_moving(node):
            constant.update(node.outputs)
            if not isinstance(node.op, _VIEWS):
                moved.update(dict.fromkeys(node.outputs))
    read = {value for node in body.nodes if node.outputs[0] not in moved for value in node.inputs}
    read.update(body.outputs.values())
    return [value for value in moved if value in read]


def _is_worth_moving(node: Node) -> bool:
    sizes = [[value.type.size for value in values] for values in (node.inputs, node.outputs)]
    if node.op.bodies or not all(isinstance(size, int) for size in (*sizes[0], *sizes[1])):
        return False
    return sum(sizes[1]) <= sum(sizes[0])


def _shortened(body: Graph, moved: list[Value]) -> Graph:
    """The body with further inputs for what was moved."""
    inputs = {value.name: value for value in body.inputs}
    names = (name for name in map("hoisted{}".format, itertools.count()) if name not in inputs)
    return extract(
        body, body.name, {**inputs, **dict(zip(names, moved, strict=False))}, body.outputs
    )
