"""Kernels in strips: the bits of one after the other, for every batch and number of threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from graphc.autodiff import gradients
from graphc.ir import Graph, TensorType, Value, symbol
from graphc.ops.conv import Conv
from graphc.ops.elementwise import Relu, Sigmoid
from graphc.ops.linalg import Einsum
from graphc.ops.movement import Iota, Reshape, Reverse, Size, Transpose
from graphc.ops.pool import MaxPool, MaxPoolGradient
from graphc.ops.random import Dropout
from graphc.ops.reduce import ReduceMean, ReduceSum
from graphc.program import Program, Variable, run_reference
from graphc.runtime.cpu.program import CpuExecutable
from graphc.runtime.cpu.target import Caches, Target
from tests.cpu.programs import assert_equal, copied, inputs_for

BATCH = symbol("batch")
HOST = Target.host()
#: Of the tests' programs a few rows fit into the one, and the whole batch into the other.
SMALL = replace(HOST, caches=Caches(4096, 20_000, 4))
LARGE = replace(HOST, caches=Caches(1 << 20, 1 << 30, 16))
BATCHES = (0, 1, 2, 5, 9, 33)

Builder = Callable[[Value], Value]


def network(graph: Graph, x: Value) -> Value:
    """Two convolutions, each with its pool, and a dense layer: of images of 8x8x4."""

    def conv(x: Value, name: str, inputs: int, outputs: int, pad: int) -> Value:
        kernel = graph.input(name, TensorType((3, 3, inputs, outputs), "float32"))
        padding = ((pad, pad), (pad, pad))
        return Relu()(Conv(strides=(1, 1), padding=padding, dilations=(1, 1))(x, kernel))

    pool = MaxPool(window=(2, 2), strides=(2, 2), padding=((0, 0), (0, 0)))
    x = pool(conv(x, "first", 4, 8, 1))
    x = pool(conv(x, "second", 8, 6, 1))
    dense = graph.input("dense", TensorType((24, 5), "float32"))
    return Sigmoid()(Einsum("bi,io->bo")(Reshape((BATCH, 24))(x), dense))


def predicting() -> Program:
    graph = Graph("predict")
    x = graph.input("x", TensorType((BATCH, 8, 8, 4), "float32"))
    graph.outputs = {"y": network(graph, x)}
    return Program(graph, tuple(Variable(name) for name in ("first", "second", "dense")))


def learning() -> Program:
    """With the gradient of the images, so that chains of kernels run backwards as well."""
    graph = Graph("train")
    x = graph.input("x", TensorType((BATCH, 8, 8, 4), "float32"))
    y = network(graph, x)
    loss = ReduceMean((0,))(ReduceSum((1,))(y * y))
    names = ("first", "second", "dense")
    weights = [value for value in graph.inputs if value.name in names]
    dx, *slopes = gradients(loss, [x, *weights])
    assert dx is not None
    graph.outputs = {"loss": loss, "dx": dx}
    for weight, slope in zip(weights, slopes, strict=True):
        assert slope is not None
        graph.outputs[f"{weight.name}'"] = weight - slope * 0.1
    return Program(graph, tuple(Variable(name, f"{name}'") for name in names), "train")


def strips(executable: CpuExecutable) -> list[str]:
    return [name for name in executable.manifest.kernels if "strips" in name]


@pytest.mark.parametrize("make", [predicting, learning])
def test_strips_change_no_bit(make: Callable[[], Program]) -> None:
    program = make()
    usual = CpuExecutable(program, 1, LARGE)
    assert not strips(usual)
    for threads in (1, 2, 3):
        executable = CpuExecutable(program, threads, SMALL)
        assert strips(executable)
        for seed, batch in enumerate(BATCHES):
            data, state = inputs_for(program, {"batch": batch}, seed)
            if batch:
                expected, _ = run_reference(program, data, state)
            kept, given = copied(state), copied(state)
            wanted, found = usual.run(data, kept), executable.run(data, given)
            if batch:
                assert_equal(found, expected)
            for one, other in ((found, wanted), (given, kept)):
                for name, array in one.items():
                    assert array.tobytes() == other[name].tobytes(), (name, batch, threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_runs_of_steps(threads: int) -> None:
    program = predicting()
    data, state = inputs_for(program, {"batch": 45})
    order = np.random.default_rng(0).permutation(45)
    results = []
    for target in (LARGE, SMALL):
        y = np.full((45, 5), np.nan, np.float32)
        executable = CpuExecutable(program, threads, target)
        executable.run_steps(data, state, 20, 3, order=order, results={"y": y})
        results.append(y)
    assert results[0].tobytes() == results[1].tobytes()
    whole = CpuExecutable(program, threads, SMALL).run(data, state)
    np.testing.assert_array_equal(results[0], whole["y"][order])


def similar(x: Value) -> Value:
    """Each row as a sum of all rows, by how similar they are."""
    return Einsum("be,eci->bci")(Einsum("bci,eci->be")(x, x), x)


def numbered(x: Value) -> Value:
    return x + x.graph.apply(Iota(x.shape, 0, "float32"))


def dropped(x: Value) -> Value:
    return Dropout(0.5)(x, x.graph.constant(np.array([1, 2], np.uint32)))


#: Of what these make a row needs other rows, its own number, or how many there are.
MIXING: dict[str, Builder] = {
    "numbered": numbered,
    "dropped": dropped,
    "shared out": lambda x: x / Size((0,))(x),
    "reversed": Reverse((0,)),
    "centred": lambda x: x - ReduceMean((0,), True)(x),
    "similar": similar,
    "transposed": lambda x: Transpose((1, 0, 2))(Sigmoid()(Transpose((1, 0, 2))(x))),
}


@pytest.mark.parametrize("name", MIXING)
def test_rows_that_need_other_rows(name: str) -> None:
    graph = Graph("mixing")
    x = graph.input("x", TensorType((BATCH, 3, 64), "float32"))
    w = graph.input("w", TensorType((3, 3), "float32"))
    mix = Einsum("bci,cd->bdi")
    y = MIXING[name](mix(Relu()(mix(x, w)), w))
    graph.outputs = {"y": mix(Relu()(mix(y * 0.1, w)), w)}
    program = Program(graph)
    executable, usual = CpuExecutable(program, 1, SMALL), CpuExecutable(program, 1, LARGE)
    assert strips(executable)
    for batch in BATCHES[1:]:
        data, _ = inputs_for(program, {"batch": batch})
        expected, _ = run_reference(program, data, {})
        found, wanted = executable.run(data, {}), usual.run(data, {})
        assert_equal(found, expected, 1e-4)
        assert found["y"].tobytes() == wanted["y"].tobytes()


def test_what_has_all_rows_takes_no_memory_of_one_strip() -> None:
    """A gradient that dies where it is read, by an operation whose result others read later."""
    graph = Graph("sharing")
    x = graph.input("x", TensorType((BATCH, 8, 64), "float32"))
    pool = MaxPool(window=(2,), strides=(2,), padding=((0, 0),))
    y = pool(x)
    dx = graph.apply(pool.relative(MaxPoolGradient), x, y, y * 0.5)
    z = Sigmoid()(dx)
    graph.outputs = {"similar": similar(z)}
    program = Program(graph)
    executable, usual = CpuExecutable(program, 1, SMALL), CpuExecutable(program, 1, LARGE)
    assert strips(executable)
    data, _ = inputs_for(program, {"batch": 33})
    found, wanted = executable.run(data, {}), usual.run(data, {})
    for name, array in found.items():
        assert array.tobytes() == wanted[name].tobytes(), name


def test_what_comes_between_stays_in_the_cache() -> None:
    """Weights that no cache holds would be read again for each strip."""
    graph = Graph("dense")
    x = graph.input("x", TensorType((BATCH, 16), "float32"))
    y = x
    for number, (before, after) in enumerate([(16, 700), (700, 16)]):
        w = graph.input(f"w{number}", TensorType((before, after), "float32"))
        y = Relu()(Einsum("bi,io->bo")(y, w))
    graph.outputs = {"y": y}
    assert not strips(CpuExecutable(Program(graph), 1, SMALL))
    roomy = replace(HOST, caches=Caches(4096, 80_000, 4))
    assert not strips(CpuExecutable(Program(graph), 1, roomy))
    larger = replace(HOST, caches=Caches(4096, 400_000, 4))
    assert not strips(CpuExecutable(Program(graph), 1, larger))  # all of it fits


def test_rows_of_unknown_length_are_in_no_strip() -> None:
    graph = Graph("open")
    x = graph.input("x", TensorType((BATCH, symbol("time"), 64), "float32"))
    w = graph.input("w", TensorType((64, 64), "float32"))
    y = x
    for _ in range(3):
        y = Relu()(Einsum("bti,io->bto")(y, w))
    graph.outputs = {"y": y}
    executable = CpuExecutable(Program(graph), 1, SMALL)
    assert not strips(executable)
    data, _ = inputs_for(Program(graph), {"batch": 3, "time": 5})
    expected, _ = run_reference(Program(graph), data, {})
    assert_equal(executable.run(data, {}), expected)
