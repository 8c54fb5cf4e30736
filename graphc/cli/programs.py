"""The programs of what the user named, and the sizes of what they work on."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.cli.output import CommandError, UsageError
from graphc.cli.subject import Subject
from graphc.keras.engine.data import Rows
from graphc.keras.engine.steps import Steps
from graphc.keras.sample import DEFAULT_SIZE, draw, sample_rows
from graphc.program import Program
from graphc.runtime.executable import BATCH

PROGRAMS = ("predict", "evaluate", "train")


@dataclass
class Prepared:
    """A program with something to run it on.

    Args:
        program: The program.
        data: Arrays for its data inputs.
        state: Arrays for its variables.
    """

    program: Program
    data: dict[str, np.ndarray]
    state: dict[str, np.ndarray]


def add_size_arguments(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """Declare how sizes that a model leaves open are given.

    Args:
        parser: Where.
        several: Whether the verb takes a list of sizes of the batch.
    """
    parser.add_argument(
        "--batch",
        metavar="LIST" if several else "N",
        default=str(DEFAULT_SIZE),
        help=f"rows in a batch{', such as 1,32,256' * several} (default: {DEFAULT_SIZE})",
    )
    parser.add_argument(
        "--size",
        metavar="NAME=N",
        action="append",
        default=[],
        help=f"the size of another open axis, such as time=100 (default: {DEFAULT_SIZE})",
    )


def sizes_of(arguments: argparse.Namespace) -> dict[str, int]:
    """The sizes that the arguments give.

    Raises:
        UsageError: One of them is no number of at least 1.
    """
    sizes = {BATCH: positive(arguments.batch, "--batch")}
    for text in arguments.size:
        name, equals, size = text.partition("=")
        if not name or not equals:
            raise UsageError(f"--size takes a name and a number, as in time=100, not {text!r}")
        sizes[name] = positive(size, f"--size {name}")
    return sizes


def positive(text: str, what: str) -> int:
    """A whole number of at least 1.

    Raises:
        UsageError: The text is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"{what} has to be a whole number of at least 1, not {text!r}")
    return int(text)


def bindings_of(program: Program, sizes: Mapping[str, int]) -> dict[str, int]:
    """The sizes of the symbolic dimensions of a program."""
    return {name: sizes.get(name, DEFAULT_SIZE) for name in program.graph.symbols()}


def programs_of(
    subject: Subject, sizes: Mapping[str, int], names: Sequence[str] | None = None
) -> Iterator[Prepared]:
    """The programs of a file.

    Args:
        subject: A model or a program.
        sizes: Of what they work on.
        names: Which of a model's; by default predict, and train if the model was compiled.

    Raises:
        CommandError: The model lacks what a program needs.
    """
    if subject.program is not None:
        yield _random_program(subject.program, sizes)
        return
    model = subject.model
    for name in names or (("predict", "train") if model.compiled else ("predict",)):
        try:
            yield model_program(model, name, sizes)
        except ValueError as error:
            raise CommandError(f"{subject.path}: {error}") from error


def model_program(model: Any, name: str, sizes: Mapping[str, int]) -> Prepared:
    """One of a model's programs, with made-up data and copies of the model's variables.

    Args:
        model: A Keras model.
        name: One of `PROGRAMS`.
        sizes: Of what it works on.
    """
    return trace(model, name, sample_rows(model, sizes, targets=name != "predict"))


def trace(model: Any, name: str, rows: Rows) -> Prepared:
    """One of a model's programs, with data and copies of the model's variables.

    Args:
        model: A Keras model.
        name: One of `PROGRAMS`.
        rows: A batch of data.
    """
    steps = Steps(model)
    program, variables = steps.trace(name, steps.types(name, rows))
    state = {key: variable.array.copy() for key, variable in variables.items()}
    return Prepared(program, rows.arrays, state)


def _random_program(program: Program, sizes: Mapping[str, int]) -> Prepared:
    bindings = bindings_of(program, sizes)
    rng = np.random.default_rng(0)
    variables = {variable.name for variable in program.variables}
    arrays = {value.name: draw(rng, value.type, bindings) for value in program.graph.inputs}
    return Prepared(
        program,
        {name: array for name, array in arrays.items() if name not in variables},
        {name: array for name, array in arrays.items() if name in variables},
    )
