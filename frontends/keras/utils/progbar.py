"""The progress bar that Keras users know."""

import math
import os
import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from graphc.keras.utils.io_utils import print_msg

_BOLD = "\x1b[1m"
_GREEN = "\x1b[32m"
_WHITE = "\x1b[37m"
_PLAIN = "\x1b[0m"
_NUMBER_AS_DECIMAL = 1e-3  # smaller values are shown in scientific notation


class Progbar:
    """Display a progress bar, or a line for the whole of a run.

    Metrics are averaged over the steps that were reported unless they are named otherwise.

    Args:
        target: the number of steps expected, ``None`` if it is not known.
        width: width of the bar on screen.
        verbose: 0 silent, 1 a moving bar, 2 one line at the end.
        interval: the shortest time between two redraws, in seconds.
        stateful_metrics: names of metrics to show as they are; all others are averaged.
        stateless_metrics: names of metrics to average; all others are shown as they are. Give one
            of the two at most.
        unit_name: what a step is called.

    Raises:
        ValueError: both sets of names were given.

    Example:
        >>> bar = keras.utils.Progbar(3)
        >>> for step in range(3):
        ...     bar.update(step + 1, [("loss", 1.0 / (step + 1))])
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError(
                "Only one of `stateful_metrics` or `stateless_metrics` can be provided: the first "
                "names the metrics that are not averaged, the second those that are."
            )
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful_metrics = set(stateful_metrics) if stateful_metrics is not None else None
        self.stateless_metrics = set(stateless_metrics) if stateless_metrics is not None else None
        self._redraws_in_place = _can_redraw_in_place()
        self._sums: dict[str, tuple[Any, int]] = {}
        self._seen_so_far = 0
        self._start = time.time()
        self._last_update = 0.0
        self._time_after_first_step: float | None = None
        self._previous_width = 0

    def update(
        self,
        current: int,
        values: Iterable[tuple[str, Any]] | None = None,
        finalize: bool | None = None,
    ) -> None:
        """Tell the bar how far the run has come.

        Args:
            current: the number of steps done.
            values: pairs of a metric's name and its value for the steps since the last call.
            finalize: whether this is the last call; when ``None``, it is if ``current`` has
                reached ``target``.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            self._collect(name, value, current, finalize)
        self._seen_so_far = current
        now = time.time()
        time_per_step = self._estimate_step_duration(current, now)
        if self.verbose == 1:
            if now - self._last_update < self.interval and not finalize:
                return
            self._draw_bar(current, now, time_per_step, finalize)
        elif self.verbose == 2 and finalize and self.target:
            self._print_line(current, now, time_per_step)
        self._last_update = now

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Tell the bar that ``n`` more steps are done.

        Args:
            n: the number of steps since the last call.
            values: as in ``update``.
        """
        self.update(self._seen_so_far + n, values)

    def _is_averaged(self, name: str) -> bool:
        if self.stateless_metrics is not None:
            return name in self.stateless_metrics
        return name not in (self.stateful_metrics or ())

    def _collect(self, name: str, value: Any, current: int, finalize: bool) -> None:
        # The last call brings the value for the whole run, which replaces the average.
        if finalize or not self._is_averaged(name):
            self._sums[name] = (value, 1)
            return
        # Reporting the same step twice counts it as one step, not as none.
        steps = max(current - self._seen_so_far, 1)
        total, count = self._sums.get(name, (0.0, 0))
        self._sums[name] = (total + value * steps, count + steps)

    def _draw_bar(self, current: int, now: float, time_per_step: float, finalize: bool) -> None:
        lead = "\b" * self._previous_width + "\r" if self._redraws_in_place else "\n"
        bar, bar_width = self._bar(current)
        if self.target and not finalize:
            clock = _remaining_time(time_per_step * (self.target - current))
        else:
            clock = f"{now - self._start:.0f}s"
        rest = self._duration_text(time_per_step) + self._metrics_text(sign_matters=False)
        width = bar_width + len(f" {clock}{rest}")
        blanks = " " * max(self._previous_width - width, 0)
        end = "\n" if finalize else ""
        print_msg(f"{lead}{bar} {_BOLD}{clock}{_PLAIN}{rest}{blanks}{end}", line_break=False)
        self._previous_width = width

    def _bar(self, current: int) -> tuple[str, int]:
        """The count and the bar itself, and how many columns they take."""
        if not self.target or self.target < 0:
            text = f"{current:7d}/Unknown"
            return text, len(text)
        count = self._count_text(current)
        done = int(self.width * (float(current) / self.target))
        left = self.width - done
        text = f"{_BOLD}{count}{_PLAIN} "
        if done > 0:
            text += f"{_GREEN}{'━' * done}{_PLAIN}"
        text += f"{_WHITE}{'━' * left}{_PLAIN}"
        return text, len(count) + 1 + max(done, 0) + max(left, 0)

    def _print_line(self, current: int, now: float, time_per_step: float) -> None:
        print_msg(
            f"{self._count_text(current)} - {now - self._start:.0f}s"
            f" -{self._duration_text(time_per_step)}{self._metrics_text(sign_matters=True)}"
        )

    def _count_text(self, current: int) -> str:
        assert self.target is not None
        digits = int(math.log10(self.target)) + 1
        return f"{current:{digits}d}/{self.target}"

    def _metrics_text(self, sign_matters: bool) -> str:
        """The metrics' part of the text.

        Keras shows every negative value in scientific notation in its one-line form
        (``sign_matters``), and only those near zero in the bar; so does this.
        """
        parts = []
        for name, (total, count) in self._sums.items():
            value = total if isinstance(total, float) else np.mean(total)
            average = value / max(1, count)
            size = average if sign_matters else abs(average)
            notation = ".4f" if size > _NUMBER_AS_DECIMAL else ".4e"
            parts.append(f" - {name}: {average:{notation}}")
        return "".join(parts)

    def _duration_text(self, seconds: float) -> str:
        if seconds >= 1 or seconds == 0:
            return f" {seconds:.0f}s/{self.unit_name}"
        if seconds >= 1e-3:
            return f" {seconds * 1e3:.0f}ms/{self.unit_name}"
        return f" {seconds * 1e6:.0f}us/{self.unit_name}"

    def _estimate_step_duration(self, current: int, now: float) -> float:
        """Seconds per step; the first step, which also compiles, counts only while it is alone."""
        if not current:
            return 0
        if self._time_after_first_step is not None and current > 1:
            duration = (now - self._time_after_first_step) / (current - 1)
        else:
            duration = (now - self._start) / current
        if current == 1:
            self._time_after_first_step = now
        return duration


def _can_redraw_in_place() -> bool:
    """Whether a carriage return goes back to the line's start, by the rule that Keras has."""
    return (
        (hasattr(sys.stdout, "isatty") and sys.stdout.isatty())
        or "ipykernel" in sys.modules
        or "posix" in sys.modules
        or "PYCHARM_HOSTED" in os.environ
    )


def _remaining_time(seconds: float) -> str:
    if seconds > 3600:
        return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{int(seconds % 60):02d}"
    if seconds > 60:
        return f"{int(seconds // 60)}:{int(seconds % 60):02d}"
    return f"{int(seconds)}s"
