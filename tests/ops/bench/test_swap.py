"""The benchmark of swaps: what counts as answered, as lost, as during a swap; and that its loop turns."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.bench import swap
from ops.bench.swap import DURING, WITHOUT, measured, outcome_of
from ops.bench.wire import Due, Wire
from stream.records import RecommendationList, StateRef, encode_list
from stream.topics import TopicNames


def due(second: float, user: str, knows: int) -> Due:
    return Due(second, 0, knows, user.encode(), b"", knows)


def a_list(user: str, knows: int, epoch: int) -> bytes:
    state = StateRef(topic_id="t", partition=0, offset=knows, events=1)
    return encode_list(
        RecommendationList(id="l", user=user, items=[], model="000001", state=state, epoch=epoch)
    )


def test_a_request_is_answered_by_the_first_list_that_knows_it() -> None:
    """Ann's second click answers her first too; what is due around a swap counts as during it; the warm-up
    does not count; bob's click is known to no list."""
    wire = Wire(TopicNames(""), [])
    wire.lists = [
        (0.5, a_list("ann", 0, 1)),
        (4.5, a_list("ann", 2, 1)),
        (20.25, a_list("ann", 3, 2)),
        (30.5, a_list("ann", 4, 2)),
    ]
    requests = [due(0.25, "ann", 0), due(3.0, "ann", 1), due(4.0, "ann", 2), due(9.0, "bob", 5)]
    requests += [due(20.0, "ann", 3), due(30.0, "ann", 4)]
    found = outcome_of(requests, wire, published_s=[19.0])

    assert found.swaps == [(19.0, 20.25)]
    assert found.taken_s == {DURING: [0.25], WITHOUT: [1.5, 0.5, 0.5]}
    assert found.lost == 1


def test_the_loop_answers_everybody_beside_a_swap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small registry and a few users: no request is lost, none becomes a dead letter."""
    monkeypatch.setattr(swap, "PAST", 3)
    monkeypatch.setattr(swap, "WARMUP_S", 0.0)
    found = measured(tmp_path, swaps=1, every_s=0.5, rate=20, users=4, items=60)

    assert found.lost == 0
    assert sum(map(len, found.taken_s.values())) == 20
