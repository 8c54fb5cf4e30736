"""Core layers: Dense, Activation, Identity, Lambda, Masking, Embedding."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from graphc.eager import Tensor, apply, cast
from graphc.ir import is_integer
from graphc.keras import activations, ops
from graphc.keras.engine.input_spec import InputSpec
from graphc.keras.layers.builtin import BuiltinLayer, positive
from graphc.keras.ops.recording import composed
from graphc.keras.saving.registry import (
    deserialize_keras_object,
    public,
    serialize_keras_object,
)
from graphc.ops.gather import Gather

LOW_RANK: dict[str, Any] = {"lora_rank": None, "lora_alpha": None, "quantization_config": None}


@composed
def _affine(inputs: Any, kernel: Any, bias: Any) -> Any:
    """``inputs @ kernel + bias``; ``bias`` may be None."""
    product = ops.matmul(inputs, kernel)
    return product if bias is None else product + bias


@public("keras.layers")
class Dense(BuiltinLayer):
    """``activation(input @ kernel + bias)`` (https://keras.io/api/layers/core_layers/dense/).

    Args:
        units: The size of the output's last axis.
        activation: A name or a function; None for none.
        use_bias: Whether there is a bias.
        kernel_initializer: How the kernel starts.
        bias_initializer: How the bias starts.
        kernel_regularizer: Penalty on the kernel.
        bias_regularizer: Penalty on the bias.
        activity_regularizer: Penalty on the output.
        kernel_constraint: Applied to the kernel after each update.
        bias_constraint: Applied to the bias after each update.
        **kwargs: For `Layer`.

    Input shape:
        ``(batch, ..., features)``.

    Output shape:
        ``(batch, ..., units)``.

    Raises:
        ValueError: ``units`` is no positive integer.

    Example:
        >>> keras.layers.Dense(10, activation="softmax")
    """

    arguments = (
        "units",
        "activation",
        "use_bias",
        "kernel_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "bias_regularizer",
        "kernel_constraint",
        "bias_constraint",
    )
    unsupported: ClassVar[dict[str, Any]] = LOW_RANK

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = positive(units, "units", self)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.describe_weight("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self.describe_weight("bias", bias_initializer, bias_regularizer, bias_constraint)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Create the kernel and the bias for an input shape."""
        features = input_shape[-1]
        self.kernel = self.add_described_weight("kernel", (features, self.units))
        self.bias = self.add_described_weight("bias", (self.units,)) if self.use_bias else None
        self.input_spec = InputSpec(min_ndim=2, axes={-1: features})

    def call(self, inputs: Any, training: Any = None) -> Any:
        """The output for ``(batch, ..., features)``."""
        kernel = self.read(self.kernel)
        bias = None if self.bias is None else self.read(self.bias)
        return self.activation(_affine(inputs, kernel, bias))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input shape."""
        return (*input_shape[:-1], self.units)


@public("keras.layers")
class Activation(BuiltinLayer):
    """An activation function as a layer of its own.

    Args:
        activation: A name or a function.
        **kwargs: For `Layer`.

    Example:
        >>> keras.layers.Activation("relu")
    """

    arguments = ("activation",)

    def __init__(self, activation: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.activation = activations.get(activation)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """The function of each element."""
        return self.activation(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape


@public("keras.layers")
class Identity(BuiltinLayer):
    """Its input, which may be any structure of tensors."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.input_spec = None
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """The input."""
        return inputs


@public("keras.layers")
class Lambda(BuiltinLayer):
    """A function of tensors as a layer (https://keras.io/api/layers/core_layers/lambda/).

    It can be saved if the function has a name (`def`) and is registered or handed in as custom
    object when it is loaded; files hold no code. A layer class of your own is the better choice
    where there are weights.

    Args:
        function: Takes the input (and, if it has such parameters, ``mask`` and ``training``).
        output_shape: Accepted for compatibility: shapes are found by tracing.
        mask: The mask of the output, or a function of the input and its mask.
        arguments: Further keyword arguments for the function.
        **kwargs: For `Layer`.

    Raises:
        TypeError: ``function`` cannot be called.

    Example:
        >>> keras.layers.Lambda(lambda x: x * 2 - 1)
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not callable(function):
            raise TypeError(f"Lambda: needs a function of the input. Received: {function!r}")
        self.input_spec = None
        self.function = function
        self.mask = mask
        self.keywords = arguments or {}
        self._output_shape = output_shape
        self.supports_masking = mask is not None
        parameters = inspect.signature(function).parameters
        self._takes_mask = "mask" in parameters
        self._takes_training = "training" in parameters

    def call(self, inputs: Any, mask: Any = None, training: Any = None) -> Any:
        """The function of the input."""
        keywords = dict(self.keywords)
        if self._takes_mask:
            keywords["mask"] = mask
        if self._takes_training:
            keywords["training"] = training
        return self.function(inputs, **keywords)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask that the constructor was given, or computed by its function."""
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        """The arguments; the function by its name.

        Raises:
            TypeError: The function is a lambda.
        """
        settings = {"function": self.function, "arguments": self.keywords}
        if self._output_shape is not None:
            settings["output_shape"] = self._output_shape
        if self.mask is not None:
            settings["mask"] = self.mask
        return {**super().get_config(), **serialize_keras_object(settings)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer from what `get_config` gave."""
        settings = dict(config)
        for key in ("function", "output_shape", "mask", "arguments"):
            if key in settings:
                settings[key] = deserialize_keras_object(settings[key])
        return cls(**settings)


@public("keras.layers")
class Masking(BuiltinLayer):
    """Skips the steps of a sequence whose features all have a certain value.

    Layers behind it that know masks leave those steps out; their features become 0.

    Args:
        mask_value: The value.
        **kwargs: For `Layer`.

    Input shape:
        ``(batch, time, ..., features)``.
    """

    arguments = ("mask_value",)

    def __init__(self, mask_value: Any = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.mask_value = deserialize_keras_object(mask_value)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """True where any feature differs from the value."""
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs: Any) -> Any:
        """The input with 0 in the steps that are skipped."""
        kept = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        return ops.where(kept, inputs, 0)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape


@public("keras.layers")
class Embedding(BuiltinLayer):
    """A vector for each of the integers from 0 (https://keras.io/api/layers/core_layers/embedding/).

    An integer that is out of range gives a vector of NaNs.

    Args:
        input_dim: How many integers there are: the largest one plus 1.
        output_dim: The length of the vectors.
        embeddings_initializer: How the vectors start.
        embeddings_regularizer: Penalty on them.
        embeddings_constraint: Applied to them after each update.
        mask_zero: Whether 0 means a step that is to be left out.
        weights: The first value: ``(input_dim, output_dim)``, or that in a list.
        input_length: Keras 2's length of sequences.
        **kwargs: For `Layer`.

    Input shape:
        ``(batch, ...)`` of integers.

    Output shape:
        ``(batch, ..., output_dim)``.

    Raises:
        ValueError: A size is no positive integer.

    Example:
        >>> keras.layers.Embedding(10_000, 32, mask_zero=True)
    """

    arguments = (
        "input_dim",
        "output_dim",
        "embeddings_initializer",
        "embeddings_regularizer",
        "embeddings_constraint",
        "mask_zero",
    )
    unsupported: ClassVar[dict[str, Any]] = LOW_RANK
    #: What a Sequential model makes its input of.
    input_dtype = "int32"

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        input_length: int | None = None,
        **kwargs: Any,
    ):
        if input_length is not None:
            # The integers have no axis of features, so the length is all there is to the shape.
            warnings.warn("Argument `input_length` is deprecated. Just remove it.", stacklevel=2)
            kwargs.setdefault("input_shape", np.atleast_1d(input_length).tolist())
        if weights is not None and not (isinstance(weights, (list, tuple)) and len(weights) == 1):
            weights = [weights]
        super().__init__(weights=weights, **kwargs)
        self.input_dim = positive(input_dim, "input_dim", self)
        self.output_dim = positive(output_dim, "output_dim", self)
        self.describe_weight(
            "embeddings", embeddings_initializer, embeddings_regularizer, embeddings_constraint
        )
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self.autocast = False
        if weights is not None:
            self.build(None)

    def build(self, input_shape: Any = None) -> None:
        """Create the vectors."""
        if not self.built:
            self.embeddings = self.add_described_weight(
                "embeddings", (self.input_dim, self.output_dim)
            )

    def call(self, inputs: Any) -> Tensor:
        """The vectors of the integers."""
        known = inputs.dtype != "bool" and is_integer(inputs.dtype)
        indices = inputs if known else cast(inputs, "int32")
        return apply(Gather(0), self.read(self.embeddings), indices)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """True where the integer is not 0, if 0 means a step to leave out."""
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input shape."""
        return (*input_shape, self.output_dim)
