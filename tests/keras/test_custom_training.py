"""Losses, metrics, layers and models that users write, in training; against Keras."""

import numpy as np
import pytest

from graphc import keras as ours
from graphc.keras import ops
from tests.keras.training import (
    CLASSES,
    Case,
    X,
    Y,
    assert_trains_alike,
    make_both,
)


def linear(k):
    return k.Sequential([k.Input((4,)), k.layers.Dense(1)])


def functions(k):
    def largest_error(y_true, y_pred):
        return k.ops.max(k.ops.abs(y_true - y_pred), axis=-1)

    def log_cosh(y_true, y_pred):
        return k.ops.log(k.ops.cosh(y_pred - y_true))

    return {"optimizer": "sgd", "loss": log_cosh, "metrics": [largest_error]}


def classes(k):
    class Huber(k.losses.Loss):
        def __init__(self, threshold=1.0, **kwargs):
            super().__init__(**kwargs)
            self.threshold = threshold

        def call(self, y_true, y_pred):
            error = k.ops.abs(y_true - y_pred)
            linear = self.threshold * error - self.threshold**2 / 2
            return k.ops.where(error < self.threshold, error**2 / 2, linear)

    class Largest(k.metrics.Metric):
        def __init__(self, name="largest", **kwargs):
            super().__init__(name=name, **kwargs)
            self.largest = self.add_variable((), "zeros", name="largest")

        def update_state(self, y_true, y_pred, sample_weight=None):
            error = k.ops.max(k.ops.abs(y_true - y_pred))
            self.largest.assign(k.ops.maximum(self.largest.value, error))

        def result(self):
            return self.largest.value

    return {"optimizer": "sgd", "loss": Huber(0.5), "metrics": [Largest()]}


def own_loss(k):
    class Model(k.Model):
        def __init__(self):
            super().__init__()
            self.dense = k.layers.Dense(1, kernel_regularizer="l2")
            self.loss_tracker = k.metrics.Mean(name="loss")

        def call(self, inputs):
            return self.dense(inputs)

        def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
            loss = k.ops.mean(k.ops.square(y_pred - y)) + sum(self.losses)
            self.loss_tracker.update_state(loss)
            return loss

        def reset_metrics(self):
            self.loss_tracker.reset_state()

        @property
        def metrics(self):
            return [self.loss_tracker]

    return Model()


def more_metrics(k):
    class Model(k.Model):
        def __init__(self):
            super().__init__()
            self.dense = k.layers.Dense(1)
            self.spread = k.metrics.Mean(name="spread")

        def call(self, inputs):
            return self.dense(inputs)

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            results = super().compute_metrics(x, y, y_pred, sample_weight)
            self.spread.update_state(k.ops.std(y_pred))
            results["spread"] = self.spread.result()
            results["last"] = k.ops.max(y_pred)
            return results

    return Model()


def penalty_in_the_model(k):
    class Model(k.Model):
        def __init__(self):
            super().__init__()
            self.dense = k.layers.Dense(3, activity_regularizer="l2")
            self.out = k.layers.Dense(1)

        def call(self, inputs, training=False):
            hidden = self.dense(inputs)
            if training:
                hidden = hidden * 0.5
            self.add_loss(0.1 * k.ops.mean(hidden))
            return self.out(hidden)

    return Model()


def autoencoder_without_targets(k):
    class Distance(k.layers.Layer):
        def call(self, inputs):
            x, decoded = inputs
            self.add_loss(k.ops.mean(k.ops.square(x - decoded)))
            return decoded

    x = k.Input((4,))
    decoded = k.layers.Dense(4)(k.layers.Dense(2)(x))
    return k.Model(x, Distance()([x, decoded]))


SGD = {"optimizer": "sgd", "loss": "mse"}
CASES = {
    "functions": Case(linear, functions),
    "classes": Case(linear, classes),
    "compute_loss": Case(own_loss, {"optimizer": "sgd"}),
    "compute_metrics": Case(more_metrics, {**SGD, "metrics": ["mae"]}, fit={"batch_size": 25}),
    "add_loss": Case(penalty_in_the_model, SGD, fit={"validation_split": 0.2}),
    "flags": Case(
        linear, {**SGD, "run_eagerly": True, "steps_per_execution": 1, "jit_compile": False}
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_trains_as_keras_does(name, real_keras):
    assert_trains_alike(CASES[name], real_keras)


def test_added_losses_are_means_over_all_rows(real_keras):
    mine, theirs = assert_trains_alike(CASES["add_loss"], real_keras)
    scores = [mine.evaluate(X, Y, batch_size=size, verbose=0) for size in (7, 16, len(X))]
    np.testing.assert_allclose(scores, scores[0], rtol=1e-6)


def test_losses_may_come_from_layers_alone(real_keras):
    case = Case(autoencoder_without_targets, {"optimizer": "sgd"}, (X,), score=lambda: None)
    assert_trains_alike(case, real_keras)


def test_losses_of_a_call_that_computes_at_once(real_keras):
    mine, theirs = make_both(Case(penalty_in_the_model, SGD), real_keras)
    found = []
    for model in (mine, theirs):
        model(X)
        found.append(sorted(float(loss) for loss in model.losses))
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_what_depends_on_data_is_refused_with_the_users_line():
    class Model(ours.Model):
        def __init__(self):
            super().__init__()
            self.dense = ours.layers.Dense(1)

        def call(self, inputs):
            if ops.sum(inputs) > 0:
                return self.dense(inputs)
            return inputs

    model = Model()
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match=r"test_custom_training.py:\d+.*keras.ops.where"):
        model.fit(X, Y, verbose=0)


def test_a_metric_may_have_several_results():
    class Ends(ours.metrics.Metric):
        def __init__(self):
            super().__init__(name="ends")
            self.low = self.add_variable((), "zeros", name="low")
            self.per_class = self.add_variable((3,), "zeros", name="per_class")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.low.assign(ops.minimum(self.low, ops.min(y_pred)))
            self.per_class.assign_add(ops.sum(ops.one_hot(y_true, 3), axis=0))

        def result(self):
            return {"low": self.low, "per_class": self.per_class}

    model = ours.Sequential([ours.Input((4,)), ours.layers.Dense(3)])
    loss = ours.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=[Ends()])
    logs = model.fit(X, CLASSES, verbose=0).history
    assert set(logs) == {"loss", "low", "per_class"}
    assert (logs["per_class"][0] == np.bincount(CLASSES)).all()
    assert set(model.evaluate(X, CLASSES, verbose=0, return_dict=True)) == set(logs)


def test_layers_may_bring_metrics():
    class Watched(ours.layers.Layer):
        def __init__(self):
            super().__init__()
            self.size = ours.metrics.Mean(name="size")

        def call(self, inputs):
            self.size.update_state(ops.abs(inputs))
            return inputs

    model = ours.Sequential([ours.Input((4,)), Watched(), ours.layers.Dense(1)])
    model.compile("sgd", "mse")
    logs = model.fit(X, Y, epochs=2, verbose=0).history
    assert logs["size"] == pytest.approx([abs(X).mean()] * 2, rel=1e-5)
    assert [metric.name for metric in model.metrics] == ["loss", "compile_metrics", "size"]


def test_a_sequential_model_may_grow_and_shrink_after_it_ran():
    model = linear(ours)
    assert model.predict(X, verbose=0).shape == (50, 1)
    model.add(ours.layers.Dense(3))
    assert model.predict(X, verbose=0).shape == (50, 3)
    model.compile("sgd", "mse")
    model.fit(X, X[:, :3], verbose=0)
    model.pop()
    assert model.predict(X, verbose=0).shape == (50, 1)


def test_the_backend_may_be_chosen(real_keras):
    model = linear(ours)
    model.compile("sgd", "mse")
    expected = model.evaluate(X, Y, verbose=0)
    model.compile("sgd", "mse", backend="reference")
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(expected, rel=1e-6)
    assert type(model._steps.latest("evaluate").executable).__name__ == "ReferenceExecutable"


def test_programs_can_be_looked_at():
    model = linear(ours)
    with pytest.raises(ValueError, match=r"pass a batch, as in model.lower"):
        model.lower("predict")
    with pytest.raises(RuntimeError, match="has to be compiled"):
        model.lower("train", (X, Y))
    model.compile("sgd", "mse")
    text = model.lower("train", (X, Y)).as_text()
    assert "batch" in text and "MatMul" in text or "Einsum" in text
    with pytest.raises(ValueError, match='takes "train", "evaluate" or "predict"'):
        model.lower("training")
