"""Functional models: the graph of layer calls between some inputs and some outputs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from graphc.eager.location import user_line_text
from graphc.eager.tensor import Tensor, as_tensor, cast
from graphc.eager.trace import current_trace
from graphc.errors import ShapeError
from graphc.ir import is_float
from graphc.keras import tree
from graphc.keras.engine.functional_config import GraphReader, graph_config
from graphc.keras.engine.input_layer import InputLayer
from graphc.keras.engine.input_spec import InputSpec
from graphc.keras.engine.keras_tensor import KerasTensor, Node, keras_tensors
from graphc.keras.engine.layer import Layer
from graphc.keras.engine.model import Model
from graphc.keras.saving.registry import CustomObjectScope, public


@public("keras.models", "Model")  # as Keras 2 calls them in files
@public("keras.src.models.functional")
class Functional(Model):
    """A model made of the calls between KerasTensors (https://keras.io/guides/functional_api/).

    Args:
        inputs: A KerasTensor, or a list, tuple or dict of them.
        outputs: What the model returns, of the same kinds.
        name: The model's name.
        trainable: Whether optimizers may change the weights.

    Raises:
        ValueError: An output does not depend on the inputs, or needs another input as well.
    """

    #: Its layers are in `_layers`.
    _private = Model._private | {
        "_functional_outputs_structure",
        "_input_specs",
        "_recorded_calls",
        "input_names",
        "inputs",
        "inputs_structure",
        "nodes",
        "operations",
        "output_names",
        "outputs",
        "outputs_structure",
    }

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        name: str | None = None,
        trainable: bool = True,
        **kwargs: Any,
    ):
        super().__init__(name=name, trainable=trainable, **kwargs)
        self._settled_path()
        self.inputs_structure = tree.map_structure(_as_input, inputs)
        self.outputs_structure = outputs
        self.inputs: list[KerasTensor] = keras_tensors(self.inputs_structure)
        self.outputs: list[KerasTensor] = keras_tensors(outputs)
        if len(self.outputs) != len(tree.flatten(outputs)) or not self.outputs:
            wrong = [x for x in tree.flatten(outputs) if not isinstance(x, KerasTensor)]
            raise ValueError(
                "the outputs of a model have to be results of layers called on Input(); received "
                f"{wrong[0] if wrong else 'nothing'!r}"
            )
        self.nodes = _order(self.inputs, self.outputs)
        self.operations = _operations_by_depth(self.nodes, self.inputs)
        self._layers = [operation for operation in self.operations if isinstance(operation, Layer)]
        self.input_names = [_input_name(tensor) for tensor in self.inputs]
        self.output_names = _output_names(self.outputs)
        names = [layer.name for layer in self._layers]
        for name_ in names:
            if names.count(name_) > 1:
                raise ValueError(
                    f'two layers of the model are called "{name_}"; names have to be unique'
                )
        self._functional_outputs_structure = outputs
        # An input may be a result of a layer; its call is not repeated.
        given = set(map(id, self.inputs))
        self._recorded_calls = [n for n in self.nodes if not given.issuperset(map(id, n.outputs))]
        self._input_specs = [InputSpec(x.dtype, x.shape) for x in self.inputs]
        self.built = True

    @property
    def layers(self) -> list[Layer]:
        """The layers, those nearest to the inputs first."""
        return list(self._layers)

    @property
    def input_shape(self) -> Any:
        """The shape(s) of the inputs."""
        return tree.map_structure(lambda tensor: tensor.shape, self.inputs_structure)

    @property
    def output_shape(self) -> Any:
        """The shape(s) of the outputs."""
        return tree.map_structure(lambda tensor: tensor.shape, self.outputs_structure)

    @property
    def input(self) -> Any:
        """The KerasTensor(s) of the inputs."""
        return self.inputs_structure

    @property
    def output(self) -> Any:
        """The KerasTensor(s) of the outputs."""
        return self.outputs_structure

    def build(self, input_shape: Any = None) -> None:
        """Nothing to do: a functional model is built from the start."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Run the recorded calls on new tensors.

        Args:
            inputs: Tensors in the structure of the inputs, or a dict by input name.
            training: Passed to the layers.
            mask: Masks for the inputs, in their structure.

        Returns:
            Tensors in the structure of the outputs; a single one for a list of one.
        """
        tensors = self._match(inputs)
        if mask is not None:
            for tensor, given in zip(tensors, tree.flatten(mask), strict=False):
                tensor.mask = given
        values = {id(k): tensor for k, tensor in zip(self.inputs, tensors, strict=True)}
        trace = current_trace()
        for node in self._recorded_calls:
            if trace is None:
                results = _repeated(node, values)
            else:
                with trace.line(node.location):
                    results = _repeated(node, values)
            if isinstance(results, Tensor) and len(node.outputs) == 1:
                values[id(node.outputs[0])] = results
                continue
            flat = tree.flatten(results)
            values.update((id(k), v) for k, v in zip(node.outputs, flat, strict=True))
        if isinstance(self.outputs_structure, KerasTensor):
            return values[id(self.outputs_structure)]
        results = tree.map_structure(lambda tensor: values[id(tensor)], self.outputs_structure)
        # As in Keras, a list of one output gives that output.
        return results[0] if isinstance(results, (list, tuple)) and len(results) == 1 else results

    def get_config(self) -> dict[str, Any]:
        """Name, layers and their calls, so that `from_config` makes the same model again.

        Raises:
            NotImplementedError: A subclass with a constructor of its own does not override it and
                its arguments are no plain data.
        """
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        if not _has_constructor_of_functional(type(self)):
            return {**config, **self._automatic_config()}
        return {**config, **graph_config(self, _is_functional)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """A model from what `get_config` gave.

        Args:
            config: The dictionary; Keras 2's and Keras 3's are read.
            custom_objects: Classes and functions by the names that the dictionary uses.

        Raises:
            ValueError: Layers refer to something that does not exist.
        """
        if not _has_constructor_of_functional(cls):
            return cls(**config)
        with CustomObjectScope(custom_objects):
            graph = GraphReader(config, _is_functional)
        name, trainable = config.get("name"), config.get("trainable", True)
        return cls(graph.inputs, graph.outputs, name=name, trainable=trainable)

    def compute_output_spec(self, *_: Any, **__: Any) -> Any:
        """The KerasTensors of the outputs."""
        return self.outputs_structure

    def _match(self, inputs: Any) -> list[Tensor]:
        """The given tensors in the order of the inputs, cast and shaped as those want them."""
        if isinstance(inputs, Tensor):
            flat = [inputs]
        elif isinstance(inputs, Mapping) and not isinstance(self.inputs_structure, Mapping):
            missing = [name for name in self.input_names if name not in inputs]
            if missing:
                raise ValueError(
                    f'model "{self.name}" needs an input "{missing[0]}"; '
                    f"received {', '.join(map(str, inputs))}"
                )
            flat = [inputs[name] for name in self.input_names]
        elif isinstance(self.inputs_structure, Mapping) and isinstance(inputs, Mapping):
            missing = [key for key in self.inputs_structure if key not in inputs]
            if missing:
                raise ValueError(
                    f'model "{self.name}" needs an input "{missing[0]}"; '
                    f"received {', '.join(map(str, inputs))}"
                )
            flat = [inputs[key] for key in tree.ordered_keys(self.inputs_structure)]
        else:
            flat = tree.flatten(inputs)
        if len(flat) != len(self.inputs):
            raise ValueError(
                f'model "{self.name}" has {len(self.inputs)} input(s) '
                f"({', '.join(self.input_names)}), received {len(flat)}"
            )
        return list(map(self._fit, flat, self._input_specs, self.input_names))

    def _fit(self, given: Any, wanted: InputSpec, name: str) -> Tensor:
        tensor = as_tensor(given)
        mask, received = tensor.mask, tensor.shape
        dtype, shape = wanted.dtype, wanted.shape
        assert shape is not None
        if tensor.dtype != dtype and (is_float(dtype) or not is_float(tensor.dtype)):
            tensor = cast(tensor, dtype)
        rank = len(shape)
        if len(received) == rank - 1 and shape[-1] == 1:
            tensor = tensor[..., None]
        elif len(received) == rank + 1 and received[-1] == 1:
            tensor = tensor[..., 0]
        complaint = wanted.complaint(tensor.shape)
        if complaint:
            place = user_line_text()
            hint = ""
            if len(received) == rank - 1:
                hint = "; is it a single sample? The batch's axis is missing then: x[np.newaxis]"
            raise ShapeError(
                f'model "{self.name}": input "{name}" {complaint}; it takes shape {shape}, '
                f"received {received}{hint}" + (f" ({place})" if place else "")
            )
        if tensor.mask is not mask:  # a new tensor: the one that was given has it already
            tensor.mask = mask
        return tensor


def _repeated(node: Node, values: dict[int, Tensor]) -> Any:
    """What a recorded call returns for other tensors."""
    if node.takes_one:
        return node.operation(values[id(node.args[0])])
    args, kwargs = node.arguments(lambda tensor: values[id(tensor)])
    if isinstance(node.operation, Layer) and kwargs.get("training") is None:
        kwargs.pop("training", None)
    return node.operation(*args, **kwargs)


def _is_functional(layer: Any) -> bool:
    return isinstance(layer, Functional)


def _has_constructor_of_functional(kind: type) -> bool:
    """Whether a model of the class is made of inputs and outputs."""
    # Not the signature of the class: that would be the one of `Layer.__new__`.
    parameters = inspect.signature(kind.__init__).parameters.values()  # type: ignore[misc]
    kinds = {parameter.kind for parameter in parameters}
    takes_anything = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} <= kinds
    return takes_anything or [p.name for p in parameters][1:3] == ["inputs", "outputs"]


def _as_input(tensor: Any) -> KerasTensor:
    """A KerasTensor that starts a model; results of layers can start one as well."""
    if not isinstance(tensor, KerasTensor):
        raise ValueError(
            f"the inputs of a model have to be made by Input() or by layers, not {tensor!r}"
        )
    if tensor.node is None:
        InputLayer(input_tensor=tensor, name=tensor.name)
    return tensor


def _order(inputs: list[KerasTensor], outputs: list[KerasTensor]) -> list[Node]:
    """The calls between inputs and outputs, each after those it depends on."""
    starts = {id(tensor) for tensor in inputs}
    done: dict[int, Node] = {}
    order: list[Node] = []
    # A stack instead of recursion: models may be thousands of layers deep.
    stack = [
        (tensor.node, False)
        for tensor in reversed(outputs)
        if tensor.node is not None and id(tensor) not in starts
    ]
    active: set[int] = set()
    while stack:
        node, expanded = stack.pop()
        if expanded:
            active.discard(id(node))
            if id(node) not in done:
                done[id(node)] = node
                order.append(node)
            continue
        if id(node) in done or id(node) in active:
            continue
        active.add(id(node))
        stack.append((node, True))
        if isinstance(node.operation, InputLayer) and id(node.outputs[0]) not in starts:
            raise ValueError(
                f'the outputs depend on the input "{node.operation.name}", which is not among the '
                "inputs of the model; add it to inputs=[...]"
            )
        for tensor in reversed(node.inputs):
            if tensor.node is None:
                raise ValueError(f"{tensor!r} is no result of a layer and not among the inputs")
            if id(tensor) not in starts or isinstance(tensor.node.operation, InputLayer):
                stack.append((tensor.node, False))
    # Inputs that no output needs belong to the model all the same.
    for tensor in inputs:
        start = tensor.node
        if start is not None and isinstance(start.operation, InputLayer) and id(start) not in done:
            order.insert(0, start)
    return order


def _operations_by_depth(nodes: list[Node], inputs: list[KerasTensor]) -> list[Any]:
    """The operations in the order in which Keras lists (and saves) them.

    An operation's depth is its longest way to an output; the deepest come first, and within one
    depth those that were met first.
    """
    in_model = {id(node) for node in nodes}
    starts = {id(tensor) for tensor in inputs}
    met: dict[int, int] = {}
    for node in nodes:
        met.setdefault(id(node.operation), len(met))
    node_depth: dict[int, int] = {}
    depth: dict[int, int] = {}
    for node in reversed(nodes):
        own = max(node_depth.get(id(node), 0), depth.get(id(node.operation), 0))
        node_depth[id(node)] = depth[id(node.operation)] = own
        for tensor in node.inputs:
            parent = tensor.node
            if parent is not None and id(parent) in in_model:
                if id(tensor) in starts and not isinstance(parent.operation, InputLayer):
                    continue
                node_depth[id(parent)] = max(node_depth.get(id(parent), 0), own + 1)
    operations = {id(node.operation): node.operation for node in nodes}
    ordered = sorted(operations, key=lambda key: (-depth[key], met[key]))
    return [operations[key] for key in ordered]


def _input_name(tensor: KerasTensor) -> str:
    return tensor.node.operation.name if tensor.node is not None else tensor.name


def _output_names(outputs: list[KerasTensor]) -> list[str]:
    """The names of the layers that make the outputs, made unique."""
    names: list[str] = []
    for tensor in outputs:
        name = tensor.node.operation.name if tensor.node is not None else tensor.name
        unique, count = name, 1
        while unique in names:
            unique = f"{name}_{count}"
            count += 1
        names.append(unique)
    return names
