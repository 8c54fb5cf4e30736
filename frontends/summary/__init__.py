"""``graphc.summary``: what training looks like from outside, recorded for TensorBoard.

The names and the files are those of TensorFlow 2 (`tf.summary`); TensorBoard's own package writes
the records (``pip install "graphc-compiler[tensorboard]"``), and is loaded when a writer is made.

Example:
    >>> writer = graphc.summary.create_file_writer("logs/run1")
    >>> with writer.as_default():
    ...     graphc.summary.scalar("loss", 0.25, step=1)
    ...     graphc.summary.histogram("weights", layer.kernel, step=1)
"""

from types import SimpleNamespace

from graphc.summary.records import audio, graph, histogram, image, keras_model, scalar, text
from graphc.summary.writer import (
    SummaryWriter,
    create_file_writer,
    create_noop_writer,
    flush,
    get_step,
    record_if,
    set_step,
    should_record_summaries,
)

#: Names that TensorFlow keeps apart.
experimental = SimpleNamespace(get_step=get_step, set_step=set_step)

__all__ = [
    "SummaryWriter",
    "audio",
    "create_file_writer",
    "create_noop_writer",
    "experimental",
    "flush",
    "get_step",
    "graph",
    "histogram",
    "image",
    "keras_model",
    "record_if",
    "scalar",
    "set_step",
    "should_record_summaries",
    "text",
]
