"""Channels move to the front, and images are transposed once at most."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable

import numpy as np
import pytest

from graphc.ir import Graph, TensorType, Value, as_text, parse, symbol
from graphc.ir.verify import verify
from graphc.ops.activation import HardSigmoid
from graphc.ops.conv import Conv, ConvTranspose
from graphc.ops.elementwise import Add, Relu, Where
from graphc.ops.linalg import Einsum
from graphc.ops.movement import (
    Concat,
    Expand,
    Pad,
    Reshape,
    Reverse,
    Size,
    Slice,
    Split,
    Transpose,
)
from graphc.ops.nn import BatchNormalization, LayerNormalization, Softmax
from graphc.ops.pool import AveragePool, MaxPool
from graphc.ops.reduce import ArgMax, ReduceMax, ReduceMean, ReduceSum
from graphc.passes import Report, layout, simplify
from graphc.passes.layout import channels_first
from graphc.reference import evaluate

BATCH = symbol("batch")


def documented() -> tuple[str, str]:
    blocks = re.findall(r"(?:Before|After)::\n\n((?:    .*\n|\n)+)", layout.__doc__ or "")
    before, after = (textwrap.dedent(block).strip() for block in blocks)
    return before, after


def test_docstring() -> None:
    before, after = documented()
    assert as_text(parse(before)) == before
    result = channels_first(parse(before))
    verify(result)
    assert as_text(result) == after


def conv(x: Value, kernel: Value, stride: int = 1) -> Value:
    count = x.rank - 2
    return Conv(strides=(stride,) * count, padding=((1, 1),) * count, dilations=(1,) * count)(
        x, kernel
    )


class Builder:
    """A graph whose weights are inputs too."""

    def __init__(self) -> None:
        self.graph = Graph("g")
        self.weights = 0

    def image(self, *shape: int, name: str = "x") -> Value:
        return self.graph.input(name, TensorType((BATCH, *shape), "float32"))

    def weight(self, *shape: int) -> Value:
        self.weights += 1
        return self.graph.input(f"w{self.weights}", TensorType(shape, "float32"))


def check(graph: Graph) -> Graph:
    """The graph with channels first, which computes the same."""
    verify(graph)
    result = simplify(channels_first(graph))
    verify(result)
    rng = np.random.default_rng(0)
    for rows in (1, 3):
        data = {
            value.name: rng.normal(size=[rows if d == BATCH else d for d in value.shape]).astype(
                np.float32
            )
            for value in graph.inputs
        }
        expected, received = evaluate(graph, data), evaluate(result, data)
        assert list(expected) == list(received)
        for name, array in expected.items():
            assert received[name].dtype == array.dtype
            np.testing.assert_allclose(received[name], array, 1e-4, 1e-5, err_msg=name)
    return result


def names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes if node.op.name != "Constant"]


def image_transposes(graph: Graph) -> int:
    """Transposes of what depends on the image; those of weights are done while exporting."""
    moving = {value for value in graph.inputs if not value.name.startswith("w")}
    count = 0
    for node in graph.nodes:
        if not moving.isdisjoint(node.inputs):
            moving.update(node.outputs)
            count += node.op.name == "Transpose"
    return count


def test_a_classifier_keeps_one_transpose() -> None:
    b = Builder()
    y = Relu()(conv(b.image(8, 8, 3), b.weight(3, 3, 3, 4)) + b.weight(4))
    y = MaxPool(window=(2, 2), strides=(2, 2), padding=((0, 0), (0, 0)))(y)
    y = conv(y, b.weight(3, 3, 4, 5), stride=2)
    y = BatchNormalization(3)(y, *[abs_weight(b.weight(5)) for _ in range(4)])
    y = Relu()(Reshape((BATCH, 20))(y))
    y = BatchNormalization(1)(y, *[abs_weight(b.weight(20)) for _ in range(4)])
    y = y * b.weight(20) + b.weight(1, 20)
    b.graph.outputs["y"] = Einsum("bi,io->bo")(y, b.weight(20, 6))
    assert image_transposes(check(b.graph)) == 1


def abs_weight(x: Value) -> Value:
    return x * x + 0.5


def test_images_out_need_another_one() -> None:
    b = Builder()
    x = b.image(8, 8, 3)
    up = ConvTranspose(strides=(2, 2), padding=((0, 1), (0, 1)), dilations=(1, 1), spatial=(8, 8))(
        conv(x, b.weight(3, 3, 3, 4), stride=2), b.weight(3, 3, 5, 4)
    )
    b.graph.outputs["y"] = Concat(3)(up, x)
    result = check(b.graph)
    assert image_transposes(result) == 2
    assert names(result)[-1] == "Transpose"


def test_a_residual_block_on_the_input() -> None:
    b = Builder()
    x = b.image(6, 6, 4)
    y = Relu()(Add()(x, conv(Relu()(conv(x, b.weight(3, 3, 4, 4))), b.weight(3, 3, 4, 4))))
    b.graph.outputs["y"] = ReduceMean((1, 2))(y)
    assert image_transposes(check(b.graph)) == 1


def test_one_channel_needs_none() -> None:
    b = Builder()
    y = conv(b.image(8, 8, 1), b.weight(3, 3, 1, 4))
    b.graph.outputs["y"] = ReduceMax((1, 2))(y)
    assert image_transposes(check(b.graph)) == 0


@pytest.mark.parametrize("spatial", [(7,), (5, 6), (3, 4, 5)])
def test_any_number_of_spatial_axes(spatial: tuple[int, ...]) -> None:
    b = Builder()
    y = conv(b.image(*spatial, 2), b.weight(*(3,) * len(spatial), 2, 3))
    window = (2,) * len(spatial)
    padding = ((0, 0),) * len(spatial)
    y = AveragePool(window=window, strides=window, padding=padding)(y)
    b.graph.outputs = {"y": y, "flat": Reshape((BATCH, int(np.prod(y.shape[1:]))))(y)}
    result = check(b.graph)
    assert all(node.op.layout == "first" for node in result.nodes if hasattr(node.op, "layout"))


FOLLOWERS: dict[str, Callable[[Value], Value]] = {
    "activation": HardSigmoid(),
    "argmax": ArgMax(3),
    "argmax over rows": ArgMax(1),
    "broadcast": lambda y: y * y.graph.constant(np.arange(6.0, dtype=np.float32).reshape(6, 1)),
    "concat": lambda y: Concat(2)(y, y * 2.0),
    "expand": lambda y: Expand((BATCH, 5, 6, 4))(ReduceSum((3,), True)(y)),
    "layer normalization": lambda y: LayerNormalization((3,))(
        y, y.graph.constant(np.ones(4, np.float32)), y.graph.constant(np.zeros(4, np.float32))
    ),
    "matrix product": lambda y: Einsum("bhwc,co->bhwo")(
        y, y.graph.constant(np.ones((4, 2), np.float32))
    ),
    "mean of channels": ReduceMean((3,)),
    "mean of rows": ReduceMean((1,)),
    "mean that keeps": ReduceMean((1, 3), True),
    "pad": Pad((0, 1, 2, 0), (0, 0, 1, 3), (), 1.0),
    "pad between": Pad((0, 0, 0, 1), (0, 0, 0, 0), (0, 1, 2, 0)),
    "reshape": Reshape((BATCH, 30, 4)),
    "reverse": Reverse((1, 3)),
    "scalar from the right": lambda y: 1.0 - y,
    "size": lambda y: y * Size((1, 3), "float32")(y),
    "slice": Slice((0, 1, 0, 2), (BATCH, 5, 6, 4), (1, 2, 1, 1)),
    "softmax": Softmax(3),
    "split": lambda y: Concat(1)(*Split(3, 2)(y)),
    "sum of all": ReduceSum((0, 1, 2, 3)),
    "transpose": Transpose((0, 2, 1, 3)),
    "transpose that undoes": Transpose((0, 3, 1, 2)),
    "where": lambda y: Where()(y > 0.0, y, y * 0.1),
}


@pytest.mark.parametrize("follower", FOLLOWERS)
def test_what_follows_computes_the_same(follower: str) -> None:
    b = Builder()
    y = conv(b.image(5, 6, 3), b.weight(3, 3, 3, 4))
    end = FOLLOWERS[follower](y)
    b.graph.outputs = {"y": end, "more": end + 1 if end.dtype != "bool" else end}
    check(b.graph)


UNTOUCHED = ("layer normalization", "matrix product", "reshape")


@pytest.mark.parametrize("follower", [name for name in FOLLOWERS if name not in UNTOUCHED])
def test_what_follows_needs_no_transpose_of_its_own(follower: str) -> None:
    b = Builder()
    y = FOLLOWERS[follower](conv(b.image(5, 6, 3), b.weight(3, 3, 3, 4)))
    b.graph.outputs["y"] = ReduceSum(tuple(range(y.rank)))(y)
    assert image_transposes(check(b.graph)) == 1


def test_a_flattened_image_that_is_shown_is_put_in_order() -> None:
    b = Builder()
    y = conv(b.image(4, 4, 2), b.weight(3, 3, 2, 3))
    flat = Reshape((BATCH, 48))(y)
    b.graph.outputs = {"flat": flat, "sum": ReduceSum((1,))(flat), "half": flat * 0.5 + flat}
    check(b.graph)


def test_flattening_an_open_size_goes_the_plain_way() -> None:
    b = Builder()
    time = symbol("time")
    x = b.graph.input("x", TensorType((BATCH, time, 2), "float32"))
    y = conv(x, b.weight(3, 2, 3))
    b.graph.outputs["y"] = Reshape((BATCH, time * 3))(y)
    result = channels_first(b.graph)
    verify(result)
    rng = np.random.default_rng(1)
    data = {
        "x": rng.normal(size=(2, 5, 2)).astype(np.float32),
        "w1": rng.normal(size=(3, 2, 3)).astype(np.float32),
    }
    expected = evaluate(b.graph, data)["y"]
    np.testing.assert_allclose(evaluate(result, data)["y"], expected, 1e-5, 1e-6)


def test_graphs_without_images_stay_as_they_are() -> None:
    graph = parse(
        'graph "g" { input %x : float32[batch, 4] input %w : float32[4, 2] %y = Relu(%x)'
        ' %z = Einsum(%y, %w) {equation="bi,io->bo"} output z = %z }'
    )
    assert as_text(channels_first(graph)) == as_text(graph)


def test_what_was_turned_is_reported() -> None:
    report = Report()
    channels_first(parse(documented()[0]), report)
    assert report.applied == ["channels of Conv first", "channels of ReduceMean first"]
