"""What the host has to know to run an object: which slot of the context means what.

The manifest is written into the object itself, so that an object from the cache runs without the
program being lowered again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from graphc.ir import dims
from graphc.ir.dims import Dim
from graphc.ir.reader import parse_dim
from graphc.runtime.cpu.memory import Interval


@dataclass(frozen=True)
class ArenaBuffer:
    """A piece of the arena.

    Attributes:
        size: Bytes.
        first: The first moment at which it is in use.
        last: The last one.
        slots: Where its address goes.
    """

    size: Dim
    first: int
    last: int
    slots: list[int]

    def interval(self, bindings: Mapping[str, int]) -> Interval:
        """Its size and life for one binding of the symbolic dimensions."""
        return Interval(dims.evaluate(self.size, bindings), self.first, self.last)


@dataclass(frozen=True)
class RowTensor:
    """A tensor of the caller, of which each step sees some rows.

    Attributes:
        name: Of the data input or the result.
        base: The slot for the address of the caller's array.
        slot: The slot for the address of the rows of a step.
        gathered: The slot for the address of memory for a batch; None for results.
        row_bytes: Bytes of a row.
    """

    name: str
    base: int
    slot: int
    gathered: int | None
    row_bytes: Dim


@dataclass(frozen=True)
class Manifest:
    """Everything about a context.

    Attributes:
        slots: How many there are.
        symbols: Slots of the symbolic dimensions.
        arena: What lies in the arena.
        variables: Slots that hold the address of a variable.
        data: Slots that hold the address of a data input.
        results: Slots that hold the address of a result.
        rows: The tensors of which each step sees some rows.
        kernels: Names of the kernels in the order in which they run; behind one that runs others
            in strips, those.
        prepared: The slot and the bytes of each buffer that keeps, from call to call, what follows
            from variables alone.
        work: How many elementary operations the kernels are that threads may share, each number
            once.
    """

    slots: int
    symbols: dict[str, int]
    arena: list[ArenaBuffer]
    variables: dict[str, list[int]]
    data: dict[str, int]
    results: dict[str, int]
    rows: list[RowTensor]
    kernels: list[str]
    prepared: list[tuple[int, int]]
    work: list[Dim]

    def largest_work(self, bindings: Mapping[str, int]) -> int:
        """Elementary operations of the largest kernel that threads may share."""
        return max((dims.evaluate(x, bindings) for x in self.work), default=0)

    @property
    def prepared_bytes(self) -> int:
        """How much memory that is, without its alignment."""
        return sum(size for _, size in self.prepared)

    def as_json(self) -> str:
        """The text that `from_json` reads."""
        return json.dumps(asdict(self), default=str)  # symbolic sizes as text

    @staticmethod
    def from_json(text: str) -> Manifest:
        """The manifest that `as_json` wrote."""
        fields = json.loads(text)
        for buffer in fields["arena"]:
            buffer["size"] = _dim(buffer["size"])
        for tensor in fields["rows"]:
            tensor["row_bytes"] = _dim(tensor["row_bytes"])
        fields["prepared"] = [tuple(x) for x in fields["prepared"]]
        fields["arena"] = [ArenaBuffer(**x) for x in fields["arena"]]
        fields["rows"] = [RowTensor(**x) for x in fields["rows"]]
        fields["work"] = [_dim(x) for x in fields["work"]]
        return Manifest(**fields)


def _dim(written: int | str) -> Dim:
    return written if isinstance(written, int) else parse_dim(written)
