"""The watch in worlds where it is known which version is worse."""

from __future__ import annotations

import json

import numpy as np
import pytest

from model.watch import LOOKS, Outcome, Watch

USERS = 100
SAME = (8.0, 5.0)
WORSE = (12.0, 7.0)


def watched(quality: float, seed: int, users: int = USERS, draws: int = 500) -> Watch:
    """A watch that saw 4,000 events, or until it ended, of a version that is so much better than the other.

    nDCG of both is about 0.2; users like one of the two a little more by chance, and events vary.
    """
    random = np.random.default_rng(seed)
    likes_U = random.normal(0, 0.02, users)
    watch = Watch("000002", "000001")
    user_E = random.integers(0, users, LOOKS[-1])
    noise_E = random.normal(0, 0.03, (LOOKS[-1], 2))
    new_E2 = np.clip(0.2 * quality + likes_U[user_E][:, None] + noise_E, 0.06, 1)
    for user, (alone, fused) in zip(user_E.tolist(), np.exp2(1 / new_E2) - 1, strict=True):
        if watch.judge(f"u{user}", (alone, fused), (31.0, 31.0), draws):
            break
    return watch


def test_a_worse_version_goes_at_the_first_look() -> None:
    """A tenth worse is plain after a thousand events."""
    watch = watched(0.9, seed=0)

    assert watch.outcome is Outcome.ROLL_BACK
    assert [look.events for look in watch.looks] == [1000]


def test_a_better_version_is_kept_after_three_looks() -> None:
    """At 1,000, 2,000 and 4,000 events; then the watch ends."""
    watch = watched(1.05, seed=1)

    assert watch.outcome is Outcome.KEPT
    assert [look.events for look in watch.looks] == list(LOOKS)


def test_equal_versions_are_seldom_rolled_back() -> None:
    """Three looks of two statistics at 1 % each: at most 6 % of 20 are expected."""
    outcomes = [watched(1.0, seed).outcome for seed in range(20)]

    assert outcomes.count(Outcome.ROLL_BACK) <= 4
    assert outcomes.count(Outcome.WATCHING) == 0


@pytest.mark.parametrize(("new", "worse"), [((12.0, 5.0), "alone"), ((8.0, 7.0), "fused")])
def test_worse_in_either_is_worse(new: tuple[float, float], worse: str) -> None:
    """The model alone may have lost what the memory hides, and the other way round."""
    watch = Watch("000002", "000001")
    said = [watch.judge(f"u{number % USERS}", new, SAME) for number in range(1000)]

    assert said[-1] is Outcome.ROLL_BACK
    assert {name for name in ("alone", "fused") if getattr(watch.looks[0], f"{name}_high") < 0} == {worse}


def test_it_says_so_once() -> None:
    """After the end, events change nothing, and a restart does not wake it."""
    watch = Watch("000002", "000001")
    said = [watch.judge(f"u{number % USERS}", WORSE, SAME) for number in range(1500)]
    again = Watch.from_dict(json.loads(json.dumps(watch.to_dict())))

    assert [outcome for outcome in said if outcome] == [Outcome.ROLL_BACK]
    assert again.judge("u1", WORSE, SAME) is None
    assert again.outcome is Outcome.ROLL_BACK


def test_too_few_users_put_a_look_off() -> None:
    """Forty-nine users are asked for no verdict at 1,000; the fiftieth brings it."""
    watch = Watch("000002", "000001")
    early = [watch.judge(f"u{number % 49}", WORSE, SAME) for number in range(1200)]

    assert set(early) == {None}
    assert watch.judge("another", WORSE, SAME) is Outcome.ROLL_BACK
    assert watch.looks[0].events == 1201


def test_without_enough_users_it_ends_without_a_verdict() -> None:
    """The watch is bounded: at the last look it keeps the version and shows that it never looked."""
    watch = Watch("000002", "000001")
    said = [watch.judge(f"u{number % 49}", WORSE, SAME) for number in range(LOOKS[-1])]

    assert said[-1] is Outcome.KEPT
    assert watch.looks == []


def test_a_restart_in_the_middle_changes_nothing() -> None:
    """Saved and read back after every few hundred events, it sees and says the same."""
    random = np.random.default_rng(0)
    plain, restarted = Watch("000002", "000001"), Watch("000002", "000001")
    for number in range(LOOKS[-1]):
        new = tuple(random.uniform(5, 12, 2).tolist())
        plain.judge(f"u{number % 70}", new, SAME)
        restarted.judge(f"u{number % 70}", new, SAME)
        if number % 700 == 0:
            restarted = Watch.from_dict(json.loads(json.dumps(restarted.to_dict())))

    assert restarted.to_dict() == plain.to_dict()
    assert plain.looks
