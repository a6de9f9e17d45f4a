"""A world of session hopping whose answers are known: in each theme every user has a taste of their own.

Sessions of one theme lie days apart with others between them. Three items in four come from the few that the
user likes in the session's theme, so whoever reads that theme's earlier sessions knows more than whoever
reads the latest ones or, among five themes' events, has to find them. Written for MoS: smaller than
ops/simulate.py and without its drift, births and popularity, so that it is learned in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.columns import EventColumns
from model.config import ModelConfig, TrainConfig
from model.mos_sequences import Rules, Sessions, sessions_of
from model.sequences import Histories, catalogue_of, histories
from stream.sessions import closes
from stream.windows import MAX_OPEN, moved_global, moved_history, moved_theme

IntArray = npt.NDArray[np.int64]

GAP_MS = 30 * 60_000
HOUR_MS = 3_600_000
THEMES, TASTES, LIKED = 6, 5, 10  # themes, tastes in a theme, items of a taste
OWN = 5  # themes of a user
LOYAL = 0.8  # share of the events that follow the user's taste

#: Two small layers learn this world in seconds.
SHAPE = ModelConfig(
    family="sasrec",
    dim=32,
    streams=1,
    blocks=2,
    heads=2,
    experts=1,
    ffn_multiple=1,
    dropout=0.1,
    input_dropout=0.2,
)
RECIPE = TrainConfig(
    max_epochs=6, lr=3e-3, threads=1, themes=THEMES, patience=3, validation_users=200, window=50
)
RULES = Rules(
    closes=lambda num, last_ms, ts_ms: closes(num, last_ms, ts_ms, GAP_MS, MAX_OPEN),
    moved_global=moved_global,
    moved_theme=moved_theme,
    moved_history=lambda lengths: moved_history(lengths, 512),
)


@dataclass(frozen=True, slots=True)
class Town:
    """Events in order of time, and the theme of each."""

    columns: EventColumns
    theme_n: IntArray


@dataclass(frozen=True, slots=True)
class Past:
    """Histories of a town and their sessions."""

    events: Histories
    sessions: Sessions
    truth_S: IntArray  # theme of each session


def hoppers(seed: int, users: int, sessions: int = 16) -> Town:
    """Every user has so many sessions of two to eight events, never two of one theme in a row."""
    random = np.random.default_rng(seed)
    taste = random.integers(0, TASTES, (users, THEMES))
    found: list[tuple[int, int, int, int]] = []
    for user in range(users):
        own = random.permutation(THEMES)[:OWN]
        now = 1_700_000_000_000 + int(random.integers(0, 24 * HOUR_MS))
        theme = own[0]
        for _ in range(sessions):
            theme = random.choice(own[own != theme])
            now += int(random.integers(2 * HOUR_MS, 72 * HOUR_MS))
            for _ in range(int(random.integers(2, 9))):
                now += int(random.integers(5_000, 120_000))
                group = taste[user, theme] if random.random() < LOYAL else random.integers(0, TASTES)
                item = (theme * TASTES + group) * LIKED + random.integers(LIKED)
                found.append((now, user, int(item), int(theme)))
    time_ms, user_n, item_n, theme_n = np.array(sorted(found), np.int64).T
    columns = EventColumns(
        users=[f"u{number}" for number in range(users)],
        items=[f"i{number}" for number in range(THEMES * TASTES * LIKED)],
        user=user_n.astype(np.int32),
        item=item_n.astype(np.int32),
        time_ms=time_ms,
    )
    return Town(columns, theme_n)


def past_of(town: Town, known_from: EventColumns | None = None) -> Past:
    """Histories by the catalogue of ``known_from`` (all of the town if None)."""
    events = histories(town.columns, catalogue_of(known_from or town.columns))
    sessions = sessions_of(events, RULES)
    return Past(events, sessions, town.theme_n[events.order[sessions.starts[:-1]]])
