"""What the doctor says of machines that we make up."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops import cli, doctor, exit_codes, jars
from ops.doctor import GB, Finding, Level
from ops.jars import Jar
from stream.settings import Settings, load


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Nothing is there yet, and nothing of this machine is looked at."""
    places = {
        "broker": {"data_dir": tmp_path / "kafka", "port": 0},
        "models": {"dir": tmp_path / "models"},
        "data": {"dir": tmp_path / "data", "cache": tmp_path / "cache"},
    }
    return load(None, places, {})


@pytest.mark.parametrize(
    ("finding", "level"),
    [
        (doctor.python((3, 10)), Level.FAIL),
        (doctor.python((3, 13)), Level.OK),
        (doctor.memory(GB // 2), Level.FAIL),
        (doctor.memory(2 * GB), Level.WARN),
        (doctor.memory(8 * GB), Level.OK),
        (doctor.disk(Path("x"), GB // 10), Level.FAIL),
        (doctor.disk(Path("x"), 2 * GB), Level.WARN),
        (doctor.disk(Path("x"), 50 * GB), Level.OK),
        (doctor.topics({}, {"events": 4}), Level.WARN),
        (doctor.topics({"events": 3}, {"events": 4}), Level.FAIL),
        (doctor.topics({"events": 4}, {"events": 4}), Level.OK),
    ],
)
def test_levels_and_advice(finding: Finding, level: Level) -> None:
    """Whatever is not well comes with advice, and only that."""
    assert finding.level is level
    assert bool(finding.advice) == (level is not Level.OK)


def test_a_wrong_partition_count_is_named(settings: Settings) -> None:
    """Both numbers are in the line."""
    assert "shop.events has 3, not 4" in doctor.topics({"shop.events": 3}, {"shop.events": 4}).found


def test_a_taken_port_names_its_holder(settings: Settings, tmp_path: Path) -> None:
    """Who listens where our broker would is told, and is fine if a broker is configured."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = {"broker": {"data_dir": tmp_path, "port": taken.getsockname()[1]}}

        alone = doctor.port(load(None, port, {}))
        configured = doctor.port(load(None, {**port, "kafka": {"bootstrap": "far:1"}}, {}))

    assert alone.level is Level.WARN
    assert "is held by" in alone.found
    assert configured.level is Level.OK


def test_archives_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absent ones will be fetched, a damaged one is a failure that names the file."""
    monkeypatch.setattr(jars, "locked", lambda: [Jar("org.example:thing", "1.0", "0" * 64)])
    absent = doctor.archives(tmp_path)
    (tmp_path / "thing-1.0.jar").write_bytes(b"other")

    damaged = doctor.archives(tmp_path)

    assert absent.level is Level.WARN
    assert damaged.level is Level.FAIL
    assert "thing-1.0.jar" in damaged.found


def test_a_damaged_registry_is_a_failure(tmp_path: Path) -> None:
    """No version yet is a warning; a registry that cannot be read is not."""
    assert doctor.versions(tmp_path / "none").level is Level.WARN
    (tmp_path / "current.json").write_text("{")

    assert doctor.versions(tmp_path).level is Level.FAIL


def test_data_sets_are_found_by_name(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory or an archive in one of the known places counts."""
    monkeypatch.chdir(tmp_path)
    assert doctor.data_sets(settings, {}).level is Level.WARN

    (tmp_path / "elsewhere" / "ml-100k").mkdir(parents=True)
    found = doctor.data_sets(settings, {"HOPSTREAM_DATA": str(tmp_path / "elsewhere")})

    assert (found.level, found.found) == (Level.OK, "ml-100k")


def test_no_broker_is_a_failure_only_where_one_is_configured(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours can be started; a named one that is away needs a person."""
    monkeypatch.setattr(doctor, "ANSWER_S", 0.1)
    named = settings.model_copy(
        update={"kafka": settings.kafka.model_copy(update={"bootstrap": "127.0.0.1:1"})}
    )

    assert [finding.level for finding in doctor.broker(named)] == [Level.FAIL]
    assert [finding.level for finding in doctor.broker(settings)] == [Level.WARN]


def test_one_failure_is_the_exit_status(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The report is complete either way, for people and as JSON."""
    monkeypatch.chdir(tmp_path)
    found = [Finding("disk", Level.OK, "50 GB"), Finding("java", Level.FAIL, "missing", "install it")]
    monkeypatch.setattr(doctor, "examine", lambda *_: found)

    for_people = CliRunner().invoke(cli.app, ["doctor"])
    for_scripts = CliRunner().invoke(cli.app, ["doctor", "--json"])

    assert for_people.exit_code == for_scripts.exit_code == exit_codes.CHECK_FAILED
    assert "missing → install it" in for_people.output
    told = json.loads(for_scripts.output.splitlines()[-1])
    assert not told["ok"]
    assert [row["level"] for row in told["findings"]] == ["ok", "fail"]
