"""keras.losses against Keras on JAX: values, reductions, weights, masks, gradients, configs."""

import numpy as np
import pytest

import graphc
from graphc.eager import as_tensor
from graphc.keras import losses
from graphc.keras.losses.loss import REDUCTIONS
from graphc.keras.saving.registry import deserialize_keras_object
from tests.keras.computing import assert_same, at_once, gradients, jax_gradient, traced

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


def shares(*shape):
    """Probabilities, 0 and 1 among them."""
    values = RNG.random(shape).astype("float32")
    values.flat[:2] = 0, 1
    return values


SIGNED = floats(6, 4), floats(6, 4)
STEPS = floats(3, 5, 4), floats(3, 5, 4)
BINARY = RNG.integers(0, 2, (6, 4)).astype("float32"), shares(6, 4)
CLASSES = np.eye(4, dtype="float32")[RNG.integers(0, 4, 6)], shares(6, 4)
NUMBERS = RNG.integers(0, 4, 6).astype("int32"), shares(6, 4)
POSITIVE = np.abs(floats(6, 4)), np.abs(floats(6, 4))

UNIT = floats(6, 4)
UNIT /= np.linalg.norm(UNIT, axis=-1, keepdims=True)
EMBEDDINGS = np.array([0, 1, 0, 2, 1, 0], "int32"), UNIT
LABELS = np.array([[1, 2, 2], [3, 0, 0], [1, 1, 0]], "int32"), floats(3, 6, 4)
INNER = NUMBERS[0], np.clip(NUMBERS[1], 0.05, 0.95)

#: class, function, arguments, y_true and y_pred
CASES = [
    ("MeanSquaredError", "mean_squared_error", {}, SIGNED),
    ("MeanSquaredError", "mean_squared_error", {}, STEPS),
    ("MeanAbsoluteError", "mean_absolute_error", {}, SIGNED),
    ("MeanAbsolutePercentageError", "mean_absolute_percentage_error", {}, SIGNED),
    ("MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", {}, POSITIVE),
    ("LogCosh", "log_cosh", {}, SIGNED),
    ("Huber", "huber", {}, SIGNED),
    ("Huber", "huber", {"delta": 0.3}, SIGNED),
    ("CosineSimilarity", "cosine_similarity", {}, SIGNED),
    ("CosineSimilarity", "cosine_similarity", {"axis": 1}, STEPS),
    ("KLDivergence", "kl_divergence", {}, BINARY),
    ("Poisson", "poisson", {}, POSITIVE),
    ("Hinge", "hinge", {}, BINARY),
    ("Hinge", "hinge", {}, (np.sign(SIGNED[0]), SIGNED[1])),
    ("SquaredHinge", "squared_hinge", {}, BINARY),
    ("CategoricalHinge", "categorical_hinge", {}, CLASSES),
    ("BinaryCrossentropy", "binary_crossentropy", {}, BINARY),
    ("BinaryCrossentropy", "binary_crossentropy", {"label_smoothing": 0.2}, BINARY),
    ("BinaryCrossentropy", "binary_crossentropy", {"from_logits": True}, (BINARY[0], SIGNED[1])),
    ("BinaryFocalCrossentropy", "binary_focal_crossentropy", {}, BINARY),
    (
        "BinaryFocalCrossentropy",
        "binary_focal_crossentropy",
        {"from_logits": True, "gamma": 1.5, "apply_class_balancing": True, "alpha": 0.6},
        (BINARY[0], SIGNED[1]),
    ),
    ("CategoricalCrossentropy", "categorical_crossentropy", {}, CLASSES),
    ("CategoricalCrossentropy", "categorical_crossentropy", {"label_smoothing": 0.1}, CLASSES),
    (
        "CategoricalCrossentropy",
        "categorical_crossentropy",
        {"from_logits": True},
        (CLASSES[0], SIGNED[1]),
    ),
    ("CategoricalCrossentropy", "categorical_crossentropy", {"axis": 1}, (shares(3, 5, 4),) * 2),
    ("CategoricalFocalCrossentropy", "categorical_focal_crossentropy", {}, CLASSES),
    (
        "CategoricalFocalCrossentropy",
        "categorical_focal_crossentropy",
        {"from_logits": True, "alpha": 0.4, "label_smoothing": 0.1},
        (CLASSES[0], SIGNED[1]),
    ),
    ("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", {}, NUMBERS),
    (
        "SparseCategoricalCrossentropy",
        "sparse_categorical_crossentropy",
        {"from_logits": True},
        (NUMBERS[0][:, None], SIGNED[1]),
    ),
    (
        "SparseCategoricalCrossentropy",
        "sparse_categorical_crossentropy",
        {"ignore_class": 2},
        NUMBERS,
    ),
    (
        "SparseCategoricalCrossentropy",
        "sparse_categorical_crossentropy",
        {"ignore_class": -1, "from_logits": True},
        (RNG.integers(-1, 4, (3, 5)).astype("int32"), STEPS[1]),
    ),
    ("CTC", "ctc", {}, LABELS),
    ("Circle", "circle", {}, EMBEDDINGS),
    ("Circle", "circle", {"gamma": 5.0, "margin": 0.2, "remove_diagonal": False}, EMBEDDINGS),
    (
        "CategoricalGeneralizedCrossEntropy",
        "categorical_generalized_cross_entropy",
        {"q": 0.7},
        INNER,
    ),
    ("Dice", "dice", {}, BINARY),
    ("Dice", "dice", {"axis": 1}, BINARY),
    ("Tversky", "tversky", {"alpha": 0.3, "beta": 0.7, "axis": -1}, BINARY),
]

IDS = [f"{case[0]}-{i}" for i, case in enumerate(CASES)]


def forms(name, options):
    return lambda y_true, y_pred: getattr(losses, name)(**options)(y_true, y_pred)


@pytest.mark.parametrize("name, function, options, pair", CASES, ids=IDS)
def test_values(real_keras, name, function, options, pair):
    expected = [np.asarray(getattr(real_keras.losses, name)(**options)(*pair))]
    mine = getattr(losses, name)(**options)
    assert_same(at_once(mine, *pair), expected)
    assert_same(traced(mine, *pair, batch=True), expected)
    expected = [np.asarray(getattr(real_keras.losses, function)(*pair, **options))]
    call = lambda *pair: getattr(losses, function)(*pair, **options)  # noqa: E731
    assert_same(at_once(call, *pair), expected)


@pytest.mark.parametrize("name, function, options, pair", CASES, ids=IDS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions_and_weights(real_keras, name, function, options, pair, reduction):
    theirs = getattr(real_keras.losses, name)(reduction=reduction, **options)
    mine = getattr(losses, name)(reduction=reduction, **options)
    unreduced = np.asarray(getattr(real_keras.losses, name)(reduction="none", **options)(*pair))
    for weights in (None, shares(*unreduced.shape), np.array(2.0, "float32")):
        expected = [np.asarray(theirs(*pair, sample_weight=weights))]
        given = pair if weights is None else (*pair, weights)
        assert_same(at_once(mine, *given), expected)
        assert_same(traced(mine, *given), expected)


@pytest.mark.parametrize("name, function, options, pair", CASES, ids=IDS)
def test_gradients(real_keras, name, function, options, pair):
    pytest.importorskip("jax")
    inside = np.clip(pair[1], 0.05, 0.95) if pair[1].min() >= 0 else pair[1]
    theirs = jax_gradient(lambda y: getattr(real_keras.losses, name)(**options)(pair[0], y))(inside)
    (mine,) = gradients(lambda y: getattr(losses, name)(**options)(pair[0], y), inside)
    np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name, function, options, pair", CASES, ids=IDS)
def test_configs(real_keras, name, function, options, pair):
    theirs = getattr(real_keras.losses, name)(**options)
    mine = getattr(losses, name)(**options)
    config = real_keras.losses.serialize(theirs)
    assert losses.serialize(mine) == config
    assert mine.name == theirs.name
    again = losses.deserialize(config)
    assert type(again) is type(mine) and again.get_config() == mine.get_config()


@pytest.mark.parametrize(
    "true_shape, pred_shape, weight_shape",
    [
        ((6,), (6, 1), None),
        ((6, 1), (6,), None),
        ((6,), (6,), None),
        ((6, 4), (6, 4), (6, 1)),
        ((6, 4), (6, 4), (6,)),
        ((3, 5, 4), (3, 5, 4), (3, 5)),
        ((3, 5, 4), (3, 5, 4), (3, 1)),
        ((3, 5, 4), (3, 5, 4), (3, 5, 1)),
        ((3, 5), (3, 5, 1), None),
        ((1, 1), (1, 1), (1,)),
        ((0, 4), (0, 4), None),
        ((0, 4), (0, 4), (0,)),
    ],
)
def test_shapes(real_keras, true_shape, pred_shape, weight_shape):
    arrays = [floats(*true_shape), floats(*pred_shape)]
    if weight_shape is not None:
        arrays.append(shares(*weight_shape) if 0 not in weight_shape else floats(*weight_shape))
    for reduction in REDUCTIONS:
        expected = [np.asarray(real_keras.losses.MeanSquaredError(reduction)(*arrays))]
        mine = losses.MeanSquaredError(reduction)
        assert_same(at_once(mine, *arrays), expected)
        # Of a batch whose size is not known an empty one is reduced as well: to 0.
        assert_same(traced(mine, *arrays, batch=0 not in true_shape), expected)


def test_a_weight_per_row_counts_for_all_its_steps():
    """Keras 2's rule; Keras 3 takes it so only where the sizes leave no other way."""
    truth, predicted, weights = floats(3, 3, 4), floats(3, 3, 4), shares(3)
    expected = ((truth - predicted) ** 2).mean(-1) * weights[:, None]
    result = losses.MeanSquaredError("none")(truth, predicted, weights)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_masks(real_keras, reduction, weighted):
    mask = RNG.random((3, 5)) > 0.4
    for kept in (mask, np.zeros_like(mask)):
        predicted = real_keras.ops.convert_to_tensor(STEPS[1])
        real_keras.src.backend.set_keras_mask(predicted, real_keras.ops.convert_to_tensor(kept))
        weights = shares(3, 5) if weighted else None
        loss = real_keras.losses.MeanSquaredError(reduction)
        expected = [np.asarray(loss(STEPS[0], predicted, sample_weight=weights))]

        def mine(truth, predicted, mask, weights=weights):
            predicted.mask = mask
            return losses.MeanSquaredError(reduction)(truth, predicted, weights)

        assert_same(at_once(mine, *STEPS, kept), expected)
        assert_same(traced(mine, *STEPS, kept, batch=not weighted), expected)


def test_names(real_keras):
    names = "mse MSE mae MAE mape MAPE msle MSLE bce BCE kld KLD hinge huber poisson".split()  # noqa: SIM905
    for name in [*names, "mean_squared_error", "categorical_hinge", "log_cosh", "dice"]:
        theirs = real_keras.losses.get(name)
        assert losses.get(name).__name__ == theirs.__name__
        assert losses.serialize(losses.get(name)) == real_keras.losses.serialize(theirs)
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    assert losses.get("kullback_leibler_divergence") is losses.kl_divergence
    assert losses.get(None) is None
    config = {"class_name": "MeanSquaredError", "config": {"reduction": "auto", "name": "mse"}}
    assert losses.get(config).reduction == "sum_over_batch_size"


def test_losses_of_ones_own():
    def cubic(y_true, y_pred):
        return abs(as_tensor(y_true) - y_pred) ** 3

    wrapper = losses.LossFunctionWrapper(cubic, name="cubic", reduction="sum")
    assert float(wrapper([1.0, 2.0], [0.0, 4.0])) == 9
    again = deserialize_keras_object(losses.serialize(wrapper), {"cubic": cubic})
    assert float(again([1.0, 2.0], [0.0, 4.0])) == 9

    class Absolute(losses.Loss):
        def call(self, y_true, y_pred):
            return abs(y_true - y_pred)

    assert Absolute().name == "absolute" or Absolute().name.startswith("absolute_")
    assert float(Absolute()([1.0, 2.0], [0.0, 4.0])) == 1.5
    assert float(Absolute()([1.0, 2.0], [0.0, 4.0], sample_weight=[1.0, 0.0])) == 0.5


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: losses.MeanSquaredError(reduction="avg"), "Received: reduction=avg"),
        (lambda: losses.get("mse_"), "Could not interpret loss identifier: 'mse_'"),
        (lambda: losses.get("crossentropy"), "identifier: 'crossentropy'"),
        (lambda: losses.BinaryCrossentropy()(*STEPS[:1], SIGNED[0]), "same shape"),
        (lambda: losses.SparseCategoricalCrossentropy()(SIGNED[0], SIGNED[1]), "same shape up"),
        (lambda: losses.CategoricalCrossentropy(axis=True)(*CLASSES), "must be of type `int`"),
        (lambda: losses.MeanSquaredError()(SIGNED[0], STEPS[1]), "sizes"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_one_class_is_worth_a_warning():
    with pytest.warns(SyntaxWarning, match="Consider using 'binary_crossentropy'"):
        losses.CategoricalCrossentropy()(np.ones((2, 1)), np.ones((2, 1)))


@pytest.mark.parametrize("run", [lambda call: call, graphc.function], ids=["at once", "compiled"])
def test_classes_that_are_ruled_out(run):
    """Logits of minus infinity, whose logarithm of the probability no other class is charged."""
    logits = np.array([[1, -np.inf, 2], [0.5, 0.25, -np.inf]], "float32")
    labels = np.array([2, 0])

    def slope(x):
        with graphc.GradientTape() as tape:
            tape.watch(x)
            loss = losses.sparse_categorical_crossentropy(labels, x, from_logits=True)
        return loss, tape.gradient(loss, x)

    loss, gradient = run(slope)(graphc.constant(logits))
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(loss, -np.log(shares[[0, 1], labels]), rtol=1e-6)
    np.testing.assert_allclose(gradient, shares - np.eye(3)[labels], atol=1e-6)
