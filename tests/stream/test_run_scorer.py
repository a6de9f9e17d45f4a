"""The scorer's loop around hand-made clients: what is committed, and when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import CommitFailedError, KafkaTimeoutError

from model.memory import MemoryConfig
from model.popularity import Popularity
from stream.batcher import Limits
from stream.confirming import ScorerGaveUp
from stream.events import Interaction
from stream.header_log import HeaderLog
from stream.history import Rules, User
from stream.hotswap import HotSwap
from stream.learning import Learner
from stream.membership import Moves
from stream.recent import Recent
from stream.records import RecommendationList, decode_list
from stream.requests import Cause, build
from stream.run_scorer import Parts, Role
from stream.scorer_checkpoint import Checkpoint
from stream.scoring import Desk
from stream.themes import Router
from stream.topics import TopicNames

NAMES = TopicNames("t.")


@dataclass
class Record:
    """A request as kafka-python hands it over."""

    partition: int
    offset: int
    value: bytes
    key: bytes = b"user"
    timestamp: int = 0


def request(user: str, partition: int, offset: int) -> Record:
    state = User.new("t")
    event = Interaction(ts=1000 + offset, user=user, item=f"i{offset}", type="click")
    state.apply(event, "t", offset, Rules(), Router())
    cause = Cause(user=user, partition=partition, type="click", produced_ms=0)
    return Record(partition, offset, build(state, Router(), cause, sample_share=0.0))


@dataclass
class Journal:
    """What happened, in order."""

    lines: list[tuple[Any, ...]] = field(default_factory=list)

    def of(self, kind: str) -> list[Any]:
        return [line[1] for line in self.lines if line[0] == kind]


class Sent:
    """The future of one send."""

    def __init__(self, error: Exception | None, done: Callable[[], None]) -> None:
        self.error = error
        self.done = done

    def get(self, timeout: float) -> None:
        if self.error is not None:
            raise self.error
        self.done()


class Producer:
    """Takes everything, or fails each send as told."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.error: Exception | None = None

    def send(self, topic: str, **record: Any) -> Sent:
        if topic == NAMES.recommendations:
            made = decode_list(record["value"])
            return Sent(self.error, lambda: self.journal.lines.append(("list", made)))
        return Sent(self.error, lambda: self.journal.lines.append((topic, record["value"])))

    def close(self, timeout: float) -> None:
        """Nothing to close."""


Step = Callable[["Consumer"], Sequence[Record]]


class Consumer:
    """Plays a script: each poll is one step, which may move partitions and hands over records.

    As kafka-python does, it keeps the position of a partition that is revoked and comes back at once.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.script: list[Step] = []
        self.owned: set[int] = set()
        self.commits: dict[int, int] = {}
        self.listener = Moves()
        self.commit_error: Exception | None = None
        self.ended: Callable[[], None] = lambda: None

    def topics(self) -> set[str]:
        return {NAMES.requests}

    def subscribe(self, topics: Sequence[str], listener: Moves) -> None:
        self.listener = listener

    def assign(self, *partitions: int) -> None:
        self.listener.on_partitions_assigned({TopicPartition(NAMES.requests, one) for one in partitions})
        self.owned = set(partitions)

    def revoke(self) -> None:
        self.listener.on_partitions_revoked({TopicPartition(NAMES.requests, one) for one in self.owned})

    def poll(self, timeout_ms: int, max_records: int) -> dict[int, list[Record]]:
        if not self.script:
            self.ended()
            return {}
        found: dict[int, list[Record]] = {}
        for record in self.script.pop(0)(self):
            found.setdefault(record.partition, []).append(record)
        return found

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(NAMES.requests, one) for one in self.owned}

    def highwater(self, place: TopicPartition) -> int | None:
        return 12 if place.partition == 0 else None  # of partition 1 no fetch has told yet

    def position(self, place: TopicPartition) -> int:
        return 5

    def committed(self, place: TopicPartition) -> int | None:
        return self.commits.get(place.partition, 0)

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0, 1}

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.journal.lines.append(("seek", (place.partition, offset)))

    def commit(self, offsets: dict[TopicPartition, Any], timeout_ms: int) -> None:
        if self.commit_error is not None:
            raise self.commit_error
        ends = {place.partition: entry.offset for place, entry in offsets.items()}
        self.journal.lines.append(("commit", ends))

    def close(self, timeout_ms: int) -> None:
        self.journal.lines.append(("closed", True))


@dataclass
class World:
    """A role and what is around it."""

    journal: Journal
    consumer: Consumer
    producer: Producer
    role: Role
    behind: dict[int, list[Any]]  # partition -> requests that others have answered

    def run(self, *script: Step) -> None:
        self.consumer.script = list(script)
        self.role.run()


@pytest.fixture
def world(tmp_path: Path) -> World:
    journal = Journal()
    consumer, producer = Consumer(journal), Producer(journal)
    desk = Desk(
        Learner(Popularity(), ()),
        topic=NAMES.requests,
        top_n=5,
        max_batch=4,
        filter_seen=True,
        clock_ms=lambda: 0.0,
    )

    behind: dict[int, list[Any]] = defaultdict(list)

    def nothing(version: str, epoch: int) -> Any:
        raise AssertionError("no version is ever published here")

    role = Role(
        Parts(
            names=NAMES,
            consumer=consumer,
            producer=producer,
            desk=desk,
            swap=HotSwap(lambda: None, nothing, ThreadPoolExecutor(1), 4),
            recent=Recent(10),
            limits=Limits(max_batch=4, max_wait_ms=0),
            session_timeout_ms=60_000,
            rescore_users=10,
            ready_file=tmp_path / "ready",
            header_log=HeaderLog(lambda partition, start, end: behind[partition][start:end]),
            checkpoint=Checkpoint(tmp_path, 0.0, ThreadPoolExecutor(1)),
            tail=lambda topic, partitions, num: {one: [] for one in partitions},
        )
    )
    consumer.ended = role.stop
    return World(journal, consumer, producer, role, behind)


def assigned(*partitions: int) -> Step:
    def step(consumer: Consumer) -> Sequence[Record]:
        consumer.assign(*partitions)
        return []

    return step


def hands(*records: Record) -> Step:
    return lambda consumer: records


def nothing_new(consumer: Consumer) -> Sequence[Record]:
    return []


def states(world: World) -> list[tuple[str, int]]:
    made: list[RecommendationList] = world.journal.of("list")
    return [(one.user, one.state.offset) for one in made]


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
