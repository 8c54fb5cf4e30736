"""Limits on the norm of gradients."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.eager import Tensor
from graphc.keras import ops


def clip_by_norm(gradient: Tensor, limit: float) -> Tensor:
    """A gradient scaled so that its norm is at most ``limit``."""
    norm = ops.sqrt(ops.sum(ops.square(gradient)))
    return gradient * limit / ops.maximum(norm, limit)


def global_norm(gradients: Sequence[Tensor]) -> Tensor:
    """The norm of all gradients taken as one vector."""
    squares = [ops.sum(ops.square(gradient)) for gradient in gradients]
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    return ops.sqrt(total)


def clip_by_global_norm(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """Gradients scaled together so that their common norm is at most ``limit``.

    A norm that is infinite or NaN makes them all NaN, so that it is noticed.
    """
    norm = global_norm(gradients)
    scale = limit * ops.minimum(1.0 / norm, 1.0 / limit) + (norm - norm)
    return [gradient * scale for gradient in gradients]
