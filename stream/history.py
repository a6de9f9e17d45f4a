"""A user's state in memory, and what one event does to it.

Knows: sessions, windows, duplicates, bounds; the state's own bytes through the codec.
Does not know: Kafka, Faust, RocksDB, how a request is built from it (requests.py).

Positive events form sessions. Negative ones are kept apart and filter their item. Neutral ones only count.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING

from stream import codec
from stream.codec import Closed, Counters, Value
from stream.events import Interaction, id_digest
from stream.rerouted import themes_of, window
from stream.sessions import EMPTY, closes, extend
from stream.themes import Router, choose, leading, summed
from stream.windows import horizon_ms, moved_global, moved_history

if TYPE_CHECKING:
    from stream.settings import Settings

#: Event ids remembered per user: what a producer's retries can repeat. Older repeats of events without an
#: id of their own are found in the history itself.
KEEP_IDS = 32
#: Negative events remembered per user.
KEEP_REJECTED = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What configuration says about events and sessions."""

    gap_ms: int = 30 * 60_000
    max_events: int = 32
    keep_events: int = 512
    negative: frozenset[str] = frozenset({"dislike", "skip"})
    neutral: frozenset[str] = frozenset({"impression"})

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """The rules that a configuration states."""
        return cls(
            gap_ms=settings.sessions.gap_ms,
            max_events=settings.sessions.max_events,
            keep_events=settings.history.keep_events,
            negative=frozenset(settings.events.negative),
            neutral=frozenset(settings.events.neutral),
        )


class Outcome(Enum):
    """What became of an event; also a metric label."""

    POSITIVE = "positive"
    LATE = "late"
    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    DUPLICATE = "duplicate"
    TOO_LATE = "too_late"


class Delivery(Enum):
    """How an event's offset stands to the state."""

    NEW = "new"
    AGAIN = "again"  # the newest applied event: its records may have been lost in a crash
    PAST = "past"  # older than the newest applied event


class User:
    """One user's state; `apply`, `rescore` and `forget` change it in place.

    The caller asks `delivery` first and only applies what is NEW.
    """

    def __init__(self, value: Value) -> None:
        self.value = value
        self.closed = [codec.unpack_closed(raw) for raw in value.closed]
        self.open_fingerprint = EMPTY
        for item, ts_ms in zip(value.open_items, value.open_times_ms, strict=True):
            self.open_fingerprint = extend(self.open_fingerprint, item, ts_ms)
        self.closed_parts: dict[str, tuple[int, int, list[int]]] = {}  # requests.py's, per kind; see there
        self.items: list[str] = []  # the retained history, closed and open, arrival order
        self.deltas: list[int] = []
        self._arrived_ms = 0  # time of the event that arrived last
        self._lay_out()
        self._triples: set[tuple[str, int, str]] | None = None
        self._open_logits: list[float] | None = None
        self._open_known = 0
        self._routed_by: str | None = None
        self._routed = False
        self._closed_themes: tuple[str | None, list[int]] | None = None  # by which version

    @classmethod
    def new(cls, topic_id: str) -> User:
        """A user nobody has seen."""
        return cls(
            Value(
                topic_id=topic_id,
                applied=-1,
                recent=[],
                next_session=0,
                counters=Counters(),
                clock_ms=-1,
                horizon_ms=-1,
                global_from=0,
                theme_from={},
                rejected=[],
                open_items=[],
                open_times_ms=[],
                open_types=[],
                closed=[],
            )
        )

    @classmethod
    def from_bytes(cls, raw: bytes) -> User:
        """Raises StateDamaged."""
        return cls(codec.unpack(raw))

    def to_bytes(self) -> bytes:
        return codec.pack(self.value)

    def delivery(self, topic_id: str, offset: int) -> Delivery:
        """Offsets of another topic generation say nothing: everything of it is new."""
        if topic_id != self.value.topic_id or offset > self.value.applied:
            return Delivery.NEW
        return Delivery.AGAIN if offset == self.value.applied else Delivery.PAST

    def apply(self, event: Interaction, topic_id: str, offset: int, rules: Rules, router: Router) -> Outcome:
        """Fold one NEW event into the state."""
        self._reached(topic_id, offset)
        counters = self.value.counters
        digest = id_digest(event)
        if digest in self.value.recent or (event.id is None and self._holds(event)):
            counters.duplicates += 1
            return Outcome.DUPLICATE
        if event.type in rules.neutral:
            self._remember(digest)
            counters.neutral += 1
            return Outcome.NEUTRAL
        if event.ts <= self.value.horizon_ms:
            counters.too_late += 1
            return Outcome.TOO_LATE
        self._remember(digest)
        if event.type in rules.negative:
            self.value.rejected = [*self.value.rejected, (event.item, event.ts, event.type)][-KEEP_REJECTED:]
            counters.negative += 1
            return Outcome.NEGATIVE
        late = event.ts < self.value.clock_ms
        self._append(event, rules, router)
        counters.positive += 1
        counters.late += late
        return Outcome.LATE if late else Outcome.POSITIVE

    def rescore(self, topic_id: str, offset: int) -> None:
        """A NEW request for a fresh list: nothing changes but the offset."""
        self._reached(topic_id, offset)

    def forget(self, topic_id: str, offset: int, written_ms: int) -> None:
        """Erase everything but the offset, and the time up to which nothing may come back: at the latest
        ``written_ms``, of the erasure's record, for the user's own clock may have been ahead."""
        until_ms = min(max(self.value.clock_ms, self.value.horizon_ms), written_ms)
        self.__init__(User.new(topic_id).value)  # type: ignore[misc]
        self.value.applied = offset
        self.value.horizon_ms = until_ms

    def themes(self, router: Router) -> tuple[tuple[int, float], ...]:
        """Themes of the open session, from its events so far; () when none is known."""
        if not self._routed or self._routed_by != router.version:
            self._open_logits, self._open_known = router.session_logits(self.value.open_items)
            self._routed_by, self._routed = router.version, True
        return choose(self._open_logits, self._open_known)

    def closed_themes(self, router: Router) -> list[int]:
        """Per closed session its theme by this router."""
        if self._closed_themes is None or self._closed_themes[0] != router.version:
            self._closed_themes = router.version, themes_of(self.closed, router)
            self.closed_parts.clear()
        return self._closed_themes[1]

    def in_theme(self, theme: int, router: Router) -> list[int]:
        """Positions of the closed sessions that the window of this theme holds."""
        value = self.value
        first = value.theme_from.get(theme, 0) if value.windows_by == router.version else 0
        return window(self.closed, self.closed_themes(router), theme, first)

    @property
    def newest(self) -> tuple[str, int] | None:
        """(item, time in Unix ms) of the event that arrived last, None for an empty history."""
        if not self.value.open_items:
            return None
        return self.value.open_items[-1], self.value.open_times_ms[-1]

    def _reached(self, topic_id: str, offset: int) -> None:
        self.value.topic_id = topic_id
        self.value.applied = offset

    def _remember(self, digest: int) -> None:
        self.value.recent.append(digest)
        del self.value.recent[:-KEEP_IDS]

    def _holds(self, event: Interaction) -> bool:
        """Whether the retained history has this very event."""
        if (event.item, event.ts, event.type) in self.value.rejected:
            return True
        if event.ts > self.value.clock_ms:
            return False
        if self._triples is None:
            self._triples = set(self._open_triples())
            for session in self.closed:
                self._triples.update(session.triples())
        return (event.item, event.ts, event.type) in self._triples

    def _open_triples(self) -> list[tuple[str, int, str]]:
        value = self.value
        return list(zip(value.open_items, value.open_times_ms, value.open_types, strict=True))

    def _append(self, event: Interaction, rules: Rules, router: Router) -> None:
        value = self.value
        if closes(len(value.open_items), value.clock_ms, event.ts, rules.gap_ms, rules.max_events):
            self._close(rules, router)
        self.items.append(event.item)
        self.deltas.append(event.ts - self._arrived_ms)
        self._arrived_ms = event.ts
        value.open_items.append(event.item)
        value.open_times_ms.append(event.ts)
        value.open_types.append(event.type)
        value.clock_ms = max(value.clock_ms, event.ts)
        self.open_fingerprint = extend(self.open_fingerprint, event.item, event.ts)
        if self._triples is not None:
            self._triples.add((event.item, event.ts, event.type))
        if self._routed and self._routed_by == router.version:
            logits = router.logits(event.item)
            if logits is not None:
                self._open_logits = summed(self._open_logits, logits)
                self._open_known += 1
        else:
            self._routed = False

    def _close(self, rules: Rules, router: Router) -> None:
        """Freeze the open session with its theme, then move the windows."""
        value = self.value
        times = value.open_times_ms
        types = value.open_types
        session = Closed(
            number=value.next_session,
            theme=leading(self.themes(router)),
            routed_by=router.version,
            fingerprint=self.open_fingerprint,
            start_ms=times[0],
            items=value.open_items,
            deltas=[0, *(now - before for before, now in pairwise(times))],
            types=types[:1] if len(set(types)) == 1 else types,
        )
        self.closed.append(session)
        value.closed.append(codec.pack_closed(session))
        value.next_session += 1
        value.open_items, value.open_times_ms, value.open_types = [], [], []
        self.open_fingerprint = EMPTY
        self._open_logits, self._open_known, self._routed = None, 0, False
        self._closed_themes = None
        self._move_windows(session.theme, rules, router)
        self.closed_parts.clear()

    def _move_windows(self, theme: int, rules: Rules, router: Router) -> None:
        value = self.value
        if value.windows_by != router.version:
            value.windows_by, value.theme_from = router.version, {}
        seen = [session for session in self.closed if session.number >= value.global_from]
        dropped = moved_global([len(session.items) for session in seen])
        if dropped:
            value.global_from = seen[dropped].number if dropped < len(seen) else value.next_session
        held = self.in_theme(theme, router)
        value.theme_from[theme] = self.closed[held[0]].number if held else value.next_session
        forgotten = moved_history([len(session.items) for session in self.closed], rules.keep_events)
        if forgotten:
            gone = self.closed[:forgotten]
            del self.closed[:forgotten], value.closed[:forgotten]
            value.horizon_ms = max(value.horizon_ms, horizon_ms(gone, self.closed))
            self._closed_themes = None
            self._triples = None
            self._lay_out()

    def _lay_out(self) -> None:
        """`items` and `deltas` anew from the sessions."""
        times: list[int] = []
        self.items = []
        for session in self.closed:
            self.items += session.items
            times += session.times_ms()
        self.items += self.value.open_items
        times += self.value.open_times_ms
        self.deltas = [now - before for before, now in pairwise([0, *times])]
        self._arrived_ms = times[-1] if times else 0
