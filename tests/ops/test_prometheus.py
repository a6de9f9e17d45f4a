"""The table of metrics, the rules and the alerts: each says what there is, each alert was seen to fire."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.contract.test_docs import first_names, rows
from tests.stream.metrics import roles

FOLDER = Path(__file__).parents[2] / "ops" / "prometheus"
ALERTS = sorted(re.findall(r"alert: (\w+)", (FOLDER / "alerts.yml").read_text()))
WATCHED = {name for names in roles.WATCHED.values() for name in names}


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian's package `prometheus` has it)")
    return found


def ran(promtool: str, *arguments: str) -> str:
    """What promtool said; fails unless it was content."""
    done = subprocess.run(
        [promtool, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def told(registries: dict[str, CollectorRegistry]) -> dict[str, dict[str, Any]]:
    """Metric → type, labels, roles and help text, as a scrape of all roles shows them."""
    found: dict[str, dict[str, Any]] = {}
    for role, registry in registries.items():
        for family in registry.collect():
            if family.name.startswith("process_"):
                continue
            name = family.name + ("_total" if family.type == "counter" else "")
            entry = found.setdefault(
                name, {"type": family.type, "labels": set(), "roles": [], "text": family.documentation}
            )
            entry["labels"] |= {label for sample in family.samples for label in sample.labels} - {"le"}
            entry["roles"].append(role)
    return found


def test_the_table_has_every_metric_as_it_is(tmp_path: Path) -> None:
    """Name, type, labels, meaning and roles of each, and no row without a metric."""
    written = {
        row[0].strip("`"): {
            "type": row[1],
            "labels": set() if row[2] == "none" else set(row[2].split(", ")),
            "roles": row[5].split(", "),
            "text": row[4],
        }
        for row in rows("ops/README.md", "Metrics")
    }
    found = told(roles.registries(tmp_path))
    for name in WATCHED:  # named by the compositions, which know the text
        written[name].pop("text")
        found[name].pop("text")

    assert written == found


def test_rules_ask_for_metrics_that_exist(tmp_path: Path) -> None:
    """No alert waits for a name that nobody exports."""
    text = (FOLDER / "recording.yml").read_text() + (FOLDER / "alerts.yml").read_text()
    asked = set(re.findall(r"\bhopstream_\w+", text))
    known = set(told(roles.registries(tmp_path)))
    known |= {f"{name}_{part}" for name in known for part in ("bucket", "sum", "count")}

    assert asked - known == set()
    recorded = set(re.findall(r"record: (\S+)", text))
    assert set(re.findall(r"\bhopstream:[\w:]+", text)) == recorded


def test_every_alert_has_its_line_in_the_runbook() -> None:
    """And no line speaks of another."""
    assert sorted(first_names("ops/README.md", "Alerts")) == ALERTS


def test_every_alert_is_tested_both_ways() -> None:
    """It fires in one world and is silent in another."""
    text = (FOLDER / "rules_test.yml").read_text()
    silent = set(re.findall(r"alertname: (\w+), exp_alerts: \[\]", text))
    fires = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n\s+- exp_labels", text))

    assert sorted(silent) == ALERTS
    assert sorted(fires) == ALERTS


def test_prometheus_takes_the_configuration(promtool: str) -> None:
    """Scrapes, recording rules and alerts."""
    assert "SUCCESS" in ran(promtool, "check", "config", "prometheus.yml")


def test_alerts_fire_when_they_must_and_only_then(promtool: str) -> None:
    """The worlds of rules_test.yml, by Prometheus' own engine."""
    assert "SUCCESS" in ran(promtool, "test", "rules", "rules_test.yml")
