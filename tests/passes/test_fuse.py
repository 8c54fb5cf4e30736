"""Fusion: what becomes one kernel, what does not, and why."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphc import runtime
from graphc.errors import ShapeError
from graphc.ir import Graph, Location, TensorType, parse
from graphc.ir.verify import verify
from graphc.ops.cumulative import CumSum
from graphc.ops.logic import LessOrEqual
from graphc.ops.movement import Iota, Reshape
from graphc.passes import Decompose, Report
from graphc.passes.fuse import Fused, fuse
from graphc.passes.sources import separate_sources
from graphc.passes.space import NoSpaceError, analyse
from graphc.program import Program
from graphc.reference import evaluate
from tests.cpu.programs import BATCH, training_program
from tests.passes.graphs import graphs, inputs_of


def groups(graph: Graph) -> list[list[str]]:
    """For each node of the fused graph the ops in it, without constants."""
    found = []
    for node in fuse(graph).nodes:
        inner = node.op.body.nodes if isinstance(node.op, Fused) else [node]
        names = [x.op.name for x in inner if x.op.name != "Constant"]
        if names:
            found.append(names)
    return found


def parsed(text: str) -> Graph:
    return parse('graph "g" {\n' + text + "}\n")


def test_contraction_takes_its_consumers_in() -> None:
    graph = parsed(
        """
        input %x : float32[batch, 784]
        input %w : float32[784, 300]
        input %b : float32[300]
        %0 = Einsum(%x, %w) {equation="bi,io->bo"}
        %1 = Add(%0, %b)
        %2 = Relu(%1)
        output y = %2
        """
    )
    assert groups(graph) == [["Einsum", "Add", "Relu"]]
    report = Report()
    fuse(graph, report)
    assert report.applied == [
        "fusion of Einsum into Add float32[batch, 300]",
        "fusion of Add into Relu float32[batch, 300]",
    ]


def test_weight_gradient_never_reaches_memory() -> None:
    program = training_program((70, 90, 33, 10), "adam")
    graph = fuse(Decompose()(program.graph))
    for node in graph.nodes:
        for value in node.outputs:
            if value.shape == (70, 90):
                assert value in graph.outputs.values()


def test_softmax_is_one_row_group() -> None:
    graph = parsed(
        """
        input %x : float32[batch, 10]
        %0 = ReduceMax(%x) {axes=[1], keep=true}
        %1 = Sub(%x, %0)
        %2 = Exp(%1)
        %3 = ReduceSum(%2) {axes=[1], keep=true}
        %4 = Div(%2, %3)
        output y = %4
        """
    )
    assert groups(graph) == [["ReduceMax", "Sub", "Exp", "ReduceSum", "Div"]]


def test_what_cannot_share_loops_stays_apart() -> None:
    graph = parsed(
        """
        input %x : float32[batch, 10]
        %0 = ReduceMax(%x) {axes=[0, 1]}
        %1 = Sub(%x, %0)
        %2 = ReduceSum(%1) {axes=[0]}
        %3 = ReduceSum(%1) {axes=[1]}
        output y = %2
        output z = %3
        """
    )
    assert groups(graph) == [["ReduceMax"], ["Sub", "ReduceSum"], ["Sub", "ReduceSum"]]
    report = Report()
    fuse(graph, report)
    assert report.refused == {
        "fusion of ReduceMax into Sub float32[batch, 10]": (
            "a result of everything is needed before the next pass over everything"
        ),
        "fusion of Sub into ReduceSum float32[batch]": (
            "what one of them reduces is an axis of what the other one gives"
        ),
    }


def test_no_kernel_waits_for_itself() -> None:
    graph = parsed(
        """
        input %x : float32[batch, 4]
        %0 = Exp(%x)
        %1 = Reverse(%0) {axes=[0]}
        %2 = Add(%0, %1)
        output y = %2
        """
    )
    assert groups(graph) == [["Exp"], ["Reverse"], ["Add"]]
    report = Report()
    fuse(graph, report)
    assert any("needs the result first" in reason for reason in report.refused.values())


def test_factors_of_a_contraction_are_read_from_memory() -> None:
    graph = parsed(
        """
        input %x : float32[batch, 4]
        input %w : float32[4, 4]
        %0 = Exp(%x)
        %1 = Einsum(%0, %w) {equation="bi,io->bo"}
        %2 = Mul(%0, %1)
        %3 = Add(%2, %0)
        output y = %3
        """
    )
    assert groups(graph) == [["Exp"], ["Einsum", "Mul", "Add"]]
    report = Report()
    fuse(graph, report)
    assert any("from memory" in reason for reason in report.refused.values())


def test_masks_are_computed_where_they_are_used() -> None:
    graph = parsed(
        """
        input %x : float32[batch, 4]
        input %w : float32[4, 4]
        input %dy : float32[batch, 4]
        %zero = Constant() {value=float32[](0.0)}
        %0 = Relu(%x)
        %1 = Einsum(%dy, %w) {equation="bo,io->bi"}
        %2 = Einsum(%0, %w) {equation="bi,io->bo"}
        %3 = Greater(%0, %zero)
        %4 = Where(%3, %1, %zero)
        output a = %2
        output b = %4
        """
    )
    stored = [value.dtype for node in fuse(graph).nodes for value in node.outputs]
    assert "bool" not in stored


def test_a_factor_may_also_be_read_in_the_epilogue() -> None:
    # A residual connection; and a tensor that is both factors of a contraction.
    graph = parsed(
        """
        input %x : float32[batch, 4]
        input %w : float32[4, 4]
        %0 = Einsum(%x, %w) {equation="bi,io->bo"}
        %1 = Add(%0, %x)
        %2 = Einsum(%x, %x) {equation="bi,bo->io"}
        %3 = Add(%2, %w)
        output y = %1
        output z = %3
        """
    )
    assert groups(graph) == [["Einsum", "Add"], ["Einsum", "Add"]]


def test_sources_are_repeated_in_every_kernel() -> None:
    graph = parsed(
        """
        input %x : float32[batch, 3]
        %n = Size(%x) {axes=[0]}
        %0 = Iota() {shape=[batch, 3], axis=1, dtype="float32"}
        %1 = Div(%0, %n)
        %2 = Add(%x, %1)
        %3 = ReduceSum(%2) {axes=[0, 1]}
        %4 = Mul(%3, %2)
        output y = %4
        """
    )
    assert groups(graph) == [
        ["SizeOf", "Iota", "Div", "Add", "ReduceSum"],
        ["SizeOf", "Iota", "Div", "Add", "Mul"],
    ]


def test_what_is_cheap_is_computed_again_and_not_stored() -> None:
    # The gradient of a batch normalisation: sums over products with what is in memory anyway.
    graph = parsed(
        """
        input %x : float32[batch, 8, 16]
        input %w : float32[16, 16]
        input %scale : float32[16]
        %0 = Einsum(%x, %w) {equation="bpi,io->bpo"}
        %1 = Mul(%0, %scale)
        %2 = Mul(%0, %x)
        %3 = ReduceSum(%2) {axes=[0, 1]}
        %4 = ReduceSum(%0) {axes=[0, 1]}
        %5 = Add(%1, %3)
        output y = %5
        output z = %4
        """
    )
    assert groups(graph) == [["Einsum"], ["Mul", "ReduceSum"], ["ReduceSum"], ["Mul", "Add"]]
    report = Report()
    fuse(graph, report)
    assert "recomputation of Mul float32[batch, 8, 16]" in report.applied
    verify(fuse(graph))


def test_what_takes_more_bytes_to_compute_again_is_stored() -> None:
    graph = parsed(
        """
        input %x : float32[batch, 16]
        input %a : float32[batch, 16]
        input %b : float32[batch, 16]
        input %c : float32[batch, 16]
        %0 = Add(%x, %a)
        %1 = Add(%0, %b)
        %2 = Mul(%1, %c)
        %3 = Reverse(%x) {axes=[0]}
        %4 = ReduceSum(%2) {axes=[0, 1]}
        %5 = Mul(%4, %2)
        output y = %5
        output z = %3
        """
    )
    assert groups(graph)[:2] == [["Add", "Add", "Mul", "ReduceSum"], ["Reverse"]]
    report = Report()
    fuse(graph, report)
    assert report.refused["recomputation of Mul float32[batch, 16]"] == "it would move more bytes"


def test_dead_nodes_are_dropped() -> None:
    graph = parsed(
        """
        input %x : float32[3]
        %0 = Exp(%x)
        %1 = Neg(%x)
        output y = %1
        """
    )
    assert groups(graph) == [["Neg"]]


def test_fused_checks_its_operands() -> None:
    body = Graph("body")
    x = body.input("x", TensorType((BATCH,), "float32"))
    body.outputs["y"] = x + x
    graph = Graph("g")
    wrong = graph.input("x", TensorType((3,), "float32"))
    with pytest.raises(ShapeError, match="the body takes"):
        Fused(body)(wrong)


def test_one_loop_cannot_be_two_axes() -> None:
    graph = parsed(
        """
        input %x : float32[4, 4]
        %0 = Transpose(%x) {permutation=[1, 0]}
        %1 = Add(%x, %0)
        output y = %1
        """
    )
    space = analyse([graph.nodes[1]])
    assert len(space.dims) == 2
    diagonal = parsed(
        """
        input %x : float32[4]
        %0 = Einsum(%x, %x) {equation="i,j->ij"}
        output y = %0
        """
    )
    with pytest.raises(NoSpaceError, match="the same loop"):
        analyse(diagonal.nodes)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(graphs(), st.integers(0, 2**32 - 1))
def test_fusion_keeps_every_bit(graph: Graph, seed: int) -> None:
    inputs = inputs_of(graph, seed)
    fused = fuse(graph)
    verify(fused)
    expected, received = evaluate(graph, inputs), evaluate(fused, inputs)
    for name, array in expected.items():
        np.testing.assert_array_equal(received[name], array)


def test_what_holds_a_kernel_together_is_not_moved() -> None:
    """Noise beside a contraction, which only their product in another kernel brings together."""
    graph = parse("""
        graph "noise" {
          input %h : float32[batch, 8]
          input %a : float32[8, 2]
          input %b : float32[8, 2]
          input %k : uint32[]
          %0 = Einsum(%h, %a) {equation="mk,kn->mn"} : float32[batch, 2]
          %1 = Einsum(%h, %b) {equation="mk,kn->mn"} : float32[batch, 2]
          %2 = Iota() {shape=[batch, 2], dtype="int64"} : int64[batch, 2]
          %3 = Threefry(%2, %k, %k) : uint32[batch, 2]
          %4 = Cast(%3) {dtype="float32"} : float32[batch, 2]
          %5 = Exp(%1) : float32[batch, 2]
          %6 = Mul(%4, %5) : float32[batch, 2]
          %7 = Add(%0, %6) : float32[batch, 2]
          output sum = %7
          output noise = %4
          output exp = %5
        }""")
    rng = np.random.default_rng(0)
    sizes = {"h": (10, 8), "a": (8, 2), "b": (8, 2)}
    data = {name: rng.normal(size=size).astype("float32") for name, size in sizes.items()}
    data["k"] = np.array(3, "uint32")
    expected = evaluate(graph, data)
    received = runtime.compile(Program(graph), "cpu", 1).run(data, {})
    for name, array in expected.items():
        np.testing.assert_allclose(received[name], array, rtol=1e-4)


def test_one_source_along_two_loops() -> None:
    graph = parsed(
        """
        input %x : float32[n]
        %0 = Iota() {shape=[n]} : int32[n]
        %1 = Cast(%0) {dtype="float32"}
        %2 = Reshape(%1) {shape=[n, 1]}
        %3 = LessOrEqual(%2, %1)
        %4 = Cast(%3) {dtype="float32"}
        %5 = Mul(%4, %x)
        %6 = Add(%5, %1)
        output y = %6
        output mask = %3
        """
    )
    verify(fuse(graph))
    executable = runtime.compile(Program(graph), "cpu")
    for size in (1, 3, 40):
        x = np.linspace(1, 2, size).astype("float32")
        line = np.arange(size, dtype="float32")
        mask = line[:, None] <= line
        found = executable.run({"x": x}, {})
        np.testing.assert_array_equal(found["mask"], mask)
        np.testing.assert_array_equal(found["y"], mask * x + line)


def test_a_source_that_is_an_output_comes_from_its_own_place() -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType((3,), "float32"))
    with graph.at(Location("positions")):
        graph.outputs["positions"] = graph.apply(Iota((3,)))
    with graph.at(Location("running_sum")):
        graph.outputs["sum"] = graph.apply(CumSum(0), x)
    layers = {node.op.name: node.location.layer for node in fuse(graph).nodes}
    assert layers == {"Fused": "positions", "CumSum": "running_sum"}


def test_repeated_sources_come_from_where_they_are_read() -> None:
    graph = Graph("g")
    with graph.at(Location("count")):
        counted = graph.apply(Iota((3,)))
    with graph.at(Location("mask")):
        graph.outputs["mask"] = graph.apply(LessOrEqual(), Reshape((3, 1))(counted), counted)
    nodes = separate_sources(graph).nodes
    assert sorted(node.op.name for node in nodes) == ["Iota", "Iota", "LessOrEqual", "Reshape"]
    assert {node.location.layer for node in nodes} == {"mask"}
