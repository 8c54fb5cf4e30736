"""Structured control flow: loops and branches are `with` blocks or functions that write code.

The books of basic blocks and phi nodes are kept here, so that nobody else sees any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from graphc.runtime.cpu.arithmetic import Arithmetic, Operand
from graphc.runtime.cpu.registers import Register, constant_register


@dataclass
class Loop:
    """A running loop: its index and the values that it carries from turn to turn.

    Set `values` in the body to what the next turn shall start with; after the loop, `results`
    holds what the last turn left (the initial values if there was none).
    """

    index: Register
    values: list[Register]
    results: list[Register] = field(default_factory=list)


class ControlFlow(Arithmetic):
    """The part of `Emitter` that decides what runs, and how often."""

    block: str

    @contextmanager
    def loop(self, begin: Operand, end: Operand, step: Operand = 1) -> Iterator[Register]:
        """Runs its body with an index from `begin` up to but not including `end`."""
        with self.carry(begin, end, step) as state:
            yield state.index

    @contextmanager
    def carry(
        self, begin: Operand, end: Operand, step: Operand = 1, initial: Sequence[Register] = ()
    ) -> Iterator[Loop]:
        """A loop that carries values from turn to turn, in registers.

        Example:
            >>> with e.carry(0, count, 1, [zero]) as loop:              # doctest: +SKIP
            ...     loop.values[0] = e.add(loop.values[0], element(loop.index))
            >>> total, = loop.results                                   # doctest: +SKIP
        """
        first, last, stride = (self._as_index(x) for x in (begin, end, step))
        body, after = self._label("body"), self._label("after")
        before = self.block
        guarded = first.number is None or last.number is None or first.number >= last.number
        if guarded:
            inside = self.compare("lt", first, last)
            self.lines.append(f"  br i1 {inside.text}, label %{body}, label %{after}")
        else:
            self.lines.append(f"  br label %{body}")
        self._start(body)
        place = len(self.lines)
        index = self._fresh("index")
        carried = [self._fresh(x.dtype, x.lanes) for x in initial]
        state = Loop(index, list(carried))
        yield state
        advanced = self.add(index, stride)
        again = self.compare("lt", advanced, last)
        branch = f"  br i1 {again.text}, label %{body}, label %{after}, !llvm.loop !0"
        self.lines.append(branch)
        latch = self.block
        self.lines[place:place] = [
            _phi(register, [(start, before), (following, latch)])
            for register, start, following in zip(
                [index, *carried], [first, *initial], [advanced, *state.values], strict=True
            )
        ]
        self._start(after)
        state.results = list(state.values)
        if guarded:
            state.results = [self._fresh(x.dtype, x.lanes) for x in initial]
            for register, start, final in zip(state.results, initial, state.values, strict=True):
                self.lines.append(_phi(register, [(start, before), (final, latch)]))

    @contextmanager
    def while_(self, condition: Callable[[], Register]) -> Iterator[None]:
        """Runs its body as long as the condition, whose code runs before each turn, holds."""
        head, body, after = self._label("head"), self._label("body"), self._label("after")
        self.lines.append(f"  br label %{head}")
        self._start(head)
        holds = condition()
        self.lines.append(f"  br i1 {holds.text}, label %{body}, label %{after}")
        self._start(body)
        yield
        self.lines.append(f"  br label %{head}, !llvm.loop !0")
        self._start(after)

    @contextmanager
    def if_(self, condition: Register) -> Iterator[None]:
        """Runs its body only if the scalar condition holds."""
        body, after = self._label("then"), self._label("after")
        self.lines.append(f"  br i1 {condition.text}, label %{body}, label %{after}")
        self._start(body)
        yield
        self.lines.append(f"  br label %{after}")
        self._start(after)

    def choose(
        self,
        condition: Register,
        then: Callable[[], Sequence[Register]],
        otherwise: Callable[[], Sequence[Register]] = tuple,
    ) -> list[Register]:
        """An if-else with values: runs one of two functions' code and gives what that gave."""
        yes, no, after = self._label("then"), self._label("else"), self._label("after")
        self.lines.append(f"  br i1 {condition.text}, label %{yes}, label %{no}")
        outcomes = []
        for label, branch in ((yes, then), (no, otherwise)):
            self._start(label)
            values = branch()
            outcomes.append((values, self.block))
            self.lines.append(f"  br label %{after}")
        self._start(after)
        (first, first_block), (second, second_block) = outcomes
        results = [self._fresh(x.dtype, x.lanes) for x in first]
        for register, x, y in zip(results, first, second, strict=True):
            self.lines.append(_phi(register, [(x, first_block), (y, second_block)]))
        return results

    # Helpers ----------------------------------------------------------------------------------

    def _as_index(self, x: Operand) -> Register:
        return x if isinstance(x, Register) else constant_register(x, "index")

    def _fresh(self, dtype: str, lanes: int = 1) -> Register:
        self._count += 1
        return Register(f"%v{self._count}", dtype, lanes)

    def _label(self, purpose: str) -> str:
        self._count += 1
        return f"{purpose}{self._count}"

    def _start(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.block = label


def _phi(register: Register, sources: Sequence[tuple[Register, str]]) -> str:
    pairs = ", ".join(f"[ {x.text}, %{block} ]" for x, block in sources)
    return f"  {register.text} = phi {register.type} {pairs}"
