"""Layers, models and the three ways to make them."""

import numpy as np
import pytest

from graphc import keras
from graphc.errors import DataDependentControlFlowError, DTypeError, ShapeError

layers = keras.layers


class Linear(layers.Layer):
    def __init__(self, units=2, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), name="w")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

    def call(self, inputs):
        return inputs @ self.w + self.b


class Mlp(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = [layers.Dense(4, "relu"), layers.Dense(3)]
        self.heads = {"a": layers.Dense(1)}

    def call(self, inputs):
        for layer in self.hidden:
            inputs = layer(inputs)
        return self.heads["a"](inputs)


def ones(*shape):
    return np.ones(shape, "float32")


# ------------------------------------------------------------------------------------------ layers


def test_own_layer():
    layer = Linear(3)
    y = layer(ones(2, 4))
    assert y.shape == (2, 3)
    assert [w.name for w in layer.weights] == ["w", "b"]
    np.testing.assert_allclose(np.asarray(y), ones(2, 4) @ layer.w.numpy(), rtol=1e-6)
    assert layer.count_params() == 15
    assert layer.compute_output_shape((None, 4)) == (None, 3)
    assert Linear.from_config(layer.get_config()).units == 3


def test_weights_that_are_attributes_lists_and_dicts_are_found():
    model = Mlp()
    model(ones(2, 5))
    assert len(model.weights) == 6
    assert len(model.layers) == 3
    assert sum(np.size(w) for w in model.get_weights()) == model.count_params()
    values = [np.full(w.shape, 0.5) for w in model.get_weights()]
    model.set_weights(values)
    np.testing.assert_array_equal(model.get_weights()[0], values[0])


def test_set_weights_changes_nothing_if_one_does_not_fit():
    layer = Linear(3)
    layer(ones(2, 4))
    before = layer.get_weights()
    with pytest.raises(ValueError, match="2 weights, received 1"):
        layer.set_weights(before[:1])
    with pytest.raises(ShapeError, match=r'"linear.*/b" has shape \(3,\), received \(4,\)'):
        layer.set_weights([np.zeros((4, 3)), np.zeros(4)])
    np.testing.assert_array_equal(layer.get_weights()[0], before[0])
    with pytest.raises(ValueError, match="not built yet"):
        Linear(3).set_weights(before)


def test_trainable():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)])
    model.layers[0].trainable = False
    assert len(model.trainable_weights) == 2
    assert len(model.non_trainable_weights) == 2
    model.trainable = False
    assert model.trainable_weights == []
    assert not model.layers[1].trainable


def test_build_shapes_come_by_name():
    class Pair(layers.Layer):
        def build(self, query_shape, key_shape):
            self.shapes = (query_shape, key_shape)

        def call(self, query, value, key=None):
            return query

    layer = Pair()
    layer(ones(1, 2), ones(1, 3), key=ones(1, 4))
    assert layer.shapes == ((1, 2), (1, 4))


def test_training_flag_reaches_layers_inside():
    class Flag(layers.Layer):
        def call(self, inputs, training=None):
            return inputs * (2.0 if training else 1.0)

    class Outer(keras.Model):
        def __init__(self):
            super().__init__()
            self.flag = Flag()

        def call(self, inputs):
            return self.flag(inputs)

    model = Outer()
    assert float(model(ones(1, 1))[0, 0]) == 1
    assert float(model(ones(1, 1), training=True)[0, 0]) == 2
    nested = keras.Sequential([keras.Input((1,)), keras.Sequential([Flag()])])
    assert float(nested(ones(1, 1), training=True)[0, 0]) == 2


def test_regularization_losses():
    layer = layers.Dense(2, kernel_regularizer="l2", kernel_initializer="ones")
    layer(ones(1, 3))
    assert float(sum(layer.losses)) == pytest.approx(0.06)
    layer.trainable = False
    assert layer.losses == []


# -------------------------------------------------------------------------------------- sequential


def test_sequential_with_and_without_an_input():
    first = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="a"), layers.Dense(1)])
    assert first.built
    assert first.output_shape == (None, 1)
    assert first.input_shape == (None, 3)
    assert len(first.layers) == 2
    late = keras.Sequential([layers.Dense(2), layers.Dense(1)])
    assert not late.built
    assert late(ones(5, 3)).shape == (5, 1)
    assert late.output_shape == (None, 1)
    built = keras.Sequential([layers.Dense(2)])
    built.build((None, 7))
    assert built.get_weights()[0].shape == (7, 2)


@pytest.mark.parametrize(
    "arguments",
    [{"input_shape": (3,)}, {"input_dim": 3}, {"batch_input_shape": (None, 3)}],
)
def test_keras2_spellings_of_the_input_shape(arguments):
    model = keras.Sequential()
    model.add(layers.Dense(2, **arguments))
    model.add(layers.Dense(1))
    assert model.built
    assert model.input_shape == (None, 3)


def test_sequential_add_and_pop():
    model = keras.Sequential([keras.Input((3,))])
    model.add(layers.Dense(4))
    model.add(layers.Dense(5))
    assert model.output_shape == (None, 5)
    model.pop()
    assert model.output_shape == (None, 4)
    model.add(layers.Dense(6))
    assert model(ones(2, 3)).shape == (2, 6)


def test_sequential_of_models():
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(4)])
    model = keras.Sequential([inner, layers.Dense(2)])
    assert model.output_shape == (None, 2)
    assert len(model.weights) == 4


# -------------------------------------------------------------------------------------- functional


def test_functional_with_shared_layers_and_several_ends():
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    shared = layers.Dense(4, name="shared")
    joined = layers.Concatenate()([shared(a), shared(b)])
    model = keras.Model([a, b], {"y": layers.Dense(2)(joined), "z": joined * 2})
    assert len(model.weights) == 4
    outputs = model([ones(5, 3), ones(5, 3)])
    assert outputs["y"].shape == (5, 2)
    assert outputs["z"].shape == (5, 8)
    by_name = model({"b": ones(5, 3), "a": ones(5, 3)})
    np.testing.assert_array_equal(np.asarray(by_name["y"]), np.asarray(outputs["y"]))
    assert model.get_layer("shared") is shared
    with pytest.raises(ValueError, match='no layer "nothing".*shared'):
        model.get_layer("nothing")


def test_operations_on_placeholders():
    x = keras.Input((3,))
    y = keras.ops.relu(x * 2 - 1) + keras.ops.mean(x, axis=1, keepdims=True)
    model = keras.Model(x, y)
    np.testing.assert_allclose(np.asarray(model(ones(2, 3))), np.full((2, 3), 2))


def test_a_part_of_a_model_is_a_model():
    x = keras.Input((3,))
    h = layers.Dense(4)(x)
    model = keras.Model(x, layers.Dense(2)(h))
    part = keras.Model(model.input, h)
    assert part(ones(2, 3)).shape == (2, 4)
    assert part.weights[0] is model.weights[0]


def test_very_deep_models():
    x = start = keras.Input((2,))
    for _ in range(1500):
        x = layers.Activation("relu")(x)
    model = keras.Model(start, x)
    assert len(model.layers) == 1501


def test_unused_input_and_foreign_output():
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    with pytest.raises(ValueError, match='input "b", which is not among the inputs'):
        keras.Model(a, layers.Add()([a, b]))
    with pytest.raises(ValueError, match="outputs of a model"):
        keras.Model(a, np.zeros(3))
    with pytest.raises(ValueError, match="inputs of a model"):
        keras.Model(np.zeros(3), layers.Dense(2)(a))


# ---------------------------------------------------------------------------------------- subclass


def test_subclass_model_is_built_by_tracing():
    model = Mlp()
    model.build((None, 5))
    assert len(model.weights) == 6
    assert model.compute_output_shape((None, 5)) == (None, 1)
    x = keras.Input((5,))
    assert keras.Model(x, model(x)).output_shape == (None, 1)


# ------------------------------------------------------------------------------------------ errors


def test_missing_super_init():
    class Broken(layers.Layer):
        def __init__(self):
            self.inner = layers.Dense(3)

    with pytest.raises(RuntimeError, match=r"Broken.__init__ has to call super\(\).__init__\(\)"):
        Broken()(np.ones((2, 3)))


def test_call_returns_nothing():
    class Silent(layers.Layer):
        def call(self, inputs):
            inputs * 2

    with pytest.raises(ValueError, match="Silent.*returned None.*`return` missing"):
        Silent()(ones(1, 2))
    with pytest.raises(NotImplementedError, match="no call method"):
        layers.Layer()(ones(1, 2))


def test_class_instead_of_instance():
    with pytest.raises(TypeError, match="add parentheses"):
        keras.Sequential([layers.Flatten])
    with pytest.raises(TypeError, match="takes layers; received 'dense'"):
        keras.Sequential(["dense"])


def test_names_have_to_be_unique():
    with pytest.raises(ValueError, match='a layer "same" already'):
        keras.Sequential([layers.Dense(1, name="same"), layers.Dense(1, name="same")])
    x = keras.Input((3,))
    y = layers.Dense(2, name="same")(x)
    with pytest.raises(ValueError, match='two layers of the model are called "same"'):
        keras.Model(x, layers.Dense(2, name="same")(y))
    with pytest.raises(ValueError, match="cannot hold"):
        layers.Dense(1, name="a/b")


def test_python_if_on_tensors():
    class Branch(layers.Layer):
        def call(self, inputs):
            if keras.ops.sum(inputs) > 0:
                return inputs
            return -inputs

    assert Branch()(ones(1, 2)).shape == (1, 2)
    with pytest.raises(DataDependentControlFlowError, match=r"test_engine.py:\d+.*ops.where"):
        Branch()(keras.Input((2,)))
    with pytest.raises(DataDependentControlFlowError, match="placeholder"):
        bool(keras.Input((2,)) > 0)
    with pytest.raises(DataDependentControlFlowError):
        list(keras.Input((2,)))


def test_a_list_where_one_tensor_is_needed():
    a, b = keras.Input((3,)), keras.Input((3,))
    for layer in (layers.Dense(2), layers.Dropout(0.5), layers.Activation("relu")):
        with pytest.raises(ValueError, match=r"takes 1 input\(s\), received 2"):
            layer([a, b])


def test_wrong_shapes_name_layer_and_line():
    model = keras.Sequential([keras.Input((784,)), layers.Dense(10, name="hidden1")], name="net")
    with pytest.raises(
        ShapeError, match=r'"net".*784.*received \(2, 28\) \(.*test_engine.py:\d+\)'
    ):
        model(ones(2, 28))
    with pytest.raises(ValueError, match=r"write shape=\(784,\) with a comma"):
        keras.Input(784)
    with pytest.raises(ValueError, match="needs a shape"):
        keras.Input()


def test_import_is_light():
    import subprocess
    import sys

    code = (
        "import sys; from graphc import keras; "
        "print([m for m in ('llvmlite', 'onnx', 'onnxruntime', 'h5py', 'yaml', 'rich', "
        "'matplotlib', 'jax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_exists():
    for module in (keras, keras.layers):
        for name in module.__all__:
            assert getattr(module, name) is not None


def test_paths_of_weights_lead_through_the_layers():
    class Block(layers.Layer):
        def build(self, input_shape):
            self.dense = layers.Dense(2, use_bias=False, name="inner")
            self.dense.build(input_shape)
            self.scale = self.add_weight(shape=(2,), name="scale")

        def call(self, inputs):
            return self.dense(inputs) * self.scale

    x = keras.Input((5, 4))
    two_ways = layers.Bidirectional(layers.LSTM(3, use_bias=False, name="a"), name="b")
    y = Block(name="block")(layers.TimeDistributed(two_ways.forward_layer, name="t")(x[:, None]))
    two_ways(x)
    assert [weight.path for weight in keras.Model(x, y).weights] == [
        "t/forward_a/lstm_cell/kernel",
        "t/forward_a/lstm_cell/recurrent_kernel",
        "block/scale",
        "block/inner/kernel",
    ]
    assert [weight.path for weight in two_ways.backward_layer.weights] == [
        "b/backward_a/lstm_cell/kernel",
        "b/backward_a/lstm_cell/recurrent_kernel",
    ]
    deep = keras.Sequential([layers.Dense(2, name="first"), layers.Dense(2, name="second")])
    deep.build((None, 3))
    kernels = [weight.path for weight in deep.weights][::2]
    assert kernels == [f"{deep.name}/first/kernel", f"{deep.name}/second/kernel"]


def test_arrays_of_any_byte_order_and_width_are_data():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    x = np.arange(12, dtype="float32").reshape(4, 3)
    compiled, at_once = model.predict(x, verbose=0), model(x).numpy()
    for dtype in (">f4", ">f8", ">i2", np.longdouble):
        assert np.array_equal(model.predict(x.astype(dtype), verbose=0), compiled)
        assert np.array_equal(model(x.astype(dtype)).numpy(), at_once)
    assert keras.ops.convert_to_tensor(x.astype(">f4")).dtype == "float32"
    assert keras.ops.convert_to_tensor(x.astype(np.longdouble)).dtype == "float64"


def test_python_integers_that_do_not_fit_are_refused():
    for number in (2**31, -(2**31) - 1, [1, 2**40], 2**70):
        with pytest.raises(DTypeError, match="does not fit int32|too large"):
            keras.ops.convert_to_tensor(number)
    assert keras.ops.convert_to_tensor(2**40, "int64").item() == 2**40
    assert keras.ops.convert_to_tensor(-(2**31)).item() == -(2**31)


def test_sizes_meet_tensors_and_fractions():
    class Scaled(layers.Layer):
        def call(self, inputs):
            size = keras.ops.shape(inputs)[0]
            return inputs / size + size * inputs

    class Half(layers.Layer):
        def call(self, inputs):
            return inputs * (0.5 * keras.ops.shape(inputs)[0])

    x = keras.Input((3,))
    result = keras.Model(x, Scaled()(x)).predict(np.ones((4, 3)), verbose=0)
    assert np.array_equal(result, np.full((4, 3), 4.25, "float32"))
    with pytest.raises(ShapeError, match="convert_to_tensor"):
        Half()(x)


def test_the_python_of_a_subclass_runs_in_every_call():
    class Counting(keras.Model):
        def __init__(self):
            super().__init__()
            self.calls = []
            self.dense = layers.Dense(2, kernel_initializer="ones")

        def call(self, inputs, training=False):
            self.calls.append(training)
            return self.dense(inputs)

    model, x = Counting(), keras.ops.ones((3, 4))
    np.testing.assert_array_equal(model(x), np.full((3, 2), 4))
    model(x, training=True)
    assert model.calls[-2:] == [False, True]
    model.dense.kernel.assign(np.zeros((4, 2)))
    model.dense.bias.assign([1, 2])
    np.testing.assert_array_equal(model(x), [[1, 2]] * 3)
    model.dense.activation = lambda y: y * 10
    np.testing.assert_array_equal(model(x), [[10, 20]] * 3)
    model.dense = layers.Dense(1, kernel_initializer="ones")
    np.testing.assert_array_equal(model(x), np.full((3, 1), 4))
    assert [v.shape for v in model.trainable_variables] == [(4, 1), (1,)]


def test_parts_are_looked_up_anew():
    class Growing(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = []
            self.named = {"a": ()}

    layer = Growing()
    assert layer.variables == []
    layer.inner.append(layers.Dense(2))
    layer.inner[0].build((None, 3))
    assert len(layer.variables) == 2
    layer.named["a"] = (layers.Dense(1),)
    layer.named["a"][0].build((None, 3))
    assert len(layer.variables) == 4
    layer.extra = None
    assert len(layer.variables) == 4
    layer.extra = keras.metrics.Mean()
    assert len(layer.variables) == 4 and layer.metrics == [layer.extra]
    layer.inner.clear()
    assert len(layer.variables) == 2
    del layer.named
    assert layer.variables == []


def structures(k):
    """Ways to build layers inside of each other, as functions of nothing."""
    x = np.ones((2, 3), "float32")

    class Outer(k.layers.Layer):
        def __init__(self, inner, builds=False, **kwargs):
            super().__init__(**kwargs)
            self.inner = inner
            self.builds = builds

        def build(self, input_shape):
            if self.builds:
                self.inner.build(input_shape)

        def call(self, inputs):
            return self.inner(inputs)

    class Plain(k.layers.Layer):
        def __init__(self, inner, **kwargs):
            super().__init__(**kwargs)
            self.inner = inner

        def call(self, inputs):
            return self.inner(inputs)

    class Net(k.Model):
        def __init__(self, *parts, **kwargs):
            super().__init__(**kwargs)
            self.parts = list(parts)

        def call(self, inputs):
            for part in self.parts:
                inputs = part(inputs)
            return inputs

    def dense(name="d"):
        return k.layers.Dense(2, name=name)

    def functional(part):
        inputs = k.Input((3,))
        return k.Model(inputs, part(inputs), name="f")

    def called(layer):
        layer(x)
        return layer

    def prebuilt():
        layer = dense()
        layer.build((None, 3))
        return called(Plain(layer, name="o"))

    return {
        "built inside build": lambda: called(Outer(dense(), True, name="o")),
        "built inside call": lambda: called(Outer(dense(), name="o")),
        "no build": lambda: called(Plain(Plain(dense(), name="p"), name="o")),
        "mixed": lambda: called(Plain(Outer(dense(), True, name="p"), name="o")),
        "built before": prebuilt,
        "net": lambda: called(Net(dense("a"), Plain(dense(), name="o"), name="n")),
        "net in a net": lambda: called(Net(Net(dense(), name="i"), name="n")),
        "sequential": lambda: called(
            k.Sequential([dense("a"), Plain(dense(), name="o")], name="s")
        ),
        "with an input": lambda: k.Sequential([k.Input((3,)), Plain(dense(), name="o")], name="s"),
        "functional": lambda: functional(Plain(dense(), name="o")),
        "sequential in functional": lambda: functional(k.Sequential([dense()], name="s")),
        "net in functional": lambda: functional(Net(dense(), name="n")),
        "sequential in a net": lambda: called(Net(k.Sequential([dense()], name="s"), name="n")),
        "functional in a net": lambda: called(Net(functional(dense()), name="n")),
    }


@pytest.mark.parametrize("name", structures(keras))
def test_paths_are_those_of_keras(name, real_keras):
    mine, theirs = (structures(k)[name]() for k in (keras, real_keras))
    assert [v.path for v in mine.variables] == [v.path for v in theirs.variables]
    assert mine.path == theirs.path
    if name == "mixed":
        assert mine.inner.inner.path == theirs.inner.inner.path == "o/p/d"


def test_errors_know_the_layers_around():
    class Inner(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1],))

        def call(self, inputs):
            return inputs @ self.w

    class Outer(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = Inner(name="inner")

        def call(self, inputs):
            return keras.ops.matmul(self.inner(inputs), keras.ops.ones((7, 2)))

    with pytest.raises(ShapeError, match=r'Inner "outer/inner": weight "None" cannot'):
        Outer(name="outer")(keras.Input((None,)))

    class Model(keras.Model):
        def __init__(self):
            super().__init__(name="net")
            self.outer = Outer(name="outer")

        def call(self, inputs):
            return self.outer(inputs)

    with pytest.raises(ShapeError, match='"net/outer"'):
        Model().predict(np.ones((2, 3)))
