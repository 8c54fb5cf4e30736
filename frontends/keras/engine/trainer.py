"""Training, evaluation and prediction of models."""

from __future__ import annotations


class Trainer:
    """The methods of a model that run it on data."""
