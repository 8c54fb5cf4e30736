"""The CPU backend's executable: a program compiled to native code, and what runs it."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import dims, dtype_size, numpy_dtype
from graphc.passes.fuse import fuse
from graphc.passes.memory import ALIGNMENT, Interval, plan_memory
from graphc.program import Program
from graphc.reference import bind
from graphc.runtime.cpu import jit, kernels_fused  # noqa: F401  (registers lowerings)
from graphc.runtime.cpu.emitter import Module
from graphc.runtime.cpu.frame import BATCH_SIZE, BEGIN, ORDER, ROWS, STEPS, View
from graphc.runtime.cpu.lower import Lowering
from graphc.runtime.cpu.schedule import make_schedule
from graphc.runtime.cpu.steps import find_rows, write_steps
from graphc.runtime.cpu.target import Target
from graphc.runtime.cpu.vector_math import FUNCTIONS
from graphc.runtime.executable import BATCH, Executable


@dataclass
class _Arena:
    """Memory for one binding of the sizes, and the slots that point into it."""

    memory: np.ndarray
    slots: list[tuple[int, int]]


class CpuExecutable(Executable):
    """A program as native code.

    Args:
        program: What to compile.
        threads: How many threads it may use; None for `config.threads`.
    """

    def __init__(self, program: Program, threads: int | None = None):
        super().__init__(program)
        target = Target.host()
        module = Module(target, FUNCTIONS)
        fused = program.with_graph(fuse(program.graph).graph)
        self.lowering = Lowering(fused, module)
        self.lowering.run()
        self._schedule()
        self.rows = find_rows(self.lowering)
        write_steps(module, self.lowering, self.schedule, self.rows)
        self.text = module.text()
        self.library = jit.load_object(jit.emit_object(self.text, target))
        self._step = self.library.function("step", [ctypes.c_void_p])
        self._run = self.library.function("run", [ctypes.c_void_p])
        self._arenas: dict[tuple[tuple[str, int], ...], _Arena] = {}

    def _schedule(self) -> None:
        lowering = self.lowering
        variables = {x.name: x for x in lowering.buffers if x.kind == "variable"}
        updates = [
            (lowering.outputs[variable.update], variables[variable.name])
            for variable in self.program.variables
            if variable.update is not None
        ]
        results = [lowering.outputs[name] for name in self.program.results]
        self.schedule = make_schedule(lowering.kernels, updates, results)
        for new, variable in self.schedule.copies:
            lowering.copy(View.whole(new), variable)
            self.schedule.order.append(len(lowering.kernels) - 1)

    # Running ----------------------------------------------------------------------------------

    def run(
        self, data: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        data = {value.name: np.ascontiguousarray(data[value.name]) for value in self.program.data}
        bindings = bind(self.program.graph, {**data, **state})
        context = self._context(bindings, state)
        for buffer in self.lowering.buffers:
            if buffer.kind == "data":
                context[self.lowering.layout.slot(buffer)] = data[buffer.name].ctypes.data
        results = {}
        for name, value in self.program.results.items():
            type = value.type.substitute(bindings)
            results[name] = np.empty(type.shape, numpy_dtype(type.dtype))
            slot = self.lowering.layout.slot(self.lowering.outputs[name])
            context[slot] = results[name].ctypes.data
        self._step(context.ctypes.data)
        return results

    def run_steps(
        self,
        data: Mapping[str, np.ndarray],
        state: Mapping[str, np.ndarray],
        batch_size: int,
        steps: int,
        begin: int = 0,
        order: np.ndarray | None = None,
        results: Mapping[str, np.ndarray] | None = None,
    ) -> dict[str, np.ndarray]:
        data = {value.name: np.ascontiguousarray(data[value.name]) for value in self.program.data}
        bindings = bind(self.program.graph, {**data, **state})
        rows = bindings.get(BATCH, 0)
        self._check_steps(rows, batch_size, steps, begin, order)
        bindings[BATCH] = min(batch_size, rows)
        context = self._context(bindings, state)
        layout, kept = self.lowering.layout, []
        for buffer in self.lowering.buffers:
            if buffer.kind == "data":
                context[layout.slot(buffer)] = data[buffer.name].ctypes.data
        last = {}
        by_row = self.allocate_results(rows, bindings)
        by_row.update(results or {})
        for name, value in self.program.results.items():
            if name not in by_row:
                type = value.type.substitute(bindings)
                last[name] = np.empty(type.shape, numpy_dtype(type.dtype))
                context[layout.slot(self.lowering.outputs[name])] = last[name].ctypes.data
        names = {self.lowering.outputs[name].index: name for name in by_row}
        for tensor in self.rows:
            if tensor.gathered is None:
                context[tensor.slot] = by_row[names[tensor.buffer.index]].ctypes.data
                continue
            context[tensor.slot] = data[tensor.buffer.name].ctypes.data
            if order is not None:
                size = dims.evaluate(tensor.row_bytes, bindings) * bindings[BATCH]
                kept.append(np.empty(size, np.uint8))
                context[tensor.gathered] = kept[-1].ctypes.data
        context[BATCH_SIZE], context[ROWS] = batch_size, rows
        context[BEGIN], context[STEPS] = begin, steps
        context[ORDER] = 0 if order is None else order.ctypes.data
        self._run(context.ctypes.data)
        return last

    def _check_steps(
        self, rows: int, batch_size: int, steps: int, begin: int, order: np.ndarray | None
    ) -> None:
        if batch_size < 1 or steps < 0 or begin < 0:
            raise ShapeError(
                f"needs batch_size of 1 or more, steps and begin of 0 or more; "
                f"received {batch_size}, {steps}, {begin}"
            )
        if steps and (begin + steps - 1) * batch_size >= max(rows, 1):
            raise ShapeError(
                f"{steps} steps of {batch_size} rows after {begin} steps need more than the "
                f"{rows} rows there are"
            )
        if order is None:
            return
        if order.dtype != np.int64 or order.ndim != 1 or not order.flags.c_contiguous:
            raise DTypeError("the order of rows has to be a contiguous vector of int64")
        if len(order) < rows or (rows and not 0 <= order.min() <= order.max() < rows):
            raise ShapeError(f"the order has to name rows between 0 and {rows - 1}, each time")

    def _context(self, bindings: dict[str, int], state: Mapping[str, np.ndarray]) -> np.ndarray:
        lowering = self.lowering
        key = tuple(sorted(bindings.items()))
        arena = self._arenas.get(key)
        if arena is None:
            arena = self._arenas[key] = self._allocate(bindings)
        size = lowering.layout.first_buffer + len(lowering.buffers) + 2 * len(self.rows)
        context = np.zeros(size, np.int64)
        for name, slot in lowering.layout.symbols.items():
            context[slot] = bindings[name]
        for slot, address in arena.slots:
            context[slot] = address
        addresses = {name: self._address(name, array) for name, array in state.items()}
        for buffer in lowering.buffers:
            home = lowering.buffers[self.schedule.home(buffer.index)]
            if home.kind == "variable":
                context[lowering.layout.slot(buffer)] = addresses[home.name]
        return context

    def _address(self, name: str, array: np.ndarray) -> int:
        if not array.flags.c_contiguous or not array.flags.writeable:
            raise ShapeError(f'variable "{name}" has to be a writable, contiguous array')
        return array.ctypes.data

    def _allocate(self, bindings: dict[str, int]) -> _Arena:
        """Plan and allocate the arena for one binding of the sizes."""
        lowering, homes = self.lowering, list(self.schedule.intervals)
        intervals = []
        for index in homes:
            type = lowering.buffers[index].type
            size = dims.evaluate(type.size, bindings) * dtype_size(type.dtype)
            intervals.append(Interval(size, *self.schedule.intervals[index]))
        plan = plan_memory(intervals)
        memory = np.empty(plan.size + ALIGNMENT, np.uint8)
        start = -(-memory.ctypes.data // ALIGNMENT) * ALIGNMENT
        places = dict(zip(homes, plan.offsets, strict=True))
        slots = []
        for buffer in lowering.buffers:
            home = self.schedule.home(buffer.index)
            if home in places:
                slots.append((lowering.layout.slot(buffer), start + places[home]))
        return _Arena(memory, slots)
