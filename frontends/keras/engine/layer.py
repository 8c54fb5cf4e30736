"""The base class of all layers."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from graphc.eager.location import user_line_text
from graphc.eager.stateless import replaced
from graphc.eager.tensor import Tensor, as_tensor, cast
from graphc.eager.trace import computing_at_once, current_trace
from graphc.eager.variable import Variable
from graphc.errors import ShapeError, similar
from graphc.ir import is_float
from graphc.keras import constraints, initializers, regularizers, tree
from graphc.keras.engine import call_context, remat
from graphc.keras.engine.dtype_policy import DTypePolicy, get_policy
from graphc.keras.engine.input_spec import check_inputs
from graphc.keras.engine.keras_tensor import (
    KerasTensor,
    Node,
    holds_keras_tensors,
    infer,
    input_type,
    keras_tensors,
    record,
)
from graphc.keras.engine.naming import automatic_name, current_path, path_entered
from graphc.keras.engine.parts import Parts
from graphc.keras.metrics.reduction import Mean


class Layer(Parts):
    """A computation with weights (https://keras.io/api/layers/base_layer/).

    Subclasses define `call`, and `build` where weights depend on the shape of the input. Variables,
    layers, and lists, tuples and dicts of them, count as parts of the layer when they are
    attributes of it.

    Args:
        activity_regularizer: Penalty on the output, added to the loss.
        trainable: Whether optimizers may change the weights.
        dtype: Element type or `DTypePolicy`; `floatx` by default.
        autocast: Whether floating-point inputs are cast to the layer's type.
        name: A unique name; made up from the class if left out.
        **kwargs: Keras 2's ``input_shape``, ``batch_input_shape``, ``input_dim``,
            ``input_length`` and ``weights`` are understood.

    Example:
        >>> class Linear(Layer):
        ...     def __init__(self, units, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self.units = units
        ...     def build(self, input_shape):
        ...         self.w = self.add_weight(shape=(input_shape[-1], self.units), name="w")
        ...     def call(self, inputs):
        ...         return inputs @ self.w
    """

    #: The functional calls of this layer, oldest first.
    inbound_nodes: list[Node]
    _auto_arguments: tuple[tuple[Any, ...], dict[str, Any]]
    # The path of the layer inside which it was built or called first; None before that.
    _parent_path: str | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Layer:
        if len(args) == 1 and isinstance(args[0], KerasTensor):
            raise TypeError(
                f"{cls.__name__}(...) makes a layer, which is called on a tensor then: "
                f"{cls.__name__}(...)(x) ({user_line_text()})"
            )
        layer = super().__new__(cls)
        object.__setattr__(layer, "_auto_arguments", (args, kwargs))
        return layer

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "build" in cls.__dict__:
            cls.build = _building_once(cls.__dict__["build"])  # type: ignore[method-assign]

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ):
        object.__setattr__(self, "_own_variables", [])
        object.__setattr__(self, "_losses", [])
        object.__setattr__(self, "inbound_nodes", [])
        self.name = name or automatic_name(type(self))
        if "/" in self.name:
            raise ValueError(f'the name of a layer cannot hold "/": {self.name!r}')
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.dtype_policy: DTypePolicy = get_policy(dtype)
        self.autocast = autocast
        self.built = False
        self._remat_scope = remat.current_scope()
        self.supports_masking = False
        self.input_spec: Any = None
        self._trainable = bool(trainable)
        self._initial_weights = kwargs.pop("weights", None)
        self._build_shapes: Any = None
        self._input_shape_argument = _legacy_input_shape(kwargs)
        if kwargs:
            own = list(inspect.signature(type(self).__init__).parameters)
            common = ["name", "dtype", "trainable", "activity_regularizer", "input_shape"]
            known = [p for p in dict.fromkeys(own + common) if p not in ("self", "args", "kwargs")]
            near = similar(next(iter(kwargs)), known, 1)
            raise TypeError(
                f"{type(self).__name__}: unknown argument(s) {', '.join(sorted(kwargs))}"
                + (f", did you mean {near[0]}?" if near else "")
                + f" It takes {', '.join(known)}"
            )

    # ------------------------------------------------------------------------------ to override

    def build(self, input_shape: Any) -> None:
        """Create the weights; called once, before the first call.

        Args:
            input_shape: Shape of the input (a structure of shapes for several), None where open.
        """
        self.built = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; to be overridden."""
        raise NotImplementedError(
            f'{type(self).__name__} "{self.name}" has no call method: define '
            "`def call(self, inputs)` that returns the output"
        )

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the output: by default that of the input."""
        return previous_mask

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The output's shape for an input shape, found by tracing `call`.

        Args:
            *args: A shape for each tensor argument of `call`.
            **kwargs: Shapes of further ones.
        """

        def placeholder(shape: Any) -> KerasTensor:
            return KerasTensor(input_type(tuple(shape), self.compute_dtype, ""))

        inputs = [_map_shapes(placeholder, shape) for shape in args]
        named = {key: _map_shapes(placeholder, shape) for key, shape in kwargs.items()}
        if not self.built:
            self._build_from(tuple(inputs), named)
        around = current_path() if self._parent_path is None else self._parent_path
        outputs = infer(self._call_in_scope, tuple(inputs), named, around)
        return tree.map_structure(lambda tensor: tensor.shape, outputs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, so that `from_config` makes the same layer again.

        Raises:
            NotImplementedError: A subclass with arguments of its own does not override it and the
                arguments are no plain data.
        """
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        config["dtype"] = _policy_config(self.dtype_policy)
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        if type(self).get_config is not Layer.get_config or type(self).__init__ is Layer.__init__:
            return config
        return {**config, **self._automatic_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer from what `get_config` gave."""
        return cls(**config)

    # --------------------------------------------------------------------------------- calling

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._check_constructed()
        args = tuple(map(self._to_tensors, args))
        if kwargs:
            kwargs = {key: self._to_tensors(value) for key, value in kwargs.items()}
        if args and self.input_spec is not None:
            check_inputs(self.input_spec, args[0], self)
        if not self.built:
            self._build_from(args, kwargs)
            if args and self.input_spec is not None:
                check_inputs(self.input_spec, args[0], self)
        if holds_keras_tensors(args) or kwargs and holds_keras_tensors(kwargs.values()):
            return record(self, args, kwargs, self._call_in_scope)
        return self._call_in_scope(*args, **kwargs)

    def _call_in_scope(self, *args: Any, **kwargs: Any) -> Any:
        """Run `call` with masks and the training flag filled in, as a scope of the trace."""
        if "mask" in self._call_parameters:
            self._fill_mask(args, kwargs)
        training = self._resolve_training(kwargs)
        trace = current_trace()
        with call_context.entered(training) as context, path_entered(self._settled_path()):
            if trace is None and self._remat_scope is None:
                outputs = self.call(*args, **kwargs)
            else:
                with nullcontext() if trace is None else trace.scope(self.name):
                    if self._remat_scope is None:
                        outputs = self.call(*args, **kwargs)
                    else:
                        outputs = self._remat_scope.call(self, context, args, kwargs)
            if outputs is None:
                raise ValueError(
                    f'the call method of {type(self).__name__} "{self.name}" returned None; '
                    "is there a `return` missing?"
                )
            self._pass_mask(args, outputs)
            if self.activity_regularizer is not None:
                for output in tree.flatten(outputs):
                    batch = output.dims[0] if output.ndim else 1
                    context.add_regularized(self.activity_regularizer(output), batch, output)
        if context.is_outermost:
            self.keep_losses(context.losses)
        return outputs

    def _resolve_training(self, kwargs: dict[str, Any]) -> bool | None:
        """The flag of the call: what the caller said, or the calls around it.

        If nobody said, `call` gets True where that is its own default, else False.
        """
        training = kwargs.pop("training", None)
        if training is None:
            training = call_context.training()
        if "training" in self._call_parameters:
            kwargs["training"] = self._training_default if training is None else training
        return None if training is None else bool(training)

    @functools.cached_property
    def _training_default(self) -> bool:
        return inspect.signature(self.call).parameters["training"].default is True

    @functools.cached_property
    def _call_parameters(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.call).parameters)

    def _to_tensors(self, argument: Any) -> Any:
        """NumPy arrays and variables as tensors, floating-point ones in the layer's dtype."""
        if type(argument) is Tensor and argument.dtype == self.compute_dtype:
            return argument
        if isinstance(argument, (Tensor, np.ndarray)):
            return self._to_tensor(argument)
        if isinstance(argument, list) and argument and not keras_tensors(argument):
            if all(isinstance(item, (int, float, list)) for item in argument):
                return self._to_tensor(as_tensor(argument))
        return tree.map_structure(self._to_tensor, argument)

    def _to_tensor(self, leaf: Any) -> Any:
        if isinstance(leaf, (np.ndarray, np.generic, Variable)):
            leaf = as_tensor(leaf)
        if isinstance(leaf, Tensor) and self.autocast:
            dtype, wanted = leaf.dtype, self.compute_dtype
            if dtype != wanted and is_float(dtype):
                mask = leaf.mask
                leaf = cast(leaf, wanted)
                leaf.mask = mask
        return leaf

    def _fill_mask(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Give `call`, which takes masks, those that its input carries."""
        if kwargs.get("mask") is not None or not args:
            return
        masks = _masks_of(args[0])
        if masks is not None and tree.flatten(masks):
            kwargs["mask"] = masks

    def _pass_mask(self, args: tuple[Any, ...], outputs: Any) -> None:
        if not (self.supports_masking or type(self).compute_mask is not Layer.compute_mask):
            return
        if not args or isinstance(outputs, dict):
            return
        masks = _masks_of(args[0])
        if type(self).compute_mask is Layer.compute_mask:
            if masks is None or not tree.flatten(masks):
                return
        result = self.compute_mask(args[0], masks)
        flat = tree.flatten(outputs)
        flat_masks = result if isinstance(result, (list, tuple)) else [result] * len(flat)
        for tensor, mask in zip(flat, flat_masks, strict=False):
            if isinstance(tensor, Tensor) and tensor.mask is None:
                tensor.mask = mask

    def stateless_call(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """The output for given values of the variables, which stay as they are.

        Args:
            trainable_variables: Values for `trainable_variables`.
            non_trainable_variables: Values for `non_trainable_variables`.
            *args: For `call`.
            return_losses: Whether to return `losses` as well.
            **kwargs: For `call`.

        Returns:
            The outputs, and the new values of the non-trainable variables; then the losses if
            asked for.

        Raises:
            ValueError: The layer has no variables yet, or their number is another one.
        """
        if not self.built:
            raise ValueError(
                f"To call stateless_call, {type(self).__name__} must be built (i.e. its variables "
                "must have been already created). You can build it by calling it on some data."
            )
        trained, others = self.trainable_variables, self.non_trainable_variables
        with replaced(trained, trainable_variables), replaced(others, non_trainable_variables):
            outputs = self(*args, **kwargs)
            after = [variable.as_tensor() for variable in others]
            losses = (self.losses,) if return_losses else ()
        return (outputs, after, *losses)

    # --------------------------------------------------------------------------------- building

    def _build_from(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Build for the shapes of the tensors of a call."""
        # Several parameters, as of `build(self, query_shape, key_shape)`, name arguments of call.
        shapes = self._argument_shapes(args, kwargs)
        parameters = [
            p.name
            for p in inspect.signature(self.build).parameters.values()
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ]
        named = {f"{k}_shape": shape for k, shape in shapes.items()}
        named = {name: named[name] for name in parameters if name in named}
        with computing_at_once():
            if len(parameters) == 1 or not named:
                self.build(*list(shapes.values())[: len(parameters)] or [None])
            elif list(named) == parameters[: len(named)]:
                self.build(*named.values())
            else:
                self.build(**named)
        self.built = True

    def _argument_shapes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The shapes of the tensors among the arguments of `call`, by the arguments' names."""
        arguments = {**dict(zip(self._call_parameters, args, strict=False)), **kwargs}
        arguments.pop("mask", None)
        return {k: _shapes_of(v) for k, v in arguments.items() if _is_tensor_structure(v)}

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: Any = None,
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Create a weight of this layer.

        Args:
            shape: Its shape; ``()`` by default.
            initializer: How it starts; "glorot_uniform" for floats, "zeros" otherwise.
            dtype: Element type; the policy's type for variables by default.
            trainable: Whether optimizers may change it.
            autocast: Accepted for compatibility.
            regularizer: Penalty on it, added to the loss.
            constraint: Applied to it after each update.
            aggregation: Accepted for compatibility.
            overwrite_with_gradient: Accepted for compatibility.
            name: Its name within the layer.

        Returns:
            The variable.

        Raises:
            ValueError: A size is unknown or negative.
            MemoryError: There is not enough memory for it.
        """
        self._check_constructed()
        if isinstance(shape, str):  # Keras 2: add_weight(name, shape)
            raise TypeError("add_weight(shape, ...): the name goes in as `name=...`")
        shape = (
            tuple(shape)
            if isinstance(shape, (list, tuple))
            else (() if shape is None else (shape,))
        )
        if any(size is None or not isinstance(size, (int, np.integer)) for size in shape):
            raise ShapeError(
                f'{type(self).__name__} "{self.path}": weight "{name}" cannot have shape {shape}: '
                "every size has to be known; give the input a fixed size along that axis"
            )
        dtype = get_policy(dtype).variable_dtype if dtype else self.variable_dtype
        default = "glorot_uniform" if is_float(dtype) else "zeros"
        with computing_at_once():
            try:
                value = initializers.get(initializer or default)(shape, dtype=dtype)
            except MemoryError as error:
                raise MemoryError(
                    f'{type(self).__name__} "{self.path}": weight "{name}" with shape {shape} does '
                    f"not fit into memory: {error}"
                ) from None
        variable = Variable(value, dtype=dtype, trainable=trainable, name=name or "variable")
        variable.path = f"{self._settled_path()}/{variable.name}"
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        self._own_variables.append(variable)
        return variable

    def add_loss(self, loss: Any) -> None:
        """Add a scalar (or several) to the loss that training minimizes; to be called in `call`."""
        for value in tree.flatten(loss):
            call_context.add_loss(as_tensor(value))

    def add_metric(
        self, value: Any, name: str | None = None, aggregation: str | None = None
    ) -> None:
        """Show the mean of a value over the batches of an epoch, as in Keras 2; for `call`.

        Args:
            value: A tensor.
            name: What it is called in logs.
            aggregation: Accepted as in Keras 2.
        """
        name = name or f"{self.name}_metric"
        added = self.__dict__.setdefault("_added_metrics", {})
        if name not in added:
            with computing_at_once():
                added[name] = Mean(name=name)
        added[name].update_state(value)

    # ------------------------------------------------------------------------------- properties

    @property
    def dtype(self) -> str:
        """The element type of the weights (the same as `variable_dtype`)."""
        return self.variable_dtype

    @property
    def variable_dtype(self) -> str:
        """The element type of the weights."""
        return self.dtype_policy.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """The element type that floating-point inputs are cast to."""
        return self.dtype_policy.compute_dtype

    @property
    def path(self) -> str:
        """The names of the layers around it, in which it was built first, and its own."""
        return f"{self._parent_path}/{self.name}" if self._parent_path else self.name

    def _settled_path(self) -> str:
        """The path, which does not change from here on."""
        if self._parent_path is None:
            self._parent_path = current_path()
        return self.path

    @property
    def input(self) -> Any:
        """The KerasTensor(s) of the layer's only functional call."""
        node = self._only_node("input")
        first = node.args[0] if node.args else next(iter(node.kwargs.values()))
        return first if keras_tensors(first) else node.inputs

    @property
    def output(self) -> Any:
        """The KerasTensor(s) that the layer's only functional call returned."""
        return self._only_node("output").structure

    @property
    def output_shape(self) -> Any:
        """The shape(s) of `output`."""
        return tree.map_structure(lambda tensor: tensor.shape, self.output)

    @property
    def input_shape(self) -> Any:
        """The shape(s) of `input`."""
        return tree.map_structure(lambda tensor: tensor.shape, self.input)

    def _only_node(self, what: str) -> Node:
        nodes = self.inbound_nodes
        if not nodes:
            raise AttributeError(
                f'layer "{self.name}" was never called on a model\'s tensors, so it has no {what}'
            )
        return nodes[0]

    # ------------------------------------------------------------------------------ construction

    def _automatic_config(self) -> dict[str, Any]:
        args, kwargs = self._auto_arguments
        signature = inspect.signature(type(self).__init__)
        bound = signature.bind(self, *args, **kwargs)
        arguments: dict[str, Any] = {}
        for name, value in list(bound.arguments.items())[1:]:
            if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
                arguments.update(value)
            else:
                arguments[name] = value
        plain = (int, float, str, bool, type(None))
        if not all(isinstance(leaf, plain) for leaf in tree.flatten(list(arguments.values()))):
            raise NotImplementedError(
                f"{type(self).__name__} has arguments that are no plain data, so it has to define "
                "get_config() to be saved"
            )
        for own in ("name", "dtype", "trainable", "activity_regularizer"):
            arguments.pop(own, None)
        return arguments

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _building_once(build: Callable[..., None]) -> Callable[..., None]:
    """Wrap a `build` method: remember the shapes, mark the layer as built, set given weights."""

    @functools.wraps(build)
    def wrapper(self: Layer, *args: Any, **kwargs: Any) -> None:
        known = {id(variable) for variable in self.variables}
        with path_entered(self._settled_path()):
            build(self, *args, **kwargs)
        self.built = True
        for variable in self.variables:  # those that were made without a layer
            if id(variable) not in known and not variable.path.startswith(f"{self.path}/"):
                variable.path = f"{self.path}/{variable.path}"
        self._build_shapes = args[0] if len(args) == 1 and not kwargs else (args, kwargs)
        if self._initial_weights is not None:
            given, self._initial_weights = self._initial_weights, None
            self.set_weights(given)

    return wrapper


def _legacy_input_shape(kwargs: dict[str, Any]) -> tuple[int | None, ...] | None:
    """The batch shape that Keras 2's arguments for a first layer tell; None without them."""
    if "batch_input_shape" in kwargs:
        return tuple(kwargs.pop("batch_input_shape"))
    batch = kwargs.pop("batch_size", None)
    if "input_shape" in kwargs:
        shape = kwargs.pop("input_shape")
        return (batch, *(shape if isinstance(shape, (list, tuple)) else (shape,)))
    if "input_dim" in kwargs:
        length = (kwargs.pop("input_length"),) if "input_length" in kwargs else ()
        return (batch, *length, kwargs.pop("input_dim"))
    return None


def _masks_of(inputs: Any) -> Any:
    """The masks that tensors carry, in the structure of the tensors."""
    if isinstance(inputs, Tensor):
        return inputs.mask
    return tree.map_structure(lambda tensor: getattr(tensor, "mask", None), inputs)


def _is_tensor_structure(value: Any) -> bool:
    leaves = tree.flatten(value)
    return bool(leaves) and all(isinstance(leaf, (Tensor, KerasTensor)) for leaf in leaves)


def _shapes_of(value: Any) -> Any:
    return tree.map_structure(lambda tensor: tuple(tensor.shape), value)


def _map_shapes(function: Callable[[Any], Any], shape: Any) -> Any:
    """``function`` of each shape in a structure of shapes (whose leaves are tuples of sizes)."""
    if isinstance(shape, dict):
        return {key: _map_shapes(function, item) for key, item in shape.items()}
    if all(size is None or isinstance(size, int) for size in shape):
        return function(shape)
    return type(shape)(_map_shapes(function, item) for item in shape)


def _policy_config(policy: DTypePolicy) -> dict[str, Any]:
    return {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": policy.get_config(),
        "registered_name": None,
    }
