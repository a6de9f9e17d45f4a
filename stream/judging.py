"""Which list is judged by which event: the join by offset of the protocol.

Knows: events of sampled users in order, judgements of their states. Does not know: Kafka, sessions, which
events are duplicates (following.py), what made the lists, what a verdict adds to (standings.py).

The rule. A user's positive event at offset o is judged by a judgement of the user's state just before it:
one whose `state.offset` lies in [p, o), where p is the offset of the user's newest applied event before o.
(Records that change nothing, such as duplicates and rescores, move `state.offset` past p; the state is the
same.) Of several, made anew after a crash or for a new version, the newest epoch counts that was written
before the event's own record; if none was, the oldest epoch. So no list counts that could know the event, and
how fast a replay runs does not change which list is judged. An event waits for its judgement until one of a
later state of its user has been read (judgements of one user are in order), until the caller says that the
scorer is past it, or the run has ended; then it is judged by what there is, or has no list.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from model.metrics import MISS
from stream.lists import JUDGED_ITEMS
from stream.records import Judgement, decode_judgement

#: Users whose states wait to be judged; past it the longest silent one goes (its events then have no list).
MAX_USERS = 50_000
#: Of so many times more it is still known that they had a state, some 150 bytes each; who comes back after
#: that judges nothing with their next event, as if it were their first.
GONE_TIMES = 10
#: Judgements that wait for events, of all users together, some 3 kB each; past it the same.
MAX_STATES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A positive event that changed its user's state."""

    user: str
    item: str
    offset: int
    written_ms: int  # its record's own timestamp
    partition: int = 0
    repeat: bool = False  # the user's history held this item
    taken: bool = False  # somebody took this item before
    since_ms: int = 0  # timestamp of the user's first record that was followed


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an event that could have judged a list."""

    event: Judged
    judgement: Judgement | None  # None: there was no list
    late: bool = False  # the list was written after the event; reported, and judged all the same


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
    erased: int = -1  # offset of the newest erasure


class Judge:
    """Feed it events and judgements, each in the order of its topic; it hands over a verdict per event."""

    def __init__(
        self, say: Callable[[Verdict], None], max_users: int = MAX_USERS, max_states: int = MAX_STATES
    ) -> None:
        self._say = say
        self._max_users = max_users
        self._max_states = max_states
        self._num_states = 0
        self._users: OrderedDict[str, _User] = OrderedDict()
        self._gone: OrderedDict[str, tuple[str, int, bool]] = OrderedDict()  # generation, applied, asked

    def applied(
        self, user: str, topic_id: str, offset: int, positive: Judged | None, *, asks: bool = True
    ) -> bool:
        """An event changed the user's state; ``positive`` if it is one that lists are judged by.

        ``asks``: a list is made for the new state. The first applied event of a user judges nothing, because
        there was no state, and neither does the first one after a state for which no list was asked.
        True: there will be a verdict on the event, or there was one already.
        """
        known = self._user(user, topic_id)
        before, known.applied = known.applied, offset
        judges = positive is not None and before is not None and known.asked
        if positive is not None and before is not None and judges:
            known.due.append(_Due(positive, before))
        known.asked = asks
        self._settle(known)
        return judges

    def asked(self, user: str, topic_id: str) -> None:
        """A list is made for the user's state as it stands."""
        self._user(user, topic_id).asked = True

    def forgot(self, user: str, topic_id: str, offset: int) -> None:
        """The user was erased: what waits has no list, and the next event is their first. Judgements of what
        was before, which may still come, are not kept."""
        if user in self._users:
            self._let_go(user)
        self._gone.pop(user, None)
        self._user(user, topic_id).erased = offset

    def judgement(self, raw: bytes, written_ms: int) -> Judgement:
        """A record of the judgements topic, read. Raises msgspec.DecodeError, UnicodeDecodeError."""
        made = decode_judgement(raw)
        user = self._user(made.user, made.state.topic_id)
        if made.state.offset <= user.erased:
            return made
        user.states.append(_State(made.state.offset, made.epoch, written_ms, raw))
        self._num_states += 1
        user.reached = max(user.reached, made.state.offset)
        self._settle(user)
        while self._num_states > self._max_states and len(self._users) > 1:
            self._let_go(next(iter(self._users)))
        return made

    def passed(self, name: str, offset: int) -> None:
        """No more judgements will come for this user's events up to ``offset``."""
        user = self._users.get(name)
        while user is not None and user.due and user.due[0].event.offset <= offset:
            self._judge(user, user.due.popleft())

    def finish(self) -> None:
        """The run has ended: what waits is judged by what there is."""
        for user in self._users.values():
            while user.due:
                self._judge(user, user.due.popleft())

    def state(self) -> dict[str, list[Any]]:
        """All of it as lists and bytes, for a snapshot."""
        users = [
            [
                name,
                user.topic_id,
                user.applied,
                user.asked,
                user.reached,
                user.erased,
                [[state.offset, state.epoch, state.written_ms, state.raw] for state in user.states],
                [[_fields(due.event), due.before] for due in user.due],
            ]
            for name, user in self._users.items()
        ]
        return {"users": users, "gone": [[name, *left] for name, left in self._gone.items()]}

    def restore(self, state: dict[str, list[Any]]) -> None:
        """Go on from `state`."""
        self._gone = OrderedDict((name, tuple(left)) for name, *left in state["gone"])
        self._users.clear()
        for name, topic_id, applied, asked, reached, erased, states, due in state["users"]:
            self._users[name] = _User(
                topic_id,
                applied,
                asked,
                [_State(*one) for one in states],
                deque(_Due(_event(fields), before) for fields, before in due),
                reached,
                erased,
            )
        self._num_states = sum(len(user.states) for user in self._users.values())

    def _user(self, name: str, topic_id: str) -> _User:
        known = self._users.get(name)
        if known is not None and known.topic_id != topic_id:  # the events topic was made anew
            self._let_go(name)
            known = None
        if known is None:
            known = self._users[name] = _User(topic_id)
            generation, applied, asked = self._gone.pop(name, (None, -1, False))
            if generation == topic_id:
                known.applied, known.asked = applied, asked
        self._users.move_to_end(name)
        if len(self._users) > self._max_users:
            self._let_go(next(iter(self._users)))
        return known

    def _let_go(self, name: str) -> None:
        gone = self._users.pop(name)
        if gone.applied is not None:
            self._gone[name] = gone.topic_id, gone.applied, gone.asked
            if len(self._gone) > GONE_TIMES * self._max_users:
                self._gone.popitem(last=False)
        self._num_states -= len(gone.states)
        for due in gone.due:
            self._say(Verdict(due.event, None))

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
            self._say(Verdict(due.event, None))
        else:
            found = user.states[state]
            late = found.written_ms > due.event.written_ms
            self._say(Verdict(due.event, decode_judgement(found.raw), late))


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


def _fields(event: Judged) -> list[Any]:
    return [
        event.user,
        event.item,
        event.offset,
        event.written_ms,
        event.partition,
        event.repeat,
        event.taken,
        event.since_ms,
    ]


def _event(fields: list[Any]) -> Judged:
    user, item, offset, written_ms, partition, repeat, taken, since_ms = fields
    return Judged(
        user=user,
        item=item,
        offset=offset,
        written_ms=written_ms,
        partition=partition,
        repeat=repeat,
        taken=taken,
        since_ms=since_ms,
    )
