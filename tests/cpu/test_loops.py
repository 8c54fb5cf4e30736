"""Along which loop of a nest the lanes run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphc.ir import Graph, TensorType, Value, symbol
from graphc.ops.elementwise import Log, Sigmoid
from graphc.ops.linalg import Einsum
from graphc.ops.nn import Softmax
from graphc.ops.reduce import ReduceSum
from graphc.passes.decompose import Decompose
from graphc.passes.fuse import Fused, fuse
from graphc.runtime.cpu.frame import Buffer, View
from graphc.runtime.cpu.loops import LoopPlan, plan_loops
from graphc.runtime.cpu.target import Target

BATCH = symbol("batch")
# What is decided does not depend on the machine of the test.
TARGET = Target("x86_64-unknown-linux-gnu", "znver4", "+avx512f", 512, 32, True)


def plan_of(graph: Graph) -> LoopPlan:
    (node,) = [node for node in fuse(graph).nodes if isinstance(node.op, Fused)]
    views = [
        View.whole(Buffer(number, value.type, "data"))
        for number, value in enumerate((*node.inputs, *node.outputs))
    ]
    count = len(node.inputs)
    return plan_loops(node.op.body, views[:count], views[count:], TARGET)


def graph_of(build: Callable[..., Value], *types: TensorType) -> Graph:
    graph = Graph("g")
    graph.outputs["y"] = build(*[graph.input(f"x{i}", type) for i, type in enumerate(types)])
    return Decompose()(graph)


def binary_classifier(x: Value, w: Value) -> Value:
    y = Sigmoid()(Einsum("bi,i->b")(x, w))
    return Log()(y) + Log()(1.0 - y)


def test_a_long_epilogue_of_a_short_sum_runs_along_the_rows() -> None:
    x, w = TensorType((BATCH, 4), "float32"), TensorType((4,), "float32")
    plan = plan_of(graph_of(binary_classifier, x, w))
    assert plan.vector is not None
    assert plan.sizes[plan.vector] == BATCH
    assert not plan.vector_is_reduced


@pytest.mark.parametrize("build", [ReduceSum((1,)), Softmax(1)])
def test_long_rows_are_read_as_they_lie(build: Callable[..., Value]) -> None:
    plan = plan_of(graph_of(build, TensorType((BATCH, 300), "float32")))
    assert plan.vector is not None
    assert plan.sizes[plan.vector] == 300
    assert plan.vector_is_reduced
