"""Vectorizing: a graph of one example becomes a graph of many, with a new axis in front.

Before, with ``x`` mapped and ``w`` shared by all examples::

    graph "g" {
      input %x : float32[3]
      input %w : float32[3, 4]
      %0 = Einsum(%x, %w) {equation="i,io->o"} : float32[4]
      output y = %0
    }

After::

    graph "g" {
      input %x : float32[many, 3]
      input %w : float32[3, 4]
      %0 = Einsum(%x, %w) {equation="ai,io->ao"} : float32[many, 4]
      output y = %0
    }

Only what depends on a mapped input gets the axis. What becomes of an op is said by the first of
these that there is: its rule (`RULES`, and below those of control flow, whose bodies are vectorized
themselves); its decomposition; a `Scan` over the examples. The result is made of ordinary ops, so
it can be differentiated, vectorized once more, and compiled.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from graphc.ir import Graph, Node, Value
from graphc.ir.dims import Dim
from graphc.ops.call import Call as CallOp
from graphc.ops.call import Checkpoint, CustomGradient, bound
from graphc.ops.choice import Where
from graphc.ops.control import Cond, Scan, WhileLoop, scan
from graphc.ops.elementwise import cast
from graphc.ops.movement import expand_to, reshape_to
from graphc.ops.reduce import ReduceSum
from graphc.passes.vectorize_rules import RULES, Call, move_axis
from graphc.reference import decomposition


@dataclasses.dataclass(frozen=True)
class _Lane:
    """A value of the new graph, and whether it has the axis of the examples."""

    value: Value
    mapped: bool


def vectorize(
    graph: Graph, mapped: Sequence[bool], size: Dim, forced: Sequence[bool] = ()
) -> tuple[Graph, tuple[bool, ...]]:
    """The graph of many examples.

    Args:
        graph: What is computed of one example; it stays as it is.
        mapped: For each input whether it differs from example to example.
        size: The number of examples.
        forced: For each output whether it has to have the axis, even if all examples agree on it.

    Returns:
        The new graph, in which mapped inputs and outputs have a first axis of that size; and for
        each output whether it is mapped.

    Example:
        >>> many, flags = vectorize(graph, [True, False], symbol("many"))
    """
    result = Graph(graph.name)
    lanes: dict[Value, _Lane] = {}
    for value, is_mapped in zip(graph.inputs, mapped, strict=True):
        shape = (size, *value.shape) if is_mapped else value.shape
        copy = result.input(value.name, value.type.with_shape(shape))
        lanes[value] = _Lane(copy, is_mapped)
    _replay(result, graph, lanes, size)
    flags = []
    wanted = forced or (False,) * len(graph.outputs)
    for (name, value), force in zip(graph.outputs.items(), wanted, strict=True):
        lane = lanes[value]
        flags.append(lane.mapped or force)
        result.outputs[name] = _with_axis(lane, size) if force else lane.value
    return result, tuple(flags)


def _with_axis(lane: _Lane, size: Dim) -> Value:
    if lane.mapped:
        return lane.value
    return expand_to(lane.value, (size, *lane.value.shape))


def _replay(result: Graph, graph: Graph, lanes: dict[Value, _Lane], size: Dim) -> None:
    """Add the nodes of a graph to the result; extends ``lanes``, which has the graph's inputs."""
    for node in graph.nodes:
        with result.at(node.location):
            lanes.update(zip(node.outputs, _lanes_of(result, node, lanes, size), strict=True))


def _lanes_of(
    result: Graph, node: Node, lanes: Mapping[Value, _Lane], size: Dim
) -> Sequence[_Lane]:
    """What a node becomes."""
    if not node.inputs and node.op.name == "Constant":
        return [_Lane(result.constant(node.op.value), False)]
    operands = [lanes[value] for value in node.inputs]
    call = Call(node, [lane.value for lane in operands], [lane.mapped for lane in operands], size)
    if not any(call.mapped):
        return _all_lanes(result.apply(node.op, *call.operands), False)
    for kind in type(node.op).__mro__:
        if kind in _CONTROL:
            return _CONTROL[kind](call)
        if kind in RULES:
            found = RULES[kind](call)
            if found is not None:
                return _all_lanes(found, True)
    if node.op.has_rule("decompose"):
        return _decomposed(result, call)
    return _looped(call)


def _all_lanes(results: Value | Sequence[Value], mapped: bool) -> list[_Lane]:
    values = [results] if isinstance(results, Value) else results
    return [_Lane(value, mapped) for value in values]


def _decomposed(result: Graph, call: Call) -> list[_Lane]:
    parts = decomposition(call.op, [value.type for value in call.node.inputs])
    given = zip(parts.inputs, call.operands, call.mapped, strict=True)
    lanes = {own: _Lane(value, mapped) for own, value, mapped in given}
    _replay(result, parts, lanes, call.size)
    return [lanes[value] for value in parts.outputs.values()]


def _looped(call: Call) -> list[_Lane]:
    """One example after the other."""
    pairs = list(zip(call.operands, call.mapped, strict=True))

    def step(_: list[Value], slices: list[Value], shared: list[Value]) -> tuple[list, list]:
        parts, whole = iter(slices), iter(shared)
        operands = [next(parts if mapped else whole) for mapped in call.mapped]
        results = operands[0].graph.apply(call.op, *operands)
        return [], list(results) if isinstance(results, tuple) else [results]

    sequences = [value for value, mapped in pairs if mapped]
    constants = [value for value, mapped in pairs if not mapped]
    _, stacks = scan(step, [], sequences, constants)
    return _all_lanes(stacks, True)


# ----------------------------------------------------------------------------------- control flow


def _scan(call: Call) -> list[_Lane]:
    """One loop over the steps of all examples; a carry is mapped if any step makes it so."""
    op: Scan = call.op
    first, second = op.carries, op.carries + op.sequences
    carried = list(call.mapped[:first])
    while True:
        forced = [*carried, *[False] * (len(op.body.outputs) - first)]
        flags = [*carried, *call.mapped[first:]]
        body, found = vectorize(op.body, flags, call.size, forced)
        if list(found[:first]) == carried:
            break
        carried = list(found[:first])
    operands = [
        call.with_axis(i) if i < first and carried[i] else value
        for i, value in enumerate(call.operands)
    ]
    for i in range(first, second):
        if call.mapped[i]:
            operands[i] = move_axis(operands[i], 0, 1)
    results = _results(dataclasses.replace(op, body=body)(*operands))
    lanes = []
    for i, (value, mapped) in enumerate(zip(results, found, strict=True)):
        stacked = mapped and i >= first
        lanes.append(_Lane(move_axis(value, 1, 0) if stacked else value, mapped))
    return lanes


def _cond(call: Call) -> list[_Lane]:
    """One branch for all, or, where examples differ in the predicate, a choice between both."""
    op: Cond = call.op
    flags = call.mapped[1:]
    count = len(op.then.outputs)
    differ = call.mapped[0]
    forced = [differ] * count
    if not differ:
        found = [vectorize(body, flags, call.size)[1] for body in op.bodies]
        forced = [a or b for a, b in zip(*found, strict=True)]
    branches = [vectorize(body, flags, call.size, forced)[0] for body in op.bodies]
    if not differ:
        results = _results(Cond(*branches)(*call.operands))
        return [_Lane(value, mapped) for value, mapped in zip(results, forced, strict=True)]
    predicate, *operands = call.operands
    graph = predicate.graph
    then, otherwise = (list(graph.inline(body, operands).values()) for body in branches)
    chosen = [_choose(predicate, x, y) for x, y in zip(then, otherwise, strict=True)]
    return _all_lanes(chosen, True)


def _while_loop(call: Call) -> list[_Lane]:
    """One loop until every example is done; those that are keep their values."""
    op: WhileLoop = call.op
    carried = list(call.mapped)
    while True:
        condition, (differ,) = vectorize(op.condition, carried, call.size)
        if differ:
            carried = [True] * len(carried)
            condition, _ = vectorize(op.condition, carried, call.size, [True])
        body, found = vectorize(op.body, carried, call.size, carried)
        if list(found) == carried:
            break
        carried = list(found)
    if differ:
        body = _while_any_runs(condition, body)
        condition = _any(condition)
    operands = [call.with_axis(i) if carried[i] else value for i, value in enumerate(call.operands)]
    loop = dataclasses.replace(op, condition=condition, body=body)
    results = _results(loop(*operands))
    return [_Lane(value, mapped) for value, mapped in zip(results, carried, strict=True)]


def _any(condition: Graph) -> Graph:
    """The condition that some example's condition holds."""
    graph = Graph(condition.name)
    inputs = [graph.input(value.name, value.type) for value in condition.inputs]
    (verdicts,) = graph.inline(condition, inputs).values()
    graph.outputs["y0"] = ReduceSum((0,))(cast(verdicts, "int32")) > 0
    return graph


def _while_any_runs(condition: Graph, body: Graph) -> Graph:
    """The body for those examples whose condition holds."""
    graph = Graph(body.name)
    inputs = [graph.input(value.name, value.type) for value in body.inputs]
    (verdicts,) = graph.inline(condition, inputs).values()
    results = graph.inline(body, inputs)
    graph.outputs = {
        name: _choose(verdicts, value, before)
        for (name, value), before in zip(results.items(), inputs, strict=True)
    }
    return graph


def _choose(verdicts: Value, x: Value, y: Value) -> Value:
    """For each example ``x`` or ``y``."""
    column = reshape_to(verdicts, (*verdicts.shape, *(1,) * (x.rank - 1)))
    return Where()(column, x, y)


def _results(outputs: Value | tuple[Value, ...]) -> tuple[Value, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


# ------------------------------------------------------------------------------------------- calls


def _called(call: Call) -> list[_Lane]:
    op: CallOp | Checkpoint = call.op
    body = bound(op.body, [value.type for value in call.node.inputs])
    many, found = vectorize(body, call.mapped, call.size)
    results = _results(dataclasses.replace(op, body=many)(*call.operands))
    return [_Lane(value, mapped) for value, mapped in zip(results, found, strict=True)]


def _custom_gradient(call: Call) -> list[_Lane]:
    """The gradient of each example by the rule that was said; shared operands get their sum."""
    op: CustomGradient = call.op
    types = [value.type for value in call.node.inputs]
    outputs = [value.type for value in call.node.outputs]
    every = [True] * len(outputs)
    body, _ = vectorize(bound(op.body, types), call.mapped, call.size, every)
    given = [*types, *outputs[op.count :], *outputs[: op.count]]
    backward = bound(op.backward, given)
    forced = [True] * len(backward.outputs)
    many, _ = vectorize(backward, [*call.mapped, *every], call.size, forced)
    for name, value in many.outputs.items():
        if not call.mapped[int(name)]:
            many.outputs[name] = ReduceSum((0,))(value)
    results = dataclasses.replace(op, body=body, backward=many)(*call.operands)
    return _all_lanes(_results(results), True)


_CONTROL = {
    Scan: _scan,
    Cond: _cond,
    WhileLoop: _while_loop,
    CallOp: _called,
    Checkpoint: _called,
    CustomGradient: _custom_gradient,
}
