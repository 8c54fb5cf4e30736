"""Zip archives, read with distrust. Nothing is ever unpacked to the disk."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from graphc.errors import FileFormatError

# Below this size a member may expand as it likes; above it no honest file shrinks to a hundredth.
_HARMLESS_BYTES = 1 << 26
_MOST_EXPANSION = 100


def read_archive(path: Path) -> dict[str, bytes]:
    """The members of a zip archive by name.

    Raises:
        FileFormatError: It is damaged; or a member is encrypted, leaves the archive with its
            name, occurs twice, or is declared to expand beyond reason.
        zipfile.BadZipFile: It is no zip archive, or a checksum is wrong.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        for member in members:
            _check(member)
            if names.count(member.filename) > 1:
                raise FileFormatError(f'the archive has two members "{member.filename}"')
        return {m.filename: archive.read(m) for m in members if not m.is_dir()}


def _check(member: zipfile.ZipInfo) -> None:
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
        raise FileFormatError(f'the archive has a member outside of itself: "{member.filename}"')
    if member.flag_bits & 1:
        raise FileFormatError(f'the member "{member.filename}" is encrypted')
    size, stored = member.file_size, member.compress_size
    if size > _HARMLESS_BYTES and size > _MOST_EXPANSION * stored:
        raise FileFormatError(
            f'the member "{member.filename}" declares {size} bytes but stores {stored}: '
            "a decompression bomb"
        )


def write_archive(members: Mapping[str, bytes]) -> bytes:
    """A zip archive, uncompressed, with the same bytes for the same members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return buffer.getvalue()
