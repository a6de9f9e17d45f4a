"""The scorer's loop around hand-made clients: what is committed, and when."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kafka.errors import CommitFailedError, KafkaTimeoutError

from model.memory import MemoryConfig
from stream.confirming import ScorerGaveUp
from stream.run_scorer import Role
from stream.scorer_checkpoint import Checkpoint
from tests.stream.scripted_scorer import (
    Consumer,
    Record,
    World,
    assigned,
    hands,
    nothing_new,
    request,
    scripted,
    states,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return scripted(tmp_path)


def test_a_turn_is_committed_after_its_lists(world: World) -> None:
    """The broker holds every list before the turn's end is committed."""
    turn = (request("ann", 0, 0), request("bob", 1, 0), request("ann", 0, 1))

    world.run(assigned(0, 1), hands(*turn), nothing_new)

    assert [line[0] for line in world.journal.lines] == ["list", "list", "commit", "closed"]
    assert sorted(states(world)) == [("ann", 1), ("bob", 0)]
    assert world.journal.of("commit") == [{0: 2, 1: 1}]


def test_a_send_that_fails_ends_the_role(world: World) -> None:
    """Nothing is committed when the broker did not take a list; the turn comes again elsewhere."""
    world.producer.error = KafkaTimeoutError("no answer")

    with pytest.raises(ScorerGaveUp):
        world.run(assigned(0), hands(request("ann", 0, 0)), nothing_new)

    assert world.journal.of("commit") == []
    assert world.journal.of("closed") == [True]


def test_a_commit_that_the_group_refuses_is_survived(world: World) -> None:
    """The group moved on: the turn is answered again by its new owner, and this one goes on."""
    world.consumer.commit_error = CommitFailedError()

    world.run(assigned(0), hands(request("ann", 0, 0)), nothing_new)

    assert states(world) == [("ann", 0)]


def test_requests_collected_before_a_rebalance_are_read_again(world: World) -> None:
    """A partition that is revoked and comes back keeps its position: what was collected is sought back to."""

    def rebalance(consumer: Consumer) -> Sequence[Record]:
        consumer.revoke()
        consumer.assign(0)
        return [request("bob", 0, 1)]

    again = hands(request("ann", 0, 0), request("bob", 0, 1))
    world.run(assigned(0), hands(request("ann", 0, 0)), rebalance, again, nothing_new)

    assert world.journal.of("seek") == [(0, 0)]
    assert states(world) == [("ann", 0), ("bob", 1)]
    assert world.journal.of("commit") == [{0: 2}]


def test_requests_of_a_lost_partition_are_left_to_its_new_owner(world: World) -> None:
    """Collected, then moved away: no list, no commit for that partition."""

    def moves_away(consumer: Consumer) -> Sequence[Record]:
        consumer.revoke()
        consumer.assign(1)
        return []

    world.run(
        assigned(0, 1),
        hands(request("ann", 0, 0)),
        moves_away,
        hands(request("bob", 1, 0)),
        nothing_new,
    )

    assert states(world) == [("bob", 0)]
    assert world.journal.of("commit") == [{1: 1}]


def test_an_unfinished_rebalance_ends_the_role(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that never finishes a rebalance would fetch nothing for ever: the role ends instead."""
    monkeypatch.setattr("stream.run_scorer.STALLED_S", -1.0)

    def only_revoked(consumer: Consumer) -> Sequence[Record]:
        consumer.revoke()
        return []

    with pytest.raises(ScorerGaveUp, match="rebalance"):
        world.run(only_revoked, nothing_new)


def test_a_gap_is_counted_and_asked_about(world: World) -> None:
    """Requests that are gone lead to no error; the next one is answered and committed."""
    world.run(assigned(0), hands(request("ann", 0, 7)), nothing_new)

    assert states(world) == [("ann", 7)]
    assert world.role.lost_requests == 7


def test_ready_is_said_once_partitions_are_known(world: World, tmp_path: Path) -> None:
    """The ready file appears after the group was joined and the registry asked."""
    world.run(nothing_new)
    assert not (tmp_path / "ready").exists()

    other = world
    other.role = Role(other.role.parts)
    other.consumer.ended = other.role.stop
    other.run(assigned(0))
    assert (tmp_path / "ready").exists()


def test_what_others_have_answered_is_learned(world: World) -> None:
    """Below what the group committed: before the first own request, and on partitions of other scorers."""
    world.behind[0] = [request(f"u{offset}", 0, offset) for offset in range(5)]
    world.behind[1] = [request(f"v{offset}", 1, offset) for offset in range(5)]
    world.consumer.commits = {0: 3, 1: 2}

    world.run(assigned(0), nothing_new, hands(request("ann", 0, 3)), nothing_new)

    assert world.role.parts.desk.learner.num_learned == 3 + 2 + 1
    assert world.role.parts.header_log.learned == {0: 4, 1: 2}


def test_what_was_learned_is_kept_at_the_end(world: World, tmp_path: Path) -> None:
    """A scorer that is stopped and started again knows what it knew, and where it stood."""
    world.run(assigned(0), hands(request("ann", 0, 0)), nothing_new)

    again = Checkpoint(tmp_path, 0.0, ThreadPoolExecutor(1)).restore((), MemoryConfig())

    assert again.requests == {0: 1, 1: 0}
    assert again.learner.num_learned == 1
    assert again.learner.memory.items.ids == ["i0"]


def test_what_waits_and_what_the_registry_wants_is_shown(world: World) -> None:
    """Seven records wait in the partition whose end is known; nothing is published."""
    world.run(assigned(0, 1))
    value = world.role.parts.desk.metrics.registry.get_sample_value

    assert value("hopstream_consumer_lag_records", {"topic": "requests", "partition": "0"}) == 7
    assert value("hopstream_consumer_lag_records", {"topic": "requests", "partition": "1"}) is None
    assert value("hopstream_registry_epoch") == 0
