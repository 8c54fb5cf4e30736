"""Objects that act at certain moments of a run: ``keras.callbacks``."""

from graphc.keras.callbacks.backup_and_restore import BackupAndRestore
from graphc.keras.callbacks.callback import Callback
from graphc.keras.callbacks.callback_list import CallbackList
from graphc.keras.callbacks.csv_logger import CSVLogger
from graphc.keras.callbacks.early_stopping import EarlyStopping
from graphc.keras.callbacks.history import History
from graphc.keras.callbacks.lambda_callback import LambdaCallback
from graphc.keras.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from graphc.keras.callbacks.model_checkpoint import ModelCheckpoint
from graphc.keras.callbacks.progbar_logger import ProgbarLogger
from graphc.keras.callbacks.remote_monitor import RemoteMonitor
from graphc.keras.callbacks.swap_ema_weights import SwapEMAWeights
from graphc.keras.callbacks.tensorboard import TensorBoard
from graphc.keras.callbacks.terminate_on_nan import TerminateOnNaN

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]
