"""Cross-entropies and margins: https://keras.io/api/metrics/probabilistic_metrics/."""

from __future__ import annotations

from typing import Any

from graphc.keras import losses
from graphc.keras.metrics.reduction import MeanMetricWrapper
from graphc.keras.metrics.regression import FunctionMetric
from graphc.keras.saving.registry import public


@public("keras.metrics")
class KLDivergence(FunctionMetric):
    """``sum(y_true * log(y_true / y_pred))``."""

    function = losses.kl_divergence
    default_name = "kl_divergence"


@public("keras.metrics")
class Poisson(FunctionMetric):
    """``mean(y_pred - y_true * log(y_pred))``."""

    function = losses.poisson
    default_name = "poisson"


@public("keras.metrics")
class Hinge(FunctionMetric):
    """``mean(max(1 - y_true * y_pred, 0))``."""

    function = losses.hinge
    default_name = "hinge"


@public("keras.metrics")
class SquaredHinge(FunctionMetric):
    """``mean(max(1 - y_true * y_pred, 0)**2)``."""

    function = losses.squared_hinge
    default_name = "squared_hinge"


@public("keras.metrics")
class CategoricalHinge(FunctionMetric):
    """``max(1 + the best wrong score - the right score, 0)``."""

    function = losses.categorical_hinge
    default_name = "categorical_hinge"


class _Crossentropy(MeanMetricWrapper):
    """What cross-entropies share: less is better."""

    _direction = "down"


@public("keras.metrics")
class BinaryCrossentropy(_Crossentropy):
    """The cross-entropy of yes-or-no decisions.

    Args:
        name: A name.
        dtype: Element type of the state.
        from_logits: Whether predictions are what a sigmoid makes probabilities of.
        label_smoothing: How far labels are moved towards 1/2.
    """

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ):
        super().__init__(
            losses.binary_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
        )


@public("keras.metrics")
class CategoricalCrossentropy(_Crossentropy):
    """The cross-entropy of a choice among classes, labels given as one-hot vectors.

    Args:
        name: A name.
        dtype: Element type of the state.
        from_logits: Whether predictions are what a softmax makes probabilities of.
        label_smoothing: How far labels are moved towards equal probabilities.
        axis: The axis of the classes.
    """

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ):
        super().__init__(
            losses.categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


@public("keras.metrics")
class SparseCategoricalCrossentropy(_Crossentropy):
    """The cross-entropy of a choice among classes, labels given as numbers of classes.

    Args:
        name: A name.
        dtype: Element type of the state.
        from_logits: Whether predictions are what a softmax makes probabilities of.
        ignore_class: A class whose examples do not count.
        axis: The axis of the classes.
    """

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ):
        super().__init__(
            losses.sparse_categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
