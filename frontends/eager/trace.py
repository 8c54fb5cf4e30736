"""Tracing: running Python code once on symbolic tensors, to get its graph.

Inside ``with Trace("train") as trace`` variables read as symbolic tensors and assignments to them
are recorded, not done. What was read becomes the program's state, what was assigned its new value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from graphc import autodiff
from graphc.eager.current import Entry, computing_at_once, current_trace, enter, leave
from graphc.eager.tensor import Tensor, as_tensor
from graphc.errors import DimensionMismatchError, ShapeError
from graphc.ir import Graph, Location, TensorType, Value, dims
from graphc.program import Program
from graphc.program import Variable as ProgramVariable

if TYPE_CHECKING:
    from graphc.eager.variable import Variable

__all__ = [
    "Trace",
    "checked_update",
    "computing_at_once",
    "current_trace",
    "note_creation",
    "unify",
    "watching_creations",
]

# Variables that are made while a function is traced; None where nobody wants to know.
_creations: ContextVar[list[Variable] | None] = ContextVar("graphc_creations", default=None)


class Trace:
    """The graph under construction, and the variables it reads and writes.

    Args:
        name: Name of the graph and of the program.

    Example:
        >>> with Trace("double") as trace:
        ...     x = trace.input("x", TensorType((symbol("batch"), 3), "float32"))
        ...     y = x * 2
        >>> program, variables = trace.program({"y": y})
    """

    def __init__(self, name: str):
        self.name = name
        self.graph = Graph(name)
        self._inputs: dict[int, tuple[Variable, Value]] = {}
        self._writes: dict[int, tuple[Variable, Tensor]] = {}
        self._entry: Entry | None = None
        self._at_exit: list[Callable[[], None]] = []

    def __enter__(self) -> Trace:
        self._entry = enter(self)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._entry is not None
        leave(self._entry)
        while self._at_exit:
            self._at_exit.pop()()

    def at_exit(self, function: Callable[[], None]) -> None:
        """Call a function when the trace is over: to forget symbolic tensors that are kept."""
        self._at_exit.append(function)

    def input(self, name: str, type: TensorType) -> Tensor:
        """A new data input."""
        return Tensor(self.graph.input(self._free_name(name), type))

    def read(self, variable: Variable) -> Tensor:
        """The variable's value at this point of the program."""
        if id(variable) in self._writes:
            return self._writes[id(variable)][1]
        return Tensor(self._input_of(variable))

    def has_written(self, variable: Variable) -> bool:
        """Whether the variable has a new value already."""
        return id(variable) in self._writes

    def write(self, variable: Variable, value: Tensor) -> None:
        """Record that the variable has a new value from here on."""
        self._input_of(variable)
        self._writes[id(variable)] = (variable, value)

    def inputs(self) -> dict[Value, Variable]:
        """The variables that were read or written, by the graph's inputs that stand for them."""
        return {value: variable for variable, value in self._inputs.values()}

    def assignments(self) -> dict[int, tuple[Variable, Tensor]]:
        """The variables that were written so far and their new values, for `restore`."""
        return dict(self._writes)

    def restore(self, assignments: dict[int, tuple[Variable, Tensor]]) -> None:
        """Forget what was written since."""
        self._writes = dict(assignments)

    def written(self) -> dict[str, Tensor]:
        """The new values of variables that were recorded so far, by the variables' paths."""
        return {variable.path: value for variable, value in self._writes.values()}

    def gradients(self, loss: Tensor, variables: Sequence[Variable]) -> list[Tensor | None]:
        """Derivatives of a scalar with respect to the variables' values at the program's start.

        Args:
            loss: A floating-point scalar.
            variables: Variables; those that were never read have no gradient.

        Returns:
            A tensor per variable, or None where the loss does not depend on it.
        """
        read = [v for v in variables if id(v) in self._inputs]
        values = [self._inputs[id(v)][1] for v in read]
        if not loss.is_symbolic:
            return [None] * len(variables)
        found = dict(zip(map(id, read), autodiff.gradients(loss.value, values), strict=True))
        gradients = [found.get(id(variable)) for variable in variables]
        return [None if value is None else Tensor(value) for value in gradients]

    @contextmanager
    def scope(self, layer: str) -> Iterator[None]:
        """Mark the nodes made inside as belonging to a layer within the enclosing layers."""
        outer = self.graph.location
        path = f"{outer.layer}/{layer}" if outer.layer else layer
        with self.graph.at(Location(path, outer.file, outer.line)):
            yield

    @contextmanager
    def line(self, location: Location) -> Iterator[None]:
        """Give the nodes made inside this line instead of the one that is running."""
        outer = self.graph.location
        with self.graph.at(Location(outer.layer, location.file, location.line)):
            yield

    def program(self, results: Mapping[str, Tensor]) -> tuple[Program, dict[str, Variable]]:
        """The finished program.

        Args:
            results: Its results by name.

        Returns:
            The program, and the variables behind its state by the names they have there.
        """
        graph = self.graph
        for name, tensor in results.items():
            graph.outputs[name] = self._value(tensor)
        state = []
        variables = {}
        for variable, value in self._inputs.values():
            update = None
            if id(variable) in self._writes:
                update = f"{value.name}'"
                graph.outputs[update] = self._value(self._writes[id(variable)][1])
            state.append(ProgramVariable(value.name, update))
            variables[value.name] = variable
        return Program(graph, tuple(state), self.name), variables

    def _input_of(self, variable: Variable) -> Value:
        if id(variable) not in self._inputs:
            name = self._free_name(variable.path)
            value = self.graph.input(name, variable.type)
            self._inputs[id(variable)] = (variable, value)
        return self._inputs[id(variable)][1]

    def _free_name(self, name: str) -> str:
        free, count = name, 1
        while self.graph.has_input(free):
            free = f"{name}_{count}"
            count += 1
        return free

    def _value(self, tensor: Tensor) -> Value:
        return tensor.value if tensor.is_symbolic else self.graph.constant(tensor.numpy())


def checked_update(variable: Variable, value: object) -> Tensor:
    """``value`` as a new value for ``variable``: cast to its dtype, its shape checked.

    Raises:
        ShapeError: The shape is another one.
    """
    tensor = as_tensor(value, variable.dtype)
    if tensor.dims != variable.type.shape:
        raise ShapeError(
            f'variable "{variable.path}" has shape {variable.type.shape} and cannot be assigned '
            f"a value of shape {tensor.shape}"
        )
    return tensor


@contextmanager
def watching_creations() -> Iterator[list[Variable]]:
    """Inside the block the variables that are made come into the list that it gives."""
    made: list[Variable] = []
    token = _creations.set(made)
    try:
        yield made
    finally:
        _creations.reset(token)


def note_creation(variable: Variable) -> None:
    """Say that a variable was made."""
    made = _creations.get()
    if made is not None:
        made.append(variable)


def unify(equal: dict[str, dims.Dim], mismatch: DimensionMismatchError) -> dict[str, dims.Dim]:
    """Extend equations between symbols so that two mismatched dimensions agree.

    Raises:
        DimensionMismatchError: Neither is a plain symbol that could be replaced.
    """
    for name, other in ((mismatch.second, mismatch.first), (mismatch.first, mismatch.second)):
        text = str(name)
        if text.isidentifier() and text not in dims.symbols(other) and text not in equal:  # type: ignore[arg-type]
            replacement = {text: other}
            merged = {k: dims.substitute(v, replacement) for k, v in equal.items()}  # type: ignore[arg-type]
            return {**merged, **replacement}  # type: ignore[dict-item]
    raise mismatch
