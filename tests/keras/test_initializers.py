"""keras.initializers against Keras: statistics, configs, names; and the same bits for a seed."""

import numpy as np
import pytest

from graphc.keras import initializers, random, random_seed
from graphc.keras.saving.registry import deserialize_keras_object

RANDOM = {
    "RandomNormal": {"mean": 1.0, "stddev": 0.3},
    "RandomUniform": {"minval": -0.2, "maxval": 0.7},
    "TruncatedNormal": {"mean": -1.0, "stddev": 0.3},
    "VarianceScaling": {"scale": 0.5, "mode": "fan_out", "distribution": "untruncated_normal"},
    "GlorotNormal": {},
    "GlorotUniform": {},
    "HeNormal": {},
    "HeUniform": {},
    "LecunNormal": {},
    "LecunUniform": {},
    "Orthogonal": {"gain": 1.5},
}
FIXED = {"Zeros": {}, "Ones": {}, "Constant": {"value": 2.5}, "Identity": {"gain": 3.0}}


@pytest.mark.parametrize("shape", [(300, 100), (3, 3, 40, 60), (20000,)])
@pytest.mark.parametrize("name", RANDOM)
def test_statistics(real_keras, name, shape):
    if name == "Orthogonal" and len(shape) < 2:
        pytest.skip("needs two axes")
    options = RANDOM[name]
    theirs = np.asarray(getattr(real_keras.initializers, name)(seed=3, **options)(shape))
    mine = np.asarray(getattr(initializers, name)(seed=3, **options)(shape))
    assert mine.shape == shape and mine.dtype == np.float32
    spread = theirs.std()
    np.testing.assert_allclose(mine.mean(), theirs.mean(), atol=4 * spread / mine.size**0.5 + 1e-6)
    np.testing.assert_allclose(mine.std(), spread, rtol=0.03)
    for q in (0, 0.1, 0.5, 0.9, 1):
        # The extremes of a distribution without bounds differ more from draw to draw.
        loose = 1.2 if q in (0, 1) else 0.1
        np.testing.assert_allclose(
            np.quantile(mine, q), np.quantile(theirs, q), atol=loose * spread
        )
    if name in ("TruncatedNormal", "GlorotNormal", "HeNormal", "LecunNormal"):
        limit = 2 * spread / 0.87962566
        assert np.abs(mine - options.get("mean", 0.0)).max() <= limit * 1.03


@pytest.mark.parametrize("name", [*RANDOM, *FIXED])
def test_configs(real_keras, name):
    options = {**RANDOM, **FIXED}[name]
    options = options if name in FIXED else {"seed": 7, **options}
    theirs = getattr(real_keras.initializers, name)(**options)
    mine = getattr(initializers, name)(**options)
    config = real_keras.initializers.serialize(theirs)
    if name != "Identity":  # Keras forgets its gain
        assert initializers.serialize(mine) == config
    again = deserialize_keras_object(config)
    assert type(again) is type(mine)
    assert name == "Identity" or again.get_config() == mine.get_config()
    # And the other way round, and Keras 2's layout.
    real_keras.initializers.deserialize(initializers.serialize(mine))
    again = initializers.deserialize({"class_name": name, "config": mine.get_config()})
    np.testing.assert_array_equal(again((3, 3)), mine((3, 3)))
    np.testing.assert_array_equal(mine.clone()((3, 3)), mine((3, 3)))


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("dtype", [None, "float16", "int32"])
def test_fixed_values(real_keras, name, dtype):
    theirs = getattr(real_keras.initializers, name)(**FIXED[name])
    mine = getattr(initializers, name)(**FIXED[name])
    for shape in ((2, 3), (0, 2), (1, 1)):
        expected = np.asarray(theirs(shape, dtype))
        np.testing.assert_array_equal(mine(shape, dtype), expected)
        assert mine(shape, dtype).dtype == expected.dtype.name or dtype == "int32"


def test_a_seed_gives_the_same_bits():
    first = initializers.GlorotUniform(seed=5)
    np.testing.assert_array_equal(first((4, 4)), first((4, 4)))
    np.testing.assert_array_equal(first((4, 4)), initializers.GlorotUniform(seed=5)((4, 4)))
    assert (np.asarray(first((4, 4))) != initializers.GlorotUniform(seed=6)((4, 4)).numpy()).all()
    random_seed.set_random_seed(1)
    one = initializers.HeNormal()((8,)).numpy()
    random_seed.set_random_seed(1)
    np.testing.assert_array_equal(initializers.HeNormal()((8,)), one)


def test_a_seed_generator_gives_others_each_time():
    initializer = initializers.RandomNormal(seed=random.SeedGenerator(3))
    assert (initializer((5,)).numpy() != initializer((5,)).numpy()).all()
    again = initializers.deserialize(initializers.serialize(initializer))
    np.testing.assert_array_equal(
        again((5,)), initializers.RandomNormal(seed=random.SeedGenerator(3))((5,))
    )


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 3, 4)])
def test_orthogonal(shape):
    matrix = np.asarray(initializers.Orthogonal(gain=2.0, seed=1)(shape, "float64"))
    flat = matrix.reshape(-1, shape[-1])
    product = flat.T @ flat if flat.shape[0] >= flat.shape[1] else flat @ flat.T
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


def test_fans(real_keras):
    from keras.src.initializers.random_initializers import compute_fans

    for shape in ((), (5,), (3, 4), (3, 3, 4, 5), (2, 3, 3, 4, 5)):
        assert initializers.compute_fans(shape) == compute_fans(shape)
    axes = {"input_axes": (0, 2), "output_axes": (1,)}
    assert initializers.compute_fans((2, 3, 4), **axes) == compute_fans((2, 3, 4), **axes)


@pytest.mark.parametrize(
    "name", ["zeros", "zero", "ones", "one", "normal", "uniform", "glorot_uniform", "he_normal",
             "lecun_uniform", "random_normal", "truncated_normal", "orthogonal", "identity",
             "variance_scaling", "GlorotNormal"],
)  # fmt: skip
def test_names(real_keras, name):
    theirs = real_keras.initializers.get(name)
    assert type(initializers.get(name)).__name__ == type(theirs).__name__


def test_other_identifiers():
    assert initializers.get(None) is None
    assert isinstance(initializers.get(initializers.HeNormal), initializers.HeNormal)

    def sevens(shape, dtype=None):
        return np.full(shape, 7, dtype)

    assert initializers.get(sevens) is sevens
    given = initializers.get(np.arange(4.0).reshape(2, 2))
    np.testing.assert_array_equal(given((2, 2)), [[0, 1], [2, 3]])
    with pytest.raises(ValueError, match="Expected `shape` to be \\(2, 2\\)"):
        given((3, 2))


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: initializers.get("glorot_unifrm"), "Did you mean 'glorot_uniform'"),
        (lambda: initializers.get(7), "Could not interpret initializer identifier: 7"),
        (lambda: initializers.HeNormal(seed="a"), "Received: seed=a"),
        (lambda: initializers.VarianceScaling(scale=0), "must be positive float"),
        (lambda: initializers.VarianceScaling(mode="fan"), "Invalid `mode` argument: fan"),
        (lambda: initializers.VarianceScaling(distribution="cauchy"), "`distribution`"),
        (lambda: initializers.Identity()((2, 2, 2)), "only be used for 2D matrices"),
        (lambda: initializers.Orthogonal()((3,)), "at least two-dimensional"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()
