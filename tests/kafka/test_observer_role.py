"""Reading a run, and one user's list, from a real broker's topics."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.commands.recommend import UserUnknown
from stream import clients
from stream.admin import ensure_topics, topic_ids
from stream.events import Interaction, Item, encode
from stream.newest import newest_lists
from stream.observer import NothingToObserve, Observer, start_now
from stream.partition import partition_of
from stream.records import RecommendationList, Scored, StateRef, encode_list
from stream.settings import Settings, load
from stream.topics import TopicNames


@pytest.fixture
def settings(prefix: str) -> Settings:
    return load(overrides={"kafka": {"prefix": prefix, "partitions": 2}}, environment={})


@pytest.fixture
def names(bootstrap: str, prefix: str) -> TopicNames:
    made = TopicNames(prefix)
    ensure_topics(bootstrap, made, 2)
    return made


def write(bootstrap: str, records: list[tuple[str, str, bytes]]) -> None:
    """(topic, key, value) records, each acknowledged."""
    sender = clients.producer(bootstrap)
    for topic, key, value in records:
        sender.send(topic, key=key.encode(), value=value).get(timeout=20)
    sender.close()


def a_list(bootstrap: str, names: TopicNames, user: str, offset: int, epoch: int, item: str) -> bytes:
    topic_id = topic_ids(bootstrap, [names.events])[names.events]
    state = StateRef(topic_id=topic_id, partition=partition_of(user, 2), offset=offset, events=1)
    return encode_list(
        RecommendationList(
            id="l",
            user=user,
            items=[Scored(item=item, score=1.0)],
            model="000001",
            state=state,
            epoch=epoch,
        )
    )


def click(user: str, item: str) -> bytes:
    return encode(Interaction(ts=1000, user=user, item=item, type="click"))


def test_a_run_is_read_from_its_start(bootstrap: str, names: TopicNames, settings: Settings) -> None:
    """Only records from the start offsets on count; a later poll adds what came meanwhile."""
    write(bootstrap, [(names.events, "old", click("old", "i1"))])
    observer = Observer(bootstrap, settings, start_now(bootstrap, names))
    write(bootstrap, [(names.events, "ann", click("ann", "i1"))])
    assert observer.catch_up()
    offset = observer.summary()
    made = a_list(bootstrap, names, "ann", 99, 1, "i2")
    write(bootstrap, [(names.recommendations, "ann", made)])
    assert observer.catch_up()
    observer.close()

    assert (offset["events"], offset["incomplete_users"]) == (1, 1)
    found = observer.summary()
    assert (found["events"], found["lists"], found["incomplete_users"]) == (1, 1, 0)
    assert found["event_to_list_ms"]["p50"] >= 0
    assert found["largest_skew_events"] >= 0


def test_without_topics_there_is_nothing_to_observe(bootstrap: str, settings: Settings) -> None:
    """A prefix without topics is an error that says so."""
    with pytest.raises(NothingToObserve):
        Observer(bootstrap, settings)


def test_the_newest_list_wins_by_its_order(bootstrap: str, names: TopicNames) -> None:
    """Not the last record but the newest state, then the greater epoch; foreign records are passed over."""
    write(
        bootstrap,
        [
            (names.recommendations, "ann", a_list(bootstrap, names, "ann", 5, 2, "new")),
            (names.recommendations, "ann", a_list(bootstrap, names, "ann", 5, 1, "old")),
            (names.recommendations, "ann", b"no list"),
            (names.recommendations, "bob", a_list(bootstrap, names, "bob", 1, 1, "his")),
        ],
    )

    found = newest_lists(bootstrap, names)

    assert {user: made.items[0].item for user, made in found.items()} == {"ann": "new", "bob": "his"}
    partition = partition_of("ann", 2)
    assert set(newest_lists(bootstrap, names, [partition], "ann")) == {"ann"}


def test_recommend_shows_a_list_with_titles(
    bootstrap: str, names: TopicNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verb prints the newest list, and as JSON on the last line; an unknown user is not found (4)."""
    monkeypatch.setenv("HOPSTREAM_KAFKA__PREFIX", names.prefix)
    write(
        bootstrap,
        [
            (names.items, "i2", encode(Item(item="i2", title="Heat (1995)"))),
            (names.recommendations, "ann", a_list(bootstrap, names, "ann", 0, 1, "i2")),
        ],
    )
    runner = CliRunner()

    for_people = runner.invoke(app, ["recommend", "ann", "--bootstrap", bootstrap])
    as_json = runner.invoke(app, ["recommend", "ann", "--bootstrap", bootstrap, "--json"])
    unknown = runner.invoke(app, ["recommend", "nobody", "--bootstrap", bootstrap])

    assert "Heat (1995)" in for_people.output
    found = json.loads(as_json.output.splitlines()[-1])
    assert found["items"] == [{"item": "i2", "score": 1.0, "title": "Heat (1995)"}]
    assert isinstance(unknown.exception, UserUnknown)
    assert unknown.exception.exit_code == 4
