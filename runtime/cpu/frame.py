"""What a generated function knows: sizes, memory, and where tensors lie in it.

All functions of a program take one argument that tells them everything: the *context*, a table of
64-bit slots that the host fills in. Sizes that depend on symbolic dimensions are computed from the
slots at the entry of each function; constant sizes are constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir.dims import Dim, FloorDiv, Shape, SymbolicDim
from graphc.ir.types import TensorType
from graphc.runtime.cpu.emitter import Emitter, Register


@dataclass
class Buffer:
    """A piece of memory that holds one tensor, densely and in row-major order.

    Attributes:
        index: Its number.
        type: What it holds.
        kind: ``"data"``, ``"variable"``, ``"result"``, ``"arena"``, ``"prepared"`` (kept from step
            to step), ``"constant"``, ``"moving"`` (native code sets its slot before each use) or
            ``"stack"`` (of a kernel).
        name: Of data, variables and results the name in the program; of constants the symbol.
    """

    index: int
    type: TensorType
    kind: str
    name: str = ""


@dataclass(frozen=True)
class View:
    """A tensor as a kernel sees it: elements of a buffer at regular distances.

    Attributes:
        buffer: The memory.
        shape: The dimensions.
        strides: Distance of neighbours along each axis, in elements.
        offset: The first element.
    """

    buffer: Buffer
    shape: Shape
    strides: tuple[Dim, ...]
    offset: Dim = 0

    @staticmethod
    def whole(buffer: Buffer) -> View:
        """All of a buffer."""
        return View(buffer, buffer.type.shape, dense_strides(buffer.type.shape))

    @property
    def dtype(self) -> str:
        """The element type."""
        return self.buffer.type.dtype

    @property
    def is_whole(self) -> bool:
        """Whether it is all of its buffer, in order (perhaps in another shape)."""
        return (
            self.offset == 0
            and self.is_dense
            and TensorType(self.shape, self.dtype).size == self.buffer.type.size
        )

    @property
    def is_dense(self) -> bool:
        """Whether its elements follow each other without gaps."""
        expected = dense_strides(self.shape)
        return all(
            size == 1 or stride == dense
            for size, stride, dense in zip(self.shape, self.strides, expected, strict=True)
        )


def dense_strides(shape: Sequence[Dim]) -> tuple[Dim, ...]:
    """The strides of a row-major tensor."""
    strides: list[Dim] = []
    step: Dim = 1
    for dim in reversed(shape):
        strides.append(step)
        step = step * dim
    return tuple(reversed(strides))


@dataclass(frozen=True)
class Layout:
    """Which slot of the context is what.

    Attributes:
        symbols: Slots of the symbolic dimensions, by name.
        first_buffer: The slot of the first buffer; the others follow it.
    """

    symbols: dict[str, int]
    first_buffer: int

    def slot(self, buffer: Buffer) -> int:
        """The slot that holds a buffer's address."""
        return self.first_buffer + buffer.index


class Frame:
    """A function under construction, and what it reads from its context.

    Args:
        e: The function's emitter; its first argument is the context.
        layout: The meaning of the slots.
        operands: Where the function finds the numbers of the slots that hold its buffers; None if
            they are written into its code.
        context: The table; the function's first argument by default.

    Attributes:
        table: The slots that have to be there, in order.
    """

    def __init__(
        self,
        e: Emitter,
        layout: Layout,
        operands: Register | None = None,
        context: Register | None = None,
    ):
        self.e = e
        self.layout = layout
        self.context = e.arguments[0] if context is None else context
        self.operands = operands
        self.table: list[int] = []
        self._symbols: dict[str, Register] = {}
        self._dims: dict[Dim, Register] = {}
        self._pointers: dict[int, Register] = {}

    def slot(self, number: int, dtype: str = "index") -> Register:
        """The content of a slot."""
        return self.e.load(self.e.offset(self.context, number, "index"), dtype)

    def set_slot(self, number: int, x: Register) -> None:
        """Change the content of a slot."""
        self.e.store(x, self.e.offset(self.context, number, "index"))

    def symbol(self, name: str) -> Register:
        """A symbolic dimension."""
        if name not in self._symbols:
            with self.e.entry():
                self._symbols[name] = self.slot(self.layout.symbols[name])
        return self._symbols[name]

    def dim(self, dim: Dim) -> Register:
        """A size; computed once, at the function's entry."""
        if isinstance(dim, int):
            return self.e.index(dim)
        if dim not in self._dims:
            self._dims[dim] = self._compute(dim)
        return self._dims[dim]

    def _compute(self, dim: SymbolicDim) -> Register:
        total: Register | None = None
        for monomial, coefficient in dim.terms:
            factors = [
                self._floor_divide(atom) if isinstance(atom, FloorDiv) else self.symbol(atom)
                for atom in monomial
            ]
            with self.e.entry():
                term = self.e.index(coefficient)
                for factor in factors:
                    term = self.e.mul(term, factor)
                total = term if total is None else self.e.add(total, term)
        assert total is not None  # a symbolic dimension has terms
        return total

    def _floor_divide(self, atom: FloorDiv) -> Register:
        numerator = self.dim(atom.numerator)
        with self.e.entry():
            return self.e.div(numerator, atom.divisor)

    def base(self, buffer: Buffer) -> Register:
        """The address of a buffer."""
        if buffer.kind == "constant":
            return Register(f"@{buffer.name}", "pointer")
        if buffer.index not in self._pointers:
            with self.e.entry():
                self._pointers[buffer.index] = self._load_base(self.layout.slot(buffer))
        return self._pointers[buffer.index]

    def _load_base(self, slot: int) -> Register:
        if self.operands is None:
            return self.slot(slot, "pointer")
        e = self.e
        place = e.load(e.offset(self.operands, len(self.table), "index"), "index")
        self.table.append(slot)
        return e.load(e.offset(self.context, place, "index"), "pointer")

    def pointer(self, view: View) -> Register:
        """The address of a view's first element."""
        base, offset = self.base(view.buffer), self.dim(view.offset)
        with self.e.entry():
            return self.e.offset(base, offset, view.dtype)
