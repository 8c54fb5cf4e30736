"""TensorFlow's names for what graphc does: ``import graphc as tf`` runs its books' chapters.

These stand at the top of the package: ``graphc.constant``, ``graphc.math.reduce_sum``,
``graphc.nn.relu``, ``graphc.float32`` and so on. They are thin functions over `keras.ops` with
TensorFlow's parameters, defaults and result types; there is no second library of operations.

What differs from TensorFlow: tensors of different dtypes are promoted to a common one where
TensorFlow refuses to mix them; integers divided by integers are float32, not float64; shapes are
plain tuples; ``if`` and ``while`` on tensors inside a compiled function are errors that name the
line (`cond` and `while_loop` do it), as there is no autograph; random numbers are others. Tensors
are dense and hold numbers: ragged, sparse and string tensors are out of scope.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from graphc import __version__
from graphc.eager import Tensor, Variable
from graphc.eager.custom import checkpoint, custom_gradient
from graphc.eager.function import function
from graphc.eager.spec import TensorSpec
from graphc.eager.tape import GradientTape, UnconnectedGradients
from graphc.eager.transforms import grad, hessian, jacobian, jvp, value_and_grad, vjp
from graphc.eager.vectorized import vmap
from graphc.keras import initializers, losses, metrics, optimizers, tree
from graphc.names import (
    bitwise,
    control,
    creation,
    data,
    debugging,
    dtypes,
    image,
    linalg,
    math,
    movement,
    nn,
    random,
    signal,
    train,
)
from graphc.names.adapt import missing_name
from graphc.names.module import Module
from graphc.names.shape import TensorShape, broadcast_dynamic_shape, broadcast_static_shape
from graphc.names.tensor_array import TensorArray

_CREATION = """
constant convert_to_tensor ensure_shape eye fill get_static_value identity is_symbolic_tensor
is_tensor linspace newaxis one_hot ones ones_like range rank saturate_cast cast sequence_mask shape
shape_n size stop_gradient zeros zeros_like
"""
_MOVEMENT = """
bitcast boolean_mask broadcast_to concat dynamic_partition expand_dims gather gather_nd meshgrid pad
repeat reshape reverse reverse_sequence roll scatter_nd searchsorted slice split squeeze stack
strided_slice tensor_scatter_nd_add tensor_scatter_nd_max tensor_scatter_nd_min
tensor_scatter_nd_sub tensor_scatter_nd_update tile transpose unique unique_with_counts
unravel_index unstack where
"""
_MATH = """
abs acos acosh add add_n argmax argmin argsort asin asinh atan atan2 atanh clip_by_global_norm
clip_by_norm clip_by_value complex cos cosh cumsum divide equal exp floor greater greater_equal
histogram_fixed_width histogram_fixed_width_bins less less_equal logical_and logical_not logical_or
maximum minimum multiply negative not_equal pow realdiv reduce_all reduce_any reduce_logsumexp
reduce_max reduce_mean reduce_min reduce_prod reduce_sum round scalar_mul sigmoid sign sin sinh sort
sqrt square subtract tan tanh truediv truncatediv truncatemod
"""
_LINALG = "einsum matmul norm tensordot eig eigvals"
_CONTROL = """
case cond control_dependencies device executing_eagerly foldl foldr group identity_n init_scope
inside_function map_fn name_scope no_op numpy_function print py_function scan switch_case tuple
vectorized_map while_loop
"""
_DEBUGGING = "Assert assert_equal assert_greater assert_less assert_rank"


def _table() -> dict[str, Any]:
    """Every public name at the top of the package."""
    table: dict[str, Any] = {
        "GradientTape": GradientTape,
        "IndexedSlices": movement.IndexedSlices,
        "Module": Module,
        "Tensor": Tensor,
        "TensorArray": TensorArray,
        "TensorShape": TensorShape,
        "TensorSpec": TensorSpec,
        "UnconnectedGradients": UnconnectedGradients,
        "Variable": Variable,
        "broadcast_dynamic_shape": broadcast_dynamic_shape,
        "broadcast_static_shape": broadcast_static_shape,
        "checkpoint": checkpoint,
        "constant_initializer": initializers.Constant,
        "custom_gradient": custom_gradient,
        "function": function,
        "grad": grad,
        "hessian": hessian,
        "jacobian": jacobian,
        "jvp": jvp,
        "ones_initializer": initializers.Ones,
        "recompute_grad": checkpoint,
        "random_normal_initializer": initializers.RandomNormal,
        "random_uniform_initializer": initializers.RandomUniform,
        "value_and_grad": value_and_grad,
        "vjp": vjp,
        "vmap": vmap,
        "zeros_initializer": initializers.Zeros,
    }
    for module, names in (
        (creation, _CREATION),
        (movement, _MOVEMENT),
        (math, _MATH),
        (linalg, _LINALG),
        (control, _CONTROL),
        (debugging, _DEBUGGING),
    ):
        table.update({name: getattr(module, name) for name in names.split()})
    table.update({name: getattr(dtypes, name) for name in dtypes.__all__})
    spaces: dict[str, Any] = {
        "bitwise": bitwise,
        "data": data,
        "debugging": debugging,
        "dtypes": dtypes,
        "image": image,
        "initializers": initializers,
        "linalg": linalg,
        "losses": losses,
        "math": math,
        "metrics": metrics,
        "nest": tree,
        "nn": nn,
        "optimizers": optimizers,
        "random": random,
        "signal": signal,
        "train": train,
        "version": SimpleNamespace(VERSION=__version__),
    }
    return {**table, **spaces}


TABLE = _table()


def find(name: str) -> Any:
    """What a name at the top of the package stands for.

    Args:
        name: Such as ``"constant"``.

    Raises:
        AttributeError: There is no such name; the text says which are near.
    """
    if name not in TABLE:
        raise missing_name("graphc", name, TABLE)
    return TABLE[name]
