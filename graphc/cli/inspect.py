"""``graphc inspect``: what is in a model file, and the code it becomes."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from graphc.cli.layers import layer_records, show_layers
from graphc.cli.output import Output, UsageError, bytes_text, significant
from graphc.cli.programs import PROGRAMS, add_size_arguments, bindings_of, programs_of, sizes_of
from graphc.cli.subject import Subject, load
from graphc.errors import UnsupportedError
from graphc.onnx.description import Description
from graphc.program import Program
from graphc.runtime.cpu.inspect import (
    assembly_text,
    llvm_text,
    multiply_adds,
    sizes,
    stages,
    state_bytes,
)

EPILOG = """\
examples:
  graphc inspect model.keras                       layers, parameters, operations, memory
  graphc inspect model.h5 --batch 256              memory for other sizes
  graphc inspect model.keras --ir > predict.txt    the graph; it can be read back:
  graphc inspect predict.txt --passes              the graph after each pass, with reasons
  graphc inspect model.keras --program train --asm
  graphc inspect model.onnx --json

Reads .keras, .h5, .json, .yaml, .onnx, and .txt files that --ir or GRAPHC_DUMP wrote.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the verb takes."""
    parser.epilog = EPILOG
    parser.add_argument("file", metavar="FILE", help="the file to look into")
    parser.add_argument(
        "--program",
        choices=PROGRAMS,
        default="predict",
        help="which of a model's programs the next four show (default: predict); train and "
        "evaluate need a model that was compiled before it was saved",
    )
    parser.add_argument("--ir", action="store_true", help="its graph, as text that reads back")
    parser.add_argument(
        "--passes",
        action="store_true",
        help="the graph after each pass, and what was done, what not, and why",
    )
    parser.add_argument("--llvm", action="store_true", help="its LLVM IR for this machine")
    parser.add_argument("--asm", action="store_true", help="its assembly for this machine")
    add_size_arguments(parser)


def run(arguments: argparse.Namespace, output: Output) -> dict[str, Any]:
    """Show a file, or the code that was asked for and nothing else."""
    bindings = sizes_of(arguments)
    subject = load(arguments.file)
    views = [name for name in _VIEWS if getattr(arguments, name)]
    if views:
        return _show_code(subject, arguments.program, views, bindings, output)
    document: dict[str, Any] = {"file": str(subject.path), "kind": subject.kind}
    document["bytes"] = subject.size
    if subject.onnx is not None:
        document.update(_onnx_document(subject.onnx))
        _show_onnx(document, output)
        return document
    if subject.model is not None:
        document.update(_model_document(subject.model))
        _show_model(document, output)
    else:
        _show_file(document, {}, output)
    document["programs"] = [
        _program_document(prepared.program, bindings) for prepared in programs_of(subject, bindings)
    ]
    _show_programs(document["programs"], output)
    return document


# ------------------------------------------------------------------------------------------ code


def _show_code(
    subject: Subject, name: str, views: list[str], bindings: dict[str, int], output: Output
) -> dict[str, Any]:
    if subject.onnx is not None:
        raise UsageError(
            f"--{views[0].replace('_', '-')} shows what graphc compiles, which an .onnx file is "
            "not: it can be listed only"
        )
    program = next(programs_of(subject, bindings, [name])).program
    document: dict[str, Any] = {"file": str(subject.path), "program": program.name}
    for view in views:
        document[view] = _VIEWS[view](program)
        for text in _lines(document[view]):
            output.raw(text)
    return document


def _passes(program: Program) -> list[dict[str, Any]]:
    return [
        {
            "name": stage.name,
            "seconds": stage.seconds,
            "nodes": len(stage.program.graph.nodes),
            "decisions": list(stage.decisions),
            "program": stage.program.as_text(),
        }
        for stage in stages(program)
    ]


_VIEWS: dict[str, Callable[[Program], Any]] = {
    "ir": Program.as_text,
    "passes": _passes,
    "llvm": llvm_text,
    "asm": assembly_text,
}


def _lines(view: Any) -> Iterator[str]:
    """Code as it is; stages with a comment above each."""
    if isinstance(view, str):
        yield view
        return
    for stage in view:
        milliseconds = significant(1000 * stage["seconds"], 2)
        yield f"\n# {stage['name']}: {milliseconds} ms, {stage['nodes']} nodes"
        yield from (f"#   {decision}" for decision in stage["decisions"])
        yield stage["program"]


# ---------------------------------------------------------------------------------------- models


def _model_document(model: Any) -> dict[str, Any]:
    trained = sum(variable.array.size for variable in model.trainable_weights)
    return {
        "name": model.name,
        "class": type(model).__name__,
        "parameters": model.count_params(),
        "trainable_parameters": trained,
        "compiled": _compiled(model),
        "layers": list(layer_records(model)),
    }


def _compiled(model: Any) -> dict[str, Any] | None:
    if not model.compiled:
        return None
    return {"optimizer": type(model.optimizer).__name__, "loss": _name(model.loss)}


def _name(identifier: Any) -> Any:
    """A loss as the user would write it."""
    if isinstance(identifier, Mapping):
        return {key: _name(item) for key, item in identifier.items()}
    if isinstance(identifier, (list, tuple)):
        return [_name(item) for item in identifier]
    if isinstance(identifier, str) or identifier is None:
        return identifier
    return getattr(identifier, "name", None) or getattr(identifier, "__name__", str(identifier))


def _show_file(document: Mapping[str, Any], facts: Mapping[str, Any], output: Output) -> None:
    kind = f"{document['kind']}, {bytes_text(document['bytes'])}"
    output.facts(str(document["file"]), {"file": kind, **facts})


def _show_model(document: Mapping[str, Any], output: Output) -> None:
    total, trained = document["parameters"], document["trainable_parameters"]
    frozen = f", of which {trained:,} are trained" if trained != total else ""
    compiled = document["compiled"]
    _show_file(
        document,
        {
            "model": f'{document["class"]} "{document["name"]}"',
            "parameters": f"{total:,}{frozen}",
            "compiled": f"{compiled['optimizer']}, loss {compiled['loss']}" if compiled else "no",
        },
        output,
    )
    show_layers(document["layers"], output, "Layers")


# -------------------------------------------------------------------------------------- programs


def _program_document(program: Program, bindings: Mapping[str, int]) -> dict[str, Any]:
    counts = Counter(node.op.name for node in program.graph.nodes)
    bound = bindings_of(program, bindings)
    document: dict[str, Any] = {
        "name": program.name,
        "inputs": {value.name: str(value.type) for value in program.data},
        "results": {name: str(value.type) for name, value in program.results.items()},
        "variables": len(program.variables),
        "sizes": bound,
        "nodes": len(program.graph.nodes),
        "operations": dict(counts.most_common()),
        "state_bytes": state_bytes(program, bound),
        "multiply_adds": multiply_adds(program, bound),
    }
    try:
        found = sizes(program, bound)
    except UnsupportedError as error:
        return {**document, "unsupported": str(error)}
    memory = {"arena_bytes": found.arena_bytes, "prepared_bytes": found.prepared_bytes}
    return {**document, "kernels": list(found.kernels), **memory}


def _show_programs(programs: list[dict[str, Any]], output: Output) -> None:
    for program in programs:
        wanted = ", ".join(f"{name} {size}" for name, size in program["sizes"].items())
        operations = ", ".join(f"{name} {n}" for name, n in program["operations"].items())
        native = program.get("unsupported", "")
        memory = f"{bytes_text(program['state_bytes'])} of state"
        if "kernels" in program:
            native = f"{len(program['kernels'])} kernels for {program['nodes']} operations"
            memory += f", {bytes_text(program['arena_bytes'])} for intermediate results"
            if program["prepared_bytes"]:
                memory += f", {bytes_text(program['prepared_bytes'])} for packed weights"
        output.facts(
            f'Program "{program["name"]}"' + (f" at {wanted}" if wanted else ""),
            {
                "inputs": ", ".join(f"{n}: {t}" for n, t in program["inputs"].items()),
                "results": ", ".join(f"{n}: {t}" for n, t in program["results"].items()),
                "operations": operations,
                "native code": native,
                "memory": memory,
                "multiply-adds": f"{program['multiply_adds']:,} in contractions",
            },
        )


# ------------------------------------------------------------------------------------------ ONNX


def _onnx_document(found: Description) -> dict[str, Any]:
    return {
        "name": found.name,
        "producer": found.producer,
        "ir_version": found.ir_version,
        "opsets": found.opsets,
        "inputs": found.inputs,
        "outputs": found.outputs,
        "parameters": sum(tensor.count for tensor in found.parameters),
        "tensors": [
            {
                "name": tensor.name,
                "dtype": tensor.dtype,
                "shape": tensor.shape,
                "bytes": tensor.size,
                "external": tensor.external,
            }
            for tensor in found.parameters
        ],
        "operations": found.operations,
        "metadata": found.metadata,
    }


def _show_onnx(document: Mapping[str, Any], output: Output) -> None:
    opsets = [f"{name or 'standard'} {version}" for name, version in document["opsets"].items()]
    external = sorted({tensor["external"] for tensor in document["tensors"]} - {""})
    _show_file(
        document,
        {
            "graph": document["name"],
            "written by": document["producer"],
            "versions": f"operations {', '.join(opsets)}; file format {document['ir_version']}",
            "parameters": f"{document['parameters']:,} in {len(document['tensors'])} tensors",
            "other files": ", ".join(external),
            **document["metadata"],
        },
        output,
    )
    ends = [("input", name, type) for name, type in document["inputs"].items()]
    ends += [("output", name, type) for name, type in document["outputs"].items()]
    output.table("Inputs and outputs", ("", "name", "type"), ends, "wll")
    counts = [(name, f"{count:,}") for name, count in document["operations"].items()]
    output.table("Operations", ("operation", "times"), counts, "lr")
    tensors = [
        (tensor["name"], f"{tensor['dtype']}{list(tensor['shape'])}", bytes_text(tensor["bytes"]))
        for tensor in document["tensors"]
    ]
    output.table("Parameters", ("tensor", "type", "size"), tensors, "llr")
