"""The metrics that `compile` was given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from graphc.eager.tensor import Tensor
from graphc.eager.variable import Variable
from graphc.keras import metrics as metrics_module
from graphc.keras import tree
from graphc.keras.engine.kind import resolve_kind
from graphc.keras.engine.naming import to_snake_case
from graphc.keras.engine.outputs import Outputs
from graphc.keras.metrics.stateless import Stateless


class CompileMetrics(Stateless):
    """Metrics per output, updated without and with sample weights; one metric to the outside.

    Args:
        metrics: As given to `compile`: a list for the only output, or a list of lists or a dict.
        weighted_metrics: The same, for metrics that take sample weights into account.
        resolve: Finds the outputs for targets and predictions, and calls `build`.

    Attributes:
        named: The metrics by the names that they have in logs; empty before the first batch.
        built: Whether there was a batch.
    """

    name = "compile_metrics"

    def __init__(
        self,
        metrics: Any,
        weighted_metrics: Any,
        resolve: Callable[[Any, Any], Outputs],
    ):
        self._given = metrics, weighted_metrics
        self._resolve = resolve
        self._plain: list[list[Any]] = []
        self._weighted: list[list[Any]] = []
        self.named: dict[str, Any] = {}
        self.built = False

    def build(
        self, outputs: Outputs, targets: Sequence[Any], predictions: Sequence[Tensor]
    ) -> None:
        """Make the metrics of each output.

        Args:
            outputs: The outputs of the model.
            targets: The targets of the first batch, to tell what ``"accuracy"`` means.
            predictions: The predictions of it.
        """
        metrics, weighted = self._given
        self._plain = _per_output(metrics, "metrics", outputs, targets, predictions)
        self._weighted = _per_output(weighted, "weighted_metrics", outputs, targets, predictions)
        prefixes = [""] * outputs.count
        if outputs.count > 1 and outputs.names:
            prefixes = [f"{name}_" for name in outputs.names]
        self.named = dict(_named(prefixes, self._plain, self._weighted))
        self.built = True

    def update_state(self, y: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into all metrics.

        Args:
            y: Targets, in the structure of the model's outputs.
            y_pred: Predictions.
            sample_weight: Weights of the samples.
        """
        outputs = self._resolve(y, y_pred)
        targets, predictions = outputs.flatten(y, "y"), tree.flatten(y_pred)
        sample_weights = outputs.weights(sample_weight)
        for index, (plain, weighted) in enumerate(zip(self._plain, self._weighted, strict=True)):
            if targets[index] is None and (plain or weighted):
                raise ValueError(f"there are metrics for output {index}, but no target (y) for it")
            for metric in plain:
                metric.update_state(targets[index], predictions[index])
            for metric in weighted:
                metric.update_state(targets[index], predictions[index], sample_weights[index])

    def reset_state(self) -> None:
        """Start all of them anew."""
        for metric in self.metrics:
            metric.reset_state()

    def result(self) -> dict[str, Any]:
        """Their values by name."""
        return {name: metric.result() for name, metric in self.named.items()}

    @property
    def metrics(self) -> list[Any]:
        """All metrics."""
        return list(self.named.values())

    @property
    def variables(self) -> list[Variable]:  # type: ignore[override]
        """The state of all metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]


def _named(
    prefixes: Sequence[str], plain: list[list[Any]], weighted: list[list[Any]]
) -> Iterator[tuple[str, Any]]:
    """Each metric with the name that it has in logs: that of its output first, then its own."""
    taken: dict[str, int] = {}

    def numbered(name: str) -> str:
        count = taken.get(name, 0)
        taken[name] = count + 1
        return f"{name}_{count}" if count else name

    for prefix, metrics in zip(prefixes, plain, strict=True):
        for metric in metrics:
            yield numbered(f"{prefix}{metric.name}"), metric
    for prefix, metrics in zip(prefixes, weighted, strict=True):
        for metric in metrics:
            name = f"{prefix}{metric.name}"
            if name in taken:
                name = f"{prefix}weighted_{metric.name}"
            yield numbered(name), metric


def _per_output(
    given: Any,
    what: str,
    outputs: Outputs,
    targets: Sequence[Any],
    predictions: Sequence[Tensor],
) -> list[list[Any]]:
    """A list of metrics for each output."""
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
