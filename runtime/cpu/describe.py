"""Describing a program that was lowered to the host that will run it."""

from __future__ import annotations

from graphc.ir import dtype_size
from graphc.ir.dims import Dim, evaluate
from graphc.runtime.cpu.frame import Buffer
from graphc.runtime.cpu.lower import Lowering
from graphc.runtime.cpu.manifest import ArenaBuffer, Manifest, RowTensor
from graphc.runtime.cpu.schedule import Schedule
from graphc.runtime.cpu.steps import Rows


def make_manifest(lowering: Lowering, schedule: Schedule, rows: list[Rows]) -> Manifest:
    """The manifest of a lowered and scheduled program."""
    layout = lowering.layout
    arena: dict[int, list[int]] = {}
    variables: dict[str, list[int]] = {}
    data: dict[str, int] = {}
    for buffer in lowering.buffers:
        home = lowering.buffers[schedule.home(buffer.index)]
        if buffer.kind == "data":
            data[buffer.name] = layout.slot(buffer)
        elif home.kind == "variable":
            variables.setdefault(home.name, []).append(layout.slot(buffer))
        elif home.index in schedule.intervals:
            arena.setdefault(home.index, []).append(layout.slot(buffer))
    prepared = [x for x in lowering.buffers if x.kind == "prepared"]
    results = {
        name: buffer
        for name, buffer in lowering.outputs.items()
        if lowering.outputs[name].kind == "result"
    }
    names = {buffer.index: name for name, buffer in results.items()}
    slots = [layout.first_buffer + len(lowering.buffers)]
    slots += [max(x.slot, x.gathered or 0) + 1 for x in rows]
    return Manifest(
        slots=max(slots),
        symbols=layout.symbols,
        arena=[_arena_buffer(lowering, schedule, index, places) for index, places in arena.items()],
        variables=variables,
        data=data,
        results={name: layout.slot(buffer) for name, buffer in results.items()},
        rows=[
            RowTensor(
                names.get(x.buffer.index, x.buffer.name),
                x.slot,
                layout.slot(x.buffer),
                x.gathered,
                x.row_bytes,
            )
            for x in rows
        ],
        kernels=_names(lowering, schedule),
        prepared=[(layout.slot(x), evaluate(_bytes(x), {})) for x in prepared],
        work=sorted({kernel.work for kernel in lowering.all_kernels if not kernel.serial}, key=str),
    )


def _names(lowering: Lowering, schedule: Schedule) -> list[str]:
    """The kernels in order, those that prepare first; behind one that runs strips, those."""
    kernels = list(lowering.preparations)
    kernels += [lowering.kernels[number] for number in schedule.order]
    return [x.name for kernel in kernels for x in (kernel, *kernel.members)]


def _arena_buffer(
    lowering: Lowering, schedule: Schedule, index: int, slots: list[int]
) -> ArenaBuffer:
    first, last = schedule.intervals[index]
    return ArenaBuffer(_bytes(lowering.buffers[index]), first, last, slots)


def _bytes(buffer: Buffer) -> Dim:
    return buffer.type.size * dtype_size(buffer.type.dtype)
