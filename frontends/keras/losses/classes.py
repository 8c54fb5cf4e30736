"""Losses as classes: functions with their arguments and a reduction."""

from __future__ import annotations

from typing import Any

from graphc.keras.losses import functions
from graphc.keras.losses.loss import LossFunctionWrapper
from graphc.keras.saving.registry import public

_MEAN = "sum_over_batch_size"


@public("keras.losses")
class MeanSquaredError(LossFunctionWrapper):
    """The mean of squared errors.

    Args:
        reduction: See `Loss`.
        name: A name.
        dtype: Element type of the computation.
    """

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str = "mean_squared_error",
        dtype: Any = None,
    ):
        super().__init__(functions.mean_squared_error, reduction, name, dtype)


@public("keras.losses")
class MeanAbsoluteError(LossFunctionWrapper):
    """The mean of absolute errors.

    Args:
        reduction: See `Loss`.
        name: A name.
        dtype: Element type of the computation.
    """

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str = "mean_absolute_error",
        dtype: Any = None,
    ):
        super().__init__(functions.mean_absolute_error, reduction, name, dtype)


@public("keras.losses")
class MeanAbsolutePercentageError(LossFunctionWrapper):
    """The mean of absolute errors in percent of the targets.

    Args:
        reduction: See `Loss`.
        name: A name.
        dtype: Element type of the computation.
    """

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str = "mean_absolute_percentage_error",
        dtype: Any = None,
    ):
        super().__init__(functions.mean_absolute_percentage_error, reduction, name, dtype)


@public("keras.losses")
class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """The mean of squared differences of logarithms.

    Args:
        reduction: See `Loss`.
        name: A name.
        dtype: Element type of the computation.
    """

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str = "mean_squared_logarithmic_error",
        dtype: Any = None,
    ):
        super().__init__(functions.mean_squared_logarithmic_error, reduction, name, dtype)


@public("keras.losses")
class CosineSimilarity(LossFunctionWrapper):
    """Minus the cosine between targets and predictions.

    Args:
        axis: The axis of the vectors.
        reduction: See `Loss`.
        name: A name.
        dtype: Element type of the computation.
    """

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "cosine_similarity",
        dtype: Any = None,
    ):
        super().__init__(functions.cosine_similarity, reduction, name, dtype, axis=axis)


@public("keras.losses")
class Huber(LossFunctionWrapper):
    """Squares of small errors, absolute values of large ones.

    Args:
        delta: Where squares give way to absolute values.
        reduction: See `Loss`.
        name: A name.
        dtype: Element type of the computation.
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = _MEAN,
        name: str = "huber",
        dtype: Any = None,
    ):
        super().__init__(functions.huber, reduction, name, dtype, delta=delta)


@public("keras.losses")
class LogCosh(LossFunctionWrapper):
    """The logarithm of the hyperbolic cosine of errors.

    Args:
        reduction: See `Loss`.
        name: A name.
        dtype: Element type of the computation.
    """

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str = "log_cosh",
        dtype: Any = None,
    ):
        super().__init__(functions.log_cosh, reduction, name, dtype)


@public("keras.losses")
class Hinge(LossFunctionWrapper):
    """The hinge loss of labels -1 and 1.

    Args:
        reduction: See `Loss`.
        name: A name.
        dtype: Element type of the computation.
    """

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str = "hinge",
        dtype: Any = None,
    ):
        super().__init__(functions.hinge, reduction, name, dtype)


@public("keras.losses")
class SquaredHinge(LossFunctionWrapper):
    """The squared hinge loss of labels -1 and 1.

    Args:
        reduction: See `Loss`.
        name: A name.
        dtype: Element type of the computation.
    """

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str = "squared_hinge",
        dtype: Any = None,
    ):
        super().__init__(functions.squared_hinge, reduction, name, dtype)


@public("keras.losses")
class CategoricalHinge(LossFunctionWrapper):
    """The hinge loss of one-hot labels.

    Args:
        reduction: See `Loss`.
        name: A name.
        dtype: Element type of the computation.
    """

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str = "categorical_hinge",
        dtype: Any = None,
    ):
        super().__init__(functions.categorical_hinge, reduction, name, dtype)


@public("keras.losses")
class KLDivergence(LossFunctionWrapper):
    """The Kullback-Leibler divergence of distributions.

    Args:
        reduction: See `Loss`.
        name: A name.
        dtype: Element type of the computation.
    """

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str = "kl_divergence",
        dtype: Any = None,
    ):
        super().__init__(functions.kl_divergence, reduction, name, dtype)


@public("keras.losses")
class Poisson(LossFunctionWrapper):
    """The Poisson loss of counts.

    Args:
        reduction: See `Loss`.
        name: A name.
        dtype: Element type of the computation.
    """

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str = "poisson",
        dtype: Any = None,
    ):
        super().__init__(functions.poisson, reduction, name, dtype)


@public("keras.losses")
class BinaryCrossentropy(LossFunctionWrapper):
    """The cross-entropy of two classes.

    Args:
        from_logits: Whether predictions are logits.
        label_smoothing: How far targets are moved towards 0.5.
        axis: The axis of the mean.
        reduction: See `Loss`.
        name: A name.
        dtype: Element type of the computation.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "binary_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(
            functions.binary_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


@public("keras.losses")
class BinaryFocalCrossentropy(LossFunctionWrapper):
    """Binary cross-entropy that counts hard cases more.

    Args:
        apply_class_balancing: Whether class 1 is weighted by ``alpha``.
        alpha: Weight of class 1.
        gamma: Exponent of the focus.
        from_logits: Whether predictions are logits.
        label_smoothing: How far targets are moved towards 0.5.
        axis: The axis of the mean.
        reduction: See `Loss`.
        name: A name.
        dtype: Element type of the computation.
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "binary_focal_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(
            functions.binary_focal_crossentropy,
            reduction,
            name,
            dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


@public("keras.losses")
class CategoricalCrossentropy(LossFunctionWrapper):
    """The cross-entropy of classes with one-hot targets.

    Args:
        from_logits: Whether predictions are logits.
        label_smoothing: How far targets are moved towards equal ones.
        axis: The axis of the classes.
        reduction: See `Loss`.
        name: A name.
        dtype: Element type of the computation.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(
            functions.categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


@public("keras.losses")
class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """Cross-entropy that counts hard cases more.

    Args:
        alpha: Weight of the classes.
        gamma: Exponent of the focus.
        from_logits: Whether predictions are logits.
        label_smoothing: How far targets are moved towards equal ones.
        axis: The axis of the classes.
        reduction: See `Loss`.
        name: A name.
        dtype: Element type of the computation.
    """

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "categorical_focal_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(
            functions.categorical_focal_crossentropy,
            reduction,
            name,
            dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


@public("keras.losses")
class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """The cross-entropy of classes with class numbers as targets.

    Args:
        from_logits: Whether predictions are logits.
        ignore_class: A class whose samples do not count.
        axis: The axis of the classes.
        reduction: See `Loss`.
        name: A name.
        dtype: Element type of the computation.
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(
            functions.sparse_categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
