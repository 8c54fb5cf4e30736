"""The collector is kept waiting while a program is made, and left as it was."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from graphc import runtime
from graphc.garbage import rarely_collecting
from graphc.ir import Graph, TensorType
from graphc.program import Program


@pytest.fixture(autouse=True)
def usual_thresholds() -> Iterator[None]:
    usual = gc.get_threshold()
    gc.set_threshold(700, 11, 12)
    yield
    gc.set_threshold(*usual)


def test_blocks_may_overlap() -> None:
    with rarely_collecting:
        first, *others = gc.get_threshold()
        assert first > 10_000 and others == [11, 12]
        rarely_collecting.__enter__()  # as another thread does
    assert gc.get_threshold()[0] == first
    rarely_collecting.__exit__()
    assert gc.get_threshold() == (700, 11, 12)


def test_errors_end_a_block() -> None:
    with pytest.raises(KeyError), rarely_collecting:
        raise KeyError
    assert gc.get_threshold() == (700, 11, 12)


@pytest.mark.parametrize("threshold", [0, 1_000_000])
def test_who_collects_less_still_does(threshold: int) -> None:
    gc.set_threshold(threshold, 11, 12)
    with rarely_collecting:
        assert gc.get_threshold() == (threshold, 11, 12)
    assert gc.get_threshold() == (threshold, 11, 12)


def test_compiling_leaves_the_collector_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Executable:
        def __init__(self, program: Program) -> None:
            seen.append(gc.get_threshold()[0])

    monkeypatch.setattr(runtime, "ReferenceExecutable", Executable)
    graph = Graph("g")
    graph.outputs["y"] = graph.input("x", TensorType((2,), "float32"))
    runtime.compile(Program(graph), "reference")
    assert seen[0] > 10_000 and gc.get_threshold() == (700, 11, 12)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_collects_as_usual() -> None:
    with rarely_collecting:
        child = os.fork()
        if not child:
            os._exit(0 if gc.get_threshold() == (700, 11, 12) else 1)
        _, status = os.waitpid(child, 0)
        assert gc.get_threshold()[0] > 10_000
    assert status == 0
