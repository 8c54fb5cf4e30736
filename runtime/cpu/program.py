"""The CPU backend's executable: fills in a program's context and calls its native code."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from graphc.config import config
from graphc.errors import DTypeError, ShapeError
from graphc.ir import dims, numpy_dtype
from graphc.passes.memory import ALIGNMENT, plan_memory
from graphc.program import Program
from graphc.reference import bind, check_complete
from graphc.runtime.cpu.compiler import load
from graphc.runtime.cpu.frame import BATCH_SIZE, BEGIN, ORDER, POOL, ROWS, SCRATCH, STEPS
from graphc.runtime.cpu.kernel import CHUNKS, PARALLEL_WORK
from graphc.runtime.cpu.target import Target
from graphc.runtime.cpu.threads import ThreadPool
from graphc.runtime.executable import BATCH, Executable

#: How many sizes of inputs an executable keeps memory for.
KEPT_CONTEXTS = 4


class CpuExecutable(Executable):
    """A program as native code.

    Args:
        program: What to compile.
        threads: How many threads it may use; None for `config.threads`.
        target: What this machine is taken for; None for what it is.

    Raises:
        UnsupportedError: The program holds an op that the backend has no code for.
    """

    def __init__(self, program: Program, threads: int | None = None, target: Target | None = None):
        super().__init__(program)
        native = load(program, target or Target.host())
        self.manifest = native.manifest
        self._step = native.library.function("step", [ctypes.c_void_p])
        self._run = native.library.function("run", [ctypes.c_void_p])
        self._scratch_bytes = native.library.function(
            "scratch_bytes", [ctypes.c_void_p], ctypes.c_int64
        )
        self._types = _Types(program)
        self.pool = ThreadPool(threads or config.thread_count)
        # Contexts that nobody is using, the latest last; each has memory of its own, so that
        # several threads of the caller may run the same executable.
        self._idle: list[_Context] = []
        self._lock = threading.Lock()

    def arena_bytes(self, bindings: Mapping[str, int]) -> int:
        """How much memory intermediate results take.

        Args:
            bindings: Sizes of the symbolic dimensions.
        """
        return plan_memory([x.interval(bindings) for x in self.manifest.arena]).size

    def run(
        self, data: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        data, bindings = self._bind(data, state)
        with self._context(bindings) as context:
            results = self._allocate(list(self.program.results), bindings)
            context.point(self.manifest.data, data)
            context.point_variables(state)
            context.point(self.manifest.results, results)
            self._call(self._step, context)
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
        data, bindings = self._bind(data, state)
        rows = bindings.get(BATCH, 0)
        if BATCH in self.manifest.symbols:
            _check_steps(rows, batch_size, steps, begin, order)
        full = {**bindings, BATCH: rows}
        bindings[BATCH] = min(batch_size, rows)
        with self._context(bindings) as context:
            by_row = {**self.allocate_results(rows, full), **self._checked(results or {}, full)}
            last = [name for name in self.program.results if name not in by_row]
            totals = self._allocate(last, bindings)
            context.point(self.manifest.data, data)
            context.point_variables(state)
            context.point(self.manifest.results, totals)
            gathered = context.point_rows({**data, **by_row}, bindings, order)
            slots = context.slots
            slots[BATCH_SIZE], slots[ROWS] = batch_size, rows
            slots[BEGIN], slots[STEPS] = begin, steps
            slots[ORDER] = 0 if order is None else _address(order)
            self._call(self._run, context)
            del gathered  # it had to live until here
        return totals

    def _checked(
        self, results: Mapping[str, np.ndarray], bindings: Mapping[str, int]
    ) -> Mapping[str, np.ndarray]:
        """Arrays of the caller for row results, if they are what the program writes."""
        known = self.row_results()
        for name, array in results.items():
            if name not in known:
                raise ShapeError(f'"{name}" is no result with a row for each sample: {known}')
            type = self.program.results[name].type.substitute(bindings)
            fits = array.shape == type.shape and array.dtype == numpy_dtype(type.dtype)
            if not (fits and array.flags.c_contiguous and array.flags.writeable):
                raise ShapeError(
                    f'result "{name}" needs a writable, contiguous array {type}, '
                    f"received {array.dtype}{list(array.shape)}"
                )
        return results

    def _bind(
        self, data: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """The data, contiguous, and the sizes of the symbolic dimensions, checked."""
        check_complete(self.program.graph, {**data, **state})
        arrays = {v.name: np.asarray(data[v.name], order="C") for v in self.program.data}
        everything = {**arrays, **state}
        bindings = self._types.bind(everything)
        if bindings is None:  # something unusual, or wrong: then this says what
            bindings = bind(self.program.graph, everything)
        for variable in self.program.variables:
            array = state[variable.name]
            if not array.flags.c_contiguous or not (array.flags.writeable or not variable.update):
                raise ShapeError(
                    f'variable "{variable.name}" has to be a contiguous, writable array'
                )
        return arrays, bindings

    def _allocate(self, names: list[str], bindings: Mapping[str, int]) -> dict[str, np.ndarray]:
        arrays = {}
        for name in names:
            type = self.program.results[name].type.substitute(bindings)
            arrays[name] = np.empty(type.shape, numpy_dtype(type.dtype))
        return arrays

    @contextmanager
    def _context(self, bindings: dict[str, int]) -> Iterator[_Context]:
        """A context for these sizes, for the time of one call."""
        idle = self._idle
        with self._lock:
            matching = [context for context in idle if context.bindings == bindings]
            context = matching[-1] if matching else None
            if context is not None:
                idle.remove(context)
        if context is None:
            self.check_sizes(bindings)
            context = _Context(self, dict(bindings))
        yield context
        with self._lock:
            idle.append(context)
            del idle[:-KEPT_CONTEXTS]

    def _call(self, function: Callable[[int], None], context: _Context) -> None:
        def call(pool: int) -> None:
            context.slots[POOL] = pool
            function(context.address)

        # Threads that have nothing to do would only get in the way of others.
        if context.is_large:
            self.pool.run(call)
        else:
            call(0)


class _Types:
    """Checks the usual case quickly: sizes that are numbers or symbols."""

    def __init__(self, program: Program):
        self._expected: list[tuple[str, np.dtype, list[int | str]]] | None = []
        for value in program.graph.inputs:
            sizes: list[int | str] = []
            for dim in value.shape:
                sizes.append(dim if isinstance(dim, int) else str(dim))
                if not isinstance(dim, int) and dim != dims.symbol(str(dim)):
                    self._expected = None
                    return
            self._expected.append((value.name, numpy_dtype(value.dtype), sizes))

    def bind(self, arrays: Mapping[str, np.ndarray]) -> dict[str, int] | None:
        """The sizes of the symbolic dimensions; None if a closer look is needed."""
        if self._expected is None:
            return None
        bindings: dict[str, int] = {}
        for name, dtype, sizes in self._expected:
            array = arrays[name]
            if array.dtype != dtype or array.ndim != len(sizes):
                return None
            for expected, size in zip(sizes, array.shape, strict=True):
                if isinstance(expected, str):
                    expected = bindings.setdefault(expected, size)
                if expected != size:
                    return None
        return bindings


class _Context:
    """The table that native code reads, and the memory it points to, for one binding of sizes."""

    def __init__(self, executable: CpuExecutable, bindings: Mapping[str, int]):
        self.bindings = bindings
        manifest = self.manifest = executable.manifest
        self.slots = np.zeros(manifest.slots, np.int64)
        self.address = self.slots.ctypes.data
        for name, slot in manifest.symbols.items():
            self.slots[slot] = bindings[name]
        plan = plan_memory([x.interval(bindings) for x in manifest.arena])
        self.memory = _Memory(plan.size, bindings)
        for buffer, offset in zip(manifest.arena, plan.offsets, strict=True):
            for slot in buffer.slots:
                self.slots[slot] = self.memory.address + offset
        parts = CHUNKS if executable.pool.threads > 1 else 1
        # Each part's piece is padded to whole cache lines.
        scratch = (executable._scratch_bytes(self.address) + 2 * ALIGNMENT) * parts
        self.scratch = _Memory(scratch, bindings)
        self.slots[SCRATCH] = self.scratch.address
        self.is_large = manifest.largest_work(bindings) >= PARALLEL_WORK
        self.batch_slot = manifest.symbols.get(BATCH)
        self.batch = bindings.get(BATCH, 0)

    def point(self, slots: Mapping[str, int], arrays: Mapping[str, np.ndarray]) -> None:
        """Enter the addresses of arrays."""
        for name, array in arrays.items():
            if name in slots:
                self.slots[slots[name]] = _address(array)

    def point_variables(self, state: Mapping[str, np.ndarray]) -> None:
        """Enter the addresses of the state, and the size of the batch, which a run changes."""
        for name, slots in self.manifest.variables.items():
            self.slots[slots] = _address(state[name])
        if self.batch_slot is not None:
            self.slots[self.batch_slot] = self.batch

    def point_rows(
        self,
        arrays: Mapping[str, np.ndarray],
        bindings: Mapping[str, int],
        order: np.ndarray | None,
    ) -> list[_Memory]:
        """Enter the addresses of arrays with a row for each sample; gives what has to live on."""
        kept = []
        for tensor in self.manifest.rows:
            self.slots[tensor.base] = _address(arrays[tensor.name])
            if tensor.gathered is not None and order is not None:
                size = dims.evaluate(tensor.row_bytes, bindings)
                kept.append(_Memory(size * bindings[BATCH], bindings))
                self.slots[tensor.gathered] = kept[-1].address
        return kept


class _Memory:
    """Aligned memory; its address is good as long as the object lives.

    Args:
        size: Bytes.
        bindings: The sizes of the symbolic dimensions that it is for.
    """

    def __init__(self, size: int, bindings: Mapping[str, int]):
        try:
            self._bytes = np.empty(size + ALIGNMENT, np.uint8)
        except (MemoryError, ValueError, OverflowError):  # the latter: beyond any address
            sizes = ", ".join(f"{name} = {size}" for name, size in bindings.items())
            raise MemoryError(
                f"a step needs {size / 2**30:.1f} GiB for what it computes"
                f"{f' with {sizes}' if sizes else ''}: take a smaller model or smaller batches"
            ) from None
        start = self._bytes.ctypes.data
        self.address = -(-start // ALIGNMENT) * ALIGNMENT


def _address(array: np.ndarray) -> int:
    # A third of the time that `array.ctypes.data` takes.
    return array.__array_interface__["data"][0]


def _check_steps(
    rows: int, batch_size: int, steps: int, begin: int, order: np.ndarray | None
) -> None:
    if batch_size < 1 or steps < 0 or begin < 0:
        raise ShapeError(
            f"needs a batch_size of at least 1, and steps and begin of at least 0; "
            f"received {batch_size}, {steps} and {begin}"
        )
    if steps and (begin + steps - 1) * batch_size >= max(rows, 1):
        raise ShapeError(
            f"{steps} steps of {batch_size} rows, after {begin} steps, need more than the "
            f"{rows} rows that the data has"
        )
    if order is None:
        return
    if order.dtype != np.int64 or order.ndim != 1 or not order.flags.c_contiguous:
        raise DTypeError("the order of rows has to be a contiguous vector of int64")
    if len(order) < rows or (rows and not 0 <= order.min() <= order.max() < rows):
        raise ShapeError(f"the order needs {rows} numbers of rows, each from 0 to {rows - 1}")
