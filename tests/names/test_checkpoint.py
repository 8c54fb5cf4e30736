"""`train.Checkpoint` and its manager: what is saved is found again, and bad files are refused."""

import contextlib
import json
import shutil
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest

import graphc as tf
from graphc import keras
from graphc.errors import DTypeError, FileFormatError, NotFoundError, ShapeError

Checkpoint, Manager = tf.train.Checkpoint, tf.train.CheckpointManager


def test_values_come_back(tmp_path):
    step, w = tf.Variable(1), tf.Variable([1.0, 2.0])
    checkpoint = Checkpoint(step=step, w=w)
    path = checkpoint.save(tmp_path / "deep" / "ckpt")
    assert path == str(tmp_path / "deep" / "ckpt-1")
    assert tf.train.latest_checkpoint(tmp_path / "deep") == path
    step.assign_add(5)
    w.assign([0.0, 0.0])
    assert checkpoint.save(tmp_path / "deep" / "ckpt").endswith("ckpt-2")
    checkpoint.restore(path).assert_consumed().assert_nontrivial_match()
    assert (step.numpy(), w.numpy().tolist()) == (1, [1, 2])
    assert checkpoint.save_counter.numpy() == 1
    other = Checkpoint(step=tf.Variable(0), w=tf.Variable([0.0, 0.0]))
    other.restore(path).assert_consumed()
    assert other.w.numpy().tolist() == [1, 2]
    assert other.save_counter.numpy() == 1


def test_writing_does_not_count(tmp_path):
    v = tf.Variable(3.0)
    path = Checkpoint(v=v).write(tmp_path / "weights")
    assert path == str(tmp_path / "weights")
    assert [file.name for file in tmp_path.iterdir()] == ["weights.h5"]
    v.assign(0.0)
    Checkpoint(v=v).read(path).assert_consumed()
    Checkpoint(v=v).restore(path + ".h5").assert_consumed()
    assert v.numpy() == 3


@pytest.mark.parametrize(
    "value",
    [
        np.float64(0.1),
        np.zeros((0, 3), "float32"),
        np.array([[1 + 2j, -0.5j]], "complex64"),
        np.array(3 - 1j, "complex128"),
        np.array([1.5, np.nan, np.inf], ml_dtypes.bfloat16),
        np.array([1.5, -0.0], "float16"),
        np.array([True, False]),
        np.array([2**63 + 1, 5], "uint64"),
        np.array([-128, 127], "int8"),
        np.ones((1, 1, 1, 2), "float32"),
    ],
    ids=lambda value: f"{value.dtype}{value.shape}",
)
def test_every_kind_of_value(value, tmp_path):
    v = tf.Variable(value)
    path = Checkpoint(v=v).write(tmp_path / "v")
    v.assign(np.zeros_like(value))
    Checkpoint(v=v).read(path).assert_consumed()
    assert v.numpy().dtype == value.dtype
    assert v.numpy().tobytes() == value.tobytes()


def variables(*values):
    return [tf.Variable(float(value)) for value in values]


def test_lists_dicts_and_shared_objects(tmp_path):
    def make(start):
        a, b, c = variables(start, start + 1, start + 2)
        return Checkpoint(pair=[a, {"x/y": b, "..": c}], again=a, plain=[1, "text"]), (a, b, c)

    first, _ = make(1)
    path = first.write(tmp_path / "c")
    second, found = make(10)
    second.read(path).assert_consumed()
    assert [v.numpy() for v in found] == [1, 2, 3]
    only = tf.Variable(0.0)
    Checkpoint(pair={"0": only}).read(path)  # names count, not classes
    assert only.numpy() == 1


def test_an_object_that_holds_itself(tmp_path):
    (v,) = variables(7)
    checkpoint = Checkpoint(v=v)
    checkpoint.itself = checkpoint
    path = checkpoint.write(tmp_path / "c")
    v.assign(0.0)
    checkpoint.read(path).assert_consumed()
    assert v.numpy() == 7


class Line(tf.Module):
    """Makes its variables when it is called."""

    def __call__(self, x):
        if not hasattr(self, "w"):
            self.w = tf.Variable(tf.zeros((x.shape[-1], 1)))
            self.rest = [tf.Variable(tf.zeros(1))]
        return x @ self.w + self.rest[0]


def test_modules_that_make_their_variables_later(tmp_path):
    trained, fresh = Line(), Line()
    x = tf.ones((1, 2))
    trained(x)
    trained.w.assign([[2.0], [3.0]])
    trained.rest[0].assign([0.5])
    path = Checkpoint(trained).write(tmp_path / "line")  # the root's attributes are its own
    assert tf.train.list_variables(path) == [("rest/0", [1]), ("w", [2, 1])]
    status = Checkpoint(fresh).read(path)
    with pytest.raises(AssertionError, match='nothing was found for "w", "rest/0"'):
        status.assert_consumed()
    assert fresh(x).item() == 5.5
    status.assert_consumed()
    assert [v.shape for v in fresh.variables] == [(1,), (2, 1)]


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.l1 = keras.layers.Dense(5, activation="relu")
        self.block = [keras.layers.BatchNormalization(), keras.layers.Dropout(0.2, seed=1)]
        self.head = keras.layers.Dense(1)

    def call(self, x, training=None):
        x = self.block[0](self.l1(x), training=training)
        return self.head(self.block[1](x, training=training))


def sequential():
    return keras.Sequential(
        [keras.layers.Dense(4), keras.layers.LayerNormalization(), keras.layers.Dense(1)]
    )


def functional():
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(3)
    return keras.Model(inputs, keras.layers.Dense(1)(shared(shared(inputs))))


X = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


def stepper(net, optimizer):
    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(net(x, training=True) - y))
        weights = net.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    return lambda: float(step(tf.constant(X), tf.constant(Y)))


@pytest.mark.parametrize("make", [Net, sequential, functional])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_training_goes_on_with_the_same_bits(make, optimizer, tmp_path):
    def start():
        net, own = make(), keras.optimizers.get(optimizer)
        return net, own, Checkpoint(step=tf.Variable(0), optimizer=own, net=net)

    net, own, checkpoint = start()
    step = stepper(net, own)
    for _ in range(3):
        step()
        checkpoint.step.assign_add(1)
    path = checkpoint.save(tmp_path / "ckpt")
    expected = [step() for _ in range(3)]

    fresh, again, other = start()  # nothing is built yet
    status = other.restore(path)
    assert (other.step.numpy(), again.iterations.numpy()) == (3, 3)
    following = stepper(fresh, again)
    assert [following() for _ in range(3)] == expected
    status.assert_consumed()
    for layer in [fresh, again, *fresh.layers]:
        assert "build" not in vars(layer)
    # And into what is built already.
    other.restore(path).assert_consumed()
    assert [following() for _ in range(3)] == expected


def test_the_root_may_be_built_later(tmp_path):
    net, fresh = Net(), Net()
    expected = net(X).numpy()
    path = Checkpoint(net).write(tmp_path / "net")
    status = Checkpoint(fresh).read(path)
    np.testing.assert_array_equal(fresh(X).numpy(), expected)
    status.assert_consumed()


def test_a_compiled_model_is_saved_with_its_optimizer(tmp_path):
    def compiled():
        model = functional()
        model.compile("adam", "mse")
        return model

    model = compiled()
    model.fit(X, Y, epochs=2, verbose=0, shuffle=False)
    path = Checkpoint(model=model).save(tmp_path / "ckpt")
    expected = model.fit(X, Y, epochs=2, verbose=0, shuffle=False).history["loss"]
    fresh = compiled()
    status = Checkpoint(model=fresh).restore(path)
    assert fresh.fit(X, Y, epochs=2, verbose=0, shuffle=False).history["loss"] == expected
    status.assert_consumed()
    name = "model/layers/1/kernel"
    assert tf.train.load_variable(tmp_path, name).shape == (3, 3)
    with pytest.raises(NotFoundError, match='no variable "nothing"; it has model/'):
        tf.train.load_variable(path, "nothing")


def test_parts_of_a_model_by_their_names(tmp_path):
    net = Net()
    net(X)
    path = Checkpoint(net=net).save(tmp_path / "ckpt")
    bias, kernel = tf.Variable(tf.ones(5)), tf.Variable(tf.zeros((3, 5)))
    part = Checkpoint(net=Checkpoint(l1=Checkpoint(bias=bias)))
    status = part.restore(path).expect_partial()
    np.testing.assert_array_equal(bias.numpy(), net.l1.bias.numpy())
    with pytest.raises(AssertionError, match="and .* more, which it holds"):
        status.assert_consumed()
    status.assert_existing_objects_matched()
    part.net.l1.kernel = kernel  # restored when it is set
    np.testing.assert_array_equal(kernel.numpy(), net.l1.kernel.numpy())


def test_metrics_and_random_generators(tmp_path):
    mean, generator = keras.metrics.Mean(), tf.random.Generator.from_seed(3)
    seeds = keras.random.SeedGenerator(5)
    mean.update_state([1.0, 5.0])
    generator.normal((2,))
    checkpoint = Checkpoint(mean=mean, generator=generator, seeds=seeds)
    path = checkpoint.write(tmp_path / "c")
    expected = generator.normal((3,)).numpy(), keras.random.normal((3,), seed=seeds).numpy()
    mean.update_state(100.0)
    checkpoint.read(path).assert_consumed()
    assert mean.result().item() == 3
    np.testing.assert_array_equal(generator.normal((3,)).numpy(), expected[0])
    np.testing.assert_array_equal(keras.random.normal((3,), seed=seeds).numpy(), expected[1])


def test_restoring_nothing(tmp_path):
    assert tf.train.latest_checkpoint(tmp_path) is None
    checkpoint = Checkpoint(v=tf.Variable(1.0))
    status = checkpoint.restore(tf.train.latest_checkpoint(tmp_path))
    status.expect_partial()
    with pytest.raises(AssertionError, match="nothing of it was restored"):
        status.assert_nontrivial_match()


# ---------------------------------------------------------------------------------------- mistakes


def test_what_does_not_fit_changes_nothing(tmp_path):
    path = Checkpoint(a=tf.Variable(1.0), b=tf.Variable([1.0, 2.0])).write(tmp_path / "c")
    a, b = tf.Variable(0.0), tf.Variable([0.0, 0.0, 0.0])
    with pytest.raises(ShapeError, match=r'c": "b" has shape \(2,\), the variable \(3,\)'):
        Checkpoint(a=a, b=b).read(path)
    with pytest.raises(DTypeError, match='"b" has dtype float32, the variable float64'):
        Checkpoint(a=a, b=tf.Variable([0.0, 0.0], dtype="float64")).read(path)
    assert a.numpy() == 0


def test_a_variable_that_the_file_lacks(tmp_path):
    path = Checkpoint(a=tf.Variable(1.0)).save(tmp_path / "c")
    status = Checkpoint(a=tf.Variable(0.0), b=tf.Variable(0.0, name="more")).restore(path)
    with pytest.raises(AssertionError, match='holds nothing for "more"'):
        status.assert_consumed()
    status.assert_nontrivial_match()


def test_objects_without_variables():
    with pytest.raises(ValueError, match="`rate` holds no variables. Received: 0.1 of type float"):
        Checkpoint(rate=0.1)
    with pytest.raises(ValueError, match="`root` holds no variables"):
        Checkpoint(keras.layers.Dense)


def test_a_missing_file(tmp_path):
    with pytest.raises(NotFoundError, match='there is no checkpoint ".*ckpt-7"'):
        Checkpoint(v=tf.Variable(1.0)).restore(tmp_path / "ckpt-7")
    with pytest.raises(tf.errors.NotFoundError):
        tf.train.list_variables(tmp_path)
    with pytest.raises(FileNotFoundError):
        Checkpoint(v=tf.Variable(1.0)).write(tmp_path / "nowhere" / "c")


def good_file(tmp_path):
    checkpoint = Checkpoint(v=tf.Variable(np.arange(6.0)), list=variables(1, 2))
    checkpoint.write(tmp_path / "good")
    return tmp_path / "good.h5"


def refuse(path):
    v = tf.Variable(np.full(6, 9.0))
    with pytest.raises(FileFormatError, match=f"{path.name}.*checkpoint"):
        Checkpoint(v=v).read(path)
    np.testing.assert_array_equal(v.numpy(), np.full(6, 9.0))


def test_a_file_that_ends_early(tmp_path):
    good = good_file(tmp_path).read_bytes()
    bad = tmp_path / "bad.h5"
    for size in [1, 8, 100, len(good) // 2, len(good) - 1]:
        bad.write_bytes(good[:size])
        refuse(bad)


@pytest.mark.parametrize("content", [b"hello", b"\x89HDF\r\n\x1a\n" + b"\0" * 200])
def test_a_file_of_another_kind(content, tmp_path):
    (tmp_path / "bad.h5").write_bytes(content)
    refuse(tmp_path / "bad.h5")


def test_damaged_bytes_end_in_one_error(tmp_path):
    good = good_file(tmp_path).read_bytes()
    rng = np.random.default_rng(0)
    bad = tmp_path / "bad.h5"
    for _ in range(150):
        content = bytearray(good)
        for place in rng.integers(0, len(good), 4):
            content[place] = rng.integers(256)
        bad.write_bytes(content)
        with contextlib.suppress(FileFormatError, ShapeError, DTypeError):
            Checkpoint(v=tf.Variable(np.arange(6.0))).read(bad)


OBJECTS = [
    b"not json",
    b"[1, 2]",
    b'{"version": 1}',
    b'{"version": 1, "objects": []}',
    b'{"version": 1, "objects": [{"v": 5}]}',
    b'{"version": 1, "objects": [{"v": -1}]}',
    b'{"version": 1, "objects": [{"v": true}]}',
    b'{"version": 1, "objects": ["v"]}',
    b'{"version": 2, "objects": [{}]}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("objects", OBJECTS, ids=lambda text: text[:40].decode())
def test_objects_that_make_no_sense(objects, tmp_path):
    path = good_file(tmp_path)
    with h5py.File(path, "r+") as file:
        del file["objects"]
        file["objects"] = np.frombuffer(objects, np.uint8)
    refuse(path)


def test_parts_that_lie_elsewhere(tmp_path):
    path = good_file(tmp_path)
    with h5py.File(path, "r+") as file:
        del file["values"]["1"]
        file["values"]["1"] = h5py.ExternalLink("other.h5", "x")
    refuse(path)
    with h5py.File(path, "r+") as file:
        del file["values"]
    refuse(path)


# ----------------------------------------------------------------------------------------- manager


def names(paths):
    return [Path(path).name for path in paths]


def test_old_checkpoints_are_deleted(tmp_path):
    v = tf.Variable(0.0)
    manager = Manager(Checkpoint(v=v), tmp_path, max_to_keep=2)
    assert (manager.latest_checkpoint, manager.checkpoints) == (None, [])
    assert manager.restore_or_initialize() is None
    for value in range(4):
        v.assign(float(value))
        assert names([manager.save()]) == [f"ckpt-{value + 1}"]
    assert names(manager.checkpoints) == ["ckpt-3", "ckpt-4"]
    files = {file.name for file in tmp_path.iterdir()}
    assert files == {"checkpoint", "ckpt-3.h5", "ckpt-4.h5"}
    assert manager.directory == str(tmp_path)
    # Another process goes on.
    other = Manager(Checkpoint(v=v), tmp_path, max_to_keep=2)
    assert other.checkpoints == manager.checkpoints
    v.assign(9.0)
    assert names([other.restore_or_initialize()]) == ["ckpt-4"]
    assert v.numpy() == 3
    assert names([other.save()]) == ["ckpt-5"]
    assert names(other.checkpoints) == ["ckpt-4", "ckpt-5"]


def test_all_are_kept_and_may_be_numbered(tmp_path):
    checkpoint = Checkpoint(v=tf.Variable(0.0))
    manager = Manager(checkpoint, tmp_path, max_to_keep=None, checkpoint_name="model")
    for number in (10, 20, tf.Variable(30), 10):
        manager.save(checkpoint_number=number)
    assert names(manager.checkpoints) == ["model-20", "model-30", "model-10"]
    assert manager.checkpoint is checkpoint


def test_an_interval_of_steps(tmp_path):
    step = tf.Variable(0)
    manager = Manager(Checkpoint(step=step), tmp_path, 9, step_counter=step, checkpoint_interval=3)
    saved = []
    for _ in range(8):
        saved.append(manager.save() is not None)
        step.assign_add(1)
    assert saved == [True, False, False, True, False, False, True, False]
    assert manager.save(check_interval=False) is not None
    assert manager.checkpoint_interval == 3
    step.assign(0)
    manager.restore_or_initialize()
    assert manager.save() is None


def test_some_are_kept_for_good(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("graphc.names.checkpoint_manager.time.time", lambda: now[0])
    manager = Manager(Checkpoint(v=tf.Variable(0.0)), tmp_path, 1, keep_checkpoint_every_n_hours=2)
    for _ in range(7):
        now[0] += 3600
        manager.save()
    assert names(manager.checkpoints) == ["ckpt-7"]
    files = sorted(file.stem for file in tmp_path.glob("*.h5"))
    assert files == ["ckpt-2", "ckpt-4", "ckpt-6", "ckpt-7"]


def test_without_a_checkpoint_something_else_is_done(tmp_path):
    done = []
    manager = Manager(
        Checkpoint(v=tf.Variable(0.0)), tmp_path, 1, init_fn=lambda: done.append(True)
    )
    assert manager.restore_or_initialize() is None
    assert done == [True]


def test_a_folder_that_was_moved(tmp_path):
    v = tf.Variable(4.0)
    Manager(Checkpoint(v=v), tmp_path / "a", 3).save()
    shutil.move(tmp_path / "a", tmp_path / "b")
    latest = tf.train.latest_checkpoint(tmp_path / "b")
    assert latest == str(tmp_path / "b" / "ckpt-1")
    v.assign(0.0)
    Checkpoint(v=v).restore(latest).assert_consumed()
    assert v.numpy() == 4
    (tmp_path / "b" / "ckpt-1.h5").unlink()
    assert tf.train.latest_checkpoint(tmp_path / "b") is None
    assert Manager(Checkpoint(v=v), tmp_path / "b", 3).checkpoints == []


@pytest.mark.parametrize(
    "content",
    [
        'model_checkpoint_path: "ckpt-1"\n',
        "[]",
        '{"paths": 3}',
        '{"paths": [1]}',
        '{"paths": [], "times": ["x"]}',
        '{"paths": [], "preserved": []}',
        "",
    ],
)
def test_a_list_of_checkpoints_that_is_none(content, tmp_path):
    (tmp_path / "checkpoint").write_text(content)
    with pytest.raises(FileFormatError, match="checkpoint"):
        tf.train.latest_checkpoint(tmp_path)
    with pytest.raises(FileFormatError, match="checkpoint"):
        Manager(Checkpoint(v=tf.Variable(0.0)), tmp_path, 1)


def test_the_list_is_json(tmp_path):
    Checkpoint(v=tf.Variable(0.0)).save(tmp_path / "c")
    assert json.loads((tmp_path / "checkpoint").read_text())["paths"] == ["c-1"]
    (tmp_path / "other").write_text('{"paths": ["c-1"]}')
    assert tf.train.latest_checkpoint(tmp_path, "other") == str(tmp_path / "c-1")


def test_arguments_of_the_manager(tmp_path):
    checkpoint = Checkpoint(v=tf.Variable(0.0))
    with pytest.raises(ValueError, match="positive number or None. Received: 0"):
        Manager(checkpoint, tmp_path, 0)
    with pytest.raises(ValueError, match="needs a `step_counter`"):
        Manager(checkpoint, tmp_path, 1, checkpoint_interval=2)
