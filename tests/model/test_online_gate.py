"""The gate along a stream: what it asks, what it pools, what it compares with."""

from __future__ import annotations

import numpy as np
import torch

from model.columns import EventColumns
from model.config import ModelConfig
from model.evaluate import judged_events
from model.families import build
from model.gate import Verdict
from model.memory import MemoryConfig
from model.online_gate import StreamGate
from model.prequential import Choices
from model.sequences import catalogue_of
from model.slices import Serving

SHAPE = ModelConfig(dim=4, streams=1, heads=1, blocks=1, experts=1, max_events=16)
CHOICES = Choices(memory=MemoryConfig(window=2, neighbours=4))


def log(num: int) -> EventColumns:
    random = np.random.default_rng(0)
    return EventColumns(
        users=[f"u{number}" for number in range(120)],
        items=[f"i{number}" for number in range(400)],
        user=random.integers(0, 120, num).astype(np.int32),
        item=random.integers(0, 400, num).astype(np.int32),
        time_ms=np.arange(num, dtype=np.int64) * 1000,
    )


def version(columns: EventColumns, trained_through: int) -> Serving:
    catalogue = catalogue_of(columns)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build(SHAPE, catalogue.num_rows).eval()
    return Serving(model, catalogue, np.ones(len(catalogue), bool), trained_through)


def test_small_slices_are_pooled_until_they_suffice() -> None:
    """Too few events: wait, and the next slice is judged together with them; then equals may serve."""
    columns = log(2700)
    gate = StreamGate(columns, CHOICES)
    new, serving = version(columns, 300), version(columns, 200)
    verdicts = [gate(new, serving, start, stop) for start, stop in ((400, 1000), (1000, 2700))]
    events = [decision.events for decision in gate.decisions]
    judged = judged_events(columns, 400)

    assert verdicts == [Verdict.WAIT, Verdict.PUBLISH]
    assert events == [int((judged < 1000).sum()), len(judged)]
    assert [decision.slices for decision in gate.decisions] == [1, 2]
    assert gate.decisions[1].serving is not None
    assert gate.decisions[1].serving.alone.mean == gate.decisions[1].serving.fused.mean == 0.0


def test_what_is_no_better_leaves_the_anchor_where_it_was() -> None:
    """After equals were published, the next candidate is held against the version before them too."""
    columns = log(2700)
    gate = StreamGate(columns, CHOICES)
    first, second, third = (version(columns, through) for through in (100, 200, 300))
    gate(second, first, 400, 2600)
    gate(third, second, 2600, 2700)

    assert gate.decisions[0].verdict is Verdict.PUBLISH
    assert gate.decisions[0].anchor_version == gate.decisions[1].anchor_version == "trained through 100"
    assert gate.decisions[1].events == len(judged_events(columns, 2600))
