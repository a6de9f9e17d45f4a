"""One record on its way to the broker. Knows: its place. Does not know: clients, what it says."""

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
