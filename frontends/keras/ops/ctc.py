"""Connectionist temporal classification: https://keras.io/api/ops/nn/.

Graves et al. 2006, https://www.cs.toronto.edu/~graves/icml_2006.pdf: labels without places in a
longer sequence of outputs. A path names a class for each step; blanks and repetitions taken out, it
gives the labels.
"""

from __future__ import annotations

from typing import Any

from graphc.eager import Tensor, as_tensor, cast
from graphc.errors import ShapeError
from graphc.keras.ops.activations import log_softmax
from graphc.keras.ops.arguments import counted, filled_tensor, float_tensor, reshaped
from graphc.keras.ops.control import scan, vectorized_map
from graphc.keras.ops.creation import one_hot
from graphc.keras.ops.elementwise import (
    equal,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    not_equal,
    where,
)
from graphc.keras.ops.indexing import take, take_along_axis
from graphc.keras.ops.movement import (
    broadcast_to,
    concatenate,
    expand_dims,
    moveaxis,
    pad,
    stack,
)
from graphc.keras.ops.products import matmul
from graphc.keras.ops.recording import operation
from graphc.keras.ops.reduction import all as reduce_all
from graphc.keras.ops.reduction import argmax
from graphc.keras.ops.reduction import max as reduce_max
from graphc.keras.ops.reduction import sum as reduce_sum
from graphc.keras.ops.sorting import argsort, top_k

__all__ = ["ctc_decode", "ctc_loss"]

# The logarithm of no probability, finite so that its differences are numbers; Keras's own choice.
_NEVER = -1e5
# In the search, where scores of long sequences are compared, but not differentiated.
_NO_PATH = -1e30


def _at_least_single(x: Any) -> Tensor:
    tensor = float_tensor(x)
    return cast(tensor, "float32") if tensor.dtype in ("float16", "bfloat16") else tensor


def _blank(mask_index: int | None, classes: Any) -> int:
    if not isinstance(classes, int):
        raise ShapeError(f"CTC: the number of classes has to be known, not {classes}")
    return classes - 1 if mask_index is None else int(mask_index) % classes


@operation
def ctc_loss(
    target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0
) -> Tensor:
    """Minus the logarithm of the probability of the labels, over all their places.

    Args:
        target: Labels, ``(batch, labels)``; what lies beyond the length does not count.
        output: Logits, ``(batch, steps, classes)``.
        target_length: How many labels each example has, ``(batch,)``.
        output_length: How many steps, ``(batch,)``.
        mask_index: The class that is the blank.

    Returns:
        The loss of each example, ``(batch,)``; about 1e5 where there are too few steps.

    Raises:
        ShapeError: The ranks do not fit.
    """
    labels, logits = as_tensor(target, "int32"), _at_least_single(output)
    if labels.ndim != 2 or logits.ndim != 3:
        raise ShapeError(
            "ctc_loss: `target` should be (batch, labels) and `output` (batch, steps, classes). "
            f"Received: target.shape={labels.shape}, output.shape={logits.shape}"
        )
    label_count, step_count = as_tensor(target_length, "int32"), as_tensor(output_length, "int32")
    blank = _blank(mask_index, logits.dims[2])
    batch, count = labels.dims
    given = counted(count, "int32") < expand_dims(label_count, 1)
    labels = where(given, labels, blank)
    # A blank before, between and after the labels: states 0, 2, 4, ... are blanks.
    blanks = filled_tensor((batch, count), blank, "int32")
    states = reshaped(stack([blanks, labels], 2), (batch, count * 2))
    states = pad(states, ((0, 0), (0, 1)), constant_values=blank)
    size = count * 2 + 1
    # A blank between two labels may be left out if they differ.
    before = pad(states, ((0, 0), (2, 0)), constant_values=blank)[:, :size]
    skips = logical_and(not_equal(states, before), not_equal(states, blank))
    places = broadcast_to(expand_dims(states, 1), (batch, logits.dims[1], size))
    scores = take_along_axis(log_softmax(logits, -1), places, 2)
    start = pad(
        filled_tensor((batch, 1), 0.0, logits.dtype),
        ((0, 0), (0, count * 2)),
        constant_values=_NEVER,
    )

    def step(alpha: Tensor, x: Any) -> tuple[Tensor, None]:
        score, active = x
        one = pad(alpha, ((0, 0), (1, 0)), constant_values=_NEVER)[:, :size]
        two = pad(alpha, ((0, 0), (2, 0)), constant_values=_NEVER)[:, :size]
        after = logaddexp(logaddexp(alpha, one), where(skips, two, _NEVER)) + score
        return where(expand_dims(active, 1), after, alpha), None

    steps = expand_dims(counted(logits.dims[1], "int32"), 1) < step_count
    alpha, _ = scan(step, start, (moveaxis(scores, 1, 0), steps))
    last = expand_dims(label_count * 2, 1)
    at_end = take_along_axis(alpha, last, 1)
    at_label = take_along_axis(alpha, maximum(last - 1, 0), 1)
    both = where(last > 0, logaddexp(at_end, at_label), at_end)
    return -both[:, 0]


@operation
def ctc_decode(
    inputs: Any,
    sequence_lengths: Any,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int | None = 0,
) -> tuple[Tensor, Tensor]:
    """The likely labels of sequences of outputs.

    Args:
        inputs: Logits, ``(batch, steps, classes)``.
        sequence_lengths: How many steps each example has, ``(batch,)``.
        strategy: ``"greedy"`` takes the best class at each step; ``"beam_search"`` follows the best
            beginnings, each with the sum over all of its paths.
        beam_width: How many beginnings are followed.
        top_paths: How many results the search gives.
        merge_repeated: Whether the greedy way takes a class that is repeated once.
        mask_index: The class that is the blank; None for the last one.

    Returns:
        The labels, ``(top_paths, batch, steps)``, -1 behind their end; and scores,
        ``(batch, top_paths)``: minus the sum of the best logits of the greedy way, logarithms of
        probabilities from the search.

    Raises:
        ValueError: Another strategy.
    """
    logits, lengths = _at_least_single(inputs), as_tensor(sequence_lengths, "int32")
    if logits.ndim != 3:
        raise ShapeError(
            f"ctc_decode: `inputs` should be (batch, steps, classes). Received: {logits.shape}"
        )
    blank = _blank(mask_index, logits.dims[2])
    if strategy == "greedy":
        return _greedy(logits, lengths, merge_repeated, blank)
    if strategy != "beam_search":
        raise ValueError(
            f"Invalid strategy {strategy}. Supported values are 'greedy' and 'beam_search'."
        )
    if not 1 <= top_paths <= beam_width:
        raise ValueError(
            f"ctc_decode: `top_paths` should be from 1 to the `beam_width`, {beam_width}. "
            f"Received: {top_paths}"
        )
    paths, scores = vectorized_map(
        lambda one: _search(log_softmax(one[0], -1), one[1], beam_width, top_paths, blank),
        (logits, lengths),
    )
    return moveaxis(paths, 1, 0), scores


def _greedy(
    logits: Tensor, lengths: Tensor, merge_repeated: bool, blank: int
) -> tuple[Tensor, Tensor]:
    steps = logits.dims[1]
    beyond = counted(steps, "int32") >= expand_dims(lengths, 1)
    best = where(beyond, blank, argmax(logits, -1))
    total = -reduce_sum(where(beyond, 0.0, reduce_max(logits, -1)), 1, keepdims=True)
    left_out = equal(best, blank)
    if merge_repeated:
        before = pad(best, ((0, 0), (1, 0)), constant_values=-1)[:, :-1]
        left_out = logical_or(left_out, equal(best, before))
    labels = where(left_out, -1, best)
    # Sorting is stable, so what stays keeps its order.
    order = argsort(cast(left_out, "int32"), -1)
    return expand_dims(take_along_axis(labels, order, 1), 0), total


def _search(
    scores: Tensor, length: Tensor, width: int, top_paths: int, blank: int
) -> tuple[Tensor, Tensor]:
    """Prefix beam search for one example: ``(top_paths, steps)`` labels and their scores."""
    steps, classes = scores.dims
    numbers = counted(steps, "int32")

    def step(carry: Any, x: Any) -> tuple[Any, None]:
        paths, sizes, after_blank, after_label = carry
        score, active = x
        total = logaddexp(after_blank, after_label)
        ends = expand_dims(sizes - 1, 1)
        at_end = equal(numbers, ends)
        tails = reduce_max(where(at_end, paths, -1), 1)
        # Going on with the same labels: by a blank, or by the last label once more.
        by_blank = total + score[blank]
        by_repeat = where(tails >= 0, after_label + take(score, maximum(tails, 0)), _NO_PATH)
        # Or with one more; the last label again needs a blank between.
        repeated = equal(counted(classes, "int32"), expand_dims(tails, 1))
        more = where(repeated, expand_dims(after_blank, 1), expand_dims(total, 1)) + score
        more = where(equal(counted(classes, "int32"), blank), _NO_PATH, more)
        # What makes of one beginning another one that is there already is added to that.
        parents = where(at_end, -1, paths)
        grows = reduce_all(equal(expand_dims(paths, 1), expand_dims(parents, 0)), -1)
        grows = logical_and(grows, expand_dims(sizes > 0, 0))
        joins = where(grows, take(more, maximum(tails, 0), 1), _NO_PATH)
        by_label = logaddexp(by_repeat, reduce_max(joins, 0))
        taken = matmul(cast(grows, "float32"), one_hot(tails, classes, dtype="float32"))
        more = where(taken > 0, _NO_PATH, more)
        flat = reshaped(more, (width * classes,))
        candidates = concatenate([logaddexp(by_blank, by_label), flat], 0)
        _, chosen = top_k(candidates, width)
        stays = chosen < width
        number = maximum(chosen - width, 0)
        origin = where(stays, chosen, number // classes)
        old_paths, old_sizes = take(paths, origin, 0), take(sizes, origin)
        grown = logical_and(equal(numbers, expand_dims(old_sizes, 1)), expand_dims(~stays, 1))
        label = expand_dims(number % classes, 1)
        new = (
            where(grown, label, old_paths),
            old_sizes + cast(logical_not(stays), "int32"),
            where(stays, take(by_blank, origin), _NO_PATH),
            where(stays, take(by_label, origin), take(flat, number)),
        )
        pairs = zip(new, carry, strict=True)
        return tuple(where(active, value, before) for value, before in pairs), None

    kind = scores.dtype
    first = pad(filled_tensor((1,), 0.0, kind), ((0, width - 1),), constant_values=_NO_PATH)
    start = (
        filled_tensor((width, steps), -1, "int32"),
        filled_tensor((width,), 0, "int32"),
        first,
        filled_tensor((width,), _NO_PATH, kind),
    )
    (paths, _, after_blank, after_label), _ = scan(step, start, (scores, numbers < length))
    best, order = top_k(logaddexp(after_blank, after_label), top_paths)
    return take(paths, order, 0), best
