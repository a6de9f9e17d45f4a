"""The cache in the mechanism: positions computed in pieces are the full encoding's."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.backbone import last
from model.batch import padded
from model.cache import PrefixCache, Reached, slot_bytes
from model.experts import margins
from model.mme import FuxiMME
from model.slots import New

TOLERANCE = 1e-5


def _sequence(length: int, rng: random.Random) -> tuple[list[int], list[int]]:
    """Rows and times in arrival order, some of them late."""
    times = [10**12]
    for _ in range(length - 1):
        times.append(times[-1] + rng.choice([-5000, 0, 1000, 10**5, 10**8]))
    return [rng.randrange(1, 95) for _ in range(length)], times


def _new(slot: int, sequence: tuple[list[int], list[int]], start: int, stop: int) -> New:
    rows, times = sequence
    return New(slot=slot, start=start, rows=np.array(rows[start:stop]), times_ms=np.array(times[start:stop]))


def reached(cache: PrefixCache, slots: list[int]) -> Reached:
    """What the slots hold now: asked for without any new position."""
    none = np.empty(0, dtype=np.int64)
    return cache.extend([New(slot=slot, start=0, rows=none, times_ms=none) for slot in slots])


def states(cache: PrefixCache, slots: list[int]) -> torch.Tensor:
    return reached(cache, slots).states_AMd


def _full(model: FuxiMME, sequences: list[tuple[list[int], list[int]]]) -> tuple[torch.Tensor, torch.Tensor]:
    """(states (R, M, d), smallest routing margin of each (R,)) by the reference path."""
    batch = padded(sequences, model.config.max_events)
    encoded = model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B)
    lead_LRNM = margins(encoded.logits_LBNME)
    valid_RN = torch.arange(batch.rows_BN.shape[1]) < batch.lengths_B[:, None]
    lead_LRNM = lead_LRNM.masked_fill(~valid_RN[None, :, :, None], torch.inf)
    return last(encoded.states_BNMd, batch.lengths_B), lead_LRNM.amin(dim=(0, 2, 3))


@pytest.mark.parametrize("steps", [[24], [1] * 24, [5, 1, 1, 9, 1, 7], [20, 4]])
def test_pieces_are_the_whole(network, steps: list[int]) -> None:
    """However 24 positions are cut into pieces, the newest state is the full encoding's."""
    model = network()
    cache = PrefixCache(model, 3 * slot_bytes(model))
    sequence = _sequence(24, random.Random(1))

    at = 0
    for step in steps:
        cache.extend([_new(2, sequence, at, at + step)])
        at += step

    expected, margin = _full(model, [sequence])
    assert margin.min() > 1e-4
    torch.testing.assert_close(states(cache, [2]), expected, atol=TOLERANCE, rtol=0)


def test_unlike_slots_share_a_batch(network) -> None:
    """Cold, warm and unchanged slots of all lengths in one call: each as if alone, others untouched."""
    model = network()
    rng = random.Random(3)
    sequences = [_sequence(length, rng) for length in (1, 24, 7, 13, 24, 2, 18, 24, 24)]
    held = [0, 0, 6, 3, 23, 1, 18, 20, 22]
    cache = PrefixCache(model, 10 * slot_bytes(model))
    cache.extend([_new(slot, sequence, 0, held[slot]) for slot, sequence in enumerate(sequences)])

    cache.extend([_new(slot, s, held[slot], len(s[0])) for slot, s in enumerate(sequences)])

    expected, margin = _full(model, sequences)
    assert margin.min() > 1e-4
    torch.testing.assert_close(states(cache, list(range(9))), expected, atol=TOLERANCE, rtol=0)
    assert states(cache, [9]).abs().max() == 0


def test_a_slot_serves_its_next_holder(network) -> None:
    """What the last holder left beyond the new one's length has no weight."""
    model = network()
    rng = random.Random(3)
    old, young = _sequence(24, rng), _sequence(3, rng)
    cache = PrefixCache(model, slot_bytes(model))
    cache.extend([_new(0, old, 0, 24)])

    cache.extend([_new(0, young, 0, 2)])
    cache.extend([_new(0, young, 2, 3)])

    torch.testing.assert_close(states(cache, [0]), _full(model, [young])[0], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("name", ["MAX_KEYS", "MAX_MAP"])
def test_small_shares_change_nothing(network, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """One slot per product gives what many give."""
    model = network()
    rng = random.Random(4)
    sequences = [_sequence(length, rng) for length in (9, 20, 24)]
    monkeypatch.setattr(f"model.cache.{name}", 1)
    cache = PrefixCache(model, 3 * slot_bytes(model))

    for start, stop in ((0, 8), (8, 9)):
        cache.extend([_new(slot, sequence, start, stop) for slot, sequence in enumerate(sequences)])

    expected, _ = _full(model, [(rows[:9], times[:9]) for rows, times in sequences])
    torch.testing.assert_close(states(cache, [0, 1, 2]), expected, atol=TOLERANCE, rtol=0)


def test_expert_shares_are_the_newest_positions(network) -> None:
    """Per block the share of streams by expert, as the full encoding routes its last token."""
    model = network()
    sequence = _sequence(10, random.Random(5))
    cache = PrefixCache(model, slot_bytes(model))
    cache.extend([_new(0, sequence, 0, 9)])
    cache.extend([_new(0, sequence, 9, 10)])

    batch = padded([sequence], 24)
    logits = model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B).logits_LBNME[:, 0, -1]
    expected = torch.nn.functional.one_hot(logits.argmax(-1), 3).float().mean(1)
    assert torch.equal(expected, reached(cache, [0]).expert_shares(3)[0])


def test_the_budget_buys_slots(network) -> None:
    """As many as fit, one at least; keys, values and times of every position are paid for."""
    model = network()
    config = model.config

    assert slot_bytes(model) >= config.max_events * (2 * 4 * config.dim * config.blocks + 8)
    assert PrefixCache(model, 7 * slot_bytes(model) + 1).num_slots == 7
    assert PrefixCache(model, 0).num_slots == 1


def test_a_burst_reaches_every_state_on_its_way(network) -> None:
    """Several new positions at once give each asked state as the full encoding of what came up to it."""
    model = network()
    sequence = _sequence(12, random.Random(8))
    cache = PrefixCache(model, 2 * slot_bytes(model))
    other = _sequence(5, random.Random(9))
    burst = replace(_new(1, sequence, 0, 12), num_asked=4)
    found = cache.extend([_new(0, other, 0, 5), burst])

    prefixes = [(sequence[0][:stop], sequence[1][:stop]) for stop in (9, 10, 11, 12)]
    expected, margin = _full(model, [other, *prefixes])
    assert margin.min() > 1e-4
    torch.testing.assert_close(found.states_AMd, expected, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(states(cache, [1])[0], expected[-1], atol=TOLERANCE, rtol=0)
