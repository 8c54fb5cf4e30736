"""Rewriting graphs by rules that are data: a pattern, a replacement, and reasons to refuse.

Graphs only grow, so a rewrite builds the next graph. It does so bottom-up, through a graph whose
`apply` simplifies: before it adds a node it looks for a rule that matches the op and its operands,
and if there is one it takes the replacement instead. A replacement is built by the same `apply`, so
whatever is in the new graph already is in final form when it becomes an operand, and one walk
reaches the fixpoint.

Patterns are text: ``Sub(x, Neg(y))``.

===================  ===========================================================================
``x``                any value; the same name twice means the same value twice
``#c``               any constant
``2``, ``True``      a scalar constant equal to it
``Neg(x)``           a value computed by this op, or by one of this class of ops (``Reduction``)
``Concat``           an op with any operands
``r:Reshape(x)``     the same as behind the colon, with a name for it
===================  ===========================================================================

A replacement is such a text, of names, numbers and ops without attributes, or a function of the
`Match`. If its value lacks axes or sizes that the replaced one got from broadcasting, an Expand
restores them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from graphc.errors import GraphError
from graphc.ir import Graph, Node, Op, TensorType, Value
from graphc.passes.dead import drop_dead, live_nodes
from graphc.passes.report import Report
from graphc.passes.successor import Successor

Bindings = dict[str, Value]
Matcher = Callable[[Value, Bindings], bool]
Maker = Callable[["Match"], Any]


class Match:
    """A place where a pattern matches.

    Attributes:
        graph: The graph that is being built.
        op: The op at the root, which has no node yet.
        inputs: Its operands.
    """

    __slots__ = ("_type", "graph", "inputs", "op", "values")

    def __init__(self, graph: RewrittenGraph, op: Any, inputs: tuple[Value, ...], values: Bindings):
        self.graph = graph
        self.op = op
        self.inputs = inputs
        self.values = values
        self._type: Any = None

    def __getitem__(self, name: str) -> Value:
        """The value that a name in the pattern stands for."""
        return self.values[name]

    def node(self, name: str) -> Node:
        """The node that computes the value of a name; the pattern says that there is one."""
        node = self.values[name].node
        assert node is not None
        return node

    @property
    def types(self) -> tuple[TensorType, ...]:
        """The types of the results of the root."""
        if self._type is None:
            types = self.op.infer(*[value.type for value in self.inputs])
            self._type = types if isinstance(types, tuple) else (types,)
        return self._type

    @property
    def type(self) -> TensorType:
        """The type of the only result of the root."""
        (type,) = self.types
        return type

    def constant(self, value: Any) -> Value:
        """A constant of the dtype of the result."""
        return self.graph.constant(value, self.type.dtype)

    def is_shared(self, name: str) -> bool:
        """Whether others than the root read the value of this name."""
        return self.graph.uses.get(self.values[name], 1) > 1


@dataclass(frozen=True)
class Rule:
    """One rewrite rule.

    Args:
        name: What it does, in a few words.
        pattern: What it looks for; see the head of this module.
        replacement: What it puts there.
        when: Further conditions of the match.
        refuse: Says why a match must not be replaced; None if it may.

    Example:
        >>> Rule("double negation", "Neg(Neg(x))", "x")
    """

    name: str
    pattern: str
    replacement: str | Maker
    when: Callable[[Match], bool] | None = None
    refuse: Callable[[Match], str | None] | None = None


@dataclass(frozen=True)
class _Compiled:
    """A rule with its texts turned into functions."""

    rule: Rule
    root: type[Op]
    operands: tuple[Matcher, ...] | None
    make: Maker

    def match(self, inputs: tuple[Value, ...]) -> Bindings | None:
        values: Bindings = {}
        if self.operands is None:
            return values
        if len(self.operands) != len(inputs):
            return None
        for matcher, value in zip(self.operands, inputs, strict=True):
            if not matcher(value, values):
                return None
        return values


class RuleSet:
    """Rules, found by the op at their root; the first that matches is applied.

    Args:
        rules: The rules, the more important ones first.
    """

    def __init__(self, rules: Sequence[Rule]):
        self._rules = [_compile(rule) for rule in rules]
        self._by_op: dict[type[Op], list[_Compiled]] = {}

    def of(self, op: Op) -> list[_Compiled]:
        """The rules that may match at this op."""
        kind = type(op)
        found = self._by_op.get(kind)
        if found is None:
            found = [compiled for compiled in self._rules if issubclass(kind, compiled.root)]
            self._by_op[kind] = found
        return found


@cache
def _rule_set(rules: tuple[Rule, ...]) -> RuleSet:
    return RuleSet(rules)


class RewrittenGraph(Graph):
    """A graph whose `apply` adds what the rules make of a node.

    Args:
        name: The graph's name.
        rules: The rules.
        report: Told what was applied and refused.
    """

    def __init__(self, name: str, rules: tuple[Rule, ...], report: Report):
        super().__init__(name)
        self.rules = rules
        self._rule_set = _rule_set(rules)
        self.report = report
        #: How many operands of the old graph a value stands for; 1 if it is not listed.
        self.uses: dict[Value, int] = {}

    def apply(self, op: Op, *inputs: Value) -> Any:
        """Add a node, or what the first rule that applies puts in its place."""
        result = self._rewritten(op, inputs)
        if result is not None:
            return result
        # Here also the graphs in ops that a replacement made are rewritten.
        op = op.map_bodies(lambda body: rewrite(body, self.rules, self.report))
        return super().apply(op, *inputs)

    def repeat(self, node: Node, op: Op, inputs: tuple[Value, ...]) -> Any:
        """`apply` in the place of another graph's node."""
        result = self._rewritten(op, inputs)
        if result is not None:
            return result
        op = op.map_bodies(lambda body: rewrite(body, self.rules, self.report))
        return super().repeat(node, op, inputs)

    def _rewritten(self, op: Op, inputs: tuple[Value, ...]) -> Any:
        """What the first rule that applies makes of a node; None if none does."""
        for compiled in self._rule_set.of(op):
            values = compiled.match(inputs)
            if values is None:
                continue
            rule = compiled.rule
            match = Match(self, op, inputs, values)
            if rule.when is not None and not rule.when(match):
                continue
            reason = rule.refuse(match) if rule.refuse is not None else None
            if reason is not None:
                self.report.refuse(rule.name, reason, self.location)
                continue
            self.report.apply(rule.name, self.location)
            return self._fitted(compiled.make(match), match)
        return None

    def _fitted(self, result: Any, match: Match) -> Any:
        """The replacement, broadcast to the types of what it replaces."""
        if isinstance(result, tuple):
            return tuple(map(self._fit, result, match.types))
        return self._fit(result, match.type)

    def _fit(self, value: Value, type: TensorType) -> Value:
        if value.type == type:
            return value
        if value.dtype != type.dtype:
            raise GraphError(f"a rule replaced {type} by {value.type}")
        return self.apply(Op.registry["Expand"](type.shape), value)


def rewrite(graph: Graph, rules: tuple[Rule, ...], report: Report | None = None) -> Graph:
    """The graph, and the sub-graphs in it, rewritten by rules until none applies.

    Args:
        graph: Any graph; it stays as it is.
        rules: The rules, the more important ones first.
        report: Told what was applied and refused.
    """
    report = Report() if report is None else report
    rewritten = RewrittenGraph(graph.name, rules, report)
    result = Successor(graph, rewritten)
    counts: dict[Value, int] = dict.fromkeys(graph.outputs.values(), 1)
    nodes = live_nodes(graph)
    for node in nodes:
        for value in node.inputs:
            counts[value] = counts.get(value, 0) + 1
    for node in nodes:
        result.repeat(node)
        for value in node.outputs:
            new = result.values[value]
            rewritten.uses[new] = rewritten.uses.get(new, 0) + counts.get(value, 0)
    return drop_dead(result.finish(), inside=False)


# ------------------------------------------------------------------------------ patterns as text

_TOKEN = re.compile(r"\s*(#?[A-Za-z]\w*|-?\d+(?:\.\d+)?|[(),:])")


def _compile(rule: Rule) -> _Compiled:
    tree = _parse(rule.pattern)
    root = _op_class(tree[0], rule)
    operands = tree[1]
    make = rule.replacement
    return _Compiled(
        rule,
        root,
        None if operands is None else tuple(_matcher(part, rule) for part in operands),
        _maker(_parse(make), rule) if isinstance(make, str) else make,
    )


def _parse(text: str) -> tuple[str, Any]:
    """A pattern as a tree: ``(word, operands)``, operands None where there are no parentheses.

    A named part is ``(":", (name, part))``.
    """
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != re.sub(r"\s", "", text):
        raise GraphError(f"{text!r} is no pattern")
    tree, rest = _parse_part(tokens)
    if rest:
        raise GraphError(f"{text!r} is no pattern: {rest[0]!r} is left over")
    return tree


def _parse_part(tokens: list[str]) -> tuple[tuple[str, Any], list[str]]:
    word, *rest = tokens
    if rest[:1] == [":"]:
        part, rest = _parse_part(rest[1:])
        return (":", (word, part)), rest
    if rest[:1] != ["("]:
        return (word, None), rest
    operands = []
    while rest[0] != ")":
        part, rest = _parse_part(rest[1:])
        operands.append(part)
    return (word, tuple(operands)), rest[1:]


def _op_class(word: str, rule: Rule) -> type[Op]:
    found = Op if word == "Op" else Op.registry.get(word)
    if found is None:
        raise GraphError(f'rule "{rule.name}": there is no op "{word}"')
    return found


def _number(word: str) -> float | bool | None:
    if word in ("True", "False"):
        return word == "True"
    return float(word) if word[0] in "-0123456789" else None


def _matcher(tree: tuple[str, Any], rule: Rule) -> Matcher:
    word, operands = tree
    if word == ":":
        return _named(operands[0], _matcher(operands[1], rule))
    number = _number(word)
    if number is not None:
        return _equals(number)
    if word[0] == "#":
        return _named(word[1:], lambda value, values: value.constant is not None)
    if word[0].islower():
        return _named(word, None)
    return _computed_by(
        _op_class(word, rule),
        None if operands is None else tuple(_matcher(part, rule) for part in operands),
    )


def _named(name: str, part: Matcher | None) -> Matcher:
    def match(value: Value, values: Bindings) -> bool:
        if part is not None and not part(value, values):
            return False
        return values.setdefault(name, value) is value

    return match


def _equals(number: float | bool) -> Matcher:
    def match(value: Value, values: Bindings) -> bool:
        array = value.constant
        return array is not None and array.ndim == 0 and bool(array == number)

    return match


def _computed_by(op_class: type[Op], operands: tuple[Matcher, ...] | None) -> Matcher:
    def match(value: Value, values: Bindings) -> bool:
        node = value.node
        if node is None or not isinstance(node.op, op_class) or len(node.outputs) != 1:
            return False
        if operands is None:
            return True
        if len(operands) != len(node.inputs):
            return False
        return all(
            part(operand, values) for part, operand in zip(operands, node.inputs, strict=True)
        )

    return match


def _maker(tree: tuple[str, Any], rule: Rule) -> Maker:
    word, operands = tree
    number = _number(word)
    if number is not None:
        return lambda match: match.constant(number)
    if operands is None:
        name = word.removeprefix("#")
        return lambda match: match.values[name]
    op = _op_class(word, rule)()
    parts = tuple(_maker(part, rule) for part in operands)
    return lambda match: match.graph.apply(op, *[part(match) for part in parts])
