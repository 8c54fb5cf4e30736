"""Losses as classes: https://keras.io/api/losses/."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from graphc.keras.losses import functions
from graphc.keras.losses.loss import Loss, LossFunctionWrapper
from graphc.keras.saving.registry import public


class _FunctionLoss(LossFunctionWrapper):
    """A loss whose function is known, so that its config need not name it."""

    #: Arguments that are written into the config.
    settings: ClassVar[tuple[str, ...]] = ()

    def get_config(self) -> dict[str, Any]:
        own = {name: self.fn_kwargs[name] for name in self.settings}
        return {**Loss.get_config(self), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        # Keras 2 wrote arguments of the function that Keras 3 leaves out.
        return cls(**{key: value for key, value in config.items() if key != "fn"})

    def __getattr__(self, name: str) -> Any:
        kwargs = self.__dict__.get("fn_kwargs", {})
        if name in kwargs:
            return kwargs[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class _PlainLoss(_FunctionLoss):
    """A loss whose function has no further arguments.

    Args:
        reduction: See `Loss`.
        name: Its name.
        dtype: See `Loss`.
    """

    function: ClassVar[Callable[..., Any]]
    default_name: ClassVar[str]

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(type(self).function, reduction, name or self.default_name, dtype)


@public("keras.losses")
class MeanSquaredError(_PlainLoss):
    """``mean((y_true - y_pred)**2)``.

    Example:
        >>> keras.losses.MeanSquaredError()([[0.0, 1.0]], [[1.0, 1.0]])
    """

    function = functions.mean_squared_error
    default_name = "mean_squared_error"


@public("keras.losses")
class MeanAbsoluteError(_PlainLoss):
    """``mean(|y_true - y_pred|)``."""

    function = functions.mean_absolute_error
    default_name = "mean_absolute_error"


@public("keras.losses")
class MeanAbsolutePercentageError(_PlainLoss):
    """``100 * mean(|y_true - y_pred| / |y_true|)``."""

    function = functions.mean_absolute_percentage_error
    default_name = "mean_absolute_percentage_error"


@public("keras.losses")
class MeanSquaredLogarithmicError(_PlainLoss):
    """``mean((log(y_true + 1) - log(y_pred + 1))**2)``."""

    function = functions.mean_squared_logarithmic_error
    default_name = "mean_squared_logarithmic_error"


@public("keras.losses")
class LogCosh(_PlainLoss):
    """``mean(log(cosh(y_pred - y_true)))``."""

    function = functions.log_cosh
    default_name = "log_cosh"


@public("keras.losses")
class KLDivergence(_PlainLoss):
    """``sum(y_true * log(y_true / y_pred))``."""

    function = functions.kl_divergence
    default_name = "kl_divergence"


@public("keras.losses")
class Poisson(_PlainLoss):
    """``mean(y_pred - y_true * log(y_pred))``."""

    function = functions.poisson
    default_name = "poisson"


@public("keras.losses")
class Hinge(_PlainLoss):
    """``mean(max(1 - y_true * y_pred, 0))``."""

    function = functions.hinge
    default_name = "hinge"


@public("keras.losses")
class SquaredHinge(_PlainLoss):
    """``mean(max(1 - y_true * y_pred, 0)**2)``."""

    function = functions.squared_hinge
    default_name = "squared_hinge"


@public("keras.losses")
class CategoricalHinge(_PlainLoss):
    """``max(1 + the best wrong score - the right score, 0)``."""

    function = functions.categorical_hinge
    default_name = "categorical_hinge"


@public("keras.losses")
class CosineSimilarity(_FunctionLoss):
    """Minus the cosine of the angle between ``y_true`` and ``y_pred``.

    Args:
        axis: The axis of the vectors.
        reduction: See `Loss`.
        name: Its name.
        dtype: See `Loss`.
    """

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "cosine_similarity",
        dtype: Any = None,
    ):
        super().__init__(functions.cosine_similarity, reduction, name, dtype, axis=axis)


@public("keras.losses")
class Huber(_FunctionLoss):
    """Half the squared error up to ``delta``, and a line beyond.

    Args:
        delta: Where the line begins.
        reduction: See `Loss`.
        name: Its name.
        dtype: See `Loss`.
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: Any = None,
    ):
        super().__init__(functions.huber, reduction, name, dtype, delta=delta)


@public("keras.losses")
class BinaryCrossentropy(_FunctionLoss):
    """The cross-entropy of yes-or-no decisions.

    Args:
        from_logits: Whether predictions are what a sigmoid makes probabilities of.
        label_smoothing: How far labels are moved towards 1/2, from 0 to 1.
        axis: The axis along which the mean is taken.
        reduction: See `Loss`.
        name: Its name.
        dtype: See `Loss`.

    Example:
        >>> model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))
    """

    settings = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
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
class BinaryFocalCrossentropy(_FunctionLoss):
    """Binary cross-entropy in which examples that are right already count less.

    Args:
        apply_class_balancing: Whether class 1 counts ``alpha`` and class 0 ``1 - alpha``.
        alpha: See there.
        gamma: The power of one minus the probability of the right class.
        from_logits: See `BinaryCrossentropy`.
        label_smoothing: See `BinaryCrossentropy`.
        axis: The axis along which the mean is taken.
        reduction: See `Loss`.
        name: Its name.
        dtype: See `Loss`.
    """

    settings = (
        "from_logits", "label_smoothing", "axis", "apply_class_balancing", "alpha", "gamma",
    )  # fmt: skip

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
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
class CategoricalCrossentropy(_FunctionLoss):
    """The cross-entropy of a choice among classes, labels given as one-hot vectors.

    Args:
        from_logits: Whether predictions are what a softmax makes probabilities of.
        label_smoothing: How far labels are moved towards equal probabilities, from 0 to 1.
        axis: The axis of the classes.
        reduction: See `Loss`.
        name: Its name.
        dtype: See `Loss`.
    """

    settings = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
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
class CategoricalFocalCrossentropy(_FunctionLoss):
    """Categorical cross-entropy in which examples that are right already count less.

    Args:
        alpha: A factor (or one per class).
        gamma: The power of one minus the probability.
        from_logits: See `CategoricalCrossentropy`.
        label_smoothing: See `CategoricalCrossentropy`.
        axis: The axis of the classes.
        reduction: See `Loss`.
        name: Its name.
        dtype: See `Loss`.
    """

    settings = ("from_logits", "label_smoothing", "axis", "alpha", "gamma")

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
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
class SparseCategoricalCrossentropy(_FunctionLoss):
    """The cross-entropy of a choice among classes, labels given as numbers of classes.

    Args:
        from_logits: Whether predictions are what a softmax makes probabilities of.
        ignore_class: A class whose examples do not count.
        reduction: See `Loss`.
        axis: The axis of the classes.
        name: Its name.
        dtype: See `Loss`.
    """

    settings = ("from_logits", "ignore_class")

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
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


@public("keras.losses")
class Dice(_FunctionLoss):
    """``1 - 2 * sum(y_true * y_pred) / (sum(y_true) + sum(y_pred))``.

    Args:
        reduction: See `Loss`.
        name: Its name.
        axis: The axes that are summed over; None for all.
        dtype: See `Loss`.
    """

    settings = ("axis",)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "dice",
        axis: Any = None,
        dtype: Any = None,
    ):
        super().__init__(functions.dice, reduction, name, dtype, axis=axis)


@public("keras.losses")
class Tversky(_FunctionLoss):
    """`Dice` with a weight for either kind of error.

    Args:
        alpha: How much a 1 counts that was missed.
        beta: How much a 0 counts that was taken for a 1.
        reduction: See `Loss`.
        name: Its name.
        axis: The axes that are summed over; None for all.
        dtype: See `Loss`.
    """

    settings = ("alpha", "beta", "axis")

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "tversky",
        axis: Any = None,
        dtype: Any = None,
    ):
        super().__init__(
            functions.tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis
        )


@public("keras.losses")
class CTC(_PlainLoss):
    """The loss of labels whose places in a sequence are not known.

    Labels are ``(batch, length)`` with 0, the blank, behind the last one; predictions are logits,
    ``(batch, steps, classes)``. See `keras.ops.ctc_loss`.
    """

    function = staticmethod(functions.ctc)
    default_name = "ctc"


@public("keras.losses")
class Circle(_FunctionLoss):
    """The loss of embeddings of length 1: near those of the same class, far from those of others.

    Sun et al. 2020, https://arxiv.org/abs/2002.10857.

    Args:
        gamma: The scale of similarities.
        margin: How much nearness is enough.
        remove_diagonal: Whether an embedding is not compared with itself.
        reduction: See `Loss`.
        name: Its name.
        dtype: See `Loss`.

    Example:
        >>> model.compile(optimizer="adam", loss=keras.losses.Circle())
    """

    settings = ("gamma", "margin", "remove_diagonal")

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "circle",
        dtype: Any = None,
    ):
        super().__init__(
            functions.circle,
            reduction,
            name,
            dtype,
            remove_diagonal=remove_diagonal,
            gamma=gamma,
            margin=margin,
        )


@public("keras.losses")
class CategoricalGeneralizedCrossEntropy(_FunctionLoss):
    """``(1 - p**q) / q`` for the probability p of the right class, for labels with errors in them.

    Zhang & Sabuncu 2018, https://arxiv.org/abs/1805.07836.

    Args:
        q: Between 0 (as the cross-entropy) and 1 (as the absolute error).
        reduction: See `Loss`.
        name: Its name.
        dtype: See `Loss`.

    Raises:
        ValueError: ``q`` is not between 0 and 1.
    """

    settings = ("q",)

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ):
        if not 0 < q < 1:
            raise ValueError(f"q must be in the interval (0, 1). Received: q={q}")
        super().__init__(
            functions.categorical_generalized_cross_entropy, reduction, name, dtype, q=q
        )
