"""Ranks and means against numbers worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.metrics import (
    MIN_USERS,
    MISS,
    bootstrap,
    coverage_at,
    full_ndcg,
    mrr_at,
    ndcg_at,
    rank_in,
    recall_at,
    summary,
    user_auc,
)


def test_rank_counts_higher_scores_and_half_of_the_ties() -> None:
    """Two higher and three equal others give rank 1 + 2 + 1.5."""
    scores = np.array([0.9, 0.8, 0.5, 0.5, 0.5, 0.5, 0.1])

    assert rank_in(scores, 3) == 4.5


def test_one_score_for_all_lands_in_the_middle() -> None:
    """A scorer that cannot tell items apart gets the middle rank, not the first."""
    assert rank_in(np.zeros(9), 0) == 5.0


def test_a_filtered_target_is_a_miss() -> None:
    """A target at -inf has no rank, and the others do not see it."""
    scores = np.array([-np.inf, 0.2, 0.1])

    assert rank_in(scores, 0) == MISS
    assert rank_in(scores, 2) == 2.0


def test_a_score_that_is_no_number_is_a_miss() -> None:
    """A scorer that diverged hits nothing; before, NaN had rank a half and won every table."""
    scores = np.array([np.nan, 0.2, np.nan])

    assert rank_in(scores, 0) == MISS
    assert rank_in(scores, 1) == 1.0


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_ranks_of_all_items_sum_as_if_there_were_no_ties(scores: list[int]) -> None:
    """Half the ties keeps the sum of all ranks at n (n + 1) / 2."""
    ranks = [rank_in(np.array(scores, float), item) for item in range(len(scores))]

    assert sum(ranks) == pytest.approx(len(scores) * (len(scores) + 1) / 2)


def test_means_by_hand() -> None:
    """Ranks 1, 3, 11 and a miss give the sums that pen and paper give."""
    ranks = [1, 3, 11, MISS]

    assert recall_at(ranks, 10).mean() == 2 / 4
    assert ndcg_at(ranks, 10).mean() == pytest.approx((1 + 1 / 2) / 4)
    assert mrr_at(ranks, 10).mean() == pytest.approx((1 + 1 / 3) / 4)
    assert full_ndcg(ranks).mean() == pytest.approx((1 + 1 / 2 + 1 / math.log2(12)) / 4)


def test_a_rank_shared_across_the_edge_counts_on_one_side_only() -> None:
    """Rank 10.5 is past ten, rank 10 is not."""
    assert recall_at([10, 10.5], 10).tolist() == [1.0, 0.0]


def test_a_summary_of_nothing_is_zero() -> None:
    """No judged event means zeros, not a division by zero."""
    assert set(summary([]).values()) == {0.0}


def test_coverage_counts_each_item_once_within_the_first_places() -> None:
    """Three different items within the first two places, out of six."""
    assert coverage_at([["a", "b", "f"], ["b", "c", "e"]], 2, 6) == 0.5


def test_recall_at_fifty_by_hand() -> None:
    """Ranks 1, 11, 50, 50.5 and a miss: three of five within fifty, one of five within ten."""
    ranks = [1, 11, 50, 50.5, MISS]

    assert recall_at(ranks, 50).mean() == 3 / 5
    assert recall_at(ranks, 10).mean() == 1 / 5
    assert ndcg_at(ranks, 50).mean() == pytest.approx((1 + 1 / math.log2(12) + 1 / math.log2(51)) / 5)


def test_user_auc_by_hand() -> None:
    """u: of positives .9, .4 against .5, .4, the first wins twice, the second loses once and ties once:
    2.5 of 4 pairs. v: 0 of 1. w clicked on all, x on nothing: neither counts."""
    shown = [
        ("u", 0.9, True),
        ("v", 0.1, True),
        ("u", 0.5, False),
        ("w", 0.3, True),
        ("u", 0.4, True),
        ("u", 0.4, False),
        ("v", 0.2, False),
        ("x", 0.7, False),
    ]
    users, scores, clicked = zip(*shown, strict=True)
    found = user_auc(scores, clicked, users)

    assert found[[0, 2, 4, 5]].tolist() == [2.5 / 4] * 4
    assert found[[1, 6]].tolist() == [0.0, 0.0]
    assert np.isnan(found[[3, 7]]).all()
    assert np.nanmean(found) == pytest.approx((4 * 0.625 + 2 * 0.0) / 6)


def test_auc_of_nothing_is_nothing() -> None:
    """No impressions give no values, not an error."""
    assert user_auc([], [], []).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=30))
def test_turning_scores_round_turns_the_auc_round(shown: list[tuple[int, bool]]) -> None:
    """AUC of the negated scores is one less the AUC: ties count half either way."""
    scores, clicked = np.array([score for score, _ in shown]), [click for _, click in shown]
    users = np.zeros(len(shown))
    there, back = user_auc(scores, clicked, users), user_auc(-scores, clicked, users)

    assert np.allclose(there + back, 1.0, equal_nan=True) or (np.isnan(there).all() and np.isnan(back).all())


def test_no_interval_below_a_hundred_users() -> None:
    """99 users give a mean and no interval; 100 give one."""
    few, enough = np.arange(MIN_USERS - 1), np.arange(MIN_USERS)

    assert bootstrap(np.ones(len(few)), few).low is None
    assert bootstrap(np.ones(len(enough)), enough).low == 1.0


def test_the_interval_is_that_of_users_and_not_of_events() -> None:
    """100 users with 50 equal events each are 100 observations: the half width is near 1.645 * 0.5 / 10."""
    users = np.repeat(np.arange(100), 50)
    interval = bootstrap((users % 2).astype(float), users, seed=3)

    assert interval.low is not None
    assert interval.high is not None
    assert interval.mean == 0.5
    assert (interval.high - interval.low) / 2 == pytest.approx(1.645 * 0.5 / 10, rel=0.15)
    assert interval.top_ten_share == 0.1


def test_the_same_seed_draws_the_same_interval() -> None:
    """Two calls agree; another seed draws another interval."""
    values, users = np.random.default_rng(0).random(300), np.arange(300) // 2
    first, again, other = (bootstrap(values, users, seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_values_and_users_belong_together() -> None:
    """A value without its user is refused."""
    with pytest.raises(ValueError, match="values but"):
        bootstrap([1, 2, 3], [1, 2])
