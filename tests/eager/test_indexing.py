"""Indexing as NumPy has it: at once, in programs, under a tape, and to assign to variables."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from graphc.eager import GradientTape, Variable, as_tensor
from graphc.eager.function import function
from graphc.eager.spec import TensorSpec
from graphc.errors import DataDependentControlFlowError, ShapeError
from graphc.keras import ops

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)


@st.composite
def arrays_and_keys(draw):
    """An array and a key that NumPy takes: integers, slices, None, ``...``, positions, masks."""
    shape = draw(SHAPES)
    key = []
    several = draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))
    for size in shape:
        if draw(st.integers(0, 5)) == 0:
            key.append(None)
        kind = draw(st.sampled_from(["int", "slice", "slice", "positions", "mask", "stop"]))
        if kind == "stop":
            break
        if kind == "int" and size:
            key.append(draw(st.integers(-size, size - 1)))
        elif kind == "positions" and (size or 0 in several):
            bounds = st.integers(-size, size - 1) if size else st.just(0)
            key.append(draw(hnp.arrays(np.int64, several, elements=bounds)))
        elif kind == "mask" and not several:
            key.append(np.array([draw(st.booleans()) for _ in range(size)]))
        else:
            bound = st.none() | st.integers(-5, 5)
            step = draw(st.none() | st.sampled_from([1, 2, 3, -1, -2]))
            key.append(slice(draw(bound), draw(bound), step))
    if draw(st.booleans()):
        key.insert(draw(st.integers(0, len(key))), Ellipsis)
    array = np.arange(np.prod(shape), dtype="float64").reshape(shape)
    try:
        array[tuple(key)]
    except IndexError:  # masks that do not fit each other
        key = []
    return array, tuple(key)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(arrays_and_keys())
def test_it_agrees_with_numpy_at_once_and_under_a_tape(case):
    array, key = case
    expected = array[key]
    np.testing.assert_array_equal(as_tensor(array)[key].numpy(), expected, strict=True)
    x = as_tensor(array)
    weights = np.random.default_rng(0).normal(size=expected.shape)
    with GradientTape() as tape:
        tape.watch(x)
        y = x[key]
    np.testing.assert_array_equal(y.numpy(), expected, strict=True)
    gradient = np.zeros_like(array)
    np.add.at(gradient, key, weights)
    np.testing.assert_allclose(tape.gradient(y, x, weights).numpy(), gradient)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(arrays_and_keys())
def test_parts_of_variables_are_assigned_as_in_numpy(case):
    array, key = case
    values = np.random.default_rng(0).normal(size=array[key].shape)
    variable = Variable(array)
    expected = array.copy()
    expected[key] = values
    variable[key].assign(values)
    np.testing.assert_array_equal(variable.numpy(), expected)
    expected[key] += 2.0
    variable[key].assign_add(2.0)
    np.testing.assert_array_equal(variable.numpy(), expected)


KEYS = [
    (0,),
    (-1, 2),
    (slice(None), 1),
    (Ellipsis, slice(None, None, -2)),
    (None, slice(1, 3), Ellipsis, None),
    ([2, 0, -1],),
    (slice(None), [0, 3]),
    ([0, 1], slice(None), [1, 4]),
    (1, slice(None), [1, 4]),
    ([[0], [2]], [1, 3]),
    (np.array([True, False, True]),),
    (slice(None), np.array([True, False, True, True]), 0),
    (slice(2, 1),),
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_a_compiled_function_gives_the_same(key):
    array = np.random.default_rng(1).normal(size=(3, 4, 5)).astype("float32")
    variable = Variable(array)

    @function
    def both(x):
        variable[key].assign(x[key] * 2.0)
        return x[key], variable.value

    part, updated = both(array)
    np.testing.assert_array_equal(part.numpy(), array[key], strict=True)
    expected = array.copy()
    expected[key] = array[key] * 2
    np.testing.assert_array_equal(updated.numpy(), expected)
    np.testing.assert_array_equal(variable.numpy(), expected)


def test_tensors_are_positions_too():
    x = as_tensor(np.arange(12.0).reshape(3, 4))
    rows, row = as_tensor([2, 0]), as_tensor(1)
    np.testing.assert_array_equal(x[rows].numpy(), x.numpy()[[2, 0]])
    np.testing.assert_array_equal(x[row].numpy(), x.numpy()[1])
    np.testing.assert_array_equal(x[: as_tensor(2)].numpy(), x.numpy()[:2])
    np.testing.assert_array_equal(x[x > 5.0].numpy(), x.numpy()[x.numpy() > 5])

    @function
    def gathered(x, rows, columns):
        return x[rows], x[rows, columns], x[:, columns]

    found = gathered(x, rows, as_tensor([3, 1]))
    for part, key in zip(found, [[2, 0], ([2, 0], [3, 1]), (slice(None), [3, 1])], strict=True):
        np.testing.assert_array_equal(part.numpy(), x.numpy()[key])


def test_a_known_table_is_cut_to_an_open_size():
    table = as_tensor(np.arange(10.0))

    @function
    def cut(x):
        rows = ops.shape(x)[0]
        return table[:rows] * x, table[rows - 1]

    for rows in (2, 3, 5, 7):
        x = np.random.default_rng(rows).normal(size=rows)
        part, last = cut(x)
        np.testing.assert_allclose(part.numpy(), np.arange(rows) * x)
        assert float(last) == rows - 1


def test_a_mask_of_a_program_names_what_to_do():
    with pytest.raises(DataDependentControlFlowError, match=r"keras\.ops\.where\(mask, x, 0\)"):
        function(lambda x: x[x > 0])(np.ones(3))


@pytest.mark.parametrize(
    "key, error, text",
    [
        (5, ShapeError, "index 5 is outside axis 0 of size 3"),
        ((0, 0, 0), ShapeError, "3 indices for a tensor with 2 axes"),
        ((..., ...), ShapeError, "only one ellipsis"),
        (slice(None, None, 0), ShapeError, "step 0"),
        ([4], ShapeError, "an index is outside"),
        (1.5, TypeError, "not with float"),
        (True, TypeError, "not with bool"),
        ("a", TypeError, "not with str"),
        ([0.5], TypeError, "are integers, not float32"),
    ],
)
def test_errors(key, error, text):
    with pytest.raises(error, match=text):
        as_tensor(np.ones((3, 4)))[key]


def test_duplicate_positions():
    variable = Variable(np.zeros(3))
    variable[[0, 0, 2]].assign([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(variable.numpy(), [2, 0, 3])
    variable.scatter_nd_add([[0], [0], [1]], [1.0, 1.0, 5.0])
    np.testing.assert_array_equal(variable.numpy(), [4, 5, 3])
    variable.scatter_nd_sub([[2]], [1.0])
    variable.scatter_nd_update([[0]], [9.0])
    np.testing.assert_array_equal(variable.numpy(), [9, 5, 2])


def test_values_that_do_not_fit_a_part():
    variable = Variable(np.zeros((3, 4)))
    with pytest.raises(ShapeError, match=r"\[5\] cannot be assigned to a part of shape \[4\]"):
        variable[0].assign(np.ones(5))
    with pytest.raises(ShapeError, match="cannot be assigned to a part of shape"):
        variable[[0, 1]].assign(np.ones((3, 4)))
    np.testing.assert_array_equal(variable.numpy(), 0)


def test_an_assigned_part_is_a_new_value_to_a_tape():
    variable, x = Variable(np.arange(4.0)), as_tensor(3.0)

    def step(x):
        with GradientTape(persistent=True) as tape:
            tape.watch(x)
            variable[1].assign(ops.cast(x, "float64") ** 2)
            y = ops.sum(variable * variable)
        return y, tape.gradient(y, variable), tape.gradient(y, x)

    for way in (step, function(step)):
        y, dv, dx = way(x)
        assert float(y) == 81 + 4 + 9
        np.testing.assert_array_equal(dv.numpy(), [0, 18, 4, 6])
        assert dx is None


def test_programs_never_read_other_elements():
    x = np.arange(12, dtype="float32").reshape(3, 4)
    rows = np.array([0, 2, -1, 3, 0, -4, 1, -1])
    columns = np.array([1, -1, -4, 0, 4, 0, -5, 3])
    expected = [
        x[place] if np.all(np.abs(np.add(place, 0.5)) <= x.shape) else np.nan
        for place in zip(rows, columns, strict=True)
    ]
    pairs = function(lambda x, rows, columns: x[rows, columns])
    np.testing.assert_array_equal(pairs(x, rows, columns), expected)
    single = function(lambda x, rows: x[rows])
    np.testing.assert_array_equal(single(x, np.array([-4, -3, 3]))[:, 0], [np.nan, 0, np.nan])
    with pytest.raises(ShapeError, match="outside a tensor"):
        as_tensor(x)[rows, columns]


def test_positions_along_axes_of_open_size():
    pairs = function(lambda x, places: x[places, 0, places])
    for size in (3, 5, 4):
        x = np.arange(size * size, dtype="float32").reshape(size, 1, size)
        places = np.array([0, -1, size])
        found = pairs.get_concrete_function(TensorSpec([None, 1, None]), places)(x, places)
        np.testing.assert_array_equal(found, [0, size * size - 1, np.nan])
