"""Layers that combine several tensors, and the functions of the same names."""

from __future__ import annotations

import functools
import string
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from graphc.eager import Tensor
from graphc.errors import ShapeError
from graphc.keras import ops
from graphc.keras.layers.builtin import BuiltinLayer
from graphc.keras.saving.registry import public


class Merge(BuiltinLayer):
    """A layer that takes a list of tensors.

    Args:
        **kwargs: For `Layer`.

    Raises:
        ShapeError: What it is called on is no list, or the shapes do not fit.
    """

    #: How many inputs there can be.
    least: ClassVar[int] = 1
    most: ClassVar[int | None] = None

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.input_spec = None
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """The combined tensors."""
        if not isinstance(inputs, (list, tuple)):
            raise ShapeError(
                f'{type(self).__name__} "{self.name}" should be called on a list of tensors, as in '
                f"{type(self).__name__}()([a, b]). Received: {inputs!r}"
            )
        count = len(inputs)
        if count < self.least or (self.most is not None and count > self.most):
            wanted = f"exactly {self.most}" if self.most == self.least else f"at least {self.least}"
            raise ShapeError(
                f'{type(self).__name__} "{self.name}" should be called on {wanted} inputs. '
                f"Received: {count}"
            )
        self.check_shapes([tuple(x.shape) for x in inputs])
        return self.merge(list(inputs))

    def check_shapes(self, shapes: list[tuple[int | None, ...]]) -> None:
        """Refuse shapes that cannot be broadcast against each other."""
        rank = max(map(len, shapes))
        padded = [_lifted(shape, rank) for shape in shapes]
        for axis in range(rank):
            sizes = {shape[axis] for shape in padded} - {None, 1}
            if len(sizes) > 1:
                raise ShapeError(
                    f'{type(self).__name__} "{self.name}": the inputs have different sizes along '
                    f"axis {axis}: {', '.join(map(str, shapes))}"
                )

    def merge(self, inputs: list[Tensor]) -> Any:
        """The inputs combined."""
        raise NotImplementedError

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Steps count where they do in any input; all of them if an input has no mask."""
        if not isinstance(previous_mask, (list, tuple)) or any(m is None for m in previous_mask):
            return None
        return functools.reduce(ops.logical_or, previous_mask)


def _lifted(shape: Sequence[Any], rank: int) -> tuple[Any, ...]:
    """A shape with axes of size 1 behind the batch's, as Keras makes ranks agree."""
    return (*shape[:1], *(1,) * (rank - len(shape)), *shape[1:])


class _Elementwise(Merge):
    """Broadcasts the inputs and combines them element by element."""

    def merge(self, inputs: list[Tensor]) -> Any:
        rank = max(x.ndim for x in inputs)
        masks = [x.mask for x in inputs]
        lifted = [ops.reshape(x, _lifted(x.dims, rank)) for x in inputs]
        for x, mask in zip(lifted, masks, strict=True):
            x.mask = mask
        return self.combine(lifted)

    def combine(self, inputs: list[Tensor]) -> Any:
        """The inputs, of one rank now, combined."""
        raise NotImplementedError


def _kept(x: Tensor) -> Tensor:
    """The mask of a tensor, broadcast to it."""
    assert x.mask is not None
    mask = ops.reshape(x.mask, (*x.mask.dims, *(1,) * (x.ndim - x.mask.ndim)))
    return ops.broadcast_to(mask, x.dims)


@public("keras.layers")
class Add(_Elementwise):
    """The sum of the inputs.

    Example:
        >>> keras.layers.Add()([x, shortcut])
    """

    def combine(self, inputs: list[Tensor]) -> Any:
        return functools.reduce(ops.add, inputs)


@public("keras.layers")
class Subtract(_Elementwise):
    """The first input minus the second one."""

    least = most = 2

    def combine(self, inputs: list[Tensor]) -> Any:
        return inputs[0] - inputs[1]


@public("keras.layers")
class Multiply(_Elementwise):
    """The product of the inputs.

    A step that is masked in one of them counts as 1; masked in all of them it gives 0.
    """

    def combine(self, inputs: list[Tensor]) -> Any:
        factors = [x if x.mask is None else ops.where(_kept(x), x, 1) for x in inputs]
        product = functools.reduce(ops.multiply, factors)
        if any(x.mask is None for x in inputs):
            return product
        kept = functools.reduce(ops.logical_or, map(_kept, inputs))
        return ops.where(kept, product, 0)


@public("keras.layers")
class Average(_Elementwise):
    """The mean of the inputs."""

    def combine(self, inputs: list[Tensor]) -> Any:
        return functools.reduce(ops.add, inputs) / len(inputs)


class _Extremum(_Elementwise):
    function: ClassVar[Callable[..., Any]]

    def combine(self, inputs: list[Tensor]) -> Any:
        result = inputs[0]
        kept = None if result.mask is None else _kept(result)
        for x in inputs[1:]:
            own = None if x.mask is None else _kept(x)
            # Where one of the two is masked the other one is the result.
            if own is not None:
                x = ops.where(own, x, result)
            if kept is not None:
                result = ops.where(kept, result, x)
            kept = None if own is None or kept is None else ops.logical_or(kept, own)
            result = type(self).function(result, x)
        return result


@public("keras.layers")
class Maximum(_Extremum):
    """The largest of the inputs, element by element."""

    function = staticmethod(ops.maximum)


@public("keras.layers")
class Minimum(_Extremum):
    """The smallest of the inputs, element by element."""

    function = staticmethod(ops.minimum)


@public("keras.layers")
class Concatenate(Merge):
    """The inputs one after the other along an axis.

    Args:
        axis: The axis.
        **kwargs: For `Layer`.

    Raises:
        ShapeError: Another axis differs in size.
    """

    arguments = ("axis",)

    def __init__(self, axis: int = -1, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = axis

    def check_shapes(self, shapes: list[tuple[int | None, ...]]) -> None:
        """Refuse shapes that differ along another axis."""
        rank = len(shapes[0])
        fits = -rank <= self.axis < rank and all(len(shape) == rank for shape in shapes)
        for axis in range(rank if fits else 0):
            sizes = {shape[axis] for shape in shapes} - {None}
            if axis != self.axis % rank and len(sizes) > 1:
                fits = False
        if not fits:
            raise ShapeError(
                f'Concatenate "{self.name}" needs inputs with the same sizes but for axis '
                f"{self.axis}. Received shapes: {', '.join(map(str, shapes))}"
            )

    def merge(self, inputs: list[Tensor]) -> Any:
        return ops.concatenate(inputs, axis=self.axis)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The masks one after the other; inputs without one count everywhere."""
        if not isinstance(previous_mask, (list, tuple)) or all(m is None for m in previous_mask):
            return None
        full = []
        for x, mask in zip(inputs, previous_mask, strict=True):
            if mask is None:
                full.append(ops.full_like(x, True, dtype="bool"))
            else:
                lifted = ops.reshape(mask, (*mask.dims, *(1,) * (x.ndim - mask.ndim)))
                full.append(ops.broadcast_to(lifted, x.dims))
        return ops.any(ops.concatenate(full, axis=self.axis), axis=-1)


@public("keras.layers")
class Dot(Merge):
    """The dot product of two inputs along one axis of each, sample by sample.

    Args:
        axes: The axis of both, or a pair.
        normalize: Whether to divide by the norms first: the cosine of the angle.
        **kwargs: For `Layer`.

    Raises:
        TypeError, ValueError: ``axes`` is no integer and no pair of integers.
        ShapeError: The two axes differ in size.
    """

    arguments = ("axes", "normalize")
    least = most = 2

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(axes, int):
            if not isinstance(axes, (list, tuple)):
                raise TypeError(
                    "Invalid type for argument `axes`: it should be a list or an int. Received: "
                    f"axes={axes}"
                )
            if len(axes) != 2 or not all(isinstance(axis, int) for axis in axes):
                raise ValueError(
                    "Invalid format for argument `axes`: it should contain two integers. Received: "
                    f"axes={axes}"
                )
        self.axes = axes
        self.normalize = normalize

    def _places(self, shapes: Sequence[Sequence[Any]]) -> list[int]:
        axes = self.axes if isinstance(self.axes, (list, tuple)) else (self.axes,) * 2
        for axis, shape in zip(axes, shapes, strict=True):
            if not -len(shape) <= axis < len(shape) or axis % len(shape) == 0:
                raise ShapeError(
                    f'Dot "{self.name}": axes={self.axes} should name axes of the inputs other '
                    f"than the batch's. Received shapes: {', '.join(map(str, shapes))}"
                )
        return [axis % len(shape) for axis, shape in zip(axes, shapes, strict=True)]

    def check_shapes(self, shapes: list[tuple[int | None, ...]]) -> None:
        """Refuse axes of different sizes."""
        first, second = self._places(shapes)
        sizes = {shapes[0][first], shapes[1][second]} - {None}
        if len(sizes) > 1:
            raise ShapeError(
                f"Incompatible input shapes: axis values {shapes[0][first]} (at axis {first}) != "
                f"{shapes[1][second]} (at axis {second}). Full input shapes: {shapes[0]}, "
                f"{shapes[1]}"
            )

    def merge(self, inputs: list[Tensor]) -> Any:
        first, second = self._places([x.shape for x in inputs])
        if self.normalize:
            inputs = [
                ops.normalize(x, axis=axis) for x, axis in zip(inputs, (first, second), strict=True)
            ]
        x, y = inputs
        letters = iter(string.ascii_letters[2:])
        x_term = ["b", *(next(letters) for _ in range(x.ndim - 1))]
        y_term = ["b", *(next(letters) for _ in range(y.ndim - 1))]
        y_term[second] = x_term[first]
        kept = [c for c in (*x_term, *y_term[1:]) if c != x_term[first]]
        equation = f"{''.join(x_term)},{''.join(y_term)}->{''.join(kept)}"
        result = ops.einsum(equation, x, y)
        return ops.expand_dims(result, -1) if result.ndim == 1 else result

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None."""
        return None


def _function(layer: type[Merge]) -> Callable[..., Any]:
    def call(inputs: Any, **kwargs: Any) -> Any:
        return layer(**kwargs)(inputs)

    call.__name__ = call.__qualname__ = layer.__name__.lower()
    call.__doc__ = f"`{layer.__name__}` as a function of a list of tensors."
    return call


add = _function(Add)
average = _function(Average)
maximum = _function(Maximum)
minimum = _function(Minimum)
multiply = _function(Multiply)
subtract = _function(Subtract)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """`Concatenate` as a function of a list of tensors."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Any, axes: Any = -1, **kwargs: Any) -> Any:
    """`Dot` as a function of a list of two tensors."""
    return Dot(axes=axes, **kwargs)(inputs)
