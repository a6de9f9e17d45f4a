"""Ranking is exact, ties included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.ranking import BLOCK, Ranker, best

NONE = np.empty(0, dtype=np.int64)


def _expected(scores_I: np.ndarray, barred: np.ndarray, n: int) -> list[int]:
    """All lines by falling score, then rising number, without the barred."""
    lines = np.setdiff1d(np.arange(len(scores_I)), barred)
    return lines[np.lexsort((lines, -scores_I[lines]))][:n].tolist()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(min_value=0, max_value=10**6),
    st.sampled_from([1, 5, 63, 64, 65, 900]),
    st.sampled_from([1, 3, 10, 70]),
)
def test_lists_equal_a_full_sort(seed: int, num_lines: int, n: int) -> None:
    """With scores of a few whole numbers, so that most places are ties, every list is the full sort's."""
    rng = np.random.default_rng(seed)
    index = rng.integers(-1, 2, size=(num_lines, 4)).astype(np.float32)
    vectors = rng.integers(-1, 2, size=(3, 4)).astype(np.float32)
    barred = [rng.integers(0, num_lines, size=size) for size in (0, 2, num_lines)]

    tops = Ranker(torch.from_numpy(index)).top(torch.from_numpy(vectors), barred, n)

    for vector, lines, top in zip(vectors, barred, tops, strict=True):
        scores = index @ vector
        assert top.lines == _expected(scores, lines, n)
        assert top.scores == scores[top.lines].tolist()


def test_distinct_scores_over_many_blocks() -> None:
    """The two passes over 40 blocks find what one topk finds."""
    torch.manual_seed(0)
    scores = torch.randn(5, 40 * BLOCK)

    values, lines = best(scores, 17)

    expected = scores.topk(17)
    assert torch.equal(expected.values, values)
    assert torch.equal(expected.indices, lines)


def test_many_vectors_are_ranked_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch larger than one product has each vector's own list."""
    torch.manual_seed(0)
    ranker = Ranker(torch.randn(100, 8))
    vectors = torch.randn(7, 8)
    whole = ranker.top(vectors, [NONE] * 7, 5)

    monkeypatch.setattr("model.ranking.MAX_VECTORS", 3)

    assert [top.lines for top in whole] == [top.lines for top in ranker.top(vectors, [NONE] * 7, 5)]


def test_asking_for_none_gives_none() -> None:
    """n = 0 is an empty list, not an error."""
    assert Ranker(torch.ones(3, 2)).top(torch.ones(1, 2), [NONE], 0)[0].lines == []
