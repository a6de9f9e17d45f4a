"""What is made of the newest records of partitions that changed hands, and how moves are noticed."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from kafka import TopicPartition

from stream.membership import Moves
from stream.records import RecommendationList, StateRef, encode_list
from stream.takeover import Gaps, floors, latest_users


@dataclass
class Record:
    """A record as kafka-python hands it over."""

    key: bytes | None
    value: bytes | None


def a_list(user: str, offset: int, epoch: int = 1, topic_id: str = "t") -> Record:
    state = StateRef(topic_id=topic_id, partition=0, offset=offset, events=1)
    made = RecommendationList(id="l", user=user, items=[], model=None, state=state, epoch=epoch)
    return Record(user.encode(), encode_list(made))


def places(*numbers: int) -> set[TopicPartition]:
    return {TopicPartition("requests", number) for number in numbers}


def test_the_floor_is_the_newest_list_of_a_user() -> None:
    """By offset, then by epoch, whatever the order of the records."""
    found = floors([a_list("ann", 3, 2), a_list("ann", 5, 1), a_list("ann", 5, 0), a_list("bob", 1)])

    assert found == {"ann": ("t", 5, 1), "bob": ("t", 1, 1)}


def test_a_new_generation_of_events_has_its_own_floor() -> None:
    """A list made from a topic that was made anew replaces any older one's floor."""
    assert floors([a_list("ann", 9), a_list("ann", 0, topic_id="new")]) == {"ann": ("new", 0, 1)}


def test_records_that_are_no_lists_make_no_floor() -> None:
    """A tombstone or foreign bytes say nothing."""
    assert floors([Record(b"ann", None), Record(b"bob", b"{}")]) == {}


def test_users_are_named_latest_first_and_bounded() -> None:
    """Keys of the newest events, each once; keys that are no user ids are passed over."""
    records = [Record(key, b"") for key in (b"ann", b"bob", b"\xff", None, b"ann", b"cat")]

    assert latest_users(records, 10) == ["cat", "ann", "bob"]
    assert latest_users(records, 1) == ["cat"]


def test_a_rebalance_that_changes_nothing_loses_nothing() -> None:
    """Partitions that are revoked and come back at once are neither lost nor gained, but start again."""
    moves = Moves()
    moves.on_partitions_assigned(places(0, 1))
    moves.take()
    moves.on_partitions_revoked(places(0, 1))
    moves.on_partitions_assigned(places(0, 1))
    moved = moves.take()

    assert (moved.revoked, moved.lost, moved.gained, moved.happened) == ({0, 1}, set(), set(), True)
    assert not moves.take().happened


def test_the_first_joining_takes_its_time_from_when_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was waited for before is no part of it."""
    clock = SimpleNamespace(now_s=0.0, monotonic=lambda: clock.now_s)
    monkeypatch.setattr("stream.membership.time", clock)
    moves = Moves()
    clock.now_s = 100.0
    assert moves.unsettled_s() == 100.0
    moves.joins()
    clock.now_s = 101.0

    assert moves.unsettled_s() == 1.0


def test_moved_partitions_are_told_apart() -> None:
    """One partition goes, one comes, one stays."""
    moves = Moves()
    moves.on_partitions_assigned(places(0, 1))
    moves.take()
    moves.on_partitions_revoked(places(0, 1))
    moves.on_partitions_assigned(places(1, 2))
    moved = moves.take()

    assert (moved.lost, moved.gained) == ({0}, {2})


def test_a_partition_that_was_away_between_two_looks_is_gained_again() -> None:
    """Two rebalances within one poll: what another member may have had meanwhile is lost and gained."""
    moves = Moves()
    moves.on_partitions_assigned(places(0, 1))
    moves.take()
    for owned in (places(0), places(0, 1)):
        moves.on_partitions_revoked(places(0, 1))
        moves.on_partitions_assigned(owned)
    moved = moves.take()

    assert (moved.lost, moved.gained) == ({1}, {1})


def test_a_lost_session_loses_everything() -> None:
    """When the session had ended, others may have had all partitions, even those that come back."""
    moves = Moves()
    moves.on_partitions_assigned(places(0))
    moves.take()
    moves.on_partitions_lost(places(0))
    moves.on_partitions_assigned(places(0))
    moved = moves.take()

    assert (moved.lost, moved.gained) == ({0}, {0})


def test_a_gap_is_what_lies_between_two_offsets() -> None:
    """From the start on every offset must follow; reading something again is no gap."""
    gaps = Gaps()
    gaps.begin(0, 5)

    assert [gaps.missing(0, offset) for offset in (5, 6, 9, 7, 8)] == [0, 0, 2, 0, 0]
    assert gaps.missing(1, 100) == 0
    gaps.lose([0])
    assert gaps.missing(0, 50) == 0
    assert gaps.num_missing == 2
