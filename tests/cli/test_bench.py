"""``graphc bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc import runtime
from graphc.cli import bench
from graphc.cli.programs import Prepared
from graphc.cli.timing import Repeated, measure_compilation
from graphc.config import config
from graphc.errors import UnsupportedError
from graphc.program import parse_program
from graphc.runtime.executable import Executable
from tests.cli.conftest import Run

SHORT = ("--seconds", "0.01", "--json")


def test_a_model_on_every_backend(graphc: Run, files: Path) -> None:
    backends = "cpu,onnxruntime,reference"
    document = graphc(
        "bench", files / "small.keras", "--backend", backends, "--batch", "1,8", *SHORT
    ).document
    results = {(r["program"], r["backend"], r["batch"]): r for r in document["results"]}
    assert set(results) == {
        (program, backend, batch)
        for program in ("predict", "train")
        for backend in backends.split(",")
        for batch in (1, 8)
    }
    for (program, backend, batch), result in results.items():
        assert 0 < result["p50_us"] <= result["p90_us"] <= result["p99_us"]
        assert result["samples_per_second"] == pytest.approx(batch / result["p50_us"] * 1e6)
        assert result["share_of_peak"] > 0
        assert (result["memory_bytes"] is not None) == (backend == "cpu")
        assert result["calls"] >= 20
        assert result["steps_per_call"] == 1 or program == "train"
        base = results[program, "cpu", batch]["p50_us"]
        assert result["times_of_first_backend"] == pytest.approx(result["p50_us"] / base)
    predict = results["predict", "cpu", 8]
    assert predict["multiply_adds"] == 8 * (36 * 9 * 8 + 288 * 10)
    assert predict["memory_bytes"] > 4 * 2970
    assert document["peak_gflops_per_thread"] > 0
    assert document["failures"] == []
    for entry in document["compile"]:
        assert entry["cold_seconds"] > 0
        assert (entry["cached_seconds"] is not None) == (entry["backend"] == "cpu")


def test_training_makes_many_steps_in_a_call(graphc: Run, files: Path) -> None:
    document = graphc("bench", files / "small.keras", "--program", "train", *SHORT).document
    (result,) = document["results"]
    assert result["steps_per_call"] > 1


def test_a_program_as_text(graphc: Run, files: Path) -> None:
    document = graphc("bench", files / "program.txt", "--threads", "1", *SHORT).document
    (result,) = document["results"]
    assert document["threads"] == 1
    # x w forward and the gradients of both weights, that of the hidden layer's output too.
    assert result["multiply_adds"] == 32 * (2 * 12 * 8 + 3 * 8 * 3)


def test_what_people_see(graphc: Run, files: Path) -> None:
    text = graphc("bench", files / "small.keras", "--seconds", "0.01").out
    for part in ("GFLOP/s a thread", "p50 us", "samples/s", "of peak", "memory", "from the cache"):
        assert part in text
    assert "ratio" not in text
    text = graphc(
        "bench", files / "program.txt", "--seconds", "0.01", "--backend", "cpu,reference"
    ).out
    assert "ratio" in text and "1.00x" in text and "memory" not in text


def test_the_table_fits_80_columns(
    graphc: Run, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = graphc(
        "bench", files / "program.txt", "--seconds", "0.01", "--backend", "cpu,onnxruntime"
    ).out
    lines = [line for line in text.splitlines() if line.startswith("train")]
    assert len(lines) == 4  # two of speed, two of compilation: none of them wraps


def test_the_users_cache_is_left_alone(
    graphc: Run, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "cache_folder", tmp_path / "cache")
    program = parse_program((files / "program.txt").read_text())
    times, _ = measure_compilation(program, "cpu", 1)
    assert times.cached is not None and times.cold > times.cached
    assert config.cache_folder == tmp_path / "cache"
    assert not (tmp_path / "cache").exists()


def refusing(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make one backend refuse every program."""
    compile = runtime.compile

    def refuse(program: Any, name: str, threads: int | None) -> Executable:
        if name == backend:
            raise UnsupportedError("it has no Softmax")
        return compile(program, name, threads)

    monkeypatch.setattr(runtime, "compile", refuse)


def test_a_backend_that_refuses(graphc: Run, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing("onnxruntime", monkeypatch)
    arguments = ("bench", files / "program.txt", "--seconds", "0.01")
    result = graphc(*arguments, "--backend", "cpu,onnxruntime")
    assert result.code == 0
    assert "warning: train on onnxruntime: it has no Softmax" in result.out
    result = graphc(*arguments, "--backend", "onnxruntime", "--json")
    assert result.code == 1
    assert result.document["error"] == "it has no Softmax"
    assert result.document["failures"][0]["backend"] == "onnxruntime"


def test_an_onnx_file_is_not_measured(graphc: Run, files: Path) -> None:
    result = graphc("bench", files / "small.onnx")
    assert result.code == 2
    assert "bench measures what graphc compiles" in result.err


def test_a_model_without_a_loss_cannot_train(graphc: Run, files: Path) -> None:
    result = graphc("bench", files / "uncompiled.keras", "--program", "train")
    assert result.code == 1
    assert "was not compiled" in result.err


def test_repeated_steps_leave_the_given_state_alone(files: Path) -> None:
    program = parse_program((files / "program.txt").read_text())
    executable = runtime.compile(program, "reference")
    shapes = {value.name: value.type.substitute({"batch": 4}).shape for value in program.data}
    data = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    state = {
        variable.name: np.full(program.type(variable.name).shape, 0.5, np.float32)
        for variable in program.variables
    }
    repeated = Repeated(executable, Prepared(program, data, state), 4, many=True)
    repeated.measure(0.0)
    assert len(repeated.seconds) == 20
    assert all((array == 0.5).all() for array in state.values())


def test_shares_and_ratios() -> None:
    assert bench._percent(None) == "-"
    assert bench._percent(0.394) == "39%"
    assert bench._percent(0.0042) == "0.4%"
    assert bench._times(None) == "-"
    assert bench._times(2.5) == "2.50x"
