"""``graphc demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc import keras
from graphc.cli import demo
from graphc.config import config
from tests.cli.conftest import Run


def test_everything_once(graphc: Run, tmp_path: Path) -> None:
    folder = config.cache_folder
    result = graphc("demo", "--epochs", 3, "--output", tmp_path / "new" / "demo", "--json")
    document = result.document
    assert result.code == 0
    assert config.cache_folder == folder
    assert (document["epochs"], document["steps"]) == (3, 3 * 45)
    assert document["parameters"] == 85_066
    assert document["test_accuracy"] > 0.7  # guessing gives 0.1
    assert document["train_accuracy"] > 0.8
    for name in (
        *("import_seconds", "trace_seconds", "compile_seconds", "cached_seconds", "fit_seconds"),
        *("us_per_step", "train_samples_per_second", "predict_one_us", "predict_all_us"),
    ):
        assert document[name] > 0, name
    keras_file, h5_file, onnx_file = document["files"]
    for file in document["files"]:
        assert file["bytes"] == Path(file["file"]).stat().st_size > 300_000
    assert keras_file["largest_difference"] == h5_file["largest_difference"] == 0
    assert onnx_file["largest_difference"] < 1e-4


def test_what_people_see(graphc: Run, tmp_path: Path) -> None:
    result = graphc("demo", "--epochs", 1, "--output", tmp_path)
    assert result.code == 0
    for part in (
        "1,437 handwritten digits",
        "Conv2D",
        "45/45",
        "val_accuracy",
        "training step",
        "digits.keras",
        "loaded: the same bits",
        "in ONNX Runtime",
        "of the test images are recognized",
        f"graphc inspect {tmp_path}",
    ):
        assert part in result.out.replace("\n", ""), part


def test_a_model_that_comes_back_different(
    graphc: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = keras.models.load_model

    def spoil(path: Any) -> Any:
        model = load(path)
        model.set_weights([2 * weight for weight in model.get_weights()])
        return model

    monkeypatch.setattr(demo.keras.models, "load_model", spoil)
    result = graphc("demo", "--epochs", 1, "--output", tmp_path, "--json")
    assert result.code == 1
    assert "predicts something else than the one that was saved" in result.document["error"]
    assert result.document["files"][0]["largest_difference"] > 0


def test_the_working_folder_may_hold_a_graphc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "graphc").mkdir()
    (tmp_path / "graphc" / "__init__.py").write_text("raise ImportError('another graphc')")
    monkeypatch.chdir(tmp_path)
    assert demo._import_seconds() > 0


def test_a_folder_that_cannot_be(graphc: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = graphc("demo", "--output", tmp_path / "file" / "demo")
    assert (result.code, result.out) == (1, "")
    assert result.err.count("\n") == 1 and "file" in result.err


def test_differences() -> None:
    a = np.array([1.0, 2.0], np.float32)
    assert demo.largest_difference(a, a) == 0
    assert demo.largest_difference(a, a + np.float32(0.5)) == 0.5
    assert demo.largest_difference(a, np.array([1.0, np.nan], np.float32)) == float("inf")
    assert demo.largest_difference(a[:0], a[:0]) == 0
