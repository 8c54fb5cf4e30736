"""Which element types a layer stores and computes in (https://keras.io/api/mixed_precision/)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from graphc.config import config
from graphc.eager.promotion import standard_dtype
from graphc.keras.saving.registry import public


@public("keras")
@dataclass(frozen=True)
class DTypePolicy:
    """A pair of element types behind one name.

    Args:
        name: An element type, or ``"mixed_float16"`` or ``"mixed_bfloat16"``: computing in that
            type with variables of float32. None for `floatx`.

    Example:
        >>> DTypePolicy("mixed_bfloat16").variable_dtype
        'float32'
    """

    name: str | None = None

    def __post_init__(self) -> None:
        if self.name is None:
            object.__setattr__(self, "name", config.floatx)
        standard_dtype(self.compute_dtype)

    @cached_property
    def compute_dtype(self) -> str:
        """The type that inputs are cast to."""
        assert self.name is not None
        return self.name.removeprefix("mixed_")

    @cached_property
    def variable_dtype(self) -> str:
        """The type of weights."""
        assert self.name is not None
        return "float32" if self.name.startswith("mixed_") else self.name

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the same policy again."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        """The policy that `get_config` described."""
        return cls(**config)


def get_policy(identifier: Any) -> DTypePolicy:
    """A policy from a policy, a name, a dtype, its saved form, or None for the default."""
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return DTypePolicy.from_config(identifier.get("config", identifier))
    if isinstance(identifier, str) and identifier.startswith("mixed_"):
        return DTypePolicy(identifier)
    return DTypePolicy(standard_dtype(identifier))
