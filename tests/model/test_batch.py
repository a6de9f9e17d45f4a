"""Padding: oldest first, newest kept."""

from __future__ import annotations

import pytest

from model.batch import padded, valid_mask


def test_padding_stands_on_the_right() -> None:
    """Shorter sequences end in row 0 and time 0."""
    batch = padded([([70, 71], [5, 6]), ([72], [7])], max_events=8)

    assert batch.rows_BN.tolist() == [[70, 71], [72, 0]]
    assert batch.times_BN.tolist() == [[5, 6], [7, 0]]
    assert batch.lengths_B.tolist() == [2, 1]


def test_long_sequences_keep_their_newest_events() -> None:
    """Of four events, a limit of three drops the oldest."""
    batch = padded([([70, 71, 72, 73], [1, 2, 3, 4])], max_events=3)

    assert batch.rows_BN.tolist() == [[71, 72, 73]]
    assert batch.times_BN.tolist() == [[2, 3, 4]]


def test_empty_sequences_are_one_padded_position() -> None:
    """A batch of nothing but empty sequences still has a position to compute."""
    batch = padded([([], []), ([], [])], max_events=3)

    assert tuple(batch.rows_BN.shape) == (2, 1)
    assert not valid_mask(batch.lengths_B, 1).any()


def test_rows_without_times_are_refused() -> None:
    """A sequence whose lengths disagree is named."""
    with pytest.raises(ValueError, match="sequence 1 has 2 rows and 1 times"):
        padded([([70], [1]), ([70, 71], [1])], max_events=3)
