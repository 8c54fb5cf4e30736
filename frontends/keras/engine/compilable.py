"""Models that can be compiled: what `Model.compile` is given, and the programs it leads to."""

from __future__ import annotations

import warnings
from typing import Any

from graphc.config import config
from graphc.eager.tensor import Tensor, as_tensor, cast
from graphc.keras import ops, optimizers
from graphc.keras.engine import arguments
from graphc.keras.engine.compilation import Compilation
from graphc.keras.engine.data import Rows, make_rows, unpack
from graphc.keras.engine.eager_steps import EagerSteps
from graphc.keras.engine.programs import CompiledProgram
from graphc.keras.engine.step_methods import StepMethods
from graphc.keras.engine.steps import Steps, batch_size_of
from graphc.program import Program


class Compilable(StepMethods):
    """The methods of a model that say how it is trained and what is measured.

    Attributes:
        optimizer: The optimizer given to `compile`.
        loss: The loss given to `compile`.
        compile_arguments: All arguments that say what is trained; None before `compile`.
        compilation: What they became; None before `compile`.
    """

    name: str
    built: bool
    optimizer: Any = None
    loss: Any = None
    compile_arguments: dict[str, Any] | None = None
    compilation: Compilation | None = None
    _run_eagerly: bool = False

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
            run_eagerly: Whether the Python code of a step runs for every batch, on tensors that
                have elements: to print them, to step through it, or to compute with NumPy in it.
            steps_per_execution: Accepted for compatibility; as many steps run in one call as
                possible.
            jit_compile: Accepted for compatibility; steps are always compiled, unless they run
                eagerly.
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
            "run_eagerly": bool(run_eagerly),
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
        }
        # What is frozen now stays frozen until the next compile.
        trained = list(self.trainable_variables) if self.built else None  # type: ignore
        self.compilation = Compilation(
            self.compile_arguments, backend, trained, lambda: getattr(self, "output_names", None)
        )
        self._run_eagerly = bool(run_eagerly)
        self._steps.forget()

    @property
    def run_eagerly(self) -> bool:
        """Whether steps run as Python code for every batch, rather than as a compiled program.

        `compile` says so, or `graphc.config.run_functions_eagerly` for all functions; it may be
        set, too.
        """
        return self._run_eagerly or config.functions_at_once

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        self._run_eagerly = bool(value)

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self.compilation is not None

    @property
    def trained_variables(self) -> list[Any]:
        """The variables that training changes: those that were trainable at `compile`."""
        assert self.compilation is not None
        if self.compilation.trained is None:
            if not self.built:  # nothing is decided before there are variables
                return []
            self.compilation.trained = list(self.trainable_variables)  # type: ignore
        return list(self.compilation.trained)

    @property
    def _steps(self) -> Steps:
        """The model's compiled programs."""
        if "_compiled_steps" not in self.__dict__:
            object.__setattr__(self, "_compiled_steps", Steps(self))
        return self.__dict__["_compiled_steps"]

    def steps_for(self, kind: str, rows: Rows) -> CompiledProgram | EagerSteps:
        """What runs steps of a kind for data like ``rows``; see `Steps.get` and `run_eagerly`."""
        if self.run_eagerly:
            return self._steps.at_once(kind, rows)
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
        rows = batch_size_of(y_pred if x is None else x)
        loss = self.compilation.loss(y, y_pred, sample_weight, rows)
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
        self.compilation.metrics.update_state(y, y_pred, sample_weight)
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

    @property
    def metrics_variables(self) -> list[Any]:
        """The state of the metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]

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
            return self._steps.get(kind, make_rows(*unpack(data))).program
        known = self._steps.latest(kind)
        if known is None:
            raise ValueError(
                f'the model has not run a "{kind}" program yet, so shapes are not known: pass a '
                "batch, as in model.lower('train', (x[:32], y[:32]))"
            )
        return known.program

    def _check_compiled(self, method: str) -> None:
        if not self.compiled:
            raise RuntimeError(
                f'model "{self.name}" has to be compiled before {method}(): call for example '
                'model.compile(optimizer="adam", loss="mse")'
            )

    def _warn_of_changes(self) -> None:
        """Warn when a layer was frozen or thawed after `compile`."""
        if not self.built:
            return
        now = {id(v) for v in self.trainable_variables}  # type: ignore[attr-defined]
        trained = {id(v) for v in self.trained_variables}
        if now == trained:
            return
        variables = self.variables  # type: ignore[attr-defined]
        changed = [v.path for v in variables if (id(v) in now) != (id(v) in trained)]
        if changed:
            warnings.warn(
                f"`trainable` has changed since compile() for {', '.join(changed[:4])}"
                f"{' and others' if len(changed) > 4 else ''}: it takes effect when the model is "
                "compiled again",
                stacklevel=3,
            )
