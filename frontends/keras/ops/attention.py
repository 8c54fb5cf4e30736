"""Attention: https://keras.io/api/ops/nn/."""

from __future__ import annotations

import math
from typing import Any

from graphc.eager import Tensor, as_tensor, cast
from graphc.eager.tensor import promoted
from graphc.errors import ShapeError
from graphc.keras.ops.activations import softmax
from graphc.keras.ops.arguments import counted, float_tensor, reshaped
from graphc.keras.ops.elementwise import abs, logical_and, where
from graphc.keras.ops.products import einsum
from graphc.keras.ops.recording import operation

__all__ = ["dot_product_attention"]

# What hides a place: far below every logit, but finite: a row that is all hidden is uniform.
_HIDDEN = {"float32": -0.7 * 3.4028235e38, "float64": -0.7 * 1.7976931348623157e308}


@operation
def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Tensor:
    """``softmax(query @ key^T * scale + bias) @ value`` for each head.

    Vaswani et al. 2017, https://arxiv.org/abs/1706.03762. Weights are computed in float32 at least.

    Args:
        query: ``(batch, targets, heads, width)``.
        key: ``(batch, sources, key_heads, width)``; a number of key heads that divides that of the
            heads makes groups of heads share one.
        value: ``(batch, sources, key_heads, value_width)``.
        bias: Added to the logits; broadcasts to ``(batch, heads, targets, sources)``.
        mask: Where it is false a source is not looked at; broadcasts as ``bias`` does.
        scale: By default ``1 / sqrt(width)``.
        is_causal: Whether a target sees no later source.
        flash_attention: Accepted as in Keras; what is computed is the same.
        attn_logits_soft_cap: A limit that logits approach: ``x / (1 + |x| / cap)``.

    Returns:
        ``(batch, targets, heads, value_width)``.

    Raises:
        ShapeError: The operands do not fit together.

    Example:
        >>> keras.ops.dot_product_attention(query, key, value, is_causal=True)
    """
    q, k, v = promoted(*map(float_tensor, (query, key, value)))
    if {q.ndim, k.ndim, v.ndim} != {4}:
        raise ShapeError(
            "`dot_product_attention` only supports 4D inputs. Received: "
            f"query.shape={q.shape}, key.shape={k.shape}, value.shape={v.shape}"
        )
    heads, shared = q.dims[2], k.dims[2]
    if not isinstance(heads, int) or not isinstance(shared, int) or not shared or heads % shared:
        raise ShapeError(
            f"dot_product_attention: {heads} heads of `query` cannot share {shared} heads of "
            f"`key`. Received: query.shape={q.shape}, key.shape={k.shape}"
        )
    wide = "float64" if q.dtype == "float64" else "float32"
    batch, targets, _, width = q.dims
    sources = k.dims[1]
    grouped = reshaped(cast(q, wide), (batch, targets, shared, heads // shared, width))
    logits = einsum("btkgh,bskh->bkgts", grouped, cast(k, wide))
    logits = reshaped(logits, (batch, heads, targets, sources))
    logits = logits * (1.0 / math.sqrt(int(width)) if scale is None else scale)
    if attn_logits_soft_cap is not None:
        logits = logits / (1.0 + abs(logits) / attn_logits_soft_cap)
    if bias is not None:
        logits = logits + cast(as_tensor(bias), wide)
    shown = None if mask is None else as_tensor(mask, "bool")
    if is_causal:
        earlier = reshaped(counted(targets, "int32"), (targets, 1)) >= counted(sources, "int32")
        shown = earlier if shown is None else logical_and(shown, earlier)
    if shown is not None:
        logits = where(shown, logits, _HIDDEN[wide])
    weights = reshaped(
        cast(softmax(logits, -1), v.dtype), (batch, shared, heads // shared, targets, sources)
    )
    mixed = einsum("bkgts,bskh->btkgh", weights, v)
    return reshaped(mixed, (batch, targets, heads, v.dims[-1]))
