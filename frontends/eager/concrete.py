"""One compiled form of a function: for arguments of one structure, with sizes known or open."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from graphc import runtime
from graphc.eager.cache import Cache
from graphc.eager.current import current_tapes
from graphc.eager.plan import Plan
from graphc.eager.planned import PlannedExecutable
from graphc.eager.spec import TensorSpec
from graphc.eager.structure import Slot, filler, map_leaves
from graphc.eager.tensor import Tensor, as_tensor, public_shape
from graphc.eager.trace import Trace, unify
from graphc.eager.variable import Variable
from graphc.errors import DimensionMismatchError, ShapeError
from graphc.garbage import rarely_collecting
from graphc.ir import Graph, TensorType, dims, extract
from graphc.ops.call import Call
from graphc.program import Program
from graphc.runtime.state import State

#: The name of the backend for functions of this package that are quick in NumPy.
PLANNED = "planned"

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class ConcreteFunction:
    """A function that was traced for arguments of given types, and its native code.

    Args:
        program: What the trace recorded.
        variables: The variables behind its state.
        template: The structure that the function returned, with a `Slot` for each tensor.
        arguments: The arguments that it was traced with; specifications stand for tensors.
        backend: What runs it.
        threads: How many threads it may use; None for `config.threads`.
        takes_ones: Whether an open size may be 1. Axes of size 1 broadcast, so where sizes are
            open because they were seen to change, 1 may mean another graph.

    Attributes:
        structured_outputs: What it returns, with a `TensorSpec` for each tensor.
    """

    def __init__(
        self,
        program: Program,
        variables: Mapping[str, Variable],
        template: Any,
        arguments: Arguments,
        backend: str,
        threads: int | None,
        takes_ones: bool,
    ):
        self.program = program
        self.variables = list(variables.values())
        self.arguments = arguments
        self._backend = backend
        self._threads = threads
        self._takes_ones = takes_ones
        self._state = State({name: variable.array for name, variable in variables.items()})
        self._names = [value.name for value in program.data]
        self.input_types = [value.type for value in program.data]
        self._results = list(program.results)
        self._plans: Cache[Any, Plan] = Cache(64)
        self._fill = filler(template)
        types = [value.type for value in program.results.values()]
        self.structured_outputs = self._fill(
            [TensorSpec(public_shape(type.shape), type.dtype) for type in types]  # type: ignore
        )

    @property
    def name(self) -> str:
        """The function's name."""
        return self.program.name

    @property
    def graph(self) -> Graph:
        """The graph: inputs are the tensors of the arguments and the variables."""
        return self.program.graph

    @property
    def inputs(self) -> list[TensorSpec]:
        """Specifications of the tensors among the arguments."""
        return [
            TensorSpec(public_shape(value.shape), value.dtype, value.name)
            for value in self.program.data
        ]

    @property
    def structured_input_signature(self) -> Arguments:
        """Positional and keyword arguments, with a `TensorSpec` for each tensor."""
        return self.arguments

    def as_text(self) -> str:
        """The program as text."""
        return self.program.as_text()

    @cached_property
    def executable(self) -> runtime.Executable | PlannedExecutable:
        """What runs it; made when it is first asked for."""
        if self._backend == PLANNED:
            return PlannedExecutable(self.program)
        return runtime.compile(self.program, self._backend, self._threads)

    def accepts(self, shapes: Sequence[tuple[int, ...]]) -> bool:
        """Whether arrays of these shapes may be given."""
        bindings: dict[str, dims.Dim] = {}
        for type, shape in zip(self.input_types, shapes, strict=True):
            for dim, size in zip(type.shape, shape, strict=True):
                if size == 1 and not (self._takes_ones or isinstance(dim, int)):
                    return False
                name = dims.only_symbol(dim)
                if name is not None:
                    bindings.setdefault(name, size)
                if dims.substitute(dim, bindings) != size:
                    return False
        return True

    def run(self, tensors: Sequence[Tensor]) -> Any:
        """Call it on the tensors among its arguments."""
        tapes = current_tapes()
        operands: list[Tensor] = []
        if tapes:
            # In the order of the graph's inputs; tapes take note that the variables are read.
            operands = [*tensors, *[variable.as_tensor() for variable in self.variables]]
        data: dict[str, Any] = {n: x.data for n, x in zip(self._names, tensors, strict=True)}
        arrays = self.executable.run(data, self._state)
        results = [Tensor(arrays[name]) for name in self._results]
        if any(tape.tracks(tensor) for tape in tapes for tensor in operands):
            plan = self._plan(operands)
            for tape in tapes:
                tape.record(plan, operands, results)
        return self._fill(results)

    def _plan(self, operands: Sequence[Tensor]) -> Plan:
        """What tapes differentiate: one call of all that leads to the results."""
        key = tuple([tensor.data.shape for tensor in operands])
        if key not in self._plans:
            graph = Graph(self.name)
            inputs = [graph.input(f"x{i}", x.type) for i, x in enumerate(operands)]
            results = Call(self._results_only)(*inputs)
            graph.outputs = {f"y{i}": value for i, value in enumerate(results)}
            self._plans.keep(key, Plan(graph))
        return self._plans[key]

    @cached_property
    def _results_only(self) -> Graph:
        """The graph without the new values of variables."""
        inputs = {value.name: value for value in self.graph.inputs}
        results = {name: self.graph.outputs[name] for name in self._results}
        return extract(self.graph, self.name, inputs, results)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it on arguments like those it was traced for.

        Raises:
            ShapeError, DTypeError: The tensors are of other types.
        """
        tensors: list[Tensor] = []

        def take(_: str, leaf: Any) -> Any:
            tensors.append(as_tensor(leaf))
            return leaf

        map_leaves(take, (args, kwargs))
        if len(tensors) != len(self._names):
            raise ShapeError(
                f"{self.name} takes {len(self._names)} tensors ({', '.join(self._names)}), "
                f"received {len(tensors)}"
            )
        return self.run(tensors)

    def pretty_printed_signature(self) -> str:
        """The types of what it takes and gives, for people."""
        lines = [f"{self.name}({', '.join(self._names)})", "  Args:"]
        lines += [
            f"    {name}: {_described(s)}" for name, s in zip(self._names, self.inputs, strict=True)
        ]
        outputs: list[str] = []
        map_leaves(
            lambda path, spec: outputs.append(
                f"    {path + ': ' if path else ''}{_described(spec)}"
            ),
            self.structured_outputs,
        )
        return "\n".join([*lines, "  Returns:", *(outputs or ["    None"])])

    def __repr__(self) -> str:
        return f"<graphc.ConcreteFunction {self.pretty_printed_signature()}>"


def _described(spec: TensorSpec) -> str:
    return f"{spec.dtype} Tensor, shape={spec.shape}"


@rarely_collecting
def trace_function(
    function: Callable[..., Any],
    name: str,
    arguments: Arguments,
    names: Sequence[str],
    types: Sequence[TensorType],
) -> tuple[Program, dict[str, Variable], Any, list[TensorType]]:
    """Run a function once on symbolic tensors.

    Where two sizes that were left open turn out to have to be equal, they become one symbol and the
    function is traced again.

    Args:
        function: The function.
        name: What the program is called.
        arguments: Positional and keyword arguments, with a `TensorSpec` for each tensor.
        names: The names of the positional ones.
        types: The types that the tensors among the arguments are taken to have.

    Returns:
        The program, the variables behind its state, the structure that the function returned with
        a `Slot` for each tensor, and the types that the inputs have in the end.
    """
    equal: dict[str, dims.Dim] = {}
    while True:
        unified = [type.substitute(equal) for type in types]
        try:
            return (*_trace_once(function, name, arguments, names, unified), unified)
        except DimensionMismatchError as mismatch:
            equal = unify(equal, mismatch)


def _trace_once(
    function: Callable[..., Any],
    name: str,
    arguments: Arguments,
    names: Sequence[str],
    types: Sequence[TensorType],
) -> tuple[Program, dict[str, Variable], Any]:
    args, kwargs = arguments
    remaining = iter(types)
    with Trace(name) as trace:

        def symbolic(path: str, leaf: TensorSpec) -> Tensor:
            return trace.input(leaf.name or path, next(remaining))

        positional = [map_leaves(symbolic, a, n) for a, n in zip(args, names, strict=True)]
        named = {key: map_leaves(symbolic, a, key) for key, a in kwargs.items()}
        returned = function(*positional, **named)
        results: dict[int, Tensor] = {}
        slots: dict[int, Slot] = {}

        def slot(_: str, leaf: Any) -> Any:
            tensor = as_tensor(leaf)
            if not tensor.is_symbolic:
                return tensor  # known already: the same in every call
            key = id(tensor.value)
            if key not in slots:
                slots[key] = Slot(len(slots))
                results[key] = tensor
            return slots[key]

        template = map_leaves(slot, returned, variables=True)
        outputs = {f"result/{i}": tensor for i, tensor in enumerate(results.values())}
        program, variables = trace.program(outputs)
    return program, variables, template


def positional_names(count: int, signature: inspect.Signature | None) -> list[str]:
    """Names for so many positional arguments of a function: those of its parameters."""
    names: list[str] = []
    rest = "argument"
    for parameter in signature.parameters.values() if signature else ():
        if parameter.kind is parameter.VAR_POSITIONAL:
            rest = parameter.name
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    extra = [f"{rest}_{i}" for i in range(count - len(names))]
    return [*names, *extra][:count]


def specifications(
    arguments: Arguments, names: Sequence[str], types: Sequence[TensorType]
) -> Arguments:
    """Arguments with a `TensorSpec` for each tensor.

    Args:
        arguments: Positional and keyword arguments.
        names: The names of the positional ones.
        types: A type per tensor.
    """
    remaining = iter(types)

    def spec(path: str, leaf: Any) -> TensorSpec:
        type = next(remaining)
        name = leaf.name if isinstance(leaf, TensorSpec) else path
        return TensorSpec(public_shape(type.shape), type.dtype, name)

    args, kwargs = arguments
    positional = tuple(map_leaves(spec, a, n) for a, n in zip(args, names, strict=True))
    return positional, {key: map_leaves(spec, a, key) for key, a in kwargs.items()}
