"""JSON and YAML."""

from __future__ import annotations

import json
from typing import Any

from graphc.errors import FileFormatError


def read_json(text: str | bytes, what: str) -> dict[str, Any]:
    """The dictionary that a JSON text holds.

    Args:
        text: The text; bytes are UTF-8.
        what: What it is, for errors.

    Raises:
        FileFormatError: It is no JSON, nests too deeply, or is no dictionary.
    """
    try:
        data = json.loads(text)
    except RecursionError as error:
        raise FileFormatError(f"{what} nests too deeply") from error
    except ValueError as error:  # of JSON or of UTF-8
        raise FileFormatError(f"{what} is no JSON: {error}") from error
    return _dictionary(data, what)


def read_yaml(text: str, what: str) -> dict[str, Any]:
    """The dictionary that a YAML text holds; only plain data, and no aliases.

    Args:
        text: The text.
        what: What it is, for errors.

    Raises:
        FileFormatError: It is no YAML, has tags of Python objects or aliases, or is no dictionary.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Plain data. Aliases could make a short text expand beyond any memory."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise FileFormatError(f"{what} has YAML aliases (`*name`), which are not read")
            return super().compose_node(parent, index)

    def tuple_of(loader: Any, node: Any) -> tuple[Any, ...]:
        return tuple(loader.construct_sequence(node, deep=True))

    # Keras 2 wrote tuples with a tag of their own.
    Loader.add_constructor("tag:yaml.org,2002:python/tuple", tuple_of)
    try:
        data = yaml.load(text, Loader)
    except RecursionError as error:
        raise FileFormatError(f"{what} nests too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        raise FileFormatError(f"{what} is no plain YAML: {error}") from error
    return _dictionary(data, what)


def write_yaml(data: dict[str, Any]) -> str:
    """Plain data as YAML, without aliases, keys in their order."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes an object that occurs twice two times."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml.dump(data, Dumper=Dumper, sort_keys=False)


def _dictionary(data: Any, what: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise FileFormatError(f"{what} should hold a dictionary, not a {type(data).__name__}")
    return data
