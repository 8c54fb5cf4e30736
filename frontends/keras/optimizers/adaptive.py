"""Optimizers that scale each element's step by the size of its gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from graphc.eager import Variable
from graphc.keras import initializers, ops
from graphc.keras.optimizers.optimizer import CommonArguments, Optimizer
from graphc.keras.saving.registry import public


@public("keras.optimizers")
class RMSprop(Optimizer):
    """Steps along the gradient, divided by the root of its mean square.

    ``v = rho * v + (1 - rho) * g * g; w -= learning_rate * g / sqrt(v + epsilon)``. Hinton 2012,
    http://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf.

    Args:
        learning_rate: See `Optimizer`.
        rho: How much of the mean is kept.
        momentum: How much of the last step is added to the next.
        epsilon: What keeps divisions away from 0.
        centered: Whether to divide by the standard deviation instead.
        **common: See `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **common: Unpack[CommonArguments],
    ):
        super().__init__(learning_rate, **common)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered
        self._velocities: list[Variable] = []
        self._momentums: list[Variable] = []
        self._average_gradients: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")
        if self.momentum > 0:
            self._momentums = self.add_optimizer_variables(variables, "momentum")
        if self.centered:
            self._average_gradients = self.add_optimizer_variables(variables, "average_gradient")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        place = self.place_of(variable)
        velocity = self._velocities[place]
        fresh = 1 - self.rho
        size = velocity.assign(velocity * self.rho + gradient * gradient * fresh)
        if self.centered:
            average = self._average_gradients[place]
            mean = average.assign(average * self.rho + gradient * fresh)
            size = size - mean * mean
        step = learning_rate * gradient / ops.sqrt(size + self.epsilon)
        if self.momentum > 0:
            momentum = self._momentums[place]
            step = momentum.assign(momentum * self.momentum + step)
        variable.assign(variable - step)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }


@public("keras.optimizers")
class Adagrad(Optimizer):
    """Steps along the gradient, divided by the root of the sum of all its squares so far.

    ``a += g * g; w -= learning_rate * g / sqrt(a + epsilon)``. Duchi et al. 2011,
    https://www.jmlr.org/papers/volume12/duchi11a/duchi11a.pdf.

    Args:
        learning_rate: See `Optimizer`.
        initial_accumulator_value: Where the sum begins.
        epsilon: What keeps divisions away from 0.
        **common: See `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **common: Unpack[CommonArguments],
    ):
        super().__init__(learning_rate, **common)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon
        self._accumulators: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        start = initializers.Constant(self.initial_accumulator_value)
        self._accumulators = self.add_optimizer_variables(variables, "accumulator", start)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        accumulator = self._accumulators[self.place_of(variable)]
        total = accumulator.assign(accumulator + gradient * gradient)
        variable.assign(variable - learning_rate * gradient / ops.sqrt(total + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }


@public("keras.optimizers")
class Adadelta(Optimizer):
    """Steps in the units of the variable: Zeiler 2012, https://arxiv.org/abs/1212.5701.

    ``a = rho * a + (1 - rho) * g * g; d = -g * sqrt(b + epsilon) / sqrt(a + epsilon); b = rho * b +
    (1 - rho) * d * d; w += learning_rate * d``.

    Args:
        learning_rate: See `Optimizer`; the paper's is 1.
        rho: How much of the means is kept.
        epsilon: What keeps divisions away from 0.
        **common: See `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **common: Unpack[CommonArguments],
    ):
        super().__init__(learning_rate, **common)
        self.rho = rho
        self.epsilon = epsilon
        self._accumulated_grads: list[Variable] = []
        self._accumulated_delta_vars: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._accumulated_grads, self._accumulated_delta_vars = self.add_optimizer_variables(
            variables, ["accumulated_grad", "accumulated_delta_var"]
        )

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        place = self.place_of(variable)
        squares, steps = self._accumulated_grads[place], self._accumulated_delta_vars[place]
        fresh = 1 - self.rho
        size = squares.assign(squares * self.rho + gradient * gradient * fresh)
        unit = ops.sqrt(steps + self.epsilon) / ops.sqrt(size + self.epsilon)
        step = -(unit * gradient)
        steps.assign(steps * self.rho + step * step * fresh)
        variable.assign(variable + learning_rate * step)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}


#: The settings of `Ftrl` that cannot be negative.
_FTRL_SIZES = (
    "initial_accumulator_value",
    "l1_regularization_strength",
    "l2_regularization_strength",
    "l2_shrinkage_regularization_strength",
)


@public("keras.optimizers")
class Ftrl(Optimizer):
    """Follow the regularized leader: weights that do not pay become exactly 0.

    McMahan et al. 2013, https://research.google.com/pubs/archive/41159.pdf.

    Args:
        learning_rate: See `Optimizer`.
        learning_rate_power: How the rate falls with the sum of squares; 0 for not at all.
        initial_accumulator_value: Where that sum begins.
        l1_regularization_strength: What sizes cost.
        l2_regularization_strength: What squares cost.
        l2_shrinkage_regularization_strength: What squares cost, as a part of the gradient.
        beta: The paper's beta.
        **common: See `Optimizer`.

    Raises:
        ValueError: A negative strength, or a positive power.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **common: Unpack[CommonArguments],
    ):
        super().__init__(learning_rate, **common)
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta
        for name in _FTRL_SIZES:
            if getattr(self, name) < 0:
                raise ValueError(
                    f"`{name}` needs to be positive or zero. Received: "
                    f"{name}={getattr(self, name)}."
                )
        if learning_rate_power > 0:
            raise ValueError(
                "`learning_rate_power` needs to be negative or zero. Received: "
                f"learning_rate_power={learning_rate_power}."
            )
        self._accumulators: list[Variable] = []
        self._linears: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        start = initializers.Constant(self.initial_accumulator_value)
        self._accumulators, self._linears = self.add_optimizer_variables(
            variables, ["accumulator", "linear"], [start, "zeros"]
        )

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        place = self.place_of(variable)
        accumulator, linear = self._accumulators[place], self._linears[place]
        rate, power = learning_rate, -self.learning_rate_power
        l1, l2 = self.l1_regularization_strength, self.l2_regularization_strength
        slope = gradient + variable * (2 * self.l2_shrinkage_regularization_strength)
        before = accumulator.value
        after = accumulator.assign(before + gradient * gradient)
        grown = ops.power(after, power)
        change = (grown - ops.power(before, power)) / rate
        line = linear.assign(linear + (slope - change * variable))
        quadratic = grown / rate + 2 * (l2 + self.beta / (2.0 * rate))
        variable.assign((ops.clip(line, -l1, l1) - line) / quadratic)

    def get_config(self) -> dict[str, Any]:
        names = ("learning_rate_power", *_FTRL_SIZES, "beta")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
