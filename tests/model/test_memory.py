"""What the memory recalls, item by item, and what a snapshot gives back."""

from __future__ import annotations

import numpy as np
import pytest

from model.memory import Memory, MemoryConfig


def learned(num: int, config: MemoryConfig | None = None, num_items: int = 40) -> tuple[Memory, list[str]]:
    """A memory of one user's random walk, and the walk."""
    random = np.random.default_rng(1)
    memory, walk = Memory(config), [f"i{item}" for item in random.integers(0, num_items, num)]
    for at, item in enumerate(walk):
        memory.learn(walk[max(0, at - 20) : at], item, 60_000 * at)
    return memory, walk


def test_what_is_recalled_are_the_scores_above_zero() -> None:
    """The few that are not 0, in the order of codes."""
    memory, walk = learned(50, num_items=200)
    scores = memory.scores(walk[-5:])

    recalled = memory.recall(walk[-5:])

    assert recalled.codes_C.tolist() == np.flatnonzero(scores > 0).tolist()
    assert recalled.scores_C.tolist() == scores[recalled.codes_C].tolist()


def test_rejected_items_take_their_neighbours_away() -> None:
    """The score without them less their own, as if they were asked about; never below 0."""
    memory, walk = learned(300)
    asked, rejected = walk[-6:-3], walk[-3:]
    expected = np.maximum(0.0, memory.scores(asked) - memory.scores(rejected))

    recalled = memory.recall(asked, rejected)

    assert recalled.codes_C.tolist() == np.flatnonzero(expected > 1e-15).tolist()
    assert recalled.scores_C == pytest.approx(expected[recalled.codes_C])
    assert 0 < len(recalled.codes_C) < len(memory.recall(asked).codes_C)


def test_shares_add_up_to_the_score() -> None:
    """Of each of the newest items, for items with and without a neighbour."""
    memory, walk = learned(60, num_items=100)
    scores = memory.scores(walk)
    for item in set(walk):
        shares = memory.shares(walk, item)
        assert sum(shares.values()) == pytest.approx(scores[memory.items.admit(item)])
        assert all(share > 0 for share in shares.values())
    assert memory.shares(walk, "nowhere") == {}


def test_a_snapshot_answers_and_learns_as_the_memory_did() -> None:
    """Scores now and after more events, with forgotten items and with rows that are full."""
    config = MemoryConfig(window=4, neighbours=6, max_items=30)
    memory, walk = learned(500, config)
    again = Memory.from_arrays(memory.to_arrays(), config)
    for at in range(100):
        memory.learn(walk[at : at + 4], walk[-at], 60_000 * (500 + at))
        again.learn(walk[at : at + 4], walk[-at], 60_000 * (500 + at))

    assert again.items.ids == memory.items.ids
    assert again.scores(walk[-4:]).tolist() == memory.scores(walk[-4:]).tolist()
    assert len(again) == len(memory) <= 30


def test_a_snapshot_of_another_shape_is_refused() -> None:
    """Fewer neighbours or items than the snapshot holds."""
    arrays = learned(100)[0].to_arrays()

    with pytest.raises(ValueError, match="at most"):
        Memory.from_arrays(arrays, MemoryConfig(max_items=3))
    with pytest.raises(ValueError, match="shape"):
        Memory.from_arrays(arrays, MemoryConfig(neighbours=20))
