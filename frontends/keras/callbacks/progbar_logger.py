"""The progress that ``fit``, ``evaluate`` and ``predict`` print."""

from collections.abc import Mapping
from typing import Any

from graphc.keras.callbacks.callback import Callback, Logs, needed_if
from graphc.keras.utils.io_utils import print_msg
from graphc.keras.utils.progbar import Progbar


def _only_in_subclasses(callback: Any) -> bool:
    """A plain logger needs no call per batch: it is told of progress now and then."""
    return type(callback) is not ProgbarLogger


class ProgbarLogger(Callback):
    """Print the progress of a run and its results: as a bar, or as a line per epoch.

    ``fit``, ``evaluate`` and ``predict`` add one by themselves unless ``verbose=0``.

    A trainer that runs many batches at once calls ``progress`` whenever it is back, in place of
    the batch hooks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0
        self.progbar: Progbar | None = None
        self.target: int | None = None
        self.verbose = 1
        self.epochs = 1
        self._called_in_fit = False
        self._validating = False

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Take the verbosity, the number of epochs and the number of steps in each."""
        super().set_params(params)
        self.verbose = 1 if params["verbose"] == "auto" else params["verbose"]
        self.epochs = params["epochs"]
        self.target = params["steps"]

    def progress(self, step: int, logs: Logs | None = None) -> None:
        """Show how far the run has come, unless it was shown a moment ago.

        Args:
            step: the number of batches done.
            logs: the results so far; none during a prediction.
        """
        if self._validating:
            return
        self.seen = step
        if self.verbose == 1:
            self._bar().update(step, list((logs or {}).items()), finalize=False)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """From now on evaluations are validations, which print nothing of their own."""
        self._called_in_fit = True

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begin a bar, under the epoch's number."""
        self._start_bar()
        if self.verbose and self.epochs > 1:
            print_msg(f"Epoch {epoch + 1}/{self.epochs}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Finish the bar with the epoch's results."""
        self._finish_bar(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Begin a bar."""
        self._validating = self._called_in_fit
        if not self._validating:
            self._start_bar()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Finish the bar with the results."""
        if not self._validating:
            self._finish_bar(logs)
        self._validating = False

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Begin a bar."""
        self._start_bar()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Finish the bar."""
        self._finish_bar(logs)

    @needed_if(_only_in_subclasses)
    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar."""
        self.progress(batch + 1, logs)

    @needed_if(_only_in_subclasses)
    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar, but for validation."""
        self.progress(batch + 1, logs)

    @needed_if(_only_in_subclasses)
    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar; the outputs in ``logs`` are not printed."""
        self.progress(batch + 1)

    def _start_bar(self) -> None:
        self.seen = 0
        self.progbar = None
        self._bar()

    def _bar(self) -> Progbar:
        if self.progbar is None:
            # Logs are running means already, so nothing is averaged here.
            self.progbar = Progbar(self.target, verbose=self.verbose, stateless_metrics=())
        return self.progbar

    def _finish_bar(self, logs: Logs | None) -> None:
        bar = self._bar()
        if self.target is None:
            self.target = self.seen
            bar.target = self.target
        bar.update(self.target, list((logs or {}).items()), finalize=True)
