"""The gradient of recorded operations as a plan, made once for operations of the same structure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from graphc import autodiff
from graphc.eager.cache import Cache
from graphc.eager.kind import kind_of
from graphc.eager.plan import Plan
from graphc.eager.tensor import Tensor, apply_plan
from graphc.ir import Graph, Value, ancestors, extract, filled

#: What was recorded: a plan, what it was given and what it gave.
Entry: TypeAlias = tuple[Plan, Sequence[Tensor], Sequence[Tensor]]
#: A result and the weights of its elements; None for ones.
Seed: TypeAlias = tuple[Tensor, Tensor | None]


class _Program:
    """A gradient, ready to run.

    Args:
        plan: Computes it; None if no source matters.
        operands: The numbers of the tensors that it takes, in order.
        results: For each source which of the plan's results it is; None for no gradient.
    """

    __slots__ = ("operands", "plan", "results")

    def __init__(
        self, plan: Plan | None, operands: tuple[int, ...], results: tuple[int | None, ...]
    ):
        self.plan = plan
        self.operands = operands
        self.results = results


_programs: Cache[tuple[Any, ...], _Program] = Cache(1024)


def relevant_entries(
    entries: Sequence[Entry], targets: Sequence[Tensor], sources: Sequence[Sequence[Tensor]]
) -> list[Entry]:
    """What lies between sources and targets, in the order in which it was recorded."""
    needed = {id(tensor) for tensor in targets}
    behind = []
    for entry in reversed(entries):
        for tensor in entry[2]:
            if id(tensor) in needed:
                behind.append(entry)
                needed.update(map(id, entry[1]))
                break
    reached = {id(tensor) for group in sources for tensor in group}
    between = []
    for entry in reversed(behind):
        for tensor in entry[1]:
            if id(tensor) in reached:
                between.append(entry)
                reached.update(map(id, entry[2]))
                break
    return between


def run_gradient(
    entries: Sequence[Entry], seeds: Sequence[Seed], sources: Sequence[Sequence[Tensor]]
) -> list[Tensor | None]:
    """The derivatives of weighted sums of results.

    Args:
        entries: What was recorded.
        seeds: The results.
        sources: For each derivative the tensors over which it is summed.
    """
    wiring = _Wiring(entries, seeds, sources)
    program = _programs.get(wiring.key)
    if program is None:
        program = _programs.keep(wiring.key, wiring.program())
    if program.plan is None:
        return [None] * len(sources)
    results = apply_plan(program.plan, [wiring.tensors[number] for number in program.operands])
    if program.plan.single:
        results = (results,)
    return [None if number is None else results[number] for number in program.results]


class _Wiring:
    """How entries are connected, by numbers of their tensors in order of appearance.

    Attributes:
        tensors: The tensors by number; the weights of results come last.
        key: All that the gradient depends on, but for the elements.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        seeds: Sequence[Seed],
        sources: Sequence[Sequence[Tensor]],
    ):
        self.tensors: list[Tensor] = []
        self._number_of: dict[int, int] = {}
        numbers = self._numbers
        self.rows = [(plan, numbers(xs), numbers(ys)) for plan, xs, ys in entries]
        self.sources = tuple([numbers(group) for group in sources])
        self.targets = numbers([target for target, _ in seeds])
        self.weighted = tuple([weight is not None for _, weight in seeds])
        recorded = len(self.tensors)
        # Other types follow from those of the plans.
        kinds = [kind_of(x.data) for group in sources for x in group]
        kinds += [kind_of(target.data) for target, _ in seeds]
        self.key = (*self.rows, self.sources, self.targets, self.weighted, *kinds)
        self.weights: dict[int, int] = {}
        for place, (_, weight) in enumerate(seeds):
            if weight is not None:
                self.weights[place] = recorded + len(self.weights)
                self.tensors.append(weight)

    def _numbers(self, tensors: Sequence[Tensor]) -> tuple[int, ...]:
        number_of, known = self._number_of, self.tensors
        numbers = []
        for tensor in tensors:
            key = id(tensor)
            number = number_of.get(key)
            if number is None:
                number = number_of[key] = len(known)
                known.append(tensor)
            numbers.append(number)
        return tuple(numbers)

    def program(self) -> _Program:
        """Join the graphs of the entries, differentiate, and keep what the gradient needs."""
        graph = Graph("gradient")
        values: dict[int, Value] = {}

        def value_of(number: int) -> Value:
            if number not in values:
                values[number] = graph.input(f"x{number}", self.tensors[number].type)
            return values[number]

        for plan, operands, results in self.rows:
            made = graph.inline(plan.graph, [value_of(number) for number in operands])
            for number, value in zip(results, made.values(), strict=True):
                values.setdefault(number, value)
        outputs: dict[Value, Value] = {}
        for place, number in enumerate(self.targets):
            y = value_of(number)
            weight = self.weights.get(place)
            dy = filled(graph, y.type, 1) if weight is None else value_of(weight)
            outputs[y] = outputs[y] + dy if y in outputs else dy
        wanted = [[value_of(number) for number in group] for group in self.sources]
        flat = list(dict.fromkeys(value for group in wanted for value in group))
        found = dict(zip(flat, autodiff.gradients(outputs, flat), strict=True))
        totals = [_total([found[value] for value in group]) for group in wanted]
        return self._extracted(graph, values, totals)

    def _extracted(
        self, graph: Graph, values: dict[int, Value], totals: list[Value | None]
    ) -> _Program:
        """The gradient alone; what was computed before is handed to it."""
        wanted = list(dict.fromkeys(total for total in totals if total is not None))
        if not wanted:
            return _Program(None, (), (None,) * len(totals))
        known = set(values.values())
        needed = ancestors(wanted, known)
        operands = tuple(number for number, value in values.items() if value in needed)
        inputs = {f"x{number}": values[number] for number in operands}
        outputs = {f"y{place}": value for place, value in enumerate(wanted)}
        program = extract(graph, "gradient", inputs, outputs)
        places = tuple(None if total is None else wanted.index(total) for total in totals)
        return _Program(Plan(program, len(wanted) == 1), operands, places)


def _total(parts: Sequence[Value | None]) -> Value | None:
    total: Value | None = None
    for part in parts:
        if part is not None:
            total = part if total is None else total + part
    return total
