"""Graphs as single ops: functions that are called, computed anew, or differentiated their own way.

The symbols of a body are its own: the operands of the call say what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.errors import ShapeError
from graphc.ir import Graph, Node, Op, Sample, TensorType, Value, dims, is_inexact, zeros_like
from graphc.ops.barrier import After
from graphc.ops.control import check_types, pull_back


class _Called(Op):
    """What ops have in common whose results are those of their field ``body``."""

    body: Graph
    body_fields: ClassVar[tuple[str, ...]] = ("body",)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        body = bound(self.body, types)
        return tuple(value.type for value in body.outputs.values())

    def evaluate(self, *arrays: np.ndarray, run: Callable[..., Any]) -> tuple[np.ndarray, ...]:
        return run(self.body, arrays)

    def decompose(self, *values: Any) -> tuple[Value, ...]:
        graph = values[0] if isinstance(values[0], Graph) else values[0].graph
        operands = [] if graph is values[0] else list(values)
        body = bound(self.body, [value.type for value in operands])
        return tuple(graph.inline(body, operands).values())


class Call(_Called):
    """The results of a graph for its operands.

    Its gradient is a call, too, of a graph that computes the body anew; once both are taken apart,
    what they have in common is computed once.

    Args:
        body: What is computed.
    """

    body: Graph

    def gradient(
        self, node: Node, *cotangents: Value | None, sweep: Callable[..., Any]
    ) -> Sequence[Value | None]:
        floats = _floats(node)
        graph, found = pull_back(self.body, cotangents, floats, sweep)
        wanted = [i for i in floats if found[i] is not None]
        graph.outputs = {f"gradient{i}": found[i] for i in wanted}  # type: ignore[misc]
        if not wanted:
            return [None] * len(node.inputs)
        dys = [dy for dy in cotangents if dy is not None]
        gradients = dict(zip(wanted, Call(graph)(*node.inputs, *dys), strict=True))
        return [gradients.get(i) for i in range(len(node.inputs))]

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield from _samples(cls)


class Checkpoint(_Called):
    """The results of a graph, whose inside is not kept for the gradient but computed anew.

    That trades time for memory (https://arxiv.org/abs/1604.06174): between the forward and the
    backward pass only the operands live.

    Args:
        body: What is computed.
    """

    body: Graph

    def gradient(
        self, node: Node, *cotangents: Value | None, sweep: Callable[..., Any]
    ) -> Sequence[Value | None]:
        return _anew(node, self.body, cotangents, sweep)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield from _samples(cls)


class CustomGradient(_Called):
    """The results of a graph, with a gradient that somebody says.

    Results are the outputs of ``body``. Behind the first ``count`` come *residuals*: what
    ``backward`` needs of the inside of ``body``.

    Args:
        body: What is computed.
        backward: Takes the operands, the residuals, and the cotangents of the results; its outputs
            are cotangents of operands, each called by the operand's number.
        count: How many results there are.
    """

    body: Graph
    backward: Graph
    count: int
    body_fields: ClassVar[tuple[str, ...]] = ("body", "backward")

    def gradient(
        self, node: Node, *cotangents: Value | None, sweep: Callable[..., Any]
    ) -> Sequence[Value | None]:
        graph = node.inputs[0].graph
        total: list[Value | None] = [None] * len(node.inputs)
        if any(dy is not None for dy in cotangents[: self.count]):
            pairs = zip(node.outputs, cotangents[: self.count], strict=False)
            dys = [zeros_like(value) if dy is None else dy for value, dy in pairs]
            given = [*node.inputs, *node.outputs[self.count :], *dys]
            backward = bound(self.backward, [value.type for value in given])
            for number, dx in graph.inline(backward, given).items():
                total[int(number)] = dx
        # Of a gradient of the gradient: it depends on residuals, which are computed as ever.
        inner = [None] * self.count + list(cotangents[self.count :])
        if any(dy is not None for dy in inner):
            found = _anew(node, self.body, inner, sweep)
            total = [_sum(first, second) for first, second in zip(total, found, strict=True)]
        return total

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for dtype in ("float32", "float64"):
            x = np.array([0.5, -1.25, 2.0], dtype)
            yield Sample(cls(*_cubes(TensorType(x.shape, dtype)), count=1), (x,))


def bound(body: Graph, types: Sequence[TensorType]) -> Graph:
    """A body with its symbols replaced by the sizes of operands.

    Args:
        body: The graph.
        types: The types of the operands.

    Raises:
        ShapeError, DTypeError: They are not what the graph takes.
    """
    wanted = [value.type for value in body.inputs]
    bindings: dict[str, dims.Dim] = {}
    for want, given in zip(wanted, types, strict=False):
        for dim, size in zip(want.shape, given.shape, strict=False):
            name = dims.only_symbol(dim)
            if name is not None:
                bindings.setdefault(name, size)
    changed = {name: size for name, size in bindings.items() if size != dims.symbol(name)}
    if len(wanted) != len(types):
        raise ShapeError(f'"{body.name}" takes {len(wanted)} operands, not {len(types)}')
    check_types(f'"{body.name}" takes', [type.substitute(changed) for type in wanted], types)
    return body.substitute(changed)


def _floats(node: Node) -> list[int]:
    return [i for i, value in enumerate(node.inputs) if is_inexact(value.dtype)]


def _anew(
    node: Node, body: Graph, cotangents: Sequence[Value | None], sweep: Callable[..., Any]
) -> list[Value | None]:
    """The cotangents of operands, through a body that is computed again.

    Not before the backward pass has come here, and not shared with the forward pass.
    """
    moment = next(dy for dy in cotangents if dy is not None)
    constant = [value.constant is not None for value in node.inputs]
    operands = [
        value if is_constant else After()(value, moment)
        for value, is_constant in zip(node.inputs, constant, strict=True)
    ]
    results = moment.graph.inline(bound(body, [value.type for value in operands]), operands)
    seeds: dict[Value, Value] = {}
    for value, dy in zip(results.values(), cotangents, strict=True):
        if dy is not None:
            seeds[value] = seeds[value] + dy if value in seeds else dy
    wanted = [i for i in _floats(node) if not constant[i]]
    found = dict(zip(wanted, sweep(seeds, [operands[i] for i in wanted]), strict=True))
    return [found.get(i) for i in range(len(operands))]


def _sum(first: Value | None, second: Value | None) -> Value | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second


# ------------------------------------------------------------------------- bodies of the samples


def _samples(cls: Any) -> Iterable[Sample]:
    for dtype in ("float32", "float64"):
        for shape in ((2, 3), (), (0,)):
            type = TensorType(shape, dtype)
            x = np.linspace(-1.5, 2.0, int(np.prod(shape)), dtype=dtype).reshape(shape)
            yield Sample(cls(_products(type)), (x, np.asarray(x + 0.5)))
    open_type = TensorType((dims.symbol("n"),), "float64")
    yield Sample(cls(_products(open_type)), (np.array([1.0, -2.0]), np.array([0.5, 3.0])))


def _products(type: TensorType) -> Graph:
    graph = Graph("products")
    x, y = graph.input("x", type), graph.input("y", type)
    product = graph.apply(Op.registry["Tanh"](), x * y)
    graph.outputs = {"product": product * x, "sum": x + y}
    return graph


def _cubes(type: TensorType) -> tuple[Graph, Graph]:
    """``x ** 3`` with the square as a residual, and its gradient."""
    body = Graph("cube")
    x = body.input("x", type)
    square = x * x
    body.outputs = {"y": square * x, "square": square}
    backward = Graph("cube_gradient")
    _, square, dy = (backward.input(name, type) for name in ("x", "square", "dy"))
    backward.outputs = {"0": dy * square * 3}
    return body, backward
