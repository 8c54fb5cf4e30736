"""keras.random: distributions by the tests of Kolmogorov and Smirnov, and of Pearson."""

import numpy as np
import pytest
from scipy import stats

from graphc import runtime
from graphc.eager import Trace, as_tensor
from graphc.errors import DTypeError
from graphc.ir import TensorType
from graphc.ir.dims import symbol
from graphc.keras import ops, random

COUNT = 20000

CONTINUOUS = [
    ("normal", (), {}, stats.norm()),
    ("normal", (-1.0, 0.5), {}, stats.norm(-1, 0.5)),
    ("uniform", (-1.0, 3.0), {}, stats.uniform(-1, 4)),
    ("truncated_normal", (1.0, 2.0), {}, stats.truncnorm(-2, 2, 1, 2)),
    ("gamma", (0.1,), {}, stats.gamma(0.1)),
    ("gamma", (1.0,), {}, stats.gamma(1)),
    ("gamma", (2.5,), {}, stats.gamma(2.5)),
    ("gamma", (300.0,), {}, stats.gamma(300)),
    ("beta", (0.5, 0.5), {}, stats.beta(0.5, 0.5)),
    ("beta", (2.0, 5.0), {}, stats.beta(2, 5)),
    ("beta", (0.05, 3.0), {"dtype": "float64"}, stats.beta(0.05, 3)),
    ("gamma", (2.5,), {"dtype": "float64"}, stats.gamma(2.5)),
    ("normal", (), {"dtype": "float64"}, stats.norm()),
]


@pytest.mark.parametrize("name, args, kwargs, expected", CONTINUOUS)
def test_continuous(name, args, kwargs, expected):
    for seed in (1, 2):
        draw = getattr(random, name)((COUNT,), *args, seed=seed, **kwargs)
        assert draw.dtype == kwargs.get("dtype", "float32")
        assert stats.kstest(np.asarray(draw, "float64"), expected.cdf).pvalue > 1e-3


def fits(draw: np.ndarray, expected: stats.rv_discrete) -> bool:
    """Pearson's test, over values that are likely enough to be counted."""
    values = np.arange(int(draw.min()), int(draw.max()) + 1)
    likely = expected.pmf(values) * draw.size > 10
    seen = np.array([(draw == value).sum() for value in values[likely]])
    wanted = expected.pmf(values[likely]) * draw.size
    rest, rest_wanted = draw.size - seen.sum(), draw.size - wanted.sum()
    seen, wanted = np.append(seen, rest), np.append(wanted, max(rest_wanted, 1e-9))
    if wanted[-1] < 10:  # too few for a class of their own
        seen, wanted = (
            np.append(seen[:-2], seen[-2:].sum()),
            np.append(wanted[:-2], wanted[-2:].sum()),
        )
    return stats.chisquare(seen, wanted * seen.sum() / wanted.sum()).pvalue > 1e-3


@pytest.mark.parametrize(
    "count, probability",
    [(1, 0.3), (5, 0.5), (12, 0.95), (1000, 0.003), (100, 0.2), (100, 0.83), (20000, 0.5)],
)
def test_binomial(count, probability):
    for seed in (1, 2):
        draw = np.asarray(random.binomial((COUNT,), count, probability, seed=seed))
        assert draw.dtype == np.float32 and (draw == np.floor(draw)).all()
        assert fits(draw, stats.binom(count, probability))


def test_integers():
    for low, high in ((0, 7), (-3, 4), (10, 11)):
        draw = np.asarray(random.randint((COUNT,), low, high, seed=3))
        assert draw.min() == low and draw.max() == high - 1
        if high - low > 1:
            assert fits(draw, stats.randint(low, high))


def test_edges_of_binomial():
    counts = np.array([0, 5, 5, -1, 5, 5, 50, 3.7], "float32")
    chances = np.array([0.5, 0, 1, 0.5, 1.5, np.nan, 1, 1], "float32")
    draw = np.asarray(random.binomial((8,), counts, chances, seed=1))
    np.testing.assert_array_equal(draw, [0, 0, 5, np.nan, np.nan, np.nan, 50, 3])


def test_edges_of_gamma_and_beta():
    draw = np.asarray(random.gamma((4,), np.array([0, -1, np.nan, 1], "float32"), seed=1))
    np.testing.assert_array_equal(np.isnan(draw), [True, True, True, False])
    # Far too small for float32 as gamma numbers, but their shares are not.
    shares = np.asarray(random.beta((COUNT,), 1e-3, 1e-3, seed=1))
    assert np.isfinite(shares).all() and abs(shares.mean() - 0.5) < 0.02
    assert random.gamma((0, 3), 1.0).shape == (0, 3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dtypes_and_parameters_of_each_element(dtype):
    alpha = np.array([[0.5], [20.0]])
    draw = random.gamma((2, COUNT), alpha, dtype=dtype, seed=5)
    assert draw.dtype == dtype and draw.shape == (2, COUNT)
    means = np.asarray(ops.cast(draw, "float64")).mean(1)
    np.testing.assert_allclose(means, alpha[:, 0], rtol=0.05)
    assert random.beta((3,), 1.0, alpha[0], dtype=dtype).dtype == dtype
    assert random.binomial((3,), 4, 0.5, dtype=dtype).dtype == dtype


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_the_same_numbers_in_a_program(backend):
    generator, eager = random.SeedGenerator(11), random.SeedGenerator(11)

    def draws(x, seed):
        shape = ops.shape(x)
        return {
            "gamma": random.gamma(shape, x, seed=seed),
            "beta": random.beta(shape, x, 2.0, seed=seed),
            "binomial": random.binomial(shape, 40, x / 4.0, seed=seed),
        }

    with Trace("draw") as trace:
        x = trace.input("x", TensorType((symbol("batch"), 3), "float32"))
        program, variables = trace.program(draws(x, generator))
    executable = runtime.compile(program, backend)
    state = {name: variable.array for name, variable in variables.items()}
    data = np.linspace(0.1, 3.0, 15).astype("float32").reshape(5, 3)
    for _ in range(2):
        compiled = executable.run({"x": data}, state)
        for name, drawn in draws(as_tensor(data), eager).items():
            # Logarithms of native code may differ in the last place.
            np.testing.assert_allclose(compiled[name], np.asarray(drawn), rtol=2e-5, err_msg=name)
    np.testing.assert_array_equal(generator.state.numpy(), eager.state.numpy())


def test_elements_are_independent_of_how_many_there_are():
    alpha = np.full(7, 0.4, "float32")
    seven = np.asarray(random.gamma((7,), alpha, seed=3))
    np.testing.assert_array_equal(random.gamma((2,), 0.4, seed=3), seven[:2])


def test_errors():
    for name in ("gamma", "beta", "binomial"):
        args = (1.0,) if name == "gamma" else (1.0, 0.5)
        with pytest.raises(DTypeError, match=f"keras.random.{name} requires a floating point"):
            getattr(random, name)((2,), *args, dtype="int32")


X = np.linspace(-1, 1, 12).astype("float32").reshape(4, 3)
DRAWS = {
    "normal": lambda seed: random.normal((4, 3), seed=seed),
    "uniform": lambda seed: random.uniform((4, 3), seed=seed),
    "truncated_normal": lambda seed: random.truncated_normal((4, 3), seed=seed),
    "randint": lambda seed: random.randint((4, 3), 0, 1000, seed=seed),
    "categorical": lambda seed: random.categorical(X, 5, seed=seed),
    "dropout": lambda seed: random.dropout(X, 0.5, seed=seed),
    "shuffle": lambda seed: random.shuffle(X, seed=seed),
    "gamma": lambda seed: random.gamma((4, 3), 0.7, seed=seed),
    "beta": lambda seed: random.beta((4, 3), 0.7, 2.0, seed=seed),
    "binomial": lambda seed: random.binomial((4, 3), 30, 0.3, seed=seed),
}


@pytest.mark.parametrize("name", DRAWS)
def test_every_kind_of_seed_in_every_place(name):
    draw = DRAWS[name]
    fixed = np.asarray(draw(5))
    np.testing.assert_array_equal(draw(5), fixed)
    generator = random.SeedGenerator(5)
    eager = [np.asarray(draw(generator)) for _ in range(3)]
    np.testing.assert_array_equal(eager[0], fixed)
    assert (eager[0] != eager[1]).any() and (eager[1] != eager[2]).any()
    other = random.SeedGenerator(5)
    with Trace("draws") as trace:
        results = {"fixed": draw(5), "first": draw(other), "second": draw(other)}
        results["free"] = draw(None)
        results = {key: value for key, value in results.items() if value.is_symbolic}
        program, variables = trace.program(results)
    executable = runtime.compile(program, "reference")
    state = {key: variable.array for key, variable in variables.items()}
    runs = [{k: v.copy() for k, v in executable.run({}, state).items()} for _ in range(8)]
    np.testing.assert_array_equal(runs[0]["first"], eager[0])
    np.testing.assert_array_equal(runs[0]["second"], eager[1])
    np.testing.assert_array_equal(runs[1]["first"], eager[2])
    # One in 24 shuffles of four rows is like the one before.
    assert any((run["free"] != runs[0]["free"]).any() for run in runs)
    if "fixed" in results:
        np.testing.assert_array_equal(runs[1]["fixed"], fixed)
