"""Scans: carries in place where nobody reads the old value later, and rows shared by threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc.autodiff import gradients
from graphc.ir import Graph, TensorType, Value
from graphc.ops.control import scan
from graphc.ops.elementwise import Exp, Tanh
from graphc.ops.linalg import Einsum
from graphc.ops.movement import Concat, Iota, Reverse, Size, Transpose, narrow
from graphc.ops.reduce import ReduceSum
from graphc.program import Program, run_reference
from graphc.runtime.cpu import compiler, context, kernel
from graphc.runtime.cpu.program import CpuExecutable
from graphc.runtime.cpu.target import Target
from tests.cpu.programs import BATCH, inputs_for

SIZE = 64
Step = Callable[[list[Value], Value], tuple[list[Value], list[Value]]]


def product(x: Value, y: Value) -> Value:
    return Einsum("mk,kn->mn")(x, y)


def descent(carries: list[Value], x: Value) -> tuple[list[Value], list[Value]]:
    """As in training: a matrix is read, then updated."""
    weight, total = carries
    y = Tanh()(product(x, weight))
    return [weight - product(x, y) * 0.01, total + y], []


def swapped(carries: list[Value], x: Value) -> tuple[list[Value], list[Value]]:
    first, second = carries
    return [second + x, Tanh()(first)], []


def passed_on(carries: list[Value], x: Value) -> tuple[list[Value], list[Value]]:
    first, second = carries
    return [first, Tanh()(product(x, first) + second)], [second]


def read_late(carries: list[Value], x: Value) -> tuple[list[Value], list[Value]]:
    """The old value is needed together with the new one."""
    first, second = carries
    new = Tanh()(product(first, x))
    return [new, Tanh()(product(new, second))], [product(first, new)]


def read_by_itself(carries: list[Value], x: Value) -> tuple[list[Value], list[Value]]:
    """A product reads all of what it would write over."""
    first, second = carries
    return [product(first, first) * 0.01, Exp()(second * -1.0) + x], [second]


def program(step: Step) -> Program:
    graph = Graph("predict")
    type = TensorType((SIZE, SIZE), "float32")
    starts = [graph.input(name, type) for name in ("first", "second")]
    xs = graph.input("xs", TensorType((5, SIZE, SIZE), "float32"))
    last, rows = scan(lambda c, s, k: step(c, s[0]), starts, [xs])
    outputs = [*last, *rows]
    graph.outputs = {f"y{number}": value for number, value in enumerate(outputs)}
    return Program(graph)


@pytest.mark.parametrize("step", [descent, swapped, passed_on, read_late, read_by_itself])
@pytest.mark.parametrize("threads", [1, 2])
def test_values_are_those_of_the_reference(step: Step, threads: int) -> None:
    made = program(step)
    data, _ = inputs_for(made, {})
    before = {name: array.copy() for name, array in data.items()}
    results = CpuExecutable(made, threads).run(data, {})
    for name, expected in run_reference(made, data, {})[0].items():
        np.testing.assert_allclose(results[name], expected, rtol=1e-4, atol=1e-4)
    for name, array in before.items():
        np.testing.assert_array_equal(data[name], array)


def test_what_is_updated_has_one_place() -> None:
    matrix = SIZE * SIZE * 4
    # Two carries, and `y`, which may take none of their places.
    assert CpuExecutable(program(descent), 1).arena_bytes({}) < 4 * matrix
    # Two carries of two places each, and the new value.
    assert CpuExecutable(program(read_late), 1).arena_bytes({}) >= 4 * matrix


# ------------------------------------------------------------------- rows that go their own ways

UNITS, STEPS = 24, 6
ROWS = TensorType((BATCH, UNITS), "float32")


def cell(c: list[Value], s: list[Value], k: list[Value]) -> tuple[list[Value], list[Value]]:
    """A recurrent cell with a mask for each sample, and parts cut out and put together."""
    h, memory = c
    weight, mask = k
    z = product(h, weight) + s[0]
    gate, new = Tanh()(narrow(z, 1, 0, UNITS)), Tanh()(narrow(z, 1, UNITS, 2 * UNITS))
    memory = memory * gate + new * mask
    joined = Concat(1)(memory, gate)
    return [ReduceSum((1,), True)(joined) * 0.01 + gate, memory], [joined]


def sum_over_batch(c: list[Value], s: list[Value], k: list[Value]) -> Any:
    total = ReduceSum((0,), True)(c[0]) * 0.01
    return [Tanh()(c[0] + total), c[1]], [c[0]]


def one_after_the_other(c: list[Value], s: list[Value], k: list[Value]) -> Any:
    turned = Reverse((0,))(c[0])
    return [turned + narrow(s[0], 1, 0, UNITS), c[1]], [turned]


def numbered(c: list[Value], s: list[Value], k: list[Value]) -> Any:
    number = c[0].graph.apply(Iota((BATCH, UNITS), 0, "float32"))
    return [c[0] + number, c[1]], [c[0]]


def counted(c: list[Value], s: list[Value], k: list[Value]) -> Any:
    return [c[0] / Size((0,), "float32")(c[0]), c[1]], [c[0]]


def of_all_rows(c: list[Value], s: list[Value], k: list[Value]) -> Any:
    similar = Einsum("bi,ci->bc")(c[0], c[0])
    return [Einsum("bc,ci->bi")(similar, c[0]) * 0.001, c[1]], [c[0]]


def recurrent(step: Any, reverse: bool = False) -> Program:
    graph = Graph("predict")
    x = graph.input("x", TensorType((BATCH, STEPS, 2 * UNITS), "float32"))
    weight = graph.input("weight", TensorType((UNITS, 2 * UNITS), "float32"))
    mask = graph.input("mask", TensorType((BATCH, 1), "float32"))
    starts = [graph.input("h", ROWS), graph.input("memory", ROWS)]
    xs = Transpose((1, 0, 2))(x)
    last, rows = scan(step, starts, [xs], [weight, mask], reverse=reverse)
    graph.outputs = {f"y{i}": value for i, value in enumerate([*last, *rows])}
    return Program(graph)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("step", "by_rows"),
    [
        (cell, True),
        (sum_over_batch, False),
        (one_after_the_other, False),
        (numbered, False),
        (counted, False),
        (of_all_rows, False),
    ],
)
def test_threads_take_rows_through_all_steps(
    monkeypatch: pytest.MonkeyPatch, step: Any, by_rows: bool, reverse: bool
) -> None:
    monkeypatch.setattr(kernel, "PARALLEL_WORK", 1)
    monkeypatch.setattr(context, "PARALLEL_WORK", 1)
    made = recurrent(step, reverse)
    text = compiler.lower(made, Target.host()).text()
    assert (".rows(" in text) == by_rows
    executables = [CpuExecutable(made, threads) for threads in (1, 2, 5)]
    for batch in (0, 1, 15, 16, 17, 33, 100):
        data, _ = inputs_for(made, {"batch": batch})
        expected = run_reference(made, data, {})[0]
        first, *others = [executable.run(data, {}) for executable in executables]
        for name, array in expected.items():
            np.testing.assert_allclose(first[name], array, rtol=1e-4, atol=1e-4)
            for other in others:
                np.testing.assert_array_equal(other[name], first[name])


def test_gradients_of_recurrent_cells_go_by_rows_too() -> None:
    graph = Graph("train")
    x = graph.input("x", TensorType((BATCH, STEPS, 2 * UNITS), "float32"))
    weight = graph.input("weight", TensorType((UNITS, 2 * UNITS), "float32"))
    mask = graph.input("mask", TensorType((BATCH, 1), "float32"))
    starts = [graph.input("h", ROWS), graph.input("memory", ROWS)]
    last, _ = scan(cell, starts, [Transpose((1, 0, 2))(x)], [weight, mask])
    loss = ReduceSum((0, 1))(last[0] * last[0])
    inputs = [x, weight, mask, *starts]
    graph.outputs = {f"d{v.name}": d for v, d in zip(inputs, gradients(loss, inputs), strict=True)}
    made = Program(graph)
    assert compiler.lower(made, Target.host()).text().count(".rows(ptr") >= 4
    data, _ = inputs_for(made, {"batch": 70})
    first, second = (CpuExecutable(made, threads).run(data, {}) for threads in (1, 3))
    for name, expected in run_reference(made, data, {})[0].items():
        np.testing.assert_allclose(first[name], expected, rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(second[name], first[name])
