"""Carries of scans: in place where nobody reads the old value after the new one was made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphc.ir import Graph, TensorType, Value
from graphc.ops.control import scan
from graphc.ops.elementwise import Exp, Tanh
from graphc.ops.linalg import Einsum
from graphc.program import Program, run_reference
from graphc.runtime.cpu.program import CpuExecutable
from tests.cpu.programs import inputs_for

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
