"""Nested structures of lists, tuples and dicts (`keras.tree`, https://keras.io/api/utils/tree/).

The leaves of a dict come in the order of its sorted keys, as in Keras, whose files depend on it; an
`OrderedDict` keeps its own order.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from graphc.eager.operators import Operators


def is_nested(structure: Any) -> bool:
    """Whether it is a list, tuple or dict."""
    return isinstance(structure, (list, tuple, Mapping))


def ordered_keys(mapping: Mapping[Any, Any]) -> list[Any]:
    """The keys of a dict in the order in which its leaves come."""
    if isinstance(mapping, OrderedDict):
        return list(mapping)
    try:
        return sorted(mapping)
    except TypeError:  # keys that have no order
        return list(mapping)


def _add_leaves(structure: Any, found: list[Any]) -> None:
    if _is_leaf(structure):
        found.append(structure)
    elif isinstance(structure, (list, tuple)):
        for item in structure:
            _add_leaves(item, found)
    elif isinstance(structure, Mapping):
        for key in ordered_keys(structure):
            _add_leaves(structure[key], found)
    elif structure is not None:
        found.append(structure)


def _is_leaf(structure: Any) -> bool:
    """Whether it is known to be a leaf without asking whether it is a mapping, which takes long."""
    return isinstance(structure, (Operators, int, float, str))


def flatten(structure: Any) -> list[Any]:
    """The leaves of a structure, in order; None is no leaf.

    Example:
        >>> flatten({"b": [2, (3, None)], "a": 1})
        [1, 2, 3]
    """
    found: list[Any] = []
    _add_leaves(structure, found)
    return found


def pack_sequence_as(structure: Any, flat: list[Any]) -> Any:
    """A structure like ``structure`` with its leaves replaced, in order, by those of ``flat``.

    Raises:
        ValueError: The number of leaves is another one.
    """
    leaves = iter(flat)
    count = len(flatten(structure))
    if count != len(flat):
        raise ValueError(f"the structure has {count} leaves, received {len(flat)}")
    return map_structure(lambda _: next(leaves), structure)


def map_structure(function: Callable[..., Any], structure: Any, *others: Any) -> Any:
    """``function`` applied to each leaf (and the leaves in the same places of ``others``).

    Args:
        function: Takes one leaf per structure.
        structure: Gives the shape of the result.
        *others: Structures of the same shape.
    """
    if _is_leaf(structure):
        return function(structure, *others)
    if isinstance(structure, Mapping):
        made = {
            key: map_structure(function, structure[key], *[other[key] for other in others])
            for key in ordered_keys(structure)
        }
        items = {key: made[key] for key in structure}
        make: Callable[..., Any] = type(structure)  # as of an OrderedDict, from pairs or a dict
        return items if make is dict else make(items)
    if isinstance(structure, (list, tuple)):
        parts = [
            map_structure(function, item, *[other[i] for other in others])
            for i, item in enumerate(structure)
        ]
        if hasattr(structure, "_fields"):  # a named tuple
            return type(structure)(*parts)
        return tuple(parts) if isinstance(structure, tuple) else parts
    if structure is None:
        return None
    return function(structure, *others)
