"""The table that native code reads: addresses, sizes, and memory of the program's own."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.ir import TensorType, dims, numpy_dtype
from graphc.runtime.cpu.manifest import Manifest
from graphc.runtime.cpu.memory import ALIGNMENT, Interval, plan_memory
from graphc.runtime.cpu.slots import CHUNKS, IS_PREPARED, PARALLEL_WORK, POOL, SCRATCH
from graphc.runtime.executable import BATCH
from graphc.runtime.state import State, latest_change


class Context:
    """What one call at a time reads and writes, for one binding of the sizes.

    Args:
        manifest: The meaning of the slots.
        bindings: Sizes of the symbolic dimensions; of the batch the largest that a step has.
        results: Types of the results.
        threads: How many threads may run the kernels.
        scratch_bytes: The native function that says how much scratch memory a kernel needs.

    Attributes:
        key: What the sizes were read off; whoever comes with the same need not look at them again.
        rows: The number of rows of the data, for runs of steps.
        address: Where the table is.
        is_large: Whether there is work for more than one thread.
    """

    def __init__(
        self,
        manifest: Manifest,
        bindings: Mapping[str, int],
        results: Mapping[str, TensorType],
        threads: int,
        scratch_bytes: Any,
    ):
        self.key: Any = None
        self.rows = 0
        self.bindings = dict(bindings)
        self.manifest = manifest
        self._slots = slots = (ctypes.c_int64 * manifest.slots)()
        self.address = ctypes.addressof(slots)
        self._held: list[tuple[str, np.ndarray]] = []
        self._prepared: Prepared | None = None
        self._gathered: list[_Memory] | None = None
        for name, slot in manifest.symbols.items():
            slots[slot] = bindings[name]
        plan = plan_memory([x.interval(bindings) for x in manifest.arena])
        self._memory = _Memory(plan.size, bindings)
        for buffer, offset in zip(manifest.arena, plan.offsets, strict=True):
            for slot in buffer.slots:
                slots[slot] = self._memory.address + offset
        # Each part's piece is padded to whole cache lines.
        scratch = (scratch_bytes(self.address) + 2 * ALIGNMENT) * (CHUNKS if threads > 1 else 1)
        self._scratch = _Memory(scratch, bindings)
        slots[SCRATCH] = self._scratch.address
        self.is_large = threads > 1 and manifest.largest_work(bindings) >= PARALLEL_WORK
        self._results = [
            (name, manifest.results.get(name), *_shape_and_dtype(type, bindings))
            for name, type in results.items()
        ]

    def holds(self, state: Mapping[str, np.ndarray]) -> bool:
        """Whether the variables are the arrays that the table has the addresses of."""
        for name, array in self._held:
            if state.get(name) is not array:
                return False
        return len(self._held) == len(self.manifest.variables)

    def hold(self, state: Mapping[str, np.ndarray]) -> None:
        """Enter the addresses of the variables, which were checked."""
        for name, slots in self.manifest.variables.items():
            address = address_of(state[name])
            for slot in slots:
                self._slots[slot] = address
        # They are kept alive, so that an address that is known is still theirs.
        self._held = [(name, state[name]) for name in self.manifest.variables]

    def lend(self, prepared: Prepared) -> None:
        """Let native code use memory for what it prepares, until `give_back`."""
        self._prepared = prepared
        for slot, address in prepared.places:
            self._slots[slot] = address
        self._slots[IS_PREPARED] = prepared.is_ready

    def give_back(self) -> Prepared | None:
        """The memory that was lent, if any was."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            prepared.is_ready = bool(self._slots[IS_PREPARED])
        return prepared

    def look_at(self, state: Mapping[str, np.ndarray]) -> None:
        """Have native code prepare again what it keeps, unless the variables are surely the same.

        Args:
            state: What this holds.
        """
        if self._prepared is not None and not self._prepared.is_from(state):
            self._slots[IS_PREPARED] = 0  # native code changes it when it has prepared

    def point_data(self, data: Mapping[str, np.ndarray]) -> None:
        """Enter the addresses of the data."""
        slots = self._slots
        for name, slot in self.manifest.data.items():
            slots[slot] = address_of(data[name])

    def new_results(self, leave_out: Mapping[str, Any] = {}) -> dict[str, np.ndarray]:  # noqa: B006
        """New arrays for results, entered in the table.

        Args:
            leave_out: Names of those that are written elsewhere.
        """
        slots = self._slots
        arrays = {}
        for name, slot, shape, dtype in self._results:
            if name in leave_out:
                continue
            array = arrays[name] = np.empty(shape, dtype)
            if slot is not None:
                slots[slot] = address_of(array)
        return arrays

    def point_rows(self, arrays: Mapping[str, np.ndarray], shuffled: bool) -> None:
        """Enter the addresses of arrays of which each step sees some rows.

        Args:
            arrays: By name.
            shuffled: Whether rows are gathered in another order than they lie in.
        """
        if shuffled and self._gathered is None:
            self._gathered = self._gather_memory()
        for tensor in self.manifest.rows:
            self._slots[tensor.base] = address_of(arrays[tensor.name])

    def _gather_memory(self) -> list[_Memory]:
        """Memory for the rows of a step, entered in the table."""
        kept = []
        for tensor in self.manifest.rows:
            if tensor.gathered is not None:
                size = dims.evaluate(tensor.row_bytes, self.bindings)
                kept.append(_Memory(size * self.bindings[BATCH], self.bindings))
                self._slots[tensor.gathered] = kept[-1].address
        return kept

    def set(self, slot: int, number: int) -> None:
        """Change a slot."""
        self._slots[slot] = number

    def set_pool(self, pool: int) -> None:
        """Enter the address of the thread pool; 0 for none."""
        self._slots[POOL] = pool

    def restore_batch(self) -> None:
        """Enter the size of the batch again, which a run of steps changes."""
        slot = self.manifest.symbols.get(BATCH)
        if slot is not None:
            self._slots[slot] = self.bindings[BATCH]


class Prepared:
    """Memory for what native code keeps from call to call, and what that was computed from.

    Args:
        manifest: Says how much there is.

    Attributes:
        places: Pairs of a slot and the address that belongs there.
        is_ready: Whether native code has prepared it.
    """

    def __init__(self, manifest: Manifest):
        plan = plan_memory([Interval(size, 0, 0) for _, size in manifest.prepared])
        self._memory = _Memory(plan.size, {})
        self.places = [
            (slot, self._memory.address + offset)
            for (slot, _), offset in zip(manifest.prepared, plan.offsets, strict=True)
        ]
        self.is_ready = False
        self._names = list(manifest.variables)
        self._arrays: list[np.ndarray] = []
        self._change: object = None

    def is_from(self, state: Mapping[str, np.ndarray]) -> bool:
        """Whether these variables were the last ones asked for, and have not changed since then."""
        arrays = [state[name] for name in self._names]
        change = latest_change() if isinstance(state, State) else None
        same = change is not None and change is self._change
        same = same and all(x is y for x, y in zip(arrays, self._arrays, strict=True))
        self._arrays, self._change = arrays, change
        return same


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
        self.address = -(-address_of(self._bytes) // ALIGNMENT) * ALIGNMENT


def _shape_and_dtype(
    type: TensorType, bindings: Mapping[str, int]
) -> tuple[tuple[int, ...], np.dtype]:
    shape = tuple(dims.evaluate(dim, bindings) for dim in type.shape)
    return shape, numpy_dtype(type.dtype)


def address_of(array: np.ndarray) -> int:
    """Where the elements of a contiguous array are."""
    try:
        # A seventh of the time that the other ways take.
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):  # read-only, empty, or of a type unknown to C
        return int(array.__array_interface__["data"][0])
