"""Updates outside of compiled programs: planned once for all variables, not op by op.

An update of a model's variables is some dozen operations for each of them. Outside of a trace it is
traced once for these variables and settings, and runs as one plan from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc.eager import Tensor, Variable
from graphc.eager.current import current_tapes, current_trace
from graphc.eager.function import PLANNED, Function

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

    def __call__(self, gradients: Sequence[Tensor], variables: Sequence[Variable]) -> bool:
        """Do the update, if it can be planned; whether it was."""
        if not self._is_known or current_trace() is not None or current_tapes():
            return False
        settings = {k: v for k, v in vars(self._optimizer).items() if isinstance(v, _SETTINGS)}
        rate = settings["_learning_rate"] = self._optimizer._learning_rate
        is_user_function = callable(rate) and not hasattr(rate, "get_config")
        if is_user_function or any(v.replacement is not None for v in variables):
            return False
        constraints = [variable.constraint for variable in variables]
        self._function(list(gradients), list(variables), (settings, constraints))
        return True
