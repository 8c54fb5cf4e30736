"""keras.utils.timeseries_dataset_from_array against its definition."""

import numpy as np
import pytest

from graphc import keras

DATA = np.arange(40, dtype="float32").reshape(20, 2)
TARGETS = np.arange(20) * 10


def windows(data, targets, length, stride=1, rate=1, start=0, end=None):
    data, targets = data[start:end], targets[start:end]
    found = []
    for begin in range(0, len(data) - (length - 1) * rate, stride):
        if begin < len(targets):
            found.append((data[begin : begin + length * rate : rate][:length], targets[begin]))
    return [np.stack(part) for part in zip(*found, strict=True)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sequence_stride": 3},
        {"sampling_rate": 4},
        {"sequence_stride": 2, "sampling_rate": 3, "start_index": 2, "end_index": 17},
        {"batch_size": 4},
    ],
)
def test_windows(options):
    dataset = keras.utils.timeseries_dataset_from_array(DATA, TARGETS, 3, **options)
    expected = windows(
        DATA, TARGETS, 3, options.get("sequence_stride", 1), options.get("sampling_rate", 1),
        options.get("start_index", 0), options.get("end_index"),
    )  # fmt: skip
    batches = list(dataset)
    assert len(batches) == len(dataset)
    assert all(len(x) == options.get("batch_size", 128) for x, _ in batches[:-1])
    for received, wanted in zip(zip(*batches, strict=True), expected, strict=True):
        np.testing.assert_array_equal(np.concatenate(received), wanted)


def test_without_targets_and_without_batches():
    dataset = keras.utils.timeseries_dataset_from_array(DATA, None, 5, batch_size=None)
    rows = list(dataset)
    assert len(rows) == 16
    np.testing.assert_array_equal(rows[3], DATA[3:8])
    short = keras.utils.timeseries_dataset_from_array(DATA, TARGETS[:4], 5)
    assert [len(y) for _, y in short] == [4]
    assert list(keras.utils.timeseries_dataset_from_array(DATA, None, 30)) == []


def test_shuffled_windows_are_the_same_in_another_order():
    make = lambda seed: keras.utils.timeseries_dataset_from_array(  # noqa: E731
        DATA, TARGETS, 3, shuffle=True, seed=seed, batch_size=5
    )
    dataset, again = make(1), make(1)
    orders = [np.concatenate([y for _, y in data]) for data in (dataset, dataset, again)]
    np.testing.assert_array_equal(orders[0], orders[2])
    assert (orders[0] != orders[1]).any()
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), TARGETS[:18])


def test_fit():
    dataset = keras.utils.timeseries_dataset_from_array(
        DATA[:-3] / 40, DATA[3:, :1] / 40, sequence_length=3, batch_size=4, shuffle=True, seed=1
    )
    model = keras.Sequential([keras.Input((3, 2)), keras.layers.LSTM(4), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    history = model.fit(dataset, epochs=20, verbose=0, validation_data=dataset)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert model.predict(dataset, verbose=0).shape == (15, 1)


@pytest.mark.parametrize(
    "options, text",
    [
        ({"start_index": -1}, "`start_index` must be at least 0"),
        ({"end_index": 30}, "`end_index` must be at least 1 and lower"),
        ({"start_index": 5, "end_index": 4}, "`end_index` must be higher than"),
        ({"sampling_rate": 0}, "`sampling_rate` must be higher than 0"),
        ({"sequence_stride": 20}, "`sequence_stride` must be higher than 0 and lower"),
        ({"format": "list"}, "`format` should be"),
    ],
)
def test_errors(options, text):
    with pytest.raises(ValueError, match=text):
        keras.utils.timeseries_dataset_from_array(DATA, TARGETS, 3, **options)
