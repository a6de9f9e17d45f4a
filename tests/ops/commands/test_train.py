"""What `hopstream train` publishes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.errors import NotEnoughData
from model.registry import Registry
from ops import exit_codes
from ops.cli import app
from ops.datasets.errors import DatasetMissing


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Thirty users who walk round one circle of twelve items, an hour apart."""
    path = tmp_path / "circle.csv"
    rows = (f"u{place % 30},i{(place % 30 + place // 30) % 12},{3600 * place}" for place in range(300))
    path.write_text("user,item,ts\n" + "\n".join(rows) + "\n")
    return path


def test_a_file_becomes_a_version_that_serves(events: Path, tmp_path: Path) -> None:
    """The last line tells what the registry then holds; the rest of the events were judged."""
    models = tmp_path / "models"
    result = CliRunner().invoke(
        app, ["train", str(events), "--models", str(models), "--budget", "500ms", "--evaluate", "--json"]
    )
    assert result.exit_code == exit_codes.OK, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    version = Registry(models).load("000001")

    assert (told["version"], told["epoch"], told["events"]) == ("000001", 1, 240)
    assert version.manifest["metrics"] == told["metrics"]
    assert version.manifest["train_config"]["budget_s"] == 0.5
    assert told["evaluation"]["judged"] == 60
    assert set(told["evaluation"]["lines"]) == {"model", "popular", "popular-decayed"}


def test_every_event_can_be_trained_on(events: Path, tmp_path: Path) -> None:
    """With --part all nothing is left out, and without --json people get sentences."""
    models = tmp_path / "models"
    result = CliRunner().invoke(
        app, ["train", str(events), "--part", "all", "--models", str(models), "--budget", "1ms"]
    )

    assert result.exit_code == exit_codes.OK, result.output
    assert "version 000001" in result.stdout
    assert Registry(models).load("000001").manifest["events"] == 300


@pytest.mark.parametrize(
    "arguments",
    [["--budget", "soon"], ["--budget", "0s"], ["--part", "cold"], ["--part", "all", "--evaluate"]],
)
def test_contradictions_are_usage_errors(events: Path, tmp_path: Path, arguments: list[str]) -> None:
    """A budget is a duration, and events that were trained on judge nothing."""
    result = CliRunner().invoke(app, ["train", str(events), "--models", str(tmp_path / "m"), *arguments])

    assert result.exit_code == exit_codes.USAGE
    assert not (tmp_path / "m").exists()


def test_an_unknown_set_is_not_found(tmp_path: Path) -> None:
    """Nothing is published for a name that means nothing."""
    found = CliRunner().invoke(app, ["train", "nosuch", "--models", str(tmp_path)]).exception

    assert isinstance(found, DatasetMissing)


def test_too_few_events_are_refused(tmp_path: Path) -> None:
    """Two events make no model, and the message says so."""
    path = tmp_path / "few.csv"
    path.write_text("user,item,ts\na,x,0\na,y,1\n")
    found = CliRunner().invoke(app, ["train", str(path), "--models", str(tmp_path / "m")]).exception

    assert isinstance(found, NotEnoughData)
    assert not (tmp_path / "m").exists()
