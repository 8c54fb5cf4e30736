"""The one module that loads TensorBoard's package: its protocol buffers and its record format.

None of what is used here loads TensorFlow.
"""

from __future__ import annotations

import importlib
import io
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from graphc.errors import UnsupportedError


@cache
def protocol(name: str) -> Any:
    """A module of TensorBoard's protocol buffers.

    Args:
        name: Such as ``"event"``.

    Raises:
        UnsupportedError: TensorBoard is not installed.
    """
    return _module(f"tensorboard.compat.proto.{name}_pb2")


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UnsupportedError(
            "writing summaries needs TensorBoard's package, which is not installed "
            f'({error}): pip install "graphc-compiler[tensorboard]"'
        ) from error


def record_writer(file: Any) -> Any:
    """A writer of records with checksums, the format of event files."""
    return _module("tensorboard.summary.writer.record_writer").RecordWriter(file)


def png(image: np.ndarray) -> bytes:
    """A picture of 8 bits as PNG; 1 to 4 channels: grey, grey and alpha, RGB, RGB and alpha."""
    pillow = _module("PIL.Image")
    buffer = io.BytesIO()
    single = image.shape[-1] == 1
    pillow.fromarray(image[..., 0] if single else image).save(buffer, format="png")
    return buffer.getvalue()


# ---------------------------------------------------------------------------------- messages


def tensor_message(value: np.ndarray | Sequence[bytes]) -> Any:
    """An array, or an array of strings, as a message."""
    types = protocol("types")
    array = np.asarray(value, object if not isinstance(value, np.ndarray) else None)
    message = protocol("tensor").TensorProto()
    for size in array.shape:
        message.tensor_shape.dim.add(size=size)
    if array.dtype == object:
        message.dtype = types.DT_STRING
        message.string_val.extend(array.ravel().tolist())
        return message
    message.dtype = {"float32": types.DT_FLOAT, "float64": types.DT_DOUBLE}[array.dtype.name]
    message.tensor_content = (
        np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
    )
    return message


def version_event() -> Any:
    """The first record of every event file."""
    return protocol("event").Event(wall_time=time.time(), file_version="brain.Event:2")


def summary_event(
    plugin: str, tag: str, tensor: Any, step: int, description: str | None, content: bytes
) -> Any:
    """One value for one dashboard.

    Args:
        plugin: The dashboard's name.
        tag: The name of the series of values.
        tensor: A message of the value.
        step: Its place in the series.
        description: What the dashboard says about it, in Markdown.
        content: What the dashboard wants to know besides.
    """
    summaries = protocol("summary")
    # As in TensorFlow's files there is no data class: TensorBoard knows its dashboards.
    metadata = summaries.SummaryMetadata(summary_description=description or "")
    metadata.plugin_data.plugin_name = plugin
    metadata.plugin_data.content = content
    event = protocol("event").Event(wall_time=time.time(), step=step)
    event.summary.value.add(tag=tag, tensor=tensor, metadata=metadata)
    return event


def graph_event(nodes: Sequence[Mapping[str, Any]]) -> Any:
    """A graph; see `graphc.summary.graph_def` for what a node consists of."""
    graph = protocol("graph").GraphDef()
    graph.versions.producer = 22
    for node in nodes:
        message = graph.node.add(name=node["name"], op=node["op"], device=node.get("device", ""))
        message.input.extend(node["inputs"])
        for name, text in node["attributes"].items():
            message.attr[name].s = text.encode()
        shapes = message.attr["_output_shapes"].list
        for sizes in node["shapes"]:
            shape = shapes.shape.add()
            for size in sizes:
                shape.dim.add(size=size)
    event = protocol("event").Event(wall_time=time.time())
    event.graph_def = graph.SerializeToString()
    return event
