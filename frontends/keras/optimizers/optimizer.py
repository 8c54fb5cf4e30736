"""The base class of optimizers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphc.eager.tensor import Tensor, as_tensor, cast
from graphc.eager.trace import computing_at_once
from graphc.eager.variable import Variable
from graphc.keras import ops
from graphc.keras.engine.naming import automatic_name
from graphc.keras.optimizers import schedules
from graphc.keras.optimizers.schedules import InverseTimeDecay, LearningRateSchedule


class Optimizer:
    """Changes variables against their gradients (https://keras.io/api/optimizers/).

    A subclass creates its slots in `build` and defines `update_step`. All of it is computation on
    tensors: it runs at once, or becomes part of a compiled training step.

    Args:
        learning_rate: A number, a `LearningRateSchedule`, or a function without arguments.
        weight_decay: Part of each weight that is subtracted, times the learning rate, per step.
        clipnorm: Largest norm of each gradient.
        clipvalue: Largest absolute value of each element of a gradient.
        global_clipnorm: Largest norm of all gradients together.
        use_ema: Whether to keep a moving average of the weights, which replaces them at the end.
        ema_momentum: Its momentum.
        ema_overwrite_frequency: After how many steps the average replaces the weights; None for
            only at the end of training.
        loss_scale_factor: The loss is multiplied by it, the gradients divided.
        gradient_accumulation_steps: Not supported; has to be None.
        name: A name; made up from the class if left out.
        **kwargs: Keras 2's ``lr`` and ``decay``.

    Raises:
        ValueError: More than one kind of clipping, or a value out of range.
    """

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        learning_rate = kwargs.pop("lr", learning_rate)
        decay = kwargs.pop("decay", 0.0)
        if kwargs:
            raise TypeError(
                f"{type(self).__name__}: unknown argument(s) {', '.join(sorted(kwargs))}"
            )
        given = [c for c in (clipnorm, clipvalue, global_clipnorm) if c is not None]
        if len(given) > 1:
            raise ValueError("give at most one of clipnorm, clipvalue and global_clipnorm")
        if any(value <= 0 for value in given):
            raise ValueError(
                f"clipnorm, clipvalue and global_clipnorm have to be positive: {given}"
            )
        if gradient_accumulation_steps is not None:
            raise ValueError(
                "gradient_accumulation_steps is not supported: use a larger batch_size instead"
            )
        if use_ema and not 0 <= ema_momentum <= 1:
            raise ValueError(f"ema_momentum has to be from 0 to 1, not {ema_momentum}")
        self.name = name or automatic_name(type(self))
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency if use_ema else None
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.built = False
        self._variables: list[Variable] = []
        self._targets: list[Variable] = []
        self._index: dict[int, int] = {}
        self._excluded: tuple[set[int], list[str]] = (set(), [])
        self._averages: list[Variable] = []
        with computing_at_once():
            self.iterations = self._own_variable(np.zeros((), np.int32), "iteration")
            if decay:
                learning_rate = InverseTimeDecay(float(learning_rate), 1, decay)
            self._set_learning_rate(learning_rate)

    # -------------------------------------------------------------------------- learning rate

    def _set_learning_rate(self, learning_rate: Any) -> None:
        if isinstance(learning_rate, dict):
            learning_rate = schedules.deserialize(learning_rate)
        if isinstance(learning_rate, LearningRateSchedule) or callable(learning_rate):
            self._learning_rate: Any = learning_rate
            return
        if isinstance(learning_rate, (str, bool)) or learning_rate is None:
            raise ValueError(
                f"learning_rate has to be a number or a schedule, not {learning_rate!r}"
            )
        self._learning_rate = self._own_variable(
            np.asarray(learning_rate, np.float32), "learning_rate"
        )

    @property
    def learning_rate(self) -> Any:
        """The learning rate now; assignable, but for a schedule."""
        if isinstance(self._learning_rate, Variable):
            return self._learning_rate
        if isinstance(self._learning_rate, LearningRateSchedule):
            return self._learning_rate(self.iterations)
        return as_tensor(self._learning_rate())

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, LearningRateSchedule) or not isinstance(self._learning_rate, Variable):
            if not isinstance(value, LearningRateSchedule):
                raise TypeError(
                    "this optimizer was created with a schedule as its learning_rate, so a number "
                    "cannot be assigned; create the optimizer with a number to change it later"
                )
            if isinstance(self._learning_rate, Variable):
                self._variables = [v for v in self._variables if v is not self._learning_rate]
            self._learning_rate = value
            return
        self._learning_rate.assign(cast(as_tensor(value), "float32"))

    @property
    def lr(self) -> Any:
        """Keras 2's name of `learning_rate`."""
        return self.learning_rate

    @lr.setter
    def lr(self, value: Any) -> None:
        self.learning_rate = value

    # ------------------------------------------------------------------------------- variables

    @property
    def variables(self) -> list[Variable]:
        """The optimizer's own state: the step count, the learning rate, then slots."""
        return list(self._variables)

    @property
    def weights(self) -> list[Variable]:
        """The same as `variables` (Keras 2)."""
        return self.variables

    def get_weights(self) -> list[np.ndarray]:
        """Copies of `variables` as arrays."""
        return [variable.numpy() for variable in self._variables]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set `variables`.

        Raises:
            ValueError: Their number differs, for example since the optimizer is not built yet.
        """
        if len(weights) != len(self._variables):
            raise ValueError(
                f"the optimizer has {len(self._variables)} variables, received {len(weights)}"
                + ("" if self.built else "; it has not been built yet")
            )
        for variable, weight in zip(self._variables, weights, strict=True):
            variable.assign(weight)

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the slots for the variables to be optimized; subclasses add theirs.

        Args:
            variables: The variables, in the order in which gradients will come.
        """
        self._targets = list(variables)
        self._index = {id(variable): i for i, variable in enumerate(self._targets)}
        self.built = True
        if self.use_ema:
            (self._averages,) = self.add_slots(["average"])

    def add_slots(
        self, names: Sequence[str], initial_values: Sequence[float] | None = None
    ) -> list[list[Variable]]:
        """A slot of each name for each variable, ordered by variable first.

        Args:
            names: What the slots are called.
            initial_values: What each starts from; zeros by default.

        Returns:
            A list of slots, one per variable, for each name.
        """
        slots: list[list[Variable]] = [[] for _ in names]
        for target in self._targets:
            for place, name in enumerate(names):
                start = initial_values[place] if initial_values else 0.0
                value = np.full(target.shape, start, target.array.dtype)
                path = target.path.replace("/", "_")
                slots[place].append(self._own_variable(value, f"{path}_{name}"))
        return slots

    def add_variable(
        self, shape: Any, initializer: Any = "zeros", dtype: Any = None, name: str | None = None
    ) -> Variable:
        """A piece of state of a given shape.

        Args:
            shape: Its shape.
            initializer: "zeros" or "ones", or an initializer.
            dtype: Element type; float32 by default.
            name: Its name.
        """
        if initializer in ("zeros", "ones"):
            value: Any = getattr(np, initializer)(shape, dtype or "float32")
        else:
            value = initializer(shape, dtype=dtype or "float32")
        return self._own_variable(np.asarray(value), name or "variable")

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """A slot of the shape of a variable.

        Args:
            reference_variable: The variable.
            name: What the slot is called.
            initializer: "zeros" or "ones", or an initializer.
        """
        path = reference_variable.path.replace("/", "_")
        return self.add_variable(
            reference_variable.shape, initializer, reference_variable.dtype, f"{path}_{name}"
        )

    def _own_variable(self, value: np.ndarray, name: str) -> Variable:
        variable = Variable(value, trainable=False, name=name)
        variable.path = f"{self.name}/{name}"
        self._variables.append(variable)
        return variable

    def slot_of(self, slots: Sequence[Variable], variable: Variable) -> Variable:
        """The slot that belongs to a variable."""
        return slots[self._index[id(variable)]]

    # ---------------------------------------------------------------------------------- update

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        """Update one variable and its slots; to be defined by subclasses."""
        raise NotImplementedError(f"{type(self).__name__} has to define update_step()")

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> None:
        """Update variables by their gradients.

        Args:
            grads_and_vars: Pairs of a gradient (or None) and its variable.
        """
        pairs = [(g, v) for g, v in grads_and_vars if g is not None]
        self.apply([g for g, _ in pairs], [v for _, v in pairs])

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None):
        """Update variables by their gradients.

        Args:
            grads: A gradient per variable.
            trainable_variables: The variables; by default those that `build` was given.

        Raises:
            ValueError: Numbers differ, or a variable is unknown to the optimizer.
        """
        if trainable_variables is None:
            if not self.built:
                raise ValueError("apply() without variables needs a built optimizer")
            trainable_variables = self._targets
        variables = list(trainable_variables)
        if not self.built:
            with computing_at_once():
                self.build(variables)
        self._check(grads, variables)
        gradients = [cast(as_tensor(g), v.dtype) for g, v in zip(grads, variables, strict=True)]
        if self.loss_scale_factor is not None:
            gradients = [gradient / self.loss_scale_factor for gradient in gradients]
        gradients = self._clip(gradients)
        rate = as_tensor(self.learning_rate)
        for gradient, variable in zip(gradients, variables, strict=True):
            own_rate = cast(rate, variable.dtype)
            if self.weight_decay is not None and self._decays(variable):
                variable.assign(variable - variable * self.weight_decay * own_rate)
            self.update_step(gradient, variable, own_rate)
        if self.use_ema:
            self._update_averages(variables)
        for variable in variables:
            constraint = getattr(variable, "constraint", None)
            if constraint is not None:
                variable.assign(constraint(variable.as_tensor()))
        self.iterations.assign_add(1)

    def _check(self, grads: Sequence[Any], variables: list[Variable]) -> None:
        if len(grads) != len(variables):
            raise ValueError(f"{len(grads)} gradients for {len(variables)} variables")
        for variable in variables:
            if id(variable) not in self._index:
                raise ValueError(
                    f'the variable "{variable.path}" is unknown to the optimizer, which was built '
                    "for other variables; use a new optimizer, or compile the model again"
                )

    def _clip(self, gradients: list[Tensor]) -> list[Tensor]:
        if self.clipvalue is not None:
            limit = self.clipvalue
            return [ops.clip(gradient, -limit, limit) for gradient in gradients]
        if self.clipnorm is not None:
            return [_scaled(g, _norm([g]), self.clipnorm) for g in gradients]
        if self.global_clipnorm is not None:
            norm = _norm(gradients)
            return [_scaled(g, norm, self.global_clipnorm) for g in gradients]
        return gradients

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Leave variables out of weight decay.

        Args:
            var_list: Variables.
            var_names: Regular expressions that are searched in the variables' names.
        """
        self._excluded = ({id(v) for v in var_list or []}, list(var_names or []))

    def _decays(self, variable: Variable) -> bool:
        identities, patterns = self._excluded
        return id(variable) not in identities and not any(
            re.search(pattern, variable.name) for pattern in patterns
        )

    def _update_averages(self, variables: list[Variable]) -> None:
        momentum = self.ema_momentum
        for variable in variables:
            average = self.slot_of(self._averages, variable)
            # The first average is the variable itself: a start from zero would be no average.
            kept = ops.where(self.iterations == 0, 0.0, momentum)
            kept = cast(kept, variable.dtype)
            average.assign(average * kept + variable * (1 - kept))
            if self.ema_overwrite_frequency:
                due = (self.iterations + 1) % self.ema_overwrite_frequency == 0
                variable.assign(ops.where(due, average.as_tensor(), variable.as_tensor()))

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """Put the moving averages in the place of the weights; called at the end of training."""
        if self.use_ema and self.built:
            for variable in var_list:
                variable.assign(self.slot_of(self._averages, variable))

    # ---------------------------------------------------------------------------------- config

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same optimizer again, without its state."""
        if isinstance(self._learning_rate, Variable):
            rate: Any = float(self._learning_rate.numpy())
        elif isinstance(self._learning_rate, LearningRateSchedule):
            rate = schedules.serialize(self._learning_rate)
        else:
            rate = 0.5  # what Keras writes for a function, which no file can hold
        return {
            "name": self.name,
            "learning_rate": rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The optimizer that `get_config` described."""
        return cls(**config)


def _norm(tensors: list[Tensor]) -> Tensor:
    """The Euclidean norm of all elements of several tensors."""
    total = ops.sum(ops.square(tensors[0]))
    for tensor in tensors[1:]:
        total = total + ops.sum(ops.square(tensor))
    return ops.sqrt(total)


def _scaled(gradient: Tensor, norm: Tensor, limit: float) -> Tensor:
    """``gradient`` scaled down so that ``norm`` becomes at most ``limit``."""
    return gradient * (limit / ops.maximum(norm, limit))
