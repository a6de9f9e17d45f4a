"""Which weight serves whom: lists under every weight wait for their user's next event and judge the weights.

Knows: whose lists wait. Does not know: how lists are made, what a weight means (model/leader.py decides).

A new positive event judges its user's waiting lists before it is learned and before the next list of that
user is made, in arrival order; so how turns are cut changes no weight.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from model.leader import Leaders, gains
from model.sums import WEIGHTS

#: Users whose lists wait, about 1 KB each; beyond it those of the longest silent one go unjudged.
MAX_USERS = 20_000


@dataclass(frozen=True, slots=True)
class _Waiting:
    items: tuple[str, ...]  # of all lists, once each
    lists: Sequence[Sequence[int]]  # per weight, best first: places in `items`
    num_events: int


class Leading:
    """The leaders, and what they wait for. What waits is not in a snapshot: those events judge nothing."""

    def __init__(self, leaders: Leaders | None = None, max_users: int = MAX_USERS) -> None:
        """``leaders`` None: fresh ones."""
        self.leaders = Leaders(len(WEIGHTS)) if leaders is None else leaders
        self._max_users = max_users
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def judge(self, user: str, item: str) -> None:
        """The user's next positive event, once per list."""
        waiting = self._waiting.pop(user, None)
        if waiting is None:
            return
        target = waiting.items.index(item) if item in waiting.items else -1
        self.leaders.of(waiting.num_events).judge(gains(waiting.lists, target))

    def serving(self, num_events: int) -> int:
        """The place in WEIGHTS of what serves a user with so many positive events."""
        return self.leaders.of(num_events).serving

    def shown(self, user: str, num_events: int, lists: Sequence[Sequence[int]], names: Sequence[str]) -> None:
        """Lists under every weight were made for the user: places in ``names``, which has all of them."""
        self._waiting[user] = _Waiting(tuple(names), lists, num_events)
        self._waiting.move_to_end(user)
        if len(self._waiting) > self._max_users:
            self._waiting.popitem(last=False)

    def forget(self, user: str) -> None:
        """Nothing of this user waits."""
        self._waiting.pop(user, None)

    def weights(self) -> tuple[tuple[float, int], tuple[float, int]]:
        """For warm and for cold users: the weight that serves, and how many events chose it."""
        warm, cold = self.leaders.warm, self.leaders.cold
        return (WEIGHTS[warm.serving], warm.num_judged), (WEIGHTS[cold.serving], cold.num_judged)

    def told(self) -> str:
        """For the log: the weights that serve and how many events chose them."""
        warm, cold = self.leaders.warm, self.leaders.cold
        return (
            f"weight {WEIGHTS[warm.serving]:g} after {warm.num_judged} events, "
            f"{WEIGHTS[cold.serving]:g} after {cold.num_judged} of cold users"
        )
