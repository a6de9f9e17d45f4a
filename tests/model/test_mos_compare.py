"""Variants by name, their costs, and paired differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.backbone import Adaptable
from model.config import FIRST_ITEM_ROW
from model.families import build
from model.metrics import rank_in
from model.mos import MoSConfig
from model.mos_compare import VARIANTS, Comparison, Past, Trial, compare, cost
from model.mos_losses import MoSTrainConfig
from model.mos_ranks import ranks_at, scores_at
from tests.model.hoppers import RULES, SHAPE, THEMES, hoppers, past_of

TRAIN = MoSTrainConfig(max_epochs=1, cuts=1024, validation_users=0)
CONFIG = MoSConfig(num_themes=THEMES)


def trial() -> Trial:
    """An untrained network, a town, and its later half to be asked for."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    backbone = build(SHAPE, FIRST_ITEM_ROW + 300)
    assert isinstance(backbone, Adaptable)
    past = past_of(hoppers(0, users=115, sessions=5))
    side = Past(events=past.events, sessions=past.sessions)
    return Trial(
        backbone=backbone,
        learned=side,
        judged=side,
        asked_n=past.events.order > len(past.events.rows) // 2,
        rules=RULES,
        config=CONFIG,
        train=TRAIN,
    )


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare(trial())


def test_every_variant_is_what_its_name_says(found: Comparison) -> None:
    """Kinds and routing by name, all judged on the same events."""
    configs = {name: one.variant.mos.config for name, one in found.variants.items()}
    shapes = {name: (config.kinds, config.routing) for name, config in configs.items()}

    assert list(shapes) == list(VARIANTS)
    assert shapes["global"] == (("global",), "sessions")
    assert shapes["+local"] == (("global", "local"), "sessions")
    assert shapes["+theme"] == (("global", "local", "theme"), "sessions")
    assert shapes["random themes"] == (("global", "local", "theme"), "random")
    assert shapes["tokens"] == (("global",), "tokens")
    assert {len(one.ranks_T) for one in found.variants.values()} == {len(found.users_T)}


def test_costs_grow_with_what_is_read_and_the_rival_costs_the_same(found: Comparison) -> None:
    """Local and theme sequences cost more; the mixture over tokens costs what MoS costs, within a unit of
    rank."""
    flops = {name: one.cost.flops for name, one in found.variants.items()}
    unit = 2 * (2 * SHAPE.dim) * THEMES * SHAPE.blocks * found.variants["global"].cost.events

    assert flops["global"] < flops["+local"] < flops["+theme"]
    assert abs(flops["tokens"] - flops["+theme"]) < 1.5 * unit
    assert found.variants["global"].cost.events < found.variants["+theme"].cost.events


def test_candidate_aware_requests_read_every_theme(found: Comparison) -> None:
    """They cost more than candidate-free ones, and read more events; without themes they are the same."""
    one, plain = found.variants["+theme"], found.variants["+local"]
    aware = cost(one.variant.reader, one.variant.cuts_T, aware=True)

    assert aware.flops > one.cost.flops
    assert aware.events > one.cost.events
    assert cost(plain.variant.reader, plain.variant.cuts_T, aware=True).flops == plain.cost.flops


@pytest.mark.parametrize("aware", [False, True])
def test_a_rank_counts_the_items_that_score_higher(found: Comparison, aware: bool) -> None:
    """Scoring every item right after an event ranks the next one where ranking says; nothing scores without
    an event, or without a line."""
    reader = found.variants["+theme"].variant.reader
    cuts = found.variants["+theme"].variant.cuts_T[-40:]
    lines = np.arange(300)
    ranks = ranks_at(reader, cuts, filter_seen=False, aware=aware)

    scores_TI = scores_at(reader, np.repeat(cuts, 300), np.tile(lines, 40), aware=aware).reshape(40, 300)

    targets = reader.events.rows[cuts + 1] - FIRST_ITEM_ROW
    assert [rank_in(one, target) for one, target in zip(scores_TI, targets, strict=True)] == ranks.tolist()
    assert np.isnan(scores_at(reader, np.array([-1, cuts[0]]), np.array([0, -1]))).all()


def test_a_difference_is_paired(found: Comparison) -> None:
    """One way round and the other; with oneself it is nothing."""
    one = found.difference("+theme", "global")
    other = found.difference("global", "+theme")
    none = found.difference("+local", "+local", "recall@10")

    assert one.mean == -other.mean
    assert (none.mean, none.low, none.high) == (0, 0, 0)


def test_unknown_names_are_refused() -> None:
    """Nothing is made up for them; the rival of equal cost needs those whose cost it equals."""
    for names in (["tokens"], ["magic"]):
        with pytest.raises(KeyError):
            compare(trial(), variants=names)
