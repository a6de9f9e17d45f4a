"""Which list is judged by which event, and what that says of each line: the join by offset of the protocol.

Knows: events of sampled users in order, judgements of their states, ranks. Does not know: Kafka, sessions,
which events are duplicates (following.py), what made the lists.

The rule. A user's positive event at offset o is judged by a judgement of the user's state just before it:
one whose `state.offset` lies in [p, o), where p is the offset of the user's newest applied event before o.
(Records that change nothing, such as duplicates and rescores, move `state.offset` past p; the state is the
same.) Of several, made anew after a crash or for a new version, the newest epoch counts that was written
before the event's own record; if none was, the oldest epoch. So no list counts that could know the event, and
how fast a replay runs does not change which list is judged. An event waits for its judgement until one of a
later state of its user has been read (judgements of one user are in order) or the run has ended; then it has
no list.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from model.metrics import MISS, bootstrap, summary
from stream.lists import JUDGED_ITEMS
from stream.records import Judgement, decode_judgement

#: Places that recall, nDCG and MRR look at.
TOP = 10
#: Users whose states wait to be judged; past it the longest silent one goes (its events then have no list).
MAX_USERS = 20_000
#: Judgements that wait for events, of all users together, some 1.5 kB each; past it the same.
MAX_STATES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A positive event that changed its user's state."""

    user: str
    item: str
    offset: int
    written_ms: int  # its record's own timestamp


@dataclass(frozen=True, slots=True)
class _State:
    """A judgement as it waits."""

    offset: int
    epoch: int
    written_ms: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class _Due:
    """An event that waits for its judgement."""

    event: Judged
    before: int  # offset of the user's newest applied event before it


@dataclass(slots=True)
class _User:
    topic_id: str
    applied: int | None = None  # offset of the newest applied event; None: no prior state
    asked: bool = False  # a list is made for the state after it
    states: list[_State] = field(default_factory=list)
    due: deque[_Due] = field(default_factory=deque)
    reached: int = -1  # offset of the newest state whose judgement was read


class Line:
    """One contender's ranks, with the user of each: what intervals over users need."""

    def __init__(self) -> None:
        self.ranks = array("d")
        self.users = array("l")


class Judge:
    """Feed it events and judgements, each in the order of its topic; ask for the lines at any time."""

    def __init__(self, max_users: int = MAX_USERS, max_states: int = MAX_STATES) -> None:
        self.lines: dict[str, Line] = {}
        self.judged = 0
        self.without_list = 0
        self.late = 0  # judged by a list that was written after the event; reported, and judged all the same
        self.unreadable = 0
        self._max_users = max_users
        self._max_states = max_states
        self._num_states = 0
        self._users: OrderedDict[str, _User] = OrderedDict()
        self._codes: dict[str, int] = {}

    def applied(
        self, user: str, topic_id: str, offset: int, positive: Judged | None, *, asks: bool = True
    ) -> None:
        """An event changed the user's state; ``positive`` if it is one that lists are judged by.

        ``asks``: a list is made for the new state. The first applied event of a user judges nothing, because
        there was no state, and neither does the first one after a state for which no list was asked.
        """
        known = self._user(user, topic_id)
        before, known.applied = known.applied, offset
        if positive is not None and before is not None and known.asked:
            known.due.append(_Due(positive, before))
        known.asked = asks
        self._settle(known)

    def asked(self, user: str, topic_id: str) -> None:
        """A list is made for the user's state as it stands."""
        self._user(user, topic_id).asked = True

    def forgot(self, user: str) -> None:
        """The user was erased: nothing about them waits, and the next event is their first."""
        if user in self._users:
            self._num_states -= len(self._users.pop(user).states)

    def judgement(self, raw: bytes, written_ms: int) -> None:
        """A record of the judgements topic."""
        try:
            made = decode_judgement(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.unreadable += 1
            return
        user = self._user(made.user, made.state.topic_id)
        user.states.append(_State(made.state.offset, made.epoch, written_ms, raw))
        self._num_states += 1
        user.reached = max(user.reached, made.state.offset)
        self._settle(user)
        while self._num_states > self._max_states and len(self._users) > 1:
            self._let_go(next(iter(self._users)))

    def begin(self) -> None:
        """What is measured begins here: users and their states stay, what was counted or waits does not."""
        self.lines.clear()
        self.judged = self.without_list = self.late = 0
        for user in self._users.values():
            user.due.clear()

    def finish(self) -> None:
        """The run has ended: what waits is judged by what there is."""
        for user in self._users.values():
            while user.due:
                self._judge(user, user.due.popleft())

    def _user(self, name: str, topic_id: str) -> _User:
        known = self._users.get(name)
        if known is not None and known.topic_id != topic_id:  # the events topic was made anew
            self._let_go(name)
            known = None
        if known is None:
            known = self._users[name] = _User(topic_id)
        self._users.move_to_end(name)
        if len(self._users) > self._max_users:
            self._let_go(next(iter(self._users)))
        return known

    def _let_go(self, name: str) -> None:
        gone = self._users.pop(name)
        self._num_states -= len(gone.states)
        self.without_list += len(gone.due)

    def _settle(self, user: _User) -> None:
        while user.due and user.reached >= user.due[0].event.offset:
            self._judge(user, user.due.popleft())
        needed = user.due[0].before if user.due else user.applied
        if needed is not None:
            before = len(user.states)
            user.states = [state for state in user.states if state.offset >= needed]
            self._num_states -= before - len(user.states)

    def _judge(self, user: _User, due: _Due) -> None:
        state = chosen(
            [(state.offset, state.epoch, state.written_ms) for state in user.states],
            due.before,
            due.event.offset,
            due.event.written_ms,
        )
        if state is None:
            self.without_list += 1
        else:
            found = user.states[state]
            self.judged += 1
            self.late += found.written_ms > due.event.written_ms
            self._count(due.event, decode_judgement(found.raw))

    def _count(self, event: Judged, judgement: Judgement) -> None:
        code = self._codes.setdefault(event.user, len(self._codes))
        for name, shown in judgement.lines.items():
            line = self.lines.setdefault(name, Line())
            line.ranks.append(rank_in_list(shown.items, event.item))
            line.users.append(code)

    def quality(self, *, intervals: bool = True) -> dict[str, dict[str, float | None]]:
        """Line → recall@10 with its 90 % interval over users, ndcg@10, mrr (at 10), events and users.

        The interval is None below 100 users, and without ``intervals``, which cost a bootstrap each.
        """
        return {name: _measured(line, intervals) for name, line in sorted(self.lines.items())}

    @property
    def share_without_list(self) -> float:
        """Of all events that should have been judged."""
        total = self.judged + self.without_list
        return self.without_list / total if total else 0.0


def chosen(states: Sequence[tuple[int, int, int]], before: int, offset: int, written_ms: int) -> int | None:
    """Which of these (offset, epoch, written in ms) judges the event at ``offset``, by the rule above."""
    fitting = [number for number, state in enumerate(states) if before <= state[0] < offset]
    if not fitting:
        return None
    early = [number for number in fitting if states[number][2] <= written_ms]
    if early:
        return max(early, key=lambda number: (states[number][1], states[number][0]))
    return min(fitting, key=lambda number: (states[number][1], states[number][0]))


def rank_in_list(items: Sequence[str], item: str) -> float:
    """Place of an item in a list, best 1; MISS beyond the 50 that are judged."""
    try:
        return 1.0 + items[:JUDGED_ITEMS].index(item)
    except ValueError:
        return MISS


def _measured(line: Line, with_interval: bool) -> dict[str, float | None]:
    means = summary(line.ranks, TOP)
    interval = bootstrap([rank <= TOP for rank in line.ranks], line.users) if with_interval else None
    return {
        f"recall@{TOP}": means[f"recall@{TOP}"],
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        f"ndcg@{TOP}": means[f"ndcg@{TOP}"],
        "mrr": means[f"mrr@{TOP}"],
        "events": len(line.ranks),
        "users": len(set(line.users)),
    }
