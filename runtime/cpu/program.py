"""The CPU backend's executable: fills in a program's context and calls its native code."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from graphc.config import config
from graphc.errors import DTypeError, ShapeError
from graphc.ir import dims, numpy_dtype
from graphc.program import Program
from graphc.reference import bind, check_complete
from graphc.runtime.cpu.context import Context, Prepared, address_of
from graphc.runtime.cpu.memory import plan_memory
from graphc.runtime.cpu.native import load, load_shuffle
from graphc.runtime.cpu.pool import ThreadPool
from graphc.runtime.cpu.slots import BATCH_SIZE, BEGIN, ORDER, ROWS, STEPS
from graphc.runtime.cpu.target import Target
from graphc.runtime.executable import BATCH, Executable
from graphc.runtime.state import note_change
from graphc.shuffle import Shuffle

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
        self._target = target or Target.host()
        native = load(program, self._target)
        self.manifest = native.manifest
        self._step = native.library.function("step", [ctypes.c_void_p])
        self._run = native.library.function("run", [ctypes.c_void_p])
        self._scratch_bytes = native.library.function(
            "scratch_bytes", [ctypes.c_void_p], ctypes.c_int64
        )
        self._types = _Types(program)
        self._row_results = self.row_results()
        self._learns = any(variable.update for variable in program.variables)
        self.pool = ThreadPool(threads or config.thread_count)
        # Contexts that nobody is using, the latest last; each has memory of its own, so that
        # several threads of the caller may run the same executable.
        self._idle: list[Context] = []
        self._prepared: list[Prepared] = []  # lent to a context for a call, the latest last
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
        context, arrays = self._enter(data, state, None)
        try:
            context.point_data(arrays)
            results = context.new_results()
            self._call(self._step, context)
        finally:
            self._leave(context)
        return results

    def bind(
        self, data: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]
    ) -> Callable[[], dict[str, np.ndarray]]:
        context, arrays = self._enter(data, state, None)
        context.point_data(arrays)
        results = context.new_results()
        step, address = self._step, context.address
        # What was handed over and had to be copied is copied again before each call.
        copies = [(arrays[name], data[name]) for name in arrays if arrays[name] is not data[name]]

        # The table holds addresses only: the arrays live as long as the call does.
        alive = (*arrays.values(), *results.values())

        # Such cases aside, a call of a small program is nothing but the native function.
        is_plain = not (context.is_large or self._learns or self.manifest.prepared)

        def call(*, kept: Any = alive) -> dict[str, np.ndarray]:
            for array, given in copies:
                array[...] = given
            if is_plain:
                step(address)
            else:
                context.look_at(state)
                self._call(step, context)
            return results

        return call

    def run_steps(
        self,
        data: Mapping[str, np.ndarray],
        state: Mapping[str, np.ndarray],
        batch_size: int,
        steps: int,
        begin: int = 0,
        order: np.ndarray | Shuffle | None = None,
        results: Mapping[str, np.ndarray] | None = None,
    ) -> dict[str, np.ndarray]:
        context, arrays = self._enter(data, state, batch_size)
        try:
            rows = context.rows
            if BATCH in self.manifest.symbols:
                _check_steps(rows, batch_size, steps, begin, order)
            if isinstance(order, Shuffle):
                order = order.numbers(load_shuffle(self._target))
            by_row = self._row_arrays(results or {}, {**context.bindings, BATCH: rows})
            context.point_data(arrays)
            totals = context.new_results(leave_out=by_row)
            context.point_rows({**arrays, **by_row}, order is not None)
            for slot, number in (
                (BATCH_SIZE, batch_size),
                (ROWS, rows),
                (BEGIN, begin),
                (STEPS, steps),
                (ORDER, 0 if order is None else address_of(order)),
            ):
                context.set(slot, number)
            self._call(self._run, context)
        finally:
            context.restore_batch()
            self._leave(context)
        return totals

    def _row_arrays(
        self, results: Mapping[str, np.ndarray], bindings: Mapping[str, int]
    ) -> Mapping[str, np.ndarray]:
        """Arrays for all results with rows: those of the caller, and new ones for the others."""
        if len(results) == len(self._row_results):
            return self._checked(results, bindings)
        return {
            **self.allocate_results(bindings[BATCH], bindings),
            **self._checked(results, bindings),
        }

    def _checked(
        self, results: Mapping[str, np.ndarray], bindings: Mapping[str, int]
    ) -> Mapping[str, np.ndarray]:
        """Arrays of the caller for row results, if they are what the program writes."""
        known = self._row_results
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

    def _enter(
        self,
        data: Mapping[str, np.ndarray],
        state: Mapping[str, np.ndarray],
        batch_size: int | None,
    ) -> tuple[Context, Mapping[str, np.ndarray]]:
        """A context for one call, with its variables entered, and the data as it can be used.

        Args:
            data: What the caller gave.
            state: The same.
            batch_size: Rows per step of a run of steps; None for a step on whole arrays.
        """
        shapes = self._types.shapes(data)
        key = None if shapes is None else (batch_size, shapes)
        context = None if key is None else self._taken("key", key)
        if context is not None and context.holds(state):
            self._prepare(context, state)
            return context, data
        try:
            arrays, bindings = self._bind(data, state)
        finally:
            self._leave(context)
        rows = bindings.get(BATCH, 0)
        if batch_size is not None:
            bindings[BATCH] = min(max(batch_size, 0), rows)
        context = self._taken("bindings", bindings) or self._new(bindings)
        context.key = key
        context.rows = rows
        context.hold(state)
        self._prepare(context, state)
        return context, arrays

    def _prepare(self, context: Context, state: Mapping[str, np.ndarray]) -> None:
        """Lend a context memory for what is prepared, with what may be there already."""
        if not self.manifest.prepared:
            return
        with self._lock:
            prepared = self._prepared.pop() if self._prepared else None
        context.lend(prepared or Prepared(self.manifest))
        context.look_at(state)

    def _taken(self, attribute: str, wanted: Any) -> Context | None:
        """The latest idle context of which this is so; it is idle no more."""
        with self._lock:
            idle = self._idle
            if idle and getattr(idle[-1], attribute) == wanted:
                return idle.pop()
            for place, context in enumerate(idle):
                if getattr(context, attribute) == wanted:
                    return idle.pop(place)
        return None

    def _leave(self, context: Context | None) -> None:
        """A context is idle from here on."""
        if context is None:
            return
        prepared = context.give_back()
        with self._lock:
            self._idle.append(context)
            if len(self._idle) > KEPT_CONTEXTS:
                del self._idle[0]
            if prepared is not None:
                self._prepared = [*self._prepared[1 - KEPT_CONTEXTS :], prepared]

    def _new(self, bindings: Mapping[str, int]) -> Context:
        self.check_sizes(bindings)
        types = {name: value.type for name, value in self.program.results.items()}
        threads = self.pool.threads
        return Context(self.manifest, bindings, types, threads, self._scratch_bytes)

    def _call(self, function: Callable[[int], None], context: Context) -> None:
        try:
            # Threads that have nothing to do would only get in the way of others.
            if context.is_large:
                self._call_with_threads(function, context)
            else:
                function(context.address)
        finally:
            if self._learns:
                note_change()

    def _call_with_threads(self, function: Callable[[int], None], context: Context) -> None:
        def call(pool: int) -> None:
            context.set_pool(pool)
            function(context.address)

        try:
            self.pool.run(call)
        finally:
            context.set_pool(0)


class _Types:
    """Checks the usual case quickly: sizes that are numbers or symbols."""

    def __init__(self, program: Program):
        self._data = [(value.name, numpy_dtype(value.dtype)) for value in program.data]
        self._expected: list[tuple[str, np.dtype, list[int | str]]] | None = []
        for value in program.graph.inputs:
            sizes: list[int | str] = []
            for dim in value.shape:
                sizes.append(dim if isinstance(dim, int) else str(dim))
                if not isinstance(dim, int) and dim != dims.symbol(str(dim)):
                    self._expected = None
                    return
            self._expected.append((value.name, numpy_dtype(value.dtype), sizes))

    def shapes(self, data: Mapping[str, np.ndarray]) -> tuple[tuple[int, ...], ...] | None:
        """The shapes of the data; None if it cannot be used as it is."""
        shapes = []
        for name, dtype in self._data:
            array = data.get(name)
            if array.__class__ is not np.ndarray or array.dtype != dtype:
                return None
            if not array.flags.c_contiguous:
                return None
            shapes.append(array.shape)
        return tuple(shapes)

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


def _check_steps(
    rows: int, batch_size: int, steps: int, begin: int, order: np.ndarray | Shuffle | None
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
    if isinstance(order, Shuffle):
        if len(order) != rows:
            raise ShapeError(f"an order of {len(order)} rows does not fit data of {rows}")
        return
    if order.dtype != np.int64 or order.ndim != 1 or not order.flags.c_contiguous:
        raise DTypeError("the order of rows has to be a contiguous vector of int64")
    if len(order) < rows or (rows and not 0 <= order.min() <= order.max() < rows):
        raise ShapeError(f"the order needs {rows} numbers of rows, each from 0 to {rows - 1}")
