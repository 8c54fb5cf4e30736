"""Every op, checked by itself: nothing has to be registered here when one is added.

Each check takes one op and goes through its samples. What an op has to have is in `missing_rules`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphc import reference, runtime
from graphc.autodiff import gradients
from graphc.config import config
from graphc.errors import UnsupportedError
from graphc.ir import Graph, Op, Sample, Value, as_text, parse, type_of
from graphc.ops.complex import ComplexOp
from graphc.ops.reduce import ReduceSum
from graphc.program import Program
from tests.ops.harness import (
    FACTORIZATIONS,
    OPS,
    as_tuple,
    assert_close,
    feed,
    feed_all,
    graph_of,
    graph_of_all,
    naming,
    results_of,
    samples,
    ways,
)


def each_op(check: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.__name__)(check)


def has_docstring(cls: type[Op]) -> bool:
    text = cls.__dict__.get("__doc__") or ""
    generated = text.startswith(f"{cls.__name__}(")  # by @dataclass, for a class without one
    return bool(text) and not generated


def missing_rules(cls: type[Op]) -> list[str]:
    """What an op still lacks, in words."""
    composite = cls.has_rule("decompose")
    needs = {
        "a docstring of its own": has_docstring(cls),
        "infer": cls.has_rule("infer"),
        "evaluate or decompose": composite or cls.has_rule("evaluate"),
        "gradient, decompose or `differentiable = False`": (
            composite or cls.has_rule("gradient") or not cls.differentiable
        ),
        "onnx or decompose": (composite or cls.has_rule("onnx") or issubclass(cls, ComplexOp)),
        "emit or decompose, as it is elementwise": (
            composite or cls.has_rule("emit") or not cls.elementwise
        ),
        "samples": cls.samples.__func__ is not Op.samples.__func__,  # type: ignore[attr-defined]
    }
    lacks = [need for need, met in needs.items() if not met]
    if "samples" not in lacks and not samples(cls):
        lacks.append("samples (there are none)")
    return lacks


@each_op
def test_is_complete(cls: type[Op]) -> None:
    lacks = missing_rules(cls)
    assert not lacks, f"{cls.__name__} lacks: {'; '.join(lacks)}"


def test_a_half_written_op_is_told_what_it_lacks() -> None:
    class _HalfWritten(Op):
        elementwise = True

    assert missing_rules(_HalfWritten) == [
        "a docstring of its own",
        "infer",
        "evaluate or decompose",
        "gradient, decompose or `differentiable = False`",
        "onnx or decompose",
        "emit or decompose, as it is elementwise",
        "samples",
    ]


def test_families_are_no_ops_and_ops_are_found() -> None:
    names = {cls.__name__ for cls in OPS}
    assert {"Add", "Einsum", "Conv", "Scan", "Threefry"} <= names
    assert not {"Elementwise", "Unary", "Binary", "Reduction", "Windowed"} & names


@each_op
def test_infer_agrees_with_evaluate(cls: type[Op]) -> None:
    for sample in samples(cls):
        with naming(sample):
            inferred = as_tuple(sample.op.infer(*[type_of(array) for array in sample.inputs]))
            results = reference.apply(sample.op, *sample.inputs)
            assert tuple(type_of(array) for array in results) == inferred


@each_op
def test_evaluate_leaves_its_operands_alone(cls: type[Op]) -> None:
    for sample in samples(cls):
        with naming(sample):
            copies = [array.copy() for array in sample.inputs]
            for array in sample.inputs:
                array.flags.writeable = False
            reference.apply(sample.op, *sample.inputs)
            for array, copy in zip(sample.inputs, copies, strict=True):
                np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(
    "cls",
    [cls for cls in OPS if cls.has_rule("decompose") and cls.has_rule("evaluate")],
    ids=lambda cls: cls.__name__,
)
def test_decomposition_agrees_with_evaluate(cls: type[Op]) -> None:
    for sample in samples(cls):
        with naming(sample):
            decomposed = reference.evaluate_decomposition(sample.op, *sample.inputs)
            assert_close(decomposed, reference.apply(sample.op, *sample.inputs))


@each_op
def test_text_form_round_trip(cls: type[Op]) -> None:
    for sample in samples(cls):
        with naming(sample):
            graph, _ = graph_of(sample)
            text = as_text(graph)
            parsed = parse(text)
            assert as_text(parsed) == text
            assert [node.op.attributes.keys() for node in parsed.nodes] == [
                node.op.attributes.keys() for node in graph.nodes
            ]
            assert_close(
                list(reference.evaluate(parsed, feed(sample)).values()),
                list(reference.evaluate(graph, feed(sample)).values()),
            )


@each_op
def test_compiled_agrees_with_the_reference_alone_and_fused(
    cls: type[Op], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All samples are one program, as compiling is what takes the time."""
    monkeypatch.setattr(config, "cache_folder", None)
    check_compiled(cls)


@pytest.mark.slow
@pytest.mark.parametrize("name", FACTORIZATIONS)
def test_every_factorization_among_neighbours(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "cache_folder", None)
    check_compiled(Op.registry[name], quick=False)


def check_compiled(cls: type[Op], quick: bool = True) -> None:
    graph = graph_of_all(cls, quick)
    arrays = feed_all(graph, cls)
    expected = reference.evaluate(graph, arrays)
    compiled = runtime.compile(Program(graph), backend="cpu").run(arrays, {})
    for s, sample in enumerate(samples(cls)):
        for way in ways(cls, s, quick):
            with naming(sample, way):
                assert_close(results_of(s, way, compiled), results_of(s, way, expected))


# ------------------------------------------------------------------------------------- gradients


def smooth_operands(sample: Sample) -> list[int]:
    """Positions of the operands with respect to which finite differences are taken."""
    if not sample.differentiable or not sample.op.differentiable:
        return []
    types = [type_of(array) for array in sample.inputs]
    results = as_tuple(sample.op.infer(*types))
    dtypes = {type.dtype for type in (*types, *results)}
    if "float64" not in dtypes or dtypes & {"float32", "float16", "bfloat16"}:
        return []
    positions = range(len(types)) if sample.smooth_in is None else sample.smooth_in
    return [i for i in positions if types[i].dtype == "float64"]


DIFFERENTIABLE = [cls for cls in OPS if cls.differentiable]


@pytest.mark.parametrize("cls", DIFFERENTIABLE, ids=lambda cls: cls.__name__)
def test_gradient_and_its_gradient_are_those_of_finite_differences(cls: type[Op]) -> None:
    checked = 0
    for sample in samples(cls):
        positions = smooth_operands(sample)
        if not positions:
            continue
        with naming(sample):
            check_gradients(sample, positions)
        checked += 1
    if not checked and not issubclass(cls, ComplexOp):  # their parts are differentiated
        # Not even one sample that is differentiable: then the op has to refuse.
        graph, results = graph_of(samples(cls)[0])
        seeds = {y: y for y in results}
        with pytest.raises(UnsupportedError):
            gradients(seeds, graph.inputs)


def check_gradients(sample: Sample, positions: list[int]) -> None:
    """Along a random direction: the derivative, and the derivative of a sum of derivatives."""
    rng = np.random.default_rng(20)
    graph, results = graph_of(sample)
    wrt = [graph.inputs[i] for i in positions]
    directions = [np.sign(rng.normal(size=value.shape)) for value in wrt]
    first = weighted_sum(graph, [y for y in results if y.dtype == "float64"], rng)
    dfirst = gradients(first, wrt)
    second = weighted_sum(graph, [dx for dx in dfirst if dx is not None], rng)
    dsecond = gradients(second, wrt)
    for dx, x in zip([*dfirst, *dsecond], [*wrt, *wrt], strict=True):
        assert dx is None or dx.type == x.type
    for order, function, derivatives in ((1, first, dfirst), (2, second, dsecond)):
        slope = along(graph, derivatives, directions)
        graph.outputs = {"function": function, "slope": slope}
        values = evaluate_along(graph, sample, positions, directions)
        computed = float(values(0.0)["slope"])
        measured = central_difference(lambda h, values=values: float(values(h)["function"]))
        scale = max(1.0, abs(measured), abs(float(values(0.0)["function"])))
        assert abs(computed - measured) <= 2e-7 * scale, (
            f"derivative of order {order}: {computed} by the rules, {measured} measured"
        )


def weighted_sum(graph: Graph, values: list[Value], rng: np.random.Generator) -> Value:
    total = graph.constant(0.0, "float64")
    for value in values:
        weights = graph.constant(rng.normal(size=value.shape))
        total = total + ReduceSum(tuple(range(value.rank)))(value * weights)
    return total


def along(graph: Graph, derivatives: list[Value | None], directions: list[np.ndarray]) -> Value:
    total = graph.constant(0.0, "float64")
    for dx, direction in zip(derivatives, directions, strict=True):
        if dx is not None:
            product = dx * graph.constant(direction)
            total = total + ReduceSum(tuple(range(dx.rank)))(product)
    return total


def evaluate_along(
    graph: Graph, sample: Sample, positions: list[int], directions: list[np.ndarray]
) -> Callable[[float], dict[str, np.ndarray]]:
    def values(step: float) -> dict[str, np.ndarray]:
        arrays = feed(sample)
        for i, direction in zip(positions, directions, strict=True):
            arrays[f"x{i}"] = np.asarray(arrays[f"x{i}"] + step * direction)
        return reference.evaluate(graph, arrays)

    return values


def central_difference(function: Callable[[float], float], h: float = 1e-4) -> float:
    """The derivative at 0 from four values; the error falls with the fourth power of h."""
    near = function(h) - function(-h)
    far = function(2 * h) - function(-2 * h)
    return (8 * near - far) / (12 * h)
