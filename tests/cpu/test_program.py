"""Compiled programs: steps, state, rows, threads, the cache, and what is refused."""

from __future__ import annotations

import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from graphc import runtime
from graphc.autodiff import gradients
from graphc.config import config
from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.ir import Graph, Location, TensorType, filled, symbol
from graphc.ops.control import scan
from graphc.ops.conv import Conv
from graphc.ops.elementwise import Relu, Tanh
from graphc.ops.gather import Gather
from graphc.ops.linalg import Einsum
from graphc.ops.movement import Reshape, Transpose
from graphc.ops.pool import MaxPool
from graphc.ops.reduce import ReduceMean, ReduceSum
from graphc.program import Program, Variable, run_reference
from graphc.runtime.cpu import compiler
from graphc.runtime.cpu.program import CpuExecutable
from graphc.runtime.cpu.target import Target
from graphc.runtime.reference import ReferenceExecutable
from tests.cpu.programs import (
    BATCH,
    assert_equal,
    check_program,
    copied,
    inputs_for,
    training_program,
)

SMALL, MIDDLE = (3, 4, 4, 2), (70, 90, 33, 10)


@pytest.mark.parametrize("optimizer", ("sgd", "adam"))
@pytest.mark.parametrize("sizes", (SMALL, MIDDLE))
def test_training_step(sizes: tuple[int, ...], optimizer: str) -> None:
    program = training_program(sizes, optimizer)
    check_program(program, [{"batch": b} for b in (0, 1, 32, 33)], tolerance=1e-3)
    wide = training_program(sizes, optimizer, "float64")
    check_program(wide, [{"batch": b} for b in (1, 7)], tolerance=1e-9)


def test_weights_are_updated_in_place_without_copies() -> None:
    executable = CpuExecutable(training_program(MIDDLE, "adam"), 1)
    assert not any("copy" in name for name in executable.manifest.kernels)


@pytest.mark.parametrize("shuffled", (False, True))
@pytest.mark.parametrize(("rows", "batch"), [(64, 16), (50, 16), (5, 16), (33, 1), (1, 1)])
def test_steps_in_one_call_are_steps_one_by_one(rows: int, batch: int, shuffled: bool) -> None:
    program = training_program(SMALL, "adam")
    data, state = inputs_for(program, {"batch": rows})
    order = np.random.default_rng(1).permutation(rows).astype(np.int64) if shuffled else None
    steps = -(-rows // batch)
    outcomes = []
    for executable in (CpuExecutable(program, 1), ReferenceExecutable(program)):
        after = copied(state)
        logits = np.full((rows, 2), np.nan, np.float32)
        last = executable.run_steps(data, after, batch, steps, 0, order, {"logits": logits})
        outcomes.append({**last, **after, "logits": logits})
    assert_equal(outcomes[0], outcomes[1], 1e-4)


def test_runs_of_steps_can_be_continued() -> None:
    program = training_program(SMALL)
    data, state = inputs_for(program, {"batch": 40})
    executable = CpuExecutable(program, 1)
    whole, parts = copied(state), copied(state)
    executable.run_steps(data, whole, 8, 5)
    for begin, steps in ((0, 2), (2, 0), (2, 1), (3, 2)):
        executable.run_steps(data, parts, 8, steps, begin)
    for name, array in whole.items():
        np.testing.assert_array_equal(parts[name], array)


@pytest.mark.parametrize("dtype", ("uint8", "float64", "int64", "bool"))
@pytest.mark.parametrize("shape", [(), (3,), (5, 13), (0,)])
def test_rows_of_every_size_are_gathered(dtype: str, shape: tuple[int, ...]) -> None:
    graph = Graph("rows")
    graph.outputs["y"] = graph.input("x", TensorType((BATCH, *shape), dtype))
    x = np.random.default_rng(0).integers(0, 2, (37, *shape)).astype(dtype)
    order = np.random.default_rng(1).permutation(37).astype(np.int64)
    y = np.empty_like(x)
    CpuExecutable(Program(graph), 1).run_steps({"x": x}, {}, 10, 4, 0, order, {"y": y})
    np.testing.assert_array_equal(y, x[order])


@pytest.mark.parametrize("sizes", [(200, 333), (700, 512)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_row_alone_gets_the_bits_that_it_gets_among_others(
    bias: bool, sizes: tuple[int, int]
) -> None:
    # One row, few and many rows have kernels of their own where the matrix is large.
    graph = Graph("predict")
    x = graph.input("x", TensorType((BATCH, sizes[0]), "float32"))
    kernel = graph.input("kernel", TensorType(sizes, "float32"))
    y = Einsum("bi,io->bo")(x, kernel)
    if bias:
        y = Relu()(y + graph.input("bias", TensorType(sizes[1:], "float32")))
    graph.outputs = {"y": y}
    names = ["kernel", "bias"] if bias else ["kernel"]
    program = Program(graph, [Variable(name) for name in names])
    assert "define void @c1(" in compiler.lower(program, Target.host()).text()
    data, state = inputs_for(program, {"batch": 9})
    executable = CpuExecutable(program, 1)
    whole = executable.run(data, state)["y"]
    for times in (2, 15, 60):
        many = executable.run({"x": np.tile(data["x"], (times, 1))}, state)["y"]
        np.testing.assert_array_equal(many, np.tile(whole, (times, 1)))
    np.testing.assert_allclose(
        whole, run_reference(program, data, state)[0]["y"], rtol=2e-5, atol=1e-4
    )
    for row in range(9):
        alone = executable.run({"x": data["x"][row : row + 1]}, state)["y"]
        np.testing.assert_array_equal(alone, whole[row : row + 1])
    results = {"y": np.empty_like(whole)}
    executable.run_steps(data, state, 8, 2, results=results)  # eight rows, and one
    np.testing.assert_array_equal(results["y"], whole)


def test_an_order_may_repeat_rows() -> None:
    graph = Graph("rows")
    graph.outputs["y"] = graph.input("x", TensorType((BATCH,), "int64")) * 10
    x, y = np.arange(4), np.empty(4, np.int64)
    order = np.array([3, 3, 0, 3], np.int64)
    CpuExecutable(Program(graph), 1).run_steps({"x": x}, {}, 3, 2, 0, order, {"y": y})
    np.testing.assert_array_equal(y, [30, 30, 0, 30])


# ------------------------------------------------------------------------------------------ state


def variable_program(build, *names: str) -> Program:
    """A program over vectors of 5, whose outputs ``name'`` are new values of variables."""
    graph = Graph("state")
    values = {name: graph.input(name, TensorType((5,), "float32")) for name in names}
    graph.outputs = build(*values.values())
    variables = tuple(
        Variable(name, f"{name}'" if f"{name}'" in graph.outputs else None) for name in names
    )
    return Program(graph, variables)


@pytest.mark.parametrize(
    "build",
    [
        lambda a, b: {"a'": b, "b'": a},
        lambda a, b: {"a'": a + b, "b'": a - b},
        lambda a, b: {"a'": b, "y": a},
        lambda a, b: {"a'": a, "b'": a * 2.0, "y": b},
        lambda a, b: {"a'": a * ReduceSum((0,))(a), "b'": b + a},
        lambda a, b: {"a'": ReduceMean((0,), True)(a) + a * b, "y": ReduceSum((0,))(a * a)},
        lambda a, b: {"a'": Einsum("i,j->j")(a, b), "b'": Einsum("i,j->i")(a, b)},
        lambda a, b: {"a'": a * 0.5, "b'": (a * 0.5) + b, "y": a + b},
    ],
    ids=["swap", "sum", "move", "keep", "scale", "mean", "contract", "chain"],
)
def test_every_reader_of_a_variable_sees_the_old_value(build) -> None:
    check_program(variable_program(build, "a", "b"), [{}, {}])


def test_state_that_is_only_read_may_be_protected() -> None:
    program = variable_program(lambda a, b: {"b'": a + b}, "a", "b")
    a, b = np.ones(5, np.float32), np.zeros(5, np.float32)
    a.setflags(write=False)
    executable = CpuExecutable(program, 1)
    executable.run({}, {"a": a, "b": b})
    np.testing.assert_array_equal(b, 1)
    with pytest.raises(ShapeError, match='variable "b" has to be a contiguous, writable array'):
        executable.run({}, {"a": b, "b": a})
    with pytest.raises(ShapeError, match='variable "b"'):
        executable.run({}, {"a": a, "b": np.zeros(10, np.float32)[::2]})


# ---------------------------------------------------------------------------------- determinism


def wide_program() -> Program:
    """Kernels of every kind that are large enough for several threads."""
    graph = Graph("wide")
    x = graph.input("x", TensorType((BATCH, 600), "float32"))
    w = graph.input("w", TensorType((600, 300), "float32"))
    i = graph.input("i", TensorType((BATCH,), "int32"))
    y = Tanh()(Einsum("bi,io->bo")(x, w))
    graph.outputs = {
        "y": y,
        "rows": ReduceSum((1,))(x * x),
        "columns": ReduceMean((0,))(x),
        "table": Gather(0)(x, i),
        "w'": w - Einsum("bi,bo->io")(x, y) * 0.001,
    }
    return Program(graph, (Variable("w", "w'"),))


def image_program() -> Program:
    """A convolution, a pool, a recurrent loop over the rows, and all their gradients."""
    graph = Graph("images")
    x = graph.input("x", TensorType((BATCH, 14, 14, 3), "float32"))
    kernel = graph.input("kernel", TensorType((3, 3, 3, 16), "float32"))
    w = graph.input("w", TensorType((7 * 16, 7 * 16), "float32"))
    y = Relu()(Conv(strides=(1, 1), padding=((1, 1), (1, 1)), dilations=(1, 1))(x, kernel))
    y = MaxPool(window=(2, 2), strides=(2, 2), padding=((0, 0), (0, 0)))(y)
    rows = Transpose((1, 0, 2))(Reshape((BATCH, 7, 7 * 16))(y))
    first = filled(graph, TensorType((BATCH, 7 * 16), "float32"), 0)
    (last,), _ = scan(
        lambda h, s, c: ([Tanh()(Einsum("bi,io->bo")(h[0], c[0]) + s[0])], []), [first], [rows], [w]
    )
    loss = ReduceMean((0, 1))(last * last)
    graph.outputs["loss"] = loss
    weights = [x, kernel, w]
    for weight, slope in zip(weights, gradients(loss, weights), strict=True):
        graph.outputs[f"d{weight.name}"] = slope
    return Program(graph)


@pytest.mark.parametrize(("make", "rows"), [(wide_program, 700), (image_program, 300)])
def test_threads_change_no_bit(make: Callable[[], Program], rows: int) -> None:
    program = make()
    data, state = inputs_for(program, {"batch": rows})
    outcomes = []
    for threads in (1, 2, 4):
        after = copied(state)
        executable = CpuExecutable(program, threads)
        results = executable.run(data, after)
        executable.run_steps(data, after, 256, rows // 256 + 1)
        outcomes.append({**results, **after})
    for other in outcomes[1:]:
        for name, array in outcomes[0].items():
            np.testing.assert_array_equal(other[name], array, name)
    expected, _ = run_reference(program, data, state)
    assert_equal({name: outcomes[0][name] for name in expected}, expected, 1e-4)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86-64 processor")
@pytest.mark.parametrize("make", (Target.x86_64_v3, Target.x86_64_baseline))
def test_narrower_vectors_compute_the_same(make: Callable[[], Target]) -> None:
    for program in (training_program(MIDDLE, "adam"), wide_program()):
        data, state = inputs_for(program, {"batch": 37})
        expected, after = run_reference(program, data, state)
        results = CpuExecutable(program, 1, make()).run(data, state)
        assert_equal(results, expected, 1e-4)
        assert_equal({name: state[name] for name in after}, after, 1e-3)


def test_second_compilation_comes_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "cache_folder", tmp_path)
    program = training_program(SMALL, "adam")
    data, state = inputs_for(program, {"batch": 8})
    fresh, cached = copied(state), copied(state)
    first = CpuExecutable(program, 1).run(data, fresh)

    def fail(*_: object) -> None:
        raise AssertionError("a cached program was lowered again")

    monkeypatch.setattr(compiler, "lower", fail)
    second = CpuExecutable(training_program(SMALL, "adam"), 1).run(data, cached)
    for one, two in ((first, second), (fresh, cached)):
        for name, array in one.items():
            np.testing.assert_array_equal(two[name], array)
    with pytest.raises(AssertionError, match="lowered again"):
        CpuExecutable(training_program(SMALL, "sgd"), 1)


def test_code_does_not_depend_on_chance() -> None:
    target = Target.host()
    texts = {compiler.lower(training_program(MIDDLE, "adam"), target).text() for _ in range(2)}
    assert len(texts) == 1


def test_equal_layers_share_their_contractions() -> None:
    target = Target.host()
    counts = [
        compiler.lower(training_program((64,) * layers, "adam"), target).text().count("define")
        for layers in (5, 6, 12)
    ]
    kernels_per_layer = counts[1] - counts[0]
    assert counts[2] - counts[1] == 6 * kernels_per_layer
    assert kernels_per_layer < 16


# --------------------------------------------------------------------------------------- the face


def test_compile_gives_the_native_backend() -> None:
    executable = runtime.compile(training_program(SMALL), threads=1)
    assert isinstance(executable, CpuExecutable)
    assert executable.arena_bytes({"batch": 64}) > executable.arena_bytes({"batch": 8}) > 0


def test_wrong_arrays_are_refused_before_anything_runs() -> None:
    program = training_program(SMALL)
    data, state = inputs_for(program, {"batch": 8})
    executable = CpuExecutable(program, 1)
    before = copied(state)
    with pytest.raises(ShapeError, match='input "x" needs shape'):
        executable.run({**data, "x": data["x"][:, 0]}, state)
    with pytest.raises(DTypeError, match='input "x" needs dtype float32'):
        executable.run({**data, "x": data["x"].astype(np.float64)}, state)
    with pytest.raises(ShapeError, match="axis 0 needs size batch"):
        executable.run({**data, "targets": data["targets"][:3]}, state)
    with pytest.raises(ShapeError, match="need more than the 8 rows"):
        executable.run_steps(data, state, 4, 3)
    with pytest.raises(ShapeError, match="batch_size of at least 1"):
        executable.run_steps(data, state, 0, 1)
    with pytest.raises(DTypeError, match="contiguous vector of int64"):
        executable.run_steps(data, state, 4, 2, order=np.arange(8, dtype=np.int32))
    for bad in (np.arange(1, 9), np.arange(-1, 7), np.arange(5)):
        with pytest.raises(ShapeError, match="8 numbers of rows"):
            executable.run_steps(data, state, 4, 2, order=bad.astype(np.int64))
    for logits in (np.empty((8, 3), np.float32), np.empty((8, 2)), np.empty((2, 8), np.float32).T):
        with pytest.raises(ShapeError, match='result "logits" needs a writable, contiguous array'):
            executable.run_steps(data, state, 4, 2, results={"logits": logits})
    with pytest.raises(ShapeError, match='"loss" is no result with a row'):
        executable.run_steps(data, state, 4, 2, results={"loss": np.empty((), np.float32)})
    with pytest.raises(GraphError, match="there is no array for targets"):
        executable.run({"x": data["x"]}, state)
    for name, array in before.items():
        np.testing.assert_array_equal(state[name], array)


def test_several_threads_may_run_one_executable() -> None:
    graph = Graph("predict")
    x = graph.input("x", TensorType((BATCH, 50), "float32"))
    graph.outputs["y"] = Tanh()(
        Einsum("bi,io->bo")(x, graph.input("w", TensorType((50, 60), "float32")))
    )
    executable = CpuExecutable(Program(graph, (Variable("w"),)), 2)
    rng = np.random.default_rng(0)
    w = rng.normal(size=(50, 60)).astype(np.float32)

    def predict(seed: int) -> bool:
        x = np.random.default_rng(seed).normal(size=(seed % 5 + 30, 50)).astype(np.float32)
        expected = executable.run({"x": x}, {"w": w})["y"]
        again = [executable.run({"x": x}, {"w": w})["y"] for _ in range(20)]
        close = np.allclose(expected, np.tanh(x @ w), atol=1e-5)
        return bool(close) and all(np.array_equal(expected, y) for y in again)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(predict, range(24)))


def test_steps_without_rows() -> None:
    program = variable_program(lambda a: {"a'": a * 2.0}, "a")
    state = {"a": np.ones(5, np.float32)}
    CpuExecutable(program, 1).run_steps({}, state, 1, 4)
    np.testing.assert_array_equal(state["a"], 16)


def test_data_may_lie_anyhow() -> None:
    graph = Graph("scalars")
    x = graph.input("x", TensorType((BATCH, symbol("time")), "float32"))
    graph.outputs["y"] = x * graph.input("scale", TensorType((), "float32"))
    executable = CpuExecutable(Program(graph), 1)
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    result = executable.run({"x": x.T[::2], "scale": np.float32(3)}, {})
    np.testing.assert_array_equal(result["y"], x.T[::2] * 3)


def test_results_computed_in_another_shape_have_a_row_for_each_sample() -> None:
    graph, time = Graph("steps_of_sequences"), symbol("time")
    x = graph.input("x", TensorType((BATCH, time, 3), "float32"))
    steps = Tanh()(Reshape((BATCH * time, 3))(x))
    graph.outputs = {"y": Reshape((BATCH, time, 3))(steps)}
    data = np.random.default_rng(0).normal(size=(10, 5, 3)).astype(np.float32)
    y = np.full_like(data, np.nan)
    CpuExecutable(Program(graph), 1).run_steps({"x": data}, {}, 4, 3, results={"y": y})
    np.testing.assert_allclose(y, np.tanh(data), rtol=1e-5)


def test_data_below_a_window_is_refused_by_the_op() -> None:
    # A reduction behind it would hide the negative size.
    graph, time = Graph("windows"), symbol("time")
    x = graph.input("x", TensorType((BATCH, time, 3), "float32"))
    kernel = graph.input("kernel", TensorType((5, 3, 4), "float32"))
    with graph.at(Location("encoder", "train.py", 12)):
        seen = Conv(strides=(1,), padding=((0, 0),), dilations=(1,))(x, kernel)
    graph.outputs["y"] = ReduceSum((1,))(seen)
    executable = CpuExecutable(Program(graph, (Variable("kernel"),)), 1)
    state = {"kernel": np.ones((5, 3, 4), np.float32)}
    for shape in ((0, 5, 3), (2, 5, 3)):
        result = executable.run({"x": np.ones(shape, np.float32)}, state)
        np.testing.assert_array_equal(result["y"], np.full((shape[0], 4), 15))
    for size in (4, 2, 0):
        data = {"x": np.ones((2, size, 3), np.float32)}
        with pytest.raises(ShapeError, match='Conv: a window of .*"encoder", train.py:12'):
            executable.run(data, state)
        with pytest.raises(ShapeError, match='Conv: a window of .*"encoder", train.py:12'):
            executable.run_steps(data, state, 2, 1)


def test_needs_beyond_the_memory_are_told() -> None:
    graph, n = Graph("all pairs"), symbol("n")
    x = graph.input("x", TensorType((n,), "float32"))
    pairs = Tanh()(Einsum("a,b->ab")(x, x))
    graph.outputs["y"] = Einsum("ab,b->a")(pairs, x)
    executable = CpuExecutable(Program(graph), 1)
    few = np.linspace(0, 1, 9, dtype=np.float32)
    expected = np.tanh(np.outer(few, few)) @ few
    np.testing.assert_allclose(executable.run({"x": few}, {})["y"], expected, rtol=1e-5)
    with pytest.raises(MemoryError, match="262144.0 GiB for what it computes with n = 8388608"):
        executable.run({"x": np.zeros(2**23, np.float32)}, {})


@pytest.mark.skipif(not Target.host().triple.startswith("x86_64"), reason="its code is for x86-64")
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_large_weights_learn_from_small_and_large_batches(optimizer: str) -> None:
    # Their gradients have code of their own for sums over many rows, where registers are few.
    program = training_program((270, 260, 3), optimizer)
    target = Target.x86_64_v3()
    assert ".rows" in compiler.lower(program, target).text()
    executables = [CpuExecutable(program, threads, target) for threads in (1, 2)]
    for rows in (0, 1, 31, 127, 128, 150):
        data, state = inputs_for(program, {"batch": rows})
        states = [{name: x.copy() for name, x in state.items()} for _ in executables]
        results = [x.run(data, y) for x, y in zip(executables, states, strict=True)]
        expected, after = run_reference(program, data, state)
        for name, array in expected.items():
            np.testing.assert_allclose(results[0][name], array, rtol=1e-3, atol=1e-4)
            np.testing.assert_array_equal(results[0][name], results[1][name])
        for name, array in after.items():
            np.testing.assert_allclose(states[0][name], array, rtol=1e-3, atol=1e-4)
            np.testing.assert_array_equal(states[0][name], states[1][name])
