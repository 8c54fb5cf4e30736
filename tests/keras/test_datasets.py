"""Data sets: the same addresses and the same arrays as Keras, and nothing run from a file."""

import gzip
import importlib
import inspect
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from graphc.errors import FileFormatError
from graphc.keras import datasets
from graphc.keras.datasets import fashion_mnist
from graphc.keras.datasets.restricted_pickle import read_npz, read_pickle
from graphc.keras.datasets.source import read_arrays


class Asked(Exception):
    """Raised in place of a download."""


def oracle(real_keras, name):
    return importlib.import_module(f"keras.src.datasets.{name}")


def without_network(monkeypatch, module, answer):
    """Replace a module's ``get_file``; the answer gets its arguments by name."""
    signature = inspect.signature(importlib.import_module("graphc.keras.utils").get_file)

    def get_file(*arguments, **keywords):
        bound = signature.bind(*arguments, **keywords)
        bound.apply_defaults()
        return answer(bound.arguments)

    monkeypatch.setattr(module, "get_file", get_file)


def request(monkeypatch, module, function="load_data"):
    """What a module asks of ``get_file`` first."""

    def answer(arguments):
        raise Asked(dict(arguments))

    without_network(monkeypatch, module, answer)
    with pytest.raises(Asked) as caught:
        getattr(module, function)()
    return caught.value.args[0]


def same_splits(received, expected):
    for own, theirs in zip(received, expected, strict=True):
        for a, b in zip(own, theirs, strict=True):
            if b.dtype == object:
                assert [list(row) for row in a] == [list(row) for row in b]
            else:
                np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
            assert a.shape == b.shape


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("mnist", "load_data"),
        ("california_housing", "load_data"),
        ("cifar10", "load_data"),
        ("imdb", "load_data"),
        ("imdb", "get_word_index"),
    ],
)
def test_addresses_names_and_hashes_are_those_of_keras(name, function, real_keras, monkeypatch):
    expected = request(monkeypatch, oracle(real_keras, name), function)
    assert request(monkeypatch, getattr(datasets, name), function) == expected


@pytest.mark.parametrize("name", ["mnist", "california_housing", "cifar10", "fashion_mnist"])
def test_signatures_are_those_of_keras(name, real_keras):
    def parameters(function):
        return {p.name: p.default for p in inspect.signature(function).parameters.values()}

    expected = parameters(oracle(real_keras, name).load_data)
    assert parameters(getattr(datasets, name).load_data) == expected


def test_imdb_signature_is_that_of_keras(real_keras):
    def parameters(function):
        return {p.name: p.default for p in inspect.signature(function).parameters.values()}

    expected = parameters(oracle(real_keras, "imdb").load_data)
    expected.pop("kwargs")  # swallows misspelt arguments
    assert parameters(datasets.imdb.load_data) == expected


def test_fashion_mnist_addresses(real_keras, monkeypatch, tmp_path):
    """Every file is asked for under the same address, in whatever order."""
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "absent")
    asked = {}
    for module in (oracle(real_keras, "fashion_mnist"), fashion_mnist):
        folder = tmp_path / module.__name__
        folder.mkdir()
        asked[module] = set()

        def answer(arguments, folder=folder, asked=asked[module]):
            asked.add((arguments["fname"], arguments["origin"], arguments["cache_subdir"]))
            return str(write_idx(folder, arguments["fname"]))

        without_network(monkeypatch, module, answer)
        module.load_data()
    expected, received = asked.values()
    assert received == expected
    assert len(received) == 4


# Arrays


def test_data_sets_are_loaded_when_used_and_other_names_are_missing():
    code = """
import sys
from graphc import keras
print("graphc.keras.datasets" in sys.modules, "datasets" in dir(keras))
print(keras.datasets.digits.__name__)
keras.Sequental
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["False True", "graphc.keras.datasets.digits"]
    assert "'graphc.keras' has no attribute 'Sequental'. Did you mean: 'Sequential'?" in done.stderr


def test_digits_are_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.datasets")
    (x_train, y_train), (x_test, y_test) = datasets.digits.load_data()
    theirs = sklearn.load_digits()
    np.testing.assert_array_equal(np.concatenate([x_train, x_test]), theirs.images)
    np.testing.assert_array_equal(np.concatenate([y_train, y_test]), theirs.target)


def test_digits():
    (x_train, y_train), (x_test, y_test) = datasets.digits.load_data()
    assert (x_train.shape, y_train.shape) == ((1437, 8, 8), (1437,))
    assert (x_test.shape, y_test.shape) == ((360, 8, 8), (360,))
    assert {a.dtype.name for a in (x_train, y_train, x_test, y_test)} == {"uint8"}
    assert (x_train.min(), x_train.max()) == (0, 16)
    assert set(y_train) == set(y_test) == set(range(10))
    x_train[:] = 0  # a copy of one's own
    assert datasets.digits.load_data()[0][0].max() == 16


def numbers(*shape, dtype="uint8"):
    return np.random.RandomState(len(shape)).randint(0, 200, shape).astype(dtype)


def test_mnist(real_keras, monkeypatch, tmp_path):
    path = tmp_path / "mnist.npz"
    arrays = {
        "x_train": numbers(6, 28, 28),
        "y_train": numbers(6),
        "x_test": numbers(2, 28, 28),
        "y_test": numbers(2),
    }
    np.savez(path, **arrays)
    results = []
    for module in (oracle(real_keras, "mnist"), datasets.mnist):
        without_network(monkeypatch, module, lambda arguments: str(path))
        results.append(module.load_data())
    same_splits(results[1], results[0])


@pytest.mark.parametrize(
    "arguments",
    [{}, {"version": "small"}, {"test_split": 0.0}, {"test_split": 0.37, "seed": 5}],
)
def test_california_housing(arguments, real_keras, monkeypatch, tmp_path):
    path = tmp_path / "california_housing.npz"
    np.savez(path, x=numbers(701, 8, dtype="float32"), y=numbers(701, dtype="float32"))
    results = []
    for module in (oracle(real_keras, "california_housing"), datasets.california_housing):
        without_network(monkeypatch, module, lambda given: str(path))
        results.append(module.load_data(**arguments))
    same_splits(results[1], results[0])


@pytest.mark.parametrize("arguments", [{"version": "tiny"}, {"test_split": 1}, {"test_split": -1}])
def test_california_housing_refuses(arguments):
    with pytest.raises(ValueError, match="must be"):
        datasets.california_housing.load_data(**arguments)


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes as Python 2 wrote them, in which CIFAR-10 was pickled."""

    def save_bytes(self, value):
        self.write(pickle.BINSTRING + len(value).to_bytes(4, "little") + value)

    dispatch = {
        **pickle._Pickler.dispatch,
        bytes: save_bytes,
        str: lambda self, value: self.save_bytes(value.encode("latin-1")),
    }


def python2_pickle(value):
    raw = io.BytesIO()
    Python2Pickler(raw, protocol=2).dump(value)
    return raw.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_cifar10(data_format, real_keras, monkeypatch, tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    random = np.random.RandomState(0)
    for name in [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]:
        batch = {
            "batch_label": "some batch",
            "labels": random.randint(0, 10, 10000).tolist(),
            "data": random.randint(0, 256, (10000, 3072)).astype("uint8"),
            "filenames": ["a.png"] * 10,
        }
        (folder / name).write_bytes(python2_pickle(batch))
    results = []
    monkeypatch.setattr("graphc.config.config.image_data_format", data_format)
    monkeypatch.setattr("keras.src.backend.config._IMAGE_DATA_FORMAT", data_format)
    for module in (oracle(real_keras, "cifar10"), datasets.cifar10):
        without_network(monkeypatch, module, lambda arguments: str(tmp_path))
        results.append(module.load_data())
    same_splits(results[1], results[0])


@pytest.mark.parametrize(
    "contents",
    [b"", b"\x80\x02}.", python2_pickle({"data": np.zeros(5, "uint8"), "labels": [1]})],
)
def test_broken_cifar10(contents, monkeypatch, tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(contents)
    without_network(monkeypatch, datasets.cifar10, lambda arguments: str(tmp_path))
    with pytest.raises(FileFormatError):
        datasets.cifar10.load_data()


def write_imdb(path):
    random = np.random.RandomState(0)
    arrays = {}
    for part, size in (("train", 40), ("test", 30)):
        rows = np.empty(size, object)
        for index in range(size):
            rows[index] = random.randint(1, 90, random.randint(3, 40)).tolist()
        arrays[f"x_{part}"] = rows
        arrays[f"y_{part}"] = random.randint(0, 2, size)
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"num_words": 50},
        {"num_words": 50, "skip_top": 10},
        {"num_words": 50, "oov_char": None},
        {"maxlen": 20},
        {"seed": 3, "start_char": None},
        {"start_char": None, "index_from": 0},
        {"start_char": 7, "index_from": 9, "oov_char": 8},
    ],
)
def test_imdb(arguments, real_keras, monkeypatch, tmp_path):
    path = write_imdb(tmp_path / "imdb.npz")
    results = []
    for module in (oracle(real_keras, "imdb"), datasets.imdb):
        without_network(monkeypatch, module, lambda given: str(path))
        results.append(module.load_data(**arguments))
    same_splits(results[1], results[0])
    assert all(type(word) is int for word in results[1][0][0][0])


def test_imdb_without_a_review_left(monkeypatch, tmp_path):
    path = write_imdb(tmp_path / "imdb.npz")
    without_network(monkeypatch, datasets.imdb, lambda given: str(path))
    with pytest.raises(ValueError, match="maxlen=2, no sequence was kept"):
        datasets.imdb.load_data(maxlen=2)


def test_imdb_word_index(monkeypatch, tmp_path):
    path = tmp_path / "imdb_word_index.json"
    path.write_text(json.dumps({"the": 1, "café": 2}), encoding="utf-8")
    without_network(monkeypatch, datasets.imdb, lambda arguments: str(path))
    assert datasets.imdb.get_word_index() == {"the": 1, "café": 2}


# Fashion-MNIST


def idx(array):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return (0x0800 + array.ndim).to_bytes(4, "big") + sizes + array.tobytes()


def write_idx(folder, name):
    size = 5 if name.startswith("train") else 3
    array = numbers(size, 28, 28) if "images" in name else numbers(size)
    path = folder / name
    path.write_bytes(gzip.compress(idx(array)))
    return path


def test_fashion_mnist_prefers_the_installed_copy(monkeypatch, tmp_path):
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path)
    for name in fashion_mnist._NAMES:
        write_idx(tmp_path, name)

    def answer(arguments):
        raise Asked(arguments["fname"])

    without_network(monkeypatch, fashion_mnist, answer)
    (x_train, y_train), (x_test, _) = fashion_mnist.load_data()
    np.testing.assert_array_equal(x_train, numbers(5, 28, 28))
    np.testing.assert_array_equal(y_train, numbers(5))
    assert x_test.shape == (3, 28, 28)
    (tmp_path / fashion_mnist._NAMES[2]).unlink()
    with pytest.raises(Asked):
        fashion_mnist.load_data()


def test_fashion_mnist_gives_what_keras_gives(real_keras, monkeypatch, tmp_path):
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "absent")
    results = []
    for module in (oracle(real_keras, "fashion_mnist"), fashion_mnist):
        without_network(monkeypatch, module, lambda given: str(write_idx(tmp_path, given["fname"])))
        results.append(module.load_data())
    same_splits(results[1], results[0])


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"no gzip",
        gzip.compress(b""),
        gzip.compress(b"\0\0\x08\x01\0\0"),
        gzip.compress(idx(np.zeros((2, 2), "uint8"))),
        gzip.compress(idx(np.zeros(9, "uint8"))[:-1]),
        gzip.compress(idx(np.zeros(9, "uint8")))[:-9],
        gzip.compress(bytes([0, 0, 0x0D, 1, 0, 0, 0, 1, 0, 0, 0, 0])),
    ],
    ids=["nothing", "text", "empty", "header", "rank", "short", "torn", "dtype"],
)
def test_broken_fashion_mnist(contents, monkeypatch, tmp_path):
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path)
    for name in fashion_mnist._NAMES:
        (tmp_path / name).write_bytes(contents)
    with pytest.raises(FileFormatError, match="ubyte.gz"):
        fashion_mnist.load_data()


@pytest.mark.skipif(
    not fashion_mnist.DEBIAN_FOLDER.is_dir(), reason="dataset-fashion-mnist is not installed"
)
def test_real_fashion_mnist():
    (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data()
    assert x_train.shape == (60000, 28, 28)
    assert x_test.shape == (10000, 28, 28)
    np.testing.assert_array_equal(np.bincount(y_train), [6000] * 10)
    np.testing.assert_array_equal(np.bincount(y_test), [1000] * 10)
    assert y_train[:5].tolist() == [9, 0, 0, 3, 0]
    assert abs(x_train.mean() / 255 - 0.2860) < 1e-4  # published mean of the training pixels


# Files that mean harm


class Harm:
    """Unpickles into a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def harmful_calls(path):
    return {
        "os.mkdir": Harm(os.mkdir, str(path)),
        "eval": Harm(eval, f"__import__('os').mkdir({str(path)!r})"),
        "getattr": Harm(getattr, "text", "upper"),
        "np.load": Harm(np.load, str(path)),
        "masked array": np.ma.zeros(2),
        "fields": np.zeros(2, [("a", "i4")]),
        "text array": np.array(["a"]),
        "dict in an array": np.array([{1: 2}], object),
    }


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("case", harmful_calls("x"))
def test_pickles_that_name_anything_else_are_refused(case, protocol, tmp_path):
    path = tmp_path / "made"
    contents = pickle.dumps(harmful_calls(path)[case], protocol=protocol)
    with pytest.raises(FileFormatError):
        read_pickle(io.BytesIO(contents))
    assert not path.exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_imdb_file_that_means_harm(monkeypatch, tmp_path):
    made = tmp_path / "made"
    rows = np.empty(2, object)
    rows[:] = [Harm(os.mkdir, str(made)), [1]]
    path = tmp_path / "imdb.npz"
    np.savez(path, x_train=rows, y_train=np.zeros(2), x_test=rows, y_test=np.zeros(2))
    without_network(monkeypatch, datasets.imdb, lambda arguments: str(path))
    with pytest.raises(FileFormatError, match=r"names `\w+.mkdir`.*nothing of it was run"):
        datasets.imdb.load_data()
    assert not made.exists()


def state_pickle(shape, code, contents, order="|"):
    """A pickled array that says of itself what it likes."""
    out = io.BytesIO()
    pickler = pickle._Pickler(out, protocol=3)
    pickler.write(pickle.PROTO + b"\x03")
    pickler.write(b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n")
    pickler.save((0,))
    pickler.save(b"b")
    pickler.write(b"tR(")
    pickler.save(1)
    pickler.save(shape)
    pickler.write(b"cnumpy\ndtype\n")
    pickler.save((code, 0, 1))
    pickler.write(b"R")
    pickler.save((3, order, None, None, None, -1, -1, 0))
    pickler.write(b"b")
    pickler.save(False)
    pickler.save(contents)
    pickler.write(b"tb.")
    return out.getvalue()


def test_pickled_arrays_are_read():
    raw = state_pickle((2, 2), "i2", b"\1\0\2\0\3\0\4\0", "<")
    np.testing.assert_array_equal(read_pickle(io.BytesIO(raw)), [[1, 2], [3, 4]])
    raw = state_pickle((2,), "i2", b"\0\1\0\2", ">")
    np.testing.assert_array_equal(read_pickle(io.BytesIO(raw)), [1, 2])
    raw = state_pickle((2,), "O8", [[1], [2]])
    assert read_pickle(io.BytesIO(raw)).tolist() == [[1], [2]]
    for array in (np.arange(6.0).reshape(2, 3), np.asfortranarray(numbers(2, 3)), np.zeros(0)):
        raw = pickle.dumps(array, protocol=3)
        same_splits([[read_pickle(io.BytesIO(raw))]], [[array]])


@pytest.mark.parametrize(
    ("shape", "code", "contents"),
    [
        ((3,), "u1", b"\1\2"),
        ((-1,), "u1", b"\1\2"),
        ((2**40, 2**40), "u1", b"\1\2"),
        ("2", "u1", b"\1\2"),
        ((1.0,), "u1", b"\1"),
        ((1,), "i4", b"\1"),
        ((1,), "V8", b"\1" * 8),
        ((1,), "O8", b"\1" * 8),
        ((1,), "O8", [1]),
        ((2,), "O8", [[1]]),
        ((1,), "u1", [1]),
        ((1,), "i4,i4", b"\1" * 8),
        ((1,), 7, b"\1"),
    ],
)
def test_pickled_arrays_that_lie_are_refused(shape, code, contents):
    with pytest.raises(FileFormatError):
        read_pickle(io.BytesIO(state_pickle(shape, code, contents)))


def test_every_cut_of_a_pickle_is_refused():
    raw = state_pickle((2,), "O8", [[1], [2, 3]])
    for length in range(len(raw)):
        with pytest.raises(FileFormatError):
            read_pickle(io.BytesIO(raw[:length]))


def test_npz_files_that_are_none(tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(b"")
    for read in (read_arrays, read_npz):
        with pytest.raises(FileFormatError, match="should be an .npz file with the arrays a, b"):
            read(path, "a", "b")
    np.savez(path, a=np.zeros(1))
    for read in (read_arrays, read_npz):
        with pytest.raises(FileFormatError, match="b"):
            read(path, "a", "b")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\0")
    for read in (read_arrays, read_npz):
        with pytest.raises(FileFormatError):
            read(path, "a")
    np.savez(path, a=np.array([[1], [2, 3]], object))
    assert read_npz(path, "a")[0].tolist() == [[1], [2, 3]]
    with pytest.raises(FileFormatError):
        read_arrays(path, "a")
