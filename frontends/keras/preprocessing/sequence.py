"""Sequence helpers, under the names of ``keras.preprocessing.sequence``."""

from graphc.keras.utils.sequence_utils import pad_sequences

__all__ = ["pad_sequences"]
