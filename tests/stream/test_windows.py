"""Windows move by whole sessions, late and then by enough."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.windows import GLOBAL_KEEP, GLOBAL_MAX, MAX_OPEN, moved, moved_global, moved_history

LENGTHS = st.lists(st.integers(1, MAX_OPEN), max_size=60)


def test_nothing_moves_up_to_the_limit() -> None:
    """A window exactly at its limit stays."""
    assert moved([5, 5], limit=10, keep=6) == 0


def test_past_the_limit_the_fewest_sessions_leave() -> None:
    """Just enough whole sessions leave for the window to reach what is kept."""
    assert moved([5, 3, 3], limit=10, keep=6) == 1
    assert moved([1, 4, 3, 3], limit=10, keep=6) == 2


@given(LENGTHS)
def test_the_global_window_never_outgrows_the_model(lengths: list[int]) -> None:
    """With a full open session behind it, a window that was moved at each closing stays within N_max."""
    window: list[int] = []
    for length in lengths:
        window.append(length)
        window = window[moved_global(window) :]
        assert sum(window) + MAX_OPEN <= GLOBAL_MAX


@given(LENGTHS)
def test_a_moved_window_keeps_no_more_than_it_should(lengths: list[int]) -> None:
    """After a move at most `keep` events remain, and one session more would have been too many."""
    dropped = moved_global(lengths)
    if dropped:
        assert sum(lengths[dropped:]) <= GLOBAL_KEEP
        assert sum(lengths[dropped - 1 :]) > GLOBAL_KEEP


def test_history_leaves_an_eighth_of_room() -> None:
    """The history does not move again at the very next session."""
    lengths = [32] * 17
    dropped = moved_history(lengths, keep_events=512)

    assert sum(lengths[dropped:]) == 448
