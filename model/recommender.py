"""What every recommender can be asked, and what those share that score each item they know.

Knows: ids, codes in order of the first event, order and ranks of scores.
Does not know: how a score comes about.

Ask first, then tell: `recommend` and `rank_of` answer from the events observed so far. Candidates are the
items with at least one event. A list holds only items with evidence for this user: a user nobody knows
anything about gets an empty list from all but popularity, and the caller decides what to show instead.
"""

# I = items with a code

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from model.metrics import MISS, rank_in
from model.popularity import Popularity

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
State = TypeVar("State")


class Recommender(Protocol):
    """Learns event by event; answers follow from the events observed, in their order, and nothing else."""

    def observe(self, user: str, item: str, ts_ms: int) -> None:
        """Learn one positive event. An event observed twice counts twice."""

    def recommend(self, user: str, n: int, exclude: Collection[str] = ()) -> list[tuple[str, float]]:
        """At most n (item, score) outside ``exclude`` (a set, for speed), best first.

        Ties go to the item that was seen first.
        """

    def rank_of(self, user: str, item: str, exclude: Collection[str] = ()) -> float:
        """1 + candidates scored higher + half the ties; MISS for no candidate or one in ``exclude``."""


class Codes:
    """Ids ⇄ 0, 1, 2 ... in the order in which they came."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.changes = 0  # how often an id got or lost a code
        self._codes: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def get(self, name: str) -> int | None:
        return self._codes.get(name)

    def admit(self, name: str) -> int:
        """The code of an id, a new one if it has none."""
        code = self._codes.setdefault(name, len(self.ids))
        if code == len(self.ids):
            self.ids.append(name)
            self.changes += 1
        return code

    def replace(self, code: int, name: str | None) -> None:
        """Give a code to another id, or to none."""
        self.changes += 1
        self._codes.pop(self.ids[code], None)
        self.ids[code] = name or ""
        if name is not None:
            self._codes[name] = code

    def restore(self, ids: list[str], free: Collection[int]) -> None:
        """Take these ids in the order of their codes; codes in ``free`` stand for none."""
        self.ids = ids
        self.changes += 1
        gone = set(free)
        self._codes = {name: code for code, name in enumerate(ids) if code not in gone}

    def known(self, names: Iterable[str]) -> IntArray:
        """Codes of those that have one, in their order."""
        found = (self._codes.get(name) for name in names)
        return np.array([code for code in found if code is not None], np.int64)


class ActiveUsers(Generic[State]):
    """A state per user, for the users that were active last: the bound on what users cost."""

    def __init__(self, max_users: int) -> None:
        self._max_users = max_users
        self._states: OrderedDict[str, State] = OrderedDict()

    def get(self, user: str) -> State | None:
        return self._states.get(user)

    def put(self, user: str, state: State) -> None:
        """Set a user's state and make the user the most recent; beyond ``max_users`` the stalest one goes."""
        self._states[user] = state
        self._states.move_to_end(user)
        if len(self._states) > self._max_users:
            self._states.popitem(last=False)


class Scoring(ABC):
    """A recommender with one score per known item: lists and ranks follow from the scores."""

    def __init__(self) -> None:
        self.items = Codes()

    @abstractmethod
    def observe(self, user: str, item: str, ts_ms: int) -> None: ...

    @abstractmethod
    def scores(self, user: str) -> FloatArray:
        """(I,) fresh array by code: 0 without evidence, -inf for a code that stands for no item."""

    def recommend(self, user: str, n: int, exclude: Collection[str] = ()) -> list[tuple[str, float]]:
        scores_I = self._open(user, exclude)
        return [(self.items.ids[code], float(scores_I[code])) for code in top_codes(scores_I, n).tolist()]

    def rank_of(self, user: str, item: str, exclude: Collection[str] = ()) -> float:
        code = self.items.get(item)
        return MISS if code is None else rank_in(self._open(user, exclude), code)

    def _open(self, user: str, exclude: Collection[str]) -> FloatArray:
        scores_I = self.scores(user)
        scores_I[self.items.known(exclude)] = -np.inf
        return scores_I


def top_codes(scores_I: FloatArray, n: int) -> IntArray:
    """At most n codes of positive score, best first, ties to the lowest code."""
    codes = np.flatnonzero(scores_I > 0)
    if 0 < n < len(codes):
        last = np.partition(scores_I[codes], len(codes) - n)[len(codes) - n]
        codes = codes[scores_I[codes] >= last]
    return codes[np.argsort(-scores_I[codes], kind="stable")][: max(n, 0)]


class Popular:
    """Popularity as a recommender: the same order for every user, the unknown ones too."""

    def __init__(self, half_life_ms: int | None = None) -> None:
        """``half_life_ms``: as in Popularity; None counts all events alike."""
        self._counts = Popularity(half_life_ms)

    def observe(self, user: str, item: str, ts_ms: int) -> None:  # noqa: ARG002 - popularity knows no users
        self._counts.observe(item, ts_ms)

    def recommend(self, user: str, n: int, exclude: Collection[str] = ()) -> list[tuple[str, float]]:  # noqa: ARG002
        return [(item, self._counts.score(item)) for item in self._counts.top(n, exclude)]

    def rank_of(self, user: str, item: str, exclude: Collection[str] = ()) -> float:  # noqa: ARG002
        return self._counts.rank_of(item, exclude)
