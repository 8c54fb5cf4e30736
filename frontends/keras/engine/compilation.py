"""What a model was compiled with, made concrete when a first batch shows outputs and targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc.eager.tensor import Tensor
from graphc.eager.trace import computing_at_once
from graphc.eager.variable import Variable
from graphc.keras import metrics, tree
from graphc.keras.engine.compile_losses import CompileLoss
from graphc.keras.engine.compile_metrics import CompileMetrics
from graphc.keras.engine.explain_losses import check_labels
from graphc.keras.engine.outputs import Outputs


class Compilation:
    """The arguments of `compile`, and what they become.

    Args:
        arguments: ``loss``, ``loss_weights``, ``metrics`` and ``weighted_metrics`` as given.
        backend: What runs the programs; None for `config.backend`.
        trained: The variables to train; None for a model that has not seen a shape yet.
        names: Gives the names of the model's outputs; None without.

    Attributes:
        tracker: The running mean of the loss.
        outputs: The model's outputs; None before the first batch.
        losses: The losses; None before the first batch.
        metrics: The metrics, as one metric.
        own_metrics: Those that the model's layers brought along when a step was traced last; None
            before.
    """

    def __init__(
        self,
        arguments: dict[str, Any],
        backend: str | None = None,
        trained: Sequence[Variable] | None = None,
        names: Callable[[], Sequence[str] | None] = lambda: None,
    ):
        self.arguments = arguments
        self.backend = backend
        self.trained = trained
        with computing_at_once():
            self.tracker = metrics.Mean(name="loss")
        self.outputs: Outputs | None = None
        self.losses: CompileLoss | None = None
        self._names = names
        self.metrics = CompileMetrics(
            arguments["metrics"], arguments["weighted_metrics"], self.resolve
        )
        self.own_metrics: list[Any] | None = None

    def resolve(self, y: Any, y_pred: Any) -> Outputs:
        """Find the outputs, and a loss and metrics for each, at the first batch.

        Args:
            y: Targets.
            y_pred: Predictions.

        Raises:
            ValueError: Losses, metrics or targets do not match the outputs.
        """
        if self.outputs is not None:
            return self.outputs
        outputs = Outputs(y_pred, self._names())
        targets, flat = outputs.flatten(y, "y"), tree.flatten(y_pred)
        given = self.arguments
        self.losses = CompileLoss(given["loss"], given["loss_weights"], outputs, targets, flat)
        self.metrics.build(outputs, targets, flat)
        self.outputs = outputs
        return outputs

    @property
    def all_metrics(self) -> list[Any]:
        """The running mean of the loss, the metrics, the running means of the outputs' losses."""
        found: list[Any] = [self.tracker]
        if self.metrics.built or any(
            self.arguments[key] for key in ("metrics", "weighted_metrics")
        ):
            found.append(self.metrics)
        if self.losses is not None:
            found += self.losses.metrics
        return found

    def loss(self, y: Any, y_pred: Any, sample_weight: Any, batch_size: Tensor) -> Tensor | None:
        """The weighted sum of the losses; None without any.

        Raises:
            ValueError: There is a loss, but no target for it.
        """
        outputs = self.resolve(y, y_pred)
        assert self.losses is not None
        return self.losses(
            outputs.flatten(y, "y"),
            tree.flatten(y_pred),
            outputs.weights(sample_weight),
            batch_size,
        )

    def check_labels(self, y: Any) -> None:
        """Refuse targets, as arrays, that name classes that there are not, with a `ValueError`."""
        if self.losses is not None and self.outputs is not None:
            check_labels(self.outputs.flatten(y, "y"), self.losses.class_counts)
