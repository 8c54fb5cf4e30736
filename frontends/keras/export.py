"""Models as ONNX files."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any

import numpy as np

from graphc import runtime
from graphc.config import config
from graphc.eager.tensor import Tensor
from graphc.export.check import Comparison, check_format, compare, has_onnxruntime
from graphc.export.onnx import IR_VERSION, LAYOUT_PIPELINE, OPSET, to_onnx
from graphc.ir import dims
from graphc.keras import tree
from graphc.keras.engine.keras_tensor import KerasTensor, keras_tensors
from graphc.keras.engine.programs import input_names, readable_types, trace_program
from graphc.keras.utils.io_utils import print_msg
from graphc.program import Program
from graphc.serialize.files import write_atomically


def export_model(
    model: Any,
    filepath: str | os.PathLike[str],
    format: str = "onnx",
    *,
    check: bool = True,
    tolerance: float | None = None,
    verbose: bool = True,
    input_signature: Any = None,
    opset_version: int | None = None,
    ir_version: int | None = None,
) -> Comparison | None:
    """Write a model in a format for other programs; the arguments are those of `Model.export`."""
    if format != "onnx":
        raise ValueError(f'models are exported with format="onnx", not {format!r}')
    suffix = os.path.splitext(os.fspath(filepath))[1]
    if suffix not in ("", ".onnx"):
        raise ValueError(
            f'what is exported is ONNX, so call the file "....onnx", not "...{suffix}"; '
            "model.save() writes .keras and .h5"
        )
    program, variables = predict_program(model, input_signature)
    state = {name: variable.array for name, variable in variables.items()}
    proto = to_onnx(
        program,
        state,
        OPSET if opset_version is None else opset_version,
        IR_VERSION if ir_version is None else ir_version,
        name=model.name,
        root=model.name,
        pipeline=LAYOUT_PIPELINE,
    )
    comparison = None
    if check:
        check_format(proto)
        if has_onnxruntime():
            executable = runtime.compile(program, config.backend, config.threads)

            def run(data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
                return executable.run(data, state)

            comparison = compare(proto, program.graph, run, tolerance)
    write_atomically(filepath, proto.SerializeToString())
    if verbose:
        print_msg(_summary(filepath, check, comparison))
    return comparison


def predict_program(model: Any, input_signature: Any = None) -> tuple[Program, dict[str, Any]]:
    """The program that predicts, its data inputs and results called as the model calls them.

    Args:
        model: A model that knows the shapes of its inputs.
        input_signature: KerasTensors, from `Input`, for its inputs: needed where it does not.

    Raises:
        ValueError: The model has not seen a shape yet.
    """
    structure = input_structure(model, input_signature)
    tensors = keras_tensors(structure)
    names = getattr(model, "input_names", None) or _names("input", structure)
    types = OrderedDict(zip(names, readable_types(tensors), strict=True))

    def step(data: dict[str, Tensor]) -> dict[str, Tensor]:
        outputs = model(tree.pack_sequence_as(structure, list(data.values())), training=False)
        labels = getattr(model, "output_names", None) or _names("output", outputs)
        return dict(zip(_free(labels, types), tree.flatten(outputs), strict=True))

    return trace_program("predict", types, step)


def input_structure(model: Any, signature: Any = None) -> Any:
    """The structure of KerasTensors that a model takes."""
    if signature is not None:
        return tree.map_structure(_as_keras_tensor, signature)
    structure = getattr(model, "inputs_structure", None)
    if structure is None and getattr(model, "functional", None) is not None:
        structure = model.functional.inputs_structure
    if structure is None:
        # The model saw data: its number of rows does not matter.
        structure = tree.map_structure(_with_open_batch, model.symbolic_inputs())
    if structure is None:
        raise ValueError(
            f'model "{model.name}" has not seen the shape of its input yet: call it once, build it '
            f"or pass input_signature=keras.Input(shape=(...)) to export"
        )
    return structure


def _with_open_batch(tensor: KerasTensor) -> KerasTensor:
    return KerasTensor(tensor.type.with_shape((dims.symbol("batch"), *tensor.type.shape[1:])))


def _as_keras_tensor(item: Any) -> KerasTensor:
    if isinstance(item, KerasTensor):
        return item
    raise TypeError(
        f"input_signature takes what Input() returns, or a structure of that; received {item!r}"
    )


def _names(base: str, structure: Any) -> list[str]:
    """Names for the parts of a structure: keys of a dict stand for themselves."""
    if isinstance(structure, dict):
        return input_names(structure)
    return input_names({base: structure})


def _free(labels: list[str], taken: Any) -> list[str]:
    """Output names that no input has, as ONNX keeps all values in one space of names."""
    free: list[str] = []
    for label in labels:
        name, count = label, 0
        while name in taken or name in free:
            count += 1
            name = f"{label}_output" if count == 1 else f"{label}_output_{count}"
        free.append(name)
    return free


def _summary(filepath: Any, check: bool, comparison: Comparison | None) -> str:
    if comparison is not None:
        return f"Saved {os.fspath(filepath)!s}: checked in ONNX Runtime, {comparison}"
    if check:
        return (
            f"Saved {os.fspath(filepath)!s}: well-formed, but not run, since ONNX Runtime is not "
            f'installed (pip install "graphc-compiler[gpu]" or "graphc-compiler[ort]")'
        )
    return f"Saved {os.fspath(filepath)!s}: not checked"
