"""Every name against results of TensorFlow, which are stored (see `tests.names.results`)."""

import pytest

import graphc
from tests.names.cases import expressions
from tests.names.results import check, evaluate, stored, stored_inputs

RESULTS = stored()
INPUTS = stored_inputs()


@pytest.mark.parametrize("expression", expressions())
def test_same_as_tensorflow(expression):
    check(expression, evaluate(graphc, expression, INPUTS), RESULTS[expression])


def test_the_stored_results_are_tensorflows():
    tensorflow = pytest.importorskip("tensorflow")
    for expression in expressions():
        check(expression, evaluate(tensorflow, expression, INPUTS), RESULTS[expression])
