"""Training, evaluation and prediction of models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphc.eager.tensor import Tensor
from graphc.keras import losses, metrics, optimizers, tree
from graphc.keras.callbacks import CallbackList
from graphc.keras.engine.compile_losses import CompileLoss
from graphc.keras.engine.compile_metrics import CompileMetrics
from graphc.keras.engine.data import (
    Batches,
    Rows,
    is_batches,
    make_rows,
    split_validation,
    unpack,
)
from graphc.keras.engine.outputs import Outputs
from graphc.keras.engine.running import (
    Order,
    check_metrics,
    checked_batch_size,
    in_order,
    is_due,
    number,
    run,
    run_rows,
    steps_of,
)
from graphc.keras.engine.steps import Steps, batch_size_of
from graphc.program import Program


class Trainer:
    """The methods of a model that run it on data.

    Attributes:
        optimizer: The optimizer given to `compile`.
        stop_training: Set by callbacks to end `fit` after the running epoch.
        history: The `History` of the last `fit`.
    """

    name: str
    optimizer: Any = None
    stop_training = False
    history: Any = None
    compile_arguments: dict[str, Any] | None = None
    compiled_losses: CompileLoss | None = None
    compiled_metrics: CompileMetrics | None = None
    outputs_of_loss: Outputs | None = None
    predicted_structure: Any = None

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

        Raises:
            ValueError: An unknown name; the nearest known one is suggested.
        """
        self.optimizer = optimizers.get(optimizer)
        for identifier in tree.flatten(loss):
            if not (isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce")):
                losses.get(identifier)
        check_metrics(metrics)
        check_metrics(weighted_metrics)
        self.compile_arguments = {
            "optimizer": self.optimizer,
            "loss": loss,
            "metrics": metrics,
            "loss_weights": loss_weights,
            "weighted_metrics": weighted_metrics,
        }
        self.compiled_losses = None
        self.compiled_metrics = None
        self.outputs_of_loss = None
        self.stop_training = False
        object.__setattr__(self, "_loss_tracker", None)
        # What is frozen now stays frozen until the next compile.
        object.__setattr__(self, "_trained", None)
        object.__setattr__(self, "_steps", Steps(self))

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self.compile_arguments is not None

    @property
    def steps(self) -> Steps:
        """The model's compiled programs."""
        if "_steps" not in self.__dict__:
            object.__setattr__(self, "_steps", Steps(self))
        return self.__dict__["_steps"]

    @property
    def loss_tracker(self) -> Any:
        """The running mean of the loss."""
        if self.__dict__.get("_loss_tracker") is None:
            object.__setattr__(self, "_loss_tracker", metrics.Mean(name="loss"))
        return self.__dict__["_loss_tracker"]

    @property
    def trained_variables(self) -> list[Any]:
        """The variables that training changes: those that were trainable at `compile`."""
        if self.__dict__.get("_trained") is None:
            object.__setattr__(self, "_trained", list(self.trainable_variables))  # type: ignore
        return self.__dict__["_trained"]

    @property
    def loss(self) -> Any:
        """The loss given to `compile`."""
        return self.compile_arguments["loss"] if self.compile_arguments else None

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
            A scalar; None if there is no loss. Losses added by layers are added afterwards.
        """
        if self.compiled_losses is None or self.outputs_of_loss is None or y is None:
            return None
        outputs = self.outputs_of_loss
        return self.compiled_losses(
            outputs.flatten(y, "y"),
            tree.flatten(y_pred),
            self._weights_per_output(sample_weight),
            batch_size_of(x),
        )

    def compute_metrics(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Update the metrics with a batch; may be overridden.

        Args:
            x: Inputs.
            y: Targets.
            y_pred: Predictions.
            sample_weight: Weights of the samples.
        """
        if self.compiled_metrics is not None and self.outputs_of_loss is not None and y is not None:
            self.compiled_metrics.update_state(
                self.outputs_of_loss.flatten(y, "y"),
                tree.flatten(y_pred),
                self._weights_per_output(sample_weight),
            )
        return {}

    def _weights_per_output(self, sample_weight: Any) -> list[Any]:
        assert self.outputs_of_loss is not None
        if sample_weight is None or tree.is_nested(sample_weight):
            return self.outputs_of_loss.flatten(sample_weight, "sample_weight")
        return [sample_weight] * self.outputs_of_loss.count

    # ------------------------------------------------------------------------------------ logs

    @property
    def metrics(self) -> list[Any]:
        """All metrics: the loss's running mean, those given to `compile`, those of layers."""
        found: list[Any] = []
        if self.compiled:
            found.append(self.loss_tracker)
        if self.compiled_metrics is not None:
            found += self.compiled_metrics.metrics
        if self.compiled_losses is not None:
            found += [tracker for tracker in self.compiled_losses.trackers if tracker]
        own = super().metrics  # type: ignore[misc]
        return found + [metric for metric in own if all(metric is not known for known in found)]

    @property
    def metrics_names(self) -> list[str]:
        """The names of the metrics, in the order in which `evaluate` returns them."""
        return [name for name, _ in self._named_metrics()]

    def _named_metrics(self) -> Iterator[tuple[str, Any]]:
        if self.compiled:
            yield "loss", self.loss_tracker
        if self.compiled_metrics is not None:
            yield from self.compiled_metrics.named()
        if self.compiled_losses is not None:
            for tracker in self.compiled_losses.trackers:
                if tracker:
                    yield tracker.name, tracker
        for metric in super().metrics:  # type: ignore[misc]
            yield metric.name, metric

    def reset_metrics(self) -> None:
        """Start all running means anew."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """The current value of each metric by name."""
        logs: dict[str, Any] = {}
        for name, metric in self._named_metrics():
            result = metric.result()
            if isinstance(result, dict):
                logs.update({key: number(value) for key, value in result.items()})
            else:
                logs[name] = number(result)
        return logs

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
            batch_size: Rows per step; 32 by default.
            epochs: The number of the last epoch.
            verbose: 0 for silence, 1 for a bar, 2 for a line per epoch, "auto" for 1.
            callbacks: Objects whose hooks are called on the way.
            validation_split: Part of the rows, taken from the end, to evaluate on.
            validation_data: Data to evaluate on after each epoch, as a tuple or as batches.
            shuffle: Whether rows are taken in a new random order in each epoch.
            class_weight: Dict from class to weight in the loss.
            sample_weight: Weight of each sample in the loss.
            initial_epoch: The number of the first epoch.
            steps_per_epoch: Batches per epoch; needed for endless generators.
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
        source = self._source(x, y, sample_weight, class_weight)
        batch_size = checked_batch_size(batch_size)
        validation = self._validation_source(source, validation_split, validation_data)
        if isinstance(source, Rows) and validation_split:
            source, validation = split_validation(source, validation_split)
        steps = steps_per_epoch or steps_of(source, batch_size)
        callbacks = self._callback_list(
            callbacks, verbose, epochs=epochs, steps=steps, add_history=True
        )
        self.stop_training = False
        callbacks.on_train_begin()
        logs: dict[str, Any] = {}
        order = Order(source, shuffle, batch_size)
        for epoch in range(initial_epoch, epochs):
            self.reset_metrics()
            callbacks.on_epoch_begin(epoch)
            run(self, "train", source, batch_size, steps_per_epoch, callbacks, order.next())
            logs = self.get_metrics_result()
            if validation is not None and is_due(epoch, validation_freq):
                logs.update(
                    self._validate(
                        validation, validation_batch_size or batch_size, validation_steps, callbacks
                    )
                )
            callbacks.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        callbacks.on_train_end(logs)
        return self.history

    def _validate(
        self, source: Any, batch_size: int, steps: int | None, callbacks: CallbackList
    ) -> dict[str, Any]:
        self.reset_metrics()
        callbacks.on_test_begin()
        run(self, "evaluate", source, batch_size, steps, callbacks)
        logs = self.get_metrics_result()
        callbacks.on_test_end(logs)
        return {f"val_{name}": value for name, value in logs.items()}

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
        source = self._source(x, y, sample_weight)
        batch_size = checked_batch_size(batch_size)
        total = steps or steps_of(source, batch_size)
        callbacks = self._callback_list(callbacks, verbose, epochs=1, steps=total)
        self.reset_metrics()
        callbacks.on_test_begin()
        run(self, "evaluate", source, batch_size, steps, callbacks)
        logs = self.get_metrics_result()
        callbacks.on_test_end(logs)
        return logs if return_dict else in_order(logs)

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
        source = self._source(x)
        batch_size = checked_batch_size(batch_size)
        total = steps or steps_of(source, batch_size)
        callbacks = self._callback_list(callbacks, verbose, epochs=1, steps=total)
        callbacks.on_predict_begin()
        outputs = run(self, "predict", source, batch_size, steps, callbacks)
        callbacks.on_predict_end()
        return tree.pack_sequence_as(self.predicted_structure, outputs)

    # ------------------------------------------------------------------------------ one batch

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
        reset_metrics: bool = False,
    ) -> Any:
        """One training step.

        Args:
            x: Inputs.
            y: Targets.
            sample_weight: Weight of each sample.
            class_weight: Dict from class to weight.
            return_dict: Whether to return a dict by name.
            reset_metrics: Whether metrics are of this batch alone, as in Keras 2.

        Returns:
            The running loss as a float, or a list of it and the metrics, or a dict.
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
        reset_metrics: bool = False,
    ) -> Any:
        """The loss and metrics of one batch, added to the running means.

        Args:
            x: Inputs.
            y: Targets.
            sample_weight: Weight of each sample.
            return_dict: Whether to return a dict by name.
            reset_metrics: Whether metrics are of this batch alone, as in Keras 2.
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
        rows = make_rows(x)
        outputs = run_rows(self, "predict", rows, rows.count)
        return tree.pack_sequence_as(self.predicted_structure, outputs)

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
        if reset:
            self.reset_metrics()
        run_rows(self, kind, rows, rows.count)
        logs = self.get_metrics_result()
        return logs if return_dict else in_order(logs)

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
        if data is not None:
            return self.steps.get(kind, make_rows(*unpack(data))).program
        known = self.steps.latest(kind)
        if known is None:
            raise ValueError(
                f'the model has not run a "{kind}" program yet, so shapes are not known: pass a '
                "batch, as in model.lower('train', (x[:32], y[:32]))"
            )
        return known.program

    # ---------------------------------------------------------------------------------- helpers

    def _source(self, x: Any, y: Any = None, sample_weight: Any = None, classes: Any = None) -> Any:
        if x is None:
            raise ValueError("there is no data: x is None")
        if is_batches(x):
            if y is not None:
                raise ValueError("y must not be given with batches: they hold the targets")
            return Batches(x, classes)
        return make_rows(x, y, sample_weight, classes)

    def _validation_source(self, source: Any, fraction: float, data: Any) -> Any:
        if fraction and not isinstance(source, Rows):
            raise ValueError("validation_split needs arrays; give validation_data with batches")
        if data is None:
            return None
        if is_batches(data):
            return Batches(data)
        return make_rows(*unpack(tuple(data) if isinstance(data, list) else data))

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
        verbose = 1 if verbose == "auto" else int(verbose)
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
