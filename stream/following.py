"""What became of each record of the events topic, told as the worker tells it: same decoding, same states.

Knows: the worker's own rules for refusing, counting twice, coming late. Does not know: Kafka, lists.

States are kept for a bounded number of events; past it the longest silent users go, and what comes of them
afterwards is told as if they were new.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate
from typing import Any

from stream.events import Forget, Interaction, Malformed, Rescore, decode_record
from stream.history import Outcome, Rules, User
from stream.themes import Router

#: Events of all followed users together; each costs some 200 bytes.
MAX_EVENTS = 1_000_000
#: What a user without any costs, in events: also the erased and those who only disliked must go some day.
USER_EVENTS = 8


class Became(Enum):
    """What a record did."""

    REFUSED = "refused"  # a dead letter
    REPEATED = "repeated"  # a duplicate, or too late to tell: a list is made, the state stays
    APPLIED = "applied"
    FORGOT = "forgot"
    RESCORED = "rescored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One record of the events topic."""

    became: Became
    user: str = ""
    item: str = ""
    outcome: Outcome | None = None  # of an interaction
    repeat: bool = False  # the user's history held this item before

    @property
    def positive(self) -> bool:
        return self.outcome in (Outcome.POSITIVE, Outcome.LATE)


_REPEATED = (Outcome.DUPLICATE, Outcome.TOO_LATE)


class Following:
    """Hand it the records of each partition in order."""

    def __init__(self, rules: Rules, max_events: int = MAX_EVENTS) -> None:
        self._rules = rules
        self._max_events = max_events
        self.num_events = 0  # retained, of all followed users, and what the users themselves cost
        self._users: OrderedDict[str, User] = OrderedDict()
        self._router = Router()  # no version: themes change nothing here

    def tell(self, key: bytes | None, value: bytes | None, offset: int, topic_id: str, now_ms: int) -> Told:
        """One record; ``now_ms`` is its own timestamp, by which times too far ahead are refused."""
        event = decode_record(key, value, now_ms)
        if isinstance(event, Malformed):
            return Told(became=Became.REFUSED)
        user = self._users.get(event.user)
        if user is None:
            user = self._users[event.user] = User.new(topic_id)
            self.num_events += USER_EVENTS
        self.num_events -= len(user.items)
        told = _apply(user, event, topic_id, offset, now_ms, self._rules, self._router)
        self.num_events += len(user.items)
        self._users.move_to_end(event.user)
        while self.num_events > self._max_events and len(self._users) > 1:
            _, longest_silent = self._users.popitem(last=False)
            self.num_events -= USER_EVENTS + len(longest_silent.items)
        return told

    def users(self) -> list[str]:
        """Whose states are kept, the longest silent first."""
        return list(self._users)

    def history(self, name: str) -> tuple[list[str], list[int]]:
        """Positive items in order of arrival and their times in Unix ms, as far as they are kept."""
        user = self._users.get(name)
        if user is None:
            return [], []
        return list(user.items), list(accumulate(user.deltas))

    def state(self) -> list[Any]:
        """All states as bytes, the longest silent user first, for a snapshot."""
        return [[name, user.to_bytes()] for name, user in self._users.items()]

    def restore(self, state: list[Any]) -> None:
        """Go on from `state`. Raises StateDamaged."""
        self._users = OrderedDict((name, User.from_bytes(raw)) for name, raw in state)
        self.num_events = sum(USER_EVENTS + len(user.items) for user in self._users.values())


def _apply(
    user: User,
    event: Interaction | Forget | Rescore,
    topic_id: str,
    offset: int,
    now_ms: int,
    rules: Rules,
    router: Router,
) -> Told:
    if isinstance(event, Interaction):
        repeat = event.item in user.items
        outcome = user.apply(event, topic_id, offset, rules, router)
        became = Became.REPEATED if outcome in _REPEATED else Became.APPLIED
        return Told(became=became, user=event.user, item=event.item, outcome=outcome, repeat=repeat)
    if isinstance(event, Forget):
        user.forget(topic_id, offset, now_ms)
        return Told(became=Became.FORGOT, user=event.user)
    return Told(became=Became.RESCORED, user=event.user)
