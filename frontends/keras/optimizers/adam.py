"""Adam and its relatives: running means of gradients and of their squares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from graphc.config import config
from graphc.eager import Tensor, Variable, as_tensor
from graphc.keras import ops
from graphc.keras.optimizers.optimizer import CommonArguments, Optimizer
from graphc.keras.saving.registry import public


class _Moments(Optimizer):
    """What the optimizers of this family have in common.

    Args:
        learning_rate: See `Optimizer`.
        beta_1: How much of the mean of gradients is kept.
        beta_2: How much of the mean of squares (or of the largest size) is kept.
        epsilon: What keeps divisions away from 0.
        **common: See `Optimizer`.
    """

    #: What both kinds of state are called.
    state_names = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Unpack[CommonArguments],
    ):
        super().__init__(learning_rate, **common)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self._momentums: list[Variable] = []
        self._velocities: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(
            variables, self.state_names
        )

    def state_of(self, variable: Variable) -> tuple[Variable, Variable]:
        """Both kinds of state of a variable."""
        place = self.place_of(variable)
        return self._momentums[place], self._velocities[place]

    def remaining(self, name: str, dtype: str) -> Tensor:
        """``1 - beta ** step``: how much of the mean was gathered since the start at 0."""
        beta = getattr(self, name)

        def compute() -> Tensor:
            return 1.0 - ops.power(as_tensor(beta, dtype), self.local_step(dtype))

        return self.once(name, dtype, compute)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


@public("keras.optimizers")
class Adam(_Moments):
    """Steps along the mean gradient, divided by the root of the mean square.

    ``m += (1 - beta_1) * (g - m); v += (1 - beta_2) * (g * g - v); w -= alpha * m / (sqrt(v) +
    epsilon)`` with ``alpha = learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)`` at step t.
    Kingma & Ba 2014, https://arxiv.org/abs/1412.6980.

    Args:
        learning_rate: See `Optimizer`.
        beta_1: How much of the mean of gradients is kept.
        beta_2: How much of the mean of squares is kept.
        epsilon: What keeps divisions away from 0.
        amsgrad: Whether to divide by the largest mean square so far,
            https://openreview.net/forum?id=ryQu7f-RZ.
        **common: See `Optimizer`.

    Example:
        >>> model.compile(optimizer=keras.optimizers.Adam(1e-3))
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Unpack[CommonArguments],
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **common)
        self.amsgrad = amsgrad
        self._velocity_hats: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        if self.amsgrad:
            self._velocity_hats = self.add_optimizer_variables(variables, "velocity_hat")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        dtype = variable.dtype

        def corrected_rate() -> Tensor:
            ratio = ops.sqrt(self.remaining("beta_2", dtype)) / self.remaining("beta_1", dtype)
            return learning_rate * ratio

        momentum, velocity = self.state_of(variable)
        m = momentum.assign(momentum + (gradient - momentum) * (1 - self.beta_1))
        v = velocity.assign(velocity + (gradient * gradient - velocity) * (1 - self.beta_2))
        if self.amsgrad:
            largest = self._velocity_hats[self.place_of(variable)]
            v = largest.assign(ops.maximum(largest, v))
        alpha = self.once("alpha", dtype, corrected_rate)
        variable.assign(variable - m * alpha / (ops.sqrt(v) + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "amsgrad": self.amsgrad}


@public("keras.optimizers")
class AdamW(Adam):
    """Adam with weight decay: Loshchilov & Hutter 2017, https://arxiv.org/abs/1711.05101.

    Args:
        learning_rate: See `Optimizer`.
        weight_decay: Share of every variable that is taken off per step, times the learning rate.
        beta_1: As for `Adam`.
        beta_2: As for `Adam`.
        epsilon: As for `Adam`.
        amsgrad: As for `Adam`.
        **common: See `Optimizer`.

    Raises:
        ValueError: ``weight_decay`` is None.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float | None = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Any,
    ):
        if weight_decay is None:
            raise ValueError("Argument `weight_decay` must be a float. Received: weight_decay=None")
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **common
        )


@public("keras.optimizers")
class Adamax(_Moments):
    """Adam with the largest size in place of the mean square.

    ``m += (1 - beta_1) * (g - m); u = max(beta_2 * u, |g|); w -= learning_rate / (1 - beta_1**t) *
    m / (u + epsilon)`` at step t. Kingma & Ba 2014, https://arxiv.org/abs/1412.6980, section 7.

    Args:
        learning_rate: See `Optimizer`.
        beta_1: How much of the mean of gradients is kept.
        beta_2: How fast the largest size is forgotten.
        epsilon: What keeps divisions away from 0.
        **common: See `Optimizer`.
    """

    state_names = ("momentum", "norm")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        momentum, norm = self.state_of(variable)
        m = momentum.assign(momentum + (gradient - momentum) * (1 - self.beta_1))
        u = norm.assign(ops.maximum(norm * self.beta_2, ops.absolute(gradient)))
        remaining = self.remaining("beta_1", variable.dtype)
        variable.assign(variable - learning_rate * m / (remaining * (u + self.epsilon)))


@public("keras.optimizers")
class Nadam(_Moments):
    """Adam with Nesterov's momentum: Dozat 2015, http://cs229.stanford.edu/proj2015/054_report.pdf.

    Args:
        learning_rate: See `Optimizer`.
        beta_1: How much of the mean of gradients is kept.
        beta_2: How much of the mean of squares is kept.
        epsilon: What keeps divisions away from 0.
        **common: See `Optimizer`.
    """

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        dtype = variables[0].dtype if variables else config.floatx
        #: The product of the momentums of all steps so far.
        self._u_product = self.add_variable((), "ones", dtype)
        self._u_product.path = self._u_product.name

    def _momentum_at(self, step: Tensor) -> Tensor:
        """The momentum warms up from about half of ``beta_1`` to all of it."""
        decay = as_tensor(0.96, step.dtype)
        return self.beta_1 * (1.0 - 0.5 * ops.power(decay, step))

    def update_steps(
        self, gradients: list[Tensor], variables: list[Variable], rates: Mapping[str, Tensor]
    ) -> None:
        step = self.local_step(self._u_product.dtype)
        self._u_product.assign(self._u_product * self._momentum_at(step))
        super().update_steps(gradients, variables, rates)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        dtype = variable.dtype

        def mean_factor() -> Tensor:
            following = self._momentum_at(self.local_step(dtype) + 1.0)
            product = ops.cast(self._u_product.value, dtype)
            return following / (1.0 - product * following)

        def gradient_factor() -> Tensor:
            current = self._momentum_at(self.local_step(dtype))
            return (1.0 - current) / (1.0 - ops.cast(self._u_product.value, dtype))

        momentum, velocity = self.state_of(variable)
        m = momentum.assign(momentum + (gradient - momentum) * (1 - self.beta_1))
        v = velocity.assign(velocity + (gradient * gradient - velocity) * (1 - self.beta_2))
        m_hat = m * self.once("mean", dtype, mean_factor)
        m_hat = m_hat + gradient * self.once("gradient", dtype, gradient_factor)
        v_hat = v / self.remaining("beta_2", dtype)
        variable.assign(variable - m_hat * learning_rate / (ops.sqrt(v_hat) + self.epsilon))
