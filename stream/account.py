"""What a run adds up to: events and what became of them, lists, how long each took, who is left behind.

Knows: the records of events, recommendations and dead letters, read in any interleaving of their topics.
Does not know: Kafka, clocks other than the records' own, what the lists are worth (evaluator.py).

Kept per user are a few numbers, bounded; past the bound the longest silent user goes and is only counted.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict, deque
from dataclasses import dataclass, field

import msgspec
import numpy as np

from stream.following import Became, Following, Told
from stream.history import Outcome
from stream.records import decode_list
from stream.skew import Skew

MAX_USERS = 200_000
#: Lists of one user that are remembered until an event that they know is read.
MAX_EARLY = 64
#: Times kept for percentiles; past it the older half goes.
MAX_TIMES = 1_000_000


@dataclass(slots=True)
class _User:
    newest_event: int = -1  # offset of the newest record that asked for a list
    newest_list: tuple[int, int] = (-1, -1)  # (offset, epoch)
    waiting: deque[tuple[int, int]] = field(default_factory=deque)  # (offset, written ms) of events
    early: deque[tuple[int, int]] = field(  # of lists whose events may not have been read yet
        default_factory=lambda: deque(maxlen=MAX_EARLY)
    )


@dataclass(slots=True)
class Counts:
    """Totals of a run. events = applied + duplicates + too_late + refused."""

    events: int = 0  # interactions and refused records on the events topic
    applied: int = 0
    duplicates: int = 0
    late: int = 0  # among the applied
    too_late: int = 0
    refused: int = 0
    backfilled: int = 0  # among the events: loaded without asking for a list
    dead_letters: int = 0  # records of the dead-letters topic, bad requests included
    lists: int = 0
    degraded: int = 0  # among the lists
    regressed: int = 0  # lists that stand behind a newer one of their user
    unreadable: int = 0  # records on the recommendations topic that are no lists


class Account:
    """Feed it records; each topic's partition in order, the topics in any interleaving."""

    def __init__(self, following: Following, topic_id: str, max_users: int = MAX_USERS) -> None:
        """``topic_id``: of the events topic; lists of another generation say nothing about this run."""
        self.counts = Counts()
        self.models: dict[str, int] = {}  # lists per version; "" before the first
        self._following = following
        self._topic_id = topic_id
        self._max_users = max_users
        self._users: OrderedDict[str, _User] = OrderedDict()
        self._left_behind = 0  # among users that are no longer kept
        self._num_gone = 0
        self._times_ms = array("d")
        self.skew = Skew()

    def begin(self) -> None:
        """What is measured begins here: users, their events and lists stay known, counts and times do not."""
        self.counts = Counts()
        del self._times_ms[:]
        self.skew = Skew()

    def event(
        self, key: bytes | None, value: bytes | None, offset: int, written_ms: int, *, backfill: bool = False
    ) -> None:
        """A record of the events topic; ``backfill``: it asks for no list."""
        told = self._following.tell(key, value, offset, self._topic_id, written_ms)
        self._count(told, backfill)
        if told.became is Became.REFUSED:
            return
        if not backfill:
            user = self._user(told.user)
            user.newest_event = max(user.newest_event, offset)
            if told.outcome is not None:
                self.skew.written(written_ms)
                user.waiting.append((offset, written_ms))
                self._match(user)

    def recommendation(self, value: bytes | None, written_ms: int) -> None:
        """A record of the recommendations topic."""
        try:
            made = decode_list(value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.counts.unreadable += 1
            return
        self.counts.lists += 1
        self.counts.degraded += made.degraded is not None
        self.models[made.model or ""] = self.models.get(made.model or "", 0) + 1
        if made.state.topic_id != self._topic_id:
            return
        user = self._user(made.user)
        place = (made.state.offset, made.epoch)
        self.counts.regressed += place < user.newest_list
        user.newest_list = max(user.newest_list, place)
        user.early.append((made.state.offset, written_ms))
        self._match(user)

    def dead_letter(self) -> None:
        """A record of the dead-letters topic."""
        self.counts.dead_letters += 1

    @property
    def num_users(self) -> int:
        """Users who asked for a list or got one."""
        return len(self._users) + self._num_gone

    @property
    def incomplete_users(self) -> int:
        """Users whose newest list does not know their newest event."""
        return self._left_behind + sum(_incomplete(user) for user in self._users.values())

    def event_to_list_ms(self) -> dict[str, float | None]:
        """p50, p95 and p99 of the time from an event's record to the record of the first list that knows it;
        None before the first."""
        if not self._times_ms:
            return dict.fromkeys(("p50", "p95", "p99"))
        values = np.percentile(np.frombuffer(self._times_ms), (50, 95, 99))
        return {
            name: round(float(value), 1) for name, value in zip(("p50", "p95", "p99"), values, strict=True)
        }

    def _count(self, told: Told, backfill: bool) -> None:
        counts = self.counts
        if told.became in (Became.FORGOT, Became.RESCORED):
            return
        counts.events += 1
        counts.refused += told.became is Became.REFUSED
        counts.applied += told.became is Became.APPLIED
        counts.duplicates += told.outcome is Outcome.DUPLICATE
        counts.late += told.outcome is Outcome.LATE
        counts.too_late += told.outcome is Outcome.TOO_LATE
        counts.backfilled += backfill and told.became is not Became.REFUSED

    def _user(self, name: str) -> _User:
        user = self._users.get(name)
        if user is None:
            user = self._users[name] = _User()
        self._users.move_to_end(name)
        if len(self._users) > self._max_users:
            _, gone = self._users.popitem(last=False)
            self._num_gone += 1
            self._left_behind += _incomplete(gone)
        return user

    def _match(self, user: _User) -> None:
        """Pair each waiting event with the first list that knows it; both are in their topics' order."""
        while user.waiting and user.early:
            offset, written_ms = user.waiting[0]
            while user.early and user.early[0][0] < offset:
                user.early.popleft()
            if not user.early:
                return
            user.waiting.popleft()
            self._times_ms.append(user.early[0][1] - written_ms)
            self.skew.answered(written_ms, user.early[0][1])
            if len(self._times_ms) > MAX_TIMES:
                del self._times_ms[: MAX_TIMES // 2]


def _incomplete(user: _User) -> bool:
    return user.newest_list[0] < user.newest_event
