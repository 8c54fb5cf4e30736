"""keras.backend: the settings, and the configuration file they start from."""

import json
import os
import subprocess
import sys
import tempfile
import warnings
from dataclasses import asdict

import numpy as np
import pytest

from graphc.config import config
from graphc.keras import backend
from graphc.keras import config as keras_config

DEFAULTS = {"floatx": "float32", "epsilon": 1e-07, "image_data_format": "channels_last"}


@pytest.fixture(autouse=True)
def default_settings():
    before = asdict(config)
    for name, value in DEFAULTS.items():
        setattr(config, name, value)
    yield
    for name, value in before.items():
        setattr(config, name, value)


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    monkeypatch.setenv("KERAS_HOME", str(folder))
    return folder


def settings():
    return {name: getattr(backend, name)() for name in DEFAULTS}


def test_setters():
    backend.set_floatx("float64")
    backend.set_epsilon(1e-3)
    backend.set_image_data_format("channels_first")
    assert settings() == {
        "floatx": "float64",
        "epsilon": 1e-3,
        "image_data_format": "channels_first",
    }
    assert config.floatx == "float64"
    assert backend.backend() == "graphc"


def test_config_has_the_same_functions(real_keras):
    for name in keras_config.__all__:
        assert hasattr(real_keras.config, name)
        if hasattr(real_keras.backend, name):
            assert getattr(keras_config, name) is getattr(backend, name)


@pytest.mark.parametrize(
    ("setter", "value"),
    [
        ("set_floatx", "int32"),
        ("set_image_data_format", "first"),
    ],
)
def test_setters_refuse_what_keras_refuses(setter, value, real_keras):
    errors = []
    for module in (real_keras.config, backend):
        with pytest.raises(ValueError) as caught:
            getattr(module, setter)(value)
        errors.append(str(caught.value))
    assert errors[0].split("{")[0] == errors[1][: len(errors[0].split("{")[0])]
    assert str(value) in errors[1]
    assert settings() == DEFAULTS


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize(
    "x", [[1, 2], np.array(3, "uint8"), np.zeros((0, 2)), [float("nan"), np.inf], [True]]
)
def test_cast_to_floatx(x, dtype):
    backend.set_floatx(dtype)
    result = backend.cast_to_floatx(x)
    assert result.dtype.name == dtype
    np.testing.assert_array_equal(result.astype("float64"), np.asarray(x, "float64"))


def test_cast_to_floatx_keeps_what_fits():
    x = np.ones(3, "float32")
    assert backend.cast_to_floatx(x) is x


# The configuration file


def test_file_is_written_with_the_defaults(home):
    backend.load_configuration()
    assert os.listdir(home) == ["keras.json"]
    assert json.loads((home / "keras.json").read_text()) == DEFAULTS
    assert settings() == DEFAULTS


def test_file_is_read_and_never_changed(home):
    home.mkdir()
    text = '{"floatx": "float64", "epsilon": 1e-5,   "backend": "jax", "more": [1]}'
    (home / "keras.json").write_text(text)
    backend.load_configuration()
    assert settings() == {**DEFAULTS, "floatx": "float64", "epsilon": 1e-5}
    assert (home / "keras.json").read_text() == text


def test_a_file_that_appears_meanwhile_is_kept(home, monkeypatch):
    def mkstemp(*arguments, **keywords):
        (home / "keras.json").write_text("theirs")
        return original(*arguments, **keywords)

    original = tempfile.mkstemp
    monkeypatch.setattr("tempfile.mkstemp", mkstemp)
    backend.load_configuration()
    assert (home / "keras.json").read_text() == "theirs"
    assert os.listdir(home) == ["keras.json"]


@pytest.mark.parametrize(
    ("text", "reason", "kept"),
    [
        ("", "not JSON", {}),
        ('{"floatx": "float16"', "not JSON", {}),
        ("[1, 2]", "holds list", {}),
        ('{"floatx": "int8", "epsilon": 0.5}', "Unknown `floatx` value: int8", {"epsilon": 0.5}),
        ('{"floatx": ["float32"]}', "Unknown `floatx` value", {}),
        ('{"epsilon": "small"}', "`epsilon` must be", {}),
        ('{"epsilon": NaN}', "`epsilon` must be", {}),
        ('{"image_data_format": "th", "floatx": "float64"}', "th", {"floatx": "float64"}),
    ],
)
def test_broken_files_are_warned_of(text, reason, kept, home):
    home.mkdir()
    path = home / "keras.json"
    path.write_text(text)
    with pytest.warns(UserWarning) as caught:
        backend.load_configuration()
    message = str(caught[0].message)
    assert len(caught) == 1
    assert str(path) in message
    assert reason in message
    assert settings() == {**DEFAULTS, **kept}
    assert path.read_text() == text


def test_files_that_cannot_be_read_are_warned_of(home):
    home.mkdir()
    (home / "keras.json").write_bytes(b"\xff\xfe{}")
    with pytest.warns(UserWarning, match="cannot be read"):
        backend.load_configuration()
    (home / "keras.json").unlink()
    (home / "keras.json").mkdir()
    with pytest.warns(UserWarning, match="cannot be read"):
        backend.load_configuration()


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file" / "home"))
    with warnings.catch_warnings(record=True):
        backend.load_configuration()
    assert settings() == DEFAULTS


def test_keras_home(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", "~/elsewhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert backend.keras_home() == tmp_path / "elsewhere"
    monkeypatch.delenv("KERAS_HOME")
    assert backend.keras_home() == tmp_path / ".keras"


def test_a_new_process_reads_the_file_and_so_does_keras(home, real_keras):
    """One file serves both: ours is read by Keras, and what users write there by us."""
    code = "from {0} import {1}; print({1}.floatx(), {1}.epsilon(), {1}.image_data_format())"
    backend.load_configuration()
    for module, name in (("graphc.keras", "backend"), ("keras", "config")):
        result = subprocess.run(
            [sys.executable, "-c", code.format(module, name)], capture_output=True, text=True
        )
        assert result.stdout.splitlines()[-1:] == ["float32 1e-07 channels_last"], result.stderr
    (home / "keras.json").write_text('{"floatx": "float16"}')
    result = subprocess.run(
        [sys.executable, "-c", code.format("graphc.keras", "backend")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "float16 1e-07 channels_last\n"
