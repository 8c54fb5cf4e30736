"""The variables that an optimizer keeps, and how they are saved."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from graphc.eager import Variable
from graphc.errors import ShapeError
from graphc.keras import initializers


class OptimizerState:
    """The state of an optimizer: the base of `Optimizer`."""

    name: str
    built: bool
    _variables: list[Variable]

    @property
    def variables(self) -> list[Variable]:
        """The state: the count of steps, the learning rate, then what the method keeps."""
        return list(self._variables)

    @property
    def weights(self) -> list[Variable]:
        """Keras 2's name of `variables`."""
        return self.variables

    def _own_variable(
        self, name: str, value: Any, dtype: Any = None, place: int | None = None
    ) -> Variable:
        variable = Variable(value, dtype=dtype, trainable=False, name=name)
        variable.path = f"{self.name}/{name}"
        self._variables.insert(len(self._variables) if place is None else place, variable)
        return variable

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """A new variable of the optimizer's state.

        Args:
            shape: Its shape.
            initializer: How it begins.
            dtype: Its element type.
            aggregation: Accepted as in Keras; it has no effect.
            layout: The same.
            name: Its name.
        """
        value = initializers.get(initializer)(tuple(shape), dtype)
        return self._own_variable(name or "variable", value, dtype)

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """A new variable of the optimizer's state with the shape and dtype of another one."""
        path = reference_variable.path.replace("/", "_")
        return self.add_variable(
            reference_variable.shape,
            initializer,
            reference_variable.dtype,
            name=f"{path}_{name or 'var'}",
        )

    def add_optimizer_variables(
        self, trainable_variables: Iterable[Variable], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """State for each variable.

        Args:
            trainable_variables: The variables that are trained.
            name: What the state is called, or a list of names for several kinds of it.
            initializer: How it begins; one, or a list with one per name.

        Returns:
            A list with one variable per trained variable; a tuple of such lists for several names.
        """
        names = [name] if isinstance(name, str) else list(name)
        single = not isinstance(initializer, (list, tuple))
        starts = [initializer] * len(names) if single else list(initializer)
        if len(names) != len(starts):
            raise ValueError(
                "The number of provided names must match the number of provided initializers. "
                f"Received name='{name}', initializer='{initializer}'"
            )
        made: tuple[list[Variable], ...] = tuple([] for _ in names)
        for variable in trainable_variables:
            for column, own_name, start in zip(made, names, starts, strict=True):
                column.append(self.add_variable_from_reference(variable, own_name, start))
        return made[0] if isinstance(name, str) else made

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the state."""
        return [variable.numpy() for variable in self._variables]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the whole state; nothing changes if a part does not fit.

        Raises:
            ValueError: Not built yet, or another number of variables or shape.
        """
        if not self.built:
            raise ValueError(
                "You are calling `set_weights()` on an optimizer that has not yet been built. "
                "Please call `optimizer.build(trainable_variables)` to create the optimizer "
                "weights before calling `set_weights()`."
            )
        arrays = [np.asarray(weight) for weight in weights]
        if len(arrays) != len(self._variables):
            raise ValueError(
                f"The optimizer has {len(self._variables)} variables, received {len(arrays)}."
            )
        for variable, array in zip(self._variables, arrays, strict=True):
            if variable.shape != array.shape:
                raise ShapeError(
                    f"Optimizer variable {variable.path} has shape {variable.shape}, not "
                    f"compatible with provided weight shape {array.shape}."
                )
        for variable, array in zip(self._variables, arrays, strict=True):
            variable.assign(array)

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Put the state into a mapping, by the numbers of the variables."""
        for i, variable in enumerate(self._variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Take the state from a mapping; one of another size is left alone, with a warning."""
        if len(store) != len(self._variables):
            hint = " It has not been built yet." if not self.built else ""
            warnings.warn(
                f"Skipping variable loading for optimizer '{self.name}', because it has "
                f"{len(self._variables)} variables whereas the saved optimizer has {len(store)} "
                f"variables.{hint}"
            )
            return
        for i, variable in enumerate(self._variables):
            variable.assign(np.asarray(store[str(i)]))
