"""`function`: Python functions of tensors, traced once per kind of arguments and compiled.

What is called again with tensors of the same dtypes and shapes runs at once. If only sizes differ
from what came before, these sizes become open and one more trace serves them all; where the Python
code needs to know a size, that size stays a number and each value of it gets a trace of its own.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import itertools
import threading
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any, overload

from graphc.config import config
from graphc.eager.cache import Cache
from graphc.eager.concrete import (
    PLANNED,
    Arguments,
    ConcreteFunction,
    positional_names,
    specifications,
    trace_function,
)
from graphc.eager.current import current_trace
from graphc.eager.location import user_line_text
from graphc.eager.spec import TensorSpec
from graphc.eager.structure import Flattener, map_leaves
from graphc.eager.tensor import as_tensor
from graphc.eager.trace import watching_creations
from graphc.ir import TensorType
from graphc.ir.dims import Dim, known, symbol
from graphc.program import Program

__all__ = ["PLANNED", "Function", "TensorSpec", "function"]

#: How many kinds of arguments a function finds without a closer look.
_KEPT_SHORTCUTS = 1024

#: After how many kinds of arguments, sizes aside, somebody should know.
MANY_KINDS = 8

Sizes = tuple[tuple[int, ...], ...]


@overload
def function(func: Callable[..., Any]) -> Function: ...


@overload
def function(
    func: None = None,
    input_signature: Sequence[Any] | None = None,
    autograph: bool = True,
    jit_compile: bool | None = None,
    reduce_retracing: bool = False,
    backend: str | None = None,
    threads: int | None = None,
    **options: Any,
) -> Callable[[Callable[..., Any]], Function]: ...


def function(
    func: Callable[..., Any] | None = None,
    input_signature: Sequence[Any] | None = None,
    autograph: bool = True,
    jit_compile: bool | None = None,
    reduce_retracing: bool = False,
    backend: str | None = None,
    threads: int | None = None,
    **options: Any,
) -> Any:
    """Compile a function of tensors (https://www.tensorflow.org/api_docs/python/tf/function).

    The function runs as Python once for each kind of arguments; what it computes with tensors is
    recorded, compiled and run in its place from then on. Tensors, NumPy arrays and nested lists,
    tuples, dicts and dataclasses of them are data; Python numbers, strings and so on are part of
    the kind; other objects count by their identity and are kept alive. Variables that are assigned
    to are updated when the compiled function runs; Python's side effects (``print``, appending to a
    list) happen when it is traced. Tensors that the function closes over are constants to it, also
    for a tape that watches them: give them as arguments.

    Args:
        func: The function; left out where the decorator is given arguments.
        input_signature: A `TensorSpec` for each argument, with None for open sizes: the function is
            traced for these alone.
        autograph: Accepted as in TensorFlow. Loops and branches on Python values unroll; on tensors
            use `keras.ops.cond`, `while_loop`, `scan` and so on.
        jit_compile: Accepted as in TensorFlow; everything is compiled.
        reduce_retracing: Accepted as in TensorFlow; retracing is reduced anyway.
        backend: What runs it; `config.backend` by default.
        threads: How many threads it may use; `config.threads` by default.
        **options: TensorFlow's ``experimental_...`` arguments are accepted.

    Returns:
        A `Function`.

    Raises:
        TypeError: An unknown argument, or something that cannot be called.

    Example:
        >>> @graphc.function
        ... def step(x, y):
        ...     with graphc.GradientTape() as tape:
        ...         loss = loss_function(y, model(x, training=True))
        ...     gradients = tape.gradient(loss, model.trainable_variables)
        ...     optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        ...     return loss
    """
    unknown = [name for name in options if not name.startswith("experimental_")]
    if unknown:
        raise TypeError(f"function() takes no argument {', '.join(map(repr, unknown))}")
    if func is None:
        return lambda decorated: Function(decorated, input_signature, backend, threads)
    return Function(func, input_signature, backend, threads)


class Function:
    """A function that is traced and compiled as it is called; made by `function`.

    Args:
        python_function: The function.
        input_signature: As in `function`.
        backend: As in `function`.
        threads: As in `function`.

    Attributes:
        python_function: The function itself, which computes at once.
    """

    def __init__(
        self,
        python_function: Callable[..., Any],
        input_signature: Sequence[Any] | None = None,
        backend: str | None = None,
        threads: int | None = None,
    ):
        if isinstance(python_function, Function):
            python_function = python_function.python_function
        if not callable(python_function):
            raise TypeError(f"function() needs something to call, not {python_function!r}")
        self.python_function: Callable[..., Any] = python_function
        self.input_signature = None if input_signature is None else tuple(input_signature)
        self._backend = backend
        self._threads = threads
        self._attribute: str | None = None
        functools.update_wrapper(self, python_function, updated=())
        self._name = getattr(python_function, "__name__", type(python_function).__name__)
        try:
            self._signature = inspect.signature(python_function)
        except (TypeError, ValueError):  # built into Python: nobody knows
            self._signature = None  # type: ignore[assignment]
        self._plain_count = _plain_count(self._signature)
        self._shortcuts: Cache[tuple[Any, ...], ConcreteFunction] = Cache(_KEPT_SHORTCUTS)
        self._families: dict[tuple[Any, ...], _Family] = {}
        self._lock = threading.RLock()
        self._made_variables = False

    # ------------------------------------------------------------------------------------ calling

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if current_trace() is not None or config.functions_at_once:
            # Part of what is being traced, or somebody wants to look into it.
            return self.python_function(*args, **kwargs)
        if kwargs or len(args) != self._plain_count:
            args, kwargs = self._canonical(args, kwargs)
        if self.input_signature is not None:
            args = self._checked(args, kwargs)
        flat = self._flattened(args, kwargs)
        if flat.recorder is not None:
            return flat.recorder.record_operation(self, args, kwargs)
        if flat.is_symbolic:  # a graph is being built without a trace around it
            return self.python_function(*args, **kwargs)
        return self._shortcut((args, kwargs), flat).run(flat.tensors)

    def find(self, *args: Any) -> ConcreteFunction:
        """What a call with these arguments, all of which are given in their places, would run."""
        return self._shortcut((args, {}), self._flattened(args, {}))

    def _shortcut(self, arguments: Arguments, flat: Flattener) -> ConcreteFunction:
        key = tuple(flat.key)
        concrete = self._shortcuts.get(key)
        return concrete or self._shortcuts.keep(key, self._find(arguments, flat))

    def _flattened(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Flattener:
        flat = Flattener()
        flat.key += (self._backend or config.backend, self._threads or config.threads)
        for item in args:
            flat.add(item)
        for name, item in kwargs.items():
            flat.key.append(name)
            flat.add(item)
        return flat

    def _canonical(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        """The same arguments in the one form in which defaults are given and names are places."""
        if self._signature is None:
            return args, kwargs
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self._name}(): {error}") from None
        bound.apply_defaults()
        return bound.args, bound.kwargs

    def _checked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Arguments as tensors that the input signature allows."""
        assert self.input_signature is not None
        if kwargs or len(args) != len(self.input_signature):
            raise TypeError(
                f"{self._name}() has an input signature of {len(self.input_signature)} arguments, "
                f"received {len(args) + len(kwargs)}"
            )
        names = positional_names(len(args), self._signature)
        return tuple(map(_fitted, self.input_signature, args, names))

    def _find(self, arguments: Arguments, flat: Flattener) -> ConcreteFunction:
        """The concrete function for arguments; traced if there is none yet."""
        with self._lock:
            family = self._family(arguments, flat)
            if self.input_signature is not None and not family.concretes:
                family.try_declared(_shapes_of(self.input_signature))
            return family.find(tuple([known(tensor.dims) for tensor in flat.tensors]))

    def _family(self, arguments: Arguments, flat: Flattener) -> _Family:
        key = flat.without_sizes()
        if self.input_signature is not None:
            arguments = self.input_signature, {}  # its names are the user's
        if key not in self._families:
            if len(self._families) == MANY_KINDS:
                self._warn_of_many_kinds()
            dtypes = [tensor.dtype for tensor in flat.tensors]
            self._families[key] = _Family(self, _placeholders(arguments), dtypes, flat.kept)
        return self._families[key]

    def _warn_of_many_kinds(self) -> None:
        place = user_line_text()
        warnings.warn(
            f"{place + ': ' if place else ''}{self._name}() was compiled for {MANY_KINDS} kinds of "
            "arguments and is compiled for another one now. Each value of a Python number, and "
            "each object, is a kind of its own: give numbers that change as tensors "
            "(keras.ops.convert_to_tensor), and make functions once, outside of loops",
            stacklevel=2,
        )

    def _trace(
        self, arguments: Arguments, tensor_types: Sequence[TensorType], takes_ones: bool
    ) -> ConcreteFunction:
        args, kwargs = arguments
        names = positional_names(len(args), self._signature)
        with watching_creations() as made:
            traced = trace_function(
                self.python_function, self._name, arguments, names, tensor_types
            )
        if made and not self._made_variables:
            # Made once and for all? The second time tells.
            self._made_variables = True
            return self._trace(arguments, tensor_types, takes_ones)
        if made:
            raise ValueError(
                f"{self._name}() makes variables each time it is traced "
                f"({', '.join(variable.path for variable in made[:3])}), but a compiled function "
                "can make variables only in its first call: make them outside, or keep them as "
                "attributes and make them only where there are none yet"
            )
        self._made_variables = True
        program, variables, template, final = traced
        return ConcreteFunction(
            program,
            variables,
            template,
            specifications(arguments, names, final),
            self._backend or config.backend,
            self._threads,
            takes_ones,
        )

    # ----------------------------------------------------------------------------------- methods

    def __set_name__(self, owner: type, name: str) -> None:
        self._attribute = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: each object has compiled functions of its own."""
        if instance is None:
            return self
        method = types.MethodType(self.python_function, instance)
        bound = Function(method, self.input_signature, self._backend, self._threads)
        # In the object itself, from where Python takes it the next time, and with which it goes.
        if self._attribute is not None and hasattr(instance, "__dict__"):
            instance.__dict__[self._attribute] = bound
        return bound

    def __deepcopy__(self, memo: dict[int, Any]) -> Function:
        function, *settings = self.__reduce__()[1]
        return Function(copy.deepcopy(function, memo), *settings)

    def __reduce__(self) -> Any:
        settings = (self.python_function, self.input_signature, self._backend, self._threads)
        return Function, settings

    # --------------------------------------------------------------------------------- inspection

    def get_concrete_function(self, *args: Any, **kwargs: Any) -> ConcreteFunction:
        """The concrete function for arguments, without calling it.

        Args:
            *args: Arguments; a `TensorSpec` may stand for a tensor.
            **kwargs: Arguments by name.

        Returns:
            It has ``graph``, ``program``, ``structured_outputs`` and `ConcreteFunction.as_text`.
        """
        if self.input_signature is not None and not args and not kwargs:
            args = self.input_signature
        args, kwargs = self._canonical(args, kwargs)
        if self.input_signature is not None:
            self._checked(args, kwargs)
            args = self.input_signature
        shapes: list[tuple[int | None, ...]] = []

        def example(_: str, leaf: Any) -> Any:
            tensor = leaf.example() if isinstance(leaf, TensorSpec) else as_tensor(leaf)
            shapes.append(leaf.shape)
            return tensor

        given = _placeholders((args, kwargs))
        args = tuple(map_leaves(example, item) for item in args)
        kwargs = {name: map_leaves(example, item) for name, item in kwargs.items()}
        flat = self._flattened(args, kwargs)
        if all(None not in shape for shape in shapes):
            return self._find(given, flat)
        with self._lock:
            return self._family(given, flat).declare(tuple(shapes))

    def lower(self, *args: Any, **kwargs: Any) -> Program:
        """The program for arguments, for looking at: ``f.lower(x).as_text()``."""
        return self.get_concrete_function(*args, **kwargs).program

    @property
    def concrete_functions(self) -> list[ConcreteFunction]:
        """All that were traced so far."""
        return [concrete for family in self._families.values() for concrete in family.concretes]

    def pretty_printed_concrete_signatures(self) -> str:
        """The signatures that were traced so far, for people."""
        return "\n\n".join(c.pretty_printed_signature() for c in self.concrete_functions)

    def experimental_get_tracing_count(self) -> int:
        """How many concrete functions there are."""
        return len(self.concrete_functions)

    def __repr__(self) -> str:
        return f"<graphc.Function {self._name}{self._signature or '(...)'}>"


class _Family:
    """The concrete functions for arguments that differ in sizes only.

    Args:
        function: The function.
        arguments: Such arguments.
        dtypes: The element types of their tensors.
        kept: Objects that were told apart by identity; they live as long as the family does.
    """

    def __init__(
        self, function: Function, arguments: Arguments, dtypes: Sequence[str], kept: list[Any]
    ):
        self._function = function
        self._arguments = arguments
        self._dtypes = dtypes
        self._kept = kept
        self._seen: list[Sizes] = []
        # Places of sizes, as (tensor, axis), that worked as open ones, and that did not.
        self._open: set[tuple[int, int]] = set()
        self._closed: set[tuple[int, int]] = set()
        self.concretes: list[ConcreteFunction] = []

    def declare(self, shapes: Sequence[tuple[int | None, ...]]) -> ConcreteFunction:
        """The concrete function for shapes in which None is an open size."""
        for concrete in self.concretes:
            if [spec.shape for spec in concrete.inputs] == list(shapes):
                return concrete
        names = (symbol(f"size{number}") for number in itertools.count())
        pattern = [tuple(next(names) if s is None else s for s in shape) for shape in shapes]
        return self._trace(pattern, takes_ones=True)

    def try_declared(self, shapes: Sequence[tuple[int | None, ...]]) -> None:
        """The same, where the function may need to know the sizes: then each gets its trace."""
        with contextlib.suppress(Exception):
            self.declare(shapes)

    def find(self, shapes: Sizes) -> ConcreteFunction:
        """The concrete function for tensors of these shapes."""
        for concrete in reversed(self.concretes):
            if concrete.accepts(shapes):
                return concrete
        for pattern, places in self._patterns(shapes):
            try:
                concrete = self._trace(pattern)
                concrete.executable  # noqa: B018  (a backend may need to know sizes, too)
            except Exception:
                # The Python code, or the backend, needs to know one of these sizes.
                self._closed |= places - self._open
                continue
            if concrete.accepts(shapes):
                self._open |= places
                self._seen.append(shapes)
                return concrete
            self._closed |= places - self._open
            self.concretes.remove(concrete)
        self._seen.append(shapes)
        return self._trace(shapes)

    def _patterns(self, shapes: Sizes) -> list[tuple[list[tuple[Dim, ...]], set[Any]]]:
        """Shapes with open sizes that may serve these shapes as well as what was seen before."""
        # Axes of size 1 broadcast, so they mean something else.
        like = [seen for seen in self._seen if _ones(seen) == _ones(shapes)]
        if not like:
            return []
        histories = {
            (i, axis): tuple(seen[i][axis] for seen in [*like, shapes])
            for i, shape in enumerate(shapes)
            for axis in range(len(shape))
        }
        changing = {place for place, sizes in histories.items() if len(set(sizes)) > 1}
        found: list[tuple[list[tuple[Dim, ...]], set[Any]]] = []
        for places in (changing - self._closed, changing & self._open):
            if places and places not in [other for _, other in found]:
                found.append((_opened(shapes, histories, places), places))
        return found

    def _trace(
        self, shapes: Sequence[tuple[Dim, ...]], takes_ones: bool = False
    ) -> ConcreteFunction:
        tensor_types = [
            TensorType(shape, dtype) for shape, dtype in zip(shapes, self._dtypes, strict=True)
        ]
        concrete = self._function._trace(self._arguments, tensor_types, takes_ones)
        self.concretes.append(concrete)
        return concrete


def _opened(
    shapes: Sizes, histories: dict[tuple[int, int], Any], places: set[tuple[int, int]]
) -> list[tuple[Dim, ...]]:
    """Shapes with open sizes at some places; what has always been equal is one symbol."""
    symbols: dict[Any, Dim] = {}
    for place in sorted(places):
        symbols.setdefault(histories[place], symbol(f"size{len(symbols)}"))
    return [
        tuple(
            symbols[histories[i, axis]] if (i, axis) in places else size
            for axis, size in enumerate(shape)
        )
        for i, shape in enumerate(shapes)
    ]


def _ones(shapes: Sizes) -> list[list[bool]]:
    return [[size == 1 for size in shape] for shape in shapes]


def _placeholders(arguments: Arguments) -> Arguments:
    """Arguments with a specification, without a name of its own, for each tensor."""

    def placeholder(_: str, leaf: Any) -> TensorSpec:
        return leaf if isinstance(leaf, TensorSpec) else TensorSpec.from_tensor(leaf)

    args, kwargs = arguments
    return (
        tuple(map_leaves(placeholder, item) for item in args),
        {name: map_leaves(placeholder, item) for name, item in kwargs.items()},
    )


def _plain_count(signature: inspect.Signature | None) -> int:
    """How many positional arguments are all there is; -1 if that is not the whole truth."""
    parameters = list(signature.parameters.values()) if signature else []
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return len(parameters) if all(p.kind in plain for p in parameters) else -1


def _fitted(specification: Any, argument: Any, name: str) -> Any:
    """An argument as tensors that its part of the input signature allows."""
    if isinstance(specification, TensorSpec):
        return specification.checked(argument, name)
    if isinstance(specification, dict) and isinstance(argument, dict):
        if set(specification) == set(argument):
            return {k: _fitted(specification[k], argument[k], f"{name}/{k}") for k in argument}
    elif isinstance(specification, (list, tuple)) and isinstance(argument, (list, tuple)):
        if len(specification) == len(argument):
            parts = zip(specification, argument, strict=True)
            return type(argument)([_fitted(s, a, f"{name}/{i}") for i, (s, a) in enumerate(parts)])
    raise TypeError(f'"{name}" is {argument!r}, but the input signature says {specification!r}')


def _shapes_of(signature: Any) -> list[tuple[int | None, ...]]:
    shapes: list[tuple[int | None, ...]] = []
    map_leaves(lambda _, spec: shapes.append(spec.shape), signature)
    return shapes
