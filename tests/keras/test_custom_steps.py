"""Steps of training, evaluation and prediction that a model defines itself, in compiled `fit`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphc as tf
from graphc import keras as ours
from graphc.keras import ops
from tests.keras.training import WEIGHTS, Case, X, Y, assert_same_logs, assert_trains_alike

OPTIONS = {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"]}
WEIGHTED = {"optimizer": "sgd", "loss": "mse", "weighted_metrics": ["mae"]}


class Linear(ours.Model):
    """A layer; its subclasses train it in different words."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = ours.layers.Dense(1, kernel_regularizer="l2")

    def call(self, inputs):
        return self.dense(inputs)


def plain(k):
    inputs = k.Input((4,))
    return k.Model(inputs, k.layers.Dense(1, kernel_regularizer="l2")(inputs))


# -------------------------------------------------- what fit does already, written out by the user


class ComputeLoss(Linear):
    """Keras 3's guide to customizing `fit`."""

    def train_step(self, data):
        x, y, sample_weight = ours.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred, sample_weight=sample_weight)
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply(gradients, variables)
        return self._measured(x, y, y_pred, sample_weight, loss)

    def test_step(self, data):
        x, y, sample_weight = ours.utils.unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)
        loss = self.compute_loss(y=y, y_pred=y_pred, sample_weight=sample_weight)
        return self._measured(x, y, y_pred, sample_weight, loss)

    def _measured(self, x, y, y_pred, sample_weight, loss):
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=ops.shape(x)[0])
            else:
                metric.update_state(y, y_pred, sample_weight=sample_weight)
        return {metric.name: metric.result() for metric in self.metrics}


class ApplyGradients(ComputeLoss):
    """TensorFlow 2's guide."""

    def train_step(self, data):
        x, y, sample_weight = ours.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compiled_loss(
                y, y_pred, sample_weight=sample_weight, regularization_losses=self.losses
            )
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.compiled_metrics.update_state(y, y_pred, sample_weight)
        rows = ops.cast(ops.shape(x)[0], "float32")
        self.metrics[0].update_state(loss, sample_weight=rows)
        return {metric.name: metric.result() for metric in self.metrics}


class CallsSuper(Linear):
    """A step around the usual one."""

    def train_step(self, data):
        logs = super().train_step(data)
        return {**logs, "penalty": sum(self.losses)}


class OwnTrackers(Linear):
    """The guide's lower level: without anything of `compile`."""

    def __init__(self):
        super().__init__()
        self.loss_tracker = ours.metrics.Mean(name="loss")
        self.error = ours.metrics.MeanAbsoluteError(name="mae")
        self.loss_function = ours.losses.MeanSquaredError()

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.loss_function(y, y_pred) + sum(self.losses)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return self._measured(x, y, y_pred, loss)

    def test_step(self, data):
        x, y = data
        y_pred = self(x, training=False)
        return self._measured(x, y, y_pred, self.loss_function(y, y_pred) + sum(self.losses))

    def _measured(self, x, y, y_pred, loss):
        self.loss_tracker.update_state(loss, sample_weight=tf.shape(x)[0])
        self.error.update_state(y, y_pred)
        return {"loss": self.loss_tracker.result(), "mae": self.error.result()}

    @property
    def metrics(self):
        return [self.loss_tracker, self.error]


def either(cls):
    """Our model with its own step; in Keras the plain one."""
    return lambda k: cls() if k is ours else plain(k)


FIT = {"validation_split": 0.2, "batch_size": 7}
CASES = {
    "compute_loss": Case(either(ComputeLoss), OPTIONS, fit=FIT),
    "sample weights": Case(either(ComputeLoss), WEIGHTED, data=(X, Y, WEIGHTS), fit=FIT),
    "apply_gradients": Case(either(ApplyGradients), OPTIONS, fit=FIT),
    "apply_gradients, weights": Case(
        either(ApplyGradients), WEIGHTED, data=(X, Y, WEIGHTS), fit=FIT
    ),
    "own trackers": Case(
        either(OwnTrackers), lambda k: {"optimizer": "sgd"} if k is ours else OPTIONS, fit=FIT
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_step_written_out_trains_as_keras_does(name, real_keras):
    assert_trains_alike(CASES[name], real_keras)


def fitted(model, options=OPTIONS, **arguments):
    ours.utils.set_random_seed(3)
    model(X[:2])
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape).astype("float32") for w in model.get_weights()])
    model.compile(**options)
    return model.fit(X, Y, epochs=2, verbose=0, shuffle=False, **arguments).history


def test_the_usual_step_may_be_called():
    usual, extended = fitted(Linear()), fitted(CallsSuper())
    assert set(extended) - set(usual) == {"penalty"}
    assert {name: extended[name] for name in usual} == usual


def test_every_way_to_train_uses_the_step():
    class Constant(Linear):
        def train_step(self, data):
            return {"loss": ops.sum(data[0]) * 0 + 3}

        def test_step(self, data):
            return {"loss": ops.sum(data[0]) * 0 + 4, "more": {"inner": ops.max(data[1])}}

        def predict_step(self, data):
            return {"twice": self(data, training=False) * 2, "x": data}

    model = Constant()
    history = fitted(model, validation_data=(X, Y))
    assert history["loss"] == [3, 3] and history["val_loss"] == [4, 4]
    assert model.train_on_batch(X, Y) == 3 and model.test_on_batch(X, Y) == [4, float(Y.max())]
    assert model.evaluate(X, Y, return_dict=True, verbose=0) == {"loss": 4, "inner": Y.max()}
    for predicted in (model.predict(X, batch_size=7, verbose=0), model.predict_on_batch(X)):
        np.testing.assert_allclose(predicted["twice"], 2 * np.asarray(model(X)), rtol=1e-5)
        np.testing.assert_array_equal(predicted["x"], X)


def test_many_steps_are_one_call():
    model = ComputeLoss()
    fitted(model)
    compiled = model._steps.latest("train")
    calls = []
    run_steps = compiled.executable.run_steps
    compiled.executable.run_steps = lambda *a: (calls.append(a[3]), run_steps(*a))[1]
    model.fit(X, Y, batch_size=1, epochs=1, verbose=0)
    assert sum(calls) == 50 and len(calls) <= 4


def test_a_step_has_to_return_results():
    class Forgetful(Linear):
        def train_step(self, data):
            self(data[0])

    with pytest.raises(TypeError, match=r"Forgetful.train_step\(\) has to return a dict"):
        fitted(Forgetful())


# ------------------------------------------------------------------------------- Keras with JAX


def stateless(k, value_and_grad):
    """The guide to customizing `fit` with JAX, for either library."""

    class Model(k.Model):
        def __init__(self):
            super().__init__()
            self.dense = k.layers.Dense(1)
            self.dropout = k.layers.BatchNormalization()

        def call(self, inputs, training=False):
            return self.dense(self.dropout(inputs, training=training))

        def compute_loss_and_updates(self, trainable, others, x, y, training=False):
            y_pred, others = self.stateless_call(trainable, others, x, training=training)
            return self.compute_loss(x, y, y_pred), (y_pred, others)

        def train_step(self, state, data):
            trainable, others, optimizer_variables, metrics_variables = state
            x, y = data
            gradient = value_and_grad(self.compute_loss_and_updates, has_aux=True)
            (loss, (y_pred, others)), gradients = gradient(trainable, others, x, y, training=True)
            trainable, optimizer_variables = self.optimizer.stateless_apply(
                optimizer_variables, gradients, trainable
            )
            logs, after = self._measured(metrics_variables, y, y_pred, loss)
            return logs, (trainable, others, optimizer_variables, after)

        def test_step(self, state, data):
            trainable, others, metrics_variables = state
            x, y = data
            y_pred, others = self.stateless_call(trainable, others, x, training=False)
            loss = self.compute_loss(x, y, y_pred)
            logs, after = self._measured(metrics_variables, y, y_pred, loss)
            return logs, (trainable, others, after)

        def _measured(self, metrics_variables, y, y_pred, loss):
            logs, after = {}, []
            for metric in self.metrics:
                own = metrics_variables[len(after) : len(after) + len(metric.variables)]
                if metric.name == "loss":
                    own = metric.stateless_update_state(own, loss)
                else:
                    own = metric.stateless_update_state(own, y, y_pred)
                logs[metric.name] = metric.stateless_result(own)
                after += own
            return logs, after

    return Model()


def test_steps_that_are_handed_their_state(real_keras):
    both = {ours: tf.value_and_grad, real_keras: jax.value_and_grad}
    models = []
    for k, value_and_grad in both.items():
        model = stateless(k, value_and_grad)
        model(X[:2])
        rng = np.random.default_rng(1)
        weights = [rng.uniform(0.5, 1, w.shape).astype("float32") for w in model.get_weights()]
        model.set_weights(weights)
        model.compile("adam", "mse", metrics=["mae"])
        models.append(model)
    options = {"epochs": 2, "batch_size": 10, "shuffle": False, "verbose": 0}
    first, second = (dict(sorted(m.fit(X, Y, **options).history.items())) for m in models)
    assert_same_logs(first, second)
    for mine, theirs in zip(*[m.get_weights() for m in models], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
    scores = [m.evaluate(X, Y, batch_size=10, verbose=0) for m in models]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4)


def test_stateless_calls_change_nothing():
    model = stateless(ours, tf.value_and_grad)
    model(X[:2])
    before = model.get_weights()
    new = [np.full(v.shape, 0.5, "float32") for v in model.trainable_variables]
    state = [v.numpy() for v in model.non_trainable_variables]
    for call in (model.stateless_call, tf.function(model.stateless_call)):
        y, after = call(new, state, X, training=True)
        assert not np.allclose(after[0], state[0])
        np.testing.assert_allclose(np.std(y, axis=0) > 0, True)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="received 1 values"):
        model.stateless_call(new[:1], state, X)
    with pytest.raises(ValueError, match="must be built"):
        Linear().stateless_call([], [], X)

    optimizer = ours.optimizers.Adam(0.1)
    with pytest.raises(ValueError, match="must be built"):
        optimizer.stateless_apply([], [], [])
    optimizer.build(model.trainable_variables)
    state = [v.numpy() for v in optimizer.variables]
    trained, moved = optimizer.stateless_apply(state, new, new)
    assert int(moved[0]) == 1 and int(optimizer.iterations) == 0
    np.testing.assert_allclose(trained[0], new[0] - 0.1, rtol=1e-5)

    metric = ours.metrics.Mean()
    state = metric.stateless_reset_state()
    for _ in range(2):
        state = metric.stateless_update_state(state, [1.0, 3.0])
    assert float(metric.stateless_result(state)) == 2 and float(metric.result()) == 0


# --------------------------------------------------------------------- models of the Keras guides


def test_an_adversarial_pair(real_keras):
    """Two optimizers and two losses in a step; against the same in JAX, by hand."""
    noise = np.random.default_rng(5).normal(size=(50, 3)).astype("float32")

    class Adversarial(ours.Model):
        def __init__(self):
            super().__init__()
            self.generator = ours.Sequential([ours.Input((3,)), ours.layers.Dense(4)])
            self.discriminator = ours.Sequential([ours.Input((4,)), ours.layers.Dense(1)])
            self.d_tracker = ours.metrics.Mean(name="d_loss")
            self.g_tracker = ours.metrics.Mean(name="g_loss")

        @property
        def metrics(self):
            return [self.d_tracker, self.g_tracker]

        def compile(self, d_optimizer, g_optimizer, loss_fn):
            super().compile()
            self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn

        def train_step(self, data):
            real, noise = data
            batch = tf.shape(real)[0]
            fake = self.generator(noise)
            combined = tf.concat([fake, real], axis=0)
            labels = tf.concat([tf.ones((batch, 1)), tf.zeros((batch, 1))], axis=0)
            with tf.GradientTape() as tape:
                d_loss = self.loss_fn(labels, self.discriminator(combined))
            weights = self.discriminator.trainable_weights
            self.d_optimizer.apply_gradients(
                zip(tape.gradient(d_loss, weights), weights, strict=True)
            )
            with tf.GradientTape() as tape:
                predictions = self.discriminator(self.generator(noise))
                g_loss = self.loss_fn(tf.zeros((batch, 1)), predictions)
            weights = self.generator.trainable_weights
            self.g_optimizer.apply_gradients(
                zip(tape.gradient(g_loss, weights), weights, strict=True)
            )
            self.d_tracker.update_state(d_loss)
            self.g_tracker.update_state(g_loss)
            return {"d_loss": self.d_tracker.result(), "g_loss": self.g_tracker.result()}

    ours.utils.set_random_seed(1)
    model = Adversarial()
    start = [v.numpy() for v in (*model.generator.variables, *model.discriminator.variables)]
    loss_fn = ours.losses.BinaryCrossentropy(from_logits=True)
    model.compile(ours.optimizers.SGD(0.1), ours.optimizers.SGD(0.05), loss_fn)
    history = model.fit(X, noise, batch_size=20, epochs=2, verbose=0, shuffle=False).history

    def entropy(labels, logits):
        return jnp.mean(jnp.maximum(logits, 0) - logits * labels + jnp.log1p(jnp.exp(-abs(logits))))

    def d_loss(d, g, x, z):
        logits = jnp.concatenate([z @ g[0] + g[1], x]) @ d[0] + d[1]
        labels = jnp.concatenate([jnp.ones((len(x), 1)), jnp.zeros((len(x), 1))])
        return entropy(labels, logits)

    def g_loss(g, d, z):
        return entropy(0.0, (z @ g[0] + g[1]) @ d[0] + d[1])

    g, d = start[:2], start[2:]
    expected = {"d_loss": [], "g_loss": []}
    for _ in range(2):
        losses = []
        for i in range(0, 50, 20):
            x, z = X[i : i + 20], noise[i : i + 20]
            first, dd = jax.value_and_grad(d_loss)(d, g, x, z)
            d = [w - 0.1 * dw for w, dw in zip(d, dd, strict=True)]
            second, dg = jax.value_and_grad(g_loss)(g, d, z)
            g = [w - 0.05 * dw for w, dw in zip(g, dg, strict=True)]
            losses.append((first, second))
        for name, values in zip(expected, zip(*losses, strict=True), strict=True):
            expected[name].append(np.mean(values))
    for name in expected:
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-5)
    found = [v.numpy() for v in (*model.generator.variables, *model.discriminator.variables)]
    for mine, theirs in zip(found, [*g, *d], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


class Sampling(ours.layers.Layer):
    """Draws from a normal distribution, and adds its distance from the standard one as a loss."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = ours.random.SeedGenerator(1337)

    def call(self, inputs):
        mean, log_var = inputs
        self.add_loss(-0.5 * ops.mean(1 + log_var - ops.square(mean) - ops.exp(log_var)))
        noise = ours.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_var) * noise


class VariationalAutoencoder(ours.Model):
    """The guide's VAE; its encoder's layer adds a part of the loss."""

    def __init__(self):
        super().__init__()
        inputs = ours.Input((4,))
        hidden = ours.layers.Dense(8, activation="relu")(inputs)
        mean, log_var = (ours.layers.Dense(2)(hidden) for _ in range(2))
        self.encoder = ours.Model(inputs, [mean, log_var, Sampling()([mean, log_var])])
        self.decoder = ours.Sequential([ours.Input((2,)), ours.layers.Dense(4)])
        self.trackers = [ours.metrics.Mean(name=n) for n in ("loss", "kl_loss")]

    @property
    def metrics(self):
        return self.trackers

    def train_step(self, data):
        if isinstance(data, tuple):
            data = data[0]
        with tf.GradientTape() as tape:
            _, _, z = self.encoder(data)
            kl_loss = sum(self.losses)
            loss = tf.reduce_mean(tf.square(data - self.decoder(z))) + kl_loss
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        for tracker, value in zip(self.trackers, (loss, kl_loss), strict=True):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.trackers}


class Distiller(ours.Model):
    """The guide's knowledge distillation: a teacher that stays as it is."""

    def __init__(self):
        super().__init__()
        self.student = ours.Sequential([ours.Input((4,)), ours.layers.Dense(3)])
        self.teacher = ours.Sequential([ours.Input((4,)), ours.layers.Dense(3)])

    def call(self, inputs):
        return self.student(inputs)

    def train_step(self, data):
        x = data
        teacher = self.teacher(x, training=False)
        with tf.GradientTape() as tape:
            student = self.student(x, training=True)
            loss = ours.losses.KLDivergence()(
                ops.softmax(teacher / 3.0, axis=1), ops.softmax(student / 3.0, axis=1)
            )
        gradients = tape.gradient(loss, self.student.trainable_variables)
        self.optimizer.apply(gradients, self.student.trainable_variables)
        return {"loss": loss}


class Contrastive(ours.Model):
    """SimCLR-like: two noisy views of each example, one encoder, called twice."""

    def __init__(self):
        super().__init__()
        self.encoder = ours.Sequential(
            [ours.Input((4,)), ours.layers.GaussianNoise(0.1, seed=3), ours.layers.Dense(5)]
        )

    def train_step(self, data):
        with tf.GradientTape() as tape:
            views = [ops.normalize(self.encoder(data, training=True)) for _ in range(2)]
            similarities = ops.matmul(views[0], ops.transpose(views[1])) / 0.1
            labels = tf.range(tf.shape(data)[0])
            loss = sum(
                ops.mean(
                    ours.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
                )
                for logits in (similarities, ops.transpose(similarities))
            )
        gradients = tape.gradient(loss, self.encoder.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.encoder.trainable_weights, strict=True))
        return {"loss": loss}


class Accumulating(Linear):
    """Gradients are added up; every third step updates with them, within a `cond`."""

    def __init__(self):
        super().__init__()
        self.build((None, 4))
        self.steps = tf.Variable(0, dtype="int32", trainable=False)
        self.sums = [
            tf.Variable(tf.zeros(v.shape), trainable=False) for v in self.dense.trainable_variables
        ]

    def train_step(self, data):
        self.steps.assign_add(1)
        with tf.GradientTape() as tape:
            loss = ops.mean(ops.square(data - self(data)))
        gradients = tape.gradient(loss, self.dense.trainable_variables)
        for total, gradient in zip(self.sums, gradients, strict=True):
            total.assign_add(tf.clip_by_norm(gradient, 1.0))
        tf.cond(tf.equal(self.steps, 3), self.update, lambda: None)
        return {"loss": loss}

    def update(self):
        self.optimizer.apply_gradients(zip(self.sums, self.dense.trainable_variables, strict=True))
        self.steps.assign(0)
        for total in self.sums:
            total.assign(tf.zeros_like(total))


@pytest.mark.parametrize("cls", [VariationalAutoencoder, Distiller, Contrastive, Accumulating])
def test_the_compiled_step_is_the_step(cls):
    """`fit` gives the weights and results that calling the step on each batch gives."""
    ways = []
    for compiled in (True, False):
        ours.utils.set_random_seed(1)
        model = cls()
        model.compile(optimizer=ours.optimizers.Adam(0.01))
        model.optimizer.build(model.trainable_variables)
        if compiled:
            history = model.fit(X, batch_size=10, epochs=2, verbose=0, shuffle=False).history
        else:
            history = {}
            for _ in range(2):
                model.reset_metrics()
                for i in range(0, 50, 10):
                    logs = model.train_step(tf.constant(X[i : i + 10]))
                for name, value in logs.items():
                    history.setdefault(name, []).append(float(value))
        ways.append((dict(sorted(history.items())), [v.numpy() for v in model.variables]))
    (first, weights), (second, others) = ways
    assert_same_logs(first, second)
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_losses_of_layers_called_by_themselves():
    model = VariationalAutoencoder()
    assert model.losses == []
    model.encoder(X)
    assert len(model.losses) == len(model.encoder.losses) == 1
    model.encoder(X)
    assert len(model.losses) == 1
    model.compile("sgd")
    kept = model.losses
    model.fit(X, verbose=0)
    assert len(model.losses) == 1 and model.losses[0] is kept[0]


def test_metrics_that_a_call_adds():
    class Watched(ours.layers.Layer):
        def call(self, inputs):
            self.add_metric(ops.max(inputs), name="largest")
            return inputs

    model = ours.Sequential([ours.Input((4,)), Watched(), ours.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(X, Y, batch_size=25, epochs=2, verbose=0, shuffle=False).history
    expected = (X[:25].max() + X[25:].max()) / 2
    assert history["largest"] == pytest.approx([expected] * 2)
    scores = model.evaluate(X, Y, batch_size=50, return_dict=True, verbose=0)
    assert scores["largest"] == pytest.approx(X.max())


def test_methods_of_models_may_be_decorated():
    class Decorated(ComputeLoss):
        @tf.function
        def call(self, inputs, training=False):
            return super().call(inputs) * (2.0 if training else 1.0)

        @tf.function
        def train_step(self, data):
            return super().train_step(data)

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32)])
        def serve(self, rows):
            return {"rows": self(rows)}

    model = Decorated()
    assert set(fitted(model)) == {"loss", "mae"}
    np.testing.assert_allclose(model.serve(X)["rows"], model.predict(X, verbose=0), rtol=1e-5)
    np.testing.assert_allclose(model(X, training=True), 2 * np.asarray(model(X)), rtol=1e-6)
    assert len(model.variables) == 2 and [layer.name for layer in model.layers]
    assert set(model.train_step((tf.constant(X), tf.constant(Y)))) == {"loss", "compile_metrics"}
