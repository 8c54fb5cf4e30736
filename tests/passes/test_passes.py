"""Each pass does what its module's docstring shows; and what that is too short to show."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable

import numpy as np
import pytest

import graphc.passes.common
import graphc.passes.dead
import graphc.passes.decompose
import graphc.passes.fold
import graphc.passes.simplify  # noqa: F401
from graphc.ir import Graph, TensorType, as_text, parse
from graphc.ir.verify import verify
from graphc.ops.control import Scan
from graphc.ops.elementwise import Exp
from graphc.passes import Decompose, Report, drop_dead, fold, share_common, simplify
from graphc.reference import evaluate

PASSES: dict[str, Callable[[Graph], Graph]] = {
    "common": share_common,
    "dead": drop_dead,
    "decompose": Decompose(),
    "fold": fold,
    "simplify": simplify,
}


def documented(module: str) -> tuple[str, str]:
    text = sys.modules[f"graphc.passes.{module}"].__doc__
    assert text is not None
    blocks = re.findall(r"(?:Before|After)::\n\n((?:    .*\n|\n)+)", text)
    before, after = (textwrap.dedent(block).strip() for block in blocks)
    return before, after


@pytest.mark.parametrize("name", PASSES)
def test_docstring(name: str) -> None:
    before, after = documented(name)
    assert as_text(parse(before)) == before
    result = PASSES[name](parse(before))
    verify(result)
    assert as_text(result) == after


def body(text: str) -> Graph:
    return parse(f'graph "g" {{ {text} }}')


@pytest.mark.parametrize("name", PASSES)
def test_graph_stays_as_it_is_and_is_not_shared(name: str) -> None:
    graph = parse(documented(name)[0])
    text = as_text(graph)
    result = PASSES[name](graph)
    assert as_text(graph) == text
    assert result is not graph
    assert all(value.graph is result for value in result.values())


@pytest.mark.parametrize("name", PASSES)
def test_inputs_outputs_names_and_locations_stay(name: str) -> None:
    graph = body(
        'input %unused : int8[2] input %x : float32[batch, 2] %y = Exp(%x) @ "layer" train.py:3'
        " output twice = %x output y = %y output again = %y"
    )
    result = PASSES[name](graph)
    assert as_text(result) == as_text(graph)


@pytest.mark.parametrize("name", PASSES)
def test_empty_graph(name: str) -> None:
    assert as_text(PASSES[name](Graph("nothing"))) == as_text(Graph("nothing"))


# ----------------------------------------------------------------------------------- common, dead


def test_sharing_tells_apart_what_is_equal_to_python() -> None:
    graph = body(
        "input %x : float32[2] %a = Pad(%x) {before=[1], after=[0], value=0.0}"
        " %b = Pad(%x) {before=[1], after=[0], value=-0.0} %c = Pad(%x) {before=[1], after=[0]}"
        " output a = %a output b = %b output c = %c"
    )
    result = share_common(graph)
    assert len(result.nodes) == 2
    values = evaluate(result, {"x": np.ones(2, np.float32)})
    assert not np.signbit(values["a"][0])
    assert np.signbit(values["b"][0])


def test_sharing_regards_the_order_of_operands_where_it_matters() -> None:
    graph = body(
        "input %x : float32[2] input %y : float32[2] %a = Sub(%x, %y) %b = Sub(%y, %x)"
        " %c = Max(%x, %y) %d = Max(%y, %x) output a = %a output b = %b output c = %c output d = %d"
    )
    assert len(share_common(graph).nodes) == 4


def test_sharing_reports_where() -> None:
    graph = body(
        'input %x : float32[2] %a = Exp(%x) @ "first" %b = Exp(%x) @ "second" %c = Add(%a, %b)'
        " output c = %c"
    )
    report = Report()
    result = share_common(graph, report)
    assert str(report) == 'applied share Exp (layer "second")'
    assert result.nodes[0].location.layer == "first"


def test_dead_nodes_are_counted() -> None:
    report = Report()
    drop_dead(body("input %x : float32[2] %a = Exp(%x) %b = Exp(%a) output x = %x"), report)
    assert report.applied == ["drop 2 dead nodes"]


@pytest.mark.parametrize("inside", [True, False])
def test_dead_nodes_of_a_body(inside: bool) -> None:
    step = Graph("step")
    h, x = (step.input(name, TensorType((2,), "float32")) for name in "hx")
    Exp()(x)
    step.outputs = {"h": h + x}
    graph = Graph("loop")
    first = graph.input("h", TensorType((2,), "float32"))
    steps = graph.input("x", TensorType((3, 2), "float32"))
    (graph.outputs["y"],) = graph.apply(Scan(step, 1, 1), first, steps)
    (loop,) = drop_dead(graph, inside=inside).nodes
    names = [node.op.name for node in loop.op.body.nodes]
    assert names == (["Add"] if inside else ["Exp", "Add"])


# ------------------------------------------------------------------------------------------- fold


def test_folding_leaves_formulas_alone() -> None:
    graph = body(
        "%c = Constant() {value=float32[](2.0)} %e = Expand(%c) {shape=[1000, 1000]}"
        " %i = Iota() {shape=[5], axis=0} output e = %e output i = %i"
    )
    assert as_text(fold(graph)) == as_text(graph)


def test_folding_sees_through_a_moderate_expand() -> None:
    graph = body(
        "%c = Constant() {value=float32[](2.0)} %e = Expand(%c) {shape=[4]}"
        " %s = ReduceSum(%e) {axes=[0]} output s = %s"
    )
    assert as_text(fold(graph)) == as_text(
        body("%s = Constant() {value=float32[](8.0)} output s = %s")
    )


@pytest.mark.parametrize("shape", ["batch", "batch, 0"])
def test_folding_leaves_symbolic_shapes_alone(shape: str) -> None:
    graph = body(
        f"input %x : float32[batch] %c = Constant() {{value=float32[](2.0)}}"
        f" %e = Expand(%c) {{shape=[{shape}]}} %s = ReduceSum(%e) {{axes=[0]}} output s = %s"
    )
    assert as_text(fold(graph)) == as_text(graph)


def test_large_constants_may_be_rearranged() -> None:
    graph = Graph("g")
    table = np.arange(3000, dtype=np.float32).reshape(50, 60)
    turn = body("input %x : float32[50, 60] %y = Transpose(%x) {permutation=[1, 0]} output y = %y")
    graph.outputs["t"] = graph.inline(turn, {"x": graph.constant(table)})["y"]
    result = fold(graph)
    assert len(result.nodes) == 1
    np.testing.assert_array_equal(evaluate(result, {})["t"], table.T)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int8", "uint64", "bool"])
def test_folding_keeps_types(dtype: str) -> None:
    one = "True" if dtype == "bool" else "1"
    graph = body(
        f"%c = Constant() {{value={dtype}[1]({one})}} %r = Reshape(%c) {{shape=[1, 1]}}"
        " output r = %r"
    )
    result = fold(graph)
    assert [node.op.name for node in result.nodes] == ["Constant"]
    assert result.outputs["r"].type == graph.outputs["r"].type


# -------------------------------------------------------------------------------------- decompose


def test_claimed_ops_stay_whole() -> None:
    graph = body(
        "input %x : float32[batch, 4] %m = ReduceMean(%x) {axes=[1]} %a = ArgMax(%x) {axis=1}"
        " output m = %m output a = %a"
    )
    result = Decompose(lambda op: op.name == "ReduceMean")(graph)
    names = [node.op.name for node in result.nodes]
    assert "ReduceMean" in names
    assert "ArgMax" not in names
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    for name, array in evaluate(graph, {"x": x}).items():
        np.testing.assert_array_equal(evaluate(result, {"x": x})[name], array)


def test_decomposition_is_complete() -> None:
    graph = body("input %x : float32[batch, 4] %a = ArgMax(%x) {axis=1} output a = %a")
    result = Decompose()(graph)
    assert not any(node.op.has_rule("decompose") for node in result.nodes)
