"""Graphs and programs as ONNX models.

Composite ops with an ONNX equivalent leave whole, so that a recurrent layer is one node; the others
leave as what they are made of. What depends on variables only is computed here. Sizes that are not
known keep their names, and the runtime computes them only where a node asks for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import numpy as np

from graphc.errors import GraphError
from graphc.export.onnx_context import Context
from graphc.export.onnx_fuse import fuse
from graphc.export.onnx_graph import OnnxModel
from graphc.ir import Graph, numpy_dtype
from graphc.passes import Pipeline, share_common, simplify
from graphc.passes.layout import channels_first
from graphc.passes.split_complex import split_complex
from graphc.program import Program

if TYPE_CHECKING:
    from onnx import ModelProto

#: What every current runtime reads.
OPSET, IR_VERSION = 17, 8
#: The oldest version whose operations the ops' rules are written in.
OLDEST_OPSET = 17

#: What happens to a graph before it is written.
PIPELINE = Pipeline("onnx", (simplify, share_common))
#: The same for images with channels last, which ONNX has first.
LAYOUT_PIPELINE = Pipeline("onnx", (simplify, share_common, channels_first, simplify, share_common))


def to_onnx(
    subject: Program | Graph,
    variables: Mapping[str, np.ndarray] | None = None,
    opset: int = OPSET,
    ir_version: int = IR_VERSION,
    name: str | None = None,
    root: str = "",
    metadata: Mapping[str, str] | None = None,
    pipeline: Pipeline = PIPELINE,
) -> ModelProto:
    """The ONNX model that computes what a graph computes.

    Complex inputs and outputs become real ones with a last axis for real and imaginary part.

    Args:
        subject: A program or a graph. All inputs but those in ``variables`` become the model's
            inputs, all outputs its outputs.
        variables: Arrays that become part of the model, by the names of the graph's inputs.
        opset: The version of the standard operations, 17 or later.
        ir_version: The version of the file format.
        name: The name of the model's graph; by default that of the program or graph.
        root: The outermost layer, such as a model, whose name the names of nodes do not repeat.
        metadata: Further facts, by name, for the file's properties.
        pipeline: The passes that the graph goes through before.

    Returns:
        An `onnx.ModelProto`.

    Raises:
        UnsupportedError: An op cannot be expressed, or the model is too large for one file.
        GraphError: A variable does not fit the input of its name.

    Example:
        >>> onnx.save(to_onnx(program, state), "model.onnx")
    """
    from graphc.export.onnx_proto import model_proto  # loads onnx

    if opset < OLDEST_OPSET:
        raise ValueError(f"opset has to be at least {OLDEST_OPSET}, not {opset}")
    model = onnx_model(subject, variables or {}, opset, root, pipeline)
    model.main.name = name or subject.name
    return model_proto(model, ir_version, graphc_version(), metadata or {})


def onnx_model(
    subject: Program | Graph,
    variables: Mapping[str, np.ndarray],
    opset: int = OPSET,
    root: str = "",
    pipeline: Pipeline = PIPELINE,
) -> OnnxModel:
    """The same as records, without the `onnx` package."""
    graph = split_complex(subject.graph if isinstance(subject, Program) else subject)
    graph = pipeline.run(graph)
    model = OnnxModel(opset, root)
    context = Context(model, model.main)
    unknown = variables.keys() - {value.name for value in graph.inputs}
    if unknown:
        raise GraphError(f'there is no input "{sorted(unknown)[0]}" for a variable')
    names = []
    for value in graph.inputs:
        array = variables.get(value.name)
        if array is None:
            names.append(model.fresh(value.name))
            model.types[names[-1]] = value.type
            model.main.inputs.append(names[-1])
            continue
        if value.shape != array.shape or numpy_dtype(value.dtype) != array.dtype:
            raise GraphError(
                f'variable "{value.name}" is {value.type}, received {array.dtype} {array.shape}'
            )
        names.append(model.variable(array, value.name))
    model.reserve(graph.outputs)
    context.bind_sizes(graph.inputs, names)
    results = context.inline(graph, names)
    fuse(model, model.main)
    model.finish(dict(zip(graph.outputs, results, strict=True)))
    return model


def graphc_version() -> str:
    """The version of graphc that is installed; empty if it is not installed as a package."""
    try:
        return version("graphc-compiler")
    except PackageNotFoundError:
        return ""
