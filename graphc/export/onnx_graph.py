"""The ONNX model under construction: plain records, so that building it needs no `onnx` package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.errors import UnsupportedError
from graphc.ir import Literal, Location, TensorType

#: The numbers of element types in ONNX files (TensorProto.DataType).
ELEMENT_TYPES = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "bool": 9,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
    "bfloat16": 16,
}

#: Ops whose results may be left out one by one: what nobody reads gets an empty name.
_OPTIONAL_RESULTS = ("LSTM", "GRU", "RNN")


@dataclass
class OnnxNode:
    """One node.

    Args:
        op_type: ONNX's name of the operation.
        name: Unique in the model.
        inputs: Names of values; an empty one is an optional operand that is left out.
        outputs: Names of values.
        attributes: Numbers, strings, lists of them, arrays, or an `OnnxGraph`.
        comment: Where the node comes from.
    """

    op_type: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    comment: str = ""

    @property
    def bodies(self) -> list[OnnxGraph]:
        """The graphs among the attributes."""
        return [value for value in self.attributes.values() if isinstance(value, OnnxGraph)]


@dataclass
class OnnxGraph:
    """A graph or the body of a control-flow node.

    Args:
        name: Its name.
        inputs: Names of its inputs.
        nodes: In topological order.
        outputs: Names of its results.
    """

    name: str
    inputs: list[str] = field(default_factory=list)
    nodes: list[OnnxNode] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Initializer:
    """An array in the model.

    Args:
        array: Its elements.
        label: The name it should get in the file; several arrays can be made of one variable.
    """

    array: np.ndarray
    label: str


class OnnxModel:
    """What all graphs of a model share: names, arrays and the types of values.

    Args:
        opset: The version of the standard operations.
        root: The layer whose name is left out of paths of layers.
    """

    def __init__(self, opset: int, root: str = ""):
        self.opset = opset
        self.root = root
        self.main = OnnxGraph("main")
        self.initializers: dict[str, Initializer] = {}
        self.types: dict[str, TensorType] = {}
        self._taken: dict[str, int] = {"": 0}
        self._anonymous: dict[Literal, str] = {}

    def fresh(self, base: str) -> str:
        """``base``, or with a number behind it if that name is taken."""
        name = base
        while name in self._taken:
            self._taken[base] = self._taken.get(base, 0) + 1
            name = f"{base}_{self._taken[base]}"
        self._taken[name] = 0
        return name

    def reserve(self, outputs: Iterable[str]) -> None:
        """Keep the names of the model's outputs for them.

        Raises:
            UnsupportedError: An input or a variable has the name.
        """
        for label in outputs:
            if label in self._taken:
                raise UnsupportedError(
                    f'the output "{label}" has the name of an input or a variable, which ONNX does '
                    f"not allow: give one of them another name"
                )
            self._taken[label] = 0

    def layer(self, location: Location) -> str:
        """The path of a layer within the root."""
        path = location.layer
        return "" if path == self.root else path.removeprefix(f"{self.root}/")

    def comment(self, location: Location) -> str:
        """Where a node comes from; of the user's file only the name, as files travel."""
        file = location.file.replace("\\", "/").rsplit("/", 1)[-1]
        return str(Location(self.layer(location), file, location.line))

    def constant(self, array: np.ndarray) -> str:
        """The name of an initializer with these elements; equal arrays are the same one."""
        literal = Literal(array)
        if literal not in self._anonymous:
            self._anonymous[literal] = self.variable(literal.array, "constant")
        return self._anonymous[literal]

    def variable(self, array: np.ndarray, label: str) -> str:
        """The name of an initializer of its own.

        Args:
            array: Its elements.
            label: What it is called, if nothing else has that name.
        """
        name = self.fresh(label)
        if array.dtype.name not in ELEMENT_TYPES:
            raise UnsupportedError(f'ONNX has no arrays of {array.dtype.name} ("{label}")')
        self.initializers[name] = Initializer(array, label)
        self.types[name] = TensorType(array.shape, array.dtype.name)
        return name

    def derived(self, array: np.ndarray, sources: Iterable[str]) -> str:
        """The name of an initializer that was computed from others: it takes over their label."""
        labels = [self.initializers[name].label for name in sources if name]
        named = [label for label in labels if label != "constant"]
        return self.variable(array, named[0]) if named else self.constant(array)

    def array(self, name: str) -> np.ndarray | None:
        """The elements behind a name, if it is an initializer's."""
        found = self.initializers.get(name)
        return found.array if found else None

    def finish(self, outputs: Mapping[str, str]) -> None:
        """Name the results, and drop what they do not need.

        Args:
            outputs: Names of the model's outputs to names of values.
        """
        self.main.outputs = self._result_names(outputs)
        skip_identities(self.main)
        drop_unused(self.main)
        used = names_read(self.main)
        self.initializers = {name: i for name, i in self.initializers.items() if name in used}
        self._relabel()

    def _result_names(self, outputs: Mapping[str, str]) -> list[str]:
        """Rename values to what they are called as outputs; else an Identity gives them that name.

        Only what a node of the main graph computes, and no other output shows, can be renamed.
        """
        computed = {name for node in self.main.nodes for name in node.outputs}
        renamed: dict[str, str] = {}
        for label, value in outputs.items():
            if value in computed and value not in renamed:
                renamed[value] = label
                continue
            self.main.nodes.append(OnnxNode("Identity", f"{label}/Identity", [value], [label], {}))
            self.types[label] = self.types[value]
        self._rename(renamed)
        return list(outputs)

    def _relabel(self) -> None:
        """Give arrays the names of the variables they stem from, where those are free now."""
        renamed: dict[str, str] = {}
        kept = {name for name, i in self.initializers.items() if name == i.label}
        kept |= values_of(self.main)
        for name, initializer in self.initializers.items():
            label = initializer.label
            count = 0
            while label in kept and label != name:
                count += 1
                label = f"{initializer.label}_{count}"
            kept.add(label)
            renamed[name] = label
        self._rename(renamed)
        self.initializers = {renamed[name]: i for name, i in self.initializers.items()}

    def _rename(self, renamed: Mapping[str, str]) -> None:
        rename(self.main, renamed)
        for before, after in renamed.items():
            if before != after and before in self.types:
                self.types[after] = self.types[before]


def rename(graph: OnnxGraph, renamed: Mapping[str, str]) -> None:
    """Give values other names, in the bodies of nodes too."""

    def new(names: Sequence[str]) -> list[str]:
        return [renamed.get(name, name) for name in names]

    graph.inputs, graph.outputs = new(graph.inputs), new(graph.outputs)
    for node in graph.nodes:
        node.inputs, node.outputs = new(node.inputs), new(node.outputs)
        for body in node.bodies:
            rename(body, renamed)


def skip_identities(graph: OnnxGraph) -> None:
    """Let those who read the result of an Identity read its operand, but for outputs."""
    skipped: dict[str, str] = {}
    for node in graph.nodes:
        for body in node.bodies:
            skip_identities(body)
        if node.op_type == "Identity" and node.outputs[0] not in graph.outputs:
            (source,) = node.inputs
            skipped[node.outputs[0]] = skipped.get(source, source)
    graph.nodes = [node for node in graph.nodes if node.outputs[0] not in skipped]
    rename(graph, skipped)


def names_read(graph: OnnxGraph) -> set[str]:
    """All names that a graph and the bodies in it read."""
    names = set(graph.outputs)
    for node in graph.nodes:
        names.update(node.inputs)
        for body in node.bodies:
            names |= names_read(body)
    return names


def values_of(graph: OnnxGraph) -> set[str]:
    """The names of the inputs and results of nodes of a graph and of the bodies in it."""
    names = set(graph.inputs)
    for node in graph.nodes:
        names.update(node.outputs)
        for body in node.bodies:
            names |= values_of(body)
    return names


def drop_unused(graph: OnnxGraph) -> None:
    """Drop the nodes that no output of the graph depends on, and unread results of some."""
    needed = set(graph.outputs)
    kept: list[OnnxNode] = []
    for node in reversed(graph.nodes):
        if needed.isdisjoint(node.outputs):
            continue
        if node.op_type in _OPTIONAL_RESULTS:
            node.outputs = [name if name in needed else "" for name in node.outputs]
            while not node.outputs[-1]:
                node.outputs.pop()
        needed.update(name for name in node.inputs if name)
        for body in node.bodies:
            drop_unused(body)
            needed |= names_read(body)
        kept.append(node)
    graph.nodes = kept[::-1]
