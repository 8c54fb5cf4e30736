"""Adam and its relatives: averages of gradients over averages of their squares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.eager.tensor import Tensor, cast
from graphc.eager.variable import Variable
from graphc.keras import ops
from graphc.keras.optimizers.optimizer import Optimizer
from graphc.keras.saving.registry import public


class _Moments(Optimizer):
    """What the family shares: decays of two averages."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ):
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self._momentums: list[Variable] = []
        self._velocities: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the slots."""
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_slots(["momentum", "velocity"])

    def moved(
        self, slots: Sequence[Variable], variable: Variable, to: Tensor, beta: float
    ) -> Tensor:
        """Move the average of a variable towards a value; returns the new average."""
        slot = self.slot_of(slots, variable)
        average = slot + (to - slot) * (1.0 - beta)
        slot.assign(average)
        return average

    def power(self, beta: float, variable: Variable) -> Tensor:
        """``beta`` to the power of the number of this step, counted from 1."""
        return ops.power(cast(beta, variable.dtype), cast(self.iterations + 1, variable.dtype))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        names = ("beta_1", "beta_2", "epsilon")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@public("keras.optimizers")
class Adam(_Moments):
    """Adaptive moments (https://arxiv.org/abs/1412.6980, https://keras.io/api/optimizers/adam/).

    Args:
        learning_rate: A number, schedule or function.
        beta_1: Decay of the average of gradients.
        beta_2: Decay of the average of squares.
        epsilon: Added to the root ("epsilon hat" of the paper).
        amsgrad: Whether the largest average of squares so far is used.
        **kwargs: See `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)
        self.amsgrad = amsgrad
        self._velocity_hats: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the slots."""
        if self.built:
            return
        super().build(variables)
        if self.amsgrad:
            (self._velocity_hats,) = self.add_slots(["velocity_hat"])

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        """Update one variable."""
        correction = ops.sqrt(1.0 - self.power(self.beta_2, variable))
        alpha = learning_rate * correction / (1.0 - self.power(self.beta_1, variable))
        momentum = self.moved(self._momentums, variable, gradient, self.beta_1)
        velocity = self.moved(self._velocities, variable, gradient * gradient, self.beta_2)
        if self.amsgrad:
            largest = self.slot_of(self._velocity_hats, variable)
            velocity = ops.maximum(largest, velocity)
            largest.assign(velocity)
        variable.assign(variable - momentum * alpha / (ops.sqrt(velocity) + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "amsgrad": self.amsgrad}


@public("keras.optimizers")
class AdamW(Adam):
    """Adam with decoupled weight decay (https://arxiv.org/abs/1711.05101).

    Args:
        learning_rate: A number, schedule or function.
        weight_decay: See `Optimizer`.
        beta_1: Decay of the average of gradients.
        beta_2: Decay of the average of squares.
        epsilon: Added to the root.
        amsgrad: Whether the largest average of squares so far is used.
        **kwargs: See `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ):
        if weight_decay is None:
            raise ValueError("AdamW needs a weight_decay; without one it is Adam")
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **kwargs
        )


@public("keras.optimizers")
class Adamax(_Moments):
    """Adam with the largest gradient in place of the root (https://arxiv.org/abs/1412.6980).

    Args:
        learning_rate: A number, schedule or function.
        beta_1: Decay of the average of gradients.
        beta_2: Decay of the largest gradient.
        epsilon: Added to the largest gradient.
        **kwargs: See `Optimizer`.
    """

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the slots."""
        if self.built:
            return
        Optimizer.build(self, variables)
        self._momentums, self._velocities = self.add_slots(["momentum", "norm"])

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        """Update one variable."""
        momentum = self.moved(self._momentums, variable, gradient, self.beta_1)
        slot = self.slot_of(self._velocities, variable)
        norm = ops.maximum(slot * self.beta_2, ops.absolute(gradient))
        slot.assign(norm)
        scale = learning_rate / (1.0 - self.power(self.beta_1, variable))
        variable.assign(variable - scale * momentum / (norm + self.epsilon))


@public("keras.optimizers")
class Nadam(_Moments):
    """Adam with Nesterov's momentum (https://keras.io/api/optimizers/Nadam/).

    Args:
        learning_rate: A number, schedule or function.
        beta_1: Decay of the average of gradients.
        beta_2: Decay of the average of squares.
        epsilon: Added to the root.
        **kwargs: See `Optimizer`.
    """

    _DECAY = 0.96

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the slots, and the running product of the momentum schedule."""
        if self.built:
            return
        super().build(variables)
        self._product = self.add_variable((), "ones", name="product")

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None):
        """Update variables by their gradients; see `Optimizer.apply`."""
        variables = self._targets if trainable_variables is None else list(trainable_variables)
        if not self.built:
            self.build(variables)
        # The product advances once a step, before any variable uses it.
        self._product.assign(self._product * self._scheduled(1))
        super().apply(grads, variables)

    def _scheduled(self, ahead: int) -> Tensor:
        """The momentum that the schedule has for this step (1) or the next (2)."""
        step = cast(self.iterations + ahead, "float32")
        return self.beta_1 * (1.0 - 0.5 * ops.power(self._DECAY, step))

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        """Update one variable."""
        now, later = (cast(self._scheduled(ahead), variable.dtype) for ahead in (1, 2))
        product = cast(self._product, variable.dtype)
        momentum = self.moved(self._momentums, variable, gradient, self.beta_1)
        velocity = self.moved(self._velocities, variable, gradient * gradient, self.beta_2)
        from_average = momentum * (later / (1.0 - product * later))
        from_gradient = gradient * ((1.0 - now) / (1.0 - product))
        scaled = velocity / (1.0 - self.power(self.beta_2, variable))
        step = (from_average + from_gradient) * learning_rate
        variable.assign(variable - step / (ops.sqrt(scaled) + self.epsilon))
