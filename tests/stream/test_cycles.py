"""When a cycle is due and what it takes: counted or timed, in one order whatever the partitions."""

from __future__ import annotations

import random

import pytest

from stream.cycles import MAX_RECORDS, Every, every_of, in_order, num_due, stops
from stream.events import Interaction, encode
from stream.intake import Record


def record(offset: int, written_ms: int, partition: int = 0, ts: int = 0, backfill: bool = False) -> Record:
    return Record(
        partition=partition,
        offset=offset,
        key=b"u",
        value=encode(Interaction(ts=ts, user="u", item="i", type="click")),
        written_ms=written_ms,
        backfill=backfill,
    )


def test_a_number_is_events_and_a_duration_is_time() -> None:
    """2000 are events, 10m are minutes; nothing, and no time at all, are refused."""
    assert every_of("2000") == Every(events=2000)
    assert every_of("10m", "wall") == Every(ms=600_000, clock="wall")
    for wrong in ("0", "0s", "soon", "-5"):
        with pytest.raises(ValueError, match=r"cycle|duration"):
            every_of(wrong)


def test_records_come_by_time_and_never_against_their_offsets() -> None:
    """However a partition's timestamps jump back, its records keep their order; the merge is the same in any
    order of partitions."""
    chance = random.Random(0)
    queues = [[record(number, chance.randrange(50), part) for number in range(20)] for part in range(3)]
    merged = in_order(queues)

    assert merged == in_order(reversed(queues))
    for part in range(3):
        assert [one.offset for one in merged if one.partition == part] == list(range(20))
    assert in_order([[record(0, 5), record(1, 9)], [record(0, 7, 1)]])[1].partition == 1


def test_histories_are_taken_and_not_counted() -> None:
    """Three events make a cycle, whatever was loaded between them."""
    waiting = [record(number, number, backfill=number % 2 == 0) for number in range(10)]

    assert num_due(waiting, Every(events=3), 0) == 6
    assert num_due(waiting[:5], Every(events=3), 0) == 0
    assert num_due(waiting, Every(events=8), 0, growing=True) == 4


def test_event_time_ends_a_cycle_before_the_event_that_is_too_late() -> None:
    """The first event at or after the end begins the next cycle; no event, no end."""
    waiting = [record(number, 0, ts=1000 * number) for number in range(1, 8)]

    assert num_due(waiting, Every(ms=3000), 0) == 3
    assert num_due(waiting[:3], Every(ms=3000), 10**15) == 0


@pytest.mark.parametrize("place", [0, 1, 2, 50, 99])
@pytest.mark.parametrize("wrong_ms", [0, 10**12])
def test_one_clock_that_is_wrong_neither_ends_a_cycle_nor_keeps_one_from_ending(
    place: int, wrong_ms: int
) -> None:
    """A click of today in a replay of old ones, or one of 1970: of ten cycles at most one is cut short."""
    times = [10**9 + 100 * number for number in range(1000)]
    times.insert(place, wrong_ms)
    waiting = [record(number, 2 * 10**12, ts=ts) for number, ts in enumerate(times)]
    took = []
    while (taken := num_due(waiting, Every(ms=10_000), 0)) > 0:
        took.append(taken)
        waiting = waiting[taken:]

    assert 8 <= len(took) <= 11
    assert max(took) <= 102
    assert sorted(took)[-8] >= 99


def test_our_own_clock_ends_a_cycle_without_another_event() -> None:
    """Written timestamps decide, and the present where nobody writes any more."""
    waiting = [record(number, 1000 * number) for number in range(1, 8)]
    every = Every(ms=3000, clock="wall")

    assert num_due(waiting, every, 0) == 3
    assert num_due(waiting[:2], every, 3999) == 0
    assert num_due(waiting[:2], every, 4000) == 2
    assert num_due([], every, 10**15) == 0


def test_a_cycle_is_bounded() -> None:
    """A load of histories as long as the bound is taken without any event."""
    waiting = [record(0, 0, backfill=True)] * (MAX_RECORDS + 5)

    assert num_due(waiting, Every(events=3), 0) == MAX_RECORDS


def test_a_range_ends_behind_its_last_record() -> None:
    """Partitions of which nothing is taken stay where they are."""
    assert stops({0: 4, 1: 7}, [record(4, 0), record(5, 0)]) == {0: 6, 1: 7}
