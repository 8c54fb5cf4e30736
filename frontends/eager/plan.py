"""Plans: a graph of fixed shapes as a function of arrays, so that a call costs what NumPy costs.

The first call of an operation on operands of some types builds its graph, which checks it, and from
that a `Plan`: straight-line Python that calls the ops' NumPy rules one after the other. Later calls
only run it. The graph stays with the plan: a tape differentiates it.
"""

from __future__ import annotations

import contextvars
import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from graphc import reference
from graphc.config import config
from graphc.eager.effort import BY_PARTS, TOO_MUCH, effort
from graphc.eager.kind import kind_of_type
from graphc.eager.location import user_line
from graphc.eager.native import NativeCall
from graphc.eager.quick import numpy_function
from graphc.errors import UnsupportedError
from graphc.ir import Graph, Location, Node, Op, SymbolicDim, Value, is_inexact

#: Constants that are larger are computed anew rather than kept.
KEPT_BYTES = 1 << 16


class _Silence(threading.local):
    """A context for each thread in which NumPy does not warn, as inf and NaN are values.

    To enter it costs a twentieth of ``np.errstate``.
    """

    def __init__(self) -> None:
        context = contextvars.Context()
        context.run(np.seterr, all="ignore")
        #: Calls a function in the context; the function must not come back here.
        self.run = context.run


silence = _Silence()


class Plan:
    """How NumPy computes a graph.

    Args:
        graph: Its inputs and outputs, in order, are the operands and the results. All sizes are
            known.
        single: Whether the result is the only output, rather than the tuple of all outputs.

    Attributes:
        graph: The same.
        operands: For each result that is nothing but an operand: which; None for the others.
        differentiable: The results that a gradient can pass through.
        is_plain: Whether the only result is a new array.
        kind: The kind of the only result; None if there are more.
        numbers: Of an operator: the places of operands that are numbers of Python, with the types
            that they take there.
        run: The function from the arrays of the operands to those of the results, to be called
            through ``silence.run``; None until `prepare` made it.
        has_open_sizes: Whether there are sizes that only the program that is being traced will
            know: then it cannot run by itself.
    """

    def __init__(self, graph: Graph, single: bool = False):
        self.graph = graph
        self.single = single
        self.numbers: tuple[tuple[int, np.dtype], ...] = ()
        self.run: Callable[..., Any] | None = None
        self.has_open_sizes = any(
            type(dim) is not int for value in graph.values() for dim in value.shape
        )
        inputs = {value: number for number, value in enumerate(graph.inputs)}
        results = list(graph.outputs.values())
        self.operands = tuple(inputs.get(value) for value in results)
        self.is_plain = single and self.operands == (None,)
        known = single and not self.has_open_sizes
        self.kind = kind_of_type(results[0].type) if known else None
        self.differentiable = tuple(
            number
            for number, value in enumerate(results)
            if is_inexact(value.dtype) and value.constant is None and value not in inputs
        )

    def prepare(self) -> Callable[..., Any]:
        """Make `run`. What would take NumPy long is compiled, if it can be."""
        self.run = self._native() or _Writer(self.graph, self.single).function()
        return self.run

    def _native(self) -> Callable[..., Any] | None:
        if effort(self.graph) < TOO_MUCH or config.backend == "reference":
            return None
        try:
            return NativeCall(self.graph, self.single)
        except UnsupportedError:
            return None  # what has no native code runs in NumPy


_BY_VALUE = frozenset([int, bool, str, type, type(None), type(Ellipsis), np.dtype, SymbolicDim])


def function_key(
    function: Callable[..., Any], attributes: Mapping[str, Any]
) -> tuple[Any, ...] | None:
    """What a function computes, by its code, what it closes over and further arguments.

    Returns:
        A hashable key, or None where something cannot be told by value.
    """
    if type(function) is not FunctionType:
        return None
    try:
        inside = [cell.cell_contents for cell in function.__closure__ or ()]
    except ValueError:  # a name that is not assigned yet
        return None
    inside += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items()]
    key = (function.__code__, _value_key((*inside, *attributes.items())))
    try:
        hash(key)
    except TypeError:
        return None
    return None if key[1] is None else key


def _value_key(item: Any) -> Any:
    """A Python value as a part of a key; None where it may change, or is not known here."""
    kind = type(item)
    if kind in _BY_VALUE or isinstance(item, Op):
        return (kind, item)
    if kind is float:
        return (kind, repr(item))  # -0.0 equals 0.0
    if kind is FunctionType:
        return function_key(item, {})
    if dataclasses.is_dataclass(kind) and kind.__hash__ is not None:
        return (kind, item)
    if kind is not tuple:
        return None
    parts = tuple([_value_key(part) for part in item])
    return None if None in parts else (kind, parts)


def make_plan(name: str, function: Callable[..., Any], tensors: Any) -> Plan:
    """The plan of a function over graph values, for operands of the types of some tensors."""
    graph = Graph(name)
    inputs = [graph.input(f"x{i}", tensor.type) for i, tensor in enumerate(tensors)]
    graph.location = with_line(graph.location)
    results = function(*inputs)
    single = not isinstance(results, tuple)
    graph.outputs = {f"y{i}": value for i, value in enumerate((results,) if single else results)}
    return Plan(graph, single)


def with_line(scope: Location) -> Location:
    """A location with the line of the user's program that is running."""
    if scope.line:
        return scope
    file, line = user_line()
    return Location(scope.layer, file, line)


class _Writer:
    """Writes the Python function of a plan."""

    def __init__(self, graph: Graph, single: bool):
        self.graph = graph
        self.single = single
        self.names: dict[Value, str] = {}
        self.scope: dict[str, Any] = {"asarray": np.asarray}
        self.lines: list[str] = []
        self.known: dict[Value, np.ndarray] = {}
        self.count = 0

    def function(self) -> Callable[..., Any]:
        """The function."""
        for number, value in enumerate(self.graph.inputs):
            self.names[value] = f"x{number}"
        self._add_nodes(self.graph)
        results = [self._name(value) for value in self.graph.outputs.values()]
        self._forget_early(results)
        arguments = ", ".join(f"x{i}" for i in range(len(self.graph.inputs)))
        if self.single and self.lines == [f"v0 = f1({arguments})"]:
            return self.scope["f1"]  # a single call of NumPy needs no function around it
        returned = results[0] if self.single else f"({''.join(f'{name}, ' for name in results)})"
        source = "\n    ".join([f"def run({arguments}):", *self.lines, f"return {returned}"])
        exec(compile(source, f"<plan of {self.graph.name}>", "exec"), self.scope)
        return self.scope["run"]

    def _add_nodes(self, graph: Graph) -> None:
        for node in _needed_nodes(graph):
            op = node.op
            if op.name == "Constant":
                self.known[node.output] = op.value.array
            elif self._is_known(node):
                self._compute(node)
            else:
                function = None if isinstance(op, BY_PARTS) else numpy_function(node)
                if function is None:
                    self._add_parts(node)
                else:
                    self._add_call(node, function)

    def _add_parts(self, node: Node) -> None:
        """A composite op, or a graph that is one op: the simpler ones it is made of."""
        parts = reference.decomposition(node.op, [value.type for value in node.inputs])
        for inner, outer in zip(parts.inputs, node.inputs, strict=True):
            if outer in self.known:
                self.known[inner] = self.known[outer]
            else:
                self.names[inner] = self.names[outer]
        self._add_nodes(parts)
        for outer, inner in zip(node.outputs, parts.outputs.values(), strict=True):
            if inner in self.known:
                self.known[outer] = self.known[inner]
            else:
                self.names[outer] = self.names[inner]

    def _is_known(self, node: Node) -> bool:
        """Whether it depends on constants only, and is small enough to be kept."""
        known = all(value in self.known for value in node.inputs)
        size = sum(int(value.type.size) for value in node.outputs)
        return known and size * 8 <= KEPT_BYTES

    def _compute(self, node: Node) -> None:
        results = reference.apply(node.op, *[self.known[value] for value in node.inputs])
        self.known.update(zip(node.outputs, results, strict=True))

    def _add_call(self, node: Node, compute: Callable[..., Any]) -> None:
        operands = ", ".join(self._name(value) for value in node.inputs)
        function = self._new_name("f", compute)
        targets = [f"v{self.count + i}" for i in range(len(node.outputs))]
        self.count += len(targets)
        self.names.update(zip(node.outputs, targets, strict=True))
        call = f"{function}({operands})"
        if len(targets) == 1 and not node.output.rank:
            call = f"asarray({call})"  # NumPy's arithmetic turns arrays of rank 0 into scalars
        elif node.op.bodies:
            call = f"map(asarray, {call})"
        comma = "," if node.op.bodies or len(targets) > 1 else ""
        self.lines.append(f"{', '.join(targets)}{comma} = {call}")

    def _name(self, value: Value) -> str:
        """The value's name in the function; a constant gets one when it is used."""
        if value not in self.names:
            self.names[value] = self._new_name("c", self.known[value])
        return self.names[value]

    def _new_name(self, letter: str, item: Any) -> str:
        name = f"{letter}{len(self.scope)}"
        self.scope[name] = item
        return name

    def _forget_early(self, results: Sequence[str]) -> None:
        """Let go of each intermediate array after its last use."""
        if len(self.lines) < 4:
            return
        last: dict[str, int] = {}
        for number, line in enumerate(self.lines):
            for word in line.replace(",", " ").replace("(", " ").replace(")", " ").split():
                if word[0] == "v":
                    last[word] = number
        for name in results:
            last.pop(name, None)
        dropped: dict[int, list[str]] = {}
        for name, number in last.items():
            dropped.setdefault(number, []).append(name)
        self.lines = [
            line + (f"; del {', '.join(dropped[number])}" if number in dropped else "")
            for number, line in enumerate(self.lines)
        ]


def _needed_nodes(graph: Graph) -> list[Node]:
    """The nodes that the outputs depend on, in order."""
    needed = set(graph.outputs.values())
    kept = []
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    return kept[::-1]
