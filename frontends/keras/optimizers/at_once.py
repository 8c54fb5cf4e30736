"""Updates outside of compiled programs: planned once for all variables, not op by op.

An update of a model's variables is some dozen operations for each of them. Outside of a trace it is
traced once for these variables and settings, and runs as one plan from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc.config import config
from graphc.eager import Tensor, Variable
from graphc.eager.cache import Cache
from graphc.eager.concrete import PLANNED, ConcreteFunction
from graphc.eager.current import current_tapes, current_trace
from graphc.eager.function import Function
from graphc.eager.kind import kind_of

#: Attributes by which an update is told apart from that of an optimizer with other settings.
_SETTINGS = (int, float, bool, str, type(None))


class UpdateAtOnce:
    """The update of an optimizer.

    Args:
        optimizer: The optimizer.
        update: Its method that updates variables, given a list of gradients and one of variables.
    """

    def __init__(self, optimizer: Any, update: Callable[..., None]):
        self._optimizer = optimizer
        # What a user's own class does besides, or reads, is nothing that could be known.
        self._is_known = type(optimizer).__module__.startswith(__package__ or "")
        self._function = Function(lambda gradients, variables, _: update(gradients, variables),
                                  backend=PLANNED)  # fmt: skip
        # By the identity of all that an update depends on, which is kept here so that it lasts.
        self._found: Cache[tuple[Any, ...], tuple[ConcreteFunction, Any]] = Cache(64)

    def __call__(self, gradients: Sequence[Tensor], variables: Sequence[Variable]) -> bool:
        """Do the update, if it can be planned; whether it was."""
        if not self._is_known or current_trace() is not None or current_tapes():
            return False
        if config.functions_at_once:
            return False
        for variable in variables:
            if variable.replacement is not None:
                return False
        constraints = [variable.constraint for variable in variables]
        kept = (*vars(self._optimizer).values(), *variables, *constraints)
        kinds = [kind_of(gradient.data) for gradient in gradients]
        if None in kinds:
            return False
        key = (*map(id, kept), *kinds)
        found = self._found.get(key)
        if found is None:
            concrete = self._concrete(gradients, variables, constraints)
            if concrete is None:
                return False
            found = self._found.keep(key, (concrete, kept))
        found[0].run(gradients)
        return True

    def _concrete(
        self, gradients: Sequence[Tensor], variables: Sequence[Variable], constraints: list[Any]
    ) -> ConcreteFunction | None:
        """The update for gradients of these types; equal settings, equal update."""
        settings = {k: v for k, v in vars(self._optimizer).items() if isinstance(v, _SETTINGS)}
        rate = settings["_learning_rate"] = self._optimizer._learning_rate
        if callable(rate) and not hasattr(rate, "get_config"):  # a function of the user's
            return None
        return self._function.find(list(gradients), list(variables), (settings, constraints))
