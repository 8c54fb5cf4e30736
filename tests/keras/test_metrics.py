"""keras.metrics against Keras on JAX: batches, weights, compiled; configs and names."""

import warnings

import numpy as np
import pytest

from graphc import runtime
from graphc.eager import Trace, as_tensor
from graphc.ir import TensorType
from graphc.ir.dims import symbol
from graphc.keras import metrics, ops

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


def shares(*shape):
    values = np.round(RNG.random(shape), 2).astype("float32")  # some lie on thresholds
    values.flat[:2] = 0, 1
    return values


def labels(*shape, classes=2):
    return RNG.integers(0, classes, shape).astype("int32")


def batches(make):
    return [make(size) for size in (8, 8, 5)]


NUMBERS = batches(lambda n: (floats(n, 3), floats(n, 3)))
POSITIVE = batches(lambda n: (np.abs(floats(n, 3)), np.abs(floats(n, 3))))
VECTOR = batches(lambda n: (labels(n).astype("float32"), shares(n)))
COLUMN = batches(lambda n: (labels(n, 1).astype("float32"), shares(n, 1)))
BINARY = batches(lambda n: (labels(n, 4).astype("float32"), shares(n, 4)))
ONE_HOT = batches(lambda n: (np.eye(4, dtype="float32")[labels(n, classes=4)], shares(n, 4)))
SPARSE = batches(lambda n: (labels(n, classes=4), shares(n, 4)))
SPARSE_COLUMN = batches(lambda n: (labels(n, 1, classes=4), floats(n, 4)))
STEPS = batches(lambda n: (labels(n, 5, classes=4), floats(n, 5, 4)))
MAPS = batches(lambda n: (labels(n, 6, classes=3), labels(n, 6, classes=3)))
HOT_MAPS = batches(lambda n: (np.eye(3, dtype="float32")[labels(n, 6, classes=3)], shares(n, 6, 3)))
EQUAL = batches(lambda n: (labels(n, 2), labels(n, 2)))

#: class, arguments, batches of y_true and y_pred
CASES = [
    ("Accuracy", {}, EQUAL),
    ("BinaryAccuracy", {}, COLUMN),
    ("BinaryAccuracy", {"threshold": 0.3}, BINARY),
    ("BinaryAccuracy", {}, VECTOR),
    ("CategoricalAccuracy", {}, ONE_HOT),
    ("SparseCategoricalAccuracy", {}, SPARSE),
    ("SparseCategoricalAccuracy", {}, SPARSE_COLUMN),
    ("SparseCategoricalAccuracy", {}, STEPS),
    ("TopKCategoricalAccuracy", {"k": 2}, ONE_HOT),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, SPARSE),
    ("MeanSquaredError", {}, NUMBERS),
    ("MeanAbsoluteError", {}, NUMBERS),
    ("MeanAbsolutePercentageError", {}, NUMBERS),
    ("MeanSquaredLogarithmicError", {}, POSITIVE),
    ("RootMeanSquaredError", {}, NUMBERS),
    ("LogCoshError", {}, NUMBERS),
    ("CosineSimilarity", {}, NUMBERS),
    ("R2Score", {}, NUMBERS),
    ("R2Score", {"class_aggregation": None}, NUMBERS),
    ("R2Score", {"class_aggregation": "variance_weighted_average"}, NUMBERS),
    ("R2Score", {"num_regressors": 2}, NUMBERS),
    ("PearsonCorrelation", {}, NUMBERS),
    ("ConcordanceCorrelation", {}, NUMBERS),
    ("KLDivergence", {}, BINARY),
    ("Poisson", {}, POSITIVE),
    ("BinaryCrossentropy", {}, BINARY),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, BINARY),
    ("CategoricalCrossentropy", {}, ONE_HOT),
    ("SparseCategoricalCrossentropy", {}, SPARSE),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, STEPS),
    ("Hinge", {}, BINARY),
    ("SquaredHinge", {}, BINARY),
    ("CategoricalHinge", {}, ONE_HOT),
    ("TruePositives", {}, VECTOR),
    ("TrueNegatives", {}, BINARY),
    ("FalsePositives", {"thresholds": 0.25}, COLUMN),
    ("FalseNegatives", {"thresholds": [0.2, 0.7]}, BINARY),
    ("Precision", {}, VECTOR),
    ("Precision", {"thresholds": [0.0, 0.5, 1.0]}, BINARY),
    ("Precision", {"top_k": 2}, ONE_HOT),
    ("Precision", {"class_id": 1}, BINARY),
    ("Recall", {}, COLUMN),
    ("Recall", {"top_k": 2, "class_id": 3}, ONE_HOT),
    ("Recall", {"thresholds": [0.3, 0.5]}, BINARY),
    ("SensitivityAtSpecificity", {"specificity": 0.5, "num_thresholds": 7}, VECTOR),
    ("SpecificityAtSensitivity", {"sensitivity": 0.5}, BINARY),
    ("PrecisionAtRecall", {"recall": 0.5}, VECTOR),
    ("RecallAtPrecision", {"precision": 0.4, "num_thresholds": 1}, VECTOR),
    ("AUC", {}, VECTOR),
    ("AUC", {"curve": "PR"}, COLUMN),
    ("AUC", {"curve": "PRGAIN"}, VECTOR),
    ("AUC", {"curve": "PR", "summation_method": "minoring", "num_thresholds": 5}, BINARY),
    ("AUC", {"summation_method": "majoring", "thresholds": [0.1, 0.5, 0.6]}, BINARY),
    ("AUC", {"multi_label": True}, BINARY),
    ("AUC", {"multi_label": True, "curve": "PR", "num_labels": 4}, BINARY),
    ("AUC", {"from_logits": True}, VECTOR),
    ("F1Score", {}, ONE_HOT),
    ("F1Score", {"average": "micro", "threshold": 0.4}, BINARY),
    ("F1Score", {"average": "macro"}, ONE_HOT),
    ("FBetaScore", {"average": "weighted", "beta": 2.0}, ONE_HOT),
    ("IoU", {"num_classes": 3, "target_class_ids": [0, 2]}, MAPS),
    ("MeanIoU", {"num_classes": 3}, MAPS),
    ("MeanIoU", {"num_classes": 3, "ignore_class": 1}, MAPS),
    ("MeanIoU", {"num_classes": 2}, MAPS),
    ("BinaryIoU", {}, BINARY),
    ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.3}, BINARY),
    ("OneHotIoU", {"num_classes": 3, "target_class_ids": [0, 1]}, HOT_MAPS),
    ("OneHotMeanIoU", {"num_classes": 3}, HOT_MAPS),
]
IDS = [f"{name}-{i}" for i, (name, _, _) in enumerate(CASES)]

#: Metrics that take one weight per row only where rows are what they count.
PER_PLACE = ("IoU", "MeanIoU", "BinaryIoU", "OneHotIoU", "OneHotMeanIoU")


def weights_for(name, batch):
    y_true, y_pred = batch
    if name in PER_PLACE:
        shape = y_pred.shape[:-1] if name.startswith("OneHot") else y_pred.shape
        return labels(*shape, classes=3).astype("float32")
    if y_pred.ndim == 3:
        return shares(*y_pred.shape[:2])
    return shares(len(y_true))


def expected_of(real_keras, name, options, data, weights):
    metric = getattr(real_keras.metrics, name)(**options)
    results = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for (y_true, y_pred), weight in zip(data, weights, strict=True):
            metric.update_state(y_true, y_pred, sample_weight=weight)
            results.append(np.asarray(metric.result()))
    return metric, results


def run_traced(metric, data, weights):
    """Each batch through a compiled program whose batch size is open."""

    def type_of(array):
        return TensorType((symbol("batch"), *array.shape[1:]), array.dtype.name)

    with Trace("evaluate") as trace:
        names = ("y_true", "y_pred", "weight")
        arrays = [*data[0], *([] if weights[0] is None else [weights[0]])]
        inputs = [trace.input(n, type_of(a)) for n, a in zip(names, arrays, strict=False)]
        metric.update_state(*inputs)
        result = as_tensor(metric.result())
        program, variables = trace.program({"result": result})
    executable = runtime.compile(program, "reference")
    state = {name: variable.array for name, variable in variables.items()}
    for array, variable in zip(state.values(), variables.values(), strict=True):
        assert array is variable.array
    results = []
    for batch, weight in zip(data, weights, strict=True):
        arrays = [*batch, *([] if weight is None else [weight])]
        named = dict(zip(names, arrays, strict=False))
        results.append(executable.run(named, state)["result"])
    return results


@pytest.mark.parametrize("name, options, data", CASES, ids=IDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_batches(real_keras, name, options, data, weighted):
    weights = [weights_for(name, batch) if weighted else None for batch in data]
    theirs, expected = expected_of(real_keras, name, options, data, weights)
    mine = getattr(metrics, name)(**options)
    for (y_true, y_pred), weight, result in zip(data, weights, expected, strict=True):
        mine.update_state(y_true, y_pred, sample_weight=weight)
        np.testing.assert_allclose(np.asarray(mine.result()), result, rtol=2e-5, atol=1e-6)
    # The state is what Keras keeps, so that files fit.
    assert [v.name for v in mine.variables] == [v.name for v in theirs.variables]
    for own, other in zip(mine.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(own.numpy(), np.asarray(other), rtol=2e-5, atol=1e-5)
    mine.reset_state()
    assert all(not variable.numpy().any() for variable in mine.variables)
    traced = run_traced(getattr(metrics, name)(**options), data, weights)
    for own, other in zip(traced, expected, strict=True):
        np.testing.assert_allclose(own, other, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name, options, data", CASES, ids=IDS)
def test_configs(real_keras, name, options, data):
    theirs = getattr(real_keras.metrics, name)(**options, name="mine")
    mine = getattr(metrics, name)(**options, name="mine")
    config = real_keras.metrics.serialize(theirs)
    own = metrics.serialize(mine)
    assert own == config
    again = metrics.deserialize(config)
    assert type(again) is type(mine) and again.get_config() == mine.get_config()
    real_keras.metrics.deserialize(own)
    default = getattr(metrics, name)(**options).name
    assert default.rsplit("_", 1)[0] in getattr(real_keras.metrics, name)(**options).name


def test_means_and_sums(real_keras):
    for name in ("Mean", "Sum"):
        for weight in (None, 2.0, np.array([1.0, 0.0, 2.0], "float32")):
            theirs, mine = getattr(real_keras.metrics, name)(), getattr(metrics, name)()
            for values in (floats(3), floats(3, 2), np.float32(4)):
                if values.ndim == 0 and isinstance(weight, np.ndarray):
                    continue
                theirs.update_state(values, sample_weight=weight)
                mine.update_state(values, sample_weight=weight)
            np.testing.assert_allclose(float(mine.result()), float(theirs.result()), rtol=1e-5)


def test_auc_with_weighted_labels(real_keras):
    options = {"multi_label": True, "label_weights": [1.0, 2.0, 0.0, 0.5]}
    weights = [None] * len(BINARY)
    _, expected = expected_of(real_keras, "AUC", options, BINARY, weights)
    mine = metrics.AUC(**options)
    for (y_true, y_pred), result in zip(BINARY, expected, strict=True):
        mine.update_state(y_true, y_pred)
        np.testing.assert_allclose(float(mine.result()), result, rtol=1e-5)
    assert metrics.deserialize(metrics.serialize(mine)).label_weights == options["label_weights"]


def test_nothing_seen_yet():
    assert float(metrics.Mean().result()) == 0
    assert float(metrics.Precision().result()) == 0
    assert float(metrics.AUC().result()) == 0
    with pytest.raises(ValueError, match="call update_state"):
        metrics.F1Score().result()


def test_masks(real_keras):
    y_true, y_pred = STEPS[0]
    mask = RNG.random((8, 5)) > 0.5
    theirs = real_keras.metrics.SparseCategoricalAccuracy()
    predicted = real_keras.ops.convert_to_tensor(y_pred)
    real_keras.src.backend.set_keras_mask(predicted, real_keras.ops.convert_to_tensor(mask))
    theirs.update_state(y_true, predicted)
    mine = metrics.SparseCategoricalAccuracy()
    tensor = as_tensor(y_pred)
    tensor.mask = as_tensor(mask)
    mine.update_state(y_true, tensor)
    np.testing.assert_allclose(float(mine.result()), float(theirs.result()), rtol=1e-6)


def test_a_metric_of_ones_own():
    class Largest(metrics.Metric):
        def __init__(self, name="largest", **kwargs):
            super().__init__(name=name, **kwargs)
            self.largest = self.add_weight(shape=(), initializer="zeros", name="value")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.largest.assign(ops.maximum(self.largest, ops.max(ops.abs(y_true - y_pred))))

        def result(self):
            return self.largest

    expected = [np.abs(y_true - y_pred).max() for y_true, y_pred in NUMBERS]
    expected = np.maximum.accumulate(expected)
    mine = Largest()
    for batch, value in zip(NUMBERS, expected, strict=True):
        np.testing.assert_allclose(float(mine(*batch)), value, rtol=1e-6)
    traced = run_traced(Largest(), NUMBERS, [None] * 3)
    np.testing.assert_allclose(traced, expected, rtol=1e-6)


def test_names(real_keras):
    for name in "mse MSE mae MAE mape msle bce auc AUC precision mean_io_u Recall".split():  # noqa: SIM905
        if name == "mean_io_u":
            continue
        theirs = real_keras.metrics.get(name)
        assert type(metrics.get(name)).__name__ == type(theirs).__name__
    for name in ("mean_squared_error", "sparse_categorical_accuracy", "cosine_similarity"):
        assert type(metrics.get(name)) is type(
            metrics.get("".join(p.title() for p in name.split("_")))
        )
    assert metrics.get(None) is None
    assert metrics.get(metrics.AUC).name.startswith("auc")
    assert metrics.mean_squared_error([[1.0]], [[3.0]]).shape == (1,)


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: metrics.get("accurcy"), "Did you mean 'accuracy'"),
        (lambda: metrics.get(5), "Could not interpret metric identifier: 5"),
        (lambda: metrics.Precision(thresholds=2), "must be in \\[0, 1\\]. Received: \\[2.0\\]"),
        (lambda: metrics.AUC(curve="ROCK"), 'value "ROCK". Expected one of: ROC, PR, PRGAIN'),
        (lambda: metrics.AUC(summation_method="sum"), "Invalid `summation_method`"),
        (lambda: metrics.AUC(num_thresholds=1), "must be an integer > 1"),
        (lambda: metrics.AUC(num_labels=3), "only when `multi_label` is True"),
        (lambda: metrics.AUC(multi_label=True).update_state([1.0], [0.5]), "must have rank 2"),
        (lambda: metrics.Recall(class_id=1).update_state([1.0], [0.5]), "must be a 2D array"),
        (lambda: metrics.PrecisionAtRecall(1.5), "`recall` must be in the range"),
        (lambda: metrics.RecallAtPrecision(0.5, num_thresholds=0), "must be an integer > 0"),
        (lambda: metrics.R2Score(class_aggregation="sum"), "class_aggregation=sum"),
        (lambda: metrics.R2Score(num_regressors=-1), "Expected a value >= 0"),
        (lambda: metrics.R2Score().update_state([1.0], [2.0]), "R2Score expects 2D inputs"),
        (lambda: metrics.F1Score(average="all"), "average=all"),
        (lambda: metrics.FBetaScore(beta=0.0), "Python float > 0"),
        (lambda: metrics.F1Score(threshold=2.0), "threshold=2.0"),
        (lambda: metrics.F1Score().update_state([1.0], [2.0]), "expects 2D inputs"),
        (lambda: metrics.IoU(2, [0, 2]), "Target class id 2 is out of range"),
        (lambda: metrics.BinaryAccuracy(threshold=1.5), "threshold=1.5"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()
