"""ONNX Runtime on the exported model, with IO binding; prediction only."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.peers.keras_peer import build, load
from benchmarks.workloads import MODELS, Prediction, Workload


def train(workload: Workload, peer: str, threads: int) -> Callable[[], None]:
    """The inference package does not train by itself."""
    raise NotImplementedError("predicts only")


def predict(workload: Prediction, peer: str, threads: int) -> Callable[[], None]:
    """A function that makes the calls of one measurement."""
    keras = load("graphc", threads)
    training = MODELS[workload.model]
    model = build(keras, training)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model.export(str(path), format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    x = training.data()[0]
    while len(x) < workload.rows:
        x = np.concatenate([x, x])
    x = np.ascontiguousarray(x[: workload.rows])
    binding = session.io_binding()
    binding.bind_cpu_input(session.get_inputs()[0].name, x)
    binding.bind_output(session.get_outputs()[0].name, "cpu")

    def run() -> None:
        for _ in range(workload.calls):
            session.run_with_iobinding(binding)
            binding.get_outputs()[0].numpy()

    return run
