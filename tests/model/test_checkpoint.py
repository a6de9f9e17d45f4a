"""Interrupted anywhere, a training ends in the weights it would have had."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.checkpoint import FILE, Checkpoints
from model.config import ModelConfig, TrainConfig
from model.errors import CheckpointMismatch
from model.train import warm_start
from model.version import Trained
from tests.model.circles import RECIPE, rounds

CONFIG = ModelConfig(dim=16, streams=2, heads=2, blocks=1, experts=2, max_events=32)
#: Everything that is drawn is drawn: dropout, router noise, masks, popular negatives, shifted windows.
DRAWN = replace(
    RECIPE, max_epochs=3, batch=12, window=5, new_item_share=0.2, popularity_power=0.5, validation_users=20
)


class Killed(Exception):
    """The end of a process, before it could say goodbye."""


@dataclass(slots=True)
class Deadly(Checkpoints):
    """Checkpoints after every step, of which the last one allowed is followed by the end."""

    left: int = 0

    def save(self, identity: dict[str, str], state: dict[str, Any]) -> None:
        super(Deadly, self).save(identity, state)
        self.left -= 1
        if self.left == 0:
            raise Killed


def trained(
    checkpoints: Checkpoints | None,
    recipe: TrainConfig = DRAWN,
    config: ModelConfig = CONFIG,
    num_events: int = 14,
) -> Trained:
    return warm_start(rounds(30, num_events), config, recipe, checkpoints=checkpoints)


@pytest.fixture(scope="module")
def undisturbed() -> Trained:
    return trained(None)


@pytest.mark.parametrize("steps", [[1], [5], [8, 2, 9]])
def test_killed_and_resumed_is_never_killed(steps: list[int], undisturbed: Trained, tmp_path: Path) -> None:
    """After the first step, in the middle, three times over and across epochs: the same bits at the end."""
    for left in steps:
        with pytest.raises(Killed):
            trained(Deadly(tmp_path, every_s=0.0, left=left))
    found = trained(Checkpoints(tmp_path))

    assert found.weights.keys() == undisturbed.weights.keys()
    assert all(np.array_equal(found.weights[name], undisturbed.weights[name]) for name in found.weights)
    assert [epoch["loss"] for epoch in found.learning_curve] == [
        epoch["loss"] for epoch in undisturbed.learning_curve
    ]


def test_the_time_before_the_interruption_counts(tmp_path: Path) -> None:
    """A budget is for the whole training: spent before, it allows no further epoch."""
    with pytest.raises(Killed):
        trained(Deadly(tmp_path, every_s=0.0, left=20))
    saved = torch.load(tmp_path / FILE, weights_only=True)
    seconds, epochs = saved["state"]["seconds"], len(saved["state"]["run"]["curve"])
    found = trained(Checkpoints(tmp_path), replace(DRAWN, budget_s=seconds / 2))

    assert epochs >= 1
    assert len(found.learning_curve) <= epochs + 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"recipe": replace(DRAWN, lr=1.0)}, "differ: lr"),
        ({"num_events": 13}, "differ: events"),
        ({"config": replace(CONFIG, kept=2)}, "differ: model kept"),
    ],
)
def test_another_training_is_refused_by_what_differs(
    change: dict[str, Any], named: str, tmp_path: Path
) -> None:
    """Other recipe, events or shape: an error that names it, and the checkpoint stays."""
    with pytest.raises(Killed):
        trained(Deadly(tmp_path, every_s=0.0, left=1))
    with pytest.raises(CheckpointMismatch, match=named):
        trained(Checkpoints(tmp_path), **change)

    assert (tmp_path / FILE).exists()


def test_when_to_stop_may_change(tmp_path: Path) -> None:
    """More epochs than were asked for at first: the training goes on to them."""
    with pytest.raises(Killed):
        trained(Deadly(tmp_path, every_s=0.0, left=2))
    found = trained(Checkpoints(tmp_path), replace(DRAWN, max_epochs=4))

    assert len(found.learning_curve) == 4


def test_a_checkpoint_is_whole_or_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that ends in the middle leaves what was there."""
    kept = Checkpoints(tmp_path)
    kept.save({"a": "1"}, {"step": 1})

    def torn(state: object, file: Any) -> None:
        file.write(b"half")
        raise Killed

    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(Killed):
        kept.save({"a": "1"}, {"step": 2})

    assert kept.load({"a": "1"}) == {"step": 1}


def test_without_a_checkpoint_training_begins(tmp_path: Path) -> None:
    """An empty or absent directory holds none, and so does a cleared one."""
    kept = Checkpoints(tmp_path / "absent")
    before = kept.load({})
    kept.save({}, {"step": 1})
    kept.clear()

    assert before is None
    assert kept.load({}) is None
