"""The ``graphc`` command: finds the verb, runs it, and says what went wrong in one line.

A verb is a module of this package with two functions: ``add_arguments(parser)``, and
``run(arguments, output)``, which shows its findings through an `Output` and returns them as a
dictionary for ``--json``.

Exit codes: 0, all is well; 1, what was asked for failed; 2, the command was not understood.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from graphc import __version__
from graphc.cli.output import CommandError, Output, UsageError, write_json
from graphc.errors import GraphcError, similar

#: What there is to do, in the order in which a newcomer would.
VERBS = {
    "demo": "train on real data, save, export, compare: everything once, in seconds",
    "inspect": "what is in a model file, and the code it becomes",
    "bench": "how fast a model predicts and trains, and how near that is to the machine's peak",
    "export": "a model file in another format: .onnx, .keras, .h5, .json, .yaml",
    "doctor": "this machine and installation: processor, versions, what works and what does not",
}

HELP = """\
usage: graphc VERB [options]

graphc compiles models written with the Keras API to native code.

verbs:
{verbs}

examples:
  graphc demo                                train a classifier and look at every step
  graphc inspect model.keras                 layers, parameters, operations, memory
  graphc inspect model.keras --passes        the graph after each pass of the compiler
  graphc bench model.keras --batch 1,64      microseconds a call, samples a second
  graphc export model.h5 model.onnx          convert, and check the result in ONNX Runtime

options, after the verb:
  --json      print one JSON document to stdout, and nothing else
  --help      what a verb takes, with examples

The exit code is 0 if all is well, 1 if what was asked for failed, 2 if the command was not
understood. GRAPHC_DEBUG=1 shows the traceback of an error and what the compiler does.
"""

#: Exceptions that come from what the user gave; anything else is a defect of graphc.
_EXPECTED = (GraphcError, CommandError, OSError, ValueError, TypeError, ModuleNotFoundError)
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments; those of the process by default.

    Returns:
        The exit code.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    _allow_any_text()
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt:
        print("graphc: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough. What is left must not fail at exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        print(_help(), end="", file=sys.stderr)
        return 2
    first, *rest = arguments
    if first in ("--version", "-V"):
        print(f"graphc {__version__}")
        return 0
    if first in ("--help", "-h") or (first == "help" and not rest):
        print(_help(), end="")
        return 0
    if first == "help":
        first, *rest = rest[0], "--help"
    if first not in VERBS:
        return _complain(_unknown(first))
    return _run(first, rest)


def _run(verb: str, rest: list[str]) -> int:
    as_json = "--json" in rest
    try:
        with _only_json_on_stdout(as_json) as stdout, warnings.catch_warnings():
            warnings.showwarning = _warn  # type: ignore[assignment]
            # Loaded here, so that a wrong environment variable is an error like others.
            module = importlib.import_module(f"graphc.cli.{verb}")
            arguments = _parser(verb, module.add_arguments).parse_args(rest)
            document = module.run(arguments, Output(silent=as_json))
            if as_json:
                write_json(document, stdout)
        return 0
    except SystemExit as exit:  # from --help
        return int(exit.code or 0)
    except UsageError as error:
        return _complain(f"graphc {verb}: {error} (graphc {verb} --help says what it takes)")
    except BrokenPipeError:
        raise
    except Exception as error:
        if _debugging():
            raise
        if as_json:
            document = error.document if isinstance(error, CommandError) else {}
            write_json({**document, "error": _sentence(error)}, sys.stdout)
        print(f"graphc {verb}: {_sentence(error)}", file=sys.stderr)
        return 1


@contextlib.contextmanager
def _only_json_on_stdout(wanted: bool) -> Iterator[Any]:
    """Gives the real stdout; with ``--json`` all that others print goes to stderr meanwhile."""
    stdout = sys.stdout
    with contextlib.redirect_stdout(sys.stderr) if wanted else contextlib.nullcontext():
        yield stdout


def _warn(message: Warning | str, *_: Any) -> None:
    """A warning as one line, without the line of code that gave it."""
    print(f"graphc: warning: {' '.join(str(message).split())}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are exceptions."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _parser(
    verb: str, add_arguments: Callable[[argparse.ArgumentParser], None]
) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"graphc {verb}",
        description=f"{VERBS[verb][0].upper()}{VERBS[verb][1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_arguments(parser)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document to stdout, and nothing else"
    )
    return parser


def _help() -> str:
    width = max(map(len, VERBS))
    return HELP.format(verbs="\n".join(f"  {verb:{width}}   {VERBS[verb]}" for verb in VERBS))


def _unknown(verb: str) -> str:
    near = similar(verb.lower(), VERBS, 1, 0.5)
    what = f'option "{verb}"' if verb.startswith("-") else f'verb "{verb}"'
    hint = f"did you mean graphc {near[0]}?" if near else f"there are: {', '.join(VERBS)}"
    return f"graphc: unknown {what}; {hint}"


def _complain(text: str) -> int:
    print(text, file=sys.stderr)
    return 2


def _sentence(error: BaseException) -> str:
    """An error as one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{error.filename}: {error.strerror}"
    if isinstance(error, _EXPECTED):
        return text
    return f"internal error, {type(error).__name__}: {text} (GRAPHC_DEBUG=1 shows where)"


def _debugging() -> bool:
    return os.environ.get("GRAPHC_DEBUG", "").strip() not in ("", "0")


def _allow_any_text() -> None:
    """Print names that the terminal's encoding lacks with a replacement, not with an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
