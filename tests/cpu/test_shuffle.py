"""The random order of rows: every row once, every order as likely, native as in NumPy."""

import numpy as np
import pytest

from graphc.errors import ShapeError
from graphc.runtime.cpu.native import load_shuffle
from graphc.runtime.cpu.program import CpuExecutable
from graphc.runtime.cpu.target import Target
from graphc.shuffle import Shuffle, random_order
from tests.cpu.programs import inputs_for, training_program
from tests.cpu.test_program import copied

COUNTS = (1024, 1025, 1500, 4096, 4097, 60_000)


def drawn(count: int, seed: int = 0) -> Shuffle:
    order = random_order(count, np.random.default_rng(seed))
    assert isinstance(order, Shuffle)
    return order


@pytest.mark.parametrize("count", (0, 1, 2, 31, 1023, *COUNTS))
def test_every_row_comes_once(count: int) -> None:
    order = random_order(count, np.random.default_rng(count))
    assert len(order) == count
    np.testing.assert_array_equal(np.sort(order[0:count]), np.arange(count))


def test_parts_are_those_of_the_whole() -> None:
    order = drawn(5000)
    np.testing.assert_array_equal(order[100:132], order.numbers()[100:132])
    assert order.numbers() is order.numbers()


@pytest.mark.parametrize(
    "target", [Target.host(), Target.x86_64_v3(), Target.x86_64_baseline()], ids=lambda x: x.cpu
)
def test_native_code_makes_the_same_order(target: Target) -> None:
    write = load_shuffle(target)
    for count in COUNTS:
        expected = drawn(count, count).numbers()
        np.testing.assert_array_equal(drawn(count, count).numbers(write), expected)


@pytest.mark.parametrize("count", [1024, 1500, 3000])
def test_orders_look_drawn_by_lot(count: int) -> None:
    draws = 2000
    generator = np.random.default_rng(7)
    orders = np.array([random_order(count, generator)[0:count] for _ in range(draws)])
    # Each number is equally often at each place: chi-square over 16 x 16 fields.
    fields = np.zeros((16, 16))
    places = np.broadcast_to(np.arange(count) * 16 // count, orders.shape)
    np.add.at(fields, (places.ravel(), (orders * 16 // count).ravel()), 1)
    sizes = np.bincount(np.arange(count) * 16 // count)
    expected = draws * np.outer(sizes, sizes) / count
    assert 150 < ((fields - expected) ** 2 / expected).sum() < 310  # 225 degrees of freedom
    # How often neighbours stay neighbours, and how many numbers stay where they were: 1 each.
    steps = np.diff(orders, axis=1)
    for counted in (steps == 1, steps == -1, orders == np.arange(count)):
        assert abs(counted.sum() / draws - 1) < 5 / np.sqrt(draws)
    # First and second place are independent.
    pairs = np.zeros((8, 8))
    np.add.at(pairs, tuple((orders[:, :2] * 8 // count).T), 1)
    assert ((pairs - draws / 64) ** 2 / (draws / 64)).sum() < 110  # 63 degrees of freedom


def test_steps_take_rows_in_that_order() -> None:
    program = training_program((4, 3, 2))
    data, state = inputs_for(program, {"batch": 3000})
    executable, order = CpuExecutable(program, 1), drawn(3000)
    expected = copied(state)
    executable.run_steps(data, expected, 32, 94, order=order.numbers().copy())
    for begin, steps in ((0, 50), (50, 44)):
        executable.run_steps(data, state, 32, steps, begin, drawn(3000))
    for name, array in expected.items():
        np.testing.assert_array_equal(state[name], array)
    with pytest.raises(ShapeError, match="an order of 2000 rows does not fit data of 3000"):
        executable.run_steps(data, state, 32, 2, order=drawn(2000))
