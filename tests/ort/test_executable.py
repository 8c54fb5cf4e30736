"""Programs in ONNX Runtime do what they do in the reference interpreter."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from graphc import runtime
from graphc.errors import DTypeError, ShapeError, UnsupportedError
from graphc.ir import Graph, Location, TensorType, symbol
from graphc.ops.linalg import Einsum
from graphc.ops.movement import Reverse
from graphc.ops.pool import AveragePool
from graphc.program import Program, Variable
from tests.ort.programs import MODELS, arrays_for, program

pytest.importorskip("onnxruntime")

from graphc.runtime.ort.executable import OrtExecutable  # noqa: E402
from graphc.runtime.ort.providers import CUDA, Provider  # noqa: E402
from graphc.runtime.ort.session import Options  # noqa: E402

CPU = Options(device="cpu", threads=1)
BATCH = symbol("batch")


def copies(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in arrays.items()}


def assert_same(received: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert received.keys() == expected.keys()
    for name, array in expected.items():
        assert received[name].dtype == array.dtype
        np.testing.assert_allclose(received[name], array, 2e-4, 2e-5, err_msg=name)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", MODELS)
def test_training_goes_as_in_the_reference(name: str, optimizer: str) -> None:
    subject = program(MODELS[name], optimizer)
    rows, batch_size = 13, 4
    data, state = arrays_for(subject, {"batch": rows, "time": 6})
    order = np.random.default_rng(1).permutation(rows).astype(np.int64)
    results = {}
    for backend in (runtime.compile(subject, "reference"), OrtExecutable(subject, CPU)):
        after, logits = copies(state), np.zeros((rows, 3), np.float32)
        last = backend.run_steps(data, after, batch_size, 4, 0, order, {"logits": logits})
        results[type(backend).__name__] = {**after, **last, "logits": logits}
    assert_same(results["OrtExecutable"], results["ReferenceExecutable"])
    moved = [np.any(state[name] != results["OrtExecutable"][name]) for name in state]
    assert all(moved)


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_state_ends_in_the_callers_arrays(steps: int) -> None:
    graph = Graph("count")
    n = graph.input("n", TensorType((), "int32"))
    other = graph.input("other", TensorType((2,), "float32"))
    graph.outputs = {"next": n + 1, "swapped": Reverse((0,))(other), "seen": n * 10}
    subject = Program(graph, (Variable("n", "next"), Variable("other", "swapped")))
    state = {"n": np.array(5, np.int32), "other": np.array([1, 2], np.float32)}
    arrays = dict(state)
    last = OrtExecutable(subject, CPU).run_steps({}, state, 1, steps)
    assert all(state[name] is arrays[name] for name in state)
    assert state["n"] == 5 + steps
    np.testing.assert_array_equal(state["other"], [1, 2] if steps % 2 == 0 else [2, 1])
    assert last == ({"seen": np.array(10 * (4 + steps), np.int32)} if steps else {})


def test_a_value_that_many_read_is_never_overwritten_too_early() -> None:
    graph = Graph("swap")
    x, y = (graph.input(name, TensorType((64, 64), "float32")) for name in "xy")
    product = Einsum("ij,jk->ik")(x, y)
    graph.outputs = {"x'": y, "y'": x + product * 0.01, "trace": product}
    subject = Program(graph, (Variable("x", "x'"), Variable("y", "y'")))
    rng = np.random.default_rng(2)
    state = {name: rng.normal(size=(64, 64)).astype(np.float32) for name in "xy"}
    expected, received = copies(state), copies(state)
    runtime.compile(subject, "reference").run_steps({}, expected, 1, 5)
    OrtExecutable(subject, CPU).run_steps({}, received, 1, 5)
    assert_same(received, expected)


def test_predictions_of_any_size_need_one_session() -> None:
    subject = predictor()
    backend = OrtExecutable(subject, CPU)
    reference = runtime.compile(subject, "reference")
    for rows, time in ((1, 1), (7, 3), (2, 9)):
        data, state = arrays_for(subject, {"batch": rows, "time": time})
        assert_same(backend.run(data, state), reference.run(data, state))
    assert len(backend._sessions) == 1


def predictor() -> Program:
    graph = Graph("predict")
    x = graph.input("x", TensorType((BATCH, symbol("time"), 3), "float32"))
    kernel = graph.input("kernel", TensorType((3, 4), "float32"))
    graph.outputs = {"y": Einsum("bti,io->bto")(x, kernel)}
    return Program(graph, (Variable("kernel"),), "predict")


def test_rows_that_begin_later() -> None:
    subject = predictor()
    data, state = arrays_for(subject, {"batch": 10, "time": 2})
    backend = OrtExecutable(subject, CPU)
    y = np.full((10, 2, 4), np.nan, np.float32)
    backend.run_steps(data, state, 4, 1, begin=2, results={"y": y})
    assert np.all(np.isnan(y[:8]))
    np.testing.assert_allclose(y[8:], backend.run(data, state)["y"][8:], 1e-6)


def test_results_can_be_left_out() -> None:
    subject = predictor()
    data, state = arrays_for(subject, {"batch": 5, "time": 2})
    assert OrtExecutable(subject, CPU).run_steps(data, state, 2, 3) == {}


def test_what_does_not_fit_is_refused_before_anything_runs() -> None:
    subject = program(MODELS["mlp"])
    data, state = arrays_for(subject, {"batch": 4})
    before = copies(state)
    backend = OrtExecutable(subject, CPU)
    with pytest.raises(ShapeError, match='"x"'):
        backend.run_steps({**data, "x": data["x"][:, :2]}, state, 2, 2)
    with pytest.raises(DTypeError, match='"x" needs dtype float32, received float64'):
        backend.run({**data, "x": data["x"].astype(np.float64)}, state)
    assert_same(state, before)


def test_an_op_without_a_kernel_is_named_with_its_layer() -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType((2, 4, 4, 1), "float64"))
    pool = AveragePool(window=(2, 2), strides=(2, 2), padding=((0, 0), (0, 0)))
    with graph.at(Location("encoder/pool")):
        graph.outputs["y"] = pool(x)
    with pytest.raises(UnsupportedError, match="encoder/pool/AveragePool"):
        OrtExecutable(Program(graph), CPU)


def test_bfloat16_is_refused() -> None:
    graph = Graph("g")
    graph.outputs["y"] = graph.input("x", TensorType((2,), "bfloat16"))
    with pytest.raises(DTypeError, match='"x" is bfloat16'):
        OrtExecutable(Program(graph), CPU)


def test_inputs_that_nothing_reads() -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType((BATCH, 2), "float32"))
    graph.input("y", TensorType((BATCH,), "int32"))
    kept = graph.input("kept", TensorType((3,), "float32"))
    graph.input("unread", TensorType((), "float32"))
    graph.outputs = {"z": x * 2.0, "kept'": kept}
    subject = Program(graph, (Variable("kept", "kept'"), Variable("unread")))
    data = {"x": np.ones((3, 2), np.float32), "y": np.zeros(3, np.int32)}
    state = {"kept": np.arange(3, dtype=np.float32), "unread": np.array(0, np.float32)}
    np.testing.assert_array_equal(OrtExecutable(subject, CPU).run(data, state)["z"], data["x"] * 2)
    np.testing.assert_array_equal(state["kept"], [0, 1, 2])


def test_a_gpu_that_does_not_work_is_not_passed_over_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = Provider(CUDA, False, "libcudnn.so.9 does not load")
    monkeypatch.setattr("graphc.runtime.ort.executable.explain", lambda: (broken,))
    with pytest.warns(UserWarning, match="although there is a GPU: libcudnn.so.9"):
        assert OrtExecutable(predictor()).options.device == "cpu"
    with pytest.raises(ValueError, match="does not work here: libcudnn.so.9"):
        OrtExecutable(predictor(), Options(device="cuda"))


def test_no_gpu_is_no_reason_to_complain(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Provider(CUDA, False, "there is no NVIDIA driver", wanted=False)
    monkeypatch.setattr("graphc.runtime.ort.executable.explain", lambda: (absent,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert OrtExecutable(predictor()).options.device == "cpu"


def test_devices() -> None:
    with pytest.raises(ValueError, match="not 'tpu'"):
        OrtExecutable(predictor(), Options(device="tpu"))


def test_the_face_of_the_runtime_makes_one() -> None:
    assert isinstance(runtime.compile(predictor(), "onnxruntime", threads=1), OrtExecutable)
