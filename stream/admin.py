"""Topics made and checked, topic ids and ends read: all that is asked of the broker but records.

Knows: kafka-python's admin client. Does not know: what the records mean.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NotCoordinatorError,
    TopicAlreadyExistsError,
)

from stream.clients import CONNECT_S, wait_for_port
from stream.errors import BrokerUnreachable, TopicMismatch
from stream.topics import TOPICS, TopicNames

_NO_COORDINATOR_YET = (CoordinatorNotAvailableError, CoordinatorLoadInProgressError, NotCoordinatorError)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Who answered."""

    cluster_id: str
    num_brokers: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """How one topic has to look."""

    partitions: int
    config: Mapping[str, str]


def wanted(names: TopicNames, partitions: int) -> dict[str, Wanted]:
    """Full name → shape of every topic, the worker's changelog included.

    The changelog holds the same partitions as `events`: Faust refuses a table whose partitions differ.
    """
    topics = {
        names.of(topic): Wanted(partitions if topic.keyed_by_user else 1, topic.config) for topic in TOPICS
    }
    topics[names.changelog] = Wanted(partitions, {"cleanup.policy": "compact"})
    return topics


@contextmanager
def _admin(bootstrap: str, connect_s: float = CONNECT_S) -> Iterator[KafkaAdminClient]:
    wait_for_port(bootstrap, connect_s)
    try:
        client = KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=int(connect_s * 1000))
    except (KafkaTimeoutError, KafkaConnectionError) as error:
        raise BrokerUnreachable(f"Nothing answered at {bootstrap} within {connect_s:g} s.") from error
    try:
        yield client
    except (KafkaTimeoutError, KafkaConnectionError) as error:
        raise BrokerUnreachable(f"{bootstrap} stopped answering: {error}.") from error
    finally:
        client.close()


def wait_for_broker(bootstrap: str, timeout_s: float = CONNECT_S) -> Cluster:
    """Wait until a broker answers with metadata that lists a live broker; an open port is not enough.

    Raises BrokerUnreachable after ``timeout_s``.
    """
    ends_s = time.monotonic() + timeout_s
    while True:
        left_s = ends_s - time.monotonic()
        if left_s <= 0:
            raise BrokerUnreachable(f"{bootstrap} named no live broker within {timeout_s:g} s.")
        with _admin(bootstrap, left_s) as client:
            try:
                found = client.describe_cluster()
            except (KafkaTimeoutError, KafkaConnectionError):
                raise
            except KafkaError:  # a broker that is still starting refuses politely
                found = {"brokers": []}
            if found["brokers"]:
                return Cluster(str(found["cluster_id"]), len(found["brokers"]))
        time.sleep(min(0.05, left_s))


def existing(bootstrap: str, topics: Sequence[str]) -> dict[str, int]:
    """Partition counts of those of ``topics`` that exist."""
    with _admin(bootstrap) as client:
        return {name: len(found["partitions"]) for name, found in _described(client, topics).items()}


def ensure_topics(bootstrap: str, names: TopicNames, partitions: int) -> list[str]:
    """Create what is missing of the topics table; returns the names that were created.

    Three copies where the cluster has three brokers, else one. Safe to call from several processes at once.
    Raises TopicMismatch if a topic exists with another number of partitions, BrokerUnreachable.
    """
    shapes = wanted(names, partitions)
    with _admin(bootstrap) as client:
        found = _described(client, list(shapes))
        _check(found, shapes)
        missing = [name for name in shapes if name not in found]
        if missing:
            copies = 3 if len(client.describe_cluster()["brokers"]) >= 3 else 1
            _create(client, {name: shapes[name] for name in missing}, copies)
            client.wait_for_topics(missing)
            _check(_described(client, missing), shapes)  # another process may have come first
        return missing


def _create(client: KafkaAdminClient, shapes: Mapping[str, Wanted], copies: int) -> None:
    request = {
        name: {
            "num_partitions": shape.partitions,
            "replication_factor": copies,
            "configs": dict(shape.config),
        }
        for name, shape in shapes.items()
    }
    for name, fields in request.items():  # one by one: an existing one must not hide another's failure
        try:
            client.create_topics({name: fields})
        except TopicAlreadyExistsError:
            continue


def _check(found: Mapping[str, dict[str, Any]], shapes: Mapping[str, Wanted]) -> None:
    for name, topic in found.items():
        has = len(topic["partitions"])
        if has != shapes[name].partitions:
            raise TopicMismatch(f"{name} has {has} partitions, configured are {shapes[name].partitions}.")


def _described(client: KafkaAdminClient, topics: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {
        found["name"]: found for found in client.describe_topics(list(topics)) if found["error_code"] == 0
    }


def topic_ids(bootstrap: str, topics: Sequence[str]) -> dict[str, str]:
    """Topic name → its id, a UUID, new whenever a topic is made again; absent topics are left out."""
    with _admin(bootstrap) as client:
        return {name: str(found["topic_id"]) for name, found in _described(client, topics).items()}


def shapes(bootstrap: str, topics: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Topic name → (its id, its number of partitions); absent topics are left out."""
    with _admin(bootstrap) as client:
        described = _described(client, topics).items()
        return {name: (str(found["topic_id"]), len(found["partitions"])) for name, found in described}


def cluster_id(bootstrap: str) -> str:
    """Id of the cluster: the same for as long as its data live."""
    return wait_for_broker(bootstrap).cluster_id


def begin_offsets(bootstrap: str, topic: str) -> dict[int, int]:
    """Partition → offset of its oldest record; empty if there is no such topic."""
    return _offsets(bootstrap, topic, OffsetSpec.EARLIEST)


def end_offsets(bootstrap: str, topic: str) -> dict[int, int]:
    """Partition → offset that its next record will get; empty if there is no such topic."""
    return _offsets(bootstrap, topic, OffsetSpec.LATEST)


def _offsets(bootstrap: str, topic: str, spec: OffsetSpec) -> dict[int, int]:
    with _admin(bootstrap) as client:
        found = _described(client, [topic]).get(topic)
        if found is None:
            return {}
        places = [TopicPartition(topic, entry["partition_index"]) for entry in found["partitions"]]
        places.sort()
        offsets = client.list_partition_offsets(dict.fromkeys(places, spec))
        return {place.partition: offsets[place].offset for place in places}


def committed(bootstrap: str, group: str, topic: str) -> dict[int, int]:
    """Partition → offset that a consumer group will read next; partitions without one are left out."""
    with _admin(bootstrap) as client:
        found = _group_offsets(client, group)
        return {
            place.partition: entry.offset
            for place, entry in sorted(found.items())
            if place.topic == topic and entry.offset >= 0
        }


def _group_offsets(client: KafkaAdminClient, group: str) -> dict[TopicPartition, Any]:
    ends_s = time.monotonic() + CONNECT_S
    while True:
        try:
            return dict(client.list_group_offsets({group: None})[group])
        except _NO_COORDINATOR_YET:  # the very first question makes the broker lay out a topic of its own
            if time.monotonic() > ends_s:
                raise
            time.sleep(0.05)
