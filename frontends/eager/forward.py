"""`ForwardAccumulator`: derivatives along a direction, in TensorFlow's interface."""

from __future__ import annotations

import warnings
from typing import Any

from graphc.eager.structure import map_leaves
from graphc.eager.tape import GradientTape, UnconnectedGradients, leaves_of
from graphc.eager.tensor import Tensor, as_tensor
from graphc.eager.transforms import fresh_zeros
from graphc.eager.variable import Variable
from graphc.errors import ShapeError
from graphc.ir import is_inexact


class ForwardAccumulator:
    """Records operations so that their results can be differentiated along a direction.

    The derivative that runs forwards is the transpose of the one that runs backwards: that one is
    linear in the cotangents, so its own gradient with respect to them is it. Accumulators and tapes
    nest: an accumulator around a tape gives products of a Hessian and a vector.

    Args:
        primals: A tensor or variable, or a structure of them: what is moved.
        tangents: The direction: tensors of the same structure and shapes.

    Raises:
        ValueError: A primal is neither tensor nor variable, or the structures differ.
        ShapeError: A tangent has another shape than its primal.

    See https://www.tensorflow.org/api_docs/python/tf/autodiff/ForwardAccumulator.

    Example:
        >>> x = Variable([1.0, 2.0])
        >>> with ForwardAccumulator(x, Tensor(np.array([1.0, 0.0], "float32"))) as forward:
        ...     with GradientTape() as tape:
        ...         y = operate("power", x, 3)
        ...     slope = tape.gradient(y, x)
        >>> forward.jvp(slope)  # the first column of the matrix of second derivatives
    """

    def __init__(self, primals: Any, tangents: Any):
        self._tape = GradientTape(persistent=True, watch_accessed_variables=False)
        self._primals: list[Any] = []
        self._tangents: list[Tensor] = []
        self._recording = False
        self.watch(primals, tangents)

    def watch(self, primals: Any, tangents: Any) -> None:
        """Move further tensors or variables along a direction.

        Args:
            primals: As for the constructor.
            tangents: As for the constructor.
        """
        moved, along = leaves_of(primals), leaves_of(tangents)
        if len(moved) != len(along):
            raise ValueError(
                f"ForwardAccumulator: there are {len(moved)} primals, but {len(along)} tangents; "
                "each primal needs one, a tensor"
            )
        for primal, tangent in zip(moved, along, strict=True):
            if not isinstance(primal, (Tensor, Variable)):
                raise ValueError(
                    "ForwardAccumulator: primals are tensors and variables. Received: "
                    f"{primal!r} of type {type(primal).__name__}"
                )
            if not is_inexact(primal.dtype):
                warnings.warn(
                    "The dtype of the watched primal must be floating (e.g. float32), got "
                    f"{primal.dtype}",
                    stacklevel=2,
                )
                continue
            direction = as_tensor(tangent, primal.dtype)
            if direction.shape != tuple(primal.shape):
                raise ShapeError(
                    f"ForwardAccumulator: a tangent has shape {direction.shape}, its primal "
                    f"{tuple(primal.shape)}"
                )
            self._tape.watch(primal)
            self._primals.append(primal)
            self._tangents.append(direction)

    def __enter__(self) -> ForwardAccumulator:
        if self._recording:
            raise ValueError(
                "ForwardAccumulator: it is recording already; a `with` block cannot enter it twice"
            )
        self._tape.__enter__()
        self._recording = True
        return self

    def __exit__(self, *error: object) -> None:
        self._tape.__exit__(*error)
        self._recording = False

    def jvp(
        self,
        primals: Any,
        unconnected_gradients: UnconnectedGradients | str = UnconnectedGradients.NONE,
    ) -> Any:
        """The derivatives of results along the direction.

        Args:
            primals: A result, or a structure of results, of what was recorded.
            unconnected_gradients: What stands for the derivative of what does not depend on the
                primals that are moved: ``"none"`` or ``"zero"``.

        Returns:
            Tensors of the shapes of the results, in their structure.

        Raises:
            ValueError: ``unconnected_gradients`` is something else.
        """
        try:
            zeros = UnconnectedGradients(unconnected_gradients) is UnconnectedGradients.ZERO
        except ValueError:
            raise ValueError(
                "Argument `unconnected_gradients` should be 'none' or 'zero'. "
                f"Received: {unconnected_gradients!r}"
            ) from None
        recording = self._recording
        if recording:  # what computes the derivative is not recorded by the accumulator itself
            self.__exit__(None, None, None)
        try:
            return map_leaves(lambda _, y: self._along(y, zeros), primals, variables=True)
        finally:
            if recording:
                self.__enter__()

    def _along(self, result: Any, zeros: bool) -> Tensor | None:
        for primal, tangent in zip(self._primals, self._tangents, strict=True):
            if result is primal:
                return tangent
        y = as_tensor(result)
        found = self._derivative(y) if is_inexact(y.dtype) else None
        return fresh_zeros(y) if found is None and zeros else found

    def _derivative(self, y: Tensor) -> Tensor | None:
        cotangent = fresh_zeros(y)
        with GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(cotangent)
            pulled = self._tape.gradient(y, self._primals, cotangent)
        pairs = [
            (dx, tangent)
            for dx, tangent in zip(pulled, self._tangents, strict=True)
            if dx is not None
        ]
        if not pairs:
            return None
        return tape.gradient([dx for dx, _ in pairs], cotangent, [tangent for _, tangent in pairs])
