"""Training, evaluation and prediction of models."""

from __future__ import annotations

import warnings
from typing import Any

from graphc.eager.tensor import Tensor, as_tensor, cast
from graphc.keras import ops, optimizers, tree
from graphc.keras.callbacks import CallbackList
from graphc.keras.engine import arguments
from graphc.keras.engine.compilation import Compilation
from graphc.keras.engine.data import Rows, make_rows, split_validation, unpack
from graphc.keras.engine.feeds import BatchFeed, RowsFeed, is_batches
from graphc.keras.engine.programs import CompiledProgram
from graphc.keras.engine.running import Feed, Runner, python_values
from graphc.keras.engine.steps import Steps, batch_size_of
from graphc.program import Program


class Trainer:
    """The methods of a model that run it on data.

    Attributes:
        optimizer: The optimizer given to `compile`.
        loss: The loss given to `compile`.
        compile_arguments: All arguments that say what is trained; None before `compile`.
        compilation: What they became; None before `compile`.
        history: The `History` of the last `fit`.
        stop_training: Set by callbacks to end `fit` after the running epoch, or, in a batch hook,
            after the running batch; ``stop_evaluating`` and ``stop_predicting`` likewise.
    """

    name: str
    optimizer: Any = None
    loss: Any = None
    history: Any = None
    compile_arguments: dict[str, Any] | None = None
    compilation: Compilation | None = None
    stop_training = False
    stop_evaluating = False
    stop_predicting = False
    _initial_epoch: int | None = None

    # --------------------------------------------------------------------------------- compile

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int | str = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        sample_weight_mode: Any = None,
        backend: str | None = None,
    ) -> None:
        """Say how the model is trained (https://keras.io/api/models/model_training_apis/).

        Args:
            optimizer: A name, an optimizer, or its saved form.
            loss: A name, a `Loss` or a function ``(y_true, y_pred) -> loss``; a list or dict of
                them for several outputs.
            metrics: A list of names, metrics or functions; a list of lists or a dict for several
                outputs.
            loss_weights: Factors of the outputs' losses: a list or dict.
            weighted_metrics: Like ``metrics``, but sample weights count.
            run_eagerly: Accepted for compatibility; steps are always compiled.
            steps_per_execution: Accepted for compatibility; as many steps run in one call as
                possible.
            jit_compile: Accepted for compatibility; steps are always compiled.
            auto_scale_loss: Accepted for compatibility.
            sample_weight_mode: Keras 2's; sample weights may have a time axis anyway.
            backend: What runs the model: ``"cpu"``, ``"onnxruntime"`` or ``"reference"``;
                `config.backend` by default.

        Raises:
            ValueError: An unknown name; the nearest known one is suggested.
        """
        arguments.check_losses(loss)
        arguments.check_metrics(metrics)
        arguments.check_metrics(weighted_metrics)
        arguments.check_backend(backend)
        self.optimizer = optimizers.get(optimizer)
        self.loss = loss
        self.compile_arguments = {
            "optimizer": self.optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
        }
        # What is frozen now stays frozen until the next compile.
        trained = list(self.trainable_variables) if self.built else None  # type: ignore
        self.compilation = Compilation(self.compile_arguments, backend, trained)
        self.stop_training = False
        self._steps.forget()

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self.compilation is not None

    @property
    def trained_variables(self) -> list[Any]:
        """The variables that training changes: those that were trainable at `compile`."""
        assert self.compilation is not None
        if self.compilation.trained is None:
            self.compilation.trained = list(self.trainable_variables)  # type: ignore
        return list(self.compilation.trained)

    @property
    def _steps(self) -> Steps:
        """The model's compiled programs."""
        if "_compiled_steps" not in self.__dict__:
            object.__setattr__(self, "_compiled_steps", Steps(self))
        return self.__dict__["_compiled_steps"]

    def steps_for(self, kind: str, rows: Rows) -> CompiledProgram:
        """The compiled program of a kind for data like ``rows``; see `Steps.get`."""
        return self._steps.get(kind, rows)

    # ------------------------------------------------------------------------------ overridable

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor | None:
        """The loss of a batch; may be overridden.

        Args:
            x: Inputs.
            y: Targets.
            y_pred: Predictions.
            sample_weight: Weights of the samples.
            training: Whether the step trains.

        Returns:
            A scalar: what `compile` was given, and `losses`, the penalties that layers added.
            None if there is nothing of it.
        """
        assert self.compilation is not None
        loss = self.compilation.loss(y, y_pred, sample_weight, batch_size_of(x))
        for extra in self.losses:  # type: ignore[attr-defined]
            added = ops.sum(as_tensor(extra))
            loss = added if loss is None else loss + cast(added, loss.dtype)
        return loss

    def compute_metrics(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Update the metrics with a batch; may be overridden.

        Args:
            x: Inputs.
            y: Targets.
            y_pred: Predictions.
            sample_weight: Weights of the samples.

        Returns:
            The value of each metric by name: what callbacks and the progress bar show.
        """
        assert self.compilation is not None
        self.compilation.update_metrics(y, y_pred, sample_weight)
        return self.get_metrics_result()

    # ------------------------------------------------------------------------------------ logs

    @property
    def metrics(self) -> list[Any]:
        """All metrics: the loss's running mean, those given to `compile`, those of layers."""
        if self.compilation is None:
            return self.find_own_metrics()
        own = self.compilation.own_metrics
        return self.compilation.all_metrics + (self.find_own_metrics() if own is None else own)

    def find_own_metrics(self) -> list[Any]:
        """The metrics that are attributes of the model or of its layers."""
        return super().metrics  # type: ignore[misc]

    @property
    def metrics_names(self) -> list[str]:
        """The names of the metrics."""
        names: list[str] = []
        for metric in self.metrics:
            names += getattr(metric, "named", None) or [metric.name]
        return names

    def reset_metrics(self) -> None:
        """Start all running means anew."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """The value of each metric by name."""
        logs: dict[str, Any] = {}
        for metric in self.metrics:
            result = metric.result()
            logs.update(result if isinstance(result, dict) else {metric.name: result})
        return logs

    def _in_order(self, logs: dict[str, Any]) -> Any:
        """Values as `evaluate` returns them: metrics by their own names first, others by name."""
        names: list[str] = []
        for metric in self.metrics:
            names += [part.name for part in getattr(metric, "metrics", [metric])]
        known = [name for name in dict.fromkeys(names) if name in logs]
        values = [logs[name] for name in known + sorted(set(logs) - set(known))]
        return values[0] if len(values) == 1 else values

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
        feed = _feed(data, batch_size, steps_per_epoch, class_weight, shuffle)
        validation_feed = None
        if validation is not None:
            validation_feed = _feed(
                validation, validation_batch_size or batch_size, validation_steps
            )
            self.steps_for("evaluate", validation_feed.first)
        # Everything that may be wrong with the data shows before anything is trained.
        self.steps_for("train", feed.first)
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
        feed = _feed(self._data(x, y, sample_weight), batch_size, steps)
        self.steps_for("evaluate", feed.first)
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
        feed = _feed(self._data(x), batch_size, steps)
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
        results = compiled.executable.run(rows.arrays, compiled.state)
        return tree.pack_sequence_as(compiled.structure, list(results.values()))

    def predict_classes(self, x: Any, batch_size: int | None = None, verbose: Any = 0) -> Any:
        """The most likely class of each row (Keras 2).

        Args:
            x: Inputs.
            batch_size: Rows per step; 32 by default.
            verbose: As in `predict`.
        """
        probabilities = self.predict(x, batch_size, verbose)
        if probabilities.shape[-1] > 1:
            return probabilities.argmax(-1)
        return (probabilities > 0.5).astype("int32")

    def predict_proba(self, x: Any, batch_size: int | None = None, verbose: Any = 0) -> Any:
        """The same as `predict` (Keras 2)."""
        return self.predict(x, batch_size, verbose)

    def _on_batch(self, kind: str, rows: Rows, return_dict: bool, reset: bool) -> Any:
        compiled = self.steps_for(kind, rows)
        if reset:
            self.reset_metrics()
        logs = python_values(compiled.executable.run(rows.arrays, compiled.state))
        return logs if return_dict else self._in_order(logs)

    # ------------------------------------------------------------------------------- programs

    def lower(self, kind: str = "train", data: Any = None) -> Program:
        """The program that the model compiles to, for looking at.

        Args:
            kind: ``"train"``, ``"evaluate"`` or ``"predict"``.
            data: A batch ``(x, y)`` that shows shapes and dtypes; by default that of the program
                used last.

        Returns:
            A program; its graph prints as text.

        Raises:
            ValueError: No such program was used yet, and no data shows what to make.
        """
        if kind not in ("train", "evaluate", "predict"):
            raise ValueError(f'lower() takes "train", "evaluate" or "predict", not {kind!r}')
        if kind != "predict":
            self._check_compiled("lower")
        if data is not None:
            return self.steps_for(kind, make_rows(*unpack(data))).program
        known = self._steps.latest(kind)
        if known is None:
            raise ValueError(
                f'the model has not run a "{kind}" program yet, so shapes are not known: pass a '
                "batch, as in model.lower('train', (x[:32], y[:32]))"
            )
        return known.program

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

    def _check_compiled(self, method: str) -> None:
        if not self.compiled:
            raise RuntimeError(
                f'model "{self.name}" has to be compiled before {method}(): call for example '
                'model.compile(optimizer="adam", loss="mse")'
            )

    def _warn_of_changes(self) -> None:
        """Warn when a layer was frozen or thawed after `compile`."""
        now = {id(v) for v in self.trainable_variables}  # type: ignore[attr-defined]
        changed = [v.path for v in self.variables  # type: ignore[attr-defined]
                   if (id(v) in now) != any(v is t for t in self.trained_variables)]  # fmt: skip
        if changed:
            warnings.warn(
                f"`trainable` has changed since compile() for {', '.join(changed[:4])}"
                f"{' and others' if len(changed) > 4 else ''}: it takes effect when the model is "
                "compiled again",
                stacklevel=3,
            )


def _feed(
    data: Any, batch_size: Any, steps: int | None, class_weight: Any = None, shuffle: Any = False
) -> Feed:
    """Batches of rows, or of a user's source of batches."""
    if isinstance(data, Rows):
        return RowsFeed(data, batch_size, steps, shuffle)
    return BatchFeed(data, steps, class_weight, shuffle)
