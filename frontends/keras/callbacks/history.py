"""The record of a training run."""

from graphc.keras.callbacks.callback import Callback, Logs


class History(Callback):
    """Record the results of each epoch. Every model has one; ``fit`` returns it.

    Attributes:
        history: dict from a result's name to the list of its values, one for each epoch.
        epoch: list of the numbers of the epochs of the latest ``fit``.

    Example:
        >>> history = model.fit(x, y, epochs=2, verbose=0)  # doctest: +SKIP
        >>> history.history  # doctest: +SKIP
        {'loss': [0.7, 0.5]}
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin a new list of epochs; the values of earlier runs stay."""
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append the epoch's results."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self
