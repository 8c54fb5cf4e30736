"""Running passes: one visible list, timed, printed, dumped and checked.

What is shown is up to `graphc.config.config`: ``debug`` 1 prints times, 2 also rules, 3 also the
graph after each pass; ``dump_folder`` receives the same as numbered files, of which the graphs can
be read back by `graphc.ir.parse` or `graphc.program.parse_program`; ``verify`` checks the graph
after each pass and compares its values with those before, on random inputs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np

from graphc.config import config
from graphc.errors import GraphError, ShapeError
from graphc.ir import Graph, Value, as_text, dims, is_complex, is_float, numpy_dtype
from graphc.ir.verify import verify
from graphc.passes.dump import dump
from graphc.passes.report import Report
from graphc.program import Program
from graphc.reference import evaluate

Pass: TypeAlias = Callable[[Graph, Report], Graph]
P = TypeVar("P", Graph, Program)

#: Sizes tried for symbolic dimensions; not all fit, where windows slide over small images.
_SIZES = ((3, 4, 5, 6), (13, 17, 11, 19), (32, 32, 32, 32))
#: Relative and absolute tolerance where passes may round differently.
_TOLERANCES = {"float64": 1e-9, "float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}


@dataclass(frozen=True)
class Pipeline:
    """Passes, run one after the other.

    Args:
        name: Shown in dumps and in names of files.
        passes: Functions from a graph and a report to the next graph.

    Example:
        >>> Pipeline("prepare", (simplify, share_common)).run(program)
    """

    name: str
    passes: tuple[Pass, ...]

    def run(self, subject: P) -> P:
        """Transform a graph or a program.

        Args:
            subject: It stays as it is.

        Raises:
            GraphError: ``config.verify`` is on, and a pass broke the graph or changed what it
                computes.
        """
        program = subject if isinstance(subject, Program) else None
        graph = subject if program is None else program.graph
        log = _Log(self.name, program)
        log.write("before", graph)
        probe = _Probe(graph) if config.verify else None
        for transform in self.passes:
            report = Report()
            start = time.perf_counter()
            before, graph = graph, transform(graph, report)
            log.step(pass_name(transform), before, graph, report, time.perf_counter() - start)
            if probe is not None:
                probe.check(graph, f"{self.name}: {pass_name(transform)}")
        return graph if program is None else program.with_graph(graph)  # type: ignore[return-value]


def pass_name(transform: Pass) -> str:
    """What a pass is called in dumps."""
    return getattr(transform, "__name__", type(transform).__name__.lower())


class _Log:
    """Prints and dumps as much as the configuration asks for."""

    def __init__(self, pipeline: str, program: Program | None):
        self.pipeline = pipeline
        self.program = program

    def step(self, name: str, before: Graph, after: Graph, report: Report, seconds: float) -> None:
        counts = f"{len(before.nodes)} -> {len(after.nodes)} nodes"
        summary = f"{self.pipeline}: {name} {seconds * 1000:.1f} ms, {counts}"
        if config.debug >= 1:
            print(summary, file=sys.stderr)
        if config.debug >= 2 and report.events:
            print(f"{report}", file=sys.stderr)
        if config.debug >= 3:
            print(self._text(after), file=sys.stderr)
        self.write(name, after, f"{summary}\n{report}")

    def write(self, name: str, graph: Graph, comment: str = "") -> None:
        """Write a graph, below a comment, as the next file of the folder of dumps."""
        if config.dump_folder is None:
            return
        head = "".join(f"# {line}\n" for line in comment.splitlines())
        owner = self.program.name if self.program else graph.name
        dump(f"{owner}-{self.pipeline}-{name}", f"{head}{self._text(graph)}\n")

    def _text(self, graph: Graph) -> str:
        return as_text(graph) if self.program is None else self.program.with_graph(graph).as_text()


class _Probe:
    """Random inputs of a graph and what it computes from them."""

    def __init__(self, graph: Graph):
        verify(graph)
        self.inputs, self.expected = _evaluated(graph)

    def check(self, graph: Graph, what: str) -> None:
        """Compare what a transformed graph computes.

        Raises:
            GraphError: The graph is broken, has other outputs, or other values in them.
        """
        try:
            verify(graph)
        except GraphError as error:
            raise GraphError(f"{what} broke the graph: {error}") from None
        received = evaluate(graph, self.inputs)
        if list(received) != list(self.expected):
            raise GraphError(
                f"{what} changed the outputs {list(self.expected)} to {list(received)}"
            )
        for name, expected in self.expected.items():
            problem = difference(expected, received[name])
            if problem:
                raise GraphError(f'{what} changed output "{name}": {problem}')


def difference(expected: np.ndarray, received: np.ndarray) -> str:
    """What differs between two arrays by more than rounding; empty if nothing does."""
    if expected.shape != received.shape or expected.dtype != received.dtype:
        shapes = [f"{array.dtype}{dims.shape_text(array.shape)}" for array in (expected, received)]
        return f"{shapes[0]} became {shapes[1]}"
    dtype = expected.dtype.name
    if is_complex(dtype):
        parts = zip(_parts(expected), _parts(received), strict=True)
        return "; ".join(filter(None, [difference(*pair) for pair in parts]))
    if not is_float(dtype):
        wrong = expected != received
    else:
        with np.errstate(all="ignore"):
            a, b = expected.astype(np.float64), received.astype(np.float64)
            scale = np.max(np.abs(a[np.isfinite(a)]), initial=1.0)
            near = np.isfinite(b) & np.isfinite(a)
            near &= np.abs(a - b) <= _TOLERANCES[dtype] * np.maximum(np.abs(a), 1e-3 * scale)
            wrong = ~(near | (a == b) | (np.isnan(a) & np.isnan(b)))
    if not np.any(wrong):
        return ""
    place = np.argwhere(wrong)[0]
    index = tuple(int(i) for i in place)
    return f"{expected[index]!s} became {received[index]!s} at {list(index)}"


def _parts(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return array.real, array.imag


def _evaluated(graph: Graph) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Random inputs and the outputs for them, with the first sizes of dimensions that fit."""
    problem: ShapeError | None = None
    for sizes in _SIZES:
        symbols = graph.symbols()
        bindings = {name: sizes[place % len(sizes)] for place, name in enumerate(symbols)}
        try:
            inputs = {value.name: random_array(value, bindings) for value in graph.inputs}
            return inputs, evaluate(graph, inputs)
        except ShapeError as error:
            problem = error
    raise GraphError(
        f'graph "{graph.name}" cannot be compared: no size of {graph.symbols()} that was tried '
        f"fits: {problem}"
    )


def random_array(value: Value, bindings: dict[str, int], seed: int = 0) -> np.ndarray:
    """Random elements for an input, the same every time.

    Args:
        value: The input.
        bindings: Sizes of symbolic dimensions.
        seed: Another seed gives other elements.
    """
    shape = [dims.evaluate(dim, bindings) for dim in value.shape]
    if any(size < 0 for size in shape):
        raise ShapeError(f"{value!r} has a negative size for {bindings}")
    rng = np.random.default_rng([seed, value.index])
    if is_float(value.dtype):
        return np.asarray(rng.normal(size=shape)).astype(numpy_dtype(value.dtype))
    high = 2 if value.dtype == "bool" else 4
    return np.asarray(rng.integers(0, high, shape)).astype(value.dtype)
