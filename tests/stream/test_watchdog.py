"""When a worker ends itself."""

from __future__ import annotations

from stream.watchdog import Pulse, Stall


def test_lag_without_progress_is_a_stall_after_the_limit() -> None:
    """Not before, and not without lag."""
    stall = Stall(limit_s=10)

    assert not stall.stalled(0, processed=5, lag=3)
    assert not stall.stalled(9, processed=5, lag=3)
    assert stall.stalled(10, processed=5, lag=3)


def test_progress_and_an_empty_queue_start_the_clock_anew() -> None:
    """One event, or nothing waiting, and the wait begins again."""
    stall = Stall(limit_s=10)
    stall.stalled(0, processed=5, lag=3)

    assert not stall.stalled(10, processed=6, lag=3)
    assert not stall.stalled(19, processed=6, lag=0)
    assert not stall.stalled(28, processed=6, lag=3)
    assert stall.stalled(38, processed=6, lag=3)


def test_a_rebalance_suspends_the_watch() -> None:
    """However long it takes, it is no stall; afterwards the full limit counts."""
    stall = Stall(limit_s=10)
    stall.stalled(0, processed=5, lag=3)

    assert not stall.stalled(60, processed=5, lag=3, suspended=True)
    assert not stall.stalled(69, processed=5, lag=3)
    assert stall.stalled(70, processed=5, lag=3)


def test_a_pause_is_noticed_at_the_first_look() -> None:
    """By a beat and by a mere question, until the next beat."""
    pulse = Pulse(limit_s=5)

    assert pulse.beat(0)
    assert pulse.alive(4.9)
    assert not pulse.alive(5)
    assert not pulse.beat(20)
    assert pulse.beat(20.1)
