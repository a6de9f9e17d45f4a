"""The restart policy as arithmetic."""

from __future__ import annotations

from ops.restarts import Policy

POLICY = Policy(first_s=1.0, cap_s=5.0, max_crashes=4, window_s=100.0)


def test_delays_double_up_to_the_cap() -> None:
    """Each crash in a row waits twice as long, never longer than the cap."""
    crashes_s = [10.0, 11.0, 12.0, 13.0]

    assert [POLICY.delay_s(crashes_s[:count]) for count in range(1, 5)] == [1.0, 2.0, 4.0, 5.0]


def test_too_many_crashes_end_it() -> None:
    """One crash more than allowed within the window is the last."""
    assert POLICY.delay_s([10.0, 11.0, 12.0, 13.0, 14.0]) is None


def test_old_crashes_are_forgiven() -> None:
    """A role that stayed up for the window starts over with the shortest delay."""
    assert POLICY.delay_s([10.0, 11.0, 12.0, 13.0, 200.0]) == 1.0
