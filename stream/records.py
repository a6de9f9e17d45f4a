"""What the roles tell each other: requests, recommendation lists, judgements, announcements, quality.

Knows: the wire form of every topic but `events` and `items`.
Does not know: who sends or reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec


class Header(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The part of a request that every reader decodes."""

    v: int = 1
    user: str
    topic_id: str  # generation of the events topic that `offset` belongs to
    partition: int
    offset: int  # newest event of the user that this request knows
    events: int  # applied events of the user, for the list's `state`
    item: str | None  # newest positive item; None if the user has none
    type: str  # type of the event that caused this request
    ts: int  # event time of the user's newest positive event, Unix ms; 0 if none
    prev: tuple[str, ...]  # the latest distinct positive items before `item`, newest first
    produced_ms: int  # wall clock of the event record's production
    kinds: tuple[str, ...]  # "history", "global", "local", "theme:3", ...: which sequences follow, in order
    lengths: tuple[int, ...]  # events per kind
    fingerprints: tuple[int, ...]  # per kind: sessions.fingerprint of the sequence
    themes: tuple[tuple[int, float], ...]  # (theme, weight), heaviest first
    routed_by: str | None  # version whose theme table chose them
    hidden: tuple[str, ...]  # items the user rejected lately
    sampled: bool  # belongs to the evaluation sample
    forgotten: bool = False  # the user was erased: drop caches, answer with an empty list


class Sequences(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The routed sequences of one user; decoded only when the cache misses."""

    items: list[str]  # the retained positive history in arrival order
    deltas: list[int]  # ms to the event before in arrival order (the first: Unix ms); may be negative
    ranges: list[list[int]]  # per kind after "history": flat [start, stop, start, stop, ...] into `items`

    def times_ms(self) -> list[int]:
        """Event times in Unix ms, as `items`."""
        times: list[int] = []
        now = 0
        for delta in self.deltas:
            now += delta
            times.append(now)
        return times


class Request(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A user's sequences, to be scored (internal, msgpack)."""

    header: Header
    raw: msgspec.Raw  # Sequences

    def sequences(self) -> Sequences:
        return _sequences.decode(self.raw)


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """One place of a list."""

    item: str
    score: float


class StateRef(msgspec.Struct, frozen=True, kw_only=True):
    """Which state a list was made from; `offset` = the newest event of that user it knows."""

    topic_id: str
    partition: int
    offset: int
    events: int


class ThemeWeight(msgspec.Struct, frozen=True, kw_only=True):
    """A theme that shaped the list."""

    id: int
    weight: float
    label: str


class Took(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time went, ms."""

    queue: float
    encode: float
    rank: float


class RecommendationList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Top items for a user, made from a stated state by a stated version (public, JSON)."""

    id: str = msgspec.field(name="list")
    user: str
    items: list[Scored]
    model: str | None  # version; None when no version has been published
    state: StateRef
    epoch: int  # grows with every publish and every rollback; 0 before the first
    themes: list[ThemeWeight] = []
    experts: list[list[float]] = []  # per block: share of the user's newest tokens by expert
    vector: str | None = None  # base64 of float16: the user vector, for ranking any candidates
    memory: dict[str, float] = {}  # item -> score of the fast memory; all others have 0
    rows: list[Scored] = []  # items without a trained row, and the cosine that stands for theirs
    weight: float | None = None  # of the model against the memory; None: the list is popular
    degraded: str | None = None  # the fallback that made this list: "no model yet", "memory", "popular"
    made_ms: int = 0
    took_ms: Took | None = None
    memory_cut: int = 0  # memory scores above 0 that are not in `memory`: the smallest ones

    def order(self, generation: int = 0) -> tuple[int, int, int]:
        """Lists of one user never go back in this order (topic generation, offset, epoch)."""
        return (generation, self.state.offset, self.epoch)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What one contender would have shown."""

    version: str | None
    items: list[str]  # top 50, best first


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """Lists of all contenders for one sampled state, to be judged by the user's next event (msgpack)."""

    user: str
    state: StateRef
    epoch: int
    lines: dict[str, Line]  # served, model, popular, ... (protocol: Lines)
    made_ms: int


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """A version was published or withdrawn (JSON, key = model name)."""

    model: str
    version: str
    epoch: int
    parent: str | None = None
    manifest: str  # sha256 of manifest.json
    gate: dict[str, Any] | None = None
    withdrawn: bool = False


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """Live quality of one line over a window of judged events (JSON, key = line)."""

    line: str
    metrics: dict[str, float]
    events: int
    users: int
    upto: dict[str, int] = {}  # partition -> offset of the newest judged event


_sequences = msgspec.msgpack.Decoder(Sequences)
_requests = msgspec.msgpack.Decoder(Request)
_lists = msgspec.json.Decoder(RecommendationList)
_judgements = msgspec.msgpack.Decoder(Judgement)
_announcements = msgspec.json.Decoder(Announcement)
_qualities = msgspec.json.Decoder(Quality)
_pack = msgspec.msgpack.Encoder()
_json = msgspec.json.Encoder()


def encode_request(
    header: Header, items: Sequence[str], deltas: Sequence[int], ranges: Sequence[Sequence[int]]
) -> bytes:
    """The msgpack of a Request whose raw part holds these sequences."""
    raw = msgspec.Raw(_pack.encode((items, deltas, ranges)))
    return _pack.encode((header, raw))


def decode_request(value: bytes) -> Request:
    """Raises msgspec.DecodeError when the record is not a request."""
    return _requests.decode(value)


def encode_list(made: RecommendationList) -> bytes:
    return _json.encode(made)


def decode_list(value: bytes) -> RecommendationList:
    """Raises msgspec.DecodeError when the record is not a list."""
    return _lists.decode(value)


def encode_judgement(judgement: Judgement) -> bytes:
    return _pack.encode(judgement)


def decode_judgement(value: bytes) -> Judgement:
    """Raises msgspec.DecodeError when the record is not a judgement."""
    return _judgements.decode(value)


def encode_announcement(announcement: Announcement) -> bytes:
    return _json.encode(announcement)


def encode_quality(quality: Quality) -> bytes:
    return _json.encode(quality)


def decode_quality(value: bytes) -> Quality:
    """Raises msgspec.DecodeError when the record is not a quality record."""
    return _qualities.decode(value)


def decode_announcement(value: bytes) -> Announcement:
    """Raises msgspec.DecodeError when the record is not an announcement."""
    return _announcements.decode(value)
