"""What `hopstream train` publishes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from model.checkpoint import FILE, Checkpoints
from model.errors import NotEnoughData
from model.registry import Registry
from model.themed import Themed
from ops import exit_codes
from ops.cli import app
from ops.datasets.errors import DatasetMissing
from ops.evaluation.naming import ModelNameInvalid


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
    [
        ["--budget", "soon"],
        ["--budget", "0s"],
        ["--part", "cold"],
        ["--part", "all", "--evaluate"],
        ["--recipe", "dim=64"],
        ["--recipe", "budget_s=5"],
    ],
)
def test_contradictions_are_usage_errors(events: Path, tmp_path: Path, arguments: list[str]) -> None:
    """A budget is a duration, and events that were trained on judge nothing."""
    result = CliRunner().invoke(app, ["train", str(events), "--models", str(tmp_path / "m"), *arguments])

    assert result.exit_code == exit_codes.USAGE
    assert not (tmp_path / "m").exists()


def test_the_recipe_may_be_changed_by_field(events: Path, tmp_path: Path) -> None:
    """What was changed stands in the manifest, the rest is the default."""
    models = tmp_path / "models"
    changes = "max_epochs=1,full_softmax_items=50,precision=bf16"
    result = CliRunner().invoke(app, ["train", str(events), "--models", str(models), "--recipe", changes])
    assert result.exit_code == exit_codes.OK, result.output
    recipe = Registry(models).load("000001").manifest["train_config"]

    assert (recipe["max_epochs"], recipe["full_softmax_items"], recipe["precision"]) == (1, 50, "bf16")
    assert recipe["negatives"] == 512


def test_an_unknown_field_of_the_recipe_is_named(events: Path, tmp_path: Path) -> None:
    """With the nearest one that there is."""
    arguments = ["train", str(events), "--models", str(tmp_path), "--recipe", "precison=bf16"]
    found = CliRunner().invoke(app, arguments).exception

    assert isinstance(found, ModelNameInvalid)
    assert "precision" in str(found)


def test_an_interrupted_training_goes_on(
    events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended by Ctrl-C after an epoch: the next run keeps that epoch, publishes and forgets the checkpoint."""
    arguments = ["train", str(events), "--models", str(tmp_path / "m"), "--resume", str(tmp_path / "c")]
    arguments += ["--recipe", "max_epochs=2"]
    save = Checkpoints.save

    def interrupted(self: Checkpoints, identity: dict[str, str], state: dict[str, Any]) -> None:
        save(self, identity, state)
        if state["run"]["curve"]:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "due", lambda self: True)
    monkeypatch.setattr(Checkpoints, "save", interrupted)
    ended = CliRunner().invoke(app, arguments)
    left = torch.load(tmp_path / "c" / FILE, weights_only=True)["state"]["run"]["curve"]
    monkeypatch.setattr(Checkpoints, "save", save)
    result = CliRunner().invoke(app, arguments)

    assert ended.exit_code != exit_codes.OK
    assert result.exit_code == exit_codes.OK, result.output
    assert Registry(tmp_path / "m").load("000001").learning_curve[0] == left[0]
    assert not (tmp_path / "c" / FILE).exists()


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


@pytest.fixture
def hoppers(tmp_path: Path) -> Path:
    """Five users with seven sessions of four events each, three hours apart, among six items of a kind."""
    path = tmp_path / "hoppers.csv"
    rows = [
        (
            10_800 * session + 60 * event + user,
            user,
            6 * ((user + session) % 3) + (user + event * session) % 6,
        )
        for user in range(5)
        for session in range(7)
        for event in range(4)
    ]
    path.write_text("user,item,ts\n" + "".join(f"u{user},i{item},{ts}\n" for ts, user, item in sorted(rows)))
    return path


def trained_with(hoppers: Path, models: Path, *words: str) -> dict[str, Any]:
    shared = ["--models", str(models), "--recipe", "max_epochs=1", "--json"]
    result = CliRunner().invoke(app, ["train", str(hoppers), *shared, *words])
    assert result.exit_code == exit_codes.OK, result.output
    told: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("kept", [True, False])
def test_themes_become_a_second_version_only_if_no_worse(
    hoppers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """Either way both numbers stand in the manifest and in what is said; the child names its parent."""
    monkeypatch.setattr(Themed, "kept", kept)
    told = trained_with(hoppers, tmp_path / "m", "--themes", "--budget", "100ms", "--evaluate")
    registry = Registry(tmp_path / "m")

    assert list(registry.list()) == ["000001", "000002"][: 1 + kept]
    first, last = registry.load("000001"), registry.load(told["version"])
    assert first.mos is None
    assert first.manifest["train_config"]["budget_s"] == pytest.approx(0.06)  # the rest was for themes
    for version in (first, last):
        assert version.manifest["metrics"]["themes_events"] == 5
        assert 0 < version.manifest["metrics"]["themes_ndcg"] <= 1
        assert 0 < version.manifest["metrics"]["themes_plain_ndcg"] <= 1
    assert ("model + themes" in told["evaluation"]["lines"]) == kept
    if kept:
        assert last.manifest["parent"] == "000001"
        assert last.mos is not None
        assert len(last.themes.labels) == last.mos.config.num_themes == 8


@pytest.mark.parametrize("words", [("--budget", "100ms"), ("--no-themes",)])
def test_themes_can_be_left_out(hoppers: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    """A budget is the network's alone unless themes are asked for, and they can be declined."""
    told = trained_with(hoppers, tmp_path / "m", *words)

    assert "themes_ndcg" not in told["metrics"]
    assert list(Registry(tmp_path / "m").list()) == ["000001"]
