"""Summaries: numbers, histograms, images, text, sounds and graphs that TensorBoard shows.

Each is written by the current writer (`SummaryWriter.as_default`); where there is none, nothing
happens. The formats are those of TensorFlow 2 (https://www.tensorflow.org/api_docs/python/tf/summary).
"""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np

from graphc.eager import as_tensor
from graphc.errors import DTypeError, ShapeError, UnsupportedError
from graphc.summary import library
from graphc.summary.graph_def import graph_nodes
from graphc.summary.writer import current_writer, step_of

#: What the dashboard of sounds wants to know: that they are encoded as WAV (field 2, value 11).
_WAV = b"\x10\x0b"


def _values(data: Any, what: str) -> np.ndarray:
    tensor = as_tensor(data)
    if tensor.is_symbolic:
        raise UnsupportedError(
            f"a summary of {what} needs values, but inside a compiled function tensors have none "
            "yet: return what you want to record, and write the summary outside"
        )
    array = tensor.numpy()
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _write(
    plugin: str, tag: str, tensor: Any, step: Any, description: Any = None, content: bytes = b""
) -> bool:
    writer = current_writer()
    assert writer is not None, "callers look first, so that nothing is encoded in vain"
    message = library.tensor_message(tensor)
    writer.add(library.summary_event(plugin, tag, message, step_of(step), description, content))
    return True


def scalar(name: str, data: Any, step: Any = None, description: str | None = None) -> bool:
    """Record a number: a point of a curve.

    Args:
        name: The curve's name; what stands before its last "/" groups curves.
        data: The number.
        step: Its place on the horizontal axis; by default what `experimental.set_step` set.
        description: Shown beside the curve; Markdown.

    Returns:
        Whether it was recorded.

    Raises:
        ShapeError: ``data`` is more than one number.
        ValueError: There is no step.

    Example:
        >>> with graphc.summary.create_file_writer("logs").as_default():
        ...     for step in range(100):
        ...         graphc.summary.scalar("loss", 1 / (1 + step), step=step)
    """
    if current_writer() is None:
        return False
    array = _values(data, "a number")
    if array.size != 1:
        raise ShapeError(f'scalar summary "{name}": expected one number, received {array.shape}')
    return _write("scalars", name, array.reshape(()).astype(np.float32), step, description)


def histogram(
    name: str,
    data: Any,
    step: Any = None,
    buckets: int | None = None,
    description: str | None = None,
) -> bool:
    """Record how the elements of a tensor are distributed.

    Args:
        name: The name of the series.
        data: A tensor of any shape. Elements that are NaN or infinite are left out.
        step: The place in the series.
        buckets: How many parts of equal width there are; 30 by default.
        description: Shown beside it; Markdown.

    Returns:
        Whether it was recorded.
    """
    if current_writer() is None:
        return False
    counts = bucket_counts(_values(data, "a histogram"), 30 if buckets is None else int(buckets))
    return _write("histograms", name, counts, step, description)


def bucket_counts(values: np.ndarray, buckets: int) -> np.ndarray:
    """Rows of left edge, right edge and number of elements.

    Args:
        values: Numbers.
        buckets: How many rows; none is filled but the last where all elements are equal.
    """
    numbers = values.astype(np.float64).ravel()
    numbers = numbers[np.isfinite(numbers)]
    if not buckets or not numbers.size:
        return np.zeros((buckets, 3))
    low, high = numbers.min(), numbers.max()
    if low == high:
        counts = np.zeros(buckets)
        counts[-1] = numbers.size
        edges = np.full(buckets, low)
        return np.stack([edges, edges, counts], 1)
    counts, edges = np.histogram(numbers, buckets, (low, high))
    return np.stack([edges[:-1], edges[1:], counts.astype(np.float64)], 1)


def image(
    name: str,
    data: Any,
    step: Any = None,
    max_outputs: int = 3,
    description: str | None = None,
) -> bool:
    """Record images.

    Args:
        name: The name of the series.
        data: ``(images, height, width, channels)`` with 1 to 4 channels (grey, grey and alpha, RGB,
            RGB and alpha): floats from 0 to 1, or uint8.
        step: The place in the series.
        max_outputs: How many of the images are recorded at most.
        description: Shown beside them; Markdown.

    Returns:
        Whether they were recorded.

    Raises:
        ShapeError: Another shape.
        DTypeError: Integers other than uint8.
    """
    if current_writer() is None:
        return False
    array = _values(data, "images")
    if array.ndim != 4 or array.shape[-1] not in (1, 2, 3, 4):
        raise ShapeError(
            f'image summary "{name}": expected (images, height, width, channels) with 1 to 4 '
            f"channels, received {array.shape}"
        )
    pixels = _pixels(array[: int(max_outputs)], name)
    sizes = [str(array.shape[2]).encode(), str(array.shape[1]).encode()]
    strings = [*sizes, *[library.png(picture) for picture in pixels]]
    return _write("images", name, strings, step, description)


def _pixels(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if array.dtype.kind != "f":
        raise DTypeError(
            f'image summary "{name}": pixels are floats from 0 to 1, or uint8; received '
            f"{array.dtype.name}"
        )
    # NaN, which is no colour, is black.
    return np.rint(np.clip(np.nan_to_num(array), 0, 1) * 255).astype(np.uint8)


def text(name: str, data: Any, step: Any = None, description: str | None = None) -> bool:
    """Record text, which TensorBoard reads as Markdown.

    Args:
        name: The name of the series.
        data: A string, or lists of strings, which are shown as a table.
        step: The place in the series.
        description: Shown beside it; Markdown.

    Returns:
        Whether it was recorded.
    """
    if current_writer() is None:
        return False
    array = np.asarray(data, object)
    encoded = [x if isinstance(x, bytes) else str(x).encode() for x in array.ravel().tolist()]
    strings = np.empty(array.size, object)
    strings[:] = encoded
    return _write("text", name, strings.reshape(array.shape), step, description)


def audio(
    name: str,
    data: Any,
    sample_rate: int,
    step: Any = None,
    max_outputs: int = 3,
    encoding: str | None = None,
    description: str | None = None,
) -> bool:
    """Record sounds.

    Args:
        name: The name of the series.
        data: ``(sounds, frames, channels)``: floats from -1 to 1.
        sample_rate: Frames per second.
        step: The place in the series.
        max_outputs: How many of the sounds are recorded at most.
        encoding: Only ``"wav"``, 16 bits.
        description: Shown beside them; Markdown.

    Returns:
        Whether they were recorded.

    Raises:
        ShapeError: Another shape.
        ValueError: Another encoding.
    """
    if current_writer() is None:
        return False
    if encoding not in (None, "wav"):
        raise ValueError(f'audio summary "{name}": the encoding is "wav", not {encoding!r}')
    array = _values(data, "sounds")
    if array.ndim != 3:
        raise ShapeError(
            f'audio summary "{name}": expected (sounds, frames, channels), received {array.shape}'
        )
    sounds = np.empty((min(len(array), int(max_outputs)), 2), object)
    for row, sound in zip(sounds, array, strict=False):
        row[:] = [_wav(sound, int(sample_rate)), b""]
    return _write("audio", name, sounds, step, description, _WAV)


def _wav(sound: np.ndarray, sample_rate: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(sound.shape[1])
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        steps = np.rint(np.clip(np.nan_to_num(sound), -1, 1) * 32767)
        file.writeframes(steps.astype("<i2").tobytes())
    return buffer.getvalue()


def graph(graph_data: Any) -> bool:
    """Record a graph: layers are boxes that open and close.

    Args:
        graph_data: A graph or a program of graphc, or a concrete function of `graphc.function`.

    Returns:
        Whether it was recorded.
    """
    writer = current_writer()
    if writer is None:
        return False
    writer.add(library.graph_event(graph_nodes(graph_data)))
    return True


def keras_model(name: str, configuration: str, step: Any = None) -> bool:
    """Record the layers of a model, which the dashboard of graphs shows as a conceptual graph.

    Args:
        name: The name of the series.
        configuration: What `Model.to_json` gives.
        step: The place in the series.

    Returns:
        Whether it was recorded.
    """
    if current_writer() is None:
        return False
    text = np.array(configuration.encode(), object)
    return _write("graph_keras_model", name, text, step, content=b"1")
