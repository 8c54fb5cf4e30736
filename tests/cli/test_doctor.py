"""``graphc doctor``."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from graphc import __version__, runtime
from graphc.cli import doctor
from graphc.config import config
from tests.cli.conftest import Run


def test_everything_works_here(graphc: Run) -> None:
    result = graphc("doctor", "--json")
    document = result.document
    assert result.code == 0
    assert document["graphc"] == __version__
    assert document["problems"] == []
    packages = {package["name"]: package for package in document["packages"]}
    for name in doctor.REQUIRED:
        assert packages[name]["loads"], name
        assert packages[name]["version"] == metadata.version(name)
    assert document["processor"]["vector_bits"] in (128, 256, 512)
    assert document["processor"]["threads"] >= 1
    assert document["native_code"]["works"] is True
    names = [provider["name"] for provider in document["providers"]]
    assert "CPUExecutionProvider" in names and "CUDAExecutionProvider" in names
    for provider in document["providers"]:
        assert provider["reason"]


def test_what_people_see(graphc: Run) -> None:
    text = graphc("doctor").out
    for part in ("Packages", "llvmlite", "Processor", "vectors", "ONNX Runtime", "Cache"):
        assert part in text
    assert "everything that graphc needs works" in text


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """Make distributions look as if they were not installed."""
    version = metadata.version

    def look_up(name: str) -> str:
        if name in missing:
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor.metadata, "version", look_up)


def test_a_missing_package(graphc: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "h5py")
    result = graphc("doctor")
    assert result.code == 1
    assert "problem: h5py is missing: pip install h5py" in result.out
    assert result.err == "graphc doctor: 1 of the things that graphc needs do not work\n"


def test_a_missing_package_as_json(graphc: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "h5py")
    result = graphc("doctor", "--json")
    assert result.code == 1
    assert result.document["problems"] == ["h5py is missing: pip install h5py"]
    assert "do not work" in result.document["error"]


def test_a_broken_package(graphc: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    load = doctor.importlib.import_module

    def fail(name: str) -> Any:
        if name == "onnx":
            raise OSError("libprotobuf.so:\n cannot open shared object file")
        return load(name)

    monkeypatch.setattr(doctor.importlib, "import_module", fail)
    output = doctor.Output(silent=True)
    with pytest.raises(doctor.CommandError) as raised:
        doctor.run(doctor.argparse.Namespace(), output)
    (problem,) = raised.value.document["problems"]
    assert problem.endswith(
        "does not load: OSError: libprotobuf.so: cannot open shared object file"
    )
    assert raised.value.document["providers"] == []


def test_without_onnx_runtime(graphc: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, *doctor.ONNX_RUNTIME)
    result = graphc("doctor", "--json")
    assert result.code == 0
    assert any("exports are not checked" in text for text in result.document["warnings"])


def test_both_wheels_of_onnx_runtime(graphc: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version
    monkeypatch.setattr(
        doctor.metadata,
        "version",
        lambda name: "1.30.0" if name in doctor.ONNX_RUNTIME else version(name),
    )
    result = graphc("doctor")
    assert result.code == 0
    assert "warning: onnxruntime and onnxruntime-gpu are both installed" in result.out


def test_a_variable_that_means_nothing(graphc: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_DEBGU", "1")
    monkeypatch.setenv("GRAPHC_VERIFY", "0")
    document = graphc("doctor", "--json").document
    assert document["environment"]["GRAPHC_DEBGU"] == "1"
    warnings = [text for text in document["warnings"] if "GRAPHC_" in text]
    assert warnings == [
        "the environment variable GRAPHC_DEBGU means nothing to graphc; it knows GRAPHC_DEBUG"
    ]


def test_the_cache(graphc: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "cache_folder", tmp_path / "cache")
    cache = graphc("doctor", "--json").document["cache"]
    # Looking whether native code works has left one program there.
    assert cache["folder"] == str(tmp_path / "cache")
    assert cache["entries"] == 1 and cache["bytes"] > 0 and cache["writable"]


def test_without_a_cache(graphc: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "cache_folder", None)
    result = graphc("doctor")
    assert "none: compiled programs are not kept" in result.out


def test_native_code_that_does_not_work(graphc: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no executable memory")

    monkeypatch.setattr(runtime, "compile", fail)
    result = graphc("doctor", "--json")
    assert result.code == 1
    assert result.document["native_code"] == {
        "works": False,
        "reason": "OSError: no executable memory",
    }
    assert result.document["problems"] == [
        "native code does not work: OSError: no executable memory"
    ]
