"""A replay in which every event waits for the last one's list."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from kafka import TopicPartition

from ops.lockstep import NoListCame, lockstep
from ops.simulate import simulate
from stream import clients
from stream.admin import end_offsets, ensure_topics, topic_ids
from stream.records import RecommendationList, StateRef, encode_list
from stream.topics import TopicNames

PARTITIONS = 2
EVENTS = simulate(1, users=5, items=20, events=60).dataset.events


@pytest.fixture
def names(bootstrap: str, prefix: str) -> TopicNames:
    made = TopicNames(prefix)
    ensure_topics(bootstrap, made, PARTITIONS)
    return made


class Answering:
    """Answers each event with a list, rubbish and somebody else's list before it; counts what it was owed."""

    def __init__(self, bootstrap: str, names: TopicNames) -> None:
        self.most_unanswered = 0
        self.num_answered = 0
        self._names = names
        self._topic_id = topic_ids(bootstrap, [names.events])[names.events]
        self._reader = clients.consumer(bootstrap, fetch_max_wait_ms=20)
        self._sender = clients.producer(bootstrap, linger_ms=0)
        places = [TopicPartition(names.events, number) for number in range(PARTITIONS)]
        self._reader.assign(places)
        self._reader.seek_to_beginning(*places)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            got = [record for records in self._reader.poll(timeout_ms=50).values() for record in records]
            self.most_unanswered = max(self.most_unanswered, len(got))
            for record in got:
                self._answer(record.key, b"no list", record.partition)
                self._answer(b"nobody", self._list("nobody", record.partition, 10**6), record.partition)
                made = self._list(record.key.decode(), record.partition, record.offset)
                self._answer(record.key, made, record.partition)
                self.num_answered += 1

    def _list(self, user: str, partition: int, offset: int) -> bytes:
        state = StateRef(topic_id=self._topic_id, partition=partition, offset=offset, events=1)
        return encode_list(RecommendationList(id="l", user=user, items=[], model=None, state=state, epoch=0))

    def _answer(self, key: bytes, value: bytes, partition: int) -> None:
        self._sender.send(self._names.recommendations, key=key, value=value, partition=partition).get(
            timeout=20
        )

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._sender.close()
        self._reader.close()


@pytest.fixture
def answering(bootstrap: str, names: TopicNames) -> Iterator[Answering]:
    made = Answering(bootstrap, names)
    yield made
    made.stop()


def test_never_are_two_events_unanswered(bootstrap: str, names: TopicNames, answering: Answering) -> None:
    """Each is sent once a list knows the one before; rubbish and others' lists are no answer."""
    part = EVENTS.slice(0, 40)
    summary = lockstep(part, bootstrap, names)

    assert (summary.events, summary.stopped) == (40, False)
    assert (answering.num_answered, answering.most_unanswered) == (40, 1)


def test_without_a_list_the_replay_ends_and_says_so(bootstrap: str, names: TopicNames) -> None:
    """Nobody answers: one event was sent, and the error names its user."""
    with pytest.raises(NoListCame, match=EVENTS.users[int(EVENTS.user[0])]):
        lockstep(EVENTS, bootstrap, names, list_s=0.5)

    assert sum(end_offsets(bootstrap, names.events).values()) == 1
