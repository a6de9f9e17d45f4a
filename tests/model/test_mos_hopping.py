"""Session hopping, measured where it is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.config import FIRST_ITEM_ROW
from model.hopping import hopping
from model.mos_sequences import Rules, sessions_of
from model.sequences import Histories
from tests.model.hoppers import LIKED, TASTES, THEMES, hoppers, past_of

RULES = Rules(
    closes=lambda num, last_ms, ts_ms: ts_ms - last_ms > 10,
    moved_global=lambda lengths: 0,
    moved_theme=lambda lengths: 0,
    moved_history=lambda lengths: 0,
)


def said(*users: list[list[int]]) -> Histories:
    """Each user's sessions of item lines: seconds inside, minutes between."""
    rows, times, starts = [], [], [0]
    for sessions in users:
        now = 0
        for session in sessions:
            now += 1000
            for line in session:
                now += 1
                rows.append(FIRST_ITEM_ROW + line)
                times.append(now)
        starts.append(len(rows))
    return Histories(
        rows=np.array(rows),
        times_ms=np.array(times),
        starts=np.array(starts),
        users=np.arange(len(users)),
        order=np.arange(len(rows)),
    )


def test_by_hand() -> None:
    """Two themes at right angles, out and back: 1 inside, 0 to the neighbour, 1 to the session before it."""
    index = np.repeat(np.eye(2), 6, axis=0) * np.arange(1, 13)[:, None]  # lengths do not matter
    user = [[0, 1], [6, 7], [2, 3], [8, 9]]
    events = said(user, user)

    found = hopping(index, events, sessions_of(events, RULES))

    assert (found.sessions, found.users) == (4, 2)
    assert found.inside == pytest.approx(1)
    assert found.adjacent == pytest.approx(0)
    assert found.best_earlier == pytest.approx(1)
    assert found.returns == 1


def test_repeats_are_no_likeness() -> None:
    """An item that the user had before says nothing: without it the session is too short to count."""
    index = np.eye(4)
    events = said([[0, 1], [2, 3], [0, 1], [0, 2]], [[0, 1], [2, 3]])

    assert hopping(index, events, sessions_of(events, RULES)).sessions == 0


def test_the_hoppers_hop() -> None:
    """Alike inside, unlike the neighbour, and a return is more alike than the best of as many strangers."""
    town = hoppers(0, users=60)
    past = past_of(town)
    random = np.random.default_rng(0)
    theme = np.repeat(np.arange(THEMES), TASTES * LIKED)
    vectors = np.eye(THEMES, 16)[theme] + 0.1 * random.normal(size=(len(theme), 16))
    index = np.zeros_like(vectors)  # lines by the catalogue, which knows items in order of their first event
    index[past.events.rows - FIRST_ITEM_ROW] = vectors[town.columns.item[past.events.order]]

    found = hopping(index, past.events, past.sessions)

    assert found.inside > 0.8
    assert found.adjacent < 0.1
    assert found.best_earlier > found.best_strange > found.anybody
    assert found.returns > 0.8


def test_no_sessions_to_compare() -> None:
    """Nobody came back: zeros, no sessions."""
    events = said([[0, 1]])

    found = hopping(np.eye(2), events, sessions_of(events, RULES))

    assert found == replace(found, sessions=0, users=0, inside=0.0, adjacent=0.0, returns=0.0)
