"""Running the command in this process, and files for it to read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from graphc import keras
from graphc.cli.main import main
from tests.cpu.programs import training_program

layers = keras.layers


@dataclass
class Result:
    """What a run left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout; nothing else may be there."""
        return json.loads(self.out)


Run = Callable[..., Result]


@pytest.fixture
def graphc(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command with some arguments."""
    monkeypatch.delenv("GRAPHC_DEBUG", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*arguments: Any) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run


def small_model(compiled: bool = True) -> Any:
    """A classifier with a convolution, 2,970 parameters."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu", name="edges"),
            layers.Flatten(name="flat"),
            layers.Dense(10, activation="softmax", name="classes"),
        ],
        name="small",
    )
    if compiled:
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model in every format, and a program as text."""
    folder = tmp_path_factory.mktemp("files")
    keras.utils.set_random_seed(1)
    model = small_model()
    for suffix in ("keras", "h5"):
        model.save(folder / f"small.{suffix}")
    model.export(folder / "small.onnx", verbose=False, check=False)
    (folder / "small.json").write_text(model.to_json())
    (folder / "small.yaml").write_text(model.to_yaml())
    small_model(compiled=False).save(folder / "uncompiled.keras")
    text = training_program((12, 8, 3)).as_text()
    (folder / "program.txt").write_text(f"# a comment\n\n{text}\n")
    return folder
