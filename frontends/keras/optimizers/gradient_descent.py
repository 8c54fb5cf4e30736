"""Gradient descent, and the variant that uses signs only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from graphc.eager import Variable
from graphc.keras import ops
from graphc.keras.optimizers.optimizer import CommonArguments, Optimizer
from graphc.keras.saving.registry import public


@public("keras.optimizers")
class SGD(Optimizer):
    """``w -= learning_rate * g``, with momentum if asked for.

    Momentum keeps a velocity: ``v = momentum * v - learning_rate * g; w += v``. Nesterov's takes
    the gradient a step ahead: ``w += momentum * v - learning_rate * g``. Sutskever et al. 2013,
    http://proceedings.mlr.press/v28/sutskever13.html.

    Args:
        learning_rate: See `Optimizer`.
        momentum: How much of the velocity is kept, from 0 to 1.
        nesterov: Whether to use Nesterov's momentum.
        **common: See `Optimizer`.

    Raises:
        ValueError: The momentum is not between 0 and 1.

    Example:
        >>> model.compile(optimizer=keras.optimizers.SGD(learning_rate=0.1, momentum=0.9))
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **common: Unpack[CommonArguments],
    ):
        super().__init__(learning_rate, **common)
        number = isinstance(momentum, (int, float)) and not isinstance(momentum, bool)
        if not number or not 0 <= momentum <= 1:
            raise ValueError(
                f"`momentum` must be a float between [0, 1]. Received: momentum={momentum}"
            )
        self.momentum = float(momentum)
        self.nesterov = nesterov
        self.momentums: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        if self.momentum:
            self.momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        step = gradient * learning_rate
        if not self.momentum:
            variable.assign(variable - step)
            return
        velocity = self.momentums[self.place_of(variable)]
        new = velocity.assign(velocity * self.momentum - step)
        variable.assign(variable + (new * self.momentum - step if self.nesterov else new))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


@public("keras.optimizers")
class Lion(Optimizer):
    """``w -= learning_rate * sign(beta_1 * m + (1 - beta_1) * g)``.

    Chen et al. 2023, https://arxiv.org/abs/2302.06675.

    Args:
        learning_rate: See `Optimizer`.
        beta_1: How much of the mean goes into the sign.
        beta_2: How much of the mean is kept.
        **common: See `Optimizer`.

    Raises:
        ValueError: ``beta_1`` is not above 0 and at most 1.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **common: Unpack[CommonArguments],
    ):
        super().__init__(learning_rate, **common)
        if not 0 < beta_1 <= 1:
            raise ValueError(
                "Argument `beta_1` must be in the (0, 1] range. Otherwise, the optimizer "
                f"degenerates to SignSGD. Received: beta_1={beta_1}."
            )
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self._momentums: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        mean = self._momentums[self.place_of(variable)]
        direction = ops.sign(mean * self.beta_1 + gradient * (1.0 - self.beta_1))
        variable.assign(variable - learning_rate * direction)
        mean.assign(mean * self.beta_2 + gradient * (1.0 - self.beta_2))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2}
