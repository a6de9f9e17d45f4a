"""Scorers of one topic prefix on a real broker, and the worker that asks them.

Knows: the scorer's command, how to pause and kill it. Does not know: what a test is about.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from stream import clients
from stream.admin import committed, end_offsets
from stream.events import Interaction
from stream.history import Rules, User
from stream.partition import partition_of
from stream.requests import Cause, build
from stream.themes import Router
from stream.topics import TopicNames

SCRIPT = Path(__file__).with_name("scorer_process.py")
ROOT = Path(__file__).parents[2]
PARTITIONS = 4
WAIT_S = 60.0


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Look again until it holds."""
    ends_s = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < ends_s, f"still not: {what}"
        time.sleep(0.05)


class Worker:
    """Turns clicks into requests, as the worker does, and remembers each user's newest state."""

    def __init__(self, bootstrap: str, names: TopicNames) -> None:
        self.producer = clients.producer(bootstrap)
        self.names = names
        self.users: dict[str, User] = {}
        self.newest: dict[str, int] = {}
        self.offsets = [0] * PARTITIONS

    def click(self, name: str, item: str) -> None:
        partition = partition_of(name, PARTITIONS)
        user = self.users.setdefault(name, User.new("t"))
        offset = self.offsets[partition]
        self.offsets[partition] += 1
        event = Interaction(ts=1000 * (offset + 1), user=name, item=item, type="click")
        user.apply(event, "t", offset, Rules(), Router())
        self.newest[name] = offset
        cause = Cause(user=name, partition=partition, type="click", produced_ms=1)
        raw = build(user, Router(), cause, sample_share=0.5)
        self.send(raw, name, partition)

    def send(self, raw: bytes, name: str, partition: int) -> None:
        self.producer.send(self.names.requests, key=name.encode(), value=raw, partition=partition)

    def flush(self) -> None:
        self.producer.flush(timeout=20)


class Scorers:
    """Scorer processes of one prefix."""

    def __init__(self, bootstrap: str, names: TopicNames, directory: Path) -> None:
        self.bootstrap = bootstrap
        self.names = names
        self.directory = directory
        self.versions = directory / "current"
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        ready = self.directory / f"ready{len(self.running)}"
        command = [
            sys.executable,
            str(SCRIPT),
            self.bootstrap,
            self.names.prefix,
            str(self.versions),
            str(ready),
        ]
        log = (self.directory / f"log{len(self.running)}").open("wb")
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=log, stderr=log
        )
        log.close()
        self.running.append(process)
        wait_until(lambda: ready.exists() or process.poll() is not None, "a ready scorer")
        assert process.poll() is None, self.log(len(self.running) - 1)
        return process

    def log(self, number: int) -> str:
        return (self.directory / f"log{number}").read_text()

    def serve(self, version: str, epoch: int) -> None:
        staged = self.directory / "staged"
        staged.write_text(f"{version} {epoch}")
        staged.rename(self.versions)

    def lag(self) -> int:
        done = committed(self.bootstrap, self.names.scorer_group, self.names.requests)
        ends = end_offsets(self.bootstrap, self.names.requests)
        return sum(end - done.get(partition, 0) for partition, end in ends.items())

    def kill(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()
