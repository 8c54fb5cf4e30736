"""What a file that the user names holds: a model, a program, or a foreign graph."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphc.cli.output import UsageError
from graphc.errors import FileFormatError, ParseError
from graphc.ir import parse
from graphc.keras import models
from graphc.onnx.description import Description, describe
from graphc.program import Program, parse_program
from graphc.serialize.errors import check_is_file, reading

MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")
CONFIG_SUFFIXES = (".json", ".yaml", ".yml")
TEXT_SUFFIXES = (".txt", ".graphc")
SUFFIXES = (*MODEL_SUFFIXES, *CONFIG_SUFFIXES, ".onnx", *TEXT_SUFFIXES)

#: What stands before the first word of a dump: space and comments.
_LEADING = re.compile(r"(?:\s|#[^\n]*)*")


@dataclass
class Subject:
    """What a file holds; one of the last three is not None.

    Args:
        path: The file.
        kind: What it is, for people.
        model: A Keras model.
        program: A program in text form.
        onnx: An ONNX file's content.
    """

    path: Path
    kind: str
    model: Any = None
    program: Program | None = None
    onnx: Description | None = None

    @property
    def size(self) -> int:
        """The bytes of the file."""
        return os.path.getsize(self.path)


def load(path: str) -> Subject:
    """Read a file; its suffix says what it is.

    Raises:
        FileNotFoundError: There is no such file.
        FileFormatError: It is damaged, or not what its suffix says.
        UsageError: The suffix says nothing to graphc.
    """
    file = check_is_file(path)
    suffix = file.suffix.lower()
    if suffix in MODEL_SUFFIXES:
        kind = "Keras archive" if suffix == ".keras" else "HDF5 file of Keras"
        return Subject(file, kind, model=models.load_model(file))
    if suffix in CONFIG_SUFFIXES:
        read = models.model_from_json if suffix == ".json" else models.model_from_yaml
        kind = f"architecture in {'JSON' if suffix == '.json' else 'YAML'}, without weights"
        with reading(file, "the architecture of a model"):
            return Subject(file, kind, model=read(read_text(file)))
    if suffix == ".onnx":
        return Subject(file, "ONNX file", onnx=describe(file))
    if suffix in TEXT_SUFFIXES:
        return Subject(file, "text form of graphc", program=read_program(file))
    raise UsageError(f'"{path}" ends in none of {", ".join(SUFFIXES)}, so its format is unknown')


def read_text(path: Path) -> str:
    """A text file's content.

    Raises:
        FileFormatError: It is not in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FileFormatError(f'"{path}" is no text: {error}') from None


def read_program(path: Path) -> Program:
    """The program, or the graph, that a dump holds.

    Raises:
        FileFormatError: It is no dump.
    """
    text = read_text(path)
    start = _LEADING.match(text)
    assert start is not None
    try:
        if text[start.end() :].startswith("graph"):
            graph = parse(text)
            return Program(graph, name=graph.name)
        return parse_program(text)
    except ParseError as error:
        raise FileFormatError(f'"{path}" is no text form of a program: {error}') from None
