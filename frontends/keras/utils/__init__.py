"""Tools around models and data: ``keras.utils``."""

from graphc.keras.engine.naming import clear_session
from graphc.keras.random_seed import set_random_seed
from graphc.keras.utils.batch_utils import pack_x_y_sample_weight, unpack_x_y_sample_weight
from graphc.keras.utils.file_utils import get_file
from graphc.keras.utils.io_utils import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
    print_msg,
)
from graphc.keras.utils.numerical_utils import normalize, to_categorical
from graphc.keras.utils.progbar import Progbar
from graphc.keras.utils.py_dataset import PyDataset, Sequence
from graphc.keras.utils.sequence_utils import pad_sequences
from graphc.keras.utils.timeseries_dataset_utils import timeseries_dataset_from_array

__all__ = [
    "Progbar",
    "PyDataset",
    "Sequence",
    "clear_session",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_file",
    "is_interactive_logging_enabled",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "print_msg",
    "set_random_seed",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]
