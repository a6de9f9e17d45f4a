"""`hopstream evaluate` end to end on worlds made of circles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.provisional import ProvisionalConfig
from model.sums import WEIGHTS
from ops import exit_codes
from ops.cli import app
from ops.evaluation.learning import parse_learning
from ops.evaluation.naming import ModelNameInvalid

#: Small networks that learn a circle of items within two epochs.
SMALL = "sasrec:dim=16,max_epochs=2,lr=0.02,dropout=0.0,input_dropout=0.0"
FUXI = "fuxi:dim=16,max_epochs=1,blocks=1"


@pytest.fixture
def circle(tmp_path: Path) -> Path:
    """A hundred and ten users who walk round one circle of forty items, an hour apart."""
    path = tmp_path / "circle.csv"
    rows = (f"u{place % 110},i{(place % 110 + place // 110) % 40},{3600 * place}" for place in range(770))
    path.write_text("user,item,ts\n" + "\n".join(rows) + "\n")
    return path


def run(*arguments: str) -> tuple[str, dict]:
    result = CliRunner().invoke(app, ["evaluate", *arguments, "--json"])
    assert result.exit_code == exit_codes.OK, result.output
    return result.stdout, json.loads(result.stdout.splitlines()[-1])


def test_a_table_and_a_line(circle: Path) -> None:
    """Both variants of both models and of popularity, each with an interval and a difference to the first."""
    text, told = run(str(circle), "--models", f"{SMALL},{FUXI}", "--seeds", "2")
    lines = {(line["variant"], line["model"]): line for line in told["lines"]}

    assert set(lines) == {(variant, model) for variant in "AB" for model in ("popular", SMALL, FUXI)}
    for (_, model), line in lines.items():
        assert line["groups"]["all"]["questions"] == 110
        assert line["intervals"]["recall@10"]["users"] == 110
        assert line["intervals"]["recall@10"]["mean"] == pytest.approx(line["groups"]["all"]["recall@10"])
        assert line["seeds"] == ([0] if model == "popular" else [0, 1])
        assert bool(line["spread"]) is (model != "popular")
    best = [line["best_epochs"] for line in told["lines"] if line["model"] == SMALL]
    assert best[0] == best[1]
    assert (
        lines["B", SMALL]["groups"]["all"]["ndcg@10"] > 2 * lines["B", "popular"]["groups"]["all"]["ndcg@10"]
    )
    assert {(one["variant"], one["model"], one["figure"]) for one in told["differences"]} == {
        (variant, model, figure)
        for variant in "AB"
        for model in ("popular", FUXI)
        for figure in ("recall@10", "ndcg@10")
    }
    assert f"less {SMALL}, on the same questions" in text
    assert "standard deviation over seeds, up to 2" in text


def test_finished_runs_are_not_repeated(circle: Path, tmp_path: Path) -> None:
    """A second call with one model more adds that model's runs alone, and tells the same of the others."""
    results = tmp_path / "runs.jsonl"
    arguments = (str(circle), "--results", str(results))
    first = run(*arguments, "--models", SMALL)[1]
    begun = results.read_text()
    both = run(*arguments, "--models", f"{SMALL},{FUXI}")[1]
    added = [json.loads(line) for line in results.read_text().removeprefix(begun).splitlines()]

    assert results.read_text().startswith(begun)
    assert [(one["model"], one["variant"]) for one in added] == [(FUXI, "A"), (FUXI, "B")]
    assert [one for one in both["lines"] if one["model"] == SMALL] == [
        one for one in first["lines"] if one["model"] == SMALL
    ]


def test_members_answer_together(circle: Path, tmp_path: Path) -> None:
    """One member is the plain network, rank for rank; of two each keeps its own best epoch, which is how long
    B trains it, and a second call finds the runs."""
    results = tmp_path / "runs.jsonl"
    names = SMALL, f"{SMALL},members=1", f"{SMALL},members=2"
    arguments = (str(circle), "--models", ",".join(names), "--results", str(results))
    told = run(*arguments)[1]
    runs = {(one["model"], one["variant"]): one for one in map(json.loads, results.read_text().splitlines())}

    for variant in "AB":
        plain, one, two = (runs[name, variant] for name in names)
        assert one["ranks"] == plain["ranks"]
        assert two["ranks"] != plain["ranks"]
        assert two["parameters"] == 2 * plain["parameters"]
        assert len(two["notes"]["best epoch by member"]) == 2
    best = {line["variant"]: line["best_epochs"] for line in told["lines"] if line["model"] == names[2]}
    assert best["A"] == best["B"] == runs[names[2], "A"]["notes"]["best epoch by member"]
    assert run(*arguments)[1] == told
    assert len(results.read_text().splitlines()) == 6


def test_members_of_a_stream_are_a_usage_error(circle: Path) -> None:
    """Said before anything is read."""
    for protocol in ("prequential", "mos"):
        arguments = ["evaluate", str(circle), "--models", f"{SMALL},members=2", "--protocol", protocol]
        found = CliRunner().invoke(app, arguments).exception

        assert isinstance(found, ModelNameInvalid)
        assert protocol in str(found)


def test_without_refit_there_is_no_second_variant(circle: Path) -> None:
    """Variant A alone."""
    assert set(run(str(circle), "--models", FUXI, "--no-refit")[1]["headline"]) == {"A"}


def test_seen_items_may_be_kept(circle: Path) -> None:
    """The switch overrules the data set's own way, and the head of the table says so."""
    text, told = run(str(circle), "--models", FUXI, "--no-refit", "--seen", "keep")

    assert told["filter_seen"] is False
    assert "seen items kept" in text


def test_the_stream_protocol_has_every_line(circle: Path, tmp_path: Path) -> None:
    """Counters, the network, and both summed, on the questions of the last fifth; settings were chosen, and a
    second call trains nothing and tells the same."""
    arguments = (str(circle), "--models", FUXI, "--protocol", "prequential", "--results", str(tmp_path / "r"))
    text, told = run(*arguments)
    runs = [json.loads(line) for line in (tmp_path / "r").read_text().splitlines()]

    assert told["headline"] == {"frozen": "all"}
    assert [line["model"] for line in told["lines"]] == [
        "popular",
        "popular-decayed",
        "co-occurrence",
        "session-knn",
        "matrix-factorisation",
        FUXI,
        f"{FUXI} + memory",
        f"{FUXI} learning",
        f"{FUXI} learning + rows",
        f"{FUXI} learning + rows + memory",
    ]
    assert {line["groups"]["all"]["questions"] for line in told["lines"]} == {154}
    assert [one["model"] for one in runs] == [line["model"] for line in told["lines"][5:]]
    assert runs[2]["notes"]["online"]["rows"]["worth"] == ProvisionalConfig().worth
    assert [end["stop"] for end in runs[2]["notes"]["slices"]] == [770]
    assert runs[1]["notes"]["epsilon"] in (0.001, 0.01, 0.1)
    assert runs[1]["notes"]["recall@10 by fixed weight"].keys() == set(map(str, WEIGHTS))
    assert [len(line["old_recalls"]) for line in told["lines"]] == [0] * 7 + [2, 0, 0]
    assert runs[2]["notes"]["old slice"]["recall@10"] == told["lines"][7]["old_recalls"]
    assert told["lines"][7]["old_moments"] == 62
    assert "recall@10 on 62 moments before the stream, by version" in text
    assert run(*arguments)[1] == told
    assert len((tmp_path / "r").read_text().splitlines()) == 5


def test_impressions_give_gauc(tmp_path: Path) -> None:
    """Users of a set with impressions click on their circle and pass over what is no part of it: an AUC well
    above a half, over the impressions after the cut; last and successive targets stand apart."""
    path = tmp_path / "log_standard_made_up.csv"
    rows = ["user_id,video_id,time_ms,is_click,play_time_ms"]
    for place in range(600):
        user, turn = place % 40, place // 40
        rows.append(f"{user},{(user + turn) % 12},{1_650_000_000_000 + 60_000 * place},1,900")
        rows.append(
            f"{user},{50 + place % 7},{1_650_000_000_000 + 60_000 * place + 1},{int(place % 90 == 5)},0"
        )
    path.write_text("\n".join(rows) + "\n")
    text, told = run(str(path), "--models", SMALL, "--protocol", "time", "--seen", "keep", "--no-refit")
    line = next(line for line in told["lines"] if line["model"] == SMALL)

    assert line["gauc"][0]["mean"] > 0.7
    assert 35 <= line["gauc"][0]["users"] <= 40
    assert "low" not in line["gauc"][0]
    assert line["groups"]["last all"]["questions"] == 40
    assert line["groups"]["successive all"]["questions"] > 40
    assert "GAUC over impressions" in text


def test_a_model_that_is_not_there_is_a_usage_error(circle: Path) -> None:
    """Nothing is read or trained for a name that means nothing."""
    found = CliRunner().invoke(app, ["evaluate", str(circle), "--models", "sasrek"]).exception

    assert isinstance(found, ModelNameInvalid)
    assert found.exit_code == exit_codes.USAGE


def test_ways_to_learn_are_read_as_typed() -> None:
    """The reference and departures from it, each with lines of its own; what is no field is refused."""
    ways = parse_learning("reference;distil=0.8,worth=4.0;item_rows=touched,silence_ms=5", gated=False)

    assert [way.model("served", "x") for way in ways] == [
        "x learning + rows + memory",
        "x learning + rows + memory (distil=0.8,worth=4.0)",
        "x learning + rows + memory (item_rows=touched,silence_ms=5)",
    ]
    assert (ways[1].config.tune.distil, ways[1].config.rows.worth) == (0.8, 4.0)
    assert (ways[2].config.tune.item_rows, ways[2].config.tune.silence_ms) == ("touched", 5)
    assert parse_learning("reference", gated=True)[0].model("model", "x") == "x learning (gated)"
    for wrong in ("speed=3", "lr=fast", "item_rows=some"):
        with pytest.raises(ModelNameInvalid, match="learning"):
            parse_learning(wrong, gated=False)


def test_a_frozen_table_has_no_learning_lines(circle: Path) -> None:
    """With --frozen networks stay as they are."""
    told = run(str(circle), "--models", FUXI, "--protocol", "prequential", "--frozen")[1]

    assert [line["model"] for line in told["lines"]][5:] == [FUXI, f"{FUXI} + memory"]
    assert told["lines"][5]["groups"]["known"]["questions"] == 154
