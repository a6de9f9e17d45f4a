"""Replayed users: what their requests cost, counted on a made-up data set whose answers are known."""

from __future__ import annotations

import numpy as np

from model.config import ModelConfig
from ops.bench.returning import replayed
from ops.datasets import Dataset, EventTable

CONFIG = ModelConfig(dim=16, streams=2, heads=2, sequences=("global", "local"))
#: Room for one sequence of CONFIG, and for all that these tests have.
LITTLE, PLENTY = 1, 1 << 26


def _dataset(users: list[int], gap_s: int = 60) -> Dataset:
    """Events a minute apart, each of another item in turn; sessions end after half an hour of silence."""
    num = len(users)
    events = EventTable(
        users=[f"user-{number}" for number in range(3)],
        items=[f"item-{number}" for number in range(10)],
        types=["click"],
        user=np.array(users, np.int32),
        item=(np.arange(num) % 10).astype(np.int32),
        time_ms=1_700_000_000_000 + 1000 * gap_s * np.arange(num),
        type=np.zeros(num, np.int16),
    )
    return Dataset(name="made up", licence="", source="", events=events, gap_ms=30 * 60_000)


def test_inside_a_session_a_return_costs_one_position_per_sequence() -> None:
    """Of 20 events the last four ask: the first encodes two sequences of 17, the others add one to each."""
    made = replayed(_dataset([0] * 20), CONFIG, cache_bytes=PLENTY)

    assert (made.first.requests, made.first.positions) == (1, 34)
    assert (made.later.requests, made.later.positions) == (3, 6)
    assert made.later.without_cache == 2 * (18 + 19 + 20)
    assert made.all.positions == 40


def test_a_new_session_computes_the_local_sequence_anew() -> None:
    """With an hour between events the local sequence is always two other events; the global one grows."""
    made = replayed(_dataset([0] * 20, gap_s=3600), CONFIG, cache_bytes=PLENTY)

    assert made.first.positions == 17 + 2
    assert made.later.positions == 3 * (1 + 2)


def test_a_cache_too_small_saves_nothing() -> None:
    """Users who take turns drive each other out of one slot."""
    made = replayed(_dataset([0, 1] * 10), CONFIG, cache_bytes=LITTLE)

    assert made.all.positions == made.all.without_cache


def test_no_more_requests_than_asked_for() -> None:
    """Whole turns of 64 are answered; what would go beyond is left."""
    made = replayed(_dataset([0] * 1000), CONFIG, num_requests=100, cache_bytes=PLENTY)

    assert made.all.requests == 64
