"""What is measured along the way: ``keras.metrics``; see https://keras.io/api/metrics/."""

from __future__ import annotations

from typing import Any

from graphc.keras.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from graphc.keras.metrics.metric import Metric
from graphc.keras.metrics.reduction import Mean, MeanMetricWrapper, Sum
from graphc.keras.saving.families import Family, snake_case

_CLASSES = (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    Mean,
    MeanMetricWrapper,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    Sum,
    TopKCategoricalAccuracy,
)

_family = Family(
    "metric",
    {cls.__name__: cls for cls in _CLASSES} | {snake_case(cls.__name__): cls for cls in _CLASSES},
)

serialize = _family.serialize
deserialize = _family.deserialize


def get(identifier: Any) -> Any:
    """A metric from a name, its saved form, a class, a function, or the metric itself.

    Args:
        identifier: Such as ``"mae"`` or ``AUC()``.

    Returns:
        A `Metric` or a function; None for None.

    Raises:
        ValueError: There is no such metric; the nearest names are suggested.
    """
    return _family.get(identifier)


__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "Mean",
    "MeanMetricWrapper",
    "Metric",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "Sum",
    "TopKCategoricalAccuracy",
    "binary_accuracy",
    "categorical_accuracy",
    "deserialize",
    "get",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]
