"""The memory plan: nothing that lives at the same time overlaps, and little is wasted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from graphc.runtime.cpu.memory import ALIGNMENT, Interval, plan_memory

INTERVALS = st.lists(
    st.builds(
        lambda size, first, length: Interval(size, first, first + length),
        st.integers(0, 5000),
        st.integers(0, 30),
        st.integers(0, 12),
    ),
    max_size=25,
)


@given(INTERVALS)
def test_no_two_living_intervals_overlap(intervals: list[Interval]) -> None:
    plan = plan_memory(intervals)
    places = list(zip(intervals, plan.offsets, strict=True))
    for i, (a, a_offset) in enumerate(places):
        assert a_offset % ALIGNMENT == 0
        assert a_offset + a.size <= plan.size
        for b, b_offset in places[:i]:
            apart_in_time = a.last < b.first or b.last < a.first
            apart_in_space = a_offset + a.size <= b_offset or b_offset + b.size <= a_offset
            assert apart_in_time or apart_in_space or not a.size or not b.size


@given(INTERVALS)
def test_never_larger_than_all_together(intervals: list[Interval]) -> None:
    assert plan_memory(intervals).size <= sum(
        -(-x.size // ALIGNMENT) * ALIGNMENT for x in intervals
    )


def test_a_chain_needs_two_places() -> None:
    chain = [Interval(1024, moment, moment + 1) for moment in range(20)]
    assert plan_memory(chain).size == 2048


def test_nothing_needs_nothing() -> None:
    assert plan_memory([]).size == 0
    assert plan_memory([Interval(0, 0, 3)]).size == 0


def test_freed_places_are_used_again() -> None:
    plan = plan_memory([Interval(640, 0, 1), Interval(64, 0, 9), Interval(640, 2, 3)])
    assert plan.size == 704
    assert plan.offsets[0] == plan.offsets[2]
