"""Numbers, tables and documents as they are printed."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest

from graphc.cli.output import (
    Output,
    bytes_text,
    count_text,
    seconds_text,
    significant,
    write_json,
)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (102_400, "100 KiB"),
        (1_500_000, "1.4 MiB"),
        (5 << 40, "5120 GiB"),
    ],
)
def test_bytes(size: int, text: str) -> None:
    assert bytes_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 us"),
        (1.5e-9, "0.00150 us"),
        (0.000_012_34, "12.3 us"),
        (0.001, "1.00 ms"),
        (0.5, "500 ms"),
        (1.0, "1.00 s"),
        (3725.0, "3,725 s"),
    ],
)
def test_seconds(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (1234.5, "1,234"),
        (12.345, "12.3"),
        (0.012345, "0.0123"),
        (-7.0, "-7.00"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_digits_that_count(number: float, text: str) -> None:
    assert significant(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (1_420_000, "1.42 M"), (3e9, "3.00 G")],
)
def test_counts(number: float, text: str) -> None:
    assert count_text(number) == text


def test_json_holds_what_json_can_hold() -> None:
    stream = io.StringIO()
    document = {
        "nan": math.nan,
        "infinity": -math.inf,
        "number": np.float32(0.5),
        "count": np.int64(3),
        "path": Path("a/b"),
        "shape": (None, 3),
        "flag": True,
        "name": "größer",
        1: {},
    }
    write_json(document, stream)
    assert stream.getvalue().endswith("}\n")
    assert json.loads(stream.getvalue()) == {
        "nan": None,
        "infinity": None,
        "number": 0.5,
        "count": 3,
        "path": "a/b",
        "shape": [None, 3],
        "flag": True,
        "name": "größer",
        "1": {},
    }


def test_names_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.table("Title [red]", ("name", "n"), [("[bold]layer[/]", 3)], "lr")
    output.facts("Facts [x]", {"path": "[/tmp]", "nothing": None, "empty": ""})
    output.line("[link]")
    output.warning("[warn]")
    text = capsys.readouterr().out
    for part in ("Title [red]", "[bold]layer[/]", "Facts [x]", "[/tmp]", "[link]", "[warn]"):
        assert part in text
    assert "nothing" not in text and "empty" not in text


def test_no_colours_where_nobody_sees_them(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table("Title", ("name",), [("yes",)])
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("columns", [20, 40, 79])
def test_a_narrow_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    Output().table("", ("layer", "parameters"), [("a_long_name_of_a_layer" * 2, "1,234")], "lr")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    joined = "".join(line.split()[0] for line in lines[2:])
    assert joined.startswith("a_long_name_of_a_layer" * 2)


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(silent=True)
    output.heading("a")
    output.line("b")
    output.warning("c")
    output.raw("d")
    output.facts("e", {"f": 1})
    output.table("g", ("h",), [("i",)])
    assert capsys.readouterr().out == ""


def test_code_is_not_touched(capsys: pytest.CaptureFixture[str]) -> None:
    code = "%0 = Add(%x, %y) " * 40 + "[bold]\n"
    Output().raw(code)
    assert capsys.readouterr().out == code
