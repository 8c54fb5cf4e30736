"""The TensorBoard callback: what TensorBoard finds, and the same tags as real Keras writes."""

import json
import sys
import time
import types
import urllib.parse
import urllib.request

import keras as real_keras
import numpy as np
import pytest
import tensorboard.default
import tensorboard.program

import graphc
from graphc import keras
from graphc.keras.callbacks import TensorBoard
from tests.summary.reading import Run

rng = np.random.default_rng(3)
X = rng.normal(size=(40, 8, 8, 1)).astype("float32")
Y = rng.integers(0, 3, 40)


def small_model(library):
    model = library.Sequential(
        [
            library.Input((8, 8, 1)),
            library.layers.Conv2D(2, 3, activation="relu", name="features"),
            library.layers.BatchNormalization(name="norm"),
            library.layers.Flatten(name="flat"),
            library.layers.Dense(3, activation="softmax", name="classes"),
        ],
        name="small",
    )
    optimizer = library.optimizers.Adam(0.01)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(model, callbacks, **arguments):
    options = {"epochs": 2, "batch_size": 8, "validation_split": 0.2, "verbose": 0, **arguments}
    return model.fit(X, Y, callbacks=callbacks, **options)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run with everything switched on, and its history."""
    folder = tmp_path_factory.mktemp("logs")
    board = TensorBoard(
        folder, histogram_freq=1, write_images=True, write_steps_per_second=True, update_freq=2
    )
    model = small_model(keras)
    history = fit(model, [board]).history
    with graphc.summary.create_file_writer(folder / "train") as writer, writer.as_default(step=1):
        graphc.summary.text("notes", "a **good** run")
        graphc.summary.audio("tones", np.zeros((2, 80, 1), "float32"), 8000)
    return folder, model, history


def test_epochs(recorded):
    folder, _, history = recorded
    train, validation = Run(folder / "train"), Run(folder / "validation")
    for name in ("loss", "accuracy"):
        for run, key in ((train, name), (validation, f"val_{name}")):
            expected = dict(enumerate(np.float32(history[key])))
            assert run.numbers(f"epoch_{name}") == expected
            assert run.plugin(f"epoch_{name}") == "scalars"
        found = validation.numbers(f"evaluation_{name}_vs_iterations")
        assert found == dict(zip((4, 8), np.float32(history[f"val_{name}"]), strict=True))
    assert train.numbers("epoch_learning_rate") == {0: np.float32(0.01), 1: np.float32(0.01)}
    assert all(rate > 0 for rate in train.numbers("epoch_steps_per_second").values())


def test_batches(recorded):
    folder, _, history = recorded
    train = Run(folder / "train")
    assert train.steps("batch_loss") == [2, 4, 6, 8]
    # The running mean after the last batch of an epoch is the epoch's result.
    assert train.numbers("batch_loss")[4] == np.float32(history["loss"][0])
    assert train.steps("batch_steps_per_second") == [2, 4, 6, 8]


def test_weights(recorded):
    folder, model, _ = recorded
    train = Run(folder / "train")
    for weight in model.weights:
        tag = f"{weight.path}/histogram"
        assert train.plugin(tag) == "histograms"
        assert train.steps(tag) == [0, 1]
        last = train.values(tag)[-1]
        assert last[:, 2].sum() == weight.numpy().size
        assert (last[0, 0], last[-1, 1]) == (weight.numpy().min(), weight.numpy().max())
        assert train.plugin(f"{weight.path}/image") == "images"


def test_gradients_are_those_of_the_first_batch(tmp_path):
    model = small_model(keras)
    weights = model.get_weights()
    model.optimizer.learning_rate = 0.0  # so that they can be computed afterwards
    fit(model, [TensorBoard(tmp_path, histogram_freq=1)], epochs=1, shuffle=False)
    model.set_weights(weights)
    with graphc.GradientTape() as tape:
        predictions = model(X[:8], training=True)
        loss = keras.losses.SparseCategoricalCrossentropy()(Y[:8], predictions)
    run = Run(tmp_path / "train")
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        (found,) = run.values(f"{variable.path}/gradient/histogram")
        expected = gradient.numpy()
        assert found[:, 2].sum() == expected.size
        limits = [expected.min(), expected.max()]
        np.testing.assert_allclose([found[0, 0], found[-1, 1]], limits, rtol=1e-3, atol=1e-6)


def test_looking_at_gradients_changes_nothing(tmp_path):
    def trained(callbacks):
        keras.utils.set_random_seed(1)
        keras.backend.clear_session()
        model = small_model(keras)
        model.add(keras.layers.Dropout(0.2, seed=1))
        history = fit(model, callbacks).history
        return [history["loss"], *[w.tolist() for w in model.get_weights()]]

    assert trained([TensorBoard(tmp_path, histogram_freq=1)]) == trained([])


def test_gradients_of_a_users_own_step(tmp_path):
    class Model(keras.Sequential):
        def train_step(self, data):
            x, y = data
            with graphc.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True))
            gradients = tape.gradient(loss, self.trainable_variables)
            doubled = [2 * gradient for gradient in gradients]
            self.optimizer.apply_gradients(zip(doubled, self.trainable_variables, strict=True))
            return {"loss": loss}

    model = Model([keras.Input((3,)), keras.layers.Dense(1, use_bias=False, name="line")], name="m")
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x = np.array([[1.0, 2.0, 3.0]], "float32")
    y = model.predict(x, verbose=0) - 1  # an error of 1
    model.fit(x, y, verbose=0, callbacks=[TensorBoard(tmp_path, histogram_freq=1)])
    (found,) = Run(tmp_path / "train").values("m/line/kernel/gradient/histogram")
    np.testing.assert_allclose([found[0, 0], found[-1, 1]], [4, 12], rtol=1e-5)


def test_graph(recorded):
    folder, _, _ = recorded
    nodes = {node.name: node for node in Run(folder / "train").graph().node}
    boxes = {name.rpartition("/")[0] for name in nodes}
    assert {"small/features", "small/norm", "small/classes", "loss", "gradients", "adam"} <= boxes
    assert nodes["small/classes/kernel"].op == "Variable"
    assert nodes["x"].op == "Placeholder"
    sizes = [d.size for d in nodes["x"].attr["_output_shapes"].list.shape[0].dim]
    assert sizes == [-1, 8, 8, 1]
    for node in nodes.values():
        assert {name.split(":")[0] for name in node.input} <= set(nodes)


@pytest.fixture(scope="module")
def server(recorded):
    """TensorBoard itself, over the recorded run."""
    board = tensorboard.program.TensorBoard(plugins=tensorboard.default.get_plugins())
    folder = str(recorded[0])
    board.configure(
        argv=[
            "tensorboard",
            "--logdir",
            folder,
            "--load_fast=false",
            "--host=localhost",
            "--port=0",
        ]
    )
    url = board.launch()

    def get(path, **query):
        with urllib.request.urlopen(f"{url}data/{path}?{urllib.parse.urlencode(query)}") as answer:
            return answer.read()

    while b"tones" not in get("plugin/audio/tags"):  # it reads the folder in a thread of its own
        time.sleep(0.05)
    return get


def test_what_tensorboard_serves(server):
    scalars = json.loads(server("plugin/scalars/scalars", run="train", tag="epoch_loss"))
    assert [step for _, step, _ in scalars] == [0, 1]
    histograms = json.loads(server("plugin/histograms/tags"))["train"]
    assert {"small/classes/kernel/histogram", "small/classes/kernel/gradient/histogram"} <= set(
        histograms
    )
    assert (
        "small/classes/kernel/histogram" in json.loads(server("plugin/distributions/tags"))["train"]
    )
    assert "small/features/kernel/image" in json.loads(server("plugin/images/tags"))["train"]
    images = server(
        "plugin/images/images", run="train", tag="small/features/kernel/image", sample=0
    )
    assert [image["step"] for image in json.loads(images)] == [0, 1]
    assert (
        "a <strong>good</strong> run"
        in json.loads(server("plugin/text/text", run="train", tag="notes"))[0]["text"]
    )
    (sound,) = json.loads(server("plugin/audio/audio", run="train", tag="tones", sample=1))
    assert sound["contentType"] == "audio/wav"
    info = json.loads(server("plugin/graphs/info"))["train"]
    assert info["run_graph"]
    assert info["tags"]["keras"]["conceptual_graph"]
    assert b'"small/classes"' in server(
        "plugin/graphs/graph", run="train", tag="keras", conceptual="true"
    )


def tags_of(folder):
    return {f"{run}: {tag}" for run in ("train", "validation") for tag in Run(folder / run).tags}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"update_freq": "batch"},
        {"update_freq": 2, "write_steps_per_second": True},
        {"histogram_freq": 2, "write_images": True},
    ],
    ids=str,
)
def test_same_tags_and_steps_as_keras(tmp_path, monkeypatch, options):
    # Keras's callback asks TensorFlow's summaries; here they are ours, so only they are compared.
    monkeypatch.setitem(sys.modules, "tensorflow", types.ModuleType("tensorflow"))
    monkeypatch.setattr(sys.modules["tensorflow"], "summary", graphc.summary, raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow.summary", graphc.summary)
    theirs = real_keras.callbacks.TensorBoard(tmp_path / "keras", write_graph=False, **options)
    fit(small_model(real_keras), [theirs])
    ours = TensorBoard(tmp_path / "graphc", write_graph=False, **options)
    fit(small_model(keras), [ours])
    found = {tag for tag in tags_of(tmp_path / "graphc") if "/gradient/" not in tag}
    assert found == tags_of(tmp_path / "keras")
    for run in ("train", "validation"):
        our_run, their_run = (Run(tmp_path / side / run) for side in ("graphc", "keras"))
        for tag in their_run.tags:
            steps = our_run.steps(tag)
            if options.get("update_freq") == 2:
                # Keras also leaves out results of epochs that end between recorded batches.
                assert set(their_run.steps(tag)) <= set(steps), tag
            else:
                assert steps == their_run.steps(tag), tag


def test_summaries_of_other_callbacks_go_to_the_run(tmp_path):
    class Own(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            graphc.summary.scalar("own", batch)

    fit(small_model(keras), [TensorBoard(tmp_path, update_freq=2), Own()], epochs=1)
    assert Run(tmp_path / "train").numbers("own") == {2: 1, 4: 3}
    assert not graphc.summary.should_record_summaries()


def test_evaluate_and_fit_again(tmp_path):
    model = small_model(keras)
    board = TensorBoard(tmp_path, update_freq=1)
    model.evaluate(X, Y, verbose=0, callbacks=[board])
    assert Run(tmp_path / "validation").steps("evaluation_loss_vs_iterations") == [0]
    for _ in range(2):
        fit(model, [board], epochs=1)
    assert len(list((tmp_path / "train").iterdir())) == 2
    assert not graphc.summary.should_record_summaries()


def test_subclassed_models_and_other_sources_of_batches(tmp_path):
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.line = keras.layers.Dense(1)

        def call(self, x):
            return self.line(x)

    def batches():
        for _ in range(3):
            yield np.ones((2, 3), "float32"), np.ones((2, 1), "float32")

    model = Model()
    model.compile("sgd", "mse")
    model.fit(batches(), verbose=0, callbacks=[TensorBoard(tmp_path, histogram_freq=1)])
    run = Run(tmp_path / "train")
    assert len(run.graph().node) > 10
    assert len([tag for tag in run.tags if tag.endswith("/gradient/histogram")]) == 2


def test_only_epochs_need_no_hook_of_batches(tmp_path):
    callbacks = keras.callbacks.CallbackList([TensorBoard(tmp_path)])
    assert not callbacks.needs_train_batches
    assert not callbacks.needs_test_batches
    callbacks = keras.callbacks.CallbackList([TensorBoard(tmp_path, update_freq="batch")])
    assert callbacks.needs_train_batches


def test_embeddings(tmp_path):
    model = keras.Sequential([keras.layers.Embedding(5, 2, name="words"), keras.layers.Flatten()])
    model.compile("sgd", "mse")
    x = np.zeros((4, 3), "int32")
    board = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"words": "words.tsv"})
    model.fit(x, np.zeros((4, 6)), verbose=0, callbacks=[board])
    assert 'metadata_path: "words.tsv"' in (tmp_path / "projector_config.pbtxt").read_text()
    assert (tmp_path / "train" / "keras_embedding.ckpt-0.weights.h5").exists()
    board = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"letters": "a.tsv"})
    with pytest.raises(ValueError, match="letters"):
        model.fit(x, np.zeros((4, 6)), verbose=0, callbacks=[board])


@pytest.mark.parametrize("value", [0.5, 0, -1, "often"])
def test_bad_update_freq(value):
    with pytest.raises(ValueError, match="update_freq"):
        TensorBoard(update_freq=value)


@pytest.mark.parametrize("value", [-1, (3, 2), (1, 2, 3), "2,1"])
def test_bad_profile_batch(value):
    with pytest.raises(ValueError, match="profile_batch"):
        TensorBoard(profile_batch=value)


@pytest.mark.parametrize("value", [1, (2, 3), "2,3"])
def test_profiles_are_not_written(value):
    with pytest.warns(UserWarning, match="graphc bench"):
        TensorBoard(profile_batch=value)
