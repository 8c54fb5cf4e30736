"""The pipeline over a graph of each op, for each of its samples: nothing changes the values."""

from __future__ import annotations

import pytest

from graphc.ir import Op
from graphc.ir.verify import verify
from graphc.passes import PREPARE, Decompose, Pipeline, Report, simplify
from graphc.passes.manager import difference
from graphc.reference import evaluate
from tests.ops.harness import OPS, feed, graph_of, naming, samples


@pytest.mark.parametrize("op_class", OPS, ids=lambda op_class: op_class.__name__)
def test_pipeline_keeps_values(op_class: type[Op]) -> None:
    for sample in samples(op_class):
        with naming(sample):
            graph, _ = graph_of(sample)
            expected = evaluate(graph, feed(sample))
            for passes in (PREPARE, (*PREPARE, Decompose(), *PREPARE)):
                result = Pipeline("test", passes).run(graph)
                verify(result)
                for name, array in evaluate(result, feed(sample)).items():
                    assert difference(expected[name], array) == ""
            report = Report()
            simplify(result, report)
            assert report.applied == []
