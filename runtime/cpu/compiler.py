"""From a program to object code: the CPU backend's pipeline, visible from end to end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing

from graphc.config import config
from graphc.ir import Op
from graphc.passes import (
    PREPARE,
    Decompose,
    Pipeline,
    drop_barriers,
    hoist,
    merge_scans,
    prune_scans,
    share_common,
    simplify,
)
from graphc.passes.dump import dump
from graphc.passes.fuse import fuse
from graphc.passes.windows import expose_windows
from graphc.program import Program
from graphc.runtime.cpu import (
    jit,
    kernels_contraction,
    kernels_control,
    kernels_cumulative,
    kernels_movement,
    kernels_pool,
    kernels_sort,
)
from graphc.runtime.cpu.describe import make_manifest
from graphc.runtime.cpu.emitter import Module
from graphc.runtime.cpu.frame import View
from graphc.runtime.cpu.lower import LOWERINGS, Lowering
from graphc.runtime.cpu.parts import PartCompiler
from graphc.runtime.cpu.profile import write_counters
from graphc.runtime.cpu.row_wise import write_slot_count
from graphc.runtime.cpu.schedule import Schedule, make_schedule, order_updates
from graphc.runtime.cpu.steps import find_rows, write_steps
from graphc.runtime.cpu.strips import in_strips
from graphc.runtime.cpu.target import Target
from graphc.runtime.cpu.vector_math import FUNCTIONS

#: The modules that register lowerings.
KERNEL_MODULES = (
    kernels_contraction,
    kernels_control,
    kernels_cumulative,
    kernels_movement,
    kernels_pool,
    kernels_sort,
)


def claims(op: Op) -> bool:
    """Whether the backend computes a composite op as a whole."""
    return op.name in LOWERINGS or (op.elementwise and op.has_rule("emit"))


#: What happens to a program before kernels are made of it.
CPU_PIPELINE = Pipeline(
    "cpu",
    (
        *PREPARE,
        Decompose(claims),
        expose_windows,
        simplify,
        share_common,
        merge_scans,
        hoist,
        prune_scans,
        share_common,
        simplify,
        fuse,
        drop_barriers,
    ),
)


def compile_program(program: Program, target: Target) -> bytes:
    """The object code of a program; shows what it is made from if the configuration says so.

    Args:
        program: What to compile.
        target: The processor.

    Raises:
        UnsupportedError: The program holds an op that the backend has no code for.
    """
    start = time.perf_counter()
    with closing(PartCompiler(target, config.thread_count)) as parts:
        module = lower(program, target, parts.add)
        parts.add(module.last_part())
        parts.add_shared(module.shared_part())
        middle = time.perf_counter()
        code = parts.finish()
    if config.debug >= 1:
        milliseconds = (1000 * (middle - start), 1000 * (time.perf_counter() - middle))
        print(
            "cpu: lowered in {:.1f} ms, compiled in another {:.1f} ms".format(*milliseconds),
            file=sys.stderr,
        )
    text = module.text() if config.debug >= 4 or config.dump_folder is not None else ""
    if config.debug >= 4:
        print(text, file=sys.stderr)
    if config.debug >= 5:
        print(jit.emit_assembly(text, target), file=sys.stderr)
    if config.dump_folder is not None:
        dump(f"{program.name}-cpu", text, "ll")
        dump(f"{program.name}-cpu", jit.emit_assembly(text, target), "s")
    return code


def lower(
    program: Program, target: Target, hand_over: Callable[[str], None] | None = None
) -> Module:
    """The LLVM module of a program.

    Args:
        program: What to compile.
        target: The processor.
        hand_over: Takes the text of parts of the module while the rest is written.

    Raises:
        UnsupportedError: The program holds an op that the backend has no code for.
    """
    module = Module(target, FUNCTIONS)
    lowering = Lowering(CPU_PIPELINE.run(program), module, hand_over)
    lowering.run()
    schedule = _schedule(program, lowering)
    rows = find_rows(lowering)
    write_steps(module, lowering, schedule, rows)
    if config.profile:
        write_counters(module, [f"{x.name}  {x.purpose}" for x in lowering.all_kernels])
    manifest = make_manifest(lowering, schedule, rows)
    write_slot_count(module, manifest.slots)
    with module.function("manifest", [], "pointer") as e:
        e.ret(module.data("manifest.json", manifest.as_json().encode() + b"\0"))
    return module


def _schedule(program: Program, lowering: Lowering) -> Schedule:
    """Order the kernels; copy what could not be written in place at the end."""
    variables = {x.name: x for x in lowering.buffers if x.kind == "variable"}
    updates = [
        (lowering.outputs[variable.update], variables[variable.name])
        for variable in program.variables
        if variable.update is not None
    ]
    results = [lowering.outputs[name] for name in program.results]
    order, _ = order_updates(lowering.kernels, updates)
    lowering.kernels = in_strips(lowering, [lowering.kernels[number] for number in order])
    schedule = make_schedule(lowering.kernels, updates, results)
    for new, variable in schedule.copies:
        lowering.copy(View.whole(new), variable)
        schedule.order.append(len(lowering.kernels) - 1)
    return schedule
