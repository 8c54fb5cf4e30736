"""keras.ops.nn against Keras on JAX: windows, normalizations, attention, CTC."""

import numpy as np
import pytest

from graphc.errors import ShapeError
from graphc.keras import ops
from tests.keras.comparing import check
from tests.keras.computing import assert_same, at_once, gradients, traced

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


def integers(*shape, low=0, high=6):
    return RNG.integers(low, high, shape).astype("int32")


LINE, IMAGE, VOLUME = floats(2, 7, 3), floats(2, 7, 6, 3), floats(2, 5, 4, 6, 2)
FIRST = {"data_format": "channels_first"}
CHANNELS = [np.abs(floats(3)) + 0.5 for _ in range(4)]

CASES = [
    ("adaptive_average_pool", (LINE, 3), {}),
    ("adaptive_average_pool", (IMAGE, 3), {}),
    ("adaptive_average_pool", (IMAGE, (2, 5)), {}),
    ("adaptive_average_pool", (IMAGE, (1, 1)), {}),
    ("adaptive_average_pool", (IMAGE, (9, 4)), {}),
    ("adaptive_average_pool", (IMAGE.transpose(0, 3, 1, 2), (4, 4)), FIRST),
    ("adaptive_average_pool", (VOLUME, (2, 3, 4)), {}),
    ("adaptive_max_pool", (LINE, 3), {}),
    ("adaptive_max_pool", (IMAGE, (2, 5)), {}),
    ("adaptive_max_pool", (IMAGE.transpose(0, 3, 1, 2), (4, 4)), FIRST),
    ("adaptive_max_pool", (VOLUME, (2, 3, 4)), {}),
    ("batch_normalization", (IMAGE, *CHANNELS[:2], -1), {}),
    ("batch_normalization", (IMAGE, *CHANNELS[:2], 3, CHANNELS[2], CHANNELS[3]), {}),
    ("batch_normalization", (floats(2, 3), *CHANNELS[:2], 1, None, CHANNELS[3], 0.1), {}),
    ("layer_normalization", (IMAGE,), {}),
    ("layer_normalization", (IMAGE, CHANNELS[0], CHANNELS[1]), {}),
    ("layer_normalization", (IMAGE, floats(6, 3), floats(6, 3)), {"axis": (2, 3)}),
    ("layer_normalization", (IMAGE, floats(7)), {"axis": 1, "epsilon": 0.1}),
    ("layer_normalization", (IMAGE.astype("float16"), CHANNELS[0]), {}),
    ("rms_normalization", (IMAGE, CHANNELS[0]), {"axis": -1}),
    ("conv_transpose", (LINE, floats(3, 4, 3)), {}),
    ("conv_transpose", (LINE, floats(3, 4, 3)), {"strides": 2, "padding": "same"}),
    ("conv_transpose", (IMAGE, floats(3, 2, 4, 3)), {"strides": (2, 3)}),
    ("conv_transpose", (IMAGE, floats(2, 2, 4, 3)), {"strides": 3, "output_padding": 1}),
    ("conv_transpose", (IMAGE, floats(3, 3, 4, 3)), {"dilation_rate": 2, "padding": "same"}),
    (
        "conv_transpose",
        (IMAGE.transpose(0, 3, 1, 2), floats(3, 3, 4, 3)),
        {"strides": 2, "padding": "same", **FIRST},
    ),
    ("conv_transpose", (VOLUME, floats(2, 2, 2, 3, 2)), {"strides": 2}),
    ("depth_to_space", (floats(2, 3, 2, 8), 2), {}),
    ("depth_to_space", (floats(2, 8, 3, 2), 2), FIRST),
    ("space_to_depth", (floats(2, 6, 4, 3), 2), {}),
    ("space_to_depth", (floats(2, 3, 6, 3), 3), FIRST),
    ("unfold", (floats(2, 3, 6, 5), 2), {}),
    ("unfold", (floats(2, 3, 6, 5), (3, 2)), {"padding": 1, "stride": (2, 1), "dilation": (1, 2)}),
    ("unfold", (floats(2, 3, 6, 5), 3), {"stride": 3, "padding": (0, 2)}),
    ("fold", (floats(2, 12, 20), (6, 5), 2), {}),
    ("fold", (floats(2, 12, 9), (5, 5), 2), {"stride": 2, "padding": (1, 1), "dilation": 1}),
    ("fold", (floats(2, 18, 4), (6, 6), 3), {"stride": 3}),
    ("psnr", (np.abs(IMAGE), np.abs(IMAGE) + 0.1, 2.0), {}),
    ("dot_product_attention", (floats(2, 4, 3, 5), floats(2, 6, 3, 5), floats(2, 6, 3, 5)), {}),
    (
        "dot_product_attention",
        (floats(2, 4, 3, 5), floats(2, 4, 3, 5), floats(2, 4, 3, 5)),
        {"is_causal": True, "scale": 0.3},
    ),
    (
        "dot_product_attention",
        (floats(2, 4, 6, 5), floats(2, 3, 2, 5), floats(2, 3, 2, 5)),
        {"bias": floats(2, 6, 4, 3), "mask": RNG.random((2, 1, 4, 3)) > 0.4},
    ),
    (
        "dot_product_attention",
        (floats(1, 2, 1, 3), floats(1, 2, 1, 3), floats(1, 2, 1, 3)),
        {"mask": np.zeros((1, 1, 2, 2), bool)},
    ),
]


@pytest.mark.parametrize("name, args, kwargs", CASES)
def test_cases(real_keras, name, args, kwargs):
    arrays = [x for x in args if isinstance(x, np.ndarray)]
    alone = len(arrays) == 1 or (name == "dot_product_attention" and "mask" not in kwargs)
    smooth = args[0].dtype == np.float32
    check(real_keras, name, args, kwargs, batch=alone, gradient=smooth, atol=4e-6)


def test_batch_normalization_of_an_open_batch(real_keras):
    theirs = np.asarray(real_keras.ops.batch_normalization(IMAGE, *CHANNELS[:2], -1))
    mine = traced(lambda x: ops.batch_normalization(x, *CHANNELS[:2], -1), IMAGE, batch=True)
    assert_same(mine, [theirs])


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 12])
def test_adaptive_windows_are_what_they_should_be(count):
    """Also as many as there are elements, of which Keras makes NaN."""
    bounds = [(i * 7 // count, -(-(i + 1) * 7 // count)) for i in range(count)]
    means = np.stack([LINE[:, a:b].mean(1) for a, b in bounds], 1)
    tops = np.stack([LINE[:, a:b].max(1) for a, b in bounds], 1)
    assert_same(at_once(lambda x: ops.adaptive_average_pool(x, count), LINE), [means])
    assert_same(at_once(lambda x: ops.adaptive_max_pool(x, count), LINE), [tops])
    edges = np.where(LINE > 1, np.inf, LINE)
    (mine,) = at_once(lambda x: ops.adaptive_average_pool(x, count), edges)
    assert not np.isnan(mine).any()


def test_values_of_another_width():
    q, k, v = floats(2, 4, 3, 5), floats(2, 6, 3, 5), floats(2, 6, 3, 7)
    logits = np.einsum("bthd,bshd->bhts", q, k) / 5**0.5
    weights = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = np.einsum("bhts,bshd->bthd", weights, v)
    assert_same(traced(ops.dot_product_attention, q, k, v, backend="cpu"), [expected])


def test_a_cap_on_the_logits():
    q, k, v = floats(1, 2, 1, 3), floats(1, 4, 1, 3), floats(1, 4, 1, 3)
    logits = (q[0, :, 0] @ k[0, :, 0].T) / 3**0.5
    capped = logits / (1 + np.abs(logits) / 0.5)
    weights = np.exp(capped) / np.exp(capped).sum(-1, keepdims=True)
    (mine,) = at_once(lambda *xs: ops.dot_product_attention(*xs, attn_logits_soft_cap=0.5), q, k, v)
    np.testing.assert_allclose(mine[0, :, 0], weights @ v[0, :, 0], rtol=1e-5)


def test_everything_of_keras_is_there(real_keras):
    theirs = [name for name in dir(real_keras.ops.nn) if not name.startswith("_")]
    assert [name for name in theirs if not hasattr(ops.nn, name)] in ([], ["polar"])
    assert not [name for name in ops.nn.__all__ if not hasattr(ops, name)]


# -------------------------------------------------------------------------------------------- CTC

STEPS, CLASSES = 7, 5
LABELS = np.array([[1, 2, 2, 3], [4, 0, 0, 0], [1, 1, 1, 0], [2, 3, 4, 1]], "int32")
LOGITS = 2 * floats(4, STEPS, CLASSES)
LABEL_LENGTHS = np.array([4, 1, 3, 0], "int32")
STEP_LENGTHS = np.array([7, 3, 6, 7], "int32")


def test_ctc_loss(real_keras):
    args = (LABELS, LOGITS, LABEL_LENGTHS, STEP_LENGTHS)
    check(real_keras, "ctc_loss", args, {}, gradient=True)
    open_batch = traced(ops.ctc_loss, *args, batch=True, backend="cpu")
    assert_same(open_batch, [np.asarray(real_keras.ops.ctc_loss(*args))])


def test_ctc_loss_is_the_sum_over_all_paths():
    """By enumeration: every path of classes that makes the labels."""
    logits = floats(1, 4, 3)
    log_p = logits[0] - np.log(np.exp(logits[0]).sum(-1, keepdims=True))
    for blank, labels in ((0, [1, 2]), (0, [1, 1]), (2, [0, 1, 0]), (-1, [0])):
        total = 0.0
        for path in np.ndindex(*(3,) * 4):
            merged = [c for i, c in enumerate(path) if i == 0 or c != path[i - 1]]
            if [c for c in merged if c != blank % 3] == labels:
                total += np.exp(sum(log_p[t, c] for t, c in enumerate(path)))
        given = (np.array([labels], "int32"), logits, np.array([len(labels)]), np.array([4]))
        (mine,) = at_once(lambda *xs, b=blank: ops.ctc_loss(*xs, mask_index=b), *given)
        np.testing.assert_allclose(mine, [-np.log(total)], rtol=1e-5)


def test_too_few_steps_for_the_labels():
    given = (np.array([[1, 1]], "int32"), floats(1, 2, 3), np.array([2]), np.array([2]))
    (loss,) = at_once(ops.ctc_loss, *given)
    assert 9e4 < loss[0] < 1.1e5
    (slope,) = gradients(lambda x: ops.ctc_loss(given[0], x, *given[2:]), given[1])
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("blank", [0, 2, None])
def test_greedy_decoding(real_keras, merge, blank):
    logits = np.round(LOGITS * 2)  # with equals
    args = (logits, STEP_LENGTHS)
    kwargs = {"merge_repeated": merge, "mask_index": blank}
    check(real_keras, "ctc_decode", args, kwargs, batch=True)


@pytest.mark.parametrize("width, top, blank", [(4, 1, 0), (10, 3, 0), (25, 4, 3)])
def test_beam_search(real_keras, width, top, blank):
    kwargs = {
        "strategy": "beam_search",
        "beam_width": width,
        "top_paths": top,
        "mask_index": blank,
    }
    check(real_keras, "ctc_decode", (LOGITS, STEP_LENGTHS), kwargs, batch=True)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: ops.ctc_decode(LOGITS, STEP_LENGTHS, "best"), ValueError, "Invalid strategy best"),
        (
            lambda: ops.ctc_decode(LOGITS, STEP_LENGTHS, "beam_search", 2, 3),
            ValueError,
            "`top_paths` should be from 1",
        ),
        (lambda: ops.ctc_loss(LABELS[0], LOGITS, 1, 1), ShapeError, r"should be \(batch, labels\)"),
        (
            lambda: ops.dot_product_attention(LINE, LINE, LINE),
            ShapeError,
            "only supports 4D inputs",
        ),
        (
            lambda: ops.dot_product_attention(*[np.zeros((1, 2, n, 4)) for n in (3, 2, 2)]),
            ShapeError,
            "3 heads of `query` cannot share 2",
        ),
        (lambda: ops.adaptive_max_pool(IMAGE, (1, 2, 3)), ShapeError, "or 2 of them"),
        (lambda: ops.conv_transpose(IMAGE, VOLUME[0]), ShapeError, "whose last one is 3"),
        (
            lambda: ops.conv_transpose(IMAGE, floats(2, 2, 4, 3), 2, output_padding=2),
            ValueError,
            "should be less than `strides`",
        ),
        (lambda: ops.batch_normalization(IMAGE, LINE, LINE, 1), ShapeError, "`mean` should have"),
        (lambda: ops.layer_normalization(IMAGE, floats(7)), ShapeError, "`gamma` should have the"),
        (lambda: ops.fold(LINE, (4, 4), 2), ShapeError, "has 9 windows"),
        (lambda: ops.unfold(IMAGE, 9), ShapeError, "larger than an axis"),
        (lambda: ops.unfold(LINE, 2), ShapeError, "rows, columns"),
        (lambda: ops.depth_to_space(IMAGE, 2), ShapeError, "3, is no multiple of 4"),
        (lambda: ops.space_to_depth(IMAGE, 4), ShapeError, "axis 1, 7, is no multiple of 4"),
        (lambda: ops.psnr(LINE, IMAGE, 1.0), ShapeError, "must match for PSNR"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
