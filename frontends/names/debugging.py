"""``graphc.debugging``: checks of tensors' values, shapes and types.

See https://www.tensorflow.org/api_docs/python/tf/debugging. Shapes and types are always checked.
Values are checked where they are known: in a compiled function, whose tensors have none yet while
it is traced, a check of values does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from graphc.eager import Tensor, as_tensor
from graphc.eager.location import user_line_text
from graphc.errors import DTypeError, InvalidArgumentError, ShapeError
from graphc.names.adapt import missing_name, public_names, published, takes_name
from graphc.names.dtypes import as_dtype


@published
class AssertionFailedError(InvalidArgumentError, ValueError, AssertionError):
    """A check of values failed."""


def _known(*tensors: Any) -> list[np.ndarray] | None:
    """Their elements; None where one has none yet."""
    found = [as_tensor(tensor) for tensor in tensors]
    if any(tensor.is_symbolic for tensor in found):
        return None
    return [tensor.numpy() for tensor in found]


def _fail(message: Any, reason: str) -> None:
    place = user_line_text()
    parts = [str(message)] if message else []
    text = "; ".join([*parts, reason])
    raise AssertionFailedError(f"{place}: {text}" if place else text)


def _compare(name: str, words: str, holds: Callable[[Any, Any], Any]) -> Callable[..., None]:
    def check(x: Any, y: Any, message: Any = None, summarize: Any = None, name: Any = None) -> None:
        arrays = _known(x, y)
        if arrays is None:
            return
        try:
            wrong = ~np.asarray(holds(*arrays))
        except ValueError:
            _fail(message, f"shapes {arrays[0].shape} and {arrays[1].shape} cannot be compared")
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            left, right = (np.broadcast_to(a, wrong.shape)[place] for a in arrays)
            _fail(message, f"expected x {words} y, but at {place} x is {left} and y is {right}")

    check.__name__ = check.__qualname__ = name
    check.__doc__ = f"""Check that ``x {words} y`` in every element.

    Args:
        x: A tensor.
        y: A tensor that can be broadcast against it.
        message: What the error says first.
        summarize: Accepted, and ignored.
        name: Accepted, and ignored.

    Raises:
        AssertionFailedError: It does not hold; the text names the first such place.
    """
    return published(check)


assert_equal = _compare("assert_equal", "==", np.equal)
assert_greater = _compare("assert_greater", ">", np.greater)
assert_greater_equal = _compare("assert_greater_equal", ">=", np.greater_equal)
assert_less = _compare("assert_less", "<", np.less)
assert_less_equal = _compare("assert_less_equal", "<=", np.less_equal)
assert_none_equal = _compare("assert_none_equal", "!=", np.not_equal)


def _against_zero(name: str, words: str, holds: Callable[[Any, Any], Any]) -> Callable[..., None]:
    compare = _compare(name, words, holds)

    def check(x: Any, message: Any = None, summarize: Any = None, name: Any = None) -> None:
        compare(x, 0, message)

    check.__name__ = check.__qualname__ = name
    check.__doc__ = (compare.__doc__ or "").replace(" y``", " 0``").split("y: ")[0].rstrip()
    return published(check)


assert_negative = _against_zero("assert_negative", "<", np.less)
assert_non_negative = _against_zero("assert_non_negative", ">=", np.greater_equal)
assert_non_positive = _against_zero("assert_non_positive", "<=", np.less_equal)
assert_positive = _against_zero("assert_positive", ">", np.greater)


@takes_name
def assert_near(
    x: Any, y: Any, rtol: Any = None, atol: Any = None, message: Any = None, summarize: Any = None
) -> None:
    """Check that ``|x - y| <= atol + rtol * |y|`` in every element.

    Args:
        x: A tensor.
        y: A tensor that can be broadcast against it.
        rtol: Relative tolerance; ten times the distance of 1 from the next number by default.
        atol: Absolute tolerance, likewise.
        message: What the error says first.
        summarize: Accepted, and ignored.

    Raises:
        AssertionFailedError: It does not hold.
    """
    arrays = _known(x, y)
    if arrays is None:
        return
    left, right = (a.astype(np.float64) if a.dtype.kind != "c" else a for a in arrays)
    dtype = arrays[0].dtype
    precision = 10 * (np.finfo(dtype).eps if dtype.kind in "fc" else np.finfo(np.float32).eps)
    absolute = precision if atol is None else float(as_tensor(atol))
    relative = precision if rtol is None else float(as_tensor(rtol))
    distance = np.abs(left - right)
    wrong = ~(distance <= absolute + relative * np.abs(right))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        _fail(message, f"expected x near y, but at {place} they are {distance[place]} apart")


@published
def Assert(  # noqa: N802 (its public name)
    condition: Any, data: Any, summarize: Any = None, name: Any = None
) -> None:
    """Check a condition.

    Args:
        condition: A scalar.
        data: Tensors that the error shows.
        summarize: Accepted, and ignored.
        name: Accepted, and ignored.

    Raises:
        AssertionFailedError: It does not hold.
    """
    arrays = _known(condition)
    if arrays is not None and not arrays[0].all():
        _fail(None, f"expected the condition to be true; data: {[str(item) for item in data]}")


@takes_name
def assert_all_finite(x: Any, message: Any = None) -> Tensor:
    """Check that there is no NaN and no infinity; the tensor itself."""
    return check_numerics(x, message or "tensor had NaN or infinity")


@takes_name
def check_numerics(tensor: Any, message: str) -> Tensor:
    """Check that there is no NaN and no infinity.

    Args:
        tensor: A tensor.
        message: What the error says first.

    Returns:
        The tensor itself.

    Raises:
        AssertionFailedError: There is.
    """
    x = as_tensor(tensor)
    arrays = _known(x)
    if arrays is not None:
        array = arrays[0].astype(np.float64) if arrays[0].dtype.kind == "V" else arrays[0]
        if np.isnan(array).any():
            _fail(message, "the tensor holds NaN")
        if np.isinf(array).any():
            _fail(message, "the tensor holds infinity")
    return x


# ---------------------------------------------------------------------------- shapes and types


@takes_name
def assert_rank(x: Any, rank: int, message: Any = None) -> None:
    """Check the number of axes.

    Raises:
        ShapeError: It has another one.
    """
    assert_rank_in(x, (rank,), message)


@takes_name
def assert_rank_at_least(x: Any, rank: int, message: Any = None) -> None:
    """Check that there are at least so many axes."""
    _check_shape(as_tensor(x).ndim >= int(rank), x, message, f"at least {rank} axes")


@takes_name
def assert_rank_in(x: Any, ranks: Iterable[int], message: Any = None) -> None:
    """Check that the number of axes is one of these."""
    allowed = [int(rank) for rank in ranks]
    words = " or ".join(map(str, allowed))
    _check_shape(as_tensor(x).ndim in allowed, x, message, f"{words} axes")


@takes_name
def assert_scalar(tensor: Any, message: Any = None) -> Tensor:
    """Check that it is a scalar; the tensor itself."""
    assert_rank(tensor, 0, message)
    return as_tensor(tensor)


def _check_shape(holds: bool, x: Any, message: Any, expected: str) -> None:
    if not holds:
        text = f"expected {expected}; received shape {as_tensor(x).shape}"
        raise ShapeError(f"{message}; {text}" if message else text)


@takes_name
def assert_shapes(
    shapes: Any, data: Any = None, summarize: Any = None, message: Any = None
) -> None:
    """Check shapes in which the same letter stands for the same size.

    Args:
        shapes: Pairs of a tensor and its shape: a tuple of numbers, letters, and None for any.
        data: Accepted, and ignored.
        summarize: Accepted, and ignored.
        message: What the error says first.

    Raises:
        ShapeError: A shape is another one.
    """
    sizes: dict[str, Any] = {}
    for x, wanted in shapes.items() if isinstance(shapes, dict) else shapes:
        dims = as_tensor(x).dims
        symbols = tuple(wanted)
        _check_shape(len(dims) == len(symbols), x, message, f"{len(symbols)} axes")
        for dim, symbol in zip(dims, symbols, strict=True):
            if symbol is None or symbol == ".":
                continue
            size = sizes.setdefault(symbol, dim) if isinstance(symbol, str) else int(symbol)
            known = isinstance(dim, int) and isinstance(size, int)
            _check_shape(not known or dim == size, x, message, f"shape {symbols} with {sizes}")


@takes_name
def assert_type(tensor: Any, tf_type: Any, message: Any = None) -> None:
    """Check the element type.

    Raises:
        DTypeError: It has another one.
    """
    wanted, found = as_dtype(tf_type), as_tensor(tensor).dtype
    if found != wanted:
        text = f"expected dtype {wanted}; received {found}"
        raise DTypeError(f"{message}; {text}" if message else text)


@takes_name
def assert_integer(x: Any, message: Any = None) -> None:
    """Check that the elements are integers."""
    if not as_dtype(as_tensor(x).dtype).is_integer:
        text = f"expected integers; received dtype {as_tensor(x).dtype}"
        raise DTypeError(f"{message}; {text}" if message else text)


@takes_name
def is_numeric_tensor(tensor: Any) -> bool:
    """Whether it is a tensor of numbers."""
    return isinstance(tensor, Tensor) and tensor.dtype != "bool"


__all__ = public_names(globals())


def __getattr__(name: str) -> Any:
    raise missing_name("graphc.debugging", name, __all__)
