"""What enters on the `events` and `items` topics, and why a record is refused.

Knows: the public JSON of events, its limits, and the reasons of the dead-letters topic.
Does not know: Kafka, sessions, which types are positive.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import msgspec

#: Longest user, item or event id in UTF-8 bytes; longer ones are refused.
MAX_ID_BYTES: Final = 256
#: Longest record; real events are about 200 bytes, item texts a few thousand.
MAX_RECORD_BYTES: Final = 64 * 1024
#: An event may lie this far ahead of the reader's clock before it is refused.
MAX_AHEAD_MS: Final = 24 * 3600 * 1000


class Interaction(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="interaction"):
    """One user touched one item."""

    v: int = 1
    id: str | None = None  # two events with one id count once; derived from user, item, ts, type when absent
    ts: int  # event time, Unix ms, stamped by the source and never by us
    user: str  # also the record's key
    item: str
    type: str
    value: float | None = None  # a rating, a play time: kept on the topic, not used yet
    list: str | None = None  # the recommendation list that was shown, if any
    source: str | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="item"):
    """What is known of one item; the newest record of an item wins."""

    v: int = 1
    id: str | None = None
    ts: int | None = None
    item: str
    title: str | None = None
    categories: list[str] = []
    text: str | None = None


class Forget(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="forget"):
    """Erase one user: state and lists."""

    v: int = 1
    user: str
    ts: int | None = None


class Rescore(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="rescore"):
    """Ask for a fresh list for one user; changes no state."""

    v: int = 1
    user: str


Event = Interaction | Item | Forget | Rescore


@dataclass(frozen=True, slots=True)
class Malformed:
    """A record that was refused."""

    reason: str  # one of REASONS: a bounded metric label
    detail: str  # for people


REASONS: Final = (
    "too_large",
    "not_utf8",
    "not_json",
    "too_deep",
    "unknown_event",
    "missing_field",
    "wrong_type",
    "bad_id",
    "bad_time",
    "future_time",
    "wrong_version",
    "wrong_key",
    "wrong_topic",
)

_decoder = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder()


def encode(event: Event) -> bytes:
    """The JSON of an event, one line."""
    return _encoder.encode(event)


def decode(raw: bytes | None, now_ms: int) -> Event | Malformed:
    """Read one record. Never raises: whatever cannot be an event comes back with its reason.

    ``now_ms`` is the reader's wall clock, used only to refuse times more than a day ahead.
    """
    if raw is None:
        return Malformed("not_json", "the record has no value")
    if len(raw) > MAX_RECORD_BYTES:
        return Malformed("too_large", f"{len(raw)} bytes, at most {MAX_RECORD_BYTES}")
    try:
        event = _decoder.decode(raw)
    except RecursionError:
        return Malformed("too_deep", "nested too deeply")
    except UnicodeDecodeError as error:
        return Malformed("not_utf8", str(error))
    except msgspec.ValidationError as error:
        return _refused(str(error))
    except msgspec.DecodeError as error:
        return _undecodable(raw, str(error))
    return _checked(event, now_ms)


def decode_record(
    key: bytes | None, raw: bytes | None, now_ms: int
) -> Interaction | Forget | Rescore | Malformed:
    """`decode` for a record of the events topic: items belong elsewhere, and the key must be the user."""
    event = decode(raw, now_ms)
    if isinstance(event, Item):
        return Malformed("wrong_topic", "item records belong on the items topic")
    if not isinstance(event, Malformed) and key != event.user.encode():
        return Malformed("wrong_key", "the record's key is not the user's id in UTF-8")
    return event


def _refused(message: str) -> Malformed:
    if "missing required field" in message:
        return Malformed("missing_field", message)
    if "$.event" in message:
        return Malformed("unknown_event", message)
    return Malformed("wrong_type", message)


def _undecodable(raw: bytes, message: str) -> Malformed:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return Malformed("not_utf8", str(error))
    return Malformed("not_json", message)


def _checked(event: Event, now_ms: int) -> Event | Malformed:
    if event.v != 1:
        return Malformed("wrong_version", f"v is {event.v}, this reads 1")
    for field in ("user", "item", "id", "type", "list"):
        value = getattr(event, field, None)
        problem = None if value is None else id_problem(value)
        if problem:
            return Malformed("bad_id", f"{field} {problem}")
    return _time_problem(getattr(event, "ts", None), now_ms) or event


def _time_problem(ts: int | None, now_ms: int) -> Malformed | None:
    if ts is None:
        return None
    if ts < 0 or ts >= 1 << 52:
        return Malformed("bad_time", f"ts {ts} is not a time in Unix milliseconds")
    if ts > now_ms + MAX_AHEAD_MS:
        return Malformed("future_time", f"ts {ts} is more than a day after {now_ms}")
    return None


def id_problem(value: str) -> str | None:
    """Why this cannot be an id, or None."""
    if not value:
        return "is empty"
    if "\0" in value:  # what separates the parts of an identity, and stands before names of our own
        return "holds a NUL character"
    if len(value) <= MAX_ID_BYTES // 4:  # at most 4 bytes a character: the usual case, without encoding
        return None
    num_bytes = len(value.encode())
    if num_bytes > MAX_ID_BYTES:
        return f"has {num_bytes} bytes, at most {MAX_ID_BYTES}"
    return None


def derived_id(event: Interaction) -> str:
    """The event's own id, or one made from user, item, time and type."""
    if event.id is not None:
        return event.id
    parts = "\x00".join((event.user, event.item, str(event.ts), event.type))
    return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()


def id_digest(event: Interaction) -> int:
    """Eight bytes of the event's identity, as a number: what a user's state remembers of an event id."""
    raw = f"id\x00{event.id}" if event.id is not None else derived_id(event)
    return int.from_bytes(hashlib.blake2b(raw.encode(), digest_size=8).digest(), "big")
