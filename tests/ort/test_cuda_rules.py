"""What is rewritten for CUDA means the same; no GPU is needed to see that."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.ir import Graph, TensorType, symbol
from graphc.ir.verify import verify
from graphc.ops.activation import Celu
from graphc.ops.conv import ConvTranspose
from graphc.ops.logic import BitwiseXor
from graphc.ops.random import Threefry, bernoulli
from graphc.ops.recurrent import GRU, LSTM, SimpleRNN
from graphc.reference import evaluate
from graphc.runtime.ort import cuda
from graphc.runtime.ort.session import PIPELINES
from tests.ops.harness import assert_close, feed, graph_of, naming, samples

BITS = {"BitwiseXor", "BitwiseOr", "BitwiseAnd", "ShiftLeft", "ShiftRight", "Threefry"}


def names(graph: Graph) -> set[str]:
    return {node.op.name for node in graph.nodes}


@pytest.mark.parametrize("cls", [Threefry, Celu, ConvTranspose, LSTM, GRU, SimpleRNN])
def test_ops_without_kernels_are_replaced(cls: type) -> None:
    for sample in samples(cls):
        if any(array.dtype == np.float64 for array in sample.inputs):
            continue
        with naming(sample):
            graph, _ = graph_of(sample)
            result = PIPELINES["cuda"].run(graph)
            verify(result)
            assert not names(result) & (BITS | {"Celu"})
            for node in result.nodes:
                assert cuda.has_kernel(node.op)
                if isinstance(node.op, ConvTranspose):
                    assert all(before == after for before, after in node.op.padding)
            expected = evaluate(graph, feed(sample))
            received = evaluate(result, feed(sample))
            assert_close(list(received.values()), list(expected.values()), 2e-5)


def test_masks_have_the_same_bits() -> None:
    graph = Graph("g")
    key = graph.input("key", TensorType((2,), "uint32"))
    x = graph.input("x", TensorType((symbol("batch"), 7), "float32"))
    graph.outputs["mask"] = bernoulli(key, 0.3, x.shape)
    result = PIPELINES["cuda"].run(graph)
    assert not names(result) & BITS
    data = {"key": np.array([7, 2**32 - 1], np.uint32), "x": np.zeros((5, 7), np.float32)}
    expected = evaluate(graph, data)["mask"]
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(evaluate(result, data)["mask"], expected)


def test_other_types_keep_their_bits() -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType((3,), "int8"))
    graph.outputs["y"] = BitwiseXor()(x, x + 1)
    assert "BitwiseXor" in names(cuda.replace_missing(graph))
