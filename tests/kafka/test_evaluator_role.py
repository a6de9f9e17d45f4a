"""The evaluator as a process on a real broker: killed, started again, handed rubbish."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ops.processes import eventually
from stream import clients
from stream.admin import end_offsets, ensure_topics, topic_ids
from stream.judged import judged_through
from stream.records import decode_judgement, decode_quality, encode_judgement
from stream.settings import Settings, load
from stream.topics import TopicNames
from tests.kafka.role_commands import RoleCommands
from tests.stream.small_stream import PARTITIONS, Lying, stream

LYING = stream(200)
JUDGEMENT = next(one.record.value or b"" for one in LYING if one.place[0] == "judgements")
NOW_MS = time.time_ns() // 10**6 - 3_600_000


class Hall:
    """A stream on the topics, and evaluators that read it."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path) -> None:
        self.bootstrap, self.folder = bootstrap, folder
        self.names = TopicNames(prefix)
        overrides = {"kafka": {"bootstrap": bootstrap, "prefix": prefix, "partitions": PARTITIONS}}
        self.settings: Settings = load(overrides=overrides, environment={})
        ensure_topics(bootstrap, self.names, PARTITIONS)
        self.topic_id = topic_ids(bootstrap, [self.names.events])[self.names.events]
        self.roles = RoleCommands(
            folder,
            {
                "KAFKA__BOOTSTRAP": bootstrap,
                "KAFKA__PREFIX": prefix,
                "KAFKA__PARTITIONS": PARTITIONS,
                "MODELS__DIR": folder / "models",
            },
        )

    def lay(self, lying: list[Lying]) -> None:
        """Onto the topics, with this broker's topic id, at times that retention does not reach."""
        sender = clients.producer(self.bootstrap)
        sent = []
        for one in lying:
            value = one.record.value or b""
            if one.place[0] == "judgements":
                made = decode_judgement(value)
                state = msgspec.structs.replace(made.state, topic_id=self.topic_id)
                value = encode_judgement(msgspec.structs.replace(made, state=state))
            topic = self.names.prefix + one.place[0]
            sent.append(
                sender.send(
                    topic,
                    key=one.record.key,
                    value=value,
                    partition=one.place[1],
                    timestamp_ms=NOW_MS + one.record.written_ms,
                )
            )
        for future in sent:
            future.get(timeout=30)
        sender.close()

    def start(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        """`hopstream evaluator` with a folder of its own."""
        return self.roles.start(
            name, "evaluator", *options, EVALUATOR__DATA_DIR=self.folder / name, EVALUATOR__REPORT_MS="100ms"
        )

    def once(self, name: str) -> dict[str, Any]:
        """The report of one that reads all there is."""
        out, _ = self.start(name, "--once", "--json").communicate(timeout=60)
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found

    def report(self, name: str) -> dict[str, Any] | None:
        path = self.folder / name / "report.json"
        found: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
        return found

    def judged(self, name: str) -> int:
        found = self.report(name)
        return found["judged"]["events"] if found else 0


@pytest.fixture
def hall(bootstrap: str, prefix: str, tmp_path: Path) -> Iterator[Hall]:
    made = Hall(bootstrap, prefix, tmp_path)
    yield made
    made.roles.stop()


def test_a_killed_evaluator_ends_in_the_report_of_an_undisturbed_one(hall: Hall) -> None:
    """kill -9 in the middle of the stream, another start, the rest: every figure is the same."""
    half = len(LYING) // 2
    hall.lay(LYING[:half])
    first = hall.start("killed")
    eventually(lambda: hall.judged("killed") > 50, 60)
    first.kill()
    first.wait()
    hall.lay(LYING[half:])

    killed, undisturbed = hall.once("killed"), hall.once("undisturbed")

    assert undisturbed["judged"]["events"] == 188
    assert undisturbed["lines"]["good"]["recall@10"] == 1.0
    assert killed == undisturbed


def test_rubbish_stops_nobody_and_is_kept(hall: Hall) -> None:
    """Bytes that are no judgement and a judgement of an event that never was: dead letters, all judged."""
    sender = clients.producer(hall.bootstrap)
    for number in range(PARTITIONS):
        sender.send(hall.names.judgements, key=b"u0", value=b"\xc1", partition=number).get(timeout=30)
        made = decode_judgement(JUDGEMENT)
        state = msgspec.structs.replace(made.state, topic_id=hall.topic_id, offset=10**9)
        value = encode_judgement(msgspec.structs.replace(made, state=state))
        sender.send(hall.names.judgements, key=b"u0", value=value, partition=number).get(timeout=30)
    sender.close()
    hall.lay(LYING)
    role = hall.start("one")
    eventually(lambda: hall.judged("one") == 188, 60)
    role.send_signal(signal.SIGTERM)
    assert role.wait(30) == 0

    found = hall.report("one")
    assert found is not None
    assert found["records"]["bad_records"] == 2 * PARTITIONS
    assert sum(end_offsets(hall.bootstrap, hall.names.dead_letters).values()) == 2 * PARTITIONS


def test_what_is_judged_is_committed_and_told(hall: Hall) -> None:
    """The trainer's limit is the first event without a verdict; the quality topic has a record per line."""
    assert judged_through(hall.bootstrap, hall.settings) == {}
    waiting = [one for one in LYING if one.place != ("judgements", 1)]
    hall.lay(waiting)
    role = hall.start("one")
    eventually(lambda: (judged_through(hall.bootstrap, hall.settings).get(0) or 0) > 0, 60)
    events = end_offsets(hall.bootstrap, hall.names.events)
    eventually(lambda: judged_through(hall.bootstrap, hall.settings)[0] == events[0], 60)
    role.send_signal(signal.SIGTERM)
    assert role.wait(30) == 0, hall.roles.log("one").read_text()

    users = {one.record.key for one in LYING if one.place == ("events", 1)}
    through = judged_through(hall.bootstrap, hall.settings)
    assert through[1] <= len(users)  # only first events of users need no verdict
    told = [decode_quality(record.value) for record in clients.read_all(hall.bootstrap, hall.names.quality)]
    assert {one.line for one in told} == {"good", "served"}
    assert told[-1].events > 0


def test_a_second_evaluator_is_refused(hall: Hall) -> None:
    """Two would overwrite each other's snapshot: the second one says so and ends with 1."""
    hall.lay(LYING[:30])
    hall.start("one")
    eventually(lambda: hall.report("one") is not None, 60)
    second = hall.start("one")

    assert second.wait(60) == 1
    assert "Another evaluator" in hall.roles.log("one").read_text()
