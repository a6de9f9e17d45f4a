"""A user's state as one value: the records in it, and their bytes.

Knows: the msgpack form of the worker's table, with its version as first field.
Does not know: how state changes (history.py), Kafka, RocksDB.

Closed sessions are kept packed, so storing a user costs a copy of them and no encoding.
"""

from __future__ import annotations

import msgspec

from stream.errors import StateDamaged

STATE_VERSION = 1
NO_THEME = -1


class Closed(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """A session that grows no more."""

    number: int  # 0, 1, 2, ... in a user's life
    theme: int  # chosen when it closed, then frozen; NO_THEME if no version knew its items
    routed_by: str | None  # version that chose the theme
    fingerprint: int
    start_ms: int
    items: list[str]  # arrival order
    deltas: list[int]  # ms to the event before in arrival order; the first is 0
    types: list[str]  # one entry if all events have the same type, else one per event

    def times_ms(self) -> list[int]:
        times: list[int] = []
        now = self.start_ms
        for delta in self.deltas:
            now += delta
            times.append(now)
        return times

    def triples(self) -> list[tuple[str, int, str]]:
        """(item, time in Unix ms, type) per event."""
        types = self.types * len(self.items) if len(self.types) == 1 else self.types
        return list(zip(self.items, self.times_ms(), types, strict=True))


class Counters(msgspec.Struct, array_like=True, kw_only=True):
    """What became of a user's events."""

    positive: int = 0
    negative: int = 0
    neutral: int = 0
    late: int = 0  # positive, but older than the newest before it; also counted in positive
    duplicates: int = 0
    too_late: int = 0  # no newer than what the bounded history has forgotten: cannot be told from a duplicate

    @property
    def applied(self) -> int:
        """Events that counted once."""
        return self.positive + self.negative + self.neutral


class Value(msgspec.Struct, array_like=True, kw_only=True):
    """One user's whole state."""

    v: int = STATE_VERSION
    topic_id: str  # generation of the events topic that `applied` belongs to
    applied: int  # offset of the newest event of this user that is in here
    recent: list[int]  # digests of the latest event ids, oldest first
    next_session: int  # number of the open session
    counters: Counters
    clock_ms: int  # newest event time seen; -1 if none
    horizon_ms: int  # newest event time that was dropped from the history; -1 if none
    global_from: int  # first session number of the global window
    theme_from: dict[int, int]  # theme -> first session number of its window
    rejected: list[tuple[str, int, str]]  # (item, time, type) of negative events, oldest first
    open_items: list[str]
    open_times_ms: list[int]
    open_types: list[str]
    closed: list[msgspec.Raw]  # Closed, oldest first
    windows_by: str | None = None  # version whose themes `theme_from` speaks of


_value = msgspec.msgpack.Decoder(Value)
_closed = msgspec.msgpack.Decoder(Closed)
_pack = msgspec.msgpack.Encoder()


def pack(value: Value) -> bytes:
    return _pack.encode(value)


def unpack(raw: bytes) -> Value:
    """Raises StateDamaged if the bytes are no state of a version that this code reads."""
    try:
        value = _value.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateDamaged(str(error)) from error
    if value.v != STATE_VERSION:
        raise StateDamaged(f"It has version {value.v}, this reads {STATE_VERSION}.")
    return value


def pack_closed(session: Closed) -> msgspec.Raw:
    return msgspec.Raw(_pack.encode(session))


def unpack_closed(raw: msgspec.Raw) -> Closed:
    """Raises StateDamaged if the bytes are no closed session."""
    try:
        return _closed.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateDamaged(str(error)) from error
