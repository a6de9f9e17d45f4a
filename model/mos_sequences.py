"""Which sequences MoS reads at any moment of a history, so that one pass answers many moments.

Knows: sessions, windows that move when one closes, which of them share a theme; numbers only.
Does not know: the rules themselves (whoever knows the worker's hands them in), how themes are chosen, torch.

A moment (cut) is the time right after an event; the next event is what it must predict. What is read at a
moment is what the worker's request holds then: global and local are ranges of the history, a theme's sequence
is the closed sessions of that theme and, if the theme leads the open session, the open one so far.
"""

# n = events of all histories, S = sessions, U = users, T = cuts, J = themes read at a cut

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.prototypes import NO_THEME
from model.sequences import Histories

IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
#: Lengths of closed sessions in a window → how many leave its front.
Moved = Callable[[Sequence[int]], int]

#: Shorter histories, or fewer closed sessions, are read without themes.
MIN_EVENTS = 20
MIN_CLOSED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The worker's rules of sessions and windows."""

    closes: Callable[[int, int, int], bool]  # events of the open session, its clock, next time (Unix ms)
    moved_global: Moved
    moved_theme: Moved
    moved_history: Moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Sessions of all users side by side, in arrival order, and what is read while each is open."""

    starts: IntArray  # (S + 1,) into Histories.rows
    of_user: IntArray  # (U + 1,): user u has sessions [of_user[u], of_user[u + 1])
    of_event: IntArray  # (n,) session of each event
    global_from: IntArray  # (S,) place in Histories.rows where the global sequence begins
    local_from: IntArray  # (S,) the same of the local one: the session before
    kept_from: IntArray  # (S,) oldest session that the history still holds
    applies: Mask  # (n,) whether themes are read right after the event

    def lengths(self) -> IntArray:
        return np.diff(self.starts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Sequences to encode, and which of their states each cut reads."""

    sequences: list[IntArray]  # places in Histories.rows, oldest first
    themes: list[int]  # of each sequence; NO_THEME for global and local
    line_TJ: IntArray  # which sequence; -1 for none
    position_TJ: IntArray  # which position of it: the sequence's length at the cut, less one; -1 for none


def sessions_of(events: Histories, rules: Rules) -> Sessions:
    """Cut histories into sessions and follow the windows through them."""
    starts: list[int] = []
    of_user, global_from, local_from, kept_from = [0], [], [], []
    for begin, end in zip(events.starts[:-1].tolist(), events.starts[1:].tolist(), strict=True):
        first = len(starts)
        starts += _starts(events.times_ms[begin:end].tolist(), begin, rules)
        lengths = np.diff([*starts[first:], end]).tolist()
        seen = kept = 0  # first session of the global window and of the history, counted from the user's
        for number in range(len(lengths)):
            global_from.append(starts[first + seen])
            local_from.append(starts[first + max(0, number - 1)])
            kept_from.append(first + kept)
            seen += rules.moved_global(lengths[seen : number + 1])
            kept += rules.moved_history(lengths[kept : number + 1])
            seen = max(seen, kept)
        of_user.append(len(starts))
    num = len(events.rows)
    bounds = np.array([*starts, num], np.int64)
    of_event = np.repeat(np.arange(len(starts)), np.diff(bounds))
    user_n = np.repeat(np.arange(len(events)), events.lengths())
    enough = np.arange(num) - events.starts[user_n] + 1 >= MIN_EVENTS
    applies = enough & (of_event - np.array(of_user, np.int64)[user_n] >= MIN_CLOSED)
    return Sessions(
        starts=bounds,
        of_user=np.array(of_user, np.int64),
        of_event=of_event,
        global_from=np.array(global_from, np.int64),
        local_from=np.array(local_from, np.int64),
        kept_from=np.array(kept_from, np.int64),
        applies=applies,
    )


def themes_apply(history_length: int, local_length: int) -> bool:
    """`Sessions.applies` from the lengths that a request states.

    A history longer than the open session and the one before holds two closed sessions.
    """
    return history_length >= MIN_EVENTS and history_length > local_length


def _starts(times_ms: list[int], begin: int, rules: Rules) -> list[int]:
    found: list[int] = []
    num_open, clock_ms = 0, 0
    for at, ts_ms in enumerate(times_ms):
        if num_open == 0 or rules.closes(num_open, clock_ms, ts_ms):
            found.append(begin + at)
            num_open = 0
        clock_ms = max(clock_ms, ts_ms) if at else ts_ms
        num_open += 1
    return found


def ranges(begin_T: IntArray, cuts_T: IntArray) -> Read:
    """Sequences that are ranges of the history, [begin, cut]; cuts with one beginning share a sequence."""
    firsts, line_T = np.unique(begin_T, return_inverse=True)
    ends = np.zeros(len(firsts), np.int64)
    np.maximum.at(ends, line_T, cuts_T + 1)
    return Read(
        sequences=[np.arange(first, end) for first, end in zip(firsts.tolist(), ends.tolist(), strict=True)],
        themes=[NO_THEME] * len(firsts),
        line_TJ=line_T[:, None].astype(np.int64),
        position_TJ=(cuts_T - begin_T)[:, None],
    )


def by_theme(
    sessions: Sessions, rules: Rules, cuts_T: IntArray, theme_S: IntArray, themes_TJ: IntArray
) -> Read:
    """Theme sequences of ascending cuts.

    ``theme_S``: theme that each session closes with, NO_THEME for none (read only of sessions before a cut or
    at one). ``themes_TJ``: themes to read at each cut, the open session's leading one first, NO_THEME to pad.
    """
    found = _Lines(sessions, themes_TJ.shape)
    users = np.searchsorted(sessions.of_user, sessions.of_event[cuts_T], side="right") - 1
    for user in np.unique(users).tolist():
        low, high = np.searchsorted(users, [user, user + 1]).tolist()
        _follow(found, rules, user, cuts_T[low:high], theme_S, themes_TJ[low:high], low)
    places = [
        np.concatenate([np.arange(sessions.starts[s], sessions.starts[s + 1]) for s in members])
        for members in found.members
    ]
    return Read(sequences=places, themes=found.themes, line_TJ=found.line_TJ, position_TJ=found.position_TJ)


class _Lines:
    """Theme sequences while they are found: whole sessions, one sequence per theme and window."""

    def __init__(self, sessions: Sessions, shape: tuple[int, ...]) -> None:
        self.sessions = sessions
        self.length = sessions.lengths().tolist()
        self.members: list[list[int]] = []
        self.themes: list[int] = []
        self.line_TJ = np.full(shape, -1, np.int64)
        self.position_TJ = np.full(shape, -1, np.int64)
        self._places: dict[tuple[int, int, int], int] = {}

    def line(self, theme: int, members: list[int], astray: bool) -> int:
        """The sequence that starts with these sessions; cuts with one theme and window share it.

        ``astray``: the last session leans to the theme for now and closes with another: it has a sequence of
        its own.
        """
        key = (theme, members[0], members[-1] if astray else -1)
        at = self._places.setdefault(key, len(self.members))
        if at == len(self.members):
            self.members.append(members)
            self.themes.append(theme)
        elif len(members) > len(self.members[at]):
            self.members[at] = members
        return at


def _follow(
    found: _Lines,
    rules: Rules,
    user: int,
    cuts_t: IntArray,
    theme_S: IntArray,
    themes_tJ: IntArray,
    low: int,
) -> None:
    """One user's sessions in order, up to the one of the last cut."""
    sessions = found.sessions
    session_t = sessions.of_event[cuts_t]
    closed: dict[int, list[int]] = {}  # sessions in each theme's window
    for s in range(int(sessions.of_user[user]), int(session_t[-1]) + 1):
        oldest = int(sessions.kept_from[s])
        first, stop = np.searchsorted(session_t, [s, s + 1]).tolist()
        own = int(theme_S[s])
        for theme in np.unique(themes_tJ[first:stop]).tolist() if first < stop else []:
            if theme != NO_THEME:
                alike = [member for member in closed.get(theme, []) if member >= oldest]
                asked = themes_tJ[first:stop] == theme
                _place(found, theme, alike, s, own != theme, asked, cuts_t[first:stop], low + first)
        if own != NO_THEME:
            alike = [member for member in closed.get(own, []) if member >= oldest] + [s]
            closed[own] = alike[rules.moved_theme([found.length[member] for member in alike]) :]


def _place(
    found: _Lines,
    theme: int,
    alike: list[int],
    s: int,
    astray: bool,
    asked_tJ: Mask,
    cuts_t: IntArray,
    low: int,
) -> None:
    """Where cuts of session ``s`` read one theme: with the open session where it leads, else without."""
    base = sum(found.length[member] for member in alike)
    leads_t = asked_tJ[:, 0]
    if leads_t.any():
        at = low + np.flatnonzero(leads_t)
        found.line_TJ[at, 0] = found.line(theme, [*alike, s], astray)
        found.position_TJ[at, 0] = base + cuts_t[leads_t] - found.sessions.starts[s]
    if alike and asked_tJ[:, 1:].any():
        rows, columns = np.nonzero(asked_tJ[:, 1:])
        found.line_TJ[low + rows, columns + 1] = found.line(theme, alike, False)
        found.position_TJ[low + rows, columns + 1] = base - 1
