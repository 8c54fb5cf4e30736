"""``graphc.train.Checkpoint``: the values of variables in a file, found again by names.

See https://www.tensorflow.org/api_docs/python/tf/train/Checkpoint. The files are graphc's own.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.eager import Variable, computing_at_once
from graphc.errors import DTypeError, ShapeError
from graphc.ir import dtype_name
from graphc.names.checkpoint_files import Node, names_of, read_nodes, write_nodes
from graphc.names.checkpoint_manager import write_state
from graphc.names.checkpoint_objects import (
    all_objects,
    escaped,
    held_objects,
    is_trackable,
    is_unfinished,
)
from graphc.names.module import Module, restore_attribute


class Checkpoint:
    """Saves and restores the variables of objects, which it finds by the names of attributes.

    What is saved under one name is restored to what stands under the same name, whatever class that
    is of. Layers and optimizers that are not built yet get their values when they are built,
    modules when the attribute is set.

    Args:
        root: An object whose own attributes are saved as if they were the checkpoint's.
        **kwargs: What to save: variables, modules, layers, models, optimizers, metrics, random
            generators, and lists, tuples and dicts of them.

    Raises:
        ValueError: Something that holds no variables.

    Example:
        >>> checkpoint = graphc.train.Checkpoint(step=graphc.Variable(1), model=model)
        >>> path = checkpoint.save("training/ckpt")  # training/ckpt-1
        >>> checkpoint.restore(path).assert_consumed()
    """

    def __init__(self, root: Any = None, **kwargs: Any):
        for name, item in {**({} if root is None else {"root": root}), **kwargs}.items():
            if not is_trackable(item):
                raise ValueError(
                    f"Checkpoint: `{name}` holds no variables. Received: {item!r} of type "
                    f"{type(item).__name__}"
                )
        self._root = root
        self._save_counter: Variable | None = None
        for name, item in kwargs.items():
            setattr(self, name, item)

    @property
    def save_counter(self) -> Variable:
        """How often it was saved."""
        if self._save_counter is None:
            with computing_at_once():
                self._save_counter = Variable(np.int64(0), trainable=False, name="save_counter")
        return self._save_counter

    def held_objects(self) -> dict[str, Any]:
        """What it saves, by name."""
        own = {name: item for name, item in vars(self).items() if not name.startswith("_")}
        if self._save_counter is not None:
            own["save_counter"] = self._save_counter
        return {**({} if self._root is None else held_objects(self._root)), **own}

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        restore_attribute(self, name, value)

    # ---------------------------------------------------------------------------------- saving

    def write(self, file_prefix: str | os.PathLike[str], options: Any = None) -> str:
        """Write a file by exactly this name, without counting.

        Args:
            file_prefix: The name of the checkpoint; that of the file has ``.h5`` behind it.
            options: Accepted, and ignored.

        Returns:
            The name.

        Raises:
            OSError: The file cannot be written; an older one is still as it was.
        """
        found = all_objects(self)
        numbers = {id(owner): number for number, (owner, _) in enumerate(found)}
        nodes = [
            Node(
                {name: numbers[id(item)] for name, item in held.items()},
                owner.numpy() if isinstance(owner, Variable) else None,
            )
            for owner, held in found
        ]
        write_nodes(file_prefix, nodes)
        return os.fspath(file_prefix)

    def save(self, file_prefix: str | os.PathLike[str], options: Any = None) -> str:
        """Count, write a file with the count behind its name, and remember it as the latest.

        Args:
            file_prefix: Such as ``"training/ckpt"``. The folder is made if there is none.
            options: Accepted, and ignored.

        Returns:
            The name, such as ``"training/ckpt-1"``.
        """
        folder = os.path.dirname(os.fspath(file_prefix)) or "."
        os.makedirs(folder, exist_ok=True)
        self.save_counter.assign_add(1)
        path = self.write(f"{os.fspath(file_prefix)}-{int(self.save_counter)}")
        write_state(folder, [path])
        return path

    # ------------------------------------------------------------------------------- restoring

    def read(self, save_path: str | os.PathLike[str], options: Any = None) -> LoadStatus:
        """Restore from a file that `write` wrote.

        Args:
            save_path: The name of the checkpoint.
            options: Accepted, and ignored.

        Returns:
            What can be asked for what was restored.

        Raises:
            NotFoundError: There is no such file.
            FileFormatError: It is damaged, or something else.
            ShapeError, DTypeError: A value does not fit its variable; none was changed then.
        """
        loading = _Loading(read_nodes(save_path), os.fspath(save_path))
        loading.start(self)
        return LoadStatus(self, loading)

    def restore(self, save_path: str | os.PathLike[str] | None, options: Any = None) -> LoadStatus:
        """The same from a file that `save` wrote, with its count.

        Args:
            save_path: The name of the checkpoint; None, as `latest_checkpoint` gives for an empty
                folder, to restore nothing.
            options: Accepted, and ignored.

        Returns:
            As `read`.

        Raises:
            NotFoundError, FileFormatError, ShapeError, DTypeError: As `read`.
        """
        if save_path is None:
            return LoadStatus(self, _Loading([Node({})], "nothing"))
        self.save_counter  # noqa: B018 (it is made, and so restored)
        return self.read(save_path)


class _Loading:
    """The objects of a file on their way to those of a program."""

    def __init__(self, nodes: Sequence[Node], path: str):
        self.nodes = nodes
        self.path = path
        self.names = names_of(nodes)
        #: What was found for each object of the file.
        self.found: dict[int, Any] = {}

    def start(self, owner: Any, number: int = 0) -> None:
        """Give to an object, and to all that it holds, the values of an object of the file."""
        pairs: list[tuple[Variable, int]] = []
        waiting: list[tuple[Any, int]] = []
        found = {**self.found}
        queue = [(owner, number)]
        seen: set[tuple[int, int]] = set()
        for item, place in queue:
            if (id(item), place) in seen:
                continue
            seen.add((id(item), place))
            found[place] = item
            node = self.nodes[place]
            if isinstance(item, Variable):
                if node.value is not None:
                    self._check(item, place)
                    pairs.append((item, place))
                continue
            if isinstance(item, Checkpoint) and item._root is not None:
                queue.append((item._root, place))  # it may have to wait
            held = held_objects(item)
            queue += [(held[k], child) for k, child in node.children.items() if k in held]
            if is_unfinished(item) or not set(node.children) <= set(held):
                waiting.append((item, place))
        self.found = found
        with computing_at_once():
            for variable, place in pairs:
                variable.assign(self.nodes[place].value)
        for item, place in waiting:
            self._wait(item, place)

    def _check(self, variable: Variable, place: int) -> None:
        value = self.nodes[place].value
        assert value is not None
        text = f'checkpoint "{self.path}": "{self.names[place]}" has'
        if value.shape != variable.shape:
            raise ShapeError(f"{text} shape {value.shape}, the variable {variable.shape}")
        if dtype_name(value.dtype) != variable.dtype:
            raise DTypeError(
                f"{text} dtype {dtype_name(value.dtype)}, the variable {variable.dtype}"
            )

    def _wait(self, item: Any, place: int) -> None:
        """Go on with an object when it makes more variables."""
        if is_unfinished(item):
            build = item.build

            @functools.wraps(build)  # whose signature is looked at
            def build_and_restore(*args: Any, **kwargs: Any) -> Any:
                item.__dict__.pop("build", None)
                result = build(*args, **kwargs)
                self.start(item, place)
                return result

            item.__dict__["build"] = build_and_restore
        elif isinstance(item, (Checkpoint, Module)):
            children = self.nodes[place].children

            def attribute(name: str, value: Any) -> None:
                if escaped(name) in children and is_trackable(value):
                    self.start(value, children[escaped(name)])

            item.__dict__["_restore_attribute"] = attribute


class LoadStatus:
    """What can be asked for what was restored."""

    def __init__(self, checkpoint: Checkpoint, loading: _Loading):
        self._checkpoint = checkpoint
        self._loading = loading

    def assert_consumed(self) -> LoadStatus:
        """Check that each value of the file has its variable, and each variable a value.

        Raises:
            AssertionError: One has not; the text says which. What waits until it is built has none.
        """
        loading = self._loading
        missing = [
            loading.names[number]
            for number, node in enumerate(loading.nodes)
            if node.value is not None and number not in loading.found
        ]
        if missing:
            raise AssertionError(
                f'checkpoint "{loading.path}": nothing was found for {_listed(missing)}, which it '
                "holds (expect_partial() where that is meant)"
            )
        return self.assert_existing_objects_matched()

    def assert_existing_objects_matched(self) -> LoadStatus:
        """Check that each variable that there is has a value in the file.

        Raises:
            AssertionError: One has none.
        """
        loading = self._loading
        restored = {id(item) for item in loading.found.values()}
        counter = self._checkpoint._save_counter
        lacking = [
            getattr(owner, "path", repr(owner))
            for owner, _ in all_objects(self._checkpoint)
            if isinstance(owner, Variable) and owner is not counter and id(owner) not in restored
        ]
        if lacking:
            raise AssertionError(
                f'checkpoint "{loading.path}": it holds nothing for {_listed(lacking)}'
            )
        return self

    def assert_nontrivial_match(self) -> LoadStatus:
        """Check that anything was restored.

        Raises:
            AssertionError: Nothing was.
        """
        if not any(isinstance(item, Variable) for item in self._loading.found.values()):
            raise AssertionError(f'checkpoint "{self._loading.path}": nothing of it was restored')
        return self

    def expect_partial(self) -> LoadStatus:
        """Nothing: there are no warnings about what was not restored."""
        return self


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
