"""Configurations of older Keras versions, put into the form of today."""

from __future__ import annotations

from typing import Any


def upgrade_config(config: Any) -> Any:
    """A configuration in today's form."""
    return config


def upgrade_weights(layer: Any, weights: Any, arrays: Any) -> Any:
    return arrays


def upgrade_optimizer_weights(optimizer: Any, names: Any, arrays: Any) -> Any:
    return arrays
