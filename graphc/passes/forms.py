"""Forms in which a value can stand in a graph: its axes in another order, or flattened so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from graphc.ir import Value
from graphc.ir.dims import Dim, Shape, product
from graphc.ops.movement import Reshape, Transpose, reshape_to


@dataclass(frozen=True)
class Permuted:
    """The value transposed.

    Args:
        permutation: For each axis of the form, the axis of the value that it is.
    """

    permutation: tuple[int, ...]

    @property
    def is_canonical(self) -> bool:
        """Whether it is the value itself."""
        return self.permutation == tuple(range(len(self.permutation)))

    def place(self, axis: int) -> int:
        """Where an axis of the value stands in the form."""
        return self.permutation.index(axis)

    def apply(self, entries: Sequence[Any]) -> tuple[Any, ...]:
        """What belongs to the axes of the value, in the order of the form."""
        return tuple(entries[axis] for axis in self.permutation)


@dataclass(frozen=True)
class Flattened:
    """A matrix [rows, columns] whose columns are those of an image, transposed before flattening.

    Args:
        sizes: The sizes of the image's axes but the first, before they were transposed.
        permutation: For each of them in the form, which of ``sizes`` it is.
    """

    sizes: tuple[int, ...]
    permutation: tuple[int, ...]
    is_canonical = False

    @staticmethod
    def of(shape: Shape, form: Permuted, flat: Shape) -> Flattened | None:
        """The form of ``flat``, which an image in another form is reshaped to; None if it has none.

        Args:
            shape: The shape of the image.
            form: How it is transposed.
            flat: The shape of the result.
        """
        sizes = shape[1:]
        known = [size for size in sizes if isinstance(size, int)]
        if len(flat) != 2 or flat[0] != shape[0] or len(known) < len(sizes) or 0 in known:
            return None
        if form.permutation[0] != 0 or product(sizes) != flat[1]:
            return None
        return Flattened(tuple(known), tuple(axis - 1 for axis in form.permutation[1:]))


Form: TypeAlias = Permuted | Flattened


def canonical(value: Value) -> Permuted:
    """The form that is the value itself."""
    return Permuted(tuple(range(value.rank)))


class Forms:
    """Which values of a new graph stand for which values of an old one, in which forms."""

    def __init__(self) -> None:
        self._known: dict[Value, dict[Form, Value]] = {}

    def add(self, value: Value, form: Form, new: Value) -> None:
        """Note that ``new`` is ``value`` in a form."""
        self._known.setdefault(value, {})[form] = new

    def native(self, value: Value) -> Form:
        """The form in which a value was computed."""
        return next(iter(self._known[value]))

    def get(self, value: Value, form: Form) -> Value:
        """A value in a form; computed from another one where it is not there yet."""
        known = self._known[value]
        if form not in known:
            native = self.native(value)
            known[form] = _convert(known[native], value.shape, native, form)
        return known[form]

    def broadcast(self, value: Value, form: Form, shape: Shape) -> Value | None:
        """An operand of an elementwise op that computes in a form.

        Args:
            value: The operand; it may have fewer axes, and axes of size 1.
            form: The form.
            shape: The shape of the op's result.

        Returns:
            None if the operand cannot be brought into the form.
        """
        if value.shape == shape:
            return self.get(value, form)
        plain = self.get(value, canonical(value))
        if all(size == 1 for size in value.shape):
            return plain if value.rank <= len(shape) else None
        if isinstance(form, Flattened):
            if value.shape[-1] == 1:
                return plain
            return self.turn_axis(value, value.rank - 1, form)
        padded: list[Dim] = [*[1] * (len(shape) - value.rank), *value.shape]
        if value.rank == len(shape):
            return self.get(value, form)
        return Transpose(form.permutation)(reshape_to(plain, padded))

    def turn_axis(self, value: Value, axis: int, form: Flattened) -> Value:
        """A value along whose axis the elements are in the order of the columns of a form."""
        plain = self.get(value, canonical(value))
        shape = plain.shape
        split = Reshape((*shape[:axis], *form.sizes, *shape[axis + 1 :]))(plain)
        count = len(form.sizes)
        order = (
            *range(axis),
            *(axis + place for place in form.permutation),
            *range(axis + count, split.rank),
        )
        return Reshape(shape)(Transpose(order)(split))


def _convert(x: Value, shape: Shape, source: Form, target: Form) -> Value:
    """A value in one form, given in another one."""
    if isinstance(source, Flattened):
        permuted = [source.sizes[place] for place in source.permutation]
        back = tuple(source.permutation.index(place) for place in range(len(permuted)))
        image = Reshape((shape[0], *permuted))(x)
        x = Transpose((0, *(place + 1 for place in back)))(image)
        return _convert(Reshape(shape)(x), shape, Permuted((0, 1)), target)
    if isinstance(target, Flattened):
        if not source.is_canonical:
            x = Transpose(tuple(source.place(axis) for axis in range(x.rank)))(x)
        image = Reshape((shape[0], *target.sizes))(x)
        turned = Transpose((0, *(place + 1 for place in target.permutation)))(image)
        return Reshape(shape)(turned)
    order = tuple(source.place(axis) for axis in target.permutation)
    return x if order == tuple(range(len(order))) else Transpose(order)(x)
