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


@pytest.mark.parametrize(
    ("lengths", "still", "cold", "warm"),
    [
        ({"global": 9, "local": 4}, None, 13, 2),
        ({"global": 30, "local": 4, "theme:0": 6, "theme:1": 5}, encode.STILL, 45, 3),
    ],
    ids=["every sequence grows", "a click leaves the second theme's as it is"],
)
def test_users_grow_by_one_position_per_sequence(
    lengths: dict[str, int], still: str | None, cold: int, warm: int
) -> None:
    """After the first turn every request costs one position of each sequence that grows, without decoding;
    others are answered from what is kept."""
    catalogue = Catalogue([f"item-{number}" for number in range(50)])
    kinds = tuple(dict.fromkeys(kind.split(":")[0] for kind in lengths))
    config = ModelConfig(dim=16, streams=2, heads=2, sequences=kinds)
    version = encode._untrained(catalogue, config, themed="theme" in kinds)
    users = Users(catalogue.items, lengths, random.Random(0), num=3, routed_by=encode.NAME, still=still)
    scorer = encode.Scorer(version, device="cpu", cache_bytes=1 << 24, threads=1, extend=encode.extend)
    first = scorer.rank(users.ask(), 0).lists

    users.grow()
    second = scorer.rank(users.ask(), 0).lists

    assert [ranked.positions for ranked in first] == [cold] * 3
    assert [ranked.positions for ranked in second] == [warm] * 3


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
