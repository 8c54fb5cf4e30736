"""What one call costs: `python -m benchmarks.calls`.

One row through the 784-300-100-10 MLP in every way there is, beside ONNX Runtime on the exported
model; and calls that do next to nothing, where all is overhead. Microseconds of this thread, the
best of some rounds in which all take turns.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.keras_peer import build, load
from benchmarks.workloads import BY_NAME
from graphc.keras.engine.data import make_rows

CALLS = 200
ROUNDS = 15


def ways(model: Any, x: np.ndarray) -> dict[str, Callable[[], Any]]:
    """The ways to predict."""
    compiled = model.steps_for("predict", make_rows(x))
    data, state = {"x": x}, compiled.state
    return {
        "model.predict(x, verbose=0)": lambda: model.predict(x, verbose=0),
        "model.predict_on_batch(x)": lambda: model.predict_on_batch(x),
        "executable.run(data, state)": lambda: compiled.executable.run(data, state),
        "executable.bind(data, state)()": compiled.executable.bind(data, state),
    }


def onnx_runtime(model: Any, x: np.ndarray) -> dict[str, Callable[[], Any]]:
    """ONNX Runtime on the exported model; nothing where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return {}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.onnx")
        model.export(path, format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    binding = session.io_binding()
    binding.bind_cpu_input(name, x)
    binding.bind_output(session.get_outputs()[0].name, "cpu")
    return {
        "ONNX Runtime, IO binding": lambda: session.run_with_iobinding(binding),
        "ONNX Runtime, run": lambda: session.run(None, {name: x}),
    }


def training(model: Any, x: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], Any]]:
    """The ways to train a step."""
    compiled = model.steps_for("train", make_rows(x, y))
    data, state = {"x": x, "y": y}, compiled.state
    return {
        "model.fit, one step": lambda: model.fit(x, y, verbose=0),
        "model.train_on_batch(x, y)": lambda: model.train_on_batch(x, y),
        "executable.run(data, state)": lambda: compiled.executable.run(data, state),
        "executable.bind(data, state)()": compiled.executable.bind(data, state),
    }


def compare(title: str, functions: dict[str, Callable[[], Any]]) -> None:
    """Prints the microseconds of each function."""
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(ROUNDS):
        for name, function in functions.items():
            started = time.thread_time()
            for _ in range(CALLS):
                function()
            best[name] = min(best[name], (time.thread_time() - started) / CALLS)
    print(title)
    for name, seconds in best.items():
        print(f"  {1e6 * seconds:9.2f} us  {name}")


def main() -> None:
    """Prints three tables."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    keras = load("graphc", 1)
    large, small = (build(keras, BY_NAME[name]) for name in ("mlp", "tiny"))
    row = BY_NAME["mlp"].data()[0][:1].copy()
    x, y = (array[:32].copy() for array in BY_NAME["tiny"].data())
    compare(
        "one row through the 784-300-100-10 MLP", {**ways(large, row), **onnx_runtime(large, row)}
    )
    compare("one row through the 3-4-4-1 MLP", {**ways(small, x[:1]), **onnx_runtime(small, x[:1])})
    compare("a training step of the 3-4-4-1 MLP, batch 32", training(small, x, y))


if __name__ == "__main__":
    main()
