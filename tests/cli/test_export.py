"""``graphc export``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import graphc.keras.export as keras_export
from graphc import keras
from tests.cli.conftest import Run


def predictions(path: Path) -> np.ndarray:
    """What a model file predicts for fixed images."""
    model = keras.models.load_model(path)
    images = np.random.default_rng(0).random((5, 8, 8, 1), np.float32)
    return model.predict(images, verbose=0)


def test_to_onnx(graphc: Run, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    result = graphc("export", files / "small.keras", out)
    assert result.code == 0
    assert "the same in ONNX Runtime: largest difference" in result.out
    assert onnx.load(out).opset_import[0].version == 17


def test_to_onnx_as_json(graphc: Run, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    document = graphc("export", files / "small.h5", out, "--json", "--opset", 18).document
    assert document["out"] == str(out)
    assert document["bytes"] == out.stat().st_size
    assert document["checked"] and 0 <= document["largest_difference"] < 1e-5
    assert document["opset"] == onnx.load(out).opset_import[0].version == 18


def test_unchecked(graphc: Run, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    result = graphc("export", files / "small.json", out, "--no-check")
    assert "not checked, as --no-check says" in result.out
    document = graphc("export", files / "small.json", out, "--no-check", "--json").document
    assert (document["checked"], document["largest_difference"]) == (False, None)


def test_without_onnx_runtime(
    graphc: Run, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras_export, "has_onnxruntime", lambda: False)
    result = graphc("export", files / "small.keras", tmp_path / "out.onnx")
    assert result.code == 0
    assert "warning: well-formed, but not run: ONNX Runtime is not installed" in result.out


@pytest.mark.parametrize("before", ["keras", "h5"])
@pytest.mark.parametrize("after", ["keras", "h5"])
def test_between_model_files(
    graphc: Run, files: Path, tmp_path: Path, before: str, after: str
) -> None:
    source, out = files / f"small.{before}", tmp_path / f"out.{after}"
    assert graphc("export", source, out).code == 0
    np.testing.assert_array_equal(predictions(out), predictions(source))


@pytest.mark.parametrize(
    ("suffix", "read"),
    [
        ("json", keras.models.model_from_json),
        ("yaml", keras.models.model_from_yaml),
        ("yml", keras.models.model_from_yaml),
    ],
)
def test_to_an_architecture(
    graphc: Run, files: Path, tmp_path: Path, suffix: str, read: object
) -> None:
    out = tmp_path / f"out.{suffix}"
    assert graphc("export", files / "small.h5", out).code == 0
    model = read(out.read_text())  # type: ignore[operator]
    assert [layer.name for layer in model.layers] == ["edges", "flat", "classes"]


@pytest.mark.parametrize(
    ("source", "out", "code", "complaint"),
    [
        ("small.keras", "out.pb", 2, "ends in none of .onnx, .keras"),
        ("small.keras", "out", 2, "ends in none of"),
        ("small.onnx", "out.keras", 2, "is no model of Keras (ONNX file)"),
        ("program.txt", "out.onnx", 2, "is no model of Keras (text form of graphc)"),
        ("missing.keras", "out.onnx", 1, "there is no file"),
        ("small.keras", "nowhere/out.onnx", 1, "nowhere"),
        ("small.keras", "nowhere/out.json", 1, "nowhere"),
        ("small.keras", "nowhere/out.h5", 1, "nowhere"),
    ],
)
def test_what_cannot_be(
    graphc: Run, files: Path, tmp_path: Path, source: str, out: str, code: int, complaint: str
) -> None:
    result = graphc("export", files / source, tmp_path / out)
    assert (result.code, result.out) == (code, "")
    assert complaint in result.err and result.err.count("\n") == 1
    assert not (tmp_path / out).exists()


def test_an_operation_set_that_is_too_old(graphc: Run, files: Path, tmp_path: Path) -> None:
    result = graphc("export", files / "small.keras", tmp_path / "out.onnx", "--opset", 9)
    assert result.code == 1
    assert "opset has to be at least 17, not 9" in result.err
    assert not (tmp_path / "out.onnx").exists()
