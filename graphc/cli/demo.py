"""``graphc demo``: train on real data, evaluate, save, load, export and compare, in seconds."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import graphc.keras as keras
from graphc import runtime
from graphc.cli.layers import layer_records, show_layers
from graphc.cli.output import (
    CommandError,
    Output,
    bytes_text,
    count_text,
    seconds_text,
    significant,
)
from graphc.cli.programs import Prepared, model_program, positive, trace
from graphc.cli.timing import Repeated, empty_cache, measure_compilation, timed
from graphc.config import config
from graphc.keras.datasets import digits
from graphc.keras.engine.data import make_rows

SEED = 1
BATCH = 32
#: How long predictions are measured, in seconds.
_MEASURE = 0.3

EPILOG = """\
examples:
  graphc demo
  graphc demo --epochs 30 --output digits

The data, 1,797 handwritten digits of the UCI Machine Learning Repository, is part of the package:
nothing is downloaded. Compiled programs of earlier runs are not used, so that every run does the
same work. The exit code is 1 if a loaded or exported model does not compute what it should.
"""

#: What an interpreter says that has just started.
_IMPORT = """\
import time
begin = time.perf_counter()
import graphc
from graphc import keras
print(time.perf_counter() - begin)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the verb takes."""
    parser.epilog = EPILOG
    parser.add_argument(
        "--epochs", metavar="N", default="15", help="passes over the data (default: 15)"
    )
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        default="graphc-demo",
        help="where the model's files go (default: graphc-demo)",
    )


def run(arguments: argparse.Namespace, output: Output) -> dict[str, Any]:
    """Do everything once, and tell."""
    epochs = positive(arguments.epochs, "--epochs")
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(SEED)
    demo = _Demo(output, folder)
    with empty_cache():
        demo.prepare()
        demo.compile()
        demo.train(epochs)
        demo.predict()
        demo.save()
        demo.export()
    demo.summarize()
    return demo.document


class _Demo:
    """The stages, which leave their findings in one document.

    Args:
        output: Where they are shown.
        folder: Where files go.
    """

    def __init__(self, output: Output, folder: Path):
        self.output = output
        self.folder = folder
        (x, self.y), (x_test, self.y_test) = digits.load_data()
        self.x, self.x_test = (images[..., None].astype("float32") / 16 for images in (x, x_test))
        self.model = _make_model()
        self.document: dict[str, Any] = {
            "backend": config.backend,
            "threads": config.thread_count,
            "train_images": len(x),
            "test_images": len(x_test),
        }
        self.expected = np.empty(0)

    def prepare(self) -> None:
        """Show data and model."""
        self.output.heading("Data and model")
        self.output.line(
            f"  {len(self.x):,} handwritten digits to train on, {len(self.x_test)} others to test "
            "on: grey images of 8x8 pixels\n"
        )
        layers = list(layer_records(self.model))
        show_layers(layers, self.output)
        self.document.update(
            import_seconds=_import_seconds(), parameters=self.model.count_params(), layers=layers
        )

    def compile(self) -> None:
        """Trace and compile the training step, timed apart."""
        rows = make_rows(self.x[:BATCH], self.y[:BATCH])
        begin = time.perf_counter()
        prepared = trace(self.model, "train", rows)
        traced = time.perf_counter() - begin
        times, _ = measure_compilation(prepared.program, config.backend, config.threads)
        self.document.update(
            trace_seconds=traced,
            operations=len(prepared.program.graph.nodes),
            compile_seconds=times.cold,
            cached_seconds=times.cached,
        )

    def train(self, epochs: int) -> None:
        """Train, with the progress bar where somebody can see it move, and evaluate."""
        self.output.heading(f"Training for {epochs} epochs")
        clock = _Clock()
        begin = time.perf_counter()
        history = self.model.fit(
            self.x,
            self.y,
            batch_size=BATCH,
            epochs=epochs,
            verbose=0 if self.output.silent else 1 if sys.stdout.isatty() else 2,
            validation_data=(self.x_test, self.y_test),
            callbacks=[clock],
        ).history
        steps = -(-len(self.x) // BATCH)
        # The first epoch also traces and compiles; with one epoch there is no other.
        seconds = statistics.median(clock.seconds[1:] or clock.seconds)
        loss, accuracy = self.model.evaluate(self.x_test, self.y_test, verbose=0)
        self.document.update(
            epochs=epochs,
            steps=epochs * steps,
            fit_seconds=time.perf_counter() - begin,
            us_per_step=1e6 * seconds / steps,
            train_samples_per_second=len(self.x) / seconds,
            train_accuracy=history["accuracy"][-1],
            test_accuracy=accuracy,
            test_loss=loss,
        )

    def predict(self) -> None:
        """Predict the test images: all at once, and one at a time."""
        self.expected = self.model.predict(self.x_test, verbose=0)
        program = model_program(self.model, "predict", {"batch": 1})
        executable = runtime.compile(program.program, config.backend, config.threads)
        for images in (self.x_test[:1], self.x_test):
            prepared = Prepared(program.program, {"x": images}, program.state)
            repeated = Repeated(executable, prepared, len(images), many=False)
            repeated.measure(_MEASURE)
            name = "one" if len(images) == 1 else "all"
            self.document[f"predict_{name}_us"] = 1e6 * repeated.percentile(50)

    def save(self) -> None:
        """Save, load again and compare."""
        self.document["files"] = []
        for suffix in (".keras", ".h5"):
            path = self.folder / f"digits{suffix}"
            saved, _ = timed(partial(self.model.save, path))
            loaded, model = timed(partial(keras.models.load_model, path))
            received = model.predict(self.x_test, verbose=0)
            self._add_file(path, saved, loaded, largest_difference(self.expected, received))

    def export(self) -> None:
        """Export to ONNX, and compare with what ONNX Runtime makes of it."""
        path = self.folder / "digits.onnx"
        saved, comparison = timed(lambda: self.model.export(path, verbose=False))
        difference = None if comparison is None else comparison.largest
        self._add_file(path, saved, None, difference)

    def _add_file(
        self, path: Path, write: float, read: float | None, difference: float | None
    ) -> None:
        self.document["files"].append(
            {
                "file": str(path),
                "bytes": os.path.getsize(path),
                "write_seconds": write,
                "read_seconds": read,
                "largest_difference": difference,
            }
        )

    def summarize(self) -> None:
        """The tables, and whether all is as it should be.

        Raises:
            CommandError: A loaded model computes something else than the one that was saved.
        """
        _show_summary(self.document, self.output)
        for file in self.document["files"]:
            # What is loaded is the same program with the same weights: the bits agree. The
            # exporter has compared ONNX Runtime's results with its own tolerance.
            if not file["file"].endswith(".onnx") and file["largest_difference"] != 0:
                raise CommandError(
                    f"the model in {file['file']} predicts something else than the one that was "
                    f"saved: the largest difference is {file['largest_difference']:.2g}",
                    self.document,
                )


class _Clock(keras.callbacks.Callback):
    """Times the training part of each epoch; validation is not counted."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._begin = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._begin = time.perf_counter()

    def on_test_begin(self, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self._begin)


def _make_model() -> Any:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _import_seconds() -> float:
    """How long the imports take in a process that has just started: the best of three."""
    # -P: a folder called graphc in the working folder (a checkout has one) is not ours.
    command = [sys.executable, "-P", "-c", _IMPORT]
    results = [
        subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)
    ]
    return min(float(result.stdout) for result in results)


def largest_difference(expected: np.ndarray, received: np.ndarray) -> float:
    """The largest difference of two elements; infinite if one is no number."""
    gap = np.max(np.abs(expected.astype(np.float64) - received), initial=0.0)
    return float(gap) if np.isfinite(gap) else float("inf")


def _show_summary(document: dict[str, Any], output: Output) -> None:
    _show_times(document, output)
    _show_speed(document, output)
    _show_files(document["files"], output)
    output.heading("Result")
    output.line(
        f"  {100 * document['test_accuracy']:.1f}% of the test images are recognized "
        f"({100 * document['train_accuracy']:.1f}% in training)",
        "green",
    )
    saved = document["files"][0]["file"]
    output.line(f"\n  Look further:  graphc inspect {saved}\n                 graphc bench {saved}")


def _show_times(document: dict[str, Any], output: Output) -> None:
    backend, cached = document["backend"], document["cached_seconds"]
    compiled = "to native code" if backend == "cpu" else f"for the backend {backend}"
    if cached is not None:
        compiled += f"; {seconds_text(cached)} from the cache in later processes"
    epochs = f"{document['epochs']} epoch{'s' * (document['epochs'] > 1)}"
    whats = {
        "import": "graphc and keras, in a process of its own",
        "trace": f"the training step: {document['operations']} operations, gradients and Adam",
        "compile": compiled,
        "fit": f"{epochs}, {document['steps']:,} steps of {BATCH} images, validation included",
    }
    rows = [(name, what, seconds_text(document[f"{name}_seconds"])) for name, what in whats.items()]
    output.table("How long it took", ("step", "what", "time"), rows, "wlr")


def _show_speed(document: dict[str, Any], output: Output) -> None:
    threads, count = document["threads"], document["test_images"]
    all_at_once, one = document["predict_all_us"], document["predict_one_us"]
    measured = [
        ("training step", document["us_per_step"], document["train_samples_per_second"]),
        (f"predict {count} images", all_at_once, count * 1e6 / all_at_once),
        ("predict 1 image", one, 1e6 / one),
    ]
    rows = [
        (name, f"{significant(time)} us", f"{count_text(speed)} images/s")
        for name, time, speed in measured
    ]
    title = f"How fast it is, with {threads} thread{'s' * (threads > 1)}"
    output.table(title, ("", "time", ""), rows, "lrr")


def _show_files(files: list[dict[str, Any]], output: Output) -> None:
    rows = [
        (
            Path(file["file"]).name,
            bytes_text(file["bytes"]),
            seconds_text(file["write_seconds"]),
            "" if file["read_seconds"] is None else seconds_text(file["read_seconds"]),
            _verdict(file),
        )
        for file in files
    ]
    columns = ("file", "size", "written", "read", "against the trained model")
    output.table(f"Files in {Path(files[0]['file']).parent}", columns, rows, "wrrrl")


def _verdict(file: dict[str, Any]) -> str:
    difference = file["largest_difference"]
    if file["file"].endswith(".onnx"):
        if difference is None:
            return "not run: ONNX Runtime is not installed (extras gpu and ort)"
        return f"differs by {difference:.1g} in ONNX Runtime"
    if difference == 0:
        return "loaded: the same bits"
    return f"loaded: differs by {difference:.2g}"
