"""Several object files as one: the archive format of `ar`, which linkers and disassemblers read.

A program is compiled in parts. What the cache keeps and the loaders take is one piece of bytes all
the same: the object itself, or an archive of some.

The format is that of System V: https://man.freebsd.org/cgi/man.cgi?query=ar&sektion=5
"""

from __future__ import annotations

from collections.abc import Sequence

_MAGIC = b"!<arch>\n"
_HEADER_SIZE = 60
_SIZE = slice(48, 58)
_END = b"`\n"


def join(objects: Sequence[bytes]) -> bytes:
    """One object as it is, several as an archive.

    Args:
        objects: Object files; at least one.

    Example:
        >>> join([b"one object"])
        b'one object'
    """
    if len(objects) == 1:
        return objects[0]
    pieces = [_MAGIC]
    for number, content in enumerate(objects):
        # Name, time, owner, group, mode, size. No time: the same program gives the same bytes.
        header = f"{f'part{number}.o/':<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(content):<10}"
        pieces += [header.encode(), _END, content, b"\n" * (len(content) % 2)]
    return b"".join(pieces)


def split(code: bytes) -> list[bytes]:
    """The objects that `join` put together.

    Args:
        code: An object file or an archive.

    Raises:
        ValueError: An archive is damaged.

    Example:
        >>> split(join([b"one", b"another"]))
        [b'one', b'another']
    """
    if not code.startswith(_MAGIC):
        return [code]
    objects = []
    place = len(_MAGIC)
    while place < len(code):
        header = code[place : place + _HEADER_SIZE]
        size = header[_SIZE].strip()
        begin = place + _HEADER_SIZE
        if not header.endswith(_END) or not size.isdigit() or begin + int(size) > len(code):
            raise ValueError(f"the archive has no sound member at byte {place}")
        objects.append(code[begin : begin + int(size)])
        place = begin + int(size) + int(size) % 2
    return objects
