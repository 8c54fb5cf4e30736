"""Joining ONNX nodes that one node can do: a bias into its convolution, Transposes into one."""

from __future__ import annotations

from collections import Counter

from graphc.export.onnx_graph import OnnxGraph, OnnxModel, OnnxNode

#: Nodes that take a vector as their third operand, which is added to each channel.
_WITH_BIAS = ("Conv", "ConvTranspose")


def fuse(model: OnnxModel, graph: OnnxGraph) -> None:
    """Join nodes of a graph and of the bodies in it.

    Args:
        model: The model that has the arrays.
        graph: The graph; what is left over has no users afterwards and can be dropped.
    """
    producers = {name: node for node in graph.nodes for name in node.outputs}
    uses = Counter(name for node in graph.nodes for name in node.inputs)
    uses.update(graph.outputs)
    for node in graph.nodes:
        for body in node.bodies:
            uses.update(_read(body))
            fuse(model, body)
    for node in graph.nodes:
        if node.op_type == "Transpose":
            _join_transposes(node, producers)
        elif node.op_type == "Add":
            _take_bias(model, node, producers, uses)


def _read(graph: OnnxGraph) -> list[str]:
    names = list(graph.outputs)
    for node in graph.nodes:
        names += node.inputs
        for body in node.bodies:
            names += _read(body)
    return names


def _join_transposes(node: OnnxNode, producers: dict[str, OnnxNode]) -> None:
    before = producers.get(node.inputs[0])
    if before is None or before.op_type != "Transpose":
        return
    order = [before.attributes["perm"][axis] for axis in node.attributes["perm"]]
    node.inputs = list(before.inputs)
    node.attributes = {"perm": order}
    if order == sorted(order):
        node.op_type, node.attributes = "Identity", {}


def _take_bias(
    model: OnnxModel, node: OnnxNode, producers: dict[str, OnnxNode], uses: Counter[str]
) -> None:
    """Turn an Add of a vector along the channels into the last operand of a convolution."""
    for name, other in (node.inputs, reversed(node.inputs)):
        conv, bias = producers.get(name), model.array(other)
        if conv is None or conv.op_type not in _WITH_BIAS or bias is None:
            continue
        if len(conv.inputs) != 2 or uses[name] != 1:
            continue
        channels = model.types[name].shape[1]
        shape = (1,) * (model.types[name].rank - bias.ndim) + bias.shape
        if shape[1] != channels or bias.size != channels:
            continue
        vector = model.derived(bias.reshape(-1), [other])
        # The convolution takes the Add's place, under its own name.
        node.op_type, node.name, node.comment = conv.op_type, conv.name, conv.comment
        node.inputs, node.attributes = [*conv.inputs, vector], conv.attributes
        return
