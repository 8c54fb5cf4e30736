"""Long sums in parts: right for every size, and the same bits at any number of threads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphc.ir import Graph, TensorType, Value, numpy_dtype, symbol
from graphc.ops.elementwise import Sqrt
from graphc.ops.linalg import Einsum
from graphc.ops.reduce import ReduceMax, ReduceMin, ReduceProd, ReduceSum
from graphc.program import Program, Variable, run_reference
from graphc.runtime.cpu.program import CpuExecutable
from tests.cpu.programs import assert_equal, copied, inputs_for, training_program

BATCH = symbol("batch")
SIZES = (0, 1, 2, 3, 64)
TOLERANCES = {"float32": 2e-5, "float64": 1e-12, "bfloat16": 3e-2, "float16": 4e-3}

Builder = Callable[[Value], dict[str, Value]]


def program(build: Builder, shape: tuple, dtype: str = "float32") -> Program:
    graph = Graph("sums")
    graph.outputs = build(graph.input("x", TensorType(shape, dtype)))
    return Program(graph)


def kernels(executable: CpuExecutable) -> list[str]:
    return [name.split(".", 1)[1] for name in executable.manifest.kernels]


def check(
    subject: Program, shapes: list[tuple[int, ...]], dtype: str = "float32", scale: float = 1.0
) -> list[str]:
    """Compare with the reference, and runs with 1, 2 and 5 threads with each other."""
    executables = [CpuExecutable(subject, threads) for threads in (1, 2, 5)]
    for seed, shape in enumerate(shapes):
        values = np.random.default_rng(seed).normal(size=shape) * scale
        x = np.asarray(values if dtype[0] in "fb" else values * 9).astype(numpy_dtype(dtype))
        with np.errstate(all="ignore"):
            expected, _ = run_reference(subject, {"x": x}, {})
        found = [executable.run({"x": x}, {}) for executable in executables]
        assert_equal(found[0], expected, TOLERANCES.get(dtype))
        for other in found[1:]:
            for name, array in found[0].items():
                assert array.tobytes() == other[name].tobytes(), (name, shape)
    return kernels(executables[0])


def images(channels: int, batches: tuple[int, ...] = SIZES) -> list[tuple[int, ...]]:
    return [(batch, 32, 32, channels) for batch in batches]


@pytest.mark.parametrize("channels", (1, 3, 16, 17, 40))
def test_statistics_of_channels(channels: int) -> None:
    def build(x: Value) -> dict[str, Value]:
        return {"sum": ReduceSum((0, 1, 2))(x), "squares": ReduceSum((0, 1, 2))(x * x)}

    found = check(program(build, (BATCH, 32, 32, channels)), images(channels))
    assert any("parts" in name for name in found) == (channels > 1)


@pytest.mark.parametrize("size", (65536, 65537, 70001, 262144, 1000003))
@pytest.mark.parametrize("dtype", ("float32", "float64", "int32", "uint8"))
def test_whole_vectors(size: int, dtype: str) -> None:
    def build(x: Value) -> dict[str, Value]:
        return {"y": ReduceSum((0,))(x)}

    check(program(build, (size,), dtype), [(size,)], dtype)


@pytest.mark.parametrize("axes", ((0,), (1,), (0, 1)))
@pytest.mark.parametrize("keep", (False, True))
@pytest.mark.parametrize("shape", ((70001, 3), (3, 70001), (600, 700), (4, 90000)))
def test_axes(shape: tuple[int, ...], axes: tuple[int, ...], keep: bool) -> None:
    def build(x: Value) -> dict[str, Value]:
        return {"y": Sqrt()(ReduceSum(axes, keep)(x * x)) + 1.0}

    check(program(build, shape), [shape])


@pytest.mark.parametrize("op", (ReduceSum, ReduceMax, ReduceMin, ReduceProd))
@pytest.mark.parametrize("dtype", ("float32", "int32", "bfloat16", "float16"))
def test_reductions(op: type, dtype: str) -> None:
    def build(x: Value) -> dict[str, Value]:
        return {"y": op((0,))(x)}

    # Products of many numbers overflow, in one order as in another.
    scale = 0.0 if op is ReduceProd else 0.1
    found = check(program(build, (70001, 5), dtype), [(70001, 5)], dtype, scale)
    assert any("parts" in name for name in found) == (dtype in ("float32", "int32"))


def test_special_values_go_through() -> None:
    def build(x: Value) -> dict[str, Value]:
        return {op.__name__: op((0,))(x) for op in (ReduceSum, ReduceMax, ReduceMin)}

    x = np.zeros((70001, 4), np.float32)
    x[69999] = (np.nan, np.inf, -np.inf, -0.0)
    executable = CpuExecutable(program(build, x.shape), 2)
    found = executable.run({"x": x}, {})
    expected, _ = run_reference(executable.program, {"x": x}, {})
    for name, wanted in expected.items():
        np.testing.assert_array_equal(found[name], wanted, name)


def test_what_is_stored_at_every_point_as_well() -> None:
    def build(x: Value) -> dict[str, Value]:
        y = Sqrt()(x * x)
        return {"y": y, "sum": ReduceSum((0, 1, 2))(y), "most": ReduceMax((0, 1, 2))(y) * 2.0}

    check(program(build, (BATCH, 32, 32, 16)), images(16, (1, 2, 64)))


def test_results_that_the_next_step_needs() -> None:
    def build(x: Value) -> dict[str, Value]:
        mean = ReduceSum((0, 1, 2), keep=True)(x) * 1e-4
        variance = ReduceSum((0, 1, 2), keep=True)((x - mean) * (x - mean))
        return {"y": (x - mean) * Sqrt()(variance)}

    check(program(build, (BATCH, 32, 32, 16)), images(16, (1, 2, 64)))


def test_runs_of_steps_with_a_smaller_batch_at_the_end() -> None:
    def build(x: Value) -> dict[str, Value]:
        return {"y": ReduceSum((0, 1, 2))(x)}

    subject = program(build, (BATCH, 32, 32, 16))
    x = np.random.default_rng(0).normal(size=(150, 32, 32, 16)).astype(np.float32)
    for threads in (1, 2):
        last = CpuExecutable(subject, threads).run_steps({"x": x}, {}, 64, 3)
        np.testing.assert_allclose(last["y"], x[128:].sum((0, 1, 2)), rtol=1e-4, atol=1e-2)


def test_many_results_and_short_sums_stay_whole() -> None:
    def build(axes: tuple[int, ...]) -> Builder:
        return lambda x: {"y": ReduceSum(axes)(x)}

    assert not any("parts" in x for x in check(program(build((1,)), (64, 9000)), [(64, 9000)]))
    assert not any("parts" in x for x in check(program(build((0,)), (300, 100)), [(300, 100)]))


@pytest.mark.parametrize("channels", (3, 16, 24))
@pytest.mark.parametrize("dtype", ("float32", "float64", "int32", "bfloat16"))
def test_products_summed_over_all_pixels(channels: int, dtype: str) -> None:
    # As in the gradient of a kernel: few results, and a sum over all images and pixels of each.
    def build(x: Value) -> dict[str, Value]:
        total = Einsum("npqi,npqj->ij")(x, x)
        return {"total": total, "more": total * 2}

    found = check(program(build, (BATCH, 32, 32, channels), dtype), images(channels), dtype, 0.1)
    assert any("parts" in name for name in found) == (dtype != "bfloat16")


def test_products_of_one_axis() -> None:
    def build(x: Value) -> dict[str, Value]:
        return {"y": Einsum("bti,btj->ij")(x, x), "z": Einsum("bti,btj->ji")(x, x * 0.5)}

    found = check(program(build, (BATCH, 200, 70)), [(n, 200, 70) for n in SIZES])
    assert any("parts" in name for name in found)


@pytest.mark.parametrize("rows", [1, 5, 64, 65, 150])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_rows_of_weights_that_change(optimizer: str, rows: int) -> None:
    subject = training_program((401, 200, 7), optimizer)
    data, state = inputs_for(subject, {"batch": 150})
    batch = {name: array[:rows] for name, array in data.items()}
    outcomes = []
    for threads in (1, 2, 5):
        executable = CpuExecutable(subject, threads)
        after, later = copied(state), copied(state)
        results = executable.run(batch, after)
        executable.run_steps(data, later, rows, -(-150 // rows))  # the last one may be smaller
        outcomes.append({**results, **after, **{f"later {name}": x for name, x in later.items()}})
    names = executable.manifest.kernels
    assert sum(".contraction.parts" in name for name in names) == 1
    for other in outcomes[1:]:
        for name, array in outcomes[0].items():
            np.testing.assert_array_equal(other[name], array, name)
    expected = {}
    for part in run_reference(subject, batch, state):
        expected |= part
    assert_equal({name: outcomes[0][name] for name in expected}, expected, 2e-5)


def test_weights_that_do_not_change_are_summed_as_a_whole() -> None:
    subject = training_program((401, 200, 7))
    variables = tuple(x for x in subject.variables if x.name != "kernel0")
    still = Program(subject.graph, (*variables, Variable("kernel0")))
    assert any("parts" in name for name in CpuExecutable(subject).manifest.kernels)
    assert not any("parts" in name for name in CpuExecutable(still).manifest.kernels)


@pytest.mark.parametrize("equation", ["bi,io->", "bi,io->o", "bi,io->b", "io,io->"])
def test_products_of_other_shapes_with_weights_that_change(equation: str) -> None:
    graph = Graph("train")
    w = graph.input("w", TensorType((401, 200), "float32"))
    x = w if equation.startswith("io") else graph.input("x", TensorType((BATCH, 401), "float32"))
    graph.outputs = {"y": Einsum(equation)(x, w), "w'": w * 0.5}
    subject = Program(graph, (Variable("w", "w'"),))
    data, state = inputs_for(subject, {"batch": 5})
    expected, _ = run_reference(subject, data, state)
    found = CpuExecutable(subject, 2).run(data, copied(state))
    assert_equal(found, expected, 2e-5)
