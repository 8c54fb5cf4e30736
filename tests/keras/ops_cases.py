"""The table of `tests/keras/test_ops_table.py`: for each name of `keras.ops.numpy` some calls."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

RNG = np.random.default_rng(7)
NAN, INF = math.nan, math.inf


def floats(*shape: int, low: float = -2.5, high: float = 2.5) -> np.ndarray:
    """Different numbers, none near another or a multiple of 1/4: functions are smooth there.

    Args:
        *shape: The shape.
        low: Where they begin, a multiple of 1/4.
        high: Where they end, a multiple of 1/4.
    """
    count = math.prod(shape)
    places = (RNG.permutation(count) + RNG.uniform(0.3, 0.7)) / max(count, 1) * (high - low) * 4
    numbers = low + np.floor(places) / 4 + 0.05 + 0.15 * (places % 1)
    return numbers.reshape(shape).astype("float32")


def integers(*shape: int, low: int = -6, high: int = 7) -> np.ndarray:
    return np.asarray(RNG.integers(low, high, shape)).astype("int32")


@dataclass(frozen=True)
class Case:
    """One call. Arrays in the arguments are what is traced; those of float32 take every dtype.

    Args:
        args: Positional arguments.
        kwargs: Keyword arguments.
        batch: Whether the first axis of all arrays may have a size that is not known.
        traced: Whether a program can hold it.
        same: Whether all dtypes are tried: else only that of the arguments.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    batch: bool = False
    traced: bool = True
    same: bool = False


def call(*args: Any, **kwargs: Any) -> Case:
    return Case(args, kwargs)


def batch(*args: Any, **kwargs: Any) -> Case:
    """A call that leaves the size of the first axis open."""
    return Case(args, kwargs, batch=True)


def only(*args: Any, **kwargs: Any) -> Case:
    """A call with the dtypes that its arguments have, and no others."""
    return Case(args, kwargs, same=True)


def eager(*args: Any, **kwargs: Any) -> Case:
    """A call whose result's size depends on the data, or that takes numbers only."""
    return Case(args, kwargs, traced=False, same=True)


X, Y = floats(3, 5), floats(3, 5)
POSITIVE = floats(3, 5, low=0.5, high=3.0)
UNIT = floats(3, 5, low=-1.0, high=1.0)
ROW, CUBE, VECTOR = floats(5), floats(2, 3, 5), floats(7)
EMPTY, ONE, SCALAR = floats(0, 3), floats(1, 1), floats()
SQUARE = floats(4, 4)
INTS, OTHERS = integers(3, 5), integers(3, 5, low=1)
COUNTS = integers(3, 5, low=0)
BOOLS = X > 0
EDGES = np.array([0.0, -0.0, 1, -1, INF, -INF, NAN, 1e-30, 3e38, -88, 88], "float32")
HOLES = np.where(floats(3, 5) > 1, np.float32(NAN), X)
ALL_NAN = np.array([[NAN, NAN], [1, NAN]], "float32")
TIES = integers(4, 9, low=0, high=4).astype("float32")
LONG = floats(2, 130)

TABLE: dict[str, list[Case]] = {
    **dict.fromkeys(
        """
        abs absolute arctan arcsinh cbrt ceil cos cosh deg2rad exp exp2 expm1 fabs floor isfinite
        isinf isnan isneginf isposinf log log10 log1p log2 logical_not negative nan_to_num rad2deg
        reciprocal round sign signbit sin sinc sinh sqrt square tanh trunc erf erfc
        """.split(),
        [batch(X), call(POSITIVE), call(EMPTY), call(ONE), call(SCALAR), only(EDGES)],
    ),
    **dict.fromkeys(
        ("arcsin", "arccos", "arctanh", "tan"), [batch(UNIT), call(EMPTY), only(EDGES)]
    ),
    "arccosh": [batch(POSITIVE + 1), call(EMPTY), only(EDGES)],
    "erfinv": [batch(UNIT), call(EMPTY), only(np.array([-1, 1, 0, 0.999, -2], "float32"))],
    "i0": [batch(X), call(30 * UNIT), call(EMPTY)],
    **{
        name: [batch(X, Y), call(X, ROW), call(EMPTY, EMPTY), call(X, 2), only(X, 2.5), only(2, X)]
        for name in (
            "add subtract multiply divide true_divide maximum minimum fmax fmin equal not_equal "
            "less less_equal greater greater_equal logical_and logical_or logical_xor arctan2 "
            "logaddexp logaddexp2 hypot heaviside nextafter isclose"
        ).split()
    },
    **{
        name: [only(EDGES[:, None], EDGES)]
        for name in ("fmax_edges", "fmin_edges", "maximum_edges", "heaviside_edges")
    },
    **{
        name: [batch(X, POSITIVE), only(INTS, OTHERS), call(X, 2), only(X, -1.5), call(EMPTY, 1)]
        for name in ("floor_divide", "mod", "fmod", "divide_no_nan")
    },
    "power": [batch(POSITIVE, POSITIVE + 1), only(POSITIVE, Y), only(X, 2),
              only(INTS, OTHERS), only(INTS, 3), only(2.0, X), call(EMPTY, 2)],
    **{
        name: [batch(INTS, OTHERS), call(COUNTS.astype("uint8"), np.uint8(5)), call(INTS, 3),
               only(BOOLS, ~BOOLS), only(INTS, INTS.astype("int8"))]
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor")
    },
    **{
        name: [batch(INTS), only(COUNTS.astype("uint8")), only(BOOLS)]
        for name in ("bitwise_invert", "bitwise_not")
    },
    **{
        name: [batch(INTS, COUNTS), call(INTS, 3), only(COUNTS.astype("uint8"), np.uint8(5)),
               only(INTS, 40), only(INTS.astype("int8"), COUNTS.astype("int8"))]
        for name in ("bitwise_left_shift", "left_shift", "bitwise_right_shift", "right_shift")
    },
    **{
        name: [batch(INTS, OTHERS), call(COUNTS, 4), only(integers(0, 3), 2),
               only(COUNTS.astype("uint8"), np.uint8(12))]
        for name in ("gcd", "lcm")
    },
    "ldexp": [batch(X, INTS), call(X, 3), call(X, np.array([-200, 200, 0, 5, 1], "int32"))],
    "clip": [batch(X, -0.5, 0.5), only(INTS, -2, 2), call(X, 0, 1)],
    "where": [batch(BOOLS, X, Y), call(BOOLS, X, 0), only(BOOLS, INTS, 1.5), eager(BOOLS)],
    "select": [batch([BOOLS, X > -1], [X, Y], 7), call([BOOLS], [X]), only([BOOLS], [INTS], 0.5)],
    "allclose": [batch(X, X), only(X, X + 1), only(HOLES, HOLES, equal_nan=True)],
    # ------------------------------------------------------------------------------ reductions
    **{
        name: [batch(CUBE), batch(CUBE, axis=1), call(X, axis=(0, -1), keepdims=True),
               call(POSITIVE, axis=0)]
        for name in ("sum mean std var all any max min amax amin prod nansum nanmean nanstd nanvar "
                     "nanmax nanmin nanprod ptp median nanmedian").split()
        if name not in ("amax", "amin")
    },
    **{name: [batch(CUBE), batch(CUBE, axis=1)] for name in ("amax", "amin")},
    **{
        f"{name}_holes": [only(HOLES), only(HOLES, axis=1), only(ALL_NAN, axis=1, keepdims=True)]
        for name in ("nansum nanmean nanstd nanvar nanmax nanmin nanprod nanmedian nanargmax "
                     "nanargmin median max min").split()
    },
    **{
        name: [batch(X, axis=1), call(X), call(X, axis=0, keepdims=True), call(TIES, axis=1)]
        for name in ("argmax", "argmin", "nanargmax", "nanargmin")
    },
    **{
        name: [batch(CUBE, axis=1), call(X), call(UNIT, axis=-1), only(X, axis=0, dtype="float16"),
               call(EMPTY, axis=0)]
        for name in ("cumsum", "cumprod", "nancumsum", "nancumprod")
    },
    "nancumsum_holes": [only(HOLES, axis=0)],
    "count_nonzero": [batch(COUNTS.astype("float32"), axis=1), call(X)],
    "average": [batch(X, axis=1), call(X, weights=POSITIVE), only(X, axis=1, weights=ROW)],
    **{
        name: [batch(X, np.float32(0.3 * scale), axis=1),
               only(X, np.array([0.1, 0.25, 0.9], "float32") * np.float32(scale)),
               only(X, [0.0, 1.0 * scale]),
               only(CUBE, 0.6 * scale, axis=(0, 2), keepdims=True),
               *[only(LONG, 0.37 * scale, axis=1, method=method)
                 for method in ("lower", "higher", "midpoint", "nearest")],
               only(HOLES, 0.5 * scale, axis=1)]
        for name, scale in (("quantile", 1), ("nanquantile", 1), ("percentile", 100),
                            ("nanpercentile", 100))
    },
    "corrcoef": [call(X), only(VECTOR)],
    **{
        name: [only(VECTOR, ROW[:3], mode=mode) for mode in ("valid", "same", "full")]
        + [only(ROW[:4], VECTOR, mode=mode) for mode in ("valid", "same", "full")]
        for name in ("correlate",)
    },
    "histogram": [only(VECTOR), only(X, bins=4), only(X, bins=3, range=(-1, 1)),
                  only(np.ones(4, "float32"), bins=5)],
    "bincount": [eager(integers(9, low=0)), eager(integers(9, low=0), minlength=12),
                 eager(integers(9, low=0), weights=floats(9))],
    "digitize": [batch(X, np.array([-1, 0, 1.5], "float32")),
                 only(INTS, np.array([-2, 3], "int32")),
                 only(X, np.array([1.5, 0, -1], "float32"))],
    "searchsorted": [only(np.sort(LONG[0]), X), only(np.sort(TIES[0]), TIES, side="right"),
                     only(np.array([1, 2, 2, 9], "int32"), INTS)],
    # -------------------------------------------------------------------------- orders and sets
    "sort": [batch(X), call(TIES, axis=0), call(LONG), call(X, axis=None), only(EDGES),
             call(EMPTY)],
    "argsort": [batch(X), call(TIES, axis=0), call(LONG), call(X, axis=None), only(HOLES)],
    "argpartition": [eager(np.array([1, 3, 5, 7], "float32"), 1)],
    "top_k": [batch(X, 2), call(TIES, 3), only(HOLES, 5), call(LONG, 7)],
    "isin": [batch(INTS, np.array([1, 3, -2], "int32")), call(TIES, TIES[0, :3]),
             only(INTS, INTS[0], invert=True), only(INTS, np.zeros(0, "int32"))],
    "unique": [eager(TIES), eager(INTS, return_index=True, return_inverse=True, return_counts=True),
               eager(TIES.T, axis=0, return_counts=True, return_inverse=True),
               only(TIES, size=6, fill_value=-1, return_counts=True, return_index=True),
               only(TIES, size=2), only(HOLES, size=20, return_inverse=True),
               only(np.round(TIES[:, :2]), size=5, axis=0, return_inverse=True)],
    "nonzero": [eager(TIES), eager(BOOLS), eager(np.zeros((2, 0), "float32"))],
    "unravel_index": [batch(integers(7, low=0, high=12), (3, 4)), only(np.int32(5), (2, 3)),
                      only(np.array([-1, -12], "int32"), (3, 4))],
    # ----------------------------------------------------------------------------- arrangements
    "append": [call(X, Y), batch(X, Y, axis=1), only(X, INTS), call(X, ROW)],
    "array_split": [call(VECTOR, 3), batch(X, 2, axis=1), call(X, [1, 4], axis=1)],
    "split": [batch(CUBE, 5, axis=2), call(CUBE, [1], axis=1), call(X, 3)],
    "hsplit": [batch(X, 5), call(VECTOR, [2, 3]), call(CUBE, 3)],
    "vsplit": [call(X, 3), call(CUBE, 2)],
    "dsplit": [batch(CUBE, 5), call(CUBE, [2])],
    "dstack": [batch([X, Y]), call([ROW, ROW]), call([CUBE, CUBE])],
    "hstack": [batch([X, Y]), call([ROW, VECTOR])],
    "vstack": [call([X, Y]), call([ROW, ROW])],
    "concatenate": [batch([X, Y], axis=1), call([X, Y]), only([X, INTS], axis=0),
                    call([EMPTY, EMPTY])],
    "stack": [batch([X, Y], axis=1), call([ROW, ROW]), only([X, INTS], axis=-1)],
    "expand_dims": [batch(X, 1), call(X, (0, 2)), call(SCALAR, 0)],
    "squeeze": [call(ONE), call(ONE, axis=-1)],
    "reshape": [batch(CUBE, (-1, 15)), call(CUBE, (5, 6)), call(EMPTY, (-1,))],
    "ravel": [batch(CUBE), call(EMPTY)],
    "transpose": [batch(CUBE), call(CUBE, axes=(1, 2, 0))],
    "swapaxes": [batch(CUBE, 0, -1)],
    "moveaxis": [batch(CUBE, 0, -1), call(CUBE, (0, 1), (-1, 0))],
    "broadcast_to": [call(ROW, (2, 5)), call(ONE, (3, 0, 2))],
    "flip": [batch(CUBE, axis=(0, 2)), call(X)],
    "fliplr": [batch(CUBE)],
    "flipud": [batch(CUBE)],
    "rot90": [batch(CUBE), call(X, k=2), call(X, k=-1), call(CUBE, k=3, axes=(1, 2))],
    "roll": [batch(X, 1), call(X, -2, axis=1), call(X, (1, 2), axis=(0, 1))],
    "repeat": [batch(X, 2, axis=1), call(X, 3), call(X, [1, 0, 2], axis=0)],
    "tile": [batch(X, 2), call(X, (2, 1, 2))],
    "pad": [batch(X, 1), only(X, ((1, 0), (0, 2)), constant_values=3),
            call(X, ((1, 2), (2, 1)), mode="reflect"), call(X, 2, mode="symmetric")],
    "diag": [batch(ROW), call(ROW, k=1), call(X), call(X, k=-1)],
    "diagflat": [batch(ROW), call(X, k=1), call(ROW, k=-2)],
    "diagonal": [call(X), batch(CUBE, offset=1, axis1=1, axis2=2), call(X, offset=-1)],
    "trace": [call(X), batch(CUBE, axis1=1, axis2=2), call(SQUARE, offset=1)],
    "tril": [batch(X), call(CUBE, k=1), call(SQUARE, k=-1)],
    "triu": [batch(X), call(CUBE, k=-1), call(SQUARE, k=2)],
    "rearrange": [batch(CUBE, "b h c -> h (b c)"), call(CUBE, "b h c -> (c h) b"),
                  call(floats(2, 6, 4), "b (h p) c -> b h (p c)", p=2)],
    "meshgrid": [call(ROW, VECTOR), call(ROW, VECTOR, ROW, indexing="ij")],
    "take": [call(X, np.array([[0, -1], [2, 1]], "int32"), axis=1), call(X, np.int32(5))],
    "take_along_axis": [batch(X, integers(3, 2, low=-5, high=5), axis=1),
                        call(X, integers(1, 5, low=0, high=3), axis=0)],
    "get_item": [only(X, (slice(None), 1)), only(X, (0,)),
                 only(X, (slice(1, None), Ellipsis, None))],
    # ------------------------------------------------------------------------- series, products
    "diff": [batch(X), call(X, axis=0), call(X, n=3), call(ONE), call(EMPTY, axis=0)],
    "trapezoid": [batch(X), call(X, dx=0.5, axis=0), call(X, ROW), call(X, Y)],
    "vander": [batch(ROW, N=4), call(ROW, increasing=True), call(ROW, N=1), call(ROW, N=0)],
    "kron": [call(X, ONE), call(floats(2, 3), floats(3, 2)), call(ROW, X), call(CUBE, ROW)],
    "cross": [batch(floats(4, 3), floats(4, 3)), call(floats(4, 2), floats(4, 2)),
              call(floats(4, 3), floats(4, 2)), call(floats(3, 4), floats(3, 4), axis=0),
              call(floats(3, 4), floats(4, 3), axisa=0, axisc=0)],
    "cdist": [batch(CUBE, floats(2, 2, 5)), call(X, Y[:2])],
    "matmul": [call(CUBE, Y.T), call(X, Y.T), call(ROW, Y.T)],
    "dot": [call(CUBE, Y.T), call(ROW, ROW), call(X, 2)],
    "inner": [batch(X, Y), call(ROW, ROW)],
    "outer": [call(ROW, X)],
    "vdot": [batch(X, Y)],
    "tensordot": [call(CUBE, CUBE, axes=((1, 2), (1, 2))), call(CUBE, Y.T, axes=1)],
    "einsum": [only("bij,jk->bik", CUBE, Y.T), only("ij->ji", X), only("bij->bj", CUBE)],
    # --------------------------------------------------------------------------------- creation
    "array": [call(X), eager([1, 2]), eager(1.5), only(X, "int32")],
    "copy": [batch(X)],
    "empty_like": [],
    "zeros_like": [batch(X), only(X, "int8")],
    "ones_like": [batch(X), only(X, dtype="int8")],
    "full_like": [batch(X, 2), only(X, 2.5)],
    "full": [eager((2, 3), 7), eager((2, 3), 7.5, dtype="float16"), eager((2, 0), True, "bool")],
    "zeros": [eager((2, 3)), eager((0,), "int32")],
    "ones": [eager((2, 3)), eager(4, "bool")],
    "empty": [],
    "eye": [eager(3), eager(3, 4, k=1), eager(2, dtype="int32")],
    "identity": [eager(3), eager(2, "float16")],
    "tri": [eager(3), eager(3, 4, k=-1), eager(2, 3, 1, "int32")],
    "arange": [eager(5), eager(1, 7, 2), eager(0.5, 3.0, 0.5), eager(3, 0, -1),
               eager(2, dtype="float16")],
    "linspace": [eager(0, 1, num=5), eager(0, 1, num=4, endpoint=False), eager(2, 5, num=1),
                 eager(0, 1, num=3, retstep=True), eager(0, 7, num=4, dtype="int32"),
                 only(ROW, VECTOR[:5], num=4, axis=1), only(SCALAR, ROW, num=3)],
    "logspace": [eager(0, 2, num=5), eager(0, 3, num=4, base=2, endpoint=False),
                 only(ROW, ROW + 1, num=3)],
    "geomspace": [eager(1, 1000, num=4), eager(-2, -32, num=5), eager(1, 8, num=3, endpoint=False),
                  only(POSITIVE[0], POSITIVE[1], num=3, axis=-1)],
    **{
        name: [eager(n) for n in (0, 1, 2, 7)]
        for name in ("bartlett", "blackman", "hamming", "hanning")
    },
    "kaiser": [eager(1, 14.0), eager(7, 5.0)],
    "view": [only(X, "int32"), only(X, "uint8"), only(COUNTS.astype("uint8")[:, :4], "uint16"),
             only(X.astype("float16"), "int16"), only(COUNTS.astype("uint8")[:, :4], "float32")],
    "vectorize": [],
    "ndim": [eager(X), eager(SCALAR)],
    "size": [eager(X), eager(EMPTY)],
    # ------------------------------------------------------------------------------------- core
    "cast": [batch(X, "int32"), call(X, "float16"), call(X, "bool"), call(X, "uint8")],
    "saturate_cast": [batch(X, "uint8"),
                      only(np.array([-1e20, 300, 1e20, INF], "float32"), "int32"),
                      only(np.array([-1, 300], "int32"), "uint8"), only(X, "bool"),
                      only(np.array([1e6, -1e6], "float32"), "float16")],
    "segment_sum": [only(X, np.array([0, 2, 0], "int32"), num_segments=4),
                    only(VECTOR, np.array([1, 1, 0, 9, -1, 0, 1], "int32"), num_segments=2)],
    **{
        name: [only(X, np.array([0, 2, 0], "int32"), num_segments=3),
               only(INTS, np.array([0, 2, 0], "int32"), num_segments=4),
               only(VECTOR, np.array([1, 1, 0, 9, -1, 0, 1], "int32"), num_segments=2)]
        for name in ("segment_max", "segment_min", "segment_prod")
    },
    "logsumexp": [batch(CUBE, axis=(1, 2)), call(X), only(np.array([-INF, -INF], "float32"))],
    "rsqrt": [batch(POSITIVE), only(EDGES)],
    "in_top_k": [only(integers(3, low=0, high=5), X, 2)],
    "scatter": [only(np.array([[0], [2]], "int32"), X[:2], (4, 5))],
    "slice": [only(X, (1, 1), (2, 3))],
    "unstack": [call(X), batch(X, axis=1)],
    "convert_to_tensor": [call(X), only(X, "int32")],
    "stop_gradient": [batch(X)],
}  # fmt: skip
