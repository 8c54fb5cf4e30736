"""Record training for TensorBoard."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import graphc  # its `summary` loads when it is first used
from graphc.keras.callbacks.callback import Callback, Logs, needed_if
from graphc.keras.engine.gradients import BatchGradients

if TYPE_CHECKING:
    from graphc.summary import SummaryWriter


def _records_batches(callback: TensorBoard) -> bool:
    return callback.update_freq != "epoch"


class TensorBoard(Callback):
    """Record losses, metrics, weights, gradients and the graph, which TensorBoard shows.

    The folder gets a run ``train`` and, if there is validation, a run ``validation``:

    * Scalars: ``epoch_loss`` and so on for each metric, ``epoch_learning_rate``;
      ``evaluation_loss_vs_iterations``; with ``update_freq`` also ``batch_loss`` and so on.
    * Graphs: the compiled training step with its gradients and updates, layers as boxes, and the
      model's layers as a conceptual graph.
    * Histograms and Distributions: weights (``dense/kernel/histogram``) and their gradients on the
      first batch (``dense/kernel/gradient/histogram``).
    * Images: weights (``dense/kernel/image``).

    See https://keras.io/api/callbacks/tensorboard/. Writing needs TensorBoard's package:
    ``pip install "graphc-compiler[tensorboard]"``.

    Args:
        log_dir: The folder.
        histogram_freq: Record histograms after every so many epochs; 0 for none.
        write_graph: Whether to record the graph.
        write_images: Whether to record weights as images too, as often as histograms.
        write_steps_per_second: Whether to record how many steps were run per second.
        update_freq: ``"epoch"``, ``"batch"``, or a number of batches: how often losses and metrics
            are recorded. Other than ``"epoch"`` it makes training come back to Python after every
            batch; summaries that other callbacks write are then recorded at the same batches.
        profile_batch: Accepted as in Keras; there is no profile, ``graphc bench`` measures instead.
        embeddings_freq: Save the weights for the projector after every so many epochs; 0 for never.
        embeddings_metadata: The file with the labels of an embedding, or a dict of such files by
            the names of `Embedding` layers.

    Raises:
        ValueError: ``update_freq`` or ``profile_batch`` makes no sense, or
            ``embeddings_metadata`` names a layer that is not there.
        UnsupportedError: TensorBoard's package is not installed.

    Example:
        >>> board = keras.callbacks.TensorBoard("logs", histogram_freq=1)
        >>> model.fit(x, y, epochs=3, callbacks=[board])  # doctest: +SKIP
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: str | Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.log_dir = str(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self.embeddings_freq = embeddings_freq
        self.embeddings_metadata = embeddings_metadata
        if self.update_freq != "epoch" and not (
            isinstance(self.update_freq, int) and self.update_freq > 0
        ):
            raise ValueError(
                "`update_freq` is 'epoch', 'batch' or a number of batches above 0. "
                f"Received: update_freq={update_freq!r}"
            )
        _check_profile(profile_batch)
        self._writers: dict[str, SummaryWriter] = {}
        self._recording: list[ExitStack] = []
        self._is_training = False
        self._gradients: BatchGradients | None = None
        self._batches = {"train": 0, "validation": 0}
        self._batch_began = self._epoch_began = 0.0
        self._steps_before = 0

    def _writer(self, run: str) -> SummaryWriter:
        """The writer of a run; its file is made when there is something to write."""
        if run not in self._writers:
            self._writers[run] = graphc.summary.create_file_writer(Path(self.log_dir) / run)
        return self._writers[run]

    # ---------------------------------------------------------------------------------- a run

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Record the graph, and begin to record batches."""
        self._is_training = True
        self._batches = {"train": 0, "validation": 0}
        if self.write_graph:
            self._write_graphs()
        if self.embeddings_freq:
            self._write_projector()
        self._begin("train")

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the files."""
        self._end()
        for writer in self._writers.values():
            writer.close()
        self._is_training = False
        self._writers = {}
        self._gradients = None

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Begin to record batches of the validation."""
        self._begin("validation")

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Record the results of an evaluation over the number of steps of training."""
        optimizer = self.model.optimizer
        writer = self._writer("validation")
        if optimizer is not None:
            with writer.as_default(step=int(optimizer.iterations)), graphc.summary.record_if(True):
                for name, value in (logs or {}).items():
                    graphc.summary.scalar(f"evaluation_{name}_vs_iterations", value)
        self._end()
        if not self._is_training:
            writer.close()
            del self._writers["validation"]

    def _begin(self, run: str) -> None:
        """From here on summaries go to this run, if they are recorded between epochs at all."""
        if not _records_batches(self):
            return
        blocks = ExitStack()
        blocks.enter_context(self._writer(run).as_default(step=_Count(self._batches, run)))
        blocks.enter_context(graphc.summary.record_if(lambda: self._is_due(run)))
        self._recording.append(blocks)

    def _end(self) -> None:
        if self._recording:
            self._recording.pop().close()

    def _is_due(self, run: str) -> bool:
        return self._batches[run] % int(self.update_freq) == 0

    # ----------------------------------------------------------------------------- each batch

    @needed_if(_records_batches)
    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Count the batch."""
        self._batches["train"] += 1
        self._batch_began = time.perf_counter()

    @needed_if(_records_batches)
    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Record the results so far, if it is a batch whose results are recorded."""
        if self.write_steps_per_second:
            seconds = time.perf_counter() - self._batch_began
            graphc.summary.scalar("batch_steps_per_second", 1 / seconds)
        for name, value in (logs or {}).items():
            graphc.summary.scalar(f"batch_{name}", value)

    @needed_if(_records_batches)
    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Count the batch."""
        self._batches["validation"] += 1

    # ----------------------------------------------------------------------------- each epoch

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Take the time."""
        self._epoch_began = time.perf_counter()
        self._steps_before = int(self.model.optimizer.iterations)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Record the epoch's results, weights and gradients."""
        with graphc.summary.record_if(True):
            self._write_results(epoch, logs or {})
            if self.histogram_freq and epoch % self.histogram_freq == 0:
                self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            folder = Path(self.log_dir) / "train"
            folder.mkdir(parents=True, exist_ok=True)
            self.model.save_weights(folder / f"keras_embedding.ckpt-{epoch}.weights.h5")

    def _write_results(self, epoch: int, logs: Logs) -> None:
        if not logs:
            return
        training = {name: value for name, value in logs.items() if not name.startswith("val_")}
        validation = {name[4:]: v for name, v in logs.items() if name.startswith("val_")}
        optimizer = self.model.optimizer
        training["learning_rate"] = float(optimizer.learning_rate)
        if self.write_steps_per_second:
            steps = int(optimizer.iterations) - self._steps_before
            training["steps_per_second"] = steps / (time.perf_counter() - self._epoch_began)
        for run, results in (("train", training), ("validation", validation)):
            if results:
                with self._writer(run).as_default(step=epoch):
                    for name, value in results.items():
                        graphc.summary.scalar(f"epoch_{name}", value)

    def _write_weights(self, epoch: int) -> None:
        with self._writer("train").as_default(step=epoch):
            for layer in self.model.layers:
                for weight in layer.weights:
                    graphc.summary.histogram(f"{weight.path}/histogram", weight)
                    pictures = _pictures(weight.numpy()) if self.write_images else None
                    if pictures is not None:
                        graphc.summary.image(f"{weight.path}/image", pictures)
            for path, gradient in self._batch_gradients().items():
                graphc.summary.histogram(f"{path}/gradient/histogram", gradient)

    def _batch_gradients(self) -> dict[str, np.ndarray]:
        """Gradients on the first batch, which stays the same, so that epochs can be compared."""
        if self._gradients is None:
            self._gradients = BatchGradients(self.model, self.model.example_batch)
        return self._gradients.compute()

    # ------------------------------------------------------------------------ once for a run

    def _write_graphs(self) -> None:
        with self._writer("train").as_default(step=0), graphc.summary.record_if(True):
            if hasattr(self.model, "layers") and self.model.built:
                try:
                    configuration = json.loads(self.model.to_json())
                except (NotImplementedError, TypeError, ValueError) as error:
                    warnings.warn(f"the model cannot be written as JSON: {error}", stacklevel=2)
                else:
                    graphc.summary.keras_model("keras", json.dumps(_plain(configuration)))
            compiled = self.model._steps.latest("train")
            if compiled is not None:
                graphc.summary.graph(compiled.program)

    def _write_projector(self) -> None:
        """Tell the projector which weights are embeddings, and where their labels are."""
        remaining = self.embeddings_metadata
        remaining = dict(remaining) if isinstance(remaining, Mapping) else remaining
        entries = []
        for layer in self.model.layers:
            if type(layer).__name__ != "Embedding":
                continue
            lines = [f'  tensor_name: "{layer.name}/embeddings"']
            labels = remaining.pop(layer.name, None) if isinstance(remaining, dict) else remaining
            if labels is not None:
                lines.append(f'  metadata_path: "{labels}"')
            entries.append("\n".join(["embeddings {", *lines, "}\n"]))
        if isinstance(remaining, dict) and remaining:
            raise ValueError(
                "Unrecognized `Embedding` layer names passed to `keras.callbacks.TensorBoard` "
                f"`embeddings_metadata` argument: {list(remaining)}"
            )
        folder = Path(self.log_dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "projector_config.pbtxt").write_text("".join(entries))


class _Count:
    """A step that is read when a summary is written."""

    def __init__(self, counts: Mapping[str, int], run: str):
        self._counts = counts
        self._run = run

    def __int__(self) -> int:
        return self._counts[self._run]


def _check_profile(profile_batch: Any) -> None:
    given = profile_batch
    if isinstance(given, str):
        given = [int(part) for part in given.split(",")]
    numbers: Iterator[Any] = iter(given if isinstance(given, (tuple, list)) else (given, given))
    first, last, *others = numbers
    if others or not all(isinstance(n, int) for n in (first, last)) or not 0 <= first <= last:
        raise ValueError(
            "profile_batch must be a non-negative integer or 2-tuple of positive integers. A pair "
            f"of positive integers signifies a range of batches to profile. Found: {profile_batch}"
        )
    if last:
        warnings.warn(
            "graphc writes no profile for TensorBoard, so profile_batch has no effect; "
            "`graphc bench` measures a model",
            stacklevel=3,
        )


def _pictures(weight: np.ndarray) -> np.ndarray | None:
    """Weights as grey images, cut as Keras does it, the least black and the largest white.

    None if they are no images: weights of three-dimensional convolutions, for instance.
    """
    array = np.squeeze(weight).astype(np.float64)
    if not array.size:
        return None
    low, high = array.min(), array.max()
    array = (array - low) / (high - low) if high > low else np.zeros_like(array)
    if array.ndim == 1:
        return array.reshape(1, -1, 1, 1)
    if array.ndim == 2:
        return (array.T if array.shape[0] > array.shape[1] else array)[None, ..., None]
    if array.ndim == 3:
        return np.moveaxis(array, -1, 0)[..., None]
    return array if array.ndim == 4 and array.shape[-1] in (1, 3, 4) else None


def _plain(configuration: Any) -> Any:
    """A model's configuration in which a layer's calls have tensors as their only arguments.

    TensorBoard does not understand others, such as the number in ``x * 2``.
    """
    if isinstance(configuration, list):
        return [_plain(item) for item in configuration]
    if not isinstance(configuration, dict):
        return configuration
    plain = {key: _plain(value) for key, value in configuration.items() if key != "inbound_nodes"}
    if "inbound_nodes" in configuration:
        calls = [[*_tensors(call)] for call in configuration["inbound_nodes"]]
        plain["inbound_nodes"] = [{"args": [call], "kwargs": {}} for call in calls if call]
    return plain


def _tensors(call: Any) -> Iterator[dict[str, Any]]:
    """The tensors among a call's arguments."""
    if isinstance(call, dict) and call.get("class_name") == "__keras_tensor__":
        yield call
    elif isinstance(call, (dict, list)):
        for item in call.values() if isinstance(call, dict) else call:
            yield from _tensors(item)
