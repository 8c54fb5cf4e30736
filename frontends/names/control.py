"""Control flow that depends on data, printing and scopes, under TensorFlow's names.

See https://www.tensorflow.org/api_docs/python/tf. Outside of compiled functions these run as plain
Python.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from graphc.eager import Tensor, Variable, computing_at_once, current_trace
from graphc.errors import DataDependentControlFlowError, UnsupportedError
from graphc.keras import ops, tree
from graphc.names import tensor_array as arrays
from graphc.names.adapt import takes_name, tensor_of
from graphc.names.dtypes import name_of


@takes_name
def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """`keras.ops.cond`, whose functions may return a `TensorArray` as well."""
    predicate = tensor_of(pred)
    if isinstance(predicate, Tensor) and not predicate.is_symbolic:
        return ops.cond(predicate, true_fn, false_fn)
    templates: list[Any] = []

    def branch(function: Callable[[], Any]) -> Callable[[], Any]:
        def call() -> Any:
            result = function()
            if not templates:
                templates.append(result)
            return arrays.opened(result)

        return call

    results = ops.cond(predicate, branch(true_fn), branch(false_fn))
    return arrays.closed(templates[0], results)


@takes_name
def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    shape_invariants: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    maximum_iterations: int | None = None,
) -> Any:
    """Repeat a body on its own results for as long as a condition holds.

    Args:
        cond: Maps the loop's variables to a scalar.
        body: Maps them to their next values, of the same shapes and dtypes.
        loop_vars: Their first values; a `graphc.TensorArray` may be among them.
        shape_invariants: Accepted, and ignored: shapes do not change.
        parallel_iterations: Accepted, and ignored.
        back_prop: Accepted, and ignored.
        swap_memory: Accepted, and ignored.
        maximum_iterations: A limit on the number of repetitions.

    Example:
        >>> graphc.while_loop(lambda i: i < 10, lambda i: (i + 1,), (graphc.constant(0),))
    """
    if arrays.holds_arrays(loop_vars):
        return arrays.while_loop(cond, body, loop_vars, maximum_iterations)
    return ops.while_loop(cond, body, loop_vars, maximum_iterations)


@takes_name
def map_fn(
    fn: Callable[..., Any],
    elems: Any,
    dtype: Any = None,
    parallel_iterations: Any = None,
    back_prop: bool = True,
    swap_memory: bool = False,
    infer_shape: bool = True,
    fn_output_signature: Any = None,
) -> Any:
    """A function of each slice along the first axis, stacked.

    Args:
        fn: Takes a slice: a tensor, or a structure of them like ``elems``.
        elems: A tensor, or a structure of tensors.
        dtype: Element type of the results; by default what the function gives.
        parallel_iterations: Accepted, and ignored.
        back_prop: Accepted, and ignored.
        swap_memory: Accepted, and ignored.
        infer_shape: Accepted, and ignored.
        fn_output_signature: The newer name of ``dtype``.
    """
    results = ops.map(fn, elems)
    wanted = fn_output_signature if fn_output_signature is not None else dtype
    if wanted is None:
        return results
    kinds = tree.flatten(wanted)
    leaves = tree.flatten(results)
    kinds = kinds * len(leaves) if len(kinds) == 1 else kinds
    pairs = zip(leaves, kinds, strict=True)
    kept = [ops.cast(leaf, name_of(getattr(kind, "dtype", kind))) for leaf, kind in pairs]
    return tree.pack_sequence_as(results, kept)


@takes_name
def vectorized_map(fn: Callable[..., Any], elems: Any, fallback_to_while_loop: bool = True) -> Any:
    """The same as `map_fn`, computed for all slices at once.

    Args:
        fn: Takes a slice: a tensor, or a structure of them like ``elems``.
        elems: A tensor, or a structure of tensors.
        fallback_to_while_loop: Accepted, and ignored.
    """
    return ops.vectorized_map(fn, elems)


@takes_name
def scan(
    fn: Callable[..., Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    infer_shape: bool = True,
    reverse: bool = False,
) -> Any:
    """All results of a function that is handed its last result and the next slice.

    Args:
        fn: Maps the last result and a slice of ``elems`` to the next result.
        elems: A tensor, or a structure of tensors with a common first axis.
        initializer: What the first step is handed; the first slice by default.
        parallel_iterations: Accepted, and ignored.
        back_prop: Accepted, and ignored.
        swap_memory: Accepted, and ignored.
        infer_shape: Accepted, and ignored.
        reverse: Whether to begin at the end.

    Returns:
        The results stacked along a first axis (the first slice is among them if nothing else was
        given to begin with).
    """
    elems = tree.map_structure(ops.convert_to_tensor, elems)
    first = None
    if initializer is None:
        place = -1 if reverse else 0
        first = tree.map_structure(lambda x: x[place], elems)
        rest = slice(None, -1) if reverse else slice(1, None)
        elems = tree.map_structure(lambda x: x[rest], elems)
        initializer = first

    def step(carry: Any, x: Any) -> Any:
        after = fn(carry, x)
        return after, after

    start = tree.map_structure(ops.convert_to_tensor, initializer)
    _, results = ops.scan(step, start, elems, reverse=reverse)
    if first is None:
        return results
    return tree.map_structure(
        lambda one, many: ops.concatenate(
            [many, ops.expand_dims(one, 0)] if reverse else [ops.expand_dims(one, 0), many], 0
        ),
        first,
        results,
    )


def _fold(fn: Callable[..., Any], elems: Any, initializer: Any, reverse: bool) -> Any:
    place = 0 if reverse else -1
    return tree.map_structure(lambda x: x[place], scan(fn, elems, initializer, reverse=reverse))


@takes_name
def foldl(
    fn: Callable[..., Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
) -> Any:
    """The last result of `scan`."""
    return _fold(fn, elems, initializer, reverse=False)


@takes_name
def foldr(
    fn: Callable[..., Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
) -> Any:
    """The last result of `scan` from the end to the beginning."""
    return _fold(fn, elems, initializer, reverse=True)


@takes_name
def case(
    pred_fn_pairs: Any,
    default: Callable[[], Any] | None = None,
    exclusive: bool = False,
    strict: bool = False,
) -> Any:
    """The result of the function behind the first predicate that is true.

    Args:
        pred_fn_pairs: Pairs of a scalar and a function without arguments.
        default: What is called if none is true; the last function by default.
        exclusive: Accepted, and ignored: the first that is true counts.
        strict: Accepted, and ignored.
    """
    pairs = list(pred_fn_pairs.items() if isinstance(pred_fn_pairs, dict) else pred_fn_pairs)
    if default is None:
        default = pairs.pop()[1]
    result: Callable[[], Any] = default
    for predicate, function in reversed(pairs):
        result = _branch(predicate, function, result)
    return result()


def _branch(predicate: Any, then: Callable[[], Any], other: Callable[[], Any]) -> Any:
    return lambda: cond(predicate, then, other)


@takes_name
def switch_case(
    branch_index: Any, branch_fns: Any, default: Callable[[], Any] | None = None
) -> Any:
    """The result of the function with a number.

    Args:
        branch_index: The number.
        branch_fns: Functions without arguments, or pairs of a number and such a function.
        default: What is called for any other number; the last function by default.
    """
    functions = list(branch_fns.items() if isinstance(branch_fns, dict) else branch_fns)
    if functions and callable(functions[0]):
        functions = list(enumerate(functions))
    functions.sort(key=lambda pair: pair[0])
    index = ops.convert_to_tensor(branch_index)
    fallback = default if default is not None else functions[-1][1]
    return case([(ops.equal(index, number), f) for number, f in functions], fallback)


# -------------------------------------------------------------------------------- side effects


def print(
    *inputs: Any,
    output_stream: Any = None,
    summarize: int = 3,
    sep: str = " ",
    end: str = "\n",
    name: Any = None,
) -> None:
    """Print tensors and other things, to the standard error stream unless told otherwise.

    In a compiled function this is Python's side effect: it happens when the function is traced, and
    shows the shapes and dtypes of tensors, whose elements are not known then.

    Args:
        *inputs: What to print.
        output_stream: A stream.
        summarize: How many elements to show at the ends of each axis; -1 for all.
        sep: What stands between them.
        end: What stands at the end.
        name: Accepted, and ignored.
    """
    ends = summarize if summarize >= 0 else sys.maxsize

    def text(item: Any) -> str:
        if isinstance(item, Variable):
            item = item.value
        if not isinstance(item, Tensor) or item.is_symbolic:
            return str(item)
        return _elements(item.numpy(), ends, 1)

    line = sep.join(text(item) for item in inputs)
    builtins.print(line, end=end, file=output_stream or sys.stderr)


def _elements(array: np.ndarray, ends: int, indent: int) -> str:
    """Elements as TensorFlow prints them: without commas, and in as few digits as it takes."""
    if not array.ndim:
        return _number(array)
    rows = [_elements(row, ends, indent + 1) for row in array[:ends]]
    if len(array) > 2 * ends:
        rows.append("...")
    rows += [_elements(row, ends, indent + 1) for row in array[max(ends, len(array) - ends) :]]
    space = " " if array.ndim == 1 else "\n" * (array.ndim - 1) + " " * indent
    return f"[{space.join(rows)}]"


def _number(value: np.ndarray) -> str:
    if value.dtype.kind == "b":
        return str(int(value))
    if value.dtype.kind != "f":
        return str(value)
    short, exact = (15, 17) if value.dtype == np.float64 else (6, 9)
    text = f"{value:.{short}g}"
    return text if value.dtype.type(text) == value else f"{value:.{exact}g}"


@takes_name
def group(*inputs: Any) -> None:
    """Nothing: what was called has happened, in the order of the program."""


@takes_name
def identity_n(input: Any) -> list[Any]:
    """The tensors themselves."""
    return [ops.convert_to_tensor(x) for x in input]


def control_dependencies(control_inputs: Any) -> Any:
    """A block without effect: everything happens in the order of the program anyway.

    Args:
        control_inputs: Accepted, and ignored.
    """
    return nullcontext()


@contextmanager
def name_scope(name: str) -> Iterator[str]:
    """Nodes that are made inside the block bear this name as that of a layer.

    Args:
        name: Shown in errors, dumps and TensorBoard's graph.
    """
    trace = current_trace()
    with trace.scope(name) if trace is not None else nullcontext():
        yield f"{name}/"


def device(device_name: str | None) -> Any:
    """A block whose tensors are computed on the processor, as all are.

    Args:
        device_name: Such as ``"CPU:0"`` or ``"/device:CPU:0"``; None for any.

    Raises:
        UnsupportedError: It is no processor.
    """
    if device_name is not None and "cpu" not in str(device_name).lower():
        raise UnsupportedError(
            f'device: tensors are computed on the processor, not on "{device_name}"; models run '
            'elsewhere by compile(backend="ort")'
        )
    return nullcontext()


def no_op(name: str | None = None) -> None:
    """Nothing.

    Args:
        name: Accepted, and ignored.
    """


@takes_name
def tuple(tensors: Any, control_inputs: Any = None) -> list[Any]:
    """The tensors themselves, None among them.

    Args:
        tensors: A list of tensors.
        control_inputs: Accepted, and ignored.
    """
    return [None if x is None else ops.convert_to_tensor(x) for x in tensors]


@takes_name
def py_function(func: Callable[..., Any], inp: Any, Tout: Any) -> Any:  # noqa: N803
    """A Python function of tensors, as in the functions of data sets.

    Args:
        func: Takes tensors.
        inp: The tensors, a list.
        Tout: The dtype of its result, or a list of them.

    Raises:
        DataDependentControlFlowError: In a compiled function, of tensors that are not known yet.
    """
    tensors = [ops.convert_to_tensor(x) for x in inp]
    if any(tensor.is_symbolic for tensor in tensors):
        raise DataDependentControlFlowError(
            "py_function, numpy_function: a compiled function runs without Python, so it cannot "
            "call one with its tensors; call it outside"
        )
    result = func(*tensors)
    if not isinstance(Tout, (list, builtins.tuple)):
        return ops.convert_to_tensor(result, name_of(Tout))
    pairs = zip(result, Tout, strict=True)
    return [ops.convert_to_tensor(part, name_of(kind)) for part, kind in pairs]


@takes_name
def numpy_function(
    func: Callable[..., Any],
    inp: Any,
    Tout: Any,  # noqa: N803
    stateful: bool = True,
) -> Any:
    """`py_function` of a function that takes NumPy arrays.

    Args:
        func: Takes arrays.
        inp: Tensors, a list.
        Tout: The dtype of its result, or a list of them.
        stateful: Accepted, and ignored.
    """
    return py_function(lambda *x: func(*[item.numpy() for item in x]), inp, Tout)


def init_scope() -> Any:
    """A block that computes at once, also inside of a compiled function."""
    return computing_at_once()


def executing_eagerly() -> bool:
    """Whether code computes at once: not inside of a compiled function."""
    return current_trace() is None


def inside_function() -> bool:
    """Whether a compiled function is being traced."""
    return current_trace() is not None
