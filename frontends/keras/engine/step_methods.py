"""The steps of training, evaluation and prediction as methods that a model may override.

They run once on symbolic tensors. What they compute, and what they assign to variables, becomes the
compiled step: gradients, optimizers and metrics are plain Python.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

from graphc.eager.tape import GradientTape
from graphc.eager.tensor import Tensor, as_tensor
from graphc.keras.engine import call_context
from graphc.keras.engine.compilation import Compilation
from graphc.keras.engine.steps import batch_size_of
from graphc.keras.utils.batch_utils import unpack_x_y_sample_weight


class StepMethods:
    """The methods of a model that compute one step.

    A subclass may override them; its step is compiled like any other.

    Example:
        >>> class Autoencoder(keras.Model):
        ...     def train_step(self, data):
        ...         with graphc.GradientTape() as tape:
        ...             loss = keras.ops.mean(keras.ops.square(data - self(data, training=True)))
        ...         gradients = tape.gradient(loss, self.trainable_variables)
        ...         self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        ...         return {"loss": loss}
    """

    name: str
    optimizer: Any
    compilation: Compilation | None

    def train_step(self, data: Any) -> Mapping[str, Any]:
        """One step of training; may be overridden.

        Args:
            data: A batch: ``(x, y)``, ``(x, y, sample_weight)`` or ``x``.

        Returns:
            What callbacks and the progress bar show, by name.

        Raises:
            ValueError: The loss does not depend on any weight.
        """
        with GradientTape() as tape:
            loss, logs = self._forward(data, training=True)
            scaled = self.optimizer.scale_loss(loss)
        variables = self.trained_variables  # type: ignore[attr-defined]
        self.optimizer.build(variables)
        gradients = tape.gradient(scaled, variables)
        pairs = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
        missing = [v.path for g, v in zip(gradients, variables, strict=True) if g is None]
        if not pairs:
            raise ValueError(
                "the loss does not depend on any trainable weight, so there is nothing to train"
            )
        if missing:
            warnings.warn(
                f"the loss does not depend on {', '.join(missing)}: they are not trained",
                stacklevel=2,
            )
        self.optimizer.apply([g for g, _ in pairs], [v for _, v in pairs])
        return logs

    def test_step(self, data: Any) -> Mapping[str, Any]:
        """One step of evaluation; may be overridden.

        Args:
            data: A batch, as in `train_step`.

        Returns:
            The loss and the metrics by name.
        """
        _, logs = self._forward(data, training=False)
        return logs

    def predict_step(self, data: Any) -> Any:
        """One step of prediction; may be overridden.

        Args:
            data: A batch: ``x`` or ``(x,)``.

        Returns:
            The outputs.
        """
        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x, training=False)  # type: ignore[operator]

    def _forward(self, data: Any, training: bool) -> tuple[Tensor, Mapping[str, Any]]:
        """The loss, and the values of the metrics after this batch."""
        model: Any = self
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        with call_context.entered(training) as context:
            y_pred = model(x, training=training)
            model.compilation.own_metrics = model.find_own_metrics()
            # What layers added is among `model.losses` while the loss is computed.
            model.keep_losses(context.losses)
            loss = _compute_loss(model, x, y, y_pred, sample_weight, training)
            model.compilation.tracker.update_state(loss, sample_weight=batch_size_of(x))
            logs = model.compute_metrics(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight)
        return loss, model.get_metrics_result() if logs is None else logs

    # ------------------------------------------------------------------- names of earlier versions

    def compiled_loss(
        self,
        y: Any,
        y_pred: Any,
        sample_weight: Any = None,
        regularization_losses: Any = None,
    ) -> Any:
        """The loss that `compile` was given; Keras 2's name of `compute_loss`.

        Args:
            y: Targets.
            y_pred: Predictions.
            sample_weight: Weights of the samples.
            regularization_losses: Accepted as in Keras 2; `losses` are added in any case.
        """
        return self.compute_loss(None, y, y_pred, sample_weight)  # type: ignore[attr-defined]

    @property
    def compiled_metrics(self) -> Any:
        """The metrics that `compile` was given, as one metric."""
        assert self.compilation is not None, "there are metrics after compile()"
        return self.compilation.metrics


def _compute_loss(
    model: Any, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool
) -> Tensor:
    arguments = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight}
    if "training" in inspect.signature(model.compute_loss).parameters:
        arguments["training"] = training
    loss = model.compute_loss(**arguments)
    if loss is None and training:
        raise ValueError(
            f'model "{model.name}" has no loss to minimize: give compile() a loss, or use '
            "add_loss() in a layer"
        )
    return as_tensor(0.0 if loss is None else loss)
