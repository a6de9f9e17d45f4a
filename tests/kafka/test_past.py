"""Time travel on a real broker: states, digests and lists as of a moment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from model.config import ModelConfig
from ops.cli import app
from ops.past import states_then
from ops.states import NoSuchUser
from stream import clients
from stream.admin import ensure_topics, topic_ids
from stream.events import Interaction, encode
from stream.history import Rules
from stream.moment import Moment
from stream.partition import partition_of
from stream.records import RecommendationList, Scored, StateRef, encode_list
from stream.topics import TopicNames
from tests.model.untrained_version import untrained

TAKEN = ["i0", "i5", "i9", "i12"]
CONFIG = ModelConfig(dim=16, streams=2, heads=2, blocks=1, experts=2)


class Past:
    """Ann took four items, a list after each but the third; bob took one thing before and one after."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.bootstrap, self.names = bootstrap, TopicNames(prefix)
        ensure_topics(bootstrap, self.names, 1)
        self.topic_id = topic_ids(bootstrap, [self.names.events])[self.names.events]
        self.written_ms: list[int] = []
        sender = clients.producer(bootstrap)
        for number, (user, item) in enumerate(
            [("bob", "i1"), *[("ann", item) for item in TAKEN], ("bob", "i2")]
        ):
            event = Interaction(ts=1_600_000_000_000 + 1000 * number, user=user, item=item, type="click")
            written_ms = 1_700_000_000_000 + 1000 * number
            sender.send(
                self.names.events, encode(event), user.encode(), partition=0, timestamp_ms=written_ms
            ).get(20)
            self.written_ms.append(written_ms)
            if number in (1, 2, 4):
                value = encode_list(self.a_list(user, number))
                sender.send(
                    self.names.recommendations, value, user.encode(), partition=0, timestamp_ms=written_ms + 5
                ).get(20)
        sender.close()

    def a_list(self, user: str, offset: int) -> RecommendationList:
        return RecommendationList(
            id="l",
            user=user,
            items=[Scored(item=f"after{offset}", score=1.0)],
            model="000001",
            state=StateRef(topic_id=self.topic_id, partition=0, offset=offset, events=offset),
            epoch=1,
        )

    def told(self, *words: str) -> dict[str, Any]:
        """The JSON of a verb."""
        words = (*words, "--bootstrap", self.bootstrap, "--json")
        made = CliRunner().invoke(app, words, env={"HOPSTREAM_KAFKA__PREFIX": self.names.prefix})
        if made.exception is not None and not isinstance(made.exception, SystemExit):
            raise made.exception
        found: dict[str, Any] = json.loads(made.output.splitlines()[-1])
        return found


@pytest.fixture
def past(bootstrap: str, prefix: str) -> Past:
    return Past(bootstrap, prefix)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    untrained(tmp_path / "models", CONFIG, [f"i{number}" for number in range(30)])
    return tmp_path / "models"


def test_a_state_is_rebuilt_as_of_an_offset_and_a_time(past: Past) -> None:
    """Exactly the events that lay there by then, for one user or all."""
    rules = Rules()
    for at in (Moment(offset=2), Moment(written_ms=past.written_ms[2])):
        found = states_then(past.bootstrap, past.names, rules, at)
        assert {key: then.user.items for key, then in found.items()} == {b"ann": TAKEN[:2], b"bob": ["i1"]}

    only = states_then(past.bootstrap, past.names, rules, Moment(), only="ann")
    assert [(key, then.user.items) for key, then in only.items()] == [(b"ann", TAKEN)]
    assert partition_of("ann", 1) == only[b"ann"].partition


def test_digests_of_the_same_moment_are_the_same_and_of_others_not(past: Past) -> None:
    """An offset and its time are one moment; an event or a list more is another."""
    by_offset = past.told("digest", "--at", "2")
    by_time = past.told("digest", "--at", f"ts={past.written_ms[2] + 900}")
    later = past.told("digest", "--at", "3")
    now = past.told("digest", "--at", "latest")

    assert (by_offset["state"], by_offset["users"]) == (by_time["state"], 2)
    assert by_offset["lists"] == by_time["lists"] == later["lists"] != now["lists"]
    assert len({by_offset["state"], later["state"], now["state"]}) == 3


def test_inspect_shows_a_user_as_of_then(past: Past, models: Path) -> None:
    """State, version and list of that moment, and the model on that state: what was taken is not in it."""
    then = past.told("inspect", "user", "ann", "--at", "3", "--models", str(models))
    now = past.told("inspect", "user", "ann", "--at", "latest", "--models", str(models))

    assert [event["item"] for part in then["sessions"] for event in part["events"]] == TAKEN[:3]
    assert (then["list"]["items"], now["list"]["items"]) == ([["after2", 1.0]], [["after4", 1.0]])
    assert then["version"] == "000001"
    assert then["sessions"][0]["theme"] is None
    ranked = [item for item, _ in then["model"]]
    assert len(ranked) == 10
    assert not set(TAKEN[:3]) & set(ranked)
    assert then["model"] != now["model"]


def test_before_the_first_event_there_is_nobody(past: Past) -> None:
    """An error that names user and moment."""
    with pytest.raises(NoSuchUser, match="at 0"):
        past.told("inspect", "user", "ann", "--at", "0")


def test_diff_tells_what_changed_between_two_moments(past: Past, models: Path) -> None:
    """Two events more, another list; the version stayed."""
    found = past.told("diff", "ann", "--at", "2", "--at", "latest", "--models", str(models))

    assert [event["item"] for event in found["events"]] == TAKEN[2:]
    assert [entry["item"] for entry in found["left"]] == ["after2"]
    assert [entry["item"] for entry in found["entered"]] == ["after4"]
    assert found["version"] == ["000001", "000001"]
