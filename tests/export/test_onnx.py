"""Graphs and programs as ONNX models: names, sizes, types, and what cannot be written."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphc.errors import GraphError, UnsupportedError
from graphc.export import onnx_proto
from graphc.export.check import check_format, difference
from graphc.export.onnx import to_onnx
from graphc.ir import Graph, Location, TensorType, Value, dims, symbol, type_of
from graphc.ops.control import cond, scan, while_loop
from graphc.ops.elementwise import Relu, Tanh
from graphc.ops.gather import ScatterAdd
from graphc.ops.linalg import Einsum
from graphc.ops.logic import BitwiseXor
from graphc.ops.movement import Concat, Expand, Iota, Reshape, Slice, Transpose
from graphc.ops.recurrent import GRU, LSTM, SimpleRNN
from graphc.ops.reduce import ReduceSum
from graphc.program import Program, Variable
from graphc.reference import evaluate
from tests.ort.programs import MODELS, arrays_for, program

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

BATCH, TIME = symbol("batch"), symbol("time")


def run(proto: onnx.ModelProto, data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, data), strict=True))


def check(
    graph: Graph,
    variables: dict[str, np.ndarray] | None = None,
    sizes: tuple[dict[str, int], ...] = ({"batch": 1, "time": 1}, {"batch": 3, "time": 5}),
    opset: int = 17,
) -> onnx.ModelProto:
    """Export a graph and run it for several sizes, next to the reference."""
    variables = variables or {}
    proto = to_onnx(graph, variables, opset=opset)
    check_format(proto)
    assert untyped(proto.graph) == []
    rng = np.random.default_rng(3)
    for bindings in sizes:
        data = {}
        for value in graph.inputs:
            if value.name in variables:
                continue
            shape = [dims.evaluate(dim, bindings) for dim in value.shape]
            drawn = rng.normal(size=shape) if "float" in value.dtype else rng.integers(0, 3, shape)
            data[value.name] = np.asarray(drawn).astype(value.dtype)
        expected = evaluate(graph, {**data, **variables})
        received = run(proto, data)
        assert list(received) == list(expected)
        for name, array in expected.items():
            assert difference(array, received[name]) < 1e-5, (name, bindings)
    return proto


def untyped(graph: onnx.GraphProto, outer: frozenset[str] = frozenset()) -> list[str]:
    """Values without a shape."""
    infos = {info.name: info for info in (*graph.value_info, *graph.input, *graph.output)}
    missing = []
    for node in graph.node:
        for name in node.output:
            known = name in infos and infos[name].type.tensor_type.HasField("shape")
            if name and not known:
                missing.append(name)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                missing += untyped(attribute.g)
    return missing


def operations(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def shape_of(info: onnx.ValueInfoProto) -> list[str | int]:
    return [d.dim_param or d.dim_value for d in info.type.tensor_type.shape.dim]


def perceptron() -> tuple[Graph, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    arrays = {
        "hidden/kernel": rng.normal(size=(4, 5)).astype(np.float32),
        "hidden/bias": np.zeros(5, np.float32),
        "out/kernel": rng.normal(size=(5, 5)).astype(np.float32),
        "out/bias": np.zeros(5, np.float32),
    }
    graph = Graph("mlp")
    x = graph.input("x", TensorType((BATCH, 4), "float32"))
    w = {name: graph.input(name, type_of(array)) for name, array in arrays.items()}
    with graph.at(Location("model/hidden", "/home/somebody/train.py", 7)):
        h = Relu()(Einsum("bi,io->bo")(x, w["hidden/kernel"]) + w["hidden/bias"])
    with graph.at(Location("model/out")):
        y = Einsum("bi,io->bo")(h, w["out/kernel"]) + w["out/bias"]
    graph.outputs["scores"] = y
    return graph, arrays


# ----------------------------------------------------------------------------------- what it says


def test_names() -> None:
    graph, arrays = perceptron()
    proto = to_onnx(graph, arrays, root="model", metadata={"made": "today"})
    check_format(proto)
    names = ["hidden/MatMul", "hidden/Add", "hidden/Relu", "out/MatMul", "out/Add"]
    assert [node.name for node in proto.graph.node] == names
    assert [i.name for i in proto.graph.initializer] == list(arrays)
    assert [value.name for value in proto.graph.input] == ["x"]
    assert [value.name for value in proto.graph.output] == ["scores"]
    assert shape_of(proto.graph.input[0]) == ["batch", 4]
    assert proto.producer_name == "graphc"
    assert proto.ir_version == 8
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", 17)]
    assert {prop.key: prop.value for prop in proto.metadata_props} == {"made": "today"}


def test_comments_say_where_without_folders() -> None:
    graph, arrays = perceptron()
    proto = to_onnx(graph, arrays, root="model")
    assert proto.graph.node[0].doc_string == 'layer "hidden", train.py:7'
    assert proto.graph.node[3].doc_string == 'layer "out"'
    assert b"somebody" not in proto.SerializeToString()


def test_every_value_has_a_type() -> None:
    graph, arrays = perceptron()
    proto = check(graph, arrays)
    shapes = {info.name: shape_of(info) for info in proto.graph.value_info}
    assert shapes == {
        name: ["batch", 5]
        for name in ("model/hidden/MatMul", "model/hidden/Add", "model/hidden/Relu",
                     "model/out/MatMul")
    }  # fmt: skip


def test_versions() -> None:
    graph, arrays = perceptron()
    proto = to_onnx(graph, arrays, opset=18, ir_version=10)
    assert (proto.opset_import[0].version, proto.ir_version) == (18, 10)
    with pytest.raises(ValueError, match="at least 17, not 16"):
        to_onnx(graph, arrays, opset=16)


def test_equal_variables_stay_apart_and_equal_constants_do_not() -> None:
    graph, arrays = perceptron()
    x = graph.outputs["scores"]
    graph.outputs["more"] = Concat(0)(x * 0.5, x + 0.5)
    names = [i.name for i in to_onnx(graph, arrays).graph.initializer]
    assert names == [*arrays, "constant"]


def test_the_same_result_twice_and_an_input_as_output() -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType((BATCH, 2), "float32"))
    y = Tanh()(x)
    graph.outputs = {"same": x, "first": y, "second": y, "one": graph.constant(np.float32(1))}
    assert operations(check(graph)) == ["Tanh", "Identity", "Identity", "Identity"]


def test_an_output_may_not_be_called_like_an_input() -> None:
    graph = Graph("g")
    graph.outputs["x"] = Tanh()(graph.input("x", TensorType((2,), "float32")))
    with pytest.raises(UnsupportedError, match='output "x" has the name of an input'):
        to_onnx(graph)


def test_an_output_may_be_called_like_a_node() -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType((2,), "float32"))
    graph.outputs = {"Tanh": Relu()(x), "Relu": Tanh()(x)}
    received = run(to_onnx(graph), {"x": np.array([-1, 1], np.float32)})
    np.testing.assert_array_equal(received["Tanh"], [0, 1])


# ------------------------------------------------------------------------------------- variables


def test_what_depends_on_variables_only_is_computed() -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType((BATCH, 3), "float32"))
    kernel = graph.input("kernel", TensorType((2, 3), "float32"))
    scale = graph.input("scale", TensorType((), "float32"))
    graph.outputs["y"] = Einsum("bi,io->bo")(x, Transpose((1, 0))(kernel) * scale)
    arrays = {
        "kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
        "scale": np.array(2, np.float32),
    }
    proto = check(graph, arrays)
    assert operations(proto) == ["MatMul"]
    assert [i.name for i in proto.graph.initializer] == ["kernel"]


def test_an_array_that_is_used_in_two_ways_has_two_names() -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType((3, 3), "float32"))
    kernel = graph.input("kernel", TensorType((3, 3), "float32"))
    graph.outputs = {
        "y": Einsum("bi,io->bo")(x, kernel),
        "z": Einsum("bi,oi->bo")(x, kernel),
    }
    proto = check(graph, {"kernel": np.arange(9, dtype=np.float32).reshape(3, 3)})
    assert [i.name for i in proto.graph.initializer] == ["kernel", "kernel_1"]


def test_large_results_are_left_to_the_runtime() -> None:
    graph = Graph("g")
    small = graph.input("small", TensorType((), "float32"))
    graph.outputs["y"] = Expand((100, 100))(small)
    assert operations(check(graph, {"small": np.array(3, np.float32)})) == ["Expand"]


def test_variables_have_to_fit() -> None:
    graph, arrays = perceptron()
    with pytest.raises(GraphError, match='no input "other"'):
        to_onnx(graph, {**arrays, "other": np.zeros(3)})
    with pytest.raises(GraphError, match=r'"hidden/bias" is float32\[5\], received float32 \(4,\)'):
        to_onnx(graph, {**arrays, "hidden/bias": np.zeros(4, np.float32)})
    with pytest.raises(GraphError, match="received float64"):
        to_onnx(graph, {**arrays, "hidden/bias": np.zeros(5)})


def test_programs_keep_their_state_as_inputs_and_outputs() -> None:
    graph = Graph("count")
    n = graph.input("n", TensorType((), "int32"))
    graph.outputs["n'"] = n + 1
    proto = to_onnx(Program(graph, (Variable("n", "n'"),), "train"))
    assert proto.graph.name == "train"
    assert run(proto, {"n": np.array(3, np.int32)})["n'"] == 4


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "uint64", "bool", "float64"])
def test_arrays_of_every_dtype(dtype: str) -> None:
    from graphc.ir import numpy_dtype

    graph = Graph("g")
    value = graph.input("w", TensorType((2,), dtype))
    graph.outputs["y"] = value
    array = np.array([1, 0]).astype(numpy_dtype(dtype))
    proto = to_onnx(graph, {"w": array})
    stored = onnx.numpy_helper.to_array(proto.graph.initializer[0])
    np.testing.assert_array_equal(stored, array)


def test_models_that_no_file_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, arrays = perceptron()
    monkeypatch.setattr(onnx_proto, "_SIZE_LIMIT", 100)
    with pytest.raises(UnsupportedError, match="less than 2 GiB"):
        to_onnx(graph, arrays)


# ----------------------------------------------------------------------------------------- sizes


def sized(make: Callable[[Value], Value]) -> Graph:
    graph = Graph("g")
    x = graph.input("x", TensorType((BATCH, TIME, 4), "float32"))
    graph.outputs["y"] = make(x)
    return graph


RESHAPES = {
    "first kept": ((BATCH, TIME * 4), [0, -1]),
    "joined": ((BATCH * TIME, 4), [-1, 4]),
    "split": ((BATCH, TIME, 2, 2), [0, 0, 2, 2]),
    "flat": ((BATCH * TIME * 4,), [-1]),
    "one axis more": ((1, BATCH, TIME, 4), None),
}


@pytest.mark.parametrize("case", RESHAPES)
def test_reshapes_have_constant_shapes(case: str) -> None:
    shape, expected = RESHAPES[case]
    proto = check(sized(Reshape(shape)))
    if expected is None:
        assert "Concat" in operations(proto)
    else:
        assert operations(proto) == ["Reshape"]
        (sizes,) = proto.graph.initializer
        assert onnx.numpy_helper.to_array(sizes).tolist() == expected


def test_sizes_are_computed_from_inputs() -> None:
    def make(x: Value) -> Value:
        part = Slice((0, 0, 0), (BATCH, (TIME - 1) // 2 + 1, 4), (1, 1, 1))(x)
        line = x.graph.apply(Iota(((TIME - 1) // 2 + 1,), 0, "float32"))
        return part * Reshape(((TIME - 1) // 2 + 1, 1))(line)

    sizes = ({"batch": 1, "time": 1}, {"batch": 2, "time": 6}, {"batch": 2, "time": 7})
    check(sized(make), sizes=sizes)


def test_negative_numerators_are_rounded_down() -> None:
    size = (TIME - 5) // 2 + 3
    graph = sized(lambda x: x.graph.apply(Iota((size,), 0, "int32")))
    check(graph, sizes=({"batch": 1, "time": 2}, {"batch": 1, "time": 1}, {"batch": 1, "time": 9}))


def test_a_size_that_no_input_has_is_refused() -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType((TIME * 2,), "float32"))
    graph.outputs["y"] = Concat(0)(x, Expand((TIME,))(graph.constant(1.0, "float32")))
    with pytest.raises(UnsupportedError, match='size "time" is needed'):
        to_onnx(graph)


# ----------------------------------------------------------------------- control flow, recurrence


def test_bodies_read_what_is_outside() -> None:
    def make(x: Value) -> Value:
        first = ReduceSum((1,))(x)

        def step(carries: list[Value], slices: list[Value], constants: list[Value]) -> tuple:
            after = Tanh()(carries[0] + slices[0]) * constants[0]
            return [after], [after, slices[0], constants[0]]

        finals, stacks = scan(step, [first], [Transpose((1, 0, 2))(x)], [first * 0.5])
        return Concat(0)(finals[0], *[ReduceSum((0,))(stack) for stack in stacks])

    proto = check(sized(make))
    assert operations(proto).count("Scan") == 1


def test_conditionals_and_loops() -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType((BATCH, 3), "float32"))
    total = ReduceSum((0, 1))(x)
    (picked,) = cond(total > 0.0, lambda x, t: (x * t,), lambda x, t: (x,), x, total)
    start = graph.constant(0, "int32")
    _, grown = while_loop(lambda i, y: i < 4, lambda i, y: (i + 1, y * 1.5), start, picked)
    graph.outputs["y"] = grown
    check(graph)


@pytest.mark.parametrize(
    ("op", "name"), [(LSTM(), "LSTM"), (GRU(), "GRU"), (GRU(reset_after=False), "GRU"),
                     (SimpleRNN(), "RNN"), (LSTM(go_backwards=True), "LSTM")]
)  # fmt: skip
def test_a_recurrent_layer_is_one_node(op: LSTM, name: str) -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType((BATCH, TIME, 4), "float32"))
    shapes = {"kernel": (4, op.gates * 3), "recurrent": (3, op.gates * 3), "bias": op.bias_shape(3)}
    rng = np.random.default_rng(5)
    arrays = {n: rng.normal(size=s).astype(np.float32) for n, s in shapes.items()}
    weights = [graph.input(n, type_of(a)) for n, a in arrays.items()]
    zeros = Expand((BATCH, 3))(graph.constant(0.0, "float32"))
    outputs, *finals = op(x, *weights, *[zeros] * op.states)
    graph.outputs = {"outputs": outputs, **{f"final{i}": v for i, v in enumerate(finals)}}
    proto = check(graph, arrays)
    assert operations(proto).count(name) == 1
    assert not {"Expand", "Concat", "Gather", "Scan"} & set(operations(proto))
    assert [i.name for i in proto.graph.initializer][1:4] == list(arrays) or set(arrays) <= {
        i.name for i in proto.graph.initializer
    }
    graph.outputs = {"final": finals[0]}
    (node,) = [node for node in check(graph, arrays).graph.node if node.op_type == name]
    assert list(node.output)[0] == ""
    assert len(node.output) == 2


# ------------------------------------------------------------------------------ training, refusals


@pytest.mark.parametrize("name", MODELS)
def test_training_steps_are_exported(name: str) -> None:
    subject = program(MODELS[name])
    proto = to_onnx(subject, opset=18)
    check_format(proto)
    data, state = arrays_for(subject, {"batch": 3, "time": 4})
    expected = evaluate(subject.graph, {**data, **state})
    received = run(proto, {**data, **state})
    for label, array in expected.items():
        np.testing.assert_allclose(received[label], array, 1e-3, 1e-4, err_msg=label)


def test_refusals_say_where() -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType((2,), "int32"))
    with graph.at(Location("model/noise", "train.py", 3)):
        graph.outputs["y"] = BitwiseXor()(x, x)
    with pytest.raises(UnsupportedError, match=r'opset 18.*layer "model/noise", train.py:3'):
        to_onnx(graph)


def test_scattering_needs_opset_18_where_it_adds() -> None:
    graph = Graph("g")
    indices = graph.input("indices", TensorType((BATCH,), "int32"))
    y = graph.input("y", TensorType((BATCH, 2), "float32"))
    graph.outputs["z"] = ScatterAdd(0, 3)(indices, y)
    check(graph, opset=18)
