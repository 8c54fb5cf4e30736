"""Static single-assignment graphs: values, nodes, and the append-only `Graph` that owns them.

Values are typed at birth: `Graph.apply` calls the op's shape rule, so an ill-typed graph cannot be
built. A graph only grows; passes do not mutate one but build the next (see `graphc.passes`). Nodes
are therefore always in topological order.

Graphs can be attributes of ops (the bodies of control flow), so they compare by structure and hash
accordingly. A graph is finished before it becomes an attribute.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import DimensionMismatchError, DTypeError, GraphcError, GraphError, ShapeError
from graphc.ir import dims
from graphc.ir.literal import Literal
from graphc.ir.op import Op
from graphc.ir.types import TensorType, is_complex, is_float, numpy_dtype


@dataclass(frozen=True)
class Location:
    """Where a node comes from.

    Args:
        layer: Path of the layer, such as ``"encoder/hidden1"``; empty if there is none.
        file: The user's source file; empty if unknown.
        line: The line in it; 0 if unknown.
    """

    layer: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file else ""
        layer = f'layer "{self.layer}"' if self.layer else ""
        return ", ".join(part for part in (layer, place) if part)


NOWHERE = Location()


class Arithmetic:
    """Python's operators for values, by the names of the ops in the registry.

    A plain number takes the dtype of the value it meets.
    """

    __slots__ = ()

    graph: Graph

    def _binary(self, op: str, other: Any, swap: bool = False) -> Any:
        if not isinstance(other, Value):
            other = self.graph.constant(other, self.dtype)  # type: ignore[attr-defined]
        operands = (other, self) if swap else (self, other)
        return self.graph.apply(Op.registry[op](), *operands)

    def __add__(self, other: Any) -> Any:
        return self._binary("Add", other)

    def __radd__(self, other: Any) -> Any:
        return self._binary("Add", other, swap=True)

    def __sub__(self, other: Any) -> Any:
        return self._binary("Sub", other)

    def __rsub__(self, other: Any) -> Any:
        return self._binary("Sub", other, swap=True)

    def __mul__(self, other: Any) -> Any:
        return self._binary("Mul", other)

    def __rmul__(self, other: Any) -> Any:
        return self._binary("Mul", other, swap=True)

    def __truediv__(self, other: Any) -> Any:
        return self._binary("Div", other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._binary("Div", other, swap=True)

    def __pow__(self, other: Any) -> Any:
        return self._binary("Pow", other)

    def __neg__(self) -> Any:
        return self.graph.apply(Op.registry["Neg"](), self)  # type: ignore[arg-type]

    # ``==`` stays identity, as values are keys of dictionaries; ordering is free to be an op.
    def __lt__(self, other: Any) -> Any:
        return self._binary("Less", other)

    def __le__(self, other: Any) -> Any:
        return self._binary("LessOrEqual", other)

    def __gt__(self, other: Any) -> Any:
        return self._binary("Greater", other)

    def __ge__(self, other: Any) -> Any:
        return self._binary("GreaterOrEqual", other)


class Value(Arithmetic):
    """One tensor in a graph: an input, or an output of a node.

    Attributes:
        graph: The owner.
        type: Shape and dtype.
        node: The node that computes it; None for an input of the graph.
        index: Which output of the node, or which input of the graph, it is.
        name: Of an input: its name. Otherwise empty.
    """

    __slots__ = ("graph", "index", "name", "node", "type")

    def __init__(self, graph: Graph, type: TensorType, node: Node | None, index: int, name: str):
        self.graph = graph
        self.type = type
        self.node = node
        self.index = index
        self.name = name

    @property
    def shape(self) -> dims.Shape:
        """The dimensions."""
        return self.type.shape

    @property
    def dtype(self) -> str:
        """The element type."""
        return self.type.dtype

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.type.shape)

    @property
    def op(self) -> Op | None:
        """The op that computes it; None for an input."""
        return self.node.op if self.node else None

    @property
    def operands(self) -> tuple[Value, ...]:
        """What it is computed from; nothing for an input."""
        return self.node.inputs if self.node else ()

    @property
    def constant(self) -> np.ndarray | None:
        """The array, if the value is a constant; else None."""
        return self.node.op.value.array if self.node and self.node.op.name == "Constant" else None

    def __repr__(self) -> str:
        origin = f"%{self.name}" if self.node is None else f"{self.node.op.name}#{self.index}"
        return f"<{origin} : {self.type}>"


class Node:
    """One application of an op.

    Attributes:
        op: The op with its attributes.
        inputs: The operands.
        outputs: The results, typed.
        location: Where it comes from.
    """

    __slots__ = ("inputs", "location", "op", "outputs")

    def __init__(self, op: Any, inputs: tuple[Value, ...], location: Location):
        self.op = op
        self.inputs = inputs
        self.outputs: tuple[Value, ...] = ()
        self.location = location

    @property
    def output(self) -> Value:
        """The only output."""
        (output,) = self.outputs
        return output

    def __repr__(self) -> str:
        return f"<{self.op.name} {self.location}>"


class Graph:
    """A function from input tensors to output tensors.

    Args:
        name: Shown in dumps.

    Attributes:
        inputs: Values, in order; each has a unique name.
        nodes: In topological order.
        outputs: Name to value, in order.

    Example:
        >>> g = Graph("double")
        >>> x = g.input("x", TensorType((dims.symbol("batch"), 3), "float32"))
        >>> g.outputs["y"] = x + x
    """

    def __init__(self, name: str = "graph"):
        self.name = name
        self.inputs: list[Value] = []
        self.nodes: list[Node] = []
        self.outputs: dict[str, Value] = {}
        self.location = NOWHERE
        self._constants: dict[Literal, Value] = {}
        self._input_names: set[str] = set()

    def input(self, name: str, type: TensorType) -> Value:
        """Add an input.

        Raises:
            GraphError: The name is taken.
            ShapeError: A size is negative, or no whole number.
        """
        if name in self._input_names:
            raise GraphError(f'graph "{self.name}" already has an input "{name}"')
        if not type.is_possible:
            raise ShapeError(f'input "{name}" cannot be {type}: sizes are whole numbers, from 0 up')
        value = Value(self, type, None, len(self.inputs), name)
        self.inputs.append(value)
        self._input_names.add(name)
        return value

    def has_input(self, name: str) -> bool:
        """Whether there is an input of this name."""
        return name in self._input_names

    def apply(self, op: Op, *inputs: Value) -> Any:
        """Add a node and return its output, or the tuple of its outputs.

        Raises:
            ShapeError, DTypeError: What the op's `infer` found wrong, with the location added.
            GraphError: An operand belongs to another graph.
        """
        for value in inputs:
            if value.graph is not self:
                raise GraphError(f'{op.name}: {value!r} is not a value of graph "{self.name}"')
        try:
            types = op.infer(*[value.type for value in inputs])
            for type in (types,) if isinstance(types, TensorType) else types:
                if not type.is_possible:
                    raise ShapeError(
                        f"the result would be {type}, but sizes are whole numbers, from 0 up"
                    )
        except (ShapeError, DTypeError) as error:
            raise self._located(op, inputs, error) from None
        if isinstance(types, TensorType):
            return self._append(op, inputs, (types,))[0]
        return self._append(op, inputs, types)

    def repeat(self, node: Node, op: Op, inputs: tuple[Value, ...]) -> Any:
        """`apply` an op in the place of another graph's node.

        Nothing is inferred again where neither the op nor the types of its operands are others.

        Args:
            node: The node of the other graph.
            op: The node's op, or one that replaces it.
            inputs: The operands in this graph.
        """
        if op is not node.op:
            return Graph.apply(self, op, *inputs)
        for new, old in zip(inputs, node.inputs, strict=True):
            if new.type is not old.type and new.type != old.type:
                return Graph.apply(self, op, *inputs)
        outputs = self._append(op, inputs, [value.type for value in node.outputs])
        return outputs[0] if len(outputs) == 1 else outputs

    def _append(
        self, op: Op, inputs: tuple[Value, ...], types: Sequence[TensorType]
    ) -> tuple[Value, ...]:
        node = Node(op, inputs, self.location)
        node.outputs = tuple([Value(self, type, node, i, "") for i, type in enumerate(types)])
        self.nodes.append(node)
        return node.outputs

    def constant(self, value: Any, dtype: str | None = None) -> Value:
        """The constant ``value``; asked for twice, it is the same node.

        Args:
            value: A number, an array or a `Literal`.
            dtype: Element type; by default that of the array.
        """
        if not isinstance(value, Literal):
            array = np.asarray(value)
            value = Literal(array.astype(numpy_dtype(dtype)) if dtype else array)
        return self.shared(Op.registry["Constant"](value))

    def shared(self, constant: Any) -> Value:
        """The value of a `Constant`; asked for an equal one again, it is the same node."""
        value = self._constants.get(constant.value)
        if value is None:
            value = self._constants[constant.value] = self.apply(constant)
        return value

    @contextmanager
    def at(self, location: Location) -> Iterator[None]:
        """Give the nodes added inside the block this location."""
        outer, self.location = self.location, location
        try:
            yield
        finally:
            self.location = outer

    def users(self) -> dict[Value, list[Node]]:
        """For every value the nodes that read it, one entry per operand position."""
        users: dict[Value, list[Node]] = {value: [] for value in self.values()}
        for node in self.nodes:
            for value in node.inputs:
                users[value].append(node)
        return users

    def values(self) -> Iterator[Value]:
        """All values: the inputs first, then the nodes' outputs in order."""
        yield from self.inputs
        for node in self.nodes:
            yield from node.outputs

    def symbols(self) -> list[str]:
        """The names of the symbolic dimensions of the inputs, in order of appearance."""
        names: dict[str, None] = {}
        for value in self.inputs:
            for dim in value.shape:
                names.update(dict.fromkeys(sorted(dims.symbols(dim))))
        return list(names)

    def substitute(self, bindings: Mapping[str, dims.Dim]) -> Graph:
        """The graph with symbols replaced, in its types and in the attributes of its ops."""
        if not bindings:
            return self
        result = Graph(self.name)
        copies = {
            value: result.input(value.name, value.type.substitute(bindings))
            for value in self.inputs
        }
        result._replay(self, copies, bindings)
        result.outputs = {name: copies[value] for name, value in self.outputs.items()}
        return result

    def inline(self, graph: Graph, inputs: Mapping[str, Value] | list[Value]) -> dict[str, Value]:
        """Copy the nodes of another graph into this one.

        Args:
            graph: The graph to copy; it stays as it is.
            inputs: Values of this graph for the inputs of the other, by name or in order.

        Returns:
            Output names of ``graph`` to values of this graph.
        """
        if not isinstance(inputs, Mapping):
            inputs = dict(zip([value.name for value in graph.inputs], inputs, strict=True))
        copies = {value: inputs[value.name] for value in graph.inputs}
        self._replay(graph, copies, {})
        return {name: copies[value] for name, value in graph.outputs.items()}

    def __eq__(self, other: object) -> bool:
        """Whether both compute the same by the same nodes; locations do not matter."""
        if self is other:
            return True
        return isinstance(other, Graph) and self._structure() == other._structure()

    def __hash__(self) -> int:
        return hash(self._structure())

    def _structure(self) -> tuple[Any, ...]:
        numbers = {value: number for number, value in enumerate(self.values())}
        return (
            tuple((value.name, value.type) for value in self.inputs),
            tuple((node.op, tuple(numbers[x] for x in node.inputs)) for node in self.nodes),
            tuple((name, numbers[value]) for name, value in self.outputs.items()),
        )

    def _replay(
        self, graph: Graph, copies: dict[Value, Value], bindings: Mapping[str, dims.Dim]
    ) -> None:
        """Add the nodes of another graph, given copies of its inputs; extends ``copies``."""
        for node in graph.nodes:
            self._replay_node(node, copies, bindings)

    def _replay_node(
        self, node: Node, copies: dict[Value, Value], bindings: Mapping[str, dims.Dim]
    ) -> None:
        if node.op.name == "Constant":
            copies[node.output] = self.shared(node.op)
            return
        with self.at(node.location):
            operands = [copies[value] for value in node.inputs]
            results = self.apply(node.op.substitute(bindings), *operands)
        outputs = results if isinstance(results, tuple) else (results,)
        copies.update(zip(node.outputs, outputs, strict=True))

    def _located(self, op: Op, inputs: tuple[Value, ...], error: GraphcError) -> GraphcError:
        place = f" ({self.location})" if str(self.location) else ""
        received = ", ".join(str(value.type) for value in inputs)
        message = f"{op.name}: {error}; received {received}{place}"
        if isinstance(error, DimensionMismatchError):
            return DimensionMismatchError(message, error.first, error.second)
        return type(error)(message)


def extract(
    graph: Graph, name: str, inputs: Mapping[str, Value], outputs: Mapping[str, Value]
) -> Graph:
    """The part of a graph that computes some values from others, as a graph of its own.

    Args:
        graph: The graph that has them.
        name: Name of the new graph.
        inputs: Values that become its inputs, by their new names.
        outputs: Values that become its outputs, by name.

    Raises:
        GraphError: An output depends on an input of the graph that is not among ``inputs``.
    """
    result = Graph(name)
    copies: dict[Value, Value] = {}
    for label, value in inputs.items():
        copies.setdefault(value, result.input(label, value.type))
    given = set(copies)
    needed = ancestors(outputs.values(), given) - given
    for value in needed:
        if value.node is None:
            raise GraphError(f'"{name}" depends on {value!r}, which is none of its inputs')
    for node in graph.nodes:
        if not needed.isdisjoint(node.outputs):
            kept = {value: copies[value] for value in node.outputs if value in given}
            result._replay_node(node, copies, {})
            copies.update(kept)
    result.outputs = {label: copies[value] for label, value in outputs.items()}
    return result


def ancestors(values: Iterable[Value], stops: Container[Value] = ()) -> set[Value]:
    """The values that some are computed from, and those themselves.

    Args:
        values: Where to start.
        stops: Values that are not looked behind.
    """
    found: set[Value] = set()
    pending = list(values)
    while pending:
        value = pending.pop()
        if value not in found:
            found.add(value)
            if value.node is not None and value not in stops:
                pending += value.node.inputs
    return found


def has_complex(graph: Graph) -> bool:
    """Whether any value of a graph, or of the bodies of its ops, is complex."""
    if any(is_complex(value.dtype) for value in graph.values()):
        return True
    return any(has_complex(body) for node in graph.nodes for body in node.op.bodies)


def zeros_like(value: Value) -> Value:
    """Zeros of the type of ``value``, in its graph."""
    return filled(value.graph, value.type, 0)


def filled(graph: Graph, type: TensorType, number: float) -> Value:
    """A tensor whose elements all are ``number``."""
    scalar = graph.constant(number if is_float(type.dtype) else int(number), type.dtype)
    if not type.shape:
        return scalar
    return graph.apply(Op.registry["Expand"](type.shape), scalar)
