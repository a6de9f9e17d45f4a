"""The step with fixed shapes on a card: as the cache computes it, and the same when a graph replays it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.batch import padded
from model.cache import PrefixCache, slot_bytes
from model.config import FIRST_ITEM_ROW, ModelConfig
from model.mme import FuxiMME
from model.slots import New
from ops.bench.fixed_step import FixedStep
from ops.bench.parity import decided

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

DEVICE = "cuda"
TOLERANCE = 1e-4
USERS, EVENTS, TURNS = 70, 40, 4


@pytest.mark.parametrize("graph", [False, True])
def test_it_is_the_caches_step(graph: bool) -> None:
    """Four new events for 70 users, slots in no order: at most one user had a close call and may differ."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    model = decided(FuxiMME(ModelConfig(), FIRST_ITEM_ROW + 1000)).to(DEVICE)
    rows = random.integers(FIRST_ITEM_ROW, FIRST_ITEM_ROW + 1000, (USERS, EVENTS + TURNS))
    times_ms = 10**12 + random.integers(1000, 10**8, rows.shape).cumsum(1)
    slots = random.permutation(USERS)
    cache = PrefixCache(model, USERS * slot_bytes(model))

    def news(start: int, stop: int) -> list[New]:
        return [
            New(slot=int(slot), start=start, rows=own[start:stop], times_ms=ms[start:stop])
            for slot, own, ms in zip(slots, rows, times_ms, strict=True)
        ]

    cache.extend(news(0, EVENTS))
    held = padded([(own[:EVENTS], ms[:EVENTS]) for own, ms in zip(rows, times_ms, strict=True)], EVENTS)
    step = FixedStep(model, held.to(DEVICE), torch.from_numpy(slots).to(DEVICE), model.config.max_events)
    if graph:
        step.capture()

    for at in range(EVENTS, EVENTS + TURNS):
        expected = cache.extend(news(at, at + 1)).states_AMd
        made = step(torch.from_numpy(rows[:, at].copy()), torch.from_numpy(times_ms[:, at].copy()))
        apart_S = (made - expected).abs().amax(dim=(1, 2))
        assert (apart_S > TOLERANCE).sum() <= 1
