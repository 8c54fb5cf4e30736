"""Scans, conditionals and loops: values, gradients of any order, errors."""

import numpy as np
import pytest

from graphc import reference
from graphc.autodiff import gradients
from graphc.errors import DTypeError, GraphError, ShapeError, UnsupportedError
from graphc.ir import Graph, TensorType, symbol
from graphc.ir.graph import extract
from graphc.ops.control import Cond, Scan, WhileLoop, cond, scan, while_loop
from graphc.ops.elementwise import Exp, Sigmoid, Sin, Tanh, Where
from graphc.ops.linalg import Einsum
from graphc.ops.reduce import ReduceSum


def total(value):
    return ReduceSum(tuple(range(value.rank)))(value)


def float64(*shape):
    return TensorType(shape, "float64")


def evaluate(graph, **arrays):
    return reference.evaluate(graph, {name: np.asarray(a) for name, a in arrays.items()})


def check_gradients(graph, result, arrays, order=2):
    """Derivatives along a random direction up to an order, against central differences."""
    rng = np.random.default_rng(0)
    wrt = [value for value in graph.inputs if value.dtype == "float64"]
    directions = {value.name: rng.normal(size=arrays[value.name].shape) for value in wrt}
    levels = [result]
    for _ in range(order):
        slopes = [
            total(dx * graph.constant(directions[x.name]))
            for x, dx in zip(wrt, gradients(levels[-1], wrt), strict=True)
            if dx is not None
        ]
        level = slopes[0]
        for slope in slopes[1:]:
            level = level + slope
        levels.append(level)
    graph.outputs = {f"order{i}": level for i, level in enumerate(levels)}

    def at(step):
        moved = {n: a + step * directions[n] if n in directions else a for n, a in arrays.items()}
        return evaluate(graph, **moved)

    h = 1e-4
    here, near, far = at(0.0), (at(h), at(-h)), (at(2 * h), at(-2 * h))
    for i in range(order):
        name = f"order{i}"
        difference = 8 * (near[0][name] - near[1][name]) - (far[0][name] - far[1][name])
        np.testing.assert_allclose(here[f"order{i + 1}"], difference / (12 * h), 1e-7, 1e-8)


# ------------------------------------------------------------------------------------------ scan


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_runs_the_body_step_by_step(reverse):
    graph = Graph("test")
    start, numbers = graph.input("start", float64()), graph.input("numbers", float64(4))
    (last,), (before, doubled) = scan(
        lambda c, s, _: ([c[0] + s[0]], [c[0], s[0] * 2.0]), [start], [numbers], reverse=reverse
    )
    graph.outputs = {"last": last, "before": before, "doubled": doubled}
    result = evaluate(graph, start=10.0, numbers=[1.0, 2.0, 3.0, 4.0])
    assert result["last"] == 20
    assert result["before"].tolist() == ([19, 17, 14, 10] if reverse else [10, 11, 13, 16])
    assert result["doubled"].tolist() == [2, 4, 6, 8]


def test_scan_with_a_symbolic_number_of_steps_and_with_none():
    graph = Graph("test")
    start = graph.input("start", float64(symbol("batch")))
    rows = graph.input("rows", float64(symbol("time"), symbol("batch")))
    (last,), (sums,) = scan(lambda c, s, _: ([c[0] + s[0]], [c[0] + s[0]]), [start], [rows])
    assert sums.shape == (symbol("time"), symbol("batch"))
    dstart, drows = gradients(total(last * last), [start, rows])
    graph.outputs = {"last": last, "sums": sums, "dstart": dstart, "drows": drows}
    rows = np.arange(6.0).reshape(3, 2)
    result = evaluate(graph, start=[1.0, 2.0], rows=rows)
    np.testing.assert_array_equal(result["sums"], np.cumsum(rows, 0) + [1, 2])
    np.testing.assert_array_equal(result["drows"], np.tile(2 * result["last"], (3, 1)))
    empty = evaluate(graph, start=[1.0, 2.0], rows=np.zeros((0, 2)))
    assert empty["last"].tolist() == [1, 2]
    assert empty["dstart"].tolist() == [2, 4]
    assert empty["sums"].shape == empty["drows"].shape == (0, 2)


def test_scan_without_sequences_counts_its_steps():
    graph = Graph("test")
    x = graph.input("x", float64())
    (power,), _ = scan(lambda c, _, k: ([c[0] * k[0]], []), [x], [], [x], steps=3)
    (slope,) = gradients(power, [x])
    graph.outputs = {"power": power, "slope": slope}
    result = evaluate(graph, x=2.0)
    assert (result["power"], result["slope"]) == (16, 32)


def recurrent(graph, steps=4, batch=2, units=3):
    """A small network with everything at once; a scalar, and arrays for its inputs."""
    rng = np.random.default_rng(1)
    shapes = {
        "h": (batch, units),
        "x": (steps, batch, units),
        "kernel": (units, units),
        "bias": (units,),
        "scale": (),
    }
    arrays = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    h, x, *constants = (graph.input(name, float64(*shape)) for name, shape in shapes.items())

    def step(carries, slices, constants):
        kernel, bias, scale = constants
        z = Einsum("bi,io->bo")(carries[0], kernel) + slices[0] + bias
        after = Tanh()(z)
        return [after, carries[1] + scale * total(after * slices[0])], [Exp()(z) * scale, slices[0]]

    start = graph.constant(0.5)
    (h, collected), (stacked, _) = scan(step, [h, start], [x], constants)
    return total(h * h) + collected * collected + total(stacked), arrays


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_gradients_of_a_scan_up_to_third_order(steps):
    graph = Graph("test")
    result, arrays = recurrent(graph, steps)
    check_gradients(graph, result, arrays, order=3)


def test_gradient_of_a_scan_in_a_scan():
    graph = Graph("test")
    x = graph.input("x", float64(3, 4))
    weight = graph.input("weight", float64())

    def outer(carries, slices, constants):
        inner = scan(
            lambda c, s, k: ([Sin()(c[0] * k[0] + s[0])], [c[0]]), carries, slices, constants
        )
        return inner[0], [total(inner[1][0])]

    (last,), (sums,) = scan(outer, [weight * weight], [x], [weight])
    rng = np.random.default_rng(2)
    arrays = {"x": rng.normal(size=(3, 4)), "weight": np.array(0.7)}
    check_gradients(graph, last + total(sums * sums), arrays)


def test_gradient_through_carries_that_only_reach_the_result_later():
    graph = Graph("test")
    x = graph.input("x", float64(5))
    zero = graph.constant(0.0)
    # The first carry reaches the last one after two more steps.
    (*_, last), _ = scan(lambda c, s, _: ([s[0], c[0] * c[0], c[1]], []), [zero, zero, zero], [x])
    (dx,) = gradients(last, [x])
    graph.outputs = {"last": last, "dx": dx}
    result = evaluate(graph, x=[1.0, 2.0, 3.0, 4.0, 5.0])
    assert result["last"] == 9
    assert result["dx"].tolist() == [0, 0, 6, 0, 0]


def test_no_gradient_leads_through_integers():
    graph = Graph("test")
    x, n = graph.input("x", float64()), graph.input("n", TensorType((3,), "int64"))
    (y, count), _ = scan(lambda c, s, _: ([c[0], c[1] + s[0]], []), [x, n.graph.constant(0)], [n])
    assert count.dtype == "int64"
    dx, dn = gradients(y, [x, n])
    assert dx is not None
    assert dn is None


def test_kernel_gradient_is_one_contraction_after_the_loop():
    graph = Graph("test")
    h, x = graph.input("h", float64(2, 3)), graph.input("x", float64(4, 2, 3))
    kernel, bias = graph.input("kernel", float64(3, 3)), graph.input("bias", float64(3))

    def step(carries, slices, constants):
        z = Einsum("bi,io->bo")(carries[0], constants[0]) + slices[0] + constants[1]
        return [Tanh()(z)], []

    (last,), _ = scan(step, [h], [x], [kernel, bias])
    dkernel, dbias = gradients(total(last), [kernel, bias])
    assert dkernel.op == Einsum("tbo,tbi->io") or dkernel.op == Einsum("tbi,tbo->io")
    assert dbias.op == ReduceSum((0, 1))
    back = [node.op for node in graph.nodes if node.op.name == "Scan"][-1]
    assert back.carries == 1, "the constants' gradients do not travel through the loop"
    assert [node.op.name for node in back.body.nodes].count("Einsum") == 1


def test_only_what_is_dear_is_remembered():
    graph = Graph("test")
    h, x = graph.input("h", float64(3)), graph.input("x", float64(4, 3))

    def step(carries, slices, _):
        gate = Sigmoid()(slices[0])
        mixed = carries[0] * gate + slices[0]
        return [Where()(mixed > 0.0, mixed * mixed, mixed * 0.5)], []

    (last,), _ = scan(step, [h], [x])
    gradients(total(last), [h, x])
    forward = [node.op for node in graph.nodes if node.op.name == "Scan"][1]
    saved = list(forward.body.outputs.values())[forward.carries :]
    # The carry and the exponential; the products and the choice are computed anew.
    assert [value.op.name if value.op else value.name for value in saved] == ["x0", "Sigmoid"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"carries": 1, "sequences": 1},
            r"takes float64\[3\], float64\[3\], not float64\[3\], flo",
        ),
        ({"carries": 2, "sequences": 0}, "without sequences needs the number of steps"),
        ({"carries": 0, "sequences": 2}, "differ in length: 3, 4"),
        ({"carries": 1, "sequences": 2}, "1 carries and 2 sequences"),
    ],
)
def test_errors_of_scan(arguments, message):
    body = Graph("body")
    a, b = body.input("a", float64(3)), body.input("b", float64(3))
    body.outputs = {"a": a + b}
    with pytest.raises(ShapeError, match=message):
        Scan(body, **arguments).infer(float64(3), float64(4, 2))


def test_carries_keep_their_types():
    graph = Graph("test")
    x, rows = graph.input("x", float64(3)), graph.input("rows", float64(5, 2, 3))
    with pytest.raises(ShapeError, match=r"carries keep their types: float64\[3\], not float64\[2"):
        scan(lambda c, s, _: ([c[0] + s[0]], []), [x], [rows])
    with pytest.raises(DTypeError, match=r"carries keep their types: float64\[3\], not bool\[3\]"):
        scan(lambda c, s, _: ([c[0] > 0.0], []), [x], [rows])
    with pytest.raises(ShapeError, match="cut a scalar into steps"):
        scan(lambda c, s, _: (c, []), [x], [graph.input("scalar", float64())])


# --------------------------------------------------------------------------- conditionals and loops


def test_cond_runs_one_branch():
    graph = Graph("test")
    x, y = graph.input("x", float64(3)), graph.input("y", float64())
    a, b = cond(
        total(x) > y,
        lambda x, y: (x * y, Exp()(y)),
        lambda x, y: (x - y, y),
        x,
        y,
    )
    result = total(a * a) * b
    dx, dy = gradients(result, [x, y])
    graph.outputs = {"result": result, "dx": dx, "dy": dy}
    positive = evaluate(graph, x=[1.0, 2.0, 3.0], y=2.0)
    np.testing.assert_allclose(positive["dx"], 2 * np.array([1, 2, 3]) * 4 * np.exp(2))
    negative = evaluate(graph, x=[-1.0, 2.0, 0.0], y=2.0)
    np.testing.assert_allclose(negative["dx"], 2 * np.array([-3, 0, -2]) * 2)
    np.testing.assert_allclose(negative["dy"], 13 - 2 * -5 * 2)


@pytest.mark.parametrize("y", [-9.0, 9.0])
def test_gradients_of_cond_up_to_third_order(y):
    graph = Graph("test")
    x, threshold = graph.input("x", float64(3)), graph.input("threshold", float64())
    (result,) = cond(
        total(x) > threshold,
        lambda x, t: (total(x * x * x) * t,),
        lambda x, t: (total(Sin()(x)) + t * 2.0,),
        x,
        threshold,
    )
    arrays = {"x": np.array([0.3, -1.2, 2.0]), "threshold": np.array(y)}
    check_gradients(graph, result * result, arrays, order=3)


def test_errors_of_cond():
    graph = Graph("test")
    x = graph.input("x", float64(3))
    with pytest.raises(DTypeError, match=r"bool scalar, not bool\[3\]"):
        cond(x > 0.0, lambda x: (x,), lambda x: (x,), x)
    with pytest.raises(ShapeError, match=r'"otherwise" has to give the types of "then"'):
        cond(total(x) > 0.0, lambda x: (x,), lambda x: (total(x),), x)
    with pytest.raises(ShapeError, match=r'the branch "then" takes float64\[3\], not nothing'):
        Cond(*[extract(graph, "branch", {"x": x}, {"y": x})] * 2).infer(TensorType((), "bool"))


def test_while_loop_runs_until_the_condition_fails():
    graph = Graph("test")
    x = graph.input("x", float64())
    steps, power = while_loop(
        lambda n, p: p < 100.0, lambda n, p: (n + 1, p * 2.0), graph.constant(0), x
    )
    graph.outputs = {"steps": steps, "power": power}
    assert [float(v) for v in evaluate(graph, x=3.0).values()] == [6, 192]
    assert [float(v) for v in evaluate(graph, x=300.0).values()] == [0, 300]
    with pytest.raises(UnsupportedError, match="maximum_iterations"):
        gradients(power, [x])


def test_errors_of_while_loop():
    graph = Graph("test")
    x = graph.input("x", float64(3))
    with pytest.raises(DTypeError, match=r"condition gives bool\[\], not float64\[3\]"):
        while_loop(lambda x: x, lambda x: (x,), x)
    with pytest.raises(ShapeError, match="carries keep their types"):
        while_loop(lambda x: total(x) > 0.0, lambda x: (total(x),), x)


# ---------------------------------------------------------------------------------- graphs in ops


def test_bodies_compare_by_structure_and_take_sizes():
    def op(factor, batch):
        body = Graph("body")
        x = body.input("x", float64(batch))
        body.outputs = {"y": x * factor}
        return Scan(body, 1, 0, steps=batch)

    batch = symbol("batch")
    assert op(2.0, batch) == op(2.0, batch)
    assert hash(op(2.0, batch)) == hash(op(2.0, batch))
    assert op(2.0, batch) != op(3.0, batch)
    assert op(2.0, batch).substitute({"batch": 7}) == op(2.0, 7)
    assert op(2.0, 7).map_bodies(lambda body: op(3.0, 7).body) == op(3.0, 7)
    assert WhileLoop(op(2.0, 7).body, op(3.0, 7).body).bodies[1] == op(3.0, 7).body


def test_extract_takes_a_part_of_a_graph():
    graph = Graph("whole")
    x, y = graph.input("x", float64(3)), graph.input("y", float64(3))
    middle = x * y
    part = extract(graph, "part", {"middle": middle, "x": x}, {"z": middle + x, "middle": middle})
    assert [value.name for value in part.inputs] == ["middle", "x"]
    assert [node.op.name for node in part.nodes] == ["Add"]
    with pytest.raises(GraphError, match='"part" depends on <%y'):
        extract(graph, "part", {"x": x}, {"z": middle})
