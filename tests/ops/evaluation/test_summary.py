"""Means, spread and differences over runs whose ranks are known."""

from dataclasses import replace

import numpy as np
import pytest

from model.columns import EventColumns
from model.leave_one_out import leave_one_out
from model.stages import Answered, Stage
from ops.evaluation.printing import aligned, table
from ops.evaluation.records import Run, packed
from ops.evaluation.summary import Summary, summary_of
from tests.ops.evaluation.test_records import RUN

USERS = 120


@pytest.fixture
def stage() -> Stage:
    """A question for each of 120 users, who all went the same way."""
    return leave_one_out(
        EventColumns(
            users=[f"u{user}" for user in range(USERS)],
            items=["a", "b", "c", "d"],
            user=np.tile(np.arange(USERS), 4).astype(np.int32),
            item=np.repeat(np.arange(4), USERS).astype(np.int32),
            time_ms=np.arange(4 * USERS, dtype=np.int64),
        ),
        10,
    )[0]


def run(stage: Stage, model: str, seed: int, ranks: list[float]) -> tuple[Run, Stage]:
    """Ranks repeat until every question has one."""
    ranks_E = np.resize(np.array(ranks, float), USERS)
    found = Answered(ranks_E=ranks_E, lists=None)
    groups = {
        name: {"questions": float(chosen.sum()), **found.figures(chosen, 4)}
        for name, chosen in stage.groups.items()
    }
    return replace(
        RUN, model=model, seed=seed, variant=stage.variant, groups=groups, ranks=packed(ranks_E)
    ), stage


@pytest.fixture
def summary(stage: Stage) -> Summary:
    """The reference hits a half with one seed and all with the other; the rival hits a quarter."""
    finished = [
        run(stage, "reference", 0, [1, 11]),
        run(stage, "reference", 1, [1, 3]),
        run(stage, "rival", 0, [1, 11, 11, 11]),
    ]
    return summary_of(finished, ["reference", "rival"])


def test_means_and_spread_over_seeds(summary: Summary) -> None:
    """Recall .5 and 1 make .75, half of whose distance is .25: a standard deviation of .25 times root two."""
    reference, rival = summary.lines

    assert reference.seeds == [0, 1]
    assert reference.groups["all"]["recall@10"] == 0.75
    assert reference.intervals["recall@10"].mean == 0.75
    assert reference.spread["recall@10"] == pytest.approx(0.25 * 2**0.5)
    assert rival.spread == {}
    assert rival.groups["all"]["recall@10"] == 0.25


def test_differences_are_paired(summary: Summary) -> None:
    """A quarter less three quarters is a half less; users differ by 0, .5 or 1 at most, so it is sure."""
    recall = next(one for one in summary.differences if one.figure == "recall@10")

    assert (recall.model, recall.against, recall.variant) == ("rival", "reference", "A")
    assert recall.interval.mean == pytest.approx(-0.5)
    assert recall.interval.high is not None
    assert recall.interval.high < -0.4


def test_a_model_against_itself_differs_by_nothing(stage: Stage) -> None:
    """The same ranks under two names: a difference of zero, and sure, though each is unsure."""
    found = summary_of([run(stage, "one", 0, [1, 11]), run(stage, "two", 0, [1, 11])], ["one", "two"])
    intervals = [one.interval for one in found.differences]

    assert {(one.mean, one.low, one.high) for one in intervals} == {(0.0, 0.0, 0.0)}
    assert found.lines[0].intervals["recall@10"].low != found.lines[0].intervals["recall@10"].high


def test_the_table_names_what_it_shows(summary: Summary) -> None:
    """Protocol, questions, spread and the reference of the differences."""
    text = table(summary)

    assert "set, protocol loo: whole catalogue ranked, seen items filtered" in text
    assert "variant A: 120 questions of 120 users (all)" in text
    assert "reference  recall@10 0.3536  ndcg@10" in text
    assert "less reference, on the same questions" in text


def test_columns_line_up() -> None:
    """Names to the left, numbers to the right, nothing trailing."""
    assert list(aligned([["a", "1.0", ""], ["long", "-22.0", ""]])) == ["a       1.0", "long  -22.0"]
