"""The evaluator's process with a broker that is made up: what it reads, commits, and how it gives up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition

from model.registry import Registry
from model.version import Offsets
from stream.evaluator import Evaluator
from stream.evaluator_app import AGAIN_S, Looking, through
from stream.intake import EVENTS, JUDGEMENTS, LISTS
from stream.metrics.evaluator import EvaluatorMetrics
from stream.run_evaluator import EvaluatorGaveUp, Parts, Role
from stream.topics import TopicNames
from tests.model.tiny_version import trained
from tests.stream.small_stream import PARTITIONS, RULES, Lying, stream

LYING = stream(100)
NAMES = TopicNames("")
TOPICS = {EVENTS: NAMES.events, JUDGEMENTS: NAMES.judgements, LISTS: NAMES.recommendations}


class Broker:
    """Records as they lie, and a client of them; one that is assigned anew stands at 0 until it seeks.

    A partition is only read from the ``slow_from``th poll on where its topic is the one that is slow.
    """

    def __init__(self, lying: list[Lying], slow: str = "", slow_from: int = 0) -> None:
        self.slow, self.slow_from, self.polls = slow, slow_from, 0
        self.logs: dict[TopicPartition, list[Any]] = {
            TopicPartition(topic, number): [] for topic in TOPICS.values() for number in range(PARTITIONS)
        }
        for one in lying:
            record = SimpleNamespace(
                partition=one.place[1],
                offset=one.record.offset,
                key=one.record.key,
                value=one.record.value,
                timestamp=one.record.written_ms,
                headers=[],
            )
            self.logs[TopicPartition(TOPICS[one.place[0]], one.place[1])].append(record)
        self.at: dict[TopicPartition, int] = {}
        self.assignments: list[set[TopicPartition]] = []
        self.commits: list[dict[int, int]] = []
        self.handed: list[tuple[TopicPartition, int]] = []

    def assign(self, places: list[TopicPartition]) -> None:
        self.assignments.append(set(places))
        self.at = {place: self.at.get(place, 0) for place in places}

    def seek(self, place: TopicPartition, offset: int) -> None:
        assert place in self.at
        self.at[place] = offset

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        self.polls += 1
        found = {}
        for place, at in self.at.items():
            some = self.logs[place][at : at + 5]
            if some and (place.topic != self.slow or self.polls >= self.slow_from):
                found[place], self.at[place] = some, at + len(some)
                self.handed += [(place, record.offset) for record in some]
        return found

    def position(self, place: TopicPartition) -> int:
        return self.at[place]

    def beginning_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: len(self.logs[place]) for place in places}

    def commit(self, offsets: dict[TopicPartition, Any], timeout_ms: int) -> None:
        self.commits.append({place.partition: entry.offset for place, entry in offsets.items()})

    def send(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(get=lambda timeout: None)

    def close(self, **_: Any) -> None:
        pass


def role(broker: Any, folder: Path) -> Role:
    folder.mkdir(exist_ok=True)
    return Role(
        Parts(
            names=NAMES,
            consumer=broker,
            producer=broker,
            evaluator=Evaluator(
                RULES,
                "t",
                PARTITIONS,
                sample_share=1.0,
                filter_seen=True,
                window=100,
                trained_through=lambda _: {},
            ),
            folder=folder,
            lock=(folder / ".lock").open("w"),
            report_ms=60_000,
            ready_file=None,
            first_version=lambda: None,
            check=lambda: None,
            metrics=EvaluatorMetrics(folder),
        )
    )


def test_what_was_held_back_is_read_on_later(tmp_path: Path) -> None:
    """Judgements that wait for slow events are not read further meanwhile; all is judged as without it."""
    slow = Broker(LYING, slow=NAMES.events, slow_from=10)

    held = role(slow, tmp_path / "held").run(until_end=True)
    free = role(Broker(LYING), tmp_path / "free").run(until_end=True)

    assert any(all(place.topic != NAMES.judgements for place in places) for places in slow.assignments)
    assert len(slow.handed) == len(set(slow.handed)) == len(LYING)
    assert held["judged"]["events"] > 50
    assert held["judged"] == free["judged"]
    assert held["positions"] == free["positions"]


def test_the_limit_exists_from_the_start(tmp_path: Path) -> None:
    """Before anything is judged, offset 0 of every partition is committed: nothing may be learned yet."""
    broker = Broker(LYING)
    one = role(broker, tmp_path)
    one.stop()
    one.run()

    assert broker.commits[0] == dict.fromkeys(range(PARTITIONS), 0)


def test_a_disk_that_cannot_be_written_ends_it_as_documented(tmp_path: Path) -> None:
    """The report cannot replace a directory: it gives up, and says why."""
    one = role(Broker(LYING), tmp_path)
    (tmp_path / "report.json").mkdir()

    with pytest.raises(EvaluatorGaveUp, match="IsADirectoryError"):
        one.run(until_end=True)


def test_a_version_that_cannot_be_read_is_told_once(tmp_path: Path, caplog: Any) -> None:
    """One warning however often it is asked and tried."""
    (tmp_path / "current.json").write_text("{")
    now = [0.0]
    looking = Looking(tmp_path, lambda: now[0])
    for now[0] in (0.0, 1.0, AGAIN_S, AGAIN_S + 1):
        assert looking() is None

    assert len(caplog.records) == 1


def test_how_far_a_version_was_trained_stands_in_its_manifest(tmp_path: Path) -> None:
    """Offsets by partition; none for a training from a file, or on a topic that is gone; of a version that is
    gone nobody knows."""
    registry = Registry(tmp_path)
    registry.publish(trained(seed=1))
    offsets = Offsets(topic_id="t", trained_through={0: 9, 3: 4}, judged_by={0: (10, 12)})
    registry.publish(replace(trained(seed=2), parent="000001", offsets=offsets))

    found = [through(tmp_path, "t", f"{number:06d}") for number in (1, 2, 3)]
    assert found == [{}, {0: 9, 3: 4}, None]
    assert through(tmp_path, "made anew", "000002") == {}
