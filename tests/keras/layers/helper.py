"""One layer, checked against Keras in every way: `run_layer_test`."""

import json

import numpy as np

from graphc import autodiff, runtime
from graphc import keras as ours_keras
from graphc.eager import Tensor, Trace, apply, as_tensor
from graphc.ir import TensorType
from graphc.ir.dims import symbol
from graphc.keras import tree
from graphc.ops.reduce import ReduceSum
from tests.keras.computing import jax_gradient

#: Arguments of Keras's that are not ours, and ours that Keras forgets to save.
CONFIG_DIFFERENCES = {
    "name",
    "build_config",
    "shared_object_id",
    "lora_alpha",
    "lora_rank",
    "quantization_config",
    "renorm",
    "renorm_clipping",
    "renorm_momentum",
    "rms_scaling",
    "seed",
    "synchronized",
    "trainable",
    "use_gate",
    "sliding_window",
}


def random_inputs(shapes, dtype="float32", high=5, seed=0):
    """Arrays to call a layer on; integers are drawn below ``high``."""
    rng = np.random.default_rng(seed)
    arrays = []
    for shape in shapes:
        if dtype.startswith("float"):
            arrays.append(rng.normal(size=shape).astype(dtype))
        else:
            arrays.append(rng.integers(0, high, size=shape).astype(dtype))
    return arrays


def random_weights(layer, seed=1):
    """Values for a layer's weights; positive, so that they can be variances as well."""
    rng = np.random.default_rng(seed)
    return [
        np.asarray(rng.uniform(0.1, 0.9, size=w.shape)).astype(w.dtype)
        if w.dtype.kind == "f"
        else w
        for w in map(np.asarray, layer.get_weights())
    ]


def one(arrays):
    """A list of inputs as a layer takes it: bare if it is one."""
    return arrays[0] if len(arrays) == 1 else list(arrays)


def plain(config):
    """A configuration without what is allowed to differ, as JSON would keep it."""
    if isinstance(config, dict):
        if config.get("class_name") == "__tuple__":
            return plain(config["config"]["value"])
        if config.get("class_name") == "DTypePolicy":
            return config["config"]["name"]
        return {
            key: plain(value)
            for key, value in config.items()
            if key not in CONFIG_DIFFERENCES
            and not (key == "activity_regularizer" and value is None)
        }
    if isinstance(config, (list, tuple)):
        return [plain(item) for item in config]
    return config


def assert_close(mine, theirs, rtol, atol):
    mine, theirs = tree.flatten(mine), tree.flatten(theirs)
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        np.testing.assert_allclose(a.astype("float64"), b.astype("float64"), rtol=rtol, atol=atol)


def run_layer_test(
    real_keras,
    make,
    *input_shapes,
    dtype="float32",
    high=5,
    training=False,
    gradients=True,
    symbolic=True,
    call=None,
    inputs=None,
    rtol=2e-5,
    atol=2e-6,
):
    """Compare a layer with Keras's.

    Args:
        real_keras: Keras.
        make: Makes the layer from either module: ``lambda keras: keras.layers.Dense(3)``.
        *input_shapes: Shapes of the inputs, with the batch's size.
        dtype: Element type of the inputs.
        high: Integers are drawn below it.
        training: The training flag.
        gradients: Whether to compare derivatives.
        symbolic: Whether to trace with an unknown batch size.
        call: Calls the layer on the inputs, if there is more to it: ``call(layer, inputs, keras)``.
        inputs: Arrays to use.
        rtol: Relative tolerance.
        atol: Absolute tolerance.

    Returns:
        Our layer, built.
    """
    arrays = inputs if inputs is not None else random_inputs(input_shapes, dtype, high)
    layers = make(ours_keras), make(real_keras)

    def run(layer, tensors, keras):
        if call is not None:
            return call(layer, tensors, keras)
        return layer(one(tensors), **({"training": True} if training else {}))

    for layer, keras in zip(layers, (ours_keras, real_keras), strict=True):
        run(layer, arrays, keras)
    ours, theirs = layers
    _check_weights(ours, theirs)
    values = random_weights(theirs)

    # At once; with the state that training changes.
    for layer in layers:
        layer.set_weights(values)
    expected = run(theirs, arrays, real_keras)
    assert_close(run(ours, arrays, ours_keras), expected, rtol, atol)
    after = theirs.get_weights()
    assert_close(ours.get_weights(), after, rtol, atol)

    _check_program(ours, run, arrays, values, expected, after, symbolic, rtol, atol)
    _check_shapes(ours, theirs, run, arrays, real_keras)
    if gradients:
        theirs.set_weights(values)
        _check_gradients(ours, theirs, run, arrays, values, rtol, atol, real_keras)
    _check_config(ours, theirs, run, arrays, values, expected, rtol, atol, real_keras)
    return ours


def _check_weights(ours, theirs):
    def described(layer):
        trained = set(map(id, layer.trainable_weights))
        return [(w.name, tuple(w.shape), id(w) in trained) for w in layer.weights]

    assert described(ours) == described(theirs)


def _placeholders(trace, arrays, symbolic):
    tensors = []
    for i, array in enumerate(arrays):
        shape = (symbol("batch"), *array.shape[1:]) if symbolic else array.shape
        tensors.append(trace.input(f"x{i}", TensorType(shape, array.dtype.name)))
    return tensors


def _check_program(ours, run, arrays, values, expected, after, symbolic, rtol, atol):
    """The same as a compiled program, which updates the weights itself."""
    ours.set_weights(values)
    with Trace("test") as trace:
        results = tree.flatten(run(ours, _placeholders(trace, arrays, symbolic), ours_keras))
        program, variables = trace.program({f"y{i}": y for i, y in enumerate(results)})
    state = {name: variable.array for name, variable in variables.items()}
    data = {f"x{i}": array for i, array in enumerate(arrays)}
    outputs = runtime.compile(program, "reference").run(data, state)
    assert_close([outputs[f"y{i}"] for i in range(len(results))], expected, rtol, atol)
    assert_close(ours.get_weights(), after, rtol, atol)


def _check_shapes(ours, theirs, run, arrays, real_keras):
    shapes = []
    for layer, keras in ((ours, ours_keras), (theirs, real_keras)):
        tensors = [keras.Input(array.shape[1:], dtype=array.dtype.name) for array in arrays]
        outputs = tree.flatten(run(layer, tensors, keras))
        shapes.append([tuple(output.shape) for output in outputs])
    assert shapes[0] == shapes[1]


def _cotangents(results):
    rng = np.random.default_rng(3)
    return [rng.normal(size=tuple(y.shape)).astype("float32") for y in results]


def _check_gradients(ours, theirs, run, arrays, values, rtol, atol, real_keras):
    floats = [i for i, array in enumerate(arrays) if array.dtype.kind == "f"]
    ours.set_weights(values)
    with Trace("test") as trace:
        inputs = _placeholders(trace, arrays, symbolic=False)
        results = tree.flatten(run(ours, inputs, ours_keras))
        scales = _cotangents(results)
        loss = sum(
            apply(ReduceSum(tuple(range(y.ndim))), y * as_tensor(scale))
            for y, scale in zip(results, scales, strict=True)
        )
        wanted = ours.trainable_variables
        found = trace.gradients(loss, wanted)
        dx = autodiff.gradients(loss.value, [inputs[i].value for i in floats])
        gradients = [*found, *[None if d is None else Tensor(d) for d in dx]]
        named = {f"d{i}": g for i, g in enumerate(gradients) if g is not None}
        program, variables = trace.program(named)
    state = {name: variable.array for name, variable in variables.items()}
    data = {f"x{i}": array for i, array in enumerate(arrays)}
    outputs = runtime.compile(program, "reference").run(data, state)
    ours.set_weights(values)

    trainable = [np.asarray(v.value) for v in theirs.trainable_variables]
    fixed = [v.value for v in theirs.non_trainable_variables]

    def scalar(weights, given):
        tensors = list(arrays)
        for i, array in zip(floats, given, strict=True):
            tensors[i] = array
        variables = theirs.trainable_variables + theirs.non_trainable_variables
        mapping = list(zip(variables, [*weights, *fixed], strict=True))
        with real_keras.StatelessScope(state_mapping=mapping):
            results = tree.flatten(run(theirs, tensors, real_keras))
        return sum((y * scale).sum() for y, scale in zip(results, scales, strict=True))

    expected = jax_gradient(scalar, (0, 1))(trainable, [arrays[i] for i in floats])
    for i, theirs_gradient in enumerate([*expected[0], *expected[1]]):
        mine = outputs.get(f"d{i}", np.zeros_like(theirs_gradient))
        assert_close(mine, theirs_gradient, rtol * 5, atol * 10)


def _check_config(ours, theirs, run, arrays, values, expected, rtol, atol, real_keras):
    mine, wanted = ours.get_config(), theirs.get_config()
    assert plain(mine) == plain(wanted)
    again = type(ours).from_config(mine)
    assert plain(again.get_config()) == plain(mine)
    # Through JSON, into Keras and back.
    text = json.dumps(ours_keras.saving.serialize_keras_object(ours))
    read = real_keras.saving.deserialize_keras_object(json.loads(text))
    text = json.dumps(real_keras.saving.serialize_keras_object(read))
    back = ours_keras.saving.deserialize_keras_object(json.loads(text))
    run(back, arrays, ours_keras)
    back.set_weights(values)
    assert_close(run(back, arrays, ours_keras), expected, rtol, atol)
