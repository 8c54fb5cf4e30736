"""What an ONNX file holds, without running or loading any of it."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphc.errors import FileFormatError
from graphc.serialize.errors import check_is_file, reading

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto


@dataclass(frozen=True)
class Parameter:
    """A tensor that is part of the file.

    Args:
        name: Its name in the graph.
        dtype: Its element type.
        shape: Its sizes.
        size: Its elements' bytes.
        external: Another file in which its elements are; empty if they are in this one.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    external: str = ""

    @property
    def count(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Description:
    """An ONNX file.

    Args:
        name: The name of its graph.
        producer: The program that wrote it, with its version.
        ir_version: The version of the file format.
        opsets: The version of each set of operations; ``""`` is the standard.
        inputs: Types of the inputs by name, parameters left out.
        outputs: Types of the outputs by name.
        parameters: The tensors that are part of the file.
        operations: How often each operation occurs, bodies of control flow included.
        metadata: The file's properties.
    """

    name: str
    producer: str
    ir_version: int
    opsets: dict[str, int]
    inputs: dict[str, str]
    outputs: dict[str, str]
    parameters: tuple[Parameter, ...]
    operations: dict[str, int]
    metadata: dict[str, str]


def describe(path: str | os.PathLike[str]) -> Description:
    """Read an ONNX file and say what is in it.

    Args:
        path: The file. Tensors in other files are not looked at.

    Raises:
        FileNotFoundError: There is no such file.
        FileFormatError: It is no ONNX file, or damaged.

    Example:
        >>> describe("model.onnx").operations
        {'MatMul': 3, 'Add': 3, 'Relu': 2, 'Softmax': 1}
    """
    import onnx

    check_is_file(path)
    with reading(path, "an ONNX file"):
        with open(path, "rb") as file:
            model = onnx.load_model_from_string(file.read())
        # Bytes that mean something else may be taken for an almost empty model.
        if not model.HasField("graph") or not model.opset_import:
            raise FileFormatError("it holds no graph")
        return _describe(model)


def _describe(model: ModelProto) -> Description:
    graph = model.graph
    parameters = tuple(_parameter(tensor) for tensor in graph.initializer)
    known = {parameter.name for parameter in parameters}
    counts = Counter(_operations(graph.node))
    for function in model.functions:
        counts.update(_operations(function.node))
    return Description(
        name=graph.name,
        producer=" ".join(filter(None, (model.producer_name, model.producer_version))),
        ir_version=model.ir_version,
        opsets={opset.domain: opset.version for opset in model.opset_import},
        inputs={value.name: _type(value) for value in graph.input if value.name not in known},
        outputs={value.name: _type(value) for value in graph.output},
        parameters=parameters,
        operations=dict(counts.most_common()),
        metadata={entry.key: entry.value for entry in model.metadata_props},
    )


def _operations(nodes: Iterator[NodeProto]) -> Iterator[str]:
    for node in nodes:
        yield f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        for attribute in node.attribute:
            bodies: list[GraphProto] = [*attribute.graphs]
            if attribute.HasField("g"):
                bodies.append(attribute.g)
            for body in bodies:
                yield from _operations(body.node)


def _parameter(tensor: TensorProto) -> Parameter:
    import onnx

    shape = tuple(tensor.dims)
    if any(size < 0 for size in shape):
        raise FileFormatError(f'tensor "{tensor.name}" has the negative size {min(shape)}')
    places = {entry.key: entry.value for entry in tensor.external_data}
    dtype = _dtype(tensor.data_type)
    try:
        width = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, TypeError, ValueError):
        raise FileFormatError(f'tensor "{tensor.name}" has no element type') from None
    return Parameter(
        tensor.name, dtype, shape, math.prod(shape) * width, places.get("location", "")
    )


def _dtype(number: int) -> str:
    import onnx

    names = {value: key.lower() for key, value in onnx.TensorProto.DataType.items()}
    name = names.get(number, f"type {number}")
    return {"float": "float32", "double": "float64"}.get(name, name)


def _type(value: ValueInfoProto) -> str:
    """A type as text: ``float32[batch, 784]``."""
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return (kind or "unknown").removesuffix("_type")
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return f"{_dtype(tensor.elem_type)}[...]"
    sizes = [
        dim.dim_param or (str(dim.dim_value) if dim.HasField("dim_value") else "?")
        for dim in tensor.shape.dim
    ]
    return f"{_dtype(tensor.elem_type)}[{', '.join(sizes)}]"
