"""Ops as dataclasses whose methods are generated late."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
import threading
from typing import ClassVar

import pytest

from graphc.ir import Op
from graphc.ops.movement import Transpose


class _Base(Op, kw_only=True):
    size: int
    differentiable: ClassVar[bool] = False


class _Derived(_Base):
    name_of_it: str = "x"


class _Plain(_Derived):
    pass


def test_fields_are_inherited_and_compared() -> None:
    op = _Plain("y", size=3)
    assert op.attributes == {"size": 3, "name_of_it": "y"}
    assert op == _Plain("y", size=3) and hash(op) == hash(_Plain("y", size=3))
    assert op != _Plain(size=3) and op != _Derived("y", size=3)
    assert repr(op) == "_Plain(size=3, name_of_it='y')"
    assert dataclasses.replace(op, size=4) == _Plain("y", size=4)


def test_attributes_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        _Plain(size=3).size = 4  # type: ignore[misc]


def test_arguments_are_those_of_the_fields() -> None:
    with pytest.raises(TypeError, match="size"):
        _Plain("y")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="other"):
        _Plain(size=3, other=4)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_are_equal(again: object) -> None:
    op = Transpose((1, 0))
    assert again(op) == op  # type: ignore[operator]


def test_an_op_that_another_process_made_has_its_methods() -> None:
    script = (
        "import pickle, sys; from graphc.ops.movement import Transpose; "
        f"op = pickle.loads({pickle.dumps(Transpose((1, 0)))!r}); "
        "print(op, op == Transpose((1, 0)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split("\n")[0] == "Transpose(permutation=(1, 0)) True", done.stderr


def test_a_decorator_is_refused() -> None:
    @dataclasses.dataclass(frozen=True)
    class _Decorated(_Base):
        more: int = 0

    with pytest.raises(TypeError, match="_Decorated is decorated .* leave the decorator out"):
        _Decorated(size=3)


def test_threads_that_use_an_op_first_at_the_same_time() -> None:
    for _ in range(20):
        kinds = [type(f"_Late{n}", (_Base,), {"__annotations__": {"n": "int"}}) for n in range(10)]
        ready = threading.Barrier(4)
        made: list[list[Op]] = []

        def work(kinds=kinds, ready=ready, made=made) -> None:  # type: ignore[no-untyped-def]
            ready.wait()
            made.append([kind(n=1, size=2) for kind in kinds])

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) == 4 and all(ops == made[0] for ops in made)


def test_an_import_generates_methods_of_few_ops() -> None:
    script = (
        "from graphc import keras; from graphc.ir import Op; "
        "print(len(Op._unused), len(Op.registry))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    unused, known = map(int, done.stdout.split())
    assert unused > known * 3 // 4
