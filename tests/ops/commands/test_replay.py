"""What `hopstream replay` and `hopstream validate` refuse, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops import exit_codes
from ops.cli import app
from ops.datasets.errors import DatasetMissing
from stream.errors import BrokerUnreachable


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay"],
        ["replay", "ml-100k", "--simulate"],
        ["replay", "--simulate", "--max", "--rate", "5"],
        ["replay", "--simulate", "--rate", "0"],
        ["replay", "x.csv", "--time-unit", "h"],
        ["validate", "x.csv", "--time-unit", "h"],
    ],
)
def test_contradictions_are_usage_errors(arguments: list[str]) -> None:
    """One data set, one pace, a known unit."""
    assert CliRunner().invoke(app, arguments).exit_code == exit_codes.USAGE


def test_an_unknown_set_is_not_found_even_without_a_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set is looked at first."""
    monkeypatch.setenv("HOPSTREAM_KAFKA__BOOTSTRAP", "127.0.0.1:9")
    found = CliRunner().invoke(app, ["replay", "nosuch", "--max"]).exception

    assert isinstance(found, DatasetMissing)
    assert found.exit_code == exit_codes.NOT_FOUND


def test_without_a_broker_nothing_is_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to start one."""
    monkeypatch.setenv("HOPSTREAM_KAFKA__BOOTSTRAP", "127.0.0.1:9")
    found = CliRunner().invoke(app, ["replay", "--simulate", "--limit", "5"]).exception

    assert isinstance(found, BrokerUnreachable)


@pytest.mark.parametrize(("time", "code"), [("2", exit_codes.OK), ("0", exit_codes.CHECK_FAILED)])
def test_validate_ends_as_its_report_does(tmp_path: Path, time: str, code: int) -> None:
    """A file with a repeated event fails; the last line is the report as JSON."""
    path = tmp_path / "few.csv"
    path.write_text(f"user,item,ts\na,x,0\na,x,{time}\n")
    result = CliRunner().invoke(app, ["validate", str(path), "--json"])

    assert result.exit_code == code
    assert json.loads(result.stdout.splitlines()[-1])["passed"] is (code == exit_codes.OK)
