"""Ranks and what is made of them: recall, nDCG, MRR, coverage, and how sure a difference is.

Knows: ranks, users, draws. Does not know: models, events, where a rank came from.

Every number follows one definition: rank = 1 + number scored higher + half the ties, so a scorer that gives
all items one score lands in the middle instead of on top. A target that cannot be hit has rank infinity and
stays in the denominator.
"""

# E = judged events, U = users, I = items, W = draws

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: Rank of a target that was filtered or is no candidate.
MISS = float("inf")
#: Below this many users an interval over users says more than the data do.
MIN_USERS = 100
DRAWS = 1000


def rank_in(scores_I: npt.NDArray[np.floating], target: int) -> float:
    """Rank of ``target`` among scores (I,), best 1; filtered items carry -inf. MISS if the target does, or if
    its score is NaN, which nothing is above and which must not pass for the first place.
    """
    own = scores_I[target]
    if own == -np.inf or np.isnan(own):
        return MISS
    higher = int(np.count_nonzero(scores_I > own))
    ties = int(np.count_nonzero(scores_I == own)) - 1
    return 1.0 + higher + ties / 2


def recall_at(ranks_E: npt.ArrayLike, k: int) -> FloatArray:
    """1 where the rank is at most k, else 0; (E,)."""
    return (_ranks(ranks_E) <= k).astype(np.float64)


def ndcg_at(ranks_E: npt.ArrayLike, k: int) -> FloatArray:
    """1 / log2(1 + rank) where the rank is at most k, else 0; (E,). One relevant item, so the ideal is 1."""
    ranks = _ranks(ranks_E)
    return np.where(ranks <= k, 1.0 / np.log2(1.0 + ranks), 0.0)


def mrr_at(ranks_E: npt.ArrayLike, k: int) -> FloatArray:
    """1 / rank where the rank is at most k, else 0; (E,)."""
    ranks = _ranks(ranks_E)
    return np.where(ranks <= k, 1.0 / ranks, 0.0)


def full_ndcg(ranks_E: npt.ArrayLike) -> FloatArray:
    """1 / log2(1 + rank) over the whole catalogue, 0 for a miss; (E,). The statistic of gates: it sees what
    recall@10 cannot."""
    return 1.0 / np.log2(1.0 + _ranks(ranks_E))


def summary(ranks_E: npt.ArrayLike, k: int = 10) -> dict[str, float]:
    """Means over the events of recall, nDCG and MRR at k and of the full-rank nDCG; zeros for no events."""
    ranks = _ranks(ranks_E)
    if not len(ranks):
        return {f"recall@{k}": 0.0, f"ndcg@{k}": 0.0, f"mrr@{k}": 0.0, "ndcg": 0.0}
    return {
        f"recall@{k}": float(recall_at(ranks, k).mean()),
        f"ndcg@{k}": float(ndcg_at(ranks, k).mean()),
        f"mrr@{k}": float(mrr_at(ranks, k).mean()),
        "ndcg": float(full_ndcg(ranks).mean()),
    }


def coverage_at(lists: Iterable[Sequence[Hashable]], k: int, num_items: int) -> float:
    """Share of ``num_items`` items that stand in the first k places of at least one list."""
    shown = {item for items in lists for item in items[:k]}
    return len(shown) / num_items if num_items else 0.0


def user_auc(scores_E: npt.ArrayLike, positive_E: npt.ArrayLike, users_E: npt.ArrayLike) -> FloatArray:
    """(E,) for each impression the AUC of its user; NaN for users without a positive or without a negative.

    AUC: the share of (positive, negative) pairs in which the positive scored higher, ties counting half. The
    mean of what is finite is GAUC, users weighted by their impressions (Zhu et al., KDD 2018).
    """
    scores, positive = np.asarray(scores_E, np.float64), np.asarray(positive_E, bool)
    _, codes = np.unique(np.asarray(users_E), return_inverse=True)
    found = np.full(len(scores), np.nan)
    order = np.argsort(codes, kind="stable")
    for mine in np.split(order, np.cumsum(np.bincount(codes))[:-1]) if len(order) else []:
        num = int(positive[mine].sum())
        pairs = num * (len(mine) - num)
        if pairs:
            above = _midranks(scores[mine])[positive[mine]].sum() - num * (num + 1) / 2
            found[mine] = above / pairs
    return found


def _midranks(values_E: FloatArray) -> FloatArray:
    """Ranks from 1, lowest first; equal values share the mean of theirs."""
    _, which, counts = np.unique(values_E, return_inverse=True, return_counts=True)
    ranks: FloatArray = (np.cumsum(counts) - (counts - 1) / 2)[which]
    return ranks


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean over events with an interval from redrawing users."""

    mean: float
    low: float | None  # None below MIN_USERS users
    high: float | None
    users: int
    top_ten_share: float  # share of the events that the ten busiest users carry


def bootstrap(
    values_E: npt.ArrayLike,
    users_E: npt.ArrayLike,
    *,
    level: float = 0.9,
    draws: int = DRAWS,
    seed: int = 0,
    min_users: int = MIN_USERS,
) -> Interval:
    """Percentile interval of the mean of ``values_E`` when users, not events, are redrawn with replacement.

    Events of one user stand or fall together, so event-wise errors would be several times too small. For a
    paired difference hand in the differences. ``level`` 0.9 leaves 5 % on each side; below ``min_users``
    there is no interval. Raises ValueError on unequal lengths.
    """
    values = np.asarray(values_E, np.float64)
    _, codes = np.unique(np.asarray(users_E), return_inverse=True)
    if values.shape != codes.shape:
        raise ValueError(f"{values.shape} values but {codes.shape} users")
    counts_U = np.bincount(codes).astype(np.float64)
    sums_U = np.bincount(codes, values).astype(np.float64)
    return bootstrap_users(sums_U, counts_U, level=level, draws=draws, seed=seed, min_users=min_users)


def bootstrap_users(
    sums_U: FloatArray,
    counts_U: FloatArray,
    *,
    level: float = 0.9,
    draws: int = DRAWS,
    seed: int = 0,
    min_users: int = MIN_USERS,
) -> Interval:
    """`bootstrap` from what it needs of each user: the sum of their values, and of how many (1 at least)."""
    users = len(counts_U)
    share = float(np.sort(counts_U)[-10:].sum() / counts_U.sum()) if users else 0.0
    mean = float(sums_U.sum() / counts_U.sum()) if users else 0.0
    if users < min_users:
        return Interval(mean=mean, low=None, high=None, users=users, top_ten_share=share)
    means_W = _redrawn_means(sums_U, counts_U, draws, seed)
    low, high = np.quantile(means_W, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean=mean, low=float(low), high=float(high), users=users, top_ten_share=share)


def _redrawn_means(sums_U: FloatArray, counts_U: FloatArray, draws: int, seed: int) -> FloatArray:
    random = np.random.default_rng(seed)
    users = len(sums_U)
    means_W = np.empty(draws)
    for draw in range(draws):  # one draw at a time: (W, U) at once would be gigabytes for a million users
        drawn = random.integers(0, users, users)
        means_W[draw] = sums_U[drawn].sum() / counts_U[drawn].sum()
    return means_W


def _ranks(ranks_E: npt.ArrayLike) -> FloatArray:
    return np.asarray(ranks_E, np.float64)
