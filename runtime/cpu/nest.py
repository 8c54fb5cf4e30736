"""Loop nests: the code of a `LoopPlan`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphc.ir import Graph, Node, TensorType, Value, is_float
from graphc.ir.dims import Dim
from graphc.ops.linalg import Einsum
from graphc.ops.movement import Iota
from graphc.ops.reduce import ReduceMax, ReduceMin, ReduceProd, ReduceSum
from graphc.runtime.cpu.emitter import Emitter, Register
from graphc.runtime.cpu.frame import Buffer, Frame, View
from graphc.runtime.cpu.loops import COSTS, UNROLLED, Access, LoopPlan
from graphc.runtime.cpu.registers import HALVES

#: What is rather written to memory and read again than computed twice.
EXPENSIVE = frozenset(name for name, cost in COSTS.items() if cost >= 20)

#: Steps of a loop whose sums are added up before they meet the other sums.
SUMMED_AT_ONCE = 128

Body = Callable[[Register, Register | None, list[Register]], list[Register]]


class Nest:
    """Writes the loops of a body into a function.

    Args:
        frame: The function.
        body: The body of a `Fused` node.
        plan: Its loops.
    """

    def __init__(self, frame: Frame, body: Graph, plan: LoopPlan):
        self.frame = frame
        self.e: Emitter = frame.e
        self.plan = plan
        self.body = body
        self.passes = _passes(plan)
        self.kept = {} if self._cached else self._keep()
        self.places: dict[int, Register] = {}
        self.index: dict[int, Register] = {}
        self.mask: Register | None = None
        # What was computed at each level and is still good.
        self.memo: list[dict[Value, Register]] = [{}, {}, {}]
        self.pieces: dict[str, dict[Value, Register]] = {}
        self.origins: dict[int, Register] = {}
        self.written: dict[Value, Access] = {}
        self.totals: _Totals | None = None
        self.part: Register | None = None

    def write(self, begin: Register, end: Register) -> None:
        """The code for a range of work units."""
        e, plan = self.e, self.plan
        for value, access in self.kept.items():
            size = access.view.buffer.type.shape[0]
            self.places[id(access)] = e.stack(value.dtype, int(size))
        if plan.parts is None:
            self._units(begin, end)
            return
        with e.loop(begin, end) as number:
            units = self.frame.dim(plan.units_of_part)
            self.part = e.emit(f"udiv i64 {number.text}, {units.text}", "index")
            unit = e.sub(number, e.mul(self.part, units))
            self._units(unit, e.add(unit, 1))

    def _units(self, begin: Register, end: Register) -> None:
        e, plan = self.e, self.plan
        if plan.outer:
            with e.loop(begin, end) as unit:
                self._set_outer(unit)
                self._unit(0, plan.sizes[plan.vector] if plan.vector is not None else 1)
        elif plan.vector is None or plan.vector_is_reduced:
            with e.loop(begin, end):
                self._unit(0, plan.sizes[plan.vector] if plan.vector is not None else 1)
        else:
            size = plan.sizes[plan.vector]
            if isinstance(size, int) and size <= plan.block:
                with e.loop(begin, end):
                    self._unit(0, size)
            else:
                last = e.minimum(e.mul(end, plan.block), self.frame.dim(size))
                self._unit(e.mul(begin, plan.block), last)

    def _keep(self) -> dict[Value, Access]:
        """Rows of what is expensive to compute and needed in a later pass too, on the stack."""
        plan: LoopPlan = self.plan
        kept: dict[Value, Access] = {}
        if not plan.vector_is_reduced:
            return kept
        stored = {value for value, _ in plan.outputs}
        for number, runs in enumerate(self.passes):
            stack = [x for _, targets in runs for target in targets for x in target.operands]
            while stack:
                value = stack.pop()
                if plan.level(value) < 2 or value.node is None:
                    continue
                if plan.depth[value] < number and value in (stored | set(kept)):
                    continue
                if plan.depth[value] < number and value.node.op.name in EXPENSIVE:
                    kept[value] = _row_access(plan, value)
                    continue
                stack.extend(value.node.inputs)
        for value, access in kept.items():
            loops = plan.loops[value] & plan.reduced
            target = _Target(None, [value], access)
            for found, targets in self.passes[plan.depth[value]]:
                if found == loops:
                    targets.append(target)
                    break
            else:
                self.passes[plan.depth[value]].append((loops, [target]))
        return kept

    def _set_outer(self, unit: Register) -> None:
        e, plan = self.e, self.plan
        rest = unit
        for loop in reversed(plan.outer[1:]):
            size = self.frame.dim(plan.sizes[loop])
            above = e.emit(f"udiv i64 {rest.text}, {size.text}", "index")
            self.index[loop] = e.sub(rest, e.mul(above, size))
            rest = above
        self.index[plan.outer[0]] = rest

    def _unit(self, low: int | Register, high: Dim | Register) -> None:
        """Everything at one point of the outer loops."""
        plan = self.plan
        self.memo = [{}, {}, {}]
        self.pieces = {}
        self.written = {}
        self._set_origins()
        outer_outputs = [(v, a) for v, a in plan.outputs if plan.level(v) == 0]
        if plan.vector is None or plan.vector_is_reduced:
            self._passes_of_unit()
            self._store_all(outer_outputs)
            return
        self._require([v for v, _ in plan.outputs if plan.level(v) > 0], 1)

        def block(index: Register, mask: Register | None, _: list[Register]) -> list[Register]:
            self.index[plan.vector], self.mask = index, mask  # type: ignore[index]
            self.memo[1:] = [{}, {}]
            self.written = {}
            self._passes_of_unit()
            self._store_all([(v, a) for v, a in plan.outputs if plan.level(v) == 1])
            return []

        self._vector_loop(low, high, [], block)
        self.mask = None
        self._store_all(outer_outputs)

    def _set_origins(self) -> None:
        """Addresses at this point of the outer loops."""
        e = self.e
        self.origins = dict(self.places)
        apart = {} if self.plan.parts is None else {id(a): x for a, x in self.plan.parts.strides}
        accesses = [*self.plan.inputs.values(), *(access for _, access in self.plan.outputs)]
        for access in accesses:
            pointer = self.frame.pointer(access.view)
            offset = e.index(0)
            for loop in self.plan.outer:
                stride = self.frame.dim(access.strides[loop])
                offset = e.add(offset, e.mul(self.index[loop], stride))
            if id(access) in apart:
                assert self.part is not None
                offset = e.add(offset, e.mul(self.part, self.frame.dim(apart[id(access)])))
            self.origins[id(access)] = e.offset(pointer, offset, access.view.dtype)

    # Passes over the reduced loops ------------------------------------------------------------

    def _passes_of_unit(self) -> None:
        for number, runs in enumerate(self.passes):
            for loops, targets in runs:
                self._run(number, loops, targets)

    def _run(self, number: int, loops: frozenset[int], targets: list[_Target]) -> None:
        """One pass over some reduced loops: reductions, and stores of inner values."""
        e, plan = self.e, self.plan
        roots = [value for target in targets for value in target.operands]
        self._require(roots, 2)
        sums = [target for target in targets if target.node is not None]
        initial = [self._initial(target) for target in sums]
        stores = [target for target in targets if target.node is None]

        def point(carried: list[Register]) -> list[Register]:
            following = [self._combine(target, x) for target, x in zip(sums, carried, strict=True)]
            for target in stores:
                self._store(target.operands[0], target.access)  # type: ignore[arg-type]
            return following

        order = sorted(loops, key=lambda loop: (loop == plan.vector, loop))
        self.totals = _Totals(e, [target.node for target in sums if target.node], initial)
        results = self._nested(order, initial, point)
        for target, total in zip(sums, results, strict=True):
            assert target.node is not None
            if plan.vector in plan.reductions[target.node]:
                total = _fold_lanes(e, target.node, total)
            value = target.node.output
            self.memo[plan.level(value)][value] = e.cast(total, value.dtype)
        for target in stores:
            self.written[target.operands[0]] = target.access  # type: ignore[assignment]

    def _nested(
        self,
        order: Sequence[int],
        carried: list[Register],
        point: Callable[[list[Register]], list[Register]],
    ) -> list[Register]:
        e, plan = self.e, self.plan
        if not order:
            self.memo[2] = {}
            return point(carried)
        loop = order[0]
        if loop != plan.vector:

            def step(index: Register, values: list[Register]) -> list[Register]:
                self.index[loop] = index
                return self._nested(order[1:], values, point)

            low, high = self._bounds(loop)
            first = e.index(low) if isinstance(low, int) else low
            last = high if isinstance(high, Register) else self.frame.dim(high)
            return self._loop(first, last, 1, carried, step)

        def lanes(index: Register, mask: Register | None, values: list[Register]) -> list[Register]:
            self.index[loop], self.mask = index, mask
            self.memo[2] = self.pieces.setdefault(index.text, {}) if self._cached else {}
            return point(values)

        low, high = self._bounds(loop)
        results = self._vector_loop(low, high, carried, lanes)
        self.mask = None
        return results

    def _bounds(self, loop: int) -> tuple[int | Register, Dim | Register]:
        """Where a reduced loop begins and ends: it runs over all, or over one part."""
        size, parts = self.plan.sizes[loop], self.plan.parts
        if parts is None or parts.loop != loop:
            return 0, size
        assert self.part is not None
        low = self.e.mul(self.part, parts.size)
        return low, self.e.minimum(self.e.add(low, parts.size), self.frame.dim(size))

    @property
    def _cached(self) -> bool:
        """Whether all of a row's values stay in registers from pass to pass."""
        plan = self.plan
        if plan.vector is None or plan.reduced != {plan.vector}:
            return False
        size = plan.sizes[plan.vector]
        return isinstance(size, int) and size <= UNROLLED * plan.lanes

    def _vector_loop(
        self, low: int | Register, high: Dim | Register, carried: list[Register], body: Body
    ) -> list[Register]:
        """Runs over whole vectors, then over what is left with a mask."""
        e, lanes = self.e, self.plan.lanes
        if isinstance(low, int) and isinstance(high, int):
            full, rest = divmod(high - low, lanes)
            if full <= UNROLLED:
                for i in range(full):
                    carried = body(e.index(low + i * lanes), None, carried)
            else:
                end = e.index(low + full * lanes)
                carried = self._loop(
                    e.index(low), end, lanes, carried, lambda i, values: body(i, None, values)
                )
            if rest:
                mask = e.tail_mask(rest, lanes) if lanes > 1 else None
                carried = body(e.index(low + full * lanes), mask, carried)
            return carried
        first = e.index(low) if isinstance(low, int) else low
        last = high if isinstance(high, Register) else self.frame.dim(high)
        whole = e.add(first, e.bitwise_and(e.sub(last, first), -lanes))
        carried = self._loop(first, whole, lanes, carried, lambda i, values: body(i, None, values))
        if lanes == 1:
            return carried
        mask = e.tail_mask(e.sub(last, whole), lanes)
        if carried:
            return body(whole, mask, carried)
        with e.if_(e.compare("lt", whole, last)):
            body(whole, mask, [])
        return []

    def _loop(
        self,
        begin: Register,
        end: Register,
        stride: int,
        carried: list[Register],
        step: Callable[[Register, list[Register]], list[Register]],
    ) -> list[Register]:
        """A loop; sums of many numbers are sums of sums of `SUMMED_AT_ONCE`, which round less."""
        e, totals = self.e, self.totals
        known = begin.number is not None and end.number is not None
        short = known and end.number - begin.number <= stride * SUMMED_AT_ONCE  # type: ignore
        if short or not carried or totals is None or not totals.round:
            with e.carry(begin, end, stride, carried) as turn:
                turn.values = step(turn.index, list(turn.values))
            return turn.results
        self.totals = None  # loops inside this one just add up
        block = stride * SUMMED_AT_ONCE
        with e.carry(begin, end, block, carried) as outer:
            stop = e.minimum(e.add(outer.index, block), end)
            with e.carry(outer.index, stop, stride, totals.initial) as turn:
                turn.values = step(turn.index, list(turn.values))
            outer.values = totals.combine(list(outer.values), turn.results)
        self.totals = totals
        return outer.results

    # Values -----------------------------------------------------------------------------------

    def _require(self, roots: Sequence[Value], level: int) -> None:
        """Compute what values of ``level`` or more need from outside, before their loop."""
        plan = self.plan
        seen: set[Value] = set()
        stack = list(roots)
        while stack:
            value = stack.pop()
            if value in seen:
                continue
            seen.add(value)
            if plan.level(value) < level:
                self._value(value)
            elif value.node is not None and value not in self.written:
                stack.extend(value.node.inputs)

    def _value(self, value: Value) -> Register:
        """The register of a value, computed here if it is not known yet."""
        memo = self.memo[self.plan.level(value)]
        if value not in memo:
            memo[value] = self.e.broadcast(self._compute(value), self.plan.width(value))
        return memo[value]

    def _compute(self, value: Value) -> Register:
        e, plan = self.e, self.plan
        if value in self.written and plan.level(value) == 2:
            return self._load(self.written[value], value)
        node = value.node
        if node is None:
            return self._load(plan.inputs[value], value)
        op = node.op
        width = plan.width(value)
        if op.name == "Constant":
            return e.constant(op.value.array.item(), value.dtype, width)
        if op.name == "SizeOf":
            return e.cast(self.frame.dim(op.dim), op.dtype)
        if isinstance(op, Iota):
            return self._count(value)
        operands = [e.broadcast(self._value(x), width) for x in node.inputs]
        if op.elementwise:
            return op.emit(e, *operands)
        if isinstance(op, Einsum):  # over axes of size 1 only
            return e.mul(*operands)
        return operands[0]

    def _count(self, value: Value) -> Register:
        e, plan = self.e, self.plan
        total = e.index(0)
        for loop, stride in enumerate(plan.counters[value]):
            if stride != 0:
                total = e.add(total, e.mul(self.index[loop], self.frame.dim(stride)))
        first = e.cast(total, value.dtype)
        step = plan.counters[value][plan.vector] if plan.vector is not None else 0
        if plan.width(value) == 1 or step == 0:
            return first
        lanes = e.cast(e.mul(e.iota("index", plan.lanes), self.frame.dim(step)), value.dtype)
        return e.add(e.broadcast(first, plan.lanes), lanes)

    # Memory -----------------------------------------------------------------------------------

    def _address(self, access: Access) -> Register:
        e, plan = self.e, self.plan
        offset = e.index(0)
        for loop, stride in enumerate(access.strides):
            if loop not in plan.outer and stride != 0:
                offset = e.add(offset, e.mul(self.index[loop], self.frame.dim(stride)))
        return e.offset(self.origins[id(access)], offset, access.view.dtype)

    def _load(self, access: Access, value: Value) -> Register:
        e, plan = self.e, self.plan
        address, width = self._address(access), plan.width(value)
        stride = access.strides[plan.vector] if plan.vector is not None else 0
        if width == 1 or stride == 0:
            return e.broadcast(e.load(address, value.dtype), width)
        if stride == 1:
            return e.load(address, value.dtype, width, self.mask)
        steps = e.mul(e.iota("index", width), e.broadcast(self.frame.dim(stride), width))
        return e.gather(address, steps, value.dtype, self.mask)

    def _store_all(self, outputs: Sequence[tuple[Value, Access]]) -> None:
        """Store results, each of which may take the memory of an operand of another one."""
        for value, _ in outputs:
            self._value(value)
        for value, access in outputs:
            self._store(value, access)

    def _store(self, value: Value, access: Access) -> None:
        e, plan = self.e, self.plan
        address, width = self._address(access), plan.width(value)
        x = e.broadcast(self._value(value), width)
        stride = access.strides[plan.vector] if plan.vector is not None else 0
        if width == 1:
            e.store(x, address)
        elif stride == 1:
            e.store(x, address, self.mask)
        else:
            steps = e.mul(e.iota("index", width), e.broadcast(self.frame.dim(stride), width))
            e.scatter(x, address, steps, self.mask)

    # Reductions -------------------------------------------------------------------------------

    def _initial(self, target: _Target) -> Register:
        node = target.node
        assert node is not None
        wide = any(self.plan.width(value) > 1 for value in target.operands)
        dtype = _sum_dtype(node.output.dtype)
        return self.e.constant(_identity(node, dtype), dtype, self.plan.lanes if wide else 1)

    def _combine(self, target: _Target, carried: Register) -> Register:
        e, node = self.e, target.node
        assert node is not None
        operands = [e.cast(self._value(value), carried.dtype) for value in target.operands]
        operands = [e.broadcast(x, carried.lanes) for x in operands]
        if isinstance(node.op, Einsum):
            combined = e.fma(operands[0], operands[1], carried)
        else:
            combined = _combine(e, node, carried, operands[0])
        if self.mask is None or carried.lanes == 1:
            return combined
        if self.plan.vector not in self.plan.reductions[node]:
            return combined
        return e.select(self.mask, combined, carried)


class _Totals:
    """How partial results of reductions are put together."""

    def __init__(self, e: Emitter, nodes: Sequence[Node], initial: list[Register]):
        self.e = e
        self.nodes = nodes
        self.initial = initial
        sums = (ReduceSum, Einsum)
        #: Whether there is a sum that rounds.
        self.round = any(isinstance(n.op, sums) and is_float(n.output.dtype) for n in nodes)

    def combine(self, xs: list[Register], ys: list[Register]) -> list[Register]:
        """The results of two parts as one."""
        return [_combine(self.e, node, x, y) for node, x, y in zip(self.nodes, xs, ys, strict=True)]


class _Target:
    """What a pass computes: a reduction, or a value that is stored."""

    def __init__(self, node: Node | None, operands: Sequence[Value], access: Access | None):
        self.node = node
        self.operands = operands
        self.access = access


def _passes(plan: LoopPlan) -> list[list[tuple[frozenset[int], list[_Target]]]]:
    """For each pass its runs over reduced loops, and what they compute."""
    passes: dict[int, dict[frozenset[int], list[_Target]]] = {}
    for node, loops in plan.reductions.items():
        if loops:
            level = plan.depth[node.output] - 1
            needed = frozenset().union(*(plan.loops[value] for value in node.inputs))
            runs = passes.setdefault(level, {})
            runs.setdefault(needed & plan.reduced, []).append(_Target(node, node.inputs, None))
    for value, access in plan.outputs:
        if plan.level(value) == 2:
            runs = passes.setdefault(plan.depth[value], {})
            loops = plan.loops[value] & plan.reduced
            runs.setdefault(loops, []).append(_Target(None, [value], access))
    count = max(passes, default=-1) + 1
    return [list(passes.get(level, {}).items()) for level in range(count)]


def _row_access(plan: LoopPlan, value: Value) -> Access:
    """A place for a row of a value."""
    strides: list[Dim] = [0] * len(plan.sizes)
    size: Dim = 1
    for loop in sorted(plan.loops[value] & plan.reduced, reverse=True):
        strides[loop] = size
        size = size * plan.sizes[loop]
    buffer = Buffer(-1, TensorType((size,), value.dtype), "stack")
    return Access(View.whole(buffer), strides)


def _sum_dtype(dtype: str) -> str:
    return "float32" if dtype in HALVES else dtype


def _identity(node: Node, dtype: str) -> float | int:
    """What changes nothing when it is combined with anything."""
    if isinstance(node.op, ReduceProd):
        return 1
    if isinstance(node.op, (ReduceMax, ReduceMin)):
        low = isinstance(node.op, ReduceMax)
        if is_float(dtype):
            return -np.inf if low else np.inf
        limits = np.iinfo(dtype)
        return int(limits.min if low else limits.max)
    return 0


def _combine(e: Emitter, node: Node, x: Register, y: Register) -> Register:
    match node.op:
        case ReduceProd():
            return e.mul(x, y)
        case ReduceMax():
            return e.maximum(x, y)
        case ReduceMin():
            return e.minimum(x, y)
    return e.add(x, y)


def _fold_lanes(e: Emitter, node: Node, x: Register) -> Register:
    match node.op:
        case ReduceProd():
            return e.reduce_mul(x)
        case ReduceMax():
            return e.reduce_max(x)
        case ReduceMin():
            return e.reduce_min(x)
    return e.reduce_add(x)
