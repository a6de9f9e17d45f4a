"""One record on its way to the broker.

Knows: its place, the form of a dead letter.
Does not know: clients, what it says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

#: Bytes of a refused record's key and of its value that are kept: all of what an event may have, while what
#: clients may write otherwise, of a megabyte with its headers, would be too large to be written once more.
KEPT_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One record to send."""

    topic: str  # without the prefix
    partition: int | None
    key: bytes | None
    value: bytes
    headers: dict[str, bytes] = field(default_factory=dict)


def kept(key: bytes | None, value: bytes | None) -> tuple[bytes | None, bytes]:
    """What a dead letter holds of a refused record."""
    return None if key is None else key[:KEPT_BYTES], (value or b"")[:KEPT_BYTES]


def dead_letter(raw: bytes, key: bytes | None, topic: str, partition: int, offset: int, why: str) -> Outgoing:
    """For a request that lies at this place and cannot be answered."""
    headers = {
        "reason": b"bad_request",
        "detail": why.encode(errors="replace")[:1024],
        "topic": topic.encode(),
        "partition": str(partition).encode(),
        "offset": str(offset).encode(),
    }
    return Outgoing(topic="dead-letters", partition=None, key=key, value=raw, headers=headers)
