"""The metrics that `compile` was given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from graphc.eager.tensor import Tensor
from graphc.keras import metrics as metrics_module
from graphc.keras.engine.kind import resolve_kind
from graphc.keras.engine.naming import to_snake_case
from graphc.keras.engine.outputs import Outputs


class CompileMetrics:
    """Metrics per output, updated without and with sample weights.

    Args:
        metrics: As given to `compile`: a list for the only output, or a list of lists or a dict.
        weighted_metrics: The same, for metrics that take sample weights into account.
        outputs: The outputs of the model.
        targets: The targets of the first batch, to tell what ``"accuracy"`` means.
        predictions: The predictions of it.
    """

    def __init__(
        self,
        metrics: Any,
        weighted_metrics: Any,
        outputs: Outputs,
        targets: Sequence[Any],
        predictions: Sequence[Tensor],
    ):
        self._prefixes = [""] * outputs.count
        if outputs.count > 1:
            names = outputs.names or [f"output_{i}" for i in range(outputs.count)]
            self._prefixes = [f"{name}_" for name in names]
        self._plain = _per_output(metrics, "metrics", outputs, targets, predictions)
        self._weighted = _per_output(
            weighted_metrics, "weighted_metrics", outputs, targets, predictions
        )

    def update_state(
        self, targets: Sequence[Any], predictions: Sequence[Tensor], sample_weights: Sequence[Any]
    ) -> None:
        """Take a batch into all metrics."""
        for index, (plain, weighted) in enumerate(zip(self._plain, self._weighted, strict=True)):
            if targets[index] is None and (plain or weighted):
                raise ValueError(f"there are metrics for output {index}, but no target for it")
            for metric in plain:
                metric.update_state(targets[index], predictions[index])
            for metric in weighted:
                metric.update_state(targets[index], predictions[index], sample_weights[index])

    def named(self) -> Iterator[tuple[str, Any]]:
        """Each metric with the name that it has in logs."""
        taken: dict[str, int] = {}
        for index, plain in enumerate(self._plain):
            for metric in plain:
                name = f"{self._prefixes[index]}{metric.name}"
                count = taken.get(name, 0)
                taken[name] = count + 1
                yield (f"{name}_{count}" if count else name), metric
        for index, weighted in enumerate(self._weighted):
            for metric in weighted:
                name = f"{self._prefixes[index]}{metric.name}"
                if name in taken:
                    name = f"{self._prefixes[index]}weighted_{metric.name}"
                count = taken.get(name, 0)
                taken[name] = count + 1
                yield (f"{name}_{count}" if count else name), metric

    @property
    def metrics(self) -> list[Any]:
        """All metrics."""
        return [metric for _, metric in self.named()]


def _per_output(
    given: Any,
    what: str,
    outputs: Outputs,
    targets: Sequence[Any],
    predictions: Sequence[Tensor],
) -> list[list[Any]]:
    if given is None or (isinstance(given, (list, tuple)) and not given):
        return [[] for _ in range(outputs.count)]
    if not isinstance(given, (list, tuple, dict)):
        given = [given]
    if outputs.count == 1 and not isinstance(given, dict):
        flat = given[0] if len(given) == 1 and isinstance(given[0], (list, tuple)) else given
        entries = [flat]
    else:
        entries = outputs.flatten(given, what)
    return [
        [
            _resolve(item, y, y_pred)
            for item in (entry if isinstance(entry, (list, tuple)) else [entry])
            if item is not None
        ]
        for entry, y, y_pred in zip(entries, targets, predictions, strict=True)
    ]


def _resolve(identifier: Any, target: Any, prediction: Tensor) -> Any:
    if isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc"):
        classes = {
            "binary": metrics_module.BinaryAccuracy,
            "categorical": metrics_module.CategoricalAccuracy,
            "sparse_categorical": metrics_module.SparseCategoricalAccuracy,
        }
        return classes[resolve_kind(target, prediction)](name=identifier)
    metric = metrics_module.get(identifier)
    if not isinstance(metric, metrics_module.Metric):
        name = getattr(metric, "__name__", None) or to_snake_case(type(metric).__name__)
        metric = metrics_module.MeanMetricWrapper(metric, name=name)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric
