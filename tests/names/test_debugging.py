"""``graphc.debugging``: checks that hold, and what those say that do not."""

import pytest

import graphc as tf
from graphc.errors import DTypeError, InvalidArgumentError, ShapeError

PASSING = [
    lambda d: d.assert_equal([1, 2], [1, 2]),
    lambda d: d.assert_none_equal([1, 2], 3),
    lambda d: d.assert_less([1.0], 2.0),
    lambda d: d.assert_less_equal([1.0, 2.0], 2.0),
    lambda d: d.assert_greater(3, [1, 2]),
    lambda d: d.assert_greater_equal(2, [1, 2]),
    lambda d: d.assert_negative([-1]),
    lambda d: d.assert_non_negative([0, 1]),
    lambda d: d.assert_non_positive([0, -1]),
    lambda d: d.assert_positive([1]),
    lambda d: d.assert_near(1.0, 1.0 + 1e-7),
    lambda d: d.assert_near([1.0], 1.2, atol=0.3),
    lambda d: d.assert_near(1.0, 1.2, rtol=0.3),
    lambda d: d.Assert(tf.constant(True), [1]),
    lambda d: d.assert_all_finite([1.0], "finite"),
    lambda d: d.check_numerics([1.0], "numbers"),
    lambda d: d.assert_rank([[1]], 2),
    lambda d: d.assert_rank_at_least([[1]], 1),
    lambda d: d.assert_rank_in([1], [1, 2]),
    lambda d: d.assert_scalar(1),
    lambda d: d.assert_shapes([(tf.ones((2, 3)), ("n", "k")), (tf.ones(3), ("k",))]),
    lambda d: d.assert_type(tf.constant(1.0), tf.float32),
    lambda d: d.assert_integer(1),
]

FAILING = [
    (
        lambda d: d.assert_equal([1, 2], [1, 3], message="sums"),
        InvalidArgumentError,
        r"sums; .*\(1,\)",
    ),
    (lambda d: d.assert_equal([1, 2], [1, 2, 3]), InvalidArgumentError, "cannot be compared"),
    (lambda d: d.assert_none_equal([1, 2], 2), InvalidArgumentError, "x != y"),
    (lambda d: d.assert_less([1.0, float("nan")], 2.0), InvalidArgumentError, "nan"),
    (lambda d: d.assert_positive([[1], [0]]), InvalidArgumentError, r"\(1, 0\) x is 0"),
    (lambda d: d.assert_near(1.0, 1.1), InvalidArgumentError, "apart"),
    (lambda d: d.assert_near(1.0, float("nan")), InvalidArgumentError, "apart"),
    (lambda d: d.Assert(False, ["why"]), InvalidArgumentError, "why"),
    (lambda d: d.check_numerics([1.0, float("nan")], "loss"), InvalidArgumentError, "loss.*NaN"),
    (lambda d: d.assert_all_finite([float("inf")], "x"), InvalidArgumentError, "infinity"),
    (lambda d: d.assert_rank([1], 2, "matrix"), ShapeError, "matrix; expected 2 axes"),
    (lambda d: d.assert_rank_at_least([1], 2), ShapeError, "at least 2"),
    (lambda d: d.assert_rank_in([1], [0, 2]), ShapeError, "0 or 2"),
    (lambda d: d.assert_scalar([1]), ShapeError, "received shape"),
    (
        lambda d: d.assert_shapes([(tf.ones((2, 3)), ("n", "k")), (tf.ones(4), ("k",))]),
        ShapeError,
        "'k': 3",
    ),
    (lambda d: d.assert_shapes([(tf.ones((2, 3)), (2, None, 1))]), ShapeError, "3 axes"),
    (lambda d: d.assert_type(tf.constant(1.0), tf.int32), DTypeError, "expected dtype int32"),
    (lambda d: d.assert_integer(1.0), DTypeError, "integers"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(PASSING)))
def test_checks_that_hold(number):
    PASSING[number](tf.debugging)


@pytest.mark.parametrize("number", range(len(FAILING)))
def test_checks_that_fail(number):
    check, error, text = FAILING[number]
    with pytest.raises(error, match=text):
        check(tf.debugging)


def test_checks_name_the_users_line():
    with pytest.raises(InvalidArgumentError, match=r"test_debugging\.py:\d+"):
        tf.debugging.assert_equal(1, 2)


def test_checks_in_a_compiled_function():
    @tf.function
    def step(x):
        tf.debugging.assert_positive(x)  # not known yet
        tf.debugging.assert_rank(x, 1)
        return x * 2

    assert step(tf.constant([-1.0])).numpy() == -2
    with pytest.raises(ShapeError, match="1 axes"):
        step(tf.constant([[1.0]]))
