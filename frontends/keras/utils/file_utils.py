"""Files from the network, kept in a cache folder."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from graphc.errors import GraphcError
from graphc.keras.backend import keras_home
from graphc.keras.utils.io_utils import print_msg
from graphc.keras.utils.progbar import Progbar

_CHUNK_BYTES = 1 << 16
_TIMEOUT_SECONDS = 60  # of silence, not of the whole download
_DIGEST_LENGTHS = {"sha256": 64, "md5": 32}


class DownloadError(GraphcError, ConnectionError):
    """A file could not be fetched from the network."""


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Iterable[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """Fetch a file unless the cache folder has it already.

    A file appears under its name only when it is whole and its hash is right.

    Args:
        fname: the file's name in the cache; the last part of ``origin`` if not given. With
            ``extract``, the name of the folder that the archive is extracted to (a name that has
            a dot names the archive, and the folder's name is made from it).
        origin: the address to fetch from.
        untar: older name of ``extract``, for tar archives.
        md5_hash: older name of ``file_hash``, for MD5.
        file_hash: the hash that the file must have, SHA-256 or MD5, in hexadecimal digits.
        cache_subdir: folder inside the cache folder; or an absolute path, used as it is.
        hash_algorithm: ``"sha256"``, ``"md5"``, or ``"auto"`` to tell by the hash's length.
        extract: whether to extract the file, a tar or zip archive.
        archive_format: ``"auto"``, ``"tar"``, ``"zip"``, or a list of formats to try.
        cache_dir: the cache folder; ``$KERAS_HOME`` or ``~/.keras`` if not given.
        force_download: fetch the file even if it is in the cache.

    Returns:
        The path of the file, or of the folder that it was extracted to.

    Raises:
        DownloadError: the file could not be fetched. The message says where to put it by hand.
        ValueError: an argument makes no sense, the file fetched has another hash, or it is an
            archive that cannot be extracted safely.

    Example:
        >>> path = keras.utils.get_file(origin="https://example.org/data.npz")  # doctest: +SKIP
    """
    if origin is None:
        raise ValueError('Please specify the "origin" argument (URL of the file to download).')
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    algorithm = _algorithm(hash_algorithm, file_hash) if file_hash is not None else ""
    folder = Path(os.path.expanduser(cache_dir or keras_home())) / cache_subdir
    name = _file_name(fname, origin)
    archive_name, folder_name = name, ""
    if extract or untar:
        archive_name, folder_name = _archive_names(name, named=bool(fname))
    path = folder / archive_name

    fetched = force_download or not _is_cached(path, file_hash, algorithm)
    if fetched:
        _download(origin, path, file_hash, algorithm)
    if not folder_name:
        return str(path)
    target = folder / folder_name
    if fetched or not target.is_dir():
        # Loaded here since it brings every compressor along, which few programs need.
        from graphc.keras.utils.archive import extract_archive

        extract_archive(path, target, "tar" if untar else archive_format)
    return str(target)


def _file_name(fname: str | os.PathLike[str] | None, origin: str) -> str:
    if not fname:
        name = origin.partition("?")[0].partition("#")[0].rpartition("/")[2]
        if not name:
            raise ValueError(
                f"Can't parse the file name from the origin provided: '{origin}'. "
                "Please specify the `fname` argument."
            )
        return name
    name = os.fspath(fname)
    if name != os.path.basename(name) or name in (os.curdir, os.pardir):
        raise ValueError(
            "Paths are no longer accepted as the `fname` argument. To specify the file's parent "
            f"directory, use the `cache_dir` argument. Received: fname={name}"
        )
    return name


def _archive_names(name: str, named: bool) -> tuple[str, str]:
    """The names of an archive and of the folder it is extracted to, as Keras has them."""
    if named and "." in name:
        return name, f"{name.partition('.')[0]}_extracted"
    return f"{name}_archive", name


def _algorithm(name: str, file_hash: str) -> str:
    if name == "auto":
        name = next((n for n, size in _DIGEST_LENGTHS.items() if len(file_hash) == size), "")
    if len(file_hash) != _DIGEST_LENGTHS.get(name):
        raise ValueError(
            f"A `file_hash` has 64 hexadecimal digits (sha256) or 32 (md5), and `hash_algorithm` "
            f"is 'auto', 'sha256' or 'md5'. Received: file_hash={file_hash!r}"
            + (f", hash_algorithm={name!r}" if name else "")
        )
    return name


def _hash(path: Path, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _is_cached(path: Path, file_hash: str | None, algorithm: str) -> bool:
    if not path.exists():
        return False
    if file_hash is None or _hash(path, algorithm) == file_hash.lower():
        return True
    print_msg(
        "A local file was found, but it seems to be incomplete or outdated because the "
        f"{algorithm} file hash does not match the original value of {file_hash} so we will "
        "re-download the data."
    )
    return False


def _download(origin: str, path: Path, file_hash: str | None, algorithm: str) -> None:
    """Fetch ``origin`` to a temporary name, check it, and rename it to ``path``."""
    import tempfile

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise PermissionError(
            f"{path.name} cannot be saved, because the folder {path.parent} cannot be written "
            f"({error}). Name another folder in the environment variable KERAS_HOME."
        ) from error
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            print_msg(f"Downloading data from {origin}")
            _fetch(origin, file, path, file_hash, algorithm)
        if file_hash is not None and _hash(part, algorithm) != file_hash.lower():
            raise ValueError(
                f"Incomplete or corrupted file detected: {path.name} from {origin}. Its "
                f"{algorithm} file hash is {_hash(part, algorithm)}, and does not match the "
                f"provided value of {file_hash}. The file was discarded."
            )
        os.chmod(part, 0o644)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _fetch(origin: str, file: IO[bytes], path: Path, file_hash: str | None, algorithm: str) -> None:
    # The network's modules are slow to load, and most programs find their files in the cache.
    import http.client
    import urllib.error
    import urllib.request

    reason = ""
    try:
        with urllib.request.urlopen(origin, timeout=_TIMEOUT_SECONDS) as response:
            announced = response.headers.get("Content-Length")
            total = int(announced) if announced and announced.isdecimal() else None
            received = _copy(response, file, total)
        if total is not None and received < total:
            reason = f"the connection ended after {received} of {total} bytes"
    except urllib.error.HTTPError as error:
        reason = f"the server answered {error.code} {error.reason}"
    except urllib.error.URLError as error:
        reason = str(error.reason)
    except (http.client.HTTPException, OSError) as error:
        reason = str(error) or type(error).__name__
    if not reason:
        return
    has_hash = f" (its {algorithm} hash is {file_hash})" if file_hash else ""
    raise DownloadError(
        f"{path.name} could not be fetched from {origin}: {reason}. On a machine without network, "
        f"fetch that address elsewhere and put the file at {path}{has_hash}."
    )


def _copy(response: IO[bytes], file: IO[bytes], total: int | None) -> int:
    bar = Progbar(total)
    received = 0
    while chunk := response.read(_CHUNK_BYTES):
        file.write(chunk)
        received += len(chunk)
        bar.update(received)
    return received
