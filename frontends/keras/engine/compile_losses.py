"""The losses that `compile` was given, as one scalar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.eager.tensor import Tensor, cast
from graphc.errors import ShapeError
from graphc.keras import losses, metrics
from graphc.keras.engine.explain_losses import class_count, explain_shapes
from graphc.keras.engine.kind import resolve_kind
from graphc.keras.engine.naming import to_snake_case
from graphc.keras.engine.outputs import Outputs


class CompileLoss:
    """A loss per output, their weights, and the running means of each.

    Args:
        loss: As given to `compile`: one, or a list or dict of names, objects or functions.
        loss_weights: As given to `compile`.
        outputs: The outputs of the model.
        targets: The targets of the first batch, to tell what ``"crossentropy"`` means.
        predictions: The predictions of it.

    Raises:
        ValueError: An unknown loss, or one for an output that does not exist.
    """

    def __init__(
        self,
        loss: Any,
        loss_weights: Any,
        outputs: Outputs,
        targets: Sequence[Any],
        predictions: Sequence[Tensor],
    ):
        if outputs.count > 1 and not isinstance(loss, (list, tuple, dict)):
            loss = [loss] * outputs.count  # one loss serves every output
        self.losses = [
            _resolve(item, y, y_pred)
            for item, y, y_pred in zip(
                outputs.flatten(loss, "loss"), targets, predictions, strict=True
            )
        ]
        self.class_counts = [
            class_count(function, prediction)
            for function, prediction in zip(self.losses, predictions, strict=True)
        ]
        self.weights = outputs.flatten(loss_weights, "loss_weights")
        self._names = outputs.names
        self.trackers: list[Any] = [None] * outputs.count
        if sum(function is not None for function in self.losses) > 1:
            names = outputs.names or [getattr(f, "name", "") for f in self.losses]
            self.trackers = [
                metrics.Mean(name=name) if function else None
                for name, function in zip(_tracker_names(names), self.losses, strict=True)
            ]
        self._given_order = [f"{name}_loss" for name in loss] if isinstance(loss, dict) else []

    @property
    def metrics(self) -> list[Any]:
        """The running means, in the order of the losses in the dict that holds them."""
        found = [tracker for tracker in self.trackers if tracker]
        order = {name: place for place, name in enumerate(self._given_order)}
        return sorted(found, key=lambda tracker: order.get(tracker.name, len(order)))

    def __call__(
        self,
        targets: Sequence[Any],
        predictions: Sequence[Tensor],
        sample_weights: Sequence[Any],
        batch_size: Tensor,
    ) -> Tensor | None:
        """The weighted sum of the losses; also updates the running mean of each.

        Args:
            targets: One per output; None where there is no loss.
            predictions: One per output.
            sample_weights: One per output, or None.
            batch_size: The number of samples, as the weight in running means.

        Returns:
            A scalar; None without any loss.
        """
        total: Tensor | None = None
        for index, function in enumerate(self.losses):
            if function is None:
                continue
            if targets[index] is None:
                raise ValueError(
                    "there is a loss"
                    + (f" for output {index}" if len(self.losses) > 1 else "")
                    + ", but no target: give y as well, for validation too"
                )
            value = self._value(index, targets[index], predictions[index], sample_weights[index])
            if value.ndim:
                raise ValueError(
                    f'the loss "{function.name}" gives a tensor of shape {value.shape}, but '
                    'training needs one number: do not use reduction="none"'
                )
            value = cast(
                value, "float32" if value.dtype in ("float16", "bfloat16") else value.dtype
            )
            if self.trackers[index]:
                self.trackers[index].update_state(value, sample_weight=batch_size)
            if self.weights[index] is not None:
                value = value * self.weights[index]
            total = value if total is None else total + value
        return total

    def _value(self, index: int, target: Any, prediction: Tensor, sample_weight: Any) -> Tensor:
        """The loss of one output."""
        function = self.losses[index]
        try:
            return function(target, prediction, sample_weight)
        except ShapeError as error:
            name = self._names[index] if len(self._names) > 1 else ""
            text = explain_shapes(function.name, name, target.shape, prediction.shape)
            raise ShapeError(text) from error


def _tracker_names(names: Sequence[str]) -> list[str]:
    """``main`` as ``main_loss``; what is there already gets a number."""
    found: list[str] = []
    for name in names:
        free, count = f"{name}_loss", 1
        while free in found:
            free = f"{name}_loss_{count}"
            count += 1
        found.append(free)
    return found


def _resolve(identifier: Any, target: Any, prediction: Tensor) -> Any:
    if identifier is None:
        return None
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        kind = resolve_kind(target, prediction)
        identifier = f"{kind}_crossentropy"
    function = losses.get(identifier)
    if isinstance(function, losses.Loss):
        return function
    name = identifier if isinstance(identifier, str) else _name_of(function)
    return losses.LossFunctionWrapper(function, name=name)


def _name_of(function: Any) -> str:
    return getattr(function, "__name__", None) or to_snake_case(type(function).__name__)
