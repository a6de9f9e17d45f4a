"""A scorer's role around a consumer that hands over what a script says and a producer that takes everything.

Knows: what kafka-python's clients are asked; a journal of what they were. Does not know: a broker.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka import TopicPartition

from model.popularity import Popularity
from stream.batcher import Limits
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


def scripted(tmp_path: Path) -> World:
    """A role that ends with its script."""
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
