"""Metrics as functions of their state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.eager.stateless import replaced
from graphc.eager.tensor import Tensor
from graphc.eager.variable import Variable


class Stateless:
    """Methods of metrics that are given the state and return the new one."""

    variables: list[Variable]

    def stateless_update_state(
        self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any
    ) -> list[Tensor]:
        """The state after `update_state`.

        Args:
            metric_variables: Values for `variables`.
            *args: As for `update_state`.
            **kwargs: The same.
        """
        with replaced(self.variables, metric_variables):
            self.update_state(*args, **kwargs)  # type: ignore[attr-defined]
            return [variable.as_tensor() for variable in self.variables]

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """The result for a state.

        Args:
            metric_variables: Values for `variables`.
        """
        with replaced(self.variables, metric_variables):
            return self.result()  # type: ignore[attr-defined]

    def stateless_reset_state(self) -> list[Tensor]:
        """The state at the beginning."""
        with replaced(self.variables, self.variables):
            self.reset_state()  # type: ignore[attr-defined]
            return [variable.as_tensor() for variable in self.variables]
