"""What counts as the same list on two devices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from model.config import ModelConfig
from model.encoding import Asked
from model.scorer import RankedBatch, Scorer
from ops.bench import parity
from ops.bench.parity import TOLERANCE, same

CONFIG = ModelConfig(dim=16, streams=2, heads=2)
#: Of lines 0 to 4: 1 and 2 are as good as equal, 3 is just so much worse than 2 as is allowed, 4 is far off.
SCORES = np.array([0.9, 0.5, 0.5 - TOLERANCE / 4, 0.5 - TOLERANCE / 2, 0.1], np.float32)


@pytest.mark.parametrize(
    ("actual", "alike"),
    [
        ([0, 1, 2], True),
        ([0, 2, 1], True),  # a tie, the other way round
        ([0, 1, 3], True),  # a tie at the end
        ([1, 0, 2], False),  # another order
        ([0, 1, 4], False),  # a worse item
        ([1, 2, 3], False),  # the best one is missing
        ([0, 1], False),  # too short
        ([0, 1, 1], False),  # one twice
    ],
)
def test_lists_may_differ_by_ties_only(actual: list[int], alike: bool) -> None:
    """Order and items must agree wherever scores differ by more than the tolerance."""
    assert same(SCORES, [0, 1, 2], actual, SCORES[actual].tolist()) is alike


def test_scores_must_agree_too() -> None:
    """The right items with scores that are off by twice the tolerance are another list."""
    told = SCORES[:2] + np.array([0, 2 * TOLERANCE], np.float32)

    assert not same(SCORES, [0, 1], [0, 1], told.tolist())
    assert same(SCORES, [], [], [])


@pytest.mark.parametrize("facet_gate", [False, True])
def test_a_device_agrees_with_itself(facet_gate: bool) -> None:
    """CPU beside CPU: every list that is compared is alike, and at most 1 % are left out."""
    config = ModelConfig(dim=16, streams=2, heads=2, facet_gate=facet_gate)

    found = parity.compared("cpu", config, users=20, turns=3, num_items=300, top=10)

    assert found.asked == 60
    assert found.alike == found.compared >= 0.99 * found.asked
    assert found.largest == 0


class _Wrong(Scorer):
    """Right on "cpu"; on "cpu:0" the first two items of every list change places."""

    def rank(self, asked: Sequence[Asked], n: int) -> RankedBatch:
        made = super().rank(asked, n)
        if self.device.index is not None:
            for ranked in made.lists:
                ranked.items[:2] = ranked.items[1::-1]
        return made


def test_a_wrong_device_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists in another order are counted as different, though their vectors and scores agree."""
    monkeypatch.setattr(parity, "Scorer", _Wrong)

    found = parity.compared("cpu:0", CONFIG, users=10, turns=2, num_items=300, top=10)

    assert found.compared > 0
    assert found.alike < 0.2 * found.compared
