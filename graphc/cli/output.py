"""What the command prints: tables, facts and notes for people, one JSON document for programs.

The only module of the command that loads rich.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

#: Columns where the output is no terminal and COLUMNS does not say how many there are.
_WIDTH = 100


class UsageError(Exception):
    """The command was not understood."""


class CommandError(Exception):
    """What was asked for did not work out.

    Args:
        message: One sentence.
        document: What was found out nevertheless, for ``--json``.
    """

    def __init__(self, message: str, document: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.document = dict(document or {})


class Output:
    """Prints for people; says nothing if ``silent``, as a program reads the document instead.

    Args:
        silent: Whether to print nothing.
    """

    def __init__(self, silent: bool = False):
        self.silent = silent
        self._console: Any = None

    @property
    def console(self) -> Any:
        """The rich console; made when first needed."""
        if self._console is None:
            from rich.console import Console

            plain = not sys.stdout.isatty() and "COLUMNS" not in os.environ
            self._console = Console(
                width=_WIDTH if plain else None, highlight=False, soft_wrap=False
            )
        return self._console

    def heading(self, text: str) -> None:
        """A line that says what follows."""
        if not self.silent:
            self.console.print(f"\n{text}", style="bold", markup=False)

    def line(self, text: str, style: str = "") -> None:
        """A sentence."""
        if not self.silent:
            self.console.print(text, style=style, markup=False)

    def warning(self, text: str) -> None:
        """A sentence about what may be wrong."""
        if not self.silent:
            from rich.text import Text

            self.console.print(Text.assemble(("warning: ", "bold yellow"), text))

    def raw(self, text: str) -> None:
        """Text as it is, such as code: neither wrapped nor coloured, so that it reads back."""
        if not self.silent:
            sys.stdout.write(text if text.endswith("\n") else text + "\n")

    def facts(self, title: str, facts: Mapping[str, Any]) -> None:
        """Names and values below a heading.

        Args:
            title: The heading.
            facts: The values; None and empty texts are left out.
        """
        if self.silent:
            return
        from rich.table import Table

        if title:
            self.heading(title)
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in facts.items():
            if value is not None and value != "":
                grid.add_row(f"  {name}", _cell(value))
        self.console.print(grid)

    def table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], kinds: str = ""
    ) -> None:
        """Rows below names of columns.

        Args:
            title: The heading; may be empty.
            columns: Their names.
            rows: Values for each column.
            kinds: A letter for each column: ``l`` for text, which wraps where it is narrow, ``w``
                for a word and ``r`` for a number at the right, which do not. Text by default.
        """
        if self.silent:
            return
        from rich import box
        from rich.table import Table

        if title:
            self.heading(title)
        table = Table(
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, 1, 0, 0),
            header_style="bold cyan",
        )
        for name, kind in zip(columns, kinds.ljust(len(columns), "l"), strict=True):
            table.add_column(
                name,
                justify="right" if kind == "r" else "left",
                no_wrap=kind != "l",
                overflow="fold",
            )
        for row in rows:
            table.add_row(*map(_cell, row))
        self.console.print(table)


def _cell(value: Any) -> Any:
    from rich.text import Text

    if isinstance(value, Text):
        return value
    text = "" if value is None else str(value)
    return Text(text, style={"yes": "green", "no": "red", "ok": "green"}.get(text, ""))


def write_json(document: Mapping[str, Any], stream: TextIO) -> None:
    """Write a document as JSON; NaN and infinity, which JSON lacks, as null."""
    text = json.dumps(_plain(document), indent=2, ensure_ascii=False, allow_nan=False)
    stream.write(text + "\n")
    stream.flush()


def _plain(value: Any) -> Any:
    """The same in the types that JSON has."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, Path):
        return str(value)
    number = float(value)
    return number if math.isfinite(number) else None


# --------------------------------------------------------------------------------------- numbers


def bytes_text(size: float) -> str:
    """A number of bytes for people: ``"1.4 MiB"``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"


def seconds_text(seconds: float) -> str:
    """A time for people: ``"12 ms"``."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1 or unit == "us":
            break
    return f"{significant(seconds * factor)} {unit}"


def significant(number: float, digits: int = 3) -> str:
    """A number with so many digits that count, and commas between thousands."""
    if not math.isfinite(number):
        return str(number)
    if number == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(number))))
    return f"{number:,.{decimals}f}"


def count_text(number: float) -> str:
    """A large number with a letter for its size: ``"1.42 M"``."""
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= factor:
            return f"{significant(number / factor)} {unit}"
    return significant(number)
