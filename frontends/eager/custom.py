"""Functions whose gradient is computed in a way that somebody says."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from graphc.eager.bodies import Body, trace_body
from graphc.eager.cache import Cache
from graphc.eager.current import Recorder, add_tape, current_tapes, current_trace, unrecorded
from graphc.eager.plan import KEPT_BYTES
from graphc.eager.structure import map_leaves
from graphc.eager.tensor import Tensor, apply, as_tensor, cast
from graphc.eager.trace import Trace
from graphc.eager.variable import Variable
from graphc.errors import DataDependentControlFlowError
from graphc.ir import Graph, Op, TensorType, Value, is_float
from graphc.ops.call import Checkpoint, CustomGradient

#: Ops by themselves: equal ones are one object, by which plans are found.
_interned: Cache[Op, Op] = Cache(256)


def checkpoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose inside is computed again for its gradient, rather than kept for it.

    That trades time for memory: between the ways there and back only what the function is given
    and what it returns are kept (https://arxiv.org/abs/1604.06174).

    Args:
        function: Takes and returns tensors, or structures of them. It is traced where a gradient
            is recorded or a program is built; one that has to look at elements to know what to do
            cannot be, and is computed, and kept, as if it were not wrapped.

    Example:
        >>> block = graphc.checkpoint(lambda x: second(first(x)))
    """

    @functools.wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        trace = current_trace()
        if trace is None and not current_tapes():
            return function(*args, **kwargs)
        called = _Called(function, args, kwargs)
        if trace is None:
            try:
                body, captured = _traced_apart(called)
            except DataDependentControlFlowError:
                return function(*args, **kwargs)
        else:
            body = _checkpoint_body(trace, called)
            captured = {value: Tensor(value) for value in body.captures()}
        operands = [*called.tensors, *captured.values()]
        known = trace is not None and not any(tensor.is_symbolic for tensor in operands)
        if known or not operands or not body.results:
            return function(*args, **kwargs)
        op = Checkpoint(body.graph(list(captured)))
        known_op = op if trace is not None else _interned.get(op) or _interned.keep(op, op)
        results = apply(known_op, *operands)
        count = len(results) - len(body.writes)
        for (variable, _), value in zip(body.writes, results[count:], strict=True):
            variable.assign(value)
        return called.packed(results[:count])

    return call


def _checkpoint_body(trace: Trace, called: _Called) -> Body:
    """What a function computes; the values that it assigns are the last results."""
    body = trace_body(trace.graph, "checkpoint", called, called.types, may_assign=True)
    return body.with_results([value for _, value in body.writes])


def _traced_apart(called: _Called) -> tuple[Body, dict[Value, Tensor]]:
    """A function that is called at once, traced, and what it uses beside its arguments."""
    around = _Around(current_tapes())
    with Trace("checkpoint") as inner:
        add_tape(around)
        body = _checkpoint_body(inner, called)
    variables = inner.inputs()
    captured = {
        value: variables[value].as_tensor() if value in variables else around.tensor(value)
        for value in body.captures()
    }
    return body, captured


class _Around:
    """What a function that is traced apart has to do with the world around it.

    Tensors with elements that the tapes there know, and large ones, become operands: the others are
    constants of the function.

    Args:
        tapes: The tapes that record around it.
    """

    def __init__(self, tapes: Sequence[Recorder]):
        self._tapes = tapes
        self._values: dict[int, tuple[Tensor, Value]] = {}

    def tensor(self, value: Value) -> Tensor:
        """The tensor that a value stands for."""
        return next(tensor for tensor, known in self._values.values() if known is value)

    def record(self, plan: Any, operands: Any, results: Any) -> None:
        """What is computed at once belongs to the world around."""
        for tape in self._tapes:
            tape.record(plan, operands, results)

    def read(self, variable: Any, value: Any) -> None:
        """Variables become operands anyway."""

    def tracks(self, tensor: Tensor) -> bool:
        """Whether a tensor becomes an operand."""
        large = tensor.data.nbytes > KEPT_BYTES  # type: ignore[union-attr]
        return large or any(tape.tracks(tensor) for tape in self._tapes)

    def embedding(self, tensor: Tensor, graph: Graph) -> Value:
        """The value that stands for a tensor: an input, so that it is known to bodies, too."""
        known = self._values.get(id(tensor))
        if known is None:
            value = graph.input(f"around{len(self._values)}", tensor.type)
            known = self._values[id(tensor)] = (tensor, value)
        return known[1]

    def embed(self, tensor: Any, value: Any) -> None:
        """`embedding` has seen to it."""


def custom_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function with a gradient of its own (https://www.tensorflow.org/api_docs/python/tf/custom_gradient).

    Args:
        function: Returns its value, a tensor or a structure of tensors, and a function that is
            called with a cotangent for each of these tensors. That returns a gradient for each
            tensor among the arguments, or None; one alone needs no list. If the first function
            reads trainable variables, the second one has to take ``variables=``, a list of them,
            and to return a pair: the gradients of the arguments and those of the variables.

    Returns:
        The function. It is traced where a gradient is recorded or a program is built, so it has to
        compute with tensors only.

    Example:
        >>> @graphc.custom_gradient
        ... def log1pexp(x):
        ...     e = keras.ops.exp(x)
        ...     def gradient(upstream):
        ...         return upstream * (1 - 1 / (1 + e))
        ...     return keras.ops.log(1 + e), gradient
    """

    @functools.wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        trace = current_trace()
        if trace is not None:
            return _with_gradient(trace, function, args, kwargs)
        if not current_tapes():
            return function(*args, **kwargs)[0]
        called = _Called(function, args, kwargs)  # variables are read out here
        with Trace(getattr(function, "__name__", "custom_gradient")) as inner:
            made = _Traced(inner, called)
        reads = inner.inputs()
        op = made.op(list(reads))
        known_op = _interned.get(op) or _interned.keep(op, op)
        variables = [variable.as_tensor() for variable in reads.values()]
        return called.packed(apply(known_op, *called.tensors, *variables)[: op.count])

    return call


def _with_gradient(trace: Trace, function: Any, args: Any, kwargs: Any) -> Any:
    called = _Called(function, args, kwargs)
    made = _Traced(trace, called)
    captures = made.captures()
    op = made.op(captures)
    operands = [*called.tensors, *map(Tensor, captures)]
    if not any(tensor.is_symbolic for tensor in operands):
        return function(*args, **kwargs)[0]
    return called.packed(apply(op, *operands)[: op.count])


class _Called:
    """A function of a structure of tensors as one of a flat list of them.

    Attributes:
        tensors: The tensors among the arguments.
        gradient: The second result of a function with a gradient of its own.
    """

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any):
        self._function = function
        self._arguments = (args, kwargs)
        self._template: Any = None
        self.tensors: list[Tensor] = []
        self.gradient: Any = None

        def take(_: str, leaf: Any) -> None:
            self.tensors.append(as_tensor(leaf))

        map_leaves(take, self._arguments, variables=True)

    @property
    def types(self) -> list[TensorType]:
        """The types of the tensors."""
        return [tensor.type for tensor in self.tensors]

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        self._template = self._result(tensors)
        return _tensors(self._template)

    def with_gradient(self, *tensors: Tensor) -> list[Tensor]:
        """The same for a function that also returns its gradient."""
        self._template, self.gradient = self._result(tensors)
        return _tensors(self._template)

    def _result(self, tensors: Sequence[Tensor]) -> Any:
        remaining = iter(tensors)
        args, kwargs = map_leaves(lambda *_: next(remaining), self._arguments, variables=True)
        return self._function(*args, **kwargs)

    def packed(self, results: Sequence[Tensor]) -> Any:
        """Results in the structure that the function returned."""
        remaining = iter(results)
        return map_leaves(lambda *_: next(remaining), self._template, variables=True)


def _tensors(structure: Any) -> list[Tensor]:
    found: list[Tensor] = []
    map_leaves(lambda _, leaf: found.append(as_tensor(leaf)), structure, variables=True)
    return found


class _Traced:
    """A function and its gradient, traced in the graph around them.

    Args:
        trace: The trace.
        called: The function.
    """

    def __init__(self, trace: Trace, called: _Called):
        self._called = called
        graph = trace.graph
        name = trace.name
        self._forward = trace_body(graph, name, called.with_gradient, called.types)
        self._variables = self._read_variables(trace)
        self._found: list[Tensor | None] = []
        types = [tensor.type for tensor in self._forward.results]
        with unrecorded():
            self._backward = trace_body(graph, f"{name}_gradient", self._gradients, types)

    def _read_variables(self, trace: Trace) -> dict[Value, Variable]:
        """The trainable variables that the function reads, by the values that it saw."""
        captured = set(self._forward.captures())
        return {
            value: variable
            for value, variable in trace.inputs().items()
            if value in captured and variable.trainable
        }

    def _gradients(self, *cotangents: Tensor) -> list[Tensor]:
        """The gradients that there are; all of them go into ``_found``."""
        gradient = self._called.gradient
        variables = list(self._variables.values())
        if variables and not _takes_variables(gradient):
            names = ", ".join(variable.path for variable in variables)
            raise TypeError(
                f"the function reads variables ({names}), so its gradient has to take "
                "`variables=`, and to return a pair: the gradients of the arguments, and a list of "
                "those of the variables"
            )
        if variables:
            given, of_variables = gradient(*cotangents, variables=variables)
        else:
            given, of_variables = gradient(*cotangents), []
        found = list(given) if isinstance(given, (list, tuple)) else [given]
        wanted = [*self._called.types, *[variable.type for variable in variables]]
        found += list(of_variables)
        if len(found) != len(wanted):
            raise ValueError(
                f"the gradient has to return {len(wanted)} gradients, one for each tensor among "
                f"the arguments{' and each variable' if variables else ''}, and returned "
                f"{len(found)}"
            )
        self._found = [
            None if dx is None or not is_float(type.dtype) else cast(as_tensor(dx), type.dtype)
            for dx, type in zip(found, wanted, strict=True)
        ]
        return [dx for dx in self._found if dx is not None]

    def captures(self) -> list[Value]:
        """The values from outside that either uses."""
        inside = set(self._forward.arguments) | set(self._inside)
        used = [*self._forward.captures(), *self._backward.captures()]
        return [value for value in dict.fromkeys(used) if value not in inside]

    @property
    def _inside(self) -> list[Value]:
        return [value for node in self._forward.nodes for value in node.outputs]

    def op(self, captures: Sequence[Value]) -> CustomGradient:
        """The op that does both; its operands are the arguments and the captures."""
        arguments = self._forward.arguments
        inside = set(self._inside)
        residuals = [value for value in self._backward.captures() if value in inside]
        forward = self._forward.with_results([Tensor(value) for value in residuals])
        given = (*arguments, *captures, *residuals)
        backward = Body(
            self._backward.name,
            (*given, *self._backward.arguments),
            self._backward.nodes,
            self._backward.results,
        ).graph([])
        operands = [*arguments, *captures]
        places = map(operands.index, [*arguments, *self._variables])
        numbers = [p for p, dx in zip(places, self._found, strict=True) if dx is not None]
        backward.outputs = dict(zip(map(str, numbers), backward.outputs.values(), strict=True))
        return CustomGradient(forward.graph(captures), backward, len(self._forward.results))


def _takes_variables(function: Callable[..., Any]) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(p.name == "variables" or p.kind is p.VAR_KEYWORD for p in parameters)
