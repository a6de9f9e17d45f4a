"""A published version, loaded and adopted, answering requests."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import wait
from pathlib import Path

import numpy as np
import pytest

from model.config import ModelConfig
from model.popularity import Popularity
from model.registry import Registry
from stream.asking import Asking
from stream.events import Interaction
from stream.history import Rules, User
from stream.hotswap import HotSwap, prove
from stream.learning import Learner
from stream.records import RecommendationList, decode_list
from stream.requests import Cause, build
from stream.scorer_app import following
from stream.scoring import Desk
from stream.serving import Serving
from stream.settings import Settings, load
from stream.themes import Router
from tests.model.untrained_version import untrained

CONFIG = ModelConfig(dim=16, streams=2, heads=2, blocks=1, experts=2)
ITEMS = [f"i{number}" for number in range(200)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one version of random weights."""
    directory = tmp_path_factory.mktemp("models")
    untrained(directory, CONFIG, ITEMS)
    return directory


@pytest.fixture
def settings(models: Path) -> Settings:
    return load(
        overrides={"models": {"dir": models}, "scorer": {"device": "cpu", "cache_mb": 8}}, environment={}
    )


def served(settings: Settings) -> Serving:
    version = Registry(settings.models.dir).load("000001")
    return Serving(version, 1, device="cpu", cache_bytes=8 << 20, threads=1, filter_seen=True)


def asking(name: str, user: User, item: str, offset: int) -> Asking:
    event = Interaction(ts=60_000 * (offset + 1), user=name, item=item, type="click")
    user.apply(event, "t", offset, Rules(), Router())
    cause = Cause(user=name, partition=0, type="click", produced_ms=0)
    return Asking(build(user, Router(), cause, sample_share=0.0), 0, offset, 0)


def visit(name: str, items: Sequence[str]) -> list[Asking]:
    user = User.new("t")
    return [asking(name, user, item, offset) for offset, item in enumerate(items)]


def desk(ranker: Serving) -> Desk:
    made = Desk(
        Learner(Popularity(), ()),
        topic="requests",
        top_n=20,
        max_batch=8,
        filter_seen=True,
        clock_ms=lambda: 0.0,
    )
    made.adopt(ranker)
    return made


def shown(made: Desk, turn: Sequence[Asking]) -> list[RecommendationList]:
    return [decode_list(out.value) for out in made.answer(turn) if out.topic == "recommendations"]


def test_the_cache_changes_no_list(settings: Settings) -> None:
    """Click by click against a warm cache, and all at once against an empty one: the same last list."""
    visits = visit("ann", [f"i{3 * number % 200}" for number in range(90)])
    warm, cold = desk(served(settings)), desk(served(settings))
    for one in visits[:-1]:
        warm.answer([one])

    [from_warm] = shown(warm, visits[-1:])
    [from_cold] = shown(cold, visits[-1:])

    assert [place.item for place in from_warm.items] == [place.item for place in from_cold.items]
    np.testing.assert_allclose(
        [place.score for place in from_warm.items], [place.score for place in from_cold.items], atol=1e-5
    )
    assert warm.tally.positions < cold.tally.positions * 3


def test_a_list_leaves_out_what_the_user_has(settings: Settings) -> None:
    """Twenty items, none of them the user's own, scores never rising."""
    visits = visit("ann", ["i1", "i2", "i3"])

    [made] = shown(desk(served(settings)), visits[-1:])

    items = [place.item for place in made.items]
    scores = [place.score for place in made.items]
    assert len(items) == len(set(items)) == 20
    assert not {"i1", "i2", "i3"} & set(items)
    assert scores == sorted(scores, reverse=True)
    assert made.model == "000001"
    assert made.degraded is None


def test_an_unknown_item_alone_is_answered_with_popular_ones(settings: Settings) -> None:
    """A user of whom the version knows no item gets the version's popular items, labelled."""
    [made] = shown(desk(served(settings)), visit("ann", ["nowhere"]))

    assert made.degraded == "popular"
    assert [place.item for place in made.items][:3] == ["i0", "i1", "i2"]


def test_a_published_version_proves_itself(settings: Settings) -> None:
    """The proof passes for an honest version and leaves nothing in its cache that changes a list."""
    fresh, proved = served(settings), served(settings)
    prove(proved)
    turn = visit("ann", ["i5", "i6"])[-1:]

    assert shown(desk(proved), turn)[0].items == shown(desk(fresh), turn)[0].items


def test_a_scorer_follows_its_directory(settings: Settings) -> None:
    """What is published is loaded beside the turns and handed over once."""
    swap = following(settings)
    adopted = None
    for now_s in range(600):
        adopted = swap.poll(float(now_s))
        if adopted is not None:
            break
        assert isinstance(swap, HotSwap)
        if swap.coming is not None:
            wait([swap.coming], timeout=30)

    assert adopted is not None
    assert (adopted.version, adopted.epoch) == ("000001", 1)
    assert list(adopted.labels) == ["Drama", "Noir"]
    assert swap.settled


def test_a_version_that_was_changed_on_disk_is_refused(settings: Settings, models: Path) -> None:
    """Another byte in the weights, and nothing of it is served."""
    weights = models / "000001" / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    swap = following(settings)
    try:
        assert swap.poll(0.0) is None
        assert swap.coming is not None
        wait([swap.coming], timeout=30)
        assert swap.poll(1.0) is None
    finally:
        weights.write_bytes(whole)

    assert swap.refused == 1
