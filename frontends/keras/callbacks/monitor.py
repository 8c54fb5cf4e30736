"""What the callbacks that watch one result have in common."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.keras.callbacks.callback import Callback

_MODES = ("auto", "min", "max")


class MonitorCallback(Callback):
    """Base of callbacks that watch whether a result improves.

    Args:
        monitor: name of the result in the logs, such as ``"val_loss"``.
        mode: ``"min"``: smaller is better; ``"max"``: larger is better; ``"auto"``: told by the
            name of a loss, or asked of the model's metric of that name.
        baseline: what the first value has to improve on; any first value is best if not given.
        min_delta: the smallest change that counts as an improvement.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0,
    ) -> None:
        super().__init__()
        if mode not in _MODES:
            warnings.warn(
                f"{type(self).__name__} mode '{mode}' is unknown, fallback to auto mode.",
                stacklevel=3,
            )
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self._sign: int | None = None  # +1 where larger is better, -1 where smaller is

    def _is_improvement(self, value: float, reference: float | None) -> bool:
        """Whether ``value`` is better than ``reference`` by more than ``min_delta``.

        Both are rounded to float32 as results are, so that the last bits of a sum of Python
        floats make no difference.
        """
        sign = self._direction()
        if reference is None:
            return True
        with np.errstate(over="ignore"):
            difference = np.float32(value - sign * self.min_delta), np.float32(reference)
        return bool(difference[0] > difference[1] if sign > 0 else difference[0] < difference[1])

    def _direction(self) -> int:
        """+1 where larger is better; found out late, since metrics may be built late."""
        if self._sign is None:
            self._sign = self._find_direction()
        return self._sign

    def _find_direction(self) -> int:
        if self.mode != "auto":
            return 1 if self.mode == "max" else -1
        name = self.monitor.removeprefix("val_")
        for metric in _metrics_of(self.model):
            direction = getattr(metric, "_direction", None)
            if metric.name == name and direction is not None:
                return 1 if direction == "up" else -1
        if name == "loss" or name.endswith("_loss"):
            return -1
        raise ValueError(
            f"{type(self).__name__} callback received monitor={self.monitor}, but Keras isn't "
            "able to automatically determine whether that metric should be maximized or "
            "minimized. Pass `mode='max'` in order to monitor based on the highest metric value, "
            "or pass `mode='min'` in order to use the lowest value."
        )


def _metrics_of(model: Any) -> Iterator[Any]:
    """The metrics of a model, and those that its containers of metrics hold."""
    for metric in getattr(model, "metrics", ()):
        yield metric
        yield from getattr(metric, "metrics", ())
