"""Functions of one example applied to many at once: `vmap`.

The function runs once, on symbolic tensors that stand for one example. What it computed is then
vectorized (`graphc.passes.vectorize`): no loop over the examples, but where an op has no other way.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

from graphc.eager.bodies import trace_body
from graphc.eager.current import add_tape, current_tapes, current_trace, remove_tape
from graphc.eager.structure import map_leaves
from graphc.eager.tensor import Tensor, apply, apply_function, as_tensor
from graphc.eager.trace import Trace
from graphc.errors import ShapeError
from graphc.ir import Graph, Value
from graphc.ir.dims import Dim
from graphc.ops.movement import Transpose


def vmap(function: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """A function of many examples from a function of one, as JAX's ``vmap``.

    It works on tensors that compute at once and in programs, can be differentiated, and can itself
    be vectorized. Variables and tensors that the function closes over are shared by all examples.
    It must not assign to variables; random numbers are drawn outside, or are the same for all.

    Args:
        function: Takes and returns structures of tensors.
        in_axes: For each argument the axis along which examples lie; None for one that all share.
            One axis for all arguments, or a tuple; for an argument that is a structure a structure
            of axes, or one axis for all of it.
        out_axes: Where the results have the axis of the examples; None where they do not depend on
            the example.

    Returns:
        The function of many examples; keyword arguments are mapped along their first axis.

    Raises:
        ShapeError: Arguments differ in the number of examples, or no argument is mapped.
        ValueError: A result for which ``out_axes`` says None depends on the example.

    Example:
        >>> norms = graphc.vmap(lambda row: keras.ops.norm(row))(rows)
    """

    @functools.wraps(function, assigned=("__doc__", "__name__"))
    def call(*args: Any, **kwargs: Any) -> Any:
        if isinstance(in_axes, (list, tuple)) and len(in_axes) != len(args):
            raise ShapeError(
                f"vmap: `in_axes` has {len(in_axes)} entries, the function got {len(args)} "
                "positional arguments"
            )
        examples = _Examples()
        structure = map_leaves(lambda path, leaf: examples.add(leaf, _at(in_axes, path)), args)
        named = map_leaves(lambda _, leaf: examples.add(leaf, 0), kwargs)
        return examples.run(function, structure, named, out_axes)

    return call


class _Place:
    """Where in a structure an argument stood."""

    is_tensor_spec = True  # it is a leaf of structures

    def __init__(self, number: int):
        self.number = number


class _Closure:
    """Among the tapes of a trace: notes which tensors a function closes over that others track.

    To the function they are constants, but not to the tapes around it.

    Args:
        tapes: The tapes around it.

    Attributes:
        tensors: The tensors, by the values that stand for them in the traced graph.
    """

    def __init__(self, tapes: Sequence[Any]):
        self._tapes = tapes
        self._values: dict[int, Value] = {}
        self.tensors: dict[Value, Tensor] = {}

    def tracks(self, tensor: Tensor) -> bool:
        """Whether a tape around it tracks a tensor."""
        return any(tape.tracks(tensor) for tape in self._tapes)

    def embedding(self, tensor: Tensor, graph: Graph) -> Value | None:
        """The value that stands for a tensor, if there is one yet."""
        return self._values.get(id(tensor))

    def embed(self, tensor: Tensor, value: Value) -> None:
        """Say which value stands for a tensor."""
        self._values[id(tensor)] = value
        self.tensors[value] = tensor

    def record(self, *_: Any) -> None:
        """Of what is computed it takes no notice."""

    def read(self, *_: Any) -> None:
        """Nor of variables: they are inputs of the graph."""


class _Examples:
    """The tensors that a call of a vectorized function was given."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.mapped: list[bool] = []

    def add(self, leaf: Any, axis: int | None) -> _Place:
        """Take in one tensor, its examples brought to the first axis."""
        tensor = as_tensor(leaf)
        if axis is not None:
            tensor = _with_first(tensor, axis)
        self.tensors.append(tensor)
        self.mapped.append(axis is not None)
        return _Place(len(self.tensors) - 1)

    def run(self, function: Callable[..., Any], args: Any, kwargs: Any, out_axes: Any) -> Any:
        """The results of the function for all examples."""
        size = self._size()
        templates: list[Any] = []
        axes: list[int | None] = []
        results: list[Tensor] = []

        def of_one(*tensors: Tensor) -> list[Tensor]:
            def fill(_: str, place: _Place) -> Tensor:
                return tensors[place.number]

            def collect(path: str, leaf: Any) -> _Place:
                axes.append(_at(out_axes, path))
                results.append(as_tensor(leaf))
                return _Place(len(results) - 1)

            returned = function(*map_leaves(fill, args), **map_leaves(fill, kwargs))
            templates.append(map_leaves(collect, returned, variables=True))
            return results

        found = self._many(of_one, size, axes)
        placed = [
            tensor if axis is None else _moved(tensor, axis)
            for tensor, axis in zip(found, axes, strict=True)
        ]
        return map_leaves(lambda _, place: placed[place.number], templates[0])

    def _size(self) -> Dim:
        sizes = [t.dims[0] for t, mapped in zip(self.tensors, self.mapped, strict=True) if mapped]
        if not sizes:
            raise ShapeError("vmap: no argument has an axis of examples: `in_axes` says None")
        if any(size != sizes[0] for size in sizes):
            shown = ", ".join(str(size) for size in sizes)
            raise ShapeError(f"vmap: the arguments differ in their numbers of examples: {shown}")
        return sizes[0]

    def _many(
        self, of_one: Callable[..., list[Tensor]], size: Dim, axes: Sequence[int | None]
    ) -> list[Tensor]:
        symbolic = next((t.value.graph for t in self.tensors if t.is_symbolic), None)
        trace = current_trace()
        if trace is not None or symbolic is not None:
            graph = trace.graph if trace is not None else symbolic
            assert graph is not None
            closure = _Closure(current_tapes())
            many, captures = self._vectorized(graph, of_one, size, axes, closure)
            return self._applied(many, [Tensor(value) for value in captures])
        closure = _Closure(current_tapes())
        with Trace("vmap") as own:
            many, captures = self._vectorized(own.graph, of_one, size, axes, closure)
        variables = own.inputs()
        captured = [
            closure.tensors[value] if value in closure.tensors else variables[value].as_tensor()
            for value in captures
        ]
        return self._applied(many, captured)

    def _vectorized(
        self,
        graph: Graph,
        of_one: Callable[..., list[Tensor]],
        size: Dim,
        axes: Sequence[int | None],
        closure: _Closure,
    ) -> tuple[Graph, list[Value]]:
        """The graph of all examples, and what it uses beside the arguments."""
        # Passes are loaded when something needs them: they would make every start slower.
        from graphc.passes.vectorize import vectorize

        types = [
            tensor.type.with_shape(tensor.dims[1:]) if mapped else tensor.type
            for tensor, mapped in zip(self.tensors, self.mapped, strict=True)
        ]
        add_tape(closure)
        try:
            body = trace_body(graph, "vmap", of_one, types)
        finally:
            remove_tape(closure)
        outside = [node for node in body.nodes if node.outputs[0] in closure.tensors]
        graph.nodes += outside
        inside = [node for node in body.nodes if node not in outside]
        body = dataclasses.replace(body, nodes=tuple(inside))
        captures = body.captures()
        flags = [*self.mapped, *[False] * len(captures)]
        forced = [axis is not None for axis in axes]
        many, found = vectorize(body.graph(captures), flags, size, forced)
        for axis, depends in zip(axes, found, strict=True):
            if axis is None and depends:
                raise ValueError(
                    "vmap: `out_axes` says None for a result that differs from example to example"
                )
        return many, captures

    def _applied(self, many: Graph, captured: list[Tensor]) -> list[Tensor]:
        def call(*values: Value) -> tuple[Value, ...]:
            return tuple(values[0].graph.inline(many, list(values)).values())

        return list(apply_function(call, *self.tensors, *captured))


def _with_first(tensor: Tensor, axis: int) -> Tensor:
    if not -tensor.ndim <= axis < tensor.ndim:
        raise ShapeError(
            f"vmap: there is no axis {axis} of examples in an argument of shape {tensor.shape}"
        )
    place = axis % tensor.ndim
    return _transposed(tensor, [place, *(axis for axis in range(tensor.ndim) if axis != place)])


def _moved(tensor: Tensor, axis: int) -> Tensor:
    if not -tensor.ndim <= axis < tensor.ndim:
        raise ShapeError(
            f"vmap: `out_axes` has {axis}, but the result has {tensor.ndim} axes with that of the "
            "examples"
        )
    place = axis % tensor.ndim
    return _transposed(tensor, [*range(1, place + 1), 0, *range(place + 1, tensor.ndim)])


def _transposed(tensor: Tensor, order: list[int]) -> Tensor:
    return tensor if order == sorted(order) else apply(Transpose(tuple(order)), tensor)


def _at(axes: Any, path: str) -> int | None:
    """The axis that a structure of axes has for the leaf at a path."""
    for part in path.split("/") if path else ():
        if isinstance(axes, (list, tuple)):
            axes = axes[int(part)]
        elif isinstance(axes, dict):
            axes = next(axis for key, axis in axes.items() if str(key) == part)
        else:
            break
    if axes is not None and (not isinstance(axes, int) or isinstance(axes, bool)):
        raise ValueError(f"vmap: an axis is an integer or None. Received: {axes!r}")
    return axes
