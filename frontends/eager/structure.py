"""Structures of Python values that hold tensors: what functions take and give back.

Lists, tuples, named tuples, mappings and dataclasses are structure; tensors and arrays are leaves;
everything else is a Python value that stays as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.eager.arrays import native
from graphc.eager.tensor import Tensor, as_tensor
from graphc.eager.variable import Variable

#: In keys: a tensor's element type and shape follow.
TENSOR = object()

#: Python values that are told apart by what they are, not by which object they are.
_BY_VALUE = frozenset([int, bool, str, bytes, complex, slice, range, type(Ellipsis), np.dtype])


def is_array(item: Any) -> bool:
    """Whether it is a NumPy array or number."""
    return isinstance(item, (np.ndarray, np.generic))


def _is_dataclass(item: Any) -> bool:
    return dataclasses.is_dataclass(item) and not isinstance(item, type)


def dataclass_fields(item: Any) -> dict[str, Any]:
    """Names and values of the fields that a dataclass's constructor takes."""
    return {
        field.name: getattr(item, field.name) for field in dataclasses.fields(item) if field.init
    }


class Flattener:
    """Takes the arguments of a call apart: their arrays, and a key for all the rest.

    Attributes:
        key: Hashable parts; the same for calls that one trace serves.
        tensors: The tensors, and arrays as tensors, in order.
        kept: Objects that the key knows by their identity, which has to outlive it.
        is_symbolic: Whether a tensor has no elements yet.
        recorder: A tensor of a functional model, if there is one.
    """

    __slots__ = ("is_symbolic", "kept", "key", "recorder", "tensors")

    def __init__(self) -> None:
        self.key: list[Any] = []
        self.tensors: list[Tensor] = []
        self.kept: list[Any] = []
        self.is_symbolic = False
        self.recorder: Any = None

    def add(self, item: Any) -> None:
        """Take in one argument."""
        if isinstance(item, Tensor):
            data = item.data
            if type(data) is np.ndarray:
                self.key += (TENSOR, data.dtype, data.shape)
                self.tensors.append(item)
            else:
                self.is_symbolic = True
        elif isinstance(item, Variable):
            self._add_object("variable", item)
        elif is_array(item):
            self.add(Tensor(native(as_tensor(item).numpy())))
        elif isinstance(item, float):
            # As text, since -0.0 equals 0.0 and NaN does not equal itself.
            self.key += (float, repr(item))
        elif item is None or type(item) in _BY_VALUE:
            self._add_value(item)
        else:
            self._add_structure(item)

    def without_sizes(self) -> tuple[Any, ...]:
        """The key with the number of dimensions in place of the shape of each tensor."""
        key = list(self.key)
        for place, part in enumerate(key):
            if part is TENSOR:
                key[place + 2] = len(key[place + 2])
        return tuple(key)

    def _add_value(self, item: Any) -> None:
        self.key += (type(item), repr(item) if type(item) in (slice, complex) else item)

    def _add_structure(self, item: Any) -> None:
        if isinstance(item, (list, tuple)):
            self.key += (type(item), len(item))
            for part in item:
                self.add(part)
        elif isinstance(item, Mapping):
            self.key += (type(item), tuple(item))
            for part in item.values():
                self.add(part)
        elif _is_dataclass(item):
            self.key.append(type(item))
            for part in dataclass_fields(item).values():
                self.add(part)
        elif getattr(item, "records_operations", False):
            self.recorder = item
        else:
            self._add_object("object", item)

    def _add_object(self, kind: str, item: Any) -> None:
        self.key += (kind, id(item))
        self.kept.append(item)


def map_leaves(
    function: Callable[[str, Any], Any], item: Any, path: str = "", variables: bool = False
) -> Any:
    """A structure with ``function`` of each leaf, in the order in which `Flattener` has them.

    Args:
        function: Takes a leaf's path, such as ``"batch/0"``, and the leaf.
        item: The structure.
        path: Its own name.
        variables: Whether variables are leaves, too.
    """

    def inside(key: Any, part: Any) -> Any:
        return map_leaves(function, part, f"{path}/{key}" if path else str(key), variables)

    if isinstance(item, Variable):
        return function(path, item) if variables else item
    if isinstance(item, Tensor) or is_array(item) or hasattr(item, "is_tensor_spec"):
        return function(path, item)
    if isinstance(item, (list, tuple)):
        parts = [inside(i, part) for i, part in enumerate(item)]
        if hasattr(item, "_fields"):  # a named tuple
            return type(item)(*parts)
        return parts if type(item) is list else type(item)(parts)
    if isinstance(item, Mapping):
        items = {key: inside(key, part) for key, part in item.items()}
        # As of an OrderedDict, which is made from pairs or a dict.
        return items if type(item) is dict else type(item)(items)  # type: ignore[call-arg]
    if _is_dataclass(item):
        return dataclasses.replace(
            item, **{name: inside(name, part) for name, part in dataclass_fields(item).items()}
        )
    return item


class Slot:
    """The place of a result in a structure.

    Args:
        number: Which result it is.
    """

    def __init__(self, number: int):
        self.number = number


def filler(template: Any) -> Callable[[Sequence[Tensor]], Any]:
    """A function that puts results into a structure.

    Args:
        template: The structure with a `Slot` for each result.
    """
    if isinstance(template, Slot):
        number = template.number
        return lambda results: results[number]
    if isinstance(template, (list, tuple)):
        parts = [filler(part) for part in template]
        kind = type(template)
        if hasattr(template, "_fields"):
            return lambda results: kind(*[part(results) for part in parts])
        if kind is tuple:
            return lambda results: tuple([part(results) for part in parts])
        return lambda results: kind([part(results) for part in parts])
    if isinstance(template, Mapping):
        items = [(key, filler(part)) for key, part in template.items()]
        make: Any = type(template)
        if make is dict:
            return lambda results: {key: part(results) for key, part in items}
        return lambda results: make({key: part(results) for key, part in items})
    if _is_dataclass(template):
        fields = [(name, filler(part)) for name, part in dataclass_fields(template).items()]
        return lambda results: dataclasses.replace(
            template, **{name: part(results) for name, part in fields}
        )
    return lambda results: template
