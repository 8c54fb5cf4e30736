"""``graphc.Module``: an object that knows the variables among its attributes.

See https://www.tensorflow.org/api_docs/python/tf/Module.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

from graphc.eager import Variable
from graphc.names.control import name_scope


class Module:
    """Base of objects that hold variables, other modules and keras layers as attributes.

    Args:
        name: Its name; the class's by default, in small letters.

    Example:
        >>> class Line(graphc.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.slope = graphc.Variable(0.0)
        ...
        ...     def __call__(self, x):
        ...         return self.slope * x
        >>> len(Line().trainable_variables)
        1
    """

    def __init__(self, name: str | None = None):
        if name is not None and not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise ValueError(f"{name!r} is not a valid module name: it has to be a Python name")
        self._name = name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        restore_attribute(self, name, value)

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def name_scope(self) -> Any:
        """A block whose nodes bear the module's name."""
        return name_scope(self._name)

    @classmethod
    def with_name_scope(cls, method: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator of a method: all of it in the module's name scope."""

        @functools.wraps(method)
        def call(self: Module, *args: Any, **kwargs: Any) -> Any:
            with self.name_scope:
                return method(self, *args, **kwargs)

        return call

    @property
    def variables(self) -> tuple[Variable, ...]:
        """All variables, each once, attributes in the order of their names."""
        found: dict[int, Variable] = {}
        for item in _parts(self, set()):
            if isinstance(item, Module):
                continue  # its parts come, too
            for variable in [item] if isinstance(item, Variable) else item.variables:
                found.setdefault(id(variable), variable)
        return tuple(found.values())

    @property
    def trainable_variables(self) -> tuple[Variable, ...]:
        """Those that optimizers may change."""
        frozen: set[int] = set()
        for item in _parts(self, set()):
            if not isinstance(item, (Variable, Module)):
                frozen.update(map(id, getattr(item, "non_trainable_variables", ())))
        return tuple(v for v in self.variables if v.trainable and id(v) not in frozen)

    @property
    def non_trainable_variables(self) -> tuple[Variable, ...]:
        """The others."""
        trained = {id(v) for v in self.trainable_variables}
        return tuple(v for v in self.variables if id(v) not in trained)

    @property
    def submodules(self) -> tuple[Any, ...]:
        """The modules and layers among its attributes, and theirs."""
        return tuple(item for item in _parts(self, set()) if not isinstance(item, Variable))[1:]


def restore_attribute(owner: Any, name: str, value: Any) -> None:
    """Give to a new attribute of an object what waits for it.

    Args:
        owner: The object.
        name: The attribute.
        value: What it was set to.
    """
    waiting: Callable[[str, Any], None] | None = owner.__dict__.get("_restore_attribute")
    if waiting is not None:
        waiting(name, value)


def _parts(item: Any, seen: set[int]) -> Iterator[Any]:
    """The module itself and what it holds: modules, layers, variables, also in lists and dicts."""
    if id(item) in seen:
        return
    if isinstance(item, (Variable, Module)) or hasattr(item, "trainable_variables"):
        seen.add(id(item))
        yield item
    inside: Any = ()
    if isinstance(item, Module):
        inside = [value for _, value in sorted(vars(item).items())]
    elif isinstance(item, dict):
        inside = list(item.values())
    elif isinstance(item, (list, tuple)):
        inside = item
    elif hasattr(item, "_graphc_variables"):
        inside = item._graphc_variables()
    for part in inside:
        yield from _parts(part, seen)
