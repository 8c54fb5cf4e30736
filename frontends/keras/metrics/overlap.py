"""Overlap of predicted and true areas: https://keras.io/api/metrics/segmentation_metrics/."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.config import config
from graphc.eager import Tensor, apply, as_tensor, cast
from graphc.keras import ops
from graphc.keras.metrics.metric import Metric
from graphc.keras.saving.registry import public
from graphc.ops.gather import ScatterAdd


@public("keras.metrics")
class IoU(Metric):
    """Of each class the intersection of predicted and true area, divided by their union.

    Args:
        num_classes: How many classes there are.
        target_class_ids: The classes over which the mean is taken.
        name: A name.
        dtype: Element type of the state, by default int32.
        ignore_class: A class whose true area does not count.
        sparse_y_true: Whether labels are numbers of classes, not vectors.
        sparse_y_pred: Whether predictions are numbers of classes, not vectors.
        axis: The axis of the vectors.

    Raises:
        ValueError: A class that there is not.
    """

    _direction = "up"

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ):
        super().__init__(name=name, dtype=dtype or "int32")
        if max(target_class_ids) >= num_classes:
            raise ValueError(
                f"Target class id {max(target_class_ids)} is out of range, which is "
                f"[0, {num_classes})."
            )
        self.num_classes = num_classes
        self.target_class_ids = list(target_class_ids)
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        self.total_cm = self.add_variable((num_classes, num_classes), name="total_confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account.

        Args:
            y_true: Labels.
            y_pred: Predictions.
            sample_weight: How much each place counts.
        """
        truth = self._classes(y_true, self.sparse_y_true)
        predicted = self._classes(y_pred, self.sparse_y_pred)
        weight = cast(as_tensor(1 if sample_weight is None else sample_weight), self.dtype)
        weight = ops.reshape(weight, (-1,)) if weight.ndim > 1 else weight
        weight = ops.broadcast_to(weight, truth.dims)
        count = self.num_classes
        counts = (truth >= 0) & (truth < count) & (predicted >= 0) & (predicted < count)
        if self.ignore_class is not None:
            counts = counts & ops.not_equal(truth, self.ignore_class)
        place = ops.where(counts, truth * count + predicted, 0)
        cells = apply(ScatterAdd(0, count * count), place, ops.where(counts, weight, 0))
        self.total_cm.assign_add(ops.reshape(cells, (count, count)))

    def _classes(self, x: Any, sparse: bool) -> Tensor:
        """Numbers of classes, flat."""
        tensor = as_tensor(x) if sparse else ops.argmax(x, axis=self.axis)
        return ops.reshape(cast(tensor, "int32"), (-1,))

    def result(self) -> Tensor:
        """The mean over the wanted classes that occurred."""
        matrix = self.total_cm.value
        hits = ops.diag(matrix)
        union = ops.sum(matrix, axis=0) + ops.sum(matrix, axis=1) - hits
        wanted = as_tensor(self.target_class_ids, "int32")
        hits, union = (cast(ops.take(x, wanted, 0), "float32") for x in (hits, union))
        occurs = union > 1e-9
        share = ops.where(occurs, hits / (union + config.epsilon), 0.0)
        return ops.sum(share) / (ops.sum(cast(occurs, "float32")) + config.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._settings("target_class_ids", "sparse_y_true")}

    def _settings(self, *more: str) -> dict[str, Any]:
        names = ("num_classes", "ignore_class", "sparse_y_pred", "axis", *more)
        return {name: getattr(self, name) for name in names}


@public("keras.metrics")
class BinaryIoU(IoU):
    """`IoU` of two classes that are told apart by a threshold.

    Args:
        target_class_ids: The classes over which the mean is taken.
        threshold: From here on a prediction is class 1.
        name: A name.
        dtype: Element type of the state, by default int32.
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        chosen = cast(as_tensor(y_pred), "float32") >= self.threshold
        super().update_state(y_true, cast(chosen, "int32"), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {
            "target_class_ids": self.target_class_ids,
            "threshold": self.threshold,
            "name": self.name,
            "dtype": self.dtype,
        }


@public("keras.metrics")
class MeanIoU(IoU):
    """The mean of `IoU` over all classes.

    Args:
        num_classes: As for `IoU`.
        name: A name.
        dtype: Element type of the state, by default int32.
        ignore_class: As for `IoU`.
        sparse_y_true: As for `IoU`.
        sparse_y_pred: As for `IoU`.
        axis: As for `IoU`.
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ):
        classes = range(num_classes)
        super().__init__(
            num_classes, classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis
        )

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, **self._settings("sparse_y_true")}


@public("keras.metrics")
class OneHotIoU(IoU):
    """`IoU` for labels that are one-hot vectors.

    Args:
        num_classes: As for `IoU`.
        target_class_ids: As for `IoU`.
        name: A name.
        dtype: Element type of the state, by default int32.
        ignore_class: As for `IoU`.
        sparse_y_pred: As for `IoU`.
        axis: As for `IoU`.
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ):
        super().__init__(
            num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis
        )

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, **self._settings("target_class_ids")}


@public("keras.metrics")
class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` for labels that are one-hot vectors.

    Args:
        num_classes: As for `IoU`.
        name: A name.
        dtype: Element type of the state, by default int32.
        ignore_class: As for `IoU`.
        sparse_y_pred: As for `IoU`.
        axis: As for `IoU`.
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ):
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, **self._settings()}
