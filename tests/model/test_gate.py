"""The gate in worlds where the true difference of two versions, and how sure it can be, are known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from model.gate import (
    ANCHOR_MARGIN,
    MARGIN,
    MAX_POOLED,
    MAX_SLICES,
    MIN_EVENTS,
    Decision,
    Evidence,
    Ranks,
    Verdict,
    decide,
    settled,
)
from model.metrics import MISS, FloatArray, full_ndcg

USERS, EVENTS = 150, 2100  # 14 events each
USERS_E = np.array([f"u{number % USERS}" for number in range(EVENTS)])
#: Mean nDCG of a version of quality 1.
BASE = 0.2
#: Standard error of a relative difference in `slice_of`, by construction.
ERROR = 0.01


def ranks_of(ndcg_E: FloatArray) -> FloatArray:
    """Ranks with these nDCGs; they need not be whole."""
    return np.exp2(1 / ndcg_E) - 1


def slice_of(qualities: Sequence[float], seed: int, error: float = ERROR) -> list[FloatArray]:
    """Ranks by versions of these qualities: each user likes each of them a little more or less by chance, so
    that the relative difference of any two has this standard error."""
    random = np.random.default_rng(seed)
    spread = error * np.sqrt(USERS / 2)
    found = []
    for quality in qualities:
        likes_U = random.normal(0, spread, USERS)
        found.append(ranks_of(BASE * quality * (1 + likes_U[np.arange(EVENTS) % USERS])))
    return found


def evidence(
    alone: Sequence[FloatArray], fused: Sequence[FloatArray] | None = None, slices: int = 1
) -> Evidence:
    """Ranks of new, serving and, if there are three, anchor."""
    both = [Ranks(alone_E=a, fused_E=f) for a, f in zip(alone, fused or alone, strict=True)]
    return Evidence(
        users_E=USERS_E,
        new=both[0],
        serving=both[1],
        anchor=both[2] if len(both) > 2 else None,
        slices=slices,
    )


def judged(found: Evidence, draws: int = 300) -> Decision:
    return decide(found, serving="000002", anchor="000001" if found.anchor else "000002", draws=draws)


def test_the_same_version_passes() -> None:
    """There is no difference, so no bound is below the margin; it is not better either."""
    same = slice_of([1], seed=0) * 2
    decision = judged(evidence(same))

    assert (decision.verdict, decision.best) == (Verdict.PUBLISH, False)
    assert decision.serving is not None
    assert decision.serving.alone.low == decision.serving.alone.high == 0


def test_equal_versions_pass_as_often_as_chance_says() -> None:
    """With a standard error of 1 % the estimate must lie above -3 % + 1.645 %: 91 % of the time; it is
    called worse 5 % of the time."""
    verdicts = [judged(evidence(slice_of([1, 1], seed)), draws=200).verdict for seed in range(100)]

    # three standard errors of a share among 100
    assert verdicts.count(Verdict.PUBLISH) / 100 == pytest.approx(0.912, abs=0.085)
    assert verdicts.count(Verdict.REJECT) / 100 == pytest.approx(0.05, abs=0.065)


@pytest.mark.parametrize("seed", range(10))
def test_a_worse_version_never_passes(seed: int) -> None:
    """Ten standard errors below what serves, in either of the two, is rejected."""
    worse, equal = slice_of([0.9, 1], seed), slice_of([1], seed) * 2

    for found in (evidence(worse, equal), evidence(equal, worse)):
        decision = judged(found)
        assert decision.verdict is Verdict.REJECT
        assert "worse than 000002" in decision.reason


def test_a_better_version_becomes_the_anchor() -> None:
    """Better for sure alone and not lower in the sum, by about what it truly gained."""
    better, equal = slice_of([1.1, 1], seed=3), slice_of([1], seed=3) * 2
    decision = judged(evidence(better, equal))

    assert (decision.verdict, decision.best) == (Verdict.PUBLISH, True)
    assert decision.serving is not None
    assert decision.serving.alone.mean == pytest.approx(0.1, abs=3 * ERROR)


def test_what_is_far_below_the_best_so_far_does_not_pass() -> None:
    """Level with what serves, but both have lost 8 % against the anchor."""
    decision = judged(evidence(slice_of([1, 1, 1.08], seed=1, error=0.001)))

    assert decision.verdict is Verdict.KEEP
    assert "000001, the best so far" in decision.reason
    assert decision.anchor is not None
    assert decision.anchor.worst_low < -ANCHOR_MARGIN
    assert decision.serving is not None
    assert decision.serving.worst_low > -MARGIN


@pytest.mark.parametrize(("anchored", "lowest", "highest"), [(True, 0.93, 1.0), (False, 0.0, 0.85)])
def test_small_losses_do_not_add_up(anchored: bool, lowest: float, highest: float) -> None:
    """Forty candidates, each truly 1 % below what serves: held against the anchor, what serves stays within
    7 % of the best; held only against what serves, it sinks without end."""
    qualities, serving, anchor = [1.0], 0, 0
    for cycle in range(40):
        qualities.append(0.99 * qualities[serving])
        asked = [qualities[-1], qualities[serving], *([qualities[anchor]] if anchored else [])]
        decision = judged(evidence(slice_of(asked, seed=1000 + cycle)), draws=150)
        if decision.verdict is Verdict.PUBLISH:
            serving = len(qualities) - 1
            anchor = serving if decision.best else anchor

    assert lowest <= qualities[serving] <= highest
    assert serving > 0


def test_a_small_slice_waits() -> None:
    """Too few events, or too few users, is no verdict and no comparison."""
    few = slice(0, MIN_EVENTS - 1)
    ranks = slice_of([1, 1], seed=0)
    short = [Ranks(alone_E=one[few], fused_E=one[few]) for one in ranks]
    events = judged(Evidence(users_E=USERS_E[few], new=short[0], serving=short[1]))
    alone = [Ranks(alone_E=one, fused_E=one) for one in ranks]
    lonely = np.array([f"u{number % 99}" for number in range(EVENTS)])
    users = judged(Evidence(users_E=lonely, new=alone[0], serving=alone[1]))

    assert [events.verdict, users.verdict] == [Verdict.WAIT] * 2
    assert events.serving is None
    assert "99 users" in users.reason


def test_a_slice_that_waited_is_none_of_the_four_and_nobody_waits_for_ever() -> None:
    """What is kept of it grows as one slice; past a number of events it is rejected."""
    few = slice(0, MIN_EVENTS - 1)
    ranks = [Ranks(alone_E=one[few], fused_E=one[few]) for one in slice_of([1, 1], seed=0)]
    pooled = Evidence(users_E=USERS_E[few], new=ranks[0], serving=ranks[1], slices=3)
    waiting = judged(pooled)
    assert waiting.verdict is Verdict.WAIT
    assert settled(waiting, pooled)[0] == waiting
    assert settled(waiting, pooled)[1].slices == 1

    decision, _ = settled(replace(waiting, events=MAX_POOLED), pooled)
    assert decision.verdict is Verdict.REJECT
    assert "no more are waited for" in decision.reason

    kept = judged(evidence(slice_of([0.99, 1], seed=5, error=0.02), slices=2))
    assert kept.verdict is Verdict.KEEP
    assert settled(kept, pooled) == (kept, pooled)


def test_more_slices_decide_what_one_could_not() -> None:
    """Equal versions with a standard error of 4 % in one slice: other users in the next ones make it 2 %, and
    what stays undecided after four is rejected."""
    verdicts: list[list[Verdict]] = []
    for seed in range(12):
        found: Evidence | None = None
        verdicts.append([])
        for number in range(MAX_SLICES):
            part = evidence(slice_of([1, 1], 100 * seed + number, error=0.02))
            named = np.char.add(part.users_E, f"-{number}")
            part = Evidence(users_E=named, new=part.new, serving=part.serving)
            found = part if found is None else found.pooled(part)
            verdicts[-1].append(judged(found, draws=200).verdict)
            if verdicts[-1][-1] is not Verdict.KEEP:
                break

    assert all(run[:-1] == [Verdict.KEEP] * (len(run) - 1) for run in verdicts)
    assert all(run[-1] in (Verdict.PUBLISH, Verdict.REJECT) for run in verdicts)
    assert any(len(run) > 1 and run[-1] is Verdict.PUBLISH for run in verdicts)


def test_undecided_at_the_fourth_slice_is_rejected() -> None:
    """The same evidence is kept before, with the same numbers."""
    ranks = slice_of([0.99, 1], seed=5, error=0.02)
    kept, over = (judged(evidence(ranks, slices=num)) for num in (MAX_SLICES - 1, MAX_SLICES))

    assert (kept.verdict, over.verdict) == (Verdict.KEEP, Verdict.REJECT)
    assert kept.serving == over.serving
    assert "4 slices" in over.reason


def test_a_decision_survives_json() -> None:
    """Manifest and topic carry every number; read back it is the same decision."""
    decision = judged(evidence(slice_of([1, 1, 1], seed=2)))

    assert Decision.from_json(json.loads(json.dumps(decision.to_json()))) == decision
    assert decision.lines["new"]["fused"].keys() >= {"recall@10", "ndcg"}
    assert decision.top_ten_share == pytest.approx(10 / USERS)


def test_a_version_that_ranks_nothing_never_wins_and_never_divides_by_zero() -> None:
    """All misses against ranks: rejected; ranks against all misses: published."""
    found = slice_of([1], seed=0)[0]
    none = np.full(EVENTS, MISS)

    assert judged(evidence([none, found])).verdict is Verdict.REJECT
    decision = judged(evidence([found, none]))
    assert decision.verdict is Verdict.PUBLISH
    assert decision.serving is not None
    assert decision.serving.alone.mean == pytest.approx(float(full_ndcg(found).mean()))


def test_ranks_that_do_not_fit_are_refused() -> None:
    """Other lengths, NaN, or slices with and without an anchor, never reach a verdict."""
    ranks = slice_of([1, 1, 1], seed=0)
    broken = ranks[0].copy()
    broken[3] = np.nan

    with pytest.raises(ValueError, match="none of them NaN"):
        evidence([broken, ranks[1]])
    with pytest.raises(ValueError, match="as many ranks"):
        evidence([ranks[0][:-1], ranks[1]])
    with pytest.raises(ValueError, match="different versions"):
        evidence(ranks).pooled(evidence(ranks[:2]))
