"""The command lines of the benchmarks."""

from __future__ import annotations

import argparse


def parser_of(module: str, text: str | None) -> argparse.ArgumentParser:
    """A parser for `python -m` of a module.

    Args:
        module: Its name.
        text: Its docstring, which `--help` shows as it is.
    """
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
