"""The base of schedules."""

from __future__ import annotations

from typing import Any

from graphc.config import config
from graphc.eager import Tensor, as_tensor, cast


class LearningRateSchedule:
    """A learning rate that depends on the step.

    Subclasses define ``__call__(self, step)``, in operations of `keras.ops`, and, to be saved,
    ``get_config``.

    Example:
        >>> class Halving(keras.optimizers.schedules.LearningRateSchedule):
        ...     def __call__(self, step):
        ...         return 0.1 * 0.5 ** keras.ops.floor(step / 1000)
    """

    #: Names of the constructor's arguments, which are attributes as well.
    settings: tuple[str, ...] = ()

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step, counted from 0."""
        raise NotImplementedError(
            f"Learning rate schedule '{type(self).__name__}' must override `__call__(self, step)`."
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments from which another such schedule can be made."""
        if not self.settings:
            raise NotImplementedError(
                f"Learning rate schedule '{type(self).__name__}' must override `get_config()` in "
                "order to be serializable."
            )
        return {name: getattr(self, name) for name in self.settings}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A schedule from what `get_config` returned."""
        return cls(**config)


def checked_steps(name: str, value: Any) -> Any:
    """A number of steps above 0.

    Raises:
        ValueError: It is not.
    """
    if value <= 0:
        raise ValueError(f"Argument `{name}` must be > 0. Received: {name}={value}")
    return value


def float_step(step: Any) -> Tensor:
    """The step as a floating-point number."""
    return cast(as_tensor(step), config.floatx)
