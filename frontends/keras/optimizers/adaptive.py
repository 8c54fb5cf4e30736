"""Optimizers that scale each element's step by the size of its past gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.eager.tensor import Tensor
from graphc.eager.variable import Variable
from graphc.keras import ops
from graphc.keras.optimizers.optimizer import Optimizer
from graphc.keras.saving.registry import public


@public("keras.optimizers")
class RMSprop(Optimizer):
    """Divides by a moving root mean square (https://keras.io/api/optimizers/rmsprop/).

    Args:
        learning_rate: A number, schedule or function.
        rho: Decay of the average of squares.
        momentum: Momentum of the step.
        epsilon: Added under the root.
        centered: Whether the square of the average gradient is subtracted.
        **kwargs: See `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **kwargs: Any,
    ):
        super().__init__(learning_rate, **kwargs)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered
        self._velocities: list[Variable] = []
        self._momentums: list[Variable] = []
        self._average_gradients: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the slots."""
        if self.built:
            return
        super().build(variables)
        (self._velocities,) = self.add_slots(["velocity"])
        if self.momentum > 0:
            (self._momentums,) = self.add_slots(["momentum"])
        if self.centered:
            (self._average_gradients,) = self.add_slots(["average_gradient"])

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        """Update one variable."""
        slot = self.slot_of(self._velocities, variable)
        velocity = slot * self.rho + gradient * gradient * (1.0 - self.rho)
        slot.assign(velocity)
        if self.centered:
            average = self.slot_of(self._average_gradients, variable)
            mean = average * self.rho + gradient * (1.0 - self.rho)
            average.assign(mean)
            velocity = velocity - mean * mean
        step = learning_rate * gradient / ops.sqrt(velocity + self.epsilon)
        if self.momentum > 0:
            momentum = self.slot_of(self._momentums, variable)
            step = momentum * self.momentum + step
            momentum.assign(step)
        variable.assign(variable - step)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        names = ("rho", "momentum", "epsilon", "centered")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@public("keras.optimizers")
class Adagrad(Optimizer):
    """Divides by the root of the sum of squares (https://keras.io/api/optimizers/adagrad/).

    Args:
        learning_rate: A number, schedule or function.
        initial_accumulator_value: What the sum starts from.
        epsilon: Added under the root.
        **kwargs: See `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ):
        super().__init__(learning_rate, **kwargs)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon
        self._accumulators: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the slots."""
        if self.built:
            return
        super().build(variables)
        (self._accumulators,) = self.add_slots(["accumulator"], [self.initial_accumulator_value])

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        """Update one variable."""
        slot = self.slot_of(self._accumulators, variable)
        total = slot + gradient * gradient
        slot.assign(total)
        variable.assign(variable - learning_rate * gradient / ops.sqrt(total + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        names = ("initial_accumulator_value", "epsilon")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@public("keras.optimizers")
class Adadelta(Optimizer):
    """Steps in the units of past steps (https://keras.io/api/optimizers/adadelta/).

    Args:
        learning_rate: A number, schedule or function.
        rho: Decay of both averages.
        epsilon: Added under the roots.
        **kwargs: See `Optimizer`.
    """

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **kwargs: Any
    ):
        super().__init__(learning_rate, **kwargs)
        self.rho = rho
        self.epsilon = epsilon
        self._gradients: list[Variable] = []
        self._deltas: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the slots."""
        if self.built:
            return
        super().build(variables)
        names = ["accumulated_grad", "accumulated_delta_var"]
        self._gradients, self._deltas = self.add_slots(names)

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        """Update one variable."""
        squares, deltas = (
            self.slot_of(slots, variable) for slots in (self._gradients, self._deltas)
        )
        total = squares * self.rho + gradient * gradient * (1.0 - self.rho)
        squares.assign(total)
        step = -(ops.sqrt(deltas + self.epsilon) * gradient) / ops.sqrt(total + self.epsilon)
        deltas.assign(deltas * self.rho + step * step * (1.0 - self.rho))
        variable.assign(variable + learning_rate * step)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}


@public("keras.optimizers")
class Ftrl(Optimizer):
    """Follows the regularized leader (https://keras.io/api/optimizers/ftrl/).

    Args:
        learning_rate: A number, schedule or function.
        learning_rate_power: Exponent of the decay of the rate; at most 0.
        initial_accumulator_value: What the sum of squares starts from.
        l1_regularization_strength: Strength of the L1 penalty.
        l2_regularization_strength: Strength of the L2 penalty.
        l2_shrinkage_regularization_strength: L2 penalty on the magnitude alone.
        beta: Added to the root of the sum, times the inverse of the rate.
        **kwargs: See `Optimizer`.
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
        **kwargs: Any,
    ):
        super().__init__(learning_rate, **kwargs)
        if learning_rate_power > 0:
            raise ValueError(f"learning_rate_power has to be at most 0, not {learning_rate_power}")
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta
        self._accumulators: list[Variable] = []
        self._linears: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the slots."""
        if self.built:
            return
        super().build(variables)
        self._accumulators, self._linears = self.add_slots(
            ["accumulator", "linear"], [self.initial_accumulator_value, 0.0]
        )

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        """Update one variable."""
        squares, linear = (
            self.slot_of(slots, variable) for slots in (self._accumulators, self._linears)
        )
        power = -self.learning_rate_power
        l2 = self.l2_regularization_strength + self.beta / (2.0 * learning_rate)
        shrunk = gradient + 2.0 * self.l2_shrinkage_regularization_strength * variable
        total = squares + gradient * gradient
        raised = ops.power(total, power)
        change = (raised - ops.power(squares, power)) / learning_rate
        new_linear = linear + shrunk - change * variable
        quadratic = raised / learning_rate + 2.0 * l2
        l1 = self.l1_regularization_strength
        clipped = ops.clip(new_linear, -l1, l1)
        linear.assign(new_linear)
        squares.assign(total)
        variable.assign((clipped - new_linear) / quadratic)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        names = (
            "learning_rate_power",
            "initial_accumulator_value",
            "l1_regularization_strength",
            "l2_regularization_strength",
            "l2_shrinkage_regularization_strength",
            "beta",
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
