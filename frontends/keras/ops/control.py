"""Control flow that depends on data: https://keras.io/api/ops/core/.

Outside of a trace these run as plain Python. In one they become one op that holds its bodies.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from graphc.eager import Tensor, Trace, Variable, apply, as_tensor, current_trace
from graphc.eager.bodies import Body, joined_captures, trace_body, with_state
from graphc.eager.vectorized import vmap
from graphc.errors import ShapeError
from graphc.ir import Graph, TensorType
from graphc.ir.dims import SymbolicDim
from graphc.keras import tree
from graphc.keras.ops.arguments import counted, filled_tensor, one_axis
from graphc.keras.ops.movement import concatenate, flip, moveaxis, reshape, stack
from graphc.keras.ops.recording import operation
from graphc.ops import control as graph_ops

__all__ = [
    "associative_scan", "cond", "fori_loop", "map", "scan", "switch", "vectorized_map",
    "while_loop",
]  # fmt: skip


def _tensors(structure: Any) -> list[Tensor]:
    return [as_tensor(leaf) for leaf in tree.flatten(structure)]


def _graph_of(*structures: Any) -> Graph | None:
    """The graph that is being built; None where everything can be computed at once."""
    trace = current_trace()
    if trace is not None:
        return trace.graph
    tensors = [tensor for structure in structures for tensor in _tensors(structure)]
    return next((tensor.value.graph for tensor in tensors if tensor.is_symbolic), None)


def _results(outputs: Any) -> list[Tensor]:
    """An op's results as a list: a single one comes bare from `apply`."""
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


@operation
def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """The result of one of two functions; only that one is computed.

    Args:
        pred: A scalar.
        true_fn: Called without arguments where it is true. It may use any tensor it sees.
        false_fn: Called where it is false; returns tensors of the same shapes and dtypes.

    Raises:
        ShapeError: The functions return different structures, shapes or dtypes.

    Example:
        >>> keras.ops.cond(keras.ops.sum(x) > 0, lambda: x, lambda: -x)
    """
    predicate = as_tensor(pred, "bool")
    if not predicate.is_symbolic:
        return true_fn() if predicate else false_fn()
    graph = predicate.value.graph
    structures: list[Any] = []

    def branch(function: Callable[[], Any]) -> Callable[[], list[Tensor]]:
        def call() -> list[Tensor]:
            structures.append(function())
            return _tensors(structures[-1])

        return call

    then = trace_body(graph, "then", branch(true_fn), [], may_assign=True)
    otherwise = trace_body(graph, "otherwise", branch(false_fn), [], may_assign=True)
    if len(then.results) != len(otherwise.results):
        raise ShapeError(
            f"cond: `true_fn` returns {len(then.results)} tensors, `false_fn` "
            f"{len(otherwise.results)}; both have to return the same structure"
        )
    # What either assigns to is a result of both.
    variables = list({id(v): v for v, _ in (*then.writes, *otherwise.writes)}.values())
    then, otherwise = (_with_values(body, variables) for body in (then, otherwise))
    if not then.results:
        return structures[0]
    captures = joined_captures(then, otherwise)
    op = graph_ops.Cond(then.graph(captures), otherwise.graph(captures))
    outputs = _results(apply(op, predicate, *[Tensor(value) for value in captures]))
    count = len(outputs) - len(variables)
    _assign(variables, outputs[count:])
    return tree.pack_sequence_as(structures[0], outputs[:count])


def _with_values(body: Body, variables: Sequence[Variable]) -> Body:
    """A body whose last results are values of variables: those that it assigned, or the old."""
    new = {id(variable): value for variable, value in body.writes}
    values = [new[id(v)] if id(v) in new else v.as_tensor() for v in variables]
    return body.with_results(values)


def _assign(variables: Sequence[Variable], values: Sequence[Tensor]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@operation
def scan(
    f: Callable[..., Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: Any = 1,
) -> tuple[Any, Any]:
    """A loop over the first axis that hands something from step to step.

    Args:
        f: Maps what is handed on and a slice of ``xs`` to what is handed on next and a result.
        init: What the first step is handed: a tensor or a structure of them.
        xs: Tensors with a common first axis; None to loop ``length`` times.
        length: The number of steps, if there are no ``xs``.
        reverse: Whether to begin at the end.
        unroll: Accepted as in Keras; it has no effect.

    Returns:
        What the last step handed on, and the steps' results stacked along a new first axis.

    Raises:
        ShapeError: ``xs`` differ in their first axis, or the steps change a shape or a dtype.

    Example:
        >>> total, sums = keras.ops.scan(lambda s, x: (s + x, s + x), 0, keras.ops.arange(5))
    """
    carries, sequences = _tensors(init), _tensors(xs)
    steps = _steps(sequences, length)
    graph = _graph_of(init, xs)
    structures: list[Any] = []

    def step(*tensors: Tensor) -> list[Tensor]:
        carry = tree.pack_sequence_as(init, list(tensors[: len(carries)]))
        x = tree.pack_sequence_as(xs, list(tensors[len(carries) :])) if sequences else None
        after, result = f(carry, x)
        structures[:] = [after, result]
        return [*_tensors(after), *_tensors(result)]

    if graph is not None:
        final, stacks = _trace_scan(graph, step, carries, sequences, steps, bool(reverse))
    elif steps:
        final, stacks = _run_scan(step, carries, sequences, steps, reverse)
    else:
        final, stacks = carries, _no_steps(step, carries, sequences)
    return (
        tree.pack_sequence_as(structures[0], final),
        tree.pack_sequence_as(structures[1], stacks),
    )


def _trace_scan(
    graph: Graph,
    step: Callable[..., list[Tensor]],
    carries: list[Tensor],
    sequences: list[Tensor],
    steps: Any,
    reverse: bool,
) -> tuple[list[Tensor], list[Tensor]]:
    types = [t.type for t in carries] + [t.type.with_shape(t.dims[1:]) for t in sequences]
    body = trace_body(graph, "step", step, types, may_assign=True)
    variables = [variable for variable, _ in body.writes]
    if variables:  # each step goes on with the values that the one before assigned
        types = [variable.type for variable in variables] + types
        body = trace_body(graph, "step", with_state(step, variables), types, may_assign=True)
        carries = [*[variable.as_tensor() for variable in variables], *carries]
    captures = body.captures()
    counts = None if sequences else steps
    op = graph_ops.Scan(body.graph(captures), len(carries), len(sequences), reverse, counts)
    operands = [*carries, *sequences, *[Tensor(value) for value in captures]]
    outputs = _results(_applied(op, operands, graph))
    _assign(variables, outputs[: len(variables)])
    return outputs[len(variables) : len(carries)], outputs[len(carries) :]


def _applied(op: Any, tensors: list[Tensor], graph: Graph) -> Any:
    """`apply`, also where every operand happens to be known already."""
    if not any(tensor.is_symbolic for tensor in tensors):
        tensors = [Tensor(graph.constant(tensor.numpy())) for tensor in tensors]
    return apply(op, *tensors)


def _steps(sequences: Sequence[Tensor], length: int | None) -> Any:
    if not sequences:
        if length is None:
            raise ShapeError("scan: needs `xs` or `length` to know how many steps there are")
        return length if isinstance(length, SymbolicDim) else operator.index(length)
    sizes = [tensor.dims[0] if tensor.ndim else None for tensor in sequences]
    if None in sizes or len(set(sizes)) != 1 or length not in (None, sizes[0]):
        raise ShapeError(
            f"scan: `xs` need one common size of the first axis (and `length` the same). "
            f"Received: {[tensor.shape for tensor in sequences]}, length={length}"
        )
    return sizes[0]


def _run_scan(
    step: Any, carries: list[Tensor], sequences: list[Tensor], steps: int, reverse: bool
) -> tuple[list[Tensor], list[Tensor]]:
    rows = []
    for i in range(steps - 1, -1, -1) if reverse else range(steps):
        results = step(*carries, *[sequence[i] for sequence in sequences])
        carries, row = results[: len(carries)], results[len(carries) :]
        rows.append(row)
    stacks = [stack(column) for column in zip(*rows, strict=True)]
    return carries, [flip(column, 0) for column in stacks] if reverse else stacks


def _no_steps(
    step: Callable[..., list[Tensor]], carries: list[Tensor], sequences: list[Tensor]
) -> list[Tensor]:
    """The results of no steps: empty, but of the shapes and types that a step would give."""
    types = [t.type for t in carries] + [t.type.with_shape(t.dims[1:]) for t in sequences]
    with Trace("scan") as trace:
        body = trace_body(trace.graph, "step", step, types, may_assign=True)
    return [filled_tensor((0, *x.dims), 0, x.dtype) for x in body.results[len(carries) :]]


@operation
def map(f: Callable[..., Any], xs: Any) -> Any:
    """A function of each slice along the first axis, stacked."""
    _, results = scan(lambda carry, x: (carry, f(x)), (), xs)
    return results


@operation
def associative_scan(
    f: Callable[..., Any], elems: Any, reverse: bool = False, axis: int = 0
) -> Any:
    """All beginnings of a sequence, combined by an associative function, in few steps.

    Blelloch 1990, "Prefix sums and their applications": pairs are combined, then pairs of pairs, so
    that the number of steps grows with the logarithm of the length.

    Args:
        f: Combines two structures like ``elems``, elementwise along the axis.
        elems: A tensor, or a structure of tensors of one known length along the axis.
        reverse: Whether ends are combined instead, from the last element on.
        axis: The axis.

    Returns:
        A structure like ``elems``.

    Raises:
        ShapeError: Lengths differ or are not known.

    Example:
        >>> keras.ops.associative_scan(keras.ops.add, keras.ops.arange(5))
    """
    tensors = _tensors(elems)
    places = [one_axis(axis, tensor.ndim, "associative_scan") for tensor in tensors]
    lengths = {tensor.dims[place] for tensor, place in zip(tensors, places, strict=True)}
    if len(lengths) != 1 or not all(isinstance(length, int) for length in lengths):
        raise ShapeError(
            f"associative_scan: `elems` need one known length along axis {axis}. "
            f"Received: {[tensor.shape for tensor in tensors]}"
        )
    lines = [moveaxis(tensor, place, 0) for tensor, place in zip(tensors, places, strict=True)]
    lines = [flip(line, 0) for line in lines] if reverse else lines

    def combine(first: list[Tensor], second: list[Tensor]) -> list[Tensor]:
        def structure(parts: list[Tensor]) -> Any:
            pairs = zip(parts, places, strict=True)
            return tree.pack_sequence_as(elems, [moveaxis(x, 0, place) for x, place in pairs])

        results = _tensors(f(structure(first), structure(second)))
        return [moveaxis(x, place, 0) for x, place in zip(results, places, strict=True)]

    lines = _beginnings(combine, lines)
    lines = [flip(line, 0) for line in lines] if reverse else lines
    found = [moveaxis(line, 0, place) for line, place in zip(lines, places, strict=True)]
    return tree.pack_sequence_as(elems, found)


def _beginnings(combine: Callable[..., list[Tensor]], lines: list[Tensor]) -> list[Tensor]:
    """All beginnings along the first axis."""
    count = lines[0].shape[0] if lines else 0
    if not count or count < 2:
        return lines
    pairs = combine([x[0 : count - 1 : 2] for x in lines], [x[1::2] for x in lines])
    odd = _beginnings(combine, pairs)
    before = odd if count % 2 else [x[:-1] for x in odd]
    rest = [x[2::2] for x in lines]
    even = combine(before, rest) if count > 2 else rest
    heads = [x[:1] for x in lines]
    return [
        _interleaved(concatenate([head, part], 0), other)
        for head, part, other in zip(heads, even, odd, strict=True)
    ]


def _interleaved(even: Tensor, odd: Tensor) -> Tensor:
    """The elements at even places and those at odd ones, in turn."""
    count = even.shape[0] or 0
    extra = even[count - 1 :] if count > (odd.shape[0] or 0) else None
    pairs = stack([even if extra is None else even[: count - 1], odd], 1)
    line = reshape(pairs, (-1, *odd.dims[1:]))
    return line if extra is None else concatenate([line, extra], 0)


@operation
def vectorized_map(function: Callable[..., Any], elements: Any) -> Any:
    """A function of each slice along the first axis, stacked, and computed for all at once.

    Args:
        function: Takes one slice: a tensor, or a structure of tensors like ``elements``.
        elements: A tensor, or a structure of tensors with a common first axis.

    Example:
        >>> keras.ops.vectorized_map(lambda row: keras.ops.sum(row), matrix)
    """
    return vmap(function)(elements)


@operation
def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    maximum_iterations: int | None = None,
) -> Any:
    """Repeats a body on its own results for as long as a condition holds.

    In a program it has a gradient if the number of repetitions is limited: the way back takes that
    many steps, of which those after the last one do nothing.

    Args:
        cond: Maps the loop's variables to a scalar.
        body: Maps them to their next values, of the same shapes and dtypes.
        loop_vars: Their first values: a tuple, or one tensor.
        maximum_iterations: A limit on the number of repetitions.

    Example:
        >>> keras.ops.while_loop(lambda i: i < 10, lambda i: (i + 1,), (0,))
    """
    is_tuple = isinstance(loop_vars, (tuple, list))
    start = tuple(loop_vars) if is_tuple else (loop_vars,)
    first = _tensors(start)

    def test(*tensors: Tensor) -> Tensor:
        return as_tensor(cond(*tree.pack_sequence_as(start, list(tensors))), "bool")

    def advance(*tensors: Tensor) -> list[Tensor]:
        after = body(*tree.pack_sequence_as(start, list(tensors)))
        after = after if isinstance(after, (tuple, list)) else (after,)
        return _tensors(tuple(after))

    graph = _graph_of(start)
    if graph is None:
        final = _run_while(test, advance, first, maximum_iterations)
    else:
        final = _trace_while(graph, test, advance, first, maximum_iterations)
    packed = tree.pack_sequence_as(start, final)
    return packed if is_tuple else packed[0]


def _run_while(test: Any, advance: Any, tensors: list[Tensor], limit: int | None) -> list[Tensor]:
    count = 0
    while (limit is None or count < limit) and test(*tensors):
        tensors = advance(*tensors)
        count += 1
    return tensors


def _trace_while(
    graph: Graph, test: Any, advance: Any, first: list[Tensor], limit: int | None
) -> list[Tensor]:
    def limited_test(*tensors: Tensor) -> list[Tensor]:
        *variables, count = tensors
        verdict = test(*variables)
        return [verdict if limit is None else verdict & (count < limit)]

    def counting(*tensors: Tensor) -> list[Tensor]:
        *variables, count = tensors
        return [*advance(*variables), count + 1]

    start = [*first, as_tensor(0)]
    types: list[TensorType] = [tensor.type for tensor in start]
    body = trace_body(graph, "body", counting, types, may_assign=True)
    variables = [variable for variable, _ in body.writes]
    check: Callable[..., list[Tensor]] = limited_test
    if variables:
        types = [variable.type for variable in variables] + types
        start = [*[variable.as_tensor() for variable in variables], *start]
        body = trace_body(graph, "body", with_state(counting, variables), types, may_assign=True)
        reading = with_state(limited_test, variables)
        check = lambda *tensors: reading(*tensors)[-1:]  # noqa: E731
    condition = trace_body(graph, "condition", check, types, may_assign=bool(variables))
    # The op has no operands but the loop's variables, so captures are variables that never change.
    captures = joined_captures(condition, body)
    op = graph_ops.WhileLoop(
        condition.graph(captures), body.graph(captures, hand_through=True), limit
    )
    outputs = _results(_applied(op, [*start, *[Tensor(value) for value in captures]], graph))
    _assign(variables, outputs[: len(variables)])
    return outputs[len(variables) : len(variables) + len(first)]


@operation
def fori_loop(lower: Any, upper: Any, body_fun: Callable[..., Any], init_val: Any) -> Any:
    """``val = body_fun(i, val)`` for i from ``lower`` to before ``upper``.

    With bounds that are known when the program is built it has a gradient.

    Args:
        lower: The first i.
        upper: The end, not included.
        body_fun: Maps i and a structure of tensors to its next value.
        init_val: Its first value.
    """
    bounds = (lower, upper)
    if all(isinstance(bound, (int, SymbolicDim)) for bound in bounds):
        count = upper - lower
        if isinstance(count, int) and count <= 0:
            return init_val
        steps = counted(count, "int32") + lower
        final, _ = scan(lambda value, i: (body_fun(i, value), None), init_val, steps)
        return final
    first = (as_tensor(lower, "int32"), init_val)
    last = as_tensor(upper, "int32")
    _, final = while_loop(lambda i, _: i < last, lambda i, v: (i + 1, body_fun(i, v)), first)
    return final


@operation
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """The result of the index-th function of the operands; an index outside is moved inside."""
    place = as_tensor(index, "int32")
    if not place.is_symbolic:
        chosen = min(max(int(place), 0), len(branches) - 1)
        return branches[chosen](*operands)
    if len(branches) == 1:
        return branches[0](*operands)
    return cond(
        place <= 0,
        lambda: branches[0](*operands),
        lambda: switch(place - 1, branches[1:], *operands),
    )
