"""A data set onto the topics one event at a time: the next one waits for the last one's list.

Knows: how an event is sent and its list recognised. Does not know: pacing, terminals, who makes the lists.

The memory and the leader of the scorer see all users' events in arrival order, so only a replay like this one
gives the same lists every time. Worker and scorer should wait for nobody (`worker.linger_ms` and
`scorer.max_wait_ms` 0).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from ops.datasets.table import EventTable
from ops.errors import OpsError
from ops.replay import Progress, Summary
from ops.sending import NotAcknowledged
from stream import admin, clients
from stream.events import encode
from stream.partition import partition_of
from stream.records import decode_list
from stream.topics import TopicNames

#: How long one event's list may take; the worker may be restarting meanwhile.
LIST_S = 60.0
POLL_MS = 100
SEND_S = 30.0


class NoListCame(OpsError):
    """An event was acknowledged, but no list that knows it came; are a worker and a scorer running?"""


def lockstep(
    events: EventTable,
    bootstrap: str,
    names: TopicNames,
    *,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    list_s: float = LIST_S,
) -> Summary:
    """Send all of ``events``, in their order, each once the list of the one before lies on its topic.

    The topics must exist. Raises NoListCame, NotAcknowledged, BrokerUnreachable.
    """
    topic_id = admin.topic_ids(bootstrap, [names.events])[names.events]
    reader = clients.consumer(bootstrap, fetch_max_wait_ms=20)
    sender = clients.producer(bootstrap, linger_ms=0)
    began_s = time.monotonic()
    num_partitions = len(reader.partitions_for_topic(names.recommendations) or ())
    sent = 0
    try:
        places = [TopicPartition(names.recommendations, number) for number in range(num_partitions)]
        reader.assign(places)
        reader.seek_to_end(*places)
        for place in places:
            reader.position(place)  # now, and not at the first poll, when a list may lie there
        for event in events:
            if stop():
                break
            key = event.user.encode()
            offset = _sent(sender, names.events, key, encode(event), partition_of(event.user, num_partitions))
            _await_list(reader, event.user, topic_id, offset, list_s)
            sent += 1
            if progress is not None:
                passed_s = time.monotonic() - began_s
                progress(
                    Progress(
                        acknowledged=sent,
                        total=len(events),
                        seconds=passed_s,
                        event_ms=event.ts,
                        waiting=False,
                    )
                )
    finally:
        sender.close(timeout=5)
        reader.close()
    return Summary(
        events=sent,
        total=len(events),
        seconds=time.monotonic() - began_s,
        waited_s=0.0,
        stopped=sent < len(events),
    )


def _sent(sender: Any, topic: str, key: bytes, value: bytes, partition: int) -> int:
    """The offset that the broker gave."""
    try:
        return int(sender.send(topic, key=key, value=value, partition=partition).get(timeout=SEND_S).offset)
    except KafkaError as error:
        raise NotAcknowledged(f"({error!r})") from error


def _await_list(reader: KafkaConsumer, user: str, topic_id: str, offset: int, list_s: float) -> None:
    """Until a list of the user lies on the topic that knows the event at this offset."""
    key = user.encode()
    ends_s = time.monotonic() + list_s
    while time.monotonic() < ends_s:
        for records in reader.poll(timeout_ms=POLL_MS).values():
            for record in records:
                if record.key == key and _knows(record.value, topic_id, offset):
                    return
    raise NoListCame(f"(user {user!r}, offset {offset}, after {list_s:g} s)")


def _knows(value: bytes | None, topic_id: str, offset: int) -> bool:
    try:
        state = decode_list(value or b"").state
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return state.topic_id == topic_id and state.offset >= offset
