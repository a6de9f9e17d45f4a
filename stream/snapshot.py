"""A role's memory as one file: replaced whole or not at all, read back only if it is what was written.

Knows: files, digests, compression. Does not know: what is in it, who keeps it.

Layout: the sha256 of the rest (32 bytes), then zstd of msgpack [kind, version, state].
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Final

import msgspec
import zstandard

from stream.errors import StreamError

#: Speed over size: a snapshot lives for seconds.
LEVEL: Final = 1


class SnapshotDamaged(StreamError):
    """A snapshot cannot be read; it is set aside, and the role starts from the topics' beginning."""


def save(path: Path, kind: str, version: int, state: Any) -> None:
    """Replace the file at ``path``; after the return it survives a pulled plug. Raises OSError."""
    packed = zstandard.ZstdCompressor(level=LEVEL).compress(msgspec.msgpack.encode([kind, version, state]))
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(hashlib.sha256(packed).digest() + packed)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load(path: Path, kind: str, version: int) -> Any:
    """The state that was saved, None where there is no file. Raises SnapshotDamaged."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    if hashlib.sha256(raw[32:]).digest() != raw[:32]:
        raise SnapshotDamaged(f"({path}: its digest is another)")
    unpacked = zstandard.ZstdDecompressor().decompress(raw[32:])
    found_kind, found_version, state = msgspec.msgpack.decode(unpacked)
    if (found_kind, found_version) != (kind, version):
        raise SnapshotDamaged(f"({path}: {found_kind} {found_version}, this reads {kind} {version})")
    return state
