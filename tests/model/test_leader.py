"""The leader: what serves follows what ranked best lately."""

from __future__ import annotations

import json
from math import log2

import numpy as np
import pytest

from model.leader import COLD_EVENTS, Leader, Leaders, gains


def test_gains_are_ndcg_of_the_first_ten() -> None:
    """First place 1, third 1 / log2(4), eleventh and absent nothing."""
    lists = [["x", "a"], ["a", "b", "x"], [*"abcdefghij", "x"], []]

    assert gains(lists, "x").tolist() == [1.0, 1 / log2(4), 0.0, 0.0]


def test_the_best_so_far_serves() -> None:
    """One hit moves the lead, two elsewhere move it on."""
    leader = Leader(3, start=0)
    served = []
    for hit in (1, 2, 2):
        leader.judge(np.eye(3)[hit])
        served.append(leader.serving)

    assert served == [1, 2, 2]  # at the second, the younger hit weighs a little more


def test_old_gains_fade() -> None:
    """After two half-lives a hit is worth a quarter: a half-hit overtakes it."""
    leader = Leader(2, start=0, half_life=10)
    leader.judge([1.0, 0.0])
    for _ in range(20):
        leader.judge([0.0, 0.0])
    assert leader.serving == 0
    leader.judge([0.0, 0.5])

    assert leader.serving == 1


@pytest.mark.parametrize(("serving", "expected"), [(0, 1), (1, 1), (2, 1), (3, 4), (4, 4)])
def test_ties_go_to_the_smaller_change(serving: int, expected: int) -> None:
    """Weights 1 and 4 gain the same: the nearer one serves, the lower one if both are as near."""
    leader = Leader(5, start=serving)
    leader.judge([0, 1, 0, 0, 1])

    assert leader.serving == expected


def test_nothing_hit_changes_nothing() -> None:
    """Judgements without a gain leave the start in place."""
    leader = Leader(11, start=2)
    for _ in range(50):
        leader.judge(np.zeros(11))

    assert leader.serving == 2


def test_cold_users_have_a_leader_of_their_own() -> None:
    """What cold users' events teach does not touch the others, and the other way round."""
    leaders = Leaders(3, start=1)
    leaders.of(COLD_EVENTS - 1).judge([0, 0, 1])
    leaders.of(COLD_EVENTS).judge([1, 0, 0])

    assert (leaders.cold.serving, leaders.warm.serving) == (2, 0)
    assert leaders.of(0) is leaders.cold
    assert leaders.of(100) is leaders.warm


def test_a_snapshot_goes_on_as_the_original() -> None:
    """Through JSON and back, both judge the next thousand events alike."""
    random = np.random.default_rng(0)
    leaders = Leaders(4)
    for _ in range(100):
        leaders.of(int(random.integers(0, 6))).judge(random.random(4))
    restored = Leaders.from_dict(json.loads(json.dumps(leaders.to_dict())))
    for _ in range(1000):
        num_events, gained = int(random.integers(0, 6)), random.random(4)
        leaders.of(num_events).judge(gained)
        restored.of(num_events).judge(gained)
        assert restored.of(num_events).serving == leaders.of(num_events).serving

    assert restored.to_dict() == leaders.to_dict()


def test_a_start_outside_the_weights_is_refused() -> None:
    """There would be nothing to serve."""
    with pytest.raises(ValueError, match="start 3"):
        Leader(3, start=3)
