"""The layers of a model, as records and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphc.cli.output import Output


def layer_records(model: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """What is to be said about each layer, those of models inside included.

    Args:
        model: A Keras model.
        depth: In how many models it lies.
    """
    for layer in model.layers:
        yield {
            "name": layer.name,
            "class": type(layer).__name__,
            "depth": depth,
            "output_shape": _output_shape(layer),
            "parameters": layer.count_params() if layer.built else None,
            "trainable": bool(layer.trainable),
        }
        if getattr(layer, "layers", None):
            yield from layer_records(layer, depth + 1)


def _output_shape(layer: Any) -> Any:
    """The shape of a layer's output; None where there is none, or several calls differ."""
    try:
        return layer.output_shape
    except (AttributeError, ValueError, RuntimeError):
        return None


def show_layers(records: Sequence[Mapping[str, Any]], output: Output, title: str = "") -> None:
    """A table of what `layer_records` gave."""
    rows = [
        (
            "  " * layer["depth"] + layer["name"],
            layer["class"],
            _shape_text(layer["output_shape"]),
            "?" if layer["parameters"] is None else f"{layer['parameters']:,}",
        )
        for layer in records
    ]
    output.table(title, ("layer", "class", "output shape", "parameters"), rows, "lllr")


def _shape_text(shape: Any) -> str:
    if shape is None:
        return "?"
    if isinstance(shape, Mapping):
        return ", ".join(f"{name}: {_shape_text(part)}" for name, part in shape.items())
    if shape and isinstance(shape[0], (tuple, list)):
        return ", ".join(map(_shape_text, shape))
    return f"({', '.join('None' if size is None else str(size) for size in shape)})"
