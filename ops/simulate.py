"""A made-up world whose answers are known: users hop between themes and have a taste of their own in each.

Knows: its own laws, which `simulate` states. Does not know: topics, models.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from ops.datasets.table import Dataset, EventTable
from stream.events import Item

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
#: Longest silence inside a session, shortest between two: any gap between them finds the true sessions.
MAX_PAUSE_MS = 20 * MINUTE_MS
MIN_ABSENCE_MS = 2 * HOUR_MS
GAP_MS = 30 * MINUTE_MS
FIRST_MS = 1_700_006_400_000  # midnight UTC, 2023-11-15
MEAN_SESSION = 6
MAX_SESSION = 24  # below the 32 events that close a session by themselves
#: Themes a user hops among, and the share of session starts that stay with the theme before.
THEMES_PER_USER = 3
STAY = 0.3
#: Share of items that exist from the start; the others appear one by one.
OLD_ITEMS = 0.7
#: Tastes that a theme's items fall into, and the share of a user's events that follow the user's own one.
TASTES = 8
LOYAL = 0.75
#: Of an event that follows popularity alone.
ANY = -1
#: Popularity inside a theme falls with rank ** -SKEW, and every item's log popularity walks this far in all.
SKEW = 1.0
DRIFT = 1.5
#: Steps in which items appear and popularity walks.
SLICES = 24

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A simulated data set and the truth behind it; n events, S sessions, numbered by their start."""

    dataset: Dataset
    item_theme: Ints  # (items,) theme of each item code
    item_taste: Ints  # (items,) taste inside its theme
    user_taste: Ints  # (users, themes) the taste that a user has in each theme
    item_born_ms: Ints  # (items,) time before which an item is in no event
    session_theme: Ints  # (S,)
    session_user: Ints  # (S,) user codes
    event_session: Ints  # (n,) session of each event of dataset.events


def simulate(
    seed: int,
    *,
    users: int = 2000,
    items: int = 3000,
    events: int = 100_000,
    themes: int = 8,
    days: int = 30,
) -> World:
    """Exactly ``events`` clicks over about ``days`` days, the same for the same arguments (our construction).

    A session has one theme. Each user has three themes, usually changes between them from session to session,
    and comes back to them; half of the users swap one for another in the middle. A theme's items fall into
    eight tastes, each user has one of them in each theme, and three events in four follow it: what a user
    takes in a theme depends on what that user took there before, sessions ago. Inside a theme items are
    unequally popular, popularity drifts, and new items appear. A user's events are seconds apart, with at
    most 20 minutes inside a session and at least 2 hours between two.
    """
    rng = np.random.default_rng(seed)
    lengths = _session_lengths(rng, events)
    who = np.sort(rng.choice(users, size=len(lengths), p=_activity(rng, users)))
    theme = _session_themes(rng, who, users, themes)
    start_ms, times_ms, session = _times(rng, who, lengths, days)
    order = np.lexsort((session, times_ms))
    by_start = np.argsort(start_ms, kind="stable")
    renumbered = np.empty_like(by_start)
    renumbered[by_start] = np.arange(len(by_start))
    times_ms, session = times_ms[order], session[order]
    item_theme = rng.permutation(np.arange(items) % themes)
    end_ms = int(times_ms[-1]) + 1
    born = _births(rng, item_theme, themes)
    item_taste = _dealt(rng, item_theme, themes)
    user_taste = rng.integers(0, TASTES, size=(users, themes))
    wanted = np.where(rng.random(events) < LOYAL, user_taste[who[session], theme[session]], ANY)
    chosen = _choices(rng, item_theme, item_taste, born, theme[session], wanted, times_ms, end_ms)
    born_ms = np.where(born == 0, FIRST_MS, FIRST_MS + (end_ms - FIRST_MS) * born // SLICES)
    table = EventTable(
        users=[f"user-{number}" for number in range(users)],
        items=[f"item-{number}" for number in range(items)],
        types=["click"],
        user=who[session].astype(np.int32),
        item=chosen.astype(np.int32),
        time_ms=times_ms,
        type=np.zeros(events, dtype=np.int16),
        source=f"simulated-{seed}",
    )
    dataset = Dataset(
        name=f"simulated-{seed}",
        licence="none needed: made up by a random generator",
        source=f"simulate(seed={seed})",
        events=table,
        gap_ms=GAP_MS,
        items_reader=partial(_described, table.items, item_theme.tolist()),
    )
    return World(
        dataset=dataset,
        item_theme=item_theme,
        item_taste=item_taste,
        user_taste=user_taste,
        item_born_ms=born_ms,
        session_theme=theme[by_start],
        session_user=who[by_start].astype(np.int64),
        event_session=renumbered[session],
    )


def _described(items: list[str], themes: list[int]) -> Iterator[Item]:
    for number, (item, theme) in enumerate(zip(items, themes, strict=True)):
        yield Item(item=item, title=f"Number {number} of theme {theme}", categories=[f"theme {theme}"])


def _session_lengths(rng: np.random.Generator, events: int) -> Ints:
    """Lengths that add up to ``events``; geometric, cut at MAX_SESSION."""
    lengths = np.minimum(rng.geometric(1 / MEAN_SESSION, size=events), MAX_SESSION)  # more than enough
    ends = np.cumsum(lengths)
    last = int(np.searchsorted(ends, events))
    lengths = lengths[: last + 1].astype(np.int64)
    lengths[-1] -= ends[last] - events
    return lengths


def _activity(rng: np.random.Generator, users: int) -> Floats:
    """Share of the sessions that each user has: a few have many."""
    weights = rng.lognormal(0.0, 1.0, size=users)
    shares: Floats = weights / weights.sum()
    return shares


def _session_themes(rng: np.random.Generator, who: Ints, users: int, themes: int) -> Ints:
    """(S,) theme of each session; sessions of a user stand together, in time order."""
    num_own = min(THEMES_PER_USER, themes)
    own = rng.permuted(np.tile(np.arange(themes), (users, 1)), axis=1)
    swapped = own.copy()
    if themes > num_own:
        late = rng.random(users) < 0.5
        swapped[late, 0] = own[late, num_own]
    other = rng.integers(1, max(num_own, 2), size=len(who)) % num_own  # how many places to hop
    hops = np.where(rng.random(len(who)) < STAY, 0, other)
    place = np.cumsum(hops) % num_own  # runs on from user to user, which only moves where a user starts
    _, number = _first_of_user(who)
    in_later_half = number * 2 >= np.bincount(who, minlength=users)[who]
    chosen: Ints = np.where(in_later_half, swapped[who, place], own[who, place])
    return chosen


def _first_of_user(who: Ints) -> tuple[Ints, Ints]:
    """For sorted user codes: (row where the row's user starts, how many rows of that user came before)."""
    starts = np.flatnonzero(np.r_[True, who[1:] != who[:-1]])
    first = np.repeat(starts, np.diff(np.r_[starts, len(who)]))
    return first, np.arange(len(who)) - first


def _times(rng: np.random.Generator, who: Ints, lengths: Ints, days: int) -> tuple[Ints, Ints, Ints]:
    """(start of each session, time and session of each event); events of a session stand together."""
    session = np.repeat(np.arange(len(lengths)), lengths)
    firsts = np.cumsum(lengths) - lengths
    pauses = np.minimum(rng.lognormal(np.log(40_000), 1.2, size=len(session)), MAX_PAUSE_MS).astype(np.int64)
    pauses = np.maximum(pauses, 1000)
    pauses[firsts] = 0
    running = np.cumsum(pauses)
    inside = running - np.repeat(running[firsts], lengths)
    took = np.add.reduceat(pauses, firsts)
    first, number = _first_of_user(who)
    num_of_user = (np.bincount(who, minlength=int(who.max()) + 1)[who]).astype(np.float64)
    mean_ms = days * DAY_MS / 2 / num_of_user
    absence = MIN_ABSENCE_MS + rng.exponential(mean_ms).astype(np.int64)
    absence[number == 0] = rng.integers(0, days * DAY_MS // 2, size=int((number == 0).sum()))
    step = absence + np.r_[0, took[:-1]]  # from the end of the session before
    step[number == 0] = absence[number == 0]
    running = np.cumsum(step)
    start = FIRST_MS + running - running[first] + step[first]
    return start, start[session] + inside, session


def _births(rng: np.random.Generator, item_theme: Ints, themes: int) -> Ints:
    """(items,) slice in which an item appears; each theme has one from the start."""
    born = np.where(rng.random(len(item_theme)) < OLD_ITEMS, 0, rng.integers(1, SLICES, size=len(item_theme)))
    for theme in range(themes):
        mine = np.flatnonzero(item_theme == theme)
        born[mine[:1]] = 0
    return born


def _dealt(rng: np.random.Generator, item_theme: Ints, themes: int) -> Ints:
    """(items,) taste of each item: a theme's items are dealt over the tastes in random order."""
    taste = np.zeros(len(item_theme), dtype=np.int64)
    for theme in range(themes):
        mine = np.flatnonzero(item_theme == theme)
        taste[mine] = rng.permutation(np.arange(len(mine)) % TASTES)
    return taste


def _choices(
    rng: np.random.Generator,
    item_theme: Ints,
    item_taste: Ints,
    born: Ints,
    theme: Ints,
    taste: Ints,
    times_ms: Ints,
    end_ms: int,
) -> Ints:
    """(n,) item of each event: by popularity among the items of its theme and taste that exist in its slice,
    of its theme alone where the taste is ANY or has none yet."""
    span_ms = end_ms - FIRST_MS
    part = (times_ms - FIRST_MS) * SLICES // span_ms
    chosen = np.zeros(len(times_ms), dtype=np.int64)
    for one in np.unique(theme).tolist():
        mine = np.flatnonzero(item_theme == one)
        walk = -SKEW * np.log(1 + rng.permutation(len(mine)))
        for step in range(SLICES):
            walk = walk + rng.normal(0, DRIFT / np.sqrt(SLICES), size=len(mine))
            weights = np.where(born[mine] <= step, np.exp(walk), 0.0)
            here = np.flatnonzero((theme == one) & (part == step))
            for group in np.unique(taste[here]).tolist():
                wanted = here[taste[here] == group]
                own = np.where(item_taste[mine] == group, weights, 0.0)
                own = own if own.any() else weights
                chosen[wanted] = mine[rng.choice(len(mine), size=len(wanted), p=own / own.sum())]
    return chosen
