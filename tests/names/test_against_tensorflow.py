"""Every name against results of TensorFlow, which are stored (see `tests.names.results`)."""

import pytest

import graphc
from tests.names.cases import expressions
from tests.names.results import check, evaluate, stored

RESULTS = stored()


@pytest.mark.parametrize("expression", expressions())
def test_same_as_tensorflow(expression):
    check(expression, evaluate(graphc, expression), RESULTS[expression])


def test_the_stored_results_are_tensorflows():
    tensorflow = pytest.importorskip("tensorflow")
    for expression in expressions():
        check(expression, evaluate(tensorflow, expression), RESULTS[expression])
