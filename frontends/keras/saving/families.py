"""What losses, metrics, initializers and the like share: objects that are asked for by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from graphc.errors import similar
from graphc.keras.saving.registry import (
    deserialize_keras_object,
    get_registered_object,
    serialize_keras_object,
)


class Family:
    """The classes and functions of one kind, by all their names.

    Args:
        kind: What one is called in errors: ``"initializer"``.
        objects: Names, aliases included, to classes and functions.
    """

    def __init__(self, kind: str, objects: Mapping[str, Any]):
        self.kind = kind
        self.objects = dict(objects)

    def serialize(self, obj: Any) -> Any:
        """The dictionary from which ``obj`` can be made again."""
        return serialize_keras_object(obj)

    def deserialize(self, config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The object that a dictionary or a name describes."""
        return deserialize_keras_object(config, custom_objects, module_objects=self.objects)

    def get(self, identifier: Any) -> Any:
        """An object from a name, a dictionary, a class, or the object itself.

        Raises:
            ValueError: It is none of these.
        """
        if identifier is None:
            return None
        found = identifier
        if isinstance(identifier, dict):
            found = self.deserialize(identifier)
        elif isinstance(identifier, str):
            found = get_registered_object(identifier, None, self.objects)
        if inspect.isclass(found):
            found = found()
        if callable(found):
            return found
        raise self.unknown(identifier)

    def unknown(self, identifier: Any) -> ValueError:
        """The error for something that is none of this family, with the nearest names."""
        hint = ""
        if isinstance(identifier, str):
            near = similar(identifier, self.objects)
            lower = sorted(name for name in self.objects if name.islower())
            hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            hint = hint or f" There are {', '.join(lower)}."
        return ValueError(f"Could not interpret {self.kind} identifier: {identifier!r}.{hint}")
