"""Where the weights of each part of a model lie in a file.

Keras names a part by the way that leads to it from the model: the attributes, in alphabetical
order with private ones last, and in a list the names of the classes, numbered. A part that is met
several times is written the first time. So the file does not depend on the names of layers.
See https://keras.io/api/saving/model_saving_and_loading/.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphc.eager.variable import Variable
from graphc.keras.engine.naming import to_snake_case
from graphc.keras.engine.parts import Parts

# Attributes of the engine that hold layers, which are found under their public names anyway.
_ENGINE = frozenset({"_functional", "_layers", "_stack", "nodes", "operations"})


@dataclass(frozen=True)
class Part:
    """One part of a model that has variables of its own.

    Attributes:
        owner: The layer, optimizer, metric or random generator.
        paths: The places in the file, the one where it is written first.
        variables: Its own variables, not those of parts inside.
    """

    owner: Any
    paths: tuple[str, ...]
    variables: tuple[Variable, ...]

    @property
    def name(self) -> str:
        """What it is called in errors and in the file."""
        return getattr(self.owner, "name", type(self.owner).__name__)


def parts_of(model: Any) -> list[Part]:
    """All parts of a model, in the order in which Keras writes them.

    Args:
        model: The model, or any layer.
    """
    owners: dict[int, Any] = {}
    paths: dict[int, list[str]] = {}
    for path, owner in _walk(model, "", ()):
        owners.setdefault(id(owner), owner)
        paths.setdefault(id(owner), []).append(path)
    return [
        Part(owner, tuple(paths[key]), tuple(own_variables(owner))) for key, owner in owners.items()
    ]


def own_variables(owner: Any) -> list[Variable]:
    """The variables of an object itself, trainable ones first."""
    if isinstance(owner, Parts):
        inside = [part for part in owner._parts() if isinstance(part, Variable)]
        own = [part for part in inside if not getattr(part, "is_random_state", False)]
        return sorted(own, key=lambda variable: not variable.trainable)  # stable
    if hasattr(owner, "_graphc_variables"):
        return list(owner._graphc_variables())
    return list(owner.variables)


def _walk(owner: Any, path: str, above: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    """Every way to every part; ``above`` are those that the way leads through."""
    if id(owner) in above:
        return
    yield path, owner
    if not isinstance(owner, Parts):
        return
    above = (*above, id(owner))
    for name, value in attributes_of(owner):
        place = f"{path}/{name}" if path else name
        if _is_part(value):
            yield from _walk(value, place, above)
        elif isinstance(value, (list, tuple, dict)):
            yield from _walk_container(value, place, above)


def _walk_container(items: Any, path: str, above: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    if id(items) in above:
        return
    above = (*above, id(items))
    counts: dict[str, int] = {}
    for item in items.values() if isinstance(items, dict) else items:
        if not (_is_part(item) or isinstance(item, (list, tuple, dict))):
            continue
        name = to_snake_case(type(item).__name__) if _is_part(item) else "container"
        count = counts[name] = counts.get(name, -1) + 1
        place = f"{path}/{name}_{count}" if count else f"{path}/{name}"
        if _is_part(item):
            yield from _walk(item, place, above)
        else:
            yield from _walk_container(item, place, above)


def _is_part(value: Any) -> bool:
    if isinstance(value, (type, Variable)):
        return False
    is_stateful = hasattr(value, "update_state") or hasattr(value, "apply_gradients")
    return isinstance(value, Parts) or hasattr(value, "_graphc_variables") or is_stateful


def attributes_of(owner: Parts) -> Iterator[tuple[str, Any]]:
    """The attributes that may hold parts, in Keras's order."""
    skipped = _names_of_the_engine()
    own = {name for name in vars(owner) if name not in skipped}
    for kind in type(owner).__mro__:
        own.update(
            name
            for name, value in vars(kind).items()
            if isinstance(value, property) and name not in skipped
        )
    if hasattr(owner, "get_layer"):
        own |= {"layers", "optimizer"}
    names = sorted(own, key=lambda name: f"~{name}" if name.startswith("_") else name)
    if "layers" in own and {"nodes", "_stack"} & vars(owner).keys():  # functional, sequential
        names.remove("layers")
        names.insert(0, "layers")
    for name in names:
        try:
            value = getattr(owner, name)
        except (AttributeError, ValueError, RuntimeError):  # a property that is not ready
            continue
        yield name, value


@functools.cache
def _names_of_the_engine() -> frozenset[str]:
    """The attributes that every layer or model has, which hold no parts of its own."""
    from graphc.keras.engine.functional import Functional  # models save themselves by this module
    from graphc.keras.engine.model import Model
    from graphc.keras.engine.sequential import Sequential

    kinds = (Model, Functional, Sequential)
    names = {name for kind in kinds for name in dir(kind)}
    return frozenset(names | set(vars(Model(name="reference"))) | _ENGINE)
