"""The training benchmark measures what it says, on a small scale."""

from __future__ import annotations

import pytest
import torch

from model.config import ModelConfig, TrainConfig
from model.families import Recipe
from ops.bench import train


def test_it_compares_whole_steps_of_every_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three networks in two precisions, two ways to fresh negatives; ratios are of sequences per second."""
    monkeypatch.setattr(train, "SEQUENCES", 4)
    monkeypatch.setattr(train, "PLAIN_SEQUENCES", 1)
    monkeypatch.setattr(train, "EVENTS", 5)
    monkeypatch.setattr(train, "ITEMS", 40)
    monkeypatch.setattr(train, "REPEATS", 2)
    monkeypatch.setattr(train, "WARMUPS", 0)
    threads = torch.get_num_threads()
    report = train.run()
    torch.set_num_threads(threads)
    rows = {row.name: row.cpu_ms for row in report.rows}

    assert len(rows) == 8
    assert report.bars[0].value == rows["sasrec fp32"] / rows["fuxi-mme fp32"]
    assert report.bars[1].value == pytest.approx(4 * rows[train.PLAIN] / rows["fuxi-mme fp32"])
    assert report.notes["times_fresh"][train.FRESH] == pytest.approx(
        rows[train.FRESH] / rows["fuxi-mme fp32"]
    )


def test_fresh_negatives_gathered_whole_are_those_of_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same batch and seed: after one step either way the weights are the same but for rounding."""
    monkeypatch.setattr(train, "ITEMS", 40)
    monkeypatch.setattr(train, "EVENTS", 6)
    monkeypatch.setattr(train, "SEQUENCES", 3)
    monkeypatch.setitem(
        train.RECIPES,
        "fuxi-mme",
        Recipe(ModelConfig(dim=16, streams=2, heads=2, max_events=8), TrainConfig(new_item_share=0.0)),
    )
    grads = []
    for step in (train.Run.step, train._plain_step):
        torch.manual_seed(0)
        events = train._histories()
        training = train._training("fuxi-mme", events, 3, "fp32", "position")
        step(training, next(train._for_ever(training, events)))
        grads.append(training.model.items.grad)

    torch.testing.assert_close(grads[0], grads[1], atol=2e-5, rtol=1e-3)


def test_every_window_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step reads as many sequences and positions as it says."""
    monkeypatch.setattr(train, "SEQUENCES", 3)
    monkeypatch.setattr(train, "ITEMS", 40)
    events = train._histories()
    shape, recipe = train.RECIPES["sasrec"]
    training = train.Run(train.build(shape, 105), events, recipe)
    windows = next(train._for_ever(training, events))

    assert {len(targets) for targets in windows.targets} == {50}
