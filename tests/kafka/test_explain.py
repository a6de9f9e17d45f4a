"""`hopstream explain` on a stored state: the terms are the score that a scorer would serve."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.config import ModelConfig
from model.popularity import Popularity
from model.registry import Registry
from ops.broker import Broker
from ops.cli import app
from stream import admin
from stream.asking import Asking
from stream.clients import producer
from stream.events import Interaction, Item, encode
from stream.history import Rules, User
from stream.learning import Learner
from stream.partition import partition_of
from stream.records import decode_list
from stream.requests import Cause, build
from stream.scorer_checkpoint import Checkpoint, Learned
from stream.scoring import Desk
from stream.serving import Serving
from stream.settings import load
from stream.statedir import place_of
from stream.themes import Router
from stream.topics import TopicNames
from tests.model.untrained_version import untrained

ITEMS = [f"i{number}" for number in range(30)]
CONFIG = ModelConfig(dim=16, streams=2, heads=2, blocks=2, experts=2, facet_gate=True)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    untrained(tmp_path / "models", CONFIG, ITEMS, spread=0.3)
    return tmp_path / "models"


@pytest.fixture
def ann(broker: Broker, prefix: str) -> User:
    """A user whose state lies on the changelog, and a title for what she took first."""
    names = TopicNames(prefix)
    admin.ensure_topics(broker.bootstrap, names, 2)
    settings = load(environment={})
    user = User.new("t")
    for offset, item in enumerate(["i0", "i5", "i9", "i5"]):
        event = Interaction(ts=1_600_000_000_000 + 60_000 * offset, user="ann", item=item, type="click")
        user.apply(event, "t", offset, Rules.of(settings), Router())
    sender = producer(broker.bootstrap)
    sender.send(names.changelog, user.to_bytes(), b"ann", partition=partition_of("ann", 2)).get(20)
    sender.send(names.items, encode(Item(item="i0", title="Alien")), b"i0", partition=0).get(20)
    sender.close()
    return user


def run(broker: Broker, prefix: str, models: Path, *words: str, status: int = 0) -> str:
    options = ["--models", str(models), "--bootstrap", broker.bootstrap]
    made = CliRunner().invoke(app, ["explain", *words, *options], env={"HOPSTREAM_KAFKA__PREFIX": prefix})
    assert made.exit_code == status or (made.exception is not None and status != 0), made.output
    return made.output if status == 0 else str(made.exception)


def test_the_explained_score_is_the_served_one(broker: Broker, prefix: str, models: Path, ann: User) -> None:
    """For every item on the list that a scorer makes from the same state, to 1e-5."""
    version = Registry(models).load("000001")
    router = Router(version.themes, version.name)
    cause = Cause(user="ann", partition=0, type="click", produced_ms=0)
    asking = Asking(build(ann, router, cause, sample_share=0.0), 0, 0, 0)
    serving = Serving(version, 1, device="cpu", cache_bytes=1 << 22, threads=1, filter_seen=True)
    place = serving.rank([asking], 3).places[0]
    for item, score in zip(place.items, place.scores, strict=True):
        told = json.loads(run(broker, prefix, models, "ann", item, "--json"))
        assert abs(told["score"] - score) < 1e-5
        assert abs(sum(facet["term"] for facet in told["facets"]) - score) < 1e-5
    assert told["sequences"] == {"global": 4}
    assert told["themes"][0]["label"] == "Drama"


def test_the_explained_sum_is_the_served_one(
    broker: Broker, prefix: str, models: Path, ann: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facets, the memory shared out over the history, and an item without a row: all as the list has it."""
    monkeypatch.setenv("HOPSTREAM_SCORER__DATA_DIR", str(tmp_path / "scorer"))
    names, version = TopicNames(prefix), Registry(models).load("000001")
    desk = Desk(
        Learner(Popularity(), ()),
        topic=names.requests,
        top_n=30,
        max_batch=8,
        filter_seen=True,
        clock_ms=lambda: 0.0,
    )
    desk.adopt(Serving(version, 1, device="cpu", cache_bytes=1 << 22, threads=1, filter_seen=True))
    for at, items in enumerate([["i0", "i7", "new"], ["i9", "i7"], ["i5", "i3"]]):
        for place, item in enumerate(items):
            desk.learner.memory.learn(items[:place], item, 1000 * at)
    desk.adopt(Serving(version, 1, device="cpu", cache_bytes=1 << 22, threads=1, filter_seen=True))
    cause = Cause(user="ann", partition=partition_of("ann", 2), type="rescore", produced_ms=0)
    router = Router(version.themes, version.name)
    raw = build(ann, router, cause, sample_share=0.0)
    [out] = desk.answer([Asking(raw, cause.partition, 0, 0)])
    sender = producer(broker.bootstrap)
    sender.send(names.recommendations, out.value, out.key, partition=out.partition).get(20)
    sender.close()
    topic_id = admin.topic_ids(broker.bootstrap, [names.requests])[names.requests]
    folder = place_of(tmp_path / "scorer", admin.cluster_id(broker.bootstrap), topic_id)
    learned = Learned(learner=desk.learner, leading=desk.leading, requests={})
    Checkpoint(folder, 1.0, ThreadPoolExecutor(1)).close(learned)
    made = decode_list(out.value)

    assert set(made.memory) == {"i7", "i3", "new"}
    for place in [one for one in made.items if one.item in {"i7", "i3", "new", "i20"}]:
        told = json.loads(run(broker, prefix, models, "ann", place.item, "--json"))
        terms = [facet["term"] for facet in told["facets"]] + [told["memory"]["term"]]
        assert abs(told["score"] - place.score) < 1e-5
        assert abs(sum(terms) + (told["stand_in"] or 0.0) - place.score) < 1e-5
        assert told["row"] == ("provisional" if place.item == "new" else "trained")
        if place.item in made.memory:
            assert sum(told["memory"]["shares"].values()) == pytest.approx(1.0)
        if place.item == "i7":
            assert set(told["memory"]["shares"]) == {"i0", "i9"}
            assert told["list"] == made.id
    assert "taken along with i" in run(broker, prefix, models, "ann", "i7")


def test_for_people_it_names_titles_and_what_keeps_an_item_out(
    broker: Broker, prefix: str, models: Path, ann: User
) -> None:
    """The history item behind a facet by its title; an item that was seen is said to be left out."""
    said = run(broker, prefix, models, "ann", "i0")

    assert "i0 Alien for ann: score" in said
    assert "rule: already in the user's history" in said
    assert "nearest in the history: i0 Alien (1.00)" in said
    assert "has no score for ann" in run(broker, prefix, models, "ann", "nothing")


def test_nobody_is_explained_nothing(broker: Broker, prefix: str, models: Path, ann: User) -> None:
    """A user without a state is named."""
    assert "bob" in run(broker, prefix, models, "bob", "i0", status=4)
