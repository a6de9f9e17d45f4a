"""The trainer as a process on a real broker: killed with -9, it ends in what an undisturbed one publishes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata

from model.registry import Registry
from model.train import warm_start
from ops.processes import eventually
from stream import clients
from stream.admin import end_offsets, ensure_topics
from stream.events import Interaction, encode
from stream.records import decode_announcement
from stream.topics import TopicNames
from tests.kafka.role_commands import RoleCommands
from tests.model.circles import RECIPE, rounds
from tests.stream.circle_log import CONFIG, PARTITIONS, USERS

#: Rounds of clicks: 105 users, some 2,200 judged events in each of two cycles.
COLUMNS = rounds(USERS, 42)
NOW_MS = time.time_ns() // 10**6 - 3_600_000


class School:
    """A stream that is judged, and trainers that read it."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path) -> None:
        self.bootstrap, self.folder = bootstrap, folder
        self.names = TopicNames(prefix)
        ensure_topics(bootstrap, self.names, PARTITIONS)
        self.roles = RoleCommands(
            folder,
            {
                "KAFKA__BOOTSTRAP": bootstrap,
                "KAFKA__PREFIX": prefix,
                "KAFKA__PARTITIONS": PARTITIONS,
                "SCORER__FILTER_SEEN": "false",
                "SESSIONS__GAP_MS": "1d",
                "TRAINER__NICE": "0",
            },
        )

    def lay(self) -> None:
        """Every click, in the past."""
        sender = clients.producer(self.bootstrap)
        sent = []
        for place in range(len(COLUMNS)):
            user, item = COLUMNS.users[COLUMNS.user[place]], COLUMNS.items[COLUMNS.item[place]]
            event = Interaction(ts=int(COLUMNS.time_ms[place]), user=user, item=item, type="click")
            part = int(COLUMNS.user[place]) % PARTITIONS
            sent.append(
                sender.send(
                    self.names.events,
                    key=user.encode(),
                    value=encode(event),
                    partition=part,
                    timestamp_ms=NOW_MS + place,
                )
            )
        for future in sent:
            future.get(timeout=60)
        sender.close()

    def judge(self, share: float) -> None:
        """As an evaluator that is so far through every partition."""
        evaluator = clients.consumer(self.bootstrap, group=self.names.evaluator_group)
        places = {
            TopicPartition(self.names.events, part): OffsetAndMetadata(int(share * end), "", -1)
            for part, end in end_offsets(self.bootstrap, self.names.events).items()
        }
        evaluator.commit(places)
        evaluator.close()

    def start(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        """`hopstream trainer` with folders of its own."""
        return self.roles.start(
            name,
            *("trainer", "--every", "2205", *options),
            TRAINER__DATA_DIR=self.folder / name / "trainer",
            MODELS__DIR=self.folder / name / "models",
        )

    def once(self, name: str) -> list[dict[str, Any]]:
        """The cycles of one that does what is due."""
        out, _ = self.start(name, "--once", "--json").communicate(timeout=120)
        return [json.loads(line) for line in out.splitlines()]

    def outcome(self, name: str) -> dict[str, Any]:
        """Version → digests of its files, and its offsets."""
        registry = Registry(self.folder / name / "models")
        manifests = {version: registry.manifest(version) for version in registry.list()}
        return {version: (told["files"], told["offsets"]) for version, told in manifests.items()}


@pytest.fixture
def school(bootstrap: str, prefix: str, tmp_path: Path) -> Iterator[School]:
    made = School(bootstrap, prefix, tmp_path)
    yield made
    made.roles.stop()


@pytest.mark.timeout(300)  # three processes that import torch, after one another
def test_a_killed_trainer_publishes_what_an_undisturbed_one_does(school: School) -> None:
    """It waits for a version, reads no further than the judge, is killed with -9 in a cycle, and resumes to
    the same version 2, which it announces."""
    recipe = replace(RECIPE, max_epochs=1, validation_users=5)
    version = warm_start(COLUMNS.slice(0, 3 * USERS), CONFIG, recipe)  # knows little
    school.lay()
    school.judge(0.6)
    first = school.start("killed")
    log = school.roles.log("killed")
    assert eventually(lambda: "waits for a version" in log.read_text(), 60)
    Registry(school.folder / "killed" / "models").publish(version)
    shutil.copytree(school.folder / "killed" / "models", school.folder / "whole" / "models")
    report = school.folder / "killed" / "trainer" / "report.json"
    assert eventually(report.exists, 60), log.read_text()
    assert json.loads(report.read_text())["newest"]["verdict"] == "none"
    school.judge(1.0)
    plan = school.folder / "killed" / "trainer" / "plan.json"
    assert eventually(lambda: json.loads(plan.read_text())["cycle"] == 1, 60)
    first.send_signal(signal.SIGKILL)
    first.wait()

    rest = school.once("killed")
    whole = school.once("whole")

    assert [one["verdict"] for one in whole] == ["none", "publish"], school.roles.log("whole").read_text()
    assert len(rest) <= 1  # none, where the kill came after the snapshot
    assert school.outcome("killed") == school.outcome("whole")
    assert set(school.outcome("whole")) == {"000001", "000002"}
    told = [
        decode_announcement(record.value)
        for record in clients.read_all(school.bootstrap, school.names.models)
    ]
    assert {one.version for one in told} == {"000002"}
    assert told[0].gate is not None
    assert told[0].gate["verdict"] == "publish"
