"""Scans with random bodies: their gradients, and that merging and pruning change no value."""

import random

import numpy as np
import pytest

from graphc import reference
from graphc.autodiff import gradients
from graphc.ir import Graph, TensorType
from graphc.ir.verify import verify
from graphc.ops.control import scan
from graphc.ops.elementwise import Sigmoid, Sin, Tanh
from graphc.ops.linalg import Einsum
from graphc.ops.movement import Concat, Expand, Split
from graphc.ops.reduce import ReduceSum
from graphc.passes import Decompose, share_common
from graphc.passes.hoist import hoist
from graphc.passes.merge_scans import merge_scans
from graphc.passes.prune_scans import prune_scans

ROWS, SIZE = 3, 2


def total(value):
    return ReduceSum(tuple(range(value.rank)))(value)


def swapped(x):
    first, second = Split(1, 2)(x)
    return Concat(1)(second, first)


def random_step(draw, outputs):
    """A body that wires its inputs together at random, some of them not at all."""

    def step(carries, slices, constants):
        pool = [*carries, *slices]
        matrices = [value for value in constants if value.rank == 2]
        small = [value for value in constants if value.rank < 2]
        choices = [
            lambda: Tanh()(draw.choice(pool)),
            lambda: Sigmoid()(draw.choice(pool)),
            lambda: draw.choice(pool) * draw.choice(pool),
            lambda: draw.choice(pool) + draw.choice(pool),
            lambda: swapped(draw.choice(pool)),
            lambda: Expand((ROWS, SIZE))(ReduceSum((0,), keep=True)(draw.choice(pool)) * 0.3),
        ]
        if matrices:
            choices.append(
                lambda: Tanh()(Einsum("bi,io->bo")(draw.choice(pool), draw.choice(matrices)))
            )
        if small:
            choices.append(lambda: Sin()(draw.choice(pool) * draw.choice(small)))
            choices.append(lambda: Tanh()(draw.choice(pool) + draw.choice(small)))
        for _ in range(draw.randint(1, 6)):
            pool.append(draw.choice(choices)())
        pool.append(pool[0].graph.constant(np.full((ROWS, SIZE), 0.3)))
        return [draw.choice(pool[-4:]) for _ in carries], [
            draw.choice(pool) for _ in range(outputs)
        ]

    return step


def random_program(seed):
    """A graph with a random scan, a scalar that depends on it, and arrays for the inputs."""
    draw, rng = random.Random(seed), np.random.default_rng(seed)
    steps = draw.choice([0, 1, 3])
    graph, arrays = Graph("random"), {}

    def inputs(name, shapes):
        values = []
        for i, shape in enumerate(shapes):
            arrays[f"{name}{i}"] = 0.6 * rng.normal(size=shape)
            values.append(graph.input(f"{name}{i}", TensorType(shape, "float64")))
        return values

    carries = inputs("carry", [(ROWS, SIZE)] * draw.randint(1, 3))
    sequences = inputs("sequence", [(steps, ROWS, SIZE)] * draw.randint(0, 2))
    shapes = [draw.choice([(SIZE, SIZE), (SIZE,), ()]) for _ in range(draw.randint(0, 3))]
    constants = inputs("constant", shapes)
    finals, stacks = scan(
        random_step(draw, outputs=draw.randint(0, 3)),
        carries,
        sequences,
        constants,
        reverse=draw.random() < 0.4,
        steps=None if sequences else steps,
    )
    result = graph.constant(0.0)
    for i, value in enumerate([*finals, *stacks]):
        if i == 0 or draw.random() < 0.7:
            result = result + total(Sin()(value) * graph.constant(rng.normal(size=value.shape)))
    return graph, result, arrays


@pytest.mark.parametrize("seed", range(40))
def test_gradients_of_random_scans_and_their_merging(seed):
    graph, result, arrays = random_program(seed)
    rng = np.random.default_rng(seed)
    directions = {name: rng.normal(size=array.shape) for name, array in arrays.items()}
    levels = [result]
    for _ in range(2):
        level = graph.constant(0.0)
        for x, dx in zip(graph.inputs, gradients(levels[-1], graph.inputs), strict=True):
            if dx is not None:
                level = level + total(dx * graph.constant(directions[x.name]))
        levels.append(level)
    graph.outputs = {f"order{i}": level for i, level in enumerate(levels)}

    def at(step):
        moved = {name: array + step * directions[name] for name, array in arrays.items()}
        return reference.evaluate(graph, moved)

    h = 1e-4
    here, (up, down), (far_up, far_down) = at(0.0), (at(h), at(-h)), (at(2 * h), at(-2 * h))
    for i in range(2):
        name = f"order{i}"
        difference = 8 * (up[name] - down[name]) - (far_up[name] - far_down[name])
        np.testing.assert_allclose(here[f"order{i + 1}"], difference / (12 * h), 1e-6, 1e-6)

    lowered = graph
    for transform in (Decompose(), share_common, merge_scans, hoist, prune_scans, share_common):
        lowered = transform(lowered)
        verify(lowered)
    after = reference.evaluate(lowered, arrays)
    for name, value in here.items():
        np.testing.assert_allclose(after[name], value, 1e-10, 1e-10)
