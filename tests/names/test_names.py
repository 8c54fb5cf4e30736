"""The names themselves: what is there, what is missing, and what no result can show."""

import contextlib
import inspect
import io
import pickle
import subprocess
import sys

import numpy as np
import pytest

import graphc as tf
from graphc import keras
from graphc.errors import DTypeError, ShapeError
from tests.names.cases import expressions

MODULES = (
    "bitwise",
    "debugging",
    "dtypes",
    "image",
    "linalg",
    "math",
    "nn",
    "random",
    "signal",
    "train",
)


def test_names_are_loaded_when_first_used():
    code = (
        "import sys, graphc; assert 'graphc.keras' not in sys.modules; "
        "from graphc import autodiff, keras; assert 'graphc.names' not in sys.modules; "
        "graphc.constant(1); assert 'graphc.names' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_modules_of_graphc_come_before_names():
    assert inspect.ismodule(tf.config)
    assert tf.keras is keras
    assert tf.summary.scalar
    assert {"constant", "nn", "float32", "keras"} <= set(dir(tf))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("constnt", "did you mean constant"),
        ("reduce_men", "did you mean reduce_mean"),
        ("placeholder", "decorate it with @graphc.function"),
        ("Session", "tensors compute at once"),
        ("ragged", "ragged tensors are out of scope: pad rows"),
        ("sparse", "sparse tensors are out of scope"),
        ("SparseTensor", "sparse tensors are out of scope"),
        ("strings", "string tensors are out of scope"),
        ("string", "string tensors are out of scope"),
        ("xyzzy", "graphc has no xyzzy$"),
    ],
)
def test_missing_names(name, text):
    with pytest.raises(AttributeError, match=text):
        getattr(tf, name)


@pytest.mark.parametrize("module", MODULES)
def test_missing_names_of_modules(module):
    with pytest.raises(AttributeError, match=f"graphc.{module} has no qqqq"):
        getattr(getattr(tf, module), "qqqq")  # noqa: B009 (a name that is not there)


def test_unknown_parameters():
    with pytest.raises(TypeError, match="it takes input_tensor, axis, keepdims"):
        tf.reduce_max([1, 2], keep_dims=True)
    assert tf.reduce_max([1, 2], name="largest").item() == 2
    assert list(inspect.signature(tf.reduce_max).parameters) == ["input_tensor", "axis", "keepdims"]


def public_functions():
    for space in (tf, *(getattr(tf, name) for name in MODULES)):
        names = tf.names.TABLE if space is tf else space.__all__
        prefix = "tf" if space is tf else f"tf.{space.__name__.rpartition('.')[2]}"
        for name in names:
            if inspect.isfunction(getattr(space, name)):
                yield f"{prefix}.{name}"


#: Tested in this file or in others, as TensorFlow's results are no measure.
ELSEWHERE = {
    "tf.Assert", "tf.function", "tf.print", "tf.name_scope", "tf.group", "tf.control_dependencies",
    "tf.executing_eagerly", "tf.inside_function", "tf.is_symbolic_tensor", "tf.as_dtype",
    "tf.dtypes.as_dtype", "tf.nn.dropout", "tf.custom_gradient", "tf.recompute_grad",
    "tf.checkpoint", "tf.grad", "tf.init_scope", "tf.hessian", "tf.jacobian", "tf.jvp",
    "tf.value_and_grad", "tf.vjp", "tf.vmap", "tf.device", "tf.no_op", "tf.numpy_function",
    "tf.py_function", "tf.image.non_max_suppression",
}  # fmt: skip


OTHER_PLACES = (
    *("tf.debugging.", "tf.random.", "tf.image.random_", "tf.image.stateless_random_"),
    "tf.train.",
)


@pytest.mark.parametrize("name", sorted(public_functions()))
def test_every_function_is_documented_and_tried(name):
    function = eval(name)
    assert len(function.__doc__ or "") > 5
    tried = "\n".join(expressions())
    if name in ELSEWHERE or name.startswith(OTHER_PLACES):
        return
    if name.startswith("tf.assert_"):
        return
    bare = name.rpartition(".")[2]
    aliases = [f"tf.{bare}(", *(f"tf.{module}.{bare}(" for module in MODULES)]
    same = [a for a in aliases if eval_or_none(a[:-1]) is function]
    assert any(alias in tried for alias in same), f"{name} is in no case of tests/names/cases.py"


def eval_or_none(name):
    try:
        return eval(name)
    except AttributeError:
        return None


# ------------------------------------------------------------------------------------- dtypes


def test_dtypes_are_strings():
    assert tf.float32 == "float32"
    assert hash(tf.float32) == hash("float32")
    assert repr(tf.float32) == "graphc.float32"
    assert f"{tf.int64}" == str(tf.int64) == tf.int64.name == "int64"
    assert type(tf.int64.name) is str
    assert pickle.loads(pickle.dumps(tf.bfloat16)) == tf.bfloat16
    assert tf.dtypes.float16 is tf.float16
    assert (tf.half, tf.double) == ("float16", "float64")


@pytest.mark.parametrize("name", tf.names.dtypes.__all__)
def test_properties_of_dtypes(name):
    dtype = getattr(tf, name)
    if not isinstance(dtype, tf.dtypes.DType):
        return
    if dtype != "bfloat16":
        numpy = np.dtype(dtype.name)
        assert dtype.as_numpy_dtype is numpy.type
        assert dtype.size == numpy.itemsize
        assert dtype.is_floating == (numpy.kind == "f")
        assert dtype.is_integer == (numpy.kind in "iu")
        assert dtype.is_unsigned == (numpy.kind == "u")
        assert dtype.is_complex == (numpy.kind == "c")
        if numpy.kind in "iu":
            assert (dtype.min, dtype.max) == (np.iinfo(numpy).min, np.iinfo(numpy).max)
        if numpy.kind == "f":
            assert (dtype.min, dtype.max) == (np.finfo(numpy).min, np.finfo(numpy).max)
    else:
        assert dtype.max == -dtype.min == float.fromhex("0x1.fep127")
    assert tf.as_dtype(dtype) == dtype


def test_dtypes_as_arguments_everywhere():
    assert tf.as_dtype(float) == tf.float32
    assert tf.as_dtype(np.int64) == tf.int64
    assert tf.complex64.real_dtype == tf.float32
    layer = keras.layers.Dense(2, dtype=tf.float64)
    assert layer(np.ones((1, 3))).dtype == tf.float64
    assert keras.ops.cast([1.5], tf.int32).dtype == tf.int32
    assert keras.Input((2,), dtype=tf.int64).dtype == tf.int64
    assert keras.Variable([1.0], dtype=tf.float16).dtype == tf.float16
    model = keras.Sequential([keras.Input((3,), dtype=tf.float32), layer])
    assert keras.models.model_from_json(model.to_json()).layers[-1].dtype == "float64"
    with pytest.raises(DTypeError):
        tf.as_dtype("float31")


def test_convert_to_tensor_does_not_cast_tensors():
    with pytest.raises(DTypeError, match="graphc.cast"):
        tf.convert_to_tensor(tf.constant(1.0), tf.int32)
    with pytest.raises(ShapeError, match="3 numbers"):
        tf.constant([1, 2, 3], shape=(2, 2))


def test_shapes():
    shape = tf.TensorShape([None, 3])
    assert shape == (None, 3)
    assert (shape.rank, shape.as_list(), shape.num_elements()) == (2, [None, 3], None)
    assert tf.TensorShape([2, 3]).num_elements() == 6
    assert shape.concatenate([4]) == (None, 3, 4)
    assert shape.is_compatible_with([7, 3])
    assert not shape.is_compatible_with([7, 4])
    assert repr(shape) == "TensorShape([None, 3])"
    with pytest.raises(ShapeError):
        shape.assert_is_compatible_with((1, 2))


def test_what_differs_from_tensorflow():
    assert tf.add([1, 2], [1.5, 2.5]).dtype == tf.float32  # TensorFlow refuses to
    assert tf.divide(tf.constant(1), 2).dtype == tf.float32  # TensorFlow: float64
    assert tf.sqrt(4).numpy() == 2  # TensorFlow refuses to


# ---------------------------------------------------------------------- in compiled functions


def test_shapes_that_are_not_known_yet():
    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def features(x):
        batch = tf.shape(x)[0]
        table = tf.reshape(x, [batch, 3, 1])
        zeros = tf.zeros([batch, 2])
        count = tf.cast(tf.shape(x)[0], tf.float32)
        everything = tf.reduce_sum(tf.shape(x))
        return table, zeros, tf.reduce_sum(x) / count, tf.range(batch), everything, tf.size(x)

    for rows in (1, 4):
        x = np.arange(rows * 3, dtype="float32").reshape(rows, 3)
        table, zeros, mean, numbers, everything, size = features(x)
        assert (table.shape, zeros.shape) == ((rows, 3, 1), (rows, 2))
        assert mean.item() == pytest.approx(x.sum() / rows)
        assert numbers.numpy().tolist() == list(range(rows))
        assert (everything.item(), size.item()) == (rows + 3, rows * 3)


CONTROL = {
    "cond": lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: x + 1, lambda: x - 1),
    "while_loop": lambda x: tf.while_loop(
        lambda n, y: n < 4, lambda n, y: (n + 1, y * 2), (tf.constant(0), x)
    )[1],
    "map_fn": lambda x: tf.map_fn(lambda y: y * y, x),
    "scan": lambda x: tf.scan(lambda a, y: a + y, x),
    "foldl": lambda x: tf.foldl(lambda a, y: a - y, x),
    "case": lambda x: tf.case(
        [(x[0] > 5, lambda: x), (x[1] > 0, lambda: -x)], default=lambda: x * 0
    ),
    "switch_case": lambda x: tf.switch_case(
        tf.cast(x[0], tf.int32), [lambda: x, lambda: x + 10], default=lambda: x * 0
    ),
    "gather": lambda x: tf.gather(x, tf.cast(tf.argsort(x), tf.int32)),
    "tensor_scatter": lambda x: tf.tensor_scatter_nd_update(x, [[1], [0], [1]], x),
    "clip": lambda x: tf.clip_by_global_norm([x, x * 2], 1.0)[0],
    "segment": lambda x: tf.math.unsorted_segment_max(x, [0, 1, 0], 2),
    "cumsum": lambda x: tf.cumsum(x, exclusive=True, reverse=True),
}


@pytest.mark.parametrize("name", CONTROL)
@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0], [0.5, -3.0, -1.0], [6.0, 0.0, 2.0]], ids=str)
def test_the_same_in_a_compiled_function(name, values):
    x = tf.constant(values)
    np.testing.assert_allclose(
        np.asarray(tf.function(CONTROL[name])(x)), np.asarray(CONTROL[name](x)), rtol=1e-6
    )


def test_names_in_a_functional_model(tmp_path):
    inputs = keras.Input((3,))
    x = tf.nn.relu(tf.matmul(inputs, tf.ones((3, 2))))
    outputs = tf.concat([x, tf.reduce_mean(x, axis=1, keepdims=True)], axis=1)
    model = keras.Model(inputs, tf.clip_by_value(outputs, 0.0, 4.0))
    data = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 1.0]], "float32")
    expected = np.minimum(np.repeat(np.maximum(data.sum(1, keepdims=True), 0), 3, 1), 4)
    np.testing.assert_allclose(model.predict(data, verbose=0), expected)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(data, verbose=0), expected)


FUNCTIONAL = {
    "sum": lambda x: tf.reduce_sum(x, axis=1),
    "mean": lambda x: tf.reduce_mean(x, axis=[1, 2]),
    "norm": lambda x: tf.math.reduce_euclidean_norm(x, axis=1),
    "cumsum": lambda x: tf.cumsum(x, axis=1, exclusive=True, reverse=True),
    "normalized": lambda x: tf.math.l2_normalize(x, axis=2),
    "clipped": lambda x: tf.clip_by_norm(x, 1.0, axes=[1, 2]),
    "one_hot": lambda x: tf.one_hot(tf.argmax(x, axis=1), 4),
    "transposed": lambda x: tf.transpose(x, [0, 2, 1]),
    "split": lambda x: tf.split(x, [1, 2], axis=1)[1],
    "padded": lambda x: tf.pad(x, [[0, 0], [1, 0], [0, 2]]),
    "sliced": lambda x: tf.slice(x, [0, 1, 0], [-1, 1, 2]),
    "squared difference": lambda x: tf.math.squared_difference(x, 1.0),
    "resized": lambda x: tf.image.resize(x[..., tf.newaxis], [4, 3]),
    "losses": lambda x: tf.nn.sigmoid_cross_entropy_with_logits(tf.ones_like(x), x),
    "cross entropy": lambda x: tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.argmax(x, axis=2), x
    ),
    "normalized response": lambda x: tf.nn.lrn(x[:, tf.newaxis]),
    "blocks": lambda x: tf.nn.depth_to_space(tf.tile(x[:, tf.newaxis], [1, 1, 1, 2]), 2),
    "grey": lambda x: tf.image.rgb_to_grayscale(tf.transpose(x, [0, 2, 1])[:, tf.newaxis]),
    "standardized": lambda x: tf.image.per_image_standardization(x[:, tf.newaxis]),
    "edges": lambda x: tf.image.sobel_edges(x[..., tf.newaxis]),
    "gathered": lambda x: tf.gather(x, [1, 0], axis=2),
}


@pytest.mark.parametrize("name", FUNCTIONAL)
def test_functions_of_a_models_tensors(name, tmp_path):
    inputs = keras.Input((3, 2))
    model = keras.Model(inputs, FUNCTIONAL[name](inputs))
    data = np.random.default_rng(0).normal(size=(4, 3, 2)).astype("float32")
    found = model.predict(data, verbose=0)
    expected = np.asarray(FUNCTIONAL[name](tf.constant(data)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    if name not in ("gathered", "resized"):  # functions that no file of Keras knows
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded.predict(data, verbose=0), found)


def test_scopes():
    @tf.function
    def step(x):
        with tf.name_scope("outer") as name, tf.control_dependencies([x]):
            assert name == "outer/"
            assert tf.inside_function()
            with tf.init_scope():
                assert tf.executing_eagerly()
            assert not tf.executing_eagerly()
            assert tf.is_symbolic_tensor(x)
            assert tf.get_static_value(x) is None
            tf.group(x)
            return x + 1

    concrete = step.get_concrete_function(tf.constant(1.0))
    assert "outer" in concrete.program.as_text()
    assert tf.executing_eagerly()
    assert not tf.inside_function()


def test_print(capsys):
    tf.print("loss", tf.constant([1.5, 2.0]), tf.Variable(3), 4, sep=", ")
    assert capsys.readouterr().err == "loss, [1.5 2], 3, 4\n"
    stream = io.StringIO()
    tf.print(tf.range(100), output_stream=stream, end="!")
    assert stream.getvalue() == "[0 1 2 ... 97 98 99]!"
    tf.print(tf.range(12), output_stream=sys.stdout, summarize=-1)
    assert capsys.readouterr().out == "[0 1 2 3 4 5 6 7 8 9 10 11]\n"


# What TensorFlow prints.
PRINTED = [
    ([1.5, 2.0, 1 / 3], "[1.5 2 0.333333343]"),
    (np.float64(1 / 3), "0.33333333333333331"),
    ([[1, 2], [3, 4]], "[[1 2]\n [3 4]]"),
    (np.arange(8).reshape(2, 2, 2), "[[[0 1]\n  [2 3]]\n\n [[4 5]\n  [6 7]]]"),
    ([True, False], "[1 0]"),
    ([float("nan"), float("inf"), -0.0, 1e20, 1e-7], "[nan inf -0 1e+20 1e-07]"),
    (np.zeros((0, 2)), "[]"),
    (np.arange(7), "[0 1 2 ... 4 5 6]"),
    (np.arange(6), "[0 1 2 3 4 5]"),
    (np.arange(4), "[0 1 2 3]"),
]


@pytest.mark.parametrize(("values", "text"), PRINTED)
def test_printed_elements(values, text):
    stream = io.StringIO()
    tf.print(tf.constant(values), output_stream=stream, end="")
    assert stream.getvalue() == text


# -------------------------------------------------------------------------------------- Module


class Dense(tf.Module):
    def __init__(self, inputs, outputs, name=None):
        super().__init__(name=name)
        self.w = tf.Variable(tf.ones((inputs, outputs)), name="w")
        self.b = tf.Variable(tf.zeros(outputs), name="b")
        self.steps = tf.Variable(0, trainable=False)

    @tf.Module.with_name_scope
    def __call__(self, x):
        return tf.nn.relu(x @ self.w + self.b)


class Stack(tf.Module):
    def __init__(self):
        super().__init__()
        self.layers = [Dense(3, 2), {"second": Dense(2, 1, name="last")}]
        self.head = keras.layers.Dense(1)
        self.head.build((None, 1))
        self.shared = self.layers[0].w

    def __call__(self, x):
        return self.head(self.layers[1]["second"](self.layers[0](x)))


def test_modules():
    stack = Stack()
    assert stack.name == "stack"
    assert stack.layers[1]["second"].name == "last"
    assert len(stack.variables) == 8
    assert len(stack.trainable_variables) == 6
    assert len(stack.non_trainable_variables) == 2
    assert {type(m) for m in stack.submodules} == {Dense, keras.layers.Dense}
    assert [v.name for v in stack.layers[0].variables] == ["b", "variable", "w"]  # as TensorFlow
    stack.head.trainable = False
    assert len(stack.trainable_variables) == 4
    assert tf.function(stack)(tf.ones((4, 3))).shape == (4, 1)
    with pytest.raises(ValueError, match="valid module name"):
        tf.Module(name="a b")


# -------------------------------------------------------------------------------------- config


def test_devices_and_threads():
    (cpu,) = tf.config.list_physical_devices("CPU")
    assert cpu == ("/physical_device:CPU:0", "CPU")
    assert cpu in tf.config.list_physical_devices()
    assert tf.config.list_logical_devices("CPU")[0].name == "/device:CPU:0"
    assert tf.config.get_visible_devices("TPU") == []
    tf.config.experimental.set_memory_growth(cpu, True)
    tf.config.experimental.enable_op_determinism()
    before = tf.config.config.threads
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        assert (
            tf.config.config.threads == tf.config.threading.get_intra_op_parallelism_threads() == 1
        )
        tf.config.threading.set_intra_op_parallelism_threads(0)
        assert tf.config.config.threads is None
    finally:
        tf.config.config.threads = before
    with pytest.raises(AttributeError):
        tf.config.nothing_of_the_kind  # noqa: B018


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "uint64"])
@pytest.mark.parametrize("recorded", [False, True])
def test_gather_takes_what_there_is(dtype, recorded):
    x = tf.constant(np.arange(12, dtype="float32").reshape(4, 3).T)  # not in row-major order
    with tf.GradientTape() if recorded else contextlib.nullcontext():
        for places in ([0, 2, 2], [[1], [0]], [], 2):
            index = np.array(places, dtype)
            np.testing.assert_array_equal(tf.gather(x, index), x.numpy().take(index.astype(int), 0))
        np.testing.assert_array_equal(tf.gather(x, np.array([3], dtype), axis=-1), x[:, 3:])
        for wrong in (3, 200) if dtype.startswith("u") else (3, 100, -1, -100):
            with pytest.raises(
                ShapeError, match=f"gather: index {wrong} is outside axis 0 of size"
            ):
                tf.gather(x, np.array([1, wrong], dtype))
        with pytest.raises(ShapeError, match="axis 0"):
            tf.gather(tf.constant(1.0), np.array([0], dtype))


def test_positions_outside_are_no_other_elements():
    x = np.arange(12, dtype="float32").reshape(3, 4)
    places = np.array([[0, 4], [2, 3], [1, -5]])
    with pytest.raises(ShapeError, match="gather_nd: index -5 is outside axis 1 of size 4"):
        tf.gather_nd(x, places)
    found = tf.function(tf.gather_nd)(x, places)
    np.testing.assert_array_equal(found, [np.nan, 11, np.nan])
    with pytest.raises(ShapeError, match="scatter_nd"):
        tf.scatter_nd(places, np.ones(3, "float32"), (3, 4))
    found = tf.function(lambda p: tf.scatter_nd(p, np.ones(3, "float32"), (3, 4)))(places)
    np.testing.assert_array_equal(found, np.equal(x, 11))
    found = tf.function(lambda p: tf.tensor_scatter_nd_update(x, p, -np.ones(3, "float32")))(places)
    np.testing.assert_array_equal(found, np.where(x == 11, -1, x))
    batched = tf.function(lambda x, p: tf.gather(x, p, batch_dims=1))
    found = batched(x, np.array([[0], [4], [3]]))
    np.testing.assert_array_equal(found, [[0], [np.nan], [11]])


def test_numbers_of_segments_and_classes_that_there_are_not():
    rows, ids = np.array([1.0, 2.0, 4.0], "float32"), np.array([0, -1, 2])
    np.testing.assert_array_equal(tf.math.unsorted_segment_sum(rows, ids, 3), [1, 0, 4])
    np.testing.assert_array_equal(tf.math.unsorted_segment_sum(rows, ids, 2), [1, 0])
    for labels in ([0, 3], [0, -1]):
        with pytest.raises(ShapeError):
            tf.math.confusion_matrix(labels, [0, 1], num_classes=3)
