"""Laws of what is served: a version, a memory that learns as requests come, and the leader between them."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
import pytest

from model.blend import EPSILON
from model.config import FIRST_ITEM_ROW, ModelConfig
from model.popularity import Popularity
from model.version import Version
from stream.asking import Asking
from stream.events import Interaction
from stream.history import Rules, User
from stream.learning import Learner
from stream.records import RecommendationList, decode_list
from stream.requests import Cause, build
from stream.scoring import Desk
from stream.serving import Serving
from stream.themes import Router
from tests.model.untrained_version import untrained

CONFIG = ModelConfig(dim=16, streams=2, heads=2, blocks=1, experts=2)
KNOWN = [f"i{number}" for number in range(60)]
NEW = [f"n{number}" for number in range(10)]
Click = tuple[str, str, str]  # user, item, type


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return untrained(tmp_path_factory.mktemp("models"), CONFIG, KNOWN)


def desk(version: Version | None, max_batch: int = 64) -> Desk:
    made = Desk(
        Learner(Popularity(), {"dislike"}),
        topic="requests",
        top_n=10,
        max_batch=max_batch,
        filter_seen=True,
        clock_ms=lambda: 0.0,
    )
    if version is not None:
        made.adopt(Serving(version, 1, device="cpu", cache_bytes=8 << 20, threads=1, filter_seen=True))
    return made


def requests(clicks: Sequence[Click]) -> list[Asking]:
    """Every state is sampled, so every one gets a list."""
    users: dict[str, User] = {}
    asked = []
    for offset, (name, item, type) in enumerate(clicks):
        user = users.setdefault(name, User.new("t"))
        event = Interaction(ts=60_000 * (offset + 1), user=name, item=item, type=type)
        user.apply(event, "t", offset, Rules(), Router())
        cause = Cause(user=name, partition=0, type=type, produced_ms=0)
        asked.append(Asking(build(user, Router(), cause, sample_share=1.0), 0, offset, 0))
    return asked


def clicks(num: int, seed: int = 0, num_users: int = 6) -> list[Click]:
    """Users who walk through neighbouring items, some of them new, and dislike one now and then."""
    random = np.random.default_rng(seed)
    items = KNOWN[:40] + NEW
    at = random.integers(0, len(items), num_users)
    made = []
    for _ in range(num):
        user = int(random.integers(num_users))
        at[user] = (at[user] + random.integers(1, 4)) % len(items)
        made.append((f"u{user}", items[at[user]], "dislike" if random.random() < 0.05 else "click"))
    return made


def lists(made: Desk, asked: Sequence[Asking]) -> dict[int, RecommendationList]:
    found = [decode_list(out.value) for out in made.answer(asked) if out.topic == "recommendations"]
    return {one.state.offset: one for one in found}


def content(made: RecommendationList) -> tuple[object, ...]:
    """All but times."""
    return [(place.item) for place in made.items], made.weight, made.memory, made.degraded


def score_of(made: RecommendationList, item: str, version: Version) -> tuple[float, float]:
    """(score, cosine) that a reader gives any item, from the list and its version alone."""
    assert made.vector is not None
    assert made.weight is not None
    vector = np.frombuffer(base64.b64decode(made.vector), np.float16).astype(np.float32)
    row = version.catalogue.row(item)
    told = {one.item: one.score for one in made.rows}
    cosine = (
        float(version.index[row - FIRST_ITEM_ROW] @ vector) if row >= FIRST_ITEM_ROW else told.get(item, 0)
    )
    remembered = np.log(made.memory.get(item, 0.0) + EPSILON)
    return made.weight / version.config.temperature * cosine + (1 - made.weight) * remembered, cosine


def test_a_reader_ranks_any_items_as_the_scorer_did(version: Version) -> None:
    """From the list's vector, memory, rows and weight: the same scores, and nobody else belongs on it."""
    history = clicks(150)
    made = lists(desk(version), requests(history))
    judged = [one for one in made.values() if one.degraded is None]
    for one in judged:
        mine = {item for user, item, _ in history[: one.state.offset + 1] if user == one.user}
        scores = {item: score_of(one, item, version) for item in KNOWN + NEW if item not in mine}
        for place in one.items:
            assert place.score == pytest.approx(scores[place.item][0], abs=1e-5)
        shown = [place.item for place in one.items]
        told = {row.item for row in one.rows}
        rest = [
            scores[item][0]
            for item in scores.keys() - set(shown)
            if item in KNOWN or item in one.memory or item in told
        ]
        assert max(rest) <= scores[shown[-1]][0] + 1e-5
        assert one.memory_cut == 0
    assert len(judged) > 100
    assert any(one.rows for one in judged)
    assert len({one.weight for one in judged}) > 1


def test_a_users_future_changes_no_list(version: Version) -> None:
    """All requests wait in one turn; those after the cut are shuffled per user: no earlier list changes."""
    past = clicks(60)
    future = clicks(60, seed=1)
    random = np.random.default_rng(2)
    shuffled = list(future)
    for user in {name for name, _, _ in future}:
        places = [at for at, click in enumerate(future) if click[0] == user]
        for at, other in zip(places, random.permutation(places).tolist(), strict=True):
            shuffled[at] = future[other]
    assert shuffled != future

    told = lists(desk(version, max_batch=256), requests(past + future))
    other = lists(desk(version, max_batch=256), requests(past + shuffled))

    for offset in range(len(past)):
        assert content(told[offset]) == content(other[offset])
    assert any(content(told[offset]) != content(other[offset]) for offset in range(60, 120))


@pytest.mark.parametrize("max_batch", [1, 7])
def test_how_a_turn_is_cut_changes_no_list(version: Version, max_batch: int) -> None:
    """One by one, in small batches and all at once: the same items, weights and memory."""
    asked = requests(clicks(120))
    whole = lists(desk(version, max_batch=256), asked)
    cut = desk(version, max_batch)
    turns = [lists(cut, asked[at : at + 10]) for at in range(0, 120, 10)]

    assert {at: content(one) for turn in turns for at, one in turn.items()} == {
        at: content(one) for at, one in whole.items()
    }


def test_a_rejection_takes_its_neighbours_away(version: Version) -> None:
    """What is taken along with the rejected item has less memory than before, and the item itself none."""
    pairs = [("u1", "i1", "click"), ("u1", "i2", "click"), ("u1", "i3", "click")]
    turn = requests([*pairs, ("u2", "i1", "click"), ("u2", "i2", "dislike")])
    made = lists(desk(version), turn)

    assert set(made[3].memory) == {"i2", "i3"}
    assert made[4].memory.get("i3", 0.0) < made[3].memory["i3"]
    assert "i2" not in made[4].memory
    assert "i2" not in [place.item for place in made[4].items]


def test_without_a_model_the_memory_serves_and_the_list_says_so() -> None:
    """First what goes with the user's items, then what is popular; labelled, with a weight of 0."""
    before = [("u1", "i1", "click"), ("u1", "i2", "click"), ("u3", "i9", "click")]
    [*_, made] = lists(desk(None), requests([*before, ("u2", "i1", "click")])).values()

    assert [place.item for place in made.items] == ["i2", "i9"]
    assert (made.degraded, made.weight, made.vector) == ("no model yet", 0.0, None)


def test_a_user_of_new_items_alone_is_served_by_the_memory(version: Version) -> None:
    """The version knows nothing of the user; the memory does."""
    before = [("u1", "n1", "click"), ("u1", "i5", "click")]
    [*_, made] = lists(desk(version), requests([*before, ("u2", "n1", "click")])).values()

    assert made.items[0].item == "i5"
    assert (made.degraded, made.weight) == ("memory", 0.0)
