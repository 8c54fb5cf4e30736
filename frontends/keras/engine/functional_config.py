"""Functional models as dictionaries, in Keras's form, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.keras import tree
from graphc.keras.engine.keras_tensor import KerasTensor, Node, map_tensors
from graphc.keras.engine.recorded_function import (
    deserialize_operation,
    saved_arguments,
    serialize_operation,
)
from graphc.keras.saving.registry import (
    TensorReference,
    deserialize_keras_object,
    serialize_keras_object,
)

# ------------------------------------------------------------------------------------------ writing


def graph_config(model: Any, is_functional: Callable[[Any], bool]) -> dict[str, Any]:
    """``layers``, ``input_layers`` and ``output_layers`` of a functional model.

    Args:
        model: The model.
        is_functional: Tells functional models among the layers: Keras counts their calls from 1
            where it names inputs and outputs.
    """
    places = _places(model)
    layers = []
    for operation in model.operations:
        calls = [node for node in operation.inbound_nodes if id(node) in places and node.inputs]
        config = serialize_operation(operation)
        config["name"] = operation.name
        config["inbound_nodes"] = [_call_config(node, places) for node in calls]
        layers.append(config)

    def history(tensor: KerasTensor) -> list[Any]:
        name, call, index = _reference(tensor, places).history
        assert tensor.node is not None
        return [name, call + is_functional(tensor.node.operation), index]

    return {
        "layers": layers,
        "input_layers": tree.map_structure(history, model.inputs_structure),
        "output_layers": tree.map_structure(history, model.outputs_structure),
    }


def _places(model: Any) -> dict[int, int]:
    """Which call of its operation each node of the model is, counting those in the model only."""
    inside = {id(node) for node in model.nodes}
    places: dict[int, int] = {}
    for operation in model.operations:
        calls = [node for node in operation.inbound_nodes if id(node) in inside]
        places.update((id(node), place) for place, node in enumerate(calls))
    return places


def _call_config(node: Node, places: dict[int, int]) -> dict[str, Any]:
    arguments = map_tensors(lambda tensor: _reference(tensor, places), saved_arguments(node))
    args, kwargs = serialize_keras_object(arguments)
    return {"args": args, "kwargs": kwargs}


def _reference(tensor: KerasTensor, places: dict[int, int]) -> TensorReference:
    assert tensor.node is not None
    history = (tensor.node.operation.name, places[id(tensor.node)], tensor.index)
    return TensorReference(tensor.shape, tensor.dtype, history)


# ------------------------------------------------------------------------------------------ reading

# One recorded call in a file: the structures of Keras 3, or a list of tensors of Keras 2.
_Call = Any


class GraphReader:
    """Makes the layers that a configuration lists, and calls them as it says.

    Args:
        config: ``layers``, ``input_layers`` and ``output_layers``.
        is_functional: Tells functional models among layers.

    Attributes:
        inputs: The KerasTensors of the inputs, in their structure.
        outputs: The KerasTensors of the outputs, in their structure.

    Raises:
        ValueError: Calls refer to something that does not exist, or to each other in a circle.
    """

    def __init__(self, config: dict[str, Any], is_functional: Callable[[Any], bool]):
        self._results: dict[str, list[list[KerasTensor]]] = {}
        self._layers: dict[str, Any] = {}
        waiting: list[tuple[str, list[_Call]]] = []
        for layer in config["layers"]:
            name = layer.get("name") or layer["config"]["name"]
            if name in self._layers:
                raise ValueError(f'two layers are called "{name}"')
            operation = deserialize_operation(layer)
            self._layers[name] = operation
            # Only an input has a result before it is called.
            is_input = hasattr(operation, "batch_shape") and operation.inbound_nodes
            self._results[name] = [operation.inbound_nodes[0].outputs] if is_input else []
            waiting.append((name, list(layer.get("inbound_nodes") or [])))
        is_old = any(isinstance(call, list) for _, calls in waiting for call in calls)
        self._first_call = self._first_calls(config, waiting) if is_old else {}
        self._run(waiting)

        def find(reference: list[Any]) -> KerasTensor:
            name, call, index = reference
            skipped = not is_old and is_functional(self._layers.get(name))
            return self._tensor(name, call - skipped, index)

        ends = [config["input_layers"], config["output_layers"]]
        if is_old:  # Keras 2 put a single tensor into a list as well
            ends = [end[0] if isinstance(end, list) and len(end) == 1 else end for end in ends]
        self.inputs, self.outputs = (_map_references(find, end) for end in ends)

    def _first_calls(
        self, config: dict[str, Any], waiting: list[tuple[str, list[_Call]]]
    ) -> dict[str, int]:
        """What number Keras 2 gave to the first call of each layer: 1 for many nested models."""
        met: dict[str, int] = {}

        def meet(reference: list[Any]) -> None:
            name, call = reference[:2]
            met[name] = min(met.get(name, call), call)

        for _, calls in waiting:
            for call in calls:
                for entry in _entries(call):
                    meet(entry)
                    for value in entry[3].values() if len(entry) > 3 else ():
                        if _is_reference(value):
                            meet(value)
        _map_references(meet, config["output_layers"])
        return {name: first for name, first in met.items() if first > 0}

    def _run(self, waiting: list[tuple[str, list[_Call]]]) -> None:
        """Make all calls, each as soon as the tensors are there that it takes."""
        while waiting:
            before = sum(len(calls) for _, calls in waiting)
            for name, calls in waiting:
                while calls and self._call(name, calls[0]):
                    calls.pop(0)
            waiting = [(name, calls) for name, calls in waiting if calls]
            if waiting and sum(len(calls) for _, calls in waiting) == before:
                stuck = ", ".join(f'"{name}"' for name, _ in waiting)
                raise ValueError(f"the inputs of {stuck} are missing, or they form a circle")

    def _call(self, name: str, call: _Call) -> bool:
        """Make a call; False if it takes a tensor that does not exist yet."""
        try:
            args, kwargs = self._arguments(call)
        except _NotYetError:
            return False
        result = self._layers[name](*args, **kwargs)
        self._results[name].append(tree.flatten(result))
        return True

    def _arguments(self, call: _Call) -> tuple[list[Any], dict[str, Any]]:
        if isinstance(call, list):
            return self._old_arguments(call)

        def find(leaf: Any) -> Any:
            return self._tensor(*leaf.history) if isinstance(leaf, TensorReference) else leaf

        args = deserialize_keras_object(call["args"])
        kwargs = deserialize_keras_object(call["kwargs"])
        return tree.map_structure(find, args), tree.map_structure(find, kwargs)

    def _old_arguments(self, call: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        entries = _entries(call)
        tensors = [self._tensor(*entry[:3]) for entry in entries]
        kwargs: dict[str, Any] = {}
        for key, value in entries[0][3].items() if entries and len(entries[0]) > 3 else ():
            if _is_reference(value):
                kwargs[key] = value[2] if value[0] == "_CONSTANT_VALUE" else self._tensor(*value)
            else:
                kwargs[key] = value
        return [tensors[0] if len(tensors) == 1 else tensors], kwargs

    def _tensor(self, name: str, call: int, index: int) -> KerasTensor:
        if name not in self._results:
            raise ValueError(f'there is no layer "{name}"')
        call -= self._first_call.get(name, 0)
        results = self._results[name]
        if call >= len(results):
            raise _NotYetError
        return results[call][index]


class _NotYetError(ValueError):
    """A tensor that no call has made so far."""

    def __str__(self) -> str:
        return "an output is the result of a call that does not exist"


def _entries(call: list[Any]) -> list[list[Any]]:
    """The tensors of a call of Keras 2; a single one may stand without a list around it."""
    return [call] if call and isinstance(call[0], str) else call


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 3
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    )


def _map_references(function: Callable[[list[Any]], Any], structure: Any) -> Any:
    """``function`` of each ``[name, call, index]`` in a structure of them."""
    if _is_reference(structure):
        return function(structure)
    if isinstance(structure, dict):
        return {key: _map_references(function, item) for key, item in structure.items()}
    return [_map_references(function, item) for item in structure]
