"""The made-up world keeps the laws it states."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from ops.gaps import session_lengths
from ops.simulate import GAP_MS, LOYAL, TASTES, THEMES_PER_USER, World, simulate


@pytest.fixture(scope="module")
def world() -> World:
    """20,000 events."""
    return simulate(3, users=200, items=400, events=20_000, themes=6)


def test_the_same_seed_gives_the_same_world(world: World) -> None:
    """Events and truth are a function of the arguments, and of the seed among them."""
    again = simulate(3, users=200, items=400, events=20_000, themes=6)
    other = simulate(4, users=200, items=400, events=20_000, themes=6)

    assert list(world.dataset.events.slice(0, 500)) == list(again.dataset.events.slice(0, 500))
    assert (world.session_theme == again.session_theme).all()
    assert world.dataset.events.item.tolist() != other.dataset.events.item.tolist()


def test_there_are_as_many_events_as_asked_in_time_order(world: World) -> None:
    """Exactly that many, never going back."""
    assert len(world.dataset.events) == 20_000
    assert (np.diff(world.dataset.events.time_ms) >= 0).all()


def test_every_event_has_the_theme_of_its_session(world: World) -> None:
    """Themes are stable inside a session."""
    wanted = world.session_theme[world.event_session]

    assert (world.item_theme[world.dataset.events.item] == wanted).all()


def test_users_keep_a_taste_of_their_own_in_each_theme(world: World) -> None:
    """Some three events in four, and an eighth of the others, are of the user's taste in the session's theme;
    users differ in it; the next session of the theme, others between them, is of the same taste."""
    events = world.dataset.events
    theme = world.item_theme[events.item]
    taste = world.item_taste[events.item]
    own = taste == world.user_taste[events.user, theme]
    leading = {
        number: (int(events.user[at[0]]), int(theme[at[0]]), int(np.bincount(taste[at]).argmax()))
        for number in range(len(world.session_theme))
        if len(at := np.flatnonzero(world.event_session == number)) >= 3
    }
    of_place: dict[tuple[int, int], list[int]] = {}
    for user, about, most in leading.values():
        of_place.setdefault((user, about), []).append(most)
    again = [one == two for found in of_place.values() for one, two in pairwise(found)]

    assert abs(own.mean() - (LOYAL + (1 - LOYAL) / TASTES)) < 0.05
    assert np.unique(world.user_taste, axis=0).shape[0] > 150
    assert np.mean(again) > 0.7


def test_the_session_rule_finds_the_true_sessions(world: World) -> None:
    """Under the stated gap there are as many sessions as in truth, with the same lengths."""
    true_lengths = np.bincount(world.event_session)

    assert sorted(session_lengths(world.dataset.events, GAP_MS, 32)) == sorted(true_lengths)


def test_users_hop_and_come_back(world: World) -> None:
    """Most sessions change the theme, and users have few themes but visit them again and again."""
    hops, returns, num_themes = [], [], []
    for user in range(200):
        themes = world.session_theme[world.session_user == user].tolist()
        hops += [one != two for one, two in pairwise(themes)]
        returns += [theme in themes[:at] for at, theme in enumerate(themes) if at >= 10]
        num_themes.append(len(set(themes)))

    assert 0.4 < np.mean(hops) < 0.8
    assert np.mean(returns) > 0.9
    assert max(num_themes) <= THEMES_PER_USER + 1


def test_no_item_is_touched_before_it_appears(world: World) -> None:
    """New items appear over time, and some are used."""
    events = world.dataset.events
    born = world.item_born_ms[events.item]

    assert (events.time_ms >= born).all()
    assert (born > events.time_ms[0]).mean() > 0.05


def test_popularity_is_skewed_and_drifts(world: World) -> None:
    """A tenth of the items has far more than its share, and the favourites change from start to end."""
    items = world.dataset.events.item
    counts = np.sort(np.bincount(items, minlength=400))[::-1]
    top = [set(np.argsort(-np.bincount(part, minlength=400))[:40]) for part in (items[:7000], items[-7000:])]

    assert counts[:40].sum() > 0.25 * counts.sum()
    assert len(top[0] & top[1]) < 32


def test_items_are_described(world: World) -> None:
    """Each item has one record that names its theme."""
    items = list(world.dataset.items())

    assert [item.categories for item in items] == [[f"theme {theme}"] for theme in world.item_theme.tolist()]
    assert len(list(world.dataset.items())) == 400


def test_small_worlds_work() -> None:
    """One user, one theme, a handful of events."""
    assert len(simulate(0, users=1, items=2, events=5, themes=1).dataset.events) == 5
