"""Every name of `keras.ops` against Keras on JAX: a table of calls, in every dtype and every way.

Result types follow Keras's own rule (`keras.backend.result_type`), which never makes float64 of
anything else; JAX as Keras sets it up has no 64-bit types, so those are compared as 32-bit ones.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from graphc import keras
from graphc.eager import as_tensor
from graphc.errors import DataDependentControlFlowError, DTypeError, ShapeError
from graphc.ir import numpy_dtype
from graphc.keras import ops, tree
from graphc.keras.engine import recorded_function
from tests.keras.computing import arrays_of, assert_same, at_once, traced
from tests.keras.ops_cases import TABLE, Case, floats

DTYPES = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64"
).split()
TOLERANCES = {"float16": 1e-2, "bfloat16": 6e-2}


def is_array(x):
    return isinstance(x, (np.ndarray, np.generic))


def parts(structure):
    """The arrays in nested lists and tuples, from left to right."""
    if is_array(structure):
        return [np.asarray(structure)]
    if isinstance(structure, dict):
        structure = list(structure.values())
    if isinstance(structure, (list, tuple)):
        return [array for part in structure for array in parts(part)]
    return []


def put(structure, tensors):
    """The same structure with an iterator's tensors in the arrays' places."""
    if is_array(structure):
        return next(tensors)
    if isinstance(structure, dict):
        return {name: put(part, tensors) for name, part in structure.items()}
    if isinstance(structure, (list, tuple)):
        return type(structure)(put(part, tensors) for part in structure)
    return structure


def in_dtype(array, dtype):
    """A float32 array as another type: integers of a few values, unsigned ones not negative."""
    if array.dtype != np.float32 or dtype == "float32":
        return array
    if dtype == "bool":
        return array > 0
    if "int" in dtype:
        array = np.round(2 * (np.abs(array) if dtype.startswith("u") else array))
    return array.astype(numpy_dtype(dtype))


def bind(function, case: Case):
    """The call as a function of its arrays only."""
    structure = (case.args, case.kwargs)

    def call(*tensors):
        args, kwargs = put(structure, iter(tensors))
        return function(*args, **kwargs)

    return call


def real_result(real_keras, name, case, arrays):
    """What Keras gives; None where it refuses."""
    try:
        with np.errstate(all="ignore"):
            result = bind(getattr(real_keras.ops, name), case)(*arrays)
    except (TypeError, ValueError, NotImplementedError, AttributeError, OverflowError):
        return None
    return [np.asarray(leaf) for leaf in real_keras.tree.flatten(result)]


def name_of(row):
    return row.removesuffix("_edges").removesuffix("_holes")


def compare(received, expected, what):
    """Nearly the same; integers of 64 bits by what JAX has of them."""
    tolerance = max([TOLERANCES.get(array.dtype.name, 2e-5) for array in expected], default=0)
    received = [
        mine.astype(theirs.dtype) if theirs.dtype.kind in "iu" and mine.itemsize == 8 else mine
        for mine, theirs in zip(received, expected, strict=True)
    ]
    try:
        assert_same(received, expected, rtol=tolerance, atol=max(tolerance / 5, 2e-6))
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from None


def check_at_once(real_keras, row, dtypes):
    """The first call of a row in these dtypes, the others in float32 and int32."""
    failures = []
    name = name_of(row)
    for i, case in enumerate(TABLE[row]):
        for dtype in ["float32"] if case.same else dtypes if i == 0 else ["float32", "int32"]:
            arrays = [in_dtype(array, dtype) for array in parts((case.args, case.kwargs))]
            expected = real_result(real_keras, name, case, arrays)
            if expected is None:
                continue
            try:
                received = arrays_of(bind(getattr(ops, name), case)(*arrays))
                compare(received, expected, f"case {i} in {dtype}")
            except Exception as error:  # noqa: BLE001
                failures.append(f"case {i} in {dtype}: {type(error).__name__}: {error}")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("row", TABLE)
def test_at_once(real_keras, row):
    """In float32 and in four other dtypes, which are others for each row."""
    others = [dtype for dtype in DTYPES if dtype != "float32"]
    first = list(TABLE).index(row) * 5
    chosen = [others[(first + i) % len(others)] for i in range(4)]
    check_at_once(real_keras, row, ["float32", *chosen])


@pytest.mark.slow
@pytest.mark.parametrize("row", TABLE)
def test_at_once_in_every_dtype(real_keras, row):
    check_at_once(real_keras, row, DTYPES)


TRACED = [row for row in TABLE if any(case.traced for case in TABLE[row])]

#: Where ONNX Runtime does something else, or its standard has nothing.
ONLY_NATIVE = {
    "signbit": "the bits of floats need opset 26",
    "nextafter": "the bits of floats need opset 26",
    "view": "the bits of floats need opset 26",
    "max_holes": "it overlooks NaN",
    "min_holes": "it overlooks NaN",
    "top_k": "it leaves NaN anywhere",
    "cumprod": "a Scan, which has to take a step",
    "nancumprod": "a Scan, which has to take a step",
}


@pytest.mark.parametrize("backend", ["cpu", "onnxruntime"])
@pytest.mark.parametrize("row", TRACED)
def test_compiled(row, backend):
    """All calls of a row as one program, against the same calls at once."""
    if backend == "onnxruntime" and row in ONLY_NATIVE:
        pytest.skip(ONLY_NATIVE[row])
    function = getattr(ops, name_of(row))
    cases = [case for case in TABLE[row] if case.traced]
    arrays = [parts((case.args, case.kwargs)) for case in cases]
    expected = [bind(function, case)(*own) for case, own in zip(cases, arrays, strict=True)]

    def all_of(*tensors):
        rest = iter(tensors)
        return [
            bind(function, case)(*[next(rest) for _ in own])
            for case, own in zip(cases, arrays, strict=True)
        ]

    flat = [array for own in arrays for array in own]
    received = traced(all_of, *flat, backend=backend)
    compare(received, arrays_of(expected), row)


@pytest.mark.parametrize("row", [row for row in TABLE if any(case.batch for case in TABLE[row])])
def test_traced_with_a_batch_of_unknown_size(row):
    function = getattr(ops, name_of(row))
    for case in TABLE[row]:
        if case.batch:
            arrays = parts((case.args, case.kwargs))
            expected = at_once(bind(function, case), *arrays)
            received = traced(bind(function, case), *arrays, batch=True)
            compare(received, expected, row)


@pytest.mark.parametrize("row", TRACED)
def test_recorded_in_a_functional_model(row):
    """A model's tensors tell the shapes and types that come; None stands for any size."""
    function = getattr(ops, name_of(row))
    for case in TABLE[row]:
        arrays = parts((case.args, case.kwargs))
        if not case.traced or not arrays:
            continue
        expected = arrays_of(bind(function, case)(*arrays))
        for open_ in (False, True) if case.batch else (False,):
            inputs = []
            for array in arrays:
                shape = list(array.shape)
                shape[:1] = [None] if open_ and shape else shape[:1]
                inputs.append(keras.Input(batch_shape=tuple(shape), dtype=array.dtype.name))
            results = tree.flatten(bind(function, case)(*inputs))
            assert len(results) == len(expected)
            for mine, array in zip(results, expected, strict=True):
                assert mine.dtype == array.dtype.name
                assert len(mine.shape) == array.ndim
                assert all(m in (None, s) for m, s in zip(mine.shape, array.shape, strict=True))
                assert open_ or None not in mine.shape


# ------------------------------------------------------------------------- what has no row of calls


def test_vectorize(real_keras):
    def function(space):
        return space.vectorize(lambda x, y: x + space.sum(y), signature="(),(n)->()")

    arrays = [np.arange(6.0, dtype="float32").reshape(3, 2), np.ones((2, 4), "float32")]
    expected = [np.asarray(function(real_keras.ops)(*arrays))]
    compare(at_once(function(ops), *arrays), expected, "at once")
    compare(traced(function(ops), *arrays, backend="cpu"), expected, "compiled")
    pairs = ops.vectorize(lambda x, y: (x * y, y))(arrays[0], 2.0)
    compare(arrays_of(pairs), [arrays[0] * 2, np.full((3, 2), 2, "float32")], "several results")
    partly = ops.vectorize(lambda x, name: x + len(name), excluded={1})
    compare(arrays_of(partly(arrays[0], "abc")), [arrays[0] + 3], "an argument left out")
    with pytest.raises(ValueError, match="should look like"):
        ops.vectorize(abs, signature="n->n")
    with pytest.raises(ShapeError, match="is of 2 arguments, not of 1"):
        function(ops)(arrays[0])


@pytest.mark.parametrize("kth", [0, 2, -1])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_argpartition_divides_at_a_place(kth, axis):
    """Which of the smaller elements comes first is left open."""
    x = floats(4, 5)
    order = ops.argpartition(x, kth, axis).numpy()
    line = x.ravel() if axis is None else x
    parted = np.take_along_axis(line, order, axis or 0)
    np.testing.assert_array_equal(np.sort(parted, axis or 0), np.sort(line, axis or 0))
    middle = np.take(parted, [kth], axis or 0)
    before, after = np.split(parted, [kth % parted.shape[axis or 0]], axis or 0)
    assert (before <= middle).all() and (after >= middle).all()


def test_making_without_values():
    """What is in it is nobody's business; shape and dtype are."""
    for made, dtype in (
        (ops.empty((2, 3)), "float32"),
        (ops.empty((2, 3), "int8"), "int8"),
        (ops.empty_like(np.ones((2, 3), "float16")), "float16"),
        (ops.empty_like(np.ones((2, 3)), dtype="bool"), "bool"),
    ):
        assert (made.shape, made.dtype) == ((2, 3), dtype)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda x: ops.unique(x), DataDependentControlFlowError, "say with `size`"),
        (lambda x: ops.nonzero(x), DataDependentControlFlowError, "say with `size`"),
        (lambda x: ops.where(x > 0), DataDependentControlFlowError, "use keras.ops.nonzero"),
        (lambda x: ops.bincount(ops.cast(x, "int32")[0]), ShapeError, "say with `length`"),
        (
            lambda x: ops.segment_sum(x, ops.cast(x, "int32")[:, 0]),
            ShapeError,
            "say with `num_segments`",
        ),
    ],
)
def test_sizes_that_depend_on_data_have_to_be_given(call, error, text):
    with pytest.raises(error, match=text):
        traced(call, np.ones((3, 4), "float32"))


def test_sizes_that_depend_on_data_can_be_given():
    x = np.array([[0, 2, 0], [1, 0, 3]], "float32")
    rows, columns = traced(lambda t: ops.nonzero(t, size=5, fill_value=-1), x, backend="cpu")
    assert rows.tolist() == [0, 1, 1, -1, -1]
    assert columns.tolist() == [1, 0, 2, -1, -1]
    places = np.array([3, 1, 1, 9, -2], "int32")
    (counts,) = traced(lambda t: ops.bincount(t, length=4), places, backend="cpu")
    assert counts.tolist() == [0, 2, 0, 1]
    lines = np.array([[3, 1, 1], [0, 0, 7]], "int32")
    assert at_once(lambda t: ops.bincount(t), lines)[0].tolist() == [
        np.bincount(line, minlength=8).tolist() for line in lines
    ]


def test_nothing_has_no_distinct_elements():
    nothing = np.zeros((0, 2), "int32")
    flags = {"return_index": True, "return_inverse": True, "return_counts": True}
    for axis, shape in ((None, (0,)), (0, (0, 2))):
        values, index, inverse, counts = ops.unique(nothing, axis=axis, **flags)
        assert values.shape == shape
        assert inverse.shape == ((0, 2) if axis is None else (0,))
        assert index.shape == counts.shape == (0,)
    values, counts = ops.unique(nothing, size=2, fill_value=7, return_counts=True)
    assert values.numpy().tolist() == [7, 7]
    assert counts.numpy().tolist() == [0, 0]


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda x: ops.quantile(x, 0.5, method="cubic"), ValueError, "method` should be one of"),
        (lambda x: ops.quantile(x[:0], 0.5), ShapeError, "no elements have a quantile"),
        (lambda x: ops.searchsorted(x, x), ShapeError, "the sequence should be a vector"),
        (lambda x: ops.searchsorted(x[0], x, side="up"), ValueError, "'left' or 'right'"),
        (lambda x: ops.digitize(x, x), ShapeError, "`bins` should be a vector"),
        (lambda x: ops.bincount(x), DTypeError, "counts integers"),
        (lambda x: ops.histogram(x, bins=0), ValueError, "a positive integer"),
        (lambda x: ops.histogram(x, range=(2, 1)), ValueError, "`range` should rise"),
        (lambda x: ops.correlate(x, x), ShapeError, "needs two vectors"),
        (lambda x: ops.correlate(x[0], x[0], "all"), ValueError, "Received: 'all'"),
        (lambda x: ops.cdist(x, x[:, :2]), ShapeError, r"\(\.\.\., m, d\)"),
        (lambda x: ops.corrcoef(x[None]), ShapeError, "a matrix or a vector"),
        (lambda x: ops.argpartition(x, 9), ShapeError, "argpartition"),
        (lambda x: ops.rearrange(x, "a b c -> a"), ShapeError, "should be .2 axes"),
        (lambda x: ops.rearrange(x, "a b -> a"), ShapeError, "name each axis once"),
        (lambda x: ops.rearrange(x, "(a c) b -> a b c", c=2), ShapeError, "an axis of size 3"),
        (lambda x: ops.cross(x, x), ShapeError, "two or three elements"),
        (lambda x: ops.diff(x, n=-1), ShapeError, "cannot be taken -1 times"),
        (lambda x: ops.vander(x), ShapeError, "needs a vector"),
        (lambda x: ops.select([], []), ValueError, "a choice for each condition"),
        (lambda x: ops.rot90(x[0]), ValueError, "at least 2 dimensions"),
        (lambda x: ops.rot90(x, axes=(0, 0)), ValueError, "two different dimensions"),
        (lambda x: ops.array_split(x, 0), ShapeError, "has no 0 parts"),
        (lambda x: ops.vsplit(x[0], 1), ShapeError, "needs 2 axes"),
        (lambda x: ops.segment_sum(x, x), ShapeError, "the segment of each row"),
        (lambda x: ops.ldexp(x, x), DTypeError, "exponents should be integers"),
        (lambda x: ops.gcd(x, x), DTypeError, "gcd works on integers, not on float32"),
        (lambda x: ops.bitwise_not(x), DTypeError, "integers and bools, not on float32"),
        (lambda x: ops.view(x[0], "float64"), ShapeError, "is no multiple of 2"),
        (lambda x: ops.hanning(x), ShapeError, "needs the number of samples"),
        (lambda x: ops.linspace(0, 1, -1), ShapeError, "should not be negative"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call(as_tensor(np.arange(15, dtype="float32").reshape(3, 5)))


# ----------------------------------------------------------------------------------- completeness


def public_names(module):
    return {
        name
        for name in dir(module)
        if not name.startswith("_") and not inspect.ismodule(getattr(module, name))
    }


def test_every_public_name_is_there(real_keras):
    assert public_names(real_keras.ops) - set(ops.__all__) == set()


@pytest.mark.parametrize("namespace", ["numpy", "nn", "linalg", "image"])
def test_every_name_of_the_namespaces_is_there(real_keras, namespace):
    mine = getattr(ops, namespace)
    wanted = public_names(getattr(real_keras.ops, namespace))
    assert {name for name in wanted if not hasattr(mine, name)} == set()
    own = {name for name in wanted if hasattr(ops, name)}
    assert all(getattr(mine, name) is getattr(ops, name) for name in own)


def test_every_public_name_is_tested(real_keras):
    """In the table, or by name in another test of operations."""
    folder = Path(__file__).parents[1]
    text = "".join(path.read_text() for path in folder.glob("**/test_*.py"))
    text += "".join(path.read_text() for path in folder.glob("**/*cases*.py"))
    words = set(re.findall(r"\w+", text))
    assert public_names(real_keras.ops) - words - set(TABLE) == set()


def test_every_name_of_numpy_is_in_the_table(real_keras):
    assert public_names(real_keras.ops.numpy) - set(TABLE) - COMPLEX == set()


#: Of complex numbers and matrices: tested where those are.
COMPLEX = {"angle", "conj", "conjugate", "imag", "isreal", "real", "slogdet"}


@pytest.mark.parametrize("name", sorted(public_names(ops) & set(ops.__all__)))
def test_parameters_are_those_of_keras(real_keras, name):
    """The same names in the same order, and the same defaults; ours may have more behind them."""
    real = getattr(real_keras.ops, name, None)
    if real is None or name == "custom_gradient":
        pytest.skip("no name of Keras, or a decorator, which nobody calls by keyword")
    mine = list(inspect.signature(getattr(ops, name)).parameters.values())
    theirs = [
        parameter
        for parameter in inspect.signature(real).parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    assert [p.name for p in mine][: len(theirs)] == [p.name for p in theirs]
    for own, other in zip(mine, theirs, strict=False):
        if other.default is not inspect.Parameter.empty:
            assert own.default == other.default or repr(own.default) == repr(other.default)
        assert own.default is not inspect.Parameter.empty or (
            other.default is inspect.Parameter.empty
        )


# ----------------------------------------------------------------------------------------- saving


def keras_class(name):
    """The class of a function in Keras's files, and its module; None for a function without."""
    for module in ("numpy", "nn", "core", "math", "linalg", "image"):
        space = importlib.import_module(f"keras.src.ops.{module}")
        for found, kind in vars(space).items():
            if found.lower() == name.replace("_", "") and inspect.isclass(kind):
                if kind.__module__ == space.__name__:
                    return kind
    return None


@pytest.mark.parametrize("name", sorted(ops.__all__))
def test_is_saved_as_the_class_that_keras_has(real_keras, name):
    """Under its name, with the same parameters in its configuration and the same in its call."""
    kind = keras_class(name) if hasattr(real_keras.ops, name) else None
    if kind is None:
        pytest.skip("not recorded in models")
    assert recorded_function._class_name(name) == kind.__name__
    assert recorded_function._module(name) == kind.__module__
    called = inspect.signature(kind.call).parameters
    for parameter in inspect.signature(getattr(real_keras.ops, name)).parameters:
        of_the_call = recorded_function._is_of_the_call(name, parameter)
        assert of_the_call == (parameter in called) or parameter in FUNCTIONS, parameter


#: Parameters that are functions: models with these cannot be saved.
FUNCTIONS = {"f", "fun", "true_fn", "false_fn", "kwargs"}


def test_a_model_of_operations_opens_in_keras_and_in_onnxruntime(real_keras, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    x = keras.Input((6,))
    pieces = [
        ops.cumsum(x, axis=1),
        ops.sort(x),
        ops.nanmax(x, axis=1, keepdims=True),
        ops.nanmedian(x, axis=1, keepdims=True),
        ops.top_k(x, 2)[0],
        ops.diff(x, n=2),
        ops.fmod(x, ops.abs(x) + 1.0),
        ops.cbrt(x),
        ops.erfc(x),
        ops.sinc(x),
        ops.trapezoid(x, axis=1)[:, None],
        ops.take_along_axis(x, ops.argsort(x), axis=1),
        ops.cast(ops.isin(ops.round(x), [1.0, 2.0]), "float32"),
    ]
    model = keras.Model(x, ops.concatenate(pieces, axis=1))
    data = floats(4, 6)
    expected = model.predict(data, verbose=0)
    model.save(tmp_path / "model.keras")
    theirs = real_keras.saving.load_model(tmp_path / "model.keras")
    mine = keras.models.load_model(tmp_path / "model.keras")
    model.export(str(tmp_path / "model.onnx"), verbose=False)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    (exported,) = session.run(None, {session.get_inputs()[0].name: data})
    for received in (np.asarray(theirs(data)), mine.predict(data, verbose=0), exported):
        np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-6)
