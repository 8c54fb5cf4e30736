"""``graphc.train``: checkpoints under TensorFlow's names.

See https://www.tensorflow.org/api_docs/python/tf/train.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from graphc.errors import NotFoundError
from graphc.names.adapt import missing_name, public_names, published
from graphc.names.checkpoint import Checkpoint
from graphc.names.checkpoint_files import names_of, read_nodes
from graphc.names.checkpoint_manager import CheckpointManager, latest_checkpoint

published(Checkpoint)
published(CheckpointManager)
published(latest_checkpoint)


def _values(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    nodes = read_nodes(path)
    names = names_of(nodes)
    values = {names[n]: node.value for n, node in enumerate(nodes) if node.value is not None}
    return {name: values[name] for name in sorted(values)}


@published
def list_variables(ckpt_dir_or_file: str | os.PathLike[str]) -> list[tuple[str, list[int]]]:
    """Names and shapes of the variables of a checkpoint.

    Args:
        ckpt_dir_or_file: Its name, or a folder for the latest in it.

    Raises:
        NotFoundError: There is none.
        FileFormatError: It is damaged.
    """
    values = _values(_chosen(ckpt_dir_or_file))
    return [(name, list(value.shape)) for name, value in values.items()]


@published
def load_variable(ckpt_dir_or_file: str | os.PathLike[str], name: str) -> np.ndarray:
    """The value of one variable of a checkpoint.

    Args:
        ckpt_dir_or_file: Its name, or a folder for the latest in it.
        name: The variable, as `list_variables` calls it.

    Raises:
        NotFoundError: There is no such checkpoint, or no such variable in it.
        FileFormatError: It is damaged.
    """
    path = _chosen(ckpt_dir_or_file)
    values = _values(path)
    if name not in values:
        raise NotFoundError(
            f'checkpoint "{path}": it has no variable "{name}"; it has {", ".join(values)}'
        )
    return values[name]


def _chosen(path: str | os.PathLike[str]) -> str:
    found = latest_checkpoint(path) if os.path.isdir(path) else None
    return found or os.fspath(path)


__all__ = public_names(globals())


def __getattr__(name: str) -> Any:
    raise missing_name("graphc.train", name, __all__)
