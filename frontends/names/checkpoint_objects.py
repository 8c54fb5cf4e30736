"""What objects hold: the names under which checkpoints find variables again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc.eager import Variable
from graphc.keras.engine.parts import Parts
from graphc.keras.saving.layout import attributes_of
from graphc.names.module import Module

#: Variables of optimizers that are found by their names as well.
_NAMED = ("iterations", "learning_rate")


def is_trackable(value: Any) -> bool:
    """Whether a checkpoint can hold an object: it is, or may hold, variables."""
    if isinstance(value, type):
        return False
    kinds = (Variable, Module, Parts, list, tuple, Mapping)
    return isinstance(value, kinds) or _is_stateful(value) or hasattr(value, "held_objects")


def _is_stateful(value: Any) -> bool:
    """Whether it is an optimizer, a metric or a random generator."""
    names = ("_graphc_variables", "apply_gradients", "update_state")
    return any(hasattr(value, name) for name in names)


def held_objects(owner: Any) -> dict[str, Any]:
    """The objects that an object holds, by name; none for a variable.

    Those of modules and layers bear the names of attributes, those of lists their numbers.
    """
    if isinstance(owner, Variable):
        return {}
    if hasattr(owner, "held_objects"):
        found = owner.held_objects()
    elif isinstance(owner, Module):
        found = dict(sorted(vars(owner).items()))
    elif isinstance(owner, Parts):
        found = {**dict(attributes_of(owner)), "variables": list(owner._own_variables)}
    elif isinstance(owner, Mapping):
        found = {str(key): value for key, value in owner.items()}
    elif isinstance(owner, (list, tuple)):
        found = {str(number): value for number, value in enumerate(owner)}
    elif hasattr(owner, "_graphc_variables"):
        found = {"variables": owner._graphc_variables()}
    else:
        found = {"variables": list(owner.variables)}
        found |= {name: getattr(owner, name, None) for name in _NAMED}
    return {escaped(name): value for name, value in found.items() if is_trackable(value)}


def escaped(name: str) -> str:
    """A name without slashes, which stand between names."""
    return name.replace(".", "..").replace("/", ".S")


def is_unfinished(owner: Any) -> bool:
    """Whether it has yet to make variables: a layer or an optimizer before it is built."""
    return getattr(owner, "built", True) is False


def all_objects(root: Any) -> list[tuple[Any, dict[str, Any]]]:
    """An object and all that it holds, however deep, each once and with what it holds itself."""
    found: dict[int, tuple[Any, dict[str, Any]]] = {}
    queue = [root]
    for owner in queue:
        if id(owner) not in found:
            held = held_objects(owner)
            found[id(owner)] = (owner, held)
            queue += held.values()
    return list(found.values())
