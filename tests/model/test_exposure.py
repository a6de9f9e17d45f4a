"""Rows stand in as many lists as their clicks are worth: in worlds whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from model.exposure import FEW, HALF_LIFE, LEAST, LISTS, MOST, PLACES, Exposure, unit_streams

SHAPE = (2, 16)
D = SHAPE[0] * SHAPE[1]


def flat(x: np.ndarray) -> np.ndarray:
    """Streams of length 1, side by side."""
    return unit_streams(np.asarray(x, np.float32).reshape(-1, *SHAPE)).reshape(-1, D)


class World:
    """Users who lean all one way and each to one of four tastes; known items are tastes alone, so whatever
    lies along the common way looks right to everybody."""

    def __init__(self, seed: int = 0, num_users: int = 300) -> None:
        random = np.random.default_rng(seed)
        self.common = flat(random.normal(size=D))[0]
        self.tastes = flat(random.normal(size=(4, D)))
        self.taste_of = np.arange(num_users) % 4
        noise = random.normal(scale=0.3, size=(num_users, D)) / np.sqrt(D) * 8
        self.users = flat(2 * self.common + self.tastes[self.taste_of] + noise)
        known = flat(np.repeat(self.tastes, 15, axis=0) + random.normal(scale=0.5, size=(60, D)) / np.sqrt(D))
        self.tenth = np.sort(self.users @ known.T, axis=1)[:, -PLACES]

    def exposure(self, worth: float = 2.0) -> Exposure:
        made = Exposure(SHAPE, worth)
        for vector, tenth in zip(self.users, self.tenth, strict=True):
            made.listed(vector, tenth)
        return made

    def rows(self, num: int = 1, taste: int | None = None, seed: int = 0) -> np.ndarray:
        """Each the mean of six users, of one taste or of any: what provisional rows are."""
        random = np.random.default_rng(seed)
        whose = np.arange(len(self.users)) if taste is None else np.flatnonzero(self.taste_of == taste)
        return flat(np.stack([self.users[random.choice(whose, 6)].mean(axis=0) for _ in range(num)]))

    def shown(self, lines: np.ndarray) -> np.ndarray:
        """The share of lists that each line stands in."""
        return ((lines @ self.users.T) > self.tenth).mean(axis=1)


def click(exposure: Exposure, counts: dict[str, int], of: int) -> None:
    """So many clicks each, spread evenly over ``of`` clicks."""
    asked = [item for item, num in counts.items() for _ in range(num)]
    every = max(1, of // max(1, len(asked)))
    for number in range(of):
        turn = number // every
        exposure.clicked(asked[turn] if number % every == 0 and turn < len(asked) else None)


@pytest.mark.parametrize("seed", range(5))
def test_a_hub_is_turned_until_it_stands_where_its_clicks_place_it(seed: int) -> None:
    """Rows that stood in nearly every list stand in what they earn, and in hardly less."""
    world = World(seed)
    exposure = world.exposure()
    click(exposure, {"a": 4, "b": 40}, of=800)
    hubs = world.rows(2)
    earned = exposure.earned(["a", "b"])
    turned = exposure.turned(hubs, ["a", "b"])

    assert (world.shown(hubs) > 0.5).all()
    assert earned[0] < 0.12 < earned[1] == MOST
    assert (world.shown(turned) <= earned).all()
    assert world.shown(turned) == pytest.approx(earned, abs=0.02)
    assert np.linalg.norm(turned.reshape(-1, *SHAPE), axis=-1) == pytest.approx(1.0, abs=1e-5)


def test_who_keeps_a_row_are_the_users_that_it_fits_best() -> None:
    """A row of one taste's users, turned, stands in their lists and in no others'."""
    world = World()
    exposure = world.exposure()
    click(exposure, {"a": 3}, of=1000)
    mine = world.taste_of == 2
    row = world.rows(taste=2)
    turned = exposure.turned(row, ["a"])
    before, after = (((line @ world.users.T) > world.tenth)[0] for line in (row, turned))

    assert before[~mine].mean() > 0.3
    assert after[mine].mean() > 0.1
    assert after[mine].mean() > 5 * after[~mine].mean()


def test_what_does_not_stand_too_high_stays_as_it_is() -> None:
    """Bit for bit, and so does everything while lists are few."""
    world = World()
    exposure = world.exposure()
    low = flat(-world.users.mean(axis=0))
    young = Exposure(SHAPE, 2.0)
    for vector, tenth in zip(world.users[: LEAST - 1], world.tenth, strict=False):
        young.listed(vector, tenth)
    hub = world.rows()

    assert np.array_equal(exposure.turned(low, ["a"]), low)
    assert np.array_equal(young.turned(hub, ["a"]), hub)
    assert not np.array_equal(exposure.turned(hub, ["a"]), hub)
    assert exposure.turned(low[:0], []).shape == (0, D)


def test_an_item_that_draws_clicks_stands_higher_whatever_the_others_do() -> None:
    """Among sixty cold rows a hot one stands as high as among none, and they do not rise with it."""
    world = World()
    alone, among = world.exposure(), world.exposure()
    for number in range(1200):
        alone.clicked("hot" if number % 60 == 0 else None)
        among.clicked("hot" if number % 60 == 0 else f"cold{number // 20}" if number % 20 == 7 else None)
    hub = world.rows()
    names = [*(f"cold{number}" for number in range(60)), "hot"]
    all_turned = among.turned(np.repeat(hub, 61, axis=0), names)
    shown = world.shown(all_turned)

    assert shown[-1] == world.shown(alone.turned(hub, ["hot"]))[0]
    assert shown[-1] > 0.2
    assert shown[:-1].max() < 0.05


def test_rows_that_pile_up_do_not_push_known_items_out() -> None:
    """Sixty hubs that one click in a hundred falls on take two in a hundred of the places."""
    world = World()
    exposure = world.exposure(worth=2.0)
    names = [f"row{number}" for number in range(60)]
    click(exposure, dict.fromkeys(names[:10], 1), of=1000)
    hubs = world.rows(60)

    assert world.shown(hubs).sum() / PLACES > 5
    assert world.shown(exposure.turned(hubs, names)).sum() / PLACES <= 0.021


def test_clicks_lose_half_their_say_with_so_many_after_them() -> None:
    """A share of a steady stream is the share of its clicks; silence halves it; few clicks say little."""
    exposure = Exposure(SHAPE, worth=1.0)
    exposure.clicked("a")
    first = exposure.earned(["a", "never"]).tolist()
    for number in range(8 * HALF_LIFE):
        exposure.clicked("a" if number % 200 == 0 else None)
    steady = exposure.earned(["a"])[0]
    for _ in range(HALF_LIFE):
        exposure.clicked(None)

    assert first == [PLACES / FEW, 0.0]
    assert steady == pytest.approx(PLACES / 200, rel=0.08)
    assert exposure.earned(["a"])[0] == pytest.approx(steady / 2, rel=0.01)
    exposure.forget("a")
    exposure.forget("a")
    assert exposure.earned(["a"]).tolist() == [0.0]


def test_the_newest_lists_count() -> None:
    """As many lists later it is as if the first ones had never been."""
    old, new = World(0), World(1)
    long, short = old.exposure(), Exposure(SHAPE, 2.0)
    for number in range(LISTS):
        for one in (long, short):
            one.listed(new.users[number % 300], new.tenth[number % 300])
    hub = new.rows()

    assert not np.array_equal(old.exposure().turned(hub, ["a"]), short.turned(hub, ["a"]))
    assert long.turned(hub, ["a"]) == pytest.approx(short.turned(hub, ["a"]), abs=1e-4)


def test_a_snapshot_and_a_copy_answer_the_same() -> None:
    """At once and after more of everything; the copy has the clicks that it was asked for alone."""
    world = World()
    exposure = world.exposure()
    click(exposure, {"a": 3, "é": 2}, of=100)
    again = Exposure.from_arrays(exposure.to_arrays(), SHAPE, 2.0)
    part = exposure.of(["a", "unknown"])
    names = ["a", "é", ""]
    hubs = world.rows(3)
    for one in (exposure, again):
        one.clicked("é")
        one.listed(world.users[3], 0.2)

    assert again.earned(names).tolist() == exposure.earned(names).tolist()
    assert np.array_equal(again.turned(hubs, names), exposure.turned(hubs, names))
    assert part.earned(names)[1:].tolist() == [0.0, 0.0]
    assert part.earned(["a"])[0] > 0
    with pytest.raises(ValueError, match="could not broadcast"):
        Exposure.from_arrays(exposure.to_arrays(), (3, 5), 2.0)
