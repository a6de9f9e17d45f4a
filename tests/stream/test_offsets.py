"""Only what is done without a hole may be committed."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from stream.offsets import Progress


@given(st.integers(0, 1000), st.integers(0, 60), st.randoms(use_true_random=False))
def test_in_whatever_order_offsets_finish_the_prefix_is_what_may_be_committed(
    start: int, num: int, order: random.Random
) -> None:
    """After every step: the first offset that is not done."""
    offsets = list(range(start, start + num))
    order.shuffle(offsets)
    progress, done = Progress(start), set()
    for offset in offsets:
        progress.done(offset)
        done.add(offset)
        first = next(n for n in range(start, start + num + 1) if n not in done)
        assert progress.committable() == first


def test_an_offset_said_twice_or_late_changes_nothing() -> None:
    """The same record delivered again, before and after it was counted."""
    progress = Progress(10)
    for offset in (9, 10, 10, 11):
        progress.done(offset)
    assert progress.committable() == 12
    progress.done(10)
    progress.done(13)
    assert progress.committable() == 12


def test_offsets_that_do_not_exist_hold_up_nothing() -> None:
    """Retention took 5 to 8; 9 is the first to be seen."""
    progress = Progress(5)
    progress.absent(5, 9)
    assert progress.committable() == 9
    progress.done(9)
    progress.absent(11, 12)
    assert progress.committable() == 10
    progress.done(10)
    assert progress.committable() == 12
