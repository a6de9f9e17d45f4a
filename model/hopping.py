"""Do users hop between sessions? How alike the items of a session are, of neighbouring ones, of returns.

Knows: item vectors, histories cut into sessions.
Does not know: themes, networks, what anybody wants to be shown.

Session hopping is what MoS claims of users (arXiv 2604.20858, abstract): stable inside a session, another
interest in the next, back some sessions later. How it is measured here is our construction.
"""

# I = items, D = width, S = sessions

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.config import FIRST_ITEM_ROW
from model.mos_sequences import Sessions
from model.sequences import Histories

IntArray = npt.NDArray[np.int64]
AnyFloats = npt.NDArray[np.floating]

#: Earlier sessions that a session is compared with: the latest ones before its neighbour.
EARLIER = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Hopping:
    """Mean cosines of item vectors over sessions that have a neighbour and an earlier session."""

    sessions: int  # that were compared
    users: int
    inside: float  # two items of one session
    adjacent: float  # one item of a session, one of the session before
    best_earlier: float  # the same with that of the earlier sessions that is most alike
    best_strange: float  # the same with as many sessions of other users: what being the best of many gives
    anybody: float  # with one session of another user
    returns: float  # share of sessions that are more alike to an earlier one than to their neighbour


def hopping(index_ID: AnyFloats, events: Histories, sessions: Sessions, *, seed: int = 0) -> Hopping:
    """Compare every session with two earlier ones or more, all of two known items or more.

    ``index_ID``: item vectors of any length, lines in the order of the catalogue. An item counts where its
    user meets it first: a repeat would be its own twin. The mean cosine between two sessions is the product
    of their mean unit vectors. ``seed`` draws the other users' sessions.
    """
    means_SD, counts_S, squares_S = _sessions(index_ID, events, sessions)
    user_S = np.repeat(np.arange(len(events)), np.diff(sessions.of_user))
    usable = np.flatnonzero(counts_S >= 2)
    random = np.random.default_rng(seed)
    rows: list[tuple[float, float, float, float, float]] = []
    users: set[int] = set()
    starts = np.searchsorted(user_S[usable], np.arange(len(events) + 1))
    for user in range(len(events)):
        own = usable[starts[user] : starts[user + 1]]
        for at in range(2, len(own)):
            session, earlier = own[at], own[max(0, at - 1 - EARLIER) : at - 1]
            strangers = usable[random.integers(0, len(usable), len(earlier))]
            strangers = strangers[user_S[strangers] != user]
            if not len(strangers):
                continue
            alike = means_SD[earlier] @ means_SD[session]
            strange = means_SD[strangers] @ means_SD[session]
            n = counts_S[session]
            inside = (squares_S[session] - n) / (n * (n - 1))  # all pairs but an item with itself
            adjacent = float(means_SD[own[at - 1]] @ means_SD[session])
            rows.append((inside, adjacent, float(alike.max()), float(strange.max()), float(strange[0])))
            users.add(user)
    found = np.array(rows).reshape(-1, 5)
    means = found.mean(axis=0) if len(found) else np.zeros(5)
    return Hopping(
        sessions=len(found),
        users=len(users),
        inside=float(means[0]),
        adjacent=float(means[1]),
        best_earlier=float(means[2]),
        best_strange=float(means[3]),
        anybody=float(means[4]),
        returns=float((found[:, 2] > found[:, 1]).mean()) if len(found) else 0.0,
    )


def _sessions(
    index_ID: AnyFloats, events: Histories, sessions: Sessions
) -> tuple[AnyFloats, IntArray, AnyFloats]:
    """(S, D) mean unit vector of a session's items, (S,) their number, (S,) squared length of their sum."""
    unit_ID = index_ID / np.maximum(np.linalg.norm(index_ID, axis=1, keepdims=True), 1e-6)
    user_n = np.repeat(np.arange(len(events)), events.lengths())
    _, first = np.unique(user_n * (events.rows.max(initial=0) + 1) + events.rows, return_index=True)
    kept = np.sort(first)
    kept = kept[events.rows[kept] >= FIRST_ITEM_ROW]
    num = len(sessions.lengths())
    sums_SD = np.zeros((num, index_ID.shape[1]))
    np.add.at(sums_SD, sessions.of_event[kept], unit_ID[events.rows[kept] - FIRST_ITEM_ROW])
    counts_S = np.bincount(sessions.of_event[kept], minlength=num)
    return sums_SD / np.maximum(counts_S, 1)[:, None], counts_S, (sums_SD**2).sum(axis=1)
