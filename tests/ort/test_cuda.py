"""Programs on a GPU; skipped where ONNX Runtime's CUDA provider does not work."""

from __future__ import annotations

import numpy as np
import pytest

from graphc import runtime
from graphc.errors import UnsupportedError
from graphc.ir import Graph, Location, TensorType
from graphc.ops.logic import BitwiseAnd
from graphc.program import Program
from graphc.runtime.ort.providers import CUDA, available
from tests.ort.programs import MODELS, arrays_for, program

pytestmark = pytest.mark.skipif(CUDA not in available(), reason="CUDA does not work here")


def options(use_tf32: bool = False) -> object:
    from graphc.runtime.ort.session import Options  # after the skip

    return Options(device="cuda", use_tf32=use_tf32)


def executable(subject: Program, **keywords: bool) -> runtime.Executable:
    from graphc.runtime.ort.executable import OrtExecutable  # after the skip

    return OrtExecutable(subject, options(**keywords))  # type: ignore[arg-type]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", MODELS)
def test_training_goes_as_in_the_reference(name: str, optimizer: str) -> None:
    subject = program(MODELS[name], optimizer)
    data, state = arrays_for(subject, {"batch": 13, "time": 6})
    results = []
    for backend in (runtime.compile(subject, "reference"), executable(subject)):
        after = {key: array.copy() for key, array in state.items()}
        logits = np.zeros((13, 3), np.float32)
        last = backend.run_steps(data, after, 4, 4, results={"logits": logits})
        results.append({**after, **last, "logits": logits})
    for key, array in results[0].items():
        np.testing.assert_allclose(results[1][key], array, 2e-3, 2e-4, err_msg=key)


def test_tf32_can_be_chosen() -> None:
    subject = program(MODELS["mlp"])
    data, state = arrays_for(subject, {"batch": 8})
    copy = {name: array.copy() for name, array in state.items()}
    rounded = executable(subject, use_tf32=True).run(data, copy)
    exact = executable(subject).run(data, state)
    np.testing.assert_allclose(rounded["logits"], exact["logits"], 1e-2, 1e-2)


def test_an_op_without_a_kernel_is_named_and_does_not_run_on_the_cpu() -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType((2,), "int32"))
    with graph.at(Location("noise")):
        graph.outputs["y"] = BitwiseAnd()(x, x * 2)
    with pytest.raises(UnsupportedError, match=r"no kernel for BitwiseAnd \(node .noise/Bitwise"):
        executable(Program(graph)).run({"x": np.zeros(2, np.int32)}, {})
