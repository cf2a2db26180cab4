"""The files in a winmail.dat, as Outlook packs them (MS-OXTNEF). Whatever is wrong in it, what was read until then is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_SIGNATURE: Final = b"\x78\x9f\x3e\x22"
_HEAD: Final = 6
"""Bytes of the signature and of a key nobody uses."""
_BEGINS: Final = 0x00069002
_TITLE: Final = 0x00018010
_DATA: Final = 0x0006800F
_MOST: Final = 200


def files_in(content: bytes) -> list[tuple[str, bytes]]:
    """(name, content) of each attachment, in order; none of what is no such file."""
    found: list[list[bytes]] = []
    for name, value in _attributes(content):
        if name == _BEGINS:
            found.append([b"", b""])
        elif found and name == _TITLE:
            found[-1][0] = value
        elif found and name == _DATA:
            found[-1][1] = value
    return [(_text(title) or f"file {number}", data) for number, (title, data) in enumerate(found, 1) if data][:_MOST]


def _attributes(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Level (1 byte), id (4), length (4), value, checksum (2); all little-endian."""
    if not content.startswith(_SIGNATURE):
        return
    at = _HEAD
    while at + 9 <= len(content):
        name = int.from_bytes(content[at + 1 : at + 5], "little")
        length = int.from_bytes(content[at + 5 : at + 9], "little")
        begin, end = at + 9, at + 9 + length
        if end + 2 > len(content):
            return
        yield name, content[begin:end]
        at = end + 2


def _text(title: bytes) -> str:
    return title.rstrip(b"\x00").decode("cp1252", "replace").strip()
