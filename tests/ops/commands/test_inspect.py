"""What `hopstream inspect` tells of versions, themes and items, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from model.catalogue import Catalogue
from model.config import FIRST_ITEM_ROW, ModelConfig, TrainConfig
from model.errors import VersionMissing
from model.mme import FuxiMME
from model.registry import Registry
from model.themes import ThemeTable
from model.version import Trained
from ops import exit_codes
from ops.cli import app
from ops.datasets.errors import DatasetMissing
from ops.portraits.item import ItemMissing
from ops.portraits.theme import ThemeMissing

CONFIG = ModelConfig(dim=16, streams=2, blocks=2, heads=2, experts=3, max_events=24)
NOWHERE = "127.0.0.1:1"  # nobody listens there


def trained(seed: int) -> Trained:
    """Twelve items: war0..5 point one way and are War, love0..5 another and are Love, which nobody touched
    but once. All tokens go to expert 0."""
    torch.manual_seed(seed)
    catalogue = Catalogue([f"{side}{number}" for side in ("war", "love") for number in range(6)])
    model = FuxiMME(CONFIG, catalogue.num_rows).eval().requires_grad_(False)
    sides = np.repeat(np.eye(2, 8), 6, axis=0)[:, None] * np.ones((1, 2, 1))
    near = np.random.default_rng(seed).normal(0, 0.05, (12, 2, 8))
    model.items[FIRST_ITEM_ROW:] = torch.from_numpy((sides + near).astype(np.float32))
    for name, parameter in model.named_parameters():
        if name.endswith("gate_dE"):
            parameter.zero_()
    logits = np.array([[9 - place % 6, 1] if place < 6 else [1, 3 + place % 6] for place in range(12)])
    return Trained(
        config=CONFIG,
        train_config=TrainConfig(seed=seed),
        catalogue=catalogue,
        weights={name: tensor.numpy().copy() for name, tensor in model.state_dict().items()},
        index=model.item_index().numpy().copy(),
        themes=ThemeTable(catalogue, logits.astype(np.float32), ["War", "Love"]),
        popularity=np.array([10, 20, 30, 40, 50, 60, 0, 1, 0, 0, 0, 0]),
        learning_curve=[
            {"epoch": 1, "loss": 2.5, "full_ndcg": 0.2},
            {"epoch": 2, "loss": 2.25, "full_ndcg": 0.3},
            {"epoch": 3, "loss": 2.0, "full_ndcg": 0.1},
        ],
        metrics={"best_epoch": 2.0},
        num_events=211,
        data_digest="0" * 64,
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions; in the second one War and Love have changed numbers."""
    torch.set_num_threads(1)  # two threads on a busy core wait for each other
    directory = tmp_path_factory.mktemp("models")
    first, second = trained(0), trained(1)
    swapped = ThemeTable(second.catalogue, second.themes.logits_IK[:, ::-1].copy(), ["Love", "War"])
    for one in (first, replace(second, themes=swapped)):
        Registry(directory).publish(one)
    return directory


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four users with seven events each, and titles of three items."""
    path = tmp_path_factory.mktemp("events") / "shop.jsonl"
    lines: list[dict[str, Any]] = [
        {"v": 1, "event": "item", "ts": 0, "item": item, "title": title}
        for item, title in (("war0", "Alien"), ("war5", "Aliens"), ("love0", "Brazil"))
    ]
    lines += [
        {
            "v": 1,
            "event": "interaction",
            "ts": 60_000 * place,
            "user": f"u{place % 4}",
            "item": f"war{place % 6}",
            "type": "click",
        }
        for place in range(28)
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["inspect", *arguments])


def told(*arguments: str) -> dict[str, Any]:
    """The last line as JSON."""
    done = run(*arguments, "--json")
    assert done.exit_code == exit_codes.OK, done.output
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_version_tells_parts_curve_registry_and_collapse(models: Path) -> None:
    """Parameters add up, the streams have their abundance, the registry knows which version serves."""
    one = told("model", "1", "--models", str(models))
    weights = trained(0).weights

    assert (one["version"], one["registry"]["serves"]) == ("000001", False)
    assert one["registry"]["current"]["version"] == "000002"
    assert one["registry"]["versions"] == ["000001", "000002"]
    assert one["parameters"] == sum(array.size for array in weights.values())
    assert [1 < found < 8 for found in one["abundance"]] == [True, True]
    assert one["manifest"]["metrics"]["best_epoch"] == 2
    assert "made-up" in one["histories"]
    assert one["health"]["themes"]["drift"] is None


def test_a_version_is_compared_with_the_one_before(models: Path) -> None:
    """Themes that changed numbers moved whole, and nearly all events are under another number."""
    themes = told("model", "--models", str(models))["health"]["themes"]

    assert themes["moved"] == [1, 1]
    assert themes["drift"] == pytest.approx(209 / 211)


def test_dead_experts_and_themes_raise_alarms_that_people_read(models: Path) -> None:
    """A gate of zeros sends all to expert 0; one of 211 events is Love."""
    alarms = told("model", "1", "--models", str(models))["health"]["alarms"]
    page = run("model", "1", "--models", str(models)).stdout

    assert "layer 1, expert 0 has 100.0% of 12,288 tokens, above 80%" in alarms
    assert "theme 1 (Love) has 0.5% of 211 events, below 2%" in alarms
    assert len(alarms) == 2 * 3 + 2
    assert [f"ALARM {alarm}" for alarm in alarms] == [line for line in page.splitlines() if "ALARM" in line]
    assert "epoch 2 of 3 was kept" in page
    assert "000002 serves" in page


def test_routers_can_be_asked_with_real_users(models: Path, events: Path) -> None:
    """28 events in two streams are 56 tokens a layer: too few to judge, and it says so."""
    one = told("model", "--models", str(models), "--dataset", str(events))

    assert [layer["tokens"] for layer in one["health"]["layers"]] == [56, 56]
    assert one["histories"] == "the histories of 4 users of shop, drawn at random"
    assert one["health"]["notes"][0] == "layer 0: 56 tokens are too few to judge, 150 are needed"


def test_a_theme_tells_its_share_and_its_items(models: Path, events: Path) -> None:
    """Typical by margin, known by events, with the titles of the data set."""
    arguments = ("theme", "0", "-n", "2", "--version", "1", "--models", str(models), "--dataset", str(events))
    one, page = told(*arguments), run(*arguments).stdout

    assert (one["label"], one["num_items"], one["share_of_items"]) == ("War", 6, 0.5)
    assert one["share_of_events"] == pytest.approx(210 / 211)
    assert [place["item"] for place in one["typical"]] == ["war0", "war1"]
    assert [place["margin"] for place in one["typical"]] == [8, 7]
    assert [place["item"] for place in one["best_known"]] == ["war5", "war4"]
    assert one["titles"] == {"war0": "Alien", "war5": "Aliens"}
    assert "war5  Aliens" in page


def test_without_a_number_all_themes_are_listed(models: Path, events: Path) -> None:
    """One line each, by number."""
    arguments = ("theme", "--models", str(models), "--dataset", str(events))
    every, page = told(*arguments)["themes"], run(*arguments).stdout

    assert [(theme["theme"], theme["label"]) for theme in every] == [(0, "Love"), (1, "War")]
    assert [line.split()[:2] for line in page.splitlines()[2:]] == [["0", "50.0%"], ["1", "50.0%"]]


def test_an_item_tells_its_row_themes_and_neighbours(models: Path, events: Path) -> None:
    """All of its own side come before any of the other, overall and in each stream."""
    arguments = ("item", "war0", "-n", "7", "--models", str(models), "--dataset", str(events))
    one, page = told(*arguments), run(*arguments).stdout

    assert (one["row"], one["events"], one["rank"]) == (FIRST_ITEM_ROW, 10, 6)
    assert [(theme["label"], theme["logit"]) for theme in one["themes"]] == [("War", 9), ("Love", 1)]
    assert {place["item"] for place in one["nearest"][:5]} == {"war1", "war2", "war3", "war4", "war5"}
    assert {place["item"][:3] for stream in one["nearest_by_stream"] for place in stream} == {"war"}
    for place in one["nearest"]:
        assert place["cosine"] == pytest.approx(np.mean(place["by_stream"]), abs=1e-5)
    assert page.startswith("war0  Alien\n")


def test_without_a_broker_there_are_ids_and_a_sentence(models: Path) -> None:
    """What can be told is told; why titles are missing stands on standard error."""
    done = run("item", "love0", "--models", str(models), "--bootstrap", NOWHERE)

    assert done.exit_code == exit_codes.OK
    assert done.stdout.startswith("love0\n")
    assert f"no titles: no broker answers at {NOWHERE}" in done.stderr


@pytest.mark.parametrize(("wanted", "meant"), [("war9", "war5 (Aliens)"), ("brazil", "love0 (Brazil)")])
def test_an_unknown_item_is_not_found_with_those_it_may_mean(
    models: Path, events: Path, wanted: str, meant: str
) -> None:
    """By an id that looks like it, or by words of a title."""
    error = run("item", wanted, "--models", str(models), "--dataset", str(events)).exception

    assert isinstance(error, ItemMissing)
    assert error.exit_code == exit_codes.NOT_FOUND
    assert f"item {wanted!r}, version 000002" in str(error)
    assert meant in str(error)


@pytest.mark.parametrize("number", ["2", "17"])
def test_a_theme_out_of_range_is_not_found(models: Path, number: str) -> None:
    """The error says which there are."""
    error = run("theme", number, "--models", str(models)).exception

    assert isinstance(error, ThemeMissing)
    assert f"theme {number}, version 000002 has 0 to 1" in str(error)


def test_unknown_versions_and_empty_registries_are_told_apart(models: Path, tmp_path: Path) -> None:
    """One error names what is there, the other says that nothing is; neither makes a directory."""
    unknown = run("model", "7", "--models", str(models)).exception
    nothing = run("theme", "--models", str(tmp_path / "none")).exception

    assert isinstance(unknown, VersionMissing)
    assert "'000007' is not in" in str(unknown)
    assert "newest there: 000001, 000002" in str(unknown)
    assert isinstance(nothing, VersionMissing)
    assert f"({tmp_path / 'none'} holds none yet)" in str(nothing)
    assert not (tmp_path / "none").exists()


def test_an_unknown_data_set_is_not_found_before_anything_is_told(models: Path) -> None:
    """Nothing is downloaded for a look, and nothing half told."""
    done = run("item", "war0", "--models", str(models), "--dataset", "nosuch")

    assert isinstance(done.exception, DatasetMissing)
    assert done.stdout == ""
