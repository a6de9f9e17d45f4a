"""Rows stand as high as they earn: in worlds whose answer is known, and in any world at all."""

from __future__ import annotations

import numpy as np
import pytest

from model.handicap import MOST, STEP, WORTH, Handicap, rows_in_front
from model.leader import JUDGED


def stream(num: int, num_rows: int, row_clicks: float, limited: bool, seed: int = 0) -> dict[str, float]:
    """Users who like ten of a hundred items and click one of these; rows look better to everybody, and a
    click falls on any of them, whoever comes, as often as told."""
    random = np.random.default_rng(seed)
    handicap = Handicap()
    shares, known_hits = [], []
    for _ in range(num):
        known_K = random.uniform(-0.2, 0.2, 100)
        liked = random.choice(100, JUDGED, replace=False)
        known_K[liked] += 0.5
        rows_X = random.uniform(0.6, 0.9, num_rows) - (handicap.value if limited else 0.0)
        front = rows_in_front(known_K, rows_X)
        items = np.argsort(-known_K, kind="stable")[: JUDGED - len(front)]
        on_row = bool(random.random() < row_clicks)
        clicked = random.integers(num_rows) if on_row else random.choice(liked)
        hit = clicked in (front if on_row else items)
        shares.append(len(front) / JUDGED)
        if not on_row:
            known_hits.append(hit)
        handicap.judge(shares[-1], on_row, hit)
    return {
        "share": float(np.mean(shares[num // 2 :])),
        "known": float(np.mean(known_hits[len(known_hits) // 2 :])),
    }


def test_rows_that_pile_up_do_not_push_known_items_out() -> None:
    """Sixty rows that everybody is near and one click in a hundred: all places before, their share after."""
    before, after = stream(3000, 60, 0.01, limited=False), stream(3000, 60, 0.01, limited=True)

    assert before == {"share": 1.0, "known": 0.0}
    assert after["share"] < 0.04
    assert after["known"] > 0.95


def test_rows_keep_the_places_that_they_earn() -> None:
    """Eight rows that get nine clicks in ten have as many places with a handicap as without."""
    before, after = stream(3000, 8, 0.9, limited=False), stream(3000, 8, 0.9, limited=True)

    assert before["share"] > 0.7
    assert after == before


@pytest.mark.parametrize("seed", range(5))
def test_the_surplus_is_bounded_in_any_stream(seed: int) -> None:
    """Whatever is clicked, and however rows come and go: places beyond what was earned add up to no more than
    the spread of cosines and one step, in steps."""
    random = np.random.default_rng(seed)
    handicap = Handicap()
    surplus, most = 0.0, (2.0 + STEP) / STEP
    for number in range(4000):
        high = random.uniform(-1, 1) if number % 1000 < 500 else 1.0  # at times as bad as can be
        rows_X = np.full(random.integers(1, 30), high) - handicap.value
        front = rows_in_front(random.uniform(-1, 0.5, 20), rows_X)
        on_row = bool(random.random() < 0.1)
        taken = len(front) / JUDGED
        handicap.judge(taken, on_row, bool(random.random() < 0.3))
        surplus += taken - handicap.earned
        assert surplus <= most + 1e-9
        assert 0 <= handicap.value <= 2 + STEP


def test_too_few_items_for_the_places_keep_nobody_out_for_long() -> None:
    """Three known items leave seven of ten places to rows whatever is taken off them: it stays within the
    spread of cosines, so that rows come back once clicks are on them."""
    handicap = Handicap()
    known_K = np.array([0.8, 0.7, 0.6])
    for _ in range(2000):
        front = rows_in_front(known_K, np.full(20, 0.9) - handicap.value)
        assert len(front) >= 7
        handicap.judge(len(front) / JUDGED, on_row=False, hit=True)
    assert handicap.value == MOST

    for _ in range(2000):
        handicap.judge(0.7, on_row=True, hit=True)
    assert handicap.value == 0.0


def test_a_hot_new_item_appears_at_once_and_stays() -> None:
    """Nothing is taken off the first row there is, nor while clicks on it are hits."""
    handicap = Handicap()
    assert rows_in_front(np.linspace(0.8, 0.1, 20), np.array([0.9]) - handicap.value).tolist() == [0]
    for number in range(2000):
        hot = number % 5 == 0
        handicap.judge(0.1, on_row=hot, hit=hot)

    assert rows_in_front(np.linspace(0.8, 0.1, 20), np.array([0.9]) - handicap.value).tolist() == [0]


def test_hits_earn_more_than_clicks() -> None:
    """Of twenty clicks one falls on rows and is one of five hits: hits earn more, and what both earn counts
    WORTH times, less what the one hit costs that is nobody's."""
    handicap = Handicap()
    for number in range(1200):
        handicap.judge(0.3, on_row=number % 20 == 0, hit=number % 4 == 0)

    assert handicap.earned == pytest.approx(WORTH / 5, abs=0.02)
    assert handicap.value == 0.0


def test_who_stands_in_front() -> None:
    """Of ten places; on a tie the item comes first, then the lower place."""
    known_K = np.array([0.9, 0.5, 0.5, 0.1])
    rows_X = np.array([0.5, 0.95, 0.2, 0.5, -np.inf])

    assert rows_in_front(known_K, rows_X, 1).tolist() == [1]
    assert rows_in_front(known_K, rows_X, 4).tolist() == [1]
    assert rows_in_front(known_K, rows_X, 5).tolist() == [1, 0]
    assert rows_in_front(known_K, rows_X, 8).tolist() == [1, 0, 3, 2]
    assert rows_in_front(known_K, np.zeros(0), 3).tolist() == []


def test_a_snapshot_goes_on_alike() -> None:
    """The same handicap and the same judgements after it; something else is refused."""
    handicap = Handicap()
    random = np.random.default_rng(0)
    for _ in range(50):
        handicap.judge(float(random.random()), bool(random.random() < 0.1), bool(random.integers(2)))
    other = Handicap.from_array(handicap.to_array())
    for one in (handicap, other):
        one.judge(0.3, on_row=True, hit=False)

    assert other.value == handicap.value > 0
    assert other.earned == handicap.earned
    with pytest.raises(ValueError, match="unpack"):
        Handicap.from_array(np.zeros(3))
