"""The MoS protocol end to end: in a small made-up world, and on impressions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.mos_compare import AWARE, VARIANTS
from ops import exit_codes
from ops.cli import app
from ops.evaluation.choices import Protocol
from ops.evaluation.mos import mos_runs
from ops.evaluation.naming import ModelNameInvalid, parse
from ops.evaluation.running import Table
from ops.simulate import World, simulate

SMALL = "sasrec:dim=16,blocks=1,heads=2,max_epochs=1,dropout=0.0,input_dropout=0.0"
NAMES = ["global", "+local", "+theme", AWARE, "random themes", "tokens"]


@pytest.fixture(autouse=True)
def few_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs of two requests instead of twenty: counting operations is slow."""
    monkeypatch.setattr("model.mos_compare.MEASURED", 2)


@pytest.fixture
def world() -> World:
    """A few busy users."""
    return simulate(0, users=8, items=60, events=350, themes=4)


def table(world: World, results: Path | None, models: str = SMALL) -> Table:
    return Table(
        dataset="world",
        columns=world.dataset.events.positives((), ()),
        gap_ms=world.dataset.gap_ms,
        protocol=Protocol.MOS,
        models=parse(models),
        seeds=1,
        filter_seen=False,
        refit=False,
        threads=1,
        impressions=None,
        results=results,
    )


def test_every_variant_is_a_run_and_is_not_repeated(world: World, tmp_path: Path) -> None:
    """Ranks, costs and, where truth is known, how many sessions have their theme; a second call trains
    nothing; one without its last run makes that one again, and the same, but for what it took."""
    assert set(NAMES) == {*VARIANTS, AWARE}
    path = tmp_path / "runs.jsonl"
    asked = table(world, path)
    truth = world.session_theme[world.event_session]
    first = [run for run, _ in mos_runs(asked, truth, lambda line: None)]
    said: list[str] = []
    again = [run for run, _ in mos_runs(asked, truth, said.append)]
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    rest = [run for run, _ in mos_runs(asked, truth, lambda line: None)]

    assert [run.variant for run in first] == NAMES
    assert again == first
    assert said == []
    assert [run.ranks for run in rest] == [run.ranks for run in first]
    assert len(path.read_text().splitlines()) == len(NAMES)
    assert {run.groups["all"]["questions"] for run in first} == {70.0}
    themed = {run.variant for run in first if "routed_rightly" in run.notes}
    assert themed == {"+theme", "random themes"}
    flops = {run.variant: run.notes["cost"]["flops"] for run in first}
    assert flops["global"] < flops["+local"] < flops["+theme"] < flops[AWARE]


def test_networks_that_mos_cannot_stand_on_are_refused(world: World) -> None:
    """No gates, the next event's time, sequences too short: said before anything is trained."""
    for models in ("fame", "fuxi-next", "sasrec:max_events=64"):
        with pytest.raises(ModelNameInvalid, match="MoS needs"):
            next(mos_runs(table(world, None, models), None, lambda line: None))


def test_impressions_give_every_variant_a_gauc(tmp_path: Path) -> None:
    """Users click on their circle and pass over what is no part of it: the verb tells an AUC above a half."""
    path = tmp_path / "log_standard_made_up.csv"
    rows = ["user_id,video_id,time_ms,is_click,play_time_ms"]
    for place in range(400):
        user, turn = place % 20, place // 20
        now = 1_650_000_000_000 + 600_000 * place
        rows.append(f"{user},{(user + turn) % 12},{now},1,900")
        rows.append(f"{user},{50 + place % 7},{now + 1},{int(place % 90 == 5)},0")
    path.write_text("\n".join(rows) + "\n")
    arguments = ["evaluate", str(path), "--protocol", "mos", "--seen", "keep", "--json"]
    result = CliRunner().invoke(app, [*arguments, "--models", f"{SMALL},lr=0.02,max_epochs=3"])
    told = json.loads(result.stdout.splitlines()[-1])

    assert result.exit_code == exit_codes.OK
    assert [line["variant"] for line in told["lines"]] == NAMES
    assert all(line["figures"]["gauc"]["mean"] > 0.6 for line in told["lines"])
    assert "GAUC over" in result.stdout


def test_a_data_set_or_the_simulator_is_named() -> None:
    """One of the two, not both."""
    for arguments in ([], ["ml-100k", "--simulate"]):
        assert CliRunner().invoke(app, ["evaluate", *arguments]).exit_code == exit_codes.USAGE
