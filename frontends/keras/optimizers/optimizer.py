"""The base of optimizers: their variables, gradient clipping, weight decay, averages."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from graphc.config import config
from graphc.eager import Tensor, Variable, as_tensor, cast
from graphc.eager.stateless import replaced
from graphc.keras import ops
from graphc.keras.engine.naming import automatic_name
from graphc.keras.optimizers.at_once import UpdateAtOnce
from graphc.keras.optimizers.clipping import clip_by_global_norm, clip_by_norm
from graphc.keras.optimizers.schedules import LearningRateSchedule
from graphc.keras.optimizers.state import OptimizerState
from graphc.keras.saving.registry import deserialize_keras_object, serialize_keras_object


class CommonArguments(TypedDict, total=False):
    """The keyword arguments that all optimizers take; see `Optimizer`."""

    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None
    lr: float
    decay: float


#: Settings that other versions of Keras write into files and that mean nothing here.
_FOREIGN = ("jit_compile", "is_legacy_optimizer")


class Optimizer(OptimizerState):
    """Changes variables so that a loss gets smaller, given the loss's gradients.

    Subclasses define ``build(self, variables)``, which makes their state with
    `add_optimizer_variables`, and ``update_step(self, gradient, variable, learning_rate)``.

    Args:
        learning_rate: A number, a schedule, or a function without arguments that returns one.
        weight_decay: Share of every variable that is taken off per step, times the learning rate.
        clipnorm: The largest norm of each gradient.
        clipvalue: The largest size of each element of gradients.
        global_clipnorm: The largest norm of all gradients together.
        use_ema: Whether to keep a running mean of each variable.
        ema_momentum: How much of the old mean is kept each time.
        ema_overwrite_frequency: After how many steps the variables are set to their means; None
            for at the end of training only.
        loss_scale_factor: What the loss was multiplied by; gradients are divided by it.
        gradient_accumulation_steps: Over how many steps gradients are added up before an update.
        name: Its name; made up if left out.
        lr: Keras 2's name of ``learning_rate``.
        decay: As in Keras 2: step n uses ``learning_rate / (1 + decay * n)``.

    Raises:
        ValueError: An argument that makes no sense, or that there is none of.
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
        self.decay = float(kwargs.pop("decay", None) or 0.0)
        if kwargs:
            raise ValueError(
                f"Argument(s) not recognized by {type(self).__name__}: "
                f"{', '.join(sorted(kwargs))}. Received: {kwargs}"
            )
        self.name = name or automatic_name(type(self))
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self._check_arguments()
        self.built = False
        self._variables: list[Variable] = []
        self._trainable_variables: list[Variable] = []
        self._places: dict[int, int] = {}
        self._averages: list[Variable] = []
        self._accumulated: list[Variable] = []
        self._excluded: set[int] = set()
        self._excluded_names: re.Pattern[str] | None = None
        self._memo: dict[Any, Tensor] | None = None
        self._iterations = self._own_variable("iteration", np.zeros((), np.int32))
        self._learning_rate = self._checked_rate(learning_rate)
        if not callable(self._learning_rate):
            rate = np.asarray(self._learning_rate)
            self._learning_rate = self._own_variable("learning_rate", rate, config.floatx)

    def _check_arguments(self) -> None:
        steps = self.gradient_accumulation_steps
        if steps and steps < 2:
            raise ValueError(
                "`gradient_accumulation_steps` must be an integer >= 2. Received: "
                f"gradient_accumulation_steps={steps}"
            )
        if self.use_ema and not 0 <= self.ema_momentum <= 1:
            raise ValueError(
                "`ema_momentum` must be in the range [0, 1]. "
                f"Received: ema_momentum={self.ema_momentum}"
            )
        frequency = self.ema_overwrite_frequency
        if self.use_ema and frequency and (not isinstance(frequency, int) or frequency < 1):
            raise ValueError(
                "`ema_overwrite_frequency` must be an integer >= 1 or None. Received: "
                f"ema_overwrite_frequency={frequency}"
            )
        clips = (self.clipnorm, self.clipvalue, self.global_clipnorm)
        if sum(clip is not None for clip in clips) > 1:
            raise ValueError(
                "Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. Received: "
                f"clipnorm={self.clipnorm}, clipvalue={self.clipvalue}, "
                f"global_clipnorm={self.global_clipnorm}"
            )

    @staticmethod
    def _checked_rate(rate: Any) -> Any:
        """A number, a schedule or a function.

        Raises:
            ValueError: It is none of them.
        """
        if callable(rate):
            return rate
        number = rate.item() if isinstance(rate, (np.generic, np.ndarray, Tensor)) else rate
        if isinstance(number, Variable):
            return number
        if not isinstance(number, (int, float)) or isinstance(number, bool):
            raise ValueError(
                "Argument `learning_rate` should be float, or an instance of "
                "LearningRateSchedule, or a callable that returns the learning rate. "
                f"Received instead: learning_rate={rate!r}"
            )
        return float(number)

    # ----------------------------------------------------------------------------------- variables

    @property
    def iterations(self) -> Any:
        """How many updates there were."""
        if self.gradient_accumulation_steps:
            return ops.floor_divide(self._iterations, self.gradient_accumulation_steps)
        return self._iterations

    @property
    def learning_rate(self) -> Any:
        """The learning rate now: a variable, or what the schedule gives."""
        if isinstance(self._learning_rate, LearningRateSchedule):
            return self._learning_rate(self._iterations)
        return self._learning_rate() if callable(self._learning_rate) else self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        rate = self._checked_rate(value)
        if callable(rate):
            self._variables = [v for v in self._variables if v is not self._learning_rate]
            self._learning_rate = rate
        elif isinstance(self._learning_rate, LearningRateSchedule):
            raise TypeError(
                "This optimizer was created with a `LearningRateSchedule` object as its "
                "`learning_rate` constructor argument, hence its learning rate is not settable. "
                "If you need the learning rate to be settable, you should instantiate the "
                "optimizer with a float `learning_rate` argument."
            )
        elif callable(self._learning_rate):
            rate = np.asarray(rate)
            self._learning_rate = self._own_variable("learning_rate", rate, config.floatx, place=1)
        else:
            self._learning_rate.assign(rate)

    @property
    def lr(self) -> Any:
        """Keras 2's name of `learning_rate`."""
        return self.learning_rate

    @lr.setter
    def lr(self, value: Any) -> None:
        self.learning_rate = value

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the state for variables; called once.

        Args:
            variables: All variables that will be trained, in order.
        """
        if self.built:
            return
        if self.use_ema:
            self._averages = self.add_optimizer_variables(variables, "average")
        if self.gradient_accumulation_steps:
            self._accumulated = self.add_optimizer_variables(variables, "gradient_accumulator")
        self._trainable_variables = list(variables)
        self._places = {id(variable): i for i, variable in enumerate(variables)}
        self.built = True

    def place_of(self, variable: Variable) -> int:
        """Which of the variables it was built for this is.

        Raises:
            ValueError: None of them.
        """
        if id(variable) not in self._places:
            raise ValueError(
                f"Unknown variable: {variable}. This optimizer can only be called for the "
                "variables it was originally built with. When working with a new set of "
                "variables, you should recreate a new optimizer instance."
            )
        return self._places[id(variable)]

    _get_variable_index = place_of  # what optimizers written for Keras call it

    # --------------------------------------------------------------------------------------- steps

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Variable:
        """One update, from pairs of a gradient and its variable.

        Example:
            >>> optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        """
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])
        return self._iterations

    def apply(self, grads: Sequence[Any], trainable_variables: Any = None) -> None:
        """One update.

        Args:
            grads: A gradient per variable; None for one that the loss does not depend on.
            trainable_variables: The variables; left out for those it was built for.

        Raises:
            ValueError: Not built yet, unknown variables, or no gradient at all.
        """
        if not len(grads):
            return
        variables = self._variables_for(grads, trainable_variables)
        gradients, variables = self._present(grads, variables)
        if not self._at_once(gradients, variables):
            self._apply(gradients, variables)

    @functools.cached_property
    def _at_once(self) -> UpdateAtOnce:
        return UpdateAtOnce(self, self._apply)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes over: not the plans, which are for these variables."""
        return {name: value for name, value in vars(self).items() if name != "_at_once"}

    def _apply(self, gradients: list[Tensor], variables: list[Variable]) -> None:
        if self.loss_scale_factor is not None:
            gradients = [gradient / self.loss_scale_factor for gradient in gradients]
        self._memo = {}
        try:
            if self.gradient_accumulation_steps:
                self._accumulate(gradients, variables)
            else:
                self._update(gradients, variables)
            if self.use_ema:
                self._average()
        finally:
            self._memo = None
        for variable in variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable.value))
        self._iterations.assign_add(1)

    def stateless_apply(
        self,
        optimizer_variables: Sequence[Any],
        grads: Sequence[Any],
        trainable_variables: Sequence[Any],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """One update as a function, which changes nothing.

        Args:
            optimizer_variables: Values for `variables`.
            grads: A gradient for each trainable variable.
            trainable_variables: Values for the variables that it was built for.

        Returns:
            The new values of the trainable variables, and those of the optimizer's.

        Raises:
            ValueError: Not built yet, or another number of values.
        """
        if not self.built:
            raise ValueError(
                f"To call `stateless_apply`, {type(self).__name__} must be built (i.e. its "
                "variables must have been created). You can build it via "
                "`optimizer.build(trainable_variables)`."
            )
        trained, own = self._trainable_variables, self.variables
        with replaced([*trained, *own], [*trainable_variables, *optimizer_variables]):
            self.apply(grads, trained)
            return [v.as_tensor() for v in trained], [v.as_tensor() for v in own]

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Assign new values to a variable and to its part of the state."""
        raise NotImplementedError(
            f"The optimizer {type(self).__name__} has to define "
            "update_step(self, gradient, variable, learning_rate)"
        )

    def once(self, name: str, dtype: str, compute: Callable[[], Tensor]) -> Tensor:
        """A scalar that is the same for all variables, computed for the first one only."""
        if self._memo is None:
            return compute()
        if (name, dtype) not in self._memo:
            self._memo[name, dtype] = compute()
        return self._memo[name, dtype]

    def local_step(self, dtype: str) -> Tensor:
        """The number of this update, counted from 1."""
        return self.once("step", dtype, lambda: ops.cast(self.iterations, dtype) + 1.0)

    def assign(self, variable: Variable, value: Any) -> None:
        """Set a variable."""
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        """Add to a variable."""
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        """Subtract from a variable."""
        variable.assign_sub(value)

    def _variables_for(self, grads: Sequence[Any], variables: Any) -> list[Variable]:
        if variables is not None:
            variables = list(variables)
            self.build(variables)
        elif not self.built:
            raise ValueError(
                "When passing `grads` without `variables`, the optimizer must already be built on "
                "a list of variables. Call `optimizer.build(trainable_variables)` first."
            )
        else:
            variables = self._trainable_variables
        if len(grads) != len(variables):
            raise ValueError(f"Received {len(grads)} gradients for {len(variables)} variables.")
        for variable in variables:
            if id(variable) not in self._places:
                self.place_of(variable)  # says so
        return variables

    @staticmethod
    def _present(
        grads: Sequence[Any], variables: list[Variable]
    ) -> tuple[list[Tensor], list[Variable]]:
        """The gradients that exist, as tensors of their variables' types."""
        pairs = [(g, v) for g, v in zip(grads, variables, strict=True) if g is not None]
        if not pairs:
            raise ValueError("No gradients provided for any variable.")
        if len(pairs) < len(variables):
            missing = [v.path for g, v in zip(grads, variables, strict=True) if g is None]
            warnings.warn(
                f"Gradients do not exist for variables {missing} when minimizing the loss. If "
                "using `model.compile()`, did you forget to provide a `loss` argument?"
            )
        return [cast(g, v.dtype) for g, v in pairs], [v for _, v in pairs]

    def _update(self, gradients: list[Tensor], variables: list[Variable]) -> None:
        """One update of all variables."""
        gradients = self._clipped(gradients)
        rate: Any = self.learning_rate
        if self.decay:
            steps = ops.cast(self.iterations, config.floatx)
            rate = rate / (1.0 + self.decay * steps)
        rates = {v.dtype: cast(as_tensor(rate), v.dtype) for v in variables}
        self._decay_weights(variables, rates)
        self.update_steps(gradients, variables, rates)

    def update_steps(
        self, gradients: list[Tensor], variables: list[Variable], rates: Mapping[str, Tensor]
    ) -> None:
        """`update_step` for each variable; ``rates`` is the learning rate in each dtype."""
        for gradient, variable in zip(gradients, variables, strict=True):
            self.update_step(gradient, variable, rates[variable.dtype])

    def _clipped(self, gradients: list[Tensor]) -> list[Tensor]:
        if self.clipnorm:
            return [clip_by_norm(gradient, self.clipnorm) for gradient in gradients]
        if self.global_clipnorm:
            return clip_by_global_norm(gradients, self.global_clipnorm)
        if self.clipvalue:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in gradients]
        return gradients

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave variables out of the weight decay; to be called before the first update.

        Args:
            var_list: The variables.
            var_names: Regular expressions that their names match.

        Raises:
            ValueError: There were updates already.
        """
        if self.built:
            raise ValueError(
                "`exclude_from_weight_decay()` can only be configured before the optimizer is "
                "built."
            )
        self._excluded = {id(variable) for variable in var_list or ()}
        names = list(var_names or ())
        self._excluded_names = re.compile("|".join(names)) if names else None

    def _decays(self, variable: Variable) -> bool:
        names = self._excluded_names
        by_name = names is not None and names.search(variable.name) is not None
        return id(variable) not in self._excluded and not by_name

    def _decay_weights(self, variables: list[Variable], rates: Mapping[str, Tensor]) -> None:
        if self.weight_decay is None:
            return
        shares = {dtype: rate * self.weight_decay for dtype, rate in rates.items()}
        for variable in filter(self._decays, variables):
            variable.assign(variable - variable * shares[variable.dtype])

    def _accumulate(self, gradients: list[Tensor], variables: list[Variable]) -> None:
        """Add gradients up; every so many steps update with their mean and begin anew.

        The update is computed in each step and kept in some, so that a step is one program
        without branches.
        """
        steps = self.gradient_accumulation_steps
        is_update = ops.equal(ops.mod(self._iterations + 1, steps), 0)
        sums = [self._accumulated[self.place_of(variable)] for variable in variables]
        kept = [v for v in self._variables if v is not self._iterations]
        before = [(variable, variable.value) for variable in (*variables, *kept)]
        totals = [g + total for g, total in zip(gradients, sums, strict=True)]
        self._update([total / float(steps) for total in totals], variables)  # type: ignore
        for variable, old in before:
            variable.assign(ops.where(is_update, variable.value, old))
        for sum_, total in zip(sums, totals, strict=True):
            sum_.assign(ops.where(is_update, ops.zeros_like(total), total))

    def _average(self) -> None:
        """Move the running means towards the variables."""
        for variable, average in zip(self._trainable_variables, self._averages, strict=True):
            started = ops.cast(ops.not_equal(self.iterations, 0), variable.dtype)
            momentum = started * self.ema_momentum
            average.assign(momentum * average + (1.0 - momentum) * variable)
        if self.ema_overwrite_frequency:
            step = self.iterations + 1
            due = ops.equal(ops.mod(step, self.ema_overwrite_frequency), 0)
            for variable, average in zip(self._trainable_variables, self._averages, strict=True):
                variable.assign(ops.where(due, average, variable))

    def averaged_variables(self) -> list[tuple[Variable, Variable]]:
        """Pairs of a variable and its running mean.

        Raises:
            ValueError: There are no means.
        """
        if not self.use_ema or not self._averages:
            raise ValueError(
                "the optimizer keeps no running means of the weights: make it with use_ema=True, "
                "and train before you ask for them"
            )
        return list(zip(self._trainable_variables, self._averages, strict=True))

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """At the end of training: set variables to their running means, if there are any."""
        if not self.use_ema:
            return
        for variable in var_list:
            variable.assign(self._averages[self.place_of(variable)])

    def scale_loss(self, loss: Any) -> Any:
        """The loss times the scale that gradients will be divided by."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    # ---------------------------------------------------------------------------- saving, settings

    def get_config(self) -> dict[str, Any]:
        """The arguments from which another such optimizer can be made."""
        rate = self._learning_rate
        settings = {
            "name": self.name,
            "learning_rate": serialize_keras_object(rate)
            if callable(rate)
            else float(rate.numpy()),
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
        return {**settings, "decay": self.decay} if self.decay else settings

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """An optimizer from what `get_config` returned, here or in another version of Keras."""
        settings = {key: value for key, value in config.items() if key not in _FOREIGN}
        if isinstance(settings.get("learning_rate"), dict):
            settings["learning_rate"] = deserialize_keras_object(
                settings["learning_rate"], custom_objects
            )
        return cls(**settings)
