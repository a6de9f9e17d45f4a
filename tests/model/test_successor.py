"""The version that a learner would publish: what follows from its weights is new, the rest is carried on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from model.columns import EventColumns
from model.finetune import TuneConfig
from model.learner import Cycle, Learner
from model.prototypes import item_logits
from model.registry import Registry
from model.successor import successor, train_config_of
from model.version import Offsets, Version
from tests.model.published import trained, world

TUNE = TuneConfig(batch=8, window=8, negatives=4, replay_events=4, capacity=20)
OFFSETS = Offsets(topic_id="t", trained_through={0: 9}, judged_by={0: (10, 12)})


def learned(version: Version, columns: EventColumns) -> tuple[Learner, Cycle]:
    recipe = train_config_of(version.manifest)
    made = Learner.from_weights(version.config, version.weights, version.catalogue, TUNE, recipe)
    made.items.count(version.popularity)
    for user, item, ms in zip(columns.user, columns.item, columns.time_ms, strict=True):
        made.observe(columns.users[user], columns.items[item], int(ms))
    return made, made.cycle({})


def test_a_child_keeps_its_parents_mos_and_makes_its_theme_table_anew(tmp_path: Path) -> None:
    """Published whole: MoS bit for bit the parent's, logits what its router says of the child's lines, new
    items among them; events and counts are the parent's and what was learned."""
    torch.set_num_threads(1)
    made = world()
    registry = Registry(tmp_path)
    parent = registry.publish(trained(made))
    learner, cycle = learned(parent, made.columns)
    child = registry.publish(successor(learner, parent, cycle, made.columns, OFFSETS))

    assert child.mos is not None
    assert parent.mos is not None
    for name, array in parent.mos.weights.items():
        assert np.array_equal(array, child.mos.weights[name])
    router = child.mos.weights
    expected = item_logits(np.asarray(child.index), router["router.w_r_DD"], router["router.c_KD"])
    assert np.array_equal(expected, child.themes.logits_IK)
    assert child.themes.labels == parent.themes.labels
    assert cycle.admitted > 0
    assert child.catalogue.items[: len(parent.catalogue)] == parent.catalogue.items
    assert len(child.catalogue) == len(parent.catalogue) + cycle.admitted
    assert child.popularity.sum() == parent.popularity.sum() + len(made.columns)
    assert child.manifest["events"] == parent.manifest["events"] + len(made.columns)
    assert child.manifest["offsets"] == OFFSETS.to_json()
    assert child.manifest["parent"] == parent.name


def test_without_mos_labels_stay_and_every_line_gets_its_logits_anew(tmp_path: Path) -> None:
    """The same network without MoS; another history of data, another digest."""
    torch.set_num_threads(1)
    made = world()
    registry = Registry(tmp_path)
    parent = registry.publish(replace(trained(made), mos=None))
    learner, cycle = learned(parent, made.columns)
    child = successor(learner, parent, cycle, made.columns, OFFSETS)
    fewer = successor(learner, parent, cycle, made.columns.slice(0, 5), OFFSETS)

    assert child.mos is None
    assert child.themes.labels == parent.themes.labels
    assert child.themes.logits_IK.shape == (len(child.catalogue), len(child.themes.labels))
    assert not np.array_equal(child.themes.logits_IK[: len(parent.catalogue)], parent.themes.logits_IK)
    assert len({child.data_digest, fewer.data_digest, parent.manifest["data_digest"]}) == 3
    assert registry.publish(child).name == "000002"
