"""``graphc export``: a model file in another format."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from graphc.cli.output import Output, UsageError, bytes_text
from graphc.cli.programs import positive
from graphc.cli.subject import CONFIG_SUFFIXES, MODEL_SUFFIXES, load
from graphc.export.check import Comparison
from graphc.export.onnx import OPSET
from graphc.serialize.files import write_atomically

EPILOG = """\
examples:
  graphc export model.keras model.onnx          checked: the same results in ONNX Runtime
  graphc export model.h5 model.onnx --opset 18
  graphc export model.h5 model.keras            the format of Keras 3, training state included
  graphc export model.keras model.json          the architecture alone

The suffix of OUT says which format: .onnx, .keras, .h5, .json, .yaml. OUT appears complete or not
at all.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the verb takes."""
    parser.epilog = EPILOG
    parser.add_argument("file", metavar="FILE", help="a .keras, .h5, .json or .yaml file")
    parser.add_argument("out", metavar="OUT", help="the file to write")
    parser.add_argument(
        "--opset",
        metavar="N",
        default=str(OPSET),
        help=f"the version of ONNX's operations, {OPSET} or later (default: {OPSET})",
    )
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="do not compare the .onnx file, run in ONNX Runtime, with the model",
    )


def run(arguments: argparse.Namespace, output: Output) -> dict[str, Any]:
    """Read, write, and say what was written."""
    out = Path(arguments.out)
    suffix = out.suffix.lower()
    known = (".onnx", *MODEL_SUFFIXES, *CONFIG_SUFFIXES)
    if suffix not in known:
        raise UsageError(f'"{out}" ends in none of {", ".join(known)}: which format is it to be?')
    opset = positive(arguments.opset, "--opset")
    subject = load(arguments.file)
    if subject.model is None:
        raise UsageError(f"{subject.path} is no model of Keras ({subject.kind}): only they convert")
    document: dict[str, Any] = {"file": str(subject.path), "out": str(out)}
    model = subject.model
    if suffix == ".onnx":
        comparison = model.export(
            out, check=not arguments.no_check, verbose=False, opset_version=opset
        )
        document["opset"] = opset
        document["checked"] = comparison is not None
        document["largest_difference"] = comparison.largest if comparison else None
    elif suffix in MODEL_SUFFIXES:
        comparison = None
        model.save(out)
    else:
        comparison = None
        text = model.to_json() if suffix == ".json" else model.to_yaml()
        write_atomically(out, text.encode())
    document["bytes"] = os.path.getsize(out)
    output.line(f"{subject.path} -> {out}, {bytes_text(document['bytes'])}")
    if suffix == ".onnx":
        _show_check(comparison, arguments.no_check, output)
    return document


def _show_check(comparison: Comparison | None, unwanted: bool, output: Output) -> None:
    if comparison is not None:
        output.line(f"the same in ONNX Runtime: {comparison}", "green")
    elif unwanted:
        output.line("not checked, as --no-check says")
    else:
        output.warning(
            "well-formed, but not run: ONNX Runtime is not installed "
            '(pip install "graphc-compiler[gpu]", or "graphc-compiler[ort]")'
        )
