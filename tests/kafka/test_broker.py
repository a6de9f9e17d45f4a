"""The embedded broker from outside: starts, refusals, stops, and no Java left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops import exit_codes, ports, processes
from ops.broker import Broker, resolve_bootstrap, running
from ops.errors import BrokerFailed, DirectoryRefused, PortBusy
from stream import admin
from stream.settings import load
from stream.topics import TopicNames

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "kafka"


def is_gone(pid: int) -> bool:
    """Nobody reaps the orphans of a container, so a zombie counts as gone."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Verb:
    """`hopstream broker` as a process of its own."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        self.ready_file = data_dir.parent / "ready"
        command = [sys.executable, "-m", "ops.cli", "broker", "--data-dir", str(data_dir), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--json", "--ready-file", str(self.ready_file), *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_ready(self) -> None:
        assert processes.eventually(
            lambda: self.ready_file.exists() or self.process.poll() is not None, timeout_s=90
        )
        assert self.process.poll() is None, self.process.communicate()


@pytest.fixture
def verb(data_dir: Path) -> Iterator[Verb]:
    made = Verb(data_dir)
    yield made
    made.process.kill()
    made.process.communicate()


def test_a_second_start_finds_what_the_first_left(data_dir: Path) -> None:
    """The same cluster with the same topics answers after a clean stop and after a kill -9."""
    names = TopicNames("kept.")
    with Broker(data_dir) as first:
        admin.ensure_topics(first.bootstrap, names, 2)
        made = admin.topic_ids(first.bootstrap, [names.events]), admin.cluster_id(first.bootstrap)
    with Broker(data_dir) as second:
        again = admin.topic_ids(second.bootstrap, [names.events]), admin.cluster_id(second.bootstrap)
        os.kill(second.pid, signal.SIGKILL)
    with Broker(data_dir) as third:
        after_a_kill = admin.topic_ids(third.bootstrap, [names.events]), admin.cluster_id(third.bootstrap)

    assert made == again == after_a_kill


def test_a_running_broker_is_found_and_a_stopped_one_is_not(data_dir: Path) -> None:
    """Other verbs learn the address from the data directory, only while the broker runs."""
    settings = load(None, {"broker": {"data_dir": data_dir, "port": 12345}}, {})
    with Broker(data_dir) as broker:
        assert running(data_dir) == broker.bootstrap == resolve_bootstrap(settings)

    assert running(data_dir) is None
    assert resolve_bootstrap(settings) == "127.0.0.1:12345"


def test_a_directory_in_use_is_refused(broker: Broker) -> None:
    """A second broker does not touch the first one's directory, and says who holds it."""
    with pytest.raises(DirectoryRefused, match=rf"already runs in .*process {os.getpid()}"):
        Broker(broker.data_dir).start()

    assert admin.wait_for_broker(broker.bootstrap).num_brokers == 1


def test_a_busy_port_is_refused(broker: Broker, data_dir: Path) -> None:
    """The error names the port and its holder; no broker is started and the directory is free again."""
    with pytest.raises(PortBusy, match=rf"{broker.port} is held by java \(process {broker.pid}\)"):
        Broker(data_dir, port=broker.port).start()

    assert running(data_dir) is None


def test_a_broker_that_cannot_start_shows_its_log(data_dir: Path) -> None:
    """What Java said is in the error, and nothing is left running."""
    with Broker(data_dir) as laid_out:
        pass
    (data_dir / "log" / "meta.properties").write_text(
        f"version=1\ncluster.id={(data_dir / 'cluster-id').read_text().strip()}\nnode.id=99\n"
    )

    with pytest.raises(BrokerFailed, match=r"(?s)ended with status 1.*node id 99"):
        laid_out.start()

    assert not laid_out.alive


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_verb_stops_cleanly(verb: Verb, data_dir: Path, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C end Kafka first and the verb with 0; its one line of output is JSON."""
    verb.wait_ready()

    verb.process.send_signal(number)
    output, _ = verb.process.communicate(timeout=60)
    told = json.loads(output)

    assert verb.process.returncode == exit_codes.OK
    assert is_gone(told["pid"])
    assert running(data_dir) is None
    assert not ports.answers("127.0.0.1", int(told["bootstrap"].rpartition(":")[2]))


def test_killing_the_verb_leaves_no_java(verb: Verb, data_dir: Path) -> None:
    """After kill -9 of the verb its Java machine goes too, and the directory can be used again."""
    verb.wait_ready()
    java = psutil.Process(verb.process.pid).children()[0].pid

    verb.process.kill()
    verb.process.wait()

    assert processes.eventually(lambda: is_gone(java), timeout_s=10)
    with Broker(data_dir) as again:
        assert admin.wait_for_broker(again.bootstrap).num_brokers == 1


def test_the_verb_ends_with_its_broker(verb: Verb) -> None:
    """A Java machine that dies takes the verb with it: status 70, for a supervisor to start it again."""
    verb.wait_ready()

    psutil.Process(verb.process.pid).children()[0].kill()
    _, said = verb.process.communicate(timeout=60)

    assert verb.process.returncode == exit_codes.INFRASTRUCTURE
    assert "The Java machine went away" in said


def test_a_stop_during_the_start_is_no_error(verb: Verb) -> None:
    """SIGTERM before the broker is ready ends with 0 and leaves no Java."""
    parent = psutil.Process(verb.process.pid)
    assert processes.eventually(lambda: bool(parent.children()), timeout_s=60)
    java = parent.children()[0].pid

    verb.process.terminate()
    verb.process.communicate(timeout=90)

    assert verb.process.returncode == exit_codes.OK
    assert is_gone(java)
