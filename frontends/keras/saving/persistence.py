"""Saving, loading and exporting as methods of models."""

from __future__ import annotations


class Persistence:
    """The methods of a model that write it to files and read its weights."""
