"""Every op computes in ONNX Runtime what it computes in the reference interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from graphc import reference
from graphc.export.check import check_format
from graphc.export.onnx import to_onnx
from graphc.ir import Op, Sample
from tests.ops.harness import OPS, assert_close, feed, graph_of, naming, real_view, samples

onnxruntime = pytest.importorskip("onnxruntime")

#: Relative to the largest element: ONNX Runtime approximates the functions of single precision.
TOLERANCES = {"float32": 2e-5, "float64": 1e-12}
#: Opset 17, which files are written in, has no operations on bits and no scatters of extremes.
ONLY_IN_18 = (
    "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Dropout", "ScatterMax", "ScatterMin", "Threefry",
)  # fmt: skip


def run(sample: Sample, opset: int) -> bool:
    """Compare; False if ONNX Runtime lacks the double-precision kernel."""
    graph, _ = graph_of(sample)
    proto = to_onnx(graph, opset=opset, ir_version=8)
    check_format(proto)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        if any(real_view(array).dtype == np.float64 for array in sample.inputs):
            return False
        raise
    arrays = {name: real_view(array) for name, array in feed(sample).items()}
    received = [np.asarray(array) for array in session.run(None, arrays)]
    expected = list(map(real_view, reference.evaluate(graph, feed(sample)).values()))
    single = any(array.dtype == np.float32 for array in (*expected, *sample.inputs))
    assert_close(received, expected, TOLERANCES["float32" if single else "float64"])
    return True


@pytest.mark.parametrize("opset", [17, 18])
@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.__name__)
def test_exported_ops_agree_with_the_reference(cls: type[Op], opset: int) -> None:
    if opset == 17 and cls.__name__ in ONLY_IN_18:
        pytest.skip("needs opset 18")
    ran = 0
    for sample in samples(cls):
        if sample.portable:
            with naming(sample):
                ran += run(sample, opset)
    assert ran > 0
