"""Workers of one topic prefix on a real broker: started, paused, killed, and what they left behind.

Knows: the worker's command, the topics that tell what happened. Does not know: what a test is about.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ops.broker import Broker
from ops.demo.ledger import balance
from stream import admin
from stream.clients import producer, read_all
from stream.events import Interaction, encode
from stream.partition import partition_of
from stream.records import decode_request
from stream.settings import Settings, load
from stream.tending import GAVE_UP
from stream.topics import TopicNames

ROOT = Path(__file__).parents[2]
PARTITIONS = 4
WAIT_S = 100.0


class Town:
    """Workers of one topic prefix, each with its own directory; whatever it started it stops."""

    def __init__(self, broker: Broker, prefix: str, folder: Path) -> None:
        self.broker = broker
        self.folder = folder
        self.names = TopicNames(prefix)
        self.settings: Settings = load(
            overrides={"kafka": {"bootstrap": broker.bootstrap, "prefix": prefix, "partitions": PARTITIONS}},
            environment={},
        )
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.statuses: list[int] = []
        admin.ensure_topics(broker.bootstrap, self.names, PARTITIONS)

    def directory(self, name: str) -> Path:
        return self.folder / name

    def start(self, name: str = "one") -> None:
        """A worker; returns once it owns partitions with recovered state."""
        self.launch(name)
        self.wait_until(lambda: self.ready(name), f"worker {name} ready")

    def launch(self, name: str) -> None:
        ready = self.folder / f"{name}.ready"
        ready.unlink(missing_ok=True)
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("HOPSTREAM_")
        } | {
            "HOPSTREAM_KAFKA__BOOTSTRAP": self.broker.bootstrap,
            "HOPSTREAM_KAFKA__PREFIX": self.names.prefix,
            "HOPSTREAM_WORKER__SESSION_TIMEOUT_MS": "4s",
            "HOPSTREAM_WORKER__STALL_MS": "20s",
            "HOPSTREAM_WORKER__DATA_DIR": str(self.directory(name)),
            "HOPSTREAM_MODELS__DIR": str(self.folder / "models"),
        }
        log = (self.folder / f"{name}.log").open("ab")
        self.workers[name] = subprocess.Popen(
            [sys.executable, "-m", "ops.cli", "worker", "--ready-file", str(ready)],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )
        log.close()

    def ready(self, name: str) -> bool:
        status = self.workers[name].poll()
        assert status in (None, GAVE_UP), (self.folder / f"{name}.log").read_text()[-3000:]
        return (self.folder / f"{name}.ready").exists()

    def kill(self, name: str = "one") -> None:
        self.workers[name].kill()
        self.workers[name].wait()

    def send_signal(self, number: int, name: str = "one") -> None:
        self.workers[name].send_signal(number)

    def produce(self, events: list[Interaction], pause_s: float = 0.0) -> None:
        sender = producer(self.broker.bootstrap)
        sent = []
        for event in events:
            key = event.user.encode()
            sent.append(
                sender.send(
                    self.names.events, encode(event), key, partition=partition_of(event.user, PARTITIONS)
                )
            )
            if pause_s:
                time.sleep(pause_s)  # the pace of the clicks, nothing is waited for
        sender.flush()
        for future in sent:
            future.get(30)
        sender.close()

    def asked(self) -> dict[str, int]:
        """User -> newest event that any request knows."""
        newest: dict[str, int] = {}
        for record in read_all(self.broker.bootstrap, self.names.requests):
            header = decode_request(record.value).header
            newest[header.user] = max(newest.get(header.user, -1), header.offset)
        return newest

    def newest_events(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for record in read_all(self.broker.bootstrap, self.names.events):
            found[record.key.decode()] = record.offset
        return found

    def num_requests(self) -> int:
        return sum(admin.end_offsets(self.broker.bootstrap, self.names.requests).values())

    def wait_until(self, true: Callable[[], bool], what: str) -> None:
        ends_s = time.monotonic() + WAIT_S
        while not true():
            self._restart_who_gave_up()
            logs = "".join(path.read_text()[-1500:] for path in self.folder.glob("*.log"))
            assert time.monotonic() < ends_s, f"still not: {what}\n{logs}"
            time.sleep(0.1)

    def _restart_who_gave_up(self) -> None:
        """As a supervisor does: on a busy machine a worker may stand still for longer than it trusts."""
        for name, worker in list(self.workers.items()):
            if worker.poll() == GAVE_UP:
                self.launch(name)

    def check_complete(self) -> None:
        """Everything is committed, asked for, and stored exactly once."""
        bootstrap, names = self.broker.bootstrap, self.names

        def all_committed() -> bool:
            done = admin.committed(bootstrap, names.worker_app, names.events)
            ends = admin.end_offsets(bootstrap, names.events)
            return all(done.get(number, 0) == end for number, end in ends.items())

        self.wait_until(all_committed, "all events committed")
        ledger = balance(bootstrap, self.settings)
        assert ledger.stored == ledger.expected
        assert self.asked() == self.newest_events()

    def stop(self) -> None:
        for worker in self.workers.values():
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.terminate()
        for worker in self.workers.values():
            try:
                worker.wait(20)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
