"""A contraction to generate, and what its caller must know: chunks, scratch memory, sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from graphc.runtime.cpu.contraction_plan import TYPICAL_SIZE, Axis, Plan, Scope, evaluate, quotient
from graphc.runtime.cpu.contraction_planner import Planner
from graphc.runtime.cpu.emitter import Emitter, Parameter, Register
from graphc.runtime.cpu.registers import HALVES
from graphc.runtime.cpu.target import ITEM_SIZES, Target

#: Steps of a block that is never full.
_ENDLESS = 1 << 40


@dataclass(frozen=True)
class Contraction:
    """What to compute: the axes of each group, and what they hold.

    Attributes:
        rows: axes that only the first factor and the result have.
        columns: axes that only the second factor and the result have.
        reduction: axes that only the factors have; summed over in this order, the last fastest.
        outer: axes that all have.
        dtype: of both factors. Sums of 16-bit floats are float32, others the factors' dtype.
        parameters: further arguments for the epilogue.
        staged: pass sums to the epilogue through memory, so that a long epilogue's code is not
            repeated for every row of a tile.
        noalias: whether nothing that the epilogue writes overlaps the factors.
        parts: into how many parts the first reduction axis is cut, each with sums of its own, so
            that threads can share a long sum of few results.
        part_stride: elements from a part's result to the next one's.
        batch: what run-time sizes are taken for where a decision needs a number.
        is_cold: whether the second factor comes from memory: weights that nothing else has used
            since the last time.
        is_packed: whether the panels of the second factor that the plan packs come packed already,
            as `Native.pack_name` packs them: behind `b` the function takes where they are.

    Sizes and strides (in elements) are numbers or products with run-time sizes: `"3*batch"`.
    """

    rows: tuple[Axis, ...] = ()
    columns: tuple[Axis, ...] = ()
    reduction: tuple[Axis, ...] = ()
    outer: tuple[Axis, ...] = ()
    dtype: str = "float32"
    parameters: tuple[Parameter, ...] = ()
    staged: bool = False
    noalias: bool = False
    parts: int = 1
    part_stride: int = 0
    batch: int = TYPICAL_SIZE
    is_cold: bool = False
    is_packed: bool = False

    def __post_init__(self) -> None:
        """Checks that the axes agree on how many operands there are."""
        counts = {len(axis.extra) for axis in self.axes}
        if len(counts) > 1:
            raise ValueError(f"every axis needs a stride for every operand, got {sorted(counts)}")
        if self.dtype == "bool":
            raise ValueError("a contraction needs numbers, got bool; cast the operands")

    @property
    def axes(self) -> tuple[Axis, ...]:
        """All of them."""
        return (*self.outer, *self.rows, *self.columns, *self.reduction)

    @property
    def sum_dtype(self) -> str:
        """What the epilogue gets."""
        return "float32" if self.dtype in HALVES else self.dtype

    def plan(self, target: Target) -> Plan:
        """How it will be computed on a target."""
        groups = (self.outer, self.rows, self.columns, self.reduction)
        lanes = target.lanes(self.sum_dtype)
        planner = Planner(ITEM_SIZES[self.dtype], lanes, target, self.batch, self.is_cold)
        plan = planner.plan(groups)
        if self.parts > 1:  # a part is a block, at most
            sums = (*plan.around, *plan.reduction)
            block = _ENDLESS if plan.around or plan.block is None else plan.block
            plan = replace(plan, around=(), reduction=sums, block=block)
            if plan.pack_together:  # as many panels as fit for shorter blocks
                plan = replace(plan, pack_together=False, panels_per_chunk=1)
        return plan


@dataclass(frozen=True)
class Native:
    """A generated contraction: the function `name` and what its caller must know.

    Its parameters are: the factors `a` and `b` (and `b` packed, if it is), the epilogue's operands
    (the result first) as pointers, `Contraction.parameters`, the run-time sizes in the order of
    `sizes`, a scratch pointer, and the range `begin`, `end` of chunks to compute. Chunks are
    independent of each other and may run on any thread, each thread with its own scratch memory;
    which range an element's chunk is part of does not change a bit of it.
    """

    name: str
    contraction: Contraction
    plan: Plan

    @property
    def sizes(self) -> list[str]:
        """Names of the run-time sizes, in the order of the function's parameters."""
        return self.plan.names

    @property
    def pack_name(self) -> str:
        """The function that packs the second factor: `b`, the packed copy, sizes, some panels."""
        return f"{self.name}.ahead"

    @property
    def panels(self) -> int:
        """How many panels a second factor of known size has."""
        return -(-evaluate(self.plan.column.size, {}) // self.plan.width)

    @property
    def panel_elements(self) -> int:
        """Elements of a packed panel of a second factor of known size."""
        steps = (*self.plan.around, *self.plan.reduction)
        return math.prod(evaluate(axis.size, {}) for axis in steps) * self.plan.width

    def chunks(self, sizes: Mapping[str, int] | None = None) -> int:
        """The number of chunks for these run-time sizes."""
        known, plan = sizes or {}, self.plan
        tiles = -(-evaluate(plan.row.size, known) // plan.tile_rows)
        panels = -(-evaluate(plan.column.size, known) // plan.width)
        groups = -(-panels // plan.panels_per_chunk)
        outer, lines = (
            math.prod(evaluate(axis.size, known) for axis in axes)
            for axes in (plan.outer, plan.lines)
        )
        each = self.contraction.parts * outer * groups
        if plan.lines_per_chunk is None:
            return each * lines * -(-tiles // plan.tiles_per_chunk)
        return each * (-(-lines // plan.lines_per_chunk) if tiles else 0)

    def scratch_bytes(self, sizes: Mapping[str, int] | None = None) -> int:
        """Bytes of scratch memory that each thread needs."""
        known, plan = sizes or {}, self.plan
        first = evaluate(plan.reduction[0].size, known)
        first = first if plan.block is None else min(first, plan.block)
        steps = first * math.prod(evaluate(axis.size, known) for axis in plan.reduction[1:])
        return self.partial_bytes + self._margin_bytes + steps * self._step_bytes

    def emit_chunks(self, e: Emitter, sizes: Mapping[str, Register]) -> Register:
        """Code for `chunks`."""
        return e.mul(Counts(self.plan, Scope(e, sizes)).chunks, self.contraction.parts)

    def emit_scratch_bytes(self, e: Emitter, sizes: Mapping[str, Register]) -> Register:
        """Code for `scratch_bytes`."""
        steps = self.block_steps(Scope(e, sizes))
        return e.add(e.mul(steps, self._step_bytes), self.partial_bytes + self._margin_bytes)

    def block_steps(self, scope: Scope) -> Register:
        """Code for how many steps of the whole reduction there are in a full block."""
        first, *others = self.plan.reduction
        steps = scope.of(first.size)
        if self.plan.block is not None:
            steps = scope.e.minimum(steps, self.plan.block)
        return scope.e.mul(steps, scope.points(others))

    @property
    def partial_bytes(self) -> int:
        """Room for the sums of a chunk between two blocks of the reduction; packed copies follow.

        First the panel of the vector operand, then the slivers of the first factor.
        """
        plan = self.plan
        if plan.block is None:
            return 0
        columns = plan.width * plan.panels_per_chunk
        return plan.rows_per_chunk * columns * ITEM_SIZES[self.contraction.sum_dtype]

    @property
    def _margin_bytes(self) -> int:
        """Room between the slivers of a chunk's tiles."""
        plan = self.plan
        rows = plan.rows_per_chunk if plan.pack_first else 0
        return rows * plan.margin * ITEM_SIZES[self.contraction.dtype]

    @property
    def panel_step_bytes(self) -> int:
        """Bytes of a step of a packed panel, or of those that are packed together."""
        plan = self.plan
        packs = (plan.pack or plan.pack_tail) and not self.contraction.is_packed
        columns = plan.width if packs else 0
        panels = plan.panels_per_chunk if plan.pack_together else 1
        return panels * columns * ITEM_SIZES[self.contraction.dtype]

    @property
    def _step_bytes(self) -> int:
        """Bytes of a step of all packed copies."""
        rows = self.plan.rows_per_chunk if self.plan.pack_first else 0
        return self.panel_step_bytes + rows * ITEM_SIZES[self.contraction.dtype]


class Counts:
    """How the work of a part splits into chunks, as registers; see `Native.chunks`."""

    def __init__(self, plan: Plan, scope: Scope) -> None:
        e = scope.e
        self.rows = scope.of(plan.row.size)
        self.columns = scope.of(plan.column.size)
        self.tiles = ceiling(e, self.rows, plan.tile_rows)
        self.panels = ceiling(e, self.columns, plan.width)
        self.groups = ceiling(e, self.panels, plan.panels_per_chunk)
        self.outer = [scope.of(axis.size) for axis in plan.outer]
        self.lines = [scope.of(axis.size) for axis in plan.lines]
        self.line_count = scope.points(plan.lines)
        if plan.lines_per_chunk is None:
            self.row_blocks = ceiling(e, self.tiles, plan.tiles_per_chunk)
            self.blocks = e.mul(self.line_count, self.row_blocks)
        else:
            self.row_blocks = e.minimum(self.tiles, 1)
            line_blocks = ceiling(e, self.line_count, plan.lines_per_chunk)
            self.blocks = e.mul(line_blocks, self.row_blocks)
        self.chunks = e.mul(e.mul(self.blocks, self.groups), scope.points(plan.outer))


def ceiling(e: Emitter, x: Register, step: int) -> Register:
    return quotient(e, e.add(x, step - 1), e.index(step))
