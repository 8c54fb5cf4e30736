"""Unpacking archives that nobody has to trust.

Only plain files and folders are ever created. A link inside an archive becomes a copy of what it
names; a member that would land outside the target folder, a link that leaves the archive, and a
device are errors. An archive is unpacked beside its target and renamed, so that a failure leaves
nothing behind.
"""

import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from graphc.errors import FileFormatError

Member = tuple[str, IO[bytes] | None]
"""A member's name and its contents; ``None`` is a folder."""


def extract_archive(
    path: Path, target: Path, archive_format: str | Iterable[str] | None = "auto"
) -> None:
    """Unpack an archive into a folder, all of it or nothing.

    Args:
        path: the archive.
        target: the folder to make; an existing one is replaced.
        archive_format: ``"tar"`` (compressed too), ``"zip"``, ``"auto"`` for either, or a list of
            them to try.

    Raises:
        FileFormatError: the file is no such archive, is damaged, or has a member that does not
            belong into the target folder.
        ValueError: ``archive_format`` is unknown.
    """
    formats = _formats(archive_format)
    part = Path(tempfile.mkdtemp(prefix=f"{target.name}.", suffix=".part", dir=target.parent))
    try:
        if "tar" in formats and tarfile.is_tarfile(path):
            with tarfile.open(path) as tar:
                _write_members(_tar_members(tar, path), part, path)
        elif "zip" in formats and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _write_members(_zip_members(archive), part, path)
        else:
            raise FileFormatError(
                f"{path} is not an archive of format {' or '.join(formats)}, or it is damaged. "
                f"Delete it and fetch it again."
            )
        os.chmod(part, 0o755)
        if target.exists():
            shutil.rmtree(target)
        os.replace(part, target)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise FileFormatError(
            f"The archive {path} is damaged ({error}). Delete it and fetch it again."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _formats(archive_format: str | Iterable[str] | None) -> list[str]:
    if archive_format == "auto":
        return ["tar", "zip"]
    if isinstance(archive_format, str):
        archive_format = [archive_format]
    formats = list(archive_format or ())
    if not formats or not set(formats) <= {"tar", "zip"}:
        raise ValueError(
            f"`archive_format` must be 'auto', 'tar', 'zip' or a list of the last two. "
            f"Received: {archive_format!r}"
        )
    return formats


def _tar_members(tar: tarfile.TarFile, path: Path) -> Iterator[Member]:
    for member in tar:
        if member.isdir():
            yield member.name, None
            continue
        try:
            contents = tar.extractfile(member)
        except KeyError:
            contents = None
        if contents is None:
            raise FileFormatError(
                f"{path}: member {member.name!r} is a device, or a link to something that is no "
                f"file of this archive ({member.linkname!r}). Nothing was extracted."
            )
        with contents:
            yield member.name, contents


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for member in archive.infolist():
        if member.is_dir():
            yield member.filename, None
            continue
        with archive.open(member) as contents:
            yield member.filename, contents


def _write_members(members: Iterable[Member], folder: Path, path: Path) -> None:
    root = os.path.realpath(folder)
    for name, contents in members:
        place = os.path.realpath(os.path.join(root, name))
        if place != root and not place.startswith(root + os.sep):
            raise FileFormatError(
                f"{path}: member {name!r} would be written outside the folder that the archive is "
                f"extracted to. Nothing was extracted; do not trust this file."
            )
        if contents is None:
            os.makedirs(place, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            shutil.copyfileobj(contents, file)
