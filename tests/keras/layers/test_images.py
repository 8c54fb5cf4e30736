"""Layers over images: resizing, cropping, and what changes them at random."""

import json

import numpy as np
import pytest

from graphc import keras
from graphc.errors import ShapeError, UnsupportedError
from graphc.keras import layers
from tests.keras.layers.helper import run_layer_test

RNG = np.random.default_rng(0)
IMAGES = (RNG.random((3, 8, 6, 2)) * 255).astype("float32")
FIRST = {"data_format": "channels_first"}


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda k: k.layers.Resizing(5, 7), (2, 8, 6, 3)),
        (lambda k: k.layers.Resizing(5, 7, "nearest"), (2, 8, 6, 3)),
        (lambda k: k.layers.Resizing(4, 3, "bicubic", antialias=True), (2, 8, 6, 3)),
        (lambda k: k.layers.Resizing(5, 9, crop_to_aspect_ratio=True), (2, 8, 6, 3)),
        (lambda k: k.layers.Resizing(5, 9, pad_to_aspect_ratio=True, fill_value=1.0), (2, 8, 6, 3)),
        (lambda k: k.layers.Resizing(5, 7, **FIRST), (2, 3, 8, 6)),
        (lambda k: k.layers.CenterCrop(4, 5), (2, 8, 6, 3)),
        (lambda k: k.layers.CenterCrop(5, 3, **FIRST), (2, 3, 8, 6)),
        (lambda k: k.layers.CenterCrop(9, 5), (2, 8, 6, 3)),
        (lambda k: k.layers.AdaptiveAveragePooling1D(3), (2, 7, 2)),
        (lambda k: k.layers.AdaptiveAveragePooling2D((3, 2)), (2, 7, 6, 2)),
        (lambda k: k.layers.AdaptiveAveragePooling3D(2, **FIRST), (2, 2, 5, 6, 3)),
        (lambda k: k.layers.AdaptiveMaxPooling1D(3), (2, 7, 2)),
        (lambda k: k.layers.AdaptiveMaxPooling2D(3, **FIRST), (2, 2, 7, 5)),
        (lambda k: k.layers.AdaptiveMaxPooling3D((2, 3, 1)), (2, 5, 6, 3, 2)),
    ],
)
def test_layer(real_keras, make, shape):
    run_layer_test(real_keras, make, shape)


#: Layers whose random numbers have only one value, so that Keras gives the same.
CERTAIN = [
    ("RandomRotation", ((0.1, 0.1),), {}),
    ("RandomRotation", ((-0.3, -0.3),), {"fill_mode": "constant", "fill_value": 5.0}),
    ("RandomRotation", ((0.25, 0.25),), {"interpolation": "nearest", "fill_mode": "wrap"}),
    ("RandomTranslation", ((0.2, 0.2), (-0.3, -0.3)), {}),
    ("RandomTranslation", ((0.25, 0.25), (0.5, 0.5)), {"fill_mode": "nearest"}),
    ("RandomZoom", ((0.3, 0.3),), {}),
    ("RandomZoom", ((-0.4, -0.4), (0.2, 0.2)), {"fill_mode": "constant"}),
    ("RandomBrightness", ((0.2, 0.2),), {}),
    ("RandomBrightness", ((-0.4, -0.4),), {"value_range": (0, 300)}),
    ("RandomContrast", ((0.0, 0.0),), {}),
]


@pytest.mark.parametrize("name, args, kwargs", CERTAIN)
def test_values_where_there_is_no_choice(real_keras, name, args, kwargs):
    theirs = getattr(real_keras.layers, name)(*args, seed=1, **kwargs)
    mine = getattr(layers, name)(*args, seed=1, **kwargs)
    for images in (IMAGES, IMAGES[0]):
        expected = np.asarray(theirs(images, training=True))
        np.testing.assert_allclose(mine(images, training=True), expected, rtol=1e-4, atol=1e-2)
        np.testing.assert_array_equal(mine(images, training=False), images)
    if name in ("RandomRotation", "RandomTranslation", "RandomZoom"):
        planes = np.ascontiguousarray(IMAGES.transpose(0, 3, 1, 2))
        turned = getattr(layers, name)(*args, seed=1, **kwargs, **FIRST)(planes)
        whole = np.asarray(theirs(IMAGES, training=True)).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(turned, whole, rtol=1e-4, atol=1e-2)
    config = real_keras.layers.serialize(theirs)["config"]
    own = mine.get_config()
    assert {key: own[key] for key in own if key in config and key not in ("dtype", "name")} == {
        key: config[key] for key in own if key in config and key not in ("dtype", "name")
    }
    again = type(mine).from_config(mine.get_config())
    assert again.get_config() == mine.get_config()


def test_flips_are_chosen_for_each_image():
    many = np.repeat(IMAGES[:1], 400, axis=0)
    for mode, axes in (("horizontal", [2]), ("vertical", [1]), ("horizontal_and_vertical", [1, 2])):
        flipped = np.asarray(layers.RandomFlip(mode, seed=3)(many, training=True))
        choices = [many[0]]
        for axis in axes:
            choices += [np.flip(choice, axis - 1) for choice in choices]
        counts = [sum(np.array_equal(image, choice) for image in flipped) for choice in choices]
        assert sum(counts) == 400
        assert all(abs(count / 400 - 1 / len(choices)) < 0.09 for count in counts)
    single = np.asarray(layers.RandomFlip(seed=1)(IMAGES[0]))
    assert single.shape == IMAGES[0].shape


def test_random_numbers_have_their_range_and_differ_between_images():
    gray = np.full((500, 1, 1, 1), 100.0, "float32")
    for factor, (low, high) in ((0.2, (49, 151)), ((0.1, 0.3), (125.5, 176.5))):
        bright = np.asarray(layers.RandomBrightness(factor, seed=1)(gray))[:, 0, 0, 0]
        assert low <= bright.min() < low + 3 and high - 3 < bright.max() <= high
    lines = np.tile(np.array([[[0.0], [200.0]]], "float32"), (500, 1, 1, 1))
    contrast = np.asarray(layers.RandomContrast((0.25, 0.5), (-999, 999), seed=1)(lines))
    share = np.ptp(contrast[:, 0, :, 0], axis=1) / 200
    assert 0.75 <= share.min() < 0.77 and 1.48 < share.max() <= 1.5
    assert np.asarray(layers.RandomContrast(0.5, seed=1)(lines)).max() <= 255


def test_crops_are_parts():
    rows = np.broadcast_to(np.arange(8.0)[:, None] * 10 + np.arange(6.0), (2, 8, 6))[..., None]
    layer = layers.RandomCrop(3, 4, seed=2)
    corners = set()
    for _ in range(60):
        part = np.asarray(layer(rows.astype("float32"), training=True))[..., 0]
        assert part.shape == (2, 3, 4)
        corner = int(part[0, 0, 0])
        np.testing.assert_array_equal(part[1], rows[0, corner // 10 :, corner % 10 :, 0][:3, :4])
        corners.add(corner)
    assert {c // 10 for c in corners} == set(range(6)) and {c % 10 for c in corners} == {0, 1, 2}
    whole = np.asarray(layer(rows.astype("float32"), training=False))
    resized = layers.Resizing(3, 4, crop_to_aspect_ratio=True)(rows.astype("float32"))
    np.testing.assert_array_equal(whole, resized)
    assert layers.RandomCrop(12, 4)(IMAGES).shape == (3, 12, 4, 2)


def test_in_models():
    """In training only, with other numbers for each batch; a direct call augments, as in Keras."""
    augmentation = keras.Sequential(
        [layers.RandomFlip(seed=1), layers.RandomRotation(0.2, seed=2), layers.RandomZoom(0.2)]
    )
    model = keras.Sequential(
        [
            keras.Input((8, 6, 2)),
            augmentation,
            layers.RandomBrightness(0.1),
            layers.RandomContrast(0.1),
            layers.RandomTranslation(0.1, 0.1),
            layers.RandomCrop(6, 6),
            layers.Resizing(4, 4),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    before = model.predict(IMAGES, verbose=0)
    np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), before)
    history = model.fit(IMAGES, np.ones((3, 1)), epochs=3, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    first, second = (np.asarray(augmentation(IMAGES)) for _ in range(2))
    assert np.abs(first - second).max() > 1 and np.abs(first - IMAGES).max() > 1
    np.testing.assert_array_equal(augmentation(IMAGES, training=False), IMAGES)
    again = keras.models.model_from_json(model.to_json())
    for mine, other in zip(again.layers[1:], model.layers[1:], strict=True):
        assert json.dumps(mine.get_config()) == json.dumps(other.get_config())


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 3)])
def test_category_encoding(real_keras, mode, shape):
    x = RNG.integers(0, 5, shape).astype("int32")
    theirs = real_keras.layers.CategoryEncoding(5, mode)
    mine = layers.CategoryEncoding(5, mode)
    np.testing.assert_array_equal(mine(x), np.asarray(theirs(x)))
    assert mine.compute_output_shape(shape) == tuple(theirs.compute_output_shape(shape))
    assert layers.CategoryEncoding.from_config(mine.get_config()).num_tokens == 5
    inputs = keras.Input(shape[1:], dtype="int32")
    model = keras.Model(inputs, mine(inputs))
    if len(shape) > 1:
        np.testing.assert_array_equal(model.predict(x, verbose=0), np.asarray(theirs(x)))


def test_weighted_counts(real_keras):
    x, weights = np.array([[0, 2, 2], [1, 1, 3]]), np.array([[0.5, 1, 2], [3, 4, 5.0]], "float32")
    theirs = real_keras.layers.CategoryEncoding(4, "count")(x, count_weights=weights)
    mine = layers.CategoryEncoding(4, "count")(x, count_weights=weights)
    np.testing.assert_allclose(mine, np.asarray(theirs))


def test_discretization():
    """Keras's own needs TensorFlow to be imported, so the oracle is NumPy."""
    bounds = [-1.0, 0.5, 2.0]
    x = np.array([[-5, -1, 0], [0.5, 1.9, 7]], "float32")
    expected = np.digitize(x, bounds)
    layer = layers.Discretization(bounds)
    assert layer(x).dtype == "int64"
    np.testing.assert_array_equal(layer(x), expected)
    one_hot = layers.Discretization(bounds, output_mode="one_hot")
    np.testing.assert_array_equal(one_hot(x), np.eye(4)[expected])
    counts = layers.Discretization(bounds, output_mode="count")
    np.testing.assert_array_equal(counts(x), np.eye(4)[expected].sum(1))
    data = RNG.normal(size=1000).astype("float32")
    adapted = layers.Discretization(num_bins=4)
    adapted.adapt(data)
    np.testing.assert_allclose(np.bincount(adapted(data).numpy()), [250] * 4, atol=1)
    batched = layers.Discretization(num_bins=4)
    batched.adapt(part for part in np.split(data, 4))
    assert batched.bin_boundaries == adapted.bin_boundaries
    again = layers.Discretization.from_config(adapted.get_config())
    np.testing.assert_array_equal(again(data), adapted(data))


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: layers.RandomFlip("diagonal"), ValueError, "`mode` should be one of"),
        (lambda: layers.RandomRotation(2.0), ValueError, r"in the range \[-1.0, 1.0\]"),
        (lambda: layers.RandomZoom((0.1, 0.2, 0.3)), ValueError, "`height_factor`"),
        (lambda: layers.RandomContrast(-0.5), ValueError, r"in the range \[0.0, 1.0\]"),
        (lambda: layers.RandomBrightness(0.1, (1, 0)), ValueError, "`value_range`"),
        (lambda: layers.Resizing(0, 3), ValueError, "`height` should be a positive integer"),
        (lambda: layers.Resizing(2, 3)(np.zeros((2, 3))), ShapeError, "expected an image"),
        (lambda: layers.RandomFlip()({"images": IMAGES}), UnsupportedError, "not a dictionary"),
        (lambda: layers.CategoryEncoding(), ValueError, "num_tokens must be set"),
        (lambda: layers.Discretization(), ValueError, "either `num_bins` or `bin_boundaries`"),
        (lambda: layers.Discretization(num_bins=3)([1.0]), ValueError, "call `adapt"),
        (lambda: layers.Discretization([1.0]).adapt([1.0]), ValueError, "Cannot adapt"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
