"""Training that is interrupted goes on from its backup, whenever the interruption came."""

from pathlib import Path

import pytest

from graphc.keras import callbacks as ours
from tests.keras.training_double import FakeModel


class SavedModel(FakeModel):
    """Keeps its version in a file, as a model keeps its weights."""

    built = True

    def __init__(self):
        super().__init__()
        self.optimizer.built = True
        self._initial_epoch = 0

    def save_weights(self, path, overwrite=False):
        Path(path).write_text(str(self.version))

    def load_weights(self, path):
        self.version = int(Path(path).read_text())


class Interrupted(Exception):
    pass


def train(model, folder, epochs, stop=None, batches=3, **arguments):
    """Train until an epoch and batch at which a crash happens; return the epochs begun."""
    callbacks = ours.CallbackList(ours.BackupAndRestore(folder, **arguments), model=model)
    model._initial_epoch = 0
    callbacks.on_train_begin()
    begun = []
    for epoch in range(model._initial_epoch, epochs):
        begun.append(epoch)
        callbacks.on_epoch_begin(epoch)
        for batch in range(batches):
            if stop == (epoch, batch):
                return begun
            model.version += 1
            callbacks.on_train_batch_end(batch, {})
        callbacks.on_epoch_end(epoch, {})
    callbacks.on_train_end({})
    return begun


def test_backup_goes_on_where_training_stopped(tmp_path):
    folder = tmp_path / "a" / "backup"
    assert train(SavedModel(), folder, 5, stop=(3, 1)) == [0, 1, 2, 3]
    assert len(list(folder.iterdir())) == 2
    model = SavedModel()
    assert train(model, folder, 5) == [3, 4]
    assert model.version == 15
    assert not folder.exists()
    assert train(SavedModel(), folder, 5) == [0, 1, 2, 3, 4]


def test_backup_between_epochs(tmp_path):
    assert train(SavedModel(), tmp_path / "b", 5, stop=(1, 2), save_freq=2) == [0, 1]
    model = SavedModel()
    callbacks = ours.CallbackList(ours.BackupAndRestore(tmp_path / "b"), model=model)
    callbacks.on_train_begin()
    assert (model.version, model._initial_epoch) == (4, 1)


def test_backup_that_is_switched_off(tmp_path):
    train(SavedModel(), tmp_path / "b", 2, stop=(1, 1), save_freq=False)
    assert not (tmp_path / "b").exists()


def test_backup_that_is_kept(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    train(SavedModel(), tmp_path, 2, delete_checkpoint=False)
    assert len(list(tmp_path.iterdir())) == 3
    train(SavedModel(), tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_backup_survives_a_crash_while_it_is_written(tmp_path, monkeypatch):
    train(SavedModel(), tmp_path, 5, stop=(2, 0))
    model = SavedModel()

    def crash(path, overwrite=False):
        Path(path).write_text("half")
        raise Interrupted

    monkeypatch.setattr(model, "save_weights", crash)
    with pytest.raises(Interrupted):
        train(model, tmp_path, 5)
    monkeypatch.undo()
    monkeypatch.setattr("os.replace", crash)
    with pytest.raises(Interrupted):
        train(SavedModel(), tmp_path, 5)
    monkeypatch.undo()
    model = SavedModel()
    assert train(model, tmp_path, 5, stop=(4, 0)) == [2, 3, 4]
    assert model.version == 12


def test_double_checkpoint_falls_back(tmp_path):
    train(SavedModel(), tmp_path, 5, stop=(3, 0), double_checkpoint=True)
    assert len(list(tmp_path.iterdir())) == 4
    (tmp_path / "training_metadata.json").write_text("{")
    assert train(SavedModel(), tmp_path, 5, double_checkpoint=True)[0] == 2
    assert not tmp_path.exists()


def test_broken_backup(tmp_path):
    (tmp_path / "training_metadata.json").write_text("{}")
    with pytest.raises(ValueError, match="cannot be restored.*Delete the folder"):
        train(SavedModel(), tmp_path, 1)


def test_backup_refuses(tmp_path):
    with pytest.raises(ValueError, match="Empty `backup_dir`"):
        ours.BackupAndRestore("")
    with pytest.raises(ValueError, match="save_freq=batch"):
        ours.BackupAndRestore("x", save_freq="batch")
    model = SavedModel()
    model.built = False
    with pytest.raises(ValueError, match="must be built before"):
        train(model, tmp_path, 1)
