"""How far a partition is judged."""

from __future__ import annotations

import msgspec

from stream.progress import TURN_MS, TURN_RECORDS, Progress


def test_judged_through_is_the_oldest_that_waits() -> None:
    """Or the position, where nothing waits."""
    progress = Progress(position=9)
    assert progress.judged_through == 9

    progress.waiting[4] = "ann"
    progress.waiting[7] = "bob"
    assert progress.judged_through == 4


def test_an_event_is_passed_after_a_turn_of_newer_judgements() -> None:
    """Not with the first judgement of a newer event, which may stand before it in its turn."""
    progress = Progress()
    progress.waiting[4] = "ann"
    passed = [progress.judgement(5 + number, 0) for number in range(2 * TURN_RECORDS)]

    assert passed.index([(4, "ann")]) == TURN_RECORDS
    assert sum(map(len, passed)) == 1


def test_in_a_quiet_partition_time_between_records_does_it() -> None:
    """A judgement written a minute after one of a newer event."""
    progress = Progress()
    progress.waiting[4] = "ann"

    assert progress.judgement(5, 1000) == []
    assert progress.judgement(6, 1000 + TURN_MS - 1) == []
    assert progress.judgement(7, 1000 + TURN_MS) == [(4, "ann")]


def test_judgements_of_older_states_pass_nobody() -> None:
    """Lists made anew for a new version say nothing about newer events."""
    progress = Progress()
    progress.waiting[4] = "ann"

    assert [progress.judgement(3, number * TURN_MS) for number in range(5)] == [[]] * 5


def test_progress_goes_on_from_its_state() -> None:
    """Stored and restored it passes the same events at the same record."""
    progress = Progress(position=8)
    progress.waiting[4] = "ann"
    progress.judgement(5, 0)
    restored = Progress.restored(msgspec.msgpack.decode(msgspec.msgpack.encode(progress.state())))

    assert restored.judgement(6, TURN_MS) == [(4, "ann")]
    assert restored.judged_through == 4
