"""The gradient of a scan: the same steps again in the other direction.

The body is differentiated once, in a *joint* graph that holds a step's forward nodes followed by
the nodes that the reverse sweep adds. It is then cut into two bodies:

* the forward body, extended by step outputs for what the way back cannot have more cheaply: the
  carries, and results of contractions and of exponentials and the like. Sums, products, choices and
  movements of such values are computed anew instead. The extended scan repeats the original one;
  `graphc.passes.merge_scans` makes one of the two;
* the backward body, whose carries are the cotangents of the carries.

A constant (a kernel) collects a gradient in every step. Where it is a contraction of two values of
the step, both are stacked and contracted once after the loop, over steps and batch together: one
large product instead of many small ones. Other constants accumulate in a carry.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from graphc.ir import Graph, Node, Value, ancestors, extract, is_inexact, zeros_like
from graphc.ir.dims import Dim
from graphc.ops import elementwise, logic, movement
from graphc.ops.linalg import Einsum
from graphc.ops.reduce import ReduceSum

#: Ops that cost less to do twice than to remember.
CHEAP = (
    elementwise.Abs,
    elementwise.Add,
    elementwise.Cast,
    elementwise.Max,
    elementwise.Min,
    elementwise.Mul,
    elementwise.Neg,
    elementwise.Relu,
    elementwise.Sign,
    elementwise.Sub,
    elementwise.Where,
    logic.And,
    logic.Equal,
    logic.Greater,
    logic.GreaterOrEqual,
    logic.Less,
    logic.LessOrEqual,
    logic.Not,
    logic.NotEqual,
    logic.Or,
    movement.Constant,
    movement.Expand,
    movement.Iota,
    movement.Reshape,
    movement.Slice,
    movement.Split,
    movement.Transpose,
)

#: Linear ops of one operand: they may as well be applied after the sum over the steps.
_LINEAR = (elementwise.Neg, movement.Expand, movement.Reshape, movement.Transpose)

Stacks = Mapping[Value, Value]


@dataclass
class _Joint:
    """A step forwards and backwards in one graph.

    Attributes:
        inputs: The body's inputs: carries, slices, constants.
        results: The body's outputs.
        forward: The values that the body computes, in order, its inputs first.
        carried: The cotangent of each final carry that matters, as inputs of the graph.
        stepped: The cotangents of the step outputs that matter, by number.
        gradients: The cotangents of `inputs`; None where there is none.
    """

    graph: Graph
    inputs: list[Value]
    results: list[Value]
    forward: list[Value]
    carried: dict[int, Value] = field(default_factory=dict)
    stepped: dict[int, Value] = field(default_factory=dict)
    gradients: list[Value | None] = field(default_factory=list)


def scan_gradient(
    node: Node, cotangents: Sequence[Value | None], sweep: Callable[..., Any]
) -> list[Value | None]:
    """The cotangents of a scan's operands.

    Args:
        node: The scan.
        cotangents: Those of its outputs.
        sweep: `graphc.autodiff.gradients`.
    """
    carries = node.op.carries
    active = {i for i, dy in enumerate(cotangents[:carries]) if dy is not None}
    while True:  # a carry also matters if it reaches one that does in a later step
        joint = _differentiate(node, cotangents, active, sweep)
        reached = {i for i in range(carries) if joint.gradients[i] is not None}
        if reached <= active:
            return _Backward(node, cotangents, joint).build()
        active |= reached


def _differentiate(
    node: Node, cotangents: Sequence[Value | None], active: set[int], sweep: Callable[..., Any]
) -> _Joint:
    body, carries = node.op.body, node.op.carries
    graph = Graph(body.name)
    inputs = [graph.input(value.name, value.type) for value in body.inputs]
    results = list(graph.inline(body, inputs).values())
    joint = _Joint(graph, inputs, results, list(graph.values()))
    seeds: dict[Value, Value] = {}
    for i, value in enumerate(results):
        if i in active:
            seed = joint.carried[i] = graph.input(f"carry_cotangent{i}", value.type)
        elif i >= carries and cotangents[i] is not None:
            seed = joint.stepped[i] = graph.input(f"step_cotangent{i}", value.type)
        else:
            continue
        seeds[value] = seeds[value] + seed if value in seeds else seed
    floats = [value for value in inputs if is_inexact(value.dtype)]
    found = dict(zip(floats, sweep(seeds, floats), strict=True))
    joint.gradients = [found.get(value) for value in inputs]
    return joint


class _Backward:
    """Builds the extended forward scan and the backward scan of one joint graph."""

    def __init__(self, node: Node, cotangents: Sequence[Value | None], joint: _Joint):
        self.node = node
        self.graph = node.inputs[0].graph
        self.cotangents = cotangents
        self.joint = joint
        self.first = node.op.carries
        self.second = node.op.carries + node.op.sequences
        self.varying = _reach(joint.graph, self._varying_inputs())
        self.stacks = self._forward_stacks()

    def build(self) -> list[Value | None]:
        """Add both scans and return the cotangents of the operands."""
        carries, slices, constants = self._split(self.joint.gradients)
        wanted = {i: dx for i, dx in enumerate(slices, self.first) if dx is not None}
        later, each_step = self._postpone(
            {i: dk for i, dk in enumerate(constants, self.second) if dk is not None},
            [*wanted.values(), *self.stacks],
        )
        stacked = [*wanted.values(), *[f for factors, _ in later.values() for f in factors]]
        outputs = [value for value in dict.fromkeys(stacked) if value not in self.stacks]
        finals, stacks = self._scan_back(carries, each_step, outputs)
        stacks |= self.stacks
        gradients: list[Value | None] = [None] * len(self.node.inputs)
        for i, final in finals.items():
            gradients[i] = final
        for i, dx in wanted.items():
            gradients[i] = stacks[dx]
        for i, (_, contract) in later.items():
            gradients[i] = contract(stacks)
        return gradients

    def _split(self, items: Sequence[Any]) -> tuple[Any, Any, Any]:
        return items[: self.first], items[self.first : self.second], items[self.second :]

    def _varying_inputs(self) -> list[Value]:
        joint = self.joint
        return [*joint.inputs[: self.second], *joint.carried.values(), *joint.stepped.values()]

    # ------------------------------------------------------------------ the way there

    def _forward_stacks(self) -> dict[Value, Value]:
        """What is known of every step: values of the joint graph to stacks of them."""
        _, slices, _ = self._split(self.joint.inputs)
        _, sequences, _ = self._split(self.node.inputs)
        stacks = dict(zip(slices, sequences, strict=True))
        stacks.update({value: self.cotangents[i] for i, value in self.joint.stepped.items()})
        outputs = zip(self.joint.results, self.node.outputs, strict=True)
        given = {value: stack for i, (value, stack) in enumerate(outputs) if i >= self.first}
        saved = self._residuals(set(slices))
        stacks.update({value: given[value] for value in saved if value in given})
        extra = [value for value in saved if value not in given]
        if extra:
            results = {f"y{i}": value for i, value in enumerate([*self.joint.results, *extra])}
            inputs = {value.name: value for value in self.joint.inputs}
            body = extract(self.joint.graph, self.node.op.body.name, inputs, results)
            operands = self.node.inputs
            extended = dataclasses.replace(self.node.op, body=body)(*operands)
            stacks.update(zip(extra, extended[len(self.joint.results) :], strict=True))
        return stacks

    def _residuals(self, slices: set[Value]) -> list[Value]:
        """The forward values that the way back needs and that have to be remembered."""
        forward = set(self.joint.forward)
        roots = [dx for dx in self.joint.gradients if dx is not None]
        reached = ancestors(roots, stops=forward)
        needed = [value for value in self.joint.forward if value in reached]
        carries = set(self.joint.inputs[: self.first])
        free = slices | set(self.joint.inputs[self.second :])
        saved = [v for v in needed if v in carries or not (v in free or self._is_cheap(v))]
        known = {*saved, *free}
        for value in needed:
            if not self._derivable(value, known):
                saved.append(value)
                known.add(value)
        return saved

    def _is_cheap(self, value: Value) -> bool:
        return value not in self.varying or isinstance(value.op, CHEAP)

    def _derivable(self, value: Value, known: set[Value]) -> bool:
        """Whether a forward value follows cheaply from known ones; then it is known as well."""
        if value in known:
            return True
        if value.node is None or not self._is_cheap(value):
            return False
        if not all(self._derivable(operand, known) for operand in value.node.inputs):
            return False
        known.add(value)
        return True

    # ------------------------------------------------------------------ the way back

    def _scan_back(
        self,
        carries: Sequence[Value | None],
        sums: Mapping[int, Value],
        outputs: Sequence[Value],
    ) -> tuple[dict[int, Value], dict[Value, Value]]:
        """Add the backward scan.

        Args:
            carries: The cotangents of a step's incoming carries.
            sums: Cotangents of constants that accumulate, by number of the operand.
            outputs: Values of the joint graph to stack.

        Returns:
            The final carries by number of the operand they belong to, and the stacks.
        """
        joint, op = self.joint, self.node.op
        step_carries, starts, results = [], [], {}
        for i, incoming in joint.carried.items():
            step_carries.append(incoming)
            starts.append(self.cotangents[i] or zeros_like(self.node.outputs[i]))
            results[i] = carries[i] or zeros_like(incoming)
        for i, dk in sums.items():
            total = joint.graph.input(f"sum{i}", dk.type)
            step_carries.append(total)
            starts.append(zeros_like(self.node.inputs[i]))
            results[i] = total + dk
        if not results and not outputs:
            return {}, {}
        _, _, constants = self._split(list(zip(joint.inputs, self.node.inputs, strict=True)))
        stops = {*step_carries, *self.stacks, *dict(constants)}
        read = ancestors([*results.values(), *outputs], stops)
        sequences = {value: stack for value, stack in self.stacks.items() if value in read}
        others = {value: outer for value, outer in constants if value in read}
        order = [*step_carries, *sequences, *others]
        body = extract(
            joint.graph,
            f"{op.body.name}_gradient",
            {f"x{i}": value for i, value in enumerate(order)},
            {f"y{i}": value for i, value in enumerate([*results.values(), *outputs])},
        )
        back = dataclasses.replace(
            op,
            body=body,
            carries=len(step_carries),
            sequences=len(sequences),
            reverse=not op.reverse,
            steps=None if sequences else self._steps(),
        )
        found = self.graph.apply(back, *starts, *sequences.values(), *others.values())
        finals = dict(zip(results, found, strict=False))
        return finals, dict(zip(outputs, found[len(results) :], strict=True))

    def _steps(self) -> Dim:
        return self.node.op.step_count([value.type for value in self.node.inputs])

    # ------------------------------------------------------------------ constants

    def _postpone(
        self, gradients: Mapping[int, Value], stacked: Iterable[Value]
    ) -> tuple[dict[int, tuple[list[Value], Callable[[Stacks], Value]]], dict[int, Value]]:
        """Which gradients of constants are computed after the loop, and from which stacks."""
        later: dict[int, tuple[list[Value], Callable[[Stacks], Value]]] = {}
        known = set(stacked)
        rest = dict(gradients)
        for _ in range(2):  # what one contraction stacks another sum can use
            for i, dk in list(rest.items()):
                factors = self._factors(dk, known)
                if factors is not None:
                    known.update(factors)
                    later[i] = (factors, partial(_after_loop, dk))
                    del rest[i]
        return later, rest

    def _factors(self, value: Value, known: set[Value]) -> list[Value] | None:
        """The values to stack so that the sum of ``value`` over all steps follows from them."""
        if value.node is None:
            return None
        operands = list(value.node.inputs)
        match value.op:
            case Einsum():
                return operands if all(x in self.varying for x in operands) else None
            case ReduceSum(keep=False):
                return operands if operands[0] in known else None
            case elementwise.Add() if all(x.type == value.type for x in operands):
                parts = [self._factors(operand, known) for operand in operands]
                return None if None in parts else [x for part in parts for x in part or ()]
            case op if isinstance(op, _LINEAR):
                return self._factors(operands[0], known)
        return None


def _after_loop(value: Value, stacks: Stacks) -> Value:
    """The sum over all steps of what the joint graph computes as ``value`` in one."""
    assert value.node is not None
    operands = value.node.inputs
    match value.op:
        case Einsum() as op:
            x, y, result = op.terms
            step = next(letter for letter in "tsabcdefghijklmnopqruvwxyz" if letter not in x + y)
            first, second = (stacks[operand] for operand in operands)
            return Einsum(f"{step}{x},{step}{y}->{result}")(first, second)
        case ReduceSum(axes=axes):
            return ReduceSum((0, *[axis + 1 for axis in axes]))(stacks[operands[0]])
        case op:
            assert op is not None
            return op(*[_after_loop(operand, stacks) for operand in operands])


def _reach(graph: Graph, sources: Iterable[Value]) -> set[Value]:
    """The values that depend on any of ``sources``, and those themselves."""
    reached = set(sources)
    for node in graph.nodes:
        if any(value in reached for value in node.inputs):
            reached.update(node.outputs)
    return reached
