"""Attention: each step of one sequence looks at all steps of another one."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

from graphc.eager import Tensor, cast
from graphc.errors import ShapeError
from graphc.keras import activations, constraints, initializers, ops, random, regularizers
from graphc.keras.layers.builtin import BuiltinLayer, one_of, positive, rate_of
from graphc.keras.layers.core import LOW_RANK
from graphc.keras.ops.arguments import counted
from graphc.keras.saving.registry import public


@public("keras.layers")
class EinsumDense(BuiltinLayer):
    """A dense layer whose product is an Einstein sum.

    Args:
        equation: The sum, as in ``"ab,bc->ac"``; its first operand is the input, and ``...``
            stands for further axes of it.
        output_shape: Sizes of the output without the batch's; None where the input tells.
        activation: A name or a function; None for none.
        bias_axes: Letters of the output along which there is a bias; None for no bias.
        kernel_initializer: How the kernel starts.
        bias_initializer: How the bias starts.
        kernel_regularizer: Penalty on the kernel.
        bias_regularizer: Penalty on the bias.
        kernel_constraint: Applied to the kernel after each update.
        bias_constraint: Applied to the bias after each update.
        **kwargs: For `Layer`.

    Raises:
        ValueError: The equation is no sum of an input and a kernel.

    Example:
        >>> keras.layers.EinsumDense("abc,cd->abd", output_shape=(None, 64), bias_axes="d")
    """

    arguments = (
        "equation",
        "activation",
        "bias_axes",
        "kernel_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "bias_regularizer",
        "kernel_constraint",
        "bias_constraint",
    )
    unsupported = LOW_RANK

    def __init__(
        self,
        equation: str,
        output_shape: Any,
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.equation = equation
        sizes = output_shape if isinstance(output_shape, (list, tuple)) else (output_shape,)
        self.partial_output_shape = tuple(sizes)
        self.activation = activations.get(activation)
        self.bias_axes = bias_axes
        self.describe_weight("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self.describe_weight("bias", bias_initializer, bias_regularizer, bias_constraint)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        config["output_shape"] = self.partial_output_shape
        return config

    def _terms(self, rank: int) -> tuple[str, str, str]:
        """The three parts of the equation, letters in place of ``...``."""
        try:
            operands, output = self.equation.replace(" ", "").split("->")
            x, kernel = operands.split(",")
        except ValueError:
            raise ValueError(
                f'EinsumDense: `equation` should be like "ab,bc->ac". Received: {self.equation!r}'
            ) from None
        free = [c for c in string.ascii_letters if c not in self.equation]
        more = "".join(free[: rank - len(x.replace("...", ""))]) if "..." in x else ""
        x, output = x.replace("...", more), output.replace("...", more)
        if len(x) != rank:
            raise ShapeError(
                f'EinsumDense "{self.name}": the equation {self.equation!r} takes an input with '
                f"{len(x)} axes, received one with {rank}"
            )
        return x, kernel, output

    def build(self, input_shape: Any) -> None:
        """Create the kernel and the bias."""
        x, kernel, output = self._terms(len(input_shape))
        sizes = dict(zip(x, input_shape, strict=True))
        known = self.partial_output_shape[-len(output) :] if output else ()
        for letter, size in zip(reversed(output), reversed(known), strict=False):
            if size is not None:
                if sizes.get(letter) not in (None, size):
                    raise ShapeError(
                        f'EinsumDense "{self.name}": axis {letter!r} has size {sizes[letter]} in '
                        f"the input {tuple(input_shape)} and {size} in output_shape="
                        f"{self.partial_output_shape}"
                    )
                sizes[letter] = size
        self.kernel = self.add_described_weight("kernel", [sizes[letter] for letter in kernel])
        self.bias = None
        if self.bias_axes:
            first = min(output.index(letter) for letter in self.bias_axes)
            shape = [sizes[c] if c in self.bias_axes else 1 for c in output[first:]]
            self.bias = self.add_described_weight("bias", shape)

    def call(self, inputs: Any, training: Any = None) -> Any:
        """The sum, with bias and activation."""
        x, kernel, output = self._terms(inputs.ndim)
        y = ops.einsum(f"{x},{kernel}->{output}", inputs, self.read(self.kernel))
        if self.bias is not None:
            y = y + self.read(self.bias)
        return self.activation(y)


def _scores_masked(scores: Tensor, kept: Any) -> Tensor:
    """Scores with a large negative number where the mask is false."""
    return ops.where(kept, scores, -3e4 if scores.dtype == "float16" else -1e9)


def _causal(queries: Any, keys: Any) -> Tensor:
    """[queries, keys]: True where the key is not later than the query."""
    rows = ops.reshape(counted(queries, "int32"), (queries, 1))
    return rows >= counted(keys, "int32")


class _Attention(BuiltinLayer):
    """Attention without projections: ``softmax(scores(query, key)) value``."""

    def __init__(self, dropout: float, seed: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.input_spec = None
        self.dropout = rate_of(dropout, self, "dropout")
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed) if dropout > 0 else None
        self.supports_masking = True

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        """How much each query attends to each key: [batch, queries, keys]."""
        raise NotImplementedError

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: Any = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """Attention of ``[query, value]`` or ``[query, value, key]``.

        Args:
            inputs: The sequences, each ``(batch, time, features)``.
            mask: Masks for query and value.
            training: Whether dropout acts.
            return_attention_scores: Whether to return the scores as well.
            use_causal_mask: Whether a step sees no later ones.
        """
        if not isinstance(inputs, (list, tuple)) or len(inputs) not in (2, 3):
            raise ShapeError(
                f'{type(self).__name__} "{self.name}" should be called on a list [query, value] or '
                f"[query, value, key]. Received: {inputs!r}"
            )
        query, value = inputs[:2]
        key = inputs[2] if len(inputs) > 2 else value
        masks = [*(mask or ()), None, None]
        scores = self.score(query, key)
        kept = None if masks[1] is None else ops.expand_dims(cast(masks[1], "bool"), -2)
        if use_causal_mask:
            causal = ops.expand_dims(_causal(scores.dims[-2], scores.dims[-1]), 0)
            kept = causal if kept is None else ops.logical_and(kept, causal)
        if kept is not None:
            large = 65504.0 if scores.dtype == "float16" else 1e9
            scores = ops.where(kept, scores, scores - large)
        weights = ops.softmax(scores, axis=-1)
        if training and self.seed_generator is not None:
            weights = random.dropout(weights, self.dropout, seed=self.seed_generator)
        result = ops.matmul(weights, value)
        if masks[0] is not None:
            result = ops.where(ops.expand_dims(cast(masks[0], "bool"), -1), result, 0)
        return (result, weights) if return_attention_scores else result

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the query."""
        return previous_mask[0] if isinstance(previous_mask, (list, tuple)) else None


@public("keras.layers")
class Attention(_Attention):
    """Dot-product attention (Luong et al., 2015).

    Args:
        use_scale: Whether scores are multiplied by a factor that is learned.
        score_mode: ``"dot"``, or ``"concat"`` for ``sum(tanh(query + key))``.
        dropout: The share of scores that are dropped in training.
        seed: Where the random numbers start.
        **kwargs: For `Layer`.
    """

    arguments = ("use_scale", "score_mode", "dropout", "seed")

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: Any = None,
        **kwargs: Any,
    ):
        super().__init__(dropout, seed, **kwargs)
        self.use_scale = use_scale
        self.score_mode = one_of(score_mode, ("dot", "concat"), "score_mode", self)

    def build(self, input_shape: Any) -> None:
        """Create the factors."""
        self.scale = self.add_weight((), "ones", name="scale") if self.use_scale else None
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        """Dot products, or sums of hyperbolic tangents."""
        scale = 1.0 if self.scale is None else self.read(self.scale)
        if self.score_mode == "dot":
            products = ops.einsum("bqd,bkd->bqk", query, key)
            return products if self.scale is None else products * scale
        summed = ops.tanh(scale * (ops.expand_dims(query, -2) + ops.expand_dims(key, -3)))
        return self.read(self.concat_score_weight) * ops.sum(summed, axis=-1)


@public("keras.layers")
class AdditiveAttention(_Attention):
    """Additive attention (Bahdanau et al., 2015).

    Args:
        use_scale: Whether features are weighted by factors that are learned.
        dropout: The share of scores that are dropped in training.
        **kwargs: For `Layer`.
    """

    arguments = ("use_scale", "dropout")

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any):
        super().__init__(dropout, kwargs.pop("seed", None), **kwargs)
        self.use_scale = use_scale

    def build(self, input_shape: Any) -> None:
        """Create the factors."""
        features = input_shape[0][-1]
        self.scale = None
        if self.use_scale:
            self.scale = self.add_weight((features,), "glorot_uniform", name="scale")

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        """``sum(scale * tanh(query + key))``."""
        summed = ops.tanh(ops.expand_dims(query, -2) + ops.expand_dims(key, -3))
        return ops.sum(summed if self.scale is None else summed * self.read(self.scale), axis=-1)


@public("keras.layers")
class MultiHeadAttention(BuiltinLayer):
    """Attention by several heads side by side (Vaswani et al., 2017).

    See https://keras.io/api/layers/attention_layers/multi_head_attention/.

    Args:
        num_heads: The number of heads.
        key_dim: Features of queries and keys of each head.
        value_dim: Features of values of each head; ``key_dim`` by default.
        dropout: The share of scores that are dropped in training.
        use_bias: Whether projections have a bias.
        output_shape: Features of the output; those of the query by default.
        attention_axes: Accepted for sequences only: None, or 1.
        kernel_initializer: How kernels start.
        bias_initializer: How biases start.
        kernel_regularizer: Penalty on kernels.
        bias_regularizer: Penalty on biases.
        activity_regularizer: Penalty on the output.
        kernel_constraint: Applied to kernels after each update.
        bias_constraint: Applied to biases after each update.
        seed: Where the random numbers start.
        **kwargs: For `Layer`.

    Call arguments:
        query: ``(batch, queries, features)``.
        value: ``(batch, keys, features)``.
        key: The same; ``value`` if left out.
        attention_mask: ``(batch, queries, keys)`` or ``(batch, heads, queries, keys)``.
        return_attention_scores: Whether to return the scores as well.
        use_causal_mask: Whether a step sees no later ones.
    """

    arguments = (
        "num_heads",
        "key_dim",
        "value_dim",
        "dropout",
        "use_bias",
        "attention_axes",
        "kernel_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "bias_regularizer",
        "kernel_constraint",
        "bias_constraint",
        "seed",
    )
    unsupported = {"use_gate": False, "sliding_window": None}
    ignored = ("flash_attention",)

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Any = None,
        attention_axes: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        seed: Any = None,
        **kwargs: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.input_spec = None
        self.supports_masking = True
        self.num_heads = positive(num_heads, "num_heads", self)
        self.key_dim = positive(key_dim, "key_dim", self)
        self.value_dim = positive(value_dim, "value_dim", self) if value_dim else self.key_dim
        self.dropout = rate_of(dropout, self, "dropout")
        self.use_bias = use_bias
        shape = (output_shape,) if isinstance(output_shape, int) else output_shape
        self._output_shape = None if shape is None else tuple(shape)
        axes = (attention_axes,) if isinstance(attention_axes, int) else attention_axes
        self.attention_axes = None if axes is None else tuple(axes)
        if self.attention_axes not in (None, (1,)):
            raise ShapeError(
                "MultiHeadAttention: `attention_axes` can only be None or 1, the axis of time. "
                f"Received: {attention_axes}"
            )
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed) if dropout > 0 else None

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        config["output_shape"] = self._output_shape
        return config

    def _projection(self, equation: str, sizes: Sequence[int], axes: str, name: str) -> EinsumDense:
        again = {}
        for kind in ("kernel", "bias"):
            # Each projection draws weights of its own.
            again[f"{kind}_initializer"] = _another(getattr(self, f"{kind}_initializer"))
            again[f"{kind}_regularizer"] = getattr(self, f"{kind}_regularizer")
            again[f"{kind}_constraint"] = getattr(self, f"{kind}_constraint")
        return EinsumDense(
            equation,
            output_shape=(None, *sizes),
            bias_axes=axes if self.use_bias else None,
            name=name,
            dtype=self.dtype_policy,
            **again,
        )

    # As in Keras, `build` names the arguments of `call` whose shapes it takes.
    def build(  # type: ignore[override]
        self, query_shape: Any, value_shape: Any, key_shape: Any = None
    ) -> None:
        """Create the projections."""
        key_shape = key_shape or value_shape
        self.attention_axes = (1,)
        for name, shape in (("query", query_shape), ("value", value_shape), ("key", key_shape)):
            if len(shape) != 3:
                raise ShapeError(
                    f'MultiHeadAttention "{self.name}": {name} needs 3 axes, '
                    f"(batch, time, features). Received shape {shape}"
                )
        heads = self.num_heads
        self._query_dense = self._projection("abc,cde->abde", (heads, self.key_dim), "de", "query")
        self._key_dense = self._projection("abc,cde->abde", (heads, self.key_dim), "de", "key")
        self._value_dense = self._projection(
            "abc,cde->abde", (heads, self.value_dim), "de", "value"
        )
        letters = string.ascii_lowercase[5 : 5 + len(self._output_shape or (1,))]
        self._output_dense = self._projection(
            f"abde,de{letters}->ab{letters}",
            self._output_shape or (query_shape[-1],),
            letters,
            "attention_output",
        )
        self._query_dense.build(query_shape)
        self._key_dense.build(key_shape)
        self._value_dense.build(value_shape)
        self._output_dense.build((*query_shape[:2], heads, self.value_dim))

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: Any = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """The attention; see the class."""
        key = value if key is None else key
        query_mask = getattr(query, "mask", None) if query_mask is None else query_mask
        value_mask = getattr(value, "mask", None) if value_mask is None else value_mask
        kept = None if attention_mask is None else cast(attention_mask, "bool")
        if kept is not None and kept.ndim == 3:
            kept = ops.expand_dims(kept, 1)
        further = [
            None if value_mask is None else value_mask[:, None, None, :],
            None if key_mask is None else key_mask[:, None, None, :],
            None if query_mask is None else query_mask[:, None, :, None],
            _causal(query.dims[1], key.dims[1])[None, None] if use_causal_mask else None,
        ]
        for mask in further:
            if mask is not None:
                mask = cast(mask, "bool")
                kept = mask if kept is None else ops.logical_and(kept, mask)
        q = self._query_dense(query) * (1.0 / math.sqrt(self.key_dim))
        scores = ops.einsum("bqhd,bkhd->bhqk", q, self._key_dense(key))
        if kept is not None:
            scores = _scores_masked(scores, kept)
        weights = dropped = ops.softmax(scores, axis=-1)
        if training and self.seed_generator is not None:
            dropped = random.dropout(weights, self.dropout, seed=self.seed_generator)
        mixed = ops.einsum("bhqk,bkhd->bqhd", dropped, self._value_dense(value))
        output = self._output_dense(mixed)
        return (output, weights) if return_attention_scores else output

    def compute_output_shape(
        self, query_shape: Any, value_shape: Any = None, key_shape: Any = None
    ) -> Any:
        """The output's shape."""
        return (*query_shape[:-1], *(self._output_shape or query_shape[-1:]))


def _another(initializer: Any) -> Any:
    """An initializer with the same arguments, and a seed of its own if it has none."""
    if hasattr(initializer, "get_config"):
        return type(initializer).from_config(initializer.get_config())
    return initializer
