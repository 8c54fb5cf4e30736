"""Merging and pruning of scans, and hoisting out of them."""

import numpy as np
import pytest

from graphc import reference
from graphc.autodiff import gradients
from graphc.ir import Graph, TensorType, as_text, parse, symbol
from graphc.ops.recurrent import GRU, LSTM, SimpleRNN
from graphc.ops.reduce import ReduceSum
from graphc.passes.common import share_common
from graphc.passes.decompose import Decompose
from graphc.passes.hoist import hoist
from graphc.passes.merge_scans import merge_scans
from graphc.passes.prune_scans import prune_scans
from graphc.passes.report import Report

TWO_SCANS = """\
graph "g" {
  input %h : float32[3]
  input %x : float32[time, 3]
  %0, %1 = Scan(%h, %x) {body=graph "step" {
    input %h : float32[3]
    input %x : float32[3]
    %0 = Add(%h, %x) : float32[3]
    %1 = Tanh(%0) : float32[3]
    %2 = Neg(%1) : float32[3]
    output h = %1
    output y = %2
  }, carries=1, sequences=1} : float32[3], float32[time, 3]
  %2, %3, %4 = Scan(%h, %x) {body=graph "step" {
    input %h : float32[3]
    input %x : float32[3]
    %0 = Exp(%x) : float32[3]
    %1 = Add(%h, %x) : float32[3]
    %2 = Tanh(%1) : float32[3]
    %3 = Neg(%2) : float32[3]
    output h = %2
    output e = %0
    output y = %3
  }, carries=1, sequences=1} : float32[3], float32[time, 3], float32[time, 3]
  %5 = Mul(%0, %2) : float32[3]
  %6 = Mul(%1, %3) : float32[time, 3]
  %7 = Mul(%6, %4) : float32[time, 3]
  output h = %5
  output y = %7
}
"""

ONE_SCAN = """\
graph "g" {
  input %h : float32[3]
  input %x : float32[time, 3]
  %0, %1, %2 = Scan(%h, %x) {body=graph "step" {
    input %h : float32[3]
    input %x : float32[3]
    %0 = Add(%h, %x) : float32[3]
    %1 = Tanh(%0) : float32[3]
    %2 = Neg(%1) : float32[3]
    %3 = Exp(%x) : float32[3]
    output y0 = %1
    output y1 = %2
    output y2 = %3
  }, carries=1, sequences=1} : float32[3], float32[time, 3], float32[time, 3]
  %3 = Mul(%0, %0) : float32[3]
  %4 = Mul(%1, %2) : float32[time, 3]
  %5 = Mul(%4, %1) : float32[time, 3]
  output h = %3
  output y = %5
}"""


def test_scans_with_the_same_steps_become_one():
    report = Report()
    merged = merge_scans(parse(TWO_SCANS), report)
    assert as_text(merged) == ONE_SCAN
    assert report.applied == ["merge scans"]
    assert as_text(merge_scans(merged)) == ONE_SCAN
    rng = np.random.default_rng(0)
    arrays = {"h": rng.normal(size=3), "x": rng.normal(size=(4, 3))}
    arrays = {name: array.astype("float32") for name, array in arrays.items()}
    after = reference.evaluate(merged, arrays)
    for name, value in reference.evaluate(parse(TWO_SCANS), arrays).items():
        np.testing.assert_array_equal(after[name], value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("%1 = Add(%h, %x)", "%1 = Sub(%h, %x)"),
        ("%2, %3, %4 = Scan(%h, %x)", "%2, %3, %4 = Scan(%x_0, %x)"),
        ("output y = %3\n  }, carries=1", "output y = %3\n  }, reverse=True, carries=1"),
    ],
    ids=["another carry", "another start", "another direction"],
)
def test_scans_with_other_steps_stay(old, new):
    text = TWO_SCANS.replace(old, new).replace(
        'graph "g" {\n', 'graph "g" {\n  input %x_0 : float32[3]\n'
    )
    graph = parse(text)
    assert as_text(merge_scans(graph)) == as_text(graph)


def test_scans_in_bodies_and_chains_of_scans_are_merged():
    """The second pair of scans has equal operands only once the first pair is one."""
    graph = Graph("g")
    once = parse(TWO_SCANS)
    h, x = (graph.input(value.name, value.type) for value in once.inputs)
    scans = [node.op for node in once.nodes if node.op.name == "Scan"]
    first, second = scans[0](h, x), scans[1](h, x)
    third, fourth = scans[0](first[0], first[1]), scans[1](second[0], second[2])
    graph.outputs = {"a": third[1], "b": fourth[1]}
    merged = merge_scans(graph)
    assert [node.op.name for node in merged.nodes] == ["Scan", "Scan"]


PRUNED = """\
graph "g" {
  input %h : float32[3]
  input %x : float32[time, 3]
  %0 = Scan(%h, %x) {body=graph "step" {
    input %h : float32[3]
    input %x : float32[3]
    %0 = Add(%h, %x) : float32[3]
    %1 = Tanh(%0) : float32[3]
    output y0 = %1
  }, carries=1, sequences=1} : float32[3]
  output h = %0
}"""


def test_what_nobody_reads_is_pruned():
    graph = parse(ONE_SCAN)
    graph.outputs = {"h": graph.nodes[0].outputs[0]}
    report = Report()
    pruned = prune_scans(graph, report)
    assert as_text(pruned) == PRUNED
    assert report.applied == ["prune a scan"]
    assert as_text(prune_scans(pruned)) == PRUNED


def test_a_carry_that_feeds_what_is_read_stays_and_steps_are_still_counted():
    text = """\
graph "g" {
  input %a : float32[]
  input %b : float32[]
  input %c : float32[]
  input %x : float32[time]
  input %k : float32[]
  %0, %1, %2, %3 = Scan(%a, %b, %c, %x, %k) {body=graph "step" {
    input %a : float32[]
    input %b : float32[]
    input %c : float32[]
    input %x : float32[]
    input %k : float32[]
    %0 = Mul(%a, %a) : float32[]
    %1 = Add(%b, %a) : float32[]
    %2 = Mul(%c, %k) : float32[]
    output a = %0
    output b = %1
    output c = %2
    output x = %x
  }, carries=3, sequences=1} : float32[], float32[], float32[], float32[time]
  output b = %1
}
"""
    graph = parse(text)
    pruned = prune_scans(graph)
    (node,) = pruned.nodes
    assert (node.op.carries, node.op.sequences, node.op.steps) == (2, 0, symbol("time"))
    assert [value.name for value in node.inputs] == ["a", "b"]
    arrays = {"a": 0.5, "b": 1.0, "c": 2.0, "k": 3.0, "x": [1.0, 2.0, 3.0]}
    arrays = {name: np.array(value, "float32") for name, value in arrays.items()}
    assert reference.evaluate(pruned, arrays)["b"] == reference.evaluate(graph, arrays)["b"]


@pytest.mark.parametrize("cls", [SimpleRNN, GRU, LSTM], ids=lambda cls: cls.__name__)
def test_training_a_recurrent_layer_runs_forwards_once(cls):
    batch, time, units = symbol("batch"), symbol("time"), 4
    op = cls()
    graph = Graph("g")
    shapes = [(batch, time, 3), (3, units * op.gates), (units, units * op.gates)]
    shapes += [op.bias_shape(units)] + [(batch, units)] * op.states
    operands = [graph.input(f"x{i}", TensorType(s, "float32")) for i, s in enumerate(shapes)]
    last = op(*operands)[1]
    loss = ReduceSum((0, 1))(last * last)
    graph.outputs = {"loss": loss}
    found = gradients(loss, operands[1:4])
    graph.outputs |= {f"d{i}": value for i, value in enumerate(found)}
    lowered = share_common(Decompose()(graph))
    compiled = prune_scans(merge_scans(lowered))
    scans = [node.op for node in compiled.nodes if node.op.name == "Scan"]
    assert [scan.reverse for scan in scans] == [False, True]
    transcendental = [
        node.op.name
        for scan in scans
        for node in scan.body.nodes
        if node.op.name in ("Sigmoid", "Tanh")
    ]
    assert len(transcendental) == op.gates + (op.states - 1), "each is computed once"
    back = [node.op.name for node in scans[1].body.nodes]
    assert back.count("Einsum") == 1, "kernels' gradients are contracted after the loop"
    assert back.count("Pad") == 0, "gates are joined, not padded and added"
    arrays = {f"x{i}": a for i, a in enumerate(op.draw((2, 5, 3, units), "float32"))}
    after = reference.evaluate(compiled, arrays)
    for name, value in reference.evaluate(graph, arrays).items():
        np.testing.assert_allclose(after[name], value, 1e-5, 1e-5)


CONSTANT_WORK = """\
graph "g" {
  input %h : float32[batch, 3]
  input %w : float32[3, 3]
  input %b : float32[3]
  %0 = Scan(%h, %w, %b) {body=graph "step" {
    input %h : float32[batch, 3]
    input %w : float32[3, 3]
    input %b : float32[3]
    %0 = Einsum(%h, %w) {equation="bo,io->bi"} : float32[batch, 3]
    %1 = Tanh(%b) : float32[3]
    %2 = Reshape(%1) {shape=[1, 3]} : float32[1, 3]
    %3 = Add(%0, %2) : float32[batch, 3]
    output h = %3
  }, carries=1, sequences=0, steps=4} : float32[batch, 3]
  output h = %0
}
"""

HOISTED = """\
graph "g" {
  input %h : float32[batch, 3]
  input %w : float32[3, 3]
  input %b : float32[3]
  %0 = Transpose(%w) {permutation=[1, 0]} : float32[3, 3]
  %1 = Tanh(%b) : float32[3]
  %2 = Scan(%h, %0, %1) {body=graph "step" {
    input %h : float32[batch, 3]
    input %hoisted0 : float32[3, 3]
    input %hoisted1 : float32[3]
    %0 = Einsum(%h, %hoisted0) {equation="bo,oi->bi"} : float32[batch, 3]
    %1 = Reshape(%hoisted1) {shape=[1, 3]} : float32[1, 3]
    %2 = Add(%0, %1) : float32[batch, 3]
    output y0 = %2
  }, carries=1, sequences=0, steps=4} : float32[batch, 3]
  output h = %2
}"""


def test_what_no_step_changes_comes_before_the_scan():
    graph, report = parse(CONSTANT_WORK), Report()
    hoisted = prune_scans(hoist(graph, report))
    assert as_text(hoisted) == HOISTED
    assert report.applied == ["hoist Transpose", "hoist Tanh"]
    assert as_text(prune_scans(hoist(hoisted))) == HOISTED
    again = parse(CONSTANT_WORK.replace("%w", "%hoisted0"))
    assert "input %hoisted2 : float32[3]" in as_text(hoist(again))  # names that are taken stay
    rng = np.random.default_rng(0)
    shapes = {"h": (2, 3), "w": (3, 3), "b": (3,)}
    arrays = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    expected, received = reference.evaluate(graph, arrays), reference.evaluate(hoisted, arrays)
    np.testing.assert_array_equal(received["h"], expected["h"])


@pytest.mark.parametrize(
    "line, type",
    [
        ('Einsum(%w, %h) {equation="ro,bo->rb"}', "3, batch"),  # rows: read as they are
        ('Einsum(%h, %w) {equation="bo,oi->bi"}', "batch, 3"),  # in order already
        ("Expand(%w) {shape=[9, 3, 3]}", "9, 3, 3"),  # larger than what it is made of
        ("Reshape(%w) {shape=[9]}", "9"),  # a view
    ],
)
def test_what_stays_in_a_scan(line, type):
    text = f"""\
graph "g" {{
  input %h : float32[batch, 3]
  input %w : float32[3, 3]
  %0, %1 = Scan(%h, %w) {{body=graph "step" {{
    input %h : float32[batch, 3]
    input %w : float32[3, 3]
    %0 = {line} : float32[{type}]
    output h = %h
    output y = %0
  }}, carries=1, sequences=0, steps=4}} : float32[batch, 3], float32[4, {type}]
  output h = %0
  output y = %1
}}"""
    assert as_text(hoist(parse(text))) == text
