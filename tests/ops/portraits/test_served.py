"""The explanation of a served list, from the list and the scorer's snapshot alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model.config import ModelConfig
from model.explain import Explainer
from model.mme import FuxiMME
from model.popularity import Popularity
from model.version import Version
from ops.portraits.served import served
from stream.asking import Asking
from stream.events import Interaction
from stream.history import Rules, User
from stream.learning import Learner
from stream.records import RecommendationList, decode_list
from stream.requests import Cause, build
from stream.scorer_checkpoint import Checkpoint, Learned
from stream.scoring import Desk
from stream.serving import Serving
from stream.themes import Router
from tests.model.untrained_version import untrained

ITEMS = [f"i{number}" for number in range(30)]
CONFIG = ModelConfig(dim=16, streams=2, heads=2, blocks=2, experts=2, facet_gate=True)
MAX_ITEMS = 100_000


@pytest.fixture
def version(tmp_path: Path) -> Version:
    return untrained(tmp_path / "models", CONFIG, ITEMS, spread=0.3)


def answered(version: Version, folder: Path) -> tuple[Asking, RecommendationList]:
    """Ann's newest request and list; others have taken i7 and a new item along with hers. Snapshot kept."""
    desk = Desk(
        Learner(Popularity(), ()),
        topic="requests",
        top_n=30,
        max_batch=8,
        filter_seen=True,
        clock_ms=lambda: 0.0,
    )
    clicks = [("bob", "i0"), ("bob", "i7"), ("bob", "new"), ("cid", "i9"), ("cid", "i7"), ("dan", "i5")]
    clicks += [("dan", "i3"), ("ann", "i0"), ("ann", "i5"), ("ann", "i9")]
    users = {name: User.new("t") for name, _ in clicks}
    turn = []
    for offset, (name, item) in enumerate(clicks):
        event = Interaction(ts=60_000 * (offset + 1), user=name, item=item, type="click")
        users[name].apply(event, "t", offset, Rules(), Router())
        cause = Cause(user=name, partition=0, type="click", produced_ms=0)
        turn.append(Asking(build(users[name], Router(), cause, sample_share=0.0), 0, offset, 0))
    desk.adopt(Serving(version, 1, device="cpu", cache_bytes=1 << 22, threads=1, filter_seen=True))
    out = desk.answer(turn)
    learned = Learned(learner=desk.learner, leading=desk.leading, requests={})
    Checkpoint(folder, 1.0, ThreadPoolExecutor(1)).close(learned)
    return turn[-1], decode_list(out[-1].value)


def test_the_explained_sum_is_the_served_one(version: Version, tmp_path: Path) -> None:
    """Facets, memory and stand-in add up to each score on the list, and the memory's term is shared out."""
    asking, made = answered(version, tmp_path)
    network = FuxiMME.from_weights(version.config, version.weights)
    explainer = Explainer(network, version.catalogue, asking.sequences())
    scores = {place.item: place.score for place in made.items}
    shares = {}
    for item, score in scores.items():
        told = served(made, item, asking.history, tmp_path, MAX_ITEMS)
        assert told is not None
        found = explainer.explain(item, told.memories)
        assert found.memory is not None
        assert found.score == pytest.approx(score, abs=1e-5)
        terms = [facet.term for facet in found.facets] + [found.memory.term, found.stand_in or 0.0]
        assert sum(terms) == pytest.approx(score, abs=1e-5)
        assert found.row == ("provisional" if item == "new" else "trained")
        assert sum(found.memory.shares.values()) == pytest.approx(float(item in made.memory))
        shares[item] = set(found.memory.shares)
    assert (shares["i7"], shares["new"], shares["i3"]) == ({"i0", "i9"}, {"i0"}, {"i5"})


def test_without_the_snapshot_the_term_stands_and_nobody_speaks(version: Version, tmp_path: Path) -> None:
    """The list has what the memory said; who it had it from, only the scorer knows."""
    asking, made = answered(version, tmp_path)

    told = served(made, "i7", asking.history, tmp_path / "elsewhere", MAX_ITEMS)

    assert told is not None
    assert told.memories.memory == made.memory["i7"]
    assert told.memories.shares == {}
    assert len(told.notes) == 1
