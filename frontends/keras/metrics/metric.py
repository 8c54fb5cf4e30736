"""The base class of metrics."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.config import config
from graphc.eager.promotion import standard_dtype
from graphc.eager.tensor import as_tensor
from graphc.eager.trace import computing_at_once
from graphc.eager.variable import Variable
from graphc.keras import initializers
from graphc.keras.engine.naming import automatic_name
from graphc.keras.metrics.stateless import Stateless


class Metric(Stateless):
    """A number that is collected over batches (https://keras.io/api/metrics/base_metric/).

    Subclasses create variables in the constructor with `add_variable`, and define `update_state`
    and `result`. Both are computations on tensors: they run at once or inside a compiled step.

    Args:
        dtype: Element type of the state; `floatx` by default.
        name: A name; made up from the class if left out.

    Example:
        >>> class Largest(Metric):
        ...     def __init__(self, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self.largest = self.add_variable((), "zeros", name="largest")
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         self.largest.assign(ops.maximum(self.largest, ops.max(y_pred)))
        ...     def result(self):
        ...         return self.largest
    """

    #: Which way is better, for callbacks: "up" or "down"; None if nobody knows.
    _direction: str | None = None

    def __init__(self, dtype: Any = None, name: str | None = None):
        self.name = name or automatic_name(type(self))
        self._dtype = standard_dtype(getattr(dtype, "name", dtype) or config.floatx)
        self._variables: list[Variable] = []
        self._starts: list[np.ndarray] = []

    @property
    def dtype(self) -> str:
        """The element type of the state."""
        return self._dtype

    @property
    def variables(self) -> list[Variable]:  # type: ignore[override]
        """The state, that of metrics inside included."""
        inside = [v for m in vars(self).values() if isinstance(m, Metric) for v in m.variables]
        return [*self._variables, *inside]

    @property
    def weights(self) -> list[Variable]:
        """The same as `variables`."""
        return self.variables

    def add_variable(
        self,
        shape: Any,
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Create a piece of state.

        Args:
            shape: Its shape.
            initializer: How it starts, and what `reset_state` sets it to.
            dtype: Element type; the metric's by default.
            aggregation: Accepted for compatibility.
            name: Its name.
        """
        if "_variables" not in vars(self):
            raise RuntimeError(
                f"{type(self).__name__}.__init__ has to call super().__init__() before it adds "
                "variables"
            )
        shape = tuple(shape) if isinstance(shape, (list, tuple)) else (shape,)
        with computing_at_once():
            value = initializers.get(initializer)(shape, dtype=dtype or self.dtype)
        start = as_tensor(value).numpy()
        variable = Variable(start, trainable=False, name=name or "variable")
        variable.path = f"{self.name}/{variable.name}"
        self._variables.append(variable)
        self._starts.append(start.copy())
        return variable

    def add_weight(
        self,
        shape: Any = (),
        initializer: Any = "zeros",
        dtype: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Create a piece of state; see `add_variable`.

        Args:
            shape: Its shape.
            initializer: How it starts.
            dtype: Element type.
            name: Its name. Keras 2's order ``add_weight(name, shape)`` is understood.
        """
        if isinstance(shape, str):
            shape, name = (() if initializer == "zeros" else initializer), shape
            initializer = "zeros"
        return self.add_variable(shape, initializer, dtype, name=name)

    def reset_state(self) -> None:
        """Start anew."""
        for variable, start in zip(self._variables, self._starts, strict=True):
            variable.restore(start)
        for metric in vars(self).values():
            if isinstance(metric, Metric):
                metric.reset_state()

    def reset_states(self) -> None:
        """The same as `reset_state` (Keras 2)."""
        self.reset_state()

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take a batch into account; to be defined by subclasses."""
        raise NotImplementedError(f"{type(self).__name__} has to define update_state()")

    def result(self) -> Any:
        """The value so far; to be defined by subclasses."""
        raise NotImplementedError(f"{type(self).__name__} has to define result()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The metric that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"
