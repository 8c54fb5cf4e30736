"""The parts of a layer: its variables, the layers and metrics inside, found by its attributes."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from graphc.eager.cache import Cache
from graphc.eager.current import current_trace
from graphc.eager.variable import Variable
from graphc.errors import ShapeError

#: Numbers the outermost calls of layers, to tell which was the latest.
_calls = itertools.count(1)


#: Adds the parts that an attribute is or holds, if they were not seen before.
Adder = Callable[[Any, set[int], list[Any]], None]

#: By class and attributes, their names and classes, of a layer: the attributes that matter.
_adders: Cache[tuple[Any, ...], tuple[tuple[str, Adder], ...]] = Cache(4096)


@functools.lru_cache(maxsize=4096)
def _role(kind: type) -> Adder | None:
    """What adds the parts in an attribute of a class; None for most, which have none."""
    if issubclass(kind, (Variable, Parts)) or hasattr(kind, "update_state"):
        return _add_part
    if hasattr(kind, "_graphc_variables"):
        return _add_held
    return _add_parts_of if issubclass(kind, (list, tuple, dict)) else None


def _add_part(item: Any, seen: set[int], found: list[Any]) -> None:
    """Add an attribute to the parts, if it was not seen before."""
    if id(item) not in seen:
        seen.add(id(item))
        found.append(item)


def _add_held(item: Any, seen: set[int], found: list[Any]) -> None:
    """Add the variables that an attribute names as its own."""
    if id(item) not in seen:
        seen.add(id(item))
        found += item._graphc_variables()


def _add_parts_of(item: Any, seen: set[int], found: list[Any]) -> None:
    """Add the parts in a list, tuple or dict."""
    if not item or id(item) in seen:
        return
    seen.add(id(item))
    for part in item.values() if isinstance(item, dict) else item:
        add = _role(type(part))  # type: ignore[arg-type]
        if add is not None:
            add(part, seen, found)


class Parts:
    """What a layer consists of.

    Variables, layers and metrics, and lists, tuples and dicts of them, are parts of a layer when
    they are attributes of it. They are looked up when asked for, so a list may grow at any time.
    """

    #: Attributes of the engine itself, which never hold a user's variables or layers.
    _private: ClassVar[frozenset[str]] = frozenset(
        {
            "_auto_arguments",
            "_build_shapes",
            "_call_parameters",
            "_compiled_steps",
            "_losses",
            "_losses_since",
            "_own_variables",
            "compilation",
            "compile_arguments",
            "history",
            "inbound_nodes",
            "loss",
            "optimizer",
        }
    )

    name: str
    built: bool = False
    _trainable: bool
    _own_variables: list[Variable]
    _losses: list[Any]
    _losses_since: int = 0

    def _check_constructed(self) -> None:
        if "_own_variables" not in self.__dict__:
            code = type(self).__init__.__code__
            raise RuntimeError(
                f"{type(self).__name__}.__init__ has to call super().__init__() "
                f"({Path(code.co_filename).name}:{code.co_firstlineno})"
            )

    def _parts(self) -> list[Any]:
        """The variables, layers and metrics that are attributes, in order of assignment."""
        self._check_constructed()
        found: list[Any] = list(self._own_variables)
        seen = {id(variable) for variable in found}
        attributes = self.__dict__
        layout = (type(self), *attributes, *map(type, attributes.values()))
        adders = _adders.get(layout)
        if adders is None:
            classes = map(type, attributes.values())
            roles = zip(attributes, map(_role, classes), strict=True)
            named = tuple([(name, add) for name, add in roles if add and name not in self._private])
            adders = _adders.keep(layout, named)
        for name, add in adders:
            add(attributes[name], seen, found)
        return found

    @property
    def layers_inside(self) -> list[Parts]:
        """The layers that are direct parts of this one."""
        return [part for part in self._parts() if isinstance(part, Parts)]

    def _walk(self) -> list[tuple[Parts, list[Any]]]:
        """The layer itself and all layers inside, each once, outer ones first, with their parts."""
        found: dict[int, tuple[Parts, list[Any]]] = {}

        def visit(layer: Parts) -> None:
            parts = layer._parts()
            found[id(layer)] = (layer, parts)
            for part in parts:
                if isinstance(part, Parts) and id(part) not in found:
                    visit(part)

        visit(self)
        return list(found.values())

    def _flatten_layers(self) -> list[Parts]:
        """The layer itself and all layers inside, each once, outer ones first."""
        return [layer for layer, _ in self._walk()]

    @property
    def variables(self) -> list[Variable]:
        """All variables, those of layers inside included, metrics' excluded."""
        return _variables(self._walk())

    @property
    def weights(self) -> list[Variable]:
        """All variables but the states of random generators: trainable ones of a layer first."""
        return _weights(self._walk())

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that training changes now."""
        layers = self._walk()
        return _trainable(_variables(layers), layers)

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The variables that training leaves to the layers themselves."""
        trained = {id(v) for v in self.trainable_variables}
        return [v for v in self.variables if id(v) not in trained]

    @property
    def trainable_weights(self) -> list[Variable]:
        """Those of `weights` that training changes now."""
        layers = self._walk()
        return _trainable(_weights(layers), layers)

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The others of `weights`."""
        trained = {id(v) for v in self.trainable_weights}
        return [v for v in self.weights if id(v) not in trained]

    @property
    def trainable(self) -> bool:
        """Whether optimizers may change the weights; setting it sets it for all layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._flatten_layers():
            layer._trainable = bool(value)

    @property
    def losses(self) -> list[Any]:
        """Penalties of the weights' regularizers, and what `add_loss` collected in eager calls."""
        # Layers inside that were called by themselves since then have losses of their own.
        inside = [
            loss
            for layer in self._flatten_layers()
            if layer._losses_since > self._losses_since
            for loss in layer._losses
        ]
        return [*self._losses, *inside, *self._regularization_losses()]

    def keep_losses(self, losses: list[Any]) -> None:
        """Remember what was added in a call; in a trace only as long as that lasts."""
        trace = current_trace()
        if trace is not None:
            before = (self._losses, self._losses_since)
            trace.at_exit(lambda: self._set_losses(*before))
        self._set_losses(losses, next(_calls))

    def _set_losses(self, losses: list[Any], since: int) -> None:
        object.__setattr__(self, "_losses", losses)
        object.__setattr__(self, "_losses_since", since)

    def _regularization_losses(self) -> list[Any]:
        return [
            variable.regularizer(variable.as_tensor())
            for variable in self.trainable_variables
            if variable.regularizer is not None
        ]

    @property
    def metrics(self) -> list[Any]:
        """The metrics that are parts of this layer or of layers inside."""
        return [
            part for _, parts in self._walk() for part in parts if hasattr(part, "update_state")
        ]

    # --------------------------------------------------------------------------------- weights

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all weights; nothing changes if one does not fit.

        Raises:
            ValueError: Another number of weights, or another shape.
        """
        variables = self.weights
        if len(variables) != len(weights):
            raise ValueError(
                f'"{self.name}" has {len(variables)} weights, received {len(weights)}'
                + ("" if self.built else "; it is not built yet: call it once, or give it a shape")
            )
        arrays = [np.asarray(weight) for weight in weights]
        for variable, array in zip(variables, arrays, strict=True):
            if variable.shape != array.shape:
                raise ShapeError(
                    f'weight "{variable.path}" has shape {variable.shape}, received {array.shape}'
                )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    def count_params(self) -> int:
        """The number of elements in all weights.

        Raises:
            ValueError: The layer has no weights yet, because it has not seen a shape.
        """
        if not self.built:
            raise ValueError(
                f'"{self.name}" has no weights yet: call it on data, or give it an input shape'
            )
        return sum(int(np.prod(variable.shape)) for variable in self.weights)


def _variables(layers: Sequence[tuple[Parts, list[Any]]]) -> list[Variable]:
    """The variables among the parts of some layers, each once."""
    found: dict[int, Variable] = {}
    for _, parts in layers:
        for part in parts:
            if isinstance(part, Variable):
                found.setdefault(id(part), part)
    return list(found.values())


def _weights(layers: Sequence[tuple[Parts, list[Any]]]) -> list[Variable]:
    found: dict[int, Variable] = {}
    for _, parts in layers:
        own = [part for part in parts if isinstance(part, Variable)]
        own.sort(key=lambda variable: not variable.trainable)  # stable
        for variable in own:
            if not getattr(variable, "is_random_state", False):
                found.setdefault(id(variable), variable)
    return list(found.values())


def _trainable(
    variables: Sequence[Variable], layers: Sequence[tuple[Parts, list[Any]]]
) -> list[Variable]:
    """Those variables that neither are frozen themselves nor belong to a frozen layer."""
    frozen = {id(v) for layer, _ in layers if not layer._trainable for v in layer.variables}
    return [v for v in variables if v.trainable and id(v) not in frozen]
