"""Matching what users give per output (targets, losses, metrics, weights) with a model's outputs.

Everything per output may come as one value, as a list in the order of the outputs, or as a dict by
name. Here all of it becomes a flat list with one entry per output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc.errors import similar
from graphc.keras import tree


class Outputs:
    """The outputs of a model.

    Args:
        structure: What the model returns: a tensor, or a list, tuple or dict.
        names: A name per output; by default the keys of a dict, or none.
    """

    def __init__(self, structure: Any, names: Sequence[str] | None = None):
        self.structure = structure
        self.count = len(tree.flatten(structure))
        if isinstance(structure, Mapping) and all(
            not tree.is_nested(v) for v in structure.values()
        ):
            self.keys: list[str] | None = tree.ordered_keys(structure)
        else:
            self.keys = None
        self.names = list(names) if names and len(names) == self.count else (self.keys or [])

    def flatten(self, value: Any, what: str, missing_allowed: bool = True) -> list[Any]:
        """One entry per output.

        Args:
            value: One value, a list with an entry per output, or a dict by output name.
            what: How to call it in errors, such as ``"y"`` or ``"loss"``.
            missing_allowed: Whether a dict may leave outputs out; they get None.

        Raises:
            ValueError: Another number of entries, or a name that is no output.
        """
        if value is None:
            return [None] * self.count
        if isinstance(value, Mapping):
            return self._by_name(value, what, missing_allowed)
        if isinstance(value, (list, tuple)):
            if len(value) != self.count:
                raise ValueError(
                    f"{what} has {len(value)} entries, but the model has {self.count} output(s)"
                    + (f": {', '.join(self.names)}" if self.names else "")
                )
            return list(value)
        if self.count != 1:
            raise ValueError(
                f"{what} is a single value, but the model has {self.count} outputs"
                + (f" ({', '.join(self.names)})" if self.names else "")
                + f": give a list or a dict of {self.count}"
            )
        return [value]

    def weights(self, sample_weight: Any) -> list[Any]:
        """Sample weights, one entry per output; a single one serves all of them."""
        if sample_weight is None or tree.is_nested(sample_weight):
            return self.flatten(sample_weight, "sample_weight")
        return [sample_weight] * self.count

    def _by_name(self, value: Mapping[str, Any], what: str, missing_allowed: bool) -> list[Any]:
        known = [self.keys or self.names, self.names]
        names = next((n for n in known if n and set(value) <= set(n)), None)
        if names is None:
            if self.count == 1 and len(value) == 1 and not known[0]:
                return list(value.values())
            offered = known[0]
            unknown = next(key for key in value if key not in offered)
            close = similar(str(unknown), offered, 1)
            raise ValueError(
                f'{what} names "{unknown}", which is no output of the model; its outputs are '
                + ", ".join(f'"{name}"' for name in offered)
                + (f'. Did you mean "{close[0]}"?' if close else "")
            )
        if not missing_allowed:
            missing = [name for name in names if name not in value]
            if missing:
                raise ValueError(f'{what} has no entry for the output "{missing[0]}"')
        return [value.get(name) for name in names]
