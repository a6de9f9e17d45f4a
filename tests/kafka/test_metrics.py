"""What running roles show Prometheus, on a real broker."""

from __future__ import annotations

import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ops.broker import Broker
from ops.processes import eventually
from ops.supervisor import Supervisor, verb
from stream.clients import producer
from stream.events import Interaction, encode
from stream.partition import partition_of
from stream.topics import TopicNames
from tests.contract.test_docs import first_names
from tests.stream.metrics.roles import WATCHED

pytestmark = pytest.mark.timeout(300)

PARTITIONS = 4
ROLES = ("worker", "scorer", "evaluator")
NUM_EVENTS = 40


def scraped(folder: Path) -> dict[str, str]:
    """Role → what it answers at the port that its log names."""
    found = {}
    for line in (folder / "roles.log").read_text().splitlines():
        told = re.search(r"(worker|scorer|evaluator).*metrics at (http://\S+)", line)
        if told:
            with urllib.request.urlopen(told[2], timeout=10) as answer:
                found[told[1]] = answer.read().decode()
    return found


def total(text: str, name: str) -> float:
    """Sum over the series of one sample name."""
    families = text_string_to_metric_families(text)
    return sum(sample.value for one in families for sample in one.samples if sample.name == name)


def test_running_roles_show_what_they_did(
    broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clicks of ten users are counted, answered and judged; each metric that runs is in the table
    and the linter of Prometheus is silent."""
    names = TopicNames(prefix)
    settings = {
        "KAFKA__BOOTSTRAP": broker.bootstrap,
        "KAFKA__PREFIX": prefix,
        "KAFKA__PARTITIONS": str(PARTITIONS),
        "MODELS__DIR": str(tmp_path / "models"),
        "EVALUATOR__REPORT_MS": "200ms",
    } | {f"{role.upper()}__DATA_DIR": str(tmp_path / role) for role in ROLES}
    for name, value in settings.items():
        monkeypatch.setenv(f"HOPSTREAM_{name}", value)
    with Supervisor(tmp_path) as supervisor:
        for role in ROLES:
            supervisor.start(verb(role))
        sender = producer(broker.bootstrap)
        for number in range(NUM_EVENTS):
            user = f"u{number % 10}"
            event = Interaction(ts=1_000_000 + number, user=user, item=f"i{number % 7}", type="click")
            place = partition_of(user, PARTITIONS)
            sender.send(names.events, encode(event), user.encode(), partition=place).get(30)
        sender.close()

        def all_told() -> bool:
            found = scraped(tmp_path)
            return (
                set(found) == set(ROLES)
                and total(found["evaluator"], "hopstream_judged_events_total") == NUM_EVENTS - 10
                and total(found["scorer"], "hopstream_consumer_lag_records") == 0
            )

        assert eventually(all_told, timeout_s=60), scraped(tmp_path)
        found = scraped(tmp_path)

    assert total(found["worker"], "hopstream_events_total") == NUM_EVENTS
    assert total(found["worker"], "hopstream_event_to_request_seconds_count") == NUM_EVENTS
    assert total(found["worker"], "hopstream_state_recovery_seconds") > 0
    assert total(found["scorer"], "hopstream_requests_total") == NUM_EVENTS
    assert total(found["scorer"], "hopstream_event_to_list_seconds_count") == NUM_EVENTS
    assert total(found["scorer"], "hopstream_lists_degraded_total") == NUM_EVENTS
    table = set(first_names("ops/README.md", "Metrics"))
    for role, text in found.items():
        shown = set(re.findall(r"^# TYPE (hopstream_\w+) ", text, re.M))
        assert shown <= table
        assert set(WATCHED.get(role, ())) <= shown
    if promtool := shutil.which("promtool"):
        for text in found.values():
            checked = subprocess.run([promtool, "check", "metrics"], input=text.encode(), capture_output=True)
            assert (checked.returncode, checked.stderr) == (0, b"")
