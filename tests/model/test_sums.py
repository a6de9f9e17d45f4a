"""The served sum over candidates against the whole catalogue, ties included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.metrics import MISS, rank_in
from model.sums import WEIGHTS, candidates, memory_logs, stand_in, sum_ranks, sum_scores, top_sum

TEMPERATURE, EPSILON = 0.05, 0.01


def whole(cosines: np.ndarray, memory: np.ndarray, weight: float, n: int) -> list[int]:
    """Every item scored and sorted, by hand."""
    scores = sum_scores(cosines, np.log(memory + EPSILON), weight, TEMPERATURE).tolist()
    return sorted(range(len(scores)), key=lambda place: (-scores[place], -cosines[place], place))[:n]


@given(
    seed=st.integers(0, 10_000),
    num_items=st.integers(1, 60),
    n=st.integers(0, 12),
    steps=st.sampled_from([2, 5, 1000]),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
@settings(max_examples=150, deadline=None)
def test_the_candidates_give_the_top_of_the_whole_catalogue(
    seed: int, num_items: int, n: int, steps: int, share: float
) -> None:
    """For every weight, with few and with many equal cosines, with no, few and only remembered items."""
    random = np.random.default_rng(seed)
    cosines = random.integers(-steps, steps + 1, num_items) / steps
    memory = np.where(random.random(num_items) < share, random.integers(1, 4, num_items) / 3, 0.0)
    chosen = candidates(cosines, memory, n)
    tops = top_sum(cosines[chosen], memory_logs(memory[chosen], EPSILON), n, TEMPERATURE)

    for weight, top in zip(WEIGHTS, tops, strict=True):
        assert chosen[top].tolist() == whole(cosines, memory, weight, n)


def test_candidates_are_few() -> None:
    """The n highest cosines and what is remembered, nothing else."""
    memory = np.zeros(1000)
    memory[[3, 700]] = 1.0

    assert candidates(-np.arange(1000.0), memory, 2).tolist() == [0, 1, 3, 700]


def test_the_ends_are_memory_alone_and_model_alone() -> None:
    """At 0 the memory orders and the model breaks its ties; at 1 the model orders alone."""
    cosines, memory = np.array([0.1, 0.5, 0.3, 0.2]), np.array([0.0, 0.0, 1.0, 2.0])
    tops = top_sum(cosines, memory_logs(memory, EPSILON), 4, TEMPERATURE)

    assert tops[0].tolist() == [3, 2, 1, 0]
    assert tops[-1].tolist() == [1, 2, 3, 0]


def test_ranks_are_those_of_the_scores() -> None:
    """Under each weight, ties shared; a target that is barred misses under all."""
    random = np.random.default_rng(0)
    cosines = random.integers(0, 4, 30) / 4
    memory = np.maximum(0.0, random.integers(-3, 3, 30).astype(np.float64))
    logs = memory_logs(memory, EPSILON)
    for target in range(30):
        expected = [rank_in(sum_scores(cosines, logs, weight, TEMPERATURE), target) for weight in WEIGHTS]

        assert sum_ranks(cosines, logs, target, TEMPERATURE).tolist() == expected
    assert sum_ranks(cosines, logs, -1, TEMPERATURE).tolist() == [MISS] * len(WEIGHTS)


def test_what_is_no_number_is_no_first_place() -> None:
    """A network that diverged misses; items beside it keep their ranks."""
    cosines = np.array([0.4, np.nan, 0.8])
    ranks = sum_ranks(cosines, np.zeros(3), 1, TEMPERATURE)

    assert ranks.tolist() == [MISS] * len(WEIGHTS)
    assert sum_ranks(cosines, np.zeros(3), 2, TEMPERATURE, (0.5,)).tolist() == [1.0]


def test_logs_are_logs() -> None:
    """The short cut for items without memory is the formula."""
    memory = np.array([0.0, 2.0, 0.0, 0.5])

    assert memory_logs(memory, EPSILON) == pytest.approx(np.log(memory + EPSILON))


def test_unknown_items_stand_with_what_the_memory_proposes() -> None:
    """Known proposals 0.4 (memory 3) and 0.8 (memory 1) have mean 0.5; unknown without memory has 0."""
    cosines = np.array([0.4, 0.8, -0.3, 0.0, 0.0])
    memory = np.array([3.0, 1.0, 0.0, 2.0, 0.0])
    known = np.array([True, True, True, False, False])

    assert stand_in(cosines, memory, known).tolist() == pytest.approx([0.4, 0.8, -0.3, 0.5, 0.0])


def test_without_a_known_proposal_unknown_items_have_cosine_0() -> None:
    """There is nothing to go by."""
    cosines, known = np.array([0.7, 0.0]), np.array([True, False])

    assert stand_in(cosines, np.array([0.0, 2.0]), known).tolist() == [0.7, 0.0]
