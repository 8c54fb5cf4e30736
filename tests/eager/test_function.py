"""`graphc.function`: calls, structures, variables, methods, inspection."""

import copy
import dataclasses
import gc
import pickle
import warnings
import weakref
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

from graphc.config import config
from graphc.eager import Tensor, Variable, as_tensor
from graphc.eager.function import MANY_KINDS, Function, function
from graphc.eager.spec import TensorSpec
from graphc.errors import DataDependentControlFlowError, ShapeError
from graphc.keras import ops

Pair = namedtuple("Pair", "first second")


@dataclasses.dataclass
class Batch:
    x: object
    scale: float
    extra: dict


def array(*shape, dtype="float32"):
    return np.arange(1, np.prod(shape, dtype=int) + 1).reshape(shape).astype(dtype)


# --------------------------------------------------------------------------------- calls, keys


def test_it_computes_what_the_function_does():
    f = function(lambda x, y: ops.tanh(x) @ y + 1)
    x, y = array(2, 3), array(3, 4)
    expected = np.tanh(x) @ y + 1
    np.testing.assert_allclose(f(x, y), expected, rtol=1e-5)
    np.testing.assert_allclose(f(as_tensor(x), Variable(y)), expected, rtol=1e-5)


def test_one_trace_serves_one_kind_of_arguments():
    traces = []

    @function
    def f(x, n):
        traces.append(n)
        return x * n

    x = array(3)
    for n, count in ((2, 1), (2, 1), (3, 2), (2.0, 3), (True, 4), (2, 4)):
        np.testing.assert_array_equal(f(x, n), x * n)
        assert f.experimental_get_tracing_count() == len(traces) == count
    f(x.astype("float64"), 2)
    f(x.reshape(3, 1), 2)
    assert len(traces) == 6


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf"), -1.5])
def test_python_numbers_are_told_apart_by_value(value):
    f = function(lambda x, n: ops.copysign(x, n) if hasattr(ops, "copysign") else x + n)
    x = np.ones(2, "float32")
    first = f(x, value)
    f(x, -value)
    f(x, value)
    assert f.experimental_get_tracing_count() == (1 if np.isnan(value) else 2)
    assert first.shape == (2,)


def test_many_kinds_of_arguments_are_worth_a_warning():
    f = function(lambda x, n: x * n)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in range(MANY_KINDS):
            f(array(2), n)
        for n in range(2, 20):
            f(array(n), 0)
    with pytest.warns(UserWarning, match=r"test_function.py:\d+: <lambda>\(\) was compiled for 8"):
        f(array(2), 100)


def test_defaults_and_names_make_no_difference():
    @function
    def f(x, y=2, *, z=3):
        return x * y + z

    x = array(2)
    for result in (f(x), f(x, 2), f(x, y=2), f(z=3, y=2, x=x), f(x=x)):
        np.testing.assert_array_equal(result, x * 2 + 3)
    assert f.experimental_get_tracing_count() == 1
    np.testing.assert_array_equal(f(x, z=as_tensor(1.0)), x * 2 + 1)
    with pytest.raises(TypeError, match=r"f\(\): missing a required argument"):
        f()
    with pytest.raises(TypeError, match="unexpected keyword argument 'w'"):
        f(x, w=1)


def test_any_number_of_arguments():
    f = function(lambda *tensors, **named: sum(tensors) + sum(named.values()))
    assert float(f(as_tensor(1.0), as_tensor(2.0), a=as_tensor(3.0))) == 6
    assert float(f(as_tensor(1.0), a=as_tensor(2.0), b=as_tensor(3.0))) == 6


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        lambda parts: dict(zip("ba", parts, strict=True)),
        lambda parts: OrderedDict(zip("ba", parts, strict=True)),
        lambda parts: Pair(*parts),
        lambda parts: Batch(parts[0], 2.0, {"y": [parts[1], None]}),
    ],
    ids=["list", "tuple", "dict", "OrderedDict", "namedtuple", "dataclass"],
)
def test_structures_go_in_and_out(make):
    kinds = []

    @function
    def f(structure):
        kinds.append(type(structure))
        return structure, "text", None, {"more": (structure, 1.5)}

    given = make([array(2), array(3)])
    same, text, none, rest = f(given)
    assert (text, none, rest["more"][1]) == ("text", None, 1.5)
    for found in (same, rest["more"][0]):
        assert type(found) is type(given) is kinds[0]
    flat = str(same)
    assert "array" not in str(kinds) and flat
    again = f(make([array(2) * 2, array(3)]))[0]
    assert len(kinds) == 1
    first = again[0] if isinstance(again, (list, tuple)) else None
    if isinstance(again, dict):
        first = again["b"]
        assert list(again) == list(given)
    if isinstance(again, Batch):
        first = again.x
        assert again.scale == 2.0 and again.extra["y"][1] is None
    np.testing.assert_array_equal(first, array(2) * 2)


def test_what_comes_back():
    variable = Variable(3.0)

    @function
    def f(x):
        y = x + 1
        return x, y, y, variable, np.float32(2), array(2), 7, None

    x, y, same, value, number, constant, seven, none = f(array(2))
    assert all(isinstance(r, Tensor) for r in (x, y, same, value, number, constant))
    np.testing.assert_array_equal(x, array(2))
    np.testing.assert_array_equal(y, same)
    assert (float(value), float(number), seven, none) == (3, 2, 7, None)
    np.testing.assert_array_equal(constant, array(2))


def test_nothing_to_compute():
    assert function(lambda: None)() is None
    assert function(lambda x: 5)(array(3)) == 5
    assert float(function(lambda: as_tensor(2.0))()) == 2
    assert float(function(lambda x: x)(np.float64(2))) == 2


def test_results_are_not_the_arguments():
    f = function(lambda x: x)
    x = array(3)
    y = f(x)
    x[:] = 0
    np.testing.assert_array_equal(y, array(3))


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "int64", "uint8", "uint32", "bool"]
)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3,), (2, 0, 3), (2, 1, 3)])
def test_types_and_shapes(dtype, shape):
    f = function(lambda x: (x, ops.reshape(x, (-1,)), ops.expand_dims(x, 0)))
    x = array(*shape, dtype=dtype)
    for result, expected in zip(f(x), (x, x.reshape(-1), x[None]), strict=True):
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, expected)


def test_arrays_of_any_layout():
    f = function(lambda x: x * 2)
    x = array(4, 6)
    for view in (
        x.T,
        x[::2, ::-1],
        x.astype(">f4"),
        np.asfortranarray(x),
        np.broadcast_to(x, (2, 4, 6)),
    ):
        np.testing.assert_array_equal(f(view), view * 2)


def test_objects_count_by_identity():
    class Scale:
        def __init__(self, factor):
            self.factor = factor

    f = function(lambda x, scale: x * scale.factor)
    one, two = Scale(2), Scale(3)
    np.testing.assert_array_equal(f(array(2), one), array(2) * 2)
    np.testing.assert_array_equal(f(array(2), two), array(2) * 3)
    np.testing.assert_array_equal(f(array(2), one), array(2) * 2)
    assert f.experimental_get_tracing_count() == 2


def test_bad_arguments_of_the_decorator():
    with pytest.raises(TypeError, match="something to call"):
        function(3)
    with pytest.raises(TypeError, match="no argument 'speed'"):
        function(speed="high")
    assert function(experimental_relax_shapes=True, jit_compile=True)(lambda x: x)


def test_it_looks_like_the_function():
    @function
    def scaled(x):
        """Twice."""
        return x * 2

    assert (scaled.__name__, scaled.__doc__) == ("scaled", "Twice.")
    assert repr(scaled) == "<graphc.Function scaled(x)>"
    np.testing.assert_array_equal(scaled.python_function(as_tensor(array(2))), array(2) * 2)
    assert function(scaled).python_function is scaled.python_function


# ----------------------------------------------------------------------------------- variables


def test_variables_are_state():
    count = Variable(np.float32(0))
    total = Variable(np.zeros(3, "float32"))

    @function
    def f(x):
        count.assign_add(1)
        total.assign(total + ops.sum(x, axis=0) * count)
        return total / count

    for step in range(1, 4):
        before = total.numpy()
        result = f(array(2, 3))
        np.testing.assert_array_equal(total.numpy(), before + array(2, 3).sum(0) * step)
        np.testing.assert_allclose(result, total.numpy() / step, rtol=1e-6)
    assert float(count) == 3 and f.experimental_get_tracing_count() == 1
    count.assign(10)
    f(array(2, 3))
    assert float(count) == 11


def test_old_and_new_values():
    a, b = Variable(array(3)), Variable(array(3) * 10)

    @function
    def swap():
        old = a.value
        a.assign(b)
        b.assign(old)
        return old, a.value

    for expected in (1, 10, 1):
        old, new = swap()
        np.testing.assert_array_equal(old, array(3) * expected)
        np.testing.assert_array_equal(new, array(3) * (11 - expected))
        np.testing.assert_array_equal(a.numpy(), new)
        np.testing.assert_array_equal(b.numpy(), old)


def test_variables_as_arguments():
    @function
    def double(v):
        v.assign(v * 2)
        return v.value

    a, b = Variable(1.0), Variable(5.0)
    assert [float(double(v)) for v in (a, b, a)] == [2, 10, 4]
    assert (float(a), float(b)) == (4, 10)


def test_variables_made_in_the_first_call():
    class Counter:
        def __init__(self):
            self.value = None

        @function
        def __call__(self, x):
            if self.value is None:
                self.value = Variable(np.float32(10))
            self.value.assign_add(x)
            return self.value.value

    counter = Counter()
    assert [float(counter(np.float32(n))) for n in (1, 2, 3)] == [11, 13, 16]


def test_variables_made_in_every_call_are_refused():
    @function
    def f(x):
        variable = Variable(np.float32(1))
        return x * variable

    with pytest.raises(ValueError, match=r"f\(\) makes variables each time"):
        f(array(2))


def test_an_error_changes_no_variable():
    variable = Variable(np.zeros(3, "float32"))

    @function
    def f(x):
        variable.assign_add(x)
        return x[0]

    f(array(3))
    with pytest.raises(ShapeError):
        f(array(4))
    np.testing.assert_array_equal(variable.numpy(), array(3))


def test_a_wrong_value_is_refused_with_the_line():
    variable = Variable(np.zeros(3, "float32"))
    f = function(lambda x: variable.assign(x))
    with pytest.raises(ShapeError, match="cannot be assigned a value of shape"):
        f(array(2))
    np.testing.assert_array_equal(variable.numpy(), np.zeros(3))


# ------------------------------------------------------------------------------------- methods


class Model:
    def __init__(self, weight):
        self.weight = Variable(np.float32(weight))
        self.calls = 0

    @function
    def predict(self, x):
        self.calls += 1
        return x * self.weight

    @function(input_signature=[TensorSpec([None])])
    def total(self, x):
        return ops.sum(x) * self.weight


def test_methods():
    one, two = Model(2), Model(3)
    for _ in range(2):
        np.testing.assert_array_equal(one.predict(array(2)), array(2) * 2)
        np.testing.assert_array_equal(two.predict(array(2)), array(2) * 3)
    assert (one.calls, two.calls) == (1, 1)
    assert float(one.total(array(4))) == 20
    assert isinstance(Model.predict, Function)


def test_methods_do_not_keep_their_objects_alive():
    model = Model(2)
    model.predict(array(2))
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None


def test_objects_with_compiled_methods_can_be_copied():
    model = Model(2)
    model.predict(array(2))
    other = copy.deepcopy(model)
    other.weight.assign(5)
    np.testing.assert_array_equal(other.predict(array(2)), array(2) * 5)
    np.testing.assert_array_equal(model.predict(array(2)), array(2) * 2)


def module_level(x):
    return x + 1


def test_pickling_a_function():
    f = pickle.loads(pickle.dumps(Function(module_level)))
    np.testing.assert_array_equal(f(array(2)), array(2) + 1)


# ------------------------------------------------------------------------- nesting, control flow


def test_functions_in_functions():
    variable = Variable(np.float32(1))

    @function
    def inner(x):
        variable.assign_add(1)
        return x * variable

    @function
    def outer(x):
        return inner(x) + inner(x)

    np.testing.assert_array_equal(outer(array(2)), array(2) * 5)
    assert float(variable) == 3 and inner.experimental_get_tracing_count() == 0


def test_python_loops_unroll():
    f = function(lambda x: sum(x * int(i) for i in ops.arange(4)))
    np.testing.assert_array_equal(f(array(2)), array(2) * 6)


def test_branches_on_tensors_are_refused_with_the_line():
    @function
    def f(x):
        if ops.sum(x) > 0:
            return x
        return -x

    with pytest.raises(DataDependentControlFlowError, match=r"test_function.py:\d+.*ops.cond"):
        f(array(2))


def test_random_numbers_go_on():
    from graphc import keras

    keras.utils.set_random_seed(1)
    generator = keras.random.SeedGenerator(7)
    for seed in (generator, None):
        f = function(lambda seed=seed: keras.random.normal((3,), seed=seed))
        first, second = f(), f()
        assert not np.array_equal(first, second)
    again = keras.random.SeedGenerator(7)
    f = function(lambda: keras.random.normal((3,), seed=again))
    other = keras.random.SeedGenerator(7)
    for _ in range(3):
        np.testing.assert_allclose(f(), keras.random.normal((3,), seed=other), rtol=1e-6)


def test_functions_may_run_as_plain_python(monkeypatch):
    monkeypatch.setattr(config, "functions_at_once", True)
    seen = []
    f = function(lambda x: seen.append(float(ops.sum(x))) or x * 2)
    for _ in range(2):
        np.testing.assert_array_equal(f(as_tensor(array(2))), array(2) * 2)
    assert seen == [3, 3] and f.experimental_get_tracing_count() == 0


def test_side_effects_of_python_happen_once(capsys):
    @function
    def f(x):
        print("tracing")
        return x

    f(array(2))
    f(array(2))
    assert capsys.readouterr().out == "tracing\n"


# ---------------------------------------------------------------------------------- inspection


def test_concrete_functions():
    @function
    def scaled(x, n=2):
        return {"y": x * n}

    concrete = scaled.get_concrete_function(TensorSpec([None, 3], "float32"))
    assert concrete.structured_outputs == {"y": TensorSpec([None, 3], "float32")}
    assert concrete.inputs == [TensorSpec([None, 3], "float32", "x")]
    assert concrete.graph is concrete.program.graph and "Mul" in concrete.as_text()
    np.testing.assert_array_equal(concrete(array(2, 3))["y"], array(2, 3) * 2)
    np.testing.assert_array_equal(scaled(array(1, 3))["y"], array(1, 3) * 2)
    assert scaled.concrete_functions == [concrete]
    assert scaled.pretty_printed_concrete_signatures() == (
        "scaled(x)\n  Args:\n    x: float32 Tensor, shape=(None, 3)\n"
        "  Returns:\n    y: float32 Tensor, shape=(None, 3)"
    )
    with pytest.raises(ShapeError, match="takes 1 tensors"):
        concrete(array(2, 3), array(2))
    with pytest.raises(ShapeError):
        concrete(array(2, 4))
    assert scaled.get_concrete_function(array(2, 3)) is concrete
    assert "Mul" in scaled.lower(array(5, 5)).as_text()


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_backends(backend):
    variable = Variable(array(2))

    @function(backend=backend)
    def f(x):
        old = variable.value
        variable.assign_add(x)
        return old, x

    old, x = f(array(2) * 3)
    np.testing.assert_array_equal(old, array(2))
    np.testing.assert_array_equal(x, array(2) * 3)
    np.testing.assert_array_equal(variable.numpy(), array(2) * 4)


def test_tensors_of_functional_models_are_recorded():
    from graphc import keras

    f = function(lambda x: ops.sum(x, axis=-1) * 2)
    x = keras.Input((3,))
    model = keras.Model(x, f(x))
    np.testing.assert_array_equal(model.predict(array(2, 3), verbose=0), array(2, 3).sum(-1) * 2)
