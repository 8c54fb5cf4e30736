"""Vectorizing: every op's samples with an axis of examples agree with one example at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from graphc import reference
from graphc.autodiff import gradients
from graphc.ir import Graph, Op, Sample, TensorType, type_of
from graphc.ir.dims import Dim, symbol
from graphc.ir.verify import verify
from graphc.ops.call import CustomGradient
from graphc.ops.control import cond, scan, while_loop
from graphc.ops.elementwise import Tanh
from graphc.ops.linalg import Einsum
from graphc.ops.reduce import ReduceSum
from graphc.passes.vectorize import vectorize
from tests.ops.harness import OPS, assert_close, graph_of, naming, samples

COUNT = 3


def variant(array: np.ndarray, example: int) -> np.ndarray:
    """Another operand of the same type: floats scaled, others in another order."""
    if array.dtype.kind in "biu":
        return np.roll(array, example)
    with np.errstate(all="ignore"):
        return (array * (1 + example / 4)).astype(array.dtype)


def check(graph: Graph, inputs: Sequence[np.ndarray], mapped: Sequence[bool], size: Dim) -> None:
    """Compare the vectorized graph with its examples one by one."""
    count = size if isinstance(size, int) else COUNT
    examples = [
        [variant(x, e) if m else x for x, m in zip(inputs, mapped, strict=True)]
        for e in range(count)
    ]
    many, flags = vectorize(graph, mapped, size)
    verify(many)
    stacked = [
        np.stack([example[i] for example in examples]) if m else x
        for i, (x, m) in enumerate(zip(inputs, mapped, strict=True))
    ]
    received = reference.run(many, stacked)
    each = [reference.run(graph, example) for example in examples]
    for i, flag in enumerate(flags):
        if flag:
            assert_close([received[i]], [np.stack([results[i] for results in each])])
        else:
            for results in each:
                assert_close([received[i]], [results[i]])


def masks(count: int) -> list[tuple[bool, ...]]:
    """All operands mapped, and each of them alone."""
    alone = [tuple(i == place for i in range(count)) for place in range(count)]
    return list(dict.fromkeys([(True,) * count, *alone]))


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.__name__)
def test_every_op(cls: type[Op]) -> None:
    for number, sample in enumerate(samples(cls)):
        if not sample.inputs:
            continue
        graph, _ = graph_of(sample)
        for mapped in masks(len(sample.inputs)):
            size = symbol("many") if number % 3 == 2 else COUNT
            with naming(sample, f"mapped: {mapped}, {size} examples"):
                check(graph, sample.inputs, mapped, size)


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.__name__)
def test_no_examples_and_nested(cls: type[Op]) -> None:
    """No examples at all give empty results; and what was vectorized can be so again."""
    sample = next((s for s in samples(cls) if s.inputs), None)
    if sample is None:
        pytest.skip("an op without operands is never mapped")
    graph, results = graph_of(sample)
    every = (True,) * len(sample.inputs)
    empty, flags = vectorize(graph, every, 0, (True,) * len(results))
    inputs = [np.zeros((0, *x.shape), x.dtype) for x in sample.inputs]
    for array, value in zip(reference.run(empty, inputs), results, strict=True):
        assert type_of(array) == value.type.with_shape((0, *value.shape))
    assert all(flags)
    once, _ = vectorize(graph, every, 2)
    pairs = [np.stack([x, variant(x, 1)]) for x in sample.inputs]
    check(once, pairs, every, COUNT)


def test_only_what_depends_on_a_mapped_input_gets_the_axis() -> None:
    graph = Graph("g")
    x, w = (graph.input(name, TensorType((3,), "float32")) for name in "xw")
    graph.outputs = {"both": x * w, "shared": w + 1.0}
    many, flags = vectorize(graph, [True, False], symbol("many"))
    assert flags == (True, False)
    assert many.outputs["both"].shape == (symbol("many"), 3)
    assert many.outputs["shared"].shape == (3,)
    forced, flags = vectorize(graph, [True, False], symbol("many"), [False, True])
    assert flags == (True, True)
    assert forced.outputs["shared"].shape == (symbol("many"), 3)


def test_gradients_can_be_vectorized_and_vectorized_graphs_differentiated() -> None:
    """The gradient for each example: both orders give the same."""

    def loss(graph: Graph) -> None:
        x = graph.input("x", TensorType((4,), "float64"))
        w = graph.input("w", TensorType((4, 4), "float64"))
        h, _ = scan(
            lambda c, s, k: ([Tanh()(Einsum("i,io->o")(c[0], k[0]) + s[0])], [c[0]]),
            [x],
            [graph.constant(np.linspace(0, 1, 5))],
            [w],
        )
        graph.outputs["y"] = ReduceSum((0,))(h[0] * h[0])

    first = Graph("gradient")
    loss(first)
    (dw,) = gradients(first.outputs["y"], [first.inputs[1]])
    first.outputs = {"dw": dw}
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(COUNT, 4)), rng.normal(size=(4, 4))
    many, _ = vectorize(first, [True, False], COUNT)
    (each,) = reference.run(many, [x, w])
    expected = np.stack([reference.run(first, [row, w])[0] for row in x])
    np.testing.assert_allclose(each, expected, rtol=1e-12)

    second = Graph("loss")
    loss(second)
    together, _ = vectorize(second, [True, False], COUNT)
    total = ReduceSum((0,))(together.outputs["y"])
    (dw,) = gradients(total, [together.inputs[1]])
    together.outputs = {"dw": dw}
    np.testing.assert_allclose(
        reference.run(together, [x, w])[0], expected.sum(0), rtol=1e-12, atol=1e-14
    )


def test_examples_leave_a_loop_one_by_one() -> None:
    graph = Graph("collatz")
    n = graph.input("n", TensorType((), "int32"))
    steps = graph.constant(0, "int32")

    def halve_or_grow(n, steps):
        even = (n - (n / 2) * 2) < 1
        (after,) = cond(even, lambda v: (v / 2,), lambda v: (v * 3 + 1,), n)
        return after, steps + 1

    final, count = while_loop(lambda n, _: n > 1, halve_or_grow, n, steps)
    graph.outputs = {"final": final, "count": count}
    many, flags = vectorize(graph, [True], symbol("many"))
    assert flags == (True, True)
    final, count = reference.run(many, [np.array([1, 6, 27, 2], np.int32)])
    np.testing.assert_array_equal(final, [1, 1, 1, 1])
    np.testing.assert_array_equal(count, [0, 8, 111, 1])


def test_a_counter_that_all_examples_share_stays_one() -> None:
    graph = Graph("powers")
    x = graph.input("x", TensorType((), "float64"))
    one = graph.constant(1.0, "float64")
    index = graph.constant(0, "int32")
    value, count = while_loop(lambda _, i: i < 3, lambda y, i: (y * 2.0, i + 1), x + one, index)
    graph.outputs = {"value": value, "count": count}
    many, flags = vectorize(graph, [True], symbol("many"))
    assert flags == (True, False)
    value, count = reference.run(many, [np.array([0.0, 1.0])])
    np.testing.assert_array_equal(value, [8.0, 16.0])
    assert count == 3


def test_a_gradient_that_somebody_says_stays() -> None:
    """Of the product with a shared factor: each gradient is taken ten times, and then summed."""
    body, backward = Graph("body"), Graph("backward")
    row, scalar = TensorType((3,), "float64"), TensorType((), "float64")
    x, w = body.input("x", row), body.input("w", scalar)
    body.outputs = {"y": x * w}
    x, w = backward.input("x", row), backward.input("w", scalar)
    dy = backward.input("dy", row)
    backward.outputs = {"0": dy * w * 10.0, "1": ReduceSum((0,))(dy * x) * 10.0}
    graph = Graph("g")
    x, w = graph.input("x", row), graph.input("w", scalar)
    (graph.outputs["y"],) = CustomGradient(body, backward, 1)(x, w)
    many, _ = vectorize(graph, [True, False], COUNT)
    total = ReduceSum((0, 1))(many.outputs["y"])
    dx, dw = gradients(total, many.inputs)
    many.outputs = {"dx": dx, "dw": dw}
    rows = np.arange(9.0).reshape(3, 3)
    dx, dw = reference.run(many, [rows, np.array(2.0)])
    np.testing.assert_array_equal(dx, np.full((3, 3), 20.0))
    assert dw == 10 * rows.sum()


def test_an_op_without_a_rule_is_done_one_example_at_a_time() -> None:
    class _Trace(Op):
        def infer(self, x: TensorType) -> TensorType:
            return x.with_shape(())

        def evaluate(self, x: np.ndarray) -> np.ndarray:
            return np.trace(x)

    x = np.arange(9.0).reshape(3, 3)
    graph, _ = graph_of(Sample(_Trace(), (x,)))
    many, flags = vectorize(graph, [True], COUNT)
    assert [node.op.name for node in many.nodes] == ["Scan"] and flags == (True,)
    (traces,) = reference.run(many, [np.stack([x, 2 * x, -x])])
    np.testing.assert_array_equal(traces, [12, 24, -12])
