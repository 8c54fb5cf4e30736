"""Every rule: what it makes of its example, that values stay, and why it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.ir import Graph, as_text, is_float, parse
from graphc.ir.verify import verify
from graphc.passes import Report, simplify
from graphc.passes.manager import random_array
from graphc.passes.rewrite import Rule, rewrite
from graphc.passes.simplify import RULES
from graphc.reference import evaluate
from tests.passes.examples import EXAMPLES, REFUSALS, pool_gradient

BY_NAME = {rule.name: rule for rule in RULES}
EDGES = (0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 3e38, 1e-30)
#: Rules that round once where the original may round otherwise.
ROUNDED = ("x ** 2", "x ** -1", "sum of one repeated", "reduce one repeated")


def graph_of(body: str) -> Graph:
    return parse(f'graph "example" {{ {body} }}')


def random_inputs(graph: Graph, seed: int, edges: bool) -> dict[str, np.ndarray]:
    bindings = {name: 4 + place for place, name in enumerate(graph.symbols())}
    inputs = {}
    for value in graph.inputs:
        array = random_array(value, bindings, seed)
        if edges and is_float(value.dtype):
            rng = np.random.default_rng(seed)
            with np.errstate(over="ignore"):
                edges_of_type = np.array(EDGES, np.float64).astype(array.dtype)
            array = rng.choice(edges_of_type, array.shape)
        inputs[value.name] = array
    return inputs


def assert_same_values(before: Graph, after: Graph, rounded: bool = False) -> None:
    for seed in range(6):
        inputs = random_inputs(before, seed, edges=seed >= 2 and not rounded)
        expected, received = evaluate(before, inputs), evaluate(after, inputs)
        assert list(expected) == list(received)
        for name, array in expected.items():
            assert received[name].dtype == array.dtype
            if rounded:
                np.testing.assert_allclose(received[name], array, rtol=3e-7)
            else:
                # As float64, since NumPy knows no NaN of bfloat16.
                wide = np.float64 if array.dtype.name == "bfloat16" else array.dtype
                np.testing.assert_array_equal(received[name].astype(wide), array.astype(wide))


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_example(rule: Rule) -> None:
    assert rule.name in EXAMPLES, f'rule "{rule.name}" has no example in tests/passes/examples.py'
    before, expected = map(graph_of, EXAMPLES[rule.name])
    report = Report()
    after = rewrite(before, (rule,), report)
    assert report.applied == [rule.name]
    verify(after)
    assert as_text(after) == as_text(expected)
    assert_same_values(before, after, rule.name in ROUNDED)


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.refuse], ids=lambda rule: rule.name
)
def test_refusal(rule: Rule) -> None:
    assert rule.name in REFUSALS, f'rule "{rule.name}" has no refusal in tests/passes/examples.py'
    body, reason = REFUSALS[rule.name]
    before = graph_of(body)
    report = Report()
    after = rewrite(before, (rule,), report)
    assert reason in report.refused[rule.name]
    assert report.applied == []
    assert as_text(after) == as_text(before)


@pytest.mark.parametrize("other", ["-0.0", "1.0"])
def test_a_pool_of_positive_maxima_gives_zero_elsewhere(other: str) -> None:
    zero = "%c = Constant() {value=float32[](0.0)} "
    other = f"%d = Constant() {{value=float32[]({other})}} "
    where = "%p = Greater(%x, %c) %z = Where(%p, %g, %d) output out = %z"
    before = graph_of(pool_gradient("") + zero + other + where)
    assert as_text(simplify(before)) == as_text(before)


@pytest.mark.parametrize("name", EXAMPLES)
def test_all_rules_together_keep_values_and_reach_a_fixpoint(name: str) -> None:
    assert name in BY_NAME, f'there is no rule "{name}"'
    before = graph_of(EXAMPLES[name][0])
    once = simplify(before)
    verify(once)
    assert_same_values(before, once, name in ROUNDED)
    report = Report()
    assert as_text(simplify(once, report)) == as_text(once)
    assert report.applied == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # A constant array counts as the number that all its elements are.
        (
            "input %x : float32[2, 3] %c = Constant() {value=float32[2, 3](1.0, 1.0, 1.0, 1.0, 1.0,"
            " 1.0)} %z = Mul(%c, %x) output out = %z",
            "input %x : float32[2, 3] output out = %x",
        ),
        # Negations meet across a product.
        (
            "input %x : float32[3] input %y : float32[3] input %z : float32[3] %a = Neg(%x)"
            " %b = Mul(%a, %y) %c = Sub(%z, %b) output out = %c",
            "input %x : float32[3] input %y : float32[3] input %z : float32[3]"
            " %b = Mul(%x, %y) %c = Add(%z, %b) output out = %c",
        ),
        # An unsigned constant wraps when it changes sides.
        (
            "input %x : uint8[3] %c = Constant() {value=uint8[](1)} %z = Sub(%x, %c)"
            " output out = %z",
            "input %x : uint8[3] %c = Constant() {value=uint8[](255)} %z = Add(%x, %c)"
            " output out = %z",
        ),
        # Division by what is no power of two stays, and so does integer division.
        (
            "input %x : float32[3] %c = Constant() {value=float32[](3.0)} %z = Div(%x, %c)"
            " output out = %z",
            "input %x : float32[3] %c = Constant() {value=float32[](3.0)} %z = Div(%x, %c)"
            " output out = %z",
        ),
        (
            "input %x : int32[3] %c = Constant() {value=int32[](4)} %z = Div(%x, %c)"
            " output out = %z",
            "input %x : int32[3] %c = Constant() {value=int32[](4)} %z = Div(%x, %c)"
            " output out = %z",
        ),
        # The reciprocal of the smallest power of two is no number.
        (
            "input %x : float32[3] %c = Constant() {value=float32[](1e-45)} %z = Div(%x, %c)"
            " output out = %z",
            "input %x : float32[3] %c = Constant() {value=float32[](1e-45)} %z = Div(%x, %c)"
            " output out = %z",
        ),
        # Transposes at every side of a product vanish in the equation.
        (
            "input %a : float32[4, batch] input %b : float32[5, 4]"
            " %s = Transpose(%a) {permutation=[1, 0]} %t = Transpose(%b) {permutation=[1, 0]}"
            ' %m = Einsum(%s, %t) {equation="bi,io->bo"} %z = Transpose(%m) {permutation=[1, 0]}'
            " output out = %z",
            "input %a : float32[4, batch] input %b : float32[5, 4]"
            ' %z = Einsum(%a, %b) {equation="ib,oi->ob"} output out = %z',
        ),
    ],
)
def test_rules_work_together(body: str, expected: str) -> None:
    before = graph_of(body)
    after = simplify(before)
    assert as_text(after) == as_text(graph_of(expected))
    assert_same_values(before, after)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int8", "int64", "uint32"])
@pytest.mark.parametrize("shape", ["", "1", "0", "1, 4", "2, 0, 3"])
def test_neutral_numbers_of_every_type_and_shape(dtype: str, shape: str) -> None:
    zero, one = ("0.0", "1.0") if "float" in dtype else ("0", "1")
    graph = graph_of(
        f"input %x : {dtype}[{shape}] %o = Constant() {{value={dtype}[]({one})}}"
        f" %z = Constant() {{value={dtype}[]({zero})}} %a = Mul(%o, %x) %b = Add(%z, %a)"
        " %c = Sub(%b, %z) output out = %c"
    )
    after = simplify(graph)
    assert after.nodes == []
    assert_same_values(graph, after)
