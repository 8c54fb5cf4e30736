"""Checking an exported model: by the format's own checker, and by running it in ONNX Runtime."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.errors import GraphcError, ShapeError, UnsupportedError
from graphc.ir import Graph, Value, dims, is_float, is_integer, numpy_dtype
from graphc.ops.elementwise import Cast
from graphc.ops.gather import Gather
from graphc.ops.movement import Concat, Reshape, Reverse, Slice, Split, Transpose

if TYPE_CHECKING:
    from onnx import ModelProto

Arrays = dict[str, np.ndarray]

#: How far results may be apart, relative to the largest element where that is above 1.
TOLERANCES = {"float64": 1e-9, "float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}

#: Sizes of the batch, one for each trial.
_BATCHES = (1, 2, 5)
#: Sizes of other open axes; larger ones where windows do not fit into an image.
_SIZES = (7, 12, 16, 32, 64, 128, 256)
#: Integers are drawn below this number, and below the size of what they index.
_INTEGER_LIMIT = 8
#: Ops through which an index passes unchanged.
_CARRIERS = (Cast, Concat, Reshape, Reverse, Slice, Split, Transpose)


class ExportError(GraphcError, RuntimeError):
    """An exported model that does not compute what it should."""


@dataclass(frozen=True)
class Comparison:
    """How an exported model compares.

    Args:
        largest: The largest difference of two elements, relative to the largest element of the
            output where that is above 1.
        output: The output that has it.
        trials: The sizes that were tried, by symbol.
    """

    largest: float
    output: str
    trials: tuple[Mapping[str, int], ...]

    def __str__(self) -> str:
        tried = "; ".join(
            ", ".join(f"{name} {size}" for name, size in trial.items()) or "fixed sizes"
            for trial in self.trials
        )
        return f'largest difference {self.largest:.2g} in output "{self.output}" (tried {tried})'


def has_onnxruntime() -> bool:
    """Whether ONNX Runtime is installed."""
    return importlib.util.find_spec("onnxruntime") is not None


def check_format(proto: ModelProto) -> None:
    """Have the format's own checker look at a model.

    Raises:
        ExportError: It complains.
    """
    import onnx

    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the ONNX checker does not accept the exported model: {error}") from None


def compare(
    proto: ModelProto,
    graph: Graph,
    run: Callable[[Arrays], Arrays],
    tolerance: float | None = None,
) -> Comparison:
    """Run a model in ONNX Runtime on random data and compare it with what it was made from.

    Args:
        proto: The exported model.
        graph: What was exported; those of its inputs that the model has get data.
        run: Computes the outputs that the model has from the same data, by name.
        tolerance: How far results may be apart; by default it depends on the dtype.

    Returns:
        The largest difference over several batch sizes (and lengths, where they are open).

    Raises:
        ExportError: The difference is too large, or ONNX Runtime refuses the model.
        UnsupportedError: ONNX Runtime is not installed.
    """
    session = _session(proto)
    given = {value.name for value in proto.graph.input}
    inputs = [value for value in graph.inputs if value.name in given]
    limits = index_limits(graph)
    worst = Comparison(0.0, proto.graph.output[0].name, ())
    trials = []
    for trial, sizes in enumerate(_trials(graph, inputs)):
        rng = np.random.default_rng(trial)
        data = {value.name: _draw(rng, value, sizes, limits.get(value)) for value in inputs}
        trials.append(sizes)
        names = [output.name for output in session.get_outputs()]
        received = dict(zip(names, _run(session, data, sizes), strict=True))
        expected = run(data)
        for name in names:
            found = difference(expected[name], received[name])
            if found >= worst.largest or np.isnan(found):
                worst = Comparison(found, name, ())
            limit = TOLERANCES.get(expected[name].dtype.name, 0.0)
            limit = limit if tolerance is None else tolerance
            if not found <= limit:
                raise ExportError(
                    f'output "{name}" of the exported model is {found:.2g} away from the model '
                    f"with {sizes or 'its fixed sizes'}; {limit:.2g} is allowed (`tolerance`)"
                )
    return Comparison(worst.largest, worst.output, tuple(trials))


def difference(expected: np.ndarray, received: np.ndarray) -> float:
    """The largest difference of two elements, relative to the largest where that is above 1.

    NaN and infinity have to be in the same places: if not, the difference is infinite.
    """
    if expected.shape != received.shape or expected.dtype != received.dtype:
        return float("inf")
    if not is_float(expected.dtype.name):
        return float(np.count_nonzero(expected != received))
    a, b = expected.astype(np.float64), received.astype(np.float64)
    finite = np.isfinite(a)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True) or np.any(
        finite != np.isfinite(b)
    ):
        return float("inf")
    gap = np.max(np.abs(a[finite] - b[finite]), initial=0.0)
    return float(gap / np.max(np.abs(a[finite]), initial=1.0))


def index_limits(graph: Graph) -> dict[Value, int]:
    """For inputs that are used as indices: the size of the smallest axis that they index."""
    reach: dict[Value, set[Value]] = {value: {value} for value in graph.inputs}
    limits: dict[Value, int] = {}
    for node in graph.nodes:
        if isinstance(node.op, Gather):
            size = node.inputs[0].shape[node.op.axis]
            for source in reach.get(node.inputs[1], ()):
                if isinstance(size, int):
                    limits[source] = min(size, limits.get(source, size))
        if isinstance(node.op, _CARRIERS):
            sources = set().union(*(reach.get(value, set()) for value in node.inputs))
            for value in node.outputs:
                reach[value] = sources
    return limits


def _session(proto: ModelProto) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise UnsupportedError(
            "ONNX Runtime is not installed, so the exported model cannot be run: "
            'pip install "graphc-compiler[gpu]" or, on platforms without that wheel, '
            '"graphc-compiler[ort]"'
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the runtime has a family of exceptions without a common base
        raise ExportError(f"ONNX Runtime does not accept the exported model: {error}") from None


def _run(session: Any, data: Arrays, sizes: Mapping[str, int]) -> list[np.ndarray]:
    try:
        return session.run(None, data)
    except Exception as error:
        raise ExportError(
            f"ONNX Runtime cannot run the exported model with {sizes or 'its fixed sizes'}: {error}"
        ) from None


def _trials(graph: Graph, inputs: list[Value]) -> Iterator[dict[str, int]]:
    """Sizes for the symbols, a few times."""
    names = [
        name
        for name in graph.symbols()
        if any(name in dims.symbols(dim) for value in inputs for dim in value.shape)
    ]
    if not names:
        yield {}
        return
    for trial, batch in enumerate(_BATCHES):
        for size in _SIZES:
            # No two open axes have the same size, so that none is taken for another.
            sizes = {name: size + trial + 2 * place for place, name in enumerate(names)}
            sizes = {name: batch if name == "batch" else sizes[name] for name in names}
            if _fits(graph, sizes):
                yield sizes
                break
        else:
            raise ExportError(
                f"none of the sizes that were tried for {', '.join(names)} fits the model, so it "
                f"was not compared; export it with check=False"
            )


def _fits(graph: Graph, sizes: Mapping[str, int]) -> bool:
    try:
        graph.substitute(sizes)
    except ShapeError:
        return False
    return True


def _draw(
    rng: np.random.Generator, value: Value, sizes: Mapping[str, int], limit: int | None
) -> np.ndarray:
    shape = [dims.evaluate(dim, sizes) for dim in value.shape]
    if limit is not None or is_integer(value.dtype):
        high = _INTEGER_LIMIT if limit is None else limit
        return np.asarray(rng.integers(0, high, shape)).astype(numpy_dtype(value.dtype))
    if value.dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    return np.asarray(rng.normal(size=shape)).astype(numpy_dtype(value.dtype))
