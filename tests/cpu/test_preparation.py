"""What programs that answer prepare from weights: packed copies, kept while those are the same."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from graphc import keras, runtime
from graphc.eager.function import function
from graphc.errors import ShapeError
from graphc.ir import Graph, TensorType
from graphc.ops.elementwise import Relu
from graphc.ops.linalg import Einsum
from graphc.program import Program, Variable
from graphc.runtime.cpu import jit
from graphc.runtime.cpu.contraction import Axis, Contraction, generate
from graphc.runtime.cpu.contraction_ways import ways_of
from graphc.runtime.cpu.emitter import Module
from graphc.runtime.cpu.inspect import sizes
from graphc.runtime.cpu.program import CpuExecutable
from graphc.runtime.cpu.target import Target
from graphc.runtime.state import State, note_change
from tests.cpu.programs import BATCH
from tests.cpu.test_contraction import TARGETS, random_array, store_cast


def dense(rows: int, inner: tuple[int, ...], columns: int) -> Contraction:
    """`x @ w` for rows of an image, with reductions over some axes."""
    steps = np.cumprod([1, *inner[:0:-1]])[::-1]
    total = int(np.prod(inner))
    return Contraction(
        rows=(Axis(rows, a=total, c=columns),),
        columns=(Axis(columns, b=1, c=1),),
        reduction=tuple(
            Axis(size, a=int(step), b=int(step) * columns)
            for size, step in zip(inner, steps, strict=True)
        ),
        batch=1,
        is_cold=True,
    )


CASES = {
    "one panel": dense(40, (2500,), 8),
    "whole panels": dense(49, (256,), 96),
    "last panel": dense(49, (256,), 70),
    "blocks": dense(17, (3000,), 50),
    "blocks in axes": replace(
        dense(33, (3, 1000), 70),
        rows=(Axis(33, a=3900, c=70),),
        reduction=(Axis(3, a=1300, b=70_000), Axis(1000, a=1, b=70)),
    ),
    "ragged rows of weights": dense(130, (9,), 101),
    "images known later": replace(
        dense(49, (256,), 70),
        rows=(Axis("n", a=49 * 256, c=49 * 70), Axis(49, a=256, c=70)),
    ),
    "weights the other way": replace(
        dense(49, (256,), 70),
        columns=(Axis(70, b=256, c=1),),
        reduction=(Axis(256, a=1, b=1),),
    ),
    "every third column": replace(
        dense(49, (256,), 70),
        columns=(Axis(70, b=3, c=1),),
        reduction=(Axis(256, a=1, b=210),),
    ),
}


def results(
    contraction: Contraction, target: Target, x: np.ndarray, w: np.ndarray, rows: int
) -> np.ndarray:
    """What a contraction gives, one chunk at a time, the last ones first."""
    module = Module(target)
    native = generate(module, "f", contraction, store_cast(contraction.dtype))
    library = jit.load_object(jit.emit_object(module.text(), target))
    columns = contraction.columns[0].size
    y = np.zeros((rows, int(columns)), x.dtype)
    sizes = dict.fromkeys(native.sizes, rows // 49)  # images
    scratch = np.zeros(native.scratch_bytes(sizes) + 64, np.uint8)
    pointers = [x, w]
    counts = [ctypes.c_int64] * len(sizes)
    if contraction.is_packed:
        packed = np.zeros(native.panels * native.panel_elements, x.dtype)
        kinds = [ctypes.c_void_p] * 2 + counts + [ctypes.c_int64] * 2
        pack = library.function(native.pack_name, kinds)
        for panel in reversed(range(native.panels)):
            pack(w.ctypes.data, packed.ctypes.data, *sizes.values(), panel, panel + 1)
        pointers += [packed]
    pointers += [y]
    kinds = [ctypes.c_void_p] * len(pointers) + counts + [ctypes.c_void_p] + [ctypes.c_int64] * 2
    function = library.function("f", kinds)
    addresses = [array.ctypes.data for array in pointers]
    for chunk in reversed(range(native.chunks(sizes))):
        function(*addresses, *sizes.values(), scratch.ctypes.data, chunk, chunk + 1)
    return y


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_packed_ahead_gives_the_bits_of_packed_each_time(
    name: str, dtype: str, target: Target
) -> None:
    contraction = replace(CASES[name], dtype=dtype)
    rows = int(np.prod([x.size if isinstance(x.size, int) else 3 for x in contraction.rows]))
    steps = int(np.prod([axis.size for axis in contraction.reduction]))
    x = random_array((2 * rows, steps), dtype, 1)
    columns = contraction.columns[0]
    w = random_array(
        (steps * int(columns.size) * (int(columns.b) if columns.b == 3 else 1),), dtype
    )
    ways = ways_of(contraction, False, target)
    plan = contraction.plan(target)
    assert ways[0].contraction.is_packed == (plan.pack and not plan.swapped)
    first, second = (
        results(replace(contraction, is_packed=packed), target, x, w, rows)
        for packed in (False, True)
    )
    assert first.tobytes() == second.tobytes()


def test_the_cases_are_what_they_are_called() -> None:
    plans = {name: case.plan(Target.x86_64_v3()) for name, case in CASES.items()}
    assert all(plan.pack and not plan.swapped for plan in plans.values())
    assert plans["blocks"].block and plans["blocks in axes"].around
    assert plans["whole panels"].pack_together and not plans["ragged rows of weights"].pack_together


def test_what_is_not_packed_ahead() -> None:
    target = Target.x86_64_v3()
    case = CASES["last panel"]

    def is_packed(contraction: Contraction) -> bool:
        return any(way.contraction.is_packed for way in ways_of(contraction, False, target))

    assert is_packed(case)
    assert not is_packed(replace(case, is_cold=False))  # no weights
    assert not is_packed(replace(case, batch=32))  # rows come one by one, and are not packed
    assert not is_packed(replace(case, parts=2))
    few = dense(300, (256,), 3)
    assert few.plan(target).swapped  # the images are the vector operand
    assert not is_packed(few)
    assert not is_packed(replace(case, columns=(Axis("n", b=1, c=1),)))


def image_program(learns: bool = False) -> Program:
    """y = relu(x w) for 49 places of each image."""
    graph = Graph("answer")
    x = graph.input("x", TensorType((BATCH, 49, 256), "float32"))
    w = graph.input("w", TensorType((256, 70), "float32"))
    graph.outputs["y"] = Relu()(Einsum("bpi,io->bpo")(x, w))
    if learns:
        graph.outputs["w'"] = w * 2.0
    return Program(graph, (Variable("w", "w'" if learns else None),), "answer")


X = np.random.default_rng(0).normal(size=(3, 49, 256)).astype("float32")
W = np.random.default_rng(1).normal(size=(256, 70)).astype("float32")


def expected(w: np.ndarray, x: np.ndarray = X) -> np.ndarray:
    return np.maximum(x @ w, 0)


def check(found: np.ndarray, w: np.ndarray, x: np.ndarray = X) -> None:
    np.testing.assert_allclose(found, expected(w, x), rtol=1e-5, atol=2e-4)


def ways_to_run(
    executable: runtime.Executable, state: Mapping[str, np.ndarray]
) -> list[Callable[[], np.ndarray]]:
    y = np.empty((3, 49, 70), np.float32)

    def steps() -> np.ndarray:
        executable.run_steps({"x": X}, state, 2, 2, results={"y": y})
        return y

    call = executable.bind({"x": X}, state)
    return [lambda: executable.run({"x": X}, state)["y"], steps, lambda: call()["y"]]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("way", range(3), ids=["run", "steps", "bind"])
def test_arrays_of_the_caller_may_change_at_any_time(way: int, threads: int) -> None:
    executable = CpuExecutable(image_program(), threads, Target.x86_64_v3())
    assert executable.manifest.prepared
    state = {"w": W.copy()}
    run = ways_to_run(executable, state)[way]
    check(run(), W)
    state["w"] *= 2
    check(run(), 2 * W)
    state["w"][5] = 0
    check(run(), state["w"])


@pytest.mark.parametrize("way", range(3), ids=["run", "steps", "bind"])
def test_of_state_only_what_was_noted_has_changed(way: int) -> None:
    executable = CpuExecutable(image_program(), 1, Target.x86_64_v3())
    state = State(w=W.copy())
    run = ways_to_run(executable, state)[way]
    check(run(), W)
    state["w"] *= 2
    check(run(), W)  # a promise was broken; or else nothing would be kept
    note_change()
    check(run(), 2 * W)
    check(run(), 2 * W)


def test_other_arrays_and_other_sizes() -> None:
    executable = CpuExecutable(image_program(), 1, Target.x86_64_v3())
    first, second = State(w=W.copy()), State(w=3 * W)
    for rows in (3, 1, 2, 3):
        check(executable.run({"x": X[:rows]}, first)["y"], W, X[:rows])
        check(executable.run({"x": X[:rows]}, second)["y"], 3 * W, X[:rows])
    second["w"] = -W
    check(executable.run({"x": X}, second)["y"], -W)


def test_what_is_prepared_serves_batches_of_every_size() -> None:
    executable = CpuExecutable(image_program(), 1, Target.x86_64_v3())
    state = State(w=W.copy())
    check(executable.run({"x": X}, state)["y"], W)
    state["w"] *= 2  # not noted, so that one sees what is kept
    for rows in (1, 2, 3):
        check(executable.run({"x": X[:rows]}, state)["y"], W, X[:rows])
    call = executable.bind({"x": X}, state)  # with memory of its own from here on
    check(call()["y"], W)
    check(executable.run({"x": X}, state)["y"], 2 * W)


def test_a_call_that_is_refused_prepares_nothing() -> None:
    executable = CpuExecutable(image_program(), 1, Target.x86_64_v3())
    state = State(w=W.copy())
    for factor in (1, 2):
        with pytest.raises(ShapeError):
            executable.run_steps({"x": X}, state, 2, 100)
        check(executable.run({"x": X}, state)["y"], factor * W)
        state["w"] *= 2
        note_change()


@pytest.mark.parametrize("backend", ["cpu", "onnxruntime", "reference"])
def test_what_learns_notes_the_change(backend: str) -> None:
    answers = CpuExecutable(image_program(), 1, Target.x86_64_v3())
    learner = runtime.compile(image_program(learns=True), backend)
    state = State(w=W.copy())
    check(answers.run({"x": X}, state)["y"], W)
    y = np.empty((3, 49, 70), np.float32)
    learner.run({"x": X}, state)
    check(answers.run({"x": X}, state)["y"], 2 * W)
    learner.run_steps({"x": X}, state, 2, 2, results={"y": y})
    check(answers.run({"x": X}, state)["y"], 8 * W)
    learner.bind({"x": X}, state)()
    check(answers.run({"x": X}, state)["y"], 16 * W)


def test_a_program_that_learns_prepares_nothing() -> None:
    learner, answers = (
        CpuExecutable(image_program(learns), 1, Target.x86_64_v3()) for learns in (True, False)
    )
    assert not learner.manifest.prepared
    assert W.nbytes <= answers.manifest.prepared_bytes < 2 * W.nbytes


def test_inspect_tells_how_much_it_is() -> None:
    found = sizes(image_program(), {"batch": 2}).prepared_bytes
    assert found == CpuExecutable(image_program()).manifest.prepared_bytes > 0


def test_threads_of_the_caller_see_their_own_weights() -> None:
    executable = CpuExecutable(image_program(), 1, Target.x86_64_v3())
    wrong: list[float] = []

    def work(factor: int) -> None:
        state = State(w=factor * W)
        for _ in range(30):
            found = executable.run({"x": X}, state)["y"]
            if not np.allclose(found, expected(factor * W), rtol=1e-5, atol=1e-3):
                wrong.append(factor)
            note_change()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# ------------------------------------------------------------------------------- through models


def image_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((8, 8, 64)),
        keras.layers.Conv2D(70, 3, padding="same", activation="relu"),
        keras.layers.Conv2D(70, 3, padding="same"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3),
    ]
    return keras.Sequential(layers)


IMAGES = np.random.default_rng(2).normal(size=(5, 8, 8, 64)).astype("float32")


def fresh(model: keras.Model) -> np.ndarray:
    """What a new model with these weights answers."""
    other = image_model()
    other.set_weights(model.get_weights())
    return other.predict(IMAGES, verbose=0)


def double(model: keras.Model) -> None:
    model.set_weights([2 * x for x in model.get_weights()])


def assign(model: keras.Model) -> None:
    model.layers[1].kernel.assign_add(model.layers[1].kernel)


def learn(model: keras.Model) -> None:
    model.compile("sgd", "mse")
    model.fit(IMAGES, np.ones((5, 3)), epochs=1, verbose=0)


def learn_at_once(model: keras.Model) -> None:
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(IMAGES, np.ones((5, 3)), epochs=1, verbose=0)


def assign_in_a_function(model: keras.Model) -> None:
    @function
    def change() -> None:
        kernel = model.layers[1].kernel
        kernel.assign(kernel * 2)

    change()
    change()


def restore_the_start(model: keras.Model) -> None:
    kernel = model.layers[1].kernel
    kernel.restore(np.zeros(kernel.shape, "float32"))


def set_one_layer(model: keras.Model) -> None:
    kernel, bias = model.layers[0].get_weights()
    model.layers[0].set_weights([kernel + 1, bias])


@pytest.mark.parametrize(
    "change",
    [
        double,
        assign,
        assign_in_a_function,
        restore_the_start,
        learn,
        learn_at_once,
        set_one_layer,
    ],
)
@pytest.mark.parametrize("call", ["predict", "predict_on_batch", "call"])
def test_models_answer_with_the_weights_that_they_have(
    change: Callable[[keras.Model], None], call: str
) -> None:
    model = image_model()
    run = {
        "predict": lambda: model.predict(IMAGES, verbose=0),
        "predict_on_batch": lambda: model.predict_on_batch(IMAGES),
        "call": lambda: np.asarray(model(IMAGES)),
    }[call]
    for _ in range(3):
        run()
    before = run()
    change(model)
    after = run()
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, fresh(model), rtol=1e-5, atol=1e-5)
