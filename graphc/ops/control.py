"""Control flow as ops that hold graphs: scans, conditionals and loops.

A body sees nothing but its inputs: what it needs from outside is an operand of the op. `scan`,
`cond` and `while_loop` build bodies from Python functions.

Beside what `Op.onnx` says, the ONNX rules ask of their context:

* ``context.subgraph(graph, captures)``: the graph as the value of a graph attribute. ``captures``
  maps names of its inputs to ONNX names of the surrounding graph, which the subgraph then reads
  directly; the other inputs stay inputs, in order. Each output is a result of its own (an
  ``Identity`` where it is an input, a captured name, a constant or used twice);
* ``context.inline(graph, names)``: the graph's nodes among the surrounding ones, its inputs being
  ``names``; returns the names of its outputs;
* an empty name is an optional operand that is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError, ShapeError, UnsupportedError
from graphc.ir import (
    Graph,
    Node,
    Op,
    Sample,
    TensorType,
    Value,
    is_inexact,
    numpy_dtype,
    zeros_like,
)
from graphc.ir.dims import Dim
from graphc.ops.scan_gradient import scan_gradient

Values = Sequence[Value]


class Scan(Op):
    """Runs a body once for each step and hands carries from one step to the next.

    Operands are the initial carries, then the sequences, which are cut into steps along axis 0,
    then constants that each step sees whole. The body maps ``(carries, slices, constants)`` to
    ``(carries, step outputs)``. Results are the carries after the last step, then each step output
    stacked along axis 0. With no steps the carries come out as they went in.

    Args:
        body: What one step does.
        carries: How many carries there are.
        sequences: How many sequences there are.
        reverse: Whether to start at the end of the sequences; an output stays at its step's place.
        steps: The number of steps where there are no sequences; else None.
    """

    body: Graph
    carries: int
    sequences: int
    reverse: bool = False
    steps: Dim | None = None
    body_fields: ClassVar[tuple[str, ...]] = ("body",)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        count = self.step_count(types)
        loop = self.carries + self.sequences
        seen = [*types[: self.carries], *map(_slice, types[self.carries : loop]), *types[loop:]]
        check_types("the scan's body takes", [value.type for value in self.body.inputs], seen)
        results = [value.type for value in self.body.outputs.values()]
        check_types(
            "carries keep their types:", list(types[: self.carries]), results[: self.carries]
        )
        stacks = [type.with_shape((count, *type.shape)) for type in results[self.carries :]]
        return (*types[: self.carries], *stacks)

    def step_count(self, types: Sequence[TensorType]) -> Dim:
        """The number of steps, read off the types of the operands."""
        sequences = types[self.carries : self.carries + self.sequences]
        if len(sequences) < self.sequences:
            raise ShapeError(f"needs {self.carries} carries and {self.sequences} sequences")
        if any(type.rank == 0 for type in sequences):
            raise ShapeError("a scalar cannot be cut into steps")
        counts = [type.shape[0] for type in sequences]
        if self.steps is not None:
            counts.append(self.steps)
        if not counts:
            raise ShapeError("a scan without sequences needs the number of steps")
        if any(count != counts[0] for count in counts):
            raise ShapeError(f"the sequences differ in length: {', '.join(map(str, counts))}")
        return counts[0]

    def evaluate(self, *arrays: np.ndarray, run: Callable[..., Any]) -> tuple[np.ndarray, ...]:
        loop = self.carries + self.sequences
        carries, sequences = list(arrays[: self.carries]), arrays[self.carries : loop]
        count = len(sequences[0]) if sequences else int(self.steps)  # type: ignore[arg-type]
        types = [value.type for value in self.body.outputs.values()][self.carries :]
        stacks = [np.empty((count, *type.shape), numpy_dtype(type.dtype)) for type in types]
        for step in reversed(range(count)) if self.reverse else range(count):
            slices = [sequence[step] for sequence in sequences]
            results = run(self.body, [*carries, *slices, *arrays[loop:]])
            carries = list(results[: self.carries])
            for stack, result in zip(stacks, results[self.carries :], strict=True):
                stack[step] = result
        return (*carries, *stacks)

    def gradient(
        self, node: Node, *cotangents: Value | None, sweep: Callable[..., Any]
    ) -> Sequence[Value | None]:
        """A scan in the other direction; see `graphc.ops.scan_gradient`."""
        return scan_gradient(node, cotangents, sweep)

    def onnx(self, context: Any, node: Node, *names: str) -> Any:
        loop = self.carries + self.sequences
        body, operands, sequences = self.body, list(names[:loop]), self.sequences
        captured = [value.name for value in body.inputs[loop:]]
        if not sequences:  # ONNX counts steps by a sequence only
            body, sequences = _with_counter(body, self.carries), 1
            zero, one = (context.constant(np.array(number, np.int64)) for number in (0, 1))
            operands.append(context.node("Range", [zero, context.dim(self.steps), one]))
        directions = {"scan_input_directions": [int(self.reverse)] * sequences}
        if len(node.outputs) > self.carries:
            stacks = len(node.outputs) - self.carries
            directions["scan_output_directions"] = [int(self.reverse)] * stacks
        return context.node(
            "Scan",
            operands,
            outputs=len(node.outputs),
            body=context.subgraph(body, dict(zip(captured, names[loop:], strict=True))),
            num_scan_inputs=sequences,
            **directions,
        )

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(7)
        for dtype in ("float32", "float64"):
            for steps, batch, units in ((5, 3, 4), (1, 1, 1), (0, 2, 3)):
                h = rng.normal(size=(batch, units)).astype(dtype)
                x = rng.normal(size=(steps, batch, units)).astype(dtype)
                kernel = rng.normal(size=(units, units)).astype(dtype)
                for reverse in (False, True):
                    op = cls(_recurrent_body(h, kernel), 1, 1, reverse)
                    yield Sample(op, (h, x, kernel), portable=steps > 0)
        total, numbers = np.array(2, np.int64), np.arange(4)
        yield Sample(cls(_sum_body("int64"), 1, 1), (total, numbers))
        yield Sample(cls(_power_body(), 1, 0, steps=6), (np.array([1.1, 0.7]), np.array(0.9)))


class Cond(Op):
    """One of two graphs, chosen by a scalar; the other one does not run.

    Operands are the bool scalar, then the inputs of both graphs; results are those of the chosen
    one. The gradient is a conditional too, which computes the branch anew.

    Args:
        then: What is computed where the predicate holds.
        otherwise: What is computed where it does not.
    """

    then: Graph
    otherwise: Graph
    body_fields: ClassVar[tuple[str, ...]] = ("then", "otherwise")

    def infer(self, predicate: TensorType, *types: TensorType) -> tuple[TensorType, ...]:
        if predicate != TensorType((), "bool"):
            raise DTypeError(f"the predicate has to be a bool scalar, not {predicate}")
        for name, branch in (("then", self.then), ("otherwise", self.otherwise)):
            expected = [value.type for value in branch.inputs]
            check_types(f'the branch "{name}" takes', expected, types)
        results, others = ([value.type for value in b.outputs.values()] for b in self.bodies)
        check_types('"otherwise" has to give the types of "then":', results, others)
        return tuple(results)

    def evaluate(self, predicate: np.ndarray, *arrays: np.ndarray, run: Callable[..., Any]) -> Any:
        return run(self.then if predicate else self.otherwise, arrays)

    def gradient(
        self, node: Node, *cotangents: Value | None, sweep: Callable[..., Any]
    ) -> Sequence[Value | None]:
        predicate, *operands = node.inputs
        floats = [i for i, value in enumerate(operands) if is_inexact(value.dtype)]
        pulled = [pull_back(body, cotangents, floats, sweep) for body in self.bodies]
        wanted = [i for i in floats if any(found[i] is not None for _, found in pulled)]
        if not wanted:
            return [None] * len(node.inputs)
        for graph, found in pulled:
            for i in wanted:
                graph.outputs[f"gradient{i}"] = found[i] or zeros_like(graph.inputs[i])
        dys = [dy for dy in cotangents if dy is not None]
        gradients = Cond(pulled[0][0], pulled[1][0])(predicate, *operands, *dys)
        by_operand = dict(zip(wanted, gradients, strict=True))
        return [None, *[by_operand.get(i) for i in range(len(operands))]]

    def onnx(self, context: Any, node: Node, predicate: str, *names: str) -> Any:
        branches = [
            context.subgraph(body, {v.name: n for v, n in zip(body.inputs, names, strict=True)})
            for body in self.bodies
        ]
        return context.node(
            "If",
            [predicate],
            outputs=len(node.outputs),
            then_branch=branches[0],
            else_branch=branches[1],
        )

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for dtype in ("float32", "float64"):
            x, y = np.array([[0.5, -1.5, 2.0]], dtype), np.array([3.0, 0.25, 1.0], dtype)
            op = cls(_branch(x, y, product=True), _branch(x, y, product=False))
            for choice in (True, False):
                yield Sample(op, (np.array(choice), x, y))


class WhileLoop(Op):
    """Runs a body on its own results for as long as a condition holds.

    Operands and results are the carries. The way back needs the carries of every step, so there is
    a gradient only if the number of steps has a limit: it takes the steps anew in a `Scan`.

    Args:
        condition: Maps the carries to one bool scalar.
        body: Maps the carries to the next ones.
        limit: After how many steps the condition fails at the latest; None if nobody knows.
    """

    condition: Graph
    body: Graph
    limit: int | None = None
    body_fields: ClassVar[tuple[str, ...]] = ("condition", "body")

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        for name, graph in (("condition", self.condition), ("body", self.body)):
            check_types(f"the loop's {name} takes", [value.type for value in graph.inputs], types)
        verdict = [value.type for value in self.condition.outputs.values()]
        check_types("the loop's condition gives", [TensorType((), "bool")], verdict)
        results = [value.type for value in self.body.outputs.values()]
        check_types("carries keep their types:", types, results)
        return types

    def evaluate(self, *arrays: np.ndarray, run: Callable[..., Any]) -> tuple[np.ndarray, ...]:
        while run(self.condition, arrays)[0]:
            arrays = run(self.body, arrays)
        return arrays

    def gradient(
        self, node: Node, *cotangents: Value | None, sweep: Callable[..., Any]
    ) -> Sequence[Value | None]:
        if self.limit is None:
            place = f" ({node.location})" if str(node.location) else ""
            raise UnsupportedError(
                "WhileLoop has no gradient, because nobody knows its number of steps before it "
                "runs; give keras.ops.while_loop `maximum_iterations`, or use keras.ops.scan or "
                f"fori_loop{place}"
            )
        steps = Scan(self._step(), len(node.inputs), 0, steps=self.limit)(*node.inputs)
        return scan_gradient(steps[0].node, cotangents, sweep)

    def _step(self) -> Graph:
        """A step that leaves the carries as they are once the condition fails."""
        graph = Graph("step")
        carries = [graph.input(value.name, value.type) for value in self.body.inputs]
        (verdict,) = graph.inline(self.condition, carries).values()
        same = Graph("same")
        kept = [same.input(value.name, value.type) for value in self.body.inputs]
        same.outputs = {f"y{i}": value for i, value in enumerate(kept)}
        results = Cond(self.body, same)(verdict, *carries)
        graph.outputs = {f"y{i}": value for i, value in enumerate(results)}
        return graph

    def onnx(self, context: Any, node: Node, *names: str) -> Any:
        loop = Graph("loop")
        loop.input("iteration", TensorType((), "int64"))
        loop.input("running", TensorType((), "bool"))
        carries = [loop.input(f"carry{i}", value.type) for i, value in enumerate(node.inputs)]
        results = list(loop.inline(self.body, carries).values())
        (verdict,) = loop.inline(self.condition, results).values()
        loop.outputs = {"continue": verdict, **{f"carry{i}": v for i, v in enumerate(results)}}
        (running,) = context.inline(self.condition, names)
        return context.node(
            "Loop",
            ["", running, *names],
            outputs=len(node.outputs),
            body=context.subgraph(loop, {}),
        )

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for start in (1.0, 100.0):
            arrays = (np.array(start), np.array([1.0, 2.0]))
            types = [TensorType(array.shape, "float64") for array in arrays]
            condition = _trace("condition", types, lambda x, y: (x < 50.0,))
            body = _trace("body", types, lambda x, y: (x * 3.0, y + x))
            yield Sample(cls(condition, body), arrays, differentiable=False)
            yield Sample(cls(condition, body, 6), arrays)


# ------------------------------------------------------------------------- from Python functions


def scan(
    step: Callable[[list[Value], list[Value], list[Value]], tuple[Values, Values]],
    carries: Values,
    sequences: Values = (),
    constants: Values = (),
    *,
    reverse: bool = False,
    steps: Dim | None = None,
) -> tuple[list[Value], list[Value]]:
    """A `Scan` whose body is traced from a function.

    Args:
        step: Maps lists of carries, slices and constants to the new carries and the step outputs.
        carries: The initial carries.
        sequences: What is cut into steps along axis 0.
        constants: What each step sees whole.
        reverse: Whether to start at the end.
        steps: The number of steps, if there are no sequences.

    Returns:
        The final carries and the stacked step outputs.

    Example:
        >>> totals, running = scan(lambda c, s, k: ([c[0] + s[0]], [c[0]]), [zero], [numbers])
    """
    first, second = len(carries), len(carries) + len(sequences)

    def body(*values: Value) -> Values:
        inputs = list(values)
        after, outputs = step(inputs[:first], inputs[first:second], inputs[second:])
        return (*after, *outputs)

    operands = [*carries, *sequences, *constants]
    for value in sequences:
        if value.rank == 0:
            raise ShapeError(f"a scan cannot cut a scalar into steps: {value.type}")
    types = [value.type for value in operands]
    types[first:second] = [_slice(type) for type in types[first:second]]
    graph = _trace("step", types, body, operands[0].graph)
    op = Scan(graph, len(carries), len(sequences), reverse, None if sequences else steps)
    results = op(*operands)
    return list(results[:first]), list(results[first:])


def cond(
    predicate: Value,
    then: Callable[..., Values],
    otherwise: Callable[..., Values],
    *operands: Value,
) -> tuple[Value, ...]:
    """A `Cond` whose branches are traced from functions of the operands.

    Args:
        predicate: A bool scalar.
        then: Computes the results where it holds.
        otherwise: Computes them where it does not.
        *operands: What both functions are called with.
    """
    types = [value.type for value in operands]
    outer = predicate.graph
    branches = (_trace("then", types, then, outer), _trace("otherwise", types, otherwise, outer))
    return Cond(*branches)(predicate, *operands)


def while_loop(
    condition: Callable[..., Value], body: Callable[..., Values], *carries: Value
) -> tuple[Value, ...]:
    """A `WhileLoop` whose graphs are traced from functions of the carries."""
    types = [value.type for value in carries]
    outer = carries[0].graph
    test = _trace("condition", types, lambda *values: (condition(*values),), outer)
    return WhileLoop(test, _trace("body", types, body, outer))(*carries)


def _trace(
    name: str, types: Sequence[TensorType], function: Callable[..., Values], outer: Any = None
) -> Graph:
    graph = Graph(name)
    inputs = [graph.input(f"x{i}", type) for i, type in enumerate(types)]
    if outer is not None:
        graph.location = outer.location
    results = function(*inputs) if inputs else function(graph)
    graph.outputs = {f"y{i}": value for i, value in enumerate(results)}
    return graph


def _slice(type: TensorType) -> TensorType:
    return type.with_shape(type.shape[1:])


def check_types(what: str, expected: Sequence[TensorType], given: Sequence[TensorType]) -> None:
    """Refuse types that differ from those expected; ``what`` begins the message."""
    if list(expected) == list(given):
        return
    wanted, got = (", ".join(map(str, types)) or "nothing" for types in (expected, given))
    dtypes_fit = [t.dtype for t in expected] == [t.dtype for t in given]
    error = ShapeError if dtypes_fit or len(expected) != len(given) else DTypeError
    raise error(f"{what} {wanted}, not {got}")


def _with_counter(body: Graph, carries: int) -> Graph:
    """A body that also takes, and ignores, the number of its step as a slice."""
    result = Graph(body.name)
    inputs = {value.name: result.input(value.name, value.type) for value in body.inputs[:carries]}
    free = "step"
    while any(value.name == free for value in body.inputs):
        free += "_"
    result.input(free, TensorType((), "int64"))
    for value in body.inputs[carries:]:
        inputs[value.name] = result.input(value.name, value.type)
    result.outputs = result.inline(body, inputs)
    return result


def pull_back(
    body: Graph,
    cotangents: Sequence[Value | None],
    floats: Sequence[int],
    sweep: Callable[..., Any],
) -> tuple[Graph, dict[int, Value | None]]:
    """The body's gradient: a graph of its inputs and cotangents, and what it finds for each."""
    graph = Graph(f"{body.name}_gradient")
    inputs = [graph.input(f"x{i}", value.type) for i, value in enumerate(body.inputs)]
    results = list(graph.inline(body, inputs).values())
    seeds: dict[Value, Value] = {}
    for i, (value, dy) in enumerate(zip(results, cotangents, strict=True)):
        if dy is not None:
            seed = graph.input(f"dy{i}", value.type)
            seeds[value] = seeds[value] + seed if value in seeds else seed
    found = sweep(seeds, [inputs[i] for i in floats])
    return graph, dict(zip(floats, found, strict=True))


# ------------------------------------------------------------------------- bodies of the samples


def _recurrent_body(h: np.ndarray, kernel: np.ndarray) -> Graph:
    def step(carry: Value, x: Value, kernel: Value) -> Values:
        product = carry.graph.apply(Op.registry["Einsum"]("bi,io->bo"), carry, kernel)
        state = carry.graph.apply(Op.registry["Tanh"](), product + x)
        return state, state * x

    state = TensorType(h.shape, h.dtype.name)
    return _trace("step", [state, state, TensorType(kernel.shape, h.dtype.name)], step)


def _sum_body(dtype: str) -> Graph:
    scalar = TensorType((), dtype)
    return _trace("step", [scalar, scalar], lambda total, x: (total + x, total * 2))


def _power_body() -> Graph:
    types = [TensorType((2,), "float64"), TensorType((), "float64")]
    return _trace("step", types, lambda x, factor: (x * x * factor, x))


def _branch(x: np.ndarray, y: np.ndarray, product: bool) -> Graph:
    types = [TensorType(array.shape, array.dtype.name) for array in (x, y)]
    if product:
        return _trace("then", types, lambda x, y: (x * y, y))
    return _trace("otherwise", types, lambda x, y: (x + 1.0, y * y))
