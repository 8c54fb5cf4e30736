"""The reference interpreter: a graph evaluated node by node in NumPy.

It is slow, obviously right, and the oracle of every test. Passes fold constants with it, and
tensors that compute at once use its rules.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.ir import Graph, Op, TensorType, Value, dims, numpy_dtype, type_of


def evaluate(graph: Graph, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The outputs of a graph for given inputs.

    Args:
        graph: The graph.
        inputs: An array for each input, by name. Symbolic dimensions take their sizes from here.

    Returns:
        Output names to arrays.

    Raises:
        GraphError: There is no array for an input.
        ShapeError, DTypeError: An array does not fit the type of its input.

    Example:
        >>> evaluate(graph, {"x": np.ones((2, 3), np.float32)})["y"]
    """
    check_complete(graph, inputs)
    arrays = {value: np.asarray(inputs[value.name]) for value in graph.inputs}
    bindings = bind(graph, {value.name: array for value, array in arrays.items()})
    for node in graph.nodes:
        operands = [arrays[value] for value in node.inputs]
        results = apply(node.op.substitute(bindings), *operands)
        arrays.update(zip(node.outputs, results, strict=True))
    return {name: arrays[value] for name, value in graph.outputs.items()}


def apply(op: Op, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """The results of one op; floating-point warnings are silent, as inf and NaN are values."""
    with np.errstate(all="ignore"):
        if op.bodies:
            results = op.evaluate(*arrays, run=run)  # type: ignore[call-arg]
        elif op.has_rule("evaluate"):
            results = op.evaluate(*arrays)
        else:
            results = evaluate_decomposition(op, *arrays)
    # NumPy's arithmetic turns arrays of rank 0 into scalars, which lack some of their methods.
    return tuple(map(np.asarray, results if isinstance(results, tuple) else (results,)))


def run(graph: Graph, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """The outputs of a graph for its inputs, both in order."""
    named = {value.name: array for value, array in zip(graph.inputs, arrays, strict=True)}
    return tuple(evaluate(graph, named).values())


def evaluate_decomposition(op: Op, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """The results of a composite op through the simpler ops it is made of."""
    return run(decomposition(op, [type_of(array) for array in arrays]), arrays)


def decomposition(op: Op, types: list[TensorType]) -> Graph:
    """The graph of the simpler ops that a composite op is made of.

    Args:
        op: An op with a `decompose` rule.
        types: The types of its operands.

    Returns:
        A graph with inputs ``x0, x1, ...`` and outputs ``y0, y1, ...``.
    """
    graph = Graph(op.name)
    operands = [graph.input(f"x{i}", type) for i, type in enumerate(types)]
    results = op.decompose(*operands) if operands else op.decompose(graph)
    results = results if isinstance(results, tuple) else (results,)
    graph.outputs = {f"y{i}": value for i, value in enumerate(results)}
    return graph


def check_complete(graph: Graph, inputs: Container[str]) -> None:
    """Refuse inputs of which some are missing.

    Raises:
        GraphError: There is no array for an input.
    """
    missing = [value.name for value in graph.inputs if value.name not in inputs]
    if missing:
        raise GraphError(f"there is no array for {', '.join(missing)}")


def bind(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, int]:
    """The sizes of a graph's symbolic dimensions, read off its inputs.

    Raises:
        GraphError: There is no array for an input.
        ShapeError: An array has another rank, another fixed size, or two disagree on a symbol.
        DTypeError: An array has another dtype.
    """
    check_complete(graph, inputs)
    bindings: dict[str, int] = {}
    derived: list[tuple[Value, int, dims.Dim, int]] = []
    for value in graph.inputs:
        array = inputs[value.name]
        if array.dtype != numpy_dtype(value.dtype):
            raise DTypeError(
                f'input "{value.name}" needs dtype {value.dtype}, received {array.dtype}'
            )
        if array.ndim != value.rank:
            raise ShapeError(
                f'input "{value.name}" needs shape {dims.shape_text(value.shape)}, '
                f"received {dims.shape_text(array.shape)}"
            )
        for axis, (dim, size) in enumerate(zip(value.shape, array.shape, strict=True)):
            names = dims.symbols(dim)
            if len(names) == 1 and dim == dims.symbol(*names):
                bindings.setdefault(next(iter(names)), size)
            derived.append((value, axis, dim, size))
    for value, axis, dim, size in derived:
        if dims.evaluate(dim, bindings) != size:
            raise ShapeError(
                f'input "{value.name}": axis {axis} needs size {dim} '
                f"(= {dims.evaluate(dim, bindings)}), received {size}"
            )
    return bindings
