"""One record on its way to the broker.

Knows: its place, the form of a dead letter.
Does not know: clients, what it says.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One record to send."""

    topic: str  # without the prefix
    partition: int | None
    key: bytes | None
    value: bytes
    headers: dict[str, bytes] = field(default_factory=dict)


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
