"""Summaries, read by TensorBoard."""

import io
import subprocess
import sys
import wave

import numpy as np
import PIL.Image
import pytest
from tensorboard.plugins.histogram.summary_v2 import histogram_pb

import graphc
from graphc.errors import DTypeError, ShapeError, UnsupportedError
from graphc.keras import ops
from graphc.summary.records import bucket_counts
from tests.summary.reading import Run

rng = np.random.default_rng(0)


@pytest.fixture
def writer(tmp_path):
    with graphc.summary.create_file_writer(tmp_path) as writer:
        yield writer


def test_scalars(writer, tmp_path):
    with writer.as_default():
        for step in range(25):  # more than the writer keeps in memory
            assert graphc.summary.scalar("losses/loss", 1 / (1 + step), step=step)
        graphc.summary.scalar("tensor", ops.convert_to_tensor(2.5), step=7, description="*two*")
        graphc.summary.scalar("variable", graphc.Variable([[3]]), step=graphc.Variable(4))
        graphc.summary.scalar("nan", float("nan"), step=0)
    run = Run(tmp_path)
    assert run.tags == ["losses/loss", "tensor", "variable", "nan"]
    assert run.plugin("losses/loss") == "scalars"
    expected = {step: np.float32(1 / (1 + step)) for step in range(25)}
    assert run.numbers("losses/loss") == expected
    assert run.numbers("tensor") == {7: 2.5}
    assert run.numbers("variable") == {4: 3}
    assert np.isnan(run.numbers("nan")[0])
    assert run.accumulator.SummaryMetadata("tensor").summary_description == "*two*"


HISTOGRAMS = {
    "normal": rng.normal(size=(30, 40)),
    "float16": rng.normal(size=50).astype("float16"),
    "integers": np.arange(-5, 6),
    "one value": np.full((3, 3), 2.0),
    "one element": np.array(5.0),
    "nothing": np.zeros((0, 3)),
    "bools": np.array([True, False, True]),
    "far apart": np.array([-1e30, 1e30]),
}


@pytest.mark.parametrize("name", HISTOGRAMS)
@pytest.mark.parametrize("buckets", [None, 1, 7])
def test_histograms(writer, tmp_path, name, buckets):
    data = HISTOGRAMS[name]
    with writer.as_default(step=3):
        graphc.summary.histogram("h", data, buckets=buckets)
    run = Run(tmp_path)
    assert run.plugin("h") == "histograms"
    assert run.steps("h") == [3]
    (found,) = run.values("h")
    theirs = histogram_pb("h", data, buckets).value[0].tensor
    expected = np.frombuffer(theirs.tensor_content, np.float64).reshape(found.shape)
    np.testing.assert_allclose(found[:, :2], expected[:, :2], rtol=1e-12)
    assert found[:, 2].sum() == data.size
    # An element on an edge may be counted on either side of it.
    assert np.abs(np.cumsum(found[:, 2]) - np.cumsum(expected[:, 2])).max() <= 1


def test_histograms_leave_out_what_is_not_finite():
    counts = bucket_counts(np.array([1.0, np.nan, 2.0, np.inf, -np.inf]), 2)
    np.testing.assert_array_equal(counts, [[1, 1.5, 1], [1.5, 2, 1]])
    np.testing.assert_array_equal(bucket_counts(np.array([np.nan]), 2), np.zeros((2, 3)))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["float32", "uint8", "bool"])
def test_images(writer, tmp_path, channels, kind):
    data = rng.random((5, 6, 7, channels))
    data = (data > 0.5) if kind == "bool" else (data * (255 if kind == "uint8" else 1)).astype(kind)
    with writer.as_default():
        graphc.summary.image("pictures", data, step=0, max_outputs=2)
    run = Run(tmp_path)
    assert run.plugin("pictures") == "images"
    width, height, *pictures = run.values("pictures")[0].tolist()
    assert (width, height, len(pictures)) == (b"7", b"6", 2)
    for picture, pixels in zip(pictures, data, strict=False):
        found = np.asarray(PIL.Image.open(io.BytesIO(picture))).reshape(6, 7, channels)
        expected = pixels if kind == "uint8" else pixels * 255.0
        assert np.abs(found - expected.astype(float)).max() <= 0.5 + 1e-4


def test_floats_outside_of_the_range_are_clipped(writer, tmp_path):
    with writer.as_default():
        data = np.array([-1.0, 0.0, 1.0, 2.0, np.nan]).reshape(1, 1, 5, 1)
        graphc.summary.image("i", data, step=0)
    picture = PIL.Image.open(io.BytesIO(Run(tmp_path).values("i")[0][2]))
    assert np.asarray(picture).tolist() == [[0, 0, 255, 255, 0]]


def test_text(writer, tmp_path):
    with writer.as_default(step=0):
        graphc.summary.text("note", "**first** step")
        graphc.summary.text("table", [["a", "b"], ["c", "ä"]])
    run = Run(tmp_path)
    assert run.plugin("note") == "text"
    assert run.values("note")[0].item() == b"**first** step"
    assert run.values("table")[0].tolist() == [[b"a", b"b"], [b"c", "ä".encode()]]


@pytest.mark.parametrize("channels", [1, 2])
def test_audio(writer, tmp_path, channels):
    sounds = np.sin(np.arange(800).reshape(2, 400 // channels, channels) / 10).astype("float32")
    with writer.as_default():
        graphc.summary.audio("tones", sounds, 8000, step=0)
    run = Run(tmp_path)
    assert run.plugin("tones") == "audio"
    (table,) = run.values("tones")
    assert table.shape == (2, 2)
    assert table[:, 1].tolist() == [b"", b""]  # labels
    for encoded, sound in zip(table[:, 0], sounds, strict=True):
        with wave.open(io.BytesIO(encoded)) as file:
            assert (file.getnchannels(), file.getframerate()) == (channels, 8000)
            frames = np.frombuffer(file.readframes(10**6), "<i2").reshape(-1, channels)
        np.testing.assert_allclose(frames / 32767, sound, atol=2e-5)


WRONG = {
    "two numbers": (lambda s: s.scalar("x", [1, 2], step=0), ShapeError, "one number"),
    "no step": (lambda s: s.scalar("x", 1), ValueError, "needs a step"),
    "matrix": (lambda s: s.image("x", np.zeros((3, 3)), step=0), ShapeError, "height, width"),
    "channels": (lambda s: s.image("x", np.zeros((1, 3, 3, 5)), step=0), ShapeError, "channels"),
    "pixels": (
        lambda s: s.image("x", np.zeros((1, 2, 2, 1), "int32"), step=0),
        DTypeError,
        "uint8",
    ),
    "sound": (lambda s: s.audio("x", np.zeros((3, 3)), 8000, step=0), ShapeError, "frames"),
    "mp3": (lambda s: s.audio("x", np.zeros((1, 3, 1)), 1, 0, encoding="mp3"), ValueError, "wav"),
    "no graph": (lambda s: s.graph(3), TypeError, "received int"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors(writer, name):
    call, error, text = WRONG[name]
    with writer.as_default(), pytest.raises(error, match=text):
        call(graphc.summary)


def test_without_a_writer_nothing_happens():
    assert not graphc.summary.should_record_summaries()
    assert not graphc.summary.scalar("x", 1)
    assert not graphc.summary.histogram("x", [1, 2])
    assert not graphc.summary.graph(None)
    with graphc.summary.create_noop_writer().as_default(step=0):
        assert graphc.summary.scalar("x", 1)


def test_conditions_steps_and_nested_writers(tmp_path):
    summary = graphc.summary
    one, two = (summary.create_file_writer(tmp_path / name) for name in ("one", "two"))
    recorded = []
    with one.as_default(), summary.record_if(lambda: step % 2 == 0):
        assert not recorded
        for step in range(4):
            summary.experimental.set_step(step)
            recorded.append(summary.scalar("even", step))
        with two.as_default(step=10):
            step = 0
            summary.scalar("inner", 1)
            assert summary.experimental.get_step() == 10
        assert summary.experimental.get_step() == 3
        with summary.record_if(True):
            summary.scalar("always", 5)
    summary.experimental.set_step(None)
    assert recorded == [True, False, True, False]
    assert Run(tmp_path / "one").numbers("even") == {0: 0, 2: 2}
    assert Run(tmp_path / "one").numbers("always") == {3: 5}
    assert Run(tmp_path / "two").numbers("inner") == {10: 1}
    one.close()
    two.close()
    one.close()
    with pytest.raises(RuntimeError, match="closed"), one.as_default():
        pass


def test_flush_writes_what_is_in_memory(writer, tmp_path):
    with writer.as_default():
        graphc.summary.scalar("x", 1, step=0)
        assert Run(tmp_path).tags == []
        graphc.summary.flush()
        assert Run(tmp_path).tags == ["x"]
        graphc.summary.scalar("y", 1, step=0)
        writer.flush()
        assert Run(tmp_path).tags == ["x", "y"]


def test_a_step_that_is_a_variable_is_read_anew(writer, tmp_path):
    step = graphc.Variable(0)
    with writer.as_default(step=step):
        for _ in range(3):
            graphc.summary.scalar("x", 1)
            step.assign_add(1)
    assert Run(tmp_path).steps("x") == [0, 1, 2]


def test_writers_of_one_folder_do_not_overwrite_each_other(tmp_path):
    for name in "ab":
        with (
            graphc.summary.create_file_writer(tmp_path, filename_suffix=".x") as writer,
            writer.as_default(),
        ):
            graphc.summary.scalar(name, 1, step=0)
    assert len(list(tmp_path.glob("events.out.tfevents.*.x"))) == 2


def test_values_inside_of_a_compiled_function_are_not_known(writer):
    @graphc.function
    def double(x):
        graphc.summary.scalar("x", x, step=0)
        return x * 2

    with writer.as_default(), pytest.raises(UnsupportedError, match="return what you want"):
        double(graphc.constant(1.0))


def test_graph_of_a_function(writer, tmp_path):
    weights = graphc.Variable(np.ones((3, 2), "float32"), name="weights")

    @graphc.function
    def layer(x):
        with graphc.name_scope("hidden"):
            y = x @ weights
        return graphc.cond(graphc.reduce_sum(y) > 0, lambda: y * 2, lambda: y)

    concrete = layer.get_concrete_function(graphc.TensorSpec([None, 3]))
    with writer.as_default():
        assert graphc.summary.graph(concrete)
    nodes = {node.name: node for node in Run(tmp_path).graph().node}
    assert len(nodes) == len(Run(tmp_path).graph().node)  # every name once
    assert nodes["weights"].op == "Variable"
    assert nodes["x"].op == "Placeholder"
    assert [d.size for d in nodes["x"].attr["_output_shapes"].list.shape[0].dim] == [-1, 3]
    product = next(node for name, node in nodes.items() if name.startswith("hidden/"))
    assert {"x", "weights"} <= set(product.input)
    assert b"test_summary.py" in product.attr["location"].s
    assert any(name.startswith("Cond_") for name in nodes)  # its branches are boxes
    for node in nodes.values():
        for name in node.input:
            assert name.split(":")[0] in nodes


def test_a_missing_library_is_named(tmp_path):
    code = (
        "import sys; sys.modules['tensorboard'] = None\n"
        "import graphc\n"
        "try: graphc.summary.create_file_writer(sys.argv[1])\n"
        "except NotImplementedError as error: print(error)"
    )
    folder = tmp_path / "logs"
    result = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert 'pip install "graphc-compiler[tensorboard]"' in result.stdout
    assert not folder.exists()
