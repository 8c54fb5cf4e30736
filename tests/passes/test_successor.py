"""What takes a graph's place is the graph itself where nothing has changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphc.ir import Graph, Location, TensorType, as_text, parse
from graphc.ir.verify import verify
from graphc.ops.control import Scan
from graphc.ops.elementwise import Exp, Neg
from graphc.passes import Decompose, drop_dead, fold, share_common, simplify
from graphc.passes.barriers import drop_barriers
from graphc.passes.hoist import hoist
from graphc.passes.merge_scans import merge_scans
from graphc.passes.prune_scans import prune_scans
from graphc.passes.sources import separate_sources
from graphc.passes.successor import Successor
from graphc.passes.windows import expose_windows

_TYPE = TensorType((2,), "float32")

PASSES: list[Callable[[Graph], Graph]] = [
    *(simplify, share_common, drop_dead, fold, Decompose(), drop_barriers, merge_scans),
    *(prune_scans, separate_sources, expose_windows),
]


def settled() -> Graph:
    """A graph with a constant and a loop, both of which stay as they are."""
    step = Graph("step")
    h, x = (step.input(name, type) for name, type in zip("hx", [_TYPE, _TYPE], strict=True))
    step.outputs = {"h": Exp()(h) + x}
    graph = Graph("g")
    first = graph.input("h", _TYPE)
    steps = graph.input("x", _TYPE.with_shape((3, 2)))
    with graph.at(Location("layer", "file.py", 3)):
        (last,) = graph.apply(Scan(step, 1, 1), first, steps)
        graph.outputs = {"y": last + graph.constant([1.0, 2.0], "float32")}
    return graph


@pytest.mark.parametrize("transform", PASSES, ids=lambda x: getattr(x, "__name__", "decompose"))
def test_a_pass_that_changes_nothing_gives_its_graph(transform: Callable[[Graph], Graph]) -> None:
    graph = settled()
    assert transform(graph) is graph


@pytest.mark.parametrize("transform", [*PASSES, hoist])
def test_a_change_inside_a_loop_is_one(transform: Callable[[Graph], Graph]) -> None:
    graph = settled()
    (loop,) = (node for node in graph.nodes if isinstance(node.op, Scan))
    body = loop.op.body
    (h, x) = body.inputs
    Neg()(x)  # dead
    body.outputs = {"h": Neg()(Neg()(h)) + x}
    text = as_text(graph)
    result = transform(graph)
    verify(result)
    assert as_text(graph) == text
    (after,) = (node for node in result.nodes if isinstance(node.op, Scan))
    assert (result is graph) == (after.op.body is body)
    if transform is simplify:
        assert [node.op.name for node in after.op.body.nodes] == ["Add"]


def copied(graph: Graph) -> Successor:
    result = Successor(graph)
    for node in graph.nodes:
        result.repeat(node)
    return result


def test_every_difference_counts() -> None:
    graph = parse('graph "g" { input %x : float32[2] %a = Exp(%x) %b = Exp(%x) output y = %b }')
    a, b = graph.nodes
    assert copied(graph).finish() is graph
    crossed = copied(graph)
    crossed.put(b, crossed.of(a.outputs))
    result = crossed.finish()
    assert result is not graph and result.outputs["y"] is result.nodes[0].output
    longer = copied(graph)
    Neg()(longer.values[a.output])
    assert longer.finish() is not graph
    shorter = Successor(graph)
    shorter.repeat(b)
    assert shorter.finish() is not graph
    other = Successor(graph)
    other.repeat(a)
    other.repeat(b, Neg())
    assert [node.op.name for node in other.finish().nodes] == ["Exp", "Neg"]
    elsewhere = Successor(graph)
    elsewhere.repeat(a)
    with elsewhere.graph.at(Location("dense")):
        elsewhere.put(b, elsewhere.graph.repeat(b, b.op, tuple(elsewhere.of(b.inputs))))
    assert elsewhere.finish() is not graph


def test_a_special_graph_is_left_behind() -> None:
    class Special(Graph):
        pass

    graph = Special("g")
    graph.outputs = {"y": Exp()(graph.input("x", _TYPE))}
    assert type(copied(graph).finish()) is Graph
    assert type(drop_dead(graph)) is Graph


def test_a_node_that_is_repeated_leaves_no_location_behind() -> None:
    graph = settled()
    result = copied(graph)
    assert [node.location for node in result.graph.nodes] == [x.location for x in graph.nodes]
    assert result.graph.location == Location()
