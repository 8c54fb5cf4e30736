"""Running a model's compiled steps over data: as many as possible in one native call."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from graphc.keras import tree
from graphc.keras.callbacks import CallbackList
from graphc.keras.engine.eager_steps import EagerSteps
from graphc.keras.engine.feeds import BatchFeed, RowsFeed, Run
from graphc.keras.engine.programs import CompiledProgram
from graphc.keras.engine.watching import can_watch, is_invalid, run_until_invalid

Feed = RowsFeed | BatchFeed

#: How long one native call lasts at most, in seconds, where steps are short enough: so often the
#: progress bar moves, and Ctrl-C is heard.
_CALL_SECONDS = 0.1


class Runner:
    """One pass over data with one kind of program.

    Args:
        model: The model.
        kind: ``"train"``, ``"evaluate"`` or ``"predict"``.
        callbacks: Whose batch hooks are called, if they have any.

    Attributes:
        steps: The number of steps done.
        logs: The values of the metrics after the last step.
    """

    def __init__(self, model: Any, kind: str, callbacks: CallbackList):
        phase = {"evaluate": "test"}.get(kind, kind)
        self._model = model
        self._kind = kind
        self._every_batch: bool = getattr(callbacks, f"needs_{phase}_batches")
        self._shows_progress = callbacks.shows_progress
        self._begin = getattr(callbacks, f"on_{phase}_batch_begin")
        self._end = getattr(callbacks, f"on_{phase}_batch_end")
        self._progress = callbacks.progress
        watches = kind == "train" and callbacks.watches_loss and not self._every_batch
        self._every_batch |= watches and not can_watch(model)
        self._watches_loss = watches and not self._every_batch
        self._found_invalid_loss = False
        self._notice_invalid_loss = callbacks.notice_invalid_loss
        self._stop_flag = {"train": "stop_training", "evaluate": "stop_evaluating"}.get(
            kind, "stop_predicting"
        )
        self.steps = 0
        self.logs: dict[str, Any] = {}

    def run(self, feed: Feed) -> Any:
        """Run over an epoch of data; returns the outputs, in their structure, of predictions."""
        collected: list[list[np.ndarray]] = []
        structure: Any = None
        for part in feed.epoch():
            compiled = self._model.steps_for(self._kind, part.rows)
            outputs = self._run_part(compiled, part)
            structure = compiled.structure
            if self._kind == "predict":
                collected.append(outputs)
            if self._stopped:
                break
        if self._kind != "predict":
            return None
        outputs = collected[0]
        if len(collected) > 1:
            outputs = [np.concatenate(parts) for parts in zip(*collected, strict=True)]
        return tree.pack_sequence_as(structure, outputs)

    @property
    def _stopped(self) -> bool:
        # A callback that hears of an epoch's end only cannot mean to stop within it.
        heard = self._every_batch or self._found_invalid_loss
        return heard and getattr(self._model, self._stop_flag)

    def _run_part(self, compiled: CompiledProgram | EagerSteps, part: Run) -> list[np.ndarray]:
        """Run over arrays, in as few native calls as hooks and the progress bar allow."""
        data, done, end = part.rows.arrays, part.begin, part.begin + part.steps
        results: dict[str, np.ndarray] = {}
        if self._kind == "predict":
            results = compiled.allocate_results(data, part.rows.count)
        largest = 1
        while done < end:
            count = min(self._steps_per_call(compiled, largest), end - done)
            if self._every_batch:
                self._begin(self.steps)
            started = time.perf_counter()
            if self._watches_loss:
                values, count = run_until_invalid(compiled, part, done, count)  # type: ignore
            else:
                values = compiled.run_steps(data, part.batch_size, count, done, part.order, results)
            compiled.seconds_per_step = (time.perf_counter() - started) / count
            rows = slice(done * part.batch_size, (done + count) * part.batch_size)
            done += count
            self.steps += count
            self._report(compiled, values, [array[rows] for array in results.values()])
            largest = 8 * count
            if self._stopped:
                break
        return [array[: done * part.batch_size] for array in results.values()]

    def _steps_per_call(self, compiled: CompiledProgram | EagerSteps, largest: int) -> int:
        if self._every_batch:
            return 1
        if compiled.seconds_per_step is None:
            return largest
        wanted = int(_CALL_SECONDS / max(compiled.seconds_per_step, 1e-9))
        # The first step of a bar is shown at once.
        return max(1, min(wanted, largest) if self._shows_progress else wanted)

    def _report(
        self,
        compiled: CompiledProgram | EagerSteps,
        values: dict[str, Any],
        outputs: list[np.ndarray],
    ) -> None:
        """Take the metrics' values, and tell callbacks or the progress bar."""
        if self._kind != "predict":
            self.logs = python_values(values)
        if self._every_batch:
            logs = self.logs
            if self._kind == "predict":
                logs = {"outputs": tree.pack_sequence_as(compiled.structure, outputs)}
            self._end(self.steps - 1, logs)
            return
        if self._shows_progress:
            self._progress(self.steps, self.logs or None)
        if self._watches_loss and is_invalid(values):
            self._found_invalid_loss = True
            self._notice_invalid_loss(self.steps - 1, self.logs)


def python_values(values: dict[str, Any]) -> dict[str, Any]:
    """Scalars as Python numbers, other arrays as they are."""
    return {
        name: array.item() if array.ndim == 0 else array
        for name, array in ((name, np.asarray(value)) for name, value in values.items())
    }
