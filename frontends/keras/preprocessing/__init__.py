"""Helpers that prepare data, under the names of ``keras.preprocessing``."""

from graphc.keras.preprocessing import sequence
from graphc.keras.utils.timeseries_dataset_utils import timeseries_dataset_from_array

__all__ = ["sequence", "timeseries_dataset_from_array"]
