"""Variants of MoS whose ranks, costs and impressions are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.columns import EventColumns
from model.mos_compare import AWARE, VARIANTS
from model.stages import Answered, Stage
from model.time_split import stream_stage
from ops.evaluation.mos_printing import mos_table
from ops.evaluation.mos_summary import PAIRS, MoSSummary, mos_summary_of
from ops.evaluation.records import Run, packed, packed_table, unpacked_table
from tests.ops.evaluation.test_records import RUN

USERS = 120
HOPS = {
    "sessions": 9,
    "users": 3,
    "inside": 0.5,
    "adjacent": 0.1,
    "best_earlier": 0.4,
    "best_strange": 0.2,
    "anybody": 0.05,
    "returns": 0.75,
}


@pytest.fixture
def stage() -> Stage:
    """A question for each of 120 users."""
    return stream_stage(
        EventColumns(
            users=[f"u{user}" for user in range(USERS)],
            items=["a", "b", "c", "d", "e"],
            user=np.tile(np.arange(USERS), 5).astype(np.int32),
            item=np.repeat(np.arange(5), USERS).astype(np.int32),
            time_ms=np.arange(5 * USERS, dtype=np.int64),
        ),
        10,
    )


def run(stage: Stage, variant: str, seed: int, ranks: list[float], auc: list[float]) -> tuple[Run, Stage]:
    """Ranks repeat until every question has one; user u has 1 + u impressions of the AUC that is u's turn."""
    ranks_E = np.resize(np.array(ranks, float), USERS)
    found = Answered(ranks_E=ranks_E, lists=None)
    users = np.arange(USERS, dtype=float)
    themed = variant in ("+theme", "random themes")
    themes = {"themes": {"share": [0.5, 0.49, 0.01]}, "alarms": ["one is small"], "routed_rightly": 0.95}
    notes = {
        "network": {"best_epoch": 3, "epochs": 4, "minutes": 2.0, "cpu_minutes": 1.0},
        "hopping": HOPS,
        "cost": {"flops": 2e9 + seed * 1e9, "ms": 4.0, "events": 30.0},
        "auc": packed_table(np.stack([users, 1 + users, np.resize(np.array(auc, float), USERS)])),
        **(themes if themed else {}),
    }
    done = replace(
        RUN,
        model="net",
        seed=seed,
        variant=variant,
        groups={"all": {"questions": float(USERS), **found.figures(stage.groups["all"], 5)}},
        gauc={"mean": 0.5, "users": float(USERS), "impressions": 7260.0, "shown": 9000.0},
        ranks=packed(ranks_E),
        notes=notes,
    )
    return done, stage


@pytest.fixture
def summary(stage: Stage) -> MoSSummary:
    """+theme hits all with one seed and half with the other, everything else a half; the themes' AUC is .75,
    everything else's .5."""
    finished = []
    for seed in (0, 1):
        for variant in (*VARIANTS, AWARE):
            themed = variant == "+theme"
            ranks = [1.0, 2.0] if themed and seed else [1.0, 11.0]
            finished.append(run(stage, variant, seed, ranks, [0.5, 1.0] if themed else [0.5, 0.5]))
    return mos_summary_of(finished)


def test_seeds_are_averaged(summary: MoSSummary) -> None:
    """Recall of 1 and .5 make .75; costs are means; GAUC weighs users by their impressions."""
    line = next(line for line in summary.lines if line.variant == "+theme")

    assert line.seeds == [0, 1]
    assert line.figures["recall@10"].mean == 0.75
    assert line.gflop == 2.5
    odd = sum(1 + user for user in range(1, USERS, 2))
    assert line.figures["gauc"].mean == pytest.approx(0.5 + 0.5 * odd / 7260)
    assert line.routed_rightly == 0.95
    assert line.shares == [[0.5, 0.49, 0.01]] * 2


def test_every_pair_is_compared_on_every_figure(summary: MoSSummary) -> None:
    """What a variant adds has an interval; two variants of the same ranks differ by nothing."""
    found = {(one.variant, one.against, one.figure): one.interval for one in summary.differences}

    assert set(found) == {
        (one, other, figure) for one, other in PAIRS for figure in ("recall@10", "ndcg@10", "ndcg", "gauc")
    }
    assert found["+theme", "global", "recall@10"].mean == 0.25
    assert found["+theme", "random themes", "gauc"].low is not None
    assert found["+theme", "random themes", "gauc"].low > 0.2
    assert found["+local", "global", "ndcg"].high == 0


def test_the_table_shows_all_of_it(summary: MoSSummary) -> None:
    """Variants, differences, themes, alarms and hopping, each in its line."""
    text = mos_table(summary)

    for said in (
        "120 questions of 120 users",
        "GAUC over 7,260 impressions of 120 users",
        "+theme less random themes",
        "+theme: later sessions by theme 50% 49% 1%",
        "+theme: 95.0% of them have the true theme",
        "+theme: alarm: one is small",
        "inside 0.500, the session before 0.100, the best earlier one 0.400",
    ):
        assert said in text


def test_tables_of_numbers_are_packed_exactly() -> None:
    """What is unpacked is what was packed."""
    values = np.random.default_rng(0).normal(size=(3, 5))

    assert (unpacked_table(packed_table(values), 3) == values).all()
