"""Training, evaluation and prediction of models."""

from __future__ import annotations

from typing import Any

from graphc.errors import ShapeError
from graphc.keras.callbacks import CallbackList
from graphc.keras.engine import arguments
from graphc.keras.engine.compilable import Compilable
from graphc.keras.engine.data import Rows, make_rows, split_validation, unpack
from graphc.keras.engine.feeds import BatchFeed, RowsFeed, is_batches
from graphc.keras.engine.programs import fixed_batch_size
from graphc.keras.engine.running import Feed, Runner, python_values


class Trainer(Compilable):
    """The methods of a model that run it on data.

    Attributes:
        history: The `History` of the last `fit`.
        example_batch: During `fit`: the first batch, for callbacks that look at gradients.
        stop_training: Set by callbacks to end `fit` after the running epoch, or, in a batch hook,
            after the running batch; ``stop_evaluating`` and ``stop_predicting`` likewise.
    """

    history: Any = None
    stop_training = False
    stop_evaluating = False
    stop_predicting = False
    example_batch: Rows | None = None
    _initial_epoch: int | None = None

    # ------------------------------------------------------------------------------------- fit

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: Any = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> Any:
        """Train the model (https://keras.io/api/models/model_training_apis/).

        Args:
            x: Inputs: an array, a structure of arrays like the model's inputs, or a generator,
                iterable or `PyDataset` of batches.
            y: Targets; not with batches.
            batch_size: Rows per step; 32 by default. Not with batches.
            epochs: The number of the last epoch.
            verbose: 0 for silence, 1 for a bar, 2 for a line per epoch, "auto" for 1.
            callbacks: Objects whose hooks are called on the way.
            validation_split: Part of the rows, taken from the end, to evaluate on.
            validation_data: Data to evaluate on after each epoch, as a tuple or as batches.
            shuffle: Whether rows are taken in a new random order in each epoch.
            class_weight: Dict from class to weight in the loss.
            sample_weight: Weight of each sample in the loss.
            initial_epoch: The number of the first epoch.
            steps_per_epoch: Batches per epoch; needed for endless generators. The next epoch goes
                on behind the last one.
            validation_steps: Batches per validation.
            validation_batch_size: Rows per step of validation.
            validation_freq: Validate after every so many epochs, or after these.

        Returns:
            A `History`: its ``history`` maps the names of results to lists, a value per epoch.

        Raises:
            RuntimeError: The model was not compiled.
            ShapeError, DTypeError: The data does not fit the model; nothing was trained.
        """
        self._check_compiled("fit")
        arguments.check_fit(epochs, initial_epoch, steps_per_epoch, validation_steps)
        arguments.check_validation_freq(validation_freq)
        data = self._data(x, y, sample_weight, class_weight)
        validation = self._validation_data(data, validation_split, validation_data)
        if validation_split and validation_data is None:
            data, validation = split_validation(data, validation_split)
        feed = self._feed(data, batch_size, steps_per_epoch, class_weight, shuffle)
        validation_feed = None
        if validation is not None:
            validation_feed = self._feed(
                validation, validation_batch_size or batch_size, validation_steps
            )
            self._prepare("evaluate", validation_feed)
        # Everything that may be wrong with the data shows before anything is trained.
        self._prepare("train", feed)
        self._warn_of_changes()
        callbacks = self._callback_list(callbacks, verbose, epochs, feed.steps, add_history=True)
        planned = range(initial_epoch, epochs)
        return self._train_epochs(planned, feed, callbacks, validation_feed, validation_freq)

    def _train_epochs(
        self,
        epochs: range,
        feed: Feed,
        callbacks: CallbackList,
        validation: Feed | None,
        validation_freq: Any,
    ) -> Any:
        self.stop_training = False
        self._initial_epoch = None
        logs: dict[str, Any] = {}
        callbacks.on_train_begin()
        # A callback that restores a backup says only now where to go on.
        epochs = range(self._initial_epoch or epochs.start, epochs.stop)
        try:
            for epoch in epochs:
                self.reset_metrics()
                callbacks.on_epoch_begin(epoch)
                runner = Runner(self, "train", callbacks)
                runner.run(feed)
                if not runner.steps:  # a generator is used up
                    break
                logs = dict(runner.logs)
                if validation is not None and arguments.is_due(epoch, validation_freq):
                    results = self._evaluate(validation, callbacks)
                    logs.update({f"val_{name}": value for name, value in results.items()})
                callbacks.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
        finally:
            object.__setattr__(self, "example_batch", None)
            if epochs.stop > 0:
                self.optimizer.finalize_variable_values(self.trained_variables)
        callbacks.on_train_end(logs)
        return self.history

    def _evaluate(self, feed: Feed, callbacks: CallbackList) -> dict[str, Any]:
        self.stop_evaluating = False
        callbacks.on_test_begin()
        self.reset_metrics()
        feed.restart()
        runner = Runner(self, "evaluate", callbacks)
        runner.run(feed)
        callbacks.on_test_end(runner.logs)
        return runner.logs

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss and the metrics on some data.

        Args:
            x: Inputs, or batches.
            y: Targets; not with batches.
            batch_size: Rows per step; 32 by default.
            verbose: 0 for silence, 1 for a bar, 2 for a line, "auto" for 1.
            sample_weight: Weight of each sample.
            steps: The number of batches; all by default.
            callbacks: Objects whose hooks are called on the way.
            return_dict: Whether to return a dict by name.

        Returns:
            The loss as a float, or a list of it and the metrics, or a dict.
        """
        self._check_compiled("evaluate")
        feed = self._feed(self._data(x, y, sample_weight), batch_size, steps)
        self._prepare("evaluate", feed)
        logs = self._evaluate(feed, self._callback_list(callbacks, verbose, 1, feed.steps))
        return logs if return_dict else self._in_order(logs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The model's outputs for some data.

        Args:
            x: Inputs, or batches.
            batch_size: Rows per step; 32 by default.
            verbose: 0 for silence, 1 for a bar, 2 for a line, "auto" for 1.
            steps: The number of batches; all by default.
            callbacks: Objects whose hooks are called on the way.

        Returns:
            Arrays in the structure of the model's outputs.
        """
        feed = self._feed(self._data(x), batch_size, steps)
        if isinstance(feed, RowsFeed) and feed.all_steps == 1 and verbose == 0 and not callbacks:
            return self._predict_at_once(feed.rows)  # a row now and then: latency is what counts
        self.steps_for("predict", feed.first)
        callbacks = self._callback_list(callbacks, verbose, 1, feed.steps)
        self.stop_predicting = False
        callbacks.on_predict_begin()
        outputs = Runner(self, "predict", callbacks).run(feed)
        callbacks.on_predict_end()
        return outputs

    # ------------------------------------------------------------------------------ one batch

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
        reset_metrics: bool = True,
    ) -> Any:
        """One training step.

        Args:
            x: Inputs.
            y: Targets.
            sample_weight: Weight of each sample.
            class_weight: Dict from class to weight.
            return_dict: Whether to return a dict by name.
            reset_metrics: Whether metrics are of this batch alone; otherwise they are means over
                the batches since the last `reset_metrics` (Keras 2).

        Returns:
            The loss as a float, or a list of it and the metrics, or a dict.
        """
        self._check_compiled("train_on_batch")
        return self._on_batch(
            "train", make_rows(x, y, sample_weight, class_weight), return_dict, reset_metrics
        )

    def test_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        return_dict: bool = False,
        reset_metrics: bool = True,
    ) -> Any:
        """The loss and the metrics of one batch.

        Args:
            x: Inputs.
            y: Targets.
            sample_weight: Weight of each sample.
            return_dict: Whether to return a dict by name.
            reset_metrics: As in `train_on_batch`.
        """
        self._check_compiled("test_on_batch")
        return self._on_batch(
            "evaluate", make_rows(x, y, sample_weight), return_dict, reset_metrics
        )

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch.

        Args:
            x: Inputs.
        """
        return self._predict_at_once(make_rows(x))

    def _predict_at_once(self, rows: Rows) -> Any:
        compiled = self.steps_for("predict", rows)
        return compiled.outputs(compiled.executable.run(rows.arrays, compiled.state))

    def _prepare(self, kind: str, feed: Feed) -> None:
        """Compile what the data needs, and check the data."""
        first = feed.first
        self.steps_for(kind, first)
        assert self.compilation is not None
        self.compilation.check_labels(first.y)
        if kind == "train":
            batch = first.slice(0, getattr(feed, "batch_size", first.count))
            object.__setattr__(self, "example_batch", batch)

    def _on_batch(self, kind: str, rows: Rows, return_dict: bool, reset: bool) -> Any:
        compiled = self.steps_for(kind, rows)
        if reset:
            self.reset_metrics()
        logs = python_values(compiled.executable.run(rows.arrays, compiled.state))
        return logs if return_dict else self._in_order(logs)

    # ---------------------------------------------------------------------------------- helpers

    def _data(self, x: Any, y: Any = None, sample_weight: Any = None, classes: Any = None) -> Any:
        """Rows, or the user's source of batches as it is."""
        if x is None:
            raise ValueError("there is no data: x is None")
        if not is_batches(x):
            return make_rows(x, y, sample_weight, classes)
        if y is not None or sample_weight is not None:
            given = "y" if y is not None else "sample_weight"
            raise ValueError(
                f"{given} must not be given when x is a {type(x).__name__}: its batches hold the "
                "targets and weights, as tuples (x, y) or (x, y, sample_weight)"
            )
        return x

    def _validation_data(self, data: Any, fraction: float, given: Any) -> Any:
        if given is None:
            if fraction and not isinstance(data, Rows):
                raise ValueError(
                    "validation_split needs arrays; give validation_data where x is a generator "
                    "or a data set"
                )
            return None
        if is_batches(given):
            return given
        return make_rows(*unpack(tuple(given) if isinstance(given, list) else given))

    def _callback_list(
        self,
        callbacks: Any,
        verbose: Any,
        epochs: int,
        steps: int | None,
        add_history: bool = False,
    ) -> CallbackList:
        if isinstance(callbacks, CallbackList):
            return callbacks
        arguments.check_verbose(verbose)
        return CallbackList(
            callbacks,
            add_history=add_history,
            add_progbar=verbose != 0,
            model=self,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
        )

    def _feed(
        self,
        data: Any,
        batch_size: Any,
        steps: int | None,
        class_weight: Any = None,
        shuffle: Any = False,
    ) -> Feed:
        """Batches of rows, or of a user's source of batches."""
        if not isinstance(data, Rows):
            return BatchFeed(data, steps, class_weight, shuffle)
        fixed = fixed_batch_size(self)
        if fixed is not None and (batch_size not in (None, fixed) or data.count % fixed):
            raise ShapeError(
                f'model "{self.name}" was made for batches of {fixed}, so batch_size has to be '
                f"{fixed} and the number of samples a multiple of it; received batch_size="
                f"{batch_size} and {data.count} samples"
            )
        return RowsFeed(data, fixed if batch_size is None else batch_size, steps, shuffle)
