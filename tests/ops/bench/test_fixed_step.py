"""The step with fixed shapes computes what the prefix cache does, and can be captured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from model.batch import Batch, padded
from model.cache import PrefixCache, slot_bytes
from model.config import ModelConfig
from model.mme import FuxiMME
from model.slots import New
from ops.bench.fixed_step import FixedStep
from ops.bench.parity import decided

CONFIG = ModelConfig(dim=16, streams=2, heads=2, max_events=24)
LENGTHS = (1, 17, 9, 4)
SLOTS = (2, 0, 3, 1)
TURNS = 3


def _network(config: ModelConfig) -> FuxiMME:
    torch.manual_seed(0)
    return decided(FuxiMME(config, 100))


def _sequences() -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(0)
    return [
        (random.integers(1, 100, length + TURNS), 10**12 + random.integers(1, 10**7, length + TURNS).cumsum())
        for length in LENGTHS
    ]


def _held(sequences: list[tuple[np.ndarray, np.ndarray]]) -> Batch:
    """All but the last TURNS events."""
    return padded([(rows[:-TURNS], times_ms[:-TURNS]) for rows, times_ms in sequences], 24)


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        replace(CONFIG, time_bias="power"),
        replace(CONFIG, experts_at=("w_u", "ffn"), kept=2),
        replace(CONFIG, streams=1, experts=1),
    ],
)
def test_it_is_the_caches_step(config: ModelConfig) -> None:
    """Sequences of unlike lengths in slots of no order: three steps give the states that the cache gives."""
    model = _network(config)
    sequences = _sequences()
    cache = PrefixCache(model, 4 * slot_bytes(model))

    def news(start: int, stop: int | None) -> list[New]:
        cuts = [range(len(rows))[start if start >= 0 else len(rows) + start : stop] for rows, _ in sequences]
        return [
            New(
                slot=slot, start=cut.start, rows=rows[cut.start : cut.stop], times_ms=ms[cut.start : cut.stop]
            )
            for slot, cut, (rows, ms) in zip(SLOTS, cuts, sequences, strict=True)
        ]

    cache.extend(news(0, -TURNS))
    step = FixedStep(model, _held(sequences), torch.tensor(SLOTS), num_keys=22)

    for turn in range(-TURNS, 0):
        expected = cache.extend(news(turn, turn + 1 or None)).states_AMd
        rows_S = torch.tensor([rows[turn] for rows, _ in sequences])
        times_S = torch.tensor([times_ms[turn] for _, times_ms in sequences])
        torch.testing.assert_close(step(rows_S, times_S), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("num_keys", [16, 25])
def test_too_few_or_too_many_keys_are_refused(num_keys: int) -> None:
    """Less than a sequence holds, or more than a lag has weights for."""
    with pytest.raises(ValueError, match="between 17 and 24"):
        FixedStep(_network(CONFIG), _held(_sequences()), torch.tensor(SLOTS), num_keys)


def _pretend(model: FuxiMME) -> FuxiMME:
    """The network on a CUDA device that has shapes but no numbers."""
    for part in model.modules():
        for name, weight in part.named_parameters(recurse=False):
            empty = torch.empty(weight.shape, device="cuda")
            part.register_parameter(name, nn.Parameter(empty, requires_grad=False))
        for name, kept in part.named_buffers(recurse=False):
            part.register_buffer(name, torch.empty(kept.shape, dtype=kept.dtype, device="cuda"))
    return model


def test_no_number_leaves_the_device() -> None:
    """On CUDA tensors that have shapes but no numbers a step runs through, so a graph can hold it.

    Whatever waited for a number would raise here, and so would a tensor on another device.
    """
    model, held = _network(CONFIG), _held(_sequences())
    with FakeTensorMode(allow_non_fake_inputs=True):
        _pretend(model)
        on_device = Batch(
            rows_BN=torch.empty_like(held.rows_BN, device="cuda"),
            times_BN=torch.empty_like(held.times_BN, device="cuda"),
            lengths_B=torch.empty_like(held.lengths_B, device="cuda"),
        )
        slots_S = torch.empty_like(held.lengths_B, device="cuda")

        states = FixedStep(model, on_device, slots_S, num_keys=24)(slots_S, slots_S)

    assert (states.device.type, states.shape) == ("cuda", (4, 2, 8))
