"""Every op, exported to ONNX and run in ONNX Runtime, against the reference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphc import reference
from graphc.export.onnx import to_onnx
from graphc.ir import Graph, Op, Sample, part_dtype, type_of
from tests.ops.harness import OPS, assert_close, feed, graph_of, naming, real_view, samples

onnxruntime = pytest.importorskip("onnxruntime")

#: The version in which bitwise operations and scatters that add are complete.
OPSET = 18
TOLERANCE = {"float64": 2e-9}  # attributes such as epsilon are float32 in ONNX


def has_nan(sample: Sample) -> bool:
    return any(np.isnan(array).any() for array in sample.inputs if array.dtype.kind == "f")


def is_empty(sample: Sample) -> bool:
    return any(array.size == 0 for array in sample.inputs)


def is_out_of_range(sample: Sample) -> bool:
    if sample.op.name == "Gather":
        x, indices = sample.inputs
        size = x.shape[sample.op.axis]
    else:
        indices, size = sample.inputs[0], sample.op.size
    return bool(np.any((indices >= size) | (indices < -size)))


#: Where ONNX Runtime does something else, and has to be left alone.
DIFFERENCES: dict[str, Callable[[Sample], bool]] = {
    "Gather": is_out_of_range,  # refuses the index
    "ScatterAdd": is_out_of_range,
    "ScatterMax": is_out_of_range,
    "ScatterMin": is_out_of_range,
    "ScatterMul": is_out_of_range,
    "MaxPool": has_nan,  # overlooks NaN
    "ReduceMax": has_nan,
    "ReduceMin": has_nan,
    "ReduceMean": is_empty,  # the mean of nothing is 0
    "ReduceProd": lambda sample: sample.inputs[0].dtype.kind in "iu",  # does not wrap around
    "Sort": lambda sample: not sample.portable,  # has no uint64
    "Bitcast": lambda sample: not sample.portable,  # floats: only from opset 26 on
    "CumMax": lambda sample: not sample.portable,  # a Scan, which has to take a step
    "CumProd": lambda sample: not sample.portable,
    "Scan": is_empty,  # refuses to take no step at all
    "LSTM": is_empty,  # the same; some of them end the process
    "GRU": is_empty,
    "SimpleRNN": is_empty,
}


def run_in_onnxruntime(graph: Graph, sample: Sample) -> list[np.ndarray] | None:
    """The results; None if the runtime has no kernel for a type, as for most in float64."""
    model = to_onnx(graph, opset=OPSET)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        return None
    needed = {value.name for value in session.get_inputs()}
    arrays = {name: real_view(array) for name, array in feed(sample).items() if name in needed}
    return session.run(None, arrays)


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.__name__)
def test_exported_agrees_with_the_reference(cls: type[Op]) -> None:
    differs = DIFFERENCES.get(cls.__name__, lambda sample: False)
    checked = 0
    for sample in samples(cls):
        if differs(sample):
            continue
        with naming(sample):
            graph, _ = graph_of(sample)
            actual = run_in_onnxruntime(graph, sample)
            if actual is None:
                assert any(part_dtype(type_of(array).dtype) == "float64" for array in sample.inputs)
                continue
            expected = list(map(real_view, reference.evaluate(graph, feed(sample)).values()))
            dtypes = {type_of(array).dtype for array in expected}
            assert_close(actual, expected, max((TOLERANCE.get(d, 0) for d in dtypes), default=0))
        checked += 1
    assert checked, f"ONNX Runtime ran no sample of {cls.__name__}"
