"""Looking into the CPU backend: a program after each stage, its LLVM IR and assembly, its sizes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from graphc.ir import DTYPES, Graph, dims, dtype_size
from graphc.ir.dims import Dim, product
from graphc.ops.control import Scan
from graphc.ops.linalg import Einsum
from graphc.passes import Report
from graphc.passes.manager import pass_name
from graphc.program import Program
from graphc.runtime.cpu import jit
from graphc.runtime.cpu.compiler import CPU_PIPELINE, lower
from graphc.runtime.cpu.memory import plan_memory
from graphc.runtime.cpu.native import load
from graphc.runtime.cpu.target import Target


@dataclass(frozen=True)
class Stage:
    """A program as a pass left it.

    Attributes:
        name: The pass.
        program: What it made.
        decisions: What it did and what it did not do, with reasons.
        seconds: How long it took.
    """

    name: str
    program: Program
    decisions: tuple[str, ...]
    seconds: float


def stages(program: Program) -> Iterator[Stage]:
    """The program after each pass of the CPU backend.

    Args:
        program: What would be compiled.
    """
    graph = program.graph
    for transform in CPU_PIPELINE.passes:
        report = Report()
        start = time.perf_counter()
        graph = transform(graph, report)
        seconds = time.perf_counter() - start
        decisions = tuple(str(report).splitlines())
        yield Stage(pass_name(transform), program.with_graph(graph), decisions, seconds)


def llvm_text(program: Program, target: Target | None = None) -> str:
    """The LLVM IR of a program, as the code generator writes it.

    Args:
        program: What to compile.
        target: The processor; this machine by default.
    """
    return lower(program, target or Target.host()).text()


def assembly_text(program: Program, target: Target | None = None) -> str:
    """The assembly of a program.

    Args:
        program: What to compile.
        target: The processor; this machine by default.
    """
    target = target or Target.host()
    return jit.emit_assembly(llvm_text(program, target), target)


def multiply_adds(
    program: Program, bindings: Mapping[str, int], dtypes: Sequence[str] = DTYPES
) -> int:
    """How many multiply-adds the contractions of one step are, convolutions included.

    Everything else (activations, sums, updates) is left out, as it is not what a processor's peak
    is about.

    Args:
        program: What is run.
        bindings: Sizes of the symbolic dimensions.
        dtypes: The element types that count.
    """
    *_, last = stages(program)
    return dims.evaluate(_graph_work(last.program.graph, dtypes), bindings)


def _graph_work(graph: Graph, dtypes: Sequence[str]) -> Dim:
    total: Dim = 0
    for node in graph.nodes:
        types = [value.type for value in node.inputs]
        if isinstance(node.op, Einsum):
            if types[0].dtype not in dtypes:
                continue
            first, second, _ = node.op.terms
            sizes = dict(zip(first + second, (*types[0].shape, *types[1].shape), strict=True))
            total = total + product(sizes.values())
            continue
        repeats: Dim = node.op.step_count(types) if isinstance(node.op, Scan) else 1
        for body in node.op.bodies:
            total = total + repeats * _graph_work(body, dtypes)
    return total


def state_bytes(program: Program, bindings: Mapping[str, int]) -> int:
    """How much memory the variables of a program take.

    Args:
        program: What is run.
        bindings: Sizes of the symbolic dimensions.
    """
    types = [program.type(variable.name).substitute(bindings) for variable in program.variables]
    return sum(dims.evaluate(type.size, {}) * dtype_size(type.dtype) for type in types)


@dataclass(frozen=True)
class Sizes:
    """What a compiled program consists of.

    Attributes:
        kernels: Their names, in the order in which they run; behind one that runs others in strips
            (``k12.strips4``: four at a time), those.
        arena_bytes: Memory of intermediate results.
        prepared_bytes: Memory of what follows from weights alone and is kept from call to call.
    """

    kernels: tuple[str, ...]
    arena_bytes: int
    prepared_bytes: int


def sizes(program: Program, bindings: Mapping[str, int]) -> Sizes:
    """Compile a program and look at its kernels and its memory.

    Args:
        program: What to compile.
        bindings: Sizes of the symbolic dimensions.

    Raises:
        UnsupportedError: The program holds an op that the backend has no code for.
    """
    manifest = load(program, Target.host()).manifest
    arena = plan_memory([buffer.interval(bindings) for buffer in manifest.arena])
    return Sizes(tuple(manifest.kernels), arena.size, manifest.prepared_bytes)
