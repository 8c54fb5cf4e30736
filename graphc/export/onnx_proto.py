"""From the records of a model to the `onnx` package's messages: the module that loads `onnx`."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper

from graphc.errors import UnsupportedError
from graphc.export.onnx_graph import ELEMENT_TYPES, OnnxGraph, OnnxModel, OnnxNode
from graphc.ir import TensorType

#: A file is one message, and a message is at most this long.
_SIZE_LIMIT = 2**31 - 2**20
#: Arrays up to this size take part in the inference of shapes.
_SMALL = 64


def model_proto(
    model: OnnxModel, ir_version: int, version: str, metadata: Mapping[str, str]
) -> ModelProto:
    """The model as ONNX's message, with the shape of every value.

    Args:
        model: The finished model.
        ir_version: The version of the file format.
        version: That of graphc.
        metadata: Further facts, by name.

    Raises:
        UnsupportedError: The arrays are larger than a file can be.
    """
    total = sum(i.array.nbytes for i in model.initializers.values())
    if total > _SIZE_LIMIT:
        raise UnsupportedError(
            f"the arrays of the model are {total / 2**30:.1f} GiB, and an ONNX file holds less "
            f"than 2 GiB: export parts of the model, or weights of a smaller dtype"
        )
    graph = graph_proto(model.main, model.types)
    proto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", model.opset)],
        producer_name="graphc",
        producer_version=version,
        ir_version=ir_version,
    )
    add_shapes(proto, model)
    for name, initializer in model.initializers.items():
        proto.graph.initializer.append(numpy_helper.from_array(initializer.array, name))
    helper.set_model_props(proto, dict(metadata))
    return proto


def graph_proto(graph: OnnxGraph, types: Mapping[str, TensorType]) -> GraphProto:
    """A graph with the types of its inputs, its outputs and what is known of the rest."""
    ends = {*graph.inputs, *graph.outputs}
    inner = [name for node in graph.nodes for name in node.outputs if name not in ends]
    return helper.make_graph(
        [node_proto(node, types) for node in graph.nodes],
        graph.name,
        [value_info(name, types[name]) for name in graph.inputs],
        [value_info(name, types[name]) for name in graph.outputs],
        value_info=[value_info(name, types[name]) for name in inner if name in types],
    )


def node_proto(node: OnnxNode, types: Mapping[str, TensorType]) -> NodeProto:
    """A node as ONNX's message."""
    attributes = {
        key: graph_proto(value, types) if isinstance(value, OnnxGraph) else value
        for key, value in node.attributes.items()
    }
    return helper.make_node(
        node.op_type,
        node.inputs,
        node.outputs,
        name=node.name,
        doc_string=node.comment or None,
        **attributes,
    )


def value_info(name: str, type: TensorType) -> ValueInfoProto:
    """A value's type; symbolic sizes are written as text."""
    shape = [dim if isinstance(dim, int) else str(dim) for dim in type.shape]
    return helper.make_tensor_value_info(name, ELEMENT_TYPES[type.dtype], shape)


def add_shapes(proto: ModelProto, model: OnnxModel) -> None:
    """Add the types of values that ops made on the way, by inference.

    The large arrays stay outside: only their types matter.
    """
    trial = ModelProto()
    trial.CopyFrom(proto)
    for name, initializer in model.initializers.items():
        if initializer.array.size <= _SMALL:
            trial.graph.initializer.append(numpy_helper.from_array(initializer.array, name))
        else:
            trial.graph.input.append(value_info(name, model.types[name]))
    inferred = onnx.shape_inference.infer_shapes(trial, data_prop=True)
    merge_shapes(proto.graph, inferred.graph)


def merge_shapes(graph: GraphProto, inferred: GraphProto) -> None:
    """Take over the types of values that have none yet, in the bodies of nodes too."""
    known = {info.name for info in (*graph.value_info, *graph.input, *graph.output)}
    graph.value_info.extend(info for info in inferred.value_info if info.name not in known)
    for node, twin in zip(graph.node, inferred.node, strict=True):
        for attribute, other in zip(node.attribute, twin.attribute, strict=True):
            if attribute.type == onnx.AttributeProto.GRAPH:
                merge_shapes(attribute.g, other.g)
