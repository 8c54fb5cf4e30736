"""Operations of `keras.ops` under the names and parameters that TensorFlow's books use."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

from graphc.config import config
from graphc.eager import as_tensor
from graphc.errors import similar
from graphc.ir import is_float
from graphc.keras import ops
from graphc.keras.ops import recording

P = ParamSpec("P")
R = TypeVar("R")

_RAGGED = (
    "ragged tensors are out of scope: pad rows to one length (keras.utils.pad_sequences), mask"
)
_SPARSE = "sparse tensors are out of scope: tensors are dense"
_STRINGS = "string tensors are out of scope: tensors hold numbers; keep text in Python"

#: What TensorFlow has and graphc does not, with what to do instead.
ABSENT = {
    "AggregationMethod": "gradients are always summed",
    "Graph": "decorate a function with @graphc.function; keras models are graphs anyway",
    "IndexedSlicesSpec": "gradients are dense tensors",
    "RaggedTensor": _RAGGED,
    "RaggedTensorSpec": _RAGGED,
    "Session": "there are no sessions: tensors compute at once, @graphc.function compiles",
    "SparseTensor": _SPARSE,
    "SparseTensorSpec": _SPARSE,
    "as_string": _STRINGS,
    "autograph": "use graphc.cond and graphc.while_loop for branches and loops on tensors",
    "compat": "graphc has no TensorFlow 1 names",
    "distribute": "graphc trains on one machine",
    "estimator": "use keras models",
    "experimental": "keras.ops has the functions of NumPy under their names",
    "feature_column": "use keras preprocessing layers",
    "gradients": "use graphc.GradientTape or graphc.grad",
    "hessians": "use graphc.hessian, or a tape inside of a tape",
    "global_variables_initializer": "variables have their values from the start",
    "io": "read files with Python and NumPy",
    "lite": "export to ONNX: model.export('model.onnx')",
    "lookup": "map text to numbers with a Python dict",
    "placeholder": "write a function with parameters and decorate it with @graphc.function",
    "queue": "use Python's lists and queues",
    "ragged": _RAGGED,
    "saved_model": "save as .keras, or export to ONNX",
    "sets": "use keras.ops.isin and keras.ops.unique",
    "sparse": _SPARSE,
    "string": _STRINGS,
    "strings": _STRINGS,
    "test": "write tests with pytest and numpy.testing",
    "tpu": "graphc compiles for processors and, with ONNX Runtime, GPUs",
    "xla": "everything in a @graphc.function is compiled",
}


def renamed(function: Callable[..., R], parameters: str) -> Callable[..., R]:
    """A function whose parameters go by TensorFlow's names.

    Positional arguments are handed on; keywords are translated; ``name=`` is accepted and ignored,
    as nodes are named by the layer and the line they come from.

    Args:
        function: An operation.
        parameters: TensorFlow's names of its first parameters, in order, separated by spaces. The
            function's other parameters cannot be given by keyword.

    Example:
        >>> reduce_sum = renamed(ops.sum, "input_tensor axis keepdims")
    """
    theirs = parameters.split()
    own = [p for p in inspect.signature(function).parameters.values() if p.kind != p.VAR_KEYWORD]
    keywords = {new: old.name for new, old in zip(theirs, own, strict=False)}

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> R:
        if not kwargs:
            return function(*args)
        kwargs.pop("name", None)
        try:
            return function(*args, **{keywords[key]: value for key, value in kwargs.items()})
        except KeyError as error:
            raise TypeError(
                f"{function.__name__}() has no parameter {error}; it takes {', '.join(theirs)}"
            ) from None

    call._graphc_public = True  # type: ignore[attr-defined]
    call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [old.replace(name=new) for new, old in zip(theirs, own, strict=False)]
    )
    return call


def takes_name(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: accept the keyword ``name``, which TensorFlow's functions have, and ignore it."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> R:
        kwargs.pop("name", None)
        return function(*args, **kwargs)

    call._graphc_public = True  # type: ignore[attr-defined]
    return call


def composed(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: a function that consists of operations, planned as a whole for tensors.

    On tensors of a functional model the operations are recorded, not the function: so the model
    can be saved.
    """
    operation: Callable[P, R] = recording.composed(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> R:
        kwargs.pop("name", None)
        return operation(*args, **kwargs)

    call._graphc_public = True  # type: ignore[attr-defined]
    return call


def tensor_of(x: Any) -> Any:
    """``x`` as a tensor; the tensor of a functional model is one already."""
    return x if getattr(x, "records_operations", False) else as_tensor(x)


def float_tensor_of(x: Any) -> Any:
    """``x`` as a floating-point or complex tensor; integers and bools become `floatx`."""
    tensor = tensor_of(x)
    inexact = is_float(tensor.dtype) or tensor.dtype.startswith("complex")
    return tensor if inexact else ops.cast(tensor, config.floatx)


def published(item: R) -> R:
    """Decorator: a class or function that is public as it is."""
    item._graphc_public = True  # type: ignore[attr-defined]
    return item


def public_names(namespace: Mapping[str, Any]) -> list[str]:
    """The names under which a module has what the decorators here have marked.

    Args:
        namespace: The module's ``globals()``.
    """
    return sorted(
        name
        for name, item in namespace.items()
        if not name.startswith("_") and getattr(item, "_graphc_public", False)
    )


def missing_name(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """The error for a name that a module lacks: what is near it, or what to do instead.

    Args:
        module: The module as users write it.
        name: What was asked for.
        known: All names that the module has.
    """
    if module == "graphc" and name in ABSENT:
        return AttributeError(f"graphc has no {name}: {ABSENT[name]}")
    near = similar(name, known, cutoff=0.7)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return AttributeError(f"{module} has no {name}{hint}")
