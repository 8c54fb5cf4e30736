"""Helpers that prepare data, under the names of ``keras.preprocessing``."""

from graphc.keras.preprocessing import sequence

__all__ = ["sequence"]
