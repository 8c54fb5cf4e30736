"""Running a model's compiled steps over data: as many as possible in one native call."""

from __future__ import annotations

import inspect
import time
from typing import Any

import numpy as np

from graphc.keras import metrics, tree
from graphc.keras.callbacks import CallbackList
from graphc.keras.engine.data import DEFAULT_BATCH_SIZE, Rows
from graphc.keras.engine.programs import CompiledProgram, input_names
from graphc.keras.random_seed import next_seed

#: How often the progress bar moves, in seconds.
_PROGRESS_INTERVAL = 0.1


def run(
    model: Any,
    kind: str,
    source: Any,
    batch_size: int,
    steps: int | None,
    callbacks: CallbackList,
    order: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Run over the data once; returns the outputs if ``kind`` is ``"predict"``."""
    hooks = Hooks(kind, callbacks, model)
    if isinstance(source, Rows):
        return run_rows(model, kind, source, batch_size, hooks, order, steps)
    collected: list[list[np.ndarray]] = []
    for step, rows in enumerate(source.epoch(steps)):
        hooks.begin(step)
        collected.append(run_rows(model, kind, rows, rows.count))
        hooks.end(step, collected[-1])
        if model.stop_training and kind == "train":
            break
    source.end_epoch()
    if not collected:
        raise ValueError("the source of batches gave none; a generator may be used up")
    return [np.concatenate(parts) for parts in zip(*collected, strict=True)]


def run_rows(
    model: Any,
    kind: str,
    rows: Rows,
    batch_size: int,
    hooks: Hooks | None = None,
    order: np.ndarray | None = None,
    steps: int | None = None,
) -> list[np.ndarray]:
    """Run over rows in as few native calls as hooks and the progress bar allow."""
    compiled = model.steps.get(kind, rows)
    data = dict(zip(input_names(rows.parts()), tree.flatten(rows.parts()), strict=True))
    total = -(-rows.count // batch_size) if rows.count else 0
    total = min(total, steps) if steps else total
    state = compiled.state
    results = _result_arrays(compiled, data, min(rows.count, total * batch_size))
    done, chunk = 0, 1 if hooks and (hooks.every_batch or hooks.shows_progress) else max(total, 1)
    while done < total:
        count = min(chunk, total - done)
        started = time.perf_counter()
        if hooks:
            hooks.begin(done)
        compiled.executable.run_steps(data, state, batch_size, count, done, order, results)
        done += count
        if hooks:
            hooks.end(done - 1, [a[: done * batch_size] for a in results.values()])
            if not hooks.every_batch:
                per_step = (time.perf_counter() - started) / count
                chunk = max(1, min(int(_PROGRESS_INTERVAL / max(per_step, 1e-9)), 4 * chunk))
            if model.stop_training and kind == "train" and hooks.every_batch:
                break
    return list(results.values())


class Hooks:
    """The batch hooks of the callbacks, and the progress bar, in a run of steps."""

    def __init__(self, kind: str, callbacks: CallbackList, model: Any):
        phase = {"evaluate": "test"}.get(kind, kind)
        self.every_batch: bool = getattr(callbacks, f"needs_{phase}_batches")
        self.shows_progress = callbacks.shows_progress
        self._begin = getattr(callbacks, f"on_{phase}_batch_begin")
        self._end = getattr(callbacks, f"on_{phase}_batch_end")
        self._progress = callbacks.progress
        self._phase = phase
        self._model = model

    def begin(self, step: int) -> None:
        """Before a step."""
        if self.every_batch:
            self._begin(step)

    def end(self, step: int, outputs: list[np.ndarray]) -> None:
        """After a step (or several, if nobody asked for every batch)."""
        if not (self.every_batch or self.shows_progress):
            return
        if self._phase == "predict":
            logs: dict[str, Any] = {"outputs": outputs}
        else:
            logs = self._model.get_metrics_result()
        if self.every_batch:
            self._end(step, logs)
        else:
            self._progress(step + 1, None if self._phase == "predict" else logs)


class Order:
    """The order of rows in each epoch."""

    def __init__(self, source: Any, shuffle: Any, batch_size: int):
        self._count = source.count if isinstance(source, Rows) else 0
        self._shuffle = shuffle if self._count else False
        self._batch_size = batch_size
        if self._shuffle:
            self._generator = np.random.Generator(np.random.Philox(next_seed()))

    def next(self) -> np.ndarray | None:
        """Row numbers for the next epoch; None for the order in which the rows are."""
        if not self._shuffle:
            return None
        if self._shuffle == "batch":
            batches = np.arange(self._count, dtype=np.int64)
            full = self._count // self._batch_size * self._batch_size
            shuffled = batches[:full].reshape(-1, self._batch_size)
            self._generator.shuffle(shuffled)
            return batches
        return self._generator.permutation(self._count).astype(np.int64)


def _result_arrays(
    compiled: CompiledProgram, data: dict[str, np.ndarray], rows: int
) -> dict[str, np.ndarray]:
    if not compiled.program.results:
        return {}
    return compiled.executable.allocate_results(rows, compiled.bindings(data))


def steps_of(source: Any, batch_size: int) -> int | None:
    if isinstance(source, Rows):
        return -(-source.count // batch_size)
    return source.steps


def checked_batch_size(batch_size: Any) -> int:
    if batch_size is None:
        return DEFAULT_BATCH_SIZE
    if isinstance(batch_size, bool) or not hasattr(batch_size, "__index__") or batch_size < 1:
        raise ValueError(f"batch_size has to be a whole number of at least 1, not {batch_size!r}")
    return int(batch_size)


def is_due(epoch: int, frequency: Any) -> bool:
    if isinstance(frequency, int):
        return (epoch + 1) % frequency == 0
    return epoch + 1 in frequency


def number(value: Any) -> Any:
    array = np.asarray(value)
    return float(array) if array.ndim == 0 else array


def in_order(logs: dict[str, Any]) -> Any:
    values = list(logs.values())
    return values[0] if len(values) == 1 else values


def check_metrics(given: Any) -> None:
    for identifier in tree.flatten(given):
        if isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc"):
            continue
        if inspect.isclass(identifier):
            raise TypeError(f"metrics holds the class {identifier.__name__}: add parentheses")
        metrics.get(identifier)
