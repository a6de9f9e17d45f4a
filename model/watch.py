"""After a publication: is the new version worse than the one before, on live judged events?

Knows: ranks of the same events under both versions, when to look, how sure to be.
Does not know: versions, events, how a rank comes about, what a rollback does.

Three looks, at 1,000, 2,000 and 4,000 paired events, each one-sided at 1 %, users redrawn, full-rank nDCG by
the model alone and in the served sum; worse in either → roll back, once; then it ends. Two equal versions are
rolled back with at most 3 looks x 2 statistics x 1 % = 6 %, less as looks share events. Our construction.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from model.metrics import DRAWS, bootstrap, full_ndcg
from model.names import nameless

LOOKS = (1000, 2000, 4000)
MIN_USERS = 50
#: Share of the redrawn means that must lie below zero is 1 - SURE, on one side.
SURE = 0.01


class Outcome(StrEnum):
    """Where a watch stands."""

    WATCHING = "watching"
    ROLL_BACK = "roll back"
    KEPT = "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look saw: differences of the mean nDCG, new less previous, and their upper bounds."""

    events: int
    users: int
    alone: float
    alone_high: float
    fused: float
    fused_high: float

    @property
    def worse(self) -> bool:
        return self.alone_high < 0 or self.fused_high < 0


class Watch:
    """The new version beside the one before it; ends by itself, at the latest at the last look."""

    def __init__(self, new: str, previous: str) -> None:
        self.new = new
        self.previous = previous
        self.outcome = Outcome.WATCHING
        self.looks: list[Look] = []
        self._users: list[str] = []
        self._alone: list[float] = []  # differences by event
        self._fused: list[float] = []
        self._next = 0  # into LOOKS

    def judge(
        self, user: str, new: tuple[float, float], previous: tuple[float, float], draws: int = DRAWS
    ) -> Outcome | None:
        """One paired event: ranks of its item under both versions, each (alone, in the served sum).

        Says the outcome with the event that ends the watch, and None with every other one. A look with too
        few users is put off until there are enough; at the last look they end the watch without a verdict.
        """
        if self.outcome is not Outcome.WATCHING:
            return None
        gains = full_ndcg([*new, *previous])
        alone, fused = (gains[:2] - gains[2:]).tolist()
        self._users.append(user)
        self._alone.append(alone)
        self._fused.append(fused)
        if len(self._users) < LOOKS[self._next]:
            return None
        last = len(self._users) >= LOOKS[-1]
        if len(set(self._users)) >= MIN_USERS:
            self.looks.append(self._look(draws))
            while self._next < len(LOOKS) and LOOKS[self._next] <= len(self._users):
                self._next += 1
            if self.looks[-1].worse:
                return self._ended(Outcome.ROLL_BACK)
        return self._ended(Outcome.KEPT) if last else None

    def forget(self, users: Collection[str]) -> None:
        """Erase names; what they judged stays."""
        self._users = nameless(self._users, users).tolist()

    @property
    def events(self) -> int:
        """Paired events so far."""
        return len(self._users)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "new": self.new,
            "previous": self.previous,
            "outcome": str(self.outcome),
            "looks": [asdict(look) for look in self.looks],
            "users": list(self._users),
            "alone": list(self._alone),
            "fused": list(self._fused),
            "next": self._next,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Watch:
        made = cls(state["new"], state["previous"])
        made.outcome = Outcome(state["outcome"])
        made.looks = [Look(**look) for look in state["looks"]]
        made._users, made._alone, made._fused = (list(state[name]) for name in ("users", "alone", "fused"))
        made._next = state["next"]
        return made

    def _look(self, draws: int) -> Look:
        # seeded by the look: the same events give the same answer after a restart
        alone, fused = (
            bootstrap(
                found,
                self._users,
                level=1 - 2 * SURE,
                draws=draws,
                seed=len(self.looks),
                min_users=MIN_USERS,
            )
            for found in (self._alone, self._fused)
        )
        assert alone.high is not None  # there are enough users
        assert fused.high is not None
        return Look(
            events=len(self._users),
            users=alone.users,
            alone=alone.mean,
            alone_high=alone.high,
            fused=fused.mean,
            fused_high=fused.high,
        )

    def _ended(self, outcome: Outcome) -> Outcome:
        self.outcome = outcome
        self._users, self._alone, self._fused = [], [], []
        return outcome
