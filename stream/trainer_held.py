"""What a trainer holds on to from slice to slice: a candidate that waits, a version one may go back to.

Knows: which of it names a user. Does not know: when either is made, decided or dropped.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Final

from model.gate import Evidence
from model.learner import Cycle
from model.names import Arrays, nameless
from stream.lessons import Click

#: Clicks that wait to be learned, or may have to be learned again; beyond it the oldest are left out.
MAX_KEPT: Final = 50_000


@dataclass(slots=True, kw_only=True)
class Candidate:
    """A version that waits for the gate; its weights are the learner's."""

    cycle: Cycle
    trained_through: dict[int, int]  # partition → newest offset that was read for it
    judged_by: dict[int, tuple[int, int]] = field(default_factory=dict)
    pooled: Evidence | None = None

    def heard(self, found: Evidence) -> None:
        """One slice more. Where only one was held against an anchor (the other's is gone), neither is."""
        before = self.pooled
        if before is None:
            self.pooled = found
            return
        if (before.anchor is None) != (found.anchor is None):
            before, found = replace(before, anchor=None), replace(found, anchor=None)
        self.pooled = before.pooled(found)

    def forget(self, users: Collection[str]) -> None:
        """Erase names; what they judged stays."""
        if self.pooled is not None:
            self.pooled = replace(self.pooled, users_E=nameless(self.pooled.users_E, users))


@dataclass(slots=True, kw_only=True)
class Kept:
    """A version that one may have to go back to, with what came after it."""

    name: str
    arrays: Arrays  # the learner's, before it learned on
    clicks: list[Click] = field(default_factory=list)  # that were learned since
    known: list[Click] = field(default_factory=list)  # histories that were loaded since

    def remember(self, known: Collection[Click]) -> None:
        """These were loaded after ``arrays`` were taken."""
        self.known = [*self.known, *known][-MAX_KEPT:]

    def forget(self, users: Collection[str]) -> None:
        """Erase what users did."""
        self.clicks = [click for click in self.clicks if click.user not in users]
        self.known = [click for click in self.known if click.user not in users]
