"""Stop training that has gone astray."""

from typing import Any

import numpy as np

from graphc.keras.callbacks.callback import Callback, Logs, needed_if
from graphc.keras.utils.io_utils import print_msg


def _only_in_subclasses(callback: Any) -> bool:
    """The callback itself need not see each batch: it is told of the first invalid loss."""
    return type(callback) is not TerminateOnNaN


class TerminateOnNaN(Callback):
    """Stop training when the loss is NaN or infinite after a batch.

    Batches still run many at a time, in native code: training ends with the first invalid one.

    Args:
        raise_error: raise an error at once, rather than end training in the usual way.

    Raises:
        RuntimeError: while training, with ``raise_error``.

    Example:
        >>> model.fit(x, y, callbacks=[keras.callbacks.TerminateOnNaN()])  # doctest: +SKIP
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    #: Whether it wants to hear of an invalid loss (`CallbackList.notice_invalid_loss`).
    watches_loss = True

    @needed_if(_only_in_subclasses)
    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is None or np.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                f"NaN or Inf loss encountered at batch {batch}. Loss value: {loss}. "
                "Terminating training immediately."
            )
        print_msg(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
