"""A user's state → the request that is sent to the scorer.

Knows: which sessions each sequence reads, as ranges of the retained history, and their fingerprints.
Does not know: Kafka, how state changes, what the scorer does with it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from model.memory import latest
from stream.history import User
from stream.records import Header, encode_request
from stream.sessions import EMPTY, joined
from stream.themes import Router, leading

#: Distinct positive items before the newest one in every header: the window of the fast memory.
PREVIOUS_ITEMS = 20
#: How long a rejected item stays hidden.
HIDDEN_MS = 30 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """The record that made this request necessary."""

    user: str
    partition: int
    type: str  # the event's type, or "rescore", "forget"
    produced_ms: int  # the record's own timestamp
    forgets: bool = False  # the user was erased


def build(
    user: User,
    router: Router,
    cause: Cause,
    *,
    sample_share: float,
) -> bytes:
    """The request for the state as it stands, `user.value.applied` being the newest event it knows."""
    value = user.value
    themes = user.themes(router)
    kinds, lengths, fingerprints, ranges = _sequences(user, router, themes)
    newest = user.newest
    header = Header(
        user=cause.user,
        topic_id=value.topic_id,
        partition=cause.partition,
        offset=value.applied,
        events=value.counters.applied,
        item=newest[0] if newest else None,
        type=cause.type,
        ts=newest[1] if newest else 0,
        prev=tuple(latest(user.items[:-1], PREVIOUS_ITEMS)),
        produced_ms=cause.produced_ms,
        kinds=tuple(kinds),
        lengths=tuple(lengths),
        fingerprints=tuple(fingerprints),
        themes=themes,
        routed_by=router.version,
        hidden=hidden_items(user),
        sampled=sampled(cause.user, sample_share),
        forgotten=cause.forgets,
    )
    return encode_request(header, user.items, user.deltas, ranges)


def sampled(name: str, share: float) -> bool:
    """Whether a user belongs to the evaluation sample: a fixed ``share`` of all users, by hash."""
    return zlib.crc32(name.encode()) < share * 2**32


def hidden_items(user: User) -> tuple[str, ...]:
    """Items the user rejected lately, oldest first: no list shows them."""
    rejected = user.value.rejected
    if not rejected:
        return ()
    now = max(user.value.clock_ms, rejected[-1][1])
    return tuple(dict.fromkeys(item for item, ts_ms, _ in rejected if ts_ms >= now - HIDDEN_MS))


def _sequences(
    user: User, router: Router, themes: tuple[tuple[int, float], ...]
) -> tuple[list[str], list[int], list[int], list[list[int]]]:
    """(kinds, lengths, fingerprints, ranges of all kinds but "history").

    history: everything retained. global: sessions from its window's start. local: the open session and the
    one before. theme:k: closed sessions of theme k from its window's start, and the open one if k leads it.
    """
    num_open = len(user.value.open_items)
    num_closed = len(user.items) - num_open
    kinds, lengths, fingerprints, ranges = ["history"], [], [], []

    def add(kind: str, with_open: bool) -> None:
        fingerprint, length, spans = _closed_part(user, router, kind)
        if with_open and num_open:
            fingerprint = joined(fingerprint, user.open_fingerprint, num_open)
            length += num_open
            if spans and spans[-1] == num_closed:
                spans = [*spans[:-1], num_closed + num_open]
            else:
                spans = [*spans, num_closed, num_closed + num_open]
        lengths.append(length)
        fingerprints.append(fingerprint)
        if kind != "history":
            kinds.append(kind)
            ranges.append(spans)

    add("history", True)
    add("global", True)
    add("local", True)
    for theme, _ in themes:
        add(f"theme:{theme}", theme == leading(themes))
    return kinds, lengths, fingerprints, ranges


def _members(user: User, router: Router, kind: str) -> list[bool]:
    """Per closed session: does this sequence read it?"""
    closed = user.closed
    if kind == "history":
        return [True] * len(closed)
    if kind == "global":
        return [session.number >= user.value.global_from for session in closed]
    if kind == "local":
        return [position == len(closed) - 1 for position in range(len(closed))]
    held = set(user.in_theme(int(kind.removeprefix("theme:")), router))
    return [position in held for position in range(len(closed))]


def _closed_part(user: User, router: Router, kind: str) -> tuple[int, int, list[int]]:
    """(fingerprint, length, flat [start, stop, ...] over `user.items`, neighbours merged) of the closed part.

    Computed once between two closings, and anew when another version routes.
    """
    user.closed_themes(router)  # forgets the parts that another version's themes made
    known = user.closed_parts.get(kind)
    if known is not None:
        return known
    fingerprint, length, at = EMPTY, 0, 0
    spans: list[int] = []
    for session, member in zip(user.closed, _members(user, router, kind), strict=True):
        num = len(session.items)
        if member:
            fingerprint = joined(fingerprint, session.fingerprint, num)
            length += num
            if spans and spans[-1] == at:
                spans[-1] = at + num
            else:
                spans += [at, at + num]
        at += num
    user.closed_parts[kind] = (fingerprint, length, spans)
    return fingerprint, length, spans
