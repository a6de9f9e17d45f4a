"""A data set on a real broker: complete, in order, marked, resumable."""

from __future__ import annotations

import threading
from collections import defaultdict

import pytest

from ops.datasets.table import EventTable
from ops.pacing import Steady, Unpaced
from ops.replay import Summary, replay, send_items
from ops.resume import newest_rows, remaining
from ops.simulate import simulate
from stream import clients
from stream.admin import ensure_topics
from stream.events import Interaction, Item, decode
from stream.partition import partition_of
from stream.topics import TopicNames

FAR_MS = 4_000_000_000_000
PARTITIONS = 3


@pytest.fixture
def names(bootstrap: str, prefix: str) -> TopicNames:
    """Topics of this test alone."""
    made = TopicNames(prefix)
    ensure_topics(bootstrap, made, PARTITIONS)
    return made


@pytest.fixture(scope="module")
def events() -> EventTable:
    """3,000 simulated events of 50 users."""
    return simulate(5, users=50, items=100, events=3000, themes=4).dataset.events


def arrived(bootstrap: str, topic: str) -> dict[int, list[tuple[bytes, Interaction, bool]]]:
    """Partition → (key, event, marked as backfill) in order."""
    found = defaultdict(list)
    for record in clients.read_all(bootstrap, topic):
        event = decode(record.value, FAR_MS)
        assert isinstance(event, Interaction)
        found[record.partition].append((record.key, event, ("backfill", b"1") in record.headers))
    return found


def test_every_event_arrives_once_in_its_users_order(
    bootstrap: str, names: TopicNames, events: EventTable
) -> None:
    """Each partition holds its users' events, keyed by their raw ids, in the data set's order."""
    summary = replay(events, bootstrap, names, Unpaced(len(events)))
    wanted = defaultdict(list)
    for event in events:
        wanted[partition_of(event.user, PARTITIONS)].append((event.user.encode(), event, False))

    assert (summary.events, summary.stopped) == (3000, False)
    assert arrived(bootstrap, names.events) == wanted


def test_backfill_marks_all_but_each_users_last(
    bootstrap: str, names: TopicNames, events: EventTable
) -> None:
    """A user's last event alone asks for a list."""
    replay(events, bootstrap, names, Unpaced(len(events)), backfill=True)
    plain = [
        event for part in arrived(bootstrap, names.events).values() for _, event, marked in part if not marked
    ]
    last = {event.user: event for event in events}

    assert sorted(plain, key=lambda event: event.user) == [last[user] for user in sorted(last)]


def stopped_after(num: int, events: EventTable, bootstrap: str, names: TopicNames) -> Summary:
    stop = threading.Event()
    return replay(
        events,
        bootstrap,
        names,
        Steady(2000),
        progress=lambda at: stop.set() if at.acknowledged >= num else None,
        stop=stop.is_set,
    )


def test_a_stopped_replay_goes_on_where_it_stopped(
    bootstrap: str, names: TopicNames, events: EventTable
) -> None:
    """Stop in the middle, add strangers' events, resume: the topic holds every event exactly once."""
    first = stopped_after(500, events, bootstrap, names)
    stranger = clients.producer(bootstrap)
    for partition in range(PARTITIONS):
        raw = b'{"event":"interaction","ts":1,"user":"zoe","item":"x","type":"click"}'
        stranger.send(names.events, raw, b"zoe", partition=partition).get(10)
    stranger.close()
    missing = remaining(events, newest_rows(events, bootstrap, names.events), PARTITIONS)
    second = replay(events.take(missing), bootstrap, names, Unpaced(int(missing.sum())))
    found = [event for part in arrived(bootstrap, names.events).values() for _, event, _ in part]

    assert first.stopped
    assert 500 <= first.events < 3000
    assert first.events + second.events == 3000
    assert len([event for event in found if event.user != "zoe"]) == 3000
    assert not remaining(events, newest_rows(events, bootstrap, names.events), PARTITIONS).any()


def test_nothing_is_sent_while_the_scorer_is_far_behind(
    bootstrap: str, names: TopicNames, events: EventTable
) -> None:
    """A replay waits, says so, and goes on when the scorer has caught up; waiting does not count as pace."""
    behind = iter([10**9, 10**9, 0, 0, 0])
    waited_at: list[int] = []
    summary = replay(
        events,
        bootstrap,
        names,
        Steady(1500),
        progress=lambda at: waited_at.append(at.acknowledged) if at.waiting else None,
        lag=lambda: next(behind, 0),
    )

    assert summary.events == 3000
    assert summary.waited_s > 0
    assert max(waited_at) < 3000


def test_items_are_keyed_by_item(bootstrap: str, names: TopicNames) -> None:
    """Item records lie on their own topic under their item's raw id."""
    items = [Item(item="ö/1", title="One", categories=["a"]), Item(item="2")]
    num = send_items(items, bootstrap, names)
    found = [
        (record.key, decode(record.value, FAR_MS)) for record in clients.read_all(bootstrap, names.items)
    ]

    assert num == 2
    assert found == [("ö/1".encode(), items[0]), (b"2", items[1])]
