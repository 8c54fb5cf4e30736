"""``graphc.random``: what is drawn, and what seeds do to it."""

import numpy as np
import pytest

import graphc as tf

DRAWS = {
    "normal": lambda **k: tf.random.normal((1000,), mean=2.0, stddev=0.5, **k),
    "truncated_normal": lambda **k: tf.random.truncated_normal([1000], 2.0, 0.5, **k),
    "uniform": lambda **k: tf.random.uniform((1000,), 1.0, 3.0, **k),
    "uniform integers": lambda **k: tf.random.uniform((1000,), 1, 4, dtype=tf.int64, **k),
    "categorical": lambda **k: tf.random.categorical([[0.0, 1.0]], 1000, **k),
    "shuffle": lambda **k: tf.random.shuffle(tf.range(1000), **k),
    "dropout": lambda **k: tf.nn.dropout(tf.ones(1000), rate=0.25, **k),
    "flip": lambda **k: tf.image.random_flip_left_right(
        tf.ones((500, 1, 2, 1)) * [[1.0], [2.0]], **k
    ),
    "flip down": lambda **k: tf.image.random_flip_up_down(
        tf.reshape(tf.range(1000.0), (500, 2, 1, 1)), **k
    ),
    "brightness": lambda **k: tf.image.random_brightness(tf.ones((2, 2, 1)), 0.5, **k),
    "contrast": lambda **k: tf.image.random_contrast(
        tf.reshape(tf.range(4.0), (2, 2, 1)), 0.2, 3.0, **k
    ),
    "saturation": lambda **k: tf.image.random_saturation(
        tf.reshape(tf.range(12.0), (2, 2, 3)) / 12, 0.2, 3.0, **k
    ),
    "hue": lambda **k: tf.image.random_hue(tf.reshape(tf.range(12.0), (2, 2, 3)) / 12, 0.4, **k),
    "crop": lambda **k: tf.image.random_crop(tf.reshape(tf.range(10000), (100, 100)), (2, 3), **k),
}


@pytest.mark.parametrize("name", DRAWS)
def test_seeds(name):
    draw = DRAWS[name]

    def run(**arguments):
        tf.random.set_seed(5)
        return [np.asarray(draw(**arguments)) for _ in range(2)]

    for arguments in ({}, {"seed": 3}):
        first, second = run(**arguments)
        assert not np.array_equal(first, second)  # each call gives others,
        for again, before in zip(run(**arguments), (first, second), strict=True):
            np.testing.assert_array_equal(again, before)  # but all begin anew with the seed
    assert not np.array_equal(run(seed=3)[0], run(seed=4)[0])


def test_set_seed_leaves_numpy_alone():
    np.random.seed(1)
    expected = np.random.rand(2)
    np.random.seed(1)
    first = np.random.rand()
    tf.random.set_seed(7)
    assert [first, np.random.rand()] == expected.tolist()


def test_what_is_drawn():
    x = DRAWS["normal"]().numpy()
    assert x.mean() == pytest.approx(2, abs=0.1)
    assert x.std() == pytest.approx(0.5, abs=0.1)
    x = DRAWS["truncated_normal"]().numpy()
    assert 1 <= x.min() < x.max() <= 3
    x = DRAWS["uniform"]().numpy()
    assert 1 <= x.min() < 1.1 and 2.9 < x.max() < 3
    x = DRAWS["uniform integers"]()
    assert (x.dtype, set(x.numpy())) == ("int64", {1, 2, 3})
    x = DRAWS["categorical"]()
    assert (x.dtype, x.shape) == ("int64", (1, 1000))
    assert 0.65 < x.numpy().mean() < 0.8
    assert sorted(DRAWS["shuffle"]().numpy()) == list(range(1000))
    x = DRAWS["dropout"]().numpy()
    assert set(x) == {0, np.float32(1 / 0.75)}
    assert 0.2 < (x == 0).mean() < 0.3
    x = tf.random.gamma([2000], [[1.0], [4.0]], [1.0, 2.0]).numpy()
    assert x.shape == (2000, 2, 2)
    np.testing.assert_allclose(x.mean(0), [[1, 0.5], [4, 2]], rtol=0.1)
    wide = tf.random.normal((3, 2), mean=[0.0, 100.0], stddev=0.0)
    assert wide.numpy().tolist() == [[0, 100]] * 3
    with pytest.raises(ValueError, match="maxval"):
        tf.random.uniform((2,), dtype=tf.int32)


STATELESS = {
    "normal": lambda seed: tf.random.stateless_normal((100,), seed),
    "truncated": lambda seed: tf.random.stateless_truncated_normal((100,), seed=seed),
    "uniform": lambda seed: tf.random.stateless_uniform((100,), seed, 0, 1000, tf.int32),
    "categorical": lambda seed: tf.random.stateless_categorical([[0.0] * 50], 100, seed),
}


for _name in ("brightness", "contrast", "crop", "flip_left_right", "hue", "saturation"):
    STATELESS[_name] = lambda seed, name=_name: getattr(tf.image, f"stateless_random_{name}")(
        tf.reshape(tf.range(36.0), (3, 4, 3)) / 36,
        *{
            "brightness": (0.4,),
            "contrast": (0.2, 3.0),
            "crop": ((1, 1, 3),),
            "flip_left_right": (),
            "hue": (0.4,),
            "saturation": (0.2, 3.0),
        }[name],
        seed=seed,
    )


@pytest.mark.parametrize("name", STATELESS)
def test_stateless(name):
    draw = STATELESS[name]
    first = draw([1, 2]).numpy()
    np.testing.assert_array_equal(draw(tf.constant([1, 2])).numpy(), first)
    others = [draw([seed, 1]).numpy() for seed in range(5)]
    assert any(not np.array_equal(other, first) for other in others)
    with pytest.raises(ValueError, match="two integers"):
        draw(3)


def test_generators():
    one, two = (tf.random.Generator.from_seed(1) for _ in range(2))
    first, second = one.normal((3,)), one.normal((3,))
    assert first.numpy().tolist() == two.normal((3,)).numpy().tolist()
    assert first.numpy().tolist() != second.numpy().tolist()
    two.reset_from_seed(1)
    assert two.normal((3,)).numpy().tolist() == first.numpy().tolist()
    assert two.uniform((2,), 5, 6, dtype=tf.int32).numpy().tolist() == [5, 5]
    assert abs(two.truncated_normal((50,)).numpy()).max() <= 2
    parts = one.split(2)
    assert parts[0].normal((2,)).numpy().tolist() != parts[1].normal((2,)).numpy().tolist()
    assert tf.random.Generator.from_non_deterministic_state().state.shape == (2,)
    tf.random.set_seed(1)
    first = tf.random.get_global_generator().normal((2,)).numpy().tolist()
    tf.random.set_seed(1)
    assert tf.random.get_global_generator().normal((2,)).numpy().tolist() == first

    @tf.function
    def draw():
        return one.normal((2,))

    assert draw().numpy().tolist() != draw().numpy().tolist()
