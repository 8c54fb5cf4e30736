"""Gradient descent, with and without momentum; Lion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.eager.tensor import Tensor
from graphc.eager.variable import Variable
from graphc.keras import ops
from graphc.keras.optimizers.optimizer import Optimizer
from graphc.keras.saving.registry import public


@public("keras.optimizers")
class SGD(Optimizer):
    """Stochastic gradient descent (https://keras.io/api/optimizers/sgd/).

    ``velocity = momentum * velocity - learning_rate * g``; ``w += velocity``; with Nesterov's
    momentum ``w += momentum * velocity - learning_rate * g`` instead.

    Args:
        learning_rate: A number, schedule or function.
        momentum: From 0 to 1.
        nesterov: Whether to look ahead.
        weight_decay: See `Optimizer`.
        **kwargs: See `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        if not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must be a float between [0, 1]. Received: {momentum}")
        self.momentum = momentum
        self.nesterov = nesterov
        self._momentums: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create a slot for the momentum of each variable, if there is any."""
        if self.built:
            return
        super().build(variables)
        if self.momentum:
            (self._momentums,) = self.add_slots(["momentum"])

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        """Update one variable."""
        step = gradient * learning_rate
        if not self.momentum:
            variable.assign(variable - step)
            return
        slot = self.slot_of(self._momentums, variable)
        velocity = slot * self.momentum - step
        slot.assign(velocity)
        if self.nesterov:
            velocity = velocity * self.momentum - step
        variable.assign(variable + velocity)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


@public("keras.optimizers")
class Lion(Optimizer):
    """Steps by the sign of an average of gradients (https://arxiv.org/abs/2302.06675).

    Args:
        learning_rate: A number, schedule or function.
        beta_1: Weight of the past in the direction of a step.
        beta_2: Decay of the average.
        **kwargs: See `Optimizer`.
    """

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **kwargs: Any
    ):
        super().__init__(learning_rate, **kwargs)
        if not 0 < beta_1 <= 1:
            raise ValueError(f"beta_1 has to be above 0 and at most 1, not {beta_1}")
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self._momentums: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create a slot for each variable."""
        if self.built:
            return
        super().build(variables)
        (self._momentums,) = self.add_slots(["momentum"])

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        """Update one variable."""
        slot = self.slot_of(self._momentums, variable)
        direction = ops.sign(slot * self.beta_1 + gradient * (1.0 - self.beta_1))
        variable.assign(variable - learning_rate * direction)
        slot.assign(slot * self.beta_2 + gradient * (1.0 - self.beta_2))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2}
