"""Ranks, lists and groups of a stage against a world that is worked out by hand."""

import numpy as np
import pytest
import torch

from model.backbone import Backbone, Encoded, unrouted
from model.config import FIRST_ITEM_ROW, ModelConfig
from model.families import build
from model.leave_one_out import leave_one_out
from model.metrics import rank_in
from model.stages import Answered, answer, answer_popular, answer_together, part_of
from tests.model.small_log import LOG, columns


def test_popularity_by_hand() -> None:
    """A trains a 2, b 2, c 1. v (had b, a) is asked for e: c leads, then d and e share nothing: rank 2.5.
    u asks for a again, which is filtered."""
    a, _ = leave_one_out(columns(LOG), 10)
    found = answer_popular(a)

    assert found.ranks_E.tolist() == [2.5, np.inf]
    assert found.lists is not None
    assert [a.catalogue.items[line] for line in found.lists[0]] == ["c", "d", "e"]


def test_popularity_with_seen_items_kept() -> None:
    """Nothing is filtered: a and b share the first place, so u's a has rank 1.5 and v's e rank 4.5."""
    a, _ = leave_one_out(columns(LOG), 10, filter_seen=False)

    assert answer_popular(a).ranks_E.tolist() == [4.5, 1.5]


def test_a_network_is_ranked_as_its_scores_say() -> None:
    """Ranks and lists are those of the vector before each question, one by one."""
    torch.manual_seed(0)
    stage, _ = leave_one_out(columns(LOG), 10)
    config = ModelConfig(dim=16, streams=2, heads=2, blocks=1, experts=1, max_events=8)
    model = build(config, stage.catalogue.num_rows).eval()
    found = answer(model, stage)
    for question, place in enumerate(stage.places().tolist()):
        start = stage.events.starts[np.searchsorted(stage.events.starts, place, side="right") - 1]
        rows = torch.from_numpy(stage.events.rows[start:place])[None]
        times = torch.from_numpy(stage.events.times_ms[start:place])[None]
        with torch.inference_mode():
            states = model.encode(rows, times, torch.tensor([place - start])).states_BNMd
            scores = (model.vectors(states[0, -1]) @ model.item_index().T).numpy()
        scores[rows[0].numpy() - FIRST_ITEM_ROW] = -np.inf
        expected = [line for line in np.argsort(-scores) if np.isfinite(scores[line])]

        assert found.ranks_E[question] == rank_in(scores, int(stage.events.rows[place]) - FIRST_ITEM_ROW)
        assert found.lists is not None
        assert found.lists[question] == expected


class Fixed(Backbone):
    """Every user vector is 1, so an item's score is its line, which is given."""

    def __init__(self, lines: list[float]) -> None:
        super().__init__(ModelConfig(dim=1, streams=1, heads=1, blocks=1, experts=1, max_events=8), 1)
        self._lines_I1 = torch.tensor(lines)[:, None]

    def encode(
        self,
        rows_BN: torch.Tensor,
        times_BN: torch.Tensor,
        lengths_B: torch.Tensor,
        asked_BN: torch.Tensor | None = None,
    ) -> Encoded:
        states_BN11 = torch.ones(*rows_BN.shape, 1, 1)
        return Encoded(states_BN11, *unrouted(states_BN11))

    def item_index(self) -> torch.Tensor:
        return self._lines_I1


def test_two_networks_answer_by_the_mean_of_their_scores() -> None:
    """One ranks a b c d e, the other has e far ahead: v, who had b and a, finds e first, though the first
    network has it last; alone or beside itself a network says the same."""
    stage, _ = leave_one_out(columns(LOG), 10)
    falling, late = Fixed([0.9, 0.8, 0.7, 0.6, 0.5]), Fixed([0.0, 0.0, 0.0, 0.0, 1.0])
    alone, both = answer(falling, stage), answer_together([falling, late], stage)

    assert alone.ranks_E.tolist() == [3.0, np.inf]
    assert both.ranks_E.tolist() == [1.0, np.inf]
    assert both.lists is not None
    assert [stage.catalogue.items[line] for line in both.lists[0]] == ["e", "c", "d"]
    assert answer_together([falling, falling], stage).lists == alone.lists
    assert answer_together([late], stage).ranks_E.tolist() == answer(late, stage).ranks_E.tolist()


def test_figures_by_hand() -> None:
    """Ranks 1, 20 and a miss; lists that show three of five items, two of them for the first question."""
    found = Answered(ranks_E=np.array([1.0, 20.0, np.inf]), lists=[[0, 1], [1], [4]])
    everything, first = np.ones(3, bool), np.array([True, False, False])

    assert found.figures(everything, 5)["recall@10"] == pytest.approx(1 / 3)
    assert found.figures(everything, 5)["recall@50"] == pytest.approx(2 / 3)
    assert found.figures(everything, 5)["ndcg@50"] == pytest.approx((1 + 1 / np.log2(21)) / 3)
    assert found.figures(everything, 5)["coverage@10"] == 3 / 5
    assert found.figures(first, 5)["coverage@10"] == 2 / 5
    assert set(found.figures(~everything, 5).values()) == {0.0}
    assert "coverage@10" not in Answered(ranks_E=found.ranks_E, lists=None).figures(everything, 5)


def test_a_part_keeps_users_apart() -> None:
    """A user without a kept event is left out; the others keep their order."""
    stage, _ = leave_one_out(columns(LOG), 10)
    kept = part_of(stage.events, np.isin(stage.events.order, [1, 2, 8]))

    assert kept.users.tolist() == [0, 1]
    assert kept.starts.tolist() == [0, 2, 3]
    assert kept.order.tolist() == [2, 8, 1]
