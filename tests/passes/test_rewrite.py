"""The rewriter itself: patterns, replacements, reports, sub-graphs, speed of growth."""

from __future__ import annotations

import pytest

from graphc.errors import GraphError
from graphc.ir import Graph, Location, TensorType, as_text, parse
from graphc.ops.elementwise import Cast, Exp, Neg
from graphc.passes import Report, simplify
from graphc.passes.rewrite import Rule, rewrite

NEGATION = Rule("double negation", "Neg(Neg(x))", "x")


def body(text: str) -> Graph:
    return parse(f'graph "g" {{ {text} }}')


def chain(length: int) -> Graph:
    graph = Graph("chain")
    x = graph.input("x", TensorType((3,), "float32"))
    for _ in range(length):
        x = Neg()(x)
    graph.outputs["y"] = x
    return graph


@pytest.mark.parametrize("length", [0, 1, 2, 3, 7, 2000])
def test_one_walk_reaches_the_fixpoint(length: int) -> None:
    assert len(rewrite(chain(length), (NEGATION,)).nodes) == length % 2


def test_report_counts_and_says_where() -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType((3,), "float32"))
    with graph.at(Location("hidden", "train.py", 3)):
        graph.outputs["y"] = Neg()(Neg()(Neg()(Neg()(x))))
    report = Report()
    rewrite(graph, (NEGATION,), report)
    assert str(report) == 'applied double negation (layer "hidden", train.py:3), 2 times'


def test_first_rule_that_is_not_refused_is_applied() -> None:
    never = Rule("never", "Exp(x)", "x", refuse=lambda match: "it is not allowed")
    unmet = Rule("unmet", "Exp(x)", "x", when=lambda match: False)
    first = Rule("first", "Exp(x)", "Tanh(x)")
    second = Rule("second", "Exp(x)", "Sin(x)")
    report = Report()
    graph = body("input %x : float32[3] %y = Exp(%x) output y = %y")
    result = rewrite(graph, (never, unmet, first, second), report)
    assert [node.op.name for node in result.nodes] == ["Tanh"]
    assert report.applied == ["first"]
    assert report.refused == {"never": "it is not allowed"}
    assert str(report) == "refused never: it is not allowed\napplied first"


def test_a_name_twice_is_the_same_value() -> None:
    rule = Rule("same", "Sub(x, x)", "Exp(x)")
    graph = body(
        "input %x : float32[3] input %y : float32[3] %a = Sub(%x, %y) %b = Sub(%x, %x)"
        " output a = %a output b = %b"
    )
    assert [node.op.name for node in rewrite(graph, (rule,)).nodes] == ["Sub", "Exp"]


def test_numbers_match_scalar_constants_only() -> None:
    rule = Rule("two", "Mul(x, 2)", "Add(x, x)")
    for literal, name in (
        ("float32[](2.0)", "Add"),
        ("float32[1](2.0)", "Mul"),
        ("float32[](2.5)", "Mul"),
        ("float32[](nan)", "Mul"),
    ):
        graph = body(
            f"input %x : float32[3] %c = Constant() {{value={literal}}} %y = Mul(%x, %c)"
            " output y = %y"
        )
        assert rewrite(graph, (rule,)).nodes[-1].op.name == name


def test_a_class_of_ops_is_a_pattern() -> None:
    rule = Rule("no reductions", "Reduction(x)", lambda match: match["x"])
    graph = body("input %x : float32[1] %y = ReduceMax(%x) {axes=[0], keep=True} output y = %y")
    assert rewrite(graph, (rule,)).nodes == []


def test_broadcast_shapes_are_restored() -> None:
    rule = Rule("first", "Add(x, y)", "x")
    graph = body(
        "input %x : float32[3] input %y : float32[batch, 3] %z = Add(%x, %y) output z = %z"
    )
    assert as_text(rewrite(graph, (rule,))) == as_text(
        body(
            "input %x : float32[3] input %y : float32[batch, 3] %z = Expand(%x) {shape=[batch, 3]}"
            " output z = %z"
        )
    )


def test_replacements_of_another_type_are_refused() -> None:
    rule = Rule("wrong", "Exp(x)", lambda match: Cast("float64")(match["x"]))
    graph = body("input %x : float32[3] %y = Exp(%x) output y = %y")
    with pytest.raises(GraphError, match="a rule replaced float32.3. by float64.3."):
        rewrite(graph, (rule,))


def test_shared_values_are_known() -> None:
    rule = Rule(
        "unshared",
        "Neg(inner:Exp(x))",
        "Exp(x)",
        refuse=lambda match: "it is shared" if match.is_shared("inner") else None,
    )
    text = "input %x : float32[3] %e = Exp(%x) %n = Neg(%e) output n = %n"
    assert len(rewrite(body(text), (rule,)).nodes) == 1
    assert len(rewrite(body(text + " output e = %e"), (rule,)).nodes) == 2
    assert len(rewrite(body(text + " %t = Tanh(%e) output t = %t"), (rule,)).nodes) == 3
    # A use that nobody needs does not count.
    assert len(rewrite(body(text + " %t = Tanh(%e)"), (rule,)).nodes) == 1


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        ("Nag(x)", "x", 'there is no op "Nag"'),
        ("Neg(Nag(x))", "x", 'there is no op "Nag"'),
        ("Neg(x)", "Nag(x)", 'there is no op "Nag"'),
        ("Neg(x) Neg(y)", "x", "'Neg' is left over"),
        ("Neg(x + y)", "x", "is no pattern"),
    ],
)
def test_wrong_rules(pattern: str, replacement: str, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        rewrite(chain(1), (Rule("wrong", pattern, replacement),))


def test_subgraphs_are_rewritten() -> None:
    graph = parse(
        """graph "outer" {
          input %p : bool[]
          input %x : float32[3]
          %y = Cond(%p, %x) {
            then=graph "then" { input %x : float32[3] %a = Neg(%x) %b = Neg(%a) output y = %b },
            otherwise=graph "else" { input %x : float32[3] %a = Exp(%x) output y = %a }
          }
          output y = %y
        }"""
    )
    result = simplify(graph)
    (node,) = result.nodes
    assert node.op.then.nodes == []
    assert [inner.op for inner in node.op.otherwise.nodes] == [Exp()]
