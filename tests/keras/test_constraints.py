"""keras.constraints against Keras on JAX."""

import numpy as np
import pytest

from graphc.keras import constraints
from tests.keras.computing import assert_same, at_once, traced

X = np.random.default_rng(1).normal(size=(3, 4)).astype("float32") * 2
X[0] = 0

CASES = [
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 1.5, "axis": 1}),
    ("MaxNorm", {"axis": [0, 1]}),
    ("NonNeg", {}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": 1}),
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 0.5, "max_value": 2.0, "rate": 0.3, "axis": 1}),
]


@pytest.mark.parametrize("name, options", CASES)
def test_values_and_configs(real_keras, name, options):
    theirs = getattr(real_keras.constraints, name)(**options)
    mine = getattr(constraints, name)(**options)
    for x in (X, X * 0, X[:, :1]):
        expected = [np.asarray(theirs(x))]
        assert_same(at_once(mine, x), expected)
        assert_same(traced(mine, x), expected)
    config = real_keras.constraints.serialize(theirs)
    assert constraints.serialize(mine) == config
    assert constraints.deserialize(config).get_config() == theirs.get_config()


@pytest.mark.parametrize("name", ["max_norm", "MaxNorm", "non_neg", "unit_norm", "nonneg"])
def test_get(name):
    assert isinstance(constraints.get(name), constraints.Constraint)


def test_unknown_names():
    assert constraints.get(None) is None
    with pytest.raises(ValueError, match="'maxnrm'. Did you mean 'maxnorm'"):
        constraints.get("maxnrm")
