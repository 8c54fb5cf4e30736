"""The command as such: verbs, help, exit codes, errors."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from graphc import __version__
from graphc.cli import doctor, inspect
from graphc.cli.main import VERBS, main
from tests.cli.conftest import Run


def test_version(graphc: Run) -> None:
    result = graphc("--version")
    assert (result.code, result.out) == (0, f"graphc {__version__}\n")


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("help",)])
def test_help_names_every_verb_and_gives_examples(graphc: Run, arguments: tuple[str]) -> None:
    result = graphc(*arguments)
    assert result.code == 0
    assert all(f"\n  {verb} " in result.out for verb in VERBS)
    assert "graphc inspect model.keras" in result.out


def test_help_fits_a_terminal(graphc: Run) -> None:
    lines = graphc("--help").out.splitlines()
    assert max(map(len, lines)) <= 100


def test_nothing_at_all_is_not_understood(graphc: Run) -> None:
    result = graphc()
    assert (result.code, result.out) == (2, "")
    assert "usage: graphc" in result.err


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("form", [("{}", "--help"), ("help", "{}")])
def test_help_of_a_verb(graphc: Run, verb: str, form: tuple[str, str]) -> None:
    result = graphc(*(part.format(verb) for part in form))
    assert result.code == 0
    assert f"usage: graphc {verb}" in result.out
    assert "examples:" in result.out and f"  graphc {verb}" in result.out
    assert "--json" in result.out


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("inspct", "inspect"), ("Demo", "demo"), ("doc", "doctor"), ("exprot", "export")],
)
def test_a_typo_gets_a_suggestion(graphc: Run, typed: str, meant: str) -> None:
    result = graphc(typed)
    assert result.code == 2
    assert result.err == f'graphc: unknown verb "{typed}"; did you mean graphc {meant}?\n'


def test_a_verb_that_resembles_nothing(graphc: Run) -> None:
    result = graphc("qqq")
    assert result.code == 2
    assert "there are: demo, inspect, bench, export, doctor" in result.err


def test_an_option_before_the_verb(graphc: Run) -> None:
    result = graphc("--jsn")
    assert result.code == 2
    assert 'unknown option "--jsn"' in result.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("inspect",), "the following arguments are required: FILE"),
        (("inspect", "a", "b"), "unrecognized arguments: b"),
        (("doctor", "--jso"), "unrecognized arguments: --jso"),
        (("inspect", "a.keras", "--program", "learn"), "invalid choice: 'learn'"),
        (("inspect", "a.keras", "--batch", "0"), "--batch has to be a whole number of at least 1"),
        (("inspect", "a.keras", "--batch", "x"), "not 'x'"),
        (("inspect", "a.keras", "--size", "time"), "as in time=100, not 'time'"),
        (("inspect", "a.keras", "--size", "time=-1"), "--size time has to be a whole number"),
        (("bench", "a.keras", "--backend", "gpu"), "cpu, onnxruntime, reference, not 'gpu'"),
        (("bench", "a.keras", "--program", "learn"), "predict, evaluate, train, not 'learn'"),
        (("bench", "a.keras", "--batch", "1,0"), "--batch has to be a whole number"),
        (("bench", "a.keras", "--seconds", "0"), "--seconds has to be a number above 0"),
        (("bench", "a.keras", "--seconds", "nan"), "--seconds has to be a number above 0"),
        (("bench", "a.keras", "--threads", "0"), "--threads has to be a whole number"),
        (("demo", "--epochs", "none"), "--epochs has to be a whole number"),
    ],
)
def test_what_is_not_understood_is_one_line(
    graphc: Run, arguments: tuple[str, ...], complaint: str
) -> None:
    result = graphc(*arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert complaint in result.err
    assert f"graphc {arguments[0]} --help" in result.err


def test_an_error_is_one_line(graphc: Run) -> None:
    result = graphc("inspect", "nowhere.keras")
    assert (result.code, result.out) == (1, "")
    assert result.err == 'graphc inspect: there is no file "nowhere.keras"\n'


def test_an_error_as_json(graphc: Run) -> None:
    result = graphc("inspect", "nowhere.keras", "--json")
    assert result.code == 1
    assert result.document == {"error": 'there is no file "nowhere.keras"'}
    assert "nowhere.keras" in result.err


def test_an_error_has_a_traceback_for_those_who_debug(
    graphc: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_DEBUG", "1")
    with pytest.raises(FileNotFoundError):
        graphc("inspect", "nowhere.keras")


def test_a_defect_is_called_one(graphc: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("weights")

    monkeypatch.setattr(inspect, "load", fail)
    result = graphc("inspect", "a.keras")
    assert result.code == 1
    assert result.err == (
        "graphc inspect: internal error, KeyError: 'weights' (GRAPHC_DEBUG=1 shows where)\n"
    )


def test_interruption(graphc: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "run", interrupt)
    result = graphc("doctor")
    assert (result.code, result.err) == (130, "graphc: interrupted\n")


def test_json_has_stdout_for_itself(
    graphc: Run, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noisy(path: str) -> object:
        print("something that a library says")
        return load(path)

    load = inspect.load
    monkeypatch.setattr(inspect, "load", noisy)
    result = graphc("inspect", files / "small.onnx", "--json")
    assert result.document["kind"] == "ONNX file"
    assert "something that a library says" in result.err


def test_a_terminal_that_knows_ascii_only(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["inspect", str(files / "small.onnx")]) == 0
    stream.flush()
    assert b"Conv" in stream.buffer.getvalue()  # type: ignore[attr-defined]


def run_process(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}
    )


def test_the_installed_script() -> None:
    script = Path(sysconfig.get_path("scripts")) / "graphc"
    result = run_process(str(script), "--version")
    assert (result.returncode, result.stdout) == (0, f"graphc {__version__}\n")


def test_as_a_module_and_a_wrong_environment_variable() -> None:
    result = run_process(sys.executable, "-m", "graphc.cli", "doctor", GRAPHC_BACKEND="gpu")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("graphc doctor: Environment variable GRAPHC_BACKEND='gpu'")
    assert result.stderr.count("\n") == 1


def test_a_reader_that_leaves_early(files: Path) -> None:
    command = [sys.executable, "-m", "graphc.cli", "inspect", str(files / "program.txt"), "--llvm"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
