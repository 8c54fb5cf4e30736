"""What the tests of ops share: which ops there are, graphs around a sample, comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

import numpy as np

import graphc.ops  # noqa: F401  (registers every op)
from graphc.ir import Graph, Op, Sample, TensorType, Value, is_float, numpy_dtype, type_of
from graphc.ops.elementwise import Mul
from graphc.ops.logic import And

#: How far two ways of computing the same may be apart, relative to the largest element.
TOLERANCE = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 4e-6, "float64": 1e-12}


def leaves() -> list[type[Op]]:
    """Every op of the package. A class that others derive from is a family, not an op."""
    ops = [cls for cls in Op.registry.values() if cls.__module__.startswith("graphc.ops.")]
    return sorted((cls for cls in ops if not cls.__subclasses__()), key=lambda cls: cls.__name__)


OPS = leaves()


@cache
def samples(cls: type[Op]) -> tuple[Sample, ...]:
    """The samples of an op."""
    return tuple(cls.samples())


@contextmanager
def naming(sample: Sample, way: str = "") -> Iterator[None]:
    """Say in an error for which sample it happened, and in which way it was used."""
    try:
        yield
    except Exception as error:
        error.add_note(f"sample: {describe(sample)} {way}")
        raise


def describe(sample: Sample) -> str:
    """A sample as one line."""
    operands = ", ".join(str(type_of(array)) for array in sample.inputs)
    return f"{sample.op}({operands})"


def graph_of(sample: Sample) -> tuple[Graph, tuple[Value, ...]]:
    """A graph with the sample's operands ``x0, x1, ...`` as inputs, and the results of its op."""
    graph = Graph("sample")
    operands = [graph.input(f"x{i}", type_of(array)) for i, array in enumerate(sample.inputs)]
    results = graph.apply(sample.op, *operands)
    results = results if isinstance(results, tuple) else (results,)
    graph.outputs = {f"y{i}": value for i, value in enumerate(results)}
    return graph, results


def feed(sample: Sample) -> dict[str, np.ndarray]:
    """The arrays for the inputs of `graph_of`."""
    return {f"x{i}": array for i, array in enumerate(sample.inputs)}


def as_tuple(types: TensorType | tuple[TensorType, ...]) -> tuple[TensorType, ...]:
    """One type, or several, as a tuple."""
    return types if isinstance(types, tuple) else (types,)


def assert_close(
    actual: Sequence[np.ndarray], expected: Sequence[np.ndarray], tolerance: float | None = None
) -> None:
    """Arrays of the same types whose elements agree: exactly, or floats to the precision."""
    assert len(actual) == len(expected)
    for i, (a, b) in enumerate(zip(actual, expected, strict=True)):
        assert type_of(a) == type_of(b), f"result {i} has another type"
        a, b = real_view(a), real_view(b)
        dtype = type_of(b).dtype
        if not is_float(dtype):
            np.testing.assert_array_equal(a, b, f"result {i}")
            continue
        wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
        relative = tolerance or TOLERANCE[dtype]
        finite = np.abs(wide_b[np.isfinite(wide_b)])
        absolute = relative * min(1.0, finite.max(initial=0.0))
        np.testing.assert_allclose(wide_a, wide_b, relative, absolute, err_msg=f"result {i}")


def real_view(array: np.ndarray) -> np.ndarray:
    """Complex numbers as their parts along a last axis, as backends and ONNX see them."""
    if array.dtype.kind != "c":
        return array
    return np.stack([array.real, array.imag], -1)


#: Ops that take seconds to compile.
FACTORIZATIONS = ("Eig", "Eigh", "Pinv", "QR", "SVD")


def graph_of_all(cls: type[Op], quick: bool = True) -> Graph:
    """One graph with every sample of an op, alone and among elementwise neighbours (see `ways`).

    The neighbours multiply by an input ``one`` (or are its logical counterpart), so that they
    change nothing and no pass can know it. Sample ``s`` has the inputs ``s.0, s.1, ...``, and the
    outputs ``s.alone.0, ...`` and ``s.fused.0, ...``.
    """
    graph = Graph(cls.__name__)
    ones: dict[str, Value] = {}

    def neighbour(x: Value) -> Value:
        if x.dtype not in ones:
            ones[x.dtype] = graph.input(f"one.{x.dtype}", TensorType((), x.dtype))
        return (And() if x.dtype == "bool" else Mul())(x, ones[x.dtype])

    for s, sample in enumerate(samples(cls)):
        types = [type_of(array) for array in sample.inputs]
        operands = [graph.input(f"{s}.{i}", type) for i, type in enumerate(types)]
        fused = [neighbour(x) for x in operands]
        for way in ways(cls, s, quick):
            results = graph.apply(sample.op, *(operands if way == "alone" else fused))
            results = results if isinstance(results, tuple) else (results,)
            for i, y in enumerate(results):
                graph.outputs[f"{s}.{way}.{i}"] = neighbour(y) if way == "fused" else y
    return graph


def ways(cls: type[Op], sample: int, quick: bool = True) -> tuple[str, ...]:
    """How a sample, by its number, stands in `graph_of_all`.

    Factorizations become loops, with which neighbours do not fuse, and take seconds to compile: of
    them, if it has to be quick, only the first sample gets neighbours.
    """
    is_left_out = quick and cls.__name__ in FACTORIZATIONS and sample >= 1
    return ("alone",) if is_left_out else ("alone", "fused")


def feed_all(graph: Graph, cls: type[Op]) -> dict[str, np.ndarray]:
    """The arrays for the inputs of `graph_of_all`."""
    arrays = {}
    for value in graph.inputs:
        group, member = value.name.split(".")
        if group == "one":
            arrays[value.name] = np.ones((), numpy_dtype(member))
        else:
            arrays[value.name] = samples(cls)[int(group)].inputs[int(member)]
    return arrays


def results_of(sample: int, way: str, outputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The results of one sample among the outputs of `graph_of_all`."""
    prefix = f"{sample}.{way}."
    return [array for name, array in outputs.items() if name.startswith(prefix)]
