"""Programs: a graph together with the knowledge of which of its values are state.

Nothing in a graph mutates. A variable is an input; its new value is an output; a `Program` says
which two belong together. So one graph is a training step, an evaluation or a prediction, on any
backend, and a backend may update a variable in place because it is told that this is what happens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.errors import GraphError, ParseError
from graphc.ir import Graph, TensorType, Value, as_text
from graphc.ir.reader import Reader
from graphc.ir.text import block, name_text
from graphc.reference import evaluate


@dataclass(frozen=True)
class Variable:
    """One piece of state.

    Args:
        name: The graph's input that holds its value before the step.
        update: The graph's output that holds its value after the step; None if it is only read.
    """

    name: str
    update: str | None = None


@dataclass(frozen=True)
class Program:
    """A graph and its state.

    Args:
        graph: Inputs are data and variables; outputs are results and new values of variables.
        variables: The state. Every other input is data, every other output is a result.
        name: ``"predict"``, ``"evaluate"``, ``"train"`` or another word that says what it is for.

    Raises:
        GraphError: A variable names an input or output that the graph lacks, or its new value has
            another type than the old one.
    """

    graph: Graph
    variables: tuple[Variable, ...] = ()
    name: str = "program"
    _inputs: dict[str, Value] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_inputs", {value.name: value for value in self.graph.inputs})
        for variable in self.variables:
            if variable.name not in self._inputs:
                raise GraphError(f'there is no input "{variable.name}" for a variable')
            if variable.update is None:
                continue
            if variable.update not in self.graph.outputs:
                raise GraphError(f'there is no output "{variable.update}" for a variable')
            before = self._inputs[variable.name].type
            after = self.graph.outputs[variable.update].type
            if before != after:
                raise GraphError(f'variable "{variable.name}" is {before}, its new value {after}')

    @property
    def data(self) -> list[Value]:
        """The inputs that are data, in order."""
        names = {variable.name for variable in self.variables}
        return [value for value in self.graph.inputs if value.name not in names]

    @property
    def results(self) -> dict[str, Value]:
        """The outputs that are results, in order."""
        updates = {variable.update for variable in self.variables}
        return {name: value for name, value in self.graph.outputs.items() if name not in updates}

    def type(self, name: str) -> TensorType:
        """The type of the input called ``name``."""
        return self._inputs[name].type

    def as_text(self, locations: bool = True) -> str:
        """The program as text that `parse_program` reads: its variables, then its graph."""
        lines = []
        for variable in self.variables:
            update = f" -> {name_text(variable.update)}" if variable.update is not None else ""
            lines.append(f"variable %{name_text(variable.name)}{update}")
        lines.append(as_text(self.graph, locations))
        return block(f"program {json.dumps(self.name)}", lines)

    def with_graph(self, graph: Graph) -> Program:
        """The same program over a transformed graph with the same inputs and outputs."""
        return Program(graph, self.variables, self.name)


def parse_program(text: str) -> Program:
    """The program that a text describes.

    Args:
        text: What `Program.as_text` wrote: the text of a graph, and before it one line for each
            variable that names the graph's input and, behind an arrow, the output with its new
            value.

    Raises:
        ParseError: The text describes no program; the message has the line and what was expected.

    Example:
        >>> parse_program('''
        ... program "count" {
        ...   variable %n -> next
        ...   graph "count" {
        ...     input %n : int32[]
        ...     %one = Constant() {value=int32[](1)}
        ...     %sum = Add(%n, %one)
        ...     output next = %sum
        ...   }
        ... }''')
    """
    reader = Reader(text)
    reader.word("program")
    name = reader.string("the program's name")
    reader.expect("{")
    variables = []
    while not reader.peek("graph"):
        reader.word("variable")
        reader.expect("%", "an input such as %w")
        variable = reader.name("the input's name")
        update = reader.name("an output's name") if reader.take("->") else None
        variables.append(Variable(variable, update))
    graph = reader.graph()
    reader.expect("}")
    reader.end()
    try:
        return Program(graph, tuple(variables), name)
    except GraphError as error:
        raise ParseError(f'program "{name}": {error}') from error


def run_reference(
    program: Program, data: Mapping[str, Any], state: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """One step of a program in the reference interpreter.

    Args:
        program: The program.
        data: Arrays for its data inputs.
        state: Arrays for its variables.

    Returns:
        The results, and the state after the step (new arrays; ``state`` is left as it was).
    """
    outputs = evaluate(program.graph, {**data, **state})
    after = {
        variable.name: np.asarray(
            outputs[variable.update] if variable.update else state[variable.name]
        )
        for variable in program.variables
    }
    return {name: outputs[name] for name in program.results}, after
