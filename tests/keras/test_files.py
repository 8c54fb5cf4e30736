"""keras.utils.get_file: the cache, downloads that fail, and archives that mean harm."""

import hashlib
import http.server
import io
import os
import tarfile
import threading
import zipfile

import pytest

from graphc.errors import FileFormatError
from graphc.keras.utils import get_file
from graphc.keras.utils.archive import extract_archive

CONTENTS = bytes(range(256)) * 700
SHA256 = hashlib.sha256(CONTENTS).hexdigest()
MD5 = hashlib.md5(CONTENTS).hexdigest()


def tar_bytes(mode="w:gz", **members):
    """An archive with members by name: bytes, or a ready ``TarInfo``."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode=mode) as tar:
        for name, contents in members.items():
            if isinstance(contents, tarfile.TarInfo):
                tar.addfile(contents)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(contents)
            tar.addfile(info, io.BytesIO(contents))
    return raw.getvalue()


def zip_bytes(**members):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, contents in members.items():
            archive.writestr(name, contents)
    return raw.getvalue()


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


PAGES = {
    "/data.bin": CONTENTS,
    "/pack.tar.gz": tar_bytes(**{"inner/a.txt": b"a", "b.txt": b"b"}),
    "/pack.zip": zip_bytes(**{"inner/a.txt": b"a", "b.txt": b"b"}),
    "/bad.tar": tar_bytes("w", **{"fine.txt": b"x", "../evil.txt": b"x"}),
}


class Server(http.server.BaseHTTPRequestHandler):
    requests = []

    def do_GET(self):
        path = self.path.partition("?")[0]
        Server.requests.append(path)
        cut = path.startswith("/cut")
        page = CONTENTS if cut else PAGES.get(path)
        if page is None:
            self.send_error(404, "No such page")
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page[: len(page) // 2] if cut else page)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path):
    Server.requests.clear()
    return tmp_path / "datasets"


def fetch(address, tmp_path, page="/data.bin", **arguments):
    return get_file(origin=address + page, cache_dir=tmp_path, **arguments)


def test_downloads_once(address, folder, tmp_path, capsys):
    path = fetch(address, tmp_path, file_hash=SHA256)
    assert path == str(folder / "data.bin")
    assert (folder / "data.bin").read_bytes() == CONTENTS
    printed = capsys.readouterr().out
    assert printed.startswith(f"Downloading data from {address}/data.bin\n")
    assert f"{len(CONTENTS)}/{len(CONTENTS)}" in printed
    assert fetch(address, tmp_path, file_hash=SHA256) == path
    assert capsys.readouterr().out == ""
    assert Server.requests == ["/data.bin"]
    fetch(address, tmp_path, force_download=True)
    assert len(Server.requests) == 2
    assert os.listdir(folder) == ["data.bin"]


def test_cache_folder_is_keras_home(address, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert get_file("x.bin", address + "/data.bin") == str(folder / "x.bin")
    elsewhere = tmp_path / "else"
    path = get_file("x.bin", address + "/data.bin", cache_subdir=str(elsewhere))
    assert path == str(elsewhere / "x.bin")


@pytest.mark.parametrize(
    "arguments",
    [
        {"file_hash": SHA256},
        {"file_hash": SHA256.upper()},
        {"file_hash": MD5},
        {"md5_hash": MD5},
        {"file_hash": MD5, "hash_algorithm": "md5"},
        {"file_hash": SHA256, "hash_algorithm": "sha256"},
    ],
)
def test_hashes(arguments, address, folder, tmp_path):
    fetch(address, tmp_path, **arguments)
    wrong = {
        name: value.translate(str.maketrans("0123456789", "1234567890"))
        for name, value in arguments.items()
        if name != "hash_algorithm"
    }
    with pytest.raises(ValueError, match="does not match the provided value"):
        fetch(address, tmp_path, fname="other.bin", **{**arguments, **wrong})
    assert os.listdir(folder) == ["data.bin"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"file_hash": "abc"},
        {"file_hash": MD5, "hash_algorithm": "sha256"},
        {"file_hash": SHA256, "hash_algorithm": "crc"},
    ],
)
def test_hashes_that_are_none(arguments, tmp_path):
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        get_file(origin="http://127.0.0.1/x", cache_dir=tmp_path, **arguments)


def test_damaged_file_in_the_cache_is_fetched_again(address, folder, tmp_path, capsys):
    folder.mkdir()
    (folder / "data.bin").write_bytes(CONTENTS[:100])
    fetch(address, tmp_path, file_hash=SHA256)
    assert "incomplete or outdated" in capsys.readouterr().out
    assert (folder / "data.bin").read_bytes() == CONTENTS


def test_query_is_no_part_of_the_name(address, folder, tmp_path):
    assert fetch(address, tmp_path, "/data.bin?raw=1#top") == str(folder / "data.bin")


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("/absent.npz", "the server answered 404"),
        ("/cut.npz", f"the connection ended after {len(CONTENTS) // 2} of {len(CONTENTS)} bytes"),
    ],
)
def test_failed_downloads_leave_nothing(page, reason, address, folder, tmp_path):
    with pytest.raises(ConnectionError) as caught:
        fetch(address, tmp_path, page, file_hash=SHA256)
    message = str(caught.value)
    for part in (page[1:], address + page, reason, str(folder / page[1:]), SHA256):
        assert part in message
    assert os.listdir(folder) == []


def test_no_network(folder, tmp_path):
    with pytest.raises(ConnectionError, match="could not be fetched from http://127.0.0.1:9/a.npz"):
        get_file(origin="http://127.0.0.1:9/a.npz", cache_dir=tmp_path)
    assert os.listdir(folder) == []


def test_interrupted_download_leaves_nothing(address, folder, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("graphc.keras.utils.file_utils.Progbar.update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(address, tmp_path)
    assert os.listdir(folder) == []


def test_folder_that_cannot_be_written(address, tmp_path):
    (tmp_path / "datasets").write_text("a file where the folder should be")
    with pytest.raises(PermissionError, match="KERAS_HOME"):
        fetch(address, tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        {"origin": None},
        {"origin": "http://127.0.0.1/"},
        {"origin": "http://127.0.0.1/x", "fname": "a/b"},
        {"origin": "http://127.0.0.1/x", "fname": ".."},
    ],
)
def test_names_that_are_none(arguments, tmp_path):
    with pytest.raises(ValueError, match="specify|Paths are no longer"):
        get_file(cache_dir=tmp_path, **arguments)


@pytest.mark.parametrize("page", ["/pack.tar.gz", "/pack.zip"])
@pytest.mark.parametrize("fname", [None, "pack", "pack.any"])
def test_extraction_has_the_names_of_keras(page, fname, address, tmp_path, real_keras):
    trees = []
    for function in (real_keras.utils.get_file, get_file):
        base = tmp_path / function.__module__
        base.mkdir()
        path = function(fname, address + page, cache_dir=str(base), extract=True)
        names = {str(p.relative_to(base)) for p in base.rglob("*")}
        trees.append((os.path.relpath(path, base), names))
    assert trees[0] == trees[1]
    with open(os.path.join(path, "inner", "a.txt")) as file:
        assert file.read() == "a"


def test_extracts_once_and_again_after_a_new_download(address, folder, tmp_path):
    path = fetch(address, tmp_path, "/pack.tar.gz", extract=True)
    os.remove(os.path.join(path, "b.txt"))
    assert "b.txt" not in os.listdir(fetch(address, tmp_path, "/pack.tar.gz", extract=True))
    fetch(address, tmp_path, "/pack.tar.gz", untar=True, force_download=True)
    assert "b.txt" in os.listdir(path)


def test_what_is_no_archive(address, folder, tmp_path):
    with pytest.raises(FileFormatError, match="is not an archive of format tar or zip"):
        fetch(address, tmp_path, extract=True)
    with pytest.raises(ValueError, match="`archive_format` must be"):
        fetch(address, tmp_path, "/pack.zip", extract=True, archive_format="rar")
    with pytest.raises(FileFormatError, match="format tar"):
        fetch(address, tmp_path, "/pack.zip", untar=True)
    assert not [name for name in os.listdir(folder) if "archive" not in name]


def device(name):
    info = tarfile.TarInfo(name)
    info.type = tarfile.CHRTYPE
    return info


HARMFUL = {
    "parent": tar_bytes(**{"ok.txt": b"x", "../evil.txt": b"x"}),
    "hidden parent": tar_bytes(**{"a/../../evil.txt": b"x"}),
    "absolute": tar_bytes(**{"/tmp/graphc-evil.txt": b"x"}),
    "sibling": tar_bytes(**{"../target.evil/x": b"x"}),
    "symbolic link out": tar_bytes(a=link("a", "/etc/hostname")),
    "hard link out": tar_bytes(a=link("a", "../../etc/hostname", tarfile.LNKTYPE)),
    "through a link": tar_bytes(**{"a": link("a", ".."), "a/evil.txt": b"x"}),
    "device": tar_bytes(a=device("a")),
    "zip parent": zip_bytes(**{"ok.txt": b"x", "../evil.txt": b"x"}),
    "zip absolute": zip_bytes(**{"/tmp/graphc-evil.txt": b"x"}),
    "cut": tar_bytes(a=os.urandom(9999))[:5000],
    "cut zip": zip_bytes(a=b"x" * 99)[:-30],
}


@pytest.mark.parametrize("case", HARMFUL)
def test_harmful_archives_are_refused_whole(case, tmp_path):
    path = tmp_path / "in" / "archive"
    path.parent.mkdir()
    path.write_bytes(HARMFUL[case])
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileFormatError):
        extract_archive(path, path.parent / "target")
    assert sorted(tmp_path.rglob("*")) == before
    assert not os.path.exists("/tmp/graphc-evil.txt")


def test_links_inside_an_archive_become_copies(tmp_path):
    path = tmp_path / "archive"
    members = {"d/a": b"text", "soft": link("soft", "d/a"), "hard": link("hard", "d/a", b"1")}
    path.write_bytes(tar_bytes(**members))
    target = tmp_path / "target"
    extract_archive(path, target)
    for name in ("soft", "hard"):
        assert (target / name).read_bytes() == b"text"
        assert not (target / name).is_symlink()


def test_extraction_replaces_a_folder(tmp_path):
    path = tmp_path / "archive"
    path.write_bytes(tar_bytes(a=b"new"))
    target = tmp_path / "target"
    target.mkdir()
    (target / "old").write_text("old")
    extract_archive(path, target, ["tar"])
    assert os.listdir(target) == ["a"]
