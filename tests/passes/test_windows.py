"""Windows as views: the same values, in terms of contractions and reductions only."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.errors import ShapeError
from graphc.ir import Op
from graphc.ir.verify import verify
from graphc.ops.conv import Conv, ConvKernelGradient, ConvTranspose
from graphc.ops.pool import AveragePool, AveragePoolGradient, MaxPool
from graphc.passes.windows import Windows, expose_windows
from graphc.reference import evaluate
from tests.ops.harness import feed, graph_of, naming, samples

WINDOWED = (AveragePool, AveragePoolGradient, Conv, ConvKernelGradient, ConvTranspose, MaxPool)


@pytest.mark.parametrize("op_class", WINDOWED, ids=lambda op_class: op_class.__name__)
def test_exposed_windows_compute_the_same(op_class: type[Op]) -> None:
    for sample in samples(op_class):
        with naming(sample):
            graph, _ = graph_of(sample)
            exposed = expose_windows(graph)
            verify(exposed)
            assert not any(isinstance(node.op, WINDOWED) for node in exposed.nodes)
            expected, received = evaluate(graph, feed(sample)), evaluate(exposed, feed(sample))
            for name, array in expected.items():
                assert received[name].dtype == array.dtype
                tolerance = 1e-5 if array.dtype == np.float32 else 1e-12
                np.testing.assert_allclose(received[name], array, tolerance, tolerance)


def test_what_windows_see() -> None:
    x = np.arange(8.0)[None, :, None]
    forward = Windows(1, (1,), (3,), (2,), (2,), (1,))
    np.testing.assert_array_equal(forward.evaluate(x)[0, :, :, 0], [[1, 2], [3, 4], [5, 6]])
    backward = Windows(1, (0,), (3,), (1,), (3,), (2,), reverse=True)
    seen = backward.evaluate(x)[0, :, :, 0]
    np.testing.assert_array_equal(seen, [[4, 2, 0], [5, 3, 1], [6, 4, 2]])


def test_windows_need_their_axes() -> None:
    graph, _ = graph_of(samples(MaxPool)[0])
    with pytest.raises(ShapeError, match="too many"):
        Windows(2, (0, 0), (1, 1), (1, 1), (1, 1), (1, 1))(graph.inputs[0])
