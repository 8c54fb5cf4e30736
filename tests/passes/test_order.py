"""The order between groups that merge, against a search through the graph of groups."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from graphc.passes.order import GroupOrder


def reaches(edges: set[tuple[int, int]], first: int, second: int) -> bool:
    """Whether there is a way from the first group to the second one."""
    found, stack = set(), [first]
    while stack:
        group = stack.pop()
        for a, b in edges:
            if a == group and b not in found:
                found.add(b)
                stack.append(b)
    return second in found


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_merging_groups(data: st.DataObject) -> None:
    count = data.draw(st.sampled_from([2, 5, 20, 66, 70]))
    order = GroupOrder(count)
    edges: set[tuple[int, int]] = set()
    for group in range(count):
        earlier = st.integers(0, group - 1) if group else st.nothing()
        producers = data.draw(st.lists(earlier, max_size=3)) if group else []
        order.add(group, producers)
        edges |= {(producer, group) for producer in producers}
    alive = list(range(count))
    for _ in range(data.draw(st.integers(0, 8))):
        a, b = data.draw(st.sampled_from(alive)), data.draw(st.sampled_from(alive))
        # As fusion does: neighbours, between which there is nothing else.
        if (a, b) not in edges or any(
            middle not in (a, b) and reaches(edges, a, middle) and reaches(edges, middle, b)
            for middle in alive
        ):
            continue
        order.merge(a, b)
        alive.remove(b)
        edges = {tuple(a if x == b else x for x in edge) for edge in edges} - {(a, a)}
    for a in alive:
        for b in alive:
            if a != b:
                assert order.is_before(a, b) == reaches(edges, a, b), (a, b)
