"""The training benchmark measures what it says, on a small scale."""

from __future__ import annotations

import pytest
import torch

from ops.bench import train


def test_it_compares_whole_steps_of_every_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three networks in two precisions and one with fresh negatives; the ratios are those of its rows."""
    monkeypatch.setattr(train, "SEQUENCES", 2)
    monkeypatch.setattr(train, "EVENTS", 5)
    monkeypatch.setattr(train, "ITEMS", 40)
    monkeypatch.setattr(train, "REPEATS", 2)
    monkeypatch.setattr(train, "WARMUPS", 0)
    threads = torch.get_num_threads()
    report = train.run()
    torch.set_num_threads(threads)
    rows = {row.name: row for row in report.rows}
    slower = rows["sasrec fp32"].cpu_ms / rows["fuxi-mme fp32"].cpu_ms

    assert len(rows) == 7
    assert [bar.value for bar in report.bars] == [
        slower,
        rows[train.FRESH].cpu_ms / rows["fuxi-mme fp32"].cpu_ms,
    ]
    assert report.notes["of_sasrec"]["fuxi-mme fp32"] == slower


def test_every_window_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step reads as many sequences and positions as it says."""
    monkeypatch.setattr(train, "SEQUENCES", 3)
    monkeypatch.setattr(train, "ITEMS", 40)
    events = train._histories()
    shape, recipe = train.RECIPES["sasrec"]
    training = train.Run(train.build(shape, 105), events, recipe)
    windows = next(train._for_ever(training, events))

    assert {len(targets) for targets in windows.targets} == {50}
