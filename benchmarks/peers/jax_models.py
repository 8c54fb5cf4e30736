"""The Transformer of `benchmarks.models` in plain JAX: parameters, and a function of them.

There is no residual network: XLA's convolutions inside a scan take seconds for each step of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.workloads import WORDS

_HEADS = 4


def _norm(width: int) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(width, np.float32), np.zeros(width, np.float32)


def _dense(rng: np.random.Generator, inputs: int, units: int) -> tuple[np.ndarray, np.ndarray]:
    kernel = rng.normal(size=(inputs, units)) * np.sqrt(2.0 / (inputs + units))
    return kernel.astype(np.float32), np.zeros(units, np.float32)


def transformer_parameters(rng: np.random.Generator) -> dict[str, Any]:
    """Of 2 encoder layers of width 128."""
    width = 128
    layers = [
        {
            "query": _dense(rng, width, width),
            "key": _dense(rng, width, width),
            "value": _dense(rng, width, width),
            "output": _dense(rng, width, width),
            "first": _dense(rng, width, 4 * width),
            "second": _dense(rng, 4 * width, width),
            "norms": (_norm(width), _norm(width)),
        }
        for _ in range(2)
    ]
    embedding = (rng.normal(size=(WORDS, width)) * 0.05).astype(np.float32)
    return {"embedding": embedding, "layers": layers, "head": _dense(rng, width, 10)}


def transformer(parameters: dict[str, Any], tokens: Any) -> Any:
    """Logits."""

    def apply(x: Any, weights: tuple) -> Any:
        return x @ weights[0] + weights[1]

    def normalize(x: Any, weights: tuple) -> Any:
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + 1e-3) * weights[0] + weights[1]

    x = parameters["embedding"][tokens]
    batch, length, width = x.shape
    for layer in parameters["layers"]:
        q, k, v = (
            apply(x, layer[name]).reshape(batch, length, _HEADS, width // _HEADS)
            for name in ("query", "key", "value")
        )
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(width // _HEADS)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), v)
        x = normalize(x + apply(mixed.reshape(x.shape), layer["output"]), layer["norms"][0])
        hidden = jax.nn.gelu(apply(x, layer["first"]), approximate=False)
        x = normalize(x + apply(hidden, layer["second"]), layer["norms"][1])
    return apply(x.mean(1), parameters["head"])


#: By the names of the functions in `benchmarks.models`: parameters, and what they are used for.
LARGE: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "transformer": (transformer_parameters, transformer),
}
