"""Programs to compile, and how their results are compared with the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graphc.autodiff import gradients
from graphc.ir import Graph, TensorType, Value, dims, is_float, symbol
from graphc.ops.elementwise import Exp, Log, Relu, Sqrt
from graphc.ops.linalg import Einsum
from graphc.ops.reduce import ReduceMax, ReduceMean, ReduceSum
from graphc.program import Program, Variable, run_reference
from graphc.runtime.cpu.program import CpuExecutable

BATCH = symbol("batch")
TOLERANCES = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 2e-5, "float64": 1e-11}


def cross_entropy(logits: Value, targets: Value) -> Value:
    """The mean over the batch of the softmax cross-entropy."""
    shifted = logits - ReduceMax((1,), True)(logits)
    logs = shifted - Log()(ReduceSum((1,), True)(Exp()(shifted)))
    return ReduceMean((0,))(-ReduceSum((1,))(targets * logs))


def training_program(
    sizes: Sequence[int], optimizer: str = "sgd", dtype: str = "float32"
) -> Program:
    """A training step of a multi-layer perceptron."""
    graph = Graph("train")
    x = graph.input("x", TensorType((BATCH, sizes[0]), dtype))
    targets = graph.input("targets", TensorType((BATCH, sizes[-1]), dtype))
    weights: list[Value] = []
    hidden = x
    for i, (before, after) in enumerate(zip(sizes, sizes[1:], strict=False)):
        kernel = graph.input(f"kernel{i}", TensorType((before, after), dtype))
        bias = graph.input(f"bias{i}", TensorType((after,), dtype))
        weights += [kernel, bias]
        hidden = Einsum("bi,io->bo")(hidden, kernel) + bias
        if i < len(sizes) - 2:
            hidden = Relu()(hidden)
    loss = cross_entropy(hidden, targets)
    graph.outputs = {"loss": loss, "logits": hidden}
    variables = []
    for weight, slope in zip(weights, gradients(loss, weights), strict=True):
        assert slope is not None
        step = slope * 0.1
        if optimizer == "adam":
            mean = graph.input(f"{weight.name}.mean", weight.type)
            variance = graph.input(f"{weight.name}.variance", weight.type)
            new_mean = mean * 0.9 + slope * 0.1
            new_variance = variance * 0.999 + slope * slope * 0.001
            step = new_mean * 0.01 / (Sqrt()(new_variance) + 1e-7)
            for state, new in ((mean, new_mean), (variance, new_variance)):
                graph.outputs[f"{state.name}'"] = new
                variables.append(Variable(state.name, f"{state.name}'"))
        graph.outputs[f"{weight.name}'"] = weight - step
        variables.append(Variable(weight.name, f"{weight.name}'"))
    return Program(graph, tuple(variables), "train")


def bits_of_steps(
    executable: CpuExecutable, data: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]
) -> dict[str, bytes]:
    """Results and variables after a step on 37 rows and five on batches of 8, last rows first."""
    after = copied(state)
    results = executable.run(data, after)
    executable.run_steps(data, after, 8, 5, 0, np.arange(37)[::-1].copy())
    return {name: array.tobytes() for name, array in {**results, **after}.items()}


def inputs_for(
    program: Program, bindings: Mapping[str, int], seed: int = 0
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Random data and state."""
    rng = np.random.default_rng(seed)
    names = {variable.name for variable in program.variables}
    data, state = {}, {}
    for value in program.graph.inputs:
        shape = [dims.evaluate(dim, bindings) for dim in value.shape]
        if is_float(value.dtype):
            array = np.asarray(rng.normal(size=shape) * 0.5)
        else:
            array = rng.integers(0, 2 if value.dtype == "bool" else 5, shape)
        if value.name.endswith("variance"):
            array = np.abs(array)
        into = state if value.name in names else data
        into[value.name] = np.asarray(array).astype(value.dtype)
    return data, state


def copied(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Copies that may be written to."""
    return {name: array.copy() for name, array in arrays.items()}


def assert_equal(
    actual: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    tolerance: float | None = None,
) -> None:
    """The same types; the same elements, floats up to the precision of their type."""
    assert list(actual) == list(expected)
    for name, wanted in expected.items():
        wanted, got = np.asarray(wanted), actual[name]
        assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype), name
        if not is_float(wanted.dtype.name):
            np.testing.assert_array_equal(got, wanted, name)
            continue
        wide_got, wide = got.astype(np.float64), wanted.astype(np.float64)
        relative = tolerance or TOLERANCES[wanted.dtype.name]
        scale = np.max(np.abs(wide[np.isfinite(wide)]), initial=0.0)
        np.testing.assert_allclose(wide_got, wide, relative, relative * scale, err_msg=name)


def check_program(
    program: Program,
    bindings: Sequence[Mapping[str, int]],
    tolerance: float | None = None,
    threads: int = 1,
) -> CpuExecutable:
    """Compile once, run with several sizes, compare results and state with the reference."""
    executable = CpuExecutable(program, threads)
    for seed, sizes in enumerate(bindings):
        data, state = inputs_for(program, sizes, seed)
        expected, after = run_reference(program, data, state)
        state = copied(state)
        results = executable.run(data, state)
        assert_equal(results, expected, tolerance)
        assert_equal({name: state[name] for name in after}, after, tolerance)
    return executable
