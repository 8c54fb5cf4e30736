"""keras.optimizers against Keras on JAX: five steps, at once and traced; state, configs, errors."""

import numpy as np
import pytest

from graphc import runtime
from graphc.eager import Trace, Variable
from graphc.ir import TensorType
from graphc.keras import constraints, ops, optimizers
from graphc.keras.optimizers import schedules

RNG = np.random.default_rng(0)
SHAPES = ((3, 4), (5,), ())
STARTS = [RNG.normal(size=shape).astype("float32") for shape in SHAPES]
GRADIENTS = [
    [np.asarray(RNG.normal(size=shape)).astype("float32") * scale for shape in SHAPES]
    for scale in (1, 0.1, 10, 1, 0)
]

CASES = [
    ("SGD", {}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"momentum": 0.5, "weight_decay": 0.01}),
    ("RMSprop", {}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "rho": 0.8}),
    ("Adam", {}),
    ("Adam", {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.1, "learning_rate": 0.05}),
    ("Adagrad", {"learning_rate": 0.1}),
    ("Adagrad", {"initial_accumulator_value": 0.5, "epsilon": 1e-3}),
    ("Adadelta", {}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.8}),
    ("Adamax", {}),
    ("Nadam", {}),
    ("Nadam", {"learning_rate": 0.1, "beta_1": 0.8}),
    ("Ftrl", {}),
    (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "learning_rate_power": -0.7,
            "l1_regularization_strength": 0.2,
            "l2_regularization_strength": 0.1,
            "l2_shrinkage_regularization_strength": 0.3,
            "beta": 0.1,
        },
    ),
    ("Lion", {}),
    ("Lion", {"learning_rate": 0.1, "beta_1": 0.7, "weight_decay": 0.1}),
    ("SGD", {"learning_rate": 0.1, "clipnorm": 0.5}),
    ("SGD", {"learning_rate": 0.1, "clipvalue": 0.3}),
    ("Adam", {"learning_rate": 0.1, "global_clipnorm": 1.0}),
    ("Adam", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.7}),
    ("SGD", {"learning_rate": 0.1, "use_ema": True, "ema_overwrite_frequency": 2}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "gradient_accumulation_steps": 2}),
    ("Adam", {"learning_rate": 0.1, "gradient_accumulation_steps": 2, "clipnorm": 1.0}),
    ("SGD", {"learning_rate": 0.1, "loss_scale_factor": 4.0}),
]
IDS = [f"{name}-{i}" for i, (name, _) in enumerate(CASES)]


def variables_and(optimizer):
    names = ("dense/kernel", "dense/bias", "scale")
    variables = [Variable(start, name=name) for start, name in zip(STARTS, names, strict=True)]
    optimizer.build(variables)
    return variables


def steps_of_keras(real_keras, name, options, constraint=None, steps=5):
    optimizer = getattr(real_keras.optimizers, name)(**options)
    variables = [real_keras.Variable(start, name="v") for start in STARTS]
    if constraint is not None:
        variables[0].constraint = getattr(real_keras.constraints, constraint)()
    optimizer.build(variables)
    history = []
    for step in range(steps):
        optimizer.apply([real_keras.ops.convert_to_tensor(g) for g in GRADIENTS[step]])
        history.append([np.asarray(v) for v in variables])
    return optimizer, variables, history


def steps_at_once(optimizer, variables, steps=5):
    history = []
    for step in range(steps):
        optimizer.apply(GRADIENTS[step], variables)
        history.append([variable.numpy() for variable in variables])
    return history


def steps_traced(optimizer, variables, steps=5):
    with Trace("train") as trace:
        gradients = [
            trace.input(f"g{i}", TensorType(shape, "float32")) for i, shape in enumerate(SHAPES)
        ]
        optimizer.apply(gradients, variables)
        program, state = trace.program({"done": ops.zeros(())})
    executable = runtime.compile(program, "reference")
    history = []
    for step in range(steps):
        data = {f"g{i}": gradient for i, gradient in enumerate(GRADIENTS[step])}
        executable.run(data, {name: variable.array for name, variable in state.items()})
        history.append([variable.numpy() for variable in variables])
    return history


def assert_close(received, expected):
    for mine, theirs in zip(received, expected, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name, options", CASES, ids=IDS)
@pytest.mark.parametrize("run", [steps_at_once, steps_traced])
def test_five_steps(real_keras, name, options, run):
    theirs, _, expected = steps_of_keras(real_keras, name, options)
    mine = getattr(optimizers, name)(**options)
    variables = variables_and(mine)
    assert_close(run(mine, variables), expected)
    assert int(mine.iterations) == int(theirs.iterations)
    assert len(mine.variables) == len(theirs.variables)
    state = [[np.asarray(v) for v in optimizer.variables] for optimizer in (mine, theirs)]
    assert_close([state[0]], [state[1]])


@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_configs_and_state(real_keras, name, options):
    theirs, _, _ = steps_of_keras(real_keras, name, {**options, "name": "mine"}, steps=1)
    mine = getattr(optimizers, name)(**options, name="mine")
    variables = variables_and(mine)
    config = real_keras.optimizers.serialize(theirs)
    assert optimizers.serialize(mine) == config
    again = optimizers.deserialize(config)
    assert again.get_config() == mine.get_config()
    real_keras.optimizers.deserialize(optimizers.serialize(mine))
    for own, other in zip(mine.variables, theirs.variables, strict=True):
        assert own.shape == tuple(other.shape)
        assert own.dtype == other.dtype
        if not other.name.startswith("variable"):  # a number that counts over the process
            assert own.name.split("_")[-1] == other.name.split("_")[-1]
    # State goes from one to the other.
    store = {}
    theirs.save_own_variables(store)
    mine.load_own_variables(store)
    for variable, value in zip(variables, STARTS, strict=True):
        variable.assign(value)
    steps_at_once(mine, variables, 1)
    for own, other in zip(mine.get_weights(), mine.variables, strict=True):
        np.testing.assert_array_equal(own, other.numpy())
    mine.set_weights(mine.get_weights())


def test_names_of_the_state(real_keras):
    optimizer = optimizers.Adam(name="adam")
    kernel = Variable(np.zeros((2, 2), "float32"), name="kernel")
    kernel.path = "sequential/dense/kernel"
    optimizer.build([kernel])
    assert [v.path for v in optimizer.variables] == [
        "adam/iteration",
        "adam/learning_rate",
        "adam/sequential_dense_kernel_momentum",
        "adam/sequential_dense_kernel_velocity",
    ]


def test_constraints_hold_after_the_step(real_keras):
    _, _, expected = steps_of_keras(real_keras, "SGD", {"learning_rate": 0.5}, "NonNeg")
    for run in (steps_at_once, steps_traced):
        optimizer = optimizers.SGD(0.5)
        variables = variables_and(optimizer)
        variables[0].constraint = constraints.NonNeg()
        assert_close(run(optimizer, variables), expected)
        assert (variables[0].numpy() >= 0).all()


def test_the_learning_rate_is_read_by_the_program():
    optimizer = optimizers.SGD(1.0)
    variable = Variable(np.zeros(2, "float32"), name="w")
    optimizer.build([variable])
    with Trace("train") as trace:
        gradient = trace.input("g", TensorType((2,), "float32"))
        optimizer.apply([gradient], [variable])
        program, state = trace.program({"done": ops.zeros(())})
    executable = runtime.compile(program, "reference")
    arrays = {name: variable.array for name, variable in state.items()}
    executable.run({"g": np.ones(2, "float32")}, arrays)
    optimizer.learning_rate = 0.5
    executable.run({"g": np.ones(2, "float32")}, arrays)
    optimizer.lr = 0.25
    executable.run({"g": np.ones(2, "float32")}, arrays)
    np.testing.assert_allclose(variable.numpy(), -1.75)
    assert float(optimizer.learning_rate) == 0.25
    assert float(optimizer.lr) == 0.25


def test_weight_decay_leaves_out_what_is_named(real_keras):
    theirs = real_keras.optimizers.AdamW(0.1, weight_decay=0.5)
    names = ("kernel", "bias", "scale")
    others = [real_keras.Variable(s, name=n) for s, n in zip(STARTS, names, strict=True)]
    theirs.exclude_from_weight_decay(var_list=[others[2]], var_names=["bia"])
    theirs.build(others)
    theirs.apply([real_keras.ops.convert_to_tensor(g) for g in GRADIENTS[0]])
    mine = optimizers.AdamW(0.1, weight_decay=0.5)
    variables = [Variable(s, name=n) for s, n in zip(STARTS, names, strict=True)]
    mine.exclude_from_weight_decay(var_list=[variables[2]], var_names=["bia"])
    mine.apply(GRADIENTS[0], variables)
    assert_close([[v.numpy() for v in variables]], [[np.asarray(v) for v in others]])
    with pytest.raises(ValueError, match="before the optimizer is built"):
        mine.exclude_from_weight_decay(var_names=["bias"])


def test_keras_2_idioms(real_keras):
    assert float(optimizers.SGD(lr=0.25).learning_rate) == 0.25
    assert optimizers.Adam(1).get_config()["learning_rate"] == 1.0
    slowing = optimizers.SGD(lr=1.0, decay=0.5)
    variable = Variable(np.zeros((), "float32"), name="w")
    for _ in range(3):
        slowing.apply_gradients([(np.float32(1), variable)])
    np.testing.assert_allclose(float(variable), -(1 + 1 / 1.5 + 1 / 2), rtol=1e-6)
    assert optimizers.deserialize(optimizers.serialize(slowing)).decay == 0.5
    old = {
        "class_name": "Custom>Adam",
        "config": {"name": "Adam", "learning_rate": 0.01, "decay": 0.0, "jit_compile": True,
                   "is_legacy_optimizer": False, "beta_1": 0.9, "amsgrad": False},
    }  # fmt: skip
    assert isinstance(optimizers.get(old), optimizers.Adam)


def test_running_means_replace_variables_at_the_end(real_keras):
    options = {"learning_rate": 0.1, "use_ema": True}
    theirs, others, _ = steps_of_keras(real_keras, "SGD", options)
    theirs.finalize_variable_values(others)
    mine = optimizers.SGD(**options)
    variables = variables_and(mine)
    steps_at_once(mine, variables)
    mine.finalize_variable_values(variables)
    assert_close([[v.numpy() for v in variables]], [[np.asarray(v) for v in others]])


def test_missing_gradients():
    optimizer = optimizers.SGD(1.0)
    variables = [Variable(np.zeros(2, "float32"), name=name) for name in ("a", "b")]
    with pytest.warns(UserWarning, match=r"for variables \['a'\]"):
        optimizer.apply([None, np.ones(2, "float32")], variables)
    np.testing.assert_array_equal(variables[1].numpy(), [-1, -1])
    with pytest.raises(ValueError, match="No gradients provided"):
        optimizer.apply([None, None], variables)


def test_an_optimizer_of_ones_own():
    class Signs(optimizers.Optimizer):
        def __init__(self, learning_rate=0.1, **kwargs):
            super().__init__(learning_rate=learning_rate, **kwargs)

        def build(self, variables):
            super().build(variables)
            self.counts = self.add_optimizer_variables(variables, "count", "ones")

        def update_step(self, gradient, variable, learning_rate):
            count = self.counts[self._get_variable_index(variable)]
            self.assign_add(count, ops.ones_like(gradient))
            self.assign_sub(variable, learning_rate * ops.sign(gradient) * count)

    for run in (steps_at_once, steps_traced):
        optimizer = Signs()
        variables = variables_and(optimizer)
        history = run(optimizer, variables, 1)
        np.testing.assert_allclose(
            history[0][1], STARTS[1] - 0.2 * np.sign(GRADIENTS[0][1]), rtol=1e-6
        )


# -------------------------------------------------------------------------------------- schedules

SCHEDULES = [
    ("ExponentialDecay", (0.1, 10, 0.9), {}),
    ("ExponentialDecay", (0.1, 10, 0.9), {"staircase": True}),
    ("InverseTimeDecay", (0.1, 10, 0.5), {}),
    ("InverseTimeDecay", (0.1, 10, 0.5), {"staircase": True}),
    ("PolynomialDecay", (0.1, 10), {}),
    ("PolynomialDecay", (0.1, 10, 0.01, 2.0), {"cycle": True}),
    ("PiecewiseConstantDecay", ([5, 12], [1.0, 0.5, 0.1]), {}),
    ("CosineDecay", (0.1, 20), {}),
    ("CosineDecay", (0.0, 20), {"alpha": 0.1, "warmup_target": 0.2, "warmup_steps": 5}),
    ("CosineDecayRestarts", (0.1, 7), {}),
    ("CosineDecayRestarts", (0.1, 7), {"t_mul": 1.0, "m_mul": 0.9, "alpha": 0.1}),
    ("CosineDecayRestarts", (0.1, 7), {"t_mul": 1.5, "m_mul": 0.9}),
]


@pytest.mark.parametrize("name, args, kwargs", SCHEDULES)
def test_schedules(real_keras, name, args, kwargs):
    theirs = getattr(real_keras.optimizers.schedules, name)(*args, **kwargs)
    mine = getattr(schedules, name)(*args, **kwargs)
    for step in (0, 1, 4, 5, 6, 10, 11, 13, 19, 20, 25, 40):
        np.testing.assert_allclose(float(mine(step)), float(theirs(step)), rtol=2e-5, atol=1e-8)
    config = real_keras.optimizers.schedules.serialize(theirs)
    assert schedules.serialize(mine) == config
    assert schedules.deserialize(config).get_config() == mine.get_config()
    # In an optimizer: from the count of steps, at once and in a program.
    optimizer = optimizers.SGD(mine)
    assert len(optimizer.variables) == 1
    again = optimizers.deserialize(
        real_keras.optimizers.serialize(real_keras.optimizers.SGD(theirs))
    )
    assert again.learning_rate == optimizer.learning_rate
    rates = [float(theirs(step)) for step in range(5)]
    expected, value = [], STARTS[1]
    for step, rate in enumerate(rates):
        value = value - np.float32(rate) * GRADIENTS[step][1]
        expected.append([value])
    for run in (steps_at_once, steps_traced):
        optimizer = optimizers.SGD(mine)
        history = run(optimizer, variables_and(optimizer))
        assert_close([[values[1]] for values in history], expected)


def test_the_rate_of_a_schedule_is_not_settable():
    optimizer = optimizers.SGD(schedules.ExponentialDecay(0.1, 10, 0.9))
    with pytest.raises(TypeError, match="its learning rate is not settable"):
        optimizer.learning_rate = 0.1
    optimizer.learning_rate = schedules.ExponentialDecay(0.2, 10, 0.9)
    assert float(optimizer.learning_rate) == np.float32(0.2)
    optimizer = optimizers.SGD(0.1)
    optimizer.learning_rate = schedules.ExponentialDecay(0.2, 10, 0.9)
    assert len(optimizer.variables) == 1


def test_names(real_keras):
    for name in "SGD sgd RMSprop rmsprop Adam adam ADAM AdamW adamw adagrad adadelta nadam".split():  # noqa: SIM905
        theirs = real_keras.optimizers.get(name)
        assert type(optimizers.get(name)).__name__ == type(theirs).__name__
    assert optimizers.get(None) is None
    adam = optimizers.Adam()
    assert optimizers.get(adam) is adam


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: optimizers.get("adm"), ValueError, "identifier: 'adm'. Did you mean 'adam'"),
        (lambda: optimizers.get(3), ValueError, "Could not interpret optimizer identifier: 3"),
        (lambda: optimizers.SGD("0.1"), ValueError, "learning_rate='0.1'"),
        (lambda: optimizers.SGD(True), ValueError, "learning_rate=True"),
        (lambda: optimizers.SGD(0.1, momentum=2), ValueError, "`momentum` must be a float"),
        (lambda: optimizers.SGD(0.1, momentu=0.9), ValueError, "not recognized by SGD: momentu"),
        (lambda: optimizers.Adam(clipnorm=1, clipvalue=1), ValueError, "Only one of `clipnorm`"),
        (lambda: optimizers.Adam(use_ema=True, ema_momentum=2), ValueError, "range \\[0, 1\\]"),
        (lambda: optimizers.SGD(gradient_accumulation_steps=1), ValueError, "integer >= 2"),
        (lambda: optimizers.AdamW(weight_decay=None), ValueError, "`weight_decay` must be"),
        (lambda: optimizers.Lion(beta_1=0), ValueError, "degenerates to SignSGD"),
        (lambda: optimizers.Ftrl(learning_rate_power=1), ValueError, "negative or zero"),
        (lambda: optimizers.Ftrl(l1_regularization_strength=-1), ValueError, "positive or zero"),
        (lambda: optimizers.SGD().apply([1.0]), ValueError, "must already be built"),
        (lambda: optimizers.SGD().set_weights([]), ValueError, "has not yet been built"),
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.9), ValueError, "must be > 0"),
        (lambda: schedules.PiecewiseConstantDecay([1], [1.0]), ValueError, "1 less than"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_unknown_variables():
    optimizer = optimizers.SGD()
    variables_and(optimizer)
    with pytest.raises(ValueError, match="Unknown variable: <Variable path=other"):
        optimizer.apply([np.float32(1)], [Variable(np.float32(0), name="other")])
