"""Evaluate with averaged weights."""

from graphc.keras.callbacks.callback import Callback, Logs, needed_if


def _swaps_between_epochs(callback: "SwapEMAWeights") -> bool:
    return callback.swap_on_epoch


class SwapEMAWeights(Callback):
    """Give the model the running means of its weights for evaluation and prediction.

    The optimizer keeps them if it is made with ``use_ema=True``. Training goes on with the weights
    themselves.

    Args:
        swap_on_epoch: have the means in the model also between epochs, for callbacks behind this
            one: with `ModelCheckpoint` the means are saved. Callbacks that stop training have to
            stand before this one then.

    Raises:
        ValueError: while training, if the optimizer keeps no means.

    Example:
        >>> model.compile(keras.optimizers.SGD(use_ema=True), "mse")
        >>> swap = keras.callbacks.SwapEMAWeights()
        >>> model.fit(x, y, validation_split=0.2, callbacks=[swap])  # doctest: +SKIP
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._swapped = False

    def _have_means(self, wanted: bool) -> None:
        """Exchange the model's weights and their means, unless they are as wanted."""
        if self._swapped == wanted:
            return
        for weight, mean in self.model.optimizer.averaged_variables():
            before = weight.numpy()
            weight.assign(mean.numpy())
            mean.assign(before)
        self._swapped = wanted

    @needed_if(_swaps_between_epochs)
    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Train with the weights themselves."""
        self._have_means(False)

    @needed_if(_swaps_between_epochs)
    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Have the means in the model until the next epoch."""
        if not self.swap_on_epoch:  # a list of callbacks calls every hook
            return
        self._have_means(True)
        if epoch == (self.params or {}).get("epochs", 0) - 1 or self.model.stop_training:
            # The end of training gives the model the means, so there they have to be.
            for weight, mean in self.model.optimizer.averaged_variables():
                mean.assign(weight.numpy())
            self._swapped = False

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Evaluate with the means."""
        self._have_means(True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Go back to the weights."""
        self._have_means(False)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Predict with the means."""
        self._have_means(True)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Go back to the weights."""
        self._have_means(False)
