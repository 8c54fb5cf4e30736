"""What the ops' ONNX rules work with: a graph of ONNX nodes, and how to add to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from graphc import reference
from graphc.errors import GraphcError, UnsupportedError
from graphc.export.onnx_fold import fold_node
from graphc.export.onnx_graph import ELEMENT_TYPES, OnnxGraph, OnnxModel, OnnxNode
from graphc.export.onnx_sizes import Sizes
from graphc.ir import Graph, Location, Node, TensorType, Value
from graphc.ir.dims import Dim, SymbolicDim, product
from graphc.passes.dead import live_nodes
from graphc.passes.simplify import simplify

#: A result computed from arrays of the model may have this many elements, or as many as they have.
_FOLD_LIMIT = 1024


class Context:
    """One graph of an ONNX model under construction; see `graphc.ir.op.Op.onnx`.

    Args:
        model: The model.
        graph: The graph that nodes are added to.
        main: The context of the model's main graph; None if this is it.
    """

    def __init__(self, model: OnnxModel, graph: OnnxGraph, main: Context | None = None):
        self.model = model
        self.graph = graph
        self._main = main or self
        self._sizes: Sizes | None = None
        self._location: Location = main._location if main else Location()

    @property
    def opset(self) -> int:
        """The version of the standard operations that is written."""
        return self.model.opset

    def bind_sizes(self, inputs: Sequence[Value], names: Sequence[str]) -> None:
        """Say of which inputs the symbolic sizes are read."""
        self._sizes = Sizes(inputs, names, self.node, self.constant)

    # ------------------------------------------------------------------------- for the ops' rules

    def node(self, op_type: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> Any:
        """Add a node, unless it only moves elements that are known.

        Returns:
            The name of its result; a tuple of names if it has several.
        """
        arrays = [self.model.array(name) if name else None for name in inputs]
        if all(a is not None or not name for a, name in zip(arrays, inputs, strict=True)):
            result = fold_node(op_type, arrays, attributes)
            if result is not None:
                return self.model.derived(result, inputs)
        layer = self.model.layer(self._location)
        name = self.model.fresh(f"{layer}/{op_type}" if layer else op_type)
        results = [name, *(self.model.fresh(f"{name}:{i}") for i in range(1, outputs))]
        comment = self.model.comment(self._location)
        operands = list(inputs)
        while operands and not operands[-1]:
            operands.pop()
        self.graph.nodes.append(OnnxNode(op_type, name, operands, results, attributes, comment))
        return name if outputs == 1 else tuple(results)

    def constant(self, array: np.ndarray) -> str:
        """The name of an initializer."""
        return self.model.constant(array)

    def onnx_dtype(self, dtype: str) -> int:
        """The number of an element type."""
        return ELEMENT_TYPES[dtype]

    def dim(self, dim: Dim) -> str:
        """The name of an int64 scalar: a size."""
        return self._size_computer.scalar(dim)

    def shape(self, shape: Sequence[Dim]) -> str:
        """The name of an int64 vector of sizes."""
        return self._size_computer.shape(shape)

    def reshape(self, x: str, old: Sequence[Dim], new: Sequence[Dim]) -> str:
        """Reshape a value; sizes that are not known are taken over or left to the runtime.

        Args:
            x: The name of the value.
            old: Its shape.
            new: The shape it gets; one size may be -1.
        """
        sizes: list[Dim] = list(new)
        if 0 in sizes:
            return self.node("Reshape", [x, self.shape(sizes)], allowzero=1)
        for axis, dim in enumerate(sizes):
            if isinstance(dim, SymbolicDim) and axis < len(old) and old[axis] == dim:
                sizes[axis] = 0
        open_axes = [axis for axis, dim in enumerate(sizes) if isinstance(dim, SymbolicDim)]
        if len(open_axes) == 1 and -1 not in sizes:
            sizes[open_axes[0]] = -1
        elif open_axes:
            sizes = list(new)
        return self.node("Reshape", [x, self.shape(sizes)])

    def decomposed(self, node: Node, *names: str) -> Any:
        """Add what a composite op is made of."""
        graph = reference.decomposition(node.op, [value.type for value in node.inputs])
        results = self.inline(simplify(graph), names)
        return results[0] if len(results) == 1 else tuple(results)

    def inline(self, graph: Graph, names: Sequence[str]) -> tuple[str, ...]:
        """Add the nodes of a graph.

        Args:
            graph: The graph.
            names: ONNX names for its inputs.

        Returns:
            The names of its outputs.
        """
        known = dict(zip(graph.inputs, names, strict=True))
        for node in live_nodes(graph):
            with self._at(node.location):
                results = self._export(node, [known[value] for value in node.inputs])
            for value, name in zip(node.outputs, results, strict=True):
                known[value] = name
                self.model.types.setdefault(name, value.type)
        return tuple(known[value] for value in graph.outputs.values())

    def subgraph(self, graph: Graph, captures: Mapping[str, str]) -> OnnxGraph:
        """A graph as the value of an attribute; see `graphc.ops.control`.

        Args:
            graph: The graph.
            captures: Names of its inputs to names of the surrounding graph that it reads instead.
        """
        result = OnnxGraph(self.model.fresh(graph.name))
        names = []
        for value in graph.inputs:
            name = captures.get(value.name)
            if name is None:
                name = self.model.fresh(f"{result.name}/{value.name}")
                self.model.types[name] = value.type
                result.inputs.append(name)
            names.append(name)
        body = Context(self.model, result, self._main)
        body._location = self._location
        computed = body.inline(graph, names)
        own = {name for node in result.nodes for name in node.outputs}
        for name, value in zip(computed, graph.outputs.values(), strict=True):
            if name not in own or name in result.outputs:
                name = body.node_of("Identity", [name])
                self.model.types[name] = value.type
            result.outputs.append(name)
        return result

    def node_of(self, op_type: str, inputs: Sequence[str]) -> str:
        """Add a node with one result, also where that could be computed at once."""
        name = self.model.fresh(f"{self.graph.name}/{op_type}")
        self.graph.nodes.append(OnnxNode(op_type, name, list(inputs), [name], {}))
        return name

    # ------------------------------------------------------------------------------------ inside

    @property
    def _size_computer(self) -> Sizes:
        # Sizes are computed in the main graph, before the node whose body needs them.
        assert self._main._sizes is not None
        return self._main._sizes

    @contextmanager
    def _at(self, location: Location) -> Iterator[None]:
        """Nodes added inside come from here; what comes from nowhere, from where we are."""
        outer = self._location
        if location.layer or location.file:
            self._location = location
        try:
            yield
        finally:
            self._location = outer

    def _export(self, node: Node, names: list[str]) -> tuple[str, ...]:
        folded = self._fold(node, names)
        if folded is not None:
            return folded
        try:
            if node.op.has_rule("onnx"):
                results = node.op.onnx(self, node, *names)
            elif node.op.has_rule("decompose"):
                results = self.decomposed(node, *names)
            else:
                raise UnsupportedError(f"{node.op.name} cannot be expressed in ONNX")
        except GraphcError as error:
            place = str(self._location)
            if place and place not in str(error):
                raise type(error)(f"{error} ({place})") from error
            raise
        return (results,) if isinstance(results, str) else tuple(results)

    def _fold(self, node: Node, names: list[str]) -> tuple[str, ...] | None:
        """The results of a node that depends on arrays of the model only, as further arrays."""
        if node.op.bodies or not names:
            return None
        arrays = [array for array in map(self.model.array, names) if array is not None]
        if len(arrays) < len(names) or not all(_is_fixed(value.type) for value in node.outputs):
            return None
        size = sum(int(product(value.shape)) for value in node.outputs)
        if size > max(_FOLD_LIMIT, sum(array.size for array in arrays)):
            return None
        results = reference.apply(node.op, *arrays)
        return tuple(self.model.derived(np.asarray(array), names) for array in results)


def _is_fixed(type: TensorType) -> bool:
    return all(isinstance(dim, int) for dim in type.shape)
