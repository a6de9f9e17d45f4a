"""The encoding benchmark measures what it says, on a small scale."""

from __future__ import annotations

import random

import pytest
import torch

from model.cache import Reached
from model.catalogue import Catalogue
from model.config import ModelConfig
from ops.bench import encode
from ops.bench.appending import Users


def test_users_grow_by_one_position_per_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first turn every request costs one position of each sequence, without decoding."""
    catalogue = Catalogue([f"item-{number}" for number in range(50)])
    config = ModelConfig(dim=16, streams=2, heads=2, sequences=("global", "local"))
    version = encode._untrained(catalogue, config)
    users = Users(catalogue.items, {"global": 9, "local": 4}, random.Random(0), num=3, routed_by=encode.NAME)
    scorer = encode.Scorer(version, device="cpu", cache_bytes=1 << 24, threads=1, extend=encode.extend)
    cold = scorer.rank(users.ask(), 0).lists

    users.grow()
    warm = scorer.rank(users.ask(), 0).lists

    assert [ranked.positions for ranked in cold] == [13] * 3
    assert [ranked.positions for ranked in warm] == [2] * 3


def test_a_click_leaves_the_second_themes_sequence_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of four sequences grow by one position; the fourth is answered from what is kept."""
    catalogue = Catalogue([f"item-{number}" for number in range(50)])
    version = encode._untrained(catalogue, ModelConfig(dim=16, streams=2, heads=2), themed=True)
    lengths = {"global": 30, "local": 4, "theme:0": 6, "theme:1": 5}
    users = Users(
        catalogue.items, lengths, random.Random(0), num=3, routed_by=encode.NAME, still=encode.STILL
    )
    scorer = encode.Scorer(version, device="cpu", cache_bytes=1 << 24, threads=1, extend=encode.extend)
    cold = scorer.rank(users.ask(), 0).lists

    users.grow()
    warm = scorer.rank(users.ask(), 0).lists

    assert [ranked.positions for ranked in cold] == [45] * 3
    assert [ranked.positions for ranked in warm] == [3] * 3


def test_the_step_alone_extends_every_slot_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each turn computes one state per user and sequence, of sequences one event longer than before."""
    monkeypatch.setattr(encode, "USERS", 3)
    monkeypatch.setattr(encode, "ITEMS", 50)
    monkeypatch.setattr(encode, "CACHE_BYTES", 1 << 22)
    catalogue = Catalogue([f"item-{number}" for number in range(50)])
    version = encode._untrained(catalogue, ModelConfig(dim=16, streams=2, heads=2))
    turn = encode._step(version, {"global": 9, "local": 4}, random.Random(0))

    first, second = turn()(), turn()()

    for reached in (first, second):
        assert isinstance(reached, Reached)
        assert reached.states_AMd.shape == (6, 2, 8)
    assert not torch.equal(first.states_AMd, second.states_AMd)
