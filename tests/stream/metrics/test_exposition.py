"""What every role shows: names that Prometheus likes, bounded series, a port that is always had."""

from __future__ import annotations

import random
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from stream.metrics.exposition import Current, new_registry, serve
from stream.metrics.worker import MAX_THEMES, WorkerMetrics
from stream.standings import MAX_LINES
from tests.stream.metrics import roles

ROLES = ("worker", "scorer", "evaluator", "trainer", "replay", "server")
#: Samples of one role, histogram buckets included; at 1,024 partitions the lag alone has as many.
MAX_SERIES = 800


@pytest.mark.parametrize("role", ROLES)
def test_prometheus_finds_no_fault_with_any_role(role: str, tmp_path: Path) -> None:
    """Names, units and help texts pass its own linter without a word."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian's package `prometheus` has it)")
    text = generate_latest(roles.registries(tmp_path)[role])
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, timeout=30, check=False
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def num_series(registry: object) -> int:
    return sum(1 for line in generate_latest(registry).splitlines() if not line.startswith(b"#"))  # type: ignore[arg-type]


def test_twenty_thousand_users_make_no_more_series_than_one(tmp_path: Path) -> None:
    """Labels name kinds, never users or items; unknown themes beyond the bound share one series."""
    metrics = roles.worker(tmp_path)
    before = num_series(metrics.registry)
    draw = random.Random(0)
    for user in range(20_000):
        metrics.seen("positive")
        metrics.closed(1 + user % 32, user, full=False, switched=bool(user % 2))
        metrics.event_to_request.observe(draw.random())
    after = num_series(metrics.registry)

    assert after - before <= MAX_THEMES
    assert after < MAX_SERIES


@pytest.mark.parametrize("role", ROLES)
def test_every_role_stays_below_the_bound(role: str, tmp_path: Path) -> None:
    """The evaluator with as many lines as it tells apart, all others as they are."""
    registry = roles.registries(tmp_path)[role]
    if role == "evaluator":
        metrics = roles.evaluator(tmp_path)
        metrics.reported(roles.report(tuple(f"line {number}" for number in range(MAX_LINES))))
        registry = metrics.registry

    assert num_series(registry) < MAX_SERIES


def test_no_series_tells_when_it_was_made(tmp_path: Path) -> None:
    """`_created` samples would double the counters."""
    text = b"".join(generate_latest(registry) for registry in roles.registries(tmp_path).values())

    assert b"_created" not in text


def test_samples_are_replaced_as_a_whole() -> None:
    """A partition that went to another worker has no series any more."""
    registry = new_registry()
    lag = Current(registry, "lag", "Waiting.", ["partition"])
    lag.set({("0",): 5.0, ("1",): 6.0})
    lag.set({("1",): 7.0})

    assert registry.get_sample_value("lag", {"partition": "0"}) is None
    assert registry.get_sample_value("lag", {"partition": "1"}) == 7.0


def test_a_second_role_takes_a_free_port() -> None:
    """Both answer; port 0 is off."""
    first_metrics, second_metrics = WorkerMetrics(), WorkerMetrics()
    second_metrics.seen("positive")
    held = serve(first_metrics.registry, "127.0.0.1", _free_port())
    assert held is not None
    second = serve(second_metrics.registry, "127.0.0.1", held.port)
    assert second is not None
    try:
        found = [_read(served.port) for served in (held, second)]
    finally:
        held.close()
        second.close()

    assert second.port != held.port
    assert b'hopstream_events_total{type="positive"} 0.0' in found[0]
    assert b'hopstream_events_total{type="positive"} 1.0' in found[1]
    assert serve(first_metrics.registry, "127.0.0.1", 0) is None


def _free_port() -> int:
    from ops.ports import free_port

    return free_port("127.0.0.1")


def _read(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return bytes(answer.read())


def test_free_bytes_are_told_before_the_directory_is_there(tmp_path: Path) -> None:
    """The file system is that of the nearest directory that exists."""
    registry = new_registry(tmp_path / "not" / "yet")
    free = registry.get_sample_value("hopstream_disk_free_bytes")

    assert free is not None
    assert 0 < free <= (registry.get_sample_value("hopstream_disk_size_bytes") or 0)
