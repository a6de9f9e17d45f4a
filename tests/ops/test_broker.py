"""The broker's configuration and its refusals that need no Java."""

from __future__ import annotations

import fcntl
import socket
from pathlib import Path

import pytest

from ops import broker, ports
from ops.broker import Broker
from ops.errors import DirectoryRefused, PortBusy
from stream.settings import load


class NoJars(Broker):
    """A broker whose archives are there without a network."""

    def start(self, *_: object) -> None:
        self._take_directory()
        try:
            self._choose_port()
            self._format()
        finally:
            self.stop()


def test_only_this_machine_can_connect() -> None:
    """Every listener is bound to 127.0.0.1, and topics are never made by accident."""
    text = broker.properties(9092, 9093, Path("log"))
    fields = dict(line.split("=", 1) for line in text.splitlines())

    assert fields["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
    assert fields["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9092"
    assert fields["auto.create.topics.enable"] == "false"


def test_a_load_test_gets_the_full_compiler(tmp_path: Path) -> None:
    """A small heap means a quick start, a large one full speed."""
    assert "-XX:TieredStopAtLevel=1" in broker.java_options(256, tmp_path)
    assert "-XX:TieredStopAtLevel=1" not in broker.java_options(512, tmp_path)


def test_somebody_elses_directory_is_refused(tmp_path: Path) -> None:
    """Files that no broker of ours wrote are left alone."""
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(DirectoryRefused, match="has files in it"):
        NoJars(tmp_path).start()

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_log_of_another_cluster_is_refused(tmp_path: Path) -> None:
    """A log that was moved in from elsewhere is named with both cluster ids."""
    (tmp_path / "cluster-id").write_text("ours\n")
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "meta.properties").write_text("version=1\ncluster.id=theirs\nnode.id=1\n")

    with pytest.raises(DirectoryRefused, match="cluster theirs, not of ours"):
        NoJars(tmp_path).start()


def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    """The error names the port and the process that listens on it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(PortBusy, match=rf"127\.0\.0\.1:{port} is held by .*process"):
            NoJars(tmp_path / "kafka", port=port).start()


def test_a_given_address_always_wins(tmp_path: Path) -> None:
    """A configured broker is used even while one of ours runs."""
    settings = load(None, {"kafka": {"bootstrap": "far:1"}, "broker": {"data_dir": tmp_path}}, {})

    assert broker.resolve_bootstrap(settings) == "far:1"


def test_an_address_left_by_a_crash_is_not_believed(tmp_path: Path) -> None:
    """Only a held lock makes the noted address count."""
    (tmp_path / "bootstrap").write_text("127.0.0.1:4242\n")
    (tmp_path / "lock").write_text("1\n")
    assert broker.running(tmp_path) is None

    with (tmp_path / "lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert broker.running(tmp_path) == "127.0.0.1:4242"


def test_free_ports_are_free() -> None:
    """A port handed out as free can be bound, and nobody answers there."""
    port = ports.free_port("127.0.0.1")

    assert ports.is_free("127.0.0.1", port)
    assert not ports.answers("127.0.0.1", port)
