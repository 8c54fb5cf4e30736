"""Random graphs: passes keep what they compute, simplifying twice is simplifying once."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphc.ir import Graph, as_text, parse
from graphc.ir.verify import verify
from graphc.passes import PREPARE, Decompose, Pipeline, Report, drop_dead, share_common, simplify
from graphc.reference import evaluate
from tests.passes.graphs import graphs, inputs_of

RELAXED = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def assert_same(before: Graph, after: Graph, seed: int) -> None:
    inputs = inputs_of(before, seed)
    expected, received = evaluate(before, inputs), evaluate(after, inputs)
    assert list(received) == list(expected)
    for name, array in expected.items():
        assert received[name].dtype == array.dtype
        assert received[name].shape == array.shape
        if array.dtype.kind == "f":
            # Sums of equal numbers and powers may be rounded once instead of several times.
            tolerance = 1e-5 if array.dtype == np.float32 else 1e-12
            np.testing.assert_allclose(received[name], array, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(received[name], array)


@RELAXED
@given(graphs(), st.integers(0, 2**32 - 1))
def test_simplify_keeps_values(graph: Graph, seed: int) -> None:
    after = simplify(graph)
    verify(after)
    assert_same(graph, after, seed)


@RELAXED
@given(graphs())
def test_simplify_is_idempotent(graph: Graph) -> None:
    once = simplify(graph)
    report = Report()
    twice = simplify(once, report)
    assert report.applied == []
    assert as_text(twice) == as_text(once)


@RELAXED
@given(graphs(), st.integers(0, 2**32 - 1))
def test_pipeline_keeps_values(graph: Graph, seed: int) -> None:
    after = Pipeline("test", (Decompose(), *PREPARE, drop_dead)).run(graph)
    verify(after)
    assert_same(graph, after, seed)
    assert as_text(share_common(after)) == as_text(after)


@RELAXED
@given(graphs())
def test_text_round_trip(graph: Graph) -> None:
    text = as_text(graph)
    again = parse(text)
    verify(again)
    assert as_text(again) == text
    without = as_text(graph, locations=False)
    assert as_text(parse(without)) == without
