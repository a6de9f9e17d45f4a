"""The body of a POST /events → events that may go onto the topics, and what was refused and why.

Knows: one event or an array of them, in our shape or a foreign one. Does not know: HTTP, Kafka.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ops.server.shapes import translated
from stream.events import Forget, Interaction, Item, Malformed, Rescore, decode


@dataclass(frozen=True, slots=True)
class Accepted:
    """An event that is well formed."""

    index: int  # its place in the body
    event: Interaction | Item | Forget | Rescore
    raw: bytes  # what goes onto the topic: the sender's own bytes, unless the shape was foreign


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that is not."""

    index: int
    reason: str  # stream.events.REASONS
    detail: str


class TooMany(Exception):
    """More events than one request may bring."""


class _Marks(msgspec.Struct):
    """Fields by which a foreign shape is known."""

    timestamp: msgspec.Raw = msgspec.Raw()
    FeedbackType: msgspec.Raw = msgspec.Raw()
    ItemId: msgspec.Raw = msgspec.Raw()


_marks = msgspec.json.Decoder(_Marks)
_many = msgspec.json.Decoder(list[msgspec.Raw])
_any = msgspec.json.Decoder()
_json = msgspec.json.Encoder()


def read(body: bytes, now_ms: int, max_events: int) -> tuple[list[Accepted], list[Rejected]] | Malformed:
    """Each event of the body on one of two lists; Malformed if the body as a whole is no JSON.

    ``now_ms``: wall clock. Raises TooMany.
    """
    try:
        raws = [bytes(raw) for raw in _many.decode(body)] if body.lstrip()[:1] == b"[" else [body]
    except RecursionError:
        return Malformed("too_deep", "nested too deeply")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Malformed("not_json", str(error))
    if len(raws) > max_events:
        raise TooMany
    accepted: list[Accepted] = []
    rejected: list[Rejected] = []
    for index, raw in enumerate(raws):
        raw = _ours(raw)
        event = decode(raw, now_ms)
        if not isinstance(event, Malformed):
            accepted.append(Accepted(index, event, raw))
        elif event.reason in ("not_json", "not_utf8") and len(raws) == 1:
            return event
        else:
            rejected.append(Rejected(index, event.reason, event.detail))
    return accepted, rejected


def _ours(raw: bytes) -> bytes:
    """The event in our shape; as it is where it cannot be read, for the decoder to say why."""
    try:
        marks = _marks.decode(raw)
        if not any(map(bytes, (marks.timestamp, marks.FeedbackType, marks.ItemId))):
            return raw
        fields = _any.decode(raw)
        changed = translated(fields)
        return raw if changed is fields else _json.encode(changed)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return raw
